//! Messages to and from the kernel (netlink(7), rtnetlink(7)).
//!
//! [`Requests`] is a buffer of one or more requests, [`Socket`] sends them and collects what comes back, [`Message`]
//! and [`Attributes`] read it without copying. Nothing here knows a protocol except [`route`], which has the numbers
//! and headers of `NETLINK_ROUTE`, [`netfilter`], which has those of nftables, and [`tc`], which limits what goes through a link.
//! Start reading at
//! [`Socket::transact`] and [`Socket::dump`].
//!
//! A refusal comes with the kernel's own sentence and the attribute it is about, where the kernel gives them
//! ([`Refused`]).

#![forbid(unsafe_code)]

mod attributes;
mod error;
mod message;
pub mod netfilter;
mod request;
pub mod route;
mod socket;
pub mod tc;

pub use attributes::{Attribute, Attributes, Index};
pub use error::{Error, Refused};
pub use message::{Message, Messages};
pub use request::{Requests, flags};
pub use socket::{Dump, Protocol, Socket};

/// Reads everything that can be read from some bytes, to no other end: for tests with spoilt datagrams. Returns how
/// many attributes there were.
pub fn walk(bytes: &[u8]) -> usize {
    fn attributes(list: Attributes<'_>, depth: usize) -> usize {
        let mut count = 0;
        for attribute in list {
            let numbers =
                (attribute.u8(), attribute.u16(), attribute.be16(), attribute.u32(), attribute.u64());
            count +=
                usize::from(numbers.0.is_some() || !attribute.text().is_empty() || attribute.ip().is_some());
            if depth < 6 {
                count += attributes(attribute.nested(), depth + 1);
            }
        }
        count
    }
    let mut count = 0;
    for message in Messages::new(bytes) {
        let verdict = message.verdict();
        count += usize::from(verdict.words.is_some());
        if let Some(errno) = verdict.errno {
            count += Refused::new(0, errno, verdict, message.body).to_string().len();
        }
        let lists = [
            route::LinkHeader::read(&message).map(|(_, list)| list),
            route::AddressHeader::read(&message).map(|(_, list)| list),
            route::RouteHeader::read(&message).map(|(_, list)| list),
            route::NeighbourHeader::read(&message).map(|(_, list)| list),
            route::GeneralHeader::read(&message).map(|(_, list)| list),
        ];
        count += lists.into_iter().flatten().map(|list| attributes(list, 0)).sum::<usize>();
        let mut ways = message.body;
        while let Some((_, list, rest)) = route::NextHopHeader::read(ways) {
            count += attributes(list, 0);
            ways = rest;
        }
    }
    count
}
