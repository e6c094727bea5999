//! A container's networks, beside its life: chosen before the launch, laid during it, taken away behind it.
//!
//! [`resolve`] turns flags into one decision; [`Wanted`] is what is left to do, as data; [`Connection`] does it.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use network::{
    Attachment, Beside, ContainerNet, DEFAULT_NETWORK, Endpoint, EndpointRequest, Ledger, Limits, Networks,
    Reservation,
};
use report::{BoxedExplain, Kind};
use runtime::Launch;
use runtime::state::StateRoot;
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::Capability;

use crate::containers;
use crate::flags::Value;
use crate::flags::network::{NetRate, Network, Places};
use crate::host::{Caller, boxed};
use crate::pasta::{self, Pasta};
use crate::request::RunRequest;
use crate::rules::{Facts, Refused, files};

/// The variable that says which network containers get when nobody names one.
pub const VARIABLE: &str = "HOLM_NETWORK";

/// The networks of the host. They are one and the same for all directories that containers are kept in.
///
/// # Errors
/// When their directory cannot be opened.
pub fn networks() -> Result<Networks, BoxedExplain> {
    let networks = Networks::open(&network::Places::of_host()).map_err(boxed)?;
    let own = |word: &str| vec!["/proc/self/exe".into(), word.into()];
    Ok(networks.with_name_server(own(dns::SUBCOMMAND)).with_keeper(own(network::keeper::SUBCOMMAND)))
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
    let network = decide(request, caller)?;
    // Where nothing was said it is known now what the flags are about; what cannot be done is not passed over.
    match request.idle_with(&network) {
        None => Ok(network),
        Some(flag) => Err(refused(
            flag,
            format!(
                "it needs a network of holm's making, and the container gets `--network {}`",
                network.word()
            ),
            unable(caller).map_or("name a network: --network bridge", |_| "leave it out, or run as root"),
            Kind::InvalidInput,
        )),
    }
}

