//! What goes wrong, with the exit status that iproute2 has for it.

use std::fmt;

use report::{Explain, Hint, Kind};
use sys::SyscallError;

/// A wrong command line, where iproute2 ends with 255.
pub(crate) const WRONG: u8 = 255;
/// A request that cannot be made from what is there, where iproute2 ends with 1.
pub(crate) const IMPOSSIBLE: u8 = 1;
/// The kernel refused.
pub(crate) const REFUSED: u8 = 2;

/// A command that failed.
#[derive(Debug)]
pub struct Fail {
    /// The exit status.
    pub(crate) status: u8,
    what: String,
    cause: Option<Cause>,
    hint: Option<String>,
}

#[derive(Debug)]
enum Cause {
    Netlink(netlink::Error),
    System(SyscallError),
}

impl Fail {
    /// A wrong command line.
    pub(crate) fn wrong(what: impl Into<String>) -> Self {
        Self { status: WRONG, what: what.into(), cause: None, hint: None }
    }

    /// Something that is not there, or does not go together.
    pub(crate) fn impossible(what: impl Into<String>) -> Self {
        Self { status: IMPOSSIBLE, what: what.into(), cause: None, hint: None }
    }

    /// A request that the kernel refused.
    pub(crate) fn kernel(what: impl Into<String>, cause: netlink::Error) -> Self {
        Self { status: REFUSED, what: what.into(), cause: Some(Cause::Netlink(cause)), hint: None }
    }

    /// A system call that failed.
    pub(crate) fn system(what: impl Into<String>, cause: SyscallError) -> Self {
        Self { status: IMPOSSIBLE, what: what.into(), cause: Some(Cause::System(cause)), hint: None }
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Another exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The line that a person sees, and the hint below it.
    pub(crate) fn render(&self) -> String {
        let line = format!("error: {}\n", report::one_line(self));
        match report::first_hint(self) {
            Some(hint) => format!("{line}  hint:  {}\n", hint.text()),
            None => line,
        }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fail {}

impl Explain for Fail {
    fn below(&self) -> Option<&dyn Explain> {
        match &self.cause {
            Some(Cause::Netlink(error)) => Some(error),
            Some(Cause::System(error)) => Some(error),
            None => None,
        }
    }

    fn kind(&self) -> Kind {
        self.below().map_or(Kind::InvalidInput, Explain::kind)
    }

    fn hint(&self) -> Option<Hint> {
        self.hint.clone().map(Hint::new)
    }
}
