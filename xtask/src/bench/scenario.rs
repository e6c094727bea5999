//! What is measured.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// Which cgroup hierarchies the programs see at /sys/fs/cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// The v1 controllers, each in its directory.
    V1,
    /// The unified hierarchy alone.
    V2,
    /// The v1 controllers, and the unified hierarchy at `unified`.
    Hybrid,
}

/// What is done with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Task {
    /// One launch at a time, every one timed.
    Launch,
    /// This many without a pause; the sum is timed.
    InARow(u32),
    /// The smallest memory limit, in KiB, with which the program still starts.
    SmallestLimit,
    /// All commands of a container's life, and a list of this many containers.
    Life(u32),
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) view: View,
    pub(super) network: bool,
    pub(super) user: bool,
    pub(super) seccomp: bool,
    pub(super) task: Task,
}

const fn launch(name: &'static str, title: &'static str, view: View) -> Scenario {
    Scenario { name, title, view, network: true, user: false, seccomp: false, task: Task::Launch }
}

/// All of them, in the order of the table.
pub(super) const ALL: &[Scenario] = &[
    launch("v1", "default namespaces, cgroup v1", View::V1),
    launch("v2", "default namespaces, cgroup v2", View::V2),
    launch("hybrid", "default namespaces, hybrid cgroups", View::Hybrid),
    Scenario { network: false, ..launch("v1-no-network", "no network namespace, cgroup v1", View::V1) },
    Scenario { network: false, ..launch("v2-no-network", "no network namespace, cgroup v2", View::V2) },
    Scenario { user: true, ..launch("v1-user", "user namespace, cgroup v1", View::V1) },
    Scenario { user: true, ..launch("v2-user", "user namespace, cgroup v2", View::V2) },
    Scenario { seccomp: true, ..launch("v1-seccomp", "default seccomp profile, cgroup v1", View::V1) },
    Scenario { seccomp: true, ..launch("v2-seccomp", "default seccomp profile, cgroup v2", View::V2) },
    Scenario { task: Task::InARow(100), ..launch("v1-row", "100 in a row, cgroup v1", View::V1) },
    Scenario { task: Task::InARow(100), ..launch("v2-row", "100 in a row, cgroup v2", View::V2) },
    Scenario {
        task: Task::SmallestLimit,
        ..launch("memory-limit", "smallest memory limit, cgroup v1", View::V1)
    },
];

impl Scenario {
    /// The same for the floor program.
    pub(super) fn floor_arguments(&self) -> Vec<String> {
        let view = match self.view {
            View::V1 => "v1",
            View::V2 => "v2",
            View::Hybrid => "hybrid",
        };
        let mut arguments =
            vec!["--view", view, "--push", "--net", if self.network { "child" } else { "none" }];
        if self.user {
            arguments.push("--user");
        }
        if self.network {
            // Every runtime sets a new network's loopback interface up.
            arguments.push("--lo");
        }
        arguments.into_iter().map(String::from).collect()
    }

    /// The same for `holm run`, which makes a layer in memory, files such as /etc/hosts, /run and /tmp as well.
    pub(super) fn engine_arguments(&self, rootfs: &Path) -> Vec<String> {
        let mut arguments = vec!["run", "--userns", if self.user { "auto" } else { "host" }];
        arguments.extend(["--net", if self.network { "none" } else { "host" }]);
        if !self.seccomp {
            arguments.extend(["--security-opt", "seccomp=unconfined"]);
        }
        let rootfs = rootfs.display().to_string();
        arguments.extend(["--rootfs", &rootfs, "--", "/bin/true"]);
        arguments.into_iter().map(String::from).collect()
    }

    /// What the numbers count.
    pub(super) fn unit(&self) -> &'static str {
        match self.task {
            Task::Launch | Task::Life(_) => "ms",
            Task::InARow(_) => "ms for all",
            Task::SmallestLimit => "KiB",
        }
    }
}
