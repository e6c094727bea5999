//! Links are made, changed and removed.
//!
//! [`read_words`] takes the words that hold for every link, in iproute2's order of keywords, since that decides what
//! an abbreviation means; behind `type` come the words of [`kinds`]. Nothing is sent before all words are read.

use std::os::fd::{AsRawFd, OwnedFd};

use netlink::route::{
    self, IFF_ALLMULTI, IFF_DYNAMIC, IFF_MULTICAST, IFF_NOARP, IFF_NOTRAILERS, IFF_PROMISC, IFF_UP,
    LinkHeader, ifla, info,
};
use netlink::{Requests, flags};
use sys::Errno;

use super::kinds;
use super::show::{ADDRESS_GENERATION, state_by_name};
use crate::address::link_address;
use crate::fail::{Fail, REFUSED};
use crate::help::{self, Topic};
use crate::names::Table;
use crate::netns;
use crate::session::Session;
use crate::tuntap;
use crate::words::{Words, interface_name, invalid, on_off, positive, short, twice, u32 as number};

/// What the words of a link come to.
#[derive(Debug, Default)]
struct Link {
    header: LinkHeader,
    name: Option<String>,
    device: Option<String>,
    /// The link below (`link`).
    lower: Option<String>,
    kind: Option<String>,
    index: Option<i32>,
    group: Option<u32>,
    address_len: Option<usize>,
    /// Where it goes (`netns`).
    moved: bool,
    help: bool,
    /// Keywords that may stand once only.
    seen: Vec<&'static str>,
    /// Namespaces that the request names by descriptor.
    held: Vec<OwnedFd>,
}

impl Link {
    fn once(&mut self, keyword: &'static str, word: &str) -> Result<(), Fail> {
        if self.seen.contains(&keyword) {
            return Err(twice(keyword, word));
        }
        self.seen.push(keyword);
        Ok(())
    }

    fn flag(&mut self, bit: u32, on: bool) {
        self.header.change |= bit;
        self.header.flags = if on { self.header.flags | bit } else { self.header.flags & !bit };
    }
}

/// Does what `link add|set|replace|delete` say.
pub(super) fn run(session: &mut Session, words: &Words<'_>, command: u16, extra: u16) -> Result<u8, Fail> {
    let new = extra & flags::CREATE != 0;
    let mut requests = Requests::one(command, extra, &LinkHeader::default().bytes());
    let mut link = read_words(session, words, &mut requests, new, false)?;
    if link.help {
        return Ok(help::print(Topic::Link));
    }
    finish(session, &mut requests, &mut link, new)?;
    if let Some(kind) = link.kind.clone() {
        if new && matches!(kind.as_str(), "tun" | "tap") {
            return make_tun(&link, &kind, words, &requests);
        }
        if words.peek().is_some_and(|word| word == "help") {
            return Ok(help::print(Topic::Link));
        }
        read_kind(session, &mut requests, &mut link, &kind, words, new)?;
    } else if new {
        return Err(Fail::impossible("which type of link? `type TYPE` is missing")
            .hint("holm ip link add veth0 type veth peer name veth1"));
    } else if let Some(word) = words.peek() {
        return Err(Fail::impossible(format!("`{word}` has no meaning here")));
    }
    let header = LinkHeader { family: session.options.family, ..link.header };
    requests.body_mut()[..LinkHeader::LEN].copy_from_slice(&header.bytes());
    session.socket.transact(&mut requests).map_err(|error| explain(command, new, &link, error))?;
    Ok(0)
}

