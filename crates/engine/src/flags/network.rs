//! Which network a container sees: `--network`, and the flags about its place there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use network::request::{alias, ipv4, ipv6, mac};
use network::{DEFAULT_NETWORK, EndpointRequest, Expose, MacAddress, Publish, Rate};
use serde::{Deserialize, Serialize};

use super::namespace::{Source, parse_join};
use super::{Problem, Value};

/// `--network`, all its values together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// Nobody said: the default network for root, none for others.
    #[default]
    Unsaid,
    /// A network namespace of its own, with the loopback interface only.
    None,
    /// The host's network.
    Host,
    /// A network namespace of its own that pasta connects: what ordinary users have.
    Pasta,
    /// The network namespace this file stands for.
    Join(PathBuf),
    /// The network of another container.
    Container(String),
    /// Networks of holm's making.
    On(Vec<EndpointRequest>),
}

impl Network {
    /// Whether the container has a network namespace of its own.
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::Unsaid | Self::None | Self::Pasta | Self::On(_))
    }

    /// What it is called on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unsaid | Self::None => "none",
            Self::Host => "host",
            Self::Pasta => "pasta",
            Self::Join(_) => "ns:PATH",
            Self::Container(_) => "container:NAME",
            Self::On(_) => "NETWORK",
        }
    }

    /// Several values as one.
    ///
    /// # Errors
    /// Two that contradict each other.
    pub fn together(values: Vec<Self>) -> Result<Self, (&'static str, &'static str)> {
        let mut all = Self::Unsaid;
        for value in values {
            all = match (all, value) {
                (Self::Unsaid, value) => value,
                (Self::On(mut list), Self::On(more)) => {
                    list.extend(more);
                    Self::On(list)
                }
                (one, two) if one == two => one,
                (one, two) => return Err((one.word(), two.word())),
            };
        }
        Ok(all)
    }
}

impl Value for Network {
    const FORM: &'static str = "none, host, pasta, ns:PATH, container:NAME, or the name of a network with ip=, ip6=, mac=, alias= behind a colon";
    const EXAMPLE: &'static str = "blue:ip=10.224.0.9,alias=db";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "none" | "private" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "pasta" => Ok(Self::Pasta),
            "default" => Ok(Self::On(vec![EndpointRequest {
                network: DEFAULT_NETWORK.to_owned(),
                ..EndpointRequest::default()
            }])),
            _ => match text.strip_prefix("container:") {
                Some("") => Err("the container's name is missing".into()),
                Some(name) => Ok(Self::Container(name.to_owned())),
                None if text.starts_with("ns:") => match parse_join(text)? {
                    Source::Join(path) => Ok(Self::Join(path)),
                    _ => Err("there is no such network".into()),
                },
                None => {
                    let place: EndpointRequest = text
                        .parse()
                        .map_err(|why: network::request::BadEndpoint| Problem::from(why.to_string()))?;
                    let by_id = place.network.len() >= 12
                        && place.network.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if !by_id {
                        place.network.parse::<network::NetworkName>().map_err(|why| {
                            Problem::from(format!("`{}`: {why}", place.network.escape_debug()))
                        })?;
                    }
                    Ok(Self::On(vec![place]))
                }
            },
        }
    }
}

/// The flags about a container's place in its networks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // A field without words is the flag of its name.
pub struct Places {
    pub publish: Vec<Publish>,
    pub publish_all: bool,
    pub expose: Vec<Expose>,
    pub ip: Option<Ipv4Addr>,
    pub ip6: Option<Ipv6Addr>,
    pub mac_address: Option<MacAddress>,
    pub net_rate_up: Option<NetRate>,
    pub net_rate_down: Option<NetRate>,
    /// `--network-alias`
    pub aliases: Vec<Alias>,
    /// Servers.
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<SearchDomain>,
    pub dns_option: Vec<DnsOption>,
    pub add_host: Vec<AddHost>,
}

