//! Attached to a container: what is typed goes to it, what it writes comes here.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use monitor::protocol::{self, CHUNK};
use report::{BoxedExplain, Explain, Hint, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use spec::Signal;
use sys::SyscallError;
use sys::signal::Signals;

use super::home::{Home, Places};
use super::stop::living;
use crate::host::boxed;
use crate::request::Streams;
use crate::run::duplicate;
use crate::terminal::{
    DetachScanner, RawMode, Reaction, Session, SignalState, reaction, read_typed, size_of,
};

const SIGWINCH: i32 = 28;
/// How long what was typed before the detach keys may take to be taken.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How somebody attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachOptions {
    /// Input is given.
    pub input: bool,
    /// Output is wanted.
    pub output: bool,
    /// Signals of this process go to the container's first.
    pub pass_signals: bool,
    /// The container's terminal and the keys that leave it.
    pub streams: Streams,
    /// Rows and columns of the caller's terminal.
    pub size: Option<(u16, u16)>,
}

impl AttachOptions {
    /// Tells the monitor what is wanted.
    pub(crate) fn say_hello(&self, socket: &OwnedFd) -> Result<(), BoxedExplain> {
        let mut wants = 0;
        if self.output {
            wants |= protocol::WANTS_OUTPUT;
        }
        if self.input {
            wants |= protocol::GIVES_INPUT;
        }
        protocol::send(socket, protocol::HELLO, &[wants], true)
            .map_err(|errno| boxed(SyscallError::new("send", "the monitor", errno)))
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detached {
    /// The container has ended with this status.
    Exited(i32),
    /// The keys were typed.
    Keys,
    /// The monitor has gone without a word.
    Lost,
}

/// A container that nobody can attach to.
#[derive(Debug, thiserror::Error)]
#[error("attach to container `{name}`: nobody copies its streams")]
struct NoMonitor {
    name: String,
}

impl Explain for NoMonitor {
    fn kind(&self) -> Kind {
        Kind::StateConflict
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "it runs in the foreground of another command, or its monitor was killed: `holm system check` tells which",
        ))
    }
}

/// Connects to a container that runs.
///
/// # Errors
/// When it does not run, or has no monitor.
pub fn connect(places: &Places, home: &Home, options: &AttachOptions) -> Result<OwnedFd, BoxedExplain> {
    living(places, home, "attach to")?;
    let socket = dial(home, None).map_err(|error| match error.errno {
        sys::Errno::NOENT | sys::Errno::CONNREFUSED => boxed(NoMonitor {
            name: home.definition().map_or_else(|_| home.short().to_owned(), |definition| definition.name),
        }),
        _ => boxed(error),
    })?;
    options.say_hello(&socket)?;
    Ok(socket)
}

/// Connects to the monitor; one that has only just begun is waited for, and `room` long one that has as many clients as it takes.
pub(crate) fn dial(home: &Home, room: Option<Duration>) -> Result<OwnedFd, SyscallError> {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        match protocol::dial(&home.run_directory, room) {
            Err(error)
                if matches!(error.errno, sys::Errno::NOENT | sys::Errno::CONNREFUSED)
                    && home.has_monitor()
                    && Instant::now() < until =>
            {
                std::thread::sleep(Duration::from_micros(500));
            }
            outcome => return outcome,
        }
    }
}

/// The signals that have to be caught before a container is started that is attached to.
pub fn catch() -> Result<Signals, BoxedExplain> {
    Signals::catch(Session::caught()).map_err(boxed)
}

/// Copies until the end.
///
/// # Errors
/// Those of this side's descriptors.
pub fn attend(
    socket: OwnedFd,
    places: &Places,
    home: &Home,
    signals: &Signals,
    options: &AttachOptions,
) -> Result<Detached, BoxedExplain> {
    let input = duplicate(std::io::stdin()).map_err(boxed)?;
    let mut raw = None;
    if options.streams.tty {
        resize(&socket);
        if options.input && input.is_terminal() {
            raw = Some(RawMode::enter(&input).map_err(boxed)?);
        }
    }
    let mut client = Client {
        socket,
        input: options.input.then_some(input),
        scanner: options.streams.tty.then(|| DetachScanner::new(options.streams.detach_keys.bytes())),
        typed: Vec::new(),
    };
    let outcome = client.copy(places, home, signals, options);
    drop(raw);
    outcome
}

fn resize(socket: &OwnedFd) {
    if let Some((rows, columns)) = size_of(std::io::stdin()).or_else(|| size_of(std::io::stdout())) {
        let _ = protocol::send(socket, protocol::RESIZE, &protocol::resize(rows, columns), true);
    }
}

