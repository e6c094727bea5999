//! Published ports: what `-p`, `-P` and `--expose` mean.
//!
//! [`Publish`] and [`Expose`] are what people write. [`wanted`] makes a list of single ports of it, [`choose`] gives each a port of the
//! host; both are pure. Start reading at [`choose`].

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The first and the last port that are chosen where nobody says which (ip_local_port_range begins there, too, so that servers with a
/// port of their own do not get in the way).
pub const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its number in the header of IP.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ports that follow each other, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// How many there are.
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Why some text publishes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPorts {
    /// Not a port.
    #[error("`{0}` is no port; they go from 1 to 65535")]
    Port(String),
    /// The second is smaller.
    #[error("the range {0}-{1} runs backwards")]
    Backwards(u16, u16),
    /// Not a protocol.
    #[error("`{0}` is no protocol; there are tcp, udp and sctp")]
    Protocol(String),
    /// Not an address.
    #[error("`{0}` is no address of the host; one of IPv6 stands in brackets")]
    Address(String),
    /// The container's port is missing.
    #[error("the container's port is missing")]
    Missing,
    /// Ranges of two lengths.
    #[error("{0} ports of the host and {1} of the container do not fit together")]
    Lengths(u32, u32),
    /// The kernel translates no address of IPv6's loopback.
    #[error("a port cannot be published on {0}: no packet of that address leaves the loopback interface")]
    Loopback(IpAddr),
    /// A group's address.
    #[error("a port cannot be published on {0}, the address of a group")]
    Group(IpAddr),
}

impl FromStr for PortRange {
    type Err = BadPorts;

    fn from_str(text: &str) -> Result<Self, BadPorts> {
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u16>().ok().filter(|port| *port > 0 && digits);
            number.ok_or_else(|| BadPorts::Port(text.to_owned()))
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if last < first { Err(BadPorts::Backwards(first, last)) } else { Ok(Self { first, last }) }
    }
}

fn protocol(text: &str) -> Result<(&str, Protocol), BadPorts> {
    let Some((ports, name)) = text.rsplit_once('/') else { return Ok((text, Protocol::Tcp)) };
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.name().eq_ignore_ascii_case(name));
    Ok((ports, protocol.ok_or_else(|| BadPorts::Protocol(name.to_owned()))?))
}

/// `-p [IP:][HOST[-LAST]:]CONTAINER[-LAST][/PROTOCOL]`
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Publish {
    /// The host's address; all of them where there is none.
    pub host_ip: Option<IpAddr>,
    /// The host's ports; any that is free where there is none.
    pub host: Option<PortRange>,
    /// The container's.
    pub container: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl FromStr for Publish {
    type Err = BadPorts;

    fn from_str(text: &str) -> Result<Self, BadPorts> {
        let (text, protocol) = protocol(text)?;
        let (address, rest) = match text.strip_prefix('[') {
            Some(behind) => {
                let (address, rest) =
                    behind.split_once("]:").ok_or_else(|| BadPorts::Address(text.to_owned()))?;
                (Some(address), rest)
            }
            None => match text.rsplitn(3, ':').collect::<Vec<_>>()[..] {
                [container, host, address] => {
                    (Some(address), &text[text.len() - container.len() - host.len() - 1..])
                }
                _ => (None, text),
            },
        };
        let host_ip = match address {
            None => None,
            Some(address) => {
                let found = address.parse::<IpAddr>().map_err(|_| BadPorts::Address(address.to_owned()))?;
                match found {
                    IpAddr::V6(own) if own.is_loopback() => return Err(BadPorts::Loopback(found)),
                    own if own.is_multicast() => return Err(BadPorts::Group(found)),
                    own => Some(own),
                }
            }
        };
        let (host, container) = match rest.rsplit_once(':') {
            Some(("", container)) => (None, container),
            Some((host, container)) => (Some(host.parse::<PortRange>()?), container),
            None => (None, rest),
        };
        if container.is_empty() {
            return Err(BadPorts::Missing);
        }
        let container: PortRange = container.parse()?;
        match host {
            Some(host) if host.count() != container.count() && container.count() != 1 => {
                Err(BadPorts::Lengths(host.count(), container.count()))
            }
            _ => Ok(Self { host_ip, host, container, protocol }),
        }
    }
}

/// `--expose PORT[-LAST][/PROTOCOL]`: what `-P` publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expose {
    /// The container's ports.
    pub ports: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl FromStr for Expose {
    type Err = BadPorts;

    fn from_str(text: &str) -> Result<Self, BadPorts> {
        let (ports, protocol) = protocol(text)?;
        if ports.is_empty() {
            return Err(BadPorts::Missing);
        }
        Ok(Self { ports: ports.parse()?, protocol })
    }
}

/// A port of a container that shall have one of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The host's address; all where there is none.
    pub host_ip: Option<IpAddr>,
    /// The ports that it may be.
    pub host: PortRange,
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    /// The host's address; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Whether both want the same packets.
    pub fn clashes_with(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.host_port == other.host_port
            && same_packets(self.host_ip, other.host_ip)
    }
}

