//! What the host has for all containers together: bridges, the gate, rules, and links that forward.
//!
//! [`Host::ready`] looks whether everything a network needs is there, in two questions to the kernel, and makes it if not. The work is done
//! under the lock of the leases, so that of two processes one does it. A bridge is set up last: one that is down is not ready.

use std::net::IpAddr;
use std::path::PathBuf;

use netlink::netfilter::{Family, Transaction};
use netlink::route::links::{self, Which};
use netlink::route::{self, AddressHeader, IFF_NOARP, IFF_UP, LinkHeader, RouteHeader, ifa, ifla, info, rta};
use netlink::{Index, Protocol, Requests, Socket, flags};
use report::Kind;

use crate::allocate;
use crate::aside;
use crate::elements;
use crate::error::Error;
use crate::facts::HostNetwork;
use crate::knobs::{self, Knob};
use crate::ledger::Ledger;
use crate::model::{Driver, MacAddress, Network};
use crate::places::Places;
use crate::rules::{self, BridgeRules, MARK, TABLE, World};
use crate::settings::Settings;
use crate::store::Networks;
use crate::whole;

/// The two ends of the gate: where copies go in, and where they come out.
pub const GATE: (&str, &str) = ("holm-gate", "holm-gate-in");
/// The gate's hardware address, at both ends: a neighbour that nobody asks for has the sender's.
const GATE_MAC: MacAddress = MacAddress([0x02, 0x68, 0x6f, 0x6c, 0x6d, 0x00]);

/// `IFA_F_NODAD`: nobody else has the address, so nobody is asked.
pub(crate) const NO_DAD: u8 = 2;

/// `IPV4_DEVCONF_*`
const FORWARDING: u16 = 1;
const RP_FILTER: u16 = 8;
const SOURCE_VALID_MARK: u16 = 24;
const ROUTE_LOCALNET: u16 = 26;

/// The routing rules of hosts that check strictly where packets come from, by number; behind all that is usual, before the main table.
const RULES: [u32; 3] = [32_700, 32_701, 32_702];
/// The routing table that leads back through the gate.
const GATE_TABLE: u32 = 0x686f_6c6d;

/// A link of the host, as far as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) index: u32,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    bridge: bool,
}

/// What the rules are about, the settings that are to be turned for it, and whether any network has IPv6.
#[derive(Debug)]
pub(crate) struct Known {
    world: World,
    knobs: Knobs,
    ipv6: bool,
}

/// Conversations with the kernel in the host's network namespace.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) route: Socket,
    nft: Option<Socket>,
    /// The count of changes of nftables at which the rules are known to be whole.
    pub(crate) whole_at: Option<u32>,
}

impl Host {
    pub(crate) fn open() -> Result<Self, Error> {
        let route = Socket::open(Protocol::Route)
            .map_err(|cause| Error::kernel("talk to the kernel about links", cause))?;
        Ok(Self { route, nft: None, whole_at: None })
    }

    pub(crate) fn nft(&mut self) -> Result<&mut Socket, Error> {
        if self.nft.is_none() {
            let socket = Socket::open(Protocol::Netfilter)
                .map_err(|cause| Error::kernel("talk to the kernel about rules", cause))?;
            self.nft = Some(socket);
        }
        self.nft.as_mut().ok_or_else(|| Error::invalid("rules", "there is no socket", ""))
    }

