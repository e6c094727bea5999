//! The object `neighbour`: which link addresses belong to which addresses.

use netlink::flags::{CREATE, EXCLUSIVE, REPLACE};
use netlink::route::{self, AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC, NeighbourHeader, nda};
use netlink::{Attribute, Dump, Index, Message, Requests};
use sys::Errno;

use crate::address::{Prefix, address, family_of, link_address, prefix, show as show_ip, show_link_address};
use crate::fail::{Fail, IMPOSSIBLE};
use crate::flush::Rounds;
use crate::help::{self, Topic};
use crate::names::Table;
use crate::out::{Ink, Out, Value};
use crate::session::Session;
use crate::words::{Words, invalid, number, short, twice};

/// `NUD_*`, in the order in which they are shown.
const STATES: [(u16, &str); 8] = [
    (0x01, "INCOMPLETE"),
    (0x02, "REACHABLE"),
    (0x04, "STALE"),
    (0x08, "DELAY"),
    (0x10, "PROBE"),
    (0x20, "FAILED"),
    (0x40, "NOARP"),
    (0x80, "PERMANENT"),
];
const FAILED: u32 = 0x20;
const NOARP: u32 = 0x40;
const PERMANENT: u16 = 0x80;
/// Stands for an entry without a state.
const NO_STATE: u32 = 0x100;

const PROXY: u8 = 0x08;
const EXT_LEARNED: u8 = 0x10;
/// `NTF_EXT_MANAGED`
const MANAGED: u32 = 1;

pub(crate) fn run(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list(session, words) };
    match command {
        _ if short(command, "add") => modify(session, words, route::NEWNEIGH, CREATE | EXCLUSIVE),
        _ if short(command, "change") || command == "chg" => modify(session, words, route::NEWNEIGH, REPLACE),
        _ if short(command, "replace") => modify(session, words, route::NEWNEIGH, CREATE | REPLACE),
        _ if short(command, "delete") => modify(session, words, route::DELNEIGH, 0),
        _ if short(command, "get") => get(session, words),
        _ if short(command, "show") || short(command, "lst") || short(command, "list") => {
            list(session, words)
        }
        _ if short(command, "flush") => flush(session, words),
        _ if short(command, "help") => Ok(help::print(Topic::Neighbour)),
        _ => Err(Fail::wrong(format!("`neighbour` has no command `{command}`"))
            .hint("`holm ip neighbour help` lists the commands")),
    }
}

/// A state by name or number.
fn state(word: &str) -> Option<u16> {
    match word {
        "none" => return Some(0),
        "noarp" | "stale" | "incomplete" | "delay" | "probe" => {}
        _ if short(word, "permanent") => return Some(PERMANENT),
        _ if short(word, "reachable") => return Some(2),
        _ if short(word, "failed") => return Some(FAILED as u16),
        _ => {
            return number(word)
                .filter(|state| *state < 0x100 && state.count_ones() <= 1)
                .map(|state| state as u16);
        }
    }
    STATES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(state, _)| *state)
}

/// Which neighbours are wanted.
#[derive(Debug, Default)]
struct Filter {
    family: u8,
    index: u32,
    master: u32,
    states: u32,
    proxies: bool,
    unused: bool,
    protocol: u8,
    prefix: Option<Prefix>,
    help: bool,
}

impl Filter {
    fn takes(&self, header: &NeighbourHeader, attributes: &Index<'_, 16>) -> bool {
        let state = u32::from(header.state);
        let states = self.states & state != 0
            || header.flags & (PROXY | EXT_LEARNED) != 0
            || (state == 0 && self.states & NO_STATE != 0);
        let inside = self.prefix.is_none_or(|wanted| {
            wanted.address.is_none()
                || wanted.matches(attributes.get(nda::DST).and_then(Attribute::ip), wanted.bits)
        });
        let protocol = attributes.get(nda::PROTOCOL).and_then(Attribute::u8).unwrap_or(0);
        let users = attributes.get(nda::CACHEINFO).and_then(|times| word(times.data, 3)).unwrap_or(0);
        (self.family == AF_UNSPEC || self.family == header.family)
            && (self.index == 0 || self.index == header.index)
            && states
            && inside
            && (self.protocol == 0 || self.protocol == protocol)
            && !(self.unused && users != 0)
    }
}

