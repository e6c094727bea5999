//! Which addresses a container gets: its request, its networks and the table of leases become places. Pure.

use std::net::IpAddr;

use report::Kind;

use crate::error::Error;
use crate::leases::Table;
use crate::model::{Driver, MacAddress, Network};
use crate::pool;
use crate::ports::PortMapping;
use crate::record::{Endpoint, Place};
use crate::request::{self, EndpointRequest};

/// A network that a container joins, and the longest packet there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) network: Network,
    pub(crate) mtu: u32,
}

/// Gives a container a place in each network, and takes note of it in the table. `first` is the number of its first new link.
///
/// # Errors
/// What cannot be had; the table is to be thrown away then.
pub(crate) fn places(
    table: &mut Table,
    token: &str,
    wanted: &[(EndpointRequest, Joined)],
    first: usize,
) -> Result<Vec<Endpoint>, Error> {
    let mut places: Vec<Endpoint> = Vec::with_capacity(wanted.len());
    for (number, (request, joined)) in wanted.iter().enumerate() {
        let network = &joined.network;
        if places.iter().any(|place| place.network == network.name) {
            return Err(Error::invalid(
                format!("network {}", network.name),
                "it is named twice",
                "a container has one place in a network; give it other names with alias=",
            ));
        }
        let mut addresses = Vec::with_capacity(2);
        for (ipv4, asked) in [(true, request.ipv4.map(IpAddr::V4)), (false, request.ipv6.map(IpAddr::V6))] {
            addresses.extend(address(table, token, network, ipv4, asked)?);
        }
        let own = |ipv4: bool| addresses.iter().find(|(address, ..)| address.is_ipv4() == ipv4);
        let ipv4 = own(true).and_then(|(address, prefix, gateway)| match (address, gateway) {
            (IpAddr::V4(address), Some(IpAddr::V4(gateway))) => {
                Some(Place { address: *address, prefix: *prefix, gateway: Some(*gateway) })
            }
            (IpAddr::V4(address), _) => Some(Place { address: *address, prefix: *prefix, gateway: None }),
            _ => None,
        });
        let ipv6 = own(false).and_then(|(address, prefix, gateway)| match (address, gateway) {
            (IpAddr::V6(address), Some(IpAddr::V6(gateway))) => {
                Some(Place { address: *address, prefix: *prefix, gateway: Some(*gateway) })
            }
            (IpAddr::V6(address), _) => Some(Place { address: *address, prefix: *prefix, gateway: None }),
            _ => None,
        });
        let link = first + number;
        let interface = match &request.interface {
            Some(name) => request::interface(name)
                .map_err(|why| Error::invalid("interface_name", why.to_string(), ""))?,
            None => format!("eth{link}"),
        };
        if places.iter().any(|place| place.interface == interface) {
            return Err(Error::invalid(
                format!("interface {interface}"),
                "two links of the container would be called so",
                "give another interface_name",
            ));
        }
        places.push(Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            driver: network.driver,
            network_interface: network.interface.clone(),
            host_link: match network.driver {
                Driver::Bridge => format!("hv{}{:x}", token.get(..11).unwrap_or(token), link % 16),
                Driver::Macvlan => String::new(),
            },
            interface,
            mac: request
                .mac
                .or_else(|| addresses.first().map(|(address, ..)| MacAddress::of(*address)))
                .unwrap_or(MacAddress([2, 0x68, 0, 0, 0, 1])),
            ipv4,
            ipv6,
            mtu: joined.mtu,
            aliases: request.aliases.clone(),
            dns: network.dns_enabled,
            internal: network.internal,
        });
    }
    Ok(places)
}

/// An address with the length of its prefix and its router.
type Found = (IpAddr, u8, Option<IpAddr>);

