//! A resolver of the host's, for tests: it answers every name with one address, and counts.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use dns::wire::{self, Question, Reply};

use crate::lab::Lab;

pub(crate) struct Upstream {
    datagrams: Arc<AtomicU32>,
    streams: Arc<AtomicU32>,
}

fn answer(query: &[u8], says: IpAddr, count: usize, limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let question = Question::read(query).unwrap();
    let name = question.name.text().unwrap_or_default().to_owned();
    let mut reply = Reply::new(&question, limit, &mut out);
    let count = if name.starts_with("big.") { 100 } else { count };
    for _ in 0..count {
        reply.address(60, says);
    }
    reply.finish(wire::Code::NoError, false);
    out
}

impl Upstream {
    /// Serves on port 53 of `address`, which is added to the loopback link, and says `says`.
    pub(crate) fn new(lab: &Lab, address: &str, says: &str) -> Self {
        lab.ip(&format!("addr add {address}/32 dev lo"));
        let address = SocketAddr::new(address.parse().unwrap(), 53);
        let says: IpAddr = says.parse().unwrap();
        let upstream = Self { datagrams: Arc::default(), streams: Arc::default() };
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let count = Arc::clone(&upstream.datagrams);
        // The threads end with the test's program; their namespace does not outlive it.
        thread::spawn(move || {
            let mut query = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut query) {
                count.fetch_add(1, Ordering::SeqCst);
                let limit = Question::read(&query[..length]).unwrap().udp_limit();
                let mut good = answer(&query[..length], says, 1, limit);
                // A liar sends first: another number, another address.
                let mut lie = answer(&query[..length], "6.6.6.6".parse().unwrap(), 1, limit);
                lie[0] ^= 0xff;
                udp.send_to(&lie, from).unwrap();
                udp.send_to(&good, from).unwrap();
                good.clear();
            }
        });
        let count = Arc::clone(&upstream.streams);
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut query = vec![0; u16::from_be_bytes(length).into()];
                        if stream.read_exact(&mut query).is_err() {
                            return;
                        }
                        let reply = answer(&query, says, 1, 65535);
                        // In two pieces, as a network may deliver it.
                        let whole = [&(reply.len() as u16).to_be_bytes() as &[u8], &reply].concat();
                        let (one, two) = whole.split_at(7);
                        stream.write_all(one).unwrap();
                        thread::sleep(Duration::from_millis(5));
                        let _ = stream.write_all(two);
                    }
                });
            }
        });
        upstream
    }

    /// How many questions came, over UDP and TCP.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.datagrams.load(Ordering::SeqCst), self.streams.load(Ordering::SeqCst))
    }
}
