//! What a new network is like: a request, the networks that are there and the host's links and routes become a [`Network`]. Pure.

use std::net::IpAddr;

use report::Kind;

use crate::error::Error;
use crate::facts::HostNetwork;
use crate::model::{Driver, Network, Subnet};
use crate::pool;
use crate::prefix::Prefix;
use crate::request::{self, NetworkRequest};

/// What no two networks have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// The id.
    pub id: [u8; 32],
    /// Seconds since 1970.
    pub now: u64,
}

/// The smallest packet that every host of IPv4, and of IPv6, takes (RFC 791, RFC 8200).
const SMALLEST_MTU: (u32, u32) = (68, 1280);
const LARGEST_MTU: u32 = 65_535;

/// The modes of macvlan.
pub(crate) const MACVLAN_MODES: [&str; 4] = ["private", "vepa", "bridge", "passthru"];

/// The network that the request means.
///
/// # Errors
/// What cannot be had, in one line.
pub fn network(
    request: &NetworkRequest,
    existing: &[Network],
    host: &HostNetwork,
    chance: &Chance,
) -> Result<Network, Error> {
    let what = || format!("network {}", request.name);
    if existing.iter().any(|other| other.name == request.name) {
        return Err(Error::refused(
            what(),
            "there is a network of this name",
            "`holm network list` shows the networks; choose another name, or remove that one",
            Kind::AlreadyExists,
        ));
    }
    check_options(request)?;
    let subnets = subnets(request, existing, host, chance)?;
    if let Some(mtu) = request.mtu {
        let six = subnets.iter().any(|subnet| !subnet.subnet.is_ipv4());
        let smallest = if six { SMALLEST_MTU.1 } else { SMALLEST_MTU.0 };
        if mtu < smallest || mtu > LARGEST_MTU {
            return Err(Error::invalid(
                format!("mtu {mtu}"),
                format!("packets are {smallest} to {LARGEST_MTU} bytes long here"),
                "1500 is usual; 1280 is the least for IPv6",
            ));
        }
    }
    let interface = match request.driver {
        Driver::Bridge => bridge_name(request, existing, host)?,
        Driver::Macvlan => parent(request, existing, host)?,
    };
    Ok(Network {
        name: request.name.clone(),
        id: chance.id.iter().map(|byte| format!("{byte:02x}")).collect(),
        driver: request.driver,
        interface,
        created: chance.now,
        subnets,
        internal: request.internal,
        dns_enabled: request.dns,
        dns_servers: request.dns_servers.clone(),
        mtu: request.mtu,
        labels: request.labels.clone(),
        options: request.options.clone(),
    })
}

/// Refuses options that nobody reads.
fn check_options(request: &NetworkRequest) -> Result<(), Error> {
    for (key, value) in &request.options {
        match (request.driver, key.as_str()) {
            (Driver::Macvlan, "mode") if MACVLAN_MODES.contains(&value.as_str()) => {}
            (Driver::Macvlan, "mode") => {
                return Err(Error::invalid(
                    format!("option mode={value}"),
                    "macvlan has no such mode",
                    format!("there are {}", MACVLAN_MODES.join(", ")),
                ));
            }
            (driver, _) => {
                return Err(Error::invalid(
                    format!("option {key}"),
                    format!("{driver} has no such option"),
                    match driver {
                        Driver::Bridge => "mtu and parent have flags of their own: --mtu, --interface-name",
                        Driver::Macvlan => "there is mode; the link below is named with --interface-name",
                    },
                ));
            }
        }
    }
    Ok(())
}

