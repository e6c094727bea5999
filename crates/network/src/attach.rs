//! A container's network itself: cables, addresses, routes and published ports, made and taken away.
//!
//! [`Reservation::connect`] makes it, [`Attachment::detach`] takes it away; [`Networks::connect`] and [`Networks::disconnect`] change what a
//! running container has. Everything goes by netlink: a batch on the host, one in the container's namespace, and one transaction of nftables.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use netlink::netfilter::{Family, Transaction};
use netlink::route::links::{self, Which};
use netlink::route::{self, IFF_UP, LinkHeader, ifla, info};
use netlink::{Protocol, Requests, Socket, flags};
use report::Kind;
use rustix::fs::{CWD, Mode, OFlags, openat};
use sys::SyscallError;

use crate::allocate;
use crate::beside::{self, Beside};
use crate::decide::MACVLAN_MODES;
use crate::error::Error;
use crate::host::{Host, add_address, bridge_mac};
use crate::keeper::Starting;
use crate::ledger::{Claim, Ledger};
use crate::model::{Driver, MacAddress, Network, NetworkName};
use crate::ports::PortMapping;
use crate::record::{Endpoint, Event, Namespace, Record};
use crate::request::EndpointRequest;
use crate::reserve::{Kept, Reservation};
use crate::rules;
use crate::settings::Settings;
use crate::store::Networks;

/// The number of a container's first link: above those that the kernel makes in a new namespace by itself.
const FIRST_INDEX: u32 = 64;
/// The number where the host has a link of the first one: before Linux 6.15 the kernel looks for it there (`rtnl_newlink`). Hosts number their links from
/// 1 on.
const OTHER_INDEX: u32 = 0x1000_0000;

/// A container's network. It stays until [`Attachment::detach`]; when the process ends without that, the next sweep takes it away.
#[derive(Debug)]
pub struct Attachment {
    kept: Kept,
    /// None once the container has ended.
    namespace: Option<OwnedFd>,
    endpoints: Vec<Endpoint>,
    ports: Vec<PortMapping>,
    keeper: Option<Starting>,
    settings: Settings,
}

impl Attachment {
    /// Waits for what was started beside the container and ends soon, and lets go of what takes a while to end. Nothing of it is needed by the container
    /// itself, so this is for when its program runs.
    pub fn settle(&mut self) {
        self.keeper = None;
        self.settings = Settings::default();
    }

    /// The places that the container got when it was launched.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The places that it has now: others may have taken it out of some networks and into others.
    pub fn endpoints_now(&self) -> Vec<Endpoint> {
        self.kept.claim.read().map_or_else(|_| self.endpoints.clone(), |record| record.endpoints)
    }

    /// What keeps it, for the process that goes on with the container: as long as these are open, no sweep takes the network away, and
    /// nobody else gets its ports.
    pub fn into_held(self) -> Vec<OwnedFd> {
        let mut held = self.kept._held;
        held.push(self.kept.claim.into_lock());
        held
    }

    /// Its published ports.
    pub fn ports(&self) -> &[PortMapping] {
        &self.ports
    }

    /// The container's network namespace, until [`Attachment::let_go`].
    pub fn namespace(&self) -> Option<BorrowedFd<'_>> {
        self.namespace.as_ref().map(AsFd::as_fd)
    }

    /// Lets go of the namespace as soon as the container's processes have ended: the kernel takes links apart meanwhile, which takes it longer than
    /// everything else of [`Attachment::detach`].
    pub fn let_go(&mut self) {
        self.namespace = None;
    }

    /// Takes everything away again, and goes on when something cannot be; returns every error it met.
    pub fn detach(self) -> Vec<Error> {
        let Self { mut kept, namespace, .. } = self;
        drop(namespace);
        let record = match kept.claim.read() {
            Ok(record) => record,
            Err(error) => return vec![error],
        };
        end(&mut kept.host, &kept.ledger, &kept.claim, &record)
    }
}

