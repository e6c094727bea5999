//! Talking to registries: who is asked over which scheme, with which credential.
//!
//! [`Client`] keeps what was learnt about each registry. [`Client::send`] is what everything else goes through; start there. It answers a
//! challenge only if it comes from the registry itself, and not from somebody whom a redirect led to.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ureq::http::{Uri, header};

use super::approved::Approved;
use super::challenge::{self, Challenge};
use super::conf::Endpoint;
use super::error::RegistryError;
use super::http::{
    Answer, Http, Origin, Request, Settings, authority, in_words, is_passing_io, some_of, words,
};
use super::token::{self, Token, basic};
use crate::credentials::{Credential, Credentials, Secret};
use crate::digest::Digest;
use crate::manifest::MAX_DOCUMENT_BYTES;
use crate::media;
use crate::reference::{DEFAULT_REGISTRY, Host, Repository};

/// Docker Hub's registry has another name than its images.
const HUB_HOST: &str = "registry-1.docker.io";

/// The registries of this process.
#[derive(Debug)]
pub struct Client {
    pub(super) http: Http,
    credentials: Credentials,
    approved: Approved,
    bases: Mutex<HashMap<(Host, bool), Base>>,
    proofs: Mutex<HashMap<(Host, String), Proof>>,
}

/// How a registry is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    /// `https://HOST[:PORT]`.
    address: String,
    verify: bool,
}

/// What was found to satisfy a registry.
#[derive(Debug, Clone)]
enum Proof {
    Fixed(Secret),
    Token(Token),
}

/// What may be done in repositories, in the words of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Reading a repository.
    pub fn pull(repository: &Repository) -> Self {
        Self(vec![format!("repository:{repository}:pull")])
    }

    /// Reading and writing a repository.
    pub fn push(repository: &Repository) -> Self {
        Self(vec![format!("repository:{repository}:pull,push")])
    }

    /// Being known, and nothing else.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// And reading another repository.
    #[must_use]
    pub fn and_pull(mut self, repository: &Repository) -> Self {
        self.0.push(format!("repository:{repository}:pull"));
        self
    }
}

/// A manifest or an index as it came.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the registry says that it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
}

impl Client {
    /// Nothing is read or asked yet.
    pub fn new(settings: Settings, credentials: Credentials, approved: Approved) -> Self {
        Self {
            http: Http::new(settings),
            credentials,
            approved,
            bases: Mutex::default(),
            proofs: Mutex::default(),
        }
    }

    /// Ends all transfers, now and from now on.
    pub fn stop(&self) {
        self.http.stop();
    }

