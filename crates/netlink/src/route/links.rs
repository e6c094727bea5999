//! Whole requests about links, for what is needed often. Each function adds one request to a batch.
//!
//! ```no_run
//! # fn main() -> Result<(), netlink::Error> {
//! use netlink::{Protocol, Requests, Socket, route::links};
//! let mut batch = Requests::new();
//! links::add_pair(&mut batch, "veth0", "veth1");
//! links::set_up(&mut batch, links::Which::Named("veth0"), true);
//! Socket::open(Protocol::Route)?.transact(&mut batch)?;
//! # Ok(()) }
//! ```

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::numbers::{self, IFF_UP, ifa, ifla, info, rta};
use super::{AddressHeader, LinkHeader, RouteHeader};
use crate::error::Error;
use crate::request::{Requests, flags};
use crate::socket::Socket;

/// A link by its number or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Its number in this network namespace.
    Index(u32),
    /// Its name, at most fifteen bytes.
    Named(&'a str),
}

/// Begins a request about a link; attributes follow.
pub fn begin<'r>(
    batch: &'r mut Requests,
    kind: u16,
    flags: u16,
    which: Which<'_>,
    header: LinkHeader,
) -> &'r mut Requests {
    match which {
        Which::Index(index) => {
            batch.begin(kind, flags, &LinkHeader { index: index.cast_signed(), ..header }.bytes())
        }
        Which::Named(name) => batch.begin(kind, flags, &header.bytes()).text(ifla::IFNAME, name),
    }
}

/// Makes a link of a kind (`bridge`, `dummy`, …); `data` adds what is inside of `IFLA_INFO_DATA`.
pub fn add(batch: &mut Requests, name: &str, kind: &str, data: impl FnOnce(&mut Requests)) {
    batch.begin(numbers::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &LinkHeader::default().bytes());
    batch.text(ifla::IFNAME, name);
    batch.nest(ifla::LINKINFO, |link| {
        link.attribute(info::KIND, kind.as_bytes());
        link.nest(info::DATA, data);
    });
}

/// Makes two links that are the ends of one cable (veth(4)).
pub fn add_pair(batch: &mut Requests, name: &str, peer: &str) {
    const PEER: u16 = 1;
    add(batch, name, "veth", |data| {
        data.nest(PEER, |end| {
            end.raw(&LinkHeader::default().bytes()).text(ifla::IFNAME, peer);
        });
    });
}

/// Sets a link up or down.
pub fn set_up(batch: &mut Requests, which: Which<'_>, up: bool) {
    let header = LinkHeader { flags: if up { IFF_UP } else { 0 }, change: IFF_UP, ..LinkHeader::default() };
    begin(batch, numbers::NEWLINK, 0, which, header);
}

/// Moves a link to another network namespace.
pub fn move_to(batch: &mut Requests, which: Which<'_>, namespace: BorrowedFd<'_>) {
    begin(batch, numbers::NEWLINK, 0, which, LinkHeader::default())
        .u32(ifla::NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
}

/// Makes a link a port of `master`, or of nothing for 0.
pub fn set_master(batch: &mut Requests, which: Which<'_>, master: u32) {
    begin(batch, numbers::NEWLINK, 0, which, LinkHeader::default()).u32(ifla::MASTER, master);
}

/// Removes a link.
pub fn delete(batch: &mut Requests, which: Which<'_>) {
    begin(batch, numbers::DELLINK, 0, which, LinkHeader::default());
}

/// Gives a link an address with the length of its prefix.
pub fn add_address(batch: &mut Requests, index: u32, address: IpAddr, prefix: u8) {
    let family = if address.is_ipv4() { numbers::AF_INET } else { numbers::AF_INET6 };
    let header = AddressHeader { family, prefix, index, ..AddressHeader::default() };
    batch.begin(numbers::NEWADDR, flags::CREATE | flags::EXCLUSIVE, &header.bytes());
    batch.ip(ifa::LOCAL, address).ip(ifa::ADDRESS, address);
}

/// Sends everything that has no better way through `gateway`.
pub fn add_default_route(batch: &mut Requests, index: u32, gateway: IpAddr) {
    const TABLE_MAIN: u8 = 254;
    const PROTOCOL_BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    let family = if gateway.is_ipv4() { numbers::AF_INET } else { numbers::AF_INET6 };
    let header = RouteHeader {
        family,
        table: TABLE_MAIN,
        protocol: PROTOCOL_BOOT,
        kind: UNICAST,
        ..RouteHeader::default()
    };
    batch.begin(numbers::NEWROUTE, flags::CREATE | flags::EXCLUSIVE, &header.bytes());
    batch.ip(rta::GATEWAY, gateway).u32(rta::OIF, index);
}

/// The number of the link with this name, which may be one of its alternative names.
///
/// # Errors
/// [`Error::Refused`] with `ENODEV` when there is none.
pub fn index_of(socket: &mut Socket, name: &str) -> Result<u32, Error> {
    let mut request = Requests::one(numbers::GETLINK, 0, &LinkHeader::default().bytes());
    request.u32(ifla::EXT_MASK, numbers::EXT_FILTER_SKIP_STATS);
    // A longer one is no interface name, so it can only be an alternative one.
    request.text(if name.len() < 16 { ifla::IFNAME } else { ifla::ALT_IFNAME }, name);
    let index =
        socket.ask(&mut request, |answer| LinkHeader::read(answer).map(|(header, _)| header.index))?;
    index.map(i32::cast_unsigned).ok_or(Error::Malformed { expected: "link" })
}

/// What went through a link, in the two directions as the link's own side sees them (`struct rtnl_link_stats64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// What came in.
    pub received: Counters,
    /// What went out.
    pub sent: Counters,
}

/// What went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes, with the headers of the link.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were dropped here.
    pub dropped: u64,
    /// Packets that were damaged.
    pub errors: u64,
}

impl Traffic {
    /// The same cable, seen from its other end.
    pub const fn seen_from_the_other_end(self) -> Self {
        Self { received: self.sent, sent: self.received }
    }

    fn read(data: &[u8]) -> Option<Self> {
        let at = |place: usize| {
            let bytes = data.get(place * 8..place * 8 + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let way = |first: usize| {
            Some(Counters {
                packets: at(first)?,
                bytes: at(first + 2)?,
                errors: at(first + 4)?,
                dropped: at(first + 6)?,
            })
        };
        Some(Self { received: way(0)?, sent: way(1)? })
    }
}

/// What went through a link since it was made.
///
/// # Errors
/// [`Error::Refused`] with `ENODEV` when there is none.
pub fn traffic(socket: &mut Socket, which: Which<'_>) -> Result<Traffic, Error> {
    let mut request = Requests::new();
    begin(&mut request, numbers::GETLINK, 0, which, LinkHeader::default());
    let traffic = socket.ask(&mut request, |answer| {
        let (_, attributes) = LinkHeader::read(answer)?;
        Traffic::read(attributes.find(ifla::STATS64)?.data)
    })?;
    traffic.ok_or(Error::Malformed { expected: "link with counters" })
}
