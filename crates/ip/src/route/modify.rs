//! Routes are added, changed and removed.

use std::net::IpAddr;

use netlink::Requests;
use netlink::route::{self, AF_INET, AF_INET6, AF_UNSPEC, NextHopHeader, RouteHeader, rta};
use sys::Errno;

use super::numbers::{
    ANYCAST, BROADCAST, CONGCTL, FEATURES, HOPLIMIT, LOCAL, LOCK, METRICS, MULTICAST, NAT, ONLINK,
    PROTOCOL_BOOT, RTO_MIN, RTT, RTTVAR, SCOPE_HOST, SCOPE_LINK, SCOPE_NOWHERE, TABLE_LOCAL, TABLE_MAIN,
    UNICAST, type_by_name,
};
use crate::address::{address, family, family_of, prefix, show as show_ip};
use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::names::Table;
use crate::session::Session;
use crate::words::{Words, invalid, short, u32 as number};

/// What the words come to, beside attributes that are written at once.
#[derive(Debug, Default)]
struct Wanted {
    header: RouteHeader,
    destination: Option<String>,
    device: Option<String>,
    gateway: bool,
    ways: bool,
    next_hop: bool,
    scoped: bool,
    table: bool,
    metrics: Vec<(u16, Vec<u8>)>,
    lock: u32,
    help: bool,
}

impl Wanted {
    fn learn(&mut self, family: u8) {
        if self.header.family == AF_UNSPEC {
            self.header.family = family;
        }
    }
}

pub(super) fn run(session: &mut Session, words: &Words<'_>, command: u16, extra: u16) -> Result<u8, Fail> {
    let deleting = command == route::DELROUTE;
    let mut wanted = Wanted {
        header: RouteHeader {
            family: session.options.family,
            table: TABLE_MAIN as u8,
            scope: if deleting { SCOPE_NOWHERE } else { 0 },
            protocol: if deleting { 0 } else { PROTOCOL_BOOT },
            kind: if deleting { 0 } else { UNICAST },
            ..RouteHeader::default()
        },
        ..Wanted::default()
    };
    let mut requests = Requests::one(command, extra, &wanted.header.bytes());
    while let Some(word) = words.next() {
        if word == "nexthop" {
            wanted.ways = true;
            break;
        }
        read_word(session, words, word, &mut requests, &mut wanted)?;
        if wanted.help {
            return Ok(help::print(Topic::Route));
        }
    }
    let Some(destination) = wanted.destination.clone() else {
        return Err(Fail::wrong("a route to where? Name a prefix or `default`")
            .hint("holm ip route add default via 192.168.2.20"));
    };
    if let Some(device) = &wanted.device {
        let index = session.link(device)?;
        requests.u32(rta::OIF, index);
    }
    if !wanted.metrics.is_empty() {
        requests.nest(rta::METRICS, |metrics| {
            for (kind, value) in &wanted.metrics {
                metrics.attribute(*kind, value);
            }
            if wanted.lock != 0 {
                metrics.u32(LOCK, wanted.lock);
            }
        });
    }
    if wanted.ways {
        let ways = read_ways(session, words, &mut wanted)?;
        requests.attribute(rta::MULTIPATH, &ways);
    }
    complete(&mut wanted, deleting);
    requests.body_mut()[..12].copy_from_slice(&wanted.header.bytes());
    let outcome = session.socket.transact(&mut requests);
    outcome.map_err(|error| explain(deleting, &destination, wanted.header.family, error))?;
    Ok(0)
}

/// What follows from the words together: table and scope.
fn complete(wanted: &mut Wanted, deleting: bool) {
    let header = &mut wanted.header;
    if header.family == AF_UNSPEC {
        header.family = AF_INET;
    }
    if !wanted.table && matches!(header.kind, LOCAL | BROADCAST | NAT | ANYCAST) {
        header.table = TABLE_LOCAL as u8;
    }
    if !wanted.scoped {
        header.scope = match header.kind {
            _ if header.family == AF_INET6 => 0,
            LOCAL | NAT => SCOPE_HOST,
            BROADCAST | MULTICAST | ANYCAST => SCOPE_LINK,
            0 | UNICAST if deleting => SCOPE_NOWHERE,
            0 | UNICAST if !wanted.gateway && !wanted.ways && !wanted.next_hop => SCOPE_LINK,
            _ => header.scope,
        };
    }
}

