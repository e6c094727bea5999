//! The process that sees to it that nobody's flush takes holm's rules away for long.
//!
//! A firewall that starts anew, or a person with `nft flush ruleset`, takes all tables away, holm's among them. [`keep`] listens to what the
//! kernel tells of changes of nftables, and has the rules written again. One process of a host does so, which an attachment
//! starts where there is none; it ends when no container is on any network any more. That it lives shows in a lock, as with the name server.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netlink::netfilter::{Changed, table_of};
use netlink::{Protocol, Socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use sys::SyscallError;
use sys::raw::{self, Capabilities};

use crate::error::Error;
use crate::host::Host;
use crate::leases::Table;
use crate::ledger::Ledger;
use crate::model::Network;
use crate::rules::{self, TABLE};
use crate::store::Networks;

/// The word by which the program that people type runs [`keep`]; the directories of networks and of what lives as long as the machine runs follow.
pub const SUBCOMMAND: &str = "network-keeper";

/// The lock of the one keeper of a directory, and how it is locked.
const LOCK: &str = "keeper";
/// How long it stays without a container, so that one that follows at once finds it.
const LINGER: Duration = Duration::from_secs(1);
/// How often it looks at most: two that fight over the rules do not take a processor.
const PAUSE: Duration = Duration::from_secs(1);
/// `NFNLGRP_NFTABLES`
const NFTABLES: u32 = 7;

impl Networks {
    /// The same with a keeper of its rules: how this program runs [`keep`]. Without it rules that somebody takes away are written again by the next
    /// command or container.
    #[must_use]
    pub fn with_keeper(mut self, program: Vec<OsString>) -> Self {
        self.keeper = program;
        self
    }

    /// Writes the rules again if somebody took tables, chains or rules away; tells whether that was so. No question to the kernel where no
    /// container is on a network, a few where nothing is amiss.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reassert(&self, say: &mut dyn FnMut(&str)) -> Result<bool, Error> {
        self.put_right(false, say)
    }

    /// As [`Networks::reassert`], with `sets` also for single elements of their sets: `ports` of a container that somebody took away, or that nobody
    /// has.
    pub(crate) fn put_right(&self, sets: bool, say: &mut dyn FnMut(&str)) -> Result<bool, Error> {
        let ledger = Ledger::open(&self.places)?;
        if ledger.ids()?.is_empty() {
            return Ok(false);
        }
        let mut host = Host::open()?;
        let networks = self.list()?;
        let bridges: Vec<&Network> =
            host.bridges(&networks)?.into_iter().map(|(network, _)| network).collect();
        let ipv6 = bridges.iter().any(|network| network.subnet(false).is_some());
        // Nobody is kept waiting for as long as that everything is as it should be is found without the lock.
        let mut amiss = || -> Result<bool, Error> {
            let whole = host.rules_are_whole(&self.places.run, ipv6)?;
            Ok(!whole || sets && !host.compare_sets(self, &ledger, false)?.is_empty())
        };
        if bridges.is_empty() || !amiss()? {
            return Ok(false);
        }
        let _lock = ledger.lock()?;
        // Somebody else may have been faster.
        match host.rules_are_whole(&self.places.run, ipv6)? {
            true if sets => Ok(!host.compare_sets(self, &ledger, true)?.is_empty()),
            true => Ok(false),
            false => host.make(self, &ledger, &bridges, say).map(|()| true),
        }
    }

    /// Starts a keeper if there is none. That it cannot be started is no reason not to have a container.
    pub(crate) fn start_keeper(&self, ledger: &Ledger) -> Starting {
        let Some((program, arguments)) = self.keeper.split_first() else { return Starting(None) };
        if is_kept(ledger) {
            return Starting(None);
        }
        let child = Command::new(program)
            .args(arguments)
            .args([self.places.config.as_os_str(), self.places.run.as_os_str()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Starting(child.ok())
    }
}

/// A process that puts the keeper beside itself and ends at once, which is waited for when this is dropped: not while a container waits for its
/// network.
#[derive(Debug)]
pub(crate) struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn lock_file(ledger: &Ledger, flags: OFlags) -> Result<OwnedFd, Error> {
    openat(ledger.directory(), LOCK, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| Error::file(&ledger.path().join(LOCK), "openat", errno))
}

fn is_kept(ledger: &Ledger) -> bool {
    let Ok(file) = lock_file(ledger, OFlags::RDONLY) else { return false };
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// Keeps the rules of the networks until no container is on any. This process ends at once; the keeper goes on beside it.
///
/// # Errors
/// When the keeper cannot start.
pub fn keep(networks: &Networks) -> Result<(), Error> {
    match raw::fork()
        .map_err(|errno| Error::call("start the keeper", SyscallError::new("clone", "", errno)))?
    {
        0 => {}
        _ => return Ok(()),
    }
    raw::set_name(c"holm-net-keeper");
    // A session of its own: no signal of somebody's terminal reaches it. In a new process this cannot fail.
    let _ = raw::setsid();
    let outcome = take_turns(networks);
    raw::exit(i32::from(outcome.is_err()))
}

fn take_turns(networks: &Networks) -> Result<(), Error> {
    let ledger = Ledger::open(&networks.places)?;
    let lock = lock_file(&ledger, OFlags::RDWR | OFlags::CREATE)?;
    let failed = |errno| Error::file(&ledger.path().join(LOCK), "flock", errno);
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        give_up_rights();
        watch(networks, &ledger)?;
        // Whoever wrote a record before the lock goes has seen it held, and counts on us.
        flock(&lock, FlockOperation::Unlock).map_err(failed)?;
        if ledger.ids()?.is_empty() {
            return Ok(());
        }
    }
}

/// Keeps what links, rules and settings of the network take.
fn give_up_rights() {
    const NET_ADMIN: u64 = 1 << 12;
    for capability in 0..64 {
        if NET_ADMIN >> capability & 1 == 0 && raw::prctl(raw::PR_CAPBSET_DROP, capability, 0).is_err() {
            break;
        }
    }
    if let Ok(own) = raw::capget() {
        let left = own.permitted & NET_ADMIN;
        let _ = raw::capset(&Capabilities { effective: left, permitted: left, inheritable: 0 });
    }
    let _ = raw::prctl(raw::PR_SET_NO_NEW_PRIVS, 1, 0);
}

/// Whether a message of nftables tells of something that is to be looked at: that something of a table was taken away, that a chain or rule came into
/// holm's, or that an element of its sets came or went that its leases tell otherwise of. Each container that comes and goes with a port is such a message, so this reads the
/// leases at most, and does not wait for their lock.
fn is_amiss(message: &netlink::Message<'_>, leases: &mut Option<Table>, ledger: &Ledger) -> bool {
    if takes_away(message.kind) || brings(message.kind) && table_of(message) == Some(TABLE) {
        return true;
    }
    let Some(changed) = Changed::read(message).filter(|changed| changed.table == TABLE) else { return false };
    let Some(family) = changed.family else { return false };
    let leases = leases.get_or_insert_with(|| ledger.leases());
    changed.elements.iter().any(|element| match rules::port_of(family, changed.set, element) {
        Some(port) => leases.owner_of_port(&port).is_some() == changed.gone,
        None => true,
    })
}

/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES_SUBSYSTEM: u16 = 10;

/// Whether a message of nftables tells that a table, chain or rule came or was changed (`NFT_MSG_NEW*`).
const fn brings(kind: u16) -> bool {
    kind >> 8 == NFTABLES_SUBSYSTEM && matches!(kind & 0xff, 0 | 3 | 6)
}

/// Whether a message of nftables tells that something of a table was taken away (`NFT_MSG_DEL*`, but for elements).
const fn takes_away(kind: u16) -> bool {
    kind >> 8 == NFTABLES_SUBSYSTEM && matches!(kind & 0xff, 2 | 5 | 8 | 11)
}

/// Looks whenever something was taken away or put in, until no container is there.
fn watch(networks: &Networks, ledger: &Ledger) -> Result<(), Error> {
    let failed = |cause| Error::kernel("listen to changes of nftables", cause);
    let mut rules = Socket::open(Protocol::Netfilter).map_err(failed)?;
    rules.join(NFTABLES).map_err(failed)?;
    let containers = watch_directory(&ledger.path().join("containers"))?;
    // Rules may have gone before anybody listened.
    let mut look = true;
    let mut looked: Option<Instant> = None;
    let mut deserted: Option<Instant> = None;
    loop {
        let mut wait: Option<Duration> = None;
        if look {
            let left = looked.map_or(Duration::ZERO, |at| PAUSE.saturating_sub(at.elapsed()));
            if left.is_zero() {
                // What cannot be written now is tried again.
                look = networks.put_right(true, &mut |_| ()).is_err();
                looked = Some(Instant::now());
            }
            wait = look.then(|| left.max(Duration::from_millis(10)));
        }
        if ledger.ids()?.is_empty() {
            let since = deserted.get_or_insert_with(Instant::now).elapsed();
            if since >= LINGER {
                return Ok(());
            }
            let left = LINGER.saturating_sub(since);
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        } else {
            deserted = None;
        }
        let timeout = wait
            .map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
        let mut events = [PollFd::new(&rules, PollFlags::IN), PollFd::new(&containers, PollFlags::IN)];
        match poll(&mut events, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => {
                return Err(Error::call(
                    "wait for changes of nftables",
                    SyscallError::new("poll", "", errno),
                ));
            }
        }
        let [changed, moved] = events.map(|event| !event.revents().is_empty());
        if changed {
            let mut leases = None;
            look |= match rules.wait() {
                Ok(mut messages) => messages.any(|message| is_amiss(&message, &mut leases, ledger)),
                // Messages were lost.
                Err(netlink::Error::Overrun { .. }) => true,
                Err(cause) => return Err(failed(cause)),
            };
        }
        if moved {
            drain(&containers);
        }
    }
}

fn watch_directory(path: &Path) -> Result<OwnedFd, Error> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(|errno| Error::call("watch containers", SyscallError::new("inotify_init1", "", errno)))?;
    inotify::add_watch(&watch, path, WatchFlags::DELETE | WatchFlags::CREATE | WatchFlags::ONLYDIR)
        .map_err(|errno| Error::file(path, "inotify_add_watch", errno))?;
    Ok(watch)
}

/// What happened to files is seen by looking at the directory.
fn drain(watch: &OwnedFd) {
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch, &mut room);
    while reader.next().is_ok() {}
}

/// What the program does that was started as a keeper: `arguments` are the two directories.
///
/// # Errors
/// When there are not two of them, or the keeper cannot start.
pub fn main(arguments: &[OsString]) -> Result<(), Error> {
    let [config, run] = arguments else {
        return Err(Error::invalid(
            SUBCOMMAND,
            "it takes two directories",
            "a container that is attached to a network starts it when it needs it",
        ));
    };
    let path = |text: &OsStr| Path::new(text).to_path_buf();
    keep(&Networks::open(&crate::Places { config: path(config), run: path(run) })?)
}

#[cfg(test)]
mod tests {
    use super::{brings, takes_away};

    #[test]
    fn what_is_taken_away_is_told_from_what_comes_and_from_elements() {
        let of = |subsystem: u16, is: fn(u16) -> bool| -> Vec<u16> {
            (0..33).filter(|kind| is(subsystem << 8 | kind)).collect()
        };
        assert_eq!(of(10, takes_away), [2, 5, 8, 11]);
        assert_eq!(of(10, brings), [0, 3, 6]);
        assert_eq!([of(1, takes_away), of(1, brings)], [[0; 0]; 2]);
    }
}
