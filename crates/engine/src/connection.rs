//! A container's networks, beside its life: chosen before the launch, laid during it, taken away behind it.
//!
//! [`resolve`] turns flags into one decision; [`Wanted`] is what is left to do, as data; [`Connection`] does it.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use network::{Attachment, ContainerNet, DEFAULT_NETWORK, EndpointRequest, Networks, Reservation};
use report::{BoxedExplain, Kind};
use runtime::Launch;
use spec::Capability;

use crate::flags::Value;
use crate::flags::network::{Network, Places};
use crate::host::{Caller, boxed};
use crate::request::RunRequest;
use crate::rules::{Facts, Refused, files};

/// The variable that says which network containers get when nobody names one.
pub const VARIABLE: &str = "HOLM_NETWORK";

/// Where holm keeps what outlives the machine's restarts, for root.
const DATA: &str = "/var/lib/holm";

/// The networks of the host.
///
/// # Errors
/// When their directory cannot be opened.
pub fn networks(caller: &Caller) -> Result<Networks, BoxedExplain> {
    Networks::open(&network::Places::below(Path::new(DATA), &caller.run_directory)).map_err(boxed)
}

/// Why this caller can have no network of holm's making; none for one who can.
fn unable(caller: &Caller) -> Option<&'static str> {
    if caller.uid != 0 {
        return Some("only root makes links and rules of the host");
    }
    let able =
        [Capability::NetAdmin, Capability::SysAdmin].into_iter().all(|one| caller.capabilities.contains(one));
    (!able).then_some("this process has no CAP_NET_ADMIN over the host's network")
}

/// The network that a request means for this caller: a default where nothing is said, a path for another container's, and the flags about
/// one place in the place.
///
/// # Errors
/// What this caller cannot have.
pub fn resolve(request: &RunRequest, caller: &Caller) -> Result<Network, BoxedExplain> {
    let said = match &request.network {
        Network::Unsaid => match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => Network::parse(&text).map_err(|problem| {
                refused(
                    format!("{VARIABLE}={text}"),
                    problem.into_owned(),
                    format!("expected {}", Network::FORM),
                    Kind::InvalidInput,
                )
            })?,
            _ => Network::Unsaid,
        },
        said => said.clone(),
    };
    let mut places = match said {
        Network::Unsaid if unable(caller).is_none() => {
            vec![EndpointRequest { network: DEFAULT_NETWORK.to_owned(), ..EndpointRequest::default() }]
        }
        Network::Unsaid if !request.places.publish.is_empty() || request.places.publish_all => {
            let why = unable(caller).unwrap_or("there is no network");
            return Err(refused("--publish", why, "run as root", Kind::PermissionDenied));
        }
        Network::Unsaid => return Ok(Network::None),
        Network::Container(name) => {
            return Ok(Network::Join(networks(caller)?.namespace_path(&name).map_err(boxed)?));
        }
        Network::On(places) => match unable(caller) {
            None => places,
            Some(why) => {
                let name = places.first().map_or("", |place| place.network.as_str());
                return Err(refused(
                    format!("--network {name}"),
                    why,
                    "run as root, or use --network none, host or ns:PATH",
                    Kind::PermissionDenied,
                ));
            }
        },
        other => return Ok(other),
    };
    let flags = &request.places;
    for place in &mut places {
        place.ipv4 = place.ipv4.or(flags.ip);
        place.ipv6 = place.ipv6.or(flags.ip6);
        place.mac = place.mac.or(flags.mac_address);
        place.aliases.extend(flags.aliases.iter().map(|alias| alias.as_str().to_owned()));
    }
    Ok(Network::On(places))
}

fn refused(
    flag: impl Into<String>,
    problem: impl Into<String>,
    advice: impl Into<String>,
    kind: Kind,
) -> BoxedExplain {
    boxed(Refused { flag: flag.into(), problem: problem.into(), advice: advice.into(), kind })
}

/// What a container asks of the network, and what its files say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it asks.
    pub net: ContainerNet,
    flags: Places,
    /// The container's host name.
    hostname: String,
    resolv_conf: String,
}

