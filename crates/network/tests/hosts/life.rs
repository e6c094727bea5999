//! What is left behind, and what several processes do at once.

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::lab::{self, Lab, call, elements, eventually, get, lab, link_names, namespace, refused, serve};
use netlink::netfilter::{Chain, Expr, Family, Hook, Place, Transaction, Verdict};
use netlink::{Protocol, Socket};
use network::{Ledger, Networks};

#[test]
fn five_hundred_containers_later_the_host_is_as_it_was() {
    let Some(lab) = lab("five_hundred_containers_later") else { return };
    let (_first, attached) = lab.attach("first", &["bridge"], &[]);
    let before = (link_names(), elements());
    let begun = std::time::Instant::now();
    for number in 0..500 {
        // In emulation that takes minutes, and shows no more.
        if begun.elapsed().as_secs() > 20 {
            eprintln!("it was {number} containers");
            break;
        }
        let id = format!("c{number}");
        let (_web, attached) = lab.attach(&id, &["bridge"], &["80", "127.0.0.1:9000:90/udp"]);
        assert!(attached.detach().is_empty(), "{number}");
    }
    assert_eq!((link_names(), elements()), before);
    let ledger = Ledger::open(&lab.places).unwrap();
    assert_eq!(ledger.records().unwrap().len(), 1);
    assert!(attached.detach().is_empty());
    assert!(ledger.records().unwrap().is_empty());
    assert_eq!(lab.networks.leftovers(false, &mut |_| ()).unwrap(), [""; 0]);
    lab.networks.prune(&mut |_| ()).unwrap();
    assert_eq!(link_names(), ["lo", "eth0"], "with the last container gone, pruning takes the bridge too");
    assert!(elements().iter().all(|(_, count)| *count == 999), "and the rules");
    let leases = std::fs::read_to_string(lab.places.run.join("leases")).unwrap();
    assert!(leases.lines().all(|line| line.starts_with('-')), "{leases}");
}

