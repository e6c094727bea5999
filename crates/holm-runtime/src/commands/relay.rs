//! Attending to a program in the foreground: signals go to it, and its terminal is copied to and from the caller's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use report::{Explain, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno as Failure;
use rustix::termios::{
    OptionalActions, OutputModes, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use sys::SyscallError;
use sys::signal::{SignalSet, Signals};

use super::notify::Notifications;

/// Signals that stay this program's own: faults (4, 5, 6, 7, 8, 11, 31), SIGPIPE, SIGCHLD, SIGURG, and those that stop the program whose
/// terminal is used from the background (21, 22).
const OWN: [i32; 12] = [4, 5, 6, 7, 8, 11, 13, 17, 21, 22, 23, 31];
const SIGCHLD: u32 = 17;
const SIGWINCH: i32 = 28;
/// VEOF, termios(3).
const END_OF_INPUT: u8 = 4;

/// The program could not be attended to.
#[derive(Debug, thiserror::Error)]
#[error("attend to the program")]
pub(super) struct AttendFailed(#[source] SyscallError);

impl Explain for AttendFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.0)
    }
    fn kind(&self) -> Kind {
        self.0.kind()
    }
}

/// Blocks the signals that go to the program, before there is one: whichever arrives meanwhile is kept. What the caller ignores or
/// blocks does not matter.
pub(super) fn catch() -> Result<Signals, AttendFailed> {
    sys::raw::reset_signal_handler(SIGCHLD);
    Signals::catch(SignalSet::all_but(&OWN)).map_err(AttendFailed)
}

/// Rows and columns of the caller's terminal, if standard input or output is one.
pub(super) fn window_size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What the program says of itself, and what to do once it is ready.
pub(super) struct Said<'a> {
    pub(super) said: &'a Notifications,
    pub(super) told: &'a dyn Fn(),
}

/// Passes signals on, and copies the terminal, until the program ends; does what is to be done once it says that it is ready.
pub(super) fn attend(
    pidfd: BorrowedFd<'_>,
    signals: &Signals,
    terminal: Option<BorrowedFd<'_>>,
    mut said: Option<Said<'_>>,
) -> Result<(), AttendFailed> {
    let mut copying = terminal.map(Copying::start).transpose()?;
    loop {
        let (mut polled, input) = {
            let mut polled =
                vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            // Last, where it is in nobody's way.
            let listening =
                said.as_ref().map(|said| PollFd::from_borrowed_fd(said.said.as_fd(), PollFlags::IN));
            let input = copying.as_ref().map(|copying| copying.interests(&mut polled));
            polled.extend(listening);
            (polled, input)
        };
        match poll(&mut polled, None) {
            Ok(_) | Err(Failure::INTR) => {}
            Err(errno) => return Err(AttendFailed(SyscallError::new("poll", "", errno))),
        }
        let mut ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        drop(polled);
        if let Some(listening) = &said
            && ready.pop().is_some_and(|flags| !flags.is_empty())
            && listening.said.is_ready()
        {
            (listening.told)();
            said = None;
        }
        if !ready[1].is_empty() {
            pass_signals(pidfd, signals, copying.as_ref())?;
        }
        if let (Some(copying), Some(_)) = (&mut copying, input) {
            copying.copy(&ready[2..])?;
        }
        if !ready[0].is_empty() {
            // What it wrote last is still in the terminal.
            if let Some(mut copying) = copying {
                copying.drain()?;
            }
            return Ok(());
        }
    }
}

fn pass_signals(
    pidfd: BorrowedFd<'_>,
    signals: &Signals,
    copying: Option<&Copying<'_>>,
) -> Result<(), AttendFailed> {
    while let Some(arrived) = signals.next().map_err(AttendFailed)? {
        if let (SIGWINCH, Some(copying)) = (arrived.signal, copying) {
            copying.resize();
            continue;
        }
        sys::signal::send(pidfd, arrived.signal).map_err(AttendFailed)?;
    }
    Ok(())
}