impl Value for Publish {
    const FORM: &'static str = "[IP:][HOST[-LAST]:]CONTAINER[-LAST][/tcp|udp|sctp]";
    const EXAMPLE: &'static str = "127.0.0.1:8080:80";
    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|why: network::ports::BadPorts| why.to_string().into())
    }
}

/// `--unpublish`: ports that are not published any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpublish {
    /// All of them.
    All,
    /// What was published with these words.
    Same(Publish),
    /// Everything that leads to these ports of the container.
    To(Expose),
}

impl Unpublish {
    /// Takes them out of the list; false when there is nothing of the kind.
    pub fn take_from(&self, list: &mut Vec<Publish>) -> bool {
        let before = list.len();
        list.retain(|one| match self {
            Self::All => false,
            Self::Same(same) => one != same,
            Self::To(ports) => (one.container, one.protocol) != (ports.ports, ports.protocol),
        });
        *self == Self::All || list.len() < before
    }
}

impl std::fmt::Display for Unpublish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::To(ports) => write!(f, "{}/{}", ports.ports, ports.protocol),
            Self::Same(one) => {
                if let Some(address) = one.host_ip {
                    write!(f, "{}:", crate::view::ports::host(address))?;
                }
                match one.host {
                    Some(host) => write!(f, "{host}:{}/{}", one.container, one.protocol),
                    None => write!(f, "{}/{}", one.container, one.protocol),
                }
            }
        }
    }
}

impl Value for Unpublish {
    const FORM: &'static str =
        "all, the container's PORT[-LAST][/tcp|udp|sctp], or what was given to --publish";
    const EXAMPLE: &'static str = "80/tcp";
    fn parse(text: &str) -> Result<Self, Problem> {
        match (text, text.contains(':')) {
            ("all", _) => Ok(Self::All),
            (_, true) => Value::parse(text).map(Self::Same),
            (_, false) => Value::parse(text).map(Self::To),
        }
    }
}

impl Value for Expose {
    const FORM: &'static str = "PORT[-LAST][/tcp|udp|sctp]";
    const EXAMPLE: &'static str = "80";
    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|why: network::ports::BadPorts| why.to_string().into())
    }
}

impl Value for Ipv4Addr {
    const FORM: &'static str = "an address of IPv4";
    const EXAMPLE: &'static str = "10.224.0.9";
    fn parse(text: &str) -> Result<Self, Problem> {
        ipv4(text).map_err(|_| "is no address of IPv4".into())
    }
}

impl Value for Ipv6Addr {
    const FORM: &'static str = "an address of IPv6";
    const EXAMPLE: &'static str = "fd00::9";
    fn parse(text: &str) -> Result<Self, Problem> {
        ipv6(text).map_err(|_| "is no address of IPv6".into())
    }
}

impl Value for IpAddr {
    const FORM: &'static str = "an address";
    const EXAMPLE: &'static str = "9.9.9.9";
    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| "is no address".into())
    }
}

impl Value for MacAddress {
    const FORM: &'static str = "six pairs of hexadecimal digits";
    const EXAMPLE: &'static str = "02:42:ac:11:00:02";
    fn parse(text: &str) -> Result<Self, Problem> {
        mac(text).map_err(|why| match why {
            network::request::BadEndpoint::Mac(_, why) => why.to_string().into(),
            other => other.to_string().into(),
        })
    }
}

/// `--net-rate-up`, `--net-rate-down`: bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetRate(u64);

impl NetRate {
    /// As the kernel's limits have it; none for a number that is none.
    pub fn rate(self) -> Option<Rate> {
        Rate::new(self.0).ok()
    }
}

impl Value for NetRate {
    const FORM: &'static str = "bits a second, with k, m or g for thousands and so on";
    const EXAMPLE: &'static str = "20m";
    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map(|rate: Rate| Self(rate.bits())).map_err(|why| why.to_string().into())
    }
}

/// `--network-alias`: a name that the container is found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias(String);

impl Alias {
    /// The name, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Alias {
    const FORM: &'static str = "a host name";
    const EXAMPLE: &'static str = "db";
    fn parse(text: &str) -> Result<Self, Problem> {
        alias(text).map(Self).map_err(|_| "is no host name".into())
    }
}

