//! An address with the length of its network part: `10.224.0.0/22`, `fd00::/64`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A subnet: the host part of its address is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// The subnet that `address` lies in, with a network part of `len` bits. None when that is more than the address has.
    pub fn around(address: IpAddr, len: u8) -> Option<Self> {
        let bits = width(address);
        (len <= bits).then(|| Self { address: from_number(number(address) & mask(len, bits), bits), len })
    }

    /// The first address, which names the subnet.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The length of the network part in bits.
    pub const fn length(&self) -> u8 {
        self.len
    }

    /// Whether it is every address of its family.
    pub const fn is_everything(&self) -> bool {
        self.len == 0
    }

    /// Whether it is of IPv4.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::around(address, self.len).is_some_and(|own| own == *self)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// How many addresses there are, less one.
    pub fn last_index(&self) -> u128 {
        !mask(self.len, width(self.address)) & mask(width(self.address), width(self.address))
    }

    /// The address with this number; 0 is the subnet's own.
    pub fn nth(&self, index: u128) -> Option<IpAddr> {
        (index <= self.last_index()).then(|| from_number(number(self.address) | index, width(self.address)))
    }

    /// The number of an address in it.
    pub fn index_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| number(address) & self.last_index())
    }

    /// The last address: of IPv4 the broadcast address.
    pub fn last(&self) -> IpAddr {
        from_number(number(self.address) | self.last_index(), width(self.address))
    }

    /// The mask of the network part as an address.
    pub fn netmask(&self) -> IpAddr {
        let bits = width(self.address);
        from_number(mask(self.len, bits), bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn from_number(number: u128, bits: u8) -> IpAddr {
    match bits {
        32 => Ipv4Addr::from(number as u32).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

/// `len` ones and zeros behind them, `bits` together.
fn mask(len: u8, bits: u8) -> u128 {
    let ones = if bits == 32 { u128::from(u32::MAX) } else { u128::MAX };
    if len == 0 { 0 } else { ones << (bits - len) & ones }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// Why some text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// There is no `/LENGTH`.
    #[error("the length of the prefix is missing, as in {0}/24")]
    NoLength(String),
    /// The part before the slash is no address.
    #[error("`{0}` is no address")]
    Address(String),
    /// The part behind it is no length.
    #[error("a prefix is {1} bits long at most, and `{0}` is no such number")]
    Length(String, u8),
    /// The address is that of a host.
    #[error("the address has bits behind the prefix; the subnet is {0}")]
    HostBits(Prefix),
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let Some((address, len)) = text.split_once('/') else {
            return Err(BadPrefix::NoLength(text.to_owned()));
        };
        let parsed: IpAddr = address.parse().map_err(|_| BadPrefix::Address(address.to_owned()))?;
        let wrong = || BadPrefix::Length(len.to_owned(), width(parsed));
        let digits = !len.is_empty() && len.len() < 4 && len.bytes().all(|byte| byte.is_ascii_digit());
        let number = len.parse::<u8>().ok().filter(|_| digits).ok_or_else(wrong)?;
        let prefix = Self::around(parsed, number).ok_or_else(wrong)?;
        if prefix.address == parsed { Ok(prefix) } else { Err(BadPrefix::HostBits(prefix)) }
    }
}

impl TryFrom<String> for Prefix {
    type Error = BadPrefix;
    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_read_and_refused_with_the_reason() {
        assert_eq!(prefix("10.224.0.0/22").to_string(), "10.224.0.0/22");
        assert_eq!(prefix("fd00::/64").last().to_string(), "fd00::ffff:ffff:ffff:ffff");
        assert_eq!(prefix("0.0.0.0/0").last_index(), u128::from(u32::MAX));
        assert_eq!(prefix("::/0").last_index(), u128::MAX);
        for (text, problem) in [
            ("10.0.0.0", "the length of the prefix is missing, as in 10.0.0.0/24"),
            ("10.0.0/8", "`10.0.0` is no address"),
            ("10.0.0.0/33", "a prefix is 32 bits long at most, and `33` is no such number"),
            ("10.0.0.0/", "a prefix is 32 bits long at most, and `` is no such number"),
            ("10.0.0.0/+8", "a prefix is 32 bits long at most, and `+8` is no such number"),
            ("fd00::/129", "a prefix is 128 bits long at most, and `129` is no such number"),
            ("10.0.0.1/24", "the address has bits behind the prefix; the subnet is 10.0.0.0/24"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn addresses_are_counted_from_the_subnet() {
        let net = prefix("10.224.0.0/22");
        assert_eq!(net.nth(257).unwrap().to_string(), "10.224.1.1");
        assert_eq!(net.index_of("10.224.3.255".parse().unwrap()), Some(1023));
        assert_eq!((net.nth(1024), net.index_of("10.224.4.0".parse().unwrap())), (None, None));
        assert_eq!(net.netmask().to_string(), "255.255.252.0");
        assert_eq!(prefix("fd00::/64").nth(5).unwrap().to_string(), "fd00::5");
    }

    #[test]
    fn subnets_overlap_when_one_holds_the_other() {
        for (one, two, overlap) in [
            ("10.0.0.0/8", "10.224.0.0/22", true),
            ("10.224.0.0/22", "10.0.0.0/8", true),
            ("10.224.0.0/22", "10.224.4.0/22", false),
            ("0.0.0.0/0", "10.224.4.0/22", true),
            ("0.0.0.0/0", "fd00::/8", false),
        ] {
            assert_eq!(prefix(one).overlaps(&prefix(two)), overlap, "{one} {two}");
        }
    }
}
