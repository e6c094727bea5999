//! A route as it is shown.

use netlink::route::{AF_INET, AF_INET6, NextHopHeader, RouteHeader, rta};
use netlink::{Attribute, Attributes, Index, Message};

use super::numbers::{
    CLONED, CONGCTL, FEATURES, HOPLIMIT, LOCK, METRICS, MULTICAST, PROTOCOL_BOOT, RTO_MIN, RTT, RTTVAR,
    TABLE_MAIN, UNICAST, type_name,
};
use crate::address::{bits_of, family_name, show as show_ip};
use crate::names::Table;
use crate::out::{Ink, Out};
use crate::session::Session;

/// What the filter of a list has fixed, which is therefore left out of its lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) table: bool,
    pub(super) protocol: bool,
    pub(super) scope: bool,
    pub(super) link: bool,
    pub(super) input: bool,
    pub(super) metric: bool,
    pub(super) gateway: bool,
    pub(super) source: bool,
    pub(super) service: bool,
    pub(super) realm: bool,
    /// The type, where only one is wanted.
    pub(super) kinds: u64,
}

/// A route in a message.
pub(super) struct Route<'a> {
    pub(super) header: RouteHeader,
    pub(super) attributes: Index<'a, 31>,
    pub(super) table: u32,
}

impl<'a> Route<'a> {
    pub(super) fn read(message: &Message<'a>) -> Option<Self> {
        let (header, list) = RouteHeader::read(message)?;
        let attributes = Index::<31>::new(list);
        let table = attributes.get(rta::TABLE).and_then(Attribute::u32).unwrap_or(header.table.into());
        Some(Self { header, attributes, table })
    }

    pub(super) fn number(&self, kind: u16) -> Option<u32> {
        self.attributes.get(kind).and_then(Attribute::u32)
    }
}

pub(super) const fn ink(family: u8) -> Ink {
    match family {
        AF_INET => Ink::Inet,
        AF_INET6 => Ink::Inet6,
        _ => Ink::None,
    }
}

/// Shows a route.
pub(super) fn show(session: &mut Session, route: &Route<'_>, known: &Known) {
    let header = &route.header;
    let details = session.options.details;
    session.out.object(None);
    if (header.kind != UNICAST || details) && (known.kinds == 0 || known.kinds & (1 << header.kind) != 0) {
        let name = if session.options.numeric { header.kind.to_string() } else { type_name(header.kind) };
        session.out.field("type", &name, format_args!("{name} "));
    }
    ends(session, route);
    if let Some(id) = route.number(rta::NH_ID) {
        session.out.field("nhid", id, format_args!("nhid {id} "));
    }
    if let Some(ip) = route.attributes.get(rta::NEWDST).and_then(Attribute::ip) {
        new_destination(&mut session.out, ip, header.family);
    }
    if header.tos != 0 && !known.service {
        let name = session.show(Table::Services, header.tos.into());
        session.out.field("tos", &name, format_args!("tos {name} "));
    }
    if let Some(gateway) = route.attributes.get(rta::GATEWAY).filter(|_| !known.gateway) {
        show_gateway(&mut session.out, gateway, header.family);
    }
    if let Some(via) = route.attributes.get(rta::VIA) {
        show_via(&mut session.out, via);
    }
    if let Some(index) = route.number(rta::OIF).filter(|_| !known.link) {
        show_link(session, index, "dev");
    }
    where_from(session, route, known);
    flags(&mut session.out, header.flags);
    rest(session, route, known);
    if let Some(ways) = route.attributes.get(rta::MULTIPATH) {
        show_ways(session, header, ways.data);
    }
    session.out.text(format_args!("\n"));
    session.out.object_end();
}

/// Destination and source.
fn ends(session: &mut Session, route: &Route<'_>) {
    let header = &route.header;
    let text = |attribute: Option<Attribute<'_>>, bits: u8| {
        let ip = attribute.and_then(Attribute::ip).map(show_ip)?;
        Some(if bits == bits_of(header.family) { ip } else { format!("{ip}/{bits}") })
    };
    let to = text(route.attributes.get(rta::DST), header.destination_prefix);
    let known = to.is_some();
    let to = to.unwrap_or_else(|| match header.destination_prefix {
        0 => "default".to_owned(),
        bits => format!("0/{bits} "),
    });
    session.out.inked(if known { ink(header.family) } else { Ink::None }, "dst", &to, format_args!("{to} "));
    match text(route.attributes.get(rta::SRC), header.source_prefix) {
        Some(from) => session.out.inked(ink(header.family), "from", &from, format_args!("from {from} ")),
        None if header.source_prefix != 0 => {
            let from = format!("0/{}", header.source_prefix);
            session.out.field("src", &from, format_args!("from {from} "));
        }
        None => {}
    }
}

