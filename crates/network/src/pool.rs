//! Which subnet a new network gets, and which address a container. Everything here is pure.

use std::net::IpAddr;

use crate::model::Subnet;
use crate::prefix::Prefix;

/// Where subnets of IPv4 are taken from, and how long their prefixes are. A bridge has room for 1023 cables, which is what fits a /22. The ranges
/// are those of RFC 1918; the first is one that docker, podman and Kubernetes do not begin with.
const POOLS: [(&str, u8); 3] = [("10.224.0.0/12", 22), ("172.16.0.0/12", 22), ("192.168.0.0/16", 24)];

/// As many addresses of a subnet are looked through as there can be.
const MOST: u128 = 1 << 16;

/// The first subnet of IPv4 that has nothing in common with those in use.
pub fn free_ipv4(used: &[Prefix]) -> Option<Prefix> {
    POOLS.iter().find_map(|(pool, len)| {
        let pool: Prefix = pool.parse().ok()?;
        let step = 1u128 << (32 - len);
        let mut index = 0;
        while let Some(address) = pool.nth(index) {
            let candidate = Prefix::around(address, *len)?;
            match used.iter().filter(|other| other.overlaps(&candidate)).map(Prefix::last).max() {
                None => return Some(candidate),
                // On behind what is in the way.
                Some(last) => match pool.index_of(last) {
                    Some(end) => index = (end / step + 1) * step,
                    None => return None,
                },
            }
        }
        None
    })
}

/// A subnet of the unique local addresses (RFC 4193): 40 random bits, then a subnet of it that is free.
pub fn free_ipv6(used: &[Prefix], random: u64) -> Option<Prefix> {
    let global = 0xfd << 120 | u128::from(random & 0xff_ffff_ffff) << 80;
    (0..=0xffffu128).find_map(|subnet| {
        let candidate = Prefix::around(IpAddr::V6((global | subnet << 64).into()), 64)?;
        (!used.iter().any(|other| other.overlaps(&candidate))).then_some(candidate)
    })
}

/// Why an address cannot be a container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It lies elsewhere.
    #[error("it is not in the network's subnet {0}")]
    Outside(Prefix),
    /// It stands for the whole subnet, or for everybody in it.
    #[error("it is the first or the last address of {0}, which no host can have")]
    Edge(Prefix),
    /// The router has it.
    #[error("it is the network's gateway")]
    Gateway,
}

/// Whether a host in the subnet can have this address.
///
/// # Errors
/// Why not.
pub fn usable(subnet: &Subnet, address: IpAddr) -> Result<(), Unusable> {
    let prefix = subnet.subnet;
    if !prefix.contains(address) {
        return Err(Unusable::Outside(prefix));
    }
    if Some(address) == subnet.gateway {
        return Err(Unusable::Gateway);
    }
    // Two addresses are a line between two hosts, without edges (RFC 3021, RFC 6164).
    let edges = prefix.last_index() > 1;
    // Of IPv6 the first one is that of any router there (RFC 4291, 2.6.1), and no last one is kept from hosts.
    let edge = address == prefix.address() || (prefix.is_ipv4() && address == prefix.last());
    if edges && edge { Err(Unusable::Edge(prefix)) } else { Ok(()) }
}

