//! What somebody asks for when they run a container.
//!
//! [`RunFlags`] is every flag, parsed; [`RunFlags::check`] refuses what cannot be combined and returns the
//! [`RunRequest`] that the [`rules`](crate::rules) take. What only the host can decide is not decided here.

use std::ops::Deref;
use std::path::PathBuf;

use report::{Explain, Hint, Kind};

use crate::flags::capability::Capabilities;
use crate::flags::cpu::{CpuSet, Cpus};
use crate::flags::destination::Destination;
use crate::flags::detach_keys::DetachKeys;
use crate::flags::device::Device;
use crate::flags::env::EnvEntry;
use crate::flags::io::{BytesPerSecond, DeviceWeight, OperationsPerSecond};
use crate::flags::label::Label;
use crate::flags::mount::Mount;
use crate::flags::name::{ContainerName, Hostname};
use crate::flags::namespace::{Ipc, Source};
use crate::flags::network::{Network, Places};
use crate::flags::number::{BlkioWeight, CpuShares, CpuWeight, OomScoreAdj, PidsLimit};
use crate::flags::security_opt::{SecurityOpt, SecurityOpt::*};
use crate::flags::size::{Bytes, Limit};
use crate::flags::sysctl::{Owner, Sysctl};
use crate::flags::time_offset::TimeOffset;
use crate::flags::ulimit::Ulimit;
use crate::flags::user::{Group, User};
use crate::flags::userns::UserNamespace;
use spec::Signal;

/// A root directory and what becomes of changes to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Rootfs {
    /// The directory on the host; of an image, its topmost layer.
    pub directory: PathBuf,
    /// Layers below the directory, the topmost first: the others of an image.
    pub below: Vec<PathBuf>,
    /// What becomes of changes.
    pub changes: Changes,
    /// `--storage-opt size=`: the most that changes take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// The directory is a copy of the image's layers, of the container's own: there is no overlay here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub copied: bool,
}

/// What becomes of what a container writes to its root.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Changes {
    /// They go to an upper layer in memory, which is gone when the container ends.
    #[default]
    Discard,
    /// `--keep-changes DIR`: they go to an upper layer in this directory.
    Keep(PathBuf),
    /// `--rootfs-write`: they go to the directory itself.
    WriteThrough,
}

/// What happens on the terminal and the other standard streams.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Streams {
    /// `--tty`: the program gets a terminal of its own.
    pub tty: bool,
    /// `--interactive`: the program gets the caller's standard input; an empty one otherwise.
    pub interactive: bool,
    /// The keys that leave the terminal.
    pub detach_keys: DetachKeys,
}

/// The limits of a container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // Each field is the flag of its name.
pub struct Limits {
    pub memory: Option<Bytes>,
    pub memory_swap: Option<Limit>,
    pub memory_reservation: Option<Bytes>,
    pub cpus: Option<Cpus>,
    pub cpu_shares: Option<CpuShares>,
    pub cpu_weight: Option<CpuWeight>,
    pub cpuset_cpus: Option<CpuSet>,
    pub cpuset_mems: Option<CpuSet>,
    pub pids: Option<PidsLimit>,
    pub blkio_weight: Option<BlkioWeight>,
    pub blkio_weight_device: Vec<DeviceWeight>,
    pub device_read_bps: Vec<BytesPerSecond>,
    pub device_write_bps: Vec<BytesPerSecond>,
    pub device_read_iops: Vec<OperationsPerSecond>,
    pub device_write_iops: Vec<OperationsPerSecond>,
}