fn word(data: &[u8], place: usize) -> Option<u32> {
    Attribute { kind: 0, data: data.get(place * 4..)? }.u32()
}

fn read(session: &mut Session, words: &Words<'_>, flushing: bool) -> Result<Filter, Fail> {
    let states = if flushing { !(u32::from(PERMANENT) | NOARP) } else { 0xff & !NOARP };
    let mut filter = Filter { family: session.options.family, states, ..Filter::default() };
    let (mut device, mut given) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "dev" => {
                let value = words.value()?;
                if device.is_some() {
                    return Err(twice("dev", value));
                }
                device = Some(value);
            }
            "master" | "vrf" => filter.master = session.link_value(word, words.value()?)?,
            "nomaster" => filter.master = u32::MAX,
            "unused" => filter.unused = true,
            "nud" => {
                let value = words.value()?;
                if !given {
                    (given, filter.states) = (true, 0);
                }
                filter.states |= match (value, state(value)) {
                    ("all", _) if flushing => !NOARP,
                    ("all", _) => u32::MAX,
                    (_, Some(0)) => NO_STATE,
                    (_, Some(state)) => state.into(),
                    (_, None) => return Err(invalid("nud", value, "a state such as `reachable`")),
                };
            }
            "proxy" => filter.proxies = true,
            _ if short(word, "protocol") => {
                let value = words.value()?;
                filter.protocol = match value {
                    "all" => 0,
                    _ => session.find(Table::Protocols, "protocol", value)? as u8,
                };
            }
            _ => {
                let value = if word == "to" { words.value()? } else { word };
                if short(value, "help") {
                    filter.help = true;
                    return Ok(filter);
                }
                let found = prefix(value, filter.family)?;
                if filter.family == AF_UNSPEC {
                    filter.family = found.family;
                }
                filter.prefix = Some(found);
            }
        }
    }
    session.remember_all()?;
    if let Some(name) = device {
        filter.index = session.link(name)?;
    }
    Ok(filter)
}

fn ask(session: &mut Session, filter: &Filter) -> Result<Dump, Fail> {
    let header = NeighbourHeader {
        family: filter.family,
        flags: if filter.proxies { PROXY } else { 0 },
        ..NeighbourHeader::default()
    };
    let mut request = Requests::one(route::GETNEIGH, 0, &header.bytes());
    if filter.index != 0 {
        request.u32(nda::IFINDEX, filter.index);
    }
    if filter.master != 0 {
        request.u32(nda::MASTER, filter.master);
    }
    session.dump(&mut request, "neighbours").map_err(|fail| fail.status(IMPOSSIBLE))
}

fn list(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let filter = read(session, words, false)?;
    if filter.help {
        return Ok(help::print(Topic::Neighbour));
    }
    let found = ask(session, &filter)?;
    session.out.begin();
    for message in found.messages() {
        let Some((header, list)) = NeighbourHeader::read(&message) else { continue };
        let attributes = Index::<16>::new(list);
        if filter.takes(&header, &attributes) {
            show(session, &header, &attributes, filter.index != 0);
        }
    }
    session.out.end();
    Ok(0)
}

fn flush(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    const ROUNDS: u32 = 10;
    if words.peek().is_none() {
        return Err(Fail::impossible("flush which neighbours? Name a link, a prefix or a state"));
    }
    let mut filter = read(session, words, true)?;
    if filter.help {
        return Ok(help::print(Topic::Neighbour));
    }
    let mut rounds =
        Rounds { what: "neighbours", counted: "entries", gone: Errno::NOENT, status: IMPOSSIBLE, done: 0 };
    while rounds.done < ROUNDS {
        let found = ask(session, &filter)?;
        let mut batch = Requests::new();
        for message in found.messages() {
            let Some((header, list)) = NeighbourHeader::read(&message) else { continue };
            if filter.takes(&header, &Index::new(list)) {
                batch.begin(route::DELNEIGH, 0, message.body);
            }
        }
        if rounds.delete(session, batch)? == 0 {
            return Ok(0);
        }
        // A deleted entry that is in use stays as a failed one.
        filter.states &= !FAILED;
    }
    Err(Fail::impossible(format!("there are still neighbours after {ROUNDS} rounds")))
}