    /// The manifest or index of `version` (a tag or a digest), verified.
    ///
    /// # Errors
    /// It is not there, one may not see it, or what comes is something else.
    pub fn manifest(&self, endpoint: &Endpoint, version: &str) -> Result<Fetched, RegistryError> {
        let doing = format!("fetch the manifest of {}:{version}", endpoint.repository);
        let bad = |problem: String| RegistryError::BadAnswer {
            doing: doing.clone(),
            host: endpoint.host.to_string(),
            problem,
        };
        let mut attempt = 1;
        let (answer, bytes) = loop {
            let mut answer = self.manifest_answer(endpoint, version, ureq::http::Method::GET, &doing)?;
            let mut bytes = Vec::new();
            let reader = answer.response.body_mut().as_reader();
            match reader.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes) {
                Ok(_) => break (answer, bytes),
                Err(error) if attempt >= self.http.patience().attempts || !is_passing_io(&error) => {
                    return Err(bad(in_words(&error)));
                }
                Err(_) => self.http.pause(attempt, None),
            }
            attempt += 1;
        };
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(bad(format!("the manifest is larger than {MAX_DOCUMENT_BYTES} bytes")));
        }
        let media_type = text_of(&answer, header::CONTENT_TYPE).unwrap_or_default();
        let announced = announced_digest(&answer);
        let digest = match Digest::parse(version).ok().or(announced) {
            Some(expected) => {
                let mut hasher = crate::digest::Hasher::new(expected.algorithm());
                hasher.update(&bytes);
                let found = hasher.finish();
                if found != expected {
                    return Err(bad(format!("the manifest has the digest {found}, and not {expected}")));
                }
                expected
            }
            None => Digest::of(&bytes),
        };
        Ok(Fetched { bytes, media_type, digest })
    }

    /// The digest of `version` without its content; `None` if the registry does not say.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub fn manifest_digest(
        &self,
        endpoint: &Endpoint,
        version: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let doing = format!("look up {}:{version}", endpoint.repository);
        let answer = self.manifest_answer(endpoint, version, ureq::http::Method::HEAD, &doing)?;
        Ok(announced_digest(&answer))
    }

    /// Whether the registry has a manifest of this digest.
    ///
    /// # Errors
    /// No answer, or one that is neither yes nor no.
    pub fn has_manifest(&self, endpoint: &Endpoint, digest: &Digest) -> Result<bool, RegistryError> {
        match self.manifest_digest(endpoint, &digest.to_string()) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn manifest_answer(
        &self,
        endpoint: &Endpoint,
        version: &str,
        method: ureq::http::Method,
        doing: &str,
    ) -> Result<Answer, RegistryError> {
        let uri = self.address(endpoint, &format!("manifests/{version}"), doing)?;
        let accepted = [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_INDEX, media::DOCKER_MANIFEST];
        let request = Request {
            method,
            headers: vec![(header::ACCEPT, accepted.join(", "))],
            ..Request::get(doing, uri, true)
        };
        let answer = self.send(endpoint, &Scope::pull(&endpoint.repository), request)?;
        self.expect(endpoint, doing, answer, &[200])
    }

    /// Finds out whether the registry accepts a credential.
    ///
    /// # Errors
    /// It does not, or cannot be reached.
    pub fn login(&self, host: &Host, insecure: bool) -> Result<(), RegistryError> {
        let doing = format!("log in to {host}");
        let repository = Repository::parse("holm").expect("a constant that is a repository");
        let endpoint = Endpoint { host: host.clone(), repository, insecure, mirror: false };
        let base = self.base(&endpoint, &doing)?;
        let uri = parsed(&format!("{}/v2/", base.address), &doing, host)?;
        let answer = self.send(&endpoint, &Scope::none(), Request::get(&doing, uri, true))?;
        self.expect(&endpoint, &doing, answer, &[200]).map(drop)
    }

    /// `PATH` in the repository of `endpoint`.
    pub(super) fn address(&self, endpoint: &Endpoint, path: &str, doing: &str) -> Result<Uri, RegistryError> {
        let base = self.base(endpoint, doing)?;
        parsed(&format!("{}/v2/{}/{path}", base.address, endpoint.repository), doing, &endpoint.host)
    }

    /// The origin of `endpoint`, which is the only one that gets its credentials.
    pub(super) fn origin(&self, endpoint: &Endpoint, doing: &str) -> Result<Origin, RegistryError> {
        let base = self.base(endpoint, doing)?;
        let uri = parsed(&base.address, doing, &endpoint.host)?;
        Origin::of(&uri).ok_or_else(|| RegistryError::BadAnswer {
            doing: doing.to_owned(),
            host: endpoint.host.to_string(),
            problem: "it has no address".to_owned(),
        })
    }

    /// Sends a request to a registry, and proves who one is if the registry asks. An answer with any other status is returned.
    ///
    /// # Errors
    /// No answer, or a challenge that cannot be met.
    pub fn send(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        mut request: Request<'_>,
    ) -> Result<Answer, RegistryError> {
        let doing = request.doing;
        let base = self.base(endpoint, doing)?;
        let own = Origin::of(&request.uri) == Some(self.origin(endpoint, doing)?);
        request.verify = base.verify || !own;
        if !own {
            // An upload that the registry moved to another host: that host proves nothing and is told nothing.
            request.authorization = None;
            return self.http.call(&request);
        }
        let key = (endpoint.host.clone(), scope.0.join(" "));
        let mut fresh = false;
        loop {
            request.authorization = self.known_proof(&key);
            let had_proof = request.authorization.is_some();
            let answer = self.http.call(&request)?;
            if answer.response.status().as_u16() != 401 || !answer.same_origin || fresh {
                return Ok(answer);
            }
            // A token may have ended meanwhile, and a registry may want another one for this: one more time, anew.
            fresh = true;
            if had_proof {
                self.lock_proofs().remove(&key);
            }
            let challenges: Vec<Challenge> = answer
                .response
                .headers()
                .get_all(header::WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(challenge::parse)
                .collect();
            match self.prove(endpoint, scope, &challenges, doing, base.verify)? {
                Some(proof) => drop(self.lock_proofs().insert(key.clone(), proof)),
                None => return Ok(answer),
            }
        }
    }

    /// The answer, if its status is one of `good`; otherwise the error that it means.
    pub(super) fn expect(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        mut answer: Answer,
        good: &[u16],
    ) -> Result<Answer, RegistryError> {
        let status = answer.response.status().as_u16();
        if good.contains(&status) {
            return Ok(answer);
        }
        let message = words(&mut answer);
        let (doing, host) = (doing.to_owned(), authority(&answer.uri));
        Err(match status {
            401 | 403 => {
                let credential = self.credential(&endpoint.host, Some(&endpoint.repository))?;
                let host = endpoint.host.to_string();
                RegistryError::Denied { doing, host, message, known: credential.is_some(), note: None }
            }
            404 => RegistryError::Missing { doing, host: endpoint.host.to_string(), message },
            429 => RegistryError::Busy { doing, host, wait: None },
            _ => RegistryError::Status { doing, host, status, message },
        })
    }

    fn credential(
        &self,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Option<Credential>, RegistryError> {
        let found = self.credentials.get(host, repository);
        found.map_err(|cause| RegistryError::Credentials { host: host.to_string(), cause })
    }

    fn known_proof(&self, key: &(Host, String)) -> Option<Secret> {
        match self.lock_proofs().get(key)? {
            Proof::Fixed(value) => Some(value.clone()),
            Proof::Token(token) if token.until > Instant::now() => {
                Some(Secret::new(format!("Bearer {}", token.text.reveal())))
            }
            Proof::Token(_) => None,
        }
    }

    fn lock_proofs(&self) -> std::sync::MutexGuard<'_, HashMap<(Host, String), Proof>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What satisfies the challenges; `None` if nothing that is known here does.
    fn prove(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        challenges: &[Challenge],
        doing: &str,
        verify: bool,
    ) -> Result<Option<Proof>, RegistryError> {
        let credential = self.credential(&endpoint.host, Some(&endpoint.repository))?;
        if let Some(Credential::Registry(token)) = &credential {
            return Ok(Some(Proof::Fixed(Secret::new(format!("Bearer {}", token.reveal())))));
        }
        let host = endpoint.host.to_string();
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let origin = self.origin(endpoint, doing)?;
            let realm =
                token::realm_for(bearer, &origin, self.approved.of(&endpoint.host)).map_err(|problem| {
                    RegistryError::BadAnswer { doing: doing.to_owned(), host: host.clone(), problem }
                })?;
            let mut scopes = scope.0.clone();
            // The registry's own words for what it wants, where they go beyond ours.
            scopes.extend(
                realm.scope.iter().filter(|wanted| !scope.0.iter().any(|own| covers(own, wanted))).cloned(),
            );
            let server = authority(&realm.uri);
            let same_host = Origin::of(&realm.uri).is_some_and(|server| server.host == origin.host);
            let verify = verify || !same_host;
            let held_back = credential.is_some() && !realm.trusted;
            let note = format!(
                "{host} wants your password to be sent to {server}, which is not of its domain; if that is right: holm login --token-realm {server} {host}"
            );
            return match token::fetch(&self.http, doing, &realm, &scopes, credential.as_ref(), verify) {
                Ok(token) => Ok(Some(Proof::Token(token))),
                Err(RegistryError::Denied { doing, message, known, .. }) => Err(RegistryError::Denied {
                    doing,
                    host,
                    message,
                    known,
                    note: held_back.then_some(note),
                }),
                Err(other) => Err(other),
            };
        }
        if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            return Ok(match &credential {
                Some(Credential::Password { user, password }) => Some(Proof::Fixed(basic(user, password))),
                // Some registries take a token as the password of nobody in particular.
                Some(Credential::Identity(token)) => Some(Proof::Fixed(basic("<token>", token))),
                _ => None,
            });
        }
        Ok(None)
    }

    /// Over which scheme a registry is reached. Plain HTTP is only an option where it was permitted, and on this machine itself.
    fn base(&self, endpoint: &Endpoint, doing: &str) -> Result<Base, RegistryError> {
        let key = (endpoint.host.clone(), endpoint.insecure);
        if let Some(base) = self.bases.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(base.clone());
        }
        let host = match endpoint.host.as_str() {
            DEFAULT_REGISTRY => HUB_HOST,
            other => other,
        };
        let https = Base { address: format!("https://{host}"), verify: !endpoint.insecure };
        let http = Base { address: format!("http://{host}"), verify: true };
        let base = match (is_here(&endpoint.host), endpoint.insecure) {
            (false, false) => https,
            // What does not leave the machine needs no encryption, but a server that has some is spoken to with it.
            (true, _) if self.speaks_http(&http, doing, &endpoint.host)? => http,
            (true, _) => https,
            (false, true) => match self.probe(&https, doing, &endpoint.host) {
                Ok(_) => https,
                Err(RegistryError::Stopped { doing }) => return Err(RegistryError::Stopped { doing }),
                Err(first) => match self.probe(&http, doing, &endpoint.host) {
                    Ok(_) => http,
                    Err(_) => return Err(first),
                },
            },
        };
        self.bases.lock().unwrap_or_else(PoisonError::into_inner).insert(key, base.clone());
        Ok(base)
    }

    fn speaks_http(&self, http: &Base, doing: &str, host: &Host) -> Result<bool, RegistryError> {
        match self.probe(http, doing, host) {
            Ok(mut answer) if answer.response.status().as_u16() == 400 => {
                let text = some_of(answer.response.body_mut(), 4096);
                Ok(!String::from_utf8_lossy(&text).contains("HTTPS"))
            }
            Ok(_) => Ok(true),
            Err(error @ RegistryError::Unreachable { passing: false, .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Asks whether there is a registry, without any credential.
    fn probe(&self, base: &Base, doing: &str, host: &Host) -> Result<Answer, RegistryError> {
        let uri = parsed(&format!("{}/v2/", base.address), doing, host)?;
        self.http.call(&Request {
            redirects: false,
            attempts: Some(1),
            ..Request::get(doing, uri, base.verify)
        })
    }
}

/// Whether the scope `own` includes what a challenge wants: the same repository, and no action more.
fn covers(own: &str, wanted: &str) -> bool {
    let (Some((own, own_actions)), Some((wanted, actions))) = (own.rsplit_once(':'), wanted.rsplit_once(':'))
    else {
        return own == wanted;
    };
    own == wanted && actions.split(',').all(|action| own_actions.split(',').any(|known| known == action))
}

/// Whether a registry is on this machine.
fn is_here(host: &Host) -> bool {
    host.name() == "localhost"
        || host.name().parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn parsed(text: &str, doing: &str, host: &Host) -> Result<Uri, RegistryError> {
    text.parse().map_err(|_| RegistryError::BadAnswer {
        doing: doing.to_owned(),
        host: host.to_string(),
        problem: "its name makes no address".to_owned(),
    })
}

/// A header as text.
pub(super) fn text_of(answer: &Answer, name: header::HeaderName) -> Option<String> {
    answer.response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// `Docker-Content-Digest`.
pub(super) fn announced_digest(answer: &Answer) -> Option<Digest> {
    Digest::parse(answer.response.headers().get("docker-content-digest")?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_the_same_repository_and_no_more_actions() {
        assert!(covers("repository:a/b:pull,push", "repository:a/b:pull"));
        assert!(!covers("repository:a/b:pull", "repository:a/b:pull,push"));
        assert!(!covers("repository:a/b:pull", "repository:a:pull"));
        assert!(!covers("repository:a/b:pull", "registry:catalog:*"));
    }

    #[test]
    fn only_this_machine_may_speak_plain_http_unasked() {
        let here = |text| is_here(&Host::parse(text).unwrap());
        assert!(here("localhost:5000") && here("127.0.0.1:5000") && here("127.1.2.3") && here("[::1]:5000"));
        assert!(!here("localhost.example.org") && !here("10.0.0.1:5000") && !here("example.org"));
    }
}
