//! Limits and counters, with real traffic over a cable between two network namespaces.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use netlink::route::links::{self, Which};
use netlink::tc::{self, Limits, Rate};
use netlink::{Protocol, Requests, Socket};
use report::Explain as _;
use sys::Errno;

const CLONE_NEWNET: u64 = 0x4000_0000;
const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// This thread's namespace is the host, which a cable joins with another one.
struct Cable {
    socket: Socket,
    index: u32,
    inside: File,
}

fn own() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

impl Cable {
    fn new(test: &str) -> Option<Self> {
        if let Err(errno) = sys::raw::unshare(CLONE_NEWNET) {
            eprintln!("SKIPPED {test}: no network namespace of its own: {errno}");
            return None;
        }
        let inside = thread::spawn(|| {
            sys::raw::unshare(CLONE_NEWNET).unwrap();
            own()
        });
        let inside = inside.join().unwrap();
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let mut batch = Requests::new();
        links::add_pair(&mut batch, "vhost", "eth0");
        socket.transact(&mut batch).unwrap();
        batch.clear();
        let index = links::index_of(&mut socket, "vhost").unwrap();
        links::move_to(&mut batch, Which::Named("eth0"), std::os::fd::AsFd::as_fd(&inside));
        links::add_address(&mut batch, index, HOST.into(), 24);
        links::set_up(&mut batch, Which::Index(index), true);
        socket.transact(&mut batch).unwrap();
        let cable = Self { socket, index, inside };
        cable.within(|| {
            let mut socket = Socket::open(Protocol::Route).unwrap();
            let mut batch = Requests::new();
            let index = links::index_of(&mut socket, "eth0").unwrap();
            links::add_address(&mut batch, index, CONTAINER.into(), 24);
            links::set_up(&mut batch, Which::Index(index), true);
            socket.transact(&mut batch).unwrap();
        });
        Some(cable)
    }

    /// Does something at the other end.
    fn within<R: Send>(&self, action: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                sys::ns::join(&self.inside, CLONE_NEWNET).unwrap();
                action()
            });
            inside.join().unwrap()
        })
    }

    /// Sets limits, or says what the kernel lacks.
    fn limit(&mut self, test: &str, up: Option<&str>, down: Option<&str>) -> Option<()> {
        let rate = |text: Option<&str>| text.map(|text| text.parse::<Rate>().unwrap());
        let limits = Limits { up: rate(up), down: rate(down) };
        match tc::limit(&mut self.socket, "vhost", self.index, 1500, limits) {
            Ok(()) => Some(()),
            Err(error) if error.missing.is_some() => {
                assert_eq!(error.kind(), report::Kind::Unsupported);
                eprintln!("SKIPPED {test}: {}", report::one_line(&error));
                None
            }
            Err(error) => panic!("{}", report::render(&error)),
        }
    }

    /// Bits a second of one connection, from inside to the host for `up`.
    fn rate(&self, up: bool, bytes: usize) -> f64 {
        let serve = |address: Ipv4Addr| TcpListener::bind(SocketAddr::new(IpAddr::V4(address), 0)).unwrap();
        let send = |to: SocketAddr| {
            let mut stream = TcpStream::connect(to).unwrap();
            let block = vec![7u8; 64 * 1024];
            let mut left = bytes;
            while left > 0 {
                let count = left.min(block.len());
                stream.write_all(&block[..count]).unwrap();
                left -= count;
            }
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0]);
        };
        // From the first byte to the last, as the receiver has it.
        let receive = |listener: TcpListener| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut block = vec![0u8; 256 * 1024];
            let (mut start, mut total) = (None, 0usize);
            loop {
                match stream.read(&mut block).unwrap() {
                    0 => break,
                    count => {
                        start.get_or_insert_with(Instant::now);
                        total += count;
                    }
                }
            }
            assert_eq!(total, bytes);
            total as f64 * 8.0 / start.unwrap().elapsed().as_secs_f64()
        };
        thread::scope(|scope| {
            if up {
                let listener = serve(HOST);
                let to = listener.local_addr().unwrap();
                let receiver = scope.spawn(move || receive(listener));
                self.within(|| send(to));
                receiver.join().unwrap()
            } else {
                let listener = self.within(|| serve(CONTAINER));
                let to = listener.local_addr().unwrap();
                let receiver = scope.spawn(move || receive(listener));
                send(to);
                receiver.join().unwrap()
            }
        })
    }
}

/// What TCP leaves of a link's rate for the data of full packets: 1448 of 1514 bytes.
const DATA: f64 = 1448.0 / 1514.0;

/// The limit holds: never more than a tenth above it, and of three measurements one at least that is no more than a tenth below, since a
/// busy machine takes time from any.
fn holds(cable: &Cable, up: bool, bytes: usize, wanted: f64, what: &str) {
    let mut lowest = Vec::new();
    for _ in 0..3 {
        let ratio = cable.rate(up, bytes) / (wanted * DATA);
        assert!(ratio <= 1.1, "{what}: {ratio:.3} times what was asked for");
        if ratio >= 0.9 {
            return;
        }
        lowest.push(ratio);
    }
    panic!("{what}: {lowest:.3?} times what was asked for");
}

