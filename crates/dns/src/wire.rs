//! Messages of DNS, as far as a server of a few kinds of record needs them (RFC 1035, 4; RFC 6891).
//!
//! [`Question::read`] reads a query in place, [`Reply`] writes an answer behind the question. What goes to and
//! comes from other servers is passed on as it is; [`is_answer_to`] tells whether it belongs together.

use std::net::IpAddr;

use crate::name::Name;

/// The length of a message's header.
pub const HEADER: usize = 12;
/// What a client without EDNS takes over UDP (RFC 1035, 4.2.1).
pub const PLAIN_LIMIT: usize = 512;
/// What we say we take over UDP, and send at most: no fragments on any usual link (DNS flag day 2020).
pub const EDNS_LIMIT: u16 = 1232;

/// Kinds of records (the registry "Resource Record (RR) TYPEs").
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A zone's servers.
    pub const NS: u16 = 2;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// A name for an address.
    pub const PTR: u16 = 12;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// EDNS.
    pub const OPT: u16 = 41;
    /// Any kind.
    pub const ANY: u16 = 255;
}

/// The class of the internet.
pub const IN: u16 = 1;

/// Answers in one number (RCODE, RFC 1035, 4.1.1; `BadVersion` RFC 6891, 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the registry's")]
pub enum Code {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
    BadVersion = 16,
}

/// What a client says with EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The longest answer that it takes over UDP.
    pub size: u16,
    /// The version, of which there is only 0.
    pub version: u8,
    /// The flags, with `DO` as the highest bit.
    pub flags: u16,
}

/// A query with one question.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    message: &'a [u8],
    end: usize,
    /// What is asked for.
    pub name: Name,
    /// The kind of record.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// EDNS, if the client speaks it.
    pub edns: Option<Edns>,
}

/// Why there is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// No query at all; there is nothing to answer.
    NoQuery,
    /// A query that is answered with this code.
    Answer(Code),
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// A message's own number.
pub fn id(message: &[u8]) -> u16 {
    word(message, 0).unwrap_or_default()
}

/// Gives a message another number.
pub fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// The end of the name that begins at `at`; where it is compressed, of its part here.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

impl<'a> Question<'a> {
    /// Reads a query.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read(message: &'a [u8]) -> Result<Self, Unreadable> {
        let flags = word(message, 2).filter(|_| message.len() >= HEADER).ok_or(Unreadable::NoQuery)?;
        if flags & 0x8000 != 0 {
            return Err(Unreadable::NoQuery);
        }
        if flags & 0x7800 != 0 {
            return Err(Unreadable::Answer(Code::NotImplemented));
        }
        Self::body(message).ok_or(Unreadable::Answer(Code::FormatError))
    }

    fn body(message: &'a [u8]) -> Option<Self> {
        if word(message, 4)? != 1 {
            return None;
        }
        let mut name = Name::root();
        let mut at = HEADER;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => {
                    if !name.push(message.get(at..at + length)?) {
                        return None;
                    }
                    at += length;
                }
                // There is nothing before the first question that a compressed name could point to.
                _ => return None,
            }
        }
        // On the wire a name has a length before each label and a zero behind: 255 bytes in all (RFC 1035, 2.3.4).
        if at - HEADER > 255 {
            return None;
        }
        let (kind, class) = (word(message, at)?, word(message, at + 2)?);
        let end = at + 4;
        let records = [6, 8, 10].map(|place| word(message, place).unwrap_or_default());
        let count = records.iter().map(|count| usize::from(*count)).sum::<usize>();
        let mut edns = None;
        let mut at = end;
        for index in 0..count {
            let owner = at;
            at = name_end(message, at)?;
            let (kind, size) = (word(message, at)?, word(message, at + 2)?);
            let (high, low) = (word(message, at + 4)?, word(message, at + 6)?);
            let length = usize::from(word(message, at + 8)?);
            at += 10;
            message.get(at..at + length)?;
            at += length;
            let additional = index >= usize::from(records[0]) + usize::from(records[1]);
            if kind == kind::OPT && additional {
                // One at most, and its owner is the root (RFC 6891, 6.1.1).
                if edns.is_some() || message[owner] != 0 {
                    return None;
                }
                edns = Some(Edns { size, version: high as u8, flags: low });
            }
        }
        Some(Self { message, end, name, kind, class, edns })
    }

    /// The length of the longest answer over UDP.
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(PLAIN_LIMIT, |edns| usize::from(edns.size.clamp(512, EDNS_LIMIT)))
    }

    /// What the client itself says that it takes over UDP.
    pub fn client_limit(&self) -> usize {
        self.edns.map_or(PLAIN_LIMIT, |edns| usize::from(edns.size.max(512)))
    }
}