fn decide(request: &RunRequest, caller: &Caller) -> Result<Network, BoxedExplain> {
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
        Network::Unsaid if caller.uid == 0 && !request.places.publish.is_empty() => {
            let why = unable(caller).unwrap_or("there is no network");
            return Err(refused("--publish", why, "run as root", Kind::PermissionDenied));
        }
        Network::Unsaid => match (pasta::usable(), request.places.publish.is_empty()) {
            _ if request.places.publish_all => {
                let why = unable(caller).unwrap_or("there is no network");
                return Err(refused(
                    "--publish-all",
                    why,
                    "name the ports: -p 8080:80",
                    Kind::PermissionDenied,
                ));
            }
            (Ok(_), _) if caller.uid != 0 => return Ok(Network::Pasta),
            (Err(why), false) => return Err(pasta::refused("--publish", why)),
            _ => return Ok(Network::None),
        },
        Network::Pasta => {
            if caller.uid == 0 {
                return Err(refused(
                    "--network pasta",
                    "pasta connects containers of ordinary users",
                    "root has networks of holm's making: leave --network out, or name one",
                    Kind::InvalidInput,
                ));
            }
            pasta::usable().map_err(|why| pasta::refused("--network pasta", why))?;
            return Ok(Network::Pasta);
        }
        Network::Container(name) => {
            return shared_with(&name, caller).map(Network::Join);
        }
        Network::Join(path) => {
            check_namespace(&path)?;
            return Ok(Network::Join(path));
        }
        Network::On(places) => match unable(caller) {
            None => places,
            Some(why) => {
                let name = places.first().map_or("", |place| place.network.as_str());
                return Err(refused(
                    format!("--network {name}"),
                    why,
                    "run as root, or use --network pasta, none, host or ns:PATH",
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

/// Whether a network namespace is there.
fn check_namespace(path: &Path) -> Result<(), BoxedExplain> {
    let flag = || format!("--network ns:{}", path.display());
    let advice = "`holm ip netns list` shows those that have names; they lie below /run/netns";
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(|errno| {
        let kind = if errno == rustix::io::Errno::NOENT { Kind::NotFound } else { Kind::InvalidInput };
        refused(flag(), sys::Errno::from(errno).to_string(), advice, kind)
    })?;
    match sys::ns::kind(&file) {
        Ok(sys::clone::CLONE_NEWNET) => Ok(()),
        _ => Err(refused(flag(), "it is no network namespace", advice, Kind::InvalidInput)),
    }
}

/// The network namespace of a container that runs: one of the caller's first, else whoever is called so on the networks of the host.
fn shared_with(name: &str, caller: &Caller) -> Result<PathBuf, BoxedExplain> {
    let places = containers::Places::of(caller);
    let home = containers::find(&places, name).ok();
    let id = home.as_ref().map_or(name, |home| home.id.as_str());
    let nowhere = match networks()?.namespace_path(id) {
        Ok(path) => return Ok(path),
        Err(error) => error,
    };
    // One that is on no network has a namespace all the same.
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    match home.map(|home| containers::state::of(&home, &records)) {
        Some(state) if state.status.is_alive() => Ok(format!("/proc/{}/ns/net", state.pid).into()),
        _ => Err(boxed(nowhere)),
    }
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
    /// Whether pasta connects it.
    pasta: bool,
    flags: Places,
    /// The container's host name.
    hostname: String,
    resolv_conf: String,
}

impl Wanted {
    /// What the request asks; none where holm makes no network.
    pub(crate) fn of(request: &RunRequest, facts: &Facts, id: &str, hostname: &str) -> Option<Self> {
        let (places, pasta) = match &request.network {
            Network::On(places) => (places.as_slice(), false),
            Network::Pasta => (&[][..], true),
            _ => return None,
        };
        let flags = request.places.clone();
        let net = ContainerNet {
            id: id.to_owned(),
            name: Some(request.name.as_ref().map_or(hostname, |name| name.as_str()).to_ascii_lowercase()),
            endpoints: places.to_vec(),
            publish: flags.publish.clone(),
            publish_all: flags.publish_all,
            expose: flags.expose.clone(),
        };
        Some(Self {
            net,
            pasta,
            flags,
            hostname: hostname.to_owned(),
            resolv_conf: facts.resolv_conf.clone(),
        })
    }
}

/// A container's networks.
#[derive(Debug)]
pub struct Connection {
    kind: Way,
}

/// Who connects it.
#[derive(Debug)]
enum Way {
    Holm(Box<Own>),
    Pasta { caller: Caller, id: String, ports: Vec<String>, forward_names: bool, running: Option<Pasta> },
}

/// Networks of holm's making.
#[derive(Debug)]
struct Own {
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
        if wanted.pasta {
            return Self::by_pasta(wanted, caller, launch);
        }
        let networks = networks()?;
        let rate = |rate: Option<NetRate>| rate.and_then(NetRate::rate);
        let limits = Limits { up: rate(wanted.flags.net_rate_up), down: rate(wanted.flags.net_rate_down) };
        let beside = Beside { resolvers: wanted.flags.dns.clone(), limits };
        let reservation =
            networks.reserve(&wanted.net).and_then(|reserved| reserved.with(beside)).map_err(boxed)?;
        let places = reservation.endpoints();
        let addresses: Vec<IpAddr> = places.iter().flat_map(|place| place.addresses()).collect();
        let gateway = reservation.networks().iter().find_map(|network| network.subnets.first()?.gateway);
        // The name servers of the container's networks answer for all of them, and pass on what they do not know.
        let mut named: Vec<_> = reservation.networks().iter().filter(|network| network.dns_enabled).collect();
        // One on a network without a way out knows no foreign names.
        named.sort_by_key(|network| network.internal);
        let servers: Vec<IpAddr> =
            named.iter().filter_map(|network| network.subnets.first()?.gateway).collect();
        let internal = places.iter().all(|place| place.internal);
        let inherited = if internal { String::new() } else { files::reachable(&wanted.resolv_conf) };
        let hosts = files::own_hosts(&wanted.hostname, &addresses) + &files::added(&wanted.flags, gateway);
        let resolv_conf = files::resolv_conf(&wanted.flags, &servers, &inherited);
        write(launch, Some(&hosts), &resolv_conf);
        let own = Own { networks, reserved: Some(reservation), attached: None };
        Ok(Self { kind: Way::Holm(Box::new(own)) })
    }

    fn by_pasta(wanted: &Wanted, caller: &Caller, launch: &mut Launch) -> Result<Self, BoxedExplain> {
        pasta::sweep(caller);
        let ports = pasta::ports(&wanted.net.publish)?;
        let inherited = files::reachable(&wanted.resolv_conf);
        let forward_names =
            !inherited.lines().any(|line| line.split_whitespace().next() == Some("nameserver"));
        let mut flags = wanted.flags.clone();
        if forward_names && flags.dns.is_empty() {
            flags.dns.push(pasta::RESOLVER);
        }
        write(launch, None, &files::resolv_conf(&flags, &[], &inherited));
        let (caller, id) = (caller.clone(), wanted.net.id.clone());
        Ok(Self { kind: Way::Pasta { caller, id, ports, forward_names, running: None } })
    }

    /// What would be done, a step a line; nothing is.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn preview(wanted: &Wanted) -> Result<String, BoxedExplain> {
        if wanted.pasta {
            let ports = pasta::ports(&wanted.net.publish)?;
            return Ok(format!("connect the network namespace by pasta {}\n", ports.join(" ")));
        }
        Ok(networks()?.preview(&wanted.net).map_err(boxed)?.to_string())
    }

    /// Lays the cables to the container's network namespace.
    ///
    /// # Errors
    /// What failed; what was made is taken away again.
    pub fn connect(&mut self, namespace: OwnedFd, say: &mut dyn FnMut(&str)) -> Result<(), BoxedExplain> {
        match &mut self.kind {
            Way::Holm(own) => {
                if let Some(reservation) = own.reserved.take() {
                    own.attached = Some(reservation.connect(&own.networks, namespace, say).map_err(boxed)?);
                }
            }
            Way::Pasta { caller, id, ports, forward_names, running } => {
                *running = Some(Pasta::start(caller, id, ports, *forward_names, namespace)?);
            }
        }
        Ok(())
    }

    /// The container's program runs: what was started beside it can be waited for.
    pub fn settle(&mut self) {
        if let Way::Holm(own) = &mut self.kind
            && let Some(attached) = &mut own.attached
        {
            attached.settle();
        }
    }

    /// The networks that it was given when it was launched.
    pub fn joined(&self) -> Vec<Joined> {
        match &self.kind {
            Way::Holm(own) => own
                .attached
                .as_ref()
                .map_or_else(Vec::new, |attached| attached.endpoints().iter().map(Joined::from).collect()),
            Way::Pasta { .. } => Vec::new(),
        }
    }

    /// Those that it is in now: others may have taken it out of some and into others.
    pub fn joined_now(&self) -> Vec<Joined> {
        match &self.kind {
            Way::Holm(own) => own.attached.as_ref().map_or_else(Vec::new, |attached| {
                attached.endpoints_now().iter().map(Joined::from).collect()
            }),
            Way::Pasta { .. } => Vec::new(),
        }
    }

    /// The container's processes have ended: what the kernel takes long for can begin.
    pub fn let_go(&mut self) {
        if let Way::Holm(own) = &mut self.kind
            && let Some(attached) = &mut own.attached
        {
            attached.let_go();
        }
    }

    /// Leaves it as it is, and returns the descriptors that keep it.
    pub fn into_held(self) -> Vec<OwnedFd> {
        match self.kind {
            Way::Holm(mut own) => own.attached.take().map_or_else(Vec::new, Attachment::into_held),
            Way::Pasta { running, .. } => running.and_then(Pasta::into_held).into_iter().collect(),
        }
    }

    /// Takes everything away again; returns what could not be.
    pub fn detach(self) -> Vec<BoxedExplain> {
        // pasta ends with what is dropped.
        let Way::Holm(mut own) = self.kind else { return Vec::new() };
        drop(own.reserved.take());
        own.attached
            .take()
            .map_or_else(Vec::new, |attached| attached.detach().into_iter().map(boxed).collect())
    }
}

/// Gives the container's own files their content.
fn write(launch: &mut Launch, hosts: Option<&str>, resolv_conf: &str) {
    for file in &mut launch.files {
        match (file.destination.to_str(), hosts) {
            (Some("/etc/hosts"), Some(hosts)) => file.content = hosts.into(),
            (Some("/etc/resolv.conf"), _) => file.content = resolv_conf.into(),
            _ => {}
        }
    }
}

/// Takes away what a container left that somebody else found to be gone.
pub fn sweep(caller: &Caller, id: &str) {
    pasta::sweep(caller);
    // Where no network was ever made there is nothing to look for.
    if network::Places::of_host().are_used()
        && let Ok(networks) = networks()
    {
        // What is left now is found by `holm network prune --check`.
        let _ = networks.sweep_one(id);
    }
}

/// Notes that a container's networks are its own as long as its first process runs, whoever keeps them.
///
/// # Errors
/// Those of writing.
pub fn note(caller: &Caller, id: &str, whose: sys::pidfd::Identity) -> Result<(), BoxedExplain> {
    pasta::note(caller, id, whose);
    if !network::Places::of_host().are_used() {
        return Ok(());
    }
    networks()?.note_life(id, whose).map_err(boxed)
}

/// Takes what keeps a container's networks and ports again, for a second monitor.
pub fn hold(caller: &Caller, id: &str) -> Vec<OwnedFd> {
    let by_pasta = pasta::hold(caller, id);
    let own = match network::Places::of_host().are_used() {
        true => networks().and_then(|networks| networks.hold(id).map_err(boxed)).unwrap_or_default(),
        false => Vec::new(),
    };
    own.into_iter().chain(by_pasta).collect()
}

/// A network that a container is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its driver.
    pub driver: String,
}

impl From<&Endpoint> for Joined {
    fn from(place: &Endpoint) -> Self {
        Self {
            name: place.network.to_string(),
            id: place.network_id.clone(),
            driver: place.driver.to_string(),
        }
    }
}

/// The networks of holm's making that a container is in now.
pub fn joined(id: &str) -> Vec<Joined> {
    let places = network::Places::of_host();
    if !places.are_used() {
        return Vec::new();
    }
    let record = Ledger::open(&places).and_then(|ledger| ledger.record(id)).ok().flatten();
    record.map_or_else(Vec::new, |record| record.endpoints.iter().map(Joined::from).collect())
}