impl Reservation {
    /// Makes the container's network in its namespace. `say` gets what somebody should know, a line each.
    ///
    /// # Errors
    /// What failed; everything is taken away again then.
    ///
    /// # Kernel
    /// `CAP_NET_ADMIN` here and over the namespace; nftables as of Linux 5.7.
    pub fn connect(
        mut self,
        networks: &Networks,
        namespace: OwnedFd,
        say: &mut dyn FnMut(&str),
    ) -> Result<Attachment, Error> {
        let Some(kept) = self.kept.take() else {
            return Err(Error::invalid("reservation", "it is used already", ""));
        };
        let endpoints = std::mem::take(&mut self.endpoints);
        let ports = std::mem::take(&mut self.ports);
        let settings = Settings::among(kept.others);
        let mut attachment =
            Attachment { kept, namespace: Some(namespace), endpoints, ports, keeper: None, settings };
        let beside = std::mem::take(&mut self.beside);
        let made = attachment.make(networks, &self.networks, say);
        match made.and_then(|()| attachment.furnish(networks, &self.networks, &beside)) {
            Ok(()) => Ok(attachment),
            Err(error) => {
                // What cannot be taken away now is found by the next sweep.
                let _ = attachment.detach();
                Err(error)
            }
        }
    }
}

impl Attachment {
    fn make(
        &mut self,
        networks: &Networks,
        joined: &[Network],
        say: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let kept = &mut self.kept;
        let all: Vec<&Network> = joined.iter().collect();
        let links = kept.host.ready(networks, &all, say)?;
        let Some(namespace) = &self.namespace else { return Ok(()) };
        let inode = rustix::fs::fstat(namespace)
            .map_err(|errno| {
                Error::call("look at the network namespace", SyscallError::new("fstat", "", errno))
            })?
            .st_ino;
        let noted = Namespace { pid: std::process::id(), fd: namespace.as_raw_fd(), inode };
        kept.claim.append(&Event::Namespace(noted))?;
        let turns = !self.ports.is_empty();
        let cables = Cables { first: 0, turns, six: has_ipv6(), links: &links, settings: &self.settings };
        lay(&mut kept.host, namespace.as_fd(), joined, &self.endpoints, &cables)?;
        publish(&mut kept.host, kept.ledger.path(), &self.ports, &self.endpoints)?;
        if self.endpoints.iter().any(|place| place.driver == Driver::Bridge) {
            self.keeper = Some(networks.start_keeper(&kept.ledger));
        }
        Ok(())
    }
}

impl Attachment {
    /// Limits the cables and publishes the names.
    fn furnish(&mut self, networks: &Networks, joined: &[Network], beside: &Beside) -> Result<(), Error> {
        let kept = &mut self.kept;
        let claim = &mut kept.claim;
        beside::limit(&mut kept.host, |event| claim.append(event), &self.endpoints, beside.limits)?;
        if !self.endpoints.iter().any(|place| place.dns) {
            return Ok(());
        }
        let record = kept.claim.read()?;
        for (network, place) in joined.iter().zip(&self.endpoints) {
            networks.announce(&record, network, place, &beside.resolvers)?;
        }
        Ok(())
    }
}

/// What cables are laid of.
struct Cables<'a> {
    /// How many links the container has had before.
    first: u32,
    /// Whether it has published ports.
    turns: bool,
    /// Whether this kernel has IPv6.
    six: bool,
    /// The numbers of the networks' links on the host.
    links: &'a [u32],
    settings: &'a Settings,
}

/// Whether IPv6 is there at all (`ipv6.disable=1`, or a kernel without it). Below /proc/sys/net each look costs more with each namespace.
fn has_ipv6() -> bool {
    rustix::fs::access("/proc/thread-self/net/if_inet6", rustix::fs::Access::EXISTS).is_ok()
}

