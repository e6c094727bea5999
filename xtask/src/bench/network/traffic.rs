//! What goes from one container to another, and in by a published port: beside the same made by hand, in a host of its own that has no rules but the one
//! that publishes the port.
//!
//! A way by hand and holm's take turns of a quarter of a second, client and server on a processor each; each turn is compared with the one
//! beside it, and the middle of that counts. So it says something on a machine that is not equally fast all the time.

use super::super::stats::Series;
use super::{CLONE_NEWNET, Failure, HOST, Room, hand_bridge, hand_made, namespace, outside_of, within};
use netlink::netfilter::{Base, Chain, Expr, Family, Hook, Meta, Place, Reg, Transaction};
use netlink::route::links;
use netlink::{Protocol, Socket};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// How long a turn is.
const TURN: Duration = Duration::from_millis(250);
const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// A way from a client to a server, and what was measured on it.
struct Way {
    name: &'static str,
    bulk: TcpStream,
    trips: TcpStream,
    /// Gbit/s and microseconds.
    rate: Series,
    latency: Series,
}

pub(super) fn measure(room: &Room, rounds: u32, text: &mut String) -> Result<(), Failure> {
    let (own_client, own_server) = (namespace(&room.host)?, namespace(&room.host)?);
    let one = room.attach(own_client.try_clone()?, 1, None)?;
    let two = room.attach(own_server.try_clone()?, 2, Some(80))?;
    let target = two.endpoints()[0].addresses().next().ok_or("no address")?;
    let (bridged, routed) = (Hand::new(room, false)?, Hand::new(room, true)?);
    for server in [&own_server, &bridged.server, &routed.server] {
        serve(server)?;
    }
    let hand = IpAddr::from([10, 98, 0, 3]);
    let mut pairs = [
        (
            "between containers, beside a bridge alone",
            [
                Way::new("two containers: bridge by hand", &bridged.client, hand)?,
                Way::new("two containers: holm", &own_client, target)?,
            ],
        ),
        (
            "beside a bridge with a way out",
            [
                Way::new("two containers: bridge by hand, with a way out", &routed.client, hand)?,
                Way::new("two containers: holm", &own_client, target)?,
            ],
        ),
        (
            "through a published port",
            [
                Way::new("from outside: published by hand", &routed.outside, HOST.into())?,
                Way::new("from outside: holm, published port", &room.outside, HOST.into())?,
            ],
        ),
    ];
    let _ = writeln!(
        text,
        "\n| TCP, one connection ({rounds} turns each) | Gbit/s, median | p90 | round trip, us, median | p10 |\n|---|---|---|---|---|"
    );
    let mut said = Vec::new();
    for (what, ways) in &mut pairs {
        // On a thread of its own, which stays on its processor.
        let turns = thread::scope(|scope| scope.spawn(|| take_turns(ways, rounds)).join());
        let [rate, trip] = turns.map_err(|_| "a turn")??;
        for way in ways.iter() {
            let (median, most) = (way.rate.median(), way.rate.quantile(0.9));
            let (trip, least) = (way.latency.median(), way.latency.p10());
            let _ = writeln!(text, "| {} | {median:.2} | {most:.2} | {trip:.2} | {least:.2} |", way.name);
        }
        let spread = |ratios: &Series| {
            let (low, high) = (ratios.quantile(0.25), ratios.quantile(0.75));
            format!("{:.3} ({low:.3} to {high:.3})", ratios.median())
        };
        said.push(format!("{what} {} of the throughput, {} of the round trip", spread(&rate), spread(&trip)));
    }
    let _ = writeln!(
        text,
        "\nholm by hand-made, each turn by the one beside it, median (quartiles): {}.",
        said.join("; ")
    );
    drop(pairs);
    Room::detach(one)?;
    Room::detach(two)
}

/// Lets two ways take turns; what the second has of the first, for throughput and round trips.
fn take_turns(ways: &mut [Way; 2], rounds: u32) -> Result<[Series; 2], Failure> {
    let mut ratios = [Series::default(), Series::default()];
    for round in 0..rounds + 2 {
        let mut values = [(0.0, 0.0); 2];
        // Who is first takes turns, too.
        let first = (round % 2) as usize;
        for index in [first, 1 - first] {
            let way = &mut ways[index];
            values[index] = (way.rate()?, way.trip()?);
            if round >= 2 {
                way.rate.values.push(values[index].0);
                way.latency.values.push(values[index].1);
            }
        }
        if round >= 2 {
            ratios[0].values.push(values[1].0 / values[0].0);
            ratios[1].values.push(values[1].1 / values[0].1);
        }
    }
    Ok(ratios)
}

/// A host made by hand, with two containers on a bridge and somebody outside.
struct Hand {
    outside: OwnedFd,
    client: OwnedFd,
    server: OwnedFd,
    /// Nobody else holds it.
    _host: OwnedFd,
}

impl Hand {
    /// With rules that lead port 80 to the server and let the containers out, or with no rule at all.
    fn new(room: &Room, rules: bool) -> Result<Self, Failure> {
        let host = namespace(&room.host)?;
        sys::ns::join(&host, CLONE_NEWNET)?;
        let made = (|| {
            let outside = outside_of(&host)?;
            hand_bridge()?;
            let (client, server) = (hand_made(&host, "h1", 2)?, hand_made(&host, "h2", 3)?);
            if rules {
                publish()?;
            }
            Ok((outside, client, server))
        })();
        sys::ns::join(&room.host, CLONE_NEWNET)?;
        made.map(|(outside, client, server)| Self { outside, client, server, _host: host })
    }
}

