//! What is written down of a container's network: its record.
//!
//! A record is a file of lines of JSON that is there before anything else of the container's network is, so that a crash leaves nothing which
//! cannot be found. The first line is a [`Header`], the others are [`Event`]s; [`Record::parse`] takes what it can read and ignores what a
//! crash cut off. The process that keeps the container holds a lock on the file: a record without one belongs to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::{Driver, MacAddress, NetworkName};
use crate::ports::PortMapping;

/// Whose record it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The container's id.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Sixteen hexadecimal digits that no other record has; leases name their owner by it.
    pub token: String,
    /// The process that keeps the container.
    pub keeper: u32,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkName,
    /// Its id.
    pub network_id: String,
    /// How it is joined.
    pub driver: Driver,
    /// The network's link on the host.
    pub network_interface: String,
    /// The end of the cable on the host; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host_link: String,
    /// The link's name in the container.
    pub interface: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Its address of IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Place<Ipv4Addr>>,
    /// Its address of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Place<Ipv6Addr>>,
    /// The longest packet in bytes.
    pub mtu: u32,
    /// Names that it is found by beside the container's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether names are answered in this network.
    #[serde(default)]
    pub dns: bool,
    /// Whether the network has no way out.
    #[serde(default)]
    pub internal: bool,
}

impl Endpoint {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let four = self.ipv4.map(|place| IpAddr::V4(place.address));
        four.into_iter().chain(self.ipv6.map(|place| IpAddr::V6(place.address)))
    }

    /// The addresses of its routers.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        let four = self.ipv4.and_then(|place| place.gateway).map(IpAddr::V4);
        four.into_iter().chain(self.ipv6.and_then(|place| place.gateway).map(IpAddr::V6))
    }
}

/// An address with what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<A> {
    /// The address.
    pub address: A,
    /// The length of the subnet's prefix.
    pub prefix: u8,
    /// The router.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<A>,
}

fn none<A>() -> Option<A> {
    None
}

/// A container's network namespace, as the process that keeps it holds it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The process.
    pub pid: u32,
    /// The number of its descriptor.
    pub fd: i32,
    /// The namespace's own number, to tell whether it is still this one.
    pub inode: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It has a place in a network, or is about to.
    Joined(Endpoint),
    /// It has these published ports, or is about to.
    Published(Vec<PortMapping>),
    /// Its namespace is there.
    Namespace(Namespace),
    /// It has left a network.
    Left(NetworkName),
    /// Its traffic is limited, or is about to be.
    Limited(Rates),
    /// It is the container's whose first process this is, also when nobody keeps it any more.
    Lives(Life),
}

/// Limits on a container's traffic, in bits a second. They hold on each of its cables, also on those that come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// What it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<u64>,
    /// What it may receive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<u64>,
}

/// A process, as [`sys::pidfd::Identity`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its number.
    pub pid: i32,
    /// The inode of its handle.
    pub handle: u64,
    /// When it was started, where there is no such inode.
    pub start: u64,
}

impl Life {
    /// Whether it still runs.
    pub fn lives(self) -> bool {
        sys::pidfd::Identity { pid: self.pid, handle: self.handle, start: self.start }.lives()
    }
}

/// What could be read of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Whose it is.
    #[serde(flatten)]
    pub header: Header,
    /// Its places in networks.
    pub endpoints: Vec<Endpoint>,
    /// Its published ports.
    pub ports: Vec<PortMapping>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The limits on its traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<Rates>,
    /// Its first process, once that is noted.
    #[serde(skip)]
    pub life: Option<Life>,
}

impl Record {
    /// Takes every whole line; what is no line of a record is left out. None without a first line.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let header = serde_json::from_slice(lines.next()?).ok()?;
        let mut record = Self::empty(header);
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(Event::Joined(endpoint)) => record.endpoints.push(endpoint),
                Ok(Event::Published(ports)) => record.ports.extend(ports),
                Ok(Event::Namespace(namespace)) => record.namespace = Some(namespace),
                Ok(Event::Left(network)) => record.endpoints.retain(|place| place.network != network),
                Ok(Event::Limited(rates)) => record.limited = Some(rates),
                Ok(Event::Lives(life)) => record.life = Some(life),
                Err(_) => {}
            }
        }
        Some(record)
    }

    /// One that says nothing but whose it is.
    pub(crate) const fn empty(header: Header) -> Self {
        Self { header, endpoints: Vec::new(), ports: Vec::new(), namespace: None, limited: None, life: None }
    }

    /// The names that it is found by in a network: its own name, the first twelve digits of its id, and its aliases there.
    pub fn names_in<'a>(&'a self, endpoint: &'a Endpoint) -> impl Iterator<Item = &'a str> {
        let short = self.header.id.get(..12).unwrap_or(&self.header.id);
        let own = self.header.name.as_deref().into_iter().chain([short]);
        own.chain(endpoint.aliases.iter().map(String::as_str))
    }
}

/// Whether a record's container runs, as far as the record says whose it is.
pub(crate) fn lives(text: &[u8]) -> bool {
    let noted = |line| match serde_json::from_slice(line) {
        Ok(Event::Lives(life)) => Some(life),
        _ => None,
    };
    text.split(|byte| *byte == b'\n').filter_map(noted).next_back().is_some_and(Life::lives)
}

/// A line of a record.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn endpoint(network: &str, address: &str) -> Endpoint {
        let address: Ipv4Addr = address.parse().unwrap();
        Endpoint {
            network: network.parse().unwrap(),
            network_id: "00".repeat(32),
            driver: Driver::Bridge,
            network_interface: "holm0".to_owned(),
            host_link: "hv0".to_owned(),
            interface: "eth0".to_owned(),
            mac: MacAddress::of(address.into()),
            ipv4: Some(Place { address, prefix: 22, gateway: Some(Ipv4Addr::new(10, 224, 0, 1)) }),
            ipv6: None,
            mtu: 1500,
            aliases: vec!["db".to_owned()],
            dns: true,
            internal: false,
        }
    }

    #[test]
    fn a_record_that_was_cut_off_says_what_it_still_says() {
        let header = Header {
            id: "0123456789abcdef".to_owned(),
            name: Some("web".to_owned()),
            token: "00".to_owned(),
            keeper: 7,
        };
        let mut text = line(&header);
        text.extend(line(&Event::Joined(endpoint("blue", "10.224.0.2"))));
        text.extend(line(&Event::Published(Vec::new())));
        text.extend(line(&Event::Namespace(Namespace { pid: 7, fd: 9, inode: 11 })));
        text.extend(line(&Event::Left("blue".parse().unwrap())));
        for len in 0..=text.len() {
            let lines = text[..len].iter().filter(|byte| **byte == b'\n').count();
            let Some(record) = Record::parse(&text[..len]) else {
                assert_eq!(lines, 0);
                continue;
            };
            assert_eq!(record.endpoints.len(), usize::from((2..5).contains(&lines)), "{len}");
            assert_eq!(record.namespace.is_some(), lines >= 4, "{len}");
        }
        let record = Record::parse(&text[..text.len() - 10]).unwrap();
        let names: Vec<_> = record.names_in(&record.endpoints[0]).collect();
        assert_eq!(names, ["web", "0123456789ab", "db"]);
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_read_as_a_record() {
        for text in [&b""[..], b"\0\0\0", b"null\n", b"{}\n{}\n", b"\xff\xfe\n\n\n", b"[1]\n\"x\"\n"] {
            assert_eq!(Record::parse(text), None);
        }
    }
}