/// Writes an answer that has the code and nothing else into `out`, as far as the query can be repeated.
pub fn refuse(message: &[u8], code: Code, out: &mut Vec<u8>) {
    out.clear();
    match Question::read(message) {
        Ok(question) => Reply::new(&question, usize::from(EDNS_LIMIT), out).finish(code, false),
        Err(_) => {
            out.extend_from_slice(message.get(..2).unwrap_or(&[0, 0]));
            let flags = word(message, 2).unwrap_or_default() & 0x7900 | 0x8080 | code as u16 & 0xf;
            out.extend_from_slice(&flags.to_be_bytes());
            out.extend_from_slice(&[0; 8]);
        }
    }
}

/// An answer that is being written.
#[derive(Debug)]
pub struct Reply<'q, 'o> {
    question: &'q Question<'q>,
    out: &'o mut Vec<u8>,
    limit: usize,
    counts: [u16; 3],
    truncated: bool,
}

/// The length of our own OPT record.
const OPT_LENGTH: usize = 11;
/// Where the question's name lies, as compressed names point to it (RFC 1035, 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, HEADER as u8];

impl<'q, 'o> Reply<'q, 'o> {
    /// Begins an answer of at most `limit` bytes in `out`, whose content goes.
    pub fn new(question: &'q Question<'q>, limit: usize, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&question.message[..question.end]);
        let reserved = if question.edns.is_some() { OPT_LENGTH } else { 0 };
        Self { question, out, limit: limit.saturating_sub(reserved), counts: [0; 3], truncated: false }
    }

    fn record(
        &mut self,
        section: usize,
        owner: &[u8],
        kind: u16,
        ttl: u32,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let start = self.out.len();
        self.out.extend_from_slice(owner);
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&IN.to_be_bytes());
        self.out.extend_from_slice(&ttl.to_be_bytes());
        let length = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        data(self.out);
        let size = self.out.len() - length - 2;
        self.out[length..length + 2].copy_from_slice(&(size as u16).to_be_bytes());
        if self.out.len() > self.limit || self.counts[section] == u16::MAX {
            self.out.truncate(start);
            return false;
        }
        self.counts[section] += 1;
        true
    }

    /// Adds an address of the name asked for. False when it does not fit; the answer then says so.
    pub fn address(&mut self, ttl: u32, address: IpAddr) -> bool {
        let fits = match address {
            IpAddr::V4(address) => {
                self.record(0, &QUESTION_NAME, kind::A, ttl, |out| out.extend_from_slice(&address.octets()))
            }
            IpAddr::V6(address) => self
                .record(0, &QUESTION_NAME, kind::AAAA, ttl, |out| out.extend_from_slice(&address.octets())),
        };
        self.truncated |= !fits;
        fits
    }

    /// Adds a name for the address asked for.
    pub fn pointer(&mut self, ttl: u32, parts: &[&str]) -> bool {
        let fits = self.record(0, &QUESTION_NAME, kind::PTR, ttl, |out| write_name(out, parts));
        self.truncated |= !fits;
        fits
    }

    /// Adds the start of `zone` (RFC 1035, 3.3.13): as the answer, or beside an answer that there is nothing, where it
    /// tells how long that holds (RFC 2308).
    pub fn start_of_zone(&mut self, ttl: u32, zone: &str, as_answer: bool) {
        let mut owner = Vec::with_capacity(zone.len() + 2);
        write_name(&mut owner, &[zone]);
        let section = if as_answer { 0 } else { 1 };
        let fits = self.record(section, &owner, kind::SOA, ttl, |out| {
            write_name(out, &[crate::name::HOST, zone]);
            write_name(out, &["root", zone]);
            // Serial, refresh, retry, expire; then how long "no such name" holds.
            for number in [1u32, 3600, 600, 86_400, ttl] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        });
        self.truncated |= as_answer && !fits;
    }

    /// Adds the server of `zone`: the host.
    pub fn server(&mut self, ttl: u32, zone: &str) {
        let fits =
            self.record(0, &QUESTION_NAME, kind::NS, ttl, |out| write_name(out, &[crate::name::HOST, zone]));
        self.truncated |= !fits;
    }

    /// Ends an answer about a name of ours; where it says that there is nothing, with the start of the zone.
    pub fn settle(mut self, code: Code) {
        let inside = self
            .question
            .name
            .text()
            .is_some_and(|name| crate::name::below(name, crate::name::ZONE).is_some());
        if inside && self.counts[0] == 0 && !self.truncated {
            self.start_of_zone(crate::answer::TTL, crate::name::ZONE, false);
        }
        self.finish(code, true);
    }

    /// Ends the answer. `ours` says that it is about a name that nobody else could answer for (`AA`).
    pub fn finish(mut self, code: Code, ours: bool) {
        let number = code as u16;
        if let Some(edns) = self.question.edns {
            self.limit += OPT_LENGTH;
            let ttl = u32::from(number >> 4) << 24 | u32::from(edns.flags & 0x8000);
            let start = self.out.len();
            self.out.push(0);
            for part in [kind::OPT, EDNS_LIMIT, (ttl >> 16) as u16, ttl as u16, 0] {
                self.out.extend_from_slice(&part.to_be_bytes());
            }
            if self.out.len() > self.limit {
                self.out.truncate(start);
            } else {
                self.counts[2] += 1;
            }
        }
        // Kept: opcode, RD and CD. Set: QR, RA.
        let mut flags = word(self.out, 2).unwrap_or_default() & 0x7910 | 0x8080 | number & 0xf;
        flags |= u16::from(ours) << 10 | u16::from(self.truncated) << 9;
        self.out[2..4].copy_from_slice(&flags.to_be_bytes());
        self.out[4..6].copy_from_slice(&[0, 1]);
        for (index, count) in self.counts.iter().enumerate() {
            self.out[6 + 2 * index..8 + 2 * index].copy_from_slice(&count.to_be_bytes());
        }
    }
}

