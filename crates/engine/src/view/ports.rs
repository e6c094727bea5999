//! Ports of containers, as docker shows them.
//!
//! [`of`] asks the record of a container's network what is published; [`shown`] puts that into the words of `ps`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{Ledger, Protocol};
use serde_json::{Map, Value, json};

use crate::containers::Status;
use crate::flags::network::{Network, Places};

/// A port of a container, published or only named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The container's port.
    pub private: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The address and the port of the host that lead there.
    pub public: Option<(IpAddr, u16)>,
}

/// What the network says of a container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connected {
    /// Its ports, sorted.
    pub ports: Vec<Port>,
    /// Its places: the network's name, the address with its prefix's length, the router, the hardware address.
    pub places: Vec<Place>,
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: String,
    /// Its address of IPv4 with the prefix's length.
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// Its address of IPv6.
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// The routers.
    pub gateways: (Option<Ipv4Addr>, Option<Ipv6Addr>),
    /// The hardware address.
    pub mac: String,
    /// Names that it is found by.
    pub aliases: Vec<String>,
}

/// The most ports of a range that are looked at one by one.
const MOST: usize = 65_536;

/// What is known of a container's network; of one that does not run only what is exposed.
pub fn of(id: &str, network: &Network, flags: &Places, status: Status) -> Connected {
    let mut connected = Connected::default();
    if status.is_alive() {
        match network {
            Network::On(_) => by_record(id, &mut connected),
            Network::Pasta => by_pasta(flags, &mut connected),
            _ => {}
        }
        for one in &flags.expose {
            for private in one.ports.first..=one.ports.last {
                let protocol = one.protocol;
                if !connected.ports.iter().any(|port| (port.private, port.protocol) == (private, protocol)) {
                    connected.ports.push(Port { private, protocol, public: None });
                }
            }
        }
    }
    connected.ports.sort_unstable();
    connected.ports.dedup();
    connected.ports.truncate(MOST);
    connected
}

