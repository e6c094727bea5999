//! Messages to and from the kernel (netlink(7), rtnetlink(7)).
//!
//! [`Requests`] is a buffer of one or more requests, [`Socket`] sends them and collects what comes back, [`Message`]
//! and [`Attributes`] read it without copying. Nothing here knows a protocol except [`route`], which has the numbers
//! and headers of `NETLINK_ROUTE`; other protocols are other modules on the same socket. Start reading at
//! [`Socket::transact`] and [`Socket::dump`].
//!
//! A refusal comes with the kernel's own sentence and the attribute it is about, where the kernel gives them
//! ([`Refused`]).

#![forbid(unsafe_code)]

mod attributes;
mod error;
mod message;
mod request;
pub mod route;
mod socket;

pub use attributes::{Attribute, Attributes, Index};
pub use error::{Error, Refused};
pub use message::{Message, Messages};
pub use request::{Requests, flags};
pub use socket::{Dump, Protocol, Socket};
