//! What is left of containers that are no more, and networks that go.
//!
//! [`Networks::sweep_all`] takes away what processes that were killed left; [`Networks::leftovers`] also finds what no record names, by
//! comparing links, rules and leases with the records. [`Networks::remove`] and [`Networks::prune`] take networks away.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use netlink::tc;
use report::Kind;

use crate::attach::end;
use crate::beside;
use crate::error::Error;
use crate::facts::HostNetwork;
use crate::hold::hold;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::model::{DEFAULT_NETWORK, Driver, Network, NetworkName};
use crate::rules::TABLE;
use crate::store::Networks;

impl Networks {
    /// Takes away what containers left whose keepers are gone; returns their ids.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn sweep_all(&self) -> Result<Vec<String>, Error> {
        let ledger = Ledger::open(&self.places)?;
        // Without a record there is nothing to talk to the kernel about.
        if ledger.ids()?.is_empty() {
            return Ok(Vec::new());
        }
        self.sweep(&mut Host::open()?, &ledger)
    }

    /// Takes away what one container left, if nobody keeps it; tells whether there was something.
    ///
    /// # Errors
    /// What could not be taken away.
    pub fn sweep_one(&self, id: &str) -> Result<bool, Error> {
        let ledger = Ledger::open(&self.places)?;
        let Some((claim, record)) = ledger.adopt(id)? else { return Ok(false) };
        match end(&mut Host::open()?, &ledger, &claim, &record).pop() {
            Some(error) => Err(error),
            None => Ok(true),
        }
    }

    /// Notes that a container's networks are its own as long as this process of it runs, whether anybody keeps them or not.
    ///
    /// # Errors
    /// When its record cannot be written.
    pub fn note_life(&self, id: &str, whose: sys::pidfd::Identity) -> Result<(), Error> {
        let life = crate::record::Life { pid: whose.pid, handle: whose.handle, start: whose.start };
        let ledger = Ledger::open(&self.places)?;
        // One that somebody else connects has no record.
        match ledger.record(id)? {
            Some(_) => ledger.append(id, &crate::record::Event::Lives(life)),
            None => Ok(()),
        }
    }

    /// Keeps the networks of a container that runs and that nobody keeps, as long as the descriptors live: its record, and the ports of the host
    /// that lead to it. A port that a program of the host has taken meanwhile stays that program's, and what comes to it still goes to the container.
    /// None when somebody keeps them.
    ///
    /// # Errors
    /// When its record cannot be opened.
    pub fn hold(&self, id: &str) -> Result<Vec<OwnedFd>, Error> {
        let ledger = Ledger::open(&self.places)?;
        let Some(lock) = ledger.hold(id)? else { return Ok(Vec::new()) };
        let ports = ledger.record(id)?.map_or_else(Vec::new, |record| record.ports);
        let mut held: Vec<OwnedFd> = ports.iter().filter_map(|port| hold(port).ok().flatten()).collect();
        held.push(lock);
        Ok(held)
    }

    pub(crate) fn sweep(&self, host: &mut Host, ledger: &Ledger) -> Result<Vec<String>, Error> {
        let mut swept = Vec::new();
        for id in ledger.ids()? {
            let Some((claim, record)) = ledger.adopt(&id)? else { continue };
            if end(host, ledger, &claim, &record).is_empty() {
                swept.push(id);
            }
        }
        Ok(swept)
    }

    /// Looks for what should not be there, and takes it away if `mend` says so. A line for each thing.
    ///
    /// # Errors
    /// When it cannot be looked for, or not be taken away.
    pub fn leftovers(&self, mend: bool, say: &mut dyn FnMut(&str)) -> Result<Vec<String>, Error> {
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        let mut found = Vec::new();
        for id in ledger.ids()? {
            if !ledger.is_kept(&id)? {
                found.push(format!("container {id}: its network, though nothing keeps it any more"));
            }
        }
        if mend {
            self.sweep(&mut host, &ledger)?;
        }
        let networks = self.list()?;
        let mut locked = ledger.lock()?;
        let records = ledger.records()?;
        let tokens: BTreeSet<&str> = records.iter().map(|record| record.header.token.as_str()).collect();
        let lost: Vec<String> = locked
            .table
            .owners()
            .into_iter()
            .filter(|owner| !tokens.contains(owner))
            .map(str::to_owned)
            .collect();
        for token in lost {
            found.push(format!("addresses or ports of {token}, which has no record"));
            locked.table.free_all(&token);
        }
        let facts = HostNetwork::read(&mut host.route)?;
        let cables: BTreeSet<&str> = records
            .iter()
            .flat_map(|record| &record.endpoints)
            .map(|place| place.host_link.as_str())
            .collect();
        for link in &facts.links {
            let own = link.kind == "veth" && link.name.len() == 14 && link.name.starts_with("hv");
            if own && !cables.contains(link.name.as_str()) {
                found.push(format!("link {}, which no container has", link.name));
                if mend {
                    host.remove_link(&link.name)?;
                }
            }
        }
        let detours: BTreeSet<String> = cables.iter().map(|cable| tc::detour(cable)).collect();
        for link in facts.links.iter().filter(|link| link.kind == "ifb" && link.name.starts_with("i-v")) {
            if link.name.len() == 15 && !detours.contains(&link.name) {
                found.push(format!("link {}, which limits no container", link.name));
                if mend {
                    host.remove_link(&link.name)?;
                }
            }
        }
        let directory = beside::names(&self.places.run);
        for (network, container) in dns::published(&directory) {
            let known = |record: &crate::Record| {
                record.header.id == container
                    && record.endpoints.iter().any(|place| place.network.as_str() == network)
            };
            if !records.iter().any(known) {
                found.push(format!(
                    "names of container {container} in the network {network}, where it is not"
                ));
                if mend {
                    dns::withdraw(&directory, &network, &container).map_err(Error::Names)?;
                }
            }
        }
        let bridges: Vec<&Network> =
            host.bridges(&networks)?.into_iter().map(|(network, _)| network).collect();
        if !bridges.is_empty() {
            let ipv6 = bridges.iter().any(|network| network.subnet(false).is_some());
            let whole = host.rules_are_whole(&self.places.run, ipv6)?;
            if !whole {
                found.push(format!("the rules of nftables (ip {TABLE}) are not as they should be"));
            }
            match whole {
                true => found.extend(host.compare_sets(self, &ledger, mend)?),
                false if mend => host.make(self, &ledger, &bridges, say)?,
                false => {}
            }
        }
        for path in self.places.deserted() {
            found.push(format!("{}, of a network namespace that is no more", path.display()));
            if mend {
                std::fs::remove_dir_all(&path).map_err(|error| Error::file(&path, "unlink", error))?;
            }
        }
        if mend {
            locked.commit()?
        }
        Ok(found)
    }

    /// Removes a network. With `force`, containers in it are taken out of it first.
    ///
    /// # Errors
    /// When there is none, or containers are in it.
    pub fn remove(&self, name: &str, force: bool, say: &mut dyn FnMut(&str)) -> Result<NetworkName, Error> {
        let network = self.get(name)?;
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        self.sweep(&mut host, &ledger)?;
        let inside: Vec<_> = self.members(&network.name)?;
        if !inside.is_empty() && !force {
            let names: Vec<_> = inside
                .iter()
                .map(|member| member.names.first().map_or(member.id.as_str(), String::as_str))
                .collect();
            return Err(Error::refused(
                format!("network {}", network.name),
                format!("containers are in it: {}", names.join(", ")),
                "stop them, or take them out with `holm network disconnect`; --force does the latter",
                Kind::Busy,
            ));
        }
        for member in inside {
            self.disconnect(&member.id, network.name.as_str())?;
        }
        self.take_down(&mut host, &ledger, &network, true, say)?;
        Ok(network.name)
    }

    /// Removes every network that nobody is in but the default one, whose links and rules are taken away all the same; returns the names.
    ///
    /// # Errors
    /// The first that could not be removed.
    pub fn prune(&self, say: &mut dyn FnMut(&str)) -> Result<Vec<NetworkName>, Error> {
        let mut host = Host::open()?;
        let ledger = Ledger::open(&self.places)?;
        self.sweep(&mut host, &ledger)?;
        let mut removed = Vec::new();
        for network in self.list()? {
            if !self.members(&network.name)?.is_empty() {
                continue;
            }
            let forget = network.name.as_str() != DEFAULT_NETWORK;
            self.take_down(&mut host, &ledger, &network, forget, say)?;
            if forget {
                removed.push(network.name);
            }
        }
        Ok(removed)
    }

    /// Takes a network's bridge away, and everything that is for all networks with the last one; `forget`: and its file.
    fn take_down(
        &self,
        host: &mut Host,
        ledger: &Ledger,
        network: &Network,
        forget: bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let mut locked = ledger.lock()?;
        // Somebody may have joined since it was looked at.
        let joined =
            |record: &crate::Record| record.endpoints.iter().any(|place| place.network == network.name);
        if ledger.records()?.iter().any(joined) {
            return Err(Error::refused(
                format!("network {}", network.name),
                "a container has joined it just now",
                "",
                Kind::Busy,
            ));
        }
        if network.driver == Driver::Bridge && host.link(&network.interface)?.is_some() {
            host.remove_link(&network.interface)?;
        }
        dns::forget(&beside::names(&self.places.run), network.name.as_str()).map_err(Error::Names)?;
        let others: Vec<Network> =
            self.list()?.into_iter().filter(|other| other.name != network.name).collect();
        let there: Vec<&Network> = host.bridges(&others)?.into_iter().map(|(network, _)| network).collect();
        match there.is_empty() {
            true => host.clear(&self.places)?,
            false => host.make(self, ledger, &there, say)?,
        }
        locked.table.forget_network(&network.id);
        locked.commit()?;
        if forget { self.forget(&network.name) } else { Ok(()) }
    }
}