fn subnets(
    request: &NetworkRequest,
    existing: &[Network],
    host: &HostNetwork,
    chance: &Chance,
) -> Result<Vec<Subnet>, Error> {
    let mut prefixes = request.subnets.clone();
    // The kernel's own routes to the bridge of a network that is there say nothing new.
    let own = |index: u32| existing.iter().any(|network| network.interface == host.name_of(index));
    let routes: Vec<_> =
        host.routes.iter().filter(|route| !route.destination.is_everything() && !own(route.link)).collect();
    for (index, prefix) in prefixes.iter().enumerate() {
        let what = || format!("subnet {prefix}");
        let most = if prefix.is_ipv4() { 30 } else { 126 };
        if prefix.length() > most || prefix.length() < 8 {
            return Err(Error::invalid(
                what(),
                format!("a prefix here is 8 to {most} bits long, so that a router and a container fit"),
                "",
            ));
        }
        if is_special(prefix) {
            return Err(Error::invalid(
                what(),
                "these addresses have a meaning of their own (loopback, link-local, groups)",
                "RFC 1918 has addresses for networks like this: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
            ));
        }
        if prefixes[..index].iter().any(|other| other.is_ipv4() == prefix.is_ipv4()) {
            return Err(Error::invalid(
                what(),
                "a network has one subnet of IPv4 and one of IPv6 at most",
                "make two networks; a container can be in several",
            ));
        }
        let shares = |network: &&Network| network.subnets.iter().any(|other| other.subnet.overlaps(prefix));
        if let Some(network) = existing.iter().find(shares) {
            return Err(Error::refused(
                what(),
                format!("it overlaps with that of the network {}", network.name),
                "leave --subnet out to have a free one chosen",
                Kind::AlreadyExists,
            ));
        }
        // A macvlan network is on the host's own segment: there the host has a route to it.
        if request.driver == Driver::Bridge
            && let Some(route) = routes.iter().find(|route| route.destination.overlaps(prefix))
        {
            let way = match host.name_of(route.link) {
                "" => String::new(),
                name => format!(" through {name}"),
            };
            return Err(Error::refused(
                what(),
                format!("it overlaps with the host's route to {}{way}", route.destination),
                "leave --subnet out to have a free one chosen",
                Kind::AlreadyExists,
            ));
        }
    }
    let mut used: Vec<Prefix> = routes.iter().map(|route| route.destination).collect();
    used.extend(existing.iter().flat_map(|network| network.subnets.iter().map(|subnet| subnet.subnet)));
    let full = |family: &str| {
        Error::refused(
            format!("network {}", request.name),
            format!("no subnet of {family} is free: the host has routes to all that holm chooses from"),
            "give one with --subnet",
            Kind::ResourceExhausted,
        )
    };
    if request.driver == Driver::Macvlan && prefixes.is_empty() {
        return Err(Error::invalid(
            format!("network {}", request.name),
            "a macvlan network needs the subnet of the segment that it is on",
            "--subnet 192.168.1.0/24 --gateway 192.168.1.1 --ip-range 192.168.1.192/27, for example",
        ));
    }
    if !prefixes.iter().any(Prefix::is_ipv4) && prefixes.is_empty() {
        prefixes.push(pool::free_ipv4(&used).ok_or_else(|| full("IPv4"))?);
    }
    if request.ipv6 && prefixes.iter().all(Prefix::is_ipv4) {
        let random = u64::from_be_bytes(chance.id[..8].try_into().unwrap_or_default());
        prefixes.push(pool::free_ipv6(&used, random).ok_or_else(|| full("IPv6"))?);
    }
    prefixes.sort_by_key(|prefix| !prefix.is_ipv4());
    let mut subnets = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        let gateway = gateway(request, prefix)?;
        let ip_range = request.ip_ranges.iter().find(|range| range.is_ipv4() == prefix.is_ipv4()).copied();
        if let Some(range) = ip_range
            && (range.length() < prefix.length() || !prefix.contains(range.address()))
        {
            return Err(Error::invalid(
                format!("ip range {range}"),
                format!("it is no part of the subnet {prefix}"),
                "",
            ));
        }
        subnets.push(Subnet { subnet: prefix, gateway, ip_range });
    }
    for gateway in &request.gateways {
        if !subnets.iter().any(|subnet| subnet.gateway == Some(*gateway)) {
            return Err(Error::invalid(
                format!("gateway {gateway}"),
                "it is in none of the network's subnets, or a subnet has two",
                "give the subnet with --subnet",
            ));
        }
    }
    for range in &request.ip_ranges {
        if !subnets.iter().any(|subnet| subnet.ip_range == Some(*range)) {
            return Err(Error::invalid(
                format!("ip range {range}"),
                "the network has no subnet of its family, or it is given twice",
                "",
            ));
        }
    }
    Ok(subnets)
}

fn is_special(prefix: &Prefix) -> bool {
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8"]
        .iter()
        .filter_map(|text| text.parse::<Prefix>().ok())
        .any(|special| special.overlaps(prefix))
}

