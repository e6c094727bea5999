//! `NETLINK_NETFILTER`: tables of nftables (linux/netfilter/nf_tables.h).
//!
//! A [`Transaction`] collects tables, chains, rules, sets and their elements; the kernel takes it whole or not at all. A rule is a list of
//! [`Expr`], the instructions of the kernel's small machine with its sixteen registers of four bytes. Start reading at [`Transaction`].
//!
//! ```no_run
//! # fn main() -> Result<(), netlink::Error> {
//! use netlink::netfilter::{Chain, Expr, Family, Hook, Place, Transaction, Verdict};
//! use netlink::{Protocol, Socket};
//!
//! let mut changes = Transaction::new();
//! changes.add_table(Family::Ipv4, "mine");
//! let hook = Some(Place { hook: Hook::Input, priority: 0, kind: "filter", drops: false });
//! changes.add_chain(Family::Ipv4, "mine", &Chain { name: "input", place: hook });
//! changes.add_rule(Family::Ipv4, "mine", "input", &[Expr::Counter, Expr::Verdict(Verdict::Accept)], "all of them");
//! changes.commit(&mut Socket::open(Protocol::Netfilter)?)?;
//! # Ok(()) }
//! ```

use crate::attributes::{Attribute, Attributes};
use crate::error::Error;
use crate::message::Message;
use crate::request::{Requests, flags};
use crate::socket::Socket;

/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// `NFT_MSG_*`
mod message {
    use super::NFTABLES;
    pub(super) const NEWTABLE: u16 = NFTABLES << 8;
    pub(super) const GETTABLE: u16 = NFTABLES << 8 | 1;
    pub(super) const DELTABLE: u16 = NFTABLES << 8 | 2;
    pub(super) const NEWCHAIN: u16 = NFTABLES << 8 | 3;
    pub(super) const GETCHAIN: u16 = NFTABLES << 8 | 4;
    pub(super) const NEWRULE: u16 = NFTABLES << 8 | 6;
    pub(super) const GETRULE: u16 = NFTABLES << 8 | 7;
    pub(super) const DELRULE: u16 = NFTABLES << 8 | 8;
    pub(super) const NEWSET: u16 = NFTABLES << 8 | 9;
    pub(super) const NEWSETELEM: u16 = NFTABLES << 8 | 12;
    pub(super) const GETSETELEM: u16 = NFTABLES << 8 | 13;
    pub(super) const DELSETELEM: u16 = NFTABLES << 8 | 14;
    pub(super) const GETGEN: u16 = NFTABLES << 8 | 16;
}

/// `NFTA_LIST_ELEM`
const LIST_ELEM: u16 = 1;
/// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// Which packets a table sees (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Those that pass a bridge.
    Bridge,
    /// Those that enter or leave a link.
    Netdev,
}

impl Family {
    const fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ipv4 => 2,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ipv6 => 10,
        }
    }
}

/// A point on a packet's way (`NF_INET_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// Where a chain is hooked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The point on the way.
    pub hook: Hook,
    /// Its order among the chains of that point.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub kind: &'static str,
    /// Whether it drops what no rule decided.
    pub drops: bool,
}

/// A chain of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is hooked in; nowhere when other chains lead to it.
    pub place: Option<Place>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict<'a> {
    /// It goes on to the next chain.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the rule behind the jump.
    Return,
    /// To another chain, and back.
    Jump(&'a str),
    /// To another chain.
    Goto(&'a str),
}

/// A register of four bytes, 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(pub u8);

impl Reg {
    /// `NFT_REG32_00` and those behind it.
    const fn number(self) -> u32 {
        8 + self.0 as u32
    }
}

/// What is known of a packet besides its bytes (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Meta {
    /// The mark.
    Mark = 3,
    /// The number of the link that it came by.
    Iif = 4,
    /// The number of the link that it leaves by.
    Oif = 5,
    /// The name of the link that it came by.
    IifName = 6,
    /// The name of the link that it leaves by.
    OifName = 7,
    /// The protocol above IP.
    L4Proto = 16,
}

/// What is known of a packet's connection (`NFT_CT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Ct {
    /// [`state`] bits.
    State = 0,
    /// [`status`] bits.
    Status = 2,
}