/// An address of all zeros means every address of its family, and none at all every address.
fn same_packets(one: Option<IpAddr>, two: Option<IpAddr>) -> bool {
    match (one, two) {
        (None, _) | (_, None) => true,
        (Some(one), Some(two)) if one.is_ipv4() != two.is_ipv4() => false,
        (Some(one), Some(two)) => one == two || one.is_unspecified() || two.is_unspecified(),
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("*")?,
        }
        write!(f, ":{} -> {}/{}", self.host_port, self.container_port, self.protocol)
    }
}

/// One entry for each port of the container that is published. A port is published once for each address and host port; what
/// `-P` adds is left out where `-p` has that port already.
pub fn wanted(publish: &[Publish], publish_all: bool, expose: &[Expose]) -> Vec<Wanted> {
    let any = PortRange { first: EPHEMERAL.0, last: EPHEMERAL.1 };
    let mut list: Vec<Wanted> = Vec::new();
    for one in publish {
        for (offset, container_port) in (one.container.first..=one.container.last).enumerate() {
            let host = match one.host {
                None => any,
                Some(host) if one.container.count() == 1 => host,
                Some(host) => {
                    let port = host.first + offset as u16;
                    PortRange { first: port, last: port }
                }
            };
            let entry = Wanted { host_ip: one.host_ip, host, container_port, protocol: one.protocol };
            if !list.contains(&entry) || host.count() > 1 {
                list.push(entry);
            }
        }
    }
    if publish_all {
        for one in expose {
            for container_port in one.ports.first..=one.ports.last {
                let has =
                    |entry: &Wanted| entry.container_port == container_port && entry.protocol == one.protocol;
                if !list.iter().any(has) {
                    let protocol = one.protocol;
                    list.push(Wanted { host_ip: None, host: any, container_port, protocol });
                }
            }
        }
    }
    list
}

/// A port that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPort(pub Wanted);