fn new_destination(out: &mut Out, ip: std::net::IpAddr, family: u8) {
    let text = show_ip(ip);
    out.text(format_args!("as to "));
    out.inked(ink(family), "to", &text, format_args!("{text} "));
}

fn show_gateway(out: &mut Out, gateway: Attribute<'_>, family: u8) {
    let text = gateway.ip().map(show_ip).unwrap_or_default();
    out.text(format_args!("via "));
    out.inked(ink(family), "gateway", &text, format_args!("{text} "));
}

/// A gateway of another family (`struct rtvia`).
fn show_via(out: &mut Out, via: Attribute<'_>) {
    let family = via.u16().unwrap_or(0) as u8;
    let data = via.data.get(2..).unwrap_or_default();
    let text = Attribute { kind: 0, data }.ip().map(show_ip).unwrap_or_default();
    let name = family_name(family);
    out.object(Some("via"));
    out.field("family", name, format_args!("via {name} "));
    out.inked(ink(family), "host", &text, format_args!("{text} "));
    out.object_end();
}

fn show_link(session: &mut Session, index: u32, word: &str) {
    let name = session.link_name(index);
    session.out.text(format_args!("{word} "));
    session.out.inked(Ink::Name, word, &name, format_args!("{name} "));
}

/// Table, protocol, scope, source address and metric.
fn where_from(session: &mut Session, route: &Route<'_>, known: &Known) {
    let header = &route.header;
    let details = session.options.details;
    if route.table != 0 && (route.table != TABLE_MAIN || details) && !known.table {
        let name = session.show(Table::Tables, route.table);
        session.out.field("table", &name, format_args!("table {name} "));
    }
    if header.flags & CLONED == 0 {
        if (header.protocol != PROTOCOL_BOOT || details) && !known.protocol {
            let name = session.show(Table::Protocols, header.protocol.into());
            session.out.field("protocol", &name, format_args!("proto {name} "));
        }
        if (header.scope != 0 || details) && !known.scope {
            let name = session.show(Table::Scopes, header.scope.into());
            session.out.field("scope", &name, format_args!("scope {name} "));
        }
    }
    if let Some(source) = route.attributes.get(rta::PREFSRC).filter(|_| !known.source) {
        let text = source.ip().map(show_ip).unwrap_or_default();
        session.out.text(format_args!("src "));
        session.out.inked(ink(header.family), "prefsrc", &text, format_args!("{text} "));
    }
    if let Some(metric) = route.number(rta::PRIORITY).filter(|_| !known.metric) {
        session.out.field("metric", metric, format_args!("metric {metric} "));
    }
}

fn flags(out: &mut Out, flags: u32) {
    const NAMES: [(u32, &str); 11] = [
        (0x1, "dead"),
        (0x4, "onlink"),
        (0x2, "pervasive"),
        (0x8, "offload"),
        (0x40, "trap"),
        (0x100, "notify"),
        (0x10, "linkdown"),
        (0x20, "unresolved"),
        (0x4000, "rt_offload"),
        (0x8000, "rt_trap"),
        (0x2000_0000, "rt_offload_failed"),
    ];
    out.array("flags", "");
    for (bit, name) in NAMES {
        if flags & bit != 0 {
            out.item(name, format_args!("{name} "));
        }
    }
    out.close_array("");
}

