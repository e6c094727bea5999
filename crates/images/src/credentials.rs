//! Who one is to a registry: the credential files of docker and podman, and credential helpers.
//!
//! [`Credentials::load`] finds the files and [`Credentials::get`] looks a registry up; start there. [`Credentials::keep`] and
//! [`Credentials::forget`] are `login` and `logout`. A secret has no `Debug` and no `Display`, so it cannot get into a message.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use report::{Explain, Hint, Kind};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value};

use crate::reference::{DEFAULT_REGISTRY, Host, Repository};
use crate::registry::conf::{Conf, config_home};

mod helper;

/// The largest file that is read.
pub const MAX_FILE: u64 = 1 << 20;
/// What docker calls Docker Hub in its file.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What one proves oneself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that the token server exchanges for others.
    Identity(Secret),
    /// A token for the registry itself.
    Registry(Secret),
}

/// Where the credentials of one registry are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A helper, `docker-credential-NAME`.
    Helper(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Helper(name) => write!(f, "docker-credential-{name}"),
        }
    }
}

/// Credentials cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read or written.
    #[error("{what} the credentials in {}", path.display())]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A helper failed.
    #[error("docker-credential-{name} {action}: {problem}")]
    Helper {
        /// Its name.
        name: String,
        /// What it was asked to do.
        action: &'static str,
        /// What went wrong, without its output of secrets.
        problem: String,
    },
}

impl Explain for CredentialError {
    fn kind(&self) -> Kind {
        match self {
            Self::File { cause, .. } => match cause.kind() {
                io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
                io::ErrorKind::InvalidData => Kind::InvalidInput,
                io::ErrorKind::NotFound => Kind::NotFound,
                _ => Kind::Io,
            },
            Self::Helper { .. } => Kind::Io,
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::File { .. } => None,
            Self::Helper { .. } => {
                Some(Hint::new("credHelpers and credsStore in the credential files name the helpers"))
            }
        }
    }
}

/// The files and helpers of this user, in the order they are asked.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
    /// Where `login` writes.
    written: PathBuf,
    helpers: Vec<String>,
    /// `--creds`, which goes before all others.
    given: Option<(Host, Credential)>,
}

impl Credentials {
    /// `authfile` is `--authfile`; it replaces all others, as does `REGISTRY_AUTH_FILE`. Otherwise podman's files come first, then docker's.
    pub fn load(authfile: Option<&Path>, conf: &Conf) -> Self {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let helpers =
            conf.credential_helpers.iter().filter(|name| *name != "containers-auth.json").cloned().collect();
        if let Some(path) = authfile.map(Path::to_owned).or_else(|| variable("REGISTRY_AUTH_FILE")) {
            return Self { files: vec![path.clone()], written: path, helpers, given: None };
        }
        let runtime = variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
        let uid = rustix::process::geteuid().as_raw();
        let runtime = runtime.unwrap_or_else(|| format!("/run/containers/{uid}/auth.json").into());
        let home = variable("HOME");
        let kept = config_home().map(|directory| directory.join("auth.json"));
        let docker = variable("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let mut files = vec![runtime.clone()];
        files.extend(kept.clone());
        files.extend(docker.map(|directory| directory.join("config.json")));
        files.extend(home.map(|home| home.join(".dockercfg")));
        // It outlives a reboot, unlike the first one, and podman, buildah and skopeo read it too.
        Self { files, written: kept.unwrap_or(runtime), helpers, given: None }
    }

    /// Files and helpers that are given; for tests and for programs that have their own.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { files: vec![path.clone()], written: path, ..Self::default() }
    }

    /// No credentials at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with a credential that somebody gave for one registry, in memory.
    #[must_use]
    pub fn with(mut self, host: Host, credential: Credential) -> Self {
        self.given = Some((host, credential));
        self
    }

