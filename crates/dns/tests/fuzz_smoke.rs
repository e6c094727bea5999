//! Spoilt queries, replies and tables, the same ones every time. `fuzz/` drives the same readers with libFuzzer.

use dns::answer::{Asker, answer};
use dns::resolvers;
use dns::table::Table;
use dns::wire;

const ROUNDS: usize = 40_000;
const TABLE: &str = "resolvers 192.0.2.1\nnetwork shop holm1 open\ngateways 10.89.0.1\nsubnets 10.89.0.0/24 fd00::/64\n\
    entry c1\nnames web www\naddresses 10.89.0.2 fd00::2\nforward 9.9.9.9\n";

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(5) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] = [0, 1, 12, 41, 63, 64, 0xc0, 0xff][self.below(8)],
                2 => bytes.truncate(at),
                _ => bytes.insert(at, self.below(256) as u8),
            }
        }
    }
}

#[test]
fn spoilt_queries_are_answered_within_their_limits() {
    let mut random = Random(0x646e_7321);
    let table = Table::read(TABLE);
    let names =
        ["web", "web.holm.internal", "2.0.89.10.in-addr.arpa", "example.org", "host.shop.holm.internal", ""];
    let mut out = Vec::new();
    for round in 0..ROUNDS {
        let edns = (random.below(2) == 0).then(|| random.below(65536) as u16);
        let mut query =
            wire::query(round as u16, names[random.below(6)], [1, 28, 12, 6, 255][random.below(5)], edns);
        random.spoil(&mut query);
        let tcp = random.below(2) == 0;
        let asker = Asker { network: 0, address: "10.89.0.2".parse().unwrap(), tcp };
        out.clear();
        answer(&table, asker, &query, round, &mut out);
        assert!(out.len() <= if tcp { 65535 } else { 1232 }, "{query:?}");
        if !out.is_empty() {
            assert!(out.len() >= wire::HEADER && out[2] & 0x80 != 0, "{query:?}");
        }
        let mut reply = query.clone();
        random.spoil(&mut reply);
        let _ = wire::is_answer_to(&reply, &query);
        wire::truncate(&mut reply);
        wire::refuse(&query, wire::Code::ServerFailure, &mut out);
    }
}

#[test]
fn spoilt_tables_are_read_as_far_as_they_go() {
    let mut random = Random(0x7461_626c_6521);
    for _ in 0..ROUNDS / 10 {
        let mut text = TABLE.as_bytes().to_vec();
        random.spoil(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let table = Table::read(&text);
        for index in 0..table.networks().len() {
            let _ = table.visible(index, "10.89.0.2".parse().unwrap()).count();
            assert!(
                table.forwarders(index, "10.89.0.2".parse().unwrap()).len() <= dns::table::MOST_RESOLVERS
            );
        }
        let _ = resolvers::parse(&text);
    }
}
