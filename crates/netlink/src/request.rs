//! Requests, written one behind the other into a single buffer.
//!
//! ```
//! use netlink::{Requests, flags, route};
//!
//! let mut requests = Requests::new();
//! requests.begin(route::DELLINK, flags::ACK, &route::LinkHeader::default().bytes());
//! requests.text(route::ifla::IFNAME, "veth0");
//! requests.begin(route::DELLINK, flags::ACK, &route::LinkHeader::default().bytes());
//! requests.text(route::ifla::IFNAME, "veth1");
//! assert_eq!(requests.len(), 2);
//! ```

use std::net::IpAddr;

use crate::message::HEADER;

/// Flags of a request (`NLM_F_*`).
pub mod flags {
    /// A request, which every message to the kernel is.
    pub const REQUEST: u16 = 1;
    /// Answer with an acknowledgement also when all went well.
    pub const ACK: u16 = 4;
    /// Tell also what was changed (`NLM_F_ECHO`).
    pub const ECHO: u16 = 8;
    /// `NLM_F_REPLACE`: for new objects, replace one that is there.
    pub const REPLACE: u16 = 0x100;
    /// `NLM_F_EXCL`: for new objects, refuse when one is there.
    pub const EXCLUSIVE: u16 = 0x200;
    /// `NLM_F_CREATE`: for new objects, make one that is not there.
    pub const CREATE: u16 = 0x400;
    /// `NLM_F_APPEND`: for new objects, put behind those that are there.
    pub const APPEND: u16 = 0x800;
    /// `NLM_F_ROOT | NLM_F_MATCH`: all objects.
    pub const DUMP: u16 = 0x300;
}

/// `NLA_F_NESTED`: the attribute has attributes inside.
const NESTED: u16 = 0x8000;

