//! Token servers that the person has approved: `holm login --token-realm HOST REGISTRY`.
//!
//! They lie in `realms.toml`, below `/etc/holm` for everybody and below the user's configuration directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::RegistryError;
use crate::reference::Host;

/// Approved token servers by registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approved(BTreeMap<String, Vec<String>>);

#[derive(Default, Deserialize)]
struct Document {
    #[serde(default, rename = "token-realms")]
    realms: BTreeMap<String, Vec<String>>,
}

impl Approved {
    /// Reads both files; one that is not there approves nobody.
    ///
    /// # Errors
    /// A file that is there and cannot be understood.
    pub fn load() -> Result<Self, RegistryError> {
        let mut all = Self::default();
        for path in [Some(PathBuf::from("/etc/holm/realms.toml")), user_file()].into_iter().flatten() {
            for (registry, mut hosts) in read(&path)? {
                all.0.entry(registry).or_default().append(&mut hosts);
            }
        }
        Ok(all)
    }

    /// The token servers approved for `registry`.
    pub fn of(&self, registry: &Host) -> &[String] {
        self.0.get(registry.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Approves `server` for `registry` in memory.
    pub fn add(&mut self, registry: &Host, server: &Host) {
        self.0.entry(registry.to_string()).or_default().push(server.to_string());
    }

    /// Approves `server` for `registry` from now on, for this user, and says where that is kept.
    ///
    /// # Errors
    /// The file cannot be written; it is as before.
    pub fn keep(registry: &Host, server: &Host) -> Result<PathBuf, RegistryError> {
        let path = user_file().ok_or_else(|| RegistryError::Setting {
            what: "the approved token server".to_owned(),
            problem: "there is no HOME to keep it in".to_owned(),
        })?;
        let mut realms = read(&path)?;
        let list = realms.entry(registry.to_string()).or_default();
        if !list.iter().any(|known| known == server.as_str()) {
            list.push(server.to_string());
        }
        write(&path, &realms).map_err(|error| unusable(&path, error.to_string()))?;
        Ok(path)
    }
}

fn user_file() -> Option<PathBuf> {
    // config_home() ends in `containers`, which is other programs' directory.
    super::conf::config_home().map(|home| home.with_file_name("holm").join("realms.toml"))
}

fn read(path: &Path) -> Result<BTreeMap<String, Vec<String>>, RegistryError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(unusable(path, error.to_string())),
    };
    let document: Document =
        toml::from_str(&text).map_err(|error| unusable(path, error.message().to_owned()))?;
    Ok(document.realms)
}

fn write(path: &Path, realms: &BTreeMap<String, Vec<String>>) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut text = String::from(
        "# Token servers that may be given the credentials of a registry of another domain.\n[token-realms]\n",
    );
    for (registry, hosts) in realms {
        // Both are parsed host names: they need no escapes.
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        text.push_str(&format!("\"{registry}\" = [{}]\n", hosts.join(", ")));
    }
    let fresh = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = fs::File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn unusable(path: &Path, problem: String) -> RegistryError {
    RegistryError::Setting { what: path.display().to_string(), problem }
}
