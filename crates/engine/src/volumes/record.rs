//! What is written down of a volume.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The file's name in the volume's directory.
pub(super) const FILE: &str = "volume.json";
/// The longest that is read.
pub(super) const LONGEST: u64 = 1 << 20;

/// A volume's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of the format: 1.
    pub version: u32,
    /// The name.
    pub name: crate::flags::named::VolumeName,
    /// When it was made, in nanoseconds since 1970.
    pub created_ns: u64,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `--opt`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// It has no name of anybody's choice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// How its size is kept, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// How a size is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// By the file system's quota of this project.
    Project(u32),
    /// By a file system of its own, in a file.
    Disk,
}

impl Record {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match record.version {
            1 => Ok(record),
            other => Err(format!("it has format {other}, and this holm knows 1")),
        }
    }
}
