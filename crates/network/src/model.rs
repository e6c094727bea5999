//! What a network is, as data: [`Network`]. One file for each lies in the data directory; its JSON has podman's names.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::prefix::Prefix;

/// The network that containers get when nobody names one.
pub const DEFAULT_NETWORK: &str = "bridge";

/// Words after `--network` that are no names of networks.
const RESERVED: [&str; 8] = ["none", "host", "private", "container", "ns", "default", "pasta", "slirp4netns"];

/// A network's name: a letter or digit, then letters, digits and `_.-`, at most 63 together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

impl NetworkName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why some text names no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// There is nothing, or too much.
    #[error("a name has 1 to 63 characters")]
    Length,
    /// A character that is not allowed.
    #[error("a name begins with a letter or digit and has only letters, digits, `_`, `.` and `-`")]
    Character,
    /// A word with another meaning.
    #[error("the word means something else after --network")]
    Reserved,
}

impl FromStr for NetworkName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() || text.len() > 63 {
            return Err(BadName::Length);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !text.as_bytes()[0].is_ascii_alphanumeric() || !text.bytes().all(allowed) {
            return Err(BadName::Character);
        }
        if RESERVED.contains(&text) { Err(BadName::Reserved) } else { Ok(Self(text.to_owned())) }
    }
}

impl TryFrom<String> for NetworkName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How containers are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the host that each container has a cable to; the host routes and translates.
    Bridge,
    /// A link of its own, with its own hardware address, on the segment of one of the host's links.
    Macvlan,
}

impl Driver {
    /// Every driver.
    pub const ALL: [Self; 2] = [Self::Bridge, Self::Macvlan];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its addresses.
    pub subnet: Prefix,
    /// The router's address: on a bridge the host's own. None on an internal macvlan network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The part that addresses are chosen from; the whole where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<Prefix>,
}

/// A network. The only way to have a new one is [`crate::Networks::create`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// 64 hexadecimal digits.
    pub id: String,
    /// How containers are joined.
    pub driver: Driver,
    /// The host's link: the bridge that is made, or the one that macvlan links sit on.
    #[serde(rename = "network_interface")]
    pub interface: String,
    /// Seconds since 1970.
    pub created: u64,
    /// At most one of each family, IPv4 first.
    pub subnets: Vec<Subnet>,
    /// Whether there is no way out: no route, no traffic to the host but to its name server.
    #[serde(default)]
    pub internal: bool,
    /// Whether containers find each other by name.
    #[serde(default)]
    pub dns_enabled: bool,
    /// Servers that names of other zones are asked of, in place of the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
    /// The longest packet in bytes; that of the host's way out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Options of the driver: `mode` of macvlan, `isolate`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

impl Network {
    /// The subnet of a family.
    pub fn subnet(&self, ipv4: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.subnet.is_ipv4() == ipv4)
    }

    /// The first twelve digits of the id, which people use.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// An address of a link's hardware, `02:68:0a:e0:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// One that is made of an address: administered locally, and always the same, so that neighbours which remember it stay right when
    /// the address changes hands.
    pub fn of(address: IpAddr) -> Self {
        let tail = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let bytes = address.octets();
                [bytes[12], bytes[13], bytes[14], bytes[15]]
            }
        };
        Self([0x02, 0x68, tail[0], tail[1], tail[2], tail[3]])
    }
}

/// Why some text is no hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMac {
    /// It is not six numbers.
    #[error("a hardware address is six pairs of hexadecimal digits with colons between")]
    Form,
    /// It is a group's.
    #[error("the address is one of a group (its first byte is odd), not of one link")]
    Group,
    /// It is nobody's.
    #[error("the address is all zeros")]
    Zero,
}

impl FromStr for MacAddress {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or(BadMac::Form)?;
        }
        match parts.next() {
            Some(_) => Err(BadMac::Form),
            None if bytes[0] & 1 == 1 => Err(BadMac::Group),
            None if bytes == [0; 6] => Err(BadMac::Zero),
            None => Ok(Self(bytes)),
        }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = BadMac;
    fn try_from(text: String) -> Result<Self, BadMac> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_or_words_are_refused() {
        for good in ["web", "0", "a.b_c-d", "bridge"] {
            assert_eq!(good.parse::<NetworkName>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", BadName::Length),
            ("a/b", BadName::Character),
            ("..", BadName::Character),
            (".", BadName::Character),
            ("-a", BadName::Character),
            ("a b", BadName::Character),
            ("ä", BadName::Character),
            ("host", BadName::Reserved),
            ("none", BadName::Reserved),
        ] {
            assert_eq!(bad.parse::<NetworkName>().unwrap_err(), why, "{bad}");
        }
        assert_eq!("a".repeat(64).parse::<NetworkName>().unwrap_err(), BadName::Length);
    }

    #[test]
    fn hardware_addresses_are_read_and_refused_with_the_reason() {
        assert_eq!("02-42-AC-11-00-02".parse::<MacAddress>().unwrap().to_string(), "02:42:ac:11:00:02");
        for (bad, why) in [
            ("", BadMac::Form),
            ("02:42:ac:11:00", BadMac::Form),
            ("02:42:ac:11:00:02:03", BadMac::Form),
            ("02:42:ac:11:00:+2", BadMac::Form),
            ("01:42:ac:11:00:02", BadMac::Group),
            ("00:00:00:00:00:00", BadMac::Zero),
        ] {
            assert_eq!(bad.parse::<MacAddress>().unwrap_err(), why, "{bad}");
        }
        assert_eq!(MacAddress::of("10.224.0.2".parse().unwrap()).to_string(), "02:68:0a:e0:00:02");
    }

    #[test]
    fn a_network_reads_back_as_it_was_written() {
        let text = r#"{"name":"web","id":"00","driver":"bridge","network_interface":"holm1","created":5,
            "subnets":[{"subnet":"10.0.0.0/24","gateway":"10.0.0.1"}],"labels":{"a":"b"}}"#;
        let network: Network = serde_json::from_str(text).unwrap();
        let again: Network = serde_json::from_str(&serde_json::to_string(&network).unwrap()).unwrap();
        assert_eq!(again, network);
        assert!(serde_json::from_str::<Network>(&text.replace("\"web\"", "\"../web\"")).is_err());
        assert!(serde_json::from_str::<Network>(&text.replace("10.0.0.0/24", "10.0.0.1/24")).is_err());
    }
}
