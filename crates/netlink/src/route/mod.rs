//! `NETLINK_ROUTE`: links, addresses, routes, neighbours and ids of network namespaces (rtnetlink(7)).
//!
//! The numbers are those of linux/rtnetlink.h and its relatives. A header type has the fields of the kernel's
//! structure: `bytes` lays it out for a request, `read` takes it from an answer. What is done with them is written
//! with [`crate::Requests`]; [`links`] has whole requests for what is needed often.

mod headers;
pub mod links;
mod names;
mod numbers;

pub use headers::{AddressHeader, GeneralHeader, LinkHeader, NeighbourHeader, NextHopHeader, RouteHeader};
pub use names::{attribute_name, header_len};
pub use numbers::*;
