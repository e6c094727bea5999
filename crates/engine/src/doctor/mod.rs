//! What a host offers for containers, what is lost where something is missing, and what to do about it.
//!
//! [`HostReport::probe`] looks, [`findings`] judges without looking, [`to_table`] and [`to_json`] show. A new
//! question is a field there and a row here.

use cgroups::Version;
use spec::{Capability, CapabilitySet};

use crate::ids::SubIdRange;

mod probe;
mod show;
#[cfg(test)]
mod tests;

pub use show::{to_json, to_table};

/// What was found out about a host. Plain data, so that any host is a test case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostReport {
    /// The running kernel's version.
    pub kernel: (u32, u32),
    /// The caller's effective user id.
    pub uid: u32,
    /// The caller's effective capabilities.
    pub capabilities: CapabilitySet,
    /// Each kind of namespace, and whether the caller can make one.
    pub namespaces: Vec<(&'static str, Namespace)>,
    /// The value of `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// Whether `kernel.unprivileged_userns_clone` is 0 (Debian, Arch).
    pub userns_for_root_only: bool,
    /// Whether `kernel.apparmor_restrict_unprivileged_userns` is on (Ubuntu).
    pub userns_restricted_by_apparmor: bool,
    /// Each controller, and which version of cgroups serves it.
    pub controllers: Vec<(&'static str, Option<Version>)>,
    /// Whether the caller can make cgroups.
    pub cgroups_writable: bool,
    /// Whether overlay can be mounted.
    pub overlay: bool,
    /// How the index over an image's layer is mounted.
    pub layer_index: String,
    /// Why layers of images are extracted in place of that.
    pub no_layer_index: Option<String>,
    /// Why the root file system cannot be mounted with other owners.
    pub no_idmap: Option<String>,
    /// System calls that are missing: name, and since when they are there.
    pub missing_calls: Vec<(&'static str, &'static str)>,
    /// The actions of seccomp filters; none where there is no seccomp.
    pub seccomp_actions: Vec<String>,
    /// The version of Landlock's interface.
    pub landlock: Option<u32>,
    /// Whether AppArmor is active.
    pub apparmor: bool,
    /// Whether SELinux is active.
    pub selinux: bool,
    /// The ranges of user ids that containers of the caller get.
    pub subuids: Vec<SubIdRange>,
    /// The same for groups.
    pub subgids: Vec<SubIdRange>,
    /// Whether newuidmap and newgidmap are there.
    pub id_helpers: bool,
    /// Whether IPv4 is forwarded.
    pub ip_forward: bool,
    /// Whether the kernel answers nftables requests.
    pub nftables: bool,
    /// Whether CRIU is there.
    pub criu: bool,
    /// The value of `vm.memfd_noexec`.
    pub memfd_noexec: u32,
}

/// Whether a kind of namespace can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// It was made, in this process.
    Made,
    /// The kernel has it, and refused to make one.
    Refused,
    /// The kernel does not have it.
    Absent,
}

/// How well a host offers something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All of it.
    Ok,
    /// Not all of it, or not for everybody.
    Limited,
    /// Nothing of it.
    Missing,
}