#[test]
fn what_a_keeper_that_was_killed_left_is_taken_away() {
    let Some(lab) = lab("what_a_keeper_that_was_killed_left") else { return };
    let (_web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let (_other, other) = lab.attach("other", &["bridge"], &["8081:80"]);
    let refusal = lab.try_attach(&Lab::want("two", &["bridge"], &["8080:80"])).unwrap_err();
    assert_eq!(refusal.to_string(), "port 8080 of the host: container web-name has it");
    // Its locks and sockets go as the kernel takes them from a process.
    drop(attached);
    let found = lab.networks.leftovers(false, &mut |_| ()).unwrap();
    assert_eq!(found, ["container web: its network, though nothing keeps it any more"]);
    // The next one that wants the port gets it.
    let (two, attached) = lab.attach("two", &["bridge"], &["8080:80"]);
    let _server = serve(&two, "0.0.0.0:80");
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
    drop(attached);
    assert_eq!(lab.networks.sweep_all().unwrap(), ["two"]);
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    assert_eq!(lab.networks.leftovers(false, &mut |_| ()).unwrap(), [""; 0]);
    assert_eq!(other.detach().len(), 0);
}

#[test]
fn what_no_record_names_is_found_and_mended() {
    let Some(lab) = lab("what_no_record_names") else { return };
    let (web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let _server = serve(&web, "0.0.0.0:80");
    // A link, a lease and a port that nobody has.
    let elsewhere = namespace();
    lab::cable("hv0123456789a0", "x", &elsewhere);
    let mut leases = std::fs::OpenOptions::new().append(true).open(lab.places.run.join("leases")).unwrap();
    std::io::Write::write_all(
        &mut leases,
        format!("{:<55}ffffffffffffffff\n", "p tcp    07777 *").as_bytes(),
    )
    .unwrap();
    let mut changes = Transaction::new();
    let key = vec![6, 0, 0, 0, 0x1e, 0x61, 0, 0];
    let data = netlink::netfilter::Data::Value(vec![10, 224, 0, 9, 0, 80, 0, 0]);
    let element = netlink::netfilter::Element { key, last: None, data: Some(data) };
    changes.add_elements(Family::Ipv4, network::TABLE, "ports", &[element], true);
    changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
    let found = lab.networks.leftovers(true, &mut |_| ()).unwrap();
    assert_eq!(
        found,
        [
            "addresses or ports of ffffffffffffffff, which has no record",
            "link hv0123456789a0, which no container has",
            "an element in the set ports of the rules that should not be there",
        ]
    );
    assert_eq!(lab.networks.leftovers(false, &mut |_| ()).unwrap(), [""; 0]);
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "what is somebody's stays");
    assert!(attached.detach().is_empty());
}

#[test]
fn limits_hold_on_networks_that_come_later_and_go_with_them() {
    let Some(lab) = lab("limits_hold_on_networks_that_come_later") else { return };
    lab.network("blue", |_| ());
    let limits = network::Limits { up: Some("20m".parse().unwrap()), down: Some("30m".parse().unwrap()) };
    let inside = namespace();
    let reservation = lab.networks.reserve(&Lab::want("web", &["bridge"], &[])).unwrap();
    let reservation = reservation.with(network::Beside { limits, ..Default::default() }).unwrap();
    let attached = match reservation.connect(&lab.networks, inside.try_clone().unwrap(), &mut |_| ()) {
        Ok(attached) => attached,
        Err(network::Error::Limit(error)) if error.missing.is_some() => {
            return eprintln!(
                "SKIPPED limits_hold_on_networks_that_come_later: {}",
                report::one_line(&error)
            );
        }
        Err(error) => panic!("{}", report::render(&error)),
    };
    let detours = || {
        let mut names: Vec<_> = link_names().into_iter().filter(|name| name.starts_with("i-")).collect();
        names.sort();
        names
    };
    let place = lab.networks.connect("web-name", &"blue".parse().unwrap(), &mut |_| ()).unwrap();
    let links = [attached.endpoints()[0].host_link.as_str(), place.host_link.as_str()];
    let mut expected = links.map(netlink::tc::detour).to_vec();
    expected.sort();
    assert_eq!(detours(), expected);
    // What it sends there takes as long as the limit says: a megabyte at 20 Mbit/s is 400 ms, less what may go at once.
    let gateway = std::net::SocketAddr::new(place.gateways().next().unwrap(), 7);
    let listener = std::net::TcpListener::bind(gateway).unwrap();
    let sender = std::thread::spawn(move || {
        lab::within(&inside, move || {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(gateway).unwrap();
            stream.write_all(&[7; 1_000_000]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0]);
        });
    });
    let begun = std::time::Instant::now();
    let read = std::io::copy(&mut listener.accept().unwrap().0, &mut std::io::sink()).unwrap();
    let took = begun.elapsed();
    sender.join().unwrap();
    assert!(read == 1_000_000 && took.as_millis() > 350, "{took:?}");
    lab.networks.disconnect("web-name", "blue").unwrap();
    assert_eq!(detours(), [netlink::tc::detour(links[0])]);
    assert!(attached.detach().is_empty());
    assert_eq!(detours(), [""; 0]);
}

#[test]
fn rules_that_somebody_flushed_are_written_again() {
    let Some(lab) = lab("rules_that_somebody_flushed") else { return };
    let (web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let _server = serve(&web, "0.0.0.0:80");
    let flush = || {
        let mut changes = Transaction::new();
        changes.delete_table(Family::Ipv4, network::TABLE);
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
    };
    flush();
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    let (_other, other) = lab.attach("other", &["bridge"], &[]);
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "by the next container");
    flush();
    let found = lab.networks.leftovers(true, &mut |_| ()).unwrap();
    assert_eq!(found, ["the rules of nftables (ip holm) are not as they should be"]);
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "by a command");
    flush();
    assert!(attached.detach().is_empty() && other.detach().is_empty(), "what is gone need not be taken away");
}

