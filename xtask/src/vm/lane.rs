//! The lanes: what is booted into, and with which kernel unless another is named.

use std::time::Duration;

/// What the guest's first process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// A script: busybox only, cgroup v2 with every controller.
    Script,
    /// Debian's systemd.
    Systemd,
}

/// A kernel and what it boots into.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    /// The Debian suite whose kernel is booted.
    pub(super) suite: &'static str,
    pub(super) first: First,
    /// Added to the kernel's command line.
    pub(super) parameters: &'static str,
    /// The packages whose tests run; all but [`super::payload::HOST_ONLY`] if empty.
    pub(super) packages: &'static [&'static str],
    /// When the machine is stopped and the lane has failed.
    pub(super) deadline: Duration,
}

const PLAIN: Lane = Lane {
    name: "v2",
    suite: "bookworm",
    first: First::Script,
    parameters: "",
    packages: &[],
    deadline: Duration::from_secs(1200),
};

/// What needs systemd, and what behaves differently below it.
const BELOW_SYSTEMD: &[&str] = &["holm-systemd", "holm-cgroups", "holm-core", "holm-runtime"];

/// All of them; the first one runs in CI.
pub(super) const LANES: &[Lane] = &[
    PLAIN,
    Lane { name: "older", suite: "bullseye", ..PLAIN },
    Lane { name: "newest", suite: "sid", ..PLAIN },
    Lane { name: "systemd", first: First::Systemd, packages: BELOW_SYSTEMD, ..PLAIN },
    Lane {
        name: "systemd-hybrid",
        first: First::Systemd,
        parameters: "systemd.unified_cgroup_hierarchy=0",
        packages: BELOW_SYSTEMD,
        ..PLAIN
    },
    Lane {
        name: "systemd-v1",
        first: First::Systemd,
        parameters: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
        packages: BELOW_SYSTEMD,
        ..PLAIN
    },
];
