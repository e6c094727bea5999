//! A failure that another process tells of: its words travel, its types do not.

use report::{BoxedExplain, Explain, Hint, Kind};
use serde::{Deserialize, Serialize};

use crate::host::boxed;

/// What a supervisor says when a container was started, or was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Told {
    /// It runs.
    Started {
        /// Its first process.
        pid: i32,
    },
    /// It does not.
    Failed(Words),
}

/// An error as words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    /// The message and those of its causes, outermost first.
    messages: Vec<String>,
    hint: Option<String>,
    kind: usize,
}

const KINDS: [Kind; 12] = [
    Kind::InvalidInput,
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::PermissionDenied,
    Kind::Unsupported,
    Kind::Busy,
    Kind::ResourceExhausted,
    Kind::StateConflict,
    Kind::CommandNotFound,
    Kind::CommandNotExecutable,
    Kind::Io,
    Kind::Internal,
];

impl Words {
    pub(crate) fn of(error: &dyn Explain) -> Self {
        let mut messages = vec![error.to_string()];
        let mut current = error;
        while let Some(cause) = current.below() {
            messages.push(cause.to_string());
            current = cause;
        }
        let mut foreign = current.source();
        while let Some(cause) = foreign {
            messages.push(cause.to_string());
            foreign = cause.source();
        }
        let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(KINDS.len() - 1);
        Self { messages, hint: report::first_hint(error).map(|hint| hint.text().to_owned()), kind }
    }

    pub(crate) fn into_error(self) -> BoxedExplain {
        let kind = KINDS.get(self.kind).copied().unwrap_or(Kind::Internal);
        let hint = self.hint.map(Hint::new);
        let causes = self.messages.into_iter().rev();
        let chain = causes.fold(None, |below, message| {
            Some(Box::new(Elsewhere { message, below, kind, hint: hint.clone() }))
        });
        let silent = || Elsewhere { message: "no reason was told".to_owned(), below: None, kind, hint: None };
        boxed(chain.map_or_else(silent, |chain| *chain))
    }
}

/// An error of another process.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Elsewhere {
    message: String,
    below: Option<Box<Elsewhere>>,
    kind: Kind,
    hint: Option<Hint>,
}

impl Explain for Elsewhere {
    fn below(&self) -> Option<&dyn Explain> {
        self.below.as_deref().map(|below| below as &dyn Explain)
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn hint(&self) -> Option<Hint> {
        self.hint.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::ContainerFailure;
    use sys::{Errno, SyscallError};

    #[test]
    fn an_error_looks_the_same_on_the_other_side() {
        let error = ContainerFailure::Call {
            what: "start",
            name: "web".to_owned(),
            cause: SyscallError::new("clone3", "the stage", Errno::NOSPC),
        };
        let text = serde_json::to_string(&Told::Failed(Words::of(&error))).unwrap();
        let Ok(Told::Failed(words)) = serde_json::from_str(&text) else { panic!("{text}") };
        let other = words.into_error();
        assert_eq!(report::render(&*other), report::render(&error));
        assert_eq!(other.kind(), error.kind());
    }
}
