//! The socket: requests out, answers in.
//!
//! [`Socket::transact`] for requests that change something, [`Socket::ask`] for one that has one answer,
//! [`Socket::dump`] for one that lists everything, [`Socket::join`] and [`Socket::wait`] to listen.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::netlink::{bind, open, receive, send, set_option};
use sys::{Errno, SyscallError};

use crate::error::{Error, Refused};
use crate::message::{DONE, ERROR, FIRST_OF_PROTOCOL, INTERRUPTED, Message, Messages};
use crate::request::{Requests, flags};

/// What a socket talks to (linux/netlink.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, neighbours, rules (rtnetlink(7)).
    Route,
    /// Sockets and their state (sock_diag(7)).
    SockDiag,
    /// nftables and its relatives.
    Netfilter,
}

impl Protocol {
    const fn number(self) -> i32 {
        match self {
            Self::Route => 0,
            Self::SockDiag => 4,
            Self::Netfilter => 12,
        }
    }
}

/// `NETLINK_ADD_MEMBERSHIP`, `NETLINK_CAP_ACK`, `NETLINK_EXT_ACK`, `NETLINK_GET_STRICT_CHK`
const ADD_MEMBERSHIP: u32 = 1;
const CAP_ACK: u32 = 10;
const EXT_ACK: u32 = 11;
const GET_STRICT_CHK: u32 = 12;

/// What the kernel puts into one datagram of a dump, if it is asked with room for it.
const ROOM: usize = 32 * 1024;
/// How many requests go out before their acknowledgements are read. An acknowledgement takes about 800 bytes of the
/// socket's receive buffer, which has 208 KiB by default.
const AT_ONCE: usize = 128;
/// How many bytes go out in one datagram: less than the default send buffer.
const SEND_ROOM: usize = 64 * 1024;
/// How often a dump is asked for again after the kernel said that things changed meanwhile.
const REPEATS: usize = 8;

