//! What is done for a container's network, as text: a step a line with its reason, and nothing done.
//!
//! [`Networks::preview`] chooses as a launch would, on a copy of the table of leases.

use std::fmt;

use netlink::Socket;

use crate::allocate::{self, Joined};
use crate::decide;
use crate::error::Error;
use crate::facts::HostNetwork;
use crate::hold::hold;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::model::{DEFAULT_NETWORK, Driver, Network};
use crate::ports::{self, PortMapping};
use crate::record::Endpoint;
use crate::request::{ContainerNet, EndpointRequest};
use crate::store::{Networks, chance, default_request};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// What is done for a container's network, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4} network {}  ({})", number + 1, step.what, step.why)?;
        }
        Ok(())
    }
}

/// What a network is like before the container joins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// There is not even a file.
    Missing,
    /// Its bridge is not there.
    Down,
    /// Everything is there.
    Ready,
}

/// The steps for a container with these places and ports.
pub(crate) fn steps(networks: &[(Network, Before)], places: &[Endpoint], published: &[PortMapping]) -> Plan {
    let mut steps = Vec::new();
    let mut add = |what: String, why| steps.push(Step { what, why });
    for (network, _) in networks.iter().filter(|(_, before)| *before == Before::Missing) {
        let subnets: Vec<_> = network.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
        add(
            format!("make the network {} with {}", network.name, subnets.join(" ")),
            "it is the first time that it is used",
        );
    }
    let addresses: Vec<_> =
        places.iter().flat_map(Endpoint::addresses).map(|address| address.to_string()).collect();
    let mut taken = addresses.join(" ");
    for port in published {
        taken.push_str(&format!(", port {port}"));
    }
    add(
        format!("write down that the container has {taken}"),
        "so that nobody else gets it, and a crash leaves nothing unknown",
    );
    for (network, before) in networks {
        if network.driver == Driver::Bridge && *before != Before::Ready {
            let gateways: Vec<_> =
                network.subnets.iter().filter_map(|subnet| Some(subnet.gateway?.to_string())).collect();
            add(
                format!("make the bridge {} with {}", network.interface, gateways.join(" ")),
                "nobody is on the network yet",
            );
            add(
                "write the rules of nftables anew, and let links forward".to_owned(),
                "a new bridge is in them",
            );
        }
    }
    for place in places {
        let from = match place.driver {
            Driver::Bridge => format!("lay a cable from {} by {}", place.network_interface, place.host_link),
            Driver::Macvlan => format!("put a link on {}", place.network_interface),
        };
        add(
            format!("{from} to {} inside, {}, mtu {}", place.interface, place.mac, place.mtu),
            "one batch of rtnetlink; router advertisements are refused before",
        );
    }
    let way =
        |ipv4: bool| places.iter().flat_map(Endpoint::gateways).find(|gateway| gateway.is_ipv4() == ipv4);
    let ways: Vec<_> =
        [true, false].into_iter().filter_map(way).map(|gateway| format!(" by {gateway}")).collect();
    let out = if ways.is_empty() {
        ", and no way out".to_owned()
    } else {
        format!(", and a way out{}", ways.concat())
    };
    add(format!("give the links {}{out}", addresses.join(" ")), "one batch inside");
    for (port, target) in allocate::routes(published, places) {
        let host = match port.host_ip {
            Some(address) => format!("{address} port {}", port.host_port),
            None => format!("port {}", port.host_port),
        };
        add(
            format!("publish {host}/{} to {target} port {}", port.protocol, port.container_port),
            "an element of a map; the host's own firewall comes first",
        );
    }
    Plan { steps }
}

