//! Lists of links with their addresses, and the removal of all addresses that a list has.

use netlink::route::{self, AF_PACKET, AF_UNSPEC, AddressHeader, IFF_UP, LinkHeader, ifla, info};
use netlink::{Dump, Message, Requests};
use sys::Errno;

use super::show::{Address, FLAGS, Filter, PERMANENT, SECONDARY, show};
use crate::address::prefix;
use crate::fail::{Fail, IMPOSSIBLE};
use crate::flush::Rounds;
use crate::help::{self, Topic};
use crate::link;
use crate::link::show::{Filter as LinkFilter, Shown};
use crate::names::Table;
use crate::session::Session;
use crate::words::{Words, short, twice};

/// What a list asks for.
struct Wanted {
    links: LinkFilter,
    addresses: Filter,
    device: Option<String>,
    help: bool,
}

/// `address show` and `link show`.
pub(crate) fn list(session: &mut Session, words: &Words<'_>, links: bool) -> Result<u8, Fail> {
    let wanted = read(session, words, links)?;
    if wanted.help {
        return Ok(help::print(if links { Topic::Link } else { Topic::Address }));
    }
    session.out.begin();
    let outcome = list_wanted(session, &wanted);
    session.out.end();
    outcome.map(|()| 0)
}

fn list_wanted(session: &mut Session, wanted: &Wanted) -> Result<(), Fail> {
    if let Some(device) =
        wanted.device.as_deref().filter(|_| wanted.links.links && wanted.links.group.is_none())
    {
        return link::show_one(session, &wanted.links, device);
    }
    let found = ask_links(session, wanted)?;
    for message in found.messages() {
        session.remember(&message);
    }
    let addresses = match wanted.addresses.family {
        AF_PACKET => None,
        _ => Some(ask_addresses(session, &wanted.addresses)?),
    };
    // Addresses come sorted by link; those of one link are found by their first.
    let mut of_links: Vec<Address<'_>> = Vec::new();
    if let Some(addresses) = &addresses {
        of_links.extend(addresses.messages().filter_map(|message| Address::read(&message)));
    }
    let mut by_link = std::collections::BTreeMap::<u32, Vec<&Address<'_>>>::new();
    for address in &of_links {
        by_link.entry(address.header.index).or_default().push(address);
    }
    for message in found.messages() {
        let Some((header, _)) = LinkHeader::read(&message) else { continue };
        let own = by_link.get(&header.index.cast_unsigned()).map(Vec::as_slice).unwrap_or_default();
        if addresses.is_some() && !has_wanted(session, own, wanted) {
            continue;
        }
        session.out.object(None);
        one(session, &message, own, wanted, addresses.is_some());
        session.out.object_end();
    }
    Ok(())
}

