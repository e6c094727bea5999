//! What descriptors 0 to 2 of the container are.
//!
//! A container never gets the caller's terminal itself: with it, programs could put characters into the
//! caller's input (TIOCSTI; CVE-2017-5226 and its kin). It gets a terminal of its own or pipes; other
//! descriptors are passed on as they are, and nothing is copied.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use report::Explain;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use sys::SyscallError;

use super::Channel;
use crate::request::Streams;

/// The caller's streams, set aside while the container is launched.
#[derive(Debug)]
pub struct Wiring {
    saved: Vec<(Stream, OwnedFd)>,
    channels: Vec<Channel>,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Input,
    Output,
    Error,
}

/// A stream could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("prepare the standard streams")]
pub struct WiringError(#[source] SyscallError);

impl Explain for WiringError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.0)
    }
}

impl Wiring {
    /// Puts in place of this process's streams what the container shall inherit: nothing with a terminal of its
    /// own; otherwise a pipe in place of each stream that is a terminal, and /dev/null for an input that is not wanted.
    /// Until [`Wiring::restore`] this process has these streams too.
    ///
    /// # Errors
    /// [`WiringError`]; the streams are as they were.
    pub fn prepare(streams: &Streams) -> Result<Self, WiringError> {
        let mut wiring = Self { saved: Vec::new(), channels: Vec::new() };
        if streams.tty {
            return Ok(wiring);
        }
        wiring.replace(streams).map_err(WiringError)?;
        Ok(wiring)
    }

    fn replace(&mut self, streams: &Streams) -> Result<(), SyscallError> {
        let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, "", errno);
        if !streams.interactive {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| SyscallError::new("open", "/dev/null", errno))?;
            self.install(Stream::Input, &null)?;
        } else if std::io::stdin().is_terminal() {
            let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed("pipe2"))?;
            let original = self.install(Stream::Input, &theirs)?;
            self.channels.push(Channel::input(original, ours));
        }
        for stream in [Stream::Output, Stream::Error] {
            let is_terminal = match stream {
                Stream::Output => std::io::stdout().is_terminal(),
                _ => std::io::stderr().is_terminal(),
            };
            if is_terminal {
                let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed("pipe2"))?;
                let original = self.install(stream, &theirs)?;
                self.channels.push(Channel::output(ours, original));
            }
        }
        Ok(())
    }

    /// Puts `new` in the place of `stream` and returns a copy of what was there, besides the one that is kept for
    /// [`Wiring::restore`].
    fn install(&mut self, stream: Stream, new: &OwnedFd) -> Result<OwnedFd, SyscallError> {
        let copy = |fd: BorrowedFd<'_>| {
            rustix::io::fcntl_dupfd_cloexec(fd, 3)
                .map_err(|errno| SyscallError::new("fcntl", "F_DUPFD_CLOEXEC", errno))
        };
        let original = match stream {
            Stream::Input => copy(std::io::stdin().as_fd())?,
            Stream::Output => copy(std::io::stdout().as_fd())?,
            Stream::Error => copy(std::io::stderr().as_fd())?,
        };
        let for_copying = copy(original.as_fd())?;
        place(stream, new.as_fd())?;
        self.saved.push((stream, original));
        Ok(for_copying)
    }

    /// Puts this process's own streams back and returns the copying that is to be done.
    pub fn restore(mut self) -> Vec<Channel> {
        self.put_back();
        std::mem::take(&mut self.channels)
    }

    fn put_back(&mut self) {
        for (stream, original) in self.saved.drain(..) {
            // There is nothing better to do than to go on without the stream.
            let _ = place(stream, original.as_fd());
        }
    }
}

impl Drop for Wiring {
    fn drop(&mut self) {
        self.put_back();
    }
}

fn place(stream: Stream, fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let (outcome, name) = match stream {
        Stream::Input => (rustix::stdio::dup2_stdin(fd), "standard input"),
        Stream::Output => (rustix::stdio::dup2_stdout(fd), "standard output"),
        Stream::Error => (rustix::stdio::dup2_stderr(fd), "standard error"),
    };
    outcome.map_err(|errno| SyscallError::new("dup2", name, errno))
}
