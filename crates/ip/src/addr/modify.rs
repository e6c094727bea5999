//! Addresses are added, changed and removed.

use std::net::{IpAddr, Ipv4Addr};

use netlink::Requests;
use netlink::route::{self, AF_INET, AF_INET6, AF_UNSPEC, AddressHeader, ifa};
use sys::Errno;

use super::show::{AUTOJOIN, FLAGS};
use crate::address::{Prefix, address, bits_of, family_of, prefix, show as show_ip};
use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::names::Table;
use crate::session::Session;
use crate::words::{Words, invalid, short, twice, u32 as number};

const SCOPE_HOST: u8 = 254;

/// What the words come to.
#[derive(Debug, Default)]
struct Wanted {
    family: u8,
    local: Option<Prefix>,
    peer: Option<Prefix>,
    broadcast: Option<Broadcast>,
    anycast: Option<IpAddr>,
    scope: Option<u8>,
    device: Option<String>,
    label: Option<String>,
    metric: Option<u32>,
    valid: Option<u32>,
    preferred: Option<u32>,
    flags: u32,
    notes: Vec<String>,
    help: bool,
}

#[derive(Debug)]
enum Broadcast {
    Address(IpAddr),
    /// `+`: all bits of the host set; `-`: none.
    Bits(bool),
}

impl Wanted {
    fn learn(&mut self, family: u8) {
        if self.family == AF_UNSPEC {
            self.family = family;
        }
    }
}

pub(super) fn run(session: &mut Session, words: &Words<'_>, command: u16, extra: u16) -> Result<u8, Fail> {
    let wanted = read(session, words)?;
    if wanted.help {
        return Ok(help::print(Topic::Address));
    }
    let deleting = command == route::DELADDR;
    let device =
        wanted.device.clone().ok_or_else(|| Fail::impossible("on which link? `dev NAME` is missing"))?;
    let mut requests = Requests::one(command, extra, &AddressHeader::default().bytes());
    let mut header =
        AddressHeader { family: wanted.family, scope: wanted.scope.unwrap_or(0), ..AddressHeader::default() };
    let warning = build(&wanted, deleting, &mut requests, &mut header)?;
    header.index = session.link(&device)?;
    requests.body_mut()[..8].copy_from_slice(&header.bytes());
    for note in wanted.notes.iter().chain(&warning) {
        eprintln!("warning: {note}");
    }
    let outcome = session.socket.transact(&mut requests);
    outcome.map_err(|error| explain(&wanted, deleting, &device, error))?;
    Ok(0)
}

/// Writes the attributes, and what of the header follows from the words.
fn build(
    wanted: &Wanted,
    deleting: bool,
    requests: &mut Requests,
    header: &mut AddressHeader,
) -> Result<Option<String>, Fail> {
    let mut warning = None;
    let mut other = wanted.peer;
    if let Some(local) = wanted.local {
        if let Some(address) = local.address {
            requests.ip(ifa::LOCAL, address);
        }
        if other.is_none() {
            if deleting && local.family == AF_INET && !local.given {
                let text = local.address.map(show_ip).unwrap_or_default();
                warning = Some(format!(
                    "without a prefix length every address {text} of the link is deleted; {text}/32 deletes one"
                ));
            } else {
                other = Some(local);
            }
        }
        header.prefix = local.bits;
    }
    if let Some(other) = other {
        if let Some(address) = other.address {
            requests.ip(ifa::ADDRESS, address);
        }
        if wanted.peer.is_some() && other.bits != 0 {
            header.prefix = other.bits;
        }
    }
    match &wanted.broadcast {
        Some(Broadcast::Address(address)) => {
            requests.ip(ifa::BROADCAST, *address);
        }
        Some(Broadcast::Bits(ones)) if !deleting => {
            if wanted.family != AF_INET {
                return Err(Fail::impossible("only IPv4 has broadcast addresses"));
            }
            if let Some((IpAddr::V4(address), bits)) =
                other.and_then(|other| Some((other.address?, other.bits))).filter(|(_, bits)| *bits <= 30)
            {
                let host = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
                let address = u32::from(address);
                let address = if *ones { address | host } else { address & !host };
                requests.ip(ifa::BROADCAST, Ipv4Addr::from(address).into());
            }
        }
        _ => {}
    }
    if let Some(address) = wanted.anycast {
        requests.ip(ifa::ANYCAST, address);
    }
    if let Some(label) = &wanted.label {
        requests.text(ifa::LABEL, label);
    }
    if let Some(metric) = wanted.metric {
        requests.u32(ifa::RT_PRIORITY, metric);
    }
    match u8::try_from(wanted.flags) {
        Ok(flags) => header.flags = flags,
        Err(_) => {
            requests.u32(ifa::FLAGS, wanted.flags);
        }
    }
    let local = wanted.local.and_then(|local| local.address);
    if wanted.scope.is_none() && !deleting {
        // As 127.0.0.1 has it.
        let loopback = matches!(local, Some(IpAddr::V4(address)) if address.octets()[0] == 127);
        header.scope = if loopback { SCOPE_HOST } else { 0 };
    }
    if wanted.valid.is_some() || wanted.preferred.is_some() {
        let (valid, preferred) = (wanted.valid.unwrap_or(u32::MAX), wanted.preferred.unwrap_or(u32::MAX));
        if valid == 0 {
            return Err(Fail::impossible("`valid_lft` takes `forever` or a number of seconds above zero"));
        }
        if valid < preferred {
            return Err(Fail::impossible("`preferred_lft` is longer than `valid_lft`"));
        }
        let times = [preferred, valid, 0, 0].map(u32::to_ne_bytes).concat();
        requests.attribute(ifa::CACHEINFO, &times);
    }
    if wanted.flags & AUTOJOIN != 0 && !local.is_some_and(|address| address.is_multicast()) {
        return Err(Fail::impossible("`autojoin` needs a multicast address"));
    }
    Ok(warning)
}

