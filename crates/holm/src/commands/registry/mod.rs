//! `holm pull`, `push`, `login` and `logout`: what they have in common.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use images::credentials::{Credential, Credentials, Secret};
use images::reference::{Host, Name};
use images::registry::approved::Approved;
use images::registry::http::{Patience, Settings};
use images::registry::proxy::Proxies;
use images::registry::{Client, Conf, RegistryError, tls};
use report::{BoxedExplain, Explain, Hint, Kind};

use crate::cli::registry::tls_verify;

pub mod login;
pub mod progress;
pub mod pull;
pub mod push;

/// What a command line says about registries.
pub struct Connection {
    /// registries.conf.
    pub conf: Conf,
    /// `--tls-verify`.
    pub verify: Option<bool>,
    authfile: Option<PathBuf>,
    certificates: Option<PathBuf>,
    creds: Option<(String, Secret)>,
}

/// A request that cannot be carried out as it is.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Refused {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        (!self.advice.is_empty()).then(|| Hint::new(self.advice.clone()))
    }
}

pub(crate) fn refuse<T>(problem: impl Into<String>, advice: impl Into<String>) -> Result<T, BoxedExplain> {
    Err(Box::new(Refused { problem: problem.into(), advice: advice.into() }))
}

impl Connection {
    /// Reads the flags and the configuration.
    ///
    /// # Errors
    /// A flag or a file that cannot be used.
    pub fn read(matches: &ArgMatches) -> Result<Self, BoxedExplain> {
        let path = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(PathBuf::from);
        let creds = match matches.try_get_one::<String>("creds").ok().flatten() {
            None => None,
            Some(text) => match text.split_once(':') {
                Some((user, password)) => Some((user.to_owned(), Secret::new(password))),
                None => Some((text.clone(), login::ask_password(text)?)),
            },
        };
        let verify = match matches.try_get_one::<String>("tls-verify") {
            Ok(_) => tls_verify(matches)?,
            Err(_) => None,
        };
        let certificates = path("cert-dir");
        if let Some(directory) = certificates.as_deref().filter(|directory| !directory.is_dir()) {
            return refuse(format!("--cert-dir {}: it is no directory", directory.display()), "");
        }
        Ok(Self {
            conf: Conf::load().map_err(boxed)?,
            verify,
            authfile: path("authfile"),
            certificates,
            creds,
        })
    }

    /// The files of credentials.
    pub fn credentials(&self) -> Credentials {
        Credentials::load(self.authfile.as_deref(), &self.conf)
    }

    /// A client for images of `host`, which `--creds` and `--cert-dir` are about.
    ///
    /// # Errors
    /// A file of approvals that cannot be used.
    pub fn client(&self, host: Option<&Host>) -> Result<Client, RegistryError> {
        let mut credentials = self.credentials();
        if let (Some((user, password)), Some(host)) = (&self.creds, host) {
            let credential = Credential::Password { user: user.clone(), password: password.clone() };
            credentials = credentials.with(host.clone(), credential);
        }
        Ok(Client::new(self.settings(host), credentials, Approved::load()?))
    }

    /// A client with these credentials alone.
    ///
    /// # Errors
    /// A file of approvals that cannot be used.
    pub fn client_as(
        &self,
        host: &Host,
        credential: Credential,
        token_realm: Option<&Host>,
    ) -> Result<Client, RegistryError> {
        let mut approved = Approved::load()?;
        if let Some(server) = token_realm {
            approved.add(host, server);
        }
        Ok(Client::new(
            self.settings(Some(host)),
            Credentials::none().with(host.clone(), credential),
            approved,
        ))
    }

    fn settings(&self, host: Option<&Host>) -> Settings {
        let mut own = Vec::new();
        if let (Some(directory), Some(host)) = (&self.certificates, host) {
            own.push((host.to_string(), directory.clone()));
        }
        Settings {
            certificates: tls::directories(),
            own,
            proxies: Proxies::read(),
            patience: Patience::default(),
        }
    }
}

/// `[HOST[:PORT]]`, or the first registry that is searched.
pub(crate) fn registry_of(matches: &ArgMatches, conf: &Conf) -> Result<Host, BoxedExplain> {
    let Some(text) = matches.get_one::<String>("registry") else {
        return match conf.search.first() {
            Some(host) => Ok(host.clone()),
            None => refuse("no registry is named, and none is searched", "give it as HOST[:PORT]"),
        };
    };
    // People paste addresses.
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    match Host::parse(bare.split_once('/').map_or(bare, |(host, _)| host)) {
        Ok(host) => Ok(host),
        Err(problem) => refuse(format!("registry `{text}`: {problem}"), "expected HOST[:PORT]"),
    }
}

/// The registry that a name says.
pub(crate) fn host_of(name: &Name) -> Option<&Host> {
    match name {
        Name::Full(reference) => Some(reference.host()),
        Name::Short(_) => None,
    }
}

pub(crate) fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

/// A path for people.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