#[test]
fn a_gate_that_somebody_removed_is_made_again() {
    let Some(lab) = lab("a_gate_that_somebody_removed") else { return };
    let (web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let _server = serve(&web, "0.0.0.0:80");
    let mut batch = netlink::Requests::new();
    let gate = netlink::route::links::Which::Named(network::GATE.0);
    netlink::route::links::delete(&mut batch, gate);
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    assert!(lab.networks.reassert(&mut |_| ()).unwrap());
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
    assert!(!lab.networks.reassert(&mut |_| ()).unwrap());
    assert!(attached.detach().is_empty());
}

#[test]
fn a_rule_in_the_place_of_another_is_noticed() {
    let Some(lab) = lab("a_rule_in_the_place_of_another") else { return };
    let (_web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let amiss = || lab.networks.leftovers(false, &mut |_| ()).unwrap();
    let reassert = || lab.networks.reassert(&mut |_| ()).unwrap();
    let change = |make: &dyn Fn(&mut Transaction)| {
        let mut changes = Transaction::new();
        make(&mut changes);
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
    };
    let accept = [Expr::Verdict(Verdict::Accept)];
    let swap = |changes: &mut Transaction| {
        changes.clear_chain(Family::Ipv4, network::TABLE, "raw");
        for _ in 0..2 {
            changes.add_rule(Family::Ipv4, network::TABLE, "raw", &accept, "");
        }
    };
    let policy = |changes: &mut Transaction| {
        let place = Some(Place { hook: Hook::Forward, priority: 0, kind: "filter", drops: true });
        changes.add_chain(Family::Ipv4, network::TABLE, &Chain { name: "forward", place });
    };
    for what in ["rules", "the policy of a chain"] {
        assert!(amiss().is_empty() && !reassert(), "before {what}");
        change(if what == "rules" { &swap } else { &policy });
        assert_eq!(amiss(), ["the rules of nftables (ip holm) are not as they should be"], "{what}");
        assert!(reassert() && amiss().is_empty(), "{what}");
    }
    change(&swap);
    let (_other, other) = lab.attach("other", &["bridge"], &["8081:80"]);
    assert!(amiss().is_empty(), "by the next container");
    // What others do in tables of their own is theirs.
    change(&|changes| {
        changes.add_table(Family::Ipv4, "theirs");
        changes.add_chain(Family::Ipv4, "theirs", &Chain { name: "own", place: None });
    });
    assert!(!reassert() && amiss().is_empty());
    assert!(attached.detach().is_empty() && other.detach().is_empty());
}

#[test]
fn several_at_once_get_an_address_and_a_port_each() {
    let Some(lab) = lab("several_at_once") else { return };
    let lab = Arc::new(lab);
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let lab = Arc::clone(&lab);
            let host = lab.host.as_fd().try_clone_to_owned().unwrap();
            std::thread::spawn(move || {
                sys::ns::join(&host, sys::clone::CLONE_NEWNET).unwrap();
                let networks = Networks::open(&lab.places).unwrap();
                let mut all = Vec::new();
                for round in 0..8 {
                    let want = Lab::want(&format!("c{number}-{round}"), &["bridge"], &["80"]);
                    let reservation = networks.reserve(&want).unwrap();
                    all.push(reservation.connect(&networks, namespace(), &mut |_| ()).unwrap());
                    // One port that all want: one gets it.
                    let want = Lab::want(&format!("d{number}-{round}"), &["bridge"], &["7000:80"]);
                    if let Ok(reservation) = networks.reserve(&want) {
                        all.push(reservation.connect(&networks, namespace(), &mut |_| ()).unwrap());
                    }
                }
                all
            })
        })
        .collect();
    let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(all.len(), 65, "64, and the one with port 7000");
    let mut addresses: Vec<_> = all.iter().map(|one| one.endpoints()[0].ipv4.unwrap().address).collect();
    let mut ports: Vec<_> = all.iter().map(|one| one.ports()[0].host_port).collect();
    for list in [addresses.len(), ports.len()] {
        assert_eq!(list, 65);
    }
    addresses.sort_unstable();
    addresses.dedup();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((addresses.len(), ports.len()), (65, 65));
    assert_eq!(lab.networks.leftovers(false, &mut |_| ()).unwrap(), [""; 0]);
    assert!(all.into_iter().all(|one| one.detach().is_empty()));
    eventually("all cables are gone", || link_names().iter().all(|name| !name.starts_with("hv")));
}

