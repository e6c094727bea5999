//! Each rule of the decision as rows of names and what is said about them.

use super::*;
use expect_test::{Expect, expect};
use std::fmt::Write as _;

const TEXT: &str = "resolvers 192.0.2.1\n\
    network shop holm1 open\ngateways 10.89.0.1 fd00:89::1\nsubnets 10.89.0.0/24 fd00:89::/64\n\
    entry c1\nnames web www\naddresses 10.89.0.2 fd00:89::2\n\
    entry c2\nnames my_db.1 www\naddresses 10.89.0.3\n\
    network back holm2 internal\ngateways 10.90.0.1\nsubnets 10.90.0.0/24\n\
    entry c2\nnames my_db.1\naddresses 10.90.0.3\nentry c3\nnames vault\naddresses 10.90.0.4\n";

fn asker(address: &str) -> Asker {
    let address: IpAddr = address.parse().unwrap();
    let network = usize::from(address.to_string().starts_with("10.90."));
    Asker { network, address, tcp: false }
}

/// What is said about a name, as `dig` would show it, a line a query.
fn ask(who: &str, queries: &[(&str, u16)], expected: Expect) {
    let table = Table::read(TEXT);
    let mut text = String::new();
    for (name, kind) in queries {
        let query = wire::query(1, name, *kind, None);
        let mut out = Vec::new();
        let outcome = answer(&table, asker(who), &query, 0, &mut out);
        let shown = match outcome {
            Outcome::Answer => show(&out),
            other => format!("{other:?}"),
        };
        writeln!(text, "{name} {kind}: {shown}").unwrap();
    }
    expected.assert_eq(&text);
}

fn show(message: &[u8]) -> String {
    let code = ["ok", "format", "failed", "no such name", "not implemented", "refused"]
        [usize::from(message[3] & 0xf)];
    let mut shown = code.to_owned();
    for (bit, word) in [(4, " ours"), (2, " truncated")] {
        if message[2] & bit != 0 {
            shown.push_str(word);
        }
    }
    let mut at = message[12..].iter().position(|byte| *byte == 0).unwrap() + 17;
    for section in 0..2 {
        for _ in 0..message[7 + 2 * section] {
            at = if message[at] == 0xc0 {
                at + 2
            } else {
                at + message[at..].iter().position(|byte| *byte == 0).unwrap() + 1
            };
            let kind = u16::from_be_bytes([message[at], message[at + 1]]);
            let length = usize::from(u16::from_be_bytes([message[at + 8], message[at + 9]]));
            let data = &message[at + 10..at + 10 + length];
            at += 10 + length;
            shown.push(' ');
            match kind {
                kind::A => shown.push_str(&Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap()).to_string()),
                kind::AAAA => {
                    shown.push_str(&Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).to_string())
                }
                kind::PTR | kind::NS => {
                    let mut rest = data;
                    while let Some((length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
                        let (label, tail) = tail.split_at(usize::from(*length));
                        write!(shown, "{}.", String::from_utf8_lossy(label)).unwrap();
                        rest = tail;
                    }
                }
                kind::SOA => shown.push_str("SOA"),
                other => write!(shown, "kind {other}").unwrap(),
            }
        }
    }
    assert_eq!(at, message.len());
    shown
}

use kind::{A, AAAA, ANY, NS, PTR, SOA};