fn gateway(request: &NetworkRequest, prefix: Prefix) -> Result<Option<IpAddr>, Error> {
    let mut given = request.gateways.iter().filter(|gateway| prefix.contains(**gateway));
    let Some(gateway) = given.next() else {
        // The segment of a macvlan network has its own router, and none that leads out if it is internal.
        let none = request.driver == Driver::Macvlan && request.internal;
        return Ok(if none { None } else { prefix.nth(1) });
    };
    let bare = Subnet { subnet: prefix, gateway: None, ip_range: None };
    match pool::usable(&bare, *gateway) {
        Ok(()) => Ok(Some(*gateway)),
        Err(why) => Err(Error::invalid(format!("gateway {gateway}"), why.to_string(), "")),
    }
}

fn bridge_name(request: &NetworkRequest, existing: &[Network], host: &HostNetwork) -> Result<String, Error> {
    let in_use =
        |name: &str| existing.iter().any(|network| network.interface == name) || host.link(name).is_some();
    match &request.interface {
        Some(name) => {
            let name = request::interface(name)
                .map_err(|why| Error::invalid("--interface-name", why.to_string(), ""))?;
            if in_use(&name) {
                return Err(Error::refused(
                    format!("interface {name}"),
                    "there is a link or a network with it",
                    "leave --interface-name out to have one chosen",
                    Kind::AlreadyExists,
                ));
            }
            Ok(name)
        }
        None => {
            Ok((0u32..).map(|number| format!("holm{number}")).find(|name| !in_use(name)).unwrap_or_default())
        }
    }
}