/// One or more requests. Attributes go to the one begun last.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Requests {
    /// No request yet.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(512), starts: Vec::with_capacity(1) }
    }

    /// One request; see [`Requests::begin`].
    pub fn one(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut requests = Self::new();
        requests.begin(kind, flags, header);
        requests
    }

    /// Begins a request: its kind, `NLM_F_*` (`REQUEST` is added), and the protocol's own header.
    pub fn begin(&mut self, kind: u16, flags: u16, header: &[u8]) -> &mut Self {
        self.starts.push(self.bytes.len());
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | flags::REQUEST).to_ne_bytes());
        self.bytes.extend([0; 8]);
        self.raw(header)
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Forgets all requests and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// Adds an attribute with these data. An attribute that does not fit the 16 bits of its length is cut short by
    /// the kernel's own check: it is written with an impossible length.
    pub fn attribute(&mut self, kind: u16, data: &[u8]) -> &mut Self {
        let len = u16::try_from(data.len() + 4).unwrap_or(1);
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(data)
    }

    /// Adds an attribute of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attribute(kind, &[value])
    }

    /// Adds an attribute of two bytes, in this machine's order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of two bytes, in network order.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds an attribute of four bytes, in this machine's order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of eight bytes, in this machine's order.
    pub fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds text with its NUL.
    pub fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        let len = u16::try_from(text.len() + 5).unwrap_or(1);
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(text.as_bytes());
        self.raw(&[0])
    }

    /// Adds an address, of four or sixteen bytes.
    pub fn ip(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// Adds an attribute that holds what `fill` adds.
    pub fn nest<R>(&mut self, kind: u16, fill: impl FnOnce(&mut Self) -> R) -> R {
        self.enclose(kind | NESTED, fill)
    }

    /// As [`Requests::nest`], without the flag that tells the kernel of attributes inside: for attributes that
    /// begin with something else, and for old ones that are compared whole.
    pub fn enclose<R>(&mut self, kind: u16, fill: impl FnOnce(&mut Self) -> R) -> R {
        let start = self.bytes.len();
        self.attribute(kind, &[]);
        let result = fill(self);
        let len = u16::try_from(self.bytes.len() - start).unwrap_or(1);
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        result
    }

    /// Adds bytes as they are, padded to four.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds flags to the request begun last.
    pub(crate) fn add_flags(&mut self, flags: u16) {
        if let Some(start) = self.starts.last() {
            let own = &mut self.bytes[start + 6..start + 8];
            let all = u16::from_ne_bytes([own[0], own[1]]) | flags;
            own.copy_from_slice(&all.to_ne_bytes());
        }
    }

    /// What follows the netlink header in the request begun last: for headers that are known only later.
    pub fn body_mut(&mut self) -> &mut [u8] {
        let start = self.starts.last().map_or(self.bytes.len(), |start| start + HEADER);
        &mut self.bytes[start..]
    }

    /// The bytes of all requests.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the request with this index, header included.
    pub fn bytes_of(&self, index: usize) -> &[u8] {
        let Some(start) = self.starts.get(index) else { return &[] };
        &self.bytes[*start..self.starts.get(index + 1).copied().unwrap_or(self.bytes.len())]
    }

    /// Writes lengths and sequence numbers, counted from `first`, and adds flags to every request.
    pub(crate) fn seal(&mut self, first: u32, flags: u16) {
        let ends = self.starts.iter().skip(1).copied().chain([self.bytes.len()]).collect::<Vec<_>>();
        for (index, (start, end)) in self.starts.iter().zip(ends).enumerate() {
            let header = &mut self.bytes[*start..*start + HEADER];
            header[..4].copy_from_slice(&((end - start) as u32).to_ne_bytes());
            let own = u16::from_ne_bytes([header[6], header[7]]);
            header[6..8].copy_from_slice(&(own | flags).to_ne_bytes());
            header[8..12].copy_from_slice(&first.wrapping_add(index as u32).to_ne_bytes());
        }
    }

    /// The bytes of requests `from` up to as many as fit `limit` bytes (at least one), and the index behind them.
    pub(crate) fn slice(&self, from: usize, limit: usize, count: usize) -> (&[u8], usize) {
        let start = self.starts[from];
        let mut end = from + 1;
        let edge = |index: usize| self.starts.get(index).copied().unwrap_or(self.bytes.len());
        while end < self.len() && end - from < count && edge(end + 1) - start <= limit {
            end += 1;
        }
        (&self.bytes[start..edge(end)], end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attributes;
    use crate::message::Messages;

    #[test]
    fn what_is_written_reads_back() {
        let mut requests = Requests::one(16, flags::ACK, &[1, 2, 3]);
        requests.u8(1, 9).text(2, "lo");
        requests.nest(3, |inner| {
            inner.u32(4, 5);
            inner.nest(6, |_| ());
        });
        requests.seal(40, 0);
        let message = Messages::new(requests.bytes_of(0)).next().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (16, flags::REQUEST | flags::ACK, 40));
        let (header, attributes) = message.parts::<3>().unwrap();
        assert_eq!(header, &[1, 2, 3]);
        assert_eq!(attributes.map(|attribute| attribute.kind).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(attributes.find(2).unwrap().data, b"lo\0");
        let inner = attributes.find(3).unwrap().nested();
        assert_eq!((inner.find(4).unwrap().u32(), inner.find(6).unwrap().data), (Some(5), &[][..]));
    }

    #[test]
    fn an_attribute_that_is_too_long_is_refused_by_every_reader() {
        let mut requests = Requests::one(16, 0, &[]);
        requests.attribute(1, &vec![0; 70_000]);
        assert_eq!(Attributes::new(&requests.bytes_of(0)[16..]).count(), 0);
    }

    #[test]
    fn a_batch_is_sent_in_pieces_of_whole_requests() {
        let mut requests = Requests::new();
        for _ in 0..5 {
            requests.begin(16, 0, &[0; 8]);
        }
        assert_eq!(requests.slice(0, 60, 100), (&requests.bytes.clone()[..48], 2));
        assert_eq!(requests.slice(2, 10, 100).1, 3);
        assert_eq!(requests.slice(2, 1000, 2).1, 4);
        assert_eq!(requests.slice(2, 1000, 100).1, 5);
    }
}