/// `nft add rule ip hand prerouting iifname != "hand" tcp dport 80 dnat to 10.98.0.3:80`, and
/// `nft add rule ip hand postrouting ip saddr 10.98.0.0/24 oifname != "hand" masquerade`
fn publish() -> Result<(), Failure> {
    const TABLE: &str = "hand";
    let mut changes = Transaction::new();
    changes.add_table(Family::Ipv4, TABLE);
    let place = Some(Place { hook: Hook::Prerouting, priority: -100, kind: "nat", drops: false });
    changes.add_chain(Family::Ipv4, TABLE, &Chain { name: "prerouting", place });
    let bridge = links::index_of(&mut Socket::open(Protocol::Route)?, "hand")?.to_ne_bytes().to_vec();
    let rule = [
        Expr::Meta(Meta::Iif, Reg(0)),
        Expr::Differs(Reg(0), bridge.clone()),
        Expr::Meta(Meta::L4Proto, Reg(0)),
        Expr::Equal(Reg(0), vec![6]),
        Expr::Payload { base: Base::Transport, offset: 2, len: 2, to: Reg(0) },
        Expr::Equal(Reg(0), vec![0, 80]),
        Expr::Load(Reg(0), vec![10, 98, 0, 3]),
        Expr::Load(Reg(1), vec![0, 80]),
        Expr::DestinationNat(Family::Ipv4, Reg(0), Reg(1)),
    ];
    changes.add_rule(Family::Ipv4, TABLE, "prerouting", &rule, "");
    let place = Some(Place { hook: Hook::Postrouting, priority: 100, kind: "nat", drops: false });
    changes.add_chain(Family::Ipv4, TABLE, &Chain { name: "postrouting", place });
    let rule = [
        Expr::Payload { base: Base::Network, offset: 12, len: 3, to: Reg(0) },
        Expr::Equal(Reg(0), vec![10, 98, 0]),
        Expr::Meta(Meta::Oif, Reg(0)),
        Expr::Differs(Reg(0), bridge),
        Expr::Masquerade,
    ];
    changes.add_rule(Family::Ipv4, TABLE, "postrouting", &rule, "");
    Ok(changes.commit(&mut Socket::open(Protocol::Netfilter)?)?)
}

/// Puts this thread on a processor: clients on the first, servers on the second.
fn stay_on(processor: usize) {
    let mut mask = [0u8; 128];
    mask[processor / 8] = 1 << (processor % 8);
    // On a machine with one there is no choice.
    let _ = sys::raw::sched_setaffinity(&mask);
}

/// Answers on port 80 in a namespace for as long as the process lives: a first byte of 1 is echoed, and so is each byte behind it; anything else is
/// swallowed.
fn serve(namespace: &OwnedFd) -> Result<(), Failure> {
    let listener = within(namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))?;
    without_pacing(&listener);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || swallow(stream));
        }
    });
    Ok(())
}

/// Lets a sender send what the way takes. Some kernels are built with one by default that goes by the clock (BBR), which is another thing to measure.
fn without_pacing(socket: impl AsFd) {
    let _ = rustix::net::sockopt::set_tcp_congestion(socket, "cubic");
}

fn swallow(mut stream: TcpStream) {
    stay_on(1);
    let _ = stream.set_nodelay(true);
    let mut block = vec![0; 256 * 1024];
    let mut echo = None;
    while let Ok(count @ 1..) = stream.read(&mut block) {
        if *echo.get_or_insert(block[0] == 1) && stream.write_all(&block[..count]).is_err() {
            break;
        }
    }
}

impl Way {
    fn new(name: &'static str, client: &OwnedFd, to: IpAddr) -> Result<Self, Failure> {
        let to = SocketAddr::new(to, 80);
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(5));
        // A listener of this process is there already.
        let (bulk, trips) = within(client, || Ok::<_, std::io::Error>((connect()?, connect()?)))?;
        without_pacing(&bulk);
        without_pacing(&trips);
        bulk.set_write_timeout(PATIENCE)?;
        trips.set_read_timeout(PATIENCE)?;
        trips.set_nodelay(true)?;
        Ok(Self { name, bulk, trips, rate: Series::default(), latency: Series::default() })
    }

    /// Gbit/s for a turn.
    fn rate(&mut self) -> Result<f64, Failure> {
        stay_on(0);
        let block = vec![0; 256 * 1024];
        let start = Instant::now();
        let mut bytes = 0;
        while start.elapsed() < TURN {
            self.bulk.write_all(&block)?;
            bytes += block.len();
        }
        Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
    }

    /// Microseconds of a round trip of one byte, the mean of as many as fit into a turn.
    fn trip(&mut self) -> Result<f64, Failure> {
        stay_on(0);
        let mut byte = [1];
        let start = Instant::now();
        let mut trips = 0;
        while start.elapsed() < TURN {
            self.trips.write_all(&byte)?;
            self.trips.read_exact(&mut byte)?;
            trips += 1;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(trips))
    }
}