    /// The credential for `repository` of `host`: the entry with the longest path wins, then the earlier file.
    ///
    /// # Errors
    /// A file that is there and cannot be understood, or a helper that failed. That a registry is in none of them is no error.
    pub fn get(
        &self,
        host: &Host,
        repository: Option<&Repository>,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some((_, credential)) = self.given.as_ref().filter(|(given, _)| given == host) {
            return Ok(Some(credential.clone()));
        }
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            if let Some(name) = file.helper(host) {
                match helper::get(&name, host)? {
                    Some(credential) => return Ok(Some(credential)),
                    None => continue,
                }
            }
            if let Some(credential) =
                file.find(host, repository).map_err(|problem| unreadable(path, problem))?
            {
                return Ok(Some(credential));
            }
        }
        for name in &self.helpers {
            if let Some(credential) = helper::get(name, host)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    /// Keeps a credential, and says where.
    ///
    /// # Errors
    /// The file or the helper; what was there before stays.
    pub fn keep(&self, host: &Host, credential: &Credential) -> Result<Place, CredentialError> {
        if let Some(name) = self.writing_helper(host)? {
            helper::store(&name, host, credential)?;
            return Ok(Place::Helper(name));
        }
        let entry = match credential {
            Credential::Password { user, password } => {
                serde_json::json!({ "auth": STANDARD.encode(format!("{user}:{}", password.reveal())) })
            }
            // Docker's form: an empty password, and the token beside it.
            Credential::Identity(token) => {
                serde_json::json!({ "auth": STANDARD.encode("<token>:"), "identitytoken": token.reveal() })
            }
            Credential::Registry(token) => serde_json::json!({ "registrytoken": token.reveal() }),
        };
        change(&self.written, |auths| {
            keys(host).iter().for_each(|key| drop(auths.remove(key)));
            auths.insert(keys(host)[0].clone(), entry);
            true
        })?;
        Ok(Place::File(self.written.clone()))
    }

    /// The registries that files and helpers have something for, without what it is.
    ///
    /// # Errors
    /// A file that cannot be understood.
    pub fn hosts(&self) -> Result<Vec<Host>, CredentialError> {
        let mut hosts = Vec::new();
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            hosts.extend(
                file.auths.keys().chain(file.helpers.keys()).filter_map(|key| Host::parse(bare(key)).ok()),
            );
        }
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }

    /// Forgets the credentials of `host` wherever they are, and says where they were.
    ///
    /// # Errors
    /// The first file or helper that failed; the ones before have forgotten.
    pub fn forget(&self, host: &Host) -> Result<Vec<Place>, CredentialError> {
        let mut places = Vec::new();
        for path in &self.files {
            let Some(file) = read(path)? else { continue };
            if let Some(name) = file.helper(host)
                && helper::erase(&name, host)?
            {
                places.push(Place::Helper(name));
            }
            if !file.auths.keys().any(|key| names(key, host)) {
                continue;
            }
            let mut gone = false;
            change(path, |auths| {
                let before = auths.len();
                auths.retain(|key, _| !names(key, host));
                gone = auths.len() < before;
                gone
            })?;
            if gone {
                places.push(Place::File(path.clone()));
            }
        }
        for name in &self.helpers {
            if helper::erase(name, host)? {
                places.push(Place::Helper(name.clone()));
            }
        }
        Ok(places)
    }

    fn writing_helper(&self, host: &Host) -> Result<Option<String>, CredentialError> {
        for path in &self.files {
            if let Some(name) = read(path)?.and_then(|file| file.helper(host)) {
                return Ok(Some(name));
            }
        }
        Ok(self.helpers.first().cloned())
    }
}

/// What a credential file says.
#[derive(Debug, Default)]
struct Entries {
    auths: BTreeMap<String, Value>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

impl Entries {
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let document: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let texts = |value: &Value| value.as_str().map(str::to_owned);
        let table = |key: &str| document.get(key).and_then(Value::as_object).cloned();
        let auths = match table("auths") {
            Some(auths) => auths,
            // The form of ~/.dockercfg: the table of registries is the whole document.
            None if document.values().any(|value| value.get("auth").is_some()) => document.clone(),
            None => Map::new(),
        };
        Ok(Self {
            auths: auths.into_iter().collect(),
            helpers: table("credHelpers")
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key, texts(&value)?)))
                .collect(),
            store: document.get("credsStore").and_then(texts).filter(|name| !name.is_empty()),
        })
    }

    /// The helper that keeps what `host` wants.
    fn helper(&self, host: &Host) -> Option<String> {
        let own = self.helpers.iter().find(|(key, _)| bare(key) == host.as_str() || names(key, host));
        own.map(|(_, name)| name.clone()).filter(|name| !name.is_empty()).or_else(|| self.store.clone())
    }

    fn find(&self, host: &Host, repository: Option<&Repository>) -> Result<Option<Credential>, String> {
        let mut best: Option<(usize, &String, &Value)> = None;
        for (key, value) in &self.auths {
            let Some(length) = fits(key, host, repository) else { continue };
            if best.is_none_or(|(longest, ..)| length >= longest) {
                best = Some((length, key, value));
            }
        }
        let Some((_, key, value)) = best else { return Ok(None) };
        entry(value).map_err(|problem| format!("`{key}`: {problem}"))
    }
}

