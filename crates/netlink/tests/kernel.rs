//! Conversations with the kernel, in a network namespace of each test's own.

use std::net::Ipv4Addr;

use netlink::route::links::{self, Which};
use netlink::route::{self, LinkHeader, ifla};
use netlink::{Attribute, Protocol, Requests, Socket};

/// Moves this thread to a new network namespace, or says why not. Other tests run on threads of their own.
fn own_namespace(test: &str) -> Option<Socket> {
    const CLONE_NEWNET: u64 = 0x4000_0000;
    if let Err(errno) = sys::raw::unshare(CLONE_NEWNET) {
        eprintln!("SKIPPED {test}: no network namespace of its own: {errno}");
        return None;
    }
    Some(Socket::open(Protocol::Route).unwrap())
}

fn list(socket: &mut Socket) -> Vec<String> {
    let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
    request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS);
    let dump = socket.dump(&mut request).unwrap();
    let links = dump.messages().filter_map(|message| LinkHeader::read(&message));
    links
        .filter_map(|(_, attributes)| attributes.find(ifla::IFNAME).map(Attribute::text).map(str::to_owned))
        .collect()
}

#[test]
fn a_batch_of_many_requests_is_made_in_order_with_one_outcome_each() {
    let Some(mut socket) = own_namespace("a_batch_of_many_requests") else { return };
    let mut batch = Requests::new();
    for number in 0..300 {
        links::add(&mut batch, &format!("b{number}"), "bridge", |_| ());
    }
    // The second one of a name is refused, and the others are made all the same.
    links::add(&mut batch, "b7", "bridge", |_| ());
    links::add(&mut batch, "last", "bridge", |_| ());
    let mut outcomes = Vec::new();
    socket.transact_each(&mut batch, |outcome| outcomes.push(outcome)).unwrap();
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!((outcomes.len(), refused.len(), refused[0].index), (302, 1, 300));
    assert_eq!(refused[0].errno, sys::Errno::EXIST);
    // Before Linux 6.9 they are not listed in the order of their numbers.
    let names: std::collections::BTreeSet<_> = list(&mut socket).into_iter().collect();
    assert_eq!(names.len(), 302);
    assert!(names.contains("lo") && names.contains("b299") && names.contains("last"));
}

#[test]
fn a_refusal_names_the_attribute() {
    let Some(mut socket) = own_namespace("a_refusal_names_the_attribute") else { return };
    let mut batch = Requests::new();
    links::add(&mut batch, "m0", "macvlan", |data| {
        data.u32(1, 4);
    });
    links::set_master(&mut batch, Which::Named("lo"), 4711);
    let mut said = Vec::new();
    socket.transact_each(&mut batch, |outcome| said.push(outcome.unwrap_err().to_string())).unwrap();
    assert_eq!(said.len(), 2);
    let mut request =
        Requests::one(route::GETLINK, 0, &LinkHeader { index: 1, ..LinkHeader::default() }.bytes());
    request.attribute(ifla::EXT_MASK, &[1]);
    let error = socket.ask(&mut request, |_| ()).unwrap_err();
    let refused = error.refused().unwrap();
    assert_eq!(refused.attribute.as_deref(), Some("IFLA_EXT_MASK"), "{refused}");
}

#[test]
fn a_pair_with_an_address_is_one_batch() {
    let Some(mut socket) = own_namespace("a_pair_with_an_address_is_one_batch") else { return };
    let mut batch = Requests::new();
    links::add_pair(&mut batch, "left", "right");
    socket.transact(&mut batch).unwrap();
    let left = links::index_of(&mut socket, "left").unwrap();
    batch.clear();
    links::set_up(&mut batch, Which::Index(left), true);
    links::add_address(&mut batch, left, Ipv4Addr::new(10, 1, 0, 2).into(), 24);
    links::add_default_route(&mut batch, left, Ipv4Addr::new(10, 1, 0, 1).into());
    socket.transact(&mut batch).unwrap();
    assert_eq!(links::index_of(&mut socket, "nobody").unwrap_err().errno(), Some(sys::Errno::NODEV));
    batch.clear();
    links::delete(&mut batch, Which::Named("right"));
    socket.transact(&mut batch).unwrap();
    assert_eq!(list(&mut socket), ["lo"]);
}

#[test]
fn a_dump_that_is_disturbed_is_whole_in_the_end() {
    let Some(mut socket) = own_namespace("a_dump_that_is_disturbed_is_whole_in_the_end") else { return };
    let mut batch = Requests::new();
    for number in 0..200 {
        links::add(&mut batch, &format!("b{number}"), "bridge", |_| ());
    }
    socket.transact(&mut batch).unwrap();
    let mut other = Socket::open(Protocol::Route).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut change = Requests::new();
            for round in 0..2000 {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                change.clear();
                links::add(&mut change, "flicker", "bridge", |_| ());
                links::delete(&mut change, Which::Named("flicker"));
                other.transact(&mut change).unwrap_or_else(|error| panic!("{round}: {error}"));
            }
        });
        for _ in 0..20 {
            let names = list(&mut socket);
            let kept = names.iter().filter(|name| name.as_str() != "flicker").count();
            assert_eq!(kept, 201);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
