//! Ethernet over UDP (`IFLA_VXLAN_*`).

use std::net::IpAddr;

use netlink::route::{AF_INET, AF_INET6, AF_UNSPEC};
use netlink::{Attribute, Attributes, Requests};

use super::{conflict, show_hex, unknown};
use crate::address::{address, family_of, show as show_ip};
use crate::fail::Fail;
use crate::names::Table;
use crate::session::Session;
use crate::words::{self, Words, invalid, short, twice};

const ID: u16 = 1;
const GROUP: u16 = 2;
const LINK: u16 = 3;
const LOCAL: u16 = 4;
const TTL: u16 = 5;
const TOS: u16 = 6;
const LEARNING: u16 = 7;
const AGEING: u16 = 8;
const LIMIT: u16 = 9;
const PORT_RANGE: u16 = 10;
const PROXY: u16 = 11;
const RSC: u16 = 12;
const L2MISS: u16 = 13;
const L3MISS: u16 = 14;
const PORT: u16 = 15;
const GROUP6: u16 = 16;
const LOCAL6: u16 = 17;
const UDP_CSUM: u16 = 18;
const ZERO_CSUM6_TX: u16 = 19;
const ZERO_CSUM6_RX: u16 = 20;
const REMCSUM_TX: u16 = 21;
const REMCSUM_RX: u16 = 22;
const GBP: u16 = 23;
const COLLECT_METADATA: u16 = 25;
const LABEL: u16 = 26;
const GPE: u16 = 27;
const TTL_INHERIT: u16 = 28;
const DF: u16 = 29;
const VNIFILTER: u16 = 30;

/// Keywords that are a switch, or its opposite behind `no`; what they are called in JSON.
const SWITCHES: [(u16, &str, &str); 9] = [
    (PROXY, "proxy", "proxy"),
    (RSC, "rsc", "rsc"),
    (L2MISS, "l2miss", "l2miss"),
    (L3MISS, "l3miss", "l3miss"),
    (UDP_CSUM, "udpcsum", "udp_csum"),
    (ZERO_CSUM6_TX, "udp6zerocsumtx", "udp_zero_csum6_tx"),
    (ZERO_CSUM6_RX, "udp6zerocsumrx", "udp_zero_csum6_rx"),
    (REMCSUM_TX, "remcsumtx", "remcsum_tx"),
    (REMCSUM_RX, "remcsumrx", "remcsum_rx"),
];
const FRAGMENT: [&str; 3] = ["unset", "set", "inherit"];

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let on = |kind: u16| data.find(kind).and_then(Attribute::u8).unwrap_or(0) != 0;
    let out = &mut session.out;
    if on(COLLECT_METADATA) {
        out.field("external", true, format_args!("external "));
    }
    if on(VNIFILTER) {
        out.field("vnifilter", true, format_args!("vnifilter"));
    }
    if let Some(id) = data.find(ID).and_then(Attribute::u32) {
        out.field("id", id, format_args!("id {id} "));
    }
    for (v4, v6, remote) in [(GROUP, GROUP6, true), (LOCAL, LOCAL6, false)] {
        let Some(ip) = data.find(v4).or_else(|| data.find(v6)).and_then(Attribute::ip) else { continue };
        if ip.is_unspecified() {
            continue;
        }
        let word = match remote {
            true if ip.is_multicast() => "group",
            true => "remote",
            false => "local",
        };
        let key = if ip.is_ipv6() { format!("{word}6") } else { word.to_owned() };
        let text = show_ip(ip);
        out.field(&key, &text, format_args!("{word} {text} "));
    }
    if let Some(link) = data.find(LINK).and_then(Attribute::u32).filter(|link| *link != 0) {
        let name = session.link_name(link);
        session.out.field("link", &name, format_args!("dev {name} "));
    }
    ports(session, data);
    switches(session, data);
}

fn ports(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    if let Some(range) = data.find(PORT_RANGE) {
        let half = |at: usize| range.data.get(at..).and_then(|data| Attribute { kind: 0, data }.be16());
        if let (Some(low), Some(high)) = (half(0), half(2)) {
            out.object(Some("port_range"));
            out.json("low", low);
            out.json("high", high);
            out.object_end();
            out.text(format_args!("srcport {low} {high} "));
        }
    }
    if let Some(port) = data.find(PORT).and_then(Attribute::be16) {
        out.field("port", port, format_args!("dstport {port} "));
    }
}