/// `--dns-search`: a domain that names without a dot are looked for in; `.` for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchDomain(String);

impl SearchDomain {
    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for SearchDomain {
    const FORM: &'static str = "a domain, or `.` for none";
    const EXAMPLE: &'static str = "example.com";
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "." => Ok(Self(".".to_owned())),
            _ => alias(text.trim_end_matches('.')).map(Self).map_err(|_| "is no domain".into()),
        }
    }
}

/// `--dns-option`: an option of resolv.conf(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsOption(String);

impl DnsOption {
    /// The option.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for DnsOption {
    const FORM: &'static str = "an option of resolv.conf(5)";
    const EXAMPLE: &'static str = "ndots:2";
    fn parse(text: &str) -> Result<Self, Problem> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte);
        match !text.is_empty() && text.bytes().all(fine) {
            true => Ok(Self(text.to_owned())),
            false => Err("is a word of letters, digits, `-`, `_` and `:`".into()),
        }
    }
}

/// Where a name of `--add-host` leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAddress {
    /// An address.
    Address(IpAddr),
    /// The host, as the container reaches it.
    Gateway,
}

/// `--add-host NAME:ADDRESS`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddHost {
    /// The name.
    pub name: String,
    /// Its address.
    pub address: HostAddress,
}

impl Value for AddHost {
    const FORM: &'static str = "NAME:ADDRESS, where the address may be host-gateway";
    const EXAMPLE: &'static str = "db.example:10.0.0.5";
    fn parse(text: &str) -> Result<Self, Problem> {
        let cut = text.find(['=', ':']).ok_or("the address is missing")?;
        let (name, address) = (&text[..cut], &text[cut + 1..]);
        let name =
            alias(name).map_err(|_| Problem::from(format!("`{}` is no host name", name.escape_debug())))?;
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
        let address = match bare {
            "host-gateway" => HostAddress::Gateway,
            _ => HostAddress::Address(
                bare.parse()
                    .map_err(|_| Problem::from(format!("`{}` is no address", address.escape_debug())))?,
            ),
        };
        Ok(Self { name, address })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_network_is_none_the_hosts_joined_or_one_of_holms() {
        expect![[r#"
            none => None
            host => Host
            ns:/a => Join("/a")
            ns:a !! `a` is not an absolute path
            bridge => On([EndpointRequest { network: "bridge", ipv4: None, ipv6: None, mac: None, aliases: [], interface: None }])
            default => On([EndpointRequest { network: "bridge", ipv4: None, ipv6: None, mac: None, aliases: [], interface: None }])
            container:a => Container("a")
            container: !! the container's name is missing
             !! the network's name is missing
            a/b !! `a/b`: a name begins with a letter or digit and has only letters, digits, `_`, `.` and `-`
            blue:ip=10.0.0.1,alias=db => On([EndpointRequest { network: "blue", ipv4: Some(10.0.0.1), ipv6: None, mac: None, aliases: ["db"], interface: None }])
            blue:ip=x !! `x` is no address of IPv4
            ns:/run/netns/blue => Join("/run/netns/blue")
            blue:ip=10.224.0.9,alias=db => On([EndpointRequest { network: "blue", ipv4: Some(10.224.0.9), ipv6: None, mac: None, aliases: ["db"], interface: None }])
        "#]]
        .assert_eq(&table::<Network>(&[
            "none",
            "host",
            "ns:/a",
            "ns:a",
            "bridge",
            "default",
            "container:a",
            "container:",
            "",
            "a/b",
            "blue:ip=10.0.0.1,alias=db",
            "blue:ip=x",
            "ns:/run/netns/blue",
        ]));
    }

    #[test]
    fn what_is_published_can_be_taken_back() {
        let list = || -> Vec<Publish> {
            ["8080:80", "127.0.0.1:9090:80", "53:53/udp"].map(|text| Value::parse(text).unwrap()).to_vec()
        };
        let left = |text: &str| {
            let mut list = list();
            let found = Unpublish::parse(text).unwrap().take_from(&mut list);
            (found, list.len())
        };
        assert_eq!(left("all"), (true, 0));
        assert_eq!(left("80"), (true, 1));
        assert_eq!(left("8080:80"), (true, 2));
        assert_eq!(left("53"), (false, 3), "that is another protocol");
        assert_eq!(left("53/udp"), (true, 2));
        assert_eq!(left("8081:80"), (false, 3));
        assert!(Unpublish::parse("x").is_err());
    }

    #[test]
    fn several_networks_are_one_list_and_modes_stand_alone() {
        let all = |texts: &[&str]| {
            let values = texts.iter().map(|text| Network::parse(text).unwrap()).collect();
            match Network::together(values) {
                Ok(Network::On(list)) => {
                    list.iter().map(|place| place.network.clone()).collect::<Vec<_>>().join(" ")
                }
                Ok(other) => other.word().to_owned(),
                Err((one, two)) => format!("{one} against {two}"),
            }
        };
        assert_eq!(all(&["blue", "red:ip=10.0.0.1"]), "blue red");
        assert_eq!(all(&["none", "none"]), "none");
        assert_eq!(all(&["none", "blue"]), "none against NETWORK");
        assert_eq!(all(&["blue", "host"]), "NETWORK against host");
    }

    #[test]
    fn hosts_and_names_are_read() {
        expect![[r#"
            db:10.0.0.5 => AddHost { name: "db", address: Address(10.0.0.5) }
            db=10.0.0.5 => AddHost { name: "db", address: Address(10.0.0.5) }
            DB.example:fd00::5 => AddHost { name: "db.example", address: Address(fd00::5) }
            db:[fd00::5] => AddHost { name: "db", address: Address(fd00::5) }
            host:host-gateway => AddHost { name: "host", address: Gateway }
            db !! the address is missing
            db: !! `` is no address
            :1.2.3.4 !! `` is no host name
            a b:1.2.3.4 !! `a b` is no host name
            db.example:10.0.0.5 => AddHost { name: "db.example", address: Address(10.0.0.5) }
        "#]]
        .assert_eq(&table::<AddHost>(&[
            "db:10.0.0.5",
            "db=10.0.0.5",
            "DB.example:fd00::5",
            "db:[fd00::5]",
            "host:host-gateway",
            "db",
            "db:",
            ":1.2.3.4",
            "a b:1.2.3.4",
        ]));
        expect![[r#"
            example.com => SearchDomain("example.com")
            example.com. => SearchDomain("example.com")
            . => SearchDomain(".")
             !! is no domain
            a b !! is no domain
            example.com => SearchDomain("example.com")
        "#]]
        .assert_eq(&table::<SearchDomain>(&["example.com", "example.com.", ".", "", "a b"]));
        expect![[r#"
            ndots:2 => DnsOption("ndots:2")
            a b !! is a word of letters, digits, `-`, `_` and `:`
             !! is a word of letters, digits, `-`, `_` and `:`
            ndots:2 => DnsOption("ndots:2")
        "#]]
        .assert_eq(&table::<DnsOption>(&["ndots:2", "a b", ""]));
        expect![[r#"
            80 => Publish { host_ip: None, host: None, container: PortRange { first: 80, last: 80 }, protocol: Tcp }
            127.0.0.1:8080:80/udp => Publish { host_ip: Some(127.0.0.1), host: Some(PortRange { first: 8080, last: 8080 }), container: PortRange { first: 80, last: 80 }, protocol: Udp }
            x !! `x` is no port; they go from 1 to 65535
            127.0.0.1:8080:80 => Publish { host_ip: Some(127.0.0.1), host: Some(PortRange { first: 8080, last: 8080 }), container: PortRange { first: 80, last: 80 }, protocol: Tcp }
        "#]]
        .assert_eq(&table::<Publish>(&["80", "127.0.0.1:8080:80/udp", "x"]));
    }
}
