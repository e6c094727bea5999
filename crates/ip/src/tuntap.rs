//! The object `tuntap`: links whose other end is a program.

use std::fs;

use netlink::route::{self, LinkHeader, ifla, info};
use netlink::{Attribute, Requests};
use sys::tun::Tun;

use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::out::Ink;
use crate::session::Session;
use crate::words::{Words, interface_name, invalid, number, short};

const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;
const IFF_MULTI_QUEUE: u16 = 0x100;
const IFF_PERSIST: u64 = 0x800;
const IFF_NO_PI: u16 = 0x1000;
const IFF_NOFILTER: u64 = 0x1000;
const IFF_ONE_QUEUE: u16 = 0x2000;
const IFF_VNET_HDR: u16 = 0x4000;

pub(crate) fn run(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list(session) };
    match command {
        _ if short(command, "add") => {
            let wanted = read(words, IFF_NO_PI, None, true)?;
            make(&wanted)
        }
        _ if short(command, "delete") => {
            let wanted = read(words, IFF_NO_PI, None, false)?;
            let tun = Tun::attach(&wanted.name, wanted.flags)
                .map_err(|error| cannot("delete", &wanted.name, error))?;
            tun.persist(false).map_err(|error| cannot("delete", &wanted.name, error))?;
            Ok(0)
        }
        _ if short(command, "show") || short(command, "lst") || short(command, "list") => list(session),
        _ if short(command, "help") => Ok(help::print(Topic::Tuntap)),
        _ => Err(Fail::wrong(format!("`tuntap` has no command `{command}`"))
            .hint("`holm ip tuntap help` lists the commands")),
    }
}

/// `link add NAME type tun|tap [user USER] [group GROUP] …`
pub(crate) fn add(name: &str, kind: &str, words: &Words<'_>) -> Result<u8, Fail> {
    let flags = if kind == "tap" { IFF_TAP } else { IFF_TUN };
    make(&read(words, flags | IFF_NO_PI, Some(name), true)?)
}

fn cannot(verb: &str, name: &str, error: sys::SyscallError) -> Fail {
    Fail::system(format!("cannot {verb} link `{name}`"), error)
}

struct Wanted {
    name: String,
    flags: u16,
    user: Option<u32>,
    group: Option<u32>,
}

fn make(wanted: &Wanted) -> Result<u8, Fail> {
    let failed = |error| cannot("add", &wanted.name, error);
    let tun = Tun::attach(&wanted.name, wanted.flags).map_err(failed)?;
    if let Some(user) = wanted.user {
        tun.set_owner(user).map_err(failed)?;
    }
    if let Some(group) = wanted.group {
        tun.set_group(group).map_err(failed)?;
    }
    tun.persist(true).map_err(failed)?;
    Ok(0)
}

fn read(words: &Words<'_>, flags: u16, name: Option<&str>, adding: bool) -> Result<Wanted, Fail> {
    let mut wanted = Wanted { name: name.unwrap_or_default().to_owned(), flags, user: None, group: None };
    while let Some(word) = words.next() {
        match word {
            _ if short(word, "mode") => {
                let value = words.value()?;
                let mode = match value {
                    _ if short(value, "tun") => IFF_TUN,
                    _ if short(value, "tap") => IFF_TAP,
                    _ => return Err(invalid("mode", value, "`tun` or `tap`")),
                };
                wanted.flags |= mode;
                if wanted.flags & (IFF_TUN | IFF_TAP) == IFF_TUN | IFF_TAP {
                    return Err(Fail::wrong("a link has one mode: `tun` and `tap` exclude each other"));
                }
            }
            _ if adding && short(word, "user") => {
                wanted.user = Some(account("user", "/etc/passwd", words.value()?)?)
            }
            _ if adding && short(word, "group") => {
                wanted.group = Some(account("group", "/etc/group", words.value()?)?);
            }
            _ if short(word, "pi") => wanted.flags &= !IFF_NO_PI,
            _ if short(word, "one_queue") => wanted.flags |= IFF_ONE_QUEUE,
            _ if short(word, "vnet_hdr") => wanted.flags |= IFF_VNET_HDR,
            _ if short(word, "multi_queue") => wanted.flags |= IFF_MULTI_QUEUE,
            _ => {
                let value = if word == "dev" || short(word, "name") { words.value()? } else { word };
                if !wanted.name.is_empty() && word != "dev" {
                    return Err(Fail::wrong(format!(
                        "`{value}` is a second name, or a word that `tuntap` does not have"
                    )));
                }
                wanted.name = interface_name("name", value)?.to_owned();
            }
        }
    }
    if wanted.flags & (IFF_TUN | IFF_TAP) == 0 {
        return Err(Fail::impossible("which mode? `mode tun` or `mode tap` is missing"));
    }
    Ok(wanted)
}

