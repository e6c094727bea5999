//! Clients over TCP (RFC 7766): queries one behind the other on a connection, answers as they come.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, acceptfrom_with, recv, send};

use super::forward::From;
use super::slots::Key;
use super::{About, LONGEST_QUERY, MOST_CLIENTS, MOST_CLIENTS_OF_ONE, Server};
use crate::answer::{self, Asker, Outcome};

/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of answers that a client did not take yet.
const MOST_UNSENT: usize = 256 * 1024;
/// Connections that are taken before others get their turn.
const MOST_AT_ONCE: usize = 16;

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    listener: Key,
    peer: SocketAddr,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Queries of this client that are asked elsewhere.
    waiting: usize,
    /// Nothing more comes from there.
    ended: bool,
    until: Instant,
}

impl Server {
    pub(super) fn accept(&mut self, key: Key) {
        for _ in 0..MOST_AT_ONCE {
            let Some(listener) = self.listeners.get(key) else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (socket, peer) = match acceptfrom_with(&listener.socket, flags) {
                Ok((socket, Some(peer))) => (socket, peer),
                Ok(_) | Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    // The oldest connection makes room; without it the listener would wake us for ever.
                    let oldest =
                        self.clients.iter().min_by_key(|(_, client)| client.until).map(|(key, _)| key);
                    if let Some(oldest) = oldest {
                        self.clients.remove(oldest);
                    }
                    return;
                }
                Err(_) => return,
            };
            let Ok(peer) = SocketAddr::try_from(peer) else { continue };
            let of_one = self.clients.iter().filter(|(_, client)| client.peer.ip() == peer.ip()).count();
            if self.clients.len() >= MOST_CLIENTS || of_one >= MOST_CLIENTS_OF_ONE {
                continue;
            }
            let client = Client {
                socket,
                listener: key,
                peer,
                received: Vec::new(),
                unsent: Vec::new(),
                waiting: 0,
                ended: false,
                until: self.clock + PATIENCE,
            };
            let key = self.clients.insert(client);
            let watched = self
                .clients
                .get(key)
                .is_some_and(|client| self.watch(&client.socket, About::Client, key, EventFlags::IN));
            if !watched {
                self.clients.remove(key);
            }
        }
    }

    /// Something happened on a connection.
    pub(super) fn client(&mut self, key: Key, writable: bool) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.ended && !writable {
            // Not asked for, so it is the news that nobody is there any more.
            self.clients.remove(key);
            return;
        }
        if !writable {
            match recv(&client.socket, &mut self.large[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => client.ended = true,
                Ok((length, _)) => {
                    client.received.extend_from_slice(&self.large[..length]);
                    client.until = self.clock + PATIENCE;
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    self.clients.remove(key);
                    return;
                }
            }
            if !self.queries(key) {
                self.clients.remove(key);
                return;
            }
        }
        self.send_to_client(key);
    }

    /// Answers the whole queries among what was received; false when the connection is to be closed.
    fn queries(&mut self, key: Key) -> bool {
        let mut foreign = Vec::new();
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Some(network) = self.listeners.get(client.listener).and_then(|listener| listener.place) else {
            return false;
        };
        let asker = Asker { network, address: client.peer.ip(), tcp: true };
        let mut at = 0;
        while let Some((length, rest)) = client.received[at..].split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > LONGEST_QUERY {
                return false;
            }
            let Some(query) = rest.get(..length) else { break };
            self.turn = self.turn.wrapping_add(1);
            match answer::answer(&self.table, asker, query, self.turn, &mut self.out) {
                Outcome::Answer => frame(&mut client.unsent, &self.out),
                Outcome::Forward => foreign.push(query.to_vec()),
                Outcome::Drop => return false,
            }
            at += 2 + length;
            if client.unsent.len() > MOST_UNSENT {
                return false;
            }
        }
        client.received.drain(..at);
        client.waiting += foreign.len();
        for query in foreign {
            self.forward(query, asker, From::Stream(key));
        }
        true
    }

    /// An answer from elsewhere.
    pub(super) fn answer_client(&mut self, key: Key, answer: &[u8]) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.waiting = client.waiting.saturating_sub(1);
        client.until = self.clock + PATIENCE;
        frame(&mut client.unsent, answer);
        if client.unsent.len() > MOST_UNSENT {
            self.clients.remove(key);
            return;
        }
        self.send_to_client(key);
    }

    fn send_to_client(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut sent = 0;
        while sent < client.unsent.len() {
            match send(&client.socket, &client.unsent[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.clients.remove(key);
                    return;
                }
            }
        }
        client.unsent.drain(..sent);
        if client.ended && client.unsent.is_empty() && client.waiting == 0 {
            self.clients.remove(key);
            return;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !client.ended && client.unsent.is_empty());
        flags.set(EventFlags::OUT, !client.unsent.is_empty());
        if let Some(client) = self.clients.get(key) {
            self.watch_again(&client.socket, About::Client, key, flags);
        }
    }

    /// Closes connections that said nothing for long.
    pub(super) fn sweep_clients(&mut self) {
        let clock = self.clock;
        let late: Vec<Key> = self
            .clients
            .iter()
            .filter(|(_, client)| client.until <= clock && client.waiting == 0)
            .map(|(key, _)| key)
            .collect();
        for key in late {
            self.clients.remove(key);
        }
    }
}

/// A message as it goes over a stream: its length before it (RFC 1035, 4.2.2).
pub(super) fn frame(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(message);
}