/// Before Linux 6.15 a link that is made in another namespace cannot have a number that a link of the host has.
#[test]
fn a_container_is_attached_whatever_numbers_the_host_s_links_have() {
    let Some(lab) = lab("whatever_numbers_the_host_s_links_have") else { return };
    let mut batch = netlink::Requests::new();
    for index in 64..66 {
        let header = netlink::route::LinkHeader { index, ..Default::default() };
        batch.begin(
            netlink::route::NEWLINK,
            netlink::flags::CREATE | netlink::flags::EXCLUSIVE,
            &header.bytes(),
        );
        batch.text(netlink::route::ifla::IFNAME, &format!("own{index}"));
        batch.nest(netlink::route::ifla::LINKINFO, |link| {
            link.attribute(netlink::route::info::KIND, b"bridge");
        });
    }
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    for name in ["blue", "red", "white"] {
        lab.network(name, |_| ());
    }
    let (web, attached) = lab.attach("web", &["blue", "red", "white"], &["8080:80"]);
    let _server = serve(&web, "0.0.0.0:80");
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
    let (other, second) = lab.attach("other", &["white"], &[]);
    for place in attached.endpoints() {
        let address = format!("{}:80", place.addresses().next().unwrap());
        assert_eq!(call(&web, &address), place.addresses().next().unwrap().to_string());
    }
    let address = attached.endpoints()[2].addresses().next().unwrap();
    assert_eq!(
        call(&other, &format!("{address}:80")),
        second.endpoints()[0].addresses().next().unwrap().to_string()
    );
    assert!(attached.detach().is_empty() && second.detach().is_empty());
}

/// What keeps the kernel from comparing a new port with all others, as far as it can be kept from it.
#[test]
fn a_hundred_containers_later_a_cable_is_laid_as_the_first_one_was() {
    let Some(lab) = lab("a_hundred_containers_later") else { return };
    let mut reserved = Vec::new();
    let mut attached = Vec::new();
    for name in ["first", "last"] {
        let (inside, one) = lab.attach(name, &["bridge"], &[]);
        let link = one.endpoints()[0].host_link.clone();
        assert_eq!(get(&format!("ipv6/conf/{link}/disable_ipv6")), "1", "{name}: a port does without IPv6");
        assert_eq!(lab::within(&inside, || get("ipv6/conf/eth0/disable_ipv6")), "1", "{name}");
        attached.push((inside, one));
        for number in 0..if name == "first" { 100 } else { 0 } {
            let want = Lab::want(&format!("r{number}"), &["bridge"], &[]);
            reserved.push(lab.networks.reserve(&want).unwrap());
        }
    }
    let _server = serve(&attached[0].0, "0.0.0.0:80");
    let addresses = [0, 1].map(|number: usize| attached[number].1.endpoints()[0].addresses().next().unwrap());
    assert_eq!(call(&attached[1].0, &format!("{}:80", addresses[0])), addresses[1].to_string());
    let facts = network::HostNetwork::read(&mut Socket::open(Protocol::Route).unwrap()).unwrap();
    let bridge = facts.links.iter().find(|link| link.kind == "bridge").unwrap();
    // A bridge that was not told how long packets are goes by its shortest port.
    let mut batch = netlink::Requests::new();
    netlink::route::links::add_pair(&mut batch, "short", "shorter");
    for (kind, value) in [(netlink::route::ifla::MTU, 1300), (netlink::route::ifla::MASTER, bridge.index)] {
        let which = netlink::route::links::Which::Named("short");
        let header = netlink::route::LinkHeader::default();
        netlink::route::links::begin(&mut batch, netlink::route::NEWLINK, 0, which, header).u32(kind, value);
    }
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    let facts = network::HostNetwork::read(&mut Socket::open(Protocol::Route).unwrap()).unwrap();
    assert_eq!(facts.link(&bridge.name).unwrap().mtu, 1500);
    assert!(attached.into_iter().all(|(_, one)| one.detach().is_empty()));
}

