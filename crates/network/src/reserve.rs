//! Before a container's network exists: its addresses and ports are chosen and written down.
//!
//! [`Networks::reserve`] needs no network namespace, so what cannot be had is told before anything is launched, and the addresses are known
//! for the container's own files. [`Reservation::connect`] does the rest.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use report::Kind;

use crate::allocate::{self, Joined};
use crate::attach;
use crate::beside::Beside;
use crate::error::Error;
use crate::hold::{NotHeld, hold};
use crate::host::Host;
use crate::ledger::{Claim, Ledger};
use crate::model::{DEFAULT_NETWORK, Driver, Network};
use crate::ports::{self, PortMapping};
use crate::record::{Endpoint, Event, Header};
use crate::request::{ContainerNet, EndpointRequest};
use crate::store::Networks;

/// Addresses and ports that are a container's, and its record. Dropped without [`Reservation::connect`], it gives them back.
#[derive(Debug)]
pub struct Reservation {
    pub(crate) networks: Vec<Network>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) ports: Vec<PortMapping>,
    /// None once somebody else is to give it back.
    pub(crate) kept: Option<Kept>,
    pub(crate) beside: Beside,
}

/// What a reservation and an attachment hold.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) ledger: Ledger,
    pub(crate) claim: Claim,
    pub(crate) host: Host,
    /// Sockets that hold ports of the host.
    pub(crate) _held: Vec<OwnedFd>,
    /// How many containers there were before.
    pub(crate) others: usize,
}

impl Reservation {
    /// The container's places.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Its published ports.
    pub fn ports(&self) -> &[PortMapping] {
        &self.ports
    }

    /// The networks, in the order of the places.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(mut kept) = self.kept.take()
            && let Ok(record) = kept.claim.read()
        {
            // There is nobody to tell. What is left is found by the next sweep.
            let _ = attach::end(&mut kept.host, &kept.ledger, &kept.claim, &record);
        }
    }
}

/// What was chosen for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) ports: Vec<PortMapping>,
}

impl Networks {
    /// Chooses addresses and ports for a container and writes them down. A network that is named `bridge` is made if it is not there.
    ///
    /// # Errors
    /// What cannot be had, in one line; nothing was changed then.
    pub fn reserve(&self, want: &ContainerNet) -> Result<Reservation, Error> {
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        let joined = self.joined(&want.endpoints, &mut host)?;
        let mut swept = false;
        loop {
            let (chosen, claim, held, others) = match self.try_reserve(want, &joined, &ledger) {
                // Somebody's who is no more, perhaps.
                Err(Error::Refused {
                    kind: Kind::Busy | Kind::ResourceExhausted | Kind::AlreadyExists,
                    ..
                }) if !swept && self.sweep(&mut host, &ledger)?.is_empty().eq(&false) => {
                    swept = true;
                    continue;
                }
                outcome => outcome?,
            };
            let networks = joined.into_iter().map(|(_, joined)| joined.network).collect();
            let kept = Some(Kept { ledger, claim, host, _held: held, others });
            return Ok(Reservation {
                networks,
                endpoints: chosen.endpoints,
                ports: chosen.ports,
                kept,
                beside: Beside::default(),
            });
        }
    }

    /// The networks that are asked for.
    pub(crate) fn joined(
        &self,
        endpoints: &[EndpointRequest],
        host: &mut Host,
    ) -> Result<Vec<(EndpointRequest, Joined)>, Error> {
        let mut joined = Vec::with_capacity(endpoints.len());
        for request in endpoints {
            let network = match request.network.as_str() {
                DEFAULT_NETWORK | "default" => self.default_network(&mut host.route)?,
                name => self.get(name)?,
            };
            let mtu = match (network.mtu, host.ready_link(&network)?) {
                (Some(mtu), _) => mtu,
                (None, Some(found)) => found.mtu,
                (None, None) => {
                    let facts = crate::facts::HostNetwork::read(&mut host.route)?;
                    facts.ways_out().map(|link| link.mtu).min().unwrap_or(1500)
                }
            };
            joined.push((request.clone(), Joined { network, mtu }));
        }
        Ok(joined)
    }

