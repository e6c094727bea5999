//! Layers: archives of what a layer adds and takes away, and the two forms they are made ready in.
//!
//! [`tar`] reads an archive, [`name`] says what an entry's name means, [`index`] collects the entries and [`erofs`] writes them as a
//! filesystem without content of its own, whose files lie in the plain archive. [`extract`] makes files of the entries instead. Both
//! are done by [`child`], a process that can do nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod child;
mod confine;
pub mod erofs;
pub mod extract;
pub mod growing;
pub mod index;
pub mod inflate;
pub mod limits;
pub mod name;
pub mod pax;
pub mod tar;

pub use limits::Limits;

/// The forms that a layer is made ready in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The plain archive, and an EROFS index over it. Nothing is extracted.
    Erofs,
    /// Extracted files.
    Tree,
}

impl Form {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Tree => "tree",
        }
    }

    /// The form of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Erofs, Self::Tree].into_iter().find(|form| form.name() == name)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// It is no archive, or a part of it makes no sense.
    #[error("at byte {at} of the archive: {problem}")]
    Archive {
        /// Where, in the plain archive.
        at: u64,
        /// What.
        problem: String,
    },
    /// An entry is refused.
    #[error("the entry `{}` {problem}", show(path))]
    Entry {
        /// Its name as it stands there.
        path: Vec<u8>,
        /// What is wrong with it.
        problem: String,
    },
    /// It exceeds a limit.
    #[error("it exceeds {limit}")]
    Limit {
        /// Which one.
        limit: String,
        /// The flag that raises it.
        flag: &'static str,
    },
    /// An index cannot hold it: it has to be extracted.
    #[error("an index cannot hold it: {0}")]
    Unindexable(String),
    /// Reading or writing failed.
    #[error("{doing}: {cause}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
    /// The process could not be confined.
    #[error("confine the process that unpacks: {0}")]
    Confine(#[source] sys::SyscallError),
}

impl Bad {
    /// For `map_err`.
    pub fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |cause| Self::Io { doing, cause }
    }

    /// An entry that is refused.
    pub fn entry(path: &[u8], problem: impl Into<String>) -> Self {
        Self::Entry { path: path.to_vec(), problem: problem.into() }
    }
}

/// A name for people: on one line, without control characters, of bearable length.
pub fn show(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let mut shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}
