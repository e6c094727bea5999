//! Those who are attached.
//!
//! A client that does not read holds the container's output up for [`PATIENCE`]; then it is disconnected. One that breaks the rules of
//! the [`protocol`] is disconnected at once.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use sys::SyscallError;

use crate::protocol::{self, CHUNK};
use crate::streams::Streams;

/// How long a client may hold up the output.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long clients may take to read what was written last.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// More than anybody needs; others wait until one leaves.
const MOST: usize = 64;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    said_hello: bool,
    wants_output: bool,
    gives_input: bool,
    /// A message that it has not taken yet, and since when.
    held: Option<(Vec<u8>, Instant)>,
}

#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) listener: OwnedFd,
    pub(crate) list: Vec<Client>,
    /// Input ends with the first client that gives some.
    input_once: bool,
}

impl Clients {
    /// Listens in the run directory.
    pub(crate) fn listen(run_directory: &Path, input_once: bool) -> Result<Self, SyscallError> {
        let directory = crate::exit::open_directory(run_directory)?;
        let failed = |call| move |errno: Errno| SyscallError::new(call, protocol::SOCKET, errno);
        let listener = socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(failed("socket"))?;
        // One of a monitor before us.
        let _ = rustix::fs::unlinkat(&directory, protocol::SOCKET, rustix::fs::AtFlags::empty());
        bind(&listener, &protocol::address(&directory).map_err(failed("bind"))?).map_err(failed("bind"))?;
        listen(&listener, 16).map_err(failed("listen"))?;
        Ok(Self { listener, list: Vec::new(), input_once })
    }

    pub(crate) fn adopt(&mut self, socket: OwnedFd) {
        self.list.push(Client {
            socket,
            said_hello: false,
            wants_output: false,
            gives_input: false,
            held: None,
        });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.list.len() < MOST
    }

    pub(crate) fn accept(&mut self) {
        if self.has_room()
            && let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            self.adopt(socket);
        }
    }

    /// Whether output has to wait.
    pub(crate) fn is_held_up(&self) -> bool {
        self.list.iter().any(|client| client.held.is_some())
    }

    /// Disconnects those that held up the output for too long; returns how long until the next one does.
    pub(crate) fn lose_patience(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let left = |since: Instant| PATIENCE.checked_sub(now.duration_since(since));
        self.list.retain(|client| client.held.as_ref().is_none_or(|(_, since)| left(*since).is_some()));
        self.list.iter().filter_map(|client| client.held.as_ref()).filter_map(|(_, since)| left(*since)).min()
    }

    /// What the container wrote; at most [`CHUNK`] bytes.
    pub(crate) fn send_output(&mut self, kind: u8, bytes: &[u8]) {
        self.list.retain_mut(|client| !client.wants_output || client.send(kind, bytes));
    }

    /// Reads a message of a client. Returns false when it has gone.
    pub(crate) fn hear(&mut self, index: usize, streams: &mut Streams) {
        let mut buffer = [0; CHUNK + 1];
        let client = &mut self.list[index];
        let len = match rustix::net::recv(&client.socket, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)
        {
            Ok((len, _)) => len,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        let once = self.input_once;
        let stays = len > 0 && client.obey(&buffer[..len.min(buffer.len())], len, streams, once);
        if !stays {
            let gone = self.list.swap_remove(index);
            if self.input_once && gone.gives_input && !self.list.iter().any(|other| other.gives_input) {
                streams.end_input();
            }
        }
    }

    /// Whether somebody is sent what the container writes.
    pub(crate) fn want_output(&self) -> bool {
        self.list.iter().any(|client| client.wants_output)
    }

    /// Tells everybody the end, after what is held for them and the `rest` of the output. Slow ones are waited for [`LAST_WORDS`] long, and nobody
    /// waits for them.
    pub(crate) fn finish(&mut self, status: i32, rest: &[(u8, Vec<u8>)]) {
        let until = Instant::now() + LAST_WORDS;
        while self.has_room() {
            let before = self.list.len();
            self.accept();
            if self.list.len() == before {
                break;
            }
        }
        self.list.sort_by_key(|client| client.wants_output);
        for client in &mut self.list {
            let output = if client.wants_output { rest } else { &[] };
            let told = output.iter().all(|(kind, bytes)| client.deliver(until) && client.send(*kind, bytes));
            if told && client.deliver(until) {
                let _ = protocol::send(&client.socket, protocol::EXIT, &status.to_le_bytes(), false);
            }
        }
        self.list.clear();
    }
}

impl Client {
    /// Sends or holds a message; false when the client is gone.
    fn send(&mut self, kind: u8, bytes: &[u8]) -> bool {
        match protocol::send(&self.socket, kind, bytes, false) {
            Ok(()) => true,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {
                let mut message = Vec::with_capacity(bytes.len() + 1);
                message.push(kind);
                message.extend_from_slice(bytes);
                self.held = Some((message, Instant::now()));
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn gives_input(&self) -> bool {
        self.gives_input || !self.said_hello
    }

    /// Sends what is held; false when the client is gone.
    pub(crate) fn send_held(&mut self) -> bool {
        let Some((message, since)) = self.held.take() else { return true };
        match protocol::send(&self.socket, message[0], &message[1..], false) {
            Ok(()) => true,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {
                self.held = Some((message, since));
                true
            }
            Err(_) => false,
        }
    }

    fn deliver(&mut self, until: Instant) -> bool {
        while self.held.is_some() {
            if !self.send_held() {
                return false;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            let timeout = Timespec { tv_sec: 0, tv_nsec: left.as_nanos().min(100_000_000) as _ };
            if self.held.is_some() {
                let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&timeout));
            }
        }
        true
    }

    /// Does what a message says; false when it breaks the rules.
    fn obey(&mut self, message: &[u8], len: usize, streams: &mut Streams, input_once: bool) -> bool {
        if len != message.len() {
            return false;
        }
        match (message, self.said_hello) {
            ([protocol::HELLO, wants], false) => {
                self.said_hello = true;
                self.wants_output = wants & protocol::WANTS_OUTPUT != 0;
                self.gives_input = wants & protocol::GIVES_INPUT != 0;
                self.send(protocol::WELCOME, &[])
            }
            ([protocol::INPUT, input @ ..], true) if self.gives_input => {
                streams.give(input);
                true
            }
            ([protocol::INPUT_END], true) if self.gives_input => {
                // On a terminal that is a key like others. A pipe that stays open waits for the next who has something.
                if input_once || streams.terminal.is_some() {
                    streams.end_input();
                }
                true
            }
            ([protocol::RESIZE, size @ ..], true) => match protocol::parse_resize(size) {
                Some((rows, columns)) => {
                    streams.resize(rows, columns);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }
}
