//! Beside a container in the foreground: signals go in, and with a terminal of its own what is typed goes in and what it writes comes out.

use std::os::fd::{AsFd, BorrowedFd};

use report::{Explain, Hint};
use runtime::Running;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use sys::SyscallError;
use sys::signal::{SignalSet, Signals};

/// Those that end, inform or stop a program; what the kernel raises for our own doings stays ours.
const FORWARDED: [i32; 16] = [1, 2, 3, 10, 12, 13, 14, 15, 18, 20, 21, 22, 23, 24, 29, 30];
const SIGWINCH: i32 = 28;
/// The character that ends input on a terminal (VEOF, termios(3)).
const END_OF_INPUT: u8 = 4;

/// The signals that are passed on, from now on something to read.
pub(super) fn catch() -> Result<Signals, SyscallError> {
    let mut set = SignalSet::of(&FORWARDED);
    set.0 |= SignalSet::of(&[SIGWINCH]).0;
    Signals::catch(set)
}

/// The caller's side failed.
#[derive(Debug, thiserror::Error)]
#[error("pass on the container's {what}")]
pub(super) struct RelayFailed {
    what: &'static str,
    #[source]
    cause: SyscallError,
}

impl Explain for RelayFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("the container was killed, since nobody would have attended to it"))
    }
}

fn failed(what: &'static str, call: &'static str) -> impl Fn(Errno) -> RelayFailed {
    move |errno| RelayFailed { what, cause: SyscallError::new(call, "", errno) }
}

/// A container in the foreground.
pub(super) struct Relay<'a> {
    running: &'a Running,
    signals: &'a Signals,
    pidfd: BorrowedFd<'a>,
    /// The caller's terminal, and how it was.
    before: Option<Termios>,
}

impl<'a> Relay<'a> {
    pub(super) fn new(running: &'a Running, signals: &'a Signals) -> Result<Self, RelayFailed> {
        let pidfd = running.pidfd().map_err(|cause| RelayFailed { what: "signals", cause })?;
        let mut before = None;
        if running.terminal().is_some() && isatty(stdin()) {
            let termios = tcgetattr(stdin()).map_err(failed("terminal", "tcgetattr"))?;
            let mut raw = termios.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed("terminal", "tcsetattr"))?;
            before = Some(termios);
        }
        let relay = Self { running, signals, pidfd, before };
        relay.resize();
        Ok(relay)
    }

    /// Returns when the first process has ended and what it wrote is passed on.
    pub(super) fn until_the_end(self) -> Result<(), RelayFailed> {
        let mut typing = self.running.terminal().is_some();
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(self.pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            if let Some(terminal) = self.running.terminal() {
                fds.push(PollFd::from_borrowed_fd(terminal, PollFlags::IN));
                if typing {
                    fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
                }
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("streams", "poll")(errno)),
            }
            let ready: Vec<_> = fds.iter().map(|fd| fd.revents()).collect();
            let is_ready = |index: usize| ready.get(index).is_some_and(|events| !events.is_empty());
            if is_ready(1) {
                self.pass_signals()?;
            }
            // A hung-up terminal stays ready: its program has closed it, and the end is near.
            if is_ready(2) && !self.copy_out()? && !is_ready(0) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            if is_ready(3) {
                typing = self.copy_in()?;
            }
            if is_ready(0) {
                while self.running.terminal().is_some() && self.has_output() && self.copy_out()? {}
                return Ok(());
            }
        }
    }

    fn pass_signals(&self) -> Result<(), RelayFailed> {
        let wrong = |cause| RelayFailed { what: "signals", cause };
        while let Some(arrived) = self.signals.next().map_err(wrong)? {
            if arrived.signal == SIGWINCH {
                self.resize();
            } else if let Some(signal) = Signal::from_named_raw(arrived.signal) {
                self.running.signal(signal).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Gives the container's terminal the size of the caller's.
    fn resize(&self) {
        let Some(terminal) = self.running.terminal() else { return };
        if let Some(size) =
            tcgetwinsize(stdin()).or_else(|_| tcgetwinsize(stdout())).ok().filter(|size| size.ws_row > 0)
        {
            // A size that cannot be set is one that nobody looks at.
            let _ = tcsetwinsize(terminal, size);
        }
    }

    fn has_output(&self) -> bool {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        self.running.terminal().is_some_and(|terminal| {
            let mut fds = [PollFd::from_borrowed_fd(terminal, PollFlags::IN)];
            poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::IN)
        })
    }

    /// Whether anything came.
    fn copy_out(&self) -> Result<bool, RelayFailed> {
        let Some(terminal) = self.running.terminal() else { return Ok(false) };
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(terminal, &mut buffer) {
            // EIO: the other end is closed everywhere.
            Ok(0) | Err(Errno::IO | Errno::AGAIN | Errno::INTR) => Ok(false),
            Ok(count) => {
                // A reader that has gone does not end the container: it would not be told either.
                let _ = write_all(stdout(), &buffer[..count]);
                Ok(true)
            }
            Err(errno) => Err(failed("output", "read")(errno)),
        }
    }

    /// Whether more may come.
    fn copy_in(&self) -> Result<bool, RelayFailed> {
        let Some(terminal) = self.running.terminal() else { return Ok(false) };
        let mut buffer = [0; 4096];
        let (typed, more): (&[u8], bool) = match rustix::io::read(stdin(), &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Ok(0) | Err(Errno::IO) => (&[END_OF_INPUT], false),
            Ok(count) => (&buffer[..count], true),
            Err(errno) => return Err(failed("input", "read")(errno)),
        };
        match write_all(terminal, typed) {
            Ok(()) | Err(Errno::IO) => Ok(more),
            Err(errno) => Err(failed("input", "write")(errno)),
        }
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // After pending output, so that the last line is still written as it was meant.
            let _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