/// A terminal that is copied to standard output, and standard input to it.
struct Copying<'a> {
    terminal: BorrowedFd<'a>,
    /// The other side has gone.
    over: bool,
    /// Standard input has not ended.
    reading: bool,
    /// What was typed and not taken yet.
    typed: Vec<u8>,
    _raw: Option<RawMode>,
}

impl<'a> Copying<'a> {
    fn start(terminal: BorrowedFd<'a>) -> Result<Self, AttendFailed> {
        let failed = |errno| AttendFailed(SyscallError::new("fcntl", "the terminal", errno));
        // A program that does not read must not keep us from taking what it writes.
        let flags = fcntl_getfl(terminal).map_err(failed)?;
        fcntl_setfl(terminal, flags | OFlags::NONBLOCK).map_err(failed)?;
        let copying =
            Self { terminal, over: false, reading: true, typed: Vec::new(), _raw: RawMode::enter() };
        copying.resize();
        Ok(copying)
    }

    /// Adds what is waited for: the terminal, then standard input.
    fn interests<'b>(&'b self, polled: &mut Vec<PollFd<'b>>) {
        let mut flags = PollFlags::empty();
        if !self.over {
            flags |= PollFlags::IN;
            if !self.typed.is_empty() {
                flags |= PollFlags::OUT;
            }
            polled.push(PollFd::from_borrowed_fd(self.terminal, flags));
        }
        if self.reading && self.typed.is_empty() && !self.over {
            polled.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
    }

    fn copy(&mut self, ready: &[PollFlags]) -> Result<(), AttendFailed> {
        let (terminal, input) = (ready.first(), ready.get(1));
        if terminal.is_some_and(|flags| flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)) {
            self.read_terminal()?;
        }
        if input.is_some_and(|flags| !flags.is_empty()) {
            let mut buffer = [0; 4096];
            match rustix::io::read(stdin(), &mut buffer) {
                // At its end a terminal gives a character for it.
                Ok(0) => {
                    self.reading = false;
                    self.typed.push(END_OF_INPUT);
                }
                Ok(len) => self.typed.extend_from_slice(&buffer[..len]),
                Err(Failure::INTR | Failure::AGAIN) => {}
                Err(_) => self.reading = false,
            }
        }
        if !self.typed.is_empty() && !self.over {
            match rustix::io::write(self.terminal, &self.typed) {
                Ok(len) => drop(self.typed.drain(..len)),
                Err(Failure::INTR | Failure::AGAIN) => {}
                Err(_) => self.typed.clear(),
            }
        }
        Ok(())
    }

    /// Copies what is there; false when there is nothing.
    fn read_terminal(&mut self) -> Result<bool, AttendFailed> {
        let mut buffer = [0; 16384];
        match rustix::io::read(self.terminal, &mut buffer) {
            Ok(0) | Err(Failure::IO) => {
                self.over = true;
                Ok(false)
            }
            Ok(len) => {
                write_out(&buffer[..len])?;
                Ok(true)
            }
            Err(Failure::INTR) => Ok(true),
            Err(Failure::AGAIN) => Ok(false),
            Err(errno) => Err(AttendFailed(SyscallError::new("read", "the terminal", errno))),
        }
    }

    fn drain(&mut self) -> Result<(), AttendFailed> {
        while !self.over && self.read_terminal()? {}
        Ok(())
    }

    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())) {
            let _ = tcsetwinsize(self.terminal, size);
        }
    }
}

fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

fn write_out(mut bytes: &[u8]) -> Result<(), AttendFailed> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(Failure::INTR) => {}
            // Not to be read is the reader's decision; the program goes on.
            Err(Failure::PIPE) => return Ok(()),
            Err(errno) => return Err(AttendFailed(SyscallError::new("write", "standard output", errno))),
        }
    }
    Ok(())
}

/// Standard input as a terminal that passes every key on, as long as this lives.
struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// None where standard input is no terminal.
    fn enter() -> Option<Self> {
        let terminal = stdin().as_fd().try_clone_to_owned().ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        // What the container's program writes has plain line ends ([`runtime::Stdio::PlainTerminal`]).
        raw.output_modes |= before.output_modes & (OutputModes::OPOST | OutputModes::ONLCR);
        tcsetattr(&terminal, OptionalActions::Now, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}
