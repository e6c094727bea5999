//! Tokens: how a registry that says `Bearer` is satisfied (distribution specification, token authentication).
//!
//! [`realm_for`] decides whether a token server may be given the credentials, and is pure; [`fetch`] asks it. The registry names the token
//! server itself, so a registry that was taken over, or somebody in the middle of plain HTTP, could name one of their own to be sent the
//! password. The password therefore goes to hosts of the registry's own domain, to those known to belong to it, and to those that the
//! person has approved.

use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Method, Uri, header};

use super::challenge::Challenge;
use super::error::RegistryError;
use super::http::{Answer, Http, Origin, Request, authority, some_of, words};
use crate::credentials::{Credential, Secret};

/// How long a token holds if nobody says (the specification's number).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest that one is kept.
const MAX_LIFE: Duration = Duration::from_secs(3600);
/// The most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;
/// What this program is called to token servers.
const CLIENT: &str = "holm";

/// Token servers in another domain than the registry that are known to be its own.
const KNOWN: [(&str, &str); 2] =
    [("nvcr.io", "authn.nvidia.com"), ("registry.connect.redhat.com", "sso.redhat.com")];

/// A token, and until when it holds.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub text: Secret,
    /// Not used from then on.
    pub until: Instant,
}

/// A token server, and whether it is given credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// Its address.
    pub uri: Uri,
    /// What it calls the registry.
    pub service: Option<String>,
    /// What the registry wants to see in the token.
    pub scope: Option<String>,
    /// Whether credentials go there.
    pub trusted: bool,
}

/// The token server that a challenge of `registry` names. `approved` are hosts that the person has named for it.
///
/// # Errors
/// What is wrong with the challenge.
pub fn realm_for(challenge: &Challenge, registry: &Origin, approved: &[String]) -> Result<Realm, String> {
    let text = challenge.get("realm").ok_or("it wants a token and does not say from where")?;
    let uri: Uri = text.parse().map_err(|_| "it wants a token from what is no address".to_owned())?;
    let server = Origin::of(&uri).ok_or("it wants a token from what is not HTTP")?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it wants a token from an address with a user in it".to_owned());
    }
    if registry.secure && !server.secure {
        return Err(format!("it speaks HTTPS and wants a token from {} over plain HTTP", authority(&uri)));
    }
    let known = KNOWN.iter().any(|(a, b)| *a == registry.host && *b == server.host);
    let named = approved.iter().any(|host| *host == server.host || *host == authority(&uri));
    Ok(Realm {
        trusted: same_house(&registry.host, &server.host) || known || named,
        service: challenge.get("service").map(str::to_owned),
        scope: challenge.get("scope").map(str::to_owned),
        uri,
    })
}