impl State {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "missing",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub feature: String,
    /// How well it is offered.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What is lost without it; empty where nothing is.
    pub lost: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

/// Judges a report.
pub fn findings(report: &HostReport) -> Vec<Finding> {
    let mut list = vec![kernel(report)];
    list.extend(report.namespaces.iter().map(|(kind, state)| namespace(report, kind, *state)));
    list.push(unprivileged(report));
    list.push(ids(report));
    list.extend(report.controllers.iter().map(|(name, version)| controller(name, *version)));
    list.push(delegation(report));
    list.push(row(
        "overlay",
        report.overlay,
        "",
        "a root directory can only be changed itself; the root of an image is a plain copy, made for each container",
        "modprobe overlay",
    ));
    list.push(match &report.no_layer_index {
        None => ok("image layers", &format!("an EROFS index over the archive, {}", report.layer_index)),
        Some(reason) => limited(
            "image layers",
            reason,
            "layers are extracted, which takes longer and more room",
            "run as root on Linux 6.4 or newer with EROFS",
        ),
    });
    list.push(match &report.no_idmap {
        None => ok("id-mapped mounts", "on the root file system"),
        Some(reason) => limited(
            "id-mapped mounts",
            reason,
            "containers of root that use this directory have the host's ids",
            "keep root directories on ext4, xfs or btrfs with Linux 5.19 or newer",
        ),
    });
    list.push(calls(report));
    list.push(seccomp(report));
    list.push(match report.landlock {
        Some(version) => ok("landlock", &format!("interface version {version}")),
        None => limited(
            "landlock",
            "",
            "helpers that read hostile files are confined less",
            "boot with lsm=…,landlock",
        ),
    });
    list.push(modules(report));
    list.push(capabilities(report));
    list.push(ok(
        "ip forwarding",
        match report.ip_forward {
            true => "",
            false => "off; holm turns it on for its bridges and the host's way out, and nothing else",
        },
    ));
    list.push(row(
        "nftables",
        report.nftables,
        "",
        "no bridge networks and published ports",
        "load nf_tables, or run as root",
    ));
    list.push(row("criu", report.criu, "", "containers cannot be checkpointed", "install criu"));
    list.push(memfd(report));
    list
}

fn kernel(report: &HostReport) -> Finding {
    let (major, minor) = report.kernel;
    let found = format!("Linux {major}.{minor}");
    match report.kernel {
        (0..5, _) | (5, 0..4) => {
            missing("kernel", &found, "nothing is promised before Linux 5.4", "run a newer kernel")
        }
        (5, 4..19) => {
            limited("kernel", &found, "own ids for containers of root need Linux 5.19", "run a newer kernel")
        }
        _ => ok("kernel", &found),
    }
}

fn namespace(report: &HostReport, kind: &str, state: Namespace) -> Finding {
    let feature = format!("{kind} namespace");
    let lost = match kind {
        "user" => "containers have the host's ids, and only root has containers",
        "time" => "--time-offset",
        "cgroup" => "containers see where in the host's cgroups they are",
        _ => "containers share it with the host",
    };
    match state {
        Namespace::Made => ok(&feature, ""),
        Namespace::Absent => {
            missing(&feature, "the kernel does not have it", lost, "run a kernel that is built with it")
        }
        Namespace::Refused if report.max_user_namespaces == Some(0) => {
            missing(&feature, "user.max_user_namespaces is 0", lost, "sysctl user.max_user_namespaces=15000")
        }
        Namespace::Refused => limited(&feature, "the kernel refuses to make one", lost, "run as root"),
    }
}

fn unprivileged(report: &HostReport) -> Finding {
    let feature = "containers without root";
    let lost = "only root has containers";
    if report.max_user_namespaces == Some(0) {
        return missing(
            feature,
            "user.max_user_namespaces is 0",
            lost,
            "sysctl user.max_user_namespaces=15000",
        );
    }
    if report.userns_for_root_only {
        let advice = "sysctl kernel.unprivileged_userns_clone=1";
        return missing(feature, "kernel.unprivileged_userns_clone is 0", lost, advice);
    }
    if report.userns_restricted_by_apparmor {
        return limited(
            feature,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "only programs with an AppArmor profile for it make user namespaces",
            "give holm a profile with `userns,`, or set the sysctl to 0",
        );
    }
    ok(feature, "")
}

fn ids(report: &HostReport) -> Finding {
    let feature = "ranges of ids";
    let count = |ranges: &[SubIdRange]| ranges.iter().map(|range| u64::from(range.count)).sum::<u64>();
    let (uids, gids) = (count(&report.subuids), count(&report.subgids));
    let given = format!("{uids} users and {gids} groups in /etc/subuid and /etc/subgid");
    if report.uid == 0 {
        return match uids.min(gids) / u64::from(crate::ids::RANGE_SIZE) {
            0 => ok(feature, "4094 ranges of the built-in pool"),
            containers => ok(feature, &format!("{given}: {containers} containers at once")),
        };
    }
    if uids == 0 || gids == 0 {
        return limited(
            feature,
            "no range in /etc/subuid and /etc/subgid",
            "containers have one user and one group",
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        );
    }
    if !report.id_helpers {
        let lost = "containers have one user and one group";
        return limited(
            feature,
            "newuidmap or newgidmap is not installed",
            lost,
            "install uidmap (shadow-utils)",
        );
    }
    ok(feature, &given)
}

fn controller(name: &str, version: Option<Version>) -> Finding {
    let feature = format!("cgroup {name}");
    let lost = match name {
        "cpu" => "--cpus and --cpu-weight",
        "cpuset" => "--cpuset-cpus and --cpuset-mems",
        "memory" => "--memory and its relatives",
        "pids" => "--pids-limit",
        "io" => "--blkio-weight and --device-read-bps and its relatives",
        "devices" => "containers without a user namespace could use every device",
        _ => "pausing a container",
    };
    match version {
        Some(Version::V1) => ok(&feature, "cgroup v1"),
        Some(Version::V2) => ok(&feature, "cgroup v2"),
        None => missing(
            &feature,
            "no hierarchy has it",
            lost,
            "boot with a kernel that has it, and mount cgroup2",
        ),
    }
}

fn delegation(report: &HostReport) -> Finding {
    let feature = "cgroup delegation";
    match (report.cgroups_writable, report.uid) {
        (true, _) => ok(feature, ""),
        (false, 0) => missing(
            feature,
            "the hierarchies are read-only",
            "limits, and ending all processes of a container at once",
            "run where /sys/fs/cgroup is writable",
        ),
        (false, _) => limited(
            feature,
            "no group belongs to this user",
            "limits",
            "run under `systemd-run --user --scope -p Delegate=yes`, or as root",
        ),
    }
}

fn calls(report: &HostReport) -> Finding {
    let feature = "mount calls";
    if report.missing_calls.is_empty() {
        return ok(feature, "");
    }
    let list = report.missing_calls.iter().map(|(name, since)| format!("{name} (Linux {since})"));
    let found = format!("without {}", list.collect::<Vec<_>>().join(", "));
    limited(
        feature,
        &found,
        "older and slower ways are taken",
        "run a newer kernel, or a container that allows the calls",
    )
}

fn seccomp(report: &HostReport) -> Finding {
    let has = |action: &str| report.seccomp_actions.iter().any(|known| known == action);
    if !has("errno") {
        return missing(
            "seccomp",
            "the kernel has no filters",
            "containers can make every system call",
            "run a kernel with CONFIG_SECCOMP_FILTER",
        );
    }
    match has("user_notif") {
        true => ok("seccomp", "with notification"),
        false => {
            limited("seccomp", "without notification", "filters that ask somebody", "run Linux 5.0 or newer")
        }
    }
}

fn modules(report: &HostReport) -> Finding {
    let feature = "security modules";
    match (report.apparmor, report.selinux) {
        (false, false) => limited(
            feature,
            "neither AppArmor nor SELinux is active",
            "--security-opt apparmor= and label=; a second line of defence",
            "nothing: containers are kept in by the other means",
        ),
        (apparmor, selinux) => {
            let names = [(apparmor, "AppArmor"), (selinux, "SELinux")];
            ok(feature, &names.iter().filter(|it| it.0).map(|it| it.1).collect::<Vec<_>>().join(" and "))
        }
    }
}

fn capabilities(report: &HostReport) -> Finding {
    let feature = "capabilities of the caller";
    if report.uid != 0 {
        return ok(feature, "an ordinary user has them inside of its containers");
    }
    let lacking: Vec<&str> =
        CapabilitySet::ALL.difference(report.capabilities).iter().map(Capability::name).collect();
    if lacking.is_empty() {
        return ok(feature, "all");
    }
    let lost = match report.capabilities.contains(Capability::SysAdmin) {
        true => {
            "containers without a user namespace lack them too; limits cannot be raised without CAP_SYS_RESOURCE"
        }
        false => "root is not more than an ordinary user here",
    };
    let advice = "give them to the surrounding container or virtual machine";
    limited(feature, &format!("without {}", lacking.join(", ")), lost, advice)
}

fn memfd(report: &HostReport) -> Finding {
    let feature = "executable memory files";
    match report.memfd_noexec {
        0 | 1 => ok(feature, ""),
        other => missing(
            feature,
            &format!("vm.memfd_noexec is {other}"),
            "no container can be started: its first stage is run from memory",
            "sysctl vm.memfd_noexec=1",
        ),
    }
}

fn row(feature: &str, there: bool, found: &str, lost: &str, advice: &str) -> Finding {
    if there { ok(feature, found) } else { missing(feature, found, lost, advice) }
}

fn ok(feature: &str, found: &str) -> Finding {
    finding(feature, State::Ok, found, "", "")
}

fn limited(feature: &str, found: &str, lost: &str, advice: &str) -> Finding {
    finding(feature, State::Limited, found, lost, advice)
}

fn missing(feature: &str, found: &str, lost: &str, advice: &str) -> Finding {
    finding(feature, State::Missing, found, lost, advice)
}

fn finding(feature: &str, state: State, found: &str, lost: &str, advice: &str) -> Finding {
    Finding {
        feature: feature.to_owned(),
        state,
        found: found.to_owned(),
        lost: lost.to_owned(),
        advice: advice.to_owned(),
    }
}
