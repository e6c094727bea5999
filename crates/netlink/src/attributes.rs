//! Attributes as they lie in a message: length, kind, data, padding to four bytes.
//!
//! [`Attributes`] goes through them in order; [`Index`] finds them by kind. Both read the message's own bytes, and
//! stop at the first attribute that claims more than is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 4;
/// The bits of the kind that say how the data is laid out (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const LAYOUT: u16 = 0xc000;

/// The attributes in some bytes, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The last one of a kind: later ones replace earlier ones, as the kernel reads them.
    pub fn find(self, kind: u16) -> Option<Attribute<'a>> {
        self.filter(|attribute| attribute.kind == kind).last()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let len = usize::from(u16::from_ne_bytes(self.rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.rest.get(2..HEADER)?.try_into().ok()?);
        let data = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: kind & !LAYOUT, data })
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it is, without the bits that describe the layout.
    pub kind: u16,
    /// Its data, without padding.
    pub data: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first byte.
    pub fn u8(self) -> Option<u8> {
        self.data.first().copied()
    }

    /// The first two bytes as a number of this machine.
    pub fn u16(self) -> Option<u16> {
        Some(u16::from_ne_bytes(self.data.get(..2)?.try_into().ok()?))
    }

    /// The first two bytes as a number in network order.
    pub fn be16(self) -> Option<u16> {
        self.u16().map(u16::from_be)
    }

    /// The first four bytes as a number of this machine.
    pub fn u32(self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.data.get(..4)?.try_into().ok()?))
    }

    /// The first four bytes as a signed number of this machine.
    pub fn i32(self) -> Option<i32> {
        self.u32().map(u32::cast_signed)
    }

    /// The first eight bytes as a number of this machine.
    pub fn u64(self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.data.get(..8)?.try_into().ok()?))
    }

    /// Text up to the first NUL; empty when it is no UTF-8.
    pub fn text(self) -> &'a str {
        let end = self.data.iter().position(|byte| *byte == 0).unwrap_or(self.data.len());
        std::str::from_utf8(&self.data[..end]).unwrap_or_default()
    }

    /// An address of four or sixteen bytes.
    pub fn ip(self) -> Option<IpAddr> {
        if let Ok(bytes) = <[u8; 4]>::try_from(self.data) {
            return Some(Ipv4Addr::from(bytes).into());
        }
        <[u8; 16]>::try_from(self.data).ok().map(|bytes| Ipv6Addr::from(bytes).into())
    }

    /// The attributes inside.
    pub const fn nested(self) -> Attributes<'a> {
        Attributes::new(self.data)
    }
}

/// Attributes by kind, for kinds below `N`.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a, const N: usize> {
    places: [Option<&'a [u8]>; N],
}

impl<'a, const N: usize> Index<'a, N> {
    /// Goes through the attributes once; of several of a kind the last one counts.
    pub fn new(attributes: Attributes<'a>) -> Self {
        let mut places = [None; N];
        for attribute in attributes {
            if let Some(place) = places.get_mut(usize::from(attribute.kind)) {
                *place = Some(attribute.data);
            }
        }
        Self { places }
    }

    /// The attribute of a kind.
    pub fn get(&self, kind: u16) -> Option<Attribute<'a>> {
        let data = (*self.places.get(usize::from(kind))?)?;
        Some(Attribute { kind, data })
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_claims_too_much_ends_the_list() {
        let bytes = [8, 0, 3, 0, 1, 2, 3, 4, 200, 0, 1, 0, 9];
        let found: Vec<_> =
            Attributes::new(&bytes).map(|attribute| (attribute.kind, attribute.u32())).collect();
        assert_eq!(found, [(3, Some(u32::from_ne_bytes([1, 2, 3, 4])))]);
    }

    #[test]
    fn a_length_below_that_of_a_header_ends_the_list() {
        assert_eq!(Attributes::new(&[3, 0, 1, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(Attributes::new(&[0; 64]).count(), 0);
    }

    #[test]
    fn the_last_attribute_needs_no_padding() {
        let bytes = [5, 0, 1, 0, 7];
        assert_eq!(Attributes::new(&bytes).find(1).and_then(Attribute::u8), Some(7));
    }

    #[test]
    fn of_two_attributes_of_a_kind_the_later_one_counts() {
        let bytes = [5, 0, 1, 0, 7, 0, 0, 0, 5, 0, 1, 0x80, 9, 0, 0, 0];
        assert_eq!(Index::<4>::new(Attributes::new(&bytes)).get(1).and_then(Attribute::u8), Some(9));
        assert_eq!(Attributes::new(&bytes).find(1).and_then(Attribute::u8), Some(9));
    }

    #[test]
    fn numbers_that_are_cut_off_are_not_there() {
        let short = Attribute { kind: 1, data: &[1, 2, 3] };
        assert_eq!((short.u32(), short.u64(), short.ip()), (None, None, None));
        assert_eq!(short.be16(), Some(0x0102));
        assert_eq!(Attribute { kind: 1, data: b"lo\0x" }.text(), "lo");
    }
}
