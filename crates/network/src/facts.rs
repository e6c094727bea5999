//! What the host's network is like: its links, addresses and routes, read once and in three answers of the kernel.

use netlink::route::{self, AddressHeader, LinkHeader, RouteHeader, ifa, ifla, rta};
use netlink::{Index, Requests, Socket};

use crate::error::Error;
use crate::prefix::Prefix;

/// A link of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The longest packet in bytes.
    pub mtu: u32,
    /// What it is a port of; 0 for nothing.
    pub master: u32,
    /// Its kind, such as `bridge`; empty for hardware.
    pub kind: String,
}

/// A route of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: Prefix,
    /// Through which link; 0 for none.
    pub link: u32,
}

/// Links and routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// The links.
    pub links: Vec<Link>,
    /// The routes of all tables, without those of the loopback and link-local addresses and of groups.
    pub routes: Vec<Route>,
}

impl HostNetwork {
    /// Reads them.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn read(socket: &mut Socket) -> Result<Self, Error> {
        Ok(Self { links: links(socket)?, routes: routes(socket)? })
    }

    /// The link with this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The name of the link with this number.
    pub fn name_of(&self, index: u32) -> &str {
        self.links.iter().find(|link| link.index == index).map_or("", |link| link.name.as_str())
    }

    /// The links that packets to everywhere leave by.
    pub fn ways_out(&self) -> impl Iterator<Item = &Link> {
        let is_way = |link: &&Link| {
            self.routes.iter().any(|route| route.destination.is_everything() && route.link == link.index)
        };
        self.links.iter().filter(is_way)
    }
}

fn links(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let mut request = Requests::one(route::GETLINK, 0, &LinkHeader::default().bytes());
    request.u32(ifla::EXT_MASK, route::EXT_FILTER_SKIP_STATS);
    let dump = socket.dump(&mut request).map_err(|cause| Error::kernel("list the host's links", cause))?;
    let link = |message| {
        let (header, attributes) = LinkHeader::read(&message)?;
        let known: Index<'_, { route::IFLA_COUNT }> = Index::new(attributes);
        let number = |kind| known.get(kind).and_then(|attribute| attribute.u32());
        let kind = known.get(ifla::LINKINFO).and_then(|info| info.nested().find(route::info::KIND));
        Some(Link {
            index: header.index.cast_unsigned(),
            name: known.get(ifla::IFNAME)?.text().to_owned(),
            mtu: number(ifla::MTU).unwrap_or(1500),
            master: number(ifla::MASTER).unwrap_or(0),
            kind: kind.map_or(String::new(), |kind| kind.text().to_owned()),
        })
    };
    Ok(dump.messages().filter_map(link).collect())
}

/// Whether nobody could have the subnet for a network anyway, so that a route to it says nothing.
fn is_special(prefix: &Prefix) -> bool {
    ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::1/128", "fe80::/10", "ff00::/8"]
        .iter()
        .filter_map(|text| text.parse::<Prefix>().ok())
        .any(|special| special.contains(prefix.address()) && special.length() <= prefix.length())
}

fn routes(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut found = Vec::new();
    for family in [route::AF_INET, route::AF_INET6] {
        let header = RouteHeader { family, ..RouteHeader::default() };
        let mut request = Requests::one(route::GETROUTE, 0, &header.bytes());
        let dump = match socket.dump(&mut request) {
            Ok(dump) => dump,
            // A kernel without IPv6.
            Err(cause) if family == route::AF_INET6 && cause.refused().is_some() => continue,
            Err(cause) => return Err(Error::kernel("list the host's routes", cause)),
        };
        for message in dump.messages() {
            let Some((header, attributes)) = RouteHeader::read(&message) else { continue };
            let known: Index<'_, 32> = Index::new(attributes);
            let everything = match family {
                route::AF_INET => std::net::Ipv4Addr::UNSPECIFIED.into(),
                _ => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            let address = known.get(rta::DST).and_then(|attribute| attribute.ip()).unwrap_or(everything);
            let Some(destination) = Prefix::around(address, header.destination_prefix) else { continue };
            let link = known.get(rta::OIF).and_then(|attribute| attribute.u32()).unwrap_or_else(|| {
                let ways = known.get(rta::MULTIPATH).map_or(&[][..], |attribute| attribute.data);
                route::NextHopHeader::read(ways).map_or(0, |(hop, ..)| hop.index)
            });
            if !is_special(&destination) {
                found.push(Route { destination, link });
            }
        }
    }
    Ok(found)
}

/// Every address of the host's links, with the link's number.
///
/// # Errors
/// When the kernel does not answer.
pub fn addresses(socket: &mut Socket) -> Result<Vec<(u32, std::net::IpAddr)>, Error> {
    let mut request = Requests::one(route::GETADDR, 0, &AddressHeader::default().bytes());
    let dump =
        socket.dump(&mut request).map_err(|cause| Error::kernel("list the host's addresses", cause))?;
    let address = |message| {
        let (header, attributes) = AddressHeader::read(&message)?;
        let known: Index<'_, 16> = Index::new(attributes);
        let own = known.get(ifa::LOCAL).or_else(|| known.get(ifa::ADDRESS))?;
        Some((header.index, own.ip()?))
    };
    Ok(dump.messages().filter_map(address).collect())
}
