//! Questions that others answer: passed on as they are, over the transport that they came by.
//!
//! Each goes out with a number of its own, drawn by chance, on a socket of its own, whose port the kernel draws; and what
//! comes back counts only from the one who was asked, with that number and that question (RFC 5452).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};
use rustix::rand::{GetRandomFlags, getrandom};
use sys::datagrams;

use super::clients::frame;
use super::slots::Key;
use super::{About, MOST_FLIGHTS, MOST_FLIGHTS_OF_ONE, Server};
use crate::answer::Asker;
use crate::wire::{self, Code};

const PORT: u16 = 53;
/// How long one resolver is waited for before the next is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
const STREAM_PATIENCE: Duration = Duration::from_millis(3000);
/// How long a question may take in all: shorter than the 5 s after which clients ask again (resolv.conf(5)).
const WHOLE: Duration = Duration::from_millis(4500);
/// How long others are asked before a resolver that did not answer.
const SILENT: Duration = Duration::from_secs(30);
const MOST_SILENT: usize = 64;

/// Where a question came from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// A datagram to this listener.
    Datagram(Key, SocketAddr),
    /// This connection.
    Stream(Key),
}

/// A question on its way.
#[derive(Debug)]
pub(super) struct Flight {
    from: From,
    asker: IpAddr,
    /// The number that the client knows it by.
    number: u16,
    /// The question with our own number.
    query: Vec<u8>,
    /// The longest answer that the client takes.
    limit: usize,
    resolvers: Vec<IpAddr>,
    /// How many were asked so far.
    asked: usize,
    socket: Option<OwnedFd>,
    /// Over TCP: what is not sent yet, and what was received.
    unsent: Vec<u8>,
    received: Vec<u8>,
    until: Instant,
    end: Instant,
}

impl Server {
    /// Asks somebody else.
    pub(super) fn forward(&mut self, query: Vec<u8>, asker: Asker, from: From) {
        let of_one = self.flights.iter().filter(|(_, flight)| flight.asker == asker.address).count();
        let mut number = [0; 2];
        let drawn = getrandom(&mut number, GetRandomFlags::empty()).is_ok();
        if self.flights.len() >= MOST_FLIGHTS || of_one >= MOST_FLIGHTS_OF_ONE || !drawn {
            self.fail(from, &query);
            return;
        }
        let limit = match from {
            From::Datagram(..) => {
                wire::Question::read(&query).map_or(wire::PLAIN_LIMIT, |it| it.client_limit())
            }
            From::Stream(_) => usize::from(u16::MAX),
        };
        let mut resolvers = self.table.forwarders(asker.network, asker.address).to_vec();
        let clock = self.clock;
        resolvers.sort_by_key(|resolver| self.silent.get(resolver).is_some_and(|until| *until > clock));
        let mut flight = Flight {
            from,
            asker: asker.address,
            number: wire::id(&query),
            query,
            limit,
            resolvers,
            asked: 0,
            socket: None,
            unsent: Vec::new(),
            received: Vec::new(),
            until: clock,
            end: clock + WHOLE,
        };
        wire::set_id(&mut flight.query, u16::from_ne_bytes(number));
        let key = self.flights.insert(flight);
        self.ask_next(key);
    }