fn read_word(
    session: &mut Session,
    words: &Words<'_>,
    word: &str,
    requests: &mut Requests,
    wanted: &mut Wanted,
) -> Result<(), Fail> {
    match word {
        "src" => {
            let ip = address(words.value()?, wanted.header.family)?;
            wanted.learn(family_of(ip));
            requests.ip(rta::PREFSRC, ip);
        }
        "as" => {
            let value = words.value()?;
            let ip = address(if value == "to" { words.value()? } else { value }, wanted.header.family)?;
            wanted.learn(family_of(ip));
            requests.ip(rta::NEWDST, ip);
        }
        "via" => {
            let value = words.value()?;
            if wanted.gateway {
                return Err(Fail::wrong(format!("`via {value}` is a second gateway"))
                    .hint("several ways are written `nexthop via … nexthop via …`"));
            }
            wanted.gateway = true;
            let ip = match family(value) {
                Some(family) => address(words.value()?, family)?,
                None => address(value, wanted.header.family)?,
            };
            wanted.learn(family_of(ip));
            add_gateway(requests, ip, wanted.header.family);
        }
        "from" => {
            let from = prefix(words.value()?, wanted.header.family)?;
            wanted.learn(from.family);
            if let Some(ip) = from.address {
                requests.ip(rta::SRC, ip);
            }
            wanted.header.source_prefix = from.bits;
        }
        _ if word == "tos" || short(word, "dsfield") => {
            wanted.header.tos = session.find(Table::Services, "tos", words.value()?)? as u8;
        }
        "expires" => {
            requests.u32(rta::EXPIRES, number("expires", words.value()?)?);
        }
        _ if short(word, "metric") || short(word, "priority") || word == "preference" => {
            requests.u32(rta::PRIORITY, number("metric", words.value()?)?);
        }
        "scope" => {
            wanted.header.scope = session.find(Table::Scopes, "scope", words.value()?)? as u8;
            wanted.scoped = true;
        }
        "onlink" => wanted.header.flags |= ONLINK,
        "nhid" => {
            wanted.next_hop = true;
            requests.u32(rta::NH_ID, number("nhid", words.value()?)?);
        }
        "encap" | "ttl-propagate" => return Err(Fail::impossible(format!("`{word}` is not supported"))),
        "dev" | "oif" => wanted.device = Some(words.value()?.to_owned()),
        _ => {
            if let Some((kind, name)) = metric(word) {
                return read_metric(words, kind, name, wanted);
            }
            return read_more(session, words, word, requests, wanted);
        }
    }
    Ok(())
}

