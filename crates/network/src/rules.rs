//! The rules of nftables: a table of holm's own for each family, `ip holm` and `ip6 holm`.
//!
//! The rules never change. What differs between hosts and moments lies in sets and maps, so that publishing a port adds an element and
//! looks at nothing else. [`whole`] writes a table, [`publish`] and [`unpublish`] change it, [`expected`] tells how an untouched one is listed.
//! Why a published port takes the way that it takes is told in `docs/design/network.md`.

use std::net::IpAddr;

use netlink::netfilter::{
    Base, Chain, Ct, Data, Element, Expr, Family, Hook, Meta, Place, Reg, Set, Transaction, Type, Verdict,
    state, status,
};

use crate::ports::{PortMapping, Protocol};
use crate::prefix::Prefix;

/// The table's name.
pub const TABLE: &str = "holm";

/// Changes with the rules, so that those that another version of holm wrote are written anew.
pub(crate) const VERSION: u32 = 2;

/// The mark that tells packets of the gate from others while the kernel looks whether their source may come by there.
pub const MARK: u32 = 0x0800_0000;

/// A neighbour behind the gate that nobody is: the copy goes to it and so into the cable (RFC 7600; a link-local address).
const BEYOND: (&str, &str) = ("192.0.0.8", "fe80::1");

/// What a table is about, by numbers of links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) bridges: Vec<BridgeRules>,
    /// The gate's two ends: where copies go in, and where they come out.
    pub(crate) gate: (u32, u32),
    /// Links of the host that forward for holm's sake alone, for IPv4 and IPv6.
    pub(crate) opened: [Vec<u32>; 2],
    /// Published ports, and the address they lead to.
    pub(crate) ports: Vec<(PortMapping, IpAddr)>,
}

/// A bridge, as the rules know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeRules {
    pub(crate) index: u32,
    pub(crate) internal: bool,
    pub(crate) subnets: Vec<Prefix>,
}

const R0: Reg = Reg(0);

/// What the two families do differently.
struct Layout {
    family: Family,
    address: Type,
    /// The places of the source and destination in IP's header, and their length.
    source: u32,
    destination: u32,
    len: u32,
}

const fn layout(family: Family) -> Layout {
    match family {
        Family::Ipv6 => Layout { family, address: Type::Ipv6Address, source: 8, destination: 24, len: 16 },
        _ => Layout { family, address: Type::Ipv4Address, source: 12, destination: 16, len: 4 },
    }
}

impl Layout {
    /// The register behind an address in the first ones.
    const fn behind_address(&self) -> u8 {
        (self.len / 4) as u8
    }

    fn load(&self, offset: u32, to: Reg) -> Expr<'static> {
        Expr::Payload { base: Base::Network, offset, len: self.len, to }
    }

    /// Goes on with address and port of the container from register 8 on, if the packet's protocol and port are published on all addresses.
    fn published(&self) -> Vec<Expr<'static>> {
        vec![
            Expr::Meta(Meta::L4Proto, R0),
            Expr::Payload { base: Base::Transport, offset: 2, len: 2, to: Reg(1) },
            Expr::Map(R0, "ports", Reg(8)),
        ]
    }

    /// The same, if they are published on the packet's destination.
    fn published_at(&self) -> Vec<Expr<'static>> {
        let next = self.behind_address();
        vec![
            self.load(self.destination, R0),
            Expr::Meta(Meta::L4Proto, Reg(next)),
            Expr::Payload { base: Base::Transport, offset: 2, len: 2, to: Reg(next + 1) },
            Expr::Map(R0, "ports_at", Reg(8)),
        ]
    }

    fn translate(&self) -> Expr<'static> {
        Expr::DestinationNat(self.family, Reg(8), Reg(8 + self.behind_address()))
    }
}