    fn try_reserve(
        &self,
        want: &ContainerNet,
        joined: &[(EndpointRequest, Joined)],
        ledger: &Ledger,
    ) -> Result<(Chosen, Claim, Vec<OwnedFd>, usize), Error> {
        let token = token();
        let mut locked = ledger.lock()?;
        let others = locked.table.addresses();
        for (_, joined) in joined {
            // It may have been removed since it was read; with the lock held it is not.
            self.get(joined.network.name.as_str())?;
        }
        let endpoints = allocate::places(&mut locked.table, &token, joined, 0)?;
        let wanted = ports::wanted(&want.publish, want.publish_all, &want.expose);
        let mut held = Vec::new();
        let mut why = String::new();
        let targets = allocate::targets(&endpoints);
        if let Some(port) = wanted.first()
            && targets == [None, None]
        {
            let problem = match joined.iter().find(|(_, joined)| joined.network.driver == Driver::Macvlan) {
                Some(_) => "the container has an address of its own on the segment, and is reached there",
                None => "none of the container's networks has a way out",
            };
            return Err(Error::invalid(
                format!("port {}", port.container_port),
                problem,
                "leave the ports out, or add a bridge network",
            ));
        }
        let chosen = ports::choose(
            &wanted,
            |port| {
                if let Some(owner) = locked.table.owner_of_port(port) {
                    why = format!("container {} has it", name_of(ledger, owner));
                    return true;
                }
                match hold(port) {
                    Ok(socket) => {
                        held.extend(socket);
                        false
                    }
                    Err(NotHeld::InUse) => {
                        "a program of the host has it".clone_into(&mut why);
                        true
                    }
                    Err(NotHeld::NoAddress) => {
                        "the host has no such address".clone_into(&mut why);
                        true
                    }
                    Err(NotHeld::Failed(errno)) => {
                        why = errno.to_string();
                        true
                    }
                }
            },
            u32::from_str_radix(&token[..7], 16).unwrap_or(0),
        );
        let ports = chosen.map_err(|ports::NoPort(port)| {
            let address = port.host_ip.map_or(String::new(), |address| format!("{address}:"));
            Error::refused(
                format!("port {address}{} of the host", port.host),
                if why.is_empty() { "it is published twice".to_owned() } else { why.clone() },
                "choose another port, or leave the host's port out to have a free one chosen",
                Kind::Busy,
            )
        })?;
        for port in &ports {
            if allocate::routes(std::slice::from_ref(port), &endpoints).is_empty() {
                return Err(Error::invalid(
                    format!("port {port}"),
                    "the container has no address of this family",
                    "add a network that has one: `holm network create --ipv6`",
                ));
            }
            locked.table.take_port(port, &token);
        }
        let mut events: Vec<_> = endpoints.iter().cloned().map(Event::Joined).collect();
        if !ports.is_empty() {
            events.push(Event::Published(ports.clone()));
        }
        let keeper = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
        let header = Header { id: want.id.clone(), name: want.name.clone(), token, keeper };
        let claim = ledger.claim(header, &events)?;
        let committed = locked.commit();
        drop(locked);
        if let Err(error) = committed {
            let _ = ledger.release(&claim, || Ok(()));
            return Err(error);
        }
        Ok((Chosen { endpoints, ports }, claim, held, others))
    }
}

/// The name of the container with this token, for a person.
fn name_of(ledger: &Ledger, token: &str) -> String {
    let records = ledger.records().unwrap_or_default();
    let found = records.into_iter().find(|record| record.header.token == token);
    found
        .map_or_else(|| "that is no more".to_owned(), |record| record.header.name.unwrap_or(record.header.id))
}

/// Sixteen random hexadecimal digits.
fn token() -> String {
    let mut bytes = [0; 8];
    // Without randomness two at the same moment would have one token; the process's number is not the same.
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    if filled < bytes.len() {
        let pid = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        bytes = (now.map_or(0, |since| since.as_nanos() as u64) ^ pid << 40).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The servers of the host's own that a container can reach, too.
pub fn reachable_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok())?
    };
    resolv_conf.lines().filter_map(server).filter(|address| !address.is_loopback()).collect()
}