fn switches(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    let byte = |kind: u16| data.find(kind).and_then(Attribute::u8);
    if let Some(learning) = byte(LEARNING) {
        out.json("learning", learning != 0);
        if learning == 0 {
            out.text(format_args!("nolearning "));
        }
    }
    for (kind, word, key) in &SWITCHES[..4] {
        if byte(*kind).unwrap_or(0) != 0 {
            out.field(key, true, format_args!("{word} "));
        }
    }
    match byte(TOS).unwrap_or(0) {
        0 => {}
        1 if !out.is_json() => out.text(format_args!("tos inherit ")),
        tos => show_hex(out, "tos", "tos", tos.into()),
    }
    if byte(TTL_INHERIT).unwrap_or(0) != 0 {
        out.text(format_args!("ttl inherit "));
    } else if let Some(ttl) = byte(TTL) {
        match ttl {
            0 => out.field("ttl", ttl, format_args!("ttl auto ")),
            _ => out.field("ttl", ttl, format_args!("ttl {ttl} ")),
        }
    }
    if let Some(fragment) = byte(DF) {
        match FRAGMENT.get(usize::from(fragment)) {
            Some(&"unset") => out.json("df", "unset"),
            Some(name) => out.field("df", *name, format_args!("df {name} ")),
            None => {}
        }
    }
    let word = |kind: u16| data.find(kind).and_then(Attribute::u32);
    if let Some(label) = word(LABEL).map(u32::from_be).filter(|label| *label != 0) {
        show_hex(out, "flowlabel", "label", label.into());
    }
    match word(AGEING) {
        Some(0) => out.field("ageing", 0u32, format_args!("ageing none ")),
        Some(age) => out.field("ageing", age, format_args!("ageing {age} ")),
        None => {}
    }
    if let Some(limit) = word(LIMIT).filter(|limit| *limit != 0) {
        out.field("limit", limit, format_args!("maxaddr {limit} "));
    }
    for (kind, word, key) in &SWITCHES[4..7] {
        if let Some(on) = byte(*kind) {
            out.field(key, on != 0, format_args!("{}{word} ", if on == 0 { "no" } else { "" }));
        }
    }
    for (kind, word, key) in &SWITCHES[7..] {
        if byte(*kind).unwrap_or(0) != 0 {
            out.field(key, true, format_args!("{word} "));
        }
    }
    for (kind, word) in [(GBP, "gbp"), (GPE, "gpe")] {
        if data.find(kind).is_some() {
            out.field(word, true, format_args!("{word} "));
        }
    }
}

/// What the words came to; some of it goes together only.
#[derive(Debug, Default)]
struct Read {
    seen: u64,
    id: Option<u32>,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    learning: bool,
    port: u16,
    metadata: bool,
    vnifilter: bool,
}

impl Read {
    fn once(&mut self, kind: u16, keyword: &str, word: &str) -> Result<(), Fail> {
        if self.saw(kind) {
            return Err(twice(keyword, word));
        }
        self.seen |= 1 << kind;
        Ok(())
    }

    const fn saw(&self, kind: u16) -> bool {
        self.seen & (1 << kind) != 0
    }
}

pub(super) fn read(
    session: &mut Session,
    words: &Words<'_>,
    requests: &mut Requests,
    new: bool,
) -> Result<(), Fail> {
    let mut read = Read { learning: true, ..Read::default() };
    while let Some(word) = words.next() {
        read_word(session, word, words, requests, &mut read)?;
    }
    finish(session, requests, &read, new)
}

