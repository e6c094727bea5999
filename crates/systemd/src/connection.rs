//! A connection to a bus, or to systemd itself: one call at a time, everything in bounded time.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use sys::SyscallError;

use crate::wire::{self, Call, FIXED, Message, Sort};
use crate::{Bus, Error};

/// How long an answer may take: D-Bus's own default.
const PATIENCE: Duration = Duration::from_secs(25);
/// The most messages that are looked at while one is waited for. A bus sends us signals that others cause.
const MOST_MESSAGES: usize = 100_000;
/// The longest line of the greeting.
const LONGEST_LINE: usize = 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// What was received and not used yet.
    received: Vec<u8>,
    serial: u32,
}

/// What is waited for, and until when.
struct Waiting<'a> {
    what: &'a str,
    patience: Duration,
    until: Instant,
}

impl<'a> Waiting<'a> {
    fn new(what: &'a str, patience: Duration) -> Self {
        Self { what, patience, until: Instant::now() + patience }
    }

    fn malformed(&self, why: &'static str) -> Error {
        Error::Malformed { what: self.what.to_owned(), why }
    }

    fn broken(&self, call: &'static str, errno: Errno) -> Error {
        Error::Broken {
            what: self.what.to_owned(),
            cause: SyscallError::new(call, "systemd's socket", errno),
        }
    }
}

impl Connection {
    /// Connects and is let in. The kernel tells the other side who we are (`SO_PEERCRED`), so that this works in user namespaces,
    /// where our number of ourselves is another.
    pub(crate) fn open(address: &SocketAddrUnix, bus: Bus) -> Result<Self, Error> {
        let what = format!("greet the {bus}");
        let waiting = Waiting::new(&what, PATIENCE);
        let unreachable = |call: &'static str, errno: Errno| {
            let subject = address.path_bytes().map(|path| String::from_utf8_lossy(path).into_owned());
            let cause =
                SyscallError::new(call, subject.unwrap_or_else(|| "an abstract socket".to_owned()), errno);
            Error::Unreachable { bus, cause: Some(cause) }
        };
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|errno| unreachable("socket", errno))?;
        connect(&socket, address).map_err(|errno| unreachable("connect", errno))?;
        let mut connection = Self { socket, received: Vec::new(), serial: 0 };
        // Sent in one go, as sd-bus does: the identity is left out, and the answers come in this order.
        connection.send_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", &waiting)?;
        let mut line = connection.line(&waiting)?;
        if line == "DATA" || line.starts_with("DATA ") {
            line = connection.line(&waiting)?;
        }
        if line.starts_with("OK") {
            return Ok(connection);
        }
        let uid = rustix::process::geteuid().as_raw();
        Err(Error::Refused { bus, uid, answer: line.escape_debug().to_string() })
    }

    /// Calls a method and returns its answer. `what` says for people what that does.
    pub(crate) fn call(
        &mut self,
        call: &Call<'_>,
        signature: &str,
        body: &[u8],
        what: &str,
    ) -> Result<Message, Error> {
        let waiting = Waiting::new(what, PATIENCE);
        self.serial = self.serial.wrapping_add(1).max(1);
        let serial = self.serial;
        self.send_all(&call.message(serial, signature, body), &waiting)?;
        let answer = self.wait(&waiting, |message| {
            message.answers == serial && matches!(message.sort, Sort::Return | Sort::Error)
        })?;
        if answer.sort == Sort::Error {
            let message = answer.texts().ok().and_then(|texts| texts.into_iter().next()).unwrap_or_default();
            return Err(Error::Answer { what: what.to_owned(), name: answer.error, message });
        }
        Ok(answer)
    }

    /// The next signal of this name that `is_it` takes.
    pub(crate) fn signal(
        &mut self,
        member: &str,
        what: &str,
        patience: Duration,
        is_it: impl Fn(&[String]) -> bool,
    ) -> Result<Vec<String>, Error> {
        let waiting = Waiting::new(what, patience);
        let wanted = |message: &Message| {
            message.sort == Sort::Signal
                && message.member == member
                && message.texts().is_ok_and(|texts| is_it(&texts))
        };
        let signal = self.wait(&waiting, wanted)?;
        signal.texts().map_err(|why| waiting.malformed(why))
    }

    /// Reads messages until one is wanted.
    fn wait(&mut self, waiting: &Waiting<'_>, wanted: impl Fn(&Message) -> bool) -> Result<Message, Error> {
        for _ in 0..MOST_MESSAGES {
            self.fill(FIXED, waiting)?;
            let fixed = self.received.first_chunk::<FIXED>().ok_or_else(|| waiting.malformed("no header"))?;
            let length = wire::length(fixed).map_err(|why| waiting.malformed(why))?;
            self.fill(length, waiting)?;
            let bytes: Vec<u8> = self.received.drain(..length).collect();
            let message = Message::parse(&bytes).map_err(|why| waiting.malformed(why))?;
            if wanted(&message) {
                return Ok(message);
            }
        }
        Err(waiting.malformed("too many messages, and not the one"))
    }

    /// A line of the greeting.
    fn line(&mut self, waiting: &Waiting<'_>) -> Result<String, Error> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.received.len() > LONGEST_LINE {
                return Err(waiting.malformed("the greeting has no end"));
            }
            self.fill(self.received.len() + 1, waiting)?;
        }
    }

    /// Receives until there are `count` bytes.
    fn fill(&mut self, count: usize, waiting: &Waiting<'_>) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        while self.received.len() < count {
            self.ready(PollFlags::IN, waiting)?;
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(waiting.broken("recv", Errno::CONNRESET)),
                Ok((length, _)) => self.received.extend(&buffer[..length]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(waiting.broken("recv", errno)),
            }
        }
        Ok(())
    }

    fn send_all(&mut self, mut bytes: &[u8], waiting: &Waiting<'_>) -> Result<(), Error> {
        while !bytes.is_empty() {
            self.ready(PollFlags::OUT, waiting)?;
            match send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(waiting.broken("send", errno)),
            }
        }
        Ok(())
    }

    fn ready(&self, flags: PollFlags, waiting: &Waiting<'_>) -> Result<(), Error> {
        loop {
            let left = waiting.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Late {
                    what: waiting.what.to_owned(),
                    seconds: waiting.patience.as_secs(),
                });
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.socket, flags)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(waiting.broken("poll", errno)),
            }
        }
    }
}
