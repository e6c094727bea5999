//! The network that a container sits on.
//!
//! A [`Network`] is a file ([`Networks`]); [`decide`] makes one of a request, the other networks and the host's routes. What a
//! container asks for is a [`ContainerNet`]: [`Networks::reserve`] chooses addresses and ports and writes them down,
//! [`Reservation::connect`] lays the cables and publishes the ports, [`Attachment::detach`] takes everything away. What a process
//! that was killed left is found by [`Networks::sweep_all`]. Start reading at [`model`] for the words, at [`Networks`] for what can be done.
//!
//! [`prefix`], [`pool`], [`ports`] and [`decide`] are pure. The kernel is talked to by netlink alone; no program is executed.

#![forbid(unsafe_code)]

pub mod model;
pub mod prefix;
pub mod request;

mod allocate;
pub mod decide;
pub mod pool;
pub mod ports;
mod rules;

mod error;
pub mod facts;
mod hold;
mod knobs;
mod leases;
mod ledger;
pub mod record;
mod store;

mod attach;
mod host;
mod reserve;
mod sweep;

pub use attach::{Attachment, Member};
pub use error::Error;
pub use facts::HostNetwork;
pub use host::GATE;
pub use ledger::Ledger;
pub use model::{DEFAULT_NETWORK, Driver, MacAddress, Network, NetworkName, Subnet};
pub use ports::{Expose, PortMapping, Protocol, Publish};
pub use prefix::Prefix;
pub use record::{Endpoint, Record};
pub use request::{ContainerNet, EndpointRequest, NetworkRequest};
pub use reserve::{Reservation, reachable_servers};
pub use rules::{MARK, TABLE};
pub use store::{Networks, Places};
