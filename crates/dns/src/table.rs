//! Who is called what, on which network.
//!
//! A [`Table`] is read from text ([`Table::read`]), which is what the files of the directory hold, one behind the other.
//! Each line is a word and its values, parted by tabs or blanks:
//!
//! ```text
//! resolvers 192.0.2.53
//! network shop holm1 open
//! gateways 10.89.0.1 fd00:89::1
//! subnets 10.89.0.0/24 fd00:89::/64
//! entry 4f1c…
//! names web www
//! addresses 10.89.0.2 fd00:89::2
//! forward 198.51.100.53
//! ```

use std::collections::HashMap;
use std::net::IpAddr;

use crate::name;

/// How many resolvers are asked at most, as in resolv.conf(5) but for one more.
pub const MOST_RESOLVERS: usize = 4;

/// What the answerer knows.
#[derive(Debug, Default)]
pub struct Table {
    /// The host's resolvers.
    pub resolvers: Vec<IpAddr>,
    networks: Vec<Network>,
    containers: Vec<Container>,
    askers: HashMap<(usize, IpAddr), usize>,
}

/// One network.
#[derive(Debug, Default)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The bridge.
    pub device: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// The host's addresses on it.
    pub gateways: Vec<IpAddr>,
    /// Its addresses, each with the length of the prefix.
    pub subnets: Vec<(IpAddr, u8)>,
    /// The resolvers of its own.
    pub resolvers: Vec<IpAddr>,
    names: HashMap<Box<str>, Vec<IpAddr>>,
    pointers: HashMap<IpAddr, Box<str>>,
}

#[derive(Debug, Default)]
struct Container {
    networks: Vec<usize>,
    resolvers: Vec<IpAddr>,
}

/// Whether `address` is in a subnet.
pub fn contains((subnet, length): (IpAddr, u8), address: IpAddr) -> bool {
    match (subnet, address) {
        (IpAddr::V4(subnet), IpAddr::V4(address)) => {
            let shift = 32u32.saturating_sub(length.into());
            let bits = subnet.to_bits() ^ address.to_bits();
            bits.checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(subnet), IpAddr::V6(address)) => {
            let shift = 128u32.saturating_sub(length.into());
            let bits = subnet.to_bits() ^ address.to_bits();
            bits.checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

impl Network {
    /// Whether an address belongs to the network.
    pub fn has(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| contains(*subnet, address))
    }

    /// The addresses of a name.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        match self.names.get(name) {
            Some(addresses) => addresses,
            None if name == name::HOST => &self.gateways,
            None => &[],
        }
    }

    /// The name of an address.
    pub fn pointer(&self, address: IpAddr) -> Option<&str> {
        match self.pointers.get(&address) {
            Some(name) => Some(name),
            None => self.gateways.contains(&address).then_some(name::HOST),
        }
    }
}

fn addresses<'a>(words: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    words.filter_map(|word| word.parse().ok()).collect()
}

impl Table {
    /// Reads text. What cannot be understood is left out: a wrong line takes one name away, not all of them.
    pub fn read(text: &str) -> Self {
        let mut table = Self::default();
        // The entry being read: its container, and what to note once both names and addresses are known.
        let mut names: Vec<&str> = Vec::new();
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let mut current: Option<usize> = None;
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(word) = words.next() else { continue };
            match word {
                "resolvers" => table.resolvers = limited(addresses(words)),
                "network" => {
                    let mut word = || words.next().unwrap_or_default().to_owned();
                    let (name, device) = (word(), word());
                    // Anything but the word itself closes the way out.
                    let internal = words.next() != Some("open");
                    table.networks.push(Network { name, device, internal, ..Network::default() });
                    current = None;
                    names.clear();
                }
                "entry" => {
                    let index = table.networks.len().wrapping_sub(1);
                    names.clear();
                    current = words.next().filter(|_| index != usize::MAX).map(|id| {
                        *ids.entry(id).or_insert_with(|| {
                            table.containers.push(Container::default());
                            table.containers.len() - 1
                        })
                    });
                    if let Some(container) = current {
                        let networks = &mut table.containers[container].networks;
                        if !networks.contains(&index) {
                            networks.push(index);
                        }
                    }
                }
                "names" if current.is_some() => names = words.filter(|name| name::is_name(name)).collect(),
                "addresses" => {
                    let (Some(container), Some(index)) = (current, table.networks.len().checked_sub(1))
                    else {
                        continue;
                    };
                    let network = &mut table.networks[index];
                    for address in addresses(words) {
                        table.askers.insert((index, address), container);
                        for name in &names {
                            let known = network.names.entry(name.to_ascii_lowercase().into()).or_default();
                            if !known.contains(&address) {
                                known.push(address);
                            }
                        }
                        if let Some(first) = names.first() {
                            network
                                .pointers
                                .entry(address)
                                .or_insert_with(|| first.to_ascii_lowercase().into());
                        }
                    }
                }
                "forward" => match current {
                    Some(container) => table.containers[container].resolvers = limited(addresses(words)),
                    None => {
                        if let Some(network) = table.networks.last_mut() {
                            network.resolvers = limited(addresses(words));
                        }
                    }
                },
                "gateways" => {
                    if let Some(network) = table.networks.last_mut() {
                        network.gateways = addresses(words);
                    }
                }
                "subnets" => {
                    if let Some(network) = table.networks.last_mut() {
                        network.subnets = words.filter_map(subnet).collect();
                    }
                }
                _ => {}
            }
        }
        table
    }

    /// The networks, in order.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// The place of the network called so.
    pub fn find(&self, network: &str) -> Option<usize> {
        self.networks.iter().position(|known| known.name == network)
    }

    /// The networks in which somebody on network `index` finds names: all of the container's, the one he asks on first.
    pub fn visible(&self, index: usize, asker: IpAddr) -> impl Iterator<Item = &Network> {
        let others =
            self.askers.get(&(index, asker)).map_or(&[] as &[usize], |at| &self.containers[*at].networks);
        let others = others.iter().filter(move |other| **other != index);
        self.networks.get(index).into_iter().chain(others.filter_map(|other| self.networks.get(*other)))
    }

    /// Who is asked for foreign names: the container's resolvers, the network's, or the host's. Nobody on a network
    /// without a way out: there, a question that is passed on would be a way out itself.
    pub fn forwarders(&self, index: usize, asker: IpAddr) -> &[IpAddr] {
        let Some(network) = self.networks.get(index).filter(|network| !network.internal) else { return &[] };
        let own = self.askers.get(&(index, asker)).map(|at| self.containers[*at].resolvers.as_slice());
        match own {
            Some(own) if !own.is_empty() => own,
            _ if !network.resolvers.is_empty() => &network.resolvers,
            _ => &self.resolvers,
        }
    }
}

