//! The configuration of an image: how its program is started, and the digests of its layers' plain content.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Error;
use crate::digest::Digest;
use crate::manifest::MAX_DOCUMENT_BYTES;

/// The configuration of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made (RFC 3339).
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Who made it.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The processor, in Go's words.
    #[serde(default, deserialize_with = "absent")]
    pub architecture: String,
    /// The processor's variant.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The system.
    #[serde(default, deserialize_with = "absent")]
    pub os: String,
    /// How its program is started.
    #[serde(default, deserialize_with = "absent")]
    pub config: Execution,
    /// Its layers.
    #[serde(default, deserialize_with = "absent")]
    pub rootfs: RootFs,
    /// How it came to be, the oldest first.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// How the program of an image is started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// `USER[:GROUP]`, names or numbers of the image.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `PORT[/PROTOCOL]`, which the program listens on.
    #[serde(deserialize_with = "absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `KEY=VALUE`.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The words before the command.
    #[serde(deserialize_with = "words", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The words after the entry point, unless others are given.
    #[serde(deserialize_with = "words", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Directories whose content outlives the container.
    #[serde(deserialize_with = "absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Value>,
    /// Where the program starts.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "absent", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that ends the program.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds until it is killed.
    #[serde(deserialize_with = "absent", skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u64>,
    /// The words that run a command line (Docker's).
    #[serde(deserialize_with = "words", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// How to tell whether the program is well (Docker's).
    #[serde(deserialize_with = "absent", skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// How to tell whether a program is well. Times are in nanoseconds; 0 is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, `CMD` and words, or `CMD-SHELL` and a command line.
    #[serde(deserialize_with = "absent")]
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: i64,
    /// Until a check counts as failed.
    pub timeout: i64,
    /// In which failures do not count.
    pub start_period: i64,
    /// Between two checks in the start period.
    pub start_interval: i64,
    /// How many failures in a row make it ill.
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "absent")]
    pub kind: String,
    /// The digests of the plain archives, the lowest first.
    #[serde(default, deserialize_with = "absent")]
    pub diff_ids: Vec<Digest>,
}

/// A step in how an image came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When (RFC 3339).
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// By which command.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// By whom.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A note.
    #[serde(deserialize_with = "absent", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// It made no layer.
    #[serde(deserialize_with = "absent", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// Go writes `null` for what is empty.
fn absent<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Old images have one string in place of a list.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        None,
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Words>::deserialize(deserializer)? {
        None | Some(Words::None) => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Many(words)) => words,
    })
}

/// Reads a configuration.
///
/// # Errors
/// What is no configuration, is too large, or has an environment that would take the caller's (CVE: `NAME` without `=`).
pub fn parse(bytes: &[u8]) -> Result<ImageConfig, Error> {
    let bad = |problem: String| Error::malformed("the configuration of the image", problem);
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(Error::Limit {
            what: format!("a configuration of {} bytes", bytes.len()),
            limit: format!("{MAX_DOCUMENT_BYTES} bytes"),
            flag: None,
        });
    }
    let config: ImageConfig = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    if !matches!(config.rootfs.kind.as_str(), "" | "layers") {
        return Err(bad(format!("its root is of the unknown type `{}`", config.rootfs.kind.escape_debug())));
    }
    if let Some(entry) = config.config.env.iter().find(|entry| !entry.contains('=') || entry.starts_with('='))
    {
        return Err(bad(format!("its environment has `{}`, which is not KEY=VALUE", entry.escape_debug())));
    }
    let strings = config.config.env.iter().chain(&config.config.entrypoint).chain(&config.config.cmd);
    if strings.chain([&config.config.user, &config.config.working_dir]).any(|text| text.contains('\0')) {
        return Err(bad("it has a NUL in what the program is started with".to_owned()));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_nothing_and_one_word_is_a_list() {
        let text = r#"{"os":"linux","architecture":"amd64","config":{"Env":null,"Cmd":"sh","Entrypoint":null,
            "Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config = parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.env.is_empty() && config.history.is_empty());
        assert!(parse(br#"{"config":null}"#).unwrap().config.cmd.is_empty());
    }

    #[test]
    fn an_environment_that_would_take_the_callers_is_refused() {
        for env in ["AWS_SECRET", "=x", "A\\u0000=1"] {
            assert!(parse(format!(r#"{{"config":{{"Env":["{env}"]}}}}"#).as_bytes()).is_err(), "{env}");
        }
    }
}