/// The first address behind `after` that a host can have and nobody has; behind the last one comes the first. `taken` tells whether somebody has it.
pub fn free_address(
    subnet: &Subnet,
    after: Option<IpAddr>,
    mut taken: impl FnMut(IpAddr) -> bool,
) -> Option<IpAddr> {
    let range = subnet.ip_range.unwrap_or(subnet.subnet);
    let count = range.last_index().saturating_add(1).min(MOST);
    let start = after.and_then(|address| range.index_of(address)).filter(|index| *index < count);
    let first = start.map_or(0, |index| index + 1);
    (0..count)
        .filter_map(|step| range.nth((first + step) % count))
        .find(|address| usable(subnet, *address).is_ok() && !taken(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn subnet(text: &str) -> Subnet {
        let subnet: Prefix = text.parse().unwrap();
        Subnet { subnet, gateway: subnet.nth(1), ip_range: None }
    }

    #[test]
    fn a_new_network_keeps_clear_of_what_is_in_use() {
        for (used, chosen) in [
            (&[][..], Some("10.224.0.0/22")),
            (&["10.224.0.0/22"], Some("10.224.4.0/22")),
            (&["10.224.0.0/22", "10.224.4.0/22", "10.224.8.128/25"], Some("10.224.12.0/22")),
            (&["10.224.0.0/13"], Some("10.232.0.0/22")),
            (&["10.0.0.0/8"], Some("172.16.0.0/22")),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/23"], Some("192.168.2.0/24")),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], None),
            (&["0.0.0.0/1", "128.0.0.0/1"], None),
            (&["fd00::/8"], Some("10.224.0.0/22")),
        ] {
            assert_eq!(
                free_ipv4(&prefixes(used)).map(|prefix| prefix.to_string()).as_deref(),
                chosen,
                "{used:?}"
            );
        }
    }

    #[test]
    fn subnets_are_given_out_once_until_there_are_none() {
        let mut used =
            prefixes(&["10.225.0.0/16", "10.226.0.0/15", "10.228.0.0/14", "10.232.0.0/13", "172.16.0.0/12"]);
        let before = used.len();
        while let Some(next) = free_ipv4(&used) {
            assert!(!used.iter().any(|other| other.overlaps(&next)), "{next}");
            used.push(next);
        }
        assert_eq!(used.len() - before, 64 + 256);
    }

    #[test]
    fn a_subnet_of_ipv6_is_a_random_one() {
        let first = free_ipv6(&[], 0x12_3456_789a).unwrap();
        assert_eq!(first.to_string(), "fd12:3456:789a::/64");
        assert_eq!(free_ipv6(&[first], 0x12_3456_789a).unwrap().to_string(), "fd12:3456:789a:1::/64");
        assert_eq!(free_ipv6(&prefixes(&["fd00::/8"]), 1), None);
    }

    #[test]
    fn addresses_are_given_out_in_turn() {
        let net = subnet("10.0.0.0/29");
        let given = |after: Option<&str>, taken: &[&str]| {
            let after = after.map(|address| address.parse().unwrap());
            free_address(&net, after, |address| taken.contains(&address.to_string().as_str()))
                .map(|address| address.to_string())
        };
        assert_eq!(given(None, &[]).as_deref(), Some("10.0.0.2"), "the gateway is not given out");
        assert_eq!(given(Some("10.0.0.4"), &[]).as_deref(), Some("10.0.0.5"));
        assert_eq!(given(Some("10.0.0.6"), &[]).as_deref(), Some("10.0.0.2"), "the broadcast address is not");
        assert_eq!(given(Some("10.0.0.4"), &["10.0.0.5"]).as_deref(), Some("10.0.0.6"));
        assert_eq!(given(None, &["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]), None);
        let part = Subnet { ip_range: "10.0.0.4/31".parse().ok(), ..net };
        assert_eq!(free_address(&part, None, |_| false), "10.0.0.4".parse().ok());
        assert_eq!(free_address(&part, "10.0.0.5".parse().ok(), |_| false), "10.0.0.4".parse().ok());
        let six = subnet("fd00::/64");
        assert_eq!(free_address(&six, None, |_| false), "fd00::2".parse().ok());
        assert_eq!(free_address(&six, None, |_| true), None, "a search that ends");
    }

    #[test]
    fn an_address_that_no_host_can_have_is_refused() {
        let net = subnet("10.0.0.0/24");
        for (address, verdict) in [
            ("10.0.0.9", "fine"),
            ("10.0.1.9", "it is not in the network's subnet 10.0.0.0/24"),
            ("10.0.0.0", "it is the first or the last address of 10.0.0.0/24, which no host can have"),
            ("10.0.0.255", "it is the first or the last address of 10.0.0.0/24, which no host can have"),
            ("10.0.0.1", "it is the network's gateway"),
            ("fd00::1", "it is not in the network's subnet 10.0.0.0/24"),
        ] {
            let found = usable(&net, address.parse().unwrap());
            assert_eq!(
                found.map_or_else(|why| why.to_string(), |()| "fine".to_owned()),
                verdict,
                "{address}"
            );
        }
    }
}