fn read(session: &mut Session, words: &Words<'_>) -> Result<Wanted, Fail> {
    let mut wanted = Wanted { family: session.options.family, ..Wanted::default() };
    while let Some(word) = words.next() {
        match word {
            "peer" | "remote" => {
                let value = words.value()?;
                if wanted.peer.is_some() {
                    return Err(twice("peer", value));
                }
                let found = prefix(value, wanted.family)?;
                wanted.learn(found.family);
                wanted.peer = Some(found);
            }
            _ if short(word, "broadcast") || word == "brd" => {
                let value = words.value()?;
                if wanted.broadcast.is_some() {
                    return Err(twice("broadcast", value));
                }
                wanted.broadcast = Some(match value {
                    "+" => Broadcast::Bits(true),
                    "-" => Broadcast::Bits(false),
                    _ => {
                        let found = address(value, wanted.family)?;
                        wanted.learn(family_of(found));
                        Broadcast::Address(found)
                    }
                });
            }
            "anycast" => {
                let value = words.value()?;
                if wanted.anycast.is_some() {
                    return Err(twice("anycast", value));
                }
                let found = address(value, wanted.family)?;
                wanted.learn(family_of(found));
                wanted.anycast = Some(found);
            }
            "scope" => wanted.scope = Some(session.find(Table::Scopes, "scope", words.value()?)? as u8),
            "dev" => wanted.device = Some(words.value()?.to_owned()),
            "label" => wanted.label = Some(words.value()?.to_owned()),
            _ if short(word, "metric") || short(word, "priority") || short(word, "preference") => {
                wanted.metric = Some(number("metric", words.value()?)?);
            }
            _ if short(word, "valid_lft") => {
                let value = words.value()?;
                if wanted.valid.is_some() {
                    return Err(twice("valid_lft", value));
                }
                wanted.valid = Some(lifetime("valid_lft", value)?);
            }
            _ if short(word, "preferred_lft") => {
                let value = words.value()?;
                if wanted.preferred.is_some() {
                    return Err(twice("preferred_lft", value));
                }
                wanted.preferred = Some(lifetime("preferred_lft", value)?);
            }
            _ => {
                if let Some(flag) = FLAGS.iter().find(|flag| flag.name == word) {
                    if !flag.settable {
                        wanted.notes.push(format!("`{word}` is set by the kernel only"));
                    } else if flag.v6_only && wanted.family != AF_INET6 {
                        wanted
                            .notes
                            .push(format!("`{word}` is for IPv6 addresses only, and stands behind them"));
                    } else {
                        wanted.flags |= flag.bit;
                    }
                    continue;
                }
                let value = if word == "local" { words.value()? } else { word };
                if short(value, "help") {
                    wanted.help = true;
                    return Ok(wanted);
                }
                if wanted.local.is_some() {
                    return Err(Fail::wrong(format!(
                        "`{value}` is a second address, or a word that `address` does not have"
                    ))
                    .hint("`holm ip address help` lists the words"));
                }
                let found = prefix(value, wanted.family)?;
                wanted.learn(found.family);
                wanted.local = Some(found);
            }
        }
    }
    Ok(wanted)
}

fn lifetime(keyword: &str, word: &str) -> Result<u32, Fail> {
    if word == "forever" {
        return Ok(u32::MAX);
    }
    number(keyword, word).map_err(|_| invalid(keyword, word, "`forever` or a number of seconds"))
}

fn explain(wanted: &Wanted, deleting: bool, device: &str, error: netlink::Error) -> Fail {
    let local = wanted.local.and_then(|local| Some((local.address?, local.bits)));
    let shown = match local {
        Some((address, bits)) if bits != bits_of(family_of(address)) => {
            format!("{}/{bits}", show_ip(address))
        }
        Some((address, _)) => show_ip(address),
        None => "that is not named".to_owned(),
    };
    let (verb, place) = if deleting { ("delete", "from") } else { ("add", "to") };
    let hint = match error.errno() {
        Some(Errno::PERM) => Some("it takes CAP_NET_ADMIN over this network namespace".to_owned()),
        Some(Errno::EXIST) => Some(format!("`holm ip address replace` changes it; link `{device}` has it")),
        Some(Errno::ACCES) if wanted.family == AF_INET6 => {
            Some(format!("IPv6 is off on the link (/proc/sys/net/ipv6/conf/{device}/disable_ipv6)"))
        }
        _ => None,
    };
    let fail = Fail::kernel(format!("cannot {verb} address {shown} {place} link `{device}`"), error);
    match hint {
        Some(hint) => fail.hint(hint),
        None => fail,
    }
}
