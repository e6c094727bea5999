//! The answerer: one thread, one epoll(7), no files.
//!
//! [`serve`] takes the socket towards the keeper and runs until that closes. Everything that a client can make us keep is
//! bounded by a constant here: connections, questions on their way, bytes of each.

mod clients;
mod forward;
mod slots;

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use sys::datagrams::Batch;
use sys::{SyscallError, channel};

use crate::answer::{self, Asker, Outcome};
use crate::table::Table;
use crate::{Error, sandbox};
use clients::Client;
use forward::{Flight, From};
use slots::{Key, Slots};

/// The longest query that is looked at. A name takes 255 bytes; EDNS options are short.
pub(crate) const LONGEST_QUERY: usize = 4096;
/// Questions on their way to resolvers.
const MOST_FLIGHTS: usize = 512;
/// Of these, from one address.
const MOST_FLIGHTS_OF_ONE: usize = 128;
/// Connections of clients.
const MOST_CLIENTS: usize = 128;
/// Of these, from one address.
const MOST_CLIENTS_OF_ONE: usize = 16;
/// How often what waits is looked at.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Batches of datagrams that are answered before others get their turn.
const BATCHES: usize = 8;

/// What the keeper sends, by the first byte of a message.
pub(crate) mod order {
    /// A table: its number and its length, eight bytes each, with the text in a file.
    pub(crate) const TABLE: u8 = b'T';
    /// A bound UDP socket, with the network's name.
    pub(crate) const DATAGRAMS: u8 = b'U';
    /// A listening TCP socket, with the network's name.
    pub(crate) const STREAMS: u8 = b'S';
    /// A network's sockets are to be closed.
    pub(crate) const CLOSE: u8 = b'C';
}

#[derive(Debug)]
struct Listener {
    network: String,
    /// The network's place in the table.
    place: Option<usize>,
    socket: OwnedFd,
    stream: bool,
}

#[derive(Debug)]
struct Server {
    epoll: OwnedFd,
    control: OwnedFd,
    table: Table,
    listeners: Slots<Listener>,
    clients: Slots<Client>,
    flights: Slots<Flight>,
    /// Resolvers that did not answer, and until when others are asked first.
    silent: HashMap<IpAddr, Instant>,
    batch: Batch,
    out: Vec<u8>,
    large: Vec<u8>,
    turn: usize,
    clock: Instant,
}

/// What an event is about, in the upper bits of its number.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum About {
    Control = 0,
    Listener = 1,
    Client = 2,
    Flight = 3,
}

fn token(about: About, key: Key) -> epoll::EventData {
    let number = (about as u64) << 56 | u64::from(key.generation) << 32 | u64::from(key.index);
    epoll::EventData::new_u64(number)
}

/// Answers queries for as long as the keeper is there.
///
/// # Errors
/// When the process cannot give up its rights, or the kernel has no memory for it.
pub fn serve(control: OwnedFd) -> Result<(), Error> {
    sys::raw::set_name(c"holm-dns");
    let failed =
        |call: &'static str| move |errno: rustix::io::Errno| Error::Serve(SyscallError::new(call, "", errno));
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create1"))?;
    let none = Key { index: 0, generation: 0 };
    epoll::add(&epoll, &control, token(About::Control, none), epoll::EventFlags::IN)
        .map_err(failed("epoll_ctl"))?;
    sandbox::enter().map_err(Error::Serve)?;
    let mut server = Server {
        epoll,
        control,
        table: Table::default(),
        listeners: Slots::new(),
        clients: Slots::new(),
        flights: Slots::new(),
        silent: HashMap::new(),
        batch: Batch::new(LONGEST_QUERY),
        out: Vec::with_capacity(4096),
        large: vec![0; 64 * 1024],
        turn: 0,
        clock: Instant::now(),
    };
    server.run().map_err(failed("epoll_wait"))
}

