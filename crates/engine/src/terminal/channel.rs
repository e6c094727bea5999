//! One direction of copying, through one buffer of fixed size.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use sys::SyscallError;

use super::{DetachScanner, read_typed};

const BUFFER: usize = 16 * 1024;

/// Copies from one descriptor to another. It reads only when everything read before is written, so a slow
/// reader slows the writer down and nothing piles up.
#[derive(Debug)]
pub struct Channel {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    pending: Vec<u8>,
    written: usize,
    scanner: Option<DetachScanner>,
    /// What is written when the source ends, instead of closing the destination.
    at_end: Option<u8>,
    output: bool,
}

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bytes moved, or nothing was to be done.
    Moved,
    /// The detach keys were typed.
    DetachKeys,
}

impl Channel {
    /// Copies what the container writes at `from`, an end of a pipe or terminal of our making, to `to`.
    pub fn output(from: OwnedFd, to: OwnedFd) -> Self {
        set_nonblocking(&from);
        Self { output: true, ..Self::new(from, own_description(to)) }
    }

    fn new(from: OwnedFd, to: OwnedFd) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
            pending: Vec::new(),
            written: 0,
            scanner: None,
            at_end: None,
            output: false,
        }
    }

    /// Copies what the caller gives at `from` to `to`, an end of a pipe of our making, which is closed when `from` ends.
    pub fn input(from: OwnedFd, to: OwnedFd) -> Self {
        set_nonblocking(&to);
        Self::new(from, to)
    }

    /// Copies what is typed to a pseudoterminal: `keys` are looked for, and at the end the character that
    /// ends input on a terminal is sent (VEOF, termios(3)), because a terminal cannot be closed from this side.
    pub fn typed(from: OwnedFd, to: OwnedFd, keys: &[u8]) -> Self {
        Self { scanner: Some(DetachScanner::new(keys)), at_end: Some(4), ..Self::input(from, to) }
    }

    /// What to wait for: the source, or the destination.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.from, &self.to, self.pending.is_empty()) {
            (_, Some(to), false) => Some((to.as_fd(), PollFlags::OUT)),
            (Some(from), Some(_), true) => Some((from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    /// Whether it carries what the container writes, as opposed to what is typed.
    pub(crate) fn carries_output(&self) -> bool {
        self.output
    }

    /// Whether nothing will move any more.
    pub(crate) fn is_over(&self) -> bool {
        self.to.is_none() || (self.from.is_none() && self.pending.is_empty())
    }

    /// Does what [`Channel::interest`] waited for: one read, and the write that follows from it.
    ///
    /// # Errors
    /// Those of read(2) and write(2), except for the ends of either side.
    pub(crate) fn step(&mut self) -> Result<Step, SyscallError> {
        let mut outcome = Step::Moved;
        if self.pending.is_empty() {
            outcome = self.read()?;
        }
        if !self.pending.is_empty() {
            self.write()?;
        }
        if self.from.is_none() && self.pending.is_empty() && self.at_end.is_none() {
            self.to = None;
        }
        Ok(outcome)
    }

    fn read(&mut self) -> Result<Step, SyscallError> {
        let Some(from) = &self.from else { return Ok(Step::Moved) };
        let mut buffer = [0; BUFFER];
        let read = match &mut self.scanner {
            Some(scanner) => read_typed(from, scanner, BUFFER, &mut self.pending),
            None => rustix::io::read(from, &mut buffer).map(|count| (count, false)),
        };
        let (count, keys) = match read {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::Moved),
            // The other end of a pseudoterminal is closed everywhere.
            Err(Errno::IO) => (0, false),
            Err(errno) => return Err(SyscallError::new("read", "", errno)),
        };
        if self.scanner.is_none() {
            self.pending.extend_from_slice(&buffer[..count]);
        }
        if count == 0 {
            self.from = None;
            self.pending.extend(self.at_end);
        }
        Ok(if keys { Step::DetachKeys } else { Step::Moved })
    }

    fn write(&mut self) -> Result<(), SyscallError> {
        let Some(to) = &self.to else { return Ok(()) };
        match rustix::io::write(to, &self.pending[self.written..]) {
            Ok(count) => self.written += count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            // Nobody reads any more: the writer learns it from the source being closed.
            Err(Errno::PIPE | Errno::IO) => {
                self.from = None;
                self.to = None;
                self.written = self.pending.len();
            }
            Err(errno) => return Err(SyscallError::new("write", "", errno)),
        }
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        }
        Ok(())
    }
}

/// For descriptors of our own. Where it fails a step may wait, which is slower and not wrong.
fn set_nonblocking(fd: &OwnedFd) {
    if let Ok(flags) = rustix::fs::fcntl_getfl(fd) {
        let _ = rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK);
    }
}

/// The same terminal or pipe under a description of our own, so that it can be non-blocking without being so
/// for the shell as well. Where it cannot be opened once more, the caller's is used, and a write may wait.
fn own_description(to: OwnedFd) -> OwnedFd {
    let kind = rustix::fs::fstat(&to).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(FileType::CharacterDevice | FileType::Fifo)) {
        return to;
    }
    let path = format!("/proc/self/fd/{}", to.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap_or(to)
}
