//! The server of container names, asked by real clients over real links: bridges, veth pairs and namespaces of each test's own.

mod lab;
mod life;
mod rules;
mod upstream;

use std::net::{IpAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dns::wire::{self, kind};
use dns::{Entry, Zone};
use lab::{Lab, Reply, ask, ask_for, ask_tcp, entry, within};
use upstream::Upstream;

const NO_SUCH_NAME: u8 = 3;
const FAILED: u8 = 2;

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn containers_find_each_other_over_udp_and_tcp_and_both_families() {
    let Some(lab) = Lab::new("containers_find_each_other_over_udp_and_tcp_and_both_families") else { return };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.container("db", 1, 3);
    lab.attach(&zone, "web", 2);
    lab.attach(&zone, "db", 3);
    within("web", || {
        for server in ["10.89.1.1", "fd00:89:1::1"] {
            assert_eq!(ask(server, "db", kind::A).unwrap().addresses, ips(&["10.89.1.3"]));
            assert_eq!(
                ask(server, "DB.holm.internal", kind::AAAA).unwrap().addresses,
                ips(&["fd00:89:1::3"])
            );
            assert_eq!(ask(server, "all", kind::A).unwrap().addresses, ips(&["10.89.1.2", "10.89.1.3"]));
            assert_eq!(ask(server, "3.1.89.10.in-addr.arpa", kind::PTR).unwrap().answers, 1);
            let missing = ask(server, "nobody.holm.internal", kind::A).unwrap();
            assert_eq!((missing.code, missing.answers), (NO_SUCH_NAME, 0));
            let queries: Vec<Vec<u8>> = ["db", "web", "nobody"]
                .iter()
                .zip(1..)
                .map(|(name, id)| wire::query(id, name, kind::A, None))
                .collect();
            let replies = ask_tcp(server, &queries);
            let seen: Vec<(u16, u8)> = replies.iter().map(|reply| (reply.id, reply.code)).collect();
            assert_eq!(seen, [(1, 0), (2, 0), (3, NO_SUCH_NAME)]);
            assert_eq!(replies[0].addresses, ips(&["10.89.1.3"]));
        }
    });
}

#[test]
fn a_name_goes_with_its_container() {
    let Some(lab) = Lab::new("a_name_goes_with_its_container") else { return };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    lab.attach(&zone, "db", 3);
    dns::withdraw(&lab.directory, "net1", "id-db").unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while within("web", || ask("10.89.1.1", "db", kind::A)).unwrap().code != NO_SUCH_NAME {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn foreign_names_are_asked_of_the_hosts_resolvers_as_they_are_now() {
    let Some(lab) = Lab::new("foreign_names_are_asked_of_the_hosts_resolvers_as_they_are_now") else {
        return;
    };
    let first = Upstream::new(&lab, "192.0.2.53", "198.51.100.1");
    let second = Upstream::new(&lab, "192.0.2.54", "198.51.100.2");
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    let asked = |name: &str| within("web", || ask("10.89.1.1", name, kind::A)).unwrap();
    assert_eq!(asked("example.org").addresses, ips(&["198.51.100.1"]), "and not what a liar said");
    // A long answer: cut over UDP, whole over TCP.
    let cut = asked("big.example.org");
    assert!(cut.truncated);
    let whole = within("web", || ask_tcp("10.89.1.1", &[wire::query(9, "big.example.org", kind::A, None)]));
    assert_eq!((whole[0].answers, whole[0].id, whole[0].truncated), (100, 9, false));
    assert!(first.counts().0 >= 2 && first.counts().1 == 1);
    // An unknown name without a dot is nobody's business.
    let before = first.counts();
    assert_eq!(asked("secret-name").code, NO_SUCH_NAME);
    assert_eq!(first.counts(), before);
    lab.resolvers("192.0.2.54");
    let until = Instant::now() + Duration::from_secs(5);
    while asked("example.org").addresses != ips(&["198.51.100.2"]) {
        assert!(Instant::now() < until, "the new resolver is not asked");
        sleep(Duration::from_millis(5));
    }
    assert!(second.counts().0 >= 1);
    assert_eq!(
        std::fs::read_to_string("/etc/resolv.conf").unwrap(),
        "nameserver 192.0.2.54\n",
        "the host's file is left alone"
    );
}

#[test]
fn a_resolver_that_is_silent_or_refuses_is_passed_over() {
    let Some(lab) = Lab::new("a_resolver_that_is_silent_or_refuses_is_passed_over") else { return };
    let _good = Upstream::new(&lab, "192.0.2.53", "198.51.100.1");
    // Nobody listens at the first; the second takes everything and says nothing.
    lab.ip("addr add 192.0.2.60/32 dev lo");
    lab.ip("addr add 192.0.2.61/32 dev lo");
    let _mute = std::net::UdpSocket::bind("192.0.2.61:53").unwrap();
    let zone = Zone { resolvers: ips(&["192.0.2.60", "192.0.2.61", "192.0.2.53"]), ..lab.network(1, false) };
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    within("web", || {
        assert_eq!(ask("10.89.1.1", "example.org", kind::A).unwrap().addresses, ips(&["198.51.100.1"]));
        // From now on the one that answers is first.
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(ask("10.89.1.1", "example.org", kind::A).unwrap().addresses, ips(&["198.51.100.1"]));
        }
        assert!(start.elapsed() < Duration::from_millis(1500 * 20), "each time it was waited for");
    });
    // Where nobody answers at all, the client is told.
    let zone = Zone { resolvers: ips(&["192.0.2.60"]), ..zone };
    lab.attach(&zone, "web", 2);
    let until = Instant::now() + Duration::from_secs(20);
    while within("web", || ask("10.89.1.1", "example.org", kind::A)).is_none_or(|reply| reply.code != FAILED)
    {
        assert!(Instant::now() < until);
    }
}

#[test]
fn a_container_may_have_resolvers_of_its_own() {
    let Some(lab) = Lab::new("a_container_may_have_resolvers_of_its_own") else { return };
    let _host = Upstream::new(&lab, "192.0.2.53", "198.51.100.1");
    let _own = Upstream::new(&lab, "192.0.2.54", "198.51.100.2");
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.container("db", 1, 3);
    lab.attach(&zone, "web", 2);
    let own = Entry { resolvers: ips(&["192.0.2.54"]), ..entry(&zone, "db", 3) };
    dns::announce(&lab.directory, &zone, &own).unwrap();
    lab.ensure("net1").unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while within("db", || ask("10.89.1.1", "example.org", kind::A)).unwrap().addresses
        != ips(&["198.51.100.2"])
    {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5));
    }
    assert_eq!(
        within("web", || ask("10.89.1.1", "example.org", kind::A)).unwrap().addresses,
        ips(&["198.51.100.1"])
    );
}