/// Whether two hosts belong to the same domain: equal, or both at or below the domain that the registry's name stands directly under.
fn same_house(registry: &str, server: &str) -> bool {
    if registry == server {
        return true;
    }
    let is_address = |host: &str| host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    if is_address(registry) || is_address(server) {
        return false;
    }
    let labels = registry.split('.').count();
    // `ghcr.io` is a domain itself; `registry.example.org` stands below one.
    let domain = match registry.split_once('.') {
        Some((_, rest)) if labels > least_labels(registry) => rest,
        _ => registry,
    };
    domain.contains('.')
        && (server == domain || server.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// How many labels somebody's own domain has at least: three below the likes of `co.uk`, two elsewhere.
fn least_labels(host: &str) -> usize {
    let mut labels = host.rsplit('.');
    let (last, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    if last.len() == 2 && second.len() <= 3 { 3 } else { 2 }
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Asks a token server for a token with `scopes`.
///
/// # Errors
/// No answer, or a no.
pub fn fetch(
    http: &Http,
    doing: &str,
    realm: &Realm,
    scopes: &[String],
    credential: Option<&Credential>,
    verify: bool,
) -> Result<Token, RegistryError> {
    let credential = credential.filter(|_| realm.trusted);
    let asked = Instant::now();
    let mut answer = match credential {
        Some(Credential::Identity(token)) => exchange(http, doing, realm, scopes, token, verify)?,
        other => ask(http, doing, realm, scopes, other, verify)?,
    };
    let host = authority(&answer.uri);
    let status = answer.response.status().as_u16();
    if status != 200 {
        let message = words(&mut answer);
        return Err(match status {
            400..=403 => RegistryError::Denied {
                doing: doing.to_owned(),
                host,
                message,
                known: credential.is_some(),
                note: None,
            },
            _ => RegistryError::Status { doing: doing.to_owned(), host, status, message },
        });
    }
    let bytes = some_of(answer.response.body_mut(), MAX_ANSWER);
    let bad = |problem: &str| RegistryError::BadAnswer {
        doing: doing.to_owned(),
        host: host.clone(),
        problem: problem.to_owned(),
    };
    let tokens: Tokens = serde_json::from_slice(&bytes)
        .map_err(|_| bad("the token server's answer is not what it should be"))?;
    let text = if tokens.token.is_empty() { tokens.access_token } else { tokens.token };
    // It goes into a header: a line break would be another header.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("the token server sends no token"));
    }
    let life = tokens
        .expires_in
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .map_or(DEFAULT_LIFE, |seconds| Duration::from_secs_f64(seconds.min(MAX_LIFE.as_secs_f64())));
    // A little earlier, so that it still holds when it arrives.
    Ok(Token { text: Secret::new(text), until: asked + life.mul_f64(0.9) })
}

/// The GET that every token server knows.
fn ask(
    http: &Http,
    doing: &str,
    realm: &Realm,
    scopes: &[String],
    credential: Option<&Credential>,
    verify: bool,
) -> Result<Answer, RegistryError> {
    let mut query = realm.uri.query().map(str::to_owned).unwrap_or_default();
    let mut add = |name: &str, value: &str| {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&format!("{name}={}", escaped(value)));
    };
    if let Some(service) = &realm.service {
        add("service", service);
    }
    scopes.iter().for_each(|scope| add("scope", scope));
    add("client_id", CLIENT);
    if let Some(Credential::Password { user, .. }) = credential {
        add("account", user);
    }
    let text = format!(
        "{}://{}{}?{query}",
        realm.uri.scheme_str().unwrap_or("https"),
        realm.uri.authority().map_or("", |a| a.as_str()),
        realm.uri.path()
    );
    let uri: Uri = text.parse().map_err(|_| RegistryError::BadAnswer {
        doing: doing.to_owned(),
        host: authority(&realm.uri),
        problem: "its address cannot take a question".to_owned(),
    })?;
    let mut request = Request::get(doing, uri, verify);
    if let Some(Credential::Password { user, password }) = credential {
        request.authorization = Some(basic(user, password));
    }
    http.call(&request)
}

/// The POST of OAuth 2, which turns an identity token into a token (RFC 6749, section 6).
fn exchange(
    http: &Http,
    doing: &str,
    realm: &Realm,
    scopes: &[String],
    token: &Secret,
    verify: bool,
) -> Result<Answer, RegistryError> {
    let mut form =
        format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={}", escaped(token.reveal()));
    if let Some(service) = &realm.service {
        form.push_str(&format!("&service={}", escaped(service)));
    }
    if !scopes.is_empty() {
        form.push_str(&format!("&scope={}", escaped(&scopes.join(" "))));
    }
    let request = Request {
        method: Method::POST,
        headers: vec![(header::CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())],
        body: form.as_bytes(),
        // The token lies in the content, which a redirect must not carry on.
        redirects: false,
        ..Request::get(doing, realm.uri.clone(), verify)
    };
    http.call(&request)
}

/// The value of `Authorization` for a user and a password.
pub(super) fn basic(user: &str, password: &Secret) -> Secret {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.reveal()));
    Secret::new(format!("Basic {text}"))
}

