//! The headers that stand before the attributes, as the kernel lays them out.

use crate::attributes::Attributes;
use crate::message::Message;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// `struct ifinfomsg`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkHeader {
    /// `AF_*`, mostly unspecified.
    pub family: u8,
    /// `ARPHRD_*`
    pub kind: u16,
    /// The link's number.
    pub index: i32,
    /// `IFF_*`
    pub flags: u32,
    /// Which of the flags to change.
    pub change: u32,
}

impl LinkHeader {
    /// The length.
    pub const LEN: usize = 16;

    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = self.family;
        bytes[2..4].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.index.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.change.to_ne_bytes());
        bytes
    }

    /// The header of a message, and its attributes.
    pub fn read<'a>(message: &Message<'a>) -> Option<(Self, Attributes<'a>)> {
        let (bytes, attributes) = message.parts::<16>()?;
        let header = Self {
            family: bytes[0],
            kind: u16::from_ne_bytes([bytes[2], bytes[3]]),
            index: word(bytes, 4).cast_signed(),
            flags: word(bytes, 8),
            change: word(bytes, 12),
        };
        Some((header, attributes))
    }
}

/// `struct ifaddrmsg`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressHeader {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// The length of the prefix in bits.
    pub prefix: u8,
    /// The lower eight of `IFA_F_*`.
    pub flags: u8,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// The link's number.
    pub index: u32,
}

impl AddressHeader {
    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; 8] {
        let index = self.index.to_ne_bytes();
        [self.family, self.prefix, self.flags, self.scope, index[0], index[1], index[2], index[3]]
    }

    /// The header of a message, and its attributes.
    pub fn read<'a>(message: &Message<'a>) -> Option<(Self, Attributes<'a>)> {
        let (bytes, attributes) = message.parts::<8>()?;
        let [family, prefix, flags, scope, ..] = *bytes;
        Some((Self { family, prefix, flags, scope, index: word(bytes, 4) }, attributes))
    }
}

/// `struct rtmsg`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteHeader {
    /// `AF_*`
    pub family: u8,
    /// The length of the destination's prefix in bits.
    pub destination_prefix: u8,
    /// The length of the source's prefix in bits.
    pub source_prefix: u8,
    /// The type of service.
    pub tos: u8,
    /// `RT_TABLE_*`; tables above 255 are in an attribute.
    pub table: u8,
    /// `RTPROT_*`
    pub protocol: u8,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `RTN_*`
    pub kind: u8,
    /// `RTM_F_*` and `RTNH_F_*`
    pub flags: u32,
}

impl RouteHeader {
    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; 12] {
        let flags = self.flags.to_ne_bytes();
        [
            self.family,
            self.destination_prefix,
            self.source_prefix,
            self.tos,
            self.table,
            self.protocol,
            self.scope,
            self.kind,
            flags[0],
            flags[1],
            flags[2],
            flags[3],
        ]
    }

    /// The header of a message, and its attributes.
    pub fn read<'a>(message: &Message<'a>) -> Option<(Self, Attributes<'a>)> {
        let (bytes, attributes) = message.parts::<12>()?;
        let [family, destination_prefix, source_prefix, tos, table, protocol, scope, kind, ..] = *bytes;
        let flags = word(bytes, 8);
        let header =
            Self { family, destination_prefix, source_prefix, tos, table, protocol, scope, kind, flags };
        Some((header, attributes))
    }
}

/// `struct rtnexthop`, one of the ways of a route that has several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextHopHeader {
    /// `RTNH_F_*`
    pub flags: u8,
    /// The weight, less one.
    pub hops: u8,
    /// The link's number.
    pub index: u32,
}