    /// Asks the next resolver; each gets two chances. Answers "failed" when there is none left.
    fn ask_next(&mut self, key: Key) {
        loop {
            let clock = self.clock;
            let Some(flight) = self.flights.get_mut(key) else { return };
            if flight.asked >= 2 * flight.resolvers.len() || clock >= flight.end {
                if let Some(mut flight) = self.flights.remove(key) {
                    wire::set_id(&mut flight.query, flight.number);
                    self.fail(flight.from, &flight.query);
                }
                return;
            }
            let resolver = flight.resolvers[flight.asked % flight.resolvers.len()];
            flight.asked += 1;
            flight.received.clear();
            flight.unsent.clear();
            // The earlier socket is closed, and with it leaves the epoll set.
            flight.socket = None;
            let stream = matches!(flight.from, From::Stream(_));
            let patience = if stream { STREAM_PATIENCE } else { PATIENCE };
            flight.until = (clock + patience).min(flight.end);
            let Ok(socket) = open(resolver, stream) else { continue };
            let sent = if stream {
                frame(&mut flight.unsent, &flight.query);
                true
            } else {
                send(&socket, &flight.query, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
            };
            if !sent {
                continue;
            }
            let flags = if stream { EventFlags::OUT } else { EventFlags::IN };
            flight.socket = Some(socket);
            let watched = self.flights.get(key).and_then(|flight| flight.socket.as_ref());
            if watched.is_some_and(|socket| self.watch(socket, About::Flight, key, flags)) {
                return;
            }
        }
    }

    /// Something happened on the way to a resolver.
    pub(super) fn flight(&mut self, key: Key) {
        let Some(flight) = self.flights.get_mut(key) else { return };
        let Some(socket) = flight.socket.as_ref() else { return };
        let stream = matches!(flight.from, From::Stream(_));
        if stream && !flight.unsent.is_empty() {
            match send(socket, &flight.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => drop(flight.unsent.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => return self.silence(key),
            }
            if flight.unsent.is_empty()
                && let Some(socket) = self.flights.get(key).and_then(|flight| flight.socket.as_ref())
            {
                self.watch_again(socket, About::Flight, key, EventFlags::IN);
            }
            return;
        }
        let length = match recv(socket, &mut self.large[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) if stream => return self.silence(key),
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return,
            // As "connection refused": nobody listens there.
            Err(_) => return self.silence(key),
        };
        let mut reply = if stream {
            flight.received.extend_from_slice(&self.large[..length]);
            let Some((size, rest)) = flight.received.split_first_chunk::<2>() else { return };
            let Some(reply) = rest.get(..usize::from(u16::from_be_bytes(*size))) else { return };
            reply.to_vec()
        } else {
            self.large[..length].to_vec()
        };
        if !wire::is_answer_to(&reply, &flight.query) {
            // Over UDP anybody may send something; what we wait for may still come.
            if stream {
                self.silence(key);
            }
            return;
        }
        // "Failed", "not implemented" and "refused" may be better elsewhere.
        let unwilling = matches!(reply[3] & 0xf, 2 | 4 | 5);
        if unwilling && flight.asked < flight.resolvers.len() {
            return self.ask_next(key);
        }
        let resolver = flight.resolvers[(flight.asked - 1) % flight.resolvers.len()];
        self.silent.remove(&resolver);
        let Some(flight) = self.flights.remove(key) else { return };
        wire::set_id(&mut reply, flight.number);
        if reply.len() > flight.limit {
            wire::truncate(&mut reply);
        }
        self.give(flight.from, &reply);
    }

    /// The resolver asked last does not answer: others come first for a while.
    fn silence(&mut self, key: Key) {
        let Some(flight) = self.flights.get(key) else { return };
        let resolver = flight.resolvers[flight.asked.saturating_sub(1) % flight.resolvers.len()];
        let clock = self.clock;
        if self.silent.len() >= MOST_SILENT {
            self.silent.retain(|_, until| *until > clock);
        }
        if self.silent.len() < MOST_SILENT {
            self.silent.insert(resolver, clock + SILENT);
        }
        self.ask_next(key);
    }

    /// Goes on where a resolver was waited for long enough.
    pub(super) fn sweep_flights(&mut self) {
        let clock = self.clock;
        let late: Vec<Key> =
            self.flights.iter().filter(|(_, flight)| flight.until <= clock).map(|(key, _)| key).collect();
        for key in late {
            self.silence(key);
        }
    }

    fn fail(&mut self, from: From, query: &[u8]) {
        let mut reply = Vec::new();
        wire::refuse(query, Code::ServerFailure, &mut reply);
        self.give(from, &reply);
    }

    fn give(&mut self, from: From, reply: &[u8]) {
        match from {
            From::Datagram(listener, to) => {
                if let Some(listener) = self.listeners.get(listener) {
                    // A datagram that cannot be sent is lost, as it may be anywhere; the client asks again.
                    let _ = datagrams::send_to(&listener.socket, reply, to);
                }
            }
            From::Stream(client) => self.answer_client(client, reply),
        }
    }
}

/// A socket towards a resolver.
fn open(resolver: IpAddr, stream: bool) -> Result<OwnedFd, Errno> {
    let family = if resolver.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &SocketAddr::new(resolver, PORT)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