#[test]
fn a_bridge_that_somebody_was_killed_over_is_made_whole() {
    let Some(lab) = lab("a_bridge_that_somebody_was_killed_over") else { return };
    let network = lab.network("blue", |_| ());
    let mut batch = netlink::Requests::new();
    netlink::route::links::add(&mut batch, &network.interface, "bridge", |_| ());
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    let (web, attached) = lab.attach("web", &["blue"], &["8080:80"]);
    let _server = serve(&web, "0.0.0.0:80");
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
    assert!(attached.detach().is_empty());
}

#[test]
fn a_port_that_a_program_of_the_host_has_is_not_published() {
    let Some(lab) = lab("a_port_that_a_program_of_the_host_has") else { return };
    let listener = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    let refusal = lab.try_attach(&Lab::want("web", &["bridge"], &["8080:80"])).unwrap_err();
    assert_eq!(refusal.to_string(), "port 8080 of the host: a program of the host has it");
    let refusal = lab.try_attach(&Lab::want("web", &["bridge"], &["203.0.113.7:8080:80"])).unwrap_err();
    assert_eq!(refusal.to_string(), "port 203.0.113.7:8080 of the host: the host has no such address");
    assert!(Ledger::open(&lab.places).unwrap().records().unwrap().is_empty(), "nothing was written down");
    drop(listener);
    let (_web, attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let error = std::net::TcpListener::bind("0.0.0.0:8080").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "and the other way round");
    assert!(attached.detach().is_empty());
    std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
}

#[test]
fn a_network_goes_when_nobody_is_in_it() {
    let Some(lab) = lab("a_network_goes") else { return };
    lab.network("blue", |_| ());
    lab.network("red", |_| ());
    let (_one, one) = lab.attach("one", &["blue"], &[]);
    let (_two, two) = lab.attach("two", &["red"], &[]);
    let busy = lab.networks.remove("blue", false, &mut |_| ()).unwrap_err();
    assert_eq!(busy.to_string(), "network blue: containers are in it: one-name");
    assert!(one.detach().is_empty());
    lab.networks.remove("blue", false, &mut |_| ()).unwrap();
    assert!(!link_names().contains(&"holm0".to_owned()) && link_names().contains(&"holm1".to_owned()));
    lab.networks.remove("red", true, &mut |_| ()).unwrap();
    assert_eq!(link_names(), ["lo", "eth0"]);
    assert!(two.detach().is_empty());
    let gone = lab.networks.remove("red", false, &mut |_| ()).unwrap_err();
    assert_eq!(gone.to_string(), "network red: there is no such network");
}

#[test]
fn the_rules_read_as_the_design_says() {
    let Some(lab) = lab("the_rules_read") else { return };
    lab.network("inside", |request| request.internal = true);
    let (_web, attached) = lab.attach("web", &["bridge", "inside"], &["8080:80", "127.0.0.1:5353:53/udp"]);
    if !std::path::Path::new("/etc/protocols").exists() {
        eprintln!("SKIPPED the_rules_read: without /etc/protocols nft shows numbers");
        return;
    }
    let version = std::process::Command::new("nft").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"nftables v1.0.")) {
        eprintln!("SKIPPED the_rules_read: no nft 1.0 to read them with");
        return;
    }
    let Ok(output) = std::process::Command::new("nft").args(["list", "table", "ip", "holm"]).output() else {
        eprintln!("SKIPPED the_rules_read: no nft to read them with");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).replace('\t', "  ");
    expect_test::expect_file!["rules.nft"].assert_eq(&text);
    assert!(attached.detach().is_empty());
}
