//! One value for one file of a group.

use std::borrow::Cow;
use std::fmt;

/// A value to write, and what to do when the kernel does not take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The file's name in the group's directory.
    pub file: Cow<'static, str>,
    /// The text to write.
    pub value: String,
    /// What to do when the file does not exist.
    pub if_absent: IfAbsent,
    /// The kernel may refuse this with `EINVAL` as long as a later write of the same group is not done; it
    /// is then tried once more at the end.
    pub retry_last: bool,
}

/// What to do when a file does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfAbsent {
    /// The limit cannot be held: fail.
    Fail,
    /// The value is what the kernel does without the file: go on.
    Skip,
    /// Another file takes the limit.
    Instead(Box<Write>),
}

impl Write {
    /// `value` for `file`, which has to exist.
    pub fn new(file: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        Self { file: file.into(), value: value.to_string(), if_absent: IfAbsent::Fail, retry_last: false }
    }

    /// The same, skipped where the file does not exist.
    pub fn or_skip(mut self) -> Self {
        self.if_absent = IfAbsent::Skip;
        self
    }

    /// The same, with another write where the file does not exist.
    pub fn or_instead(mut self, other: Self) -> Self {
        self.if_absent = IfAbsent::Instead(Box::new(other));
        self
    }

    /// The same, tried again at the end after `EINVAL`.
    pub fn or_last(mut self) -> Self {
        self.retry_last = true;
        self
    }
}

/// `memory.max 67108864`, with a note where an absent file is no failure.
impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.value)?;
        match &self.if_absent {
            IfAbsent::Fail => Ok(()),
            IfAbsent::Skip => f.write_str("  (if there is such a file)"),
            IfAbsent::Instead(other) => write!(f, "  (or {other})"),
        }
    }
}