impl Wanted {
    /// What the request asks; none where holm makes no network.
    pub(crate) fn of(request: &RunRequest, facts: &Facts, id: &str, hostname: &str) -> Option<Self> {
        let Network::On(places) = &request.network else { return None };
        let flags = request.places.clone();
        let net = ContainerNet {
            id: id.to_owned(),
            name: Some(request.name.as_ref().map_or(hostname, |name| name.as_str()).to_ascii_lowercase()),
            endpoints: places.clone(),
            publish: flags.publish.clone(),
            publish_all: flags.publish_all,
            expose: flags.expose.clone(),
        };
        Some(Self { net, flags, hostname: hostname.to_owned(), resolv_conf: facts.resolv_conf.clone() })
    }
}

/// A container's networks.
#[derive(Debug)]
pub struct Connection {
    networks: Networks,
    reserved: Option<Reservation>,
    attached: Option<Attachment>,
}

impl Connection {
    /// Chooses addresses and ports, and writes them into the container's files.
    ///
    /// # Errors
    /// What cannot be had; nothing was changed then.
    pub fn reserve(wanted: &Wanted, caller: &Caller, launch: &mut Launch) -> Result<Self, BoxedExplain> {
        let networks = networks(caller)?;
        let reservation = networks.reserve(&wanted.net).map_err(boxed)?;
        let places = reservation.endpoints();
        let addresses: Vec<IpAddr> = places.iter().flat_map(|place| place.addresses()).collect();
        let gateway = reservation.networks().iter().find_map(|network| network.subnets.first()?.gateway);
        // The name servers of the container's networks answer for all of them, and pass on what they do not know.
        let servers: Vec<IpAddr> = reservation
            .networks()
            .iter()
            .filter(|network| network.dns_enabled)
            .filter_map(|network| network.subnets.first()?.gateway)
            .collect();
        let internal = places.iter().all(|place| place.internal);
        let inherited = if internal { String::new() } else { files::reachable(&wanted.resolv_conf) };
        let hosts = files::own_hosts(&wanted.hostname, &addresses) + &files::added(&wanted.flags, gateway);
        let resolv_conf = files::resolv_conf(&wanted.flags, &servers, &inherited);
        for file in &mut launch.files {
            match file.destination.to_str() {
                Some("/etc/hosts") => file.content = hosts.clone().into_bytes(),
                Some("/etc/resolv.conf") => file.content = resolv_conf.clone().into_bytes(),
                _ => {}
            }
        }
        Ok(Self { networks, reserved: Some(reservation), attached: None })
    }

    /// What would be done, a step a line; nothing is.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn preview(wanted: &Wanted, caller: &Caller) -> Result<String, BoxedExplain> {
        Ok(networks(caller)?.preview(&wanted.net).map_err(boxed)?.to_string())
    }

    /// Lays the cables to the container's network namespace.
    ///
    /// # Errors
    /// What failed; what was made is taken away again.
    pub fn connect(&mut self, namespace: OwnedFd, say: &mut dyn FnMut(&str)) -> Result<(), BoxedExplain> {
        if let Some(reservation) = self.reserved.take() {
            self.attached = Some(reservation.connect(&self.networks, namespace, say).map_err(boxed)?);
        }
        Ok(())
    }

    /// Leaves it as it is, and returns the descriptors that keep it.
    pub fn into_held(mut self) -> Vec<OwnedFd> {
        self.attached.take().map_or_else(Vec::new, Attachment::into_held)
    }

    /// Takes everything away again; returns what could not be.
    pub fn detach(mut self) -> Vec<BoxedExplain> {
        drop(self.reserved.take());
        self.attached
            .take()
            .map_or_else(Vec::new, |attached| attached.detach().into_iter().map(boxed).collect())
    }
}

/// Takes away what a container left that somebody else found to be gone.
pub fn sweep(caller: &Caller, id: &str) {
    // Where no network was ever made there is nothing to look for.
    if caller.run_directory.join("network/containers").exists()
        && let Ok(networks) = networks(caller)
    {
        // What is left now is found by `holm network prune --check`.
        let _ = networks.sweep_one(id);
    }
}
