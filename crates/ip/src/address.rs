//! Addresses and prefixes as iproute2 reads and writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink::route::{AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC};

use crate::fail::Fail;
use crate::words::number;

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The address family: that of the address, or what was asked for where there is no address.
    pub(crate) family: u8,
    /// None for `default`, `any` and `all`.
    pub(crate) address: Option<IpAddr>,
    /// The length in bits.
    pub(crate) bits: u8,
    /// Whether the length was written.
    pub(crate) given: bool,
}

impl Prefix {
    /// Whether the first bits of `address` are those of this prefix; `None` counts as an address of zeros.
    pub(crate) fn matches(&self, address: Option<IpAddr>, bits: u8) -> bool {
        let ours = self.address.map(octets).unwrap_or_default();
        let theirs = address.map(octets).unwrap_or_default();
        first_bits(ours, bits) == first_bits(theirs, bits)
    }
}

/// The bytes of an address, in the upper part of sixteen.
fn octets(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

const fn first_bits(address: u128, bits: u8) -> u128 {
    match bits {
        0 => 0,
        _ => address >> (128 - if bits > 128 { 128 } else { bits as u32 }),
    }
}

/// `AF_INET` or `AF_INET6`.
pub(crate) const fn family_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// How many bits an address of a family has.
pub(crate) const fn bits_of(family: u8) -> u8 {
    match family {
        AF_INET => 32,
        AF_INET6 => 128,
        _ => 0,
    }
}

/// The name of a family, as in `via inet6 …`.
pub(crate) const fn family_name(family: u8) -> &'static str {
    match family {
        AF_INET => "inet",
        AF_INET6 => "inet6",
        AF_PACKET => "link",
        28 => "mpls",
        7 => "bridge",
        AF_UNSPEC => "any valid",
        _ => "???",
    }
}

/// A family by its name.
pub(crate) fn family(word: &str) -> Option<u8> {
    match word {
        "inet" => Some(AF_INET),
        "inet6" => Some(AF_INET6),
        "link" => Some(AF_PACKET),
        "mpls" => Some(28),
        "bridge" => Some(7),
        _ => None,
    }
}