/// The states of a connection (`NF_CT_STATE_BIT`).
pub mod state {
    /// It belongs to none and begins none.
    pub const INVALID: u32 = 1;
    /// Packets have been seen in both directions.
    pub const ESTABLISHED: u32 = 2;
    /// It belongs to another one, as an error does.
    pub const RELATED: u32 = 4;
    /// It is the first one.
    pub const NEW: u32 = 8;
}

/// What was done with a connection (`IPS_*`).
pub mod status {
    /// Its destination was translated.
    pub const DST_NAT: u32 = 1 << 5;
}

/// Where bytes of a packet are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Base {
    /// The link's header.
    Link = 0,
    /// IP's header.
    Network = 1,
    /// The header behind it.
    Transport = 2,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr<'a> {
    /// Loads what is known of the packet.
    Meta(Meta, Reg),
    /// Sets what is known of the packet.
    SetMeta(Meta, Reg),
    /// Loads what is known of the connection.
    Ct(Ct, Reg),
    /// Loads bytes of the packet.
    Payload {
        /// Counted from here.
        base: Base,
        /// The first byte.
        offset: u32,
        /// How many.
        len: u32,
        /// Where to.
        to: Reg,
    },
    /// Goes on if the register is equal.
    Equal(Reg, Vec<u8>),
    /// Goes on if the register is another.
    Differs(Reg, Vec<u8>),
    /// Register AND mask XOR value, into the same register.
    Bitwise(Reg, Vec<u8>, Vec<u8>),
    /// Goes on if the registers from here on are in the set.
    In(Reg, &'a str),
    /// Goes on if they are not.
    NotIn(Reg, &'a str),
    /// Goes on if they are in the map, and loads what they mean there.
    Map(Reg, &'a str, Reg),
    /// Goes on if they are in the map, which says what becomes of the packet.
    VerdictMap(Reg, &'a str),
    /// Loads the type of the destination address (`RTN_*`): 2 is one of this host.
    DestinationType(Reg),
    /// Loads bytes.
    Load(Reg, Vec<u8>),
    /// Translates the destination to the address in one register and the port in the other.
    DestinationNat(Family, Reg, Reg),
    /// Translates the source to the address of the link that the packet leaves by.
    Masquerade,
    /// Sends a copy by the link whose number is in the second register, to the neighbour whose address is in the first.
    Duplicate(Reg, Reg),
    /// Counts packets and bytes.
    Counter,
    /// Decides.
    Verdict(Verdict<'a>),
}

impl Expr<'_> {
    fn write(&self, list: &mut Requests) {
        list.nest(LIST_ELEM, |element| {
            element.text(1, self.name());
            element.nest(2, |data| self.data(data));
        });
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Meta(..) | Self::SetMeta(..) => "meta",
            Self::Ct(..) => "ct",
            Self::Payload { .. } => "payload",
            Self::Equal(..) | Self::Differs(..) => "cmp",
            Self::Bitwise(..) => "bitwise",
            Self::In(..) | Self::NotIn(..) | Self::Map(..) | Self::VerdictMap(..) => "lookup",
            Self::DestinationType(_) => "fib",
            Self::Load(..) | Self::Verdict(_) => "immediate",
            Self::DestinationNat(..) => "nat",
            Self::Masquerade => "masq",
            Self::Duplicate(..) => "dup",
            Self::Counter => "counter",
        }
    }

    fn data(&self, data: &mut Requests) {
        const VERDICT: u32 = 0;
        const FIB_ADDRTYPE: u32 = 3;
        const FIB_DADDR: u32 = 2;
        const NAT_DESTINATION: u32 = 1;
        match self {
            Self::Meta(key, to) => {
                be32(data, 2, *key as u32);
                be32(data, 1, to.number());
            }
            Self::SetMeta(key, from) => {
                be32(data, 2, *key as u32);
                be32(data, 3, from.number());
            }
            Self::Ct(key, to) => {
                be32(data, 2, *key as u32);
                be32(data, 1, to.number());
            }
            Self::Payload { base, offset, len, to } => {
                be32(data, 1, to.number());
                be32(data, 2, *base as u32);
                be32(data, 3, *offset);
                be32(data, 4, *len);
            }
            Self::Equal(register, value) | Self::Differs(register, value) => {
                be32(data, 1, register.number());
                be32(data, 2, u32::from(matches!(self, Self::Differs(..))));
                data.nest(3, |own| _ = own.attribute(DATA_VALUE, value));
            }
            Self::Bitwise(register, mask, xor) => {
                be32(data, 1, register.number());
                be32(data, 2, register.number());
                be32(data, 3, mask.len() as u32);
                data.nest(4, |own| _ = own.attribute(DATA_VALUE, mask));
                data.nest(5, |own| _ = own.attribute(DATA_VALUE, xor));
            }
            Self::In(register, set) | Self::NotIn(register, set) => {
                data.text(1, set);
                be32(data, 2, register.number());
                if matches!(self, Self::NotIn(..)) {
                    be32(data, 5, 1);
                }
            }
            Self::Map(register, set, to) => {
                data.text(1, set);
                be32(data, 2, register.number());
                be32(data, 3, to.number());
            }
            Self::VerdictMap(register, set) => {
                data.text(1, set);
                be32(data, 2, register.number());
                be32(data, 3, VERDICT);
            }
            Self::DestinationType(to) => {
                be32(data, 1, to.number());
                be32(data, 2, FIB_ADDRTYPE);
                be32(data, 3, FIB_DADDR);
            }
            Self::Load(to, value) => {
                be32(data, 1, to.number());
                data.nest(2, |own| _ = own.attribute(DATA_VALUE, value));
            }
            Self::DestinationNat(family, address, port) => {
                be32(data, 1, NAT_DESTINATION);
                be32(data, 2, family.number().into());
                be32(data, 3, address.number());
                be32(data, 5, port.number());
            }
            Self::Masquerade => {}
            Self::Duplicate(address, link) => {
                be32(data, 1, address.number());
                be32(data, 2, link.number());
            }
            Self::Counter => {}
            Self::Verdict(verdict) => {
                be32(data, 1, VERDICT);
                data.nest(2, |own| verdict_data(own, *verdict));
            }
        }
    }
}

fn be32(requests: &mut Requests, kind: u16, value: u32) {
    requests.attribute(kind, &value.to_be_bytes());
}

fn verdict_data(data: &mut Requests, verdict: Verdict<'_>) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Return => (-5, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
    };
    data.nest(DATA_VERDICT, |own| {
        be32(own, 1, i32::cast_unsigned(code));
        if let Some(chain) = chain {
            own.text(2, chain);
        }
    });
}

/// The type of a part of a key, as `nft` shows it; the kernel only looks at its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Ipv4Address,
    Ipv6Address,
    Protocol,
    Port,
    LinkIndex,
    /// Verdicts; only as what a map leads to.
    Verdict,
}

