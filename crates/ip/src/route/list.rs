//! Routes are listed, asked for, and flushed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink::route::{self, AF_INET, AF_INET6, AF_UNSPEC, RouteHeader, rta};
use netlink::{Attribute, Dump, Requests};
use sys::Errno;

use super::numbers::{BROADCAST, CLONED, FIB_MATCH, LOCAL, LOOKUP_TABLE, TABLE_MAIN, type_by_name};
use super::show::{Known, Route, show};
use crate::address::{Prefix, bits_of, family, family_of, prefix};
use crate::fail::{Fail, REFUSED};
use crate::flush::Rounds;
use crate::help::{self, Topic};
use crate::names::Table;
use crate::session::Session;
use crate::words::{Words, invalid, short, u16 as half, u32 as number};

/// Which routes are wanted.
#[derive(Debug, Default)]
struct Filter {
    family: u8,
    /// The family that the command line asked for.
    asked: u8,
    table: u32,
    cached: bool,
    protocol: Option<u8>,
    scope: Option<u8>,
    kinds: u64,
    service: Option<u8>,
    input: Option<u32>,
    output: Option<u32>,
    mark: Option<u32>,
    metric: Option<u32>,
    realm: Option<(u32, u32)>,
    gateway: Option<Prefix>,
    source: Option<Prefix>,
    /// Destinations inside of this, and those that have it inside.
    inside: Option<Prefix>,
    around: Option<Prefix>,
    from_inside: Option<Prefix>,
    from_around: Option<Prefix>,
    help: bool,
}

impl Filter {
    fn known(&self) -> Known {
        let whole = |prefix: &Option<Prefix>| {
            prefix
                .as_ref()
                .is_some_and(|prefix| prefix.address.is_some() && prefix.bits == bits_of(prefix.family))
        };
        Known {
            table: self.table != 0,
            protocol: self.protocol.is_some(),
            scope: self.scope.is_some(),
            link: self.output.is_some(),
            input: self.input.is_some(),
            metric: self.metric.is_some(),
            gateway: whole(&self.gateway),
            source: whole(&self.source),
            service: self.service.is_some(),
            realm: self.realm.is_some_and(|(_, mask)| mask == u32::MAX),
            kinds: self.kinds,
        }
    }

    fn takes(&self, route: &Route<'_>, several_tables: &mut bool) -> bool {
        let header = &route.header;
        if self.asked != AF_UNSPEC && self.asked != header.family {
            return false;
        }
        if header.family == AF_INET6 && route.table != TABLE_MAIN {
            *several_tables = true;
        }
        if self.cached != (header.flags & CLONED != 0) {
            return false;
        }
        // A kernel without several IPv6 tables has all routes in one.
        let table = if header.family == AF_INET6 && !*several_tables && self.table == TABLE_MAIN {
            header.kind != LOCAL
        } else {
            self.table == 0 || self.table == route.table
        };
        let same = |wanted: Option<u32>, kind: u16| {
            wanted.is_none_or(|wanted| route.number(kind).unwrap_or(0) == wanted)
        };
        table
            && self.protocol.is_none_or(|protocol| protocol == header.protocol)
            && self.scope.is_none_or(|scope| scope == header.scope)
            && (self.kinds == 0 || self.kinds & (1 << header.kind) != 0)
            && self.service.is_none_or(|service| service == header.tos)
            && same(self.input, rta::IIF)
            && same(self.output, rta::OIF)
            && same(self.mark, rta::MARK)
            && same(self.metric, rta::PRIORITY)
            && self
                .realm
                .is_none_or(|(realm, mask)| (route.number(rta::FLOW).unwrap_or(0) ^ realm) & mask == 0)
            && self.fits(route)
    }

