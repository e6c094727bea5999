//! No text makes a parser panic: well-formed ones, spoilt in many small ways. `fuzz/targets/namespaces.rs` goes further.

use namespaces::hold::Name;
use namespaces::maps::{self, IdRange};
use namespaces::reference::Reference;
use namespaces::{Id, text};

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// `bytes` with a few of them changed, left out or doubled.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match (self.below(4), bytes.is_empty()) {
                (_, true) => {}
                (0, _) => bytes[at] = self.below(256) as u8,
                (1, _) => drop(bytes.remove(at)),
                (2, _) => bytes.insert(at, b"0:[]/\\ ,\n"[self.below(9)]),
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}

#[test]
fn no_text_makes_a_parser_panic() {
    let mut random = Random(1);
    for seed in [
        "net:[4026531840]",
        "uts:box",
        "/proc/1/ns/net",
        "4026531840",
        "0:100000:65536",
        "100000,0,65536",
        "90 30 0:4 net:[4026532200] /run/a\\040b rw shared:5 - nsfs nsfs rw\n",
        "0::/system.slice/docker-0123456789abcdef.scope\n5:cpu:/kubepods/pod1/0123456789abcdef\n",
        "         0       1000          1\n         1     100000      65536\n",
        "Uid:\t0\t0\t0\t0\nNSpid:\t40\t1\n",
    ] {
        for _ in 0..2000 {
            let bytes = random.spoil(seed.as_bytes());
            let text = String::from_utf8_lossy(&bytes);
            let _ = (Id::parse(&text), Name::parse(&text), Reference::parse(&text));
            let _ = (text::namespace_mounts(&bytes), text::container(&text), text::unescaped(&bytes));
            let _ = text::status_words(&text, "NSpid");
            assert!(!text::command(&bytes, &text).chars().any(char::is_control));
            let ranges = maps::parse_file(&text);
            if let (Ok(single), Ok(())) = (IdRange::parse("5:9:1"), maps::check(&ranges)) {
                let _ = maps::check(&maps::punch(&ranges, single));
            }
        }
    }
}

#[test]
fn punching_keeps_a_map_one_to_one() {
    let mut random = Random(7);
    for _ in 0..5000 {
        let mut id = || random.below(40) as u32;
        let (inside, outside, count) = (id(), id(), id() + 1);
        let single = IdRange { inside: id(), outside: id(), count: 1 };
        let map = maps::punch(&[IdRange { inside, outside, count }], single);
        maps::check(&map).unwrap();
        assert!(map.contains(&single));
    }
}
