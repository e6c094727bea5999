//! Spoilt datagrams, the same ones every time. `fuzz/` drives the same reader with libFuzzer, which looks for new paths;
//! this is what every test run does.

use netlink::route::{LinkHeader, NEWLINK, NEWROUTE, NextHopHeader, RouteHeader, ifla, info, rta};
use netlink::{Requests, walk};

const ROUNDS: usize = 20_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn samples() -> Vec<Vec<u8>> {
    let mut link = Requests::one(NEWLINK, 0, &LinkHeader { index: 3, ..LinkHeader::default() }.bytes());
    link.text(ifla::IFNAME, "eth0").u32(ifla::MTU, 1500);
    link.nest(ifla::LINKINFO, |inside| {
        inside.text(info::KIND, "bridge");
        inside.nest(info::DATA, |data| {
            data.u64(16, 5).u32(1, 1500).attribute(10, &[128, 0, 2, 0, 0, 0, 0, 1]);
        });
    });
    let way = NextHopHeader { index: 3, ..NextHopHeader::default() };
    let mut route = Requests::one(NEWROUTE, 0, &RouteHeader { family: 2, ..RouteHeader::default() }.bytes());
    route.attribute(rta::DST, &[10, 0, 0, 0]);
    route.attribute(rta::MULTIPATH, &[way.bytes(&[8, 0, 5, 0, 10, 0, 0, 1]), way.bytes(&[])].concat());
    // A refusal: its number, the header of what it is about, and attributes.
    let mut refusal = Requests::one(2, 0x300, &(-22i32).to_ne_bytes());
    refusal.raw(&[32, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]).text(1, "no").u32(2, 32);
    [link, route, refusal]
        .iter()
        .map(|requests| {
            let mut bytes = requests.bytes_of(0).to_vec();
            let len = bytes.len() as u32;
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            bytes
        })
        .collect()
}

#[test]
fn whole_datagrams_are_read() {
    assert!(samples().iter().all(|bytes| walk(bytes) > 3));
}

#[test]
fn spoilt_datagrams_are_read_as_far_as_they_go() {
    let mut random = Random(0x6e65_746c_696e_6b21);
    let samples = samples();
    for _ in 0..ROUNDS {
        let mut bytes: Vec<u8> =
            (0..=random.below(2)).flat_map(|_| samples[random.below(3)].clone()).collect();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes[at] = [0, 1, 3, 4, 0x7f, 0x80, 0xff][random.below(7)],
                2 => bytes.truncate(at),
                _ => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
            }
            if bytes.is_empty() {
                break;
            }
        }
        walk(&bytes);
    }
}