/// Every flag of `holm run --rootfs`, parsed. The defaults are those of the command.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // A field without words is the flag of its name.
pub struct RunFlags {
    pub name: Option<ContainerName>,
    pub rootfs: Rootfs,
    /// The program and its arguments.
    pub args: Vec<String>,
    pub streams: Streams,
    /// `--env-file` first, then `--env`; a later entry wins.
    pub env: Vec<EnvEntry>,
    pub workdir: Option<Destination>,
    pub user: Option<User>,
    pub group_add: Vec<Group>,
    pub hostname: Option<Hostname>,
    pub init: bool,
    pub stop_signal: Option<Signal>,
    /// `--volume`, `--mount` and `--tmpfs` in the order given.
    pub mounts: Vec<Mount>,
    pub read_only: bool,
    pub shm_size: Option<Bytes>,
    pub cap_add: Vec<Capabilities>,
    pub cap_drop: Vec<Capabilities>,
    pub privileged: bool,
    pub security_opt: Vec<SecurityOpt>,
    pub devices: Vec<Device>,
    pub ulimits: Vec<Ulimit>,
    pub sysctls: Vec<Sysctl>,
    pub oom_score_adj: Option<OomScoreAdj>,
    pub limits: Limits,
    pub pid: Source,
    pub ipc: Ipc,
    pub uts: Source,
    pub cgroupns: Source,
    pub network: Network,
    /// `--publish`, `--ip`, `--dns` and the like.
    pub places: Places,
    pub userns: UserNamespace,
    pub time_offsets: Vec<TimeOffset>,
    pub labels: Vec<Label>,
    pub annotations: Vec<Label>,
}

/// Flags that fit together. The only way to have one is [`RunFlags::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest(RunFlags);

impl Deref for RunRequest {
    type Target = RunFlags;
    fn deref(&self) -> &RunFlags {
        &self.0
    }
}

/// Two flags that cannot both be had, or one that lacks another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Conflict {
    /// What cannot be, with the flags' names.
    pub problem: String,
    /// What to do instead.
    pub advice: &'static str,
}

impl Explain for Conflict {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        (!self.advice.is_empty()).then(|| Hint::new(self.advice))
    }
}

impl RunRequest {
    /// The same with another network.
    #[must_use]
    pub fn on(&self, network: Network) -> Self {
        Self(RunFlags { network, ..self.0.clone() })
    }
}

impl RunFlags {
    /// Refuses what cannot be combined.
    ///
    /// # Errors
    /// The first [`Conflict`].
    pub fn check(self) -> Result<RunRequest, Conflict> {
        if self.args.first().is_none_or(String::is_empty) {
            return conflict("no program to run", "put it after the flags: holm run --rootfs / -- /bin/sh");
        }
        if self.args.iter().any(|arg| arg.contains('\0')) {
            return conflict("an argument of the program contains NUL", "");
        }
        self.check_root()?;
        self.check_namespaces()?;
        self.check_network()?;
        self.check_limits()?;
        self.check_mounts()?;
        Ok(RunRequest(self))
    }

    fn check_root(&self) -> Result<(), Conflict> {
        if self.rootfs.copied {
            return Ok(());
        }
        match (&self.rootfs.changes, self.read_only) {
            (Changes::Keep(_), true) => conflict(
                "`--keep-changes` and `--read-only` contradict each other",
                "leave out --read-only to have changes to keep",
            ),
            (Changes::WriteThrough, true) => {
                conflict("`--rootfs-write` and `--read-only` contradict each other", "leave out one of them")
            }
            _ => Ok(()),
        }
    }

    fn check_namespaces(&self) -> Result<(), Conflict> {
        if self.hostname.is_some() && self.uts != Source::Private {
            return conflict(
                "`--hostname` would rename the machine that `--uts` shares",
                "leave out one of them",
            );
        }
        if self.shm_size.is_some() && (self.ipc.source != Source::Private || !self.ipc.shared_memory) {
            return conflict(
                "`--shm-size` needs a /dev/shm of the container's own, which `--ipc` takes away",
                "leave out one of them",
            );
        }
        for sysctl in &self.sysctls {
            let (shared, flag) = match sysctl.owner {
                Owner::Ipc => (self.ipc.source == Source::Host, "--ipc host"),
                Owner::Network => (self.network == Network::Host, "--network host"),
                Owner::Uts => (self.uts == Source::Host, "--uts host"),
            };
            if shared {
                return conflict(
                    format!("`--sysctl {}` would change the host, because of `{flag}`", sysctl.key),
                    "leave out one of them",
                );
            }
        }
        Ok(())
    }