fn by_record(id: &str, connected: &mut Connected) {
    let at = network::Places::of_host();
    // Looking makes no directories.
    if !at.are_used() {
        return;
    }
    let Ok(Some(record)) = Ledger::open(&at).and_then(|ledger| ledger.record(id)) else { return };
    let inner = record.endpoints.iter().filter(|place| !place.internal);
    let (mut four, mut six) = (false, false);
    for place in inner {
        four |= place.ipv4.is_some();
        six |= place.ipv6.is_some();
    }
    for port in &record.ports {
        let hosts: Vec<IpAddr> = match port.host_ip {
            Some(address) => vec![address],
            // Without an address it is published on all of the families that the container has.
            None => [(four, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), (six, IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
                .into_iter()
                .filter_map(|(has, address)| has.then_some(address))
                .collect(),
        };
        connected.ports.extend(hosts.into_iter().map(|address| Port {
            private: port.container_port,
            protocol: port.protocol,
            public: Some((address, port.host_port)),
        }));
    }
    connected.places = record
        .endpoints
        .iter()
        .map(|place| Place {
            network: place.network.to_string(),
            network_id: place.network_id.clone(),
            ipv4: place.ipv4.map(|it| (it.address, it.prefix)),
            ipv6: place.ipv6.map(|it| (it.address, it.prefix)),
            gateways: (place.ipv4.and_then(|it| it.gateway), place.ipv6.and_then(|it| it.gateway)),
            mac: place.mac.to_string(),
            aliases: place.aliases.clone(),
        })
        .collect();
}

/// pasta is given the ports that were asked for, each with one of the host's.
fn by_pasta(flags: &Places, connected: &mut Connected) {
    for one in &flags.publish {
        let first = one.host.map_or(one.container.first, |host| host.first);
        for offset in 0..=one.container.last - one.container.first {
            let address = one.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            connected.ports.push(Port {
                private: one.container.first + offset,
                protocol: one.protocol,
                public: Some((address, first.saturating_add(offset))),
            });
        }
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`: ports that follow each other on both sides are a range.
pub fn shown(ports: &[Port]) -> String {
    struct Range {
        first: Port,
        count: u16,
    }
    let mut ranges: Vec<Range> = Vec::new();
    for port in ports {
        let follows = |range: &Range| {
            let next = |number: u16| number.checked_add(range.count);
            let public = match (range.first.public, port.public) {
                (None, None) => true,
                (Some((one, number)), Some((two, other))) => one == two && next(number) == Some(other),
                _ => false,
            };
            public && range.first.protocol == port.protocol && next(range.first.private) == Some(port.private)
        };
        match ranges.iter_mut().rev().find(|range| follows(range)) {
            Some(range) => range.count += 1,
            None => ranges.push(Range { first: *port, count: 1 }),
        }
    }
    let span = |first: u16, count: u16| match count {
        1 => first.to_string(),
        _ => format!("{first}-{}", first.saturating_add(count - 1)),
    };
    let words: Vec<String> = ranges
        .iter()
        .map(|Range { first, count }| {
            let private = format!("{}/{}", span(first.private, *count), first.protocol);
            match first.public {
                Some((address, port)) => format!("{}:{}->{private}", host(address), span(port, *count)),
                None => private,
            }
        })
        .collect();
    words.join(", ")
}

/// An address before a colon.
pub fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// `NetworkSettings.Ports`: every port with where it is published, or null.
pub fn bound(ports: &[Port]) -> Value {
    let mut map = Map::new();
    for port in ports {
        let entry = map.entry(format!("{}/{}", port.private, port.protocol)).or_insert(Value::Null);
        if let Some((address, number)) = port.public {
            let one = json!({ "HostIp": address, "HostPort": number.to_string() });
            match entry {
                Value::Array(list) => list.push(one),
                other => *other = json!([one]),
            }
        }
    }
    Value::Object(map)
}

/// `HostConfig.PortBindings`: what was asked for.
pub fn asked(flags: &Places) -> Value {
    let mut map = Map::new();
    for one in &flags.publish {
        for (offset, private) in (one.container.first..=one.container.last).enumerate() {
            let number = match one.host {
                None => String::new(),
                Some(host) if one.container.count() == 1 => host.to_string(),
                Some(host) => (usize::from(host.first) + offset).to_string(),
            };
            let address = one.host_ip.map(|address| address.to_string()).unwrap_or_default();
            let binding = json!({ "HostIp": address, "HostPort": number });
            let entry = map.entry(format!("{private}/{}", one.protocol)).or_insert_with(|| json!([]));
            if let Value::Array(list) = entry {
                list.push(binding);
            }
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(private: u16, public: Option<(&str, u16)>) -> Port {
        let public = public.map(|(address, port)| (address.parse().unwrap(), port));
        Port { private, protocol: Protocol::Tcp, public }
    }

    #[test]
    fn ports_that_follow_each_other_are_a_range() {
        let any = "0.0.0.0";
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[port(80, Some((any, 8080)))]), "0.0.0.0:8080->80/tcp");
        let both = [port(80, Some((any, 8080))), port(80, Some(("::", 8080)))];
        assert_eq!(shown(&both), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        let range = [port(80, Some((any, 8080))), port(81, Some((any, 8081))), port(82, Some((any, 9000)))];
        assert_eq!(shown(&range), "0.0.0.0:8080-8081->80-81/tcp, 0.0.0.0:9000->82/tcp");
        let named = [port(79, None), port(80, None), port(443, None), port(65_535, None)];
        assert_eq!(shown(&named), "79-80/tcp, 443/tcp, 65535/tcp");
        let mixed = [
            port(80, Some((any, 80))),
            port(80, Some(("::", 80))),
            port(81, Some((any, 81))),
            port(81, Some(("::", 81))),
        ];
        assert_eq!(shown(&mixed), "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp");
    }

    #[test]
    fn documents_name_ports_as_docker_does() {
        let ports = [port(80, Some(("127.0.0.1", 8080))), port(443, None)];
        assert_eq!(
            bound(&ports),
            json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "443/tcp": null})
        );
    }
}