/// A link and its addresses.
fn one(
    session: &mut Session,
    message: &Message<'_>,
    own: &[&Address<'_>],
    wanted: &Wanted,
    with_addresses: bool,
) {
    let header = LinkHeader::read(message).map(|(header, _)| header).unwrap_or_default();
    let mut shown = Shown::Begun;
    if session.options.brief || !(session.options.one_line && with_addresses) {
        shown = link::show::show(session, message, &wanted.links);
    }
    if shown != Shown::LeftOut && with_addresses {
        session.out.array("addr_info", "");
        for address in own {
            let family = wanted.addresses.family;
            if (family != AF_UNSPEC && family != address.header.family)
                || (wanted.links.up && header.flags & IFF_UP == 0)
            {
                continue;
            }
            session.out.object(None);
            if address.fits(session, &wanted.addresses) {
                show(session, address);
            }
            session.out.object_end();
        }
        session.out.close_array("");
        if session.options.brief {
            session.out.text(format_args!("\n"));
        }
    }
    if shown == Shown::Whole && !wanted.links.links && session.options.statistics > 0 {
        link::show::show_stats(session, message);
    }
}

/// Whether a link is shown for its addresses: one of them fits, or it has none and any family will do.
fn has_wanted(session: &mut Session, own: &[&Address<'_>], wanted: &Wanted) -> bool {
    let filter = &wanted.addresses;
    if own.is_empty() {
        return filter.family == AF_UNSPEC;
    }
    own.iter().any(|address| {
        (filter.family == AF_UNSPEC || filter.family == address.header.family)
            && address.fits(session, filter)
    })
}

/// What the kernel shall tell of links: virtual functions where they are shown, counters with `-s` only.
pub(crate) fn detail_mask(session: &Session) -> u32 {
    let counters = if session.options.statistics > 0 { 0 } else { route::EXT_FILTER_SKIP_STATS };
    counters | if session.options.details { route::EXT_FILTER_VF } else { 0 }
}

fn ask_links(session: &mut Session, wanted: &Wanted) -> Result<Dump, Fail> {
    let filter = &wanted.links;
    let header = LinkHeader { family: session.options.family, ..LinkHeader::default() };
    let mask = detail_mask(session);
    if filter.index != 0 {
        let header = LinkHeader { index: filter.index.cast_signed(), ..header };
        let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
        request.u32(ifla::EXT_MASK, mask);
        let name = wanted.device.clone().unwrap_or_default();
        return session
            .socket
            .ask(&mut request, Dump::of_one)
            .map_err(|error| Fail::kernel(format!("cannot show link `{name}`"), error));
    }
    let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
    // IPv6 has a list of its own, which takes no filter.
    if header.family != AF_UNSPEC && header.family != AF_PACKET {
        return session.dump(&mut request, "links");
    }
    request.u32(ifla::EXT_MASK, mask);
    if filter.master != 0 {
        request.u32(ifla::MASTER, filter.master.cast_unsigned());
    }
    if let Some(kind) = &filter.kind {
        request.nest(ifla::LINKINFO, |link_info| {
            link_info.attribute(info::KIND, kind.as_bytes());
        });
    }
    session.dump(&mut request, "links")
}

fn ask_addresses(session: &mut Session, filter: &Filter) -> Result<Dump, Fail> {
    let header = AddressHeader { family: filter.family, index: filter.index, ..AddressHeader::default() };
    session.dump(&mut Requests::one(route::GETADDR, 0, &header.bytes()), "addresses")
}

/// Reads the words of a list.
fn read(session: &mut Session, words: &Words<'_>, links: bool) -> Result<Wanted, Fail> {
    let mut wanted = Wanted {
        links: LinkFilter { family: session.options.family, links, ..LinkFilter::default() },
        addresses: Filter { family: session.options.family, ..Filter::default() },
        device: None,
        help: false,
    };
    let addresses = &mut wanted.addresses;
    while let Some(word) = words.next() {
        match word {
            "to" => {
                if addresses.family == AF_PACKET {
                    return Err(Fail::impossible("`to` is for addresses, which links do not have here"));
                }
                let found = prefix(words.value()?, addresses.family)?;
                if addresses.family == AF_UNSPEC {
                    addresses.family = found.family;
                }
                addresses.prefix = Some(found);
            }
            "scope" => {
                let value = words.value()?;
                addresses.scope = match session.lookup(Table::Scopes, value) {
                    Some(scope) => Some(scope as u8),
                    None if value == "all" => None,
                    None => Some(session.find(Table::Scopes, "scope", value)? as u8),
                };
            }
            "up" => wanted.links.up = true,
            "label" => {
                let value = words.value()?.to_owned();
                addresses.label = Some(value.clone());
                wanted.links.label = Some(value);
            }
            "group" => wanted.links.group = Some(session.find(Table::Groups, "group", words.value()?)?),
            "master" | "vrf" => {
                wanted.links.master = session.link_value(word, words.value()?)?.cast_signed();
            }
            "nomaster" => wanted.links.master = -1,
            "type" => {
                let value = words.value()?;
                match value.strip_suffix("_slave") {
                    Some(kind) => wanted.links.port_kind = Some(kind.to_owned()),
                    None => wanted.links.kind = Some(value.to_owned()),
                }
            }
            _ if flag(word, addresses) => {}
            _ => {
                let name = match word {
                    "dev" => words.value()?,
                    _ if short(word, "help") => {
                        wanted.help = true;
                        return Ok(wanted);
                    }
                    _ => word,
                };
                if wanted.device.is_some() {
                    return Err(twice("dev", name));
                }
                wanted.device = Some(name.to_owned());
            }
        }
    }
    wanted.links.family = wanted.addresses.family;
    if let Some(name) = &wanted.device {
        let index = session.link(name)?;
        wanted.links.index = index;
        wanted.addresses.index = index;
    }
    Ok(wanted)
}

/// `permanent`, `-tentative`, … True when the word is one.
fn flag(word: &str, filter: &mut Filter) -> bool {
    let (name, mut wanted) = match word.strip_prefix('-') {
        Some(name) => (name, false),
        None => (word, true),
    };
    let bit = match name {
        "dynamic" => {
            wanted = !wanted;
            PERMANENT
        }
        "primary" => {
            wanted = !wanted;
            SECONDARY
        }
        _ => match FLAGS.iter().find(|flag| flag.name == name) {
            Some(flag) => flag.bit,
            None => return false,
        },
    };
    filter.flags = if wanted { filter.flags | bit } else { filter.flags & !bit };
    filter.flag_mask |= bit;
    true
}

/// `address flush`: removes what the list has, again until there is nothing, since secondary addresses may follow.
pub(super) fn flush(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    if words.peek().is_none() {
        return Err(Fail::impossible("flush which addresses? Name a link, a prefix or a scope"));
    }
    if session.options.family == AF_PACKET {
        return Err(Fail::impossible("links have no addresses that can be flushed"));
    }
    let wanted = read(session, words, false)?;
    if wanted.help {
        return Ok(help::print(Topic::Address));
    }
    let filter = &wanted.addresses;
    let primary_only = filter.flags & SECONDARY == 0 && filter.flag_mask & SECONDARY != 0;
    // The kernel may remove secondary addresses together with their primary one.
    let gone = Errno::from_raw(99);
    let mut rounds = Rounds { what: "addresses", counted: "addresses", gone, status: IMPOSSIBLE, done: 0 };
    while session.options.loops == 0 || rounds.done < session.options.loops {
        let found = ask_addresses(session, filter)?;
        let mut batch = Requests::new();
        for message in found.messages() {
            let Some(address) = Address::read(&message) else { continue };
            let own = (filter.index == 0 || filter.index == address.header.index)
                && (filter.family == AF_UNSPEC || filter.family == address.header.family);
            if own && address.fits(session, filter) {
                if session.options.statistics > 1 {
                    session.out.text(format_args!("Deleted "));
                    show_with_link(session, &address);
                }
                batch.begin(route::DELADDR, 0, message.body);
            }
        }
        if rounds.delete(session, batch)? == 0 || primary_only {
            return Ok(0);
        }
    }
    Err(Fail::impossible(format!("there are still addresses after {} rounds", rounds.done)))
}

fn show_with_link(session: &mut Session, address: &Address<'_>) {
    let name = session.link_name(address.header.index);
    if !session.options.one_line {
        session.out.text(format_args!("{}: {name}", address.header.index));
    }
    show(session, address);
}