    /// The flags that say something of a place in a network.
    fn about_place(&self) -> impl Iterator<Item = &'static str> {
        let flags = &self.places;
        let all = [
            (!flags.publish.is_empty(), "--publish"),
            (flags.publish_all, "--publish-all"),
            (flags.ip.is_some(), "--ip"),
            (flags.ip6.is_some(), "--ip6"),
            (flags.mac_address.is_some(), "--mac-address"),
            (!flags.aliases.is_empty(), "--network-alias"),
            (flags.net_rate_up.is_some(), "--net-rate-up"),
            (flags.net_rate_down.is_some(), "--net-rate-down"),
        ];
        all.into_iter().filter_map(|(given, flag)| given.then_some(flag))
    }

    /// The first of them that has no effect where a container gets `network`, unless that is of holm's making. pasta publishes ports, too.
    pub(crate) fn idle_with(&self, network: &Network) -> Option<&'static str> {
        match network {
            Network::Unsaid | Network::On(_) => None,
            Network::Pasta => self.about_place().find(|flag| *flag != "--publish"),
            _ => self.about_place().next(),
        }
    }

    fn check_network(&self) -> Result<(), Conflict> {
        let flags = &self.places;
        if let Some(flag) = self.idle_with(&self.network) {
            return conflict(
                format!(
                    "`{flag}` needs a network of holm's making, and `--network {}` is none",
                    self.network.word()
                ),
                "leave out one of them",
            );
        }
        if let Network::On(list) = &self.network {
            let one_only = ["--ip", "--ip6", "--mac-address"];
            if let Some(flag) = self.about_place().find(|flag| list.len() > 1 && one_only.contains(flag)) {
                return conflict(
                    format!("`{flag}` does not say which of {} networks it is about", list.len()),
                    "write it behind the network: --network NAME:ip=ADDRESS,mac=ADDRESS",
                );
            }
        }
        let gateway = |host: &crate::flags::network::AddHost| {
            host.address == crate::flags::network::HostAddress::Gateway
        };
        if self.network == Network::None && flags.add_host.iter().any(gateway) {
            return conflict(
                "`--add-host` with host-gateway needs a network, and `--network none` is none",
                "leave out one of them",
            );
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Conflict> {
        let limits = &self.limits;
        if limits.cpu_shares.is_some() && limits.cpu_weight.is_some() {
            return conflict(
                "`--cpu-shares` and `--cpu-weight` set the same thing",
                "leave out one of them; 1024 shares are a weight of 100",
            );
        }
        if let (Some(Limit::Bytes(swap)), memory) = (limits.memory_swap, limits.memory) {
            match memory {
                None => {
                    return conflict(
                        "`--memory-swap` needs `--memory`",
                        "it limits memory and swap together",
                    );
                }
                Some(memory) if swap < memory.get() => {
                    return conflict(
                        "`--memory-swap` is below `--memory`",
                        "it limits memory and swap together, so it is at least as large; -1 is no limit on swap",
                    );
                }
                Some(_) => {}
            }
        }
        if let (Some(reservation), Some(memory)) = (limits.memory_reservation, limits.memory)
            && reservation > memory
        {
            return conflict(
                "`--memory-reservation` is above `--memory`",
                "a reservation is a part of the limit",
            );
        }
        Ok(())
    }

    fn check_mounts(&self) -> Result<(), Conflict> {
        let mut seen: Vec<&Destination> = Vec::new();
        for mount in &self.mounts {
            let destination = mount.destination();
            if seen.contains(&destination) {
                return conflict(
                    format!("two mounts on {}", destination.as_path().display()),
                    "leave out one of them",
                );
            }
            seen.push(destination);
        }
        if self.privileged {
            let narrowed = self.security_opt.iter().any(|opt| matches!(opt, NoNewPrivileges(true)));
            if narrowed {
                return conflict(
                    "`--privileged` and `--security-opt no-new-privileges` contradict each other",
                    "give the capabilities that are needed with --cap-add instead of --privileged",
                );
            }
        }
        Ok(())
    }
}

fn conflict<T>(problem: impl Into<String>, advice: &'static str) -> Result<T, Conflict> {
    Err(Conflict { problem: problem.into(), advice })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::flags::{Value, parse_flag};
    use expect_test::expect;

    /// The flags of `holm run --rootfs / true`, changed by `change`.
    pub(crate) fn flags(change: impl FnOnce(&mut RunFlags)) -> RunFlags {
        let mut flags = RunFlags {
            rootfs: Rootfs { directory: "/".into(), ..Rootfs::default() },
            args: vec!["true".to_owned()],
            ..RunFlags::default()
        };
        change(&mut flags);
        flags
    }

    /// A value that is known to be right.
    pub(crate) fn value<T: Value>(text: &str) -> T {
        parse_flag("--test", text).unwrap()
    }

    fn refusal(change: impl FnOnce(&mut RunFlags)) -> String {
        match flags(change).check() {
            Ok(_) => "accepted".to_owned(),
            Err(conflict) => conflict.to_string(),
        }
    }

    #[test]
    fn flags_that_cannot_be_combined_are_refused() {
        let refusals = [
            refusal(|_| {}),
            refusal(|f| f.args.clear()),
            refusal(|f| f.args = vec!["a\0".to_owned()]),
            refusal(|f| {
                f.read_only = true;
                f.rootfs.changes = Changes::Keep("/k".into());
            }),
            refusal(|f| {
                f.read_only = true;
                f.rootfs.changes = Changes::WriteThrough;
            }),
            refusal(|f| {
                f.hostname = Some(value("h"));
                f.uts = Source::Host;
            }),
            refusal(|f| {
                f.shm_size = Some(value("1m"));
                f.ipc = value("none");
            }),
            refusal(|f| {
                f.network = Network::Host;
                f.sysctls = vec![value("net.core.somaxconn=5")];
            }),
            refusal(|f| {
                f.ipc = value("host");
                f.sysctls = vec![value("kernel.shmmax=5")];
            }),
            refusal(|f| {
                f.limits.cpu_shares = Some(value("512"));
                f.limits.cpu_weight = Some(value("50"));
            }),
            refusal(|f| f.limits.memory_swap = Some(value("1g"))),
            refusal(|f| f.limits.memory_swap = Some(value("-1"))),
            refusal(|f| {
                f.limits.memory = Some(value("2g"));
                f.limits.memory_swap = Some(value("1g"));
            }),
            refusal(|f| {
                f.limits.memory = Some(value("1g"));
                f.limits.memory_reservation = Some(value("2g"));
            }),
            refusal(|f| {
                f.mounts = vec![value("type=tmpfs,dst=/a"), value("type=bind,src=/x,dst=/a/")];
            }),
            refusal(|f| {
                f.privileged = true;
                f.security_opt = vec![value("no-new-privileges")];
            }),
        ];
        expect![[r#"
            accepted
            no program to run
            an argument of the program contains NUL
            `--keep-changes` and `--read-only` contradict each other
            `--rootfs-write` and `--read-only` contradict each other
            `--hostname` would rename the machine that `--uts` shares
            `--shm-size` needs a /dev/shm of the container's own, which `--ipc` takes away
            `--sysctl net.core.somaxconn` would change the host, because of `--network host`
            `--sysctl kernel.shmmax` would change the host, because of `--ipc host`
            `--cpu-shares` and `--cpu-weight` set the same thing
            `--memory-swap` needs `--memory`
            accepted
            `--memory-swap` is below `--memory`
            `--memory-reservation` is above `--memory`
            two mounts on /a
            `--privileged` and `--security-opt no-new-privileges` contradict each other
        "#]]
        .assert_eq(&(refusals.join("\n") + "\n"));
    }
}
