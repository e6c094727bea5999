//! What somebody asks of the network: for a container ([`ContainerNet`]), and for a network of its own ([`NetworkRequest`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{BadMac, Driver, MacAddress, NetworkName};
use crate::ports::{Expose, Publish};
use crate::prefix::Prefix;

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRequest {
    /// Its name.
    pub name: NetworkName,
    /// How containers are joined.
    pub driver: Driver,
    /// Its subnets; one of IPv4 that is free is chosen where there is none.
    pub subnets: Vec<Prefix>,
    /// The routers' addresses; the first of each subnet where none is given.
    pub gateways: Vec<IpAddr>,
    /// Parts of the subnets that addresses are chosen from.
    pub ip_ranges: Vec<Prefix>,
    /// Whether there is a subnet of IPv6, too.
    pub ipv6: bool,
    /// Whether there is no way out.
    pub internal: bool,
    /// Whether containers find each other by name.
    pub dns: bool,
    /// Servers for names of other zones.
    pub dns_servers: Vec<IpAddr>,
    /// The longest packet.
    pub mtu: Option<u32>,
    /// The name of the bridge; or the link that macvlan sits on.
    pub interface: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

impl NetworkRequest {
    /// A bridge of that name with everything left open.
    pub fn bridge(name: NetworkName) -> Self {
        Self {
            name,
            driver: Driver::Bridge,
            subnets: Vec::new(),
            gateways: Vec::new(),
            ip_ranges: Vec::new(),
            ipv6: false,
            internal: false,
            dns: true,
            dns_servers: Vec::new(),
            mtu: None,
            interface: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }
}

/// A container's place in a network: `NAME[:ip=…,ip6=…,mac=…,alias=…,interface_name=…]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointRequest {
    /// The network's name, or the beginning of its id.
    pub network: String,
    /// The address of IPv4; one that is free where there is none.
    pub ipv4: Option<Ipv4Addr>,
    /// The address of IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// The hardware address; one that follows from the address where there is none.
    pub mac: Option<MacAddress>,
    /// Other names that it is found by.
    pub aliases: Vec<String>,
    /// The link's name in the container; `eth0` and so on where there is none.
    pub interface: Option<String>,
}

/// Why some text is no place in a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// No name.
    #[error("the network's name is missing")]
    NoName,
    /// A word before `=` that is not known.
    #[error("`{0}` is not known; there are ip, ip6, mac, alias and interface_name")]
    Key(String),
    /// A word without a value.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// Not an address of IPv4.
    #[error("`{0}` is no address of IPv4")]
    Ipv4(String),
    /// Not an address of IPv6.
    #[error("`{0}` is no address of IPv6")]
    Ipv6(String),
    /// Not a hardware address.
    #[error("`{0}`: {1}")]
    Mac(String, #[source] BadMac),
    /// Not a name of a host.
    #[error("`{0}` is no host name: labels of letters, digits, `-` and `_` with dots between")]
    Alias(String),
    /// Not a name of a link.
    #[error("`{0}` is no name of a link: at most 15 characters without spaces, `/` and `:`")]
    Interface(String),
    /// Given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
}

impl FromStr for EndpointRequest {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let (name, options) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() {
            return Err(BadEndpoint::NoName);
        }
        let mut endpoint = Self { network: name.to_owned(), ..Self::default() };
        for option in options.into_iter().flat_map(|options| options.split(',')) {
            let Some((key, value)) = option.split_once('=') else {
                return Err(BadEndpoint::NoValue(option.to_owned()));
            };
            if value.is_empty() {
                return Err(BadEndpoint::NoValue(key.to_owned()));
            }
            let twice = match key {
                "ip" => endpoint.ipv4.replace(ipv4(value)?).is_some(),
                "ip6" => endpoint.ipv6.replace(ipv6(value)?).is_some(),
                "mac" | "mac-address" => endpoint.mac.replace(mac(value)?).is_some(),
                "alias" => {
                    endpoint.aliases.push(alias(value)?);
                    false
                }
                "interface_name" => endpoint.interface.replace(interface(value)?).is_some(),
                other => return Err(BadEndpoint::Key(other.to_owned())),
            };
            if twice {
                return Err(BadEndpoint::Twice(key.to_owned()));
            }
        }
        Ok(endpoint)
    }
}

