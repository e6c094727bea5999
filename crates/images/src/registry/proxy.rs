//! Which HTTP proxy is asked: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, with the meaning that curl and Go give them.
//!
//! [`Proxies::of`] decides, and is pure; [`Proxies::read`] takes the environment.

use std::net::IpAddr;

/// The proxies of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    none: Vec<Exception>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    All,
    /// A domain and everything below it; with a port, only that.
    Domain(String, Option<u16>),
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
}

impl Proxies {
    /// The proxies of this process's environment.
    pub fn read() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// The same from any table of variables.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| variable(name)).filter(|text| !text.trim().is_empty())
        };
        let all = first(&["all_proxy", "ALL_PROXY"]);
        // Below a web server, HTTP_PROXY is what a stranger sent as a header (httpoxy).
        let served = variable("REQUEST_METHOD").is_some();
        let http = if served { first(&["http_proxy"]) } else { first(&["http_proxy", "HTTP_PROXY"]) };
        let none = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            https: first(&["https_proxy", "HTTPS_PROXY"]).or_else(|| all.clone()),
            http: http.or(all),
            none: none.split([',', ' ']).filter_map(Exception::parse).collect(),
        }
    }

    /// The proxy for a host; none for this machine itself.
    pub fn of(&self, secure: bool, host: &str, port: u16) -> Option<&str> {
        let proxy = if secure { self.https.as_deref() } else { self.http.as_deref() }?;
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let here =
            host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        (!here && !self.none.iter().any(|exception| exception.holds(host, address, port)))
            .then_some(proxy.trim())
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            return (bits <= if address.is_ipv4() { 32 } else { 128 })
                .then_some(Self::Network(address, bits));
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, None));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, port));
        }
        let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(Self::Domain(name, port))
    }

    fn holds(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Domain(name, only) => {
                let host = host.to_ascii_lowercase();
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && only.is_none_or(|only| only == port)
            }
            Self::Address(known, only) => address == Some(*known) && only.is_none_or(|only| only == port),
            Self::Network(network, bits) => match (network, address) {
                (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &[(&str, &str)]) -> Proxies {
        Proxies::from(|name| {
            list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_own_and_this_machine_none() {
        let list = proxies(&[
            ("HTTPS_PROXY", "http://s:1"),
            ("http_proxy", "http://p:2"),
            ("HTTP_PROXY", "http://q:3"),
        ]);
        assert_eq!(list.of(true, "a.b", 443), Some("http://s:1"));
        assert_eq!(list.of(false, "a.b", 80), Some("http://p:2"));
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert_eq!(list.of(true, here, 5000), None, "{here}");
        }
        assert_eq!(proxies(&[("ALL_PROXY", "http://a:1")]).of(false, "a.b", 80), Some("http://a:1"));
        assert_eq!(
            proxies(&[("HTTP_PROXY", "http://a:1"), ("REQUEST_METHOD", "GET")]).of(false, "a.b", 80),
            None
        );
    }

    #[test]
    fn exceptions_are_domains_addresses_networks_and_ports() {
        let list = proxies(&[
            ("ALL_PROXY", "http://p:1"),
            ("NO_PROXY", ".a.b, c.d:8443,10.0.0.0/8 ,fd00::/8,*.e.f,bad/99"),
        ]);
        let through = |host, port| list.of(true, host, port).is_some();
        for (host, port) in
            [("a.b", 443), ("x.a.b", 1), ("c.d", 8443), ("10.1.2.3", 443), ("[fd12::1]", 443), ("y.e.f", 1)]
        {
            assert!(!through(host, port), "{host}:{port}");
        }
        for (host, port) in [("xa.b", 443), ("c.d", 443), ("11.0.0.1", 443), ("[fe80::1]", 443), ("f", 1)] {
            assert!(through(host, port), "{host}:{port}");
        }
        assert_eq!(proxies(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "*")]).of(true, "a.b", 1), None);
    }
}