/// Shows a neighbour.
fn show(session: &mut Session, header: &NeighbourHeader, attributes: &Index<'_, 16>, one_link: bool) {
    let brief = session.options.brief;
    session.out.object(None);
    if let Some(ip) = attributes.get(nda::DST).and_then(Attribute::ip) {
        let family = if header.family == AF_BRIDGE { family_of(ip) } else { header.family };
        let ink = match family {
            AF_INET => Ink::Inet,
            AF_INET6 => Ink::Inet6,
            _ => Ink::None,
        };
        let text = show_ip(ip);
        match brief {
            true => session.out.inked(ink, "dst", &text, format_args!("{text:<39} ")),
            false => session.out.inked(ink, "dst", &text, format_args!("{text} ")),
        }
    }
    if !one_link && header.index != 0 {
        let name = session.link_name(header.index);
        if brief {
            session.out.inked(Ink::Name, "dev", &name, format_args!("{name:<16} "));
        } else {
            session.out.text(format_args!("dev "));
            session.out.inked(Ink::Name, "dev", &name, format_args!("{name} "));
        }
    }
    if let Some(lower) = attributes.get(nda::LLADDR) {
        let kind = session.kind_if_known(header.index).unwrap_or(u16::MAX);
        let text = show_link_address(lower.data, kind);
        if brief {
            session.out.inked(Ink::Mac, "lladdr", &text, format_args!("{text}"));
        } else {
            session.out.text(format_args!("lladdr "));
            session.out.inked(Ink::Mac, "lladdr", &text, format_args!("{text} "));
        }
    }
    if !brief {
        rest(session, header, attributes);
    }
    session.out.text(format_args!("\n"));
    session.out.object_end();
}

fn rest(session: &mut Session, header: &NeighbourHeader, attributes: &Index<'_, 16>) {
    let managed = attributes.get(nda::FLAGS_EXT).and_then(Attribute::u32).unwrap_or(0) & MANAGED != 0;
    let flags = [
        (header.flags & 0x80 != 0, "router"),
        (header.flags & PROXY != 0, "proxy"),
        (managed, "managed"),
        (header.flags & EXT_LEARNED != 0, "extern_learn"),
        (header.flags & 0x20 != 0, "offload"),
    ];
    for (set, name) in flags {
        if set {
            session.out.field(name, Value::Null, format_args!("{name} "));
        }
    }
    if session.options.statistics > 0 {
        if let Some(times) = attributes.get(nda::CACHEINFO) {
            usage(&mut session.out, times.data);
        }
        if let Some(probes) = attributes.get(nda::PROBES).and_then(Attribute::u32) {
            session.out.field("probes", probes, format_args!("probes {probes} "));
        }
    }
    if header.state != 0 {
        session.out.array("state", "");
        for (state, name) in STATES {
            if header.state & state != 0 {
                session.out.item(name, format_args!("{name} "));
            }
        }
        session.out.close_array("");
    }
    if let Some(protocol) =
        attributes.get(nda::PROTOCOL).and_then(Attribute::u8).filter(|protocol| *protocol != 0)
    {
        let name = session.show(Table::Protocols, protocol.into());
        session.out.field("protocol", &name, format_args!("proto {name} "));
    }
}

/// `struct nda_cacheinfo`: confirmed, used, updated in hundredths of a second; users.
fn usage(out: &mut Out, data: &[u8]) {
    const HZ: u32 = 100;
    let at = |place: usize| word(data, place).unwrap_or(0);
    let (confirmed, used, updated, users) = (at(0) / HZ, at(1) / HZ, at(2) / HZ, at(3));
    if users != 0 {
        out.field("refcnt", users, format_args!(" ref {users}"));
    }
    out.field("used", used, format_args!(" used {used}"));
    out.field("confirmed", confirmed, format_args!("/{confirmed}"));
    out.field("updated", updated, format_args!("/{updated}"));
}