/// An address of IPv4 that a host can have.
///
/// # Errors
/// [`BadEndpoint::Ipv4`]
pub fn ipv4(text: &str) -> Result<Ipv4Addr, BadEndpoint> {
    text.parse().map_err(|_| BadEndpoint::Ipv4(text.to_owned()))
}

/// An address of IPv6.
///
/// # Errors
/// [`BadEndpoint::Ipv6`]
pub fn ipv6(text: &str) -> Result<Ipv6Addr, BadEndpoint> {
    text.parse().map_err(|_| BadEndpoint::Ipv6(text.to_owned()))
}

/// A hardware address.
///
/// # Errors
/// [`BadEndpoint::Mac`]
pub fn mac(text: &str) -> Result<MacAddress, BadEndpoint> {
    text.parse().map_err(|why| BadEndpoint::Mac(text.to_owned(), why))
}

/// A name that other containers find this one by, in small letters.
///
/// # Errors
/// [`BadEndpoint::Alias`]
pub fn alias(text: &str) -> Result<String, BadEndpoint> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(BadEndpoint::Alias(text.to_owned()));
    }
    Ok(text.to_ascii_lowercase())
}

/// A name that a link can have (`dev_valid_name` of the kernel).
///
/// # Errors
/// [`BadEndpoint::Interface`]
pub fn interface(text: &str) -> Result<String, BadEndpoint> {
    let fine = !text.is_empty()
        && text.len() < 16
        && !matches!(text, "." | ".." | "lo")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte));
    if fine { Ok(text.to_owned()) } else { Err(BadEndpoint::Interface(text.to_owned())) }
}

/// What a container asks of the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerNet {
    /// The container's id, which its record is called by.
    pub id: String,
    /// The name that it is found by; the first digits of its id, too.
    pub name: Option<String>,
    /// Its networks, in the order of its links.
    pub endpoints: Vec<EndpointRequest>,
    /// `-p`
    pub publish: Vec<Publish>,
    /// `-P`
    pub publish_all: bool,
    /// `--expose`
    pub expose: Vec<Expose>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_network_is_read_as_podman_writes_it() {
        let place: EndpointRequest =
            "web:ip=10.0.0.5,mac=02:00:00:00:00:01,alias=db,alias=DB2,ip6=fd00::5,interface_name=net1"
                .parse()
                .unwrap();
        assert_eq!(place.network, "web");
        assert_eq!(place.ipv4, Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(place.aliases, ["db", "db2"]);
        assert_eq!(place.interface.as_deref(), Some("net1"));
        for (text, problem) in [
            ("", "the network's name is missing"),
            (":ip=1.2.3.4", "the network's name is missing"),
            ("web:", "`` has no value"),
            ("web:ip", "`ip` has no value"),
            ("web:ip=", "`ip` has no value"),
            ("web:ip=fd00::1", "`fd00::1` is no address of IPv4"),
            ("web:ip6=10.0.0.1", "`10.0.0.1` is no address of IPv6"),
            ("web:ip=1.2.3.4,ip=1.2.3.5", "`ip` is given twice"),
            ("web:color=red", "`color` is not known; there are ip, ip6, mac, alias and interface_name"),
            (
                "web:alias=a b",
                "`a b` is no host name: labels of letters, digits, `-` and `_` with dots between",
            ),
            (
                "web:interface_name=a/b",
                "`a/b` is no name of a link: at most 15 characters without spaces, `/` and `:`",
            ),
        ] {
            assert_eq!(text.parse::<EndpointRequest>().unwrap_err().to_string(), problem);
        }
    }
}