impl Networks {
    /// What [`Networks::reserve`] and [`crate::Reservation::connect`] would do; nothing is done.
    ///
    /// # Errors
    /// As [`Networks::reserve`].
    pub fn preview(&self, want: &ContainerNet) -> Result<Plan, Error> {
        let mut host = Host::open()?;
        let mut known = Vec::new();
        let mut joined: Vec<(EndpointRequest, Joined)> = Vec::new();
        for request in &want.endpoints {
            let (network, missing) = self.get_or_decide(&request.network, &mut host.route)?;
            let found = host.ready_link(&network)?;
            let before = match (missing, &found) {
                (true, _) => Before::Missing,
                (false, None) => Before::Down,
                (false, Some(_)) => Before::Ready,
            };
            let mtu = match network.mtu.or(found.map(|found| found.mtu)) {
                Some(mtu) => mtu,
                None => {
                    HostNetwork::read(&mut host.route)?.ways_out().map(|link| link.mtu).min().unwrap_or(1500)
                }
            };
            known.push((network.clone(), before));
            joined.push((request.clone(), Joined { network, mtu }));
        }
        let mut table = Ledger::open(&self.places)?.lock()?.table.clone();
        let places = allocate::places(&mut table, "0000000000000000", &joined, 0)?;
        let wanted = ports::wanted(&want.publish, want.publish_all, &want.expose);
        let taken = |port: &PortMapping| table.owner_of_port(port).is_some() || hold(port).is_err();
        let published = ports::choose(&wanted, taken, 0).map_err(|ports::NoPort(port)| {
            Error::refused(format!("port {} of the host", port.host), "it is in use", "", report::Kind::Busy)
        })?;
        Ok(steps(&known, &places, &published))
    }

    /// A network, or what the default one would be; and whether it is missing.
    fn get_or_decide(&self, name: &str, socket: &mut Socket) -> Result<(Network, bool), Error> {
        let default = matches!(name, DEFAULT_NETWORK | "default");
        match self.get(if default { DEFAULT_NETWORK } else { name }) {
            Err(Error::Refused { kind: report::Kind::NotFound, .. }) if default => {
                let request = default_request()?;
                let host = HostNetwork::read(socket)?;
                Ok((decide::network(&request, &self.list()?, &host, &chance())?, true))
            }
            outcome => Ok((outcome?, false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Subnet;
    use crate::ports::Protocol;
    use crate::record::tests::endpoint;
    use expect_test::expect;

    fn network(name: &str, interface: &str) -> Network {
        Network {
            name: name.parse().unwrap(),
            id: "00".repeat(32),
            driver: Driver::Bridge,
            interface: interface.to_owned(),
            created: 0,
            subnets: vec![Subnet {
                subnet: "10.224.0.0/22".parse().unwrap(),
                gateway: "10.224.0.1".parse().ok(),
                ip_range: None,
            }],
            internal: false,
            dns_enabled: false,
            dns_servers: Vec::new(),
            mtu: None,
            labels: Default::default(),
            options: Default::default(),
        }
    }

    #[test]
    fn a_plan_says_what_will_be_done() {
        let port = |host_ip: Option<&str>| PortMapping {
            host_ip: host_ip.map(|address| address.parse().unwrap()),
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let first = steps(
            &[(network("bridge", "holm0"), Before::Missing)],
            &[endpoint("bridge", "10.224.0.2")],
            &[port(None)],
        );
        expect![[r#"
            steps
               1 network make the network bridge with 10.224.0.0/22  (it is the first time that it is used)
               2 network write down that the container has 10.224.0.2, port *:8080 -> 80/tcp  (so that nobody else gets it, and a crash leaves nothing unknown)
               3 network make the bridge holm0 with 10.224.0.1  (nobody is on the network yet)
               4 network write the rules of nftables anew, and let links forward  (a new bridge is in them)
               5 network lay a cable from holm0 by hv0 to eth0 inside, 02:68:0a:e0:00:02, mtu 1500  (one batch of rtnetlink; router advertisements are refused before)
               6 network give the links 10.224.0.2, and a way out by 10.224.0.1  (one batch inside)
               7 network publish port 8080/tcp to 10.224.0.2 port 80  (an element of a map; the host's own firewall comes first)
        "#]]
        .assert_eq(&format!("steps\n{first}"));
        let mut inside = endpoint("back", "10.224.0.9");
        inside.ipv4.as_mut().unwrap().gateway = None;
        let next = steps(&[(network("back", "holm1"), Before::Ready)], &[inside], &[]);
        expect![[r#"
            steps
               1 network write down that the container has 10.224.0.9  (so that nobody else gets it, and a crash leaves nothing unknown)
               2 network lay a cable from holm0 by hv0 to eth0 inside, 02:68:0a:e0:00:09, mtu 1500  (one batch of rtnetlink; router advertisements are refused before)
               3 network give the links 10.224.0.9, and no way out  (one batch inside)
        "#]]
        .assert_eq(&format!("steps\n{next}"));
    }
}
