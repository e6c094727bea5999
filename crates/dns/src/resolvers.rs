//! The host's resolvers (resolv.conf(5)): read, never written.

use std::net::IpAddr;

use crate::table::MOST_RESOLVERS;

/// Where they are.
pub const FILE: &str = "/etc/resolv.conf";
/// The most that is read of the file.
pub(crate) const LONGEST: u64 = 64 * 1024;

/// The name servers in a resolv.conf, in order. Addresses that hold only on one link (`fe80::1%eth0`) are left out, and so is
/// what is no address.
pub fn parse(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if !found.contains(&address) && found.len() < MOST_RESOLVERS {
            found.push(address);
        }
    }
    // As the C library does without any (resolv.conf(5)).
    if found.is_empty() {
        found.push(IpAddr::from([127, 0, 0, 1]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_in_order_and_once() {
        let text = "# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t2001:db8::1  \n nameserver 192.0.2.1\n\
            nameserver fe80::1%eth0\nnameserver x\nnameservers 192.0.2.3\noptions ndots:2\n";
        let found: Vec<String> = parse(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(parse(""), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let many: String = (0..9).map(|last| format!("nameserver 192.0.2.{last}\n")).collect();
        assert_eq!(parse(&many).len(), MOST_RESOLVERS);
    }
}
