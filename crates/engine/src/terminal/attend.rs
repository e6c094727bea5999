//! The loop beside a running container.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use report::Explain;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use spec::Signal;
use sys::SyscallError;
use sys::signal::{SignalSet, Signals};

use super::channel::Step;
use super::{Channel, FORWARDED, RawMode, Reaction, SignalState, reaction, size_of};
use crate::request::Streams;

const SIGWINCH: i32 = 28;

/// A running container as its caller sees it.
#[derive(Debug)]
pub struct Session<'a> {
    /// The first process.
    pub pidfd: BorrowedFd<'a>,
    /// The number of the first process here.
    pub pid: u32,
    /// The other end of the container's terminal.
    pub console: Option<OwnedFd>,
    /// What [`Wiring::restore`](super::Wiring::restore) returned.
    pub channels: Vec<Channel>,
    /// Signals caught since before the launch, of [`Session::caught`].
    pub signals: &'a Signals,
    /// What was asked for.
    pub streams: &'a Streams,
    /// Where a terminal's input comes from and its output goes: the caller's streams.
    pub terminal: (OwnedFd, OwnedFd),
    /// Whether the detach keys leave the program running; it cannot be left where it ends with this process.
    pub may_detach: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attended {
    /// The signal that the container was killed for because nothing in it handled it.
    pub killed_for: Option<Signal>,
    /// The detach keys were typed: the program goes on.
    pub detached: bool,
}

/// The caller's side failed; the container is still there.
#[derive(Debug, thiserror::Error)]
#[error("attend to the container's {what}")]
pub struct AttendError {
    /// What went wrong.
    pub what: &'static str,
    /// Why.
    #[source]
    pub cause: SyscallError,
}

impl Explain for AttendError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
}

impl Session<'_> {
    /// The signals that have to be caught before the launch, so that none is lost in between.
    pub fn caught() -> SignalSet {
        let mut set = SignalSet::of(&FORWARDED);
        set.0 |= SignalSet::of(&[SIGWINCH]).0;
        set
    }
}

/// Copies, forwards and resizes until the first process has ended and what it wrote is passed on.
///
/// # Errors
/// [`AttendError`].
///
/// # Kernel
/// Linux 5.3 (pidfd_open(2), which poll(2) can wait for).
pub fn attend(session: Session<'_>) -> Result<Attended, AttendError> {
    let Session { pidfd, pid, console, mut channels, signals, streams, terminal, may_detach } = session;
    let wrong = |what| move |cause| AttendError { what, cause };
    let mut raw = None;
    let mut resized = None;
    if let Some(console) = console {
        let (input, output) = terminal;
        resize(&input, &output, &console);
        let copy = |fd: &OwnedFd| {
            rustix::io::fcntl_dupfd_cloexec(fd, 3)
                .map_err(|errno| wrong("terminal")(SyscallError::new("fcntl", "F_DUPFD_CLOEXEC", errno)))
        };
        if streams.interactive && input.is_terminal() {
            raw = Some(RawMode::enter(&input).map_err(wrong("terminal"))?);
        }
        let (winch_input, winch_output) = (copy(&input)?, copy(&output)?);
        if streams.interactive {
            channels.push(Channel::typed(input, copy(&console)?, streams.detach_keys.bytes()));
        }
        channels.push(Channel::output(copy(&console)?, output));
        resized = Some((winch_input, winch_output, console));
    }
    let mut killed_for = None;
    loop {
        let ready = wait(pidfd, signals, &channels)?;
        if ready.signals {
            while let Some(arrived) = signals.next().map_err(wrong("signals"))? {
                if arrived.signal == SIGWINCH {
                    if let Some((input, output, console)) = &resized {
                        resize(input, output, console);
                    }
                } else {
                    killed_for =
                        forward(pidfd, pid, arrived.signal).map_err(wrong("signals"))?.or(killed_for);
                }
            }
        }
        for (channel, _) in channels.iter_mut().zip(&ready.channels).filter(|(_, ready)| **ready) {
            if channel.step().map_err(wrong("streams"))? == Step::DetachKeys {
                if may_detach {
                    return Ok(Attended { killed_for: None, detached: true });
                }
                refuse_to_detach();
            }
        }
        channels.retain(|channel| !channel.is_over());
        if ready.ended {
            break;
        }
    }
    drain(&mut channels);
    drop(channels);
    drop(raw);
    Ok(Attended { killed_for, detached: false })
}

struct Ready {
    ended: bool,
    signals: bool,
    channels: Vec<bool>,
}

fn wait(pidfd: BorrowedFd<'_>, signals: &Signals, channels: &[Channel]) -> Result<Ready, AttendError> {
    let mut fds = vec![
        PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
        PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
    ];
    let mut places = Vec::with_capacity(channels.len());
    for channel in channels {
        places.push(channel.interest().map(|(fd, flags)| {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            fds.len() - 1
        }));
    }
    match rustix::event::poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => {
            return Err(AttendError { what: "streams", cause: SyscallError::new("poll", "", errno) });
        }
    }
    let ready = |index: usize| !fds[index].revents().is_empty();
    Ok(Ready {
        ended: ready(0),
        signals: ready(1),
        channels: places.into_iter().map(|place| place.is_some_and(ready)).collect(),
    })
}

/// What the container wrote before its end. Whoever else still holds a pipe's other end is not waited for.
fn drain(channels: &mut Vec<Channel>) {
    loop {
        let mut fds = Vec::new();
        let mut moving = Vec::new();
        for (index, channel) in channels.iter().enumerate().filter(|(_, channel)| channel.carries_output()) {
            if let Some((fd, flags)) = channel.interest() {
                fds.push(PollFd::from_borrowed_fd(fd, flags));
                moving.push((index, flags));
            }
        }
        // What waits for its reader is waited for; what might still come is not.
        let waits = moving.iter().any(|(_, flags)| *flags == PollFlags::OUT);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let outcome = rustix::event::poll(&mut fds, if waits { None } else { Some(&now) });
        if outcome.is_err() || fds.iter().all(|fd| fd.revents().is_empty()) {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for ((index, _), _) in moving.iter().zip(&ready).filter(|(_, ready)| **ready) {
            if channels[*index].step().is_err() {
                return;
            }
        }
        channels.retain(|channel| !channel.is_over());
    }
}

fn forward(pidfd: BorrowedFd<'_>, pid: u32, number: i32) -> Result<Option<Signal>, SyscallError> {
    let Some(signal) = u32::try_from(number).ok().and_then(Signal::from_number) else { return Ok(None) };
    let (send, killed_for) = match reaction(signal, &SignalState::read(pid)) {
        Reaction::Forward => (number, None),
        Reaction::Kill => (9, Some(signal)),
    };
    let Some(send) = rustix::process::Signal::from_named_raw(send) else { return Ok(None) };
    match rustix::process::pidfd_send_signal(pidfd, send) {
        Ok(()) | Err(Errno::SRCH) => Ok(killed_for),
        Err(errno) => Err(SyscallError::new("pidfd_send_signal", format!("process {pid}, {signal}"), errno)),
    }
}

/// Gives the container's terminal the size of the caller's.
fn resize(input: &OwnedFd, output: &OwnedFd, console: &OwnedFd) {
    if let Some((rows, columns)) = size_of(input).or_else(|| size_of(output)) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // A size that cannot be set is one that nobody looks at.
        let _ = rustix::termios::tcsetwinsize(console, size);
    }
}

fn refuse_to_detach() {
    eprint!(
        "\r\nholm: the container cannot be left running: it ends with this command, so it stays in the foreground\r\n"
    );
}