fn parent(request: &NetworkRequest, existing: &[Network], host: &HostNetwork) -> Result<String, Error> {
    let name = match &request.interface {
        Some(name) => name.clone(),
        None => match host.ways_out().next() {
            Some(link) => link.name.clone(),
            None => {
                return Err(Error::invalid(
                    format!("network {}", request.name),
                    "the host has no way out that a macvlan network could sit on",
                    "name a link with --interface-name",
                ));
            }
        },
    };
    let Some(link) = host.link(&name) else {
        return Err(Error::refused(
            format!("interface {name}"),
            "the host has no such link",
            "`holm ip link` lists them",
            Kind::NotFound,
        ));
    };
    let bridge = |network: &Network| network.driver == Driver::Bridge && network.interface == name;
    if link.index == 1 || existing.iter().any(bridge) {
        return Err(Error::invalid(
            format!("interface {name}"),
            "a macvlan network sits on a link that leads out of the host",
            "`holm ip link` lists the host's links",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Link, Route};
    use expect_test::expect;

    fn host() -> HostNetwork {
        let link = |index, name: &str| Link {
            index,
            name: name.to_owned(),
            mtu: 1500,
            master: 0,
            kind: String::new(),
        };
        let route = |destination: &str, link| Route { destination: destination.parse().unwrap(), link };
        HostNetwork {
            links: vec![link(1, "lo"), link(2, "eth0"), link(7, "holm0")],
            routes: vec![route("0.0.0.0/0", 2), route("192.168.1.0/24", 2), route("10.224.0.0/22", 7)],
        }
    }

    fn made(change: impl FnOnce(&mut NetworkRequest)) -> String {
        let mut first = NetworkRequest::bridge("bridge".parse().unwrap());
        first.subnets = vec!["10.224.0.0/22".parse().unwrap()];
        let chance = Chance { id: [0xab; 32], now: 7 };
        let mut empty = host();
        empty.links.pop();
        empty.routes.pop();
        let first = network(&first, &[], &empty, &chance).unwrap();
        let mut request = NetworkRequest::bridge("web".parse().unwrap());
        change(&mut request);
        match network(&request, &[first], &host(), &chance) {
            Ok(network) => {
                let subnets: Vec<_> = network
                    .subnets
                    .iter()
                    .map(|subnet| {
                        let gateway = subnet.gateway.map_or("none".to_owned(), |gateway| gateway.to_string());
                        format!("{} by {gateway}", subnet.subnet)
                    })
                    .collect();
                format!("{} {} {}\n", network.driver, network.interface, subnets.join(", "))
            }
            Err(error) => format!("{error}\n"),
        }
    }

    #[test]
    fn a_network_is_decided_from_the_request_and_the_host() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = [
            made(|_| {}),
            made(|request| request.ipv6 = true),
            made(|request| request.subnets = vec![prefix("fd00::/64")]),
            made(|request| request.subnets = vec![prefix("fd00::/64"), prefix("10.9.0.0/24")]),
            made(|request| {
                request.subnets = vec![prefix("10.9.0.0/24")];
                request.gateways = vec![address("10.9.0.254")];
            }),
            made(|request| request.name = "bridge".parse().unwrap()),
            made(|request| request.subnets = vec![prefix("10.224.2.0/24")]),
            made(|request| request.subnets = vec![prefix("192.168.0.0/16")]),
            made(|request| request.subnets = vec![prefix("10.9.0.0/31")]),
            made(|request| request.subnets = vec![prefix("127.1.0.0/24")]),
            made(|request| request.subnets = vec![prefix("10.9.0.0/24"), prefix("10.8.0.0/24")]),
            made(|request| request.gateways = vec![address("10.9.0.1")]),
            made(|request| {
                request.subnets = vec![prefix("10.9.0.0/24")];
                request.gateways = vec![address("10.9.0.255")];
            }),
            made(|request| {
                request.subnets = vec![prefix("10.9.0.0/24")];
                request.ip_ranges = vec![prefix("10.9.1.0/28")];
            }),
            made(|request| request.ip_ranges = vec![prefix("fd00::/80")]),
            made(|request| request.mtu = Some(67)),
            made(|request| request.interface = Some("eth0".to_owned())),
            made(|request| request.interface = Some("a/b".to_owned())),
            made(|request| request.options.extend([("color".to_owned(), "red".to_owned())])),
            made(|request| request.driver = Driver::Macvlan),
            made(|request| {
                request.driver = Driver::Macvlan;
                request.subnets = vec![prefix("192.168.1.0/24")];
            }),
            made(|request| {
                request.driver = Driver::Macvlan;
                request.internal = true;
                request.subnets = vec![prefix("192.168.1.0/24")];
            }),
            made(|request| {
                request.driver = Driver::Macvlan;
                request.interface = Some("eth9".to_owned());
                request.subnets = vec![prefix("192.168.1.0/24")];
            }),
            made(|request| {
                request.driver = Driver::Macvlan;
                request.subnets = vec![prefix("192.168.1.0/24")];
                request.options.extend([("mode".to_owned(), "red".to_owned())]);
            }),
        ];
        expect![[r#"
            bridge holm1 10.224.4.0/22 by 10.224.4.1
            bridge holm1 10.224.4.0/22 by 10.224.4.1, fdab:abab:abab::/64 by fdab:abab:abab::1
            bridge holm1 fd00::/64 by fd00::1
            bridge holm1 10.9.0.0/24 by 10.9.0.1, fd00::/64 by fd00::1
            bridge holm1 10.9.0.0/24 by 10.9.0.254
            network bridge: there is a network of this name
            subnet 10.224.2.0/24: it overlaps with that of the network bridge
            subnet 192.168.0.0/16: it overlaps with the host's route to 192.168.1.0/24 through eth0
            subnet 10.9.0.0/31: a prefix here is 8 to 30 bits long, so that a router and a container fit
            subnet 127.1.0.0/24: these addresses have a meaning of their own (loopback, link-local, groups)
            subnet 10.8.0.0/24: a network has one subnet of IPv4 and one of IPv6 at most
            gateway 10.9.0.1: it is in none of the network's subnets, or a subnet has two
            gateway 10.9.0.255: it is the first or the last address of 10.9.0.0/24, which no host can have
            ip range 10.9.1.0/28: it is no part of the subnet 10.9.0.0/24
            ip range fd00::/80: the network has no subnet of its family, or it is given twice
            mtu 67: packets are 68 to 65535 bytes long here
            interface eth0: there is a link or a network with it
            --interface-name: `a/b` is no name of a link: at most 15 characters without spaces, `/` and `:`
            option color: bridge has no such option
            network web: a macvlan network needs the subnet of the segment that it is on
            macvlan eth0 192.168.1.0/24 by 192.168.1.1
            macvlan eth0 192.168.1.0/24 by none
            interface eth9: the host has no such link
            option mode=red: macvlan has no such mode
        "#]]
        .assert_eq(&all.concat());
    }
}