fn address(
    table: &mut Table,
    token: &str,
    network: &Network,
    ipv4: bool,
    asked: Option<IpAddr>,
) -> Result<Option<Found>, Error> {
    let flag = if ipv4 { "--ip" } else { "--ip6" };
    let Some(subnet) = network.subnet(ipv4) else {
        return match asked {
            None => Ok(None),
            Some(address) => Err(Error::invalid(
                format!("{flag} {address}"),
                format!("the network {} has no subnet of this family", network.name),
                "make one with `holm network create --subnet` or --ipv6",
            )),
        };
    };
    let chosen = match asked {
        Some(address) => {
            if let Err(why) = pool::usable(subnet, address) {
                return Err(Error::invalid(
                    format!("{flag} {address}"),
                    why.to_string(),
                    format!("the network {} has {}", network.name, subnet.subnet),
                ));
            }
            if table.owner_of_address(&network.id, address).is_some() {
                return Err(Error::refused(
                    format!("{flag} {address}"),
                    format!("another container of the network {} has this address", network.name),
                    "leave it out to have one chosen",
                    Kind::Busy,
                ));
            }
            address
        }
        None => {
            let last = table.last_given(&network.id, ipv4);
            let taken = |address| table.owner_of_address(&network.id, address).is_some();
            pool::free_address(subnet, last, taken).ok_or_else(|| {
                Error::refused(
                    format!("network {}", network.name),
                    format!("every address of {} is in use", subnet.ip_range.unwrap_or(subnet.subnet)),
                    "make a network with a larger subnet, or look for leftovers with `holm network prune --check`",
                    Kind::ResourceExhausted,
                )
            })?
        }
    };
    table.take_address(&network.id, chosen, token, asked.is_none());
    // An internal network has no way out, and so no router.
    let gateway = subnet.gateway.filter(|_| !network.internal);
    Ok(Some((chosen, subnet.subnet.length(), gateway)))
}

/// The addresses that published ports lead to: of the first network with a way out that translates, one of each family.
pub(crate) fn targets(endpoints: &[Endpoint]) -> [Option<IpAddr>; 2] {
    let mut able = endpoints.iter().filter(|place| place.driver == Driver::Bridge && !place.internal);
    let four = able.clone().find_map(|place| place.ipv4).map(|place| IpAddr::V4(place.address));
    let six = able.find_map(|place| place.ipv6).map(|place| IpAddr::V6(place.address));
    [four, six]
}