/// `neighbour add|change|replace|delete`
fn modify(session: &mut Session, words: &Words<'_>, command: u16, extra: u16) -> Result<u8, Fail> {
    let mut header =
        NeighbourHeader { family: session.options.family, state: PERMANENT, ..NeighbourHeader::default() };
    let mut requests = Requests::one(command, extra, &header.bytes());
    let (mut destination, mut device, mut lower, mut extended) = (None, None, None, 0u32);
    while let Some(word) = words.next() {
        match word {
            _ if short(word, "lladdr") => {
                let value = words.value()?;
                if lower.is_some() {
                    return Err(twice("lladdr", value));
                }
                lower = Some(value);
            }
            "nud" => {
                let value = words.value()?;
                header.state =
                    state(value).ok_or_else(|| invalid("nud", value, "a state such as `reachable`"))?;
            }
            _ if short(word, "proxy") => {
                destination = Some(address(words.value()?, session.options.family)?);
                header.flags |= PROXY;
            }
            "router" => header.flags |= 0x80,
            "use" => header.flags |= 1,
            "managed" => (extended, header.state) = (MANAGED, 0),
            _ if short(word, "extern_learn") => header.flags |= EXT_LEARNED,
            "dev" => device = Some(words.value()?),
            _ if short(word, "protocol") => {
                let protocol = session.find(Table::Protocols, "protocol", words.value()?)?;
                requests.u8(nda::PROTOCOL, protocol as u8);
            }
            _ => {
                let value = if word == "to" { words.value()? } else { word };
                if short(value, "help") {
                    return Ok(help::print(Topic::Neighbour));
                }
                if destination.is_some() {
                    return Err(twice("to", value));
                }
                destination = Some(address(value, session.options.family)?);
            }
        }
    }
    let wrong = || Fail::wrong("a neighbour has an address and a link: `ADDRESS dev NAME`");
    let destination = destination.ok_or_else(wrong)?;
    header.family = family_of(destination);
    requests.ip(nda::DST, destination);
    if extended != 0 {
        requests.u32(nda::FLAGS_EXT, extended);
    }
    if let Some(lower) = lower.filter(|lower| *lower != "null") {
        requests.attribute(nda::LLADDR, &link_address(lower)?);
    }
    match device {
        Some(name) => header.index = session.link(name)?,
        None if header.flags & PROXY == 0 => return Err(wrong()),
        None => {}
    }
    requests.body_mut()[..12].copy_from_slice(&header.bytes());
    let verb = if command == route::DELNEIGH { "delete" } else { "add" };
    session.transact(&mut requests, || format!("{verb} neighbour {}", show_ip(destination)))?;
    Ok(0)
}

/// `neighbour get`
fn get(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let mut header = NeighbourHeader { family: session.options.family, ..NeighbourHeader::default() };
    let mut request = Requests::one(route::GETNEIGH, 0, &header.bytes());
    let (mut destination, mut device) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?),
            _ if short(word, "proxy") => {
                destination = Some(address(words.value()?, session.options.family)?);
                header.flags |= PROXY;
            }
            _ => {
                let value = if word == "to" { words.value()? } else { word };
                destination = Some(address(value, session.options.family)?);
            }
        }
    }
    let wrong = || Fail::impossible("a neighbour has an address and a link: `ADDRESS dev NAME`");
    let destination = destination.ok_or_else(wrong)?;
    header.family = family_of(destination);
    request.ip(nda::DST, destination);
    match device {
        Some(name) => header.index = session.link(name)?,
        None if header.flags & PROXY == 0 => return Err(wrong()),
        None => {}
    }
    request.body_mut()[..12].copy_from_slice(&header.bytes());
    let answer = session.socket.ask(&mut request, Dump::of_one);
    let answer = answer.map_err(|error| Fail::kernel("cannot get the neighbour", error))?;
    let one = |message: Message<'_>| -> Option<()> {
        let (header, list) = NeighbourHeader::read(&message)?;
        show(session, &header, &Index::new(list), false);
        Some(())
    };
    answer.messages().next().and_then(one);
    Ok(0)
}