struct Client {
    socket: OwnedFd,
    input: Option<OwnedFd>,
    scanner: Option<DetachScanner>,
    /// What the monitor has not taken yet.
    typed: Vec<u8>,
}

impl Client {
    fn copy(
        &mut self,
        places: &Places,
        home: &Home,
        signals: &Signals,
        options: &AttachOptions,
    ) -> Result<Detached, BoxedExplain> {
        loop {
            let (from_monitor, from_input, from_signals) = self.wait(signals)?;
            if from_signals {
                while let Some(arrived) = signals.next().map_err(boxed)? {
                    if arrived.signal == SIGWINCH {
                        if options.streams.tty {
                            resize(&self.socket);
                        }
                    } else if options.pass_signals {
                        pass(places, home, arrived.signal);
                    } else {
                        return Ok(Detached::Keys);
                    }
                }
            }
            if from_monitor && let Some(end) = self.hear()? {
                return Ok(end);
            }
            if !self.typed.is_empty() {
                self.send_typed()?;
            }
            if from_input && self.typed.is_empty() && self.read_input()? {
                return Ok(Detached::Keys);
            }
        }
    }

    fn wait(&self, signals: &Signals) -> Result<(bool, bool, bool), BoxedExplain> {
        let mut flags = PollFlags::IN;
        if !self.typed.is_empty() {
            flags |= PollFlags::OUT;
        }
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.socket.as_fd(), flags),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        if let (Some(input), true) = (&self.input, self.typed.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(boxed(SyscallError::new("poll", "", errno))),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let readable = fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        Ok((readable, ready(2), ready(1)))
    }

    /// A message of the monitor.
    fn hear(&mut self) -> Result<Option<Detached>, BoxedExplain> {
        let mut message = [0; CHUNK + 1];
        let len = match rustix::net::recv(&self.socket, &mut message, RecvFlags::DONTWAIT) {
            Ok((len, _)) => len,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(_) => 0,
        };
        match message[..len] {
            [] => return Ok(Some(Detached::Lost)),
            [protocol::OUTPUT, ref bytes @ ..] => write_all(std::io::stdout().as_fd(), bytes)?,
            [protocol::ERROR, ref bytes @ ..] => write_all(std::io::stderr().as_fd(), bytes)?,
            [protocol::EXIT, a, b, c, d] => {
                return Ok(Some(Detached::Exited(i32::from_le_bytes([a, b, c, d]))));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Reads what was typed; true when the detach keys were.
    fn read_input(&mut self) -> Result<bool, BoxedExplain> {
        let Some(input) = &self.input else { return Ok(false) };
        let mut buffer = [0; CHUNK];
        let read = match &mut self.scanner {
            Some(scanner) => read_typed(input, scanner, CHUNK, &mut self.typed),
            None => rustix::io::read(input, &mut buffer).map(|len| (len, false)),
        };
        let (len, keys) = match read {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(_) => (0, false),
        };
        if len == 0 {
            self.input = None;
            let _ = protocol::send(&self.socket, protocol::INPUT_END, &[], true);
            return Ok(false);
        }
        if self.scanner.is_none() {
            self.typed.extend_from_slice(&buffer[..len]);
        }
        self.send_typed()?;
        // Whoever leaves has still typed it.
        let until = Instant::now() + LAST_WORDS;
        while keys && !self.typed.is_empty() && Instant::now() < until {
            let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&timeout));
            self.send_typed()?;
        }
        Ok(keys)
    }

    fn send_typed(&mut self) -> Result<(), BoxedExplain> {
        while !self.typed.is_empty() {
            let now = self.typed.len().min(CHUNK);
            match protocol::send(&self.socket, protocol::INPUT, &self.typed[..now], false) {
                Ok(()) => drop(self.typed.drain(..now)),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                // It is told when the socket is read.
                Err(_) => self.typed.clear(),
            }
        }
        Ok(())
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), BoxedExplain> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            // Not to be read is the reader's decision; the container goes on.
            Err(Errno::PIPE) => return Ok(()),
            Err(errno) => return Err(boxed(SyscallError::new("write", "standard output", errno))),
        }
    }
    Ok(())
}

/// Passes a signal on to the container's first process.
fn pass(places: &Places, home: &Home, number: i32) {
    let Some(signal) = u32::try_from(number).ok().and_then(Signal::from_number) else { return };
    if let Ok((state, container, _)) = living(places, home, "signal") {
        let send = match reaction(signal, &SignalState::read(state.pid.unsigned_abs())) {
            Reaction::Forward => signal,
            Reaction::Kill => Signal::KILL,
        };
        let _ = container.kill(Some(send));
    }
}