    /// A link by its name; none if there is none.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<Found>, Error> {
        let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
        request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS).text(ifla::IFNAME, name);
        let read = |message: &netlink::Message<'_>| {
            let (header, attributes) = LinkHeader::read(message)?;
            let known: Index<'_, { route::IFLA_COUNT }> = Index::new(attributes);
            let kind = known.get(ifla::LINKINFO).and_then(|info| info.nested().find(info::KIND));
            Some(Found {
                index: header.index.cast_unsigned(),
                mtu: known.get(ifla::MTU).and_then(|mtu| mtu.u32()).unwrap_or(1500),
                up: header.flags & IFF_UP != 0,
                bridge: kind.is_some_and(|kind| kind.text() == "bridge"),
            })
        };
        match self.route.ask(&mut request, read) {
            Ok(found) => Ok(found),
            Err(cause) if cause.errno() == Some(sys::Errno::NODEV) => Ok(None),
            Err(cause) => Err(Error::kernel(format!("look at the link {name}"), cause)),
        }
    }

    /// Those of the networks whose bridge is there, with its number. Each is asked for by its name: a list of all links is not whole where many
    /// come and go meanwhile (before Linux 6.9).
    pub(crate) fn bridges<'a>(&mut self, all: &'a [Network]) -> Result<Vec<(&'a Network, u32)>, Error> {
        let mut there = Vec::new();
        for network in all.iter().filter(|network| network.driver == Driver::Bridge) {
            there.extend(self.link(&network.interface)?.map(|link| (network, link.index)));
        }
        Ok(there)
    }

    /// The network's link if it is ready for containers.
    pub(crate) fn ready_link(&mut self, network: &Network) -> Result<Option<Found>, Error> {
        let found = self.link(&network.interface)?;
        match (network.driver, found) {
            (Driver::Bridge, None) => Ok(None),
            (Driver::Bridge, Some(found)) if !found.bridge => Err(Error::refused(
                format!("network {}", network.name),
                format!("the host's link {} is no bridge", network.interface),
                "somebody else made it; remove it, or make the network again under another name",
                Kind::StateConflict,
            )),
            (Driver::Bridge, Some(found)) => Ok(Some(found).filter(|found| found.up)),
            (Driver::Macvlan, None) => Err(Error::refused(
                format!("network {}", network.name),
                format!("the host has no link {} any more", network.interface),
                "`holm ip link` lists them; make the network again with --interface-name",
                Kind::NotFound,
            )),
            (Driver::Macvlan, Some(found)) => Ok(Some(found)),
        }
    }

    /// Makes what is missing for the networks: bridges, the gate, rules and forwarding. Returns the number of each network's link. `say` gets
    /// what somebody should know.
    pub(crate) fn ready(
        &mut self,
        networks: &Networks,
        wanted: &[&Network],
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<u32>, Error> {
        let mut found = Vec::with_capacity(wanted.len());
        for network in wanted {
            found.push(self.ready_link(network)?.map(|link| link.index));
        }
        let bridges: Vec<_> =
            wanted.iter().copied().filter(|network| network.driver == Driver::Bridge).collect();
        let ipv6 = bridges.iter().any(|network| network.subnet(false).is_some());
        let there: Option<Vec<u32>> = found.iter().copied().collect();
        if let Some(there) = there
            && (bridges.is_empty() || self.rules_are_whole(&networks.places.run, ipv6)?)
        {
            return Ok(there);
        }
        let ledger = Ledger::open(&networks.places)?;
        let lock = ledger.lock()?;
        self.make(networks, &ledger, &bridges, say)?;
        drop(lock);
        let mut index = |network: &&Network| match self.ready_link(network)? {
            Some(link) => Ok(link.index),
            None => Err(Error::refused(
                format!("network {}", network.name),
                format!("the link {} is gone", network.interface),
                "somebody removed it just now; try again",
                Kind::StateConflict,
            )),
        };
        wanted.iter().map(&mut index).collect()
    }

    /// As [`Host::ready`], with the lock held.
    pub(crate) fn make(
        &mut self,
        networks: &Networks,
        ledger: &Ledger,
        wanted: &[&Network],
        say: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        whole::forget(&networks.places.run)?;
        let facts = HostNetwork::read(&mut self.route)?;
        for network in wanted {
            match self.link(&network.interface)? {
                None => self.make_bridge(network, &facts)?,
                // By somebody who was killed before it was set up; it has whatever he got to.
                Some(found) if !found.up => self.set_up_bridge(network, &facts)?,
                Some(_) => {}
            }
        }
        let gate = self.make_gate()?;
        // Rules that drop come before links that forward.
        let Known { mut world, knobs, ipv6 } = self.known(networks, ledger, false)?;
        world.gate = gate;
        self.write_rules(&networks.places.run, &world, ipv6)?;
        knobs::turn(&networks.places, &knobs, say)?;
        let mut batch = Requests::new();
        for network in wanted {
            links::set_up(&mut batch, Which::Named(&network.interface), true);
        }
        self.route.transact(&mut batch).map_err(|cause| Error::kernel("set the bridge up", cause))
    }

    /// What the rules are about, but for the gate: by the links that there are and the records. `settled`: of the links that forward for holm, those
    /// that do so already. With the lock held.
    pub(crate) fn known(
        &mut self,
        networks: &Networks,
        ledger: &Ledger,
        settled: bool,
    ) -> Result<Known, Error> {
        let all = networks.list()?;
        let facts = HostNetwork::read(&mut self.route)?;
        let mut world = World::default();
        let bridges = self.bridges(&all)?;
        for (network, index) in &bridges {
            world.bridges.push(BridgeRules {
                index: *index,
                internal: network.internal,
                subnets: network.subnets.iter().map(|subnet| subnet.subnet).collect(),
            });
        }
        let ipv6 = bridges.iter().any(|(network, _)| network.subnet(false).is_some());
        for record in ledger.records()? {
            world.ports.extend(allocate::routes(&record.ports, &record.endpoints));
        }
        let own = |name: &str| {
            name == GATE.1
                || all.iter().any(|network| network.driver == Driver::Bridge && network.interface == name)
        };
        let (opened, knobs) = knobs::forwarding(&networks.places, &facts, &own, ipv6, settled);
        world.opened = opened;
        Ok(Known { world, knobs, ipv6 })
    }

    /// Tells what is wrong with the sets of the rules, a line for each; with `mend` it is put right. With the lock held, and with rules that are
    /// whole.
    pub(crate) fn compare_sets(
        &mut self,
        networks: &Networks,
        ledger: &Ledger,
        mend: bool,
    ) -> Result<Vec<String>, Error> {
        let known = self.known(networks, ledger, true)?;
        let mut found = elements::compare(self.nft()?, Family::Ipv4, &known.world, mend)?;
        if known.ipv6 {
            found.extend(elements::compare(self.nft()?, Family::Ipv6, &known.world, mend)?);
        }
        Ok(found)
    }

    fn make_bridge(&mut self, network: &Network, facts: &HostNetwork) -> Result<(), Error> {
        let name = network.interface.as_str();
        let doing = || format!("make the bridge {name}");
        let mut batch = Requests::new();
        batch.begin(route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &LinkHeader::default().bytes());
        batch.text(ifla::IFNAME, name);
        // Without an address of its own it would have that of its first port, and change it when that goes.
        batch.attribute(ifla::ADDRESS, &bridge_mac(network).0);
        // Another one than it is to have: see below.
        batch.u32(ifla::MTU, bridge_mtu(network, facts) ^ 1);
        batch.nest(ifla::LINKINFO, |link| {
            const MULTICAST_SNOOPING: u16 = 23;
            link.attribute(info::KIND, b"bridge");
            // Where nobody asks who listens (a querier), multicast goes to all ports with it as well; but with it each port that comes sets
            // the timers of all the others anew.
            link.nest(info::DATA, |data| _ = data.u8(MULTICAST_SNOOPING, 0));
        });
        self.make_link(&mut batch).map_err(|cause| Error::kernel(doing(), cause))?;
        let outcome = self.set_up_bridge(network, facts);
        if outcome.is_err() {
            // What is half made is in the way of the next try.
            let mut batch = Requests::new();
            links::delete(&mut batch, Which::Named(name));
            let _ = self.route.transact(&mut batch);
        }
        outcome
    }

    /// Makes a link of a kind whose module the kernel may have to load. While somebody else has it loaded, one who comes second is told
    /// that there is no such kind; a moment later there is.
    fn make_link(&mut self, batch: &mut Requests) -> Result<(), netlink::Error> {
        for _ in 0..40 {
            match self.route.transact(batch) {
                Err(cause) if cause.errno() == Some(sys::Errno::OPNOTSUPP) => {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                outcome => return outcome,
            }
        }
        self.route.transact(batch)
    }

    fn set_up_bridge(&mut self, network: &Network, facts: &HostNetwork) -> Result<(), Error> {
        let name = network.interface.as_str();
        let doing = || format!("set up the bridge {name}");
        let index = links::index_of(&mut self.route, name).map_err(|cause| Error::kernel(doing(), cause))?;
        let six = network.subnet(false).is_some();
        // Before it is up: no address is made for a link that has none of that family, and nobody's advertisements are taken.
        let ipv6 = Settings::default();
        ipv6.set_ipv6(name, "accept_ra", "0")?;
        // While its link-local address is asked for, the host asks nobody who a neighbour is on behalf of others.
        ipv6.set_ipv6(name, "accept_dad", "0")?;
        ipv6.set_ipv6(name, "disable_ipv6", if six { "0" } else { "1" })?;
        let mut batch = Requests::new();
        // The length of packets that it is told stays. One that it has from the beginning is compared with those of all ports whenever one comes.
        links::begin(&mut batch, route::NEWLINK, 0, Which::Index(index), LinkHeader::default())
            .u32(ifla::MTU, bridge_mtu(network, facts));
        settings(&mut batch, index, &[(FORWARDING, u32::from(!network.internal)), (ROUTE_LOCALNET, 1)]);
        for subnet in &network.subnets {
            let Some(gateway) = subnet.gateway else { continue };
            add_address(&mut batch, index, gateway, subnet.subnet.length());
        }
        self.route.transact(&mut batch).map_err(|cause| Error::kernel(doing(), cause))
    }

    /// Makes the gate unless it is there; returns the numbers of its ends.
    fn make_gate(&mut self) -> Result<(u32, u32), Error> {
        let doing = || format!("make the gate {}", GATE.0);
        if let (Some(one), Some(two)) = (self.link(GATE.0)?, self.link(GATE.1)?)
            && one.up
            && two.up
        {
            return Ok((one.index, two.index));
        }
        let quiet = LinkHeader { flags: IFF_NOARP, change: IFF_NOARP, ..LinkHeader::default() };
        let mut batch = Requests::new();
        batch.begin(route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &quiet.bytes());
        batch.text(ifla::IFNAME, GATE.0).attribute(ifla::ADDRESS, &GATE_MAC.0);
        batch.nest(ifla::LINKINFO, |link| {
            const PEER: u16 = 1;
            link.attribute(info::KIND, b"veth");
            link.nest(info::DATA, |data| {
                data.nest(PEER, |end| {
                    end.raw(&quiet.bytes()).text(ifla::IFNAME, GATE.1).attribute(ifla::ADDRESS, &GATE_MAC.0);
                });
            });
        });
        match self.make_link(&mut batch) {
            // Made by a process that was killed before it was done with it.
            Err(cause) if cause.errno() == Some(sys::Errno::EXIST) => {}
            outcome => outcome.map_err(|cause| Error::kernel(doing(), cause))?,
        }
        for name in [GATE.0, GATE.1] {
            Settings::default().set_ipv6(name, "accept_ra", "0")?;
        }
        let index = |host: &mut Self, name| {
            links::index_of(&mut host.route, name).map_err(|cause| Error::kernel(doing(), cause))
        };
        let (inlet, outlet) = (index(self, GATE.0)?, index(self, GATE.1)?);
        let mut batch = Requests::new();
        settings(&mut batch, outlet, &[(FORWARDING, 1), (RP_FILTER, 0), (SOURCE_VALID_MARK, 1)]);
        self.route.transact(&mut batch).map_err(|cause| Error::kernel(doing(), cause))?;
        if knobs::checks_sources_strictly() {
            self.lead_back(outlet)?;
        }
        // Up last, the outlet before the inlet: a gate that is up is whole.
        let mut batch = Requests::new();
        links::set_up(&mut batch, Which::Index(outlet), true);
        links::set_up(&mut batch, Which::Index(inlet), true);
        self.route.transact(&mut batch).map_err(|cause| Error::kernel(doing(), cause))?;
        Ok((inlet, outlet))
    }

    /// On a host that checks strictly where packets come from: marked packets may come by the gate. The kernel asks for the way back to
    /// their source with their mark; the way to their destination is asked for with the gate's number, and is left alone.
    fn lead_back(&mut self, outlet: u32) -> Result<(), Error> {
        const TABLE_ATTRIBUTE: u16 = 15;
        let mut batch = Requests::new();
        let header = RouteHeader {
            family: route::AF_INET,
            protocol: 3,
            scope: 253,
            kind: 1,
            ..RouteHeader::default()
        };
        // In the routing table it is there only while the link is up.
        let mut up = Requests::new();
        links::set_up(&mut up, Which::Index(outlet), true);
        self.route.transact(&mut up).map_err(|cause| Error::kernel("set the gate up", cause))?;
        batch.begin(route::NEWROUTE, flags::CREATE | flags::REPLACE, &header.bytes());
        batch.u32(rta::OIF, outlet).u32(TABLE_ATTRIBUTE, GATE_TABLE);
        self.route
            .transact(&mut batch)
            .map_err(|cause| Error::kernel("write the route back through the gate", cause))?;
        for number in [2, 0, 1] {
            let mut batch = Requests::new();
            routing_rule(&mut batch, true, number);
            match self.route.transact(&mut batch) {
                Err(cause) if cause.errno() == Some(sys::Errno::EXIST) => {}
                outcome => {
                    outcome.map_err(|cause| Error::kernel("write the rules for the way back", cause))?
                }
            }
        }
        Ok(())
    }

    /// Takes everything away that is for all networks together, when no bridge is left.
    pub(crate) fn clear(&mut self, places: &Places) -> Result<(), Error> {
        whole::forget(&places.run)?;
        for family in [Family::Ipv4, Family::Ipv6] {
            let mut changes = Transaction::new();
            // Made first, so that one that is gone is no failure.
            changes.add_table(family, TABLE);
            changes.delete_table(family, TABLE);
            match changes.commit(self.nft()?) {
                Err(cause) if cause.errno() == Some(sys::Errno::OPNOTSUPP) => {}
                outcome => outcome.map_err(|cause| Error::kernel("remove the rules", cause))?,
            }
        }
        if self.link(GATE.0)?.is_some() {
            let mut batch = Requests::new();
            links::delete(&mut batch, Which::Named(GATE.0));
            self.route.transact(&mut batch).map_err(|cause| Error::kernel("remove the gate", cause))?;
        }
        for number in 0..RULES.len() {
            let mut batch = Requests::new();
            routing_rule(&mut batch, false, number);
            // Most hosts have none.
            let _ = self.route.transact(&mut batch);
        }
        knobs::turn_back(places)
    }

    /// Removes links, and returns as soon as they are gone; that they are gone already is fine. Returns every error it met.
    pub(crate) fn remove_links(&mut self, names: &[&str]) -> Vec<Error> {
        /// How often it is looked whether they are gone, and how long is waited in between. Each look waits for who is changing links.
        const LOOKS: u32 = 50;
        const PAUSE: std::time::Duration = std::time::Duration::from_micros(200);
        let gone = |host: &mut Self| names.iter().all(|name| matches!(host.link(name), Ok(None)));
        if gone(self) {
            return Vec::new();
        }
        if aside::delete_links(names.iter().copied()).is_ok() {
            for _ in 0..LOOKS {
                std::thread::sleep(PAUSE);
                if gone(self) {
                    return Vec::new();
                }
            }
        }
        names.iter().filter_map(|name| self.remove_link(name).err()).collect()
    }

    /// Removes a link; that it is gone already is fine.
    pub(crate) fn remove_link(&mut self, name: &str) -> Result<(), Error> {
        let mut batch = Requests::new();
        links::delete(&mut batch, Which::Named(name));
        match self.route.transact(&mut batch) {
            Err(cause) if cause.errno() == Some(sys::Errno::NODEV) => Ok(()),
            outcome => outcome.map_err(|cause| Error::kernel(format!("remove the link {name}"), cause)),
        }
    }
}

/// Whether this kernel takes holm's rules, in the network namespace of this thread. They are offered together with a change that cannot be made, so
/// that nothing is changed.
///
/// # Errors
/// What the kernel says of the first rule that it does not take.
pub fn able() -> Result<(), Error> {
    let mut nft = Socket::open(Protocol::Netfilter)
        .map_err(|cause| Error::kernel("talk to the kernel about rules", cause))?;
    for family in [Family::Ipv4, Family::Ipv6] {
        let mut changes = Transaction::new();
        rules::whole(&mut changes, family, &World::default());
        let last = changes.len();
        changes.delete_table(family, "holm-that-is-not-there");
        match changes.commit(&mut nft) {
            Err(netlink::Error::Refused(refused)) if refused.index >= last => {}
            Err(cause) => return Err(Error::kernel("offer the rules of nftables to the kernel", cause)),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The hardware address of a network's bridge, which the host's ends of its cables have, too: the bridge knows one address of its own then, and not one
/// for each port, which a new port would be compared with.
pub(crate) fn bridge_mac(network: &Network) -> MacAddress {
    let gateway = network.subnets.first().and_then(|subnet| subnet.gateway);
    MacAddress::of(gateway.unwrap_or(IpAddr::from([0, 0, 0, 1])))
}

/// The longest packet of a network's bridge: what it says, or what leaves the host whole.
fn bridge_mtu(network: &Network, facts: &HostNetwork) -> u32 {
    network.mtu.or_else(|| facts.ways_out().map(|link| link.mtu).min()).unwrap_or(1500)
}

/// One of [`RULES`]: packets of the gate go past the second, marked ones take it.
fn routing_rule(batch: &mut Requests, add: bool, number: usize) {
    const NEWRULE: u16 = 32;
    const DELRULE: u16 = 33;
    const FRA_IIFNAME: u16 = 3;
    const FRA_GOTO: u16 = 4;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;
    const TO_TABLE: u8 = 1;
    const GOTO: u8 = 2;
    const NOP: u8 = 3;
    let action = [GOTO, TO_TABLE, NOP][number];
    let header = RouteHeader { family: route::AF_INET, kind: action, ..RouteHeader::default() };
    let (kind, flags) = if add { (NEWRULE, flags::CREATE | flags::EXCLUSIVE) } else { (DELRULE, 0) };
    batch.begin(kind, flags, &header.bytes()).u32(FRA_PRIORITY, RULES[number]);
    match number {
        0 => _ = batch.text(FRA_IIFNAME, GATE.1).u32(FRA_GOTO, RULES[2]),
        1 => _ = batch.u32(FRA_FWMARK, MARK).u32(FRA_FWMASK, MARK).u32(FRA_TABLE, GATE_TABLE),
        _ => {}
    }
}

/// Sets what IPv4 does on a link (`IFLA_INET_CONF`): no file is opened.
fn settings(batch: &mut Requests, index: u32, values: &[(u16, u32)]) {
    const INET_CONF: u16 = 1;
    links::begin(batch, route::NEWLINK, 0, Which::Index(index), LinkHeader::default());
    batch.nest(ifla::AF_SPEC, |families| {
        families.nest(route::AF_INET.into(), |own| {
            own.nest(INET_CONF, |list| {
                for (key, value) in values {
                    list.u32(*key, *value);
                }
            });
        });
    });
}

/// Gives a link an address that nobody else has.
pub(crate) fn add_address(batch: &mut Requests, index: u32, address: IpAddr, prefix: u8) {
    let family = if address.is_ipv4() { route::AF_INET } else { route::AF_INET6 };
    let flags = if address.is_ipv4() { 0 } else { NO_DAD };
    let header = AddressHeader { family, prefix, flags, index, scope: 0 };
    batch.begin(route::NEWADDR, netlink::flags::CREATE | netlink::flags::REPLACE, &header.bytes());
    batch.ip(ifa::LOCAL, address).ip(ifa::ADDRESS, address);
    if let IpAddr::V4(own) = address
        && prefix < 31
    {
        let broadcast = u32::from(own) | (u32::MAX >> prefix);
        batch.attribute(ifa::BROADCAST, &broadcast.to_be_bytes());
    }
}

/// Where the settings that were changed are noted.
pub(crate) fn knobs_path(places: &Places) -> PathBuf {
    places.run.join("settings")
}

/// Turns of knobs, for those who look.
pub(crate) type Knobs = Vec<Knob>;