impl Type {
    const fn number(self) -> u32 {
        match self {
            Self::Ipv4Address => 7,
            Self::Ipv6Address => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::LinkIndex => 20,
            Self::Verdict => 0xffff_ff00,
        }
    }

    const fn len(self) -> u32 {
        match self {
            Self::Ipv4Address | Self::LinkIndex => 4,
            Self::Ipv6Address => 16,
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Verdict => 0,
        }
    }
}

/// A set, or a map where its keys lead to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// The parts of a key, each padded to four bytes.
    pub key: &'a [Type],
    /// The parts of what a key leads to; none for a set.
    pub data: &'a [Type],
    /// Whether a key is a range.
    pub interval: bool,
}

/// One element of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Element<'a> {
    /// The key.
    pub key: Vec<u8>,
    /// The last key of a range.
    pub last: Option<Vec<u8>>,
    /// What it leads to.
    pub data: Option<Data<'a>>,
}

/// What an element leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Data<'a> {
    /// Bytes.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(Verdict<'a>),
}

/// `nfgenmsg`
fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

fn type_of(parts: &[Type]) -> (u32, u32) {
    // As nft numbers types of several parts: six bits each.
    let number = parts
        .iter()
        .fold(0, |number, part| if parts.len() == 1 { part.number() } else { number << 6 | part.number() });
    let len = match parts {
        [one] => one.len(),
        parts => parts.iter().map(|part| part.len().next_multiple_of(4)).sum(),
    };
    (number, len)
}

