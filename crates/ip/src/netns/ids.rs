//! The numbers by which network namespaces know each other.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use netlink::route::{self, GeneralHeader, netnsa};
use netlink::{Attribute, Attributes, Requests, Socket};

use super::{names, open};
use crate::fail::Fail;
use crate::options::Options;
use crate::session::Session;
use crate::words::{Words, invalid, number};

/// The id that the namespace with a name has here; None when it has none.
fn id_of(socket: &mut Socket, name: &str) -> Option<i32> {
    let namespace = open(name).ok()?;
    let mut request = Requests::one(route::GETNSID, 0, &GeneralHeader::default().bytes());
    request.u32(netnsa::FD, namespace.as_raw_fd().cast_unsigned());
    let answer = socket.ask(&mut request, |message| {
        let (_, attributes) = GeneralHeader::read(message)?;
        attributes.find(netnsa::NSID).and_then(Attribute::i32)
    });
    answer.ok().flatten().filter(|id| *id >= 0)
}

/// Every namespace that has a name and an id, by id.
pub(crate) fn ids(socket: &mut Socket) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for name in names() {
        if let Some(id) = id_of(socket, &name) {
            found.entry(id).or_insert(name);
        }
    }
    found
}

/// The id of a namespace, which gets one if it has none.
pub(crate) fn id_or_assign(socket: &mut Socket, name: &str) -> Result<i32, Fail> {
    if let Some(id) = id_of(socket, name) {
        return Ok(id);
    }
    assign(socket, name, -1)?;
    id_of(socket, name).ok_or_else(|| Fail::wrong(format!("network namespace `{name}` has no id")))
}

fn assign(socket: &mut Socket, name: &str, id: i32) -> Result<(), Fail> {
    let namespace = open(name)?;
    let mut request = Requests::one(route::NEWNSID, 0, &GeneralHeader::default().bytes());
    request.u32(netnsa::FD, namespace.as_raw_fd().cast_unsigned());
    request.u32(netnsa::NSID, id.cast_unsigned());
    socket
        .transact(&mut request)
        .map_err(|error| Fail::kernel(format!("cannot give network namespace `{name}` an id"), error))
}

/// The ids of names, for a list of names.
pub(super) fn of_name(session: &mut Session, name: &str) -> Option<i32> {
    id_of(&mut session.socket, name)
}

/// `netns set NAME ID|auto`
pub(super) fn set(words: &Words<'_>) -> Result<u8, Fail> {
    let name =
        words.next().ok_or_else(|| Fail::impossible("which network namespace? Its name is missing"))?;
    let word = words.next().ok_or_else(|| Fail::impossible("which id? A number or `auto` is missing"))?;
    let id = match word {
        "auto" => -1,
        _ => number(word)
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| invalid("netns set", word, "a number or `auto`"))?,
    };
    let mut session = Session::open(Options::default())?;
    // The kernel's refusal has status 2, a name that is not there 1.
    assign(&mut session.socket, name, id)?;
    Ok(0)
}

/// `netns list-id [target-nsid ID] [nsid ID]`
pub(super) fn list(options: Options, words: &Words<'_>) -> Result<u8, Fail> {
    let mut session = Session::open(options)?;
    let (mut target, mut one) = (None, None);
    while let Some(word) = words.next() {
        let value = words.value()?;
        let id = number(value).and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| invalid(word, value, "a number"))?;
        match word {
            "target-nsid" => target = Some(id),
            "nsid" => one = Some(id),
            _ => return Err(Fail::wrong(format!("`netns list-id` has no `{word}`"))),
        }
    }
    let mut request = Requests::one(route::GETNSID, 0, &GeneralHeader::default().bytes());
    if let Some(id) = one {
        request.u32(netnsa::NSID, id.cast_unsigned());
    }
    if let Some(target) = target {
        request.u32(netnsa::TARGET_NSID, target.cast_unsigned());
    }
    let found = match one {
        Some(_) => session
            .socket
            .ask(&mut request, netlink::Dump::of_one)
            .map_err(|error| Fail::kernel("cannot list ids of network namespaces", error))?,
        None => session.dump(&mut request, "ids of network namespaces")?,
    };
    session.out.begin();
    for message in found.messages() {
        if let Some((_, attributes)) = GeneralHeader::read(&message) {
            show(&mut session, attributes);
        }
    }
    session.out.end();
    session.out.flush();
    Ok(0)
}

fn show(session: &mut Session, attributes: Attributes<'_>) {
    let Some(id) = attributes.find(netnsa::NSID).and_then(Attribute::i32) else { return };
    let current = attributes.find(netnsa::CURRENT_NSID).and_then(Attribute::i32);
    let name = session.namespace_name(current.unwrap_or(id));
    let out = &mut session.out;
    out.object(None);
    match id {
        0.. => out.field("nsid", id, format_args!("nsid {id} ")),
        _ => out.text(format_args!("nsid unassigned ")),
    }
    match current {
        Some(current @ 0..) => out.field("current-nsid", current, format_args!("current-nsid {current} ")),
        Some(_) => out.text(format_args!("current-nsid unassigned ")),
        None => {}
    }
    if let Some(name) = name {
        out.field("name", &name, format_args!("(iproute2 netns name: {name})"));
    }
    out.text(format_args!("\n"));
    out.object_end();
}
