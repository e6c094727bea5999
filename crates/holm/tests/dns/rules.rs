//! The keeper of the rules: rules that somebody takes away come back by themselves.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use netlink::netfilter::{self, Element, Expr, Family, Transaction, Verdict};
use netlink::{Protocol, Socket};
use network::{Attachment, ContainerNet, EndpointRequest, Networks, Places};

use crate::lab::{HOLM, Lab};

const CLONE_NEWNET: u64 = 0x4000_0000;

/// The keepers of this thread's network namespace.
fn keepers() -> Vec<i32> {
    let own = fs::metadata("/proc/thread-self/ns/net").unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let is = |file: &str, what: &str| {
            fs::read_to_string(entry.path().join(file)).is_ok_and(|text| text.contains(what))
        };
        let there = fs::metadata(entry.path().join("ns/net"))
            .is_ok_and(|other| (other.dev(), other.ino()) == (own.dev(), own.ino()));
        if there && is("comm", "holm-net-keeper") && !is("stat", ") Z ") {
            found.push(pid);
        }
    }
    found
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "it did not come about that {what}");
        sleep(Duration::from_millis(10));
    }
}

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Keepers do not outlive their test.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        keepers().into_iter().for_each(kill);
    }
}

fn attach(networks: &Networks, id: &str, port: &str) -> Attachment {
    let namespace: OwnedFd = thread::spawn(|| {
        sys::ns::make(CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap().into()
    })
    .join()
    .unwrap();
    let want = ContainerNet {
        id: id.to_owned(),
        endpoints: vec!["bridge".parse::<EndpointRequest>().unwrap()],
        publish: vec![port.parse().unwrap()],
        ..ContainerNet::default()
    };
    networks.reserve(&want).unwrap().connect(networks, namespace, &mut |_| ()).unwrap()
}

/// How many ports the rules publish.
fn published() -> usize {
    let mut socket = Socket::open(Protocol::Netfilter).unwrap();
    netfilter::elements(&mut socket, Family::Ipv4, network::TABLE, "ports").map_or(0, |list| list.len())
}

#[test]
fn rules_that_somebody_takes_away_come_back_by_themselves() {
    const TEST: &str = "rules_that_somebody_takes_away_come_back_by_themselves";
    let Some(_lab) = Lab::new(TEST) else { return };
    if let Err(error) = network::able() {
        return eprintln!("SKIPPED {TEST}: {}", report::one_line(&error));
    }
    let _guard = Guard;
    let places = Places::below(Path::new("/run/lib"), Path::new("/run/run"));
    let program = vec![HOLM.into(), network::keeper::SUBCOMMAND.into()];
    let networks = Networks::open(&places).unwrap().with_keeper(program);
    let one = attach(&networks, "one", "8080:80");
    let two = attach(&networks, "two", "8081:80");
    eventually("one process of the host keeps the rules", || keepers().len() == 1);
    assert_eq!(published(), 2);
    let flush = || {
        let mut changes = Transaction::new();
        changes.delete_table(Family::Ipv4, network::TABLE);
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
    };
    // Twice: the second time it has just looked.
    for _ in 0..2 {
        flush();
        eventually("the ports are published again", || published() == 2);
    }
    if let Ok(status) = Command::new("nft").args(["flush", "chain", "ip", "holm", "forward"]).status() {
        assert!(status.success());
        let rules =
            || Command::new("nft").args(["list", "chain", "ip", "holm", "forward"]).output().unwrap().stdout;
        eventually("a chain that was emptied is filled again", || {
            rules().windows(4).any(|word| word == b"drop")
        });
    }
    // As many rules as before, but others; and one more.
    let image = || {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        netfilter::image(&mut socket, Family::Ipv4, network::TABLE).unwrap()
    };
    let whole = image().len();
    for (chain, rules) in [("raw", 2), ("postrouting", 0)] {
        let mut changes = Transaction::new();
        if rules > 0 {
            changes.clear_chain(Family::Ipv4, network::TABLE, chain);
        }
        for _ in 0..rules.max(1) {
            changes.add_rule(Family::Ipv4, network::TABLE, chain, &[Expr::Verdict(Verdict::Accept)], "");
        }
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
        assert_ne!(image().len(), whole, "{chain}");
        eventually("the rules are as they were", || image().len() == whole);
    }
    // Single elements: one that is gone, one that leads elsewhere, one that nobody has; and a bridge that the rules no longer know.
    let sets = || {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        ["ports", "ports_at", "bridges", "same", "networks", "opened", "internal"].map(|set| {
            let mut list = netfilter::elements(&mut socket, Family::Ipv4, network::TABLE, set).unwrap();
            list.sort_by(|one, two| one.key.cmp(&two.key));
            list
        })
    };
    let before = sets();
    let change = |gone: &[(&str, &[Element<'_>])], come: &[(&str, &[Element<'_>])]| {
        let mut changes = Transaction::new();
        for (set, elements) in gone {
            changes.delete_elements(Family::Ipv4, network::TABLE, set, elements);
        }
        for (set, elements) in come {
            changes.add_elements(Family::Ipv4, network::TABLE, set, elements, true);
        }
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
        assert_ne!(sets(), before);
        eventually("the sets are as they were", || sets() == before);
    };
    let port = &before[0][..1];
    let elsewhere = Element { data: before[0][1].data.clone(), ..port[0].clone() };
    let mut foreign = port[0].clone();
    foreign.key[4..6].copy_from_slice(&9999u16.to_be_bytes());
    change(&[("ports", port)], &[]);
    change(
        &[("ports", port), ("bridges", &before[2]), ("networks", &before[4])],
        &[("ports", &[elsewhere, foreign])],
    );
    // A keeper that was killed has a successor with the next container.
    let pid = keepers()[0];
    kill(pid);
    // Its lock goes later than its namespaces.
    let stat = format!("/proc/{pid}/stat");
    eventually("it is gone", || fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z ")));
    let three = attach(&networks, "three", "8082:80");
    eventually("there is another one", || keepers().len() == 1);
    flush();
    eventually("that one does the same", || published() == 3);
    for attached in [one, two, three] {
        assert!(attached.detach().is_empty());
    }
    eventually("it ends with the last container", || keepers().is_empty());
    assert_eq!(networks.leftovers(false, &mut |_| ()).unwrap(), [""; 0]);
}