    /// Whether addresses and prefixes are as wanted.
    fn fits(&self, route: &Route<'_>) -> bool {
        let header = &route.header;
        let ip = |kind: u16| route.attributes.get(kind).and_then(Attribute::ip);
        let end = |inside: &Option<Prefix>, around: &Option<Prefix>, address: Option<IpAddr>, bits: u8| {
            let family = |prefix: &Prefix| prefix.family == AF_UNSPEC || prefix.family == header.family;
            inside.is_none_or(|wanted| {
                family(&wanted) && wanted.bits <= bits && wanted.matches(address, wanted.bits)
            }) && around
                .is_none_or(|wanted| family(&wanted) && wanted.bits >= bits && wanted.matches(address, bits))
        };
        let gateway = self.gateway.is_none_or(|wanted| {
            let via = route
                .attributes
                .get(rta::VIA)
                .and_then(|via| Attribute { kind: 0, data: via.data.get(2..)? }.ip());
            let there = via.or_else(|| ip(rta::GATEWAY));
            let family = there.map_or(header.family, family_of);
            family == wanted.family && wanted.matches(there, wanted.bits)
        });
        let source = self.source.is_none_or(|wanted| {
            wanted.family == header.family && wanted.matches(ip(rta::PREFSRC), wanted.bits)
        });
        gateway
            && source
            && end(&self.inside, &self.around, ip(rta::DST), header.destination_prefix)
            && end(&self.from_inside, &self.from_around, ip(rta::SRC), header.source_prefix)
    }
}

pub(super) fn list(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let filter = read(session, words)?;
    if filter.help {
        return Ok(help::print(Topic::Route));
    }
    let found = match ask(session, &filter) {
        Ok(found) => found,
        // A table that has no routes yet does not exist; that is only worth a word for a table that was named.
        Err(error) if error.errno() == Some(Errno::NOENT) && filter.table == TABLE_MAIN => Dump::default(),
        Err(error) => return Err(Fail::kernel("cannot list routes", error).status(REFUSED)),
    };
    session.out.begin();
    let known = filter.known();
    let mut several_tables = false;
    for message in found.messages() {
        if let Some(route) = Route::read(&message).filter(|route| filter.takes(route, &mut several_tables)) {
            show(session, &route, &known);
        }
    }
    session.out.end();
    Ok(0)
}

fn ask(session: &mut Session, filter: &Filter) -> Result<Dump, netlink::Error> {
    let header = RouteHeader {
        family: filter.family,
        protocol: filter.protocol.unwrap_or(0),
        flags: if filter.cached { CLONED } else { 0 },
        ..RouteHeader::default()
    };
    let mut request = Requests::one(route::GETROUTE, 0, &header.bytes());
    if filter.table != 0 {
        request.u32(rta::TABLE, filter.table);
    }
    if let Some(output) = filter.output {
        request.u32(rta::OIF, output);
    }
    session.socket.dump(&mut request)
}

/// `route flush`: removes what the list has, until there is nothing.
pub(super) fn flush(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    if words.peek().is_none() {
        return Err(Fail::impossible("flush which routes? Name a table, a link or a prefix"));
    }
    let filter = read(session, words)?;
    if filter.help {
        return Ok(help::print(Topic::Route));
    }
    if filter.cached {
        if filter.family != AF_INET6 {
            let written = std::fs::write("/proc/sys/net/ipv4/route/flush", "-1");
            written.map_err(|error| {
                Fail::impossible(format!("cannot flush the cache: /proc/sys/net/ipv4/route/flush: {error}"))
            })?;
        }
        if filter.family == AF_INET {
            return Ok(0);
        }
    }
    let begun = Instant::now();
    let mut rounds =
        Rounds { what: "routes", counted: "entries", gone: Errno::SRCH, status: REFUSED, done: 0 };
    loop {
        let found = ask(session, &filter).map_err(|error| Fail::kernel("cannot list routes", error))?;
        let mut batch = Requests::new();
        let mut several_tables = false;
        for message in found.messages() {
            let Some(route) = Route::read(&message).filter(|route| filter.takes(route, &mut several_tables))
            else {
                continue;
            };
            // The kernel's own last entry, which cannot be deleted.
            let last = route.header.family == AF_INET6
                && route.header.destination_prefix == 0
                && route.header.kind == 7
                && route.number(rta::PRIORITY) == Some(u32::MAX);
            if !last {
                batch.begin(route::DELROUTE, 0, message.body);
            }
        }
        let count = rounds.delete(session, batch)?;
        if count == 0 {
            return Ok(0);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(Fail::impossible(format!("there are still {count} routes after 30 seconds")));
        }
    }
}