/// A conversation with the kernel in the network namespace where it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket. It asks for strict checks of dump requests (Linux 4.20), so that the kernel filters or
    /// refuses but never ignores what a request says; and for sentences in refusals (Linux 4.12).
    ///
    /// # Errors
    /// [`Error::Socket`] when the kernel has no such protocol.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let fd = open(protocol.number())?;
        // Older kernels lack these and say less.
        for option in [EXT_ACK, CAP_ACK, GET_STRICT_CHK] {
            let _ = set_option(&fd, option, 1);
        }
        Ok(Self { fd, sequence: 0, buffer: Vec::new() })
    }

    /// Makes every request and reads every acknowledgement. All are sent at once, or a hundred at a time; the kernel
    /// goes on after one that it refuses. The first refusal is returned.
    ///
    /// # Errors
    /// [`Error::Refused`], whose `index` tells which request; [`Error::Overrun`] when acknowledgements were lost.
    pub fn transact(&mut self, requests: &mut Requests) -> Result<(), Error> {
        let mut first = None;
        self.transact_each(requests, |outcome| {
            if first.is_none() {
                first = outcome.err();
            }
        })?;
        first.map_or(Ok(()), |refused| Err(Error::Refused(refused)))
    }

    /// As [`Socket::transact`], and hands every outcome to `each`, in the order of the requests.
    ///
    /// # Errors
    /// Those of the socket only.
    pub fn transact_each(
        &mut self,
        requests: &mut Requests,
        mut each: impl FnMut(Result<(), Refused>),
    ) -> Result<(), Error> {
        let base = self.number(requests, flags::ACK);
        let mut from = 0;
        while from < requests.len() {
            let (bytes, end) = requests.slice(from, SEND_ROOM, AT_ONCE);
            self.send(bytes)?;
            while from < end {
                let expected = base.wrapping_add(from as u32);
                let len = match self.receive(true) {
                    Ok(len) => len,
                    Err(Errno::NOBUFS) => return Err(Error::Overrun { unanswered: end - from }),
                    Err(errno) => return Err(failed("recvfrom", errno)),
                };
                for message in Messages::new(&self.buffer[..len.min(self.buffer.len())]) {
                    // Whatever else comes (echoes, an acknowledgement of long ago) is not waited for.
                    if message.kind != ERROR || message.sequence.wrapping_sub(expected) > (end - from) as u32
                    {
                        continue;
                    }
                    let index = message.sequence.wrapping_sub(base) as usize;
                    each(outcome(&message, index, requests.bytes_of(index)));
                    from = index + 1;
                }
            }
        }
        Ok(())
    }

    /// Sends requests that the kernel takes whole or not at all, in one datagram. The last one but the end asks for an answer; refusals
    /// come unasked, and before it.
    pub(crate) fn transact_whole(&mut self, requests: &mut Requests) -> Result<(), Error> {
        let base = self.number(requests, 0);
        self.send(requests.bytes())?;
        let last = requests.len().saturating_sub(2);
        let mut first = None;
        loop {
            let len = match self.receive(true) {
                Ok(len) => len,
                Err(Errno::NOBUFS) => return Err(Error::Overrun { unanswered: 1 }),
                Err(errno) => return Err(failed("recvfrom", errno)),
            };
            for message in Messages::new(&self.buffer[..len.min(self.buffer.len())]) {
                let index = message.sequence.wrapping_sub(base) as usize;
                if message.kind != ERROR || index >= requests.len() {
                    continue;
                }
                let refused = outcome(&message, index, requests.bytes_of(index)).err();
                first = first.or(refused);
                // What is said of the beginning is said of all, and may be all that is said.
                if index == last || (index == 0 && first.is_some()) {
                    return first.map_or(Ok(()), |refused| Err(Error::Refused(refused)));
                }
            }
        }
    }

    /// Makes one request and gives its answer to `read`.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Malformed`] when the kernel acknowledges without an answer.
    pub fn ask<R>(
        &mut self,
        request: &mut Requests,
        read: impl FnOnce(&Message<'_>) -> R,
    ) -> Result<R, Error> {
        let sequence = self.number(request, 0);
        self.send(request.bytes_of(0))?;
        loop {
            let len = self.receive(true).map_err(|errno| failed("recvfrom", errno))?;
            if len > self.buffer.len() {
                self.buffer.resize(len.next_power_of_two(), 0);
                return self.ask(request, read);
            }
            for message in Messages::new(&self.buffer[..len]) {
                if message.sequence != sequence {
                    continue;
                }
                if message.kind == ERROR {
                    outcome(&message, 0, request.bytes_of(0))?;
                    return Err(Error::Malformed { expected: "answer" });
                }
                return Ok(read(&message));
            }
        }
    }

    /// Makes a request that lists objects, and returns all answers. When the kernel says that something changed
    /// meanwhile (`NLM_F_DUMP_INTR`), the request is repeated.
    ///
    /// # Errors
    /// [`Error::Refused`]
    pub fn dump(&mut self, request: &mut Requests) -> Result<Dump, Error> {
        let mut dump = Dump { bytes: Vec::new(), consistent: true };
        for _ in 0..=REPEATS {
            dump.bytes.clear();
            dump.consistent = true;
            match self.dump_once(request, &mut dump)? {
                Ended::Whole if dump.consistent => break,
                Ended::Whole | Ended::CutOff => {}
            }
        }
        Ok(dump)
    }

    fn dump_once(&mut self, request: &mut Requests, dump: &mut Dump) -> Result<Ended, Error> {
        let sequence = self.number(request, flags::DUMP);
        self.send(request.bytes_of(0))?;
        let mut ended = Ended::Whole;
        loop {
            let len = match self.receive(true) {
                Ok(len) => len,
                // The kernel waits with a dump until there is room, so what was lost is something else; to be sure
                // the list is asked for again.
                Err(Errno::NOBUFS) => {
                    ended = Ended::CutOff;
                    continue;
                }
                Err(errno) => return Err(failed("recvfrom", errno)),
            };
            if len > self.buffer.len() {
                self.buffer.resize(len.next_power_of_two(), 0);
                ended = Ended::CutOff;
                dump.consistent = false;
                continue;
            }
            let mut rest = Messages::new(&self.buffer[..len]);
            let mut own = 0;
            for message in rest.by_ref() {
                if message.sequence != sequence {
                    continue;
                }
                if message.flags & INTERRUPTED != 0 {
                    dump.consistent = false;
                }
                match message.kind {
                    DONE | ERROR => {
                        outcome(&message, 0, request.bytes_of(0))?;
                        dump.bytes.extend_from_slice(&self.buffer[..own]);
                        return Ok(ended);
                    }
                    _ => {
                        let end = message.body.as_ptr() as usize + message.body.len();
                        own = (end - self.buffer.as_ptr() as usize).next_multiple_of(4).min(len);
                    }
                }
            }
            dump.bytes.extend_from_slice(&self.buffer[..own]);
            dump.bytes.resize(dump.bytes.len().next_multiple_of(4), 0);
        }
    }

    /// Joins a multicast group; its messages come with [`Socket::wait`].
    ///
    /// # Errors
    /// [`Error::Socket`], `EPERM` for groups that take `CAP_NET_ADMIN`.
    pub fn join(&mut self, group: u32) -> Result<(), Error> {
        // A socket without an address has that of the kernel itself, which is not told what it has done.
        match bind(&self.fd) {
            // It has one: something was sent.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed("bind", errno)),
        }
        set_option(&self.fd, ADD_MEMBERSHIP, group)
            .map_err(|errno| failed("setsockopt(NETLINK_ADD_MEMBERSHIP)", errno))
    }

    /// Waits for the next datagram and returns its messages.
    ///
    /// # Errors
    /// [`Error::Overrun`] when messages were lost: what is known about the objects has to be read anew.
    pub fn wait(&mut self) -> Result<Messages<'_>, Error> {
        match self.receive(true) {
            Ok(len) => Ok(Messages::new(&self.buffer[..len.min(self.buffer.len())])),
            Err(Errno::NOBUFS) => Err(Error::Overrun { unanswered: 0 }),
            Err(errno) => Err(failed("recvfrom", errno)),
        }
    }

    /// Requests as they are sent, for who writes them to this socket and wants no answer but a refusal.
    pub fn sealed<'r>(&mut self, requests: &'r mut Requests) -> &'r [u8] {
        self.number(requests, 0);
        requests.bytes()
    }

    /// Numbers requests and returns the first number.
    fn number(&mut self, requests: &mut Requests, flags: u16) -> u32 {
        let first = self.sequence.wrapping_add(1);
        requests.seal(first, flags);
        self.sequence = self.sequence.wrapping_add(requests.len() as u32);
        first
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        send(&self.fd, bytes).map_err(|errno| failed("sendto", errno))
    }

    fn receive(&mut self, wait: bool) -> Result<usize, Errno> {
        if self.buffer.is_empty() {
            self.buffer.resize(ROOM, 0);
        }
        receive(&self.fd, &mut self.buffer, wait)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

enum Ended {
    Whole,
    CutOff,
}

fn failed(call: &'static str, errno: Errno) -> Error {
    Error::Socket(SyscallError::new(call, "netlink", errno))
}

fn outcome(message: &Message<'_>, index: usize, request: &[u8]) -> Result<(), Refused> {
    let verdict = message.verdict();
    match verdict.errno {
        None => Ok(()),
        Some(errno) => Err(Refused::new(index, errno, verdict, request)),
    }
}

/// All answers to a request that lists objects.
#[derive(Debug, Default)]
pub struct Dump {
    bytes: Vec<u8>,
    consistent: bool,
}

impl Dump {
    /// The answers, in the kernel's order.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        Messages::new(&self.bytes).filter(|message| message.kind >= FIRST_OF_PROTOCOL)
    }

    /// A single answer, kept, for those who read lists.
    pub fn of_one(message: &Message<'_>) -> Self {
        Self { bytes: message.to_bytes(), consistent: true }
    }

    /// Whether nothing changed while the list was made. It is made anew some times before this is false.
    pub const fn consistent(&self) -> bool {
        self.consistent
    }
}