/// Text as it stands in a query or a form.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::challenge;

    fn origin(text: &str) -> Origin {
        Origin::of(&text.parse().unwrap()).unwrap()
    }

    fn trusted(registry: &str, realm: &str, approved: &[&str]) -> String {
        let challenge = &challenge::parse(&format!("Bearer realm=\"{realm}\",service=\"s\""))[0];
        let approved: Vec<String> = approved.iter().map(|text| (*text).to_owned()).collect();
        match realm_for(challenge, &origin(registry), &approved) {
            Ok(realm) if realm.trusted => "credentials".to_owned(),
            Ok(_) => "anonymous".to_owned(),
            Err(problem) => problem,
        }
    }

    #[test]
    fn credentials_go_to_the_registrys_own_token_server_only() {
        let list = [
            ("https://registry-1.docker.io", "https://auth.docker.io/token", ""),
            ("https://ghcr.io", "https://ghcr.io/token", ""),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", ""),
            ("https://nvcr.io", "https://authn.nvidia.com/token", ""),
            ("https://127.0.0.1:5000", "https://127.0.0.1:5001/token", ""),
            ("https://registry.example.co.uk", "https://auth.example.co.uk/", ""),
            ("https://example.co.uk", "https://evil.co.uk/", ""),
            ("https://ghcr.io", "https://evil.io/token", ""),
            ("https://ghcr.io", "https://evilghcr.io/token", ""),
            ("https://registry.example.org", "https://example.org.evil.net/", ""),
            ("https://127.0.0.1:5000", "https://127.0.0.2:5001/token", ""),
            ("https://10.0.0.1", "https://11.0.0.1/", ""),
            ("https://localhost:5000", "https://evil.localhost/", ""),
            ("https://a.b.c", "https://other.net:8443/", "other.net:8443"),
            ("https://a.b.c", "https://other.net/", "other.net"),
            ("https://a.b.c", "https://other.net:8443/", "other.net:1"),
            ("https://a.b.c", "http://a.b.c/token", ""),
            ("https://a.b.c", "https://u:p@a.b.c/token", ""),
            ("https://a.b.c", "file:///etc/passwd", ""),
            ("http://a.b.c", "http://auth.b.c/token", ""),
        ];
        let text: String = list
            .iter()
            .map(|(registry, realm, approved)| {
                format!("{registry} -> {realm}: {}\n", trusted(registry, realm, &[approved]))
            })
            .collect();
        expect_test::expect![[r#"
            https://registry-1.docker.io -> https://auth.docker.io/token: credentials
            https://ghcr.io -> https://ghcr.io/token: credentials
            https://registry.gitlab.com -> https://gitlab.com/jwt/auth: credentials
            https://nvcr.io -> https://authn.nvidia.com/token: credentials
            https://127.0.0.1:5000 -> https://127.0.0.1:5001/token: credentials
            https://registry.example.co.uk -> https://auth.example.co.uk/: credentials
            https://example.co.uk -> https://evil.co.uk/: anonymous
            https://ghcr.io -> https://evil.io/token: anonymous
            https://ghcr.io -> https://evilghcr.io/token: anonymous
            https://registry.example.org -> https://example.org.evil.net/: anonymous
            https://127.0.0.1:5000 -> https://127.0.0.2:5001/token: anonymous
            https://10.0.0.1 -> https://11.0.0.1/: anonymous
            https://localhost:5000 -> https://evil.localhost/: anonymous
            https://a.b.c -> https://other.net:8443/: credentials
            https://a.b.c -> https://other.net/: credentials
            https://a.b.c -> https://other.net:8443/: anonymous
            https://a.b.c -> http://a.b.c/token: it speaks HTTPS and wants a token from a.b.c over plain HTTP
            https://a.b.c -> https://u:p@a.b.c/token: it wants a token from an address with a user in it
            https://a.b.c -> file:///etc/passwd: it wants a token from what is no address
            http://a.b.c -> http://auth.b.c/token: credentials
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn text_in_a_query_cannot_end_it() {
        assert_eq!(escaped("a b&c=d/e:f+ä"), "a%20b%26c%3Dd%2Fe%3Af%2B%C3%A4");
    }
}