#[test]
fn an_internal_network_has_no_way_out_through_its_server() {
    let Some(lab) = Lab::new("an_internal_network_has_no_way_out_through_its_server") else { return };
    let upstream = Upstream::new(&lab, "192.0.2.53", "198.51.100.1");
    let inside = lab.network(1, true);
    let open = lab.network(2, false);
    lab.container("vault", 1, 2);
    lab.attach(&inside, "vault", 2);
    // A container on both, whose address the other one could use.
    dns::announce(&lab.directory, &inside, &Entry { container: "both".into(), ..entry(&inside, "both", 7) })
        .unwrap();
    dns::announce(&lab.directory, &open, &Entry { container: "both".into(), ..entry(&open, "both", 7) })
        .unwrap();
    lab.ensure("net1").unwrap();
    lab.ensure("net2").unwrap();
    lab.ip("-n vault addr add 10.89.1.7/32 dev eth0");
    within("vault", || {
        assert_eq!(ask("10.89.1.1", "vault", kind::A).unwrap().addresses, ips(&["10.89.1.2"]));
        assert_eq!(ask("10.89.1.1", "example.org", kind::A).unwrap().code, NO_SUCH_NAME);
        let replies = ask_tcp("10.89.1.1", &[wire::query(9, "data.example.org", kind::A, None)]);
        assert_eq!(replies[0].code, NO_SUCH_NAME);
        let forged = std::net::UdpSocket::bind("10.89.1.7:0").unwrap();
        forged.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        forged.send_to(&wire::query(9, "data.example.org", kind::A, None), "10.89.1.1:53").unwrap();
        let mut answer = [0; 512];
        let length = forged.recv(&mut answer).unwrap();
        assert_eq!(Reply::read(&answer[..length]).code, NO_SUCH_NAME);
    });
    assert_eq!(upstream.counts(), (0, 0));
}

