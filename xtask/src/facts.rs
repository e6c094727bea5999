//! `cargo xtask facts`: what holm finds out about this host, as a plan gets it.

use crate::Outcome;
use cgroups::Layout;
use clap::{ArgMatches, Command};
use report::Explain;
use runtime::HostFacts;
use std::fmt::Write as _;
use std::process::ExitCode;

pub(crate) fn command() -> Command {
    Command::new("facts").about("Print what plans depend on: this host's kernel, rights, limits and cgroups")
}

pub(crate) fn run(_: &ArgMatches) -> Outcome {
    let facts = HostFacts::read().map_err(explained)?;
    print!("{}", shown(&facts));
    Ok(ExitCode::SUCCESS)
}

/// An error of the crates as this program's own, with all that it explains.
pub(crate) fn explained(error: impl Explain) -> String {
    let text = report::render(&error);
    text.trim_end().strip_prefix("error: ").unwrap_or(text.trim_end()).to_owned()
}

/// The system calls that kernels differ in, by the name that `cargo xtask plan --without` takes.
pub(crate) fn calls(facts: &mut HostFacts) -> [(&'static str, &mut bool); 7] {
    let calls = &mut facts.calls;
    [
        ("openat2", &mut calls.openat2),
        ("close_range", &mut calls.close_range),
        ("mount_setattr", &mut calls.mount_setattr),
        ("clone_into_cgroup", &mut calls.clone_into_cgroup),
        ("clone_detached", &mut calls.clone_detached),
        ("overlay_by_fd", &mut calls.overlay_by_fd),
        ("time_namespace_at_exec", &mut calls.time_namespace_at_exec),
    ]
}

/// One fact a line, then one hierarchy a line.
fn shown(facts: &HostFacts) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "kernel         {}.{}", facts.kernel.0, facts.kernel.1);
    let _ = writeln!(text, "user           {}:{}", facts.uid, facts.gid);
    let _ = writeln!(text, "capabilities   {}", spec::CapabilitySet(facts.capabilities));
    for (name, there) in calls(&mut facts.clone()) {
        let _ = writeln!(text, "{:<14} {name}", if *there { "has" } else { "lacks" });
    }
    let limited = facts.hard_limits.iter().enumerate().filter(|(_, limit)| **limit != u64::MAX);
    for (resource, limit) in limited {
        let _ = writeln!(text, "hard limit     {limit} for resource {resource} of getrlimit(2)");
    }
    let _ = writeln!(text, "oom_score_adj  at least {}", facts.on_demand.oom_score_adj());
    text.push_str(&hierarchies(&facts.cgroups));
    text
}

fn hierarchies(layout: &Layout) -> String {
    let mut text = format!("cgroups        {:?}\n", layout.arrangement());
    for hierarchy in layout.hierarchies() {
        let own = match hierarchy.own_below_mount() {
            Some(own) => format!("this process in `/{}`", own.display()),
            None => "this process elsewhere".to_owned(),
        };
        let name = hierarchy.name.as_deref().map(|name| format!(" name={name}")).unwrap_or_default();
        let access = if hierarchy.read_only { ", read-only" } else { "" };
        let _ = writeln!(
            text,
            "  {:?} {}: {}{name}, {own}{access}",
            hierarchy.version,
            hierarchy.mount.display(),
            hierarchy.controllers
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use runtime::facts::{Calls, OnDemand};

    #[test]
    fn facts_print_one_a_line() {
        let mountinfo =
            b"1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /sys/fs/cgroup/memory ro - cgroup c rw,memory\n";
        let facts = HostFacts {
            kernel: (5, 10),
            uid: 0,
            gid: 0,
            capabilities: 1 << 21,
            calls: Calls::of_version((5, 10)),
            cgroups: Layout::parse(mountinfo, b"4:memory:/outer\n"),
            hard_limits: [u64::MAX; 16],
            soft_limits: [u64::MAX; 16],
            network_ahead: false,
            on_demand: OnDemand { oom_score_adj: (-5).into(), ..OnDemand::default() },
        };
        expect![[r#"
            kernel         5.10
            user           0:0
            capabilities   CAP_SYS_ADMIN
            has            openat2
            lacks          close_range
            lacks          mount_setattr
            has            clone_into_cgroup
            lacks          clone_detached
            lacks          overlay_by_fd
            lacks          time_namespace_at_exec
            oom_score_adj  at least -5
            cgroups        V1
              V1 /sys/fs/cgroup/memory: memory, this process in `/outer`, read-only
        "#]]
        .assert_eq(&shown(&facts));
    }
}