/// Writes the labels of dotted parts, and the root. Labels are within their length: they come from checked names.
fn write_name(out: &mut Vec<u8>, parts: &[&str]) {
    for label in parts.iter().flat_map(|part| part.split('.')).filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
}

/// Whether `reply` is an answer to `query`: same number, same question. Servers that did not understand may leave the
/// question out.
pub fn is_answer_to(reply: &[u8], query: &[u8]) -> bool {
    let (Some(flags), Some(count)) = (word(reply, 2), word(reply, 4)) else { return false };
    if reply.len() < HEADER || flags & 0x8000 == 0 || id(reply) != id(query) {
        return false;
    }
    if count == 0 {
        return flags & 0xf != 0;
    }
    let Some(end) = name_end(query, HEADER).map(|end| end + 4) else { return false };
    match (reply.get(HEADER..end), query.get(HEADER..end)) {
        (Some(reply), Some(query)) => count == 1 && reply.eq_ignore_ascii_case(query),
        _ => false,
    }
}

/// Cuts a reply to its question and says so, for a client that has to ask again over TCP.
pub fn truncate(reply: &mut Vec<u8>) {
    let Some(end) = name_end(reply, HEADER).map(|end| end + 4).filter(|end| *end <= reply.len()) else {
        return;
    };
    reply.truncate(end);
    reply[2] |= 2;
    reply[6..HEADER].fill(0);
}

/// A query for one name, as tests and tools send it; `edns` is the size to tell.
pub fn query(id: u16, name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    for part in [id, 0x0100, 1, 0, 0, u16::from(edns.is_some())] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    write_name(&mut out, &[name]);
    for part in [kind, IN] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    if let Some(size) = edns {
        out.push(0);
        for part in [kind::OPT, size, 0, 0, 0] {
            out.extend_from_slice(&part.to_be_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests;