/// A user or group by number, or by its name in a file of accounts.
fn account(keyword: &str, file: &str, word: &str) -> Result<u32, Fail> {
    if let Some(id) = number(word).and_then(|id| u32::try_from(id).ok()) {
        return Ok(id);
    }
    accounts(file)
        .find(|(name, _)| name == word)
        .map(|(_, id)| id)
        .ok_or_else(|| invalid(keyword, word, &format!("a number or a name in {file}")))
}

/// The name of an id.
pub(crate) fn account_name(file: &str, id: u32) -> Option<String> {
    accounts(file).find(|(_, own)| *own == id).map(|(name, _)| name)
}

fn accounts(file: &str) -> impl Iterator<Item = (String, u32)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect::<Vec<_>>().into_iter()
}

fn list(session: &mut Session) -> Result<u8, Fail> {
    let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
    request.nest(ifla::LINKINFO, |link_info| {
        link_info.attribute(info::KIND, b"tun");
    });
    let found = session.dump(&mut request, "links")?;
    session.out.begin();
    for message in found.messages() {
        let Some((_, attributes)) = LinkHeader::read(&message) else { continue };
        let kind = attributes.find(ifla::LINKINFO).and_then(|inside| inside.nested().find(info::KIND));
        let name = attributes.find(ifla::IFNAME).map(Attribute::text).unwrap_or_default();
        if kind.is_some_and(|kind| kind.text() == "tun") {
            show(session, name);
        }
    }
    session.out.end();
    Ok(0)
}

fn show(session: &mut Session, name: &str) {
    let property = |property: &str| {
        let text = fs::read_to_string(format!("/sys/class/net/{name}/{property}")).ok()?;
        match text.trim() {
            "-1" => Some(None),
            text => number(text).map(Some),
        }
    };
    let (Some(Some(flags)), Some(owner), Some(group)) =
        (property("tun_flags"), property("owner"), property("group"))
    else {
        return;
    };
    const NAMES: [(u64, bool, &str); 8] = [
        (IFF_TUN as u64, true, "tun"),
        (IFF_TAP as u64, true, "tap"),
        (IFF_NO_PI as u64, false, "pi"),
        (IFF_ONE_QUEUE as u64, true, "one_queue"),
        (IFF_MULTI_QUEUE as u64, true, "multi_queue"),
        (IFF_VNET_HDR as u64, true, "vnet_hdr"),
        (IFF_PERSIST, true, "persist"),
        (IFF_NOFILTER, false, "filter"),
    ];
    let out = &mut session.out;
    out.object(None);
    out.inked(Ink::Name, "ifname", name, format_args!("{name}:"));
    out.array("flags", "");
    let mut rest = flags;
    for (bit, wanted, word) in NAMES {
        if (flags & bit != 0) == wanted {
            out.item(word, format_args!(" {word}"));
        }
        rest &= !bit;
    }
    if rest != 0 {
        let text = format!("{rest:#x}");
        out.item(&text, format_args!(" {text}"));
    }
    out.close_array("");
    for (id, word) in [(owner, "user"), (group, "group")] {
        if let Some(id) = id {
            out.field(word, id, format_args!(" {word} {id}"));
        }
    }
    out.object_end();
    out.text(format_args!("\n"));
}