fn read_more(
    session: &mut Session,
    words: &Words<'_>,
    word: &str,
    requests: &mut Requests,
    wanted: &mut Wanted,
) -> Result<(), Fail> {
    match word {
        _ if short(word, "realms") => {
            let realms = realms(session, words.value()?)?;
            requests.u32(rta::FLOW, realms);
        }
        _ if short(word, "protocol") => {
            wanted.header.protocol = session.find(Table::Protocols, "proto", words.value()?)? as u8;
        }
        _ if short(word, "table") => {
            let table = session.find(Table::Tables, "table", words.value()?)?;
            wanted.table = true;
            match u8::try_from(table) {
                Ok(table) => wanted.header.table = table,
                Err(_) => {
                    wanted.header.table = 0;
                    requests.u32(rta::TABLE, table);
                }
            }
        }
        _ if short(word, "pref") => {
            let value = words.value()?;
            let preference = match value {
                "low" => 3,
                "medium" => 0,
                "high" => 1,
                _ => crate::words::u8("pref", value)?,
            };
            requests.u8(rta::PREF, preference);
        }
        _ => {
            let mut value = if word == "to" { words.value()? } else { word };
            if !value.starts_with(|first: char| first.is_ascii_digit())
                && let Some(kind) = type_by_name(value)
            {
                wanted.header.kind = kind;
                value = words.value()?;
            }
            if short(value, "help") {
                wanted.help = true;
                return Ok(());
            }
            if wanted.destination.is_some() {
                return Err(Fail::wrong(format!(
                    "`{value}` is a second destination, or a word that `route` does not have"
                ))
                .hint("`holm ip route help` lists the words"));
            }
            let to = prefix(value, wanted.header.family)?;
            wanted.learn(to.family);
            wanted.header.destination_prefix = to.bits;
            if let Some(ip) = to.address {
                requests.ip(rta::DST, ip);
            }
            wanted.destination = Some(value.to_owned());
        }
    }
    Ok(())
}

/// The metric that a word means. The short ones have to be whole, as iproute2 has it.
fn metric(word: &str) -> Option<(u16, &'static str)> {
    const WHOLE: [&str; 5] = ["mtu", "hoplimit", "advmss", "rtt", "rto_min"];
    let found = METRICS.iter().find(|(_, name)| {
        if WHOLE.contains(name) { *name == word } else { word.len() > 1 && short(word, name) }
    });
    found.copied()
}

fn read_metric(words: &Words<'_>, kind: u16, name: &'static str, wanted: &mut Wanted) -> Result<(), Fail> {
    let mut value = words.value()?;
    if value == "lock" {
        wanted.lock |= 1 << kind;
        value = words.value()?;
    }
    let data = match kind {
        RTT | RTTVAR | RTO_MIN => {
            if kind == RTO_MIN {
                wanted.lock |= 1 << kind;
            }
            let (milliseconds, raw) =
                time(value).ok_or_else(|| invalid(name, value, "a time such as 250ms or 1s"))?;
            let factor = match kind {
                RTT if !raw => 8,
                RTTVAR if !raw => 4,
                _ => 1,
            };
            milliseconds.saturating_mul(factor).to_ne_bytes().to_vec()
        }
        FEATURES if value == "ecn" => 1u32.to_ne_bytes().to_vec(),
        FEATURES => return Err(invalid(name, value, "`ecn`")),
        CONGCTL => value.as_bytes().to_vec(),
        HOPLIMIT if number(name, value)? > 255 => return Err(invalid(name, value, "a number of 0 to 255")),
        _ => number(name, value)?.to_ne_bytes().to_vec(),
    };
    wanted.metrics.push((kind, data));
    Ok(())
}

/// Milliseconds, and whether there was no unit.
fn time(word: &str) -> Option<(u32, bool)> {
    let digits = word.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let value: f64 = digits.parse().ok().filter(|value| *value >= 0.0 && *value < 1e6)?;
    match word[digits.len()..].to_ascii_lowercase().as_str() {
        "" => Some((value.ceil() as u32, true)),
        "s" | "sec" | "secs" => Some(((value * 1000.0).ceil() as u32, false)),
        "ms" | "msec" | "msecs" => Some((value.ceil() as u32, false)),
        _ => None,
    }
}

fn add_gateway(requests: &mut Requests, ip: IpAddr, family: u8) {
    if family_of(ip) == family {
        requests.ip(rta::GATEWAY, ip);
        return;
    }
    let mut via = u16::from(family_of(ip)).to_ne_bytes().to_vec();
    match ip {
        IpAddr::V4(ip) => via.extend(ip.octets()),
        IpAddr::V6(ip) => via.extend(ip.octets()),
    }
    requests.attribute(rta::VIA, &via);
}

/// `REALM` or `FROM/TO`
pub(super) fn realms(session: &Session, word: &str) -> Result<u32, Fail> {
    let one = |part: &str| if part.is_empty() { Ok(0) } else { session.find(Table::Realms, "realms", part) };
    match word.split_once('/') {
        Some((from, to)) => Ok((one(from)? << 16) | one(to)?),
        None => one(word),
    }
}