#[test]
fn names_and_aliases_have_the_addresses_of_their_containers() {
    ask(
        "10.89.0.2",
        &[
            ("web", A),
            ("web", AAAA),
            ("WWW", A),
            ("www", AAAA),
            ("web", ANY),
            ("my_db.1", A),
            ("web.holm.internal", A),
            ("my_db.1.holm.internal", A),
            ("web.shop.holm.internal", A),
            ("host.holm.internal", A),
            ("host.holm.internal", AAAA),
        ],
        expect![[r#"
            web 1: ok ours 10.89.0.2
            web 28: ok ours fd00:89::2
            WWW 1: ok ours 10.89.0.2 10.89.0.3
            www 28: ok ours fd00:89::2
            web 255: ok ours 10.89.0.2 fd00:89::2
            my_db.1 1: ok ours 10.89.0.3
            web.holm.internal 1: ok ours 10.89.0.2
            my_db.1.holm.internal 1: ok ours 10.89.0.3
            web.shop.holm.internal 1: ok ours 10.89.0.2
            host.holm.internal 1: ok ours 10.89.0.1
            host.holm.internal 28: ok ours fd00:89::1
        "#]],
    );
}

#[test]
fn a_known_name_without_the_kind_is_no_error_and_an_unknown_one_is() {
    ask(
        "10.89.0.2",
        &[
            ("my_db.1", AAAA),
            ("web", 15),
            ("web.holm.internal", 15),
            ("nobody", A),
            ("nobody", AAAA),
            ("nobody.holm.internal", A),
            ("nobody.holm.internal", 65),
            ("nobody.shop.holm.internal", A),
            ("shop.holm.internal", A),
            ("back.holm.internal", A),
            ("holm.internal", SOA),
            ("holm.internal", NS),
            ("holm.internal", A),
        ],
        expect![[r#"
            my_db.1 28: ok ours
            web 15: ok ours
            web.holm.internal 15: ok ours SOA
            nobody 1: no such name ours
            nobody 28: no such name ours
            nobody.holm.internal 1: no such name ours SOA
            nobody.holm.internal 65: no such name ours SOA
            nobody.shop.holm.internal 1: no such name ours SOA
            shop.holm.internal 1: ok ours SOA
            back.holm.internal 1: no such name ours SOA
            holm.internal 6: ok ours SOA
            holm.internal 2: ok ours host.holm.internal.
            holm.internal 1: ok ours SOA
        "#]],
    );
}

#[test]
fn addresses_of_the_network_have_names_and_others_are_asked_for_elsewhere() {
    ask(
        "10.89.0.2",
        &[
            ("2.0.89.10.in-addr.arpa", PTR),
            ("1.0.89.10.in-addr.arpa", PTR),
            ("2.0.89.10.in-addr.arpa", A),
            ("9.0.89.10.in-addr.arpa", PTR),
            ("4.0.90.10.in-addr.arpa", PTR),
            ("1.2.0.192.in-addr.arpa", PTR),
            ("89.10.in-addr.arpa", PTR),
            ("1.0.0.127.in-addr.arpa", PTR),
            ("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.0.0.0.0.d.f.ip6.arpa", PTR),
        ],
        expect![[r#"
            2.0.89.10.in-addr.arpa 12: ok ours web.holm.internal.
            1.0.89.10.in-addr.arpa 12: ok ours host.holm.internal.
            2.0.89.10.in-addr.arpa 1: ok ours
            9.0.89.10.in-addr.arpa 12: no such name ours
            4.0.90.10.in-addr.arpa 12: Forward
            1.2.0.192.in-addr.arpa 12: Forward
            89.10.in-addr.arpa 12: Forward
            1.0.0.127.in-addr.arpa 12: no such name ours
            2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.0.0.0.0.d.f.ip6.arpa 12: ok ours web.holm.internal.
        "#]],
    );
}

#[test]
fn a_container_on_two_networks_finds_the_names_of_both() {
    let names = [
        ("vault", A),
        ("web", A),
        ("my_db.1", A),
        ("web.shop.holm.internal", A),
        ("4.0.90.10.in-addr.arpa", PTR),
    ];
    ask(
        "10.89.0.3",
        &names,
        expect![[r#"
            vault 1: ok ours 10.90.0.4
            web 1: ok ours 10.89.0.2
            my_db.1 1: ok ours 10.89.0.3 10.90.0.3
            web.shop.holm.internal 1: ok ours 10.89.0.2
            4.0.90.10.in-addr.arpa 12: ok ours vault.holm.internal.
        "#]],
    );
    ask(
        "10.90.0.4",
        &names,
        expect![[r#"
            vault 1: ok ours 10.90.0.4
            web 1: no such name ours
            my_db.1 1: ok ours 10.90.0.3
            web.shop.holm.internal 1: no such name ours SOA
            4.0.90.10.in-addr.arpa 12: ok ours vault.holm.internal.
        "#]],
    );
}

#[test]
fn foreign_names_are_passed_on_but_never_from_an_internal_network() {
    let names = [
        ("example.org", A),
        ("org", NS),
        ("web.example.org", A),
        ("localhost", A),
        ("x.localhost", AAAA),
        ("", NS),
    ];
    ask(
        "10.89.0.2",
        &names,
        expect![[r#"
            example.org 1: Forward
            org 2: Forward
            web.example.org 1: Forward
            localhost 1: ok ours 127.0.0.1
            x.localhost 28: ok ours ::1
             2: Forward
        "#]],
    );
    // Also the one who has a way out on his other network: somebody else could use his address.
    for who in ["10.90.0.4", "10.90.0.3"] {
        ask(
            who,
            &names,
            expect![[r#"
                example.org 1: no such name
                org 2: no such name
                web.example.org 1: no such name
                localhost 1: ok ours 127.0.0.1
                x.localhost 28: ok ours ::1
                 2: no such name
            "#]],
        );
    }
}

#[test]
fn others_than_the_network_are_not_answered() {
    let table = Table::read(TEXT);
    let query = wire::query(1, "web", A, None);
    for address in ["192.0.2.7", "10.90.0.3", "fd00:90::1", "127.0.0.1"] {
        let asker = Asker { network: 0, address: address.parse().unwrap(), tcp: false };
        assert_eq!(answer(&table, asker, &query, 0, &mut Vec::new()), Outcome::Drop, "{address}");
    }
    let nowhere = Asker { network: 9, ..asker("10.89.0.2") };
    assert_eq!(answer(&table, nowhere, &query, 0, &mut Vec::new()), Outcome::Drop);
}

#[test]
fn other_classes_versions_and_operations_are_refused() {
    let table = Table::read(TEXT);
    let check = |query: &[u8], code: u8| {
        let mut out = Vec::new();
        assert_eq!(answer(&table, asker("10.89.0.2"), query, 0, &mut out), Outcome::Answer);
        assert_eq!(out[3] & 0xf, code);
        assert_eq!(out[..2], query[..2]);
        out
    };
    let mut chaos = wire::query(3, "version.bind", 16, None);
    *chaos.last_mut().unwrap() = 3;
    check(&chaos, 5);
    let mut newer = wire::query(3, "web", A, Some(1232));
    let version = newer.len() - 5;
    newer[version] = 1;
    let out = check(&newer, 0);
    assert_eq!(out[out.len() - 6], 1, "the upper half of BADVERS");
    let mut update = wire::query(3, "web", A, None);
    update[2] |= 0x28;
    check(&update, 4);
    check(&wire::query(3, "web", A, None)[..14], 1);
    let mut reply = wire::query(3, "web", A, None);
    reply[2] |= 0x80;
    assert_eq!(answer(&table, asker("10.89.0.2"), &reply, 0, &mut Vec::new()), Outcome::Drop, "no loops");
}

#[test]
fn several_addresses_take_turns_at_the_front() {
    let table = Table::read(TEXT);
    let query = wire::query(1, "www", A, None);
    let mut first = Vec::new();
    for turn in 0..3 {
        let mut out = Vec::new();
        answer(&table, asker("10.89.0.2"), &query, turn, &mut out);
        first.push(show(&out));
    }
    assert_eq!(
        first,
        ["ok ours 10.89.0.2 10.89.0.3", "ok ours 10.89.0.3 10.89.0.2", "ok ours 10.89.0.2 10.89.0.3"]
    );
}

#[test]
fn many_addresses_are_cut_over_udp_and_whole_over_tcp() {
    let entries: String =
        (2..250).map(|last| format!("entry c{last}\nnames all\naddresses 10.89.0.{last}\n")).collect();
    let table = Table::read(&format!("network shop holm1 open\nsubnets 10.89.0.0/24\n{entries}"));
    let query = wire::query(1, "all", A, Some(4096));
    let mut out = Vec::new();
    let udp = asker("10.89.0.2");
    answer(&table, udp, &query, 0, &mut out);
    assert!(out.len() <= 1232 && out[2] & 2 == 2);
    answer(&table, Asker { tcp: true, ..udp }, &query, 0, &mut out);
    assert_eq!((out[2] & 2, u16::from_be_bytes([out[6], out[7]])), (0, 248));
}

#[test]
fn names_that_are_not_text_are_foreign() {
    let table = Table::read(TEXT);
    let mut query = wire::query(1, "webx", A, None);
    query[wire::HEADER + 4] = b'.';
    assert_eq!(answer(&table, asker("10.89.0.2"), &query, 0, &mut Vec::new()), Outcome::Forward);
    query[wire::HEADER + 4] = 0xe4;
    assert_eq!(answer(&table, asker("10.89.0.2"), &query, 0, &mut Vec::new()), Outcome::Forward);
}
