//! When the server starts, what it may do, and how it ends.

use std::fs;
use std::net::UdpSocket;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use dns::wire::kind;
use report::Explain as _;

use crate::lab::{Lab, ask, within};

const KILL: i32 = 9;

fn kill(pid: i32) {
    sys::raw::kill(pid, KILL).unwrap();
}

#[test]
fn the_server_starts_with_the_first_container_and_ends_with_the_last() {
    let Some(lab) = Lab::new("the_server_starts_with_the_first_container_and_ends_with_the_last") else {
        return;
    };
    let zone = lab.network(1, false);
    assert!(lab.servers().is_empty());
    lab.attach(&zone, "web", 2);
    let first = lab.servers();
    assert_eq!(first.len(), 2, "{first:?}");
    lab.attach(&zone, "db", 3);
    assert_eq!(lab.servers(), first, "one server for all");
    dns::withdraw(&lab.directory, "net1", "id-web").unwrap();
    dns::withdraw(&lab.directory, "net1", "id-db").unwrap();
    lab.wait_for_end();
    assert!(!lab.directory.join(".server").exists());
    assert!(UdpSocket::bind("10.89.1.1:53").is_ok(), "the port is free again");
}

#[test]
fn one_that_follows_the_last_at_once_is_served_all_the_same() {
    let Some(lab) = Lab::new("one_that_follows_the_last_at_once_is_served_all_the_same") else { return };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    // Around the moment when the server would end, both sides of it.
    for pause in [0u64, 200, 950, 990, 1000, 1005, 1010, 1050] {
        lab.attach(&zone, "web", 2);
        assert!(
            within("web", || ask("10.89.1.1", "web", kind::A)).is_some_and(|reply| reply.answers == 1),
            "{pause} ms"
        );
        dns::withdraw(&lab.directory, "net1", "id-web").unwrap();
        sleep(Duration::from_millis(pause));
    }
    lab.wait_for_end();
}

#[test]
fn many_that_start_at_once_get_one_server() {
    let Some(lab) = Lab::new("many_that_start_at_once_get_one_server") else { return };
    let zone = lab.network(1, false);
    thread::scope(|scope| {
        for index in 2..10 {
            let (lab, zone) = (&lab, &zone);
            scope.spawn(move || lab.attach(zone, &format!("c{index}"), index));
        }
    });
    assert_eq!(lab.servers().len(), 2, "{:?}", lab.servers());
}

#[test]
fn a_killed_answerer_is_replaced_at_once_and_a_killed_keeper_by_the_next_attachment() {
    let Some(lab) =
        Lab::new("a_killed_answerer_is_replaced_at_once_and_a_killed_keeper_by_the_next_attachment")
    else {
        return;
    };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    let answers =
        || within("web", || ask("10.89.1.1", "web", kind::A)).is_some_and(|reply| reply.answers == 1);
    assert!(answers());
    let answerer = lab.server("holm-dns").unwrap();
    kill(answerer);
    let until = Instant::now() + Duration::from_secs(5);
    while lab.server("holm-dns").is_none_or(|pid| pid == answerer) {
        assert!(Instant::now() < until, "there is no new answerer");
        sleep(Duration::from_millis(5));
    }
    assert!(answers());
    kill(lab.server("holm-dns-keeper").unwrap());
    lab.wait_for_end();
    lab.attach(&zone, "db", 3);
    assert_eq!(lab.servers().len(), 2);
    assert!(answers(), "the names of those who were there before");
}

#[test]
fn the_answerer_has_no_rights_and_no_files() {
    let Some(lab) = Lab::new("the_answerer_has_no_rights_and_no_files") else { return };
    let zone = lab.network(1, false);
    lab.attach(&zone, "web", 2);
    let pid = lab.server("holm-dns").unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().replace('\t', " ")
    };
    assert_eq!(field("Uid"), "65534 65534 65534 65534");
    assert_eq!(field("Gid"), "65534 65534 65534 65534");
    assert_eq!(field("Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("Seccomp").as_str(), field("NoNewPrivs").as_str()), ("2", "1"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.to_string_lossy();
        assert!(target.starts_with("socket:") || target == "anon_inode:[eventpoll]", "{target}");
    }
    let keeper = lab.server("holm-dns-keeper").unwrap();
    let status = fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    assert!(status.contains("CapEff:\t00000000000025c0"), "{status}");
}

#[test]
fn a_port_that_somebody_has_is_said_and_had_later() {
    let Some(lab) = Lab::new("a_port_that_somebody_has_is_said_and_had_later") else { return };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    let taken = UdpSocket::bind("0.0.0.0:53").unwrap();
    lab.announce(&zone, "web", 2);
    let error = lab.ensure("net1").unwrap_err();
    assert_eq!(
        report::render(&error),
        "error: serve names to network `net1` on 10.89.1.1:53: bind(10.89.1.1): address already in use (EADDRINUSE)\n  \
         hint:  another DNS server has port 53 of every address (look with `ss -lnp sport = :53`); let it listen on the host's own \
         addresses only\n"
    );
    assert_eq!(error.kind(), report::Kind::Busy);
    // Other networks are served all the same.
    drop(taken);
    lab.ensure("net1").unwrap();
    assert!(within("web", || ask("10.89.1.1", "web", kind::A)).is_some());
}

#[test]
fn a_network_whose_bridge_is_not_there_is_said() {
    let Some(lab) = Lab::new("a_network_whose_bridge_is_not_there_is_said") else { return };
    let zone = crate::lab::zone(4, false);
    lab.announce(&zone, "web", 2);
    let error = report::one_line(&lab.ensure("net4").unwrap_err());
    assert!(error.contains("SO_BINDTODEVICE, br4") && error.contains("ENODEV"), "{error}");
    assert!(lab.ensure("net5").is_err());
    lab.network(4, false);
    lab.ensure("net4").unwrap();
}

#[test]
fn half_written_and_foreign_files_are_passed_over() {
    let Some(lab) = Lab::new("half_written_and_foreign_files_are_passed_over") else { return };
    let zone = lab.network(1, false);
    lab.container("web", 1, 2);
    lab.attach(&zone, "web", 2);
    let place = lab.directory.join("net1");
    fs::write(place.join(".123-0"), "entry x\nnames half\naddresses 10.89.1.9\n").unwrap();
    fs::write(
        place.join("odd"),
        "network evil br1 open\nsubnets 0.0.0.0/0\n\u{0}\nentry odd\nnames odd\naddresses 10.89.1.8\n",
    )
    .unwrap();
    fs::write(place.join("binary"), [0xff, 0xfe, 0]).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while within("web", || ask("10.89.1.1", "odd", kind::A)).unwrap().answers == 0 {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5));
    }
    assert_eq!(within("web", || ask("10.89.1.1", "half", kind::A)).unwrap().answers, 0);
    assert_eq!(within("web", || ask("10.89.1.1", "web", kind::A)).unwrap().answers, 1);
}