/// Adds and removes alternative names: `link property add dev NAME altname NAME…`
pub(super) fn property(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let command = words.value()?;
    let (message, extra) = match command {
        _ if short(command, "add") => (108, flags::CREATE | flags::APPEND | flags::EXCLUSIVE),
        _ if short(command, "del") => (109, 0),
        _ => return Err(Fail::wrong(format!("`link property` has no command `{command}`"))),
    };
    let (mut device, mut names) = (None, Vec::new());
    while let Some(word) = words.next() {
        match word {
            "altname" => names.push(words.value()?.to_owned()),
            "dev" => device = Some(words.value()?.to_owned()),
            other => device = Some(other.to_owned()),
        }
    }
    let device = device.ok_or_else(|| Fail::impossible("which link? `dev NAME` is missing"))?;
    let header = LinkHeader { index: session.link(&device)?.cast_signed(), ..LinkHeader::default() };
    let mut requests = Requests::one(message, extra, &header.bytes());
    requests.nest(ifla::PROP_LIST, |list| {
        for name in &names {
            list.text(ifla::ALT_IFNAME, name);
        }
    });
    session.transact(&mut requests, || format!("change the names of link `{device}`"))?;
    Ok(0)
}

/// Reads the words that hold for every link, up to those behind `type TYPE`. The header is filled in later.
fn read_words(
    session: &mut Session,
    words: &Words<'_>,
    requests: &mut Requests,
    new: bool,
    peer: bool,
) -> Result<Link, Fail> {
    let mut link = Link::default();
    while let Some(word) = words.next() {
        match word {
            "up" => link.flag(IFF_UP, true),
            "down" => link.flag(IFF_UP, false),
            "name" => {
                let value = words.value()?;
                link.once("name", value)?;
                link.name = Some(interface_name("name", value)?.to_owned());
                if link.device.is_none() {
                    link.device.clone_from(&link.name);
                }
            }
            "index" => {
                let value = words.value()?;
                link.once("index", value)?;
                let index = positive("index", value).ok().filter(|index| *index > 0);
                link.index = Some(index.ok_or_else(|| invalid("index", value, "a positive number"))?);
            }
            _ if short(word, "link") => link.lower = Some(words.value()?.to_owned()),
            _ if short(word, "address") => {
                let address = link_address(words.value()?)?;
                link.address_len = Some(address.len());
                requests.attribute(ifla::ADDRESS, &address);
            }
            _ if short(word, "broadcast") || word == "brd" => {
                requests.attribute(ifla::BROADCAST, &link_address(words.value()?)?);
            }
            _ if short(word, "txqueuelen") || word == "qlen" || short(word, "txqlen") => {
                let value = words.value()?;
                link.once("txqueuelen", value)?;
                requests.u32(ifla::TXQLEN, positive("txqueuelen", value)?.cast_unsigned());
            }
            "mtu" => {
                let value = words.value()?;
                link.once("mtu", value)?;
                requests.u32(ifla::MTU, positive("mtu", value)?.cast_unsigned());
            }
            "netns" => {
                let value = words.value()?;
                link.once("netns", value)?;
                link.moved = true;
                match netns::open_or_pid(value)? {
                    netns::Named::Open(namespace) => {
                        requests.u32(ifla::NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
                        link.held.push(namespace);
                    }
                    netns::Named::Pid(pid) => {
                        requests.u32(ifla::NET_NS_PID, pid);
                    }
                }
            }
            "multicast" | "allmulticast" | "promisc" => {
                let bit = match word {
                    "multicast" => IFF_MULTICAST,
                    "allmulticast" => IFF_ALLMULTI,
                    _ => IFF_PROMISC,
                };
                let on = on_off(word, words.value()?)?;
                link.flag(bit, on);
            }
            "trailers" | "arp" => {
                let on = on_off(word, words.value()?)?;
                link.flag(if word == "arp" { IFF_NOARP } else { IFF_NOTRAILERS }, !on);
            }
            "carrier" | "protodown" => {
                let on = on_off(word, words.value()?)?;
                requests.u8(if word == "carrier" { ifla::CARRIER } else { ifla::PROTO_DOWN }, on.into());
            }
            _ if short(word, "master") => {
                let master = session.link_value("master", words.value()?)?;
                requests.u32(ifla::MASTER, master);
            }
            "vrf" => {
                let master = session.link_value("vrf", words.value()?)?;
                requests.u32(ifla::MASTER, master);
            }
            _ if short(word, "nomaster") => {
                requests.u32(ifla::MASTER, 0);
            }
            _ if short(word, "dynamic") => {
                let on = on_off("dynamic", words.value()?)?;
                link.flag(IFF_DYNAMIC, on);
            }
            _ if short(word, "type") => {
                let value = words.value()?;
                if peer {
                    return Err(twice("type", value));
                }
                link.kind = Some(value.to_owned());
                return Ok(link);
            }
            _ if short(word, "alias") => {
                let value = words.value()?;
                if value.len() >= 256 {
                    return Err(invalid("alias", value, "at most 255 bytes"));
                }
                requests.attribute(ifla::IFALIAS, value.as_bytes());
            }
            "group" => {
                let value = words.value()?;
                link.once("group", value)?;
                let group = session.find(Table::Groups, "group", value)?;
                link.group = Some(group);
                requests.u32(ifla::GROUP, group);
            }
            _ => {
                if !more_words(session, word, words, requests, &mut link)? {
                    if short(word, "help") {
                        link.help = true;
                        return Ok(link);
                    }
                    device(word, words, &mut link, new)?;
                }
            }
        }
    }
    Ok(link)
}

/// The rarer words. False when it is none of them.
fn more_words(
    session: &mut Session,
    word: &str,
    words: &Words<'_>,
    requests: &mut Requests,
    link: &mut Link,
) -> Result<bool, Fail> {
    match word {
        "mode" => {
            let value = words.value()?;
            let mode = ["default", "dormant"].iter().position(|name| name.eq_ignore_ascii_case(value));
            requests.u8(
                ifla::LINKMODE,
                mode.ok_or_else(|| invalid("mode", value, "`default` or `dormant`"))? as u8,
            );
        }
        "state" => {
            let value = words.value()?;
            let state =
                state_by_name(value).ok_or_else(|| invalid("state", value, "a state such as `up`"))?;
            requests.u8(ifla::OPERSTATE, state);
        }
        _ if short(word, "numtxqueues") || short(word, "numrxqueues") => {
            let (keyword, kind) = match short(word, "numtxqueues") {
                true => ("numtxqueues", ifla::NUM_TX_QUEUES),
                false => ("numrxqueues", ifla::NUM_RX_QUEUES),
            };
            let value = words.value()?;
            link.once(keyword, value)?;
            requests.u32(kind, positive(keyword, value)?.cast_unsigned());
        }
        _ if short(word, "addrgenmode") => {
            const ADDR_GEN_MODE: u16 = 8;
            let value = words.value()?;
            let place = ADDRESS_GENERATION.iter().position(|name| *name == value);
            let mode =
                place.ok_or_else(|| invalid("addrgenmode", value, "eui64, none, stable_secret or random"))?;
            requests.nest(ifla::AF_SPEC, |families| {
                families.nest(route::AF_INET6.into(), |inet6| {
                    inet6.u8(ADDR_GEN_MODE, mode as u8);
                });
            });
        }
        _ if short(word, "link-netns") => {
            let value = words.value()?;
            link.once("link-netnsid", value)?;
            let id = netns::id_or_assign(&mut session.socket, value)?;
            requests.u32(ifla::LINK_NETNSID, id.cast_unsigned());
        }
        _ if short(word, "link-netnsid") => {
            let value = words.value()?;
            link.once("link-netnsid", value)?;
            requests.u32(ifla::LINK_NETNSID, positive("link-netnsid", value)?.cast_unsigned());
        }
        "gso_max_size" | "gso_max_segs" | "gro_max_size" => {
            let kind = match word {
                "gso_max_size" => ifla::GSO_MAX_SIZE,
                "gso_max_segs" => ifla::GSO_MAX_SEGS,
                _ => ifla::GRO_MAX_SIZE,
            };
            requests.u32(kind, number(word, words.value()?)?);
        }
        "parentdev" => {
            requests.text(ifla::PARENT_DEV_NAME, words.value()?);
        }
        "vf" | "xdp" | "xdpgeneric" | "xdpdrv" | "xdpoffload" | "protodown_reason" => {
            return Err(Fail::impossible(format!("`{word}` is not supported")));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `dev NAME`, or just the name.
fn device(word: &str, words: &Words<'_>, link: &mut Link, new: bool) -> Result<(), Fail> {
    let name = if word == "dev" { words.value()? } else { word };
    if link.device != link.name {
        return Err(Fail::wrong(format!("`{name}` is a second link, or a word that `link` does not have"))
            .hint("`holm ip link help` lists the words"));
    }
    let valid = !name.is_empty() && name.len() < 128 && !name.contains('/');
    if new || !valid {
        interface_name("dev", name).map_err(|fail| if valid { fail.status(REFUSED) } else { fail })?;
    }
    link.device = Some(name.to_owned());
    Ok(())
}

/// What follows from the words together.
fn finish(session: &mut Session, requests: &mut Requests, link: &mut Link, new: bool) -> Result<(), Fail> {
    if link.name.is_none() {
        link.name.clone_from(&link.device);
    } else if link.device.is_none() {
        link.device.clone_from(&link.name);
    }
    let Some(device) = link.device.clone() else {
        return match (link.group, new) {
            // Every link of a group at once.
            (Some(_), false) => Ok(()),
            (Some(_), true) => Err(Fail::wrong("`group` is not for new links")),
            (None, false) => Err(Fail::wrong("which link? `dev NAME` is missing")),
            // The kernel finds a name.
            (None, true) => lower(session, requests, link),
        };
    };
    if new {
        if link.name.as_ref() != Some(&device) {
            return Err(Fail::wrong("a new link has one name: `name` and `dev` exclude each other"));
        }
        link.header.index = link.index.unwrap_or(0);
        lower(session, requests, link)?;
    } else {
        if link.index.is_some() && !link.moved {
            return Err(Fail::wrong("`index` is for new links, and for those that go to another namespace"));
        }
        let index = session.link(&device)?;
        link.header.index = index.cast_signed();
        if let Some(len) = link.address_len {
            check_address(session, index, &device, len)?;
        }
        if link.name.as_ref() == Some(&device) {
            link.name = None;
        }
        if let Some(index) = link.index {
            requests.u32(ifla::NEW_IFINDEX, index.cast_unsigned());
        }
    }
    if let Some(name) = &link.name {
        requests.text(ifla::IFNAME, name);
    }
    Ok(())
}

fn lower(session: &mut Session, requests: &mut Requests, link: &Link) -> Result<(), Fail> {
    if let Some(lower) = &link.lower {
        let index = session.link(lower)?;
        requests.u32(ifla::LINK, index);
    }
    Ok(())
}

/// The kernel takes a part of an address that is too long, so its length is compared first.
fn check_address(session: &mut Session, index: u32, name: &str, len: usize) -> Result<(), Fail> {
    let header = LinkHeader { index: index.cast_signed(), ..LinkHeader::default() };
    let mut request = Requests::one(route::GETLINK, 0, &header.bytes());
    let there = session.socket.ask(&mut request, |message| {
        LinkHeader::read(message)?.1.find(ifla::ADDRESS).map(|address| address.data.len())
    });
    match there {
        Ok(Some(there)) if there != len => {
            Err(Fail::impossible(format!("an address of link `{name}` has {there} bytes, not {len}")))
        }
        _ => Ok(()),
    }
}

fn read_kind(
    session: &mut Session,
    requests: &mut Requests,
    link: &mut Link,
    kind: &str,
    words: &Words<'_>,
    new: bool,
) -> Result<(), Fail> {
    let data = if kind.contains("_slave") { info::SLAVE_DATA } else { info::DATA };
    requests.nest(ifla::LINKINFO, |requests| {
        requests.attribute(info::KIND, kind.as_bytes());
        if words.peek().is_none() {
            return Ok(());
        }
        if matches!(kind, "veth" | "vxcan") {
            return requests.nest(data, |requests| read_peer(session, requests, link, kind, words, new));
        }
        requests.nest(data, |requests| kinds::read(session, kind, words, requests, new))
    })
}

/// The other end of a cable: `peer` and the words of a link.
fn read_peer(
    session: &mut Session,
    requests: &mut Requests,
    link: &mut Link,
    kind: &str,
    words: &Words<'_>,
    new: bool,
) -> Result<(), Fail> {
    const PEER: u16 = 1;
    if let Some(word) = words.next().filter(|word| *word != "peer") {
        return Err(Fail::impossible(format!("links of type {kind} have no parameter `{word}`"))
            .hint("holm ip link add veth0 type veth peer name veth1"));
    }
    // The header stands before the attributes that the words add, and is known only afterwards.
    let mut inner = Requests::one(0, 0, &LinkHeader::default().bytes());
    let mut peer = read_words(session, words, &mut inner, new, true)?;
    if peer.help {
        return Err(Fail::impossible("`help` stands behind `link`").hint("holm ip link help"));
    }
    if peer.name.is_none() {
        peer.name.clone_from(&peer.device);
    }
    if let Some(name) = &peer.name {
        inner.text(ifla::IFNAME, interface_name("name", name)?);
    }
    peer.header.index = peer.index.unwrap_or(0);
    inner.body_mut()[..LinkHeader::LEN].copy_from_slice(&peer.header.bytes());
    link.held.append(&mut peer.held);
    requests.nest(PEER, |end| {
        end.raw(inner.body_mut());
    });
    Ok(())
}

/// The kernel makes these by another way than netlink.
fn make_tun(link: &Link, kind: &str, words: &Words<'_>, requests: &Requests) -> Result<u8, Fail> {
    // A request of nothing but header and name has no other property.
    let name = link.name.clone().unwrap_or_default();
    let bare =
        Requests::one(0, 0, &LinkHeader::default().bytes()).text(ifla::IFNAME, &name).bytes_of(0).len();
    if requests.bytes_of(0).len() > bare || link.header.change != 0 {
        return Err(Fail::impossible(format!("a {kind} link is made without other properties"))
            .hint("set them afterwards with `holm ip link set`"));
    }
    tuntap::add(&name, kind, words)
}

/// A refusal with what it means for a link.
fn explain(command: u16, new: bool, link: &Link, error: netlink::Error) -> Fail {
    let name = link.device.clone().or(link.name.clone()).unwrap_or_else(|| "of the group".to_owned());
    let kind = link.kind.clone().unwrap_or_default();
    let doing = match (command, new) {
        (route::DELLINK, _) => format!("cannot delete link `{name}`"),
        (_, true) => format!("cannot add link `{name}` of type {kind}"),
        (_, false) => format!("cannot change link `{name}`"),
    };
    let hint = match error.errno() {
        Some(Errno::OPNOTSUPP)
            if new
                && error.refused().is_some_and(|refused| {
                    refused.words.as_deref().is_none_or(|words| words.contains("device type"))
                }) =>
        {
            Some(format!(
                "this kernel has no links of type {kind}: the type is unknown, or its module ({}) is not there",
                module(&kind)
            ))
        }
        Some(Errno::PERM) => Some("it takes CAP_NET_ADMIN over this network namespace".to_owned()),
        Some(Errno::EXIST) if new => Some(format!("`holm ip link show {name}` tells what has the name")),
        _ => None,
    };
    let fail = Fail::kernel(doing, error);
    match hint {
        Some(hint) => fail.hint(hint),
        None => fail,
    }
}

fn module(kind: &str) -> String {
    match kind {
        "vlan" => "8021q".to_owned(),
        other => format!("rtnl-link-{other}"),
    }
}
