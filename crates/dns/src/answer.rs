//! What a query is answered with.
//!
//! [`answer`] is the whole decision: a table, who asks on which network, and the query's bytes go in; an answer, or
//! the advice to ask somebody else, comes out. It looks at nothing else, so every rule is a row in a test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name::{self, ZONE};
use crate::table::{Network, Table};
use crate::wire::{self, Code, Question, Reply, Unreadable, kind};

/// How long, in seconds, an answer holds. A container that is started anew may have another address.
pub const TTL: u32 = 5;

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The network whose gateway was asked, by its place in the table.
    pub network: usize,
    /// The address that the query came from.
    pub address: IpAddr,
    /// Whether the answer may have 64 KiB.
    pub tcp: bool,
}

/// What to do with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Send what is in the buffer.
    Answer,
    /// Nothing: it was no query, or came from somewhere else.
    Drop,
    /// Ask [`Table::forwarders`].
    Forward,
}

/// Decides about `query`. An answer is written to `out`; with each `turn`, another one of several addresses is first.
pub fn answer(table: &Table, asker: Asker, query: &[u8], turn: usize, out: &mut Vec<u8>) -> Outcome {
    // Only the network itself is served: nobody can use the server to reach somebody with a forged address elsewhere.
    if !table.networks().get(asker.network).is_some_and(|network| network.has(asker.address)) {
        return Outcome::Drop;
    }
    let question = match Question::read(query) {
        Ok(question) => question,
        Err(Unreadable::NoQuery) => return Outcome::Drop,
        Err(Unreadable::Answer(code)) => {
            wire::refuse(query, code, out);
            return Outcome::Answer;
        }
    };
    let limit = if asker.tcp { usize::from(u16::MAX) } else { question.udp_limit() };
    if question.edns.is_some_and(|edns| edns.version != 0) {
        Reply::new(&question, limit, out).finish(Code::BadVersion, false);
        return Outcome::Answer;
    }
    if question.class != wire::IN {
        Reply::new(&question, limit, out).finish(Code::Refused, false);
        return Outcome::Answer;
    }
    let known =
        question.name.text().and_then(|name| find(table, asker, name, question.kind, question.name.labels()));
    let Some(known) = known else { return foreign(table, asker, &question, limit, out) };
    let mut reply = Reply::new(&question, limit, out);
    let code = match known {
        Found::Addresses(name) => {
            addresses(table, asker, name, question.kind, turn, &mut reply);
            Code::NoError
        }
        Found::Fixed(list) => {
            list.iter()
                .filter(|address| wanted(question.kind, **address))
                .all(|address| reply.address(TTL, *address));
            Code::NoError
        }
        Found::OfNetwork(network, name) => {
            give(network.addresses(name), question.kind, turn, &mut reply);
            Code::NoError
        }
        Found::Pointer(name) => {
            if matches!(question.kind, kind::PTR | kind::ANY) {
                reply.pointer(TTL, &[name, ZONE]);
            }
            Code::NoError
        }
        Found::Zone => {
            match question.kind {
                kind::SOA | kind::ANY => reply.start_of_zone(TTL, ZONE, true),
                kind::NS => reply.server(TTL, ZONE),
                _ => {}
            }
            Code::NoError
        }
        Found::Exists => Code::NoError,
        Found::Nothing => Code::NameError,
    };
    reply.settle(code);
    Outcome::Answer
}

/// What there is about a name that is ours to answer for.
enum Found<'a> {
    /// Its addresses on all visible networks.
    Addresses(&'a str),
    /// Its addresses on one.
    OfNetwork(&'a Network, &'a str),
    /// These.
    Fixed(&'static [IpAddr]),
    /// The name of an address.
    Pointer(&'a str),
    /// The zone itself.
    Zone,
    /// Something, with no record of its own.
    Exists,
    /// Nothing.
    Nothing,
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// `None` for what others have to answer.
fn find<'a>(table: &'a Table, asker: Asker, name: &'a str, kind: u16, labels: u8) -> Option<Found<'a>> {
    let visible = || table.visible(asker.network, asker.address);
    if visible().any(|network| !network.addresses(name).is_empty()) {
        return Some(Found::Addresses(name));
    }
    if let Some(inside) = name::below(name, ZONE) {
        if inside.is_empty() {
            return Some(Found::Zone);
        }
        if visible().any(|network| !network.addresses(inside).is_empty()) {
            return Some(Found::Addresses(inside));
        }
        let found = visible().find_map(|network| {
            let own = name::below(inside, &network.name)?;
            match own {
                "" => Some(Found::Exists),
                own if !network.addresses(own).is_empty() => Some(Found::OfNetwork(network, own)),
                _ => None,
            }
        });
        return Some(found.unwrap_or(Found::Nothing));
    }
    if name::below(name, "localhost").is_some() {
        // RFC 6761, 6.3: never asked of others.
        return Some(Found::Fixed(&LOOPBACK));
    }
    if let Some(address) = name::reverse(name) {
        if address.is_loopback() {
            return Some(Found::Nothing);
        }
        let network = visible().find(|network| network.has(address))?;
        return Some(network.pointer(address).map_or(Found::Nothing, Found::Pointer));
    }
    // An address of a name without a dot is asked for by somebody who means a container. Others do not get to know.
    let address = matches!(kind, kind::A | kind::AAAA | kind::ANY);
    (labels == 1 && address).then_some(Found::Nothing)
}

fn wanted(kind: u16, address: IpAddr) -> bool {
    match kind {
        kind::A => address.is_ipv4(),
        kind::AAAA => address.is_ipv6(),
        _ => kind == kind::ANY,
    }
}

/// The addresses of a name on all networks that the asker sees, each once.
fn addresses(table: &Table, asker: Asker, name: &str, kind: u16, turn: usize, reply: &mut Reply<'_, '_>) {
    let mut networks = table.visible(asker.network, asker.address);
    let (first, second) = (networks.next(), networks.next());
    match (first, second) {
        (Some(only), None) => give(only.addresses(name), kind, turn, reply),
        _ => {
            let all = table.visible(asker.network, asker.address).flat_map(|network| network.addresses(name));
            let mut list = Vec::new();
            for address in all {
                if !list.contains(address) {
                    list.push(*address);
                }
            }
            give(&list, kind, turn, reply);
        }
    }
}

fn give(list: &[IpAddr], kind: u16, turn: usize, reply: &mut Reply<'_, '_>) {
    let count = list.iter().filter(|address| wanted(kind, **address)).count();
    if count == 0 {
        return;
    }
    let matching = || list.iter().filter(|address| wanted(kind, **address));
    let start = turn % count;
    let mut turned = matching().skip(start).chain(matching().take(start));
    while turned.next().is_some_and(|address| reply.address(TTL, *address)) {}
}

/// A name that others have to answer for: passed on, if there is somebody to ask.
fn foreign(table: &Table, asker: Asker, question: &Question<'_>, limit: usize, out: &mut Vec<u8>) -> Outcome {
    let internal = table.networks().get(asker.network).is_none_or(|network| network.internal);
    if internal {
        // Not "refused": that would make a client ask its next server, and wait.
        Reply::new(question, limit, out).finish(Code::NameError, false);
        return Outcome::Answer;
    }
    if table.forwarders(asker.network, asker.address).is_empty() {
        Reply::new(question, limit, out).finish(Code::ServerFailure, false);
        return Outcome::Answer;
    }
    Outcome::Forward
}

#[cfg(test)]
mod tests;