/// Published ports with the addresses that they lead to.
pub(crate) fn routes(ports: &[PortMapping], endpoints: &[Endpoint]) -> Vec<(PortMapping, IpAddr)> {
    let targets = targets(endpoints);
    let fits = |port: &PortMapping, target: &IpAddr| {
        port.host_ip.is_none_or(|address| address.is_ipv4() == target.is_ipv4())
    };
    ports
        .iter()
        .flat_map(|port| {
            targets.iter().flatten().filter(|target| fits(port, target)).map(|target| (*port, *target))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Subnet;
    use expect_test::expect;

    fn network(name: &str, subnets: &[&str]) -> Joined {
        let subnets = subnets
            .iter()
            .map(|text| {
                let subnet: crate::Prefix = text.parse().unwrap();
                Subnet { subnet, gateway: subnet.nth(1), ip_range: None }
            })
            .collect();
        let network = Network {
            name: name.parse().unwrap(),
            id: format!("{:x}", name.len()).repeat(64),
            driver: Driver::Bridge,
            interface: format!("if-{name}"),
            created: 0,
            subnets,
            internal: name == "inside",
            dns_enabled: true,
            dns_servers: Vec::new(),
            mtu: None,
            labels: Default::default(),
            options: Default::default(),
        };
        Joined { network, mtu: 1500 }
    }

    fn show(table: &mut Table, token: &str, wanted: &[&str]) -> String {
        let nets = [
            network("blue", &["10.1.0.0/29"]),
            network("six", &["fd00::/64"]),
            network("both-of", &["10.2.0.0/24", "fd02::/64"]),
            network("inside", &["10.3.0.0/24"]),
        ];
        let wanted: Vec<_> = wanted
            .iter()
            .map(|text| {
                let request: EndpointRequest = text.parse().unwrap();
                let joined = nets.iter().find(|net| net.network.name.as_str() == request.network).unwrap();
                (request.clone(), joined.clone())
            })
            .collect();
        match places(table, token, &wanted, 0) {
            Err(error) => format!("{error}\n"),
            Ok(places) => places
                .iter()
                .map(|place| {
                    let all: Vec<_> = place.addresses().map(|address| address.to_string()).collect();
                    let ways: Vec<_> = place.gateways().map(|address| address.to_string()).collect();
                    format!(
                        "{} {} {} {} {} by [{}]\n",
                        place.network,
                        place.host_link,
                        place.interface,
                        place.mac,
                        all.join(" "),
                        ways.join(" ")
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn containers_get_places_or_one_line() {
        let mut table = Table::default();
        let mut all = String::new();
        for (token, wanted) in [
            ("aaaaaaaaaaaaaaaa", &["blue", "both-of:ip=10.2.0.9,mac=02:00:00:00:00:07"][..]),
            ("bbbbbbbbbbbbbbbb", &["blue:interface_name=net0", "inside", "six"]),
            ("cccccccccccccccc", &["both-of:ip=10.2.0.9"]),
            ("cccccccccccccccc", &["both-of:ip=10.1.0.9"]),
            ("cccccccccccccccc", &["both-of:ip=10.2.0.1"]),
            ("cccccccccccccccc", &["blue:ip6=fd00::5"]),
            ("cccccccccccccccc", &["blue", "blue"]),
            ("cccccccccccccccc", &["blue:interface_name=x", "six:interface_name=x"]),
        ] {
            let mut copy = table.clone();
            let shown = show(&mut copy, token, wanted);
            if shown.contains("eth") || shown.contains("net0") {
                table = copy;
            }
            all.push_str(&shown);
        }
        for token in ["d", "e", "f"] {
            all.push_str(&show(&mut table, &token.repeat(16), &["blue"]));
        }
        all.push_str(&show(&mut table, "0123456789abcdef", &["blue"]));
        expect![[r#"
            blue hvaaaaaaaaaaa0 eth0 02:68:0a:01:00:02 10.1.0.2 by [10.1.0.1]
            both-of hvaaaaaaaaaaa1 eth1 02:00:00:00:00:07 10.2.0.9 fd02::2 by [10.2.0.1 fd02::1]
            blue hvbbbbbbbbbbb0 net0 02:68:0a:01:00:03 10.1.0.3 by [10.1.0.1]
            inside hvbbbbbbbbbbb1 eth1 02:68:0a:03:00:02 10.3.0.2 by []
            six hvbbbbbbbbbbb2 eth2 02:68:00:00:00:02 fd00::2 by [fd00::1]
            --ip 10.2.0.9: another container of the network both-of has this address
            --ip 10.1.0.9: it is not in the network's subnet 10.2.0.0/24
            --ip 10.2.0.1: it is the network's gateway
            --ip6 fd00::5: the network blue has no subnet of this family
            network blue: it is named twice
            interface x: two links of the container would be called so
            blue hvddddddddddd0 eth0 02:68:0a:01:00:04 10.1.0.4 by [10.1.0.1]
            blue hveeeeeeeeeee0 eth0 02:68:0a:01:00:05 10.1.0.5 by [10.1.0.1]
            blue hvfffffffffff0 eth0 02:68:0a:01:00:06 10.1.0.6 by [10.1.0.1]
            network blue: every address of 10.1.0.0/29 is in use
        "#]]
        .assert_eq(&all);
    }

    #[test]
    fn ports_lead_to_the_first_network_that_has_a_way_out() {
        let mut table = Table::default();
        let wanted: Vec<_> =
            [network("inside", &["10.3.0.0/24"]), network("both-of", &["10.2.0.0/24", "fd02::/64"])]
                .map(|joined| {
                    (
                        EndpointRequest { network: joined.network.name.to_string(), ..Default::default() },
                        joined,
                    )
                })
                .to_vec();
        let places = places(&mut table, "aaaaaaaaaaaaaaaa", &wanted, 0).unwrap();
        let port = |address: Option<&str>| PortMapping {
            host_ip: address.map(|address| address.parse().unwrap()),
            host_port: 80,
            container_port: 80,
            protocol: crate::Protocol::Tcp,
        };
        let lead = |ports: &[PortMapping]| -> Vec<String> {
            routes(ports, &places).iter().map(|(_, target)| target.to_string()).collect()
        };
        assert_eq!(lead(&[port(None)]), ["10.2.0.2", "fd02::2"]);
        assert_eq!(lead(&[port(Some("127.0.0.1"))]), ["10.2.0.2"]);
        assert_eq!(lead(&[port(Some("::"))]), ["fd02::2"]);
        assert_eq!(targets(&places[..1]), [None, None]);
    }
}