/// Reads the words of a list.
fn read(session: &mut Session, words: &Words<'_>) -> Result<Filter, Fail> {
    let asked = session.options.family;
    let mut filter = Filter { family: asked, asked, table: TABLE_MAIN, ..Filter::default() };
    let (mut input, mut output) = (None, None);
    while let Some(word) = words.next() {
        match word {
            _ if short(word, "table") => {
                let value = words.value()?;
                match (session.lookup(Table::Tables, value), value) {
                    (Some(table), _) => filter.table = table,
                    (None, "all") => filter.table = 0,
                    (None, "cache") => filter.cached = true,
                    _ => filter.table = session.find(Table::Tables, "table", value)?,
                }
            }
            "vrf" => {
                filter.table = session.vrf_table(words.value()?)?;
                filter.kinds = !(1 << LOCAL | 1 << BROADCAST);
            }
            _ if short(word, "cached") || short(word, "cloned") => filter.cached = true,
            _ if word == "tos" || short(word, "dsfield") => {
                filter.service = Some(session.find(Table::Services, "tos", words.value()?)? as u8);
            }
            _ if short(word, "protocol") => {
                let value = words.value()?;
                filter.protocol = match value {
                    "all" => None,
                    _ => Some(session.find(Table::Protocols, "proto", value)? as u8),
                };
            }
            _ if short(word, "scope") => {
                let value = words.value()?;
                filter.scope = match value {
                    "all" => None,
                    _ => Some(session.find(Table::Scopes, "scope", value)? as u8),
                };
            }
            _ if short(word, "type") => {
                let value = words.value()?;
                let kind = type_by_name(value).filter(|kind| *kind < 64);
                filter.kinds = 1 << kind.ok_or_else(|| invalid("type", value, "a type of routes"))?;
            }
            "dev" | "oif" => output = Some(words.value()?),
            "iif" => input = Some(words.value()?),
            "mark" => filter.mark = Some(number("mark", words.value()?)?),
            _ if short(word, "metric") || short(word, "priority") || word == "preference" => {
                filter.metric = Some(number("metric", words.value()?)?);
            }
            "via" => {
                let value = words.value()?;
                filter.gateway = Some(match family(value) {
                    Some(family) => prefix(words.value()?, family)?,
                    None => prefix(value, asked)?,
                });
            }
            "src" => filter.source = Some(prefix(words.value()?, asked)?),
            _ if short(word, "realms") => {
                let value = words.value()?;
                let realm = super::modify::realms(session, value)?;
                let (from, to) = (
                    realm >> 16 != 0 || value.contains('/') && !value.starts_with('/'),
                    realm & 0xffff != 0 || !value.ends_with('/'),
                );
                let mask = if from { 0xffff_0000 } else { 0 } | if to { 0xffff } else { 0 };
                filter.realm = Some((realm, mask));
            }
            _ if short(word, "from") => {
                ends(words, words.value()?, asked, &mut filter.from_inside, &mut filter.from_around)?;
            }
            _ if short(word, "help") => {
                filter.help = true;
                return Ok(filter);
            }
            _ => {
                let value = if short(word, "to") { words.value()? } else { word };
                ends(words, value, asked, &mut filter.inside, &mut filter.around)?;
            }
        }
    }
    if filter.family == AF_UNSPEC && filter.table != 0 {
        filter.family = AF_INET;
    }
    if let Some(name) = input {
        filter.input = Some(session.link(name)?);
    }
    if let Some(name) = output {
        filter.output = Some(session.link(name)?);
    }
    Ok(filter)
}

