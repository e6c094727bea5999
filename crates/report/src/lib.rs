//! How an error looks to a person.
//!
//! Every error type of the workspace implements [`Explain`]: a [`Kind`] for programs
//! and an optional [`Hint`] for people. [`render`] turns an error and its causes into the lines that are
//! printed; start reading there. Exit codes and status numbers belong to the programs at the
//! edge, which map [`Kind`] in one exhaustive `match` each.

use std::error::Error;
use std::fmt::Write as _;

/// What sort of failure this is, as far as a caller has to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong: a flag, a number, a document.
    InvalidInput,
    /// Something that the request names does not exist.
    NotFound,
    /// Something that should be made exists already.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// This kernel or host does not offer what is asked for.
    Unsupported,
    /// Something is in use and cannot be had now.
    Busy,
    /// A limit is reached: memory, disk, descriptors, processes, mounts.
    ResourceExhausted,
    /// The object is in a state that does not allow the operation.
    StateConflict,
    /// The program to run in the container is not there.
    CommandNotFound,
    /// The program to run in the container is there and cannot be executed.
    CommandNotExecutable,
    /// Reading, writing or talking to something failed.
    Io,
    /// A mistake in holm.
    Internal,
}

/// What a person can do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// A hint in words: one sentence, no trailing full stop needed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The words.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// An error that can tell what kind of failure it is and what to do about it.
///
/// `Display` is a lower-case phrase that fits after "cannot" or "while"; the causes come through
/// [`Explain::below`], which the same value should also return from [`Error::source`].
pub trait Explain: Error {
    /// The error below this one, if that is one of ours.
    fn below(&self) -> Option<&dyn Explain> {
        None
    }

    /// The kind; by default that of the cause.
    fn kind(&self) -> Kind {
        self.below().map_or(Kind::Internal, Explain::kind)
    }

    /// What to do, where this error knows it. [`render`] prints the first one found from the top.
    fn hint(&self) -> Option<Hint> {
        None
    }
}

/// Boxed so that a layer above can hold any error of a layer below.
pub type BoxedExplain = Box<dyn Explain + Send + Sync + 'static>;

impl<T: Explain + ?Sized> Explain for Box<T>
where
    Box<T>: Error,
{
    fn below(&self) -> Option<&dyn Explain> {
        (**self).below()
    }
    fn kind(&self) -> Kind {
        (**self).kind()
    }
    fn hint(&self) -> Option<Hint> {
        (**self).hint()
    }
}

/// The lines a person sees: what failed, during what, why, and what to do.
///
/// ```text
/// error: cannot start container `web`
///   while: mount proc on /proc
///   cause: move_mount(proc, /proc): operation not permitted (EPERM)
///   hint:  …
/// ```
pub fn render(error: &dyn Explain) -> String {
    let mut lines = format!("error: {error}\n");
    let mut chain = messages_below(error);
    let last = chain.pop();
    for message in chain {
        let _ = writeln!(lines, "  while: {message}");
    }
    if let Some(message) = last {
        let _ = writeln!(lines, "  cause: {message}");
    }
    if let Some(hint) = first_hint(error) {
        let _ = writeln!(lines, "  hint:  {}", hint.text());
    }
    lines
}

/// The same on one line, for logs and for programs that show a single line.
pub fn one_line(error: &dyn Explain) -> String {
    let mut line = error.to_string();
    for message in messages_below(error) {
        line.push_str(": ");
        line.push_str(&message);
    }
    line
}

/// The first hint from the top of the chain.
pub fn first_hint(error: &dyn Explain) -> Option<Hint> {
    error.hint().or_else(|| error.below().and_then(first_hint))
}

/// The messages of all causes, outermost first: ours through [`Explain::below`], then foreign ones.
fn messages_below(error: &dyn Explain) -> Vec<String> {
    let mut messages = Vec::new();
    let mut current: &dyn Explain = error;
    while let Some(cause) = current.below() {
        messages.push(cause.to_string());
        current = cause;
    }
    let mut foreign = current.source();
    while let Some(cause) = foreign {
        messages.push(cause.to_string());
        foreign = cause.source();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Level(&'static str, Option<Box<Level>>, Option<&'static str>);

    impl fmt::Display for Level {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Level {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    impl Explain for Level {
        fn below(&self) -> Option<&dyn Explain> {
            self.1.as_deref().map(|cause| cause as _)
        }
        fn kind(&self) -> Kind {
            self.below().map_or(Kind::Busy, Explain::kind)
        }
        fn hint(&self) -> Option<Hint> {
            self.2.map(Hint::new)
        }
    }

    fn three_levels() -> Level {
        let cause = Level("move_mount(proc): EPERM", None, Some("look at /proc"));
        let middle = Level("mount proc on /proc", Some(Box::new(cause)), None);
        Level("cannot start container `web`", Some(Box::new(middle)), None)
    }

    #[test]
    fn an_error_is_told_from_the_outside_in() {
        assert_eq!(
            render(&three_levels()),
            "error: cannot start container `web`\n  while: mount proc on /proc\n  \
             cause: move_mount(proc): EPERM\n  hint:  look at /proc\n"
        );
    }

    #[test]
    fn the_kind_is_that_of_the_innermost_cause() {
        assert_eq!(three_levels().kind(), Kind::Busy);
    }

    #[test]
    fn one_line_joins_the_chain_with_colons() {
        assert_eq!(
            one_line(&three_levels()),
            "cannot start container `web`: mount proc on /proc: move_mount(proc): EPERM"
        );
    }
}