/// Lays the cables to a namespace, and gives the links there their addresses and routes.
fn lay(
    host: &mut Host,
    namespace: BorrowedFd<'_>,
    networks: &[Network],
    endpoints: &[Endpoint],
    cables: &Cables<'_>,
) -> Result<(), Error> {
    let first = cables.first;
    let six = endpoints.iter().any(|place| place.ipv6.is_some());
    let mut inside = within(namespace, || {
        // Links that come later have these settings: nobody's advertisements are taken, and without an address there is no IPv6.
        let set = |key: &str, value| cables.settings.set_ipv6("default", key, value);
        match six {
            true => set("accept_ra", "0")
                .and_then(|()| if first > 0 { set("disable_ipv6", "0") } else { Ok(()) })?,
            false => set("disable_ipv6", "1")?,
        }
        Socket::open(Protocol::Route)
            .map_err(|cause| Error::kernel("talk to the kernel in the container", cause))
    })?;
    let mut numbers: Vec<u32> =
        (0..endpoints.len()).map(|number| FIRST_INDEX + first + number as u32).collect();
    let taken = lay_cables(host, namespace, (networks, endpoints), &numbers, cables, None)?;
    if !taken.is_empty() {
        for number in &taken {
            numbers[*number] = OTHER_INDEX + first + *number as u32;
        }
        lay_cables(host, namespace, (networks, endpoints), &numbers, cables, Some(&taken))?;
    }
    raise(host, endpoints, cables)?;

    let mut batch = Requests::new();
    if first == 0 {
        links::set_up(&mut batch, Which::Index(1), true);
    }
    // The first network with a router is the way to everywhere.
    let way4 = endpoints.iter().position(|place| place.ipv4.is_some_and(|own| own.gateway.is_some()));
    let way6 = endpoints.iter().position(|place| place.ipv6.is_some_and(|own| own.gateway.is_some()));
    for (number, place) in endpoints.iter().enumerate() {
        let index = numbers[number];
        if let Some(own) = place.ipv4 {
            add_address(&mut batch, index, own.address.into(), own.prefix);
            if let Some(gateway) = own.gateway.filter(|_| first == 0 && way4 == Some(number)) {
                links::add_default_route(&mut batch, index, gateway.into());
            }
        }
        if let Some(own) = place.ipv6 {
            add_address(&mut batch, index, own.address.into(), own.prefix);
            if let Some(gateway) = own.gateway.filter(|_| first == 0 && way6 == Some(number)) {
                links::add_default_route(&mut batch, index, gateway.into());
            }
        }
    }
    inside
        .transact(&mut batch)
        .map_err(|cause| Error::kernel("give the container its addresses and routes", cause))
}

/// Lays the cables of all places, or of those in `only`. Returns the places whose number a link has already, and which have no cable for that; with `only`
/// that is a failure.
fn lay_cables(
    host: &mut Host,
    namespace: BorrowedFd<'_>,
    (networks, endpoints): (&[Network], &[Endpoint]),
    numbers: &[u32],
    cables: &Cables<'_>,
    only: Option<&[usize]>,
) -> Result<Vec<usize>, Error> {
    let mut batch = Requests::new();
    // Whose each request is; the first one of each makes the link.
    let mut owners: Vec<usize> = Vec::new();
    for (number, ((network, place), parent)) in networks.iter().zip(endpoints).zip(cables.links).enumerate() {
        if only.is_some_and(|only| !only.contains(&number)) {
            continue;
        }
        match place.driver {
            Driver::Bridge => {
                let mac = bridge_mac(network);
                cable(&mut batch, namespace, (place, mac), (numbers[number], *parent), cables.six);
            }
            Driver::Macvlan => macvlan(&mut batch, namespace, (network, place), numbers[number], *parent),
        }
        owners.resize(batch.len(), number);
    }
    let (mut request, mut taken, mut refused) = (0, Vec::new(), None);
    let outcome = host.route.transact_each(&mut batch, |outcome| {
        let owner = owners.get(request).copied().unwrap_or_default();
        let makes = request == 0 || owners.get(request - 1) != Some(&owner);
        request += 1;
        match outcome {
            Err(refusal) if makes && only.is_none() && refusal.errno == sys::Errno::EXIST => {
                taken.push(owner)
            }
            // What follows a link that is not there.
            Err(_) if taken.last() == Some(&owner) => {}
            outcome => refused = refused.take().or(outcome.err().map(|refusal| (owner, refusal))),
        }
    });
    outcome.map_err(|cause| Error::kernel(doing(endpoints), cause))?;
    match refused {
        Some((owner, refusal)) => {
            Err(Error::kernel(doing(&endpoints[owner..=owner]), netlink::Error::Refused(refusal)))
        }
        None => Ok(taken),
    }
}

