//! Plans of programs that are started in running containers, on hosts that this machine does not have to be.
//!
//! The plans are in `tests/plans`; `UPDATE_EXPECT=1 cargo test -p holm-core --test enter_plans` writes them anew.

use std::path::PathBuf;

use cgroups::{ControllerSet, Layout, Recorded, Version};
use expect_test::{ExpectFile, expect_file};
use init::ops::Op;
use runtime::enter::Options;
use runtime::facts::{Calls, OnDemand};
use runtime::{ContainerId, Enter, HostFacts, Plan, Stdio, Target};
use spec::{IdMapping, Namespace, NamespaceType, Seccomp, Spec};

fn facts(kernel: (u32, u32)) -> HostFacts {
    HostFacts {
        kernel,
        uid: 0,
        gid: 0,
        capabilities: (1 << 41) - 1,
        calls: Calls::of_version(kernel),
        cgroups: Layout::default(),
        hard_limits: [u64::MAX; 16],
        soft_limits: [u64::MAX; 16],
        network_ahead: false,
        on_demand: OnDemand { oom_score_adj: 0.into(), ..OnDemand::default() },
    }
}

fn group(version: Version, mount: &str) -> Recorded {
    let controllers = ControllerSet::EMPTY;
    Recorded { version, controllers, mount: PathBuf::from(mount), path: PathBuf::from("holm/web") }
}

fn on_v2() -> Vec<Recorded> {
    vec![group(Version::V2, "/sys/fs/cgroup")]
}

fn on_v1() -> Vec<Recorded> {
    vec![group(Version::V1, "/sys/fs/cgroup/memory"), group(Version::V1, "/sys/fs/cgroup/pids")]
}

fn default_spec() -> Spec {
    let mut spec = spec::default_spec(false);
    spec.process.terminal = false;
    spec.process.args = vec!["/bin/ls".to_owned(), "-l".to_owned()];
    spec
}

fn user_namespace(spec: &mut Spec) {
    let maps = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    spec.linux.uid_mappings.clone_from(&maps);
    spec.linux.gid_mappings = maps;
    spec.linux.namespaces.push(Namespace { kind: NamespaceType::User, path: String::new() });
}

fn filter(spec: &mut Spec, refused: &str) {
    let section = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["{refused}"], "action": "SCMP_ACT_ERRNO"}}]}}"#
    );
    spec.linux.seccomp = Some(spec::load_as::<Seccomp>(section.as_bytes()).unwrap());
}

fn plan(spec: Spec, groups: Vec<Recorded>, facts: &HostFacts) -> Plan {
    let stdio = if spec.process.terminal { Stdio::Terminal { size: Some((24, 80)) } } else { Stdio::Inherit };
    let options = Options { stdio, preserve_fds: 0, keep_keyring: false };
    let target = Target { pid: 4711, limits: [(u64::MAX, u64::MAX); 16] };
    let id = ContainerId::parse("web").unwrap();
    let enter = Enter::new(id, spec::validate(spec).unwrap(), target, groups, options);
    runtime::plan::enter(&enter, facts).unwrap_or_else(|error| panic!("{}", report::render(&error)))
}

fn check(plan: &Plan, expected: ExpectFile) {
    expected.assert_eq(&plan.to_string());
}

#[test]
fn the_default_on_v2() {
    check(&plan(default_spec(), on_v2(), &facts((6, 18))), expect_file!["plans/enter-v2.txt"]);
}

#[test]
fn everything_in_a_user_namespace_on_v1() {
    let mut spec = default_spec();
    user_namespace(&mut spec);
    filter(&mut spec, "reboot");
    spec.process.terminal = true;
    spec.process.user.uid = 1000;
    spec.process.oom_score_adj = Some(100);
    spec.process.exec_cpu_affinity.initial = "0".to_owned();
    spec.process.exec_cpu_affinity.r#final = "0-3".to_owned();
    check(&plan(spec, on_v1(), &facts((6, 18))), expect_file!["plans/enter-everything.txt"]);
}

#[test]
fn an_older_kernel() {
    let mut spec = default_spec();
    user_namespace(&mut spec);
    check(&plan(spec, on_v2(), &facts((5, 4))), expect_file!["plans/enter-older-kernel.txt"]);
}

fn position(plan: &Plan, what: impl Fn(&Op) -> bool) -> Option<usize> {
    plan.program().ops().iter().position(|(_, op)| what(op))
}

/// One plan for each way that steps are put together.
fn all() -> Vec<(&'static str, Plan)> {
    let newest = facts((6, 18));
    let with = |change: fn(&mut Spec)| {
        let mut spec = default_spec();
        change(&mut spec);
        plan(spec, on_v2(), &newest)
    };
    vec![
        ("default", with(|_| {})),
        ("filter", with(|spec| filter(spec, "reboot"))),
        ("narrow filter", with(|spec| filter(spec, "setsid"))),
        (
            "new privileges",
            with(|spec| {
                filter(spec, "reboot");
                spec.process.no_new_privileges = false;
            }),
        ),
        ("terminal", with(|spec| spec.process.terminal = true)),
        ("user namespace", with(user_namespace)),
        ("older kernel", plan(default_spec(), on_v1(), &facts((5, 4)))),
    ]
}

#[test]
fn a_process_is_born_inside_with_nothing_that_the_program_does_not_get() {
    for (name, plan) in all() {
        let born = position(&plan, |op| matches!(op, Op::Rebirth {})).expect(name);
        let after = |what: fn(&Op) -> bool| plan.program().ops()[born..].iter().any(|(_, op)| what(op));
        for (what, is_it) in [
            ("capabilities", (|op| matches!(op, Op::SetCapabilities { .. })) as fn(&Op) -> bool),
            ("a user", |op| matches!(op, Op::SetUid { .. } | Op::SetGid { .. } | Op::SetGroups { .. })),
            ("a descriptor", |op| {
                matches!(op, Op::Open { .. } | Op::OpenBelow { .. } | Op::Duplicate { .. })
            }),
            ("a namespace", |op| matches!(op, Op::Join { .. })),
            ("a limit", |op| matches!(op, Op::SetRlimit { .. } | Op::CloseOnExec { .. })),
        ] {
            assert!(!after(is_it), "{name}: it still takes {what}");
        }
    }
}

#[test]
fn the_filter_holds_before_the_birth_unless_it_forbids_what_follows() {
    for (name, plan) in all() {
        let born = position(&plan, |op| matches!(op, Op::Rebirth {}));
        let Some(filter) = position(&plan, |op| matches!(op, Op::LoadFilter { .. })) else { continue };
        assert_eq!(Some(filter) < born, name != "narrow filter", "{name}");
    }
}

#[test]
fn the_cgroup_is_joined_before_the_namespaces_are() {
    for (name, plan) in all() {
        let write = position(&plan, |op| matches!(op, Op::Write { .. }));
        let join = position(&plan, |op| matches!(op, Op::Join { .. })).expect(name);
        assert!(write < Some(join), "{name}");
        let hidden = position(&plan, |op| matches!(op, Op::Prctl { option: sys::raw::PR_SET_DUMPABLE, .. }));
        assert!(hidden.is_some_and(|hidden| hidden < join), "{name}");
    }
}

#[test]
fn a_container_in_the_hosts_pid_namespace_needs_no_birth() {
    let mut spec = default_spec();
    spec.linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Pid);
    let plan = plan(spec, on_v2(), &facts((6, 18)));
    assert_eq!(position(&plan, |op| matches!(op, Op::Rebirth {})), None);
}