impl Server {
    fn run(&mut self) -> Result<(), rustix::io::Errno> {
        let mut events = Vec::with_capacity(64);
        let mut swept = Instant::now();
        loop {
            let idle = self.flights.len() == 0 && self.clients.len() == 0;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), (!idle).then_some(&TICK)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            self.clock = Instant::now();
            for event in events.drain(..) {
                let number = event.data.u64();
                let key = Key { index: number as u32, generation: (number >> 32) as u16 };
                let flags = event.flags;
                match number >> 56 {
                    0 if !self.control() => return Ok(()),
                    1 => self.listener(key),
                    2 => self.client(key, flags.contains(epoll::EventFlags::OUT)),
                    3 => self.flight(key),
                    _ => {}
                }
            }
            if self.clock.duration_since(swept) >= Duration::from_millis(100) {
                swept = self.clock;
                self.sweep_flights();
                self.sweep_clients();
            }
        }
    }

    fn watch(&self, socket: impl AsFd, about: About, key: Key, flags: epoll::EventFlags) -> bool {
        epoll::add(&self.epoll, socket, token(about, key), flags).is_ok()
    }

    fn watch_again(&self, socket: impl AsFd, about: About, key: Key, flags: epoll::EventFlags) {
        let _ = epoll::modify(&self.epoll, socket, token(about, key), flags);
    }

    /// Takes one order of the keeper; false when it is gone.
    fn control(&mut self) -> bool {
        let mut message = [0; 512];
        let Ok((length, mut descriptors)) = channel::receive(&self.control, &mut message) else {
            return false;
        };
        let Some((order, rest)) = message[..length].split_first() else { return false };
        let name = || String::from_utf8_lossy(rest).into_owned();
        match (*order, descriptors.pop()) {
            (order::TABLE, Some(file)) => {
                let (Some(number), Some(size)) = (rest.get(..8), rest.get(8..16)) else { return false };
                let size = u64::from_le_bytes(size.try_into().unwrap_or_default()) as usize;
                let Some(text) = read(&file, size) else { return false };
                drop(file);
                self.table = Table::read(&text);
                for listener in self.listeners.iter_mut() {
                    listener.place = self.table.find(&listener.network);
                }
                return channel::send(&self.control, number, &[]).is_ok();
            }
            (kind @ (order::DATAGRAMS | order::STREAMS), Some(socket)) => {
                let listener =
                    Listener { network: name(), place: None, socket, stream: kind == order::STREAMS };
                let key = self.listeners.insert(listener);
                if let Some(listener) = self.listeners.get(key) {
                    self.watch(&listener.socket, About::Listener, key, epoll::EventFlags::IN);
                }
            }
            (order::CLOSE, _) => {
                let network = name();
                let closed: Vec<Key> = self
                    .listeners
                    .iter()
                    .filter(|(_, listener)| listener.network == network)
                    .map(|(key, _)| key)
                    .collect();
                for key in closed {
                    self.listeners.remove(key);
                }
            }
            _ => {}
        }
        true
    }

    fn listener(&mut self, key: Key) {
        let Some(listener) = self.listeners.get(key) else { return };
        if listener.stream {
            self.accept(key);
        } else {
            self.datagrams(key);
        }
    }

    /// Answers what lies in the buffer of a UDP socket.
    fn datagrams(&mut self, key: Key) {
        for _ in 0..BATCHES {
            let Some(listener) = self.listeners.get(key) else { return };
            let Ok(count) = self.batch.receive(&listener.socket) else { return };
            let mut foreign = Vec::new();
            for index in 0..count {
                let Some((query, sender)) = self.batch.get(index) else { continue };
                let Some(network) = listener.place else { continue };
                let asker = Asker { network, address: sender.ip(), tcp: false };
                self.turn = self.turn.wrapping_add(1);
                match answer::answer(&self.table, asker, query, self.turn, &mut self.out) {
                    Outcome::Answer => self.batch.answer(index, &self.out),
                    Outcome::Forward => foreign.push((query.to_vec(), asker, sender)),
                    Outcome::Drop => {}
                }
            }
            self.batch.send(&listener.socket);
            for (query, asker, sender) in foreign {
                self.forward(query, asker, From::Datagram(key, sender));
            }
            if count < sys::raw::MANY {
                return;
            }
        }
    }
}

/// Reads a file of the keeper's from its start.
fn read(file: &OwnedFd, size: usize) -> Option<String> {
    let mut bytes = vec![0; size];
    let mut at = 0;
    while at < size {
        match rustix::io::pread(file, &mut bytes[at..], at as u64) {
            Ok(0) => return None,
            Ok(count) => at += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    String::from_utf8(bytes).ok()
}
