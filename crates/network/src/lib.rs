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
mod places;
pub mod record;
mod settings;
mod store;

mod aside;
mod attach;
mod beside;
mod elements;
mod host;
pub mod keeper;
mod plan;
mod reserve;
mod sweep;
mod whole;

pub use attach::{Attachment, Member};
pub use beside::Beside;
pub use error::Error;
pub use facts::HostNetwork;
pub use host::{GATE, able};
pub use ledger::Ledger;
pub use model::{DEFAULT_NETWORK, Driver, MacAddress, Network, NetworkName, Subnet};
pub use netlink::route::links::{Counters, Traffic};
pub use netlink::tc::{Limits, Rate};
pub use places::Places;
pub use plan::{Plan, Step};
pub use ports::{Expose, PortMapping, Protocol, Publish};
pub use prefix::Prefix;
pub use record::{Endpoint, Rates, Record};
pub use request::{ContainerNet, EndpointRequest, NetworkRequest};
pub use reserve::{Reservation, reachable_servers};
pub use rules::{MARK, TABLE};
pub use store::Networks;

/// Reads everything that can be read from some bytes of holm's own files, to no other end: for tests with spoilt files. Returns how many
/// of the readers found something.
pub fn walk(bytes: &[u8]) -> usize {
    let record = Record::parse(bytes);
    let network = serde_json::from_slice::<Network>(bytes).ok();
    let mut table = leases::Table::new(bytes.to_vec());
    let address = std::net::IpAddr::from([10, 224, 0, 2]);
    let port = PortMapping { host_ip: None, host_port: 8080, container_port: 80, protocol: Protocol::Tcp };
    let owned =
        table.owner_of_address("0123456789ab", address).is_some() || table.owner_of_port(&port).is_some();
    let last = table.last_given("0123456789ab", true).is_some();
    table.take_address("0123456789ab", address, "0011223344556677", true);
    table.free_all("0011223344556677");
    table.forget_network("0123456789ab");
    let writes = table.writes().iter().map(|(_, part)| part.len()).sum::<usize>();
    [record.is_some(), network.is_some(), owned, last, writes == 0, !table.owners().is_empty()]
        .into_iter()
        .filter(|found| *found)
        .count()
}
