//! What a container's network has beside cables and rules: names for others to find it by, and limits on its traffic.
//!
//! [`Beside`] is what somebody asks for; the rest is done while a container is attached and taken away.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netlink::Socket;
use netlink::route::links::{self, Traffic, Which};
use netlink::tc::{self, Limits, Rate};

use crate::error::Error;
use crate::host::Host;
use crate::model::{Driver, Network};
use crate::record::{Endpoint, Event, Rates, Record};
use crate::reserve::Reservation;
use crate::store::Networks;

/// What a container's network has beside addresses and ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// Whom the name server asks for this container's foreign names (`--dns`); the network's or the host's where there are none.
    pub resolvers: Vec<IpAddr>,
    /// What may go through each of its cables.
    pub limits: Limits,
}

impl Reservation {
    /// The same with resolvers and limits.
    ///
    /// # Errors
    /// When there are limits and a network has no cable that could be limited.
    pub fn with(mut self, beside: Beside) -> Result<Self, Error> {
        if !beside.limits.is_empty()
            && let Some(network) = self.networks.iter().find(|network| network.driver != Driver::Bridge)
        {
            return Err(no_cable(network));
        }
        self.beside = beside;
        Ok(self)
    }
}

/// There is nothing on the host that limits could be set on.
pub(crate) fn no_cable(network: &Network) -> Error {
    Error::invalid(
        "--net-rate",
        format!(
            "the network {} is of the driver {}, whose links the container has to itself",
            network.name, network.driver
        ),
        "limits hold on networks of the driver bridge",
    )
}

/// The limits that a record tells of. What is out of range there is none of holm's making.
pub(crate) fn limits_of(record: &Record) -> Limits {
    let rate = |bits: Option<u64>| bits.and_then(|bits| Rate::new(bits).ok());
    let rates = record.limited.unwrap_or_default();
    Limits { up: rate(rates.up), down: rate(rates.down) }
}

/// The directory of the name server, below the one of what lives as long as the machine runs.
pub(crate) fn names(run: &Path) -> PathBuf {
    run.join("names")
}

fn has_names(place: &Endpoint) -> bool {
    place.dns && place.driver == Driver::Bridge
}

fn zone(network: &Network) -> dns::Zone {
    dns::Zone {
        network: network.name.as_str().to_owned(),
        device: network.interface.clone(),
        gateways: network.subnets.iter().filter_map(|subnet| subnet.gateway).collect(),
        subnets: network
            .subnets
            .iter()
            .map(|subnet| (subnet.subnet.address(), subnet.subnet.length()))
            .collect(),
        internal: network.internal,
        resolvers: network.dns_servers.clone(),
    }
}

impl Networks {
    /// The same with a name server: how this program runs `dns::keep`. Without it names are written down, and nobody serves them.
    #[must_use]
    pub fn with_name_server(mut self, program: Vec<OsString>) -> Self {
        self.name_server = program;
        self
    }

    /// Publishes the container's names in one network, and sees to it that they are served.
    pub(crate) fn announce(
        &self,
        record: &Record,
        network: &Network,
        place: &Endpoint,
        resolvers: &[IpAddr],
    ) -> Result<(), Error> {
        if !has_names(place) {
            return Ok(());
        }
        let directory = names(&self.places.run);
        let entry = dns::Entry {
            container: record.header.id.clone(),
            names: record.names_in(place).map(str::to_owned).collect(),
            addresses: place.addresses().collect(),
            resolvers: resolvers.to_vec(),
        };
        dns::announce(&directory, &zone(network), &entry).map_err(Error::Names)?;
        if self.name_server.is_empty() {
            return Ok(());
        }
        let program: Vec<&OsStr> = self.name_server.iter().map(OsString::as_os_str).collect();
        dns::ensure(&directory, network.name.as_str(), &program).map_err(Error::Names)
    }

    /// What went through a container's cable in a network, as the container sees it; drops of a limit's own queue are among what was
    /// dropped. None where the link is the container's own.
    ///
    /// # Errors
    /// When the kernel cannot be asked, or the link is gone.
    pub fn traffic(
        &self,
        socket: &mut Socket,
        record: &Record,
        place: &Endpoint,
    ) -> Result<Option<Traffic>, Error> {
        if place.host_link.is_empty() {
            return Ok(None);
        }
        let failed = |cause| Error::kernel(format!("read the counters of {}", place.host_link), cause);
        let seen = links::traffic(socket, Which::Named(&place.host_link)).map_err(failed)?;
        let mut traffic = seen.seen_from_the_other_end();
        if record.limited.is_none() {
            return Ok(Some(traffic));
        }
        let index = links::index_of(socket, &place.host_link).map_err(failed)?;
        traffic.received.dropped += tc::dropped(socket, index).map_err(failed)?;
        if let Ok(detour) = links::index_of(socket, &tc::detour(&place.host_link)) {
            traffic.sent.dropped += tc::dropped(socket, detour).map_err(failed)?;
        }
        Ok(Some(traffic))
    }
}

/// Takes the names of a container in a network back.
pub(crate) fn withdraw(run: &Path, record: &Record, place: &Endpoint) -> Result<(), Error> {
    if !has_names(place) {
        return Ok(());
    }
    dns::withdraw(&names(run), place.network.as_str(), &record.header.id).map_err(Error::Names)
}

/// Limits what goes through the cables of a container. What is about to be is noted before, so that a crash leaves nothing unknown.
pub(crate) fn limit(
    host: &mut Host,
    note: impl FnOnce(&Event) -> Result<(), Error>,
    endpoints: &[Endpoint],
    limits: Limits,
) -> Result<(), Error> {
    if limits.is_empty() {
        return Ok(());
    }
    note(&Event::Limited(Rates { up: limits.up.map(Rate::bits), down: limits.down.map(Rate::bits) }))?;
    for place in endpoints.iter().filter(|place| !place.host_link.is_empty()) {
        let index = links::index_of(&mut host.route, &place.host_link)
            .map_err(|cause| Error::kernel(format!("find the link {}", place.host_link), cause))?;
        tc::limit(&mut host.route, &place.host_link, index, place.mtu, limits).map_err(Error::Limit)?;
    }
    Ok(())
}

/// Takes the links away that limits of a container need.
pub(crate) fn unlimit(host: &mut Host, record: &Record, place: &Endpoint) -> Result<(), Error> {
    if record.limited.is_none() || place.host_link.is_empty() {
        return Ok(());
    }
    tc::remove(&mut host.route, &place.host_link)
        .map_err(|cause| Error::kernel(format!("remove the link {}", tc::detour(&place.host_link)), cause))
}