/// What comes behind the flags.
fn rest(session: &mut Session, route: &Route<'_>, known: &Known) {
    let header = &route.header;
    let out = &mut session.out;
    if let Some(mark) = route.number(rta::MARK).filter(|mark| *mark != 0) {
        match mark {
            16.. => out.field("mark", mark, format_args!("mark {mark:#x} ")),
            _ => out.field("mark", mark, format_args!("mark {mark} ")),
        }
    }
    if let Some(flow) = route.number(rta::FLOW).filter(|_| !known.realm) {
        show_flow(session, flow);
    }
    let out = &mut session.out;
    if let Some(uid) = route.number(rta::UID) {
        out.field("uid", uid, format_args!("uid {uid} "));
    }
    if header.family == AF_INET && header.flags & CLONED != 0 {
        cache_flags(out, header.flags);
    }
    if let Some(times) = route.attributes.get(rta::CACHEINFO) {
        cache(session, times.data);
    }
    if let Some(metrics) = route.attributes.get(rta::METRICS) {
        show_metrics(&mut session.out, metrics.nested());
    }
    if let Some(index) = route.number(rta::IIF).filter(|_| !known.input) {
        show_link(session, index, "iif");
    }
    let out = &mut session.out;
    if let Some(preference) = route.attributes.get(rta::PREF).and_then(Attribute::u8) {
        match preference {
            0 => out.field("pref", "medium", format_args!("pref medium")),
            1 => out.field("pref", "high", format_args!("pref high")),
            3 => out.field("pref", "low", format_args!("pref low")),
            other => out.field("pref", other, format_args!("{other}")),
        }
    }
    if let Some(on) = route.attributes.get(rta::TTL_PROPAGATE).and_then(Attribute::u8) {
        let name = if on == 0 { "disabled" } else { "enabled" };
        out.field("ttl-propogate", on != 0, format_args!("ttl-propogate {name}"));
    }
}

/// Realms: where from above, where to below.
fn show_flow(session: &mut Session, flow: u32) {
    let (from, to) = (flow >> 16, flow & 0xffff);
    let to = session.show(Table::Realms, to);
    let from = (from != 0).then(|| session.show(Table::Realms, from));
    let out = &mut session.out;
    out.object(Some("flow"));
    match &from {
        Some(from) => out.field("from", from, format_args!("realms {from}/")),
        None => out.text(format_args!("realm ")),
    }
    out.field("to", &to, format_args!("{to} "));
    out.object_end();
}

/// `RTCF_*`, on a line of their own in text.
fn cache_flags(out: &mut Out, flags: u32) {
    const NAMES: [(u32, &str); 13] = [
        (0x8000_0000, "local"),
        (0x4000_0000, "reject"),
        (0x2000_0000, "mc"),
        (0x1000_0000, "brd"),
        (0x0800_0000, "dst-nat"),
        (0x0080_0000, "src-nat"),
        (0x0040_0000, "masq"),
        (0x0002_0000, "dst-direct"),
        (0x0400_0000, "src-direct"),
        (0x0004_0000, "redirected"),
        (0x0100_0000, "redirect"),
        (0x0020_0000, "fastroute"),
        (0x0001_0000, "notify"),
    ];
    let mut rest = flags & !0xffff;
    out.line();
    out.array("cache", "    cache ");
    if rest != 0 {
        out.text(format_args!("<"));
    }
    for (bit, name) in NAMES {
        if rest & bit != 0 {
            rest &= !bit;
            out.item(name, format_args!("{name}{}", if rest == 0 { "> " } else { "," }));
        }
    }
    if rest != 0 {
        out.field("flags", &format!("{rest:x}"), format_args!("{rest:x}>"));
    }
    out.close_array("");
}

/// `struct rta_cacheinfo`
fn cache(session: &mut Session, data: &[u8]) {
    /// `USER_HZ`, which is 100 on every processor that is supported here.
    const HZ: i32 = 100;
    let word =
        |place: usize| data.get(place * 4..).and_then(|data| Attribute { kind: 0, data }.u32()).unwrap_or(0);
    let statistics = session.options.statistics > 0;
    let out = &mut session.out;
    let (users, last_use, expires, error, used) = (word(0), word(1), word(2).cast_signed(), word(3), word(4));
    if expires != 0 {
        let seconds = expires / HZ;
        out.field("expires", seconds, format_args!("expires {seconds}sec "));
    }
    if error != 0 {
        out.field("error", error, format_args!("error {error} "));
    }
    if statistics {
        if users != 0 {
            out.field("users", users, format_args!("users {users} "));
        }
        if used != 0 {
            out.field("used", used, format_args!("used {used} "));
        }
        if last_use != 0 {
            let seconds = last_use / HZ.cast_unsigned();
            out.field("age", seconds, format_args!("age {seconds}sec "));
        }
    }
    let (id, stamp, stamp_age) = (word(5), word(6), word(7));
    if id != 0 {
        out.field("ipid", &format!("{id:#x}"), format_args!("ipid 0x{id:04x} "));
    }
    if stamp != 0 || stamp_age != 0 {
        out.field("ts", &format!("{stamp:#x}"), format_args!("ts 0x{stamp:x}"));
        out.field("tsage", stamp_age, format_args!("tsage {stamp_age}sec "));
    }
}

