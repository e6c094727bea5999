//! Queries as containers send them, answers as resolvers send them, and the table of names.
#![no_main]

use dns::answer::{Asker, Outcome, answer};
use dns::table::Table;
use dns::{resolvers, wire};
use libfuzzer_sys::fuzz_target;

const TABLE: &str = "resolvers 192.0.2.1\nnetwork shop holm1 open\ngateways 10.89.0.1\nsubnets 10.89.0.0/24 fd00::/64\n\
    entry c1\nnames web www\naddresses 10.89.0.2 fd00::2\n";

fuzz_target!(|data: &[u8]| {
    let table = Table::read(TABLE);
    let mut out = Vec::new();
    for tcp in [false, true] {
        let asker = Asker { network: 0, address: "10.89.0.2".parse().expect("an address"), tcp };
        if answer(&table, asker, data, 1, &mut out) == Outcome::Answer {
            assert!(out.len() >= wire::HEADER && out.len() <= if tcp { 65535 } else { 1232 });
            assert!(out[..2] == data[..2] && out[2] & 0x80 != 0);
        }
    }
    let (one, two) = data.split_at(data.len() / 2);
    let _ = wire::is_answer_to(one, two);
    let mut reply = data.to_vec();
    wire::truncate(&mut reply);
    assert!(reply.len() <= data.len());
    if let Ok(text) = std::str::from_utf8(data) {
        let table = Table::read(text);
        for index in 0..table.networks().len() {
            let asker = "10.89.0.2".parse().expect("an address");
            let _ = (table.visible(index, asker).count(), table.forwarders(index, asker).len());
        }
        let _ = resolvers::parse(text);
    }
});