/// `root PREFIX`, `match PREFIX`, `exact PREFIX`, or the prefix alone.
fn ends(
    words: &Words<'_>,
    word: &str,
    family: u8,
    inside: &mut Option<Prefix>,
    around: &mut Option<Prefix>,
) -> Result<(), Fail> {
    if short(word, "root") {
        *inside = Some(prefix(words.value()?, family)?);
    } else if short(word, "match") {
        *around = Some(prefix(words.value()?, family)?);
    } else {
        let found = prefix(if short(word, "exact") { words.value()? } else { word }, family)?;
        (*inside, *around) = (Some(found), Some(found));
    }
    Ok(())
}

/// `route get`: what the kernel would do with a packet.
pub(super) fn get(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let mut header = RouteHeader { family: session.options.family, ..RouteHeader::default() };
    let mut request = Requests::one(route::GETROUTE, 0, &header.bytes());
    let (mut found, mut input, mut output, mut fib_match) = (None, None, None, false);
    while let Some(word) = words.next() {
        match word {
            _ if word == "tos" || short(word, "dsfield") => {
                header.tos = session.find(Table::Services, "tos", words.value()?)? as u8;
            }
            _ if short(word, "from") => {
                let from = prefix(words.value()?, header.family)?;
                if header.family == AF_UNSPEC {
                    header.family = from.family;
                }
                if let Some(ip) = from.address {
                    request.ip(rta::SRC, ip);
                }
                header.source_prefix = from.bits;
            }
            _ if short(word, "iif") => input = Some(words.value()?),
            _ if short(word, "mark") => {
                request.u32(rta::MARK, number("mark", words.value()?)?);
            }
            _ if short(word, "oif") || word == "dev" => output = Some(words.value()?),
            _ if short(word, "uid") => {
                request.u32(rta::UID, number("uid", words.value()?)?);
            }
            _ if short(word, "fibmatch") => fib_match = true,
            _ if short(word, "sport") || short(word, "dport") => {
                let (keyword, kind) =
                    if short(word, "sport") { ("sport", rta::SPORT) } else { ("dport", rta::DPORT) };
                request.be16(kind, half(keyword, words.value()?)?);
            }
            _ if short(word, "ipproto") => {
                let value = words.value()?;
                let protocol = match value {
                    "icmp" => 1,
                    "tcp" => 6,
                    "udp" => 17,
                    "ipv6-icmp" => 58,
                    _ => crate::words::u8("ipproto", value)?,
                };
                request.u8(rta::IP_PROTO, protocol);
            }
            _ => {
                let value = if word == "to" { words.value()? } else { word };
                if short(value, "help") {
                    return Ok(help::print(Topic::Route));
                }
                let to = prefix(value, header.family)?;
                if header.family == AF_UNSPEC {
                    header.family = to.family;
                }
                let most = bits_of(to.family);
                if to.address.is_some() && to.bits != most {
                    eprintln!("warning: a packet has one destination; `{value}` is taken as an address");
                }
                header.destination_prefix = if to.address.is_some() { most } else { 0 };
                found = Some(to);
            }
        }
    }
    let to = found.ok_or_else(|| Fail::impossible("the route to which address?"))?;
    if let Some(ip) = to.address {
        request.ip(rta::DST, ip);
    }
    if let Some(name) = input {
        let index = session.link(name)?;
        request.u32(rta::IIF, index);
    }
    if let Some(name) = output {
        let index = session.link(name)?;
        request.u32(rta::OIF, index);
    }
    if header.family == AF_UNSPEC {
        header.family = AF_INET;
    }
    if header.family == AF_INET {
        header.flags |= LOOKUP_TABLE;
    }
    if fib_match {
        header.flags |= FIB_MATCH;
    }
    request.body_mut()[..12].copy_from_slice(&header.bytes());
    let answer = session.socket.ask(&mut request, Dump::of_one);
    let answer = answer.map_err(|error| Fail::kernel("cannot get the route", error))?;
    session.out.begin();
    for message in answer.messages() {
        if let Some(route) = Route::read(&message) {
            show(session, &route, &Known::default());
        }
    }
    session.out.end();
    Ok(0)
}