/// Changes that are made together or not at all.
#[derive(Debug, Clone)]
pub struct Transaction {
    requests: Requests,
    sets: u32,
}

impl Default for Transaction {
    fn default() -> Self {
        Self::new()
    }
}

impl Transaction {
    /// No change yet.
    pub fn new() -> Self {
        let mut requests = Requests::new();
        requests.begin(BATCH_BEGIN, 0, &header(0, NFTABLES));
        Self { requests, sets: 0 }
    }

    /// Whether there is no change in it.
    pub fn is_empty(&self) -> bool {
        self.requests.len() == 1
    }

    /// How many requests there are, with the one that begins the transaction: the index of the next one.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    fn begin(&mut self, kind: u16, flags: u16, family: Family) -> &mut Requests {
        self.requests.begin(kind, flags, &header(family.number(), 0))
    }

    /// Makes a table unless it is there.
    pub fn add_table(&mut self, family: Family, table: &str) {
        self.begin(message::NEWTABLE, flags::CREATE, family).text(1, table);
    }

    /// Removes a table with all that is in it.
    pub fn delete_table(&mut self, family: Family, table: &str) {
        self.begin(message::DELTABLE, 0, family).text(1, table);
    }

    /// Makes a chain.
    pub fn add_chain(&mut self, family: Family, table: &str, chain: &Chain<'_>) {
        let request = self.begin(message::NEWCHAIN, flags::CREATE, family);
        request.text(1, table).text(3, chain.name);
        let Some(place) = chain.place else { return };
        request.nest(4, |own| {
            be32(own, 1, place.hook as u32);
            be32(own, 2, place.priority.cast_unsigned());
        });
        be32(request, 5, u32::from(!place.drops));
        request.text(7, place.kind);
    }

    /// Adds a rule behind those that are in the chain, with a comment for those who list it unless that is empty.
    pub fn add_rule(&mut self, family: Family, table: &str, chain: &str, rule: &[Expr<'_>], comment: &str) {
        let request = self.begin(message::NEWRULE, flags::CREATE | flags::APPEND, family);
        request.text(1, table).text(2, chain);
        request.nest(4, |list| rule.iter().for_each(|expr| expr.write(list)));
        if let Ok(len) = u8::try_from(comment.len() + 1)
            && len > 1
        {
            // As nft keeps it: kind 0, the length with the NUL, the text.
            request.attribute(7, &[&[0, len], comment.as_bytes(), &[0]].concat());
        }
    }

    /// Removes all rules of a chain.
    pub fn clear_chain(&mut self, family: Family, table: &str, chain: &str) {
        self.begin(message::DELRULE, 0, family).text(1, table).text(2, chain);
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, family: Family, table: &str, set: &Set<'_>) {
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        const CONCAT: u32 = 0x80;
        self.sets += 1;
        let id = self.sets;
        let request = self.begin(message::NEWSET, flags::CREATE, family);
        let (key_type, key_len) = type_of(set.key);
        let concat = set.interval && set.key.len() > 1;
        let kind = if set.interval { INTERVAL } else { 0 }
            | if set.data.is_empty() { 0 } else { MAP }
            | if concat { CONCAT } else { 0 };
        request.text(1, table).text(2, set.name);
        be32(request, 3, kind);
        be32(request, 4, key_type);
        be32(request, 5, key_len);
        if !set.data.is_empty() {
            let (data_type, data_len) = type_of(set.data);
            be32(request, 6, data_type);
            be32(request, 7, data_len);
        }
        if concat {
            request.nest(9, |description| {
                description.nest(2, |fields| {
                    for part in set.key {
                        fields.nest(LIST_ELEM, |field| be32(field, 1, part.len()));
                    }
                });
            });
        }
        be32(request, 10, id);
        if set.key == [Type::LinkIndex] {
            // For nft to show: kind 0, four bytes, 1 for the byte order of this machine.
            request.attribute(13, &[&[0, 4][..], &1u32.to_ne_bytes()].concat());
        }
    }

    /// Adds elements. `new`: the kernel refuses one that is there.
    pub fn add_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element<'_>],
        new: bool,
    ) {
        let only = if new { flags::EXCLUSIVE } else { 0 };
        self.elements(message::NEWSETELEM, flags::CREATE | only, family, table, set, elements);
    }

    /// Removes elements; the kernel refuses one that is not there.
    pub fn delete_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element<'_>]) {
        self.elements(message::DELSETELEM, 0, family, table, set, elements);
    }

    /// Removes all elements of a set.
    pub fn clear_set(&mut self, family: Family, table: &str, set: &str) {
        self.begin(message::DELSETELEM, 0, family).text(1, table).text(2, set);
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        family: Family,
        table: &str,
        set: &str,
        elements: &[Element<'_>],
    ) {
        // What is inside of one attribute is 64 KiB at most.
        for some in elements.chunks(256) {
            let request = self.begin(kind, flags, family);
            request.text(1, table).text(2, set);
            request.nest(3, |list| {
                for element in some {
                    list.nest(LIST_ELEM, |own| {
                        own.nest(1, |key| _ = key.attribute(DATA_VALUE, &element.key));
                        if let Some(last) = &element.last {
                            own.nest(10, |key| _ = key.attribute(DATA_VALUE, last));
                        }
                        match &element.data {
                            None => {}
                            Some(Data::Value(value)) => {
                                own.nest(2, |data| _ = data.attribute(DATA_VALUE, value))
                            }
                            Some(Data::Verdict(verdict)) => own.nest(2, |data| verdict_data(data, *verdict)),
                        }
                    });
                }
            });
        }
    }

    /// Makes the changes: one datagram there, one back. Without changes nothing is sent.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first request that the kernel refused; nothing was changed then.
    ///
    /// # Kernel
    /// Linux 3.13; sets of ranges with several parts 5.6. `CAP_NET_ADMIN` over the network namespace.
    pub fn commit(&mut self, socket: &mut Socket) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let mut requests = self.requests.clone();
        requests.add_flags(flags::ACK);
        requests.begin(BATCH_END, 0, &header(0, NFTABLES));
        socket.transact_whole(&mut requests)
    }
}