fn limited(mut list: Vec<IpAddr>) -> Vec<IpAddr> {
    list.truncate(MOST_RESOLVERS);
    list
}

fn subnet(word: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = word.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= most)?;
    Some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "resolvers 192.0.2.1 192.0.2.2 x\n\
        network shop holm1 open\ngateways 10.89.0.1 fd00::1\nsubnets 10.89.0.0/24 fd00::/64\n\
        entry c1\nnames Web www\naddresses 10.89.0.2 fd00::2\n\
        entry c2\nnames db www\naddresses 10.89.0.3\nforward 198.51.100.1\n\
        network back holm2 internal\ngateways 10.90.0.1\nsubnets 10.90.0.0/24\nforward 203.0.113.1\n\
        entry c2\nnames db\naddresses 10.90.0.3\nentry c3\nnames vault\naddresses 10.90.0.4\n";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn several_containers_may_share_a_name() {
        let table = Table::read(TEXT);
        assert_eq!(table.networks()[0].addresses("www"), [ip("10.89.0.2"), ip("fd00::2"), ip("10.89.0.3")]);
        assert_eq!(table.networks()[0].addresses("web"), [ip("10.89.0.2"), ip("fd00::2")]);
        assert_eq!(table.networks()[0].pointer(ip("fd00::2")), Some("web"));
        assert_eq!(table.networks()[0].pointer(ip("10.89.0.1")), Some("host"));
        assert_eq!(table.networks()[0].pointer(ip("10.89.0.9")), None);
    }

    #[test]
    fn a_container_on_two_networks_sees_both_and_others_only_their_own() {
        let table = Table::read(TEXT);
        let names = |index, asker| -> Vec<&str> {
            table.visible(index, ip(asker)).map(|network| network.name.as_str()).collect()
        };
        assert_eq!(names(0, "10.89.0.3"), ["shop", "back"]);
        assert_eq!(names(1, "10.90.0.3"), ["back", "shop"]);
        assert_eq!(names(0, "10.89.0.2"), ["shop"]);
        assert_eq!(names(1, "10.90.0.4"), ["back"]);
        assert_eq!(names(0, "10.89.0.77"), ["shop"]);
        assert!(names(7, "10.89.0.3").is_empty());
    }

    #[test]
    fn foreign_names_go_to_the_nearest_resolvers_and_nowhere_from_an_internal_network() {
        let table = Table::read(TEXT);
        assert_eq!(table.forwarders(0, ip("10.89.0.2")), [ip("192.0.2.1"), ip("192.0.2.2")]);
        assert_eq!(table.forwarders(0, ip("10.89.0.3")), [ip("198.51.100.1")]);
        assert!(table.forwarders(1, ip("10.90.0.3")).is_empty());
        assert!(table.forwarders(1, ip("10.90.0.4")).is_empty());
    }

    #[test]
    fn lines_that_cannot_be_understood_are_left_out() {
        let text = "entry lost\nnames a\naddresses 1.2.3.4\nforward 1.1.1.1\ngateways 9.9.9.9\nsubnets 1.2.3.4/5\n\
            network n d what\nsubnets 10.0.0.0/33 10.0.0.0 10.0.0.0/8 x/1\nnames b\naddresses 10.0.0.1\nentry\naddresses 10.0.0.1\n\
            entry e\nnames ok a..b\naddresses 300.1.1.1 10.0.0.2\nnoise";
        let table = Table::read(text);
        assert_eq!(table.networks()[0].addresses("ok"), [ip("10.0.0.2")]);
        assert!(table.networks()[0].addresses("b").is_empty());
        assert!(table.networks()[0].internal, "a word that is not `open` closes the way out");
        assert_eq!(table.networks()[0].subnets.len(), 1);
    }

    #[test]
    fn subnets_contain_what_shares_their_prefix() {
        let subnet = |text| subnet(text).unwrap();
        assert!(contains(subnet("10.0.0.0/8"), ip("10.255.0.1")));
        assert!(!contains(subnet("10.0.0.0/8"), ip("11.0.0.1")));
        assert!(contains(subnet("0.0.0.0/0"), ip("11.0.0.1")));
        assert!(contains(subnet("10.0.0.1/32"), ip("10.0.0.1")));
        assert!(contains(subnet("::/0"), ip("fd00::1")));
        assert!(!contains(subnet("fd00::/64"), ip("fd00:0:0:1::1")));
        assert!(!contains(subnet("0.0.0.0/0"), ip("::1")));
    }
}