/// Gives every wanted port one of the host. `taken` tells whether a port is somebody's already; `seed` spreads the choice where there is one,
/// so that a port that has just become free is not used again at once.
///
/// # Errors
/// The first for which there is none.
pub fn choose(
    wanted: &[Wanted],
    mut taken: impl FnMut(&PortMapping) -> bool,
    seed: u32,
) -> Result<Vec<PortMapping>, NoPort> {
    let mut chosen: Vec<PortMapping> = Vec::with_capacity(wanted.len());
    // Those that cannot be any other come first.
    let (fixed, free): (Vec<&Wanted>, Vec<&Wanted>) =
        wanted.iter().partition(|entry| entry.host.count() == 1);
    for entry in fixed.into_iter().chain(free) {
        let count = entry.host.count();
        let spread = count == PortRange { first: EPHEMERAL.0, last: EPHEMERAL.1 }.count();
        let start = if spread { seed % count } else { 0 };
        let found = (0..count).find_map(|step| {
            let mapping = PortMapping {
                host_ip: entry.host_ip,
                host_port: entry.host.first + ((start + step) % count) as u16,
                container_port: entry.container_port,
                protocol: entry.protocol,
            };
            let clash = chosen.iter().any(|other| other.clashes_with(&mapping));
            (!clash && !taken(&mapping)).then_some(mapping)
        });
        chosen.push(found.ok_or(NoPort(*entry))?);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn show(text: &str) -> String {
        match text.parse::<Publish>() {
            Ok(Publish { host_ip, host, container, protocol }) => {
                let address = host_ip.map_or("*".to_owned(), |address| address.to_string());
                let host = host.map_or("any".to_owned(), |host| host.to_string());
                format!("{text} => {address} {host} -> {container}/{protocol}\n")
            }
            Err(problem) => format!("{text} !! {problem}\n"),
        }
    }

    #[test]
    fn ports_are_published_in_docker_s_and_podman_s_forms() {
        let forms = [
            "80",
            "8080:80",
            "8080:80/udp",
            "8080-8082:80-82",
            "9000-9100:80",
            "127.0.0.1:8080:80",
            "127.0.0.1::80/SCTP",
            "127.0.0.1:8000-8001:80-81/tcp",
            "[fd00::1]:8080:80",
            "[fd00::1]::80",
            "0.0.0.0:80:80",
            ":80",
            "",
            "80:",
            "0",
            "65536",
            "+80",
            "80-70",
            "8080-8082:80-81",
            "80/icmp",
            "eth0:80:80",
            "fd00::1:80:80",
            "[::1]:80:80",
            "[fd00::1:80",
            "224.0.0.1:80:80",
            "1:2:3:4",
        ];
        expect![[r#"
            80 => * any -> 80/tcp
            8080:80 => * 8080 -> 80/tcp
            8080:80/udp => * 8080 -> 80/udp
            8080-8082:80-82 => * 8080-8082 -> 80-82/tcp
            9000-9100:80 => * 9000-9100 -> 80/tcp
            127.0.0.1:8080:80 => 127.0.0.1 8080 -> 80/tcp
            127.0.0.1::80/SCTP => 127.0.0.1 any -> 80/sctp
            127.0.0.1:8000-8001:80-81/tcp => 127.0.0.1 8000-8001 -> 80-81/tcp
            [fd00::1]:8080:80 => fd00::1 8080 -> 80/tcp
            [fd00::1]::80 => fd00::1 any -> 80/tcp
            0.0.0.0:80:80 => 0.0.0.0 80 -> 80/tcp
            :80 => * any -> 80/tcp
             !! the container's port is missing
            80: !! the container's port is missing
            0 !! `0` is no port; they go from 1 to 65535
            65536 !! `65536` is no port; they go from 1 to 65535
            +80 !! `+80` is no port; they go from 1 to 65535
            80-70 !! the range 80-70 runs backwards
            8080-8082:80-81 !! 3 ports of the host and 2 of the container do not fit together
            80/icmp !! `icmp` is no protocol; there are tcp, udp and sctp
            eth0:80:80 !! `eth0` is no address of the host; one of IPv6 stands in brackets
            fd00::1:80:80 => fd00::1 80 -> 80/tcp
            [::1]:80:80 !! a port cannot be published on ::1: no packet of that address leaves the loopback interface
            [fd00::1:80 !! `[fd00::1:80` is no address of the host; one of IPv6 stands in brackets
            224.0.0.1:80:80 !! a port cannot be published on 224.0.0.1, the address of a group
            1:2:3:4 !! `1:2` is no address of the host; one of IPv6 stands in brackets
        "#]]
        .assert_eq(&forms.map(show).concat());
    }

    fn chosen(publish: &[&str], all: bool, expose: &[&str], taken: &[u16]) -> String {
        let publish: Vec<Publish> = publish.iter().map(|text| text.parse().unwrap()).collect();
        let expose: Vec<Expose> = expose.iter().map(|text| text.parse().unwrap()).collect();
        match choose(&wanted(&publish, all, &expose), |port| taken.contains(&port.host_port), 5) {
            Ok(list) => list.iter().map(|port| format!("{port}\n")).collect(),
            Err(NoPort(wanted)) => format!("no port for {} in {}\n", wanted.container_port, wanted.host),
        }
    }

    #[test]
    fn host_ports_are_those_asked_for_or_free_ones() {
        expect![[r#"
            *:8080 -> 80/tcp
            *:8081 -> 81/tcp
            *:32773 -> 443/tcp
        "#]]
        .assert_eq(&chosen(&["8080-8081:80-81", "443"], false, &["70"], &[]));
        expect![[r#"
            *:8080 -> 80/tcp
            *:32774 -> 81/tcp
            *:32774 -> 53/udp
        "#]]
        .assert_eq(&chosen(&["8080:80"], true, &["80-81", "53/udp"], &[32_773]));
        expect![[r#"
            *:9002 -> 80/tcp
        "#]]
        .assert_eq(&chosen(&["9000-9002:80"], false, &[], &[9000, 9001]));
        expect![[r#"
            no port for 80 in 8080
        "#]]
        .assert_eq(&chosen(&["8080:80", "8080:80"], false, &[], &[8080]));
        expect![[r#"
            no port for 81 in 8080
        "#]]
        .assert_eq(&chosen(&["8080:80", "127.0.0.1:8080:81"], false, &[], &[]));
    }

    #[test]
    fn one_port_of_two_addresses_is_two_ports() {
        let map = |address: Option<&str>, port, protocol| PortMapping {
            host_ip: address.map(|address| address.parse().unwrap()),
            host_port: port,
            container_port: 1,
            protocol,
        };
        for (one, two, clash) in [
            (map(None, 80, Protocol::Tcp), map(Some("10.0.0.1"), 80, Protocol::Tcp), true),
            (map(None, 80, Protocol::Tcp), map(None, 80, Protocol::Udp), false),
            (map(Some("10.0.0.1"), 80, Protocol::Tcp), map(Some("10.0.0.2"), 80, Protocol::Tcp), false),
            (map(Some("0.0.0.0"), 80, Protocol::Tcp), map(Some("10.0.0.2"), 80, Protocol::Tcp), true),
            (map(Some("0.0.0.0"), 80, Protocol::Tcp), map(Some("fd00::1"), 80, Protocol::Tcp), false),
            (map(Some("::"), 80, Protocol::Tcp), map(Some("fd00::1"), 80, Protocol::Tcp), true),
        ] {
            assert_eq!(one.clashes_with(&two), clash, "{one} {two}");
            assert_eq!(two.clashes_with(&one), clash, "{two} {one}");
        }
    }
}