/// One entry. An empty one, which docker leaves behind for what a helper keeps, is no credential.
fn entry(value: &Value) -> Result<Option<Credential>, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::Identity(Secret::new(token))));
    }
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credential::Registry(Secret::new(token))));
    }
    if let Some(auth) = text("auth") {
        let bytes =
            STANDARD.decode(auth.trim_end_matches('\0')).map_err(|_| "`auth` is not base64".to_owned())?;
        let decoded = String::from_utf8(bytes).map_err(|_| "`auth` is not text".to_owned())?;
        let Some((user, password)) = decoded.split_once(':') else {
            return Err("`auth` has no colon between user and password".to_owned());
        };
        let password = Secret::new(password.trim_end_matches('\0'));
        return Ok(Some(Credential::Password { user: user.to_owned(), password }));
    }
    Ok(match (text("username"), text("password")) {
        (Some(user), Some(password)) => {
            Some(Credential::Password { user: user.to_owned(), password: Secret::new(password) })
        }
        _ => None,
    })
}

/// How well a key fits: the length of its path, `None` if it is of something else.
fn fits(key: &str, host: &Host, repository: Option<&Repository>) -> Option<usize> {
    if names(key, host) {
        return Some(0);
    }
    let path = key.strip_prefix(host.as_str())?.strip_prefix('/')?;
    let rest = repository?.as_str().strip_prefix(path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

/// Whether a key means the whole registry `host`.
fn names(key: &str, host: &Host) -> bool {
    Host::parse(bare(key)).is_ok_and(|named| named == *host)
}

/// The host of a key: docker writes addresses such as `https://registry.example.org/v1/`.
fn bare(key: &str) -> &str {
    match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => key,
    }
}

/// What the registry is called in the file that is written.
fn keys(host: &Host) -> [String; 2] {
    match host.as_str() {
        DEFAULT_REGISTRY => [DEFAULT_REGISTRY.to_owned(), HUB_KEY.to_owned()],
        other => [other.to_owned(), format!("https://{other}")],
    }
}

/// What a helper is asked for: docker's helpers know Docker Hub by its old address.
fn helper_key(host: &Host) -> &str {
    match host.as_str() {
        DEFAULT_REGISTRY => HUB_KEY,
        other => other,
    }
}

fn read(path: &Path) -> Result<Option<Entries>, CredentialError> {
    let text = match File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(MAX_FILE).read_to_string(&mut text).map(|_| text)
        }
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => Entries::parse(&text).map(Some).map_err(|problem| unreadable(path, problem)),
        // /run/containers/UID and its like need not exist, nor be ours.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(cause) => Err(CredentialError::File { what: "read", path: path.to_owned(), cause }),
    }
}

fn unreadable(path: &Path, problem: String) -> CredentialError {
    let cause = io::Error::new(io::ErrorKind::InvalidData, problem);
    CredentialError::File { what: "read", path: path.to_owned(), cause }
}

/// Changes the table of registries in a file and leaves the rest of the document as it is. Only its owner can read the result.
fn change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<(), CredentialError> {
    try_change(path, edit).map_err(|cause| CredentialError::File {
        what: "write",
        path: path.to_owned(),
        cause,
    })
}

fn try_change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> bool) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.exists() {
        fs::DirBuilder::new().recursive(true).create(directory)?;
    }
    let lock = File::open(directory)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut document: Map<String, Value> = match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Map::new(),
        Ok(text) => serde_json::from_str(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error),
    };
    let auths = document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    let Some(auths) = auths.as_object_mut() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "`auths` is not a table"));
    };
    if !edit(auths) {
        return Ok(());
    }
    // A link, as people have it to a file kept elsewhere, stays a link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = target.with_extension(format!("new.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(serde_json::to_string_pretty(&document)?.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&fresh, &target)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests;
