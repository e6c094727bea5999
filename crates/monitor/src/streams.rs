//! The container's streams, at our end.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::Winsize;
use sys::SyscallError;

use crate::log::Stream;
use crate::setup::StreamFds;

/// VEOF, termios(3): what ends input on a terminal.
const END_OF_INPUT: u8 = 4;
/// How much input is held back for a container that does not read it.
const INPUT_MAX: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) input: Option<OwnedFd>,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) error: Option<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
    pending: Vec<u8>,
    /// Input ends when what is pending has been written.
    ending: bool,
}

/// What a read has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(usize),
    Nothing,
    End,
}

impl Streams {
    pub(crate) fn take(fds: StreamFds) -> Result<Self, SyscallError> {
        let take = |number: Option<i32>| -> Result<Option<OwnedFd>, SyscallError> {
            let Some(number) = number else { return Ok(None) };
            let fd = sys::inherited::take(number)?;
            let failed = |errno| SyscallError::new("fcntl", "O_NONBLOCK", errno);
            let flags = fcntl_getfl(&fd).map_err(failed)?;
            fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(failed)?;
            Ok(Some(fd))
        };
        Ok(Self {
            input: take(fds.input)?,
            output: take(fds.output)?,
            error: take(fds.error)?,
            terminal: take(fds.terminal)?,
            pending: Vec::new(),
            ending: false,
        })
    }

    /// What can be read, with the stream that it is.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (Stream, &OwnedFd)> {
        let terminal = self.terminal.iter().map(|fd| (Stream::Output, fd));
        let output = self.output.iter().map(|fd| (Stream::Output, fd));
        let error = self.error.iter().map(|fd| (Stream::Error, fd));
        terminal.chain(output).chain(error)
    }

    pub(crate) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Got {
        let slot = match (stream, self.terminal.is_some()) {
            (Stream::Output, true) => &mut self.terminal,
            (Stream::Output, false) => &mut self.output,
            (Stream::Error, _) => &mut self.error,
        };
        let Some(fd) = slot else { return Got::End };
        match rustix::io::read(fd, buffer) {
            // Nobody has the terminal open: somebody may open it again. Who waits for it would wait in vain.
            Err(Errno::IO) | Ok(0) => {
                *slot = None;
                Got::End
            }
            Ok(len) => Got::Bytes(len),
            Err(Errno::AGAIN | Errno::INTR) => Got::Nothing,
            Err(_) => {
                *slot = None;
                Got::End
            }
        }
    }

    /// How many bytes wait to be read of a pipe; none of a terminal, which may have more than it tells.
    pub(crate) fn waiting(&self, stream: Stream) -> Option<u64> {
        let pipe = match stream {
            Stream::Output => self.output.as_ref(),
            Stream::Error => self.error.as_ref(),
        };
        match pipe {
            Some(pipe) => rustix::io::ioctl_fionread(pipe).ok(),
            None => self.terminal.is_none().then_some(0),
        }
    }

    /// Whether more input can be taken.
    pub(crate) fn takes_input(&self) -> bool {
        self.pending.len() < INPUT_MAX / 2
    }

    /// Where input that is held back can be written, if there is any.
    pub(crate) fn writable(&self) -> Option<&OwnedFd> {
        if self.pending.is_empty() { None } else { self.terminal.as_ref().or(self.input.as_ref()) }
    }

    /// Takes input for the container; without a place for it, it is gone.
    pub(crate) fn give(&mut self, bytes: &[u8]) {
        if !self.ending && (self.terminal.is_some() || self.input.is_some()) {
            self.pending.extend_from_slice(bytes);
            self.write_pending();
        }
    }

    /// No more input comes.
    pub(crate) fn end_input(&mut self) {
        if self.terminal.is_some() {
            // A terminal cannot be closed from this side.
            self.give(&[END_OF_INPUT]);
        } else {
            self.ending = true;
            self.write_pending();
        }
    }

    pub(crate) fn write_pending(&mut self) {
        if let Some(fd) = self.terminal.as_ref().or(self.input.as_ref()) {
            while !self.pending.is_empty() {
                match rustix::io::write(fd, &self.pending) {
                    Ok(len) => drop(self.pending.drain(..len)),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return,
                    Err(_) => {
                        self.pending.clear();
                        self.input = None;
                        break;
                    }
                }
            }
        }
        if self.ending && self.pending.is_empty() {
            self.input = None;
        }
        self.pending.shrink_to(4096);
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        if let Some(terminal) = &self.terminal {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A size that cannot be set is one that nobody looks at.
            let _ = rustix::termios::tcsetwinsize(terminal, size);
        }
    }
}