/// A chain as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// How many rules it has, and other chains that lead to it.
    pub uses: u32,
    /// The point on a packet's way; none for one that others lead to.
    pub hook: Option<u32>,
}

/// The chains of a family's tables; with a `table`, of that one.
///
/// # Errors
/// [`Error::Refused`]
pub fn chains(socket: &mut Socket, family: Family, table: Option<&str>) -> Result<Vec<Listed>, Error> {
    let mut request = Requests::one(message::GETCHAIN, 0, &header(family.number(), 0));
    if let Some(table) = table {
        request.text(1, table);
    }
    let dump = socket.dump(&mut request)?;
    let chain = |message: Message<'_>| {
        let (_, attributes) = message.parts::<4>()?;
        let hook = attributes.find(4).and_then(|hook| be(hook.nested(), 1));
        let name = attributes.find(3)?.text().to_owned();
        Some(Listed {
            table: attributes.find(1)?.text().to_owned(),
            name,
            uses: be(attributes, 6).unwrap_or(0),
            hook,
        })
    };
    // Older kernels list the chains of all tables.
    let wanted = |chain: &Listed| table.is_none_or(|table| chain.table == table);
    Ok(dump.messages().filter_map(chain).filter(wanted).collect())
}

fn be(attributes: Attributes<'_>, kind: u16) -> Option<u32> {
    attributes.find(kind).and_then(|attribute| attribute.u32()).map(u32::from_be)
}

/// How often anything of nftables was changed in the network namespace: one more with each transaction.
///
/// # Errors
/// [`Error::Refused`]
pub fn generation(socket: &mut Socket) -> Result<u32, Error> {
    let mut request = Requests::one(message::GETGEN, 0, &header(0, 0));
    let read = |message: &Message<'_>| be(message.parts::<4>()?.1, 1);
    socket.ask(&mut request, read)?.ok_or(Error::Malformed { expected: "generation" })
}