/// Numbers and dots; parts that are left out at the end are zero: `10.8` is `10.8.0.0`.
fn inet(word: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = word.split('.');
    for octet in &mut octets {
        let Some(part) = parts.next() else { break };
        *octet = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

fn ip(word: &str, family: u8) -> Option<IpAddr> {
    if word.contains(':') {
        let address: Ipv6Addr = word.parse().ok()?;
        return matches!(family, AF_UNSPEC | AF_INET6).then(|| address.into());
    }
    matches!(family, AF_UNSPEC | AF_INET).then(|| inet(word).map(Into::into))?
}

/// An address of `family`, or of any for 0.
///
/// # Errors
/// The status is 1, as iproute2 has it.
pub(crate) fn address(word: &str, family: u8) -> Result<IpAddr, Fail> {
    let zeros = match (word, family) {
        ("default" | "any" | "all", AF_INET) => Some(Ipv4Addr::UNSPECIFIED.into()),
        ("default" | "any" | "all", AF_INET6) => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    };
    zeros.or_else(|| ip(word, family)).ok_or_else(|| {
        Fail::impossible(format!("`{word}` is no {} address", family_name(family).replace("any valid", "IP")))
    })
}

/// An address with or without `/LENGTH` or `/NETMASK`, or `default`.
///
/// # Errors
/// The status is 1, as iproute2 has it.
pub(crate) fn prefix(word: &str, family: u8) -> Result<Prefix, Fail> {
    let wrong = || {
        Fail::impossible(format!("`{word}` is no {} prefix", family_name(family).replace("any valid", "IP")))
            .hint("an address and the length of its prefix, as in 192.168.2.10/24")
    };
    let (host, length) = match word.split_once('/') {
        Some((host, length)) => (host, Some(length)),
        None => (word, None),
    };
    if matches!(host, "default" | "any" | "all") {
        return match length {
            Some(_) => Err(wrong()),
            None => Ok(Prefix { family, address: None, bits: 0, given: host == "default" }),
        };
    }
    let address = ip(host, family).ok_or_else(wrong)?;
    let most = bits_of(family_of(address));
    let bits = match length {
        None => most,
        Some(length) => netmask(length).filter(|bits| *bits <= most).ok_or_else(wrong)?,
    };
    Ok(Prefix { family: family_of(address), address: Some(address), bits, given: length.is_some() })
}

/// A length, or a netmask without gaps.
fn netmask(word: &str) -> Option<u8> {
    if let Some(bits) = number(word) {
        return u8::try_from(bits).ok();
    }
    let mask = u32::from(inet(word)?);
    (mask.leading_ones() + mask.trailing_zeros().min(32) == 32).then(|| mask.leading_ones() as u8)
}

/// A link's address: bytes in hexadecimal with colons, or an IPv4 address.
///
/// # Errors
/// The status is 1, as iproute2 has it.
pub(crate) fn link_address(word: &str) -> Result<Vec<u8>, Fail> {
    let wrong = || {
        Fail::impossible(format!("`{word}` is no link address"))
            .hint("bytes in hexadecimal with colons, as in 02:00:5e:10:00:01")
    };
    if word.contains('.') {
        return inet(word).map(|address| address.octets().to_vec()).ok_or_else(wrong);
    }
    let bytes: Option<Vec<u8>> = word.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.filter(|bytes| bytes.len() <= 32 && !word.contains('+')).ok_or_else(wrong)
}

/// A link's address in its usual form: that of `ARPHRD_TUNNEL` and its like is an IP address.
pub(crate) fn show_link_address(bytes: &[u8], kind: u16) -> String {
    const TUNNEL: u16 = 768;
    const TUNNEL6: u16 = 769;
    const SIT: u16 = 776;
    const IPGRE: u16 = 778;
    const IP6GRE: u16 = 823;
    match (bytes.len(), kind) {
        (4, TUNNEL | SIT | IPGRE) | (16, TUNNEL6 | IP6GRE) => {
            let attribute = netlink::Attribute { kind: 0, data: bytes };
            attribute.ip().map(show).unwrap_or_default()
        }
        _ => {
            let mut text = String::with_capacity(bytes.len() * 3);
            for (index, byte) in bytes.iter().enumerate() {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                if index > 0 {
                    text.push(':');
                }
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            text
        }
    }
}

/// An address as inet_ntop(3) writes it, which shows the last four bytes of `::1.2.3.4` as an IPv4 address.
pub(crate) fn show(address: IpAddr) -> String {
    if let IpAddr::V6(v6) = address {
        let segments = v6.segments();
        if segments[..6] == [0; 6] && segments[6] != 0 {
            return format!("::{}", Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7])));
        }
    }
    address.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_iproute2_reads_them() {
        let read = |word| address(word, AF_UNSPEC).ok().map(show);
        assert_eq!(read("10.8"), Some("10.8.0.0".into()));
        assert_eq!(read("0x7f.0.0.1"), Some("127.0.0.1".into()));
        assert_eq!(read("fe80::1"), Some("fe80::1".into()));
        for wrong in ["", "1.2.3.4.5", "256.1.1.1", "1.2.3.", "fe80::1::2", "host", "1.2.3.4/8", "default"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(address("::1", AF_INET).is_err() && address("1.1.1.1", AF_INET6).is_err());
    }

    #[test]
    fn a_prefix_has_a_length_or_a_netmask() {
        let read = |word| prefix(word, AF_UNSPEC).ok().map(|prefix| (prefix.bits, prefix.given));
        assert_eq!(read("10.0.0.1/8"), Some((8, true)));
        assert_eq!(read("10.0.0.1/255.255.255.0"), Some((24, true)));
        assert_eq!(read("10.0.0.1"), Some((32, false)));
        assert_eq!(read("fe80::/64"), Some((64, true)));
        assert_eq!(read("default"), Some((0, true)));
        for wrong in
            ["10.0.0.1/33", "10.0.0.1/255.0.255.0", "fe80::/129", "10.0.0.1/", "/8", "default/0", "x"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn link_addresses_are_bytes_with_colons() {
        assert_eq!(link_address("2:0:5E:10:0:1").unwrap(), [2, 0, 0x5e, 0x10, 0, 1]);
        assert_eq!(link_address("10.0.0.1").unwrap(), [10, 0, 0, 1]);
        for wrong in ["", "02:xx", "100:0", "1:", ":1", "+1:2"] {
            assert!(link_address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show_link_address(&[2, 0, 0x5e, 0x10, 0, 1], 1), "02:00:5e:10:00:01");
        assert_eq!(show_link_address(&[10, 0, 0, 1], 768), "10.0.0.1");
    }

    #[test]
    fn addresses_are_written_as_the_c_library_writes_them() {
        let write = |text: &str| show(text.parse().unwrap());
        assert_eq!(write("::1"), "::1");
        assert_eq!(write("::"), "::");
        assert_eq!(write("::102:304"), "::1.2.3.4");
        assert_eq!(write("::ffff:1.2.3.4"), "::ffff:1.2.3.4");
        assert_eq!(write("1:0:2:3:4:5:6:7"), "1:0:2:3:4:5:6:7");
    }

    #[test]
    fn a_prefix_matches_addresses_by_its_first_bits() {
        let net = prefix("10.1.0.0/16", AF_UNSPEC).unwrap();
        assert!(
            net.matches("10.1.2.3".parse().ok(), net.bits) && !net.matches("10.2.2.3".parse().ok(), net.bits)
        );
        assert!(prefix("default", AF_INET).unwrap().matches("10.2.2.3".parse().ok(), 0));
    }
}