fn read_word(
    session: &mut Session,
    word: &str,
    words: &Words<'_>,
    requests: &mut Requests,
    read: &mut Read,
) -> Result<(), Fail> {
    let family = |other: Option<IpAddr>| other.map_or(AF_UNSPEC, family_of);
    if short(word, "id") || short(word, "vni") {
        let value = words.value()?;
        read.once(ID, "id", value)?;
        read.id = Some(
            words::u32("id", value)
                .ok()
                .filter(|id| *id < 1 << 24)
                .ok_or_else(|| invalid("id", value, "a number of 0 to 16777215"))?,
        );
    } else if short(word, "group") || short(word, "remote") {
        let group = short(word, "group");
        let keyword = if group { "group" } else { "remote" };
        if read.remote.is_some_and(|ip| ip.is_multicast() != group) {
            return Err(conflict("`group` and `remote` exclude each other"));
        }
        let value = words.value()?;
        read.once(GROUP, keyword, value)?;
        let ip = address(value, family(read.local))?;
        if ip.is_multicast() != group || ip.is_unspecified() {
            return Err(invalid(
                keyword,
                value,
                if group { "a multicast address" } else { "a unicast address" },
            ));
        }
        read.remote = Some(ip);
    } else if short(word, "local") {
        let value = words.value()?;
        read.once(LOCAL, "local", value)?;
        let ip = address(value, family(read.remote))?;
        if ip.is_multicast() || ip.is_unspecified() {
            return Err(invalid("local", value, "a unicast address"));
        }
        read.local = Some(ip);
    } else if short(word, "dev") {
        let value = words.value()?;
        read.once(LINK, "dev", value)?;
        requests.u32(LINK, session.link(value)?);
    } else if short(word, "ttl") || short(word, "hoplimit") {
        let value = words.value()?;
        read.once(TTL, "ttl", value)?;
        match value {
            "inherit" => requests.attribute(TTL_INHERIT, &[]),
            "auto" => requests.u8(TTL, 0),
            _ => requests.u8(TTL, words::u8("ttl", value)?),
        };
    } else if short(word, "tos") || short(word, "dsfield") {
        let value = words.value()?;
        read.once(TOS, "tos", value)?;
        let tos = if value == "inherit" { 1 } else { session.find(Table::Services, "tos", value)? };
        requests.u8(TOS, tos as u8);
    } else if short(word, "df") {
        let value = words.value()?;
        read.once(DF, "df", value)?;
        let place = FRAGMENT.iter().position(|name| *name == value);
        requests.u8(DF, place.ok_or_else(|| invalid("df", value, "unset, set or inherit"))? as u8);
    } else if short(word, "label") || short(word, "flowlabel") {
        let value = words.value()?;
        read.once(LABEL, "flowlabel", value)?;
        let label = words::u32("flowlabel", value)?;
        if label > 0xf_ffff {
            return Err(invalid("flowlabel", value, "a number of 0 to 1048575"));
        }
        requests.u32(LABEL, label.to_be());
    } else if short(word, "ageing") {
        let value = words.value()?;
        read.once(AGEING, "ageing", value)?;
        requests.u32(AGEING, if value == "none" { 0 } else { words::u32("ageing", value)? });
    } else if short(word, "maxaddress") {
        let value = words.value()?;
        read.once(LIMIT, "maxaddress", value)?;
        requests.u32(LIMIT, if value == "unlimited" { 0 } else { words::u32("maxaddress", value)? });
    } else if short(word, "port") || short(word, "srcport") {
        let value = words.value()?;
        read.once(PORT_RANGE, "srcport", value)?;
        let (low, high) = (words::u16("srcport", value)?, words::u16("srcport", words.value()?)?);
        if low != 0 || high != 0 {
            requests.attribute(PORT_RANGE, &[low.to_be_bytes(), high.to_be_bytes()].concat());
        }
    } else if short(word, "dstport") {
        let value = words.value()?;
        read.once(PORT, "dstport", value)?;
        read.port = words::u16("dstport", value)?;
    } else if short(word, "nolearning") || short(word, "learning") {
        read.once(LEARNING, word, word)?;
        read.learning = !word.starts_with("no");
    } else if short(word, "external") || short(word, "noexternal") {
        read.once(COLLECT_METADATA, word, word)?;
        read.metadata = !word.starts_with("no");
        // Where each packet goes is told from outside, so there is nothing to learn.
        read.learning &= !read.metadata;
        requests.u8(COLLECT_METADATA, read.metadata.into());
    } else if let Some((kind, name)) = [(GBP, "gbp"), (GPE, "gpe")].iter().find(|(_, name)| short(word, name))
    {
        read.once(*kind, name, word)?;
        requests.attribute(*kind, &[]);
    } else if matches!(word, "vnifilter" | "novnifilter") {
        read.once(VNIFILTER, word, word)?;
        read.vnifilter = word == "vnifilter";
        requests.u8(VNIFILTER, read.vnifilter.into());
    } else {
        let plain = word.strip_prefix("no").filter(|rest| !rest.is_empty());
        let found = SWITCHES.iter().find(|(_, name, _)| short(word, name));
        let found = found.map(|found| (found.0, 1)).or_else(|| {
            let rest = plain?;
            SWITCHES.iter().find(|(_, name, _)| short(rest, name)).map(|found| (found.0, 0))
        });
        let (kind, value) = found.ok_or_else(|| unknown("vxlan", word))?;
        read.once(kind, word, word)?;
        requests.u8(kind, value);
    }
    Ok(())
}

fn finish(session: &Session, requests: &mut Requests, read: &Read, new: bool) -> Result<(), Fail> {
    if read.vnifilter && !read.metadata {
        return Err(conflict("`vnifilter` goes with `external` only"));
    }
    if read.metadata && read.id.is_some() {
        return Err(conflict("`external` and `id` exclude each other"));
    }
    if !read.metadata && !read.vnifilter && read.id.is_none() && new {
        return Err(conflict("a vxlan link needs the number of its network: `id NUMBER`"));
    }
    if read.remote.is_some_and(|ip| ip.is_multicast()) && !read.saw(LINK) {
        return Err(conflict("`group` needs `dev`, the link that the group is on"));
    }
    let mut port = read.port;
    if !read.saw(PORT) && read.saw(GPE) {
        port = 4790;
    } else if !read.saw(PORT) && new {
        eprintln!(
            "note: without `dstport` the kernel takes its old port 8472; `dstport 4789` is the assigned one"
        );
    }
    if let Some(id) = read.id {
        requests.u32(ID, id);
    }
    if let Some(local) = read.local {
        requests.ip(if local.is_ipv4() { LOCAL } else { LOCAL6 }, local);
    }
    match (read.remote, read.local, session.options.family) {
        (Some(remote), ..) => {
            requests.ip(if remote.is_ipv4() { GROUP } else { GROUP6 }, remote);
        }
        (None, None, AF_INET) => {
            requests.attribute(GROUP, &[0; 4]);
        }
        (None, None, AF_INET6) => {
            requests.attribute(GROUP6, &[0; 16]);
        }
        _ => {}
    }
    if new || read.saw(LEARNING) {
        requests.u8(LEARNING, read.learning.into());
    }
    if port != 0 {
        requests.be16(PORT, port);
    }
    Ok(())
}