fn show_metrics(out: &mut Out, metrics: Attributes<'_>) {
    let lock = metrics.find(LOCK).and_then(Attribute::u32).unwrap_or(0);
    out.array("metrics", "");
    out.object(None);
    for (kind, name) in METRICS {
        let found = metrics.find(kind);
        if found.is_none() && lock & (1 << kind) == 0 {
            continue;
        }
        let value = found.and_then(Attribute::u32).unwrap_or(0);
        if kind == HOPLIMIT && value == u32::MAX {
            continue;
        }
        out.text(format_args!("{name} "));
        if lock & (1 << kind) != 0 {
            out.text(format_args!("lock "));
        }
        match kind {
            FEATURES => {
                if value & 1 != 0 {
                    out.field("ecn", crate::out::Value::Null, format_args!("ecn "));
                }
                if value & !1 != 0 {
                    let text = format!("{value:#x}");
                    out.field("features", &text, format_args!("{text} "));
                }
            }
            RTT | RTTVAR | RTO_MIN => {
                let value = match kind {
                    RTT => value / 8,
                    RTTVAR => value / 4,
                    _ => value,
                };
                if value >= 1000 {
                    out.field(name, value, format_args!("{}s ", general(f64::from(value) / 1e3)));
                } else {
                    out.field(name, value, format_args!("{value}ms "));
                }
            }
            CONGCTL => {
                let text = found.map(Attribute::text).unwrap_or_default();
                out.field("congestion", text, format_args!("{text} "));
            }
            _ => out.field(name, value, format_args!("{value} ")),
        }
    }
    out.object_end();
    out.close_array("");
}

/// A number as printf's `%g` has it: at most six digits.
fn general(value: f64) -> String {
    let digits = if value >= 1.0 { value.log10().floor() as usize + 1 } else { 1 };
    let text = format!("{value:.*}", 6usize.saturating_sub(digits));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A route with several ways.
fn show_ways(session: &mut Session, header: &RouteHeader, mut bytes: &[u8]) {
    session.out.array("nexthops", "");
    let multicast = header.flags & CLONED != 0 && header.kind == MULTICAST;
    let mut first = true;
    while let Some((way, list, rest)) = NextHopHeader::read(bytes) {
        bytes = rest;
        session.out.object(None);
        if multicast {
            session.out.text(format_args!("{}", if first { "Oifs: " } else { " " }));
            first = false;
        } else {
            session.out.line();
            session.out.text(format_args!("\tnexthop "));
        }
        let attributes = Index::<31>::new(list);
        if let Some(ip) = attributes.get(rta::NEWDST).and_then(Attribute::ip) {
            new_destination(&mut session.out, ip, header.family);
        }
        if let Some(gateway) = attributes.get(rta::GATEWAY) {
            show_gateway(&mut session.out, gateway, header.family);
        }
        if let Some(via) = attributes.get(rta::VIA) {
            show_via(&mut session.out, via);
        }
        if let Some(flow) = attributes.get(rta::FLOW).and_then(Attribute::u32) {
            show_flow(session, flow);
        }
        let name = session.link_name(way.index);
        let out = &mut session.out;
        if multicast {
            out.field("dev", &name, format_args!("{name}"));
            if way.hops != 1 {
                out.field("ttl", way.hops, format_args!("(ttl>{})", way.hops));
            }
            out.text(format_args!(" "));
        } else {
            let weight = u32::from(way.hops) + 1;
            out.field("dev", &name, format_args!("dev {name} "));
            out.field("weight", weight, format_args!("weight {weight} "));
        }
        flags(out, way.flags.into());
        out.object_end();
    }
    session.out.close_array("");
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn seconds_are_written_with_at_most_six_digits() {
        assert_eq!(
            [1.0, 1.5, 12.345678, 123456.7, 0.25].map(general),
            ["1", "1.5", "12.3457", "123457", "0.25"]
        );
    }
}