fn doing(places: &[Endpoint]) -> String {
    let one = |place: &Endpoint| {
        format!("lay a cable from {} to {} inside", place.network_interface, place.interface)
    };
    places.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Sets the host's ends of cables up, and says what becomes of what comes by them.
fn raise(host: &mut Host, endpoints: &[Endpoint], cables: &Cables<'_>) -> Result<(), Error> {
    const HAIRPIN: u16 = 4;
    let up = LinkHeader { flags: IFF_UP, change: IFF_UP, ..LinkHeader::default() };
    let mut batch = Requests::new();
    for place in endpoints.iter().filter(|place| place.driver == Driver::Bridge) {
        if cables.six {
            // A port of a bridge does without IPv6. With it, it would have routes to groups of its own, one more in a list that each one that comes is
            // compared with. Where that cannot be set it takes longer, and that is all.
            let _ = cables.settings.set_ipv6(&place.host_link, "disable_ipv6", "1");
        }
        links::begin(&mut batch, route::NEWLINK, 0, Which::Named(&place.host_link), up);
        if cables.turns {
            // The bridge sends back by a cable what came by it: with br_netfilter, packets to a published port of the container itself take that way.
            batch.nest(ifla::LINKINFO, |link| {
                link.attribute(info::SLAVE_KIND, b"bridge");
                link.nest(info::SLAVE_DATA, |data| _ = data.u8(HAIRPIN, 1));
            });
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    host.route.transact(&mut batch).map_err(|cause| Error::kernel(doing(endpoints), cause))
}

/// Adds the container's end of a cable, up; the host's end comes with it, with a hardware address, and becomes a port of the bridge.
fn cable(
    batch: &mut Requests,
    namespace: BorrowedFd<'_>,
    (place, mac): (&Endpoint, MacAddress),
    (index, bridge): (u32, u32),
    ipv6: bool,
) {
    const PEER: u16 = 1;
    const ADDRESS_GENERATION: u16 = 8;
    const NO_ADDRESSES: u8 = 1;
    let own =
        LinkHeader { index: index.cast_signed(), flags: IFF_UP, change: IFF_UP, ..LinkHeader::default() };
    batch.begin(route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &own.bytes());
    batch
        .text(ifla::IFNAME, &place.interface)
        .attribute(ifla::ADDRESS, &place.mac.0)
        .u32(ifla::MTU, place.mtu);
    batch.u32(ifla::NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
    batch.nest(ifla::LINKINFO, |link| {
        link.attribute(info::KIND, b"veth");
        link.nest(info::DATA, |data| {
            data.nest(PEER, |end| {
                end.raw(&LinkHeader::default().bytes())
                    .text(ifla::IFNAME, &place.host_link)
                    .attribute(ifla::ADDRESS, &mac.0)
                    .u32(ifla::MTU, place.mtu);
            });
        });
    });
    let host_end = Which::Named(&place.host_link);
    links::begin(batch, route::NEWLINK, 0, host_end, LinkHeader::default()).u32(ifla::MASTER, bridge);
    if ipv6 {
        // A port of a bridge needs no address of its own, which the kernel would make and look for duplicates of.
        batch.nest(ifla::AF_SPEC, |families| {
            families.nest(route::AF_INET6.into(), |own| _ = own.u8(ADDRESS_GENERATION, NO_ADDRESSES));
        });
    }
}

/// Adds a link on the segment of the parent, up.
fn macvlan(
    batch: &mut Requests,
    namespace: BorrowedFd<'_>,
    (network, place): (&Network, &Endpoint),
    index: u32,
    parent: u32,
) {
    const MODE: u16 = 1;
    let mode = network.options.get("mode").map_or("bridge", String::as_str);
    let mode = MACVLAN_MODES.iter().position(|name| *name == mode).unwrap_or(2);
    let own =
        LinkHeader { index: index.cast_signed(), flags: IFF_UP, change: IFF_UP, ..LinkHeader::default() };
    batch.begin(route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &own.bytes());
    batch.text(ifla::IFNAME, &place.interface).attribute(ifla::ADDRESS, &place.mac.0);
    batch.u32(ifla::MTU, place.mtu).u32(ifla::LINK, parent);
    batch.u32(ifla::NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
    batch.nest(ifla::LINKINFO, |link| {
        link.attribute(info::KIND, b"macvlan");
        link.nest(info::DATA, |data| _ = data.u32(MODE, 1 << mode));
    });
}

/// Publishes ports: one transaction, or none.
fn publish(host: &mut Host, run: &Path, ports: &[PortMapping], endpoints: &[Endpoint]) -> Result<(), Error> {
    let mut changes = Transaction::new();
    let routes = allocate::routes(ports, endpoints);
    for family in [Family::Ipv4, Family::Ipv6] {
        rules::publish(&mut changes, family, &routes);
    }
    if changes.is_empty() {
        return Ok(());
    }
    host.change_sets(run, &mut changes).map_err(|cause| Error::kernel("publish the ports", cause))
}

/// Takes away what a record names, and the record when nothing is left. Its addresses are free only when nothing leads to them any more.
pub(crate) fn end(host: &mut Host, ledger: &Ledger, claim: &Claim, record: &Record) -> Vec<Error> {
    let mut left = take_away(host, ledger.path(), record);
    if left.is_empty() {
        let routes = allocate::routes(&record.ports, &record.endpoints);
        left.extend(ledger.release(claim, || unpublish(host, ledger.path(), &routes)).err());
    }
    left
}

/// Takes away a container's links on the host.
fn take_away(host: &mut Host, run: &Path, record: &Record) -> Vec<Error> {
    let mut left = Vec::new();
    for place in &record.endpoints {
        left.extend(beside::withdraw(run, record, place).err());
        left.extend(beside::unlimit(host, record, place).err());
    }
    let links = record.endpoints.iter().map(|place| place.host_link.as_str());
    left.extend(host.remove_links(&links.filter(|name| !name.is_empty()).collect::<Vec<_>>()));
    left
}

fn unpublish(host: &mut Host, run: &Path, routes: &[(PortMapping, std::net::IpAddr)]) -> Result<(), Error> {
    if routes.is_empty() {
        return Ok(());
    }
    let failed = |cause| Error::kernel("take published ports back", cause);
    let mut changes = Transaction::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        rules::unpublish(&mut changes, family, routes);
    }
    host.expect_whole(run);
    match host.change_sets(run, &mut changes) {
        // Somebody flushed the rules, or took one of them away: the others go one by one.
        Err(cause) if cause.errno() == Some(sys::Errno::NOENT) => {}
        outcome => return outcome.map_err(failed),
    }
    for route in routes {
        let mut changes = Transaction::new();
        let family = if route.1.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        rules::unpublish(&mut changes, family, std::slice::from_ref(route));
        match changes.commit(host.nft()?) {
            Err(cause) if cause.errno() == Some(sys::Errno::NOENT) => {}
            outcome => outcome.map_err(failed)?,
        }
    }
    Ok(())
}

/// Does something in another network namespace: a socket belongs to the one that it was made in.
fn within<T>(namespace: BorrowedFd<'_>, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let failed = |error| Error::call("enter the container's network namespace", error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = openat(CWD, "/proc/thread-self/ns/net", flags, Mode::empty())
        .map_err(|errno| failed(SyscallError::new("openat", "/proc/thread-self/ns/net", errno)))?;
    sys::ns::join(&namespace, sys::clone::CLONE_NEWNET).map_err(failed)?;
    let outcome = act();
    sys::ns::join(&own, sys::clone::CLONE_NEWNET).map_err(failed)?;
    outcome
}

impl Networks {
    /// Lets a running container join one more network.
    ///
    /// # Errors
    /// What cannot be had; nothing was changed then.
    pub fn connect(
        &self,
        container: &str,
        request: &EndpointRequest,
        say: &mut dyn FnMut(&str),
    ) -> Result<Endpoint, Error> {
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        let record = self.running(&ledger, container)?;
        let namespace = namespace_of(&record)?;
        let joined = self.joined(std::slice::from_ref(request), &mut host)?;
        let network = joined[0].1.network.clone();
        if record.endpoints.iter().any(|place| place.network == network.name) {
            return Err(Error::refused(
                format!("container {container}"),
                format!("it is in the network {} already", network.name),
                "",
                Kind::AlreadyExists,
            ));
        }
        let limits = beside::limits_of(&record);
        if !limits.is_empty() && network.driver != Driver::Bridge {
            return Err(beside::no_cable(&network));
        }
        let used = |number: &u32| {
            !record.endpoints.iter().any(|place| {
                place.interface == format!("eth{number}") || place.host_link.ends_with(&format!("{number:x}"))
            })
        };
        let first = (0..16).find(used).ok_or_else(|| {
            Error::invalid(format!("container {container}"), "it has sixteen networks", "take it out of one")
        })?;
        let links = host.ready(self, &[&network], say)?;
        let mut locked = ledger.lock()?;
        let place =
            allocate::places(&mut locked.table, &record.header.token, &joined, first as usize)?.remove(0);
        if record.endpoints.iter().any(|other| other.interface == place.interface) {
            return Err(Error::invalid(
                format!("interface {}", place.interface),
                "the container has a link of this name",
                "give another with interface_name=",
            ));
        }
        ledger.append(&record.header.id, &Event::Joined(place.clone()))?;
        locked.commit()?;
        let settings = Settings::among(locked.table.addresses());
        // Numbers of links are not used again.
        let places = std::slice::from_ref(&place);
        let first = first + 16;
        let cables = Cables { first, turns: false, six: has_ipv6(), links: &links, settings: &settings };
        let laid = lay(&mut host, namespace.as_fd(), std::slice::from_ref(&network), places, &cables);
        let laid = laid
            .and_then(|()| beside::limit(&mut host, |_| Ok(()), places, limits))
            .and_then(|()| self.announce(&record, &network, &place, &[]));
        match laid {
            Ok(()) => {
                if network.driver == Driver::Bridge {
                    drop(self.start_keeper(&ledger));
                }
                Ok(place)
            }
            Err(error) => {
                let _ = self.leave(&mut host, &ledger, &record, &place);
                Err(error)
            }
        }
    }

    /// Takes a running container out of a network.
    ///
    /// # Errors
    /// When it is in no such network, or its published ports lead there.
    pub fn disconnect(&self, container: &str, network: &str) -> Result<(), Error> {
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        let record = self.running(&ledger, container)?;
        let network = self.get(network)?;
        let Some(place) = record.endpoints.iter().find(|place| place.network == network.name) else {
            return Err(Error::refused(
                format!("container {container}"),
                format!("it is not in the network {}", network.name),
                format!("`holm network inspect {}` lists the containers in it", network.name),
                Kind::NotFound,
            ));
        };
        let leads = allocate::routes(&record.ports, &record.endpoints)
            .iter()
            .any(|(_, target)| place.addresses().any(|own| own == *target));
        if leads {
            return Err(Error::refused(
                format!("network {}", network.name),
                "the container's published ports lead there",
                "stop the container to take them back",
                Kind::StateConflict,
            ));
        }
        self.leave(&mut host, &ledger, &record, place)
    }

    fn leave(
        &self,
        host: &mut Host,
        ledger: &Ledger,
        record: &Record,
        place: &Endpoint,
    ) -> Result<(), Error> {
        beside::withdraw(&self.places.run, record, place)?;
        beside::unlimit(host, record, place)?;
        match place.driver {
            Driver::Bridge => host.remove_link(&place.host_link)?,
            Driver::Macvlan => {
                let namespace = namespace_of(record)?;
                let mut inside = within(namespace.as_fd(), || {
                    Socket::open(Protocol::Route).map_err(|cause| Error::kernel("talk to the kernel", cause))
                })?;
                let mut batch = Requests::new();
                links::delete(&mut batch, Which::Named(&place.interface));
                match inside.transact(&mut batch) {
                    Err(cause) if cause.errno() == Some(sys::Errno::NODEV) => {}
                    outcome => outcome.map_err(|cause| Error::kernel("remove the link", cause))?,
                }
            }
        }
        let mut locked = ledger.lock()?;
        for address in place.addresses() {
            locked.table.free_address(&place.network_id, address, &record.header.token);
        }
        ledger.append(&record.header.id, &Event::Left(place.network.clone()))?;
        locked.commit()
    }

    /// The file of a running container's network namespace.
    ///
    /// # Errors
    /// When there is no such container on networks of holm's making.
    pub fn namespace_path(&self, container: &str) -> Result<std::path::PathBuf, Error> {
        let record = self.running(&Ledger::open(&self.places)?, container)?;
        namespace_of(&record)?;
        Ok(record
            .namespace
            .map_or_else(Default::default, |own| format!("/proc/{}/fd/{}", own.pid, own.fd).into()))
    }

    /// The record of a container that runs, by its name or the beginning of its id.
    fn running(&self, ledger: &Ledger, container: &str) -> Result<Record, Error> {
        let mut found: Vec<_> = ledger
            .records()?
            .into_iter()
            .filter(|record| {
                record.header.name.as_deref() == Some(container)
                    || record.header.id == container
                    || (container.len() >= 4 && record.header.id.starts_with(container))
            })
            .collect();
        let exact = |record: &Record| {
            record.header.name.as_deref() == Some(container) || record.header.id == container
        };
        if found.len() > 1 {
            found.retain(exact);
        }
        // Those of several directories of containers are on the same networks, and may be called the same.
        if let [one, two, ..] = found.as_slice() {
            return Err(Error::refused(
                format!("container {}", container.escape_debug()),
                "several containers of different directories are called so",
                format!("give an id: {} or {}", one.header.id, two.header.id),
                Kind::InvalidInput,
            ));
        }
        match found.pop() {
            Some(record) if ledger.is_kept(&record.header.id)? => Ok(record),
            _ => Err(Error::refused(
                format!("container {}", container.escape_debug()),
                "no container of this name is on a network of holm's making",
                "`holm network inspect NETWORK` lists the containers in a network",
                Kind::NotFound,
            )),
        }
    }
}

/// The network namespace of a container, which the process that keeps it holds open.
fn namespace_of(record: &Record) -> Result<OwnedFd, Error> {
    let gone = || {
        Error::refused(
            format!("container {}", record.header.id),
            "it has ended, or is about to begin",
            "",
            Kind::StateConflict,
        )
    };
    let noted = record.namespace.ok_or_else(gone)?;
    let open = |path: String| {
        let fd = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        // The number may be another process's by now, and its descriptor anything.
        let same = rustix::fs::fstat(&fd).is_ok_and(|status| status.st_ino == noted.inode);
        (same && sys::ns::kind(&fd).is_ok_and(|kind| kind == sys::clone::CLONE_NEWNET)).then_some(fd)
    };
    // Who laid the cables may have gone on as another program, or have ended, while the container runs.
    let own = |pid: i32| format!("/proc/{pid}/ns/net");
    let by_life = || record.life.filter(|life| life.lives()).and_then(|life| open(own(life.pid)));
    open(format!("/proc/{}/fd/{}", noted.pid, noted.fd)).or_else(by_life).ok_or_else(gone)
}

/// The names and addresses of the containers in a network: what its name server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The container's id.
    pub id: String,
    /// Its names in the network.
    pub names: Vec<String>,
    /// Its address of IPv4.
    pub ipv4: Option<Ipv4Addr>,
    /// Its address of IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

impl Networks {
    /// The containers that are in a network.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn members(&self, network: &NetworkName) -> Result<Vec<Member>, Error> {
        let ledger = Ledger::open(&self.places)?;
        let mut members = Vec::new();
        for record in ledger.records()? {
            for place in record.endpoints.iter().filter(|place| place.network == *network) {
                members.push(Member {
                    id: record.header.id.clone(),
                    names: record.names_in(place).map(str::to_owned).collect(),
                    ipv4: place.ipv4.map(|own| own.address),
                    ipv6: place.ipv6.map(|own| own.address),
                });
            }
        }
        Ok(members)
    }
}