#[test]
fn what_is_sent_and_received_keeps_within_a_tenth_of_its_limit() {
    const TEST: &str = "what_is_sent_and_received_keeps_within_a_tenth_of_its_limit";
    let Some(mut cable) = Cable::new(TEST) else { return };
    let Some(()) = cable.limit(TEST, Some("20m"), Some("80m")) else { return };
    holds(&cable, true, 4_000_000, 20e6, "up");
    holds(&cable, false, 16_000_000, 80e6, "down");
    // Another limit takes the place of the first.
    cable.limit(TEST, Some("50m"), None).unwrap();
    holds(&cable, true, 10_000_000, 50e6, "up, changed");
    holds(&cable, false, 16_000_000, 80e6, "down, still");
    // What is sent is free again without the detour.
    tc::remove(&mut cable.socket, "vhost").unwrap();
    tc::remove(&mut cable.socket, "vhost").unwrap();
    assert!(links::index_of(&mut cable.socket, &tc::detour("vhost")).is_err());
}

#[test]
fn a_slow_limit_holds_too() {
    const TEST: &str = "a_slow_limit_holds_too";
    let Some(mut cable) = Cable::new(TEST) else { return };
    let Some(()) = cable.limit(TEST, Some("1mbit"), None) else { return };
    holds(&cable, true, 300_000, 1e6, "up");
}

#[test]
fn the_inside_sees_no_discipline_that_it_could_change() {
    const TEST: &str = "the_inside_sees_no_discipline_that_it_could_change";
    let Some(mut cable) = Cable::new(TEST) else { return };
    let Some(()) = cable.limit(TEST, Some("20m"), Some("20m")) else { return };
    // With every right over its own namespace, it sets what it likes on its own end.
    let outcome = cable.within(|| {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let index = links::index_of(&mut socket, "eth0").unwrap();
        assert_eq!(
            links::index_of(&mut socket, &tc::detour("vhost")).unwrap_err().errno(),
            Some(Errno::NODEV)
        );
        let limits = Limits { up: None, down: Some(Rate::new(Rate::MOST).unwrap()) };
        tc::limit(&mut socket, "eth0", index, 1500, limits).map_err(|error| report::one_line(&error))
    });
    outcome.unwrap();
    holds(&cable, true, 4_000_000, 20e6, "up");
    holds(&cable, false, 4_000_000, 20e6, "down");
}

#[test]
fn traffic_is_counted_from_either_end_with_what_was_dropped() {
    const TEST: &str = "traffic_is_counted_from_either_end_with_what_was_dropped";
    let Some(mut cable) = Cable::new(TEST) else { return };
    let before =
        links::traffic(&mut cable.socket, Which::Index(cable.index)).unwrap().seen_from_the_other_end();
    cable.within(|| {
        let socket = UdpSocket::bind((CONTAINER, 0)).unwrap();
        for _ in 0..100 {
            let _ = socket.send_to(&[0; 1000], (HOST, 9));
        }
    });
    let after =
        links::traffic(&mut cable.socket, Which::Index(cable.index)).unwrap().seen_from_the_other_end();
    let (packets, bytes) = (after.sent.packets - before.sent.packets, after.sent.bytes - before.sent.bytes);
    // Beside ours there are questions for neighbours and the like.
    assert!(
        (100..130).contains(&packets) && (104_200..110_000).contains(&bytes),
        "{packets} packets, {bytes} bytes"
    );
    assert_eq!(after.sent.errors + after.received.errors, 0);
    assert_eq!(
        links::traffic(&mut cable.socket, Which::Named("none")).unwrap_err().errno(),
        Some(Errno::NODEV)
    );
    assert_eq!(tc::dropped(&mut cable.socket, cable.index).unwrap(), 0);
    let Some(()) = cable.limit(TEST, None, Some("100k")) else { return };
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    for _ in 0..300 {
        let _ = socket.send_to(&[0; 1000], (CONTAINER, 9));
    }
    // 36 KB may wait, the rest has no place.
    let until = Instant::now() + Duration::from_secs(2);
    while tc::dropped(&mut cable.socket, cable.index).unwrap() < 200 {
        assert!(Instant::now() < until, "{}", tc::dropped(&mut cable.socket, cable.index).unwrap());
    }
}

#[test]
fn a_link_that_is_not_there_is_said_and_nothing_stays() {
    const TEST: &str = "a_link_that_is_not_there_is_said_and_nothing_stays";
    let Some(mut cable) = Cable::new(TEST) else { return };
    let limits = Limits { up: Some(Rate::new(1_000_000).unwrap()), down: None };
    let error = tc::limit(&mut cable.socket, "gone", 4711, 1500, limits).unwrap_err();
    assert_eq!(error.to_string(), "limit what link gone sends");
    assert!(links::index_of(&mut cable.socket, &tc::detour("gone")).is_err());
}