/// `nexthop via … dev … weight …`, several times. The first keyword is read already.
fn read_ways(session: &mut Session, words: &Words<'_>, wanted: &mut Wanted) -> Result<Vec<u8>, Fail> {
    let mut all = Vec::new();
    loop {
        if words.peek().is_none() {
            return Err(Fail::wrong("the command ends after `nexthop`, which takes a gateway or a link"));
        }
        let mut way = NextHopHeader::default();
        let mut attributes = Requests::one(0, 0, &[]);
        while let Some(word) = words.peek().filter(|word| *word != "nexthop") {
            words.next();
            match word {
                "via" => {
                    let value = words.value()?;
                    let ip = match family(value) {
                        Some(family) => address(words.value()?, family)?,
                        None => address(value, wanted.header.family)?,
                    };
                    wanted.learn(family_of(ip));
                    add_gateway(&mut attributes, ip, wanted.header.family);
                }
                "dev" => way.index = session.link(words.value()?)?,
                "weight" => {
                    let value = words.value()?;
                    let weight = number("weight", value)?;
                    let hops = weight.checked_sub(1).and_then(|hops| u8::try_from(hops).ok());
                    way.hops = hops.ok_or_else(|| invalid("weight", value, "a number of 1 to 256"))?;
                }
                "onlink" => way.flags |= ONLINK as u8,
                _ if short(word, "realms") => {
                    let realms = realms(session, words.value()?)?;
                    attributes.u32(rta::FLOW, realms);
                }
                _ => {
                    return Err(Fail::wrong(format!(
                        "`{word}` stands where `nexthop` or the end is expected"
                    )));
                }
            }
        }
        all.extend(way.bytes(attributes.body_mut()));
        if words.next().is_none() {
            return Ok(all);
        }
    }
}

fn explain(deleting: bool, destination: &str, family: u8, error: netlink::Error) -> Fail {
    let verb = if deleting { "delete" } else { "add" };
    let hint = match error.errno() {
        Some(Errno::PERM) => Some("it takes CAP_NET_ADMIN over this network namespace".to_owned()),
        Some(Errno::EXIST) => {
            Some("`holm ip route replace` changes it; `holm ip route show` lists what is there".to_owned())
        }
        Some(Errno::SRCH) if deleting => {
            Some("`holm ip route show table all` lists what is there".to_owned())
        }
        // ENETUNREACH
        Some(errno) if errno.raw() == 101 => Some(
            "the gateway has to be reachable over a link that is up; `onlink` says that it is".to_owned(),
        ),
        _ => None,
    };
    let shown = prefix(destination, family).ok().and_then(|to| to.address).map_or_else(
        || destination.to_owned(),
        |ip| {
            destination
                .split_once('/')
                .map_or_else(|| show_ip(ip), |(_, bits)| format!("{}/{bits}", show_ip(ip)))
        },
    );
    let fail = Fail::kernel(format!("cannot {verb} the route to {shown}"), error);
    match hint {
        Some(hint) => fail.hint(hint),
        None => fail,
    }
}

#[cfg(test)]
mod tests {
    use super::{metric, time};

    #[test]
    fn times_have_a_unit_or_are_raw() {
        assert_eq!(time("250ms"), Some((250, false)));
        assert_eq!(time("1.5s"), Some((1500, false)));
        assert_eq!(time("40"), Some((40, true)));
        for wrong in ["", "s", "1h", "-1s", "1e99", "nan", "inf"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn metrics_are_cut_short_where_iproute2_takes_it() {
        assert_eq!(metric("mtu"), Some((2, "mtu")));
        assert_eq!(metric("mt"), None);
        assert_eq!(metric("win"), Some((3, "window")));
        assert_eq!(metric("rto_min"), Some((13, "rto_min")));
    }
}