fn number(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn link_in(meta: Meta, set: &'static str) -> [Expr<'static>; 2] {
    [Expr::Meta(meta, R0), Expr::In(R0, set)]
}

fn link_not_in(meta: Meta, set: &'static str) -> [Expr<'static>; 2] {
    [Expr::Meta(meta, R0), Expr::NotIn(R0, set)]
}

fn link_is(meta: Meta, index: u32) -> [Expr<'static>; 2] {
    [Expr::Meta(meta, R0), Expr::Equal(R0, number(index))]
}

fn has(key: Ct, bits: u32) -> [Expr<'static>; 3] {
    [Expr::Ct(key, R0), Expr::Bitwise(R0, number(bits), number(0)), Expr::Differs(R0, number(0))]
}

/// The destination is one of the host's addresses (`RTN_LOCAL`).
fn is_local() -> [Expr<'static>; 2] {
    [Expr::DestinationType(R0), Expr::Equal(R0, number(2))]
}

const ACCEPT: Expr<'static> = Expr::Verdict(Verdict::Accept);
const DROP: Expr<'static> = Expr::Verdict(Verdict::Drop);

/// A chain's name, where it is hooked in, and its rules.
type Rules = (&'static str, Option<Place>, Vec<Vec<Expr<'static>>>);

fn filter(hook: Hook, priority: i32) -> Option<Place> {
    Some(Place { hook, priority, kind: "filter", drops: false })
}

fn nat(hook: Hook, priority: i32) -> Option<Place> {
    Some(Place { hook, priority, kind: "nat", drops: false })
}

fn rule(parts: &[&[Expr<'static>]]) -> Vec<Expr<'static>> {
    parts.concat()
}

fn chains(family: Family, gate: (u32, u32)) -> Vec<Rules> {
    let own = layout(family);
    let ipv4 = family == Family::Ipv4;
    let pair = |meta: Meta, offset: u32| {
        vec![Expr::Meta(meta, R0), own.load(offset, Reg(1)), Expr::In(R0, "networks")]
    };
    let no_pair = |meta: Meta, offset: u32| {
        vec![Expr::Meta(meta, R0), own.load(offset, Reg(1)), Expr::NotIn(R0, "networks")]
    };
    // 127.0.0.0/8
    let loopback = [
        Expr::Payload { base: Base::Network, offset: own.destination, len: 1, to: R0 },
        Expr::Equal(R0, vec![127]),
    ];
    let from_loopback = [
        Expr::Payload { base: Base::Network, offset: own.source, len: 1, to: R0 },
        Expr::Equal(R0, vec![127]),
    ];
    let mark = |bits: u32| {
        let keep = number(!MARK);
        [Expr::Meta(Meta::Mark, R0), Expr::Bitwise(R0, keep, number(bits)), Expr::SetMeta(Meta::Mark, R0)]
    };
    let gate_in = link_is(Meta::Iif, gate.1);

    // A bridge takes packets for 127.0.0.0/8, since answers to those come back there: what names it already is no answer.
    let mut raw = Vec::new();
    if ipv4 {
        // What few packets have is asked first.
        raw.push(rule(&[&loopback, &link_in(Meta::Iif, "bridges"), &[DROP]]));
    }
    raw.push(rule(&[&gate_in, &mark(MARK)]));

    let prerouting = vec![
        rule(&[&gate_in, &own.published_at(), &[own.translate()]]),
        rule(&[&gate_in, &own.published(), &[own.translate()]]),
    ];
    let output = vec![
        rule(&[&own.published_at(), &[own.translate()]]),
        rule(&[&is_local(), &own.published(), &[own.translate()]]),
    ];
    let mut postrouting =
        vec![rule(&[&has(Ct::Status, status::DST_NAT), &pair(Meta::Oif, own.source), &[Expr::Masquerade]])];
    if ipv4 {
        postrouting.push(rule(&[&link_in(Meta::Oif, "bridges"), &from_loopback, &[Expr::Masquerade]]));
    }
    postrouting.push(rule(&[
        &link_not_in(Meta::Oif, "bridges"),
        &pair(Meta::Iif, own.source),
        &[Expr::Masquerade],
    ]));

    let same = [Expr::Meta(Meta::Iif, R0), Expr::Meta(Meta::Oif, Reg(1)), Expr::In(R0, "same")];
    let forward = vec![
        // With br_netfilter, all that containers of a network say to each other comes here.
        rule(&[&same, &[ACCEPT]]),
        rule(&[&gate_in, &mark(0)]),
        rule(&[&link_in(Meta::Iif, "bridges"), &no_pair(Meta::Iif, own.source), &[DROP]]),
        // Most packets: the first of their connection went all the way.
        rule(&[&has(Ct::State, state::ESTABLISHED | state::RELATED), &[ACCEPT]]),
        rule(&[&link_in(Meta::Iif, "internal"), &[DROP]]),
        rule(&[&link_in(Meta::Oif, "internal"), &[DROP]]),
        rule(&[&link_in(Meta::Oif, "bridges"), &has(Ct::Status, status::DST_NAT), &[ACCEPT]]),
        rule(&[&link_in(Meta::Oif, "bridges"), &[DROP]]),
        rule(&[&link_in(Meta::Iif, "opened"), &[DROP]]),
    ];

    // To the host itself an internal network may ask for names, and be asked back.
    let dns = |protocol: u8| {
        [
            Expr::Meta(Meta::L4Proto, Reg(1)),
            Expr::Equal(Reg(1), vec![protocol]),
            Expr::Payload { base: Base::Transport, offset: 2, len: 2, to: Reg(1) },
            Expr::Equal(Reg(1), 53u16.to_be_bytes().to_vec()),
        ]
    };
    let icmp = if ipv4 { 1 } else { 58 };
    let input = vec![
        rule(&[&gate_in, &[DROP]]),
        rule(&[&link_in(Meta::Iif, "internal"), &[Expr::Verdict(Verdict::Goto("inside"))]]),
    ];
    let inside = vec![
        rule(&[&has(Ct::State, state::ESTABLISHED | state::RELATED), &[ACCEPT]]),
        rule(&[&dns(17), &[ACCEPT]]),
        rule(&[&dns(6), &[ACCEPT]]),
        rule(&[&[Expr::Meta(Meta::L4Proto, R0), Expr::Equal(R0, vec![icmp])], &[ACCEPT]]),
        vec![DROP],
    ];

    // Behind every other chain of the way in: what comes here was let in by all of them.
    let mut gate_chain = vec![rule(&[&link_is(Meta::Iif, 1), &[ACCEPT]])];
    if ipv4 {
        gate_chain.push(rule(&[&loopback, &[ACCEPT]]));
    }
    gate_chain.push(rule(&[
        &has(Ct::State, state::NEW),
        &own.published_at(),
        &[Expr::Verdict(Verdict::Goto("through"))],
    ]));
    gate_chain.push(rule(&[
        &has(Ct::State, state::NEW),
        &is_local(),
        &own.published(),
        &[Expr::Verdict(Verdict::Goto("through"))],
    ]));
    let beyond = if ipv4 { BEYOND.0 } else { BEYOND.1 };
    let beyond = match beyond.parse() {
        Ok(IpAddr::V4(address)) => address.octets().to_vec(),
        Ok(IpAddr::V6(address)) => address.octets().to_vec(),
        Err(_) => Vec::new(),
    };
    let link = Reg(own.behind_address());
    let through = vec![
        vec![Expr::Load(R0, beyond), Expr::Load(link, number(gate.0)), Expr::Duplicate(R0, link)],
        vec![DROP],
    ];

    vec![
        ("inside", None, inside),
        ("through", None, through),
        ("raw", filter(Hook::Prerouting, -300), raw),
        ("prerouting", nat(Hook::Prerouting, -100), prerouting),
        ("output", nat(Hook::Output, -100), output),
        ("postrouting", nat(Hook::Postrouting, 100), postrouting),
        ("forward", filter(Hook::Forward, 0), forward),
        ("input", filter(Hook::Input, 0), input),
        // Just before connection tracking, which takes note of what has passed everything: at the last place for IPv4, one before for IPv6.
        ("gate", filter(Hook::Input, i32::MAX - 2), gate_chain),
    ]
}

/// How the kernel lists the chains of an untouched table: their names, and how often each is used.
pub(crate) fn expected(family: Family) -> Vec<(&'static str, u32)> {
    let chains = chains(family, (0, 0));
    let leads = |rule: &Vec<Expr<'static>>, name: &str| {
        rule.iter()
            .any(|expr| matches!(expr, Expr::Verdict(Verdict::Goto(to) | Verdict::Jump(to)) if *to == name))
    };
    let uses =
        |name: &str| chains.iter().flat_map(|(.., rules)| rules).filter(|rule| leads(rule, name)).count();
    chains.iter().map(|(name, _, rules)| (*name, (rules.len() + uses(name)) as u32)).collect()
}

/// Writes a whole table in place of the one that is there.
pub(crate) fn whole(changes: &mut Transaction, family: Family, world: &World) {
    let own = layout(family);
    let address = own.address;
    changes.add_table(family, TABLE);
    changes.delete_table(family, TABLE);
    changes.add_table(family, TABLE);
    let links = |name| Set { name, key: &[Type::LinkIndex], data: &[], interval: false };
    for name in ["bridges", "internal", "opened"] {
        changes.add_set(family, TABLE, &links(name));
    }
    let pairs = [Type::LinkIndex, Type::LinkIndex];
    changes.add_set(family, TABLE, &Set { name: "same", key: &pairs, data: &[], interval: false });
    let networks = [Type::LinkIndex, address];
    changes.add_set(family, TABLE, &Set { name: "networks", key: &networks, data: &[], interval: true });
    let target = [address, Type::Port];
    let port = [Type::Protocol, Type::Port];
    changes.add_set(family, TABLE, &Set { name: "ports", key: &port, data: &target, interval: false });
    let port_at = [address, Type::Protocol, Type::Port];
    changes.add_set(family, TABLE, &Set { name: "ports_at", key: &port_at, data: &target, interval: false });
    let chains = chains(family, world.gate);
    for (name, place, _) in &chains {
        changes.add_chain(family, TABLE, &Chain { name, place: *place });
    }
    for (name, _, rules) in &chains {
        for rule in rules {
            // nft does not show that a map is looked into when nothing is made of what it says.
            let comment = match rule.last() {
                Some(Expr::Verdict(Verdict::Goto("through"))) => "of published ports",
                _ => "",
            };
            changes.add_rule(family, TABLE, name, rule, comment);
        }
    }
    for (set, elements) in contents(family, world) {
        if !elements.is_empty() {
            changes.add_elements(family, TABLE, set, &elements, false);
        }
    }
}

/// What the sets of a table hold.
pub(crate) fn contents(family: Family, world: &World) -> [(&'static str, Vec<Element<'static>>); 7] {
    let bridges: Vec<_> = world.bridges.iter().flat_map(|bridge| bridge_elements(family, bridge)).collect();
    let of = |set: &str| -> Vec<Element<'static>> {
        bridges.iter().filter(|(own, _)| *own == set).map(|(_, element)| element.clone()).collect()
    };
    let opened = world.opened[usize::from(family == Family::Ipv6)].iter();
    let [ports, ports_at] = port_elements(family, &world.ports);
    [
        ("bridges", of("bridges")),
        ("same", of("same")),
        ("internal", of("internal")),
        ("networks", of("networks")),
        ("opened", opened.map(|link| only(number(*link))).collect()),
        ports,
        ports_at,
    ]
}

fn only(key: Vec<u8>) -> Element<'static> {
    Element { key, ..Element::default() }
}

fn bridge_elements(family: Family, bridge: &BridgeRules) -> Vec<(&'static str, Element<'static>)> {
    let index = number(bridge.index);
    let mut elements = vec![("bridges", only(index.clone())), ("same", only([&index[..], &index].concat()))];
    if bridge.internal {
        elements.push(("internal", only(index.clone())));
    }
    for subnet in bridge.subnets.iter().filter(|subnet| subnet.is_ipv4() == (family == Family::Ipv4)) {
        let key = [&index[..], &bytes(subnet.address())].concat();
        let last = Some([&index[..], &bytes(subnet.last())].concat());
        elements.push(("networks", Element { key, last, data: None }));
    }
    elements
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Two bytes in network order, and two of padding.
fn port_bytes(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The elements that ports are, of one family, with the sets they belong to.
fn port_elements(
    family: Family,
    ports: &[(PortMapping, IpAddr)],
) -> [(&'static str, Vec<Element<'static>>); 2] {
    let ipv4 = family == Family::Ipv4;
    let (mut all, mut one) = (Vec::new(), Vec::new());
    for (port, target) in ports.iter().filter(|(_, target)| target.is_ipv4() == ipv4) {
        let mut key = vec![port.protocol.number(), 0, 0, 0];
        key.extend(port_bytes(port.host_port));
        let mut data = bytes(*target);
        data.extend(port_bytes(port.container_port));
        let data = Some(Data::Value(data));
        match port.host_ip {
            Some(address) if address.is_ipv4() != ipv4 => {}
            Some(address) if !address.is_unspecified() => {
                one.push(Element { key: [bytes(address), key].concat(), last: None, data });
            }
            _ => all.push(Element { key, last: None, data }),
        }
    }
    [("ports", all), ("ports_at", one)]
}

/// The port of the host that an element of a set stands for; none where the set is of something else. What it leads to is not told.
pub(crate) fn port_of(family: Family, set: &str, element: &Element<'_>) -> Option<PortMapping> {
    let (address, rest) = match (set, family) {
        ("ports", _) => (None, element.key.as_slice()),
        ("ports_at", Family::Ipv4) => {
            let (address, rest) = element.key.split_first_chunk::<4>()?;
            (Some(IpAddr::from(*address)), rest)
        }
        ("ports_at", _) => {
            let (address, rest) = element.key.split_first_chunk::<16>()?;
            (Some(IpAddr::from(*address)), rest)
        }
        _ => return None,
    };
    let [number, _, _, _, high, low, ..] = *rest else { return None };
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    Some(PortMapping {
        host_ip: address,
        host_port: u16::from_be_bytes([high, low]),
        container_port: 0,
        protocol: protocols.into_iter().find(|protocol| protocol.number() == number)?,
    })
}

/// Publishes ports.
pub(crate) fn publish(changes: &mut Transaction, family: Family, ports: &[(PortMapping, IpAddr)]) {
    for (set, elements) in port_elements(family, ports) {
        if !elements.is_empty() {
            changes.add_elements(family, TABLE, set, &elements, false);
        }
    }
}

/// Takes published ports back.
pub(crate) fn unpublish(changes: &mut Transaction, family: Family, ports: &[(PortMapping, IpAddr)]) {
    for (set, elements) in port_elements(family, ports) {
        if !elements.is_empty() {
            changes.delete_elements(family, TABLE, set, &elements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who changes the rules changes their number.
    #[test]
    fn the_rules_have_a_number_of_their_own() {
        let mut changes = Transaction::new();
        whole(&mut changes, Family::Ipv4, &World::default());
        whole(&mut changes, Family::Ipv6, &World::default());
        // FNV-1a, which is the same everywhere.
        let text = format!("{changes:?}");
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        expect_test::expect!["2: 85869d0f23e6a255"].assert_eq(&format!("{VERSION}: {hash:x}"));
    }

    #[test]
    fn a_port_is_read_from_the_element_that_it_is() {
        for (text, family, target) in [
            ("8080:80", Family::Ipv4, "10.0.0.2"),
            ("127.0.0.1:53:53/udp", Family::Ipv4, "10.0.0.2"),
            ("[fd00::1]:9:9/sctp", Family::Ipv6, "fd00::2"),
        ] {
            let publish: crate::Publish = text.parse().unwrap();
            let wanted = crate::ports::wanted(&[publish], false, &[]);
            let port = crate::ports::choose(&wanted, |_| false, 0).unwrap()[0];
            let sets = port_elements(family, &[(port, target.parse().unwrap())]);
            let read: Vec<_> = sets
                .iter()
                .flat_map(|(set, elements)| elements.iter().map(|element| port_of(family, set, element)))
                .collect();
            assert_eq!(read, [Some(PortMapping { container_port: 0, ..port })], "{text}");
        }
        let link = Element { key: vec![1, 0, 0, 0], ..Element::default() };
        assert_eq!(port_of(Family::Ipv4, "bridges", &link), None);
        assert_eq!(port_of(Family::Ipv4, "ports", &link), None, "too short");
    }
}
