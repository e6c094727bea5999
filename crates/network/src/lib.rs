//! The network that a container sits on.
//!
//! A [`Network`] is a file ([`Networks`]); [`decide`] makes one of a request, the other networks and the host's routes. What a
//! container asks for is a [`ContainerNet`]. Start reading at [`model`] for the words, at [`Networks`] for what can be done.
//!
//! [`prefix`], [`pool`], [`ports`] and [`decide`] are pure; [`facts`] reads the host.

#![forbid(unsafe_code)]

pub mod model;
pub mod prefix;
pub mod request;

pub mod decide;
pub mod pool;
pub mod ports;

mod error;
pub mod facts;
mod leases;
mod ledger;
pub mod record;
mod store;

pub use error::Error;
pub use facts::HostNetwork;
pub use ledger::Ledger;
pub use model::{DEFAULT_NETWORK, Driver, MacAddress, Network, NetworkName, Subnet};
pub use ports::{Expose, PortMapping, Protocol, Publish};
pub use prefix::Prefix;
pub use record::{Endpoint, Record};
pub use request::{ContainerNet, EndpointRequest, NetworkRequest};
pub use store::{Networks, Places};