#[test]
fn networks_are_apart_and_a_container_on_two_sees_both() {
    let Some(lab) = Lab::new("networks_are_apart_and_a_container_on_two_sees_both") else { return };
    let (one, two) = (lab.network(1, true), lab.network(2, true));
    lab.container("a", 1, 2);
    lab.container("b", 2, 2);
    lab.container("c", 1, 9);
    lab.attach(&one, "a", 2);
    lab.attach(&two, "b", 2);
    for zone in [&one, &two] {
        let both = Entry { container: "c".into(), ..entry(zone, "c", 9) };
        dns::announce(&lab.directory, zone, &both).unwrap();
        lab.ensure(&zone.network).unwrap();
    }
    assert_eq!(within("a", || ask("10.89.1.1", "b", kind::A)).unwrap().code, NO_SUCH_NAME);
    let until = Instant::now() + Duration::from_secs(5);
    while within("c", || ask("10.89.1.1", "b", kind::A)).unwrap().addresses != ips(&["10.89.2.2"]) {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn neighbours_of_the_host_are_not_answered() {
    let Some(lab) = Lab::new("neighbours_of_the_host_are_not_answered") else { return };
    let zone = lab.network(1, false);
    // The host's other link, with somebody behind it who knows the way.
    lab.network(9, false);
    lab.container("neighbour", 9, 5);
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    let query = wire::query(7, "web", kind::A, None);
    let quick = Duration::from_millis(300);
    assert!(within("neighbour", || ask_for("10.89.1.1", &query, quick)).is_none());
    let address = "10.89.1.1:53".parse().unwrap();
    assert!(within("neighbour", || TcpStream::connect_timeout(&address, quick)).is_err());
    // Nor with an address of the network's own.
    lab.ip("-n neighbour addr add 10.89.1.77/32 dev eth0");
    let forged = within("neighbour", || {
        let socket = std::net::UdpSocket::bind("10.89.1.77:0").unwrap();
        socket.set_read_timeout(Some(quick)).unwrap();
        socket.send_to(&query, "10.89.1.1:53").unwrap();
        socket.recv(&mut [0; 512])
    });
    assert!(forged.is_err());
    assert!(within("web", || ask_for("10.89.1.1", &query, Duration::from_secs(5))).is_some());
}

#[test]
fn connections_and_questions_of_one_client_do_not_shut_others_out() {
    let Some(lab) = Lab::new("connections_and_questions_of_one_client_do_not_shut_others_out") else {
        return;
    };
    lab.ip("addr add 192.0.2.53/32 dev lo");
    let mute = std::net::UdpSocket::bind("192.0.2.53:53").unwrap();
    let zone = lab.network(1, false);
    lab.container("greedy", 1, 2);
    lab.container("web", 1, 3);
    lab.attach(&zone, "greedy", 2);
    lab.attach(&zone, "web", 3);
    within("greedy", || {
        let address = "10.89.1.1:53".parse().unwrap();
        let held: Vec<_> = (0..60)
            .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok())
            .collect();
        assert!(held.len() >= 16);
        // More than one client may have on their way: the rest fails at once.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        for id in 0..200 {
            socket.send_to(&wire::query(id, "example.org", kind::A, None), address).unwrap();
        }
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(Reply::read(&answer[..length]).code, FAILED);
        within("web", || {
            assert_eq!(ask("10.89.1.1", "web", kind::A).unwrap().addresses, ips(&["10.89.1.3"]));
            let replies = ask_tcp("10.89.1.1", &[wire::query(9, "web", kind::A, None)]);
            assert_eq!(replies[0].addresses, ips(&["10.89.1.3"]));
        });
    });
    drop(mute);
}