impl NextHopHeader {
    /// As the kernel reads it, in front of `attributes`.
    pub fn bytes(&self, attributes: &[u8]) -> Vec<u8> {
        let mut bytes = ((8 + attributes.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend([self.flags, self.hops]);
        bytes.extend(self.index.to_ne_bytes());
        bytes.extend(attributes);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The first of several ways, its attributes, and the bytes of the others.
    pub fn read(bytes: &[u8]) -> Option<(Self, Attributes<'_>, &[u8])> {
        let header: &[u8; 8] = bytes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let attributes = bytes.get(8..len)?;
        let rest = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        let header = Self { flags: header[2], hops: header[3], index: word(header, 4) };
        Some((header, Attributes::new(attributes), rest))
    }
}

/// `struct ndmsg`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NeighbourHeader {
    /// `AF_*`
    pub family: u8,
    /// The link's number.
    pub index: u32,
    /// `NUD_*`
    pub state: u16,
    /// `NTF_*`
    pub flags: u8,
    /// `RTN_*`
    pub kind: u8,
}

impl NeighbourHeader {
    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0] = self.family;
        bytes[4..8].copy_from_slice(&self.index.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.state.to_ne_bytes());
        bytes[10] = self.flags;
        bytes[11] = self.kind;
        bytes
    }

    /// The header of a message, and its attributes.
    pub fn read<'a>(message: &Message<'a>) -> Option<(Self, Attributes<'a>)> {
        let (bytes, attributes) = message.parts::<12>()?;
        let header = Self {
            family: bytes[0],
            index: word(bytes, 4),
            state: u16::from_ne_bytes([bytes[8], bytes[9]]),
            flags: bytes[10],
            kind: bytes[11],
        };
        Some((header, attributes))
    }
}

/// `struct rtgenmsg`, padded
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GeneralHeader {
    /// `AF_*`
    pub family: u8,
}

impl GeneralHeader {
    /// As the kernel reads it.
    pub fn bytes(&self) -> [u8; 4] {
        [self.family, 0, 0, 0]
    }

    /// The header of a message, and its attributes.
    pub fn read<'a>(message: &Message<'a>) -> Option<(Self, Attributes<'a>)> {
        let (bytes, attributes) = message.parts::<4>()?;
        Some((Self { family: bytes[0] }, attributes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Messages;
    use crate::request::Requests;

    fn round<H: PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        header: H,
        read: impl Fn(&Message<'_>) -> Option<H>,
    ) {
        let mut requests = Requests::one(16, 0, bytes);
        requests.seal(1, 0);
        assert_eq!(read(&Messages::new(requests.bytes_of(0)).next().unwrap()), Some(header));
    }

    #[test]
    fn headers_read_as_they_were_written() {
        let link = LinkHeader { family: 7, kind: 772, index: -3, flags: 0x1_0043, change: 1 };
        round(&link.bytes(), link, |message| LinkHeader::read(message).map(|found| found.0));
        let address = AddressHeader { family: 2, prefix: 24, flags: 0x80, scope: 253, index: 70_000 };
        round(&address.bytes(), address, |message| AddressHeader::read(message).map(|found| found.0));
        let route = RouteHeader {
            family: 10,
            destination_prefix: 64,
            source_prefix: 1,
            tos: 2,
            table: 254,
            protocol: 3,
            scope: 4,
            kind: 6,
            flags: 0x1000,
        };
        round(&route.bytes(), route, |message| RouteHeader::read(message).map(|found| found.0));
        let neighbour = NeighbourHeader { family: 2, index: 9, state: 0x80, flags: 8, kind: 1 };
        round(&neighbour.bytes(), neighbour, |message| NeighbourHeader::read(message).map(|found| found.0));
    }

    #[test]
    fn ways_of_a_route_follow_each_other() {
        let first = NextHopHeader { flags: 4, hops: 1, index: 3 };
        let second = NextHopHeader { flags: 0, hops: 0, index: 4 };
        let mut bytes = first.bytes(&[5, 0, 5, 0, 1]);
        bytes.extend(second.bytes(&[]));
        let (found, mut attributes, rest) = NextHopHeader::read(&bytes).unwrap();
        assert_eq!((found, attributes.next().unwrap().data), (first, &[1u8][..]));
        assert_eq!(NextHopHeader::read(rest).unwrap().0, second);
        assert!(NextHopHeader::read(&rest[8..]).is_none());
    }
}