/// A table with its chains and rules as the kernel lists them, without what its sets hold: bytes that are the same as long as nobody changes it, for rules
/// that count nothing.
///
/// # Errors
/// [`Error::Refused`], with `ENOENT` when there is no such table.
pub fn image(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<u8>, Error> {
    let mut image = Vec::new();
    for kind in [message::GETTABLE, message::GETCHAIN, message::GETRULE] {
        let mut request = Requests::one(kind, 0, &header(family.number(), 0));
        if kind != message::GETTABLE {
            request.text(1, table);
        }
        let dump = socket.dump(&mut request)?;
        // Older kernels list those of all tables.
        let own = |message: &Message<'_>| {
            message.body.first() == Some(&family.number()) && table_of(message) == Some(table)
        };
        for message in dump.messages().filter(own) {
            // In the header is the generation.
            image.extend(message.kind.to_ne_bytes());
            image.extend(message.body.get(4..).unwrap_or_default());
        }
    }
    Ok(image)
}

/// The table that a message about a table, chain, rule, set or element is about.
pub fn table_of<'a>(message: &Message<'a>) -> Option<&'a str> {
    Some(message.parts::<4>()?.1.find(1)?.text())
}

/// The elements of a set.
///
/// # Errors
/// [`Error::Refused`] with `ENOENT` when there is no such set.
pub fn elements(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
) -> Result<Vec<Element<'static>>, Error> {
    let mut request = Requests::one(message::GETSETELEM, 0, &header(family.number(), 0));
    request.text(1, table).text(2, set);
    let dump = socket.dump(&mut request)?;
    let parts = dump.messages().filter_map(|message| message.parts::<4>());
    Ok(parts.flat_map(|(_, attributes)| listed(attributes)).collect())
}

/// The elements that a message lists; verdicts that they lead to are left out.
fn listed(attributes: Attributes<'_>) -> Vec<Element<'static>> {
    let list = attributes.find(3).into_iter().flat_map(|list| list.nested());
    let element = |one: Attribute<'_>| {
        let value = |kind| Some(one.nested().find(kind)?.nested().find(DATA_VALUE)?.data.to_vec());
        Some(Element { key: value(1)?, last: value(10), data: value(2).map(Data::Value) })
    };
    list.filter_map(element).collect()
}

/// Elements of a set that came or went, as those who listen are told ([`Socket::join`], `NFNLGRP_NFTABLES`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<'a> {
    /// Whose packets the table sees; none for a family that is not known here.
    pub family: Option<Family>,
    /// The table.
    pub table: &'a str,
    /// The set.
    pub set: &'a str,
    /// Whether they went.
    pub gone: bool,
    /// The elements.
    pub elements: Vec<Element<'static>>,
}

impl<'a> Changed<'a> {
    /// Reads a message; none when it is about something else.
    pub fn read(message: &Message<'a>) -> Option<Self> {
        if !matches!(message.kind, message::NEWSETELEM | message::DELSETELEM) {
            return None;
        }
        let (header, attributes) = message.parts::<4>()?;
        let known = [Family::Inet, Family::Ipv4, Family::Ipv6, Family::Bridge, Family::Netdev];
        Some(Self {
            family: known.into_iter().find(|family| family.number() == header[0]),
            table: attributes.find(1)?.text(),
            set: attributes.find(2)?.text(),
            gone: message.kind == message::DELSETELEM,
            elements: listed(attributes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_several_parts_are_numbered_as_nft_does() {
        assert_eq!(type_of(&[Type::Port]), (13, 2));
        assert_eq!(type_of(&[Type::Protocol, Type::Port]), (12 << 6 | 13, 8));
        assert_eq!(type_of(&[Type::LinkIndex, Type::Ipv6Address]), (20 << 6 | 8, 20));
    }

    #[test]
    fn only_the_last_request_of_a_transaction_asks_for_an_answer() {
        let mut changes = Transaction::new();
        changes.add_table(Family::Ipv4, "t");
        changes.add_chain(Family::Ipv4, "t", &Chain { name: "c", place: None });
        let mut requests = changes.requests.clone();
        requests.add_flags(flags::ACK);
        requests.begin(BATCH_END, 0, &header(0, NFTABLES));
        let asks = |index: usize| {
            u16::from_ne_bytes([requests.bytes_of(index)[6], requests.bytes_of(index)[7]]) & flags::ACK
        };
        assert_eq!([asks(0), asks(1), asks(2), asks(3)], [0, 0, flags::ACK, 0]);
    }
}
