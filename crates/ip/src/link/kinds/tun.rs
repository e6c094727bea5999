//! Links whose other end is a program (`IFLA_TUN_*`); they are made by [`crate::tuntap`].

use netlink::{Attribute, Attributes};

use crate::session::Session;

const OWNER: u16 = 1;
const GROUP: u16 = 2;
const TYPE: u16 = 3;
const PACKET_INFO: u16 = 4;
const VNET_HDR: u16 = 5;
const PERSIST: u16 = 6;
const MULTI_QUEUE: u16 = 7;
const QUEUES: u16 = 8;
const DISABLED_QUEUES: u16 = 9;

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    if let Some(kind) = data.find(TYPE).and_then(Attribute::u8) {
        let other = format!("UNKNOWN:{kind}");
        let name = match kind {
            1 => "tun",
            2 => "tap",
            _ => &other,
        };
        out.field("type", name, format_args!("type {name} "));
    }
    for (kind, word) in [(PACKET_INFO, "pi"), (VNET_HDR, "vnet_hdr")] {
        switch(out, data, kind, word);
    }
    if data.find(MULTI_QUEUE).and_then(Attribute::u8).unwrap_or(0) == 0 {
        out.json("multi_queue", false);
    } else {
        out.field("multi_queue", true, format_args!("multi_queue "));
        for (kind, word) in [(QUEUES, "numqueues"), (DISABLED_QUEUES, "numdisabled")] {
            if let Some(count) = data.find(kind).and_then(Attribute::u32) {
                out.field(word, count, format_args!("{word} {count} "));
            }
        }
    }
    switch(out, data, PERSIST, "persist");
    for (kind, word, file) in [(OWNER, "user", "/etc/passwd"), (GROUP, "group", "/etc/group")] {
        let Some(id) = data.find(kind).and_then(Attribute::u32) else { continue };
        match crate::tuntap::account_name(file, id) {
            Some(name) => out.field(word, &name, format_args!("{word} {name} ")),
            None => out.field(word, id, format_args!("{word} {id} ")),
        }
    }
}

fn switch(out: &mut crate::out::Out, data: Attributes<'_>, kind: u16, word: &str) {
    if let Some(on) = data.find(kind).and_then(Attribute::u8) {
        out.field(word, on != 0, format_args!("{word} {} ", if on == 0 { "off" } else { "on" }));
    }
}
