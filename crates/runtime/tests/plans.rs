//! Plans of many launches on many hosts, none of which this machine has to be.
//!
//! The plans are in `tests/plans`; `UPDATE_EXPECT=1 cargo test -p holm-core --test plans` writes them anew. Below them are the
//! rules about the order of steps that every one of them keeps.

use std::path::PathBuf;

use cgroups::{CgroupPath, Layout, Place};
use expect_test::{ExpectFile, expect_file};
use init::ops::{Op, Slot};
use runtime::facts::{Calls, OnDemand};
use runtime::{ContainerId, HostFacts, Launch, Plan, PlanError, Root, Stdio, Upper};
use spec::{IdMapping, Namespace, NamespaceType, Rlimit, Seccomp, Spec};

/// mountinfo and cgroup of real hosts, which the cgroups crate keeps for its own tests.
macro_rules! host {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../cgroups/tests/texts/", $name, ".mountinfo")).as_slice(),
            include_bytes!(concat!("../../cgroups/tests/texts/", $name, ".cgroup")).as_slice(),
        )
    };
}

/// A host with everything: root on the newest kernel.
fn facts((mountinfo, own): (&[u8], &[u8])) -> HostFacts {
    let mut cgroups = Layout::parse(mountinfo, own);
    if let (Some(v2), true) = (&mut cgroups.v2, cgroups.v1.is_empty()) {
        v2.controllers = cgroups::ControllerSet::parse(b"cpuset cpu io memory hugetlb pids rdma misc");
    }
    HostFacts {
        kernel: (6, 18),
        uid: 0,
        gid: 0,
        capabilities: (1 << 41) - 1,
        calls: Calls::ALL,
        cgroups,
        hard_limits: [u64::MAX; 16],
        soft_limits: [u64::MAX; 16],
        network_ahead: false,
        on_demand: OnDemand { oom_score_adj: 0.into(), ..OnDemand::default() },
    }
}

fn on_v2() -> HostFacts {
    facts(host!("systemd-v2"))
}

/// Root on an older kernel.
fn on_kernel(kernel: (u32, u32)) -> HostFacts {
    HostFacts { kernel, calls: Calls::of_version(kernel), ..on_v2() }
}

/// An ordinary user on an older kernel.
fn user_on_kernel(kernel: (u32, u32)) -> HostFacts {
    HostFacts { uid: 1000, gid: 1000, capabilities: 0, ..on_kernel(kernel) }
}

fn default_spec() -> Spec {
    let mut spec = spec::default_spec(false);
    spec.process.terminal = false;
    spec
}

/// The default specification in a user namespace of 65536 ids.
fn spec_with_user_namespace() -> Spec {
    let mut spec = default_spec();
    let maps = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    spec.linux.uid_mappings.clone_from(&maps);
    spec.linux.gid_mappings = maps;
    add(&mut spec, NamespaceType::User, "");
    add(&mut spec, NamespaceType::Cgroup, "");
    spec
}

/// What an ordinary user without a range of ids runs.
fn rootless_spec() -> Spec {
    let mut spec = spec::default_spec(true);
    spec.process.terminal = false;
    spec.linux.uid_mappings[0].host_id = 1000;
    spec.linux.gid_mappings[0].host_id = 1000;
    add(&mut spec, NamespaceType::Cgroup, "");
    spec
}

fn add(spec: &mut Spec, kind: NamespaceType, path: &str) {
    remove(spec, kind);
    spec.linux.namespaces.push(Namespace { kind, path: path.to_owned() });
}

fn remove(spec: &mut Spec, kind: NamespaceType) {
    spec.linux.namespaces.retain(|namespace| namespace.kind != kind);
}

fn launch(spec: Spec) -> Launch {
    Launch {
        id: ContainerId::parse("web").unwrap(),
        spec: spec::validate(spec).unwrap(),
        bundle: PathBuf::from("/bundles/web"),
        root: Root::Directory { path: PathBuf::from("/bundles/web/rootfs") },
        idmap_root: false,
        files: Vec::new(),
        parts: Vec::new(),
        make_cwd: false,
        stdio: Stdio::Inherit,
        cgroup: Place::Mount(CgroupPath::parse("holm/web").unwrap()),
        unit: None,
        init: false,
        die_with_parent: false,
        delegate_v1: false,
        keep_keyring: false,
        preserve_fds: 0,
        life: runtime::Life::Attended,
    }
}

fn rootless_launch() -> Launch {
    let base = PathBuf::from("user.slice/user-1000.slice/user@1000.service/app.slice");
    Launch {
        cgroup: Place::Delegated { base, path: CgroupPath::parse("holm-web").unwrap() },
        ..launch(rootless_spec())
    }
}

fn idmapped_overlay() -> Launch {
    let lower = PathBuf::from("/bundles/web/rootfs");
    Launch {
        root: Root::Overlay { lower, upper: Upper::Tmpfs { size_bytes: None } },
        idmap_root: true,
        ..launch(spec_with_user_namespace())
    }
}

fn with_seccomp(mut spec: Spec) -> Spec {
    let section = br#"{
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["execve", "exit_group", "write"], "action": "SCMP_ACT_ALLOW"}]
    }"#;
    spec.linux.seccomp = Some(spec::load_as::<Seccomp>(section).unwrap());
    spec
}

fn planned(launch: &Launch, facts: &HostFacts) -> Plan {
    runtime::plan(launch, facts).unwrap_or_else(|error| panic!("{}", report::render(&error)))
}

fn check(launch: &Launch, facts: &HostFacts, expected: ExpectFile) {
    expected.assert_eq(&planned(launch, facts).to_string());
}

fn refused(launch: &Launch, facts: &HostFacts) -> String {
    let outcome: Result<Plan, PlanError> = runtime::plan(launch, facts);
    report::render(&outcome.expect_err("a plan"))
}

#[test]
fn a_network_namespace_made_ahead_is_joined_before_anything_shows_it() {
    let ahead = HostFacts { network_ahead: true, ..on_v2() };
    check(&launch(default_spec()), &ahead, expect_file!["plans/network-ahead.txt"]);
    // It would belong to the wrong user namespace.
    let planned = |facts| runtime::plan(&idmapped_overlay(), facts).unwrap();
    assert_eq!(planned(&ahead), planned(&on_v2()));
}

#[test]
fn on_v2_the_stage_starts_in_its_cgroup() {
    check(&launch(default_spec()), &on_v2(), expect_file!["plans/default-v2.txt"]);
}

#[test]
fn on_v1_the_stage_joins_a_cgroup_in_each_hierarchy() {
    check(&launch(default_spec()), &facts(host!("systemd-v1")), expect_file!["plans/default-v1.txt"]);
}

#[test]
fn on_a_hybrid_host_both_versions_are_shown() {
    check(&launch(default_spec()), &facts(host!("hybrid")), expect_file!["plans/default-hybrid.txt"]);
}

#[test]
fn an_idmapped_overlay_waits_for_its_user_namespace() {
    check(&idmapped_overlay(), &on_v2(), expect_file!["plans/idmapped-overlay.txt"]);
}

#[test]
fn an_idmapped_overlay_is_refused_where_layers_cannot_be_idmapped() {
    let told = refused(&idmapped_overlay(), &on_kernel((5, 15)));
    expect_test::expect![[r#"
        error: id-mapped overlay: Linux 5.15 does not take id-mapped mounts as its layers; 5.19 does
          hint:  use --userns=host, or --rootfs-write
    "#]]
    .assert_eq(&told);
    planned(&idmapped_overlay(), &on_kernel((6, 1)));
}

#[test]
fn an_ordinary_user_maps_only_itself() {
    check(&rootless_launch(), &user_on_kernel((6, 1)), expect_file!["plans/rootless-6.1.txt"]);
}

#[test]
fn an_ordinary_user_without_a_user_namespace_is_refused() {
    let told = refused(&launch(default_spec()), &user_on_kernel((6, 1)));
    expect_test::expect![[r#"
        error: launch without a user namespace: this process has no CAP_SYS_ADMIN, so it can make other namespaces only inside a new user namespace
          hint:  ask for a user namespace, or run as root
    "#]].assert_eq(&told);
}

#[test]
fn on_linux_5_4_the_stage_takes_the_root_itself() {
    check(&launch(default_spec()), &on_kernel((5, 4)), expect_file!["plans/kernel-5.4.txt"]);
}

#[test]
fn a_terminal_is_opened_from_the_containers_own_devpts() {
    let mut spec = default_spec();
    spec.process.terminal = true;
    let stdio = Stdio::Terminal { size: Some((24, 80)) };
    check(&Launch { stdio, ..launch(spec) }, &on_v2(), expect_file!["plans/terminal.txt"]);
}

#[test]
fn the_hosts_network_and_processes_are_neither_made_nor_joined() {
    let mut spec = default_spec();
    remove(&mut spec, NamespaceType::Network);
    remove(&mut spec, NamespaceType::Pid);
    check(&launch(spec), &on_v2(), expect_file!["plans/host-network-and-pid.txt"]);
}

#[test]
fn namespaces_are_opened_before_and_joined_in_their_order() {
    let mut spec = default_spec();
    add(&mut spec, NamespaceType::Network, "/run/netns/blue");
    add(&mut spec, NamespaceType::Ipc, "/proc/4711/ns/ipc");
    add(&mut spec, NamespaceType::Uts, "/proc/4711/ns/uts");
    check(&launch(spec), &on_v2(), expect_file!["plans/joined-namespaces.txt"]);
}

#[test]
fn with_init_a_reaper_stays_behind() {
    let launch = Launch { init: true, die_with_parent: true, ..launch(default_spec()) };
    check(&launch, &on_v2(), expect_file!["plans/init.txt"]);
}

#[test]
fn a_score_that_takes_cap_sys_resource_is_told_and_a_limit_refused() {
    let mut spec = default_spec();
    spec.process.oom_score_adj = Some(-500);
    let mut facts = on_v2();
    facts.capabilities &= !(1 << 24);
    facts.hard_limits[7] = 4096;
    check(&launch(spec.clone()), &facts, expect_file!["plans/without-cap-sys-resource.txt"]);
    spec.process.rlimits =
        vec![Rlimit { resource: spec::rlimit::Resource::Nofile, hard: 1 << 20, soft: 1 << 20 }];
    let refused = runtime::plan(&launch(spec), &facts).unwrap_err().to_string();
    assert!(refused.starts_with("process.rlimits[0]: RLIMIT_NOFILE"), "{refused}");
}

/// What few launches ask for, on a host that has it all.
fn rare() -> (Launch, HostFacts) {
    let mut spec = default_spec();
    spec.process.apparmor_profile = "holm-default".into();
    spec.process.selinux_label = "system_u:system_r:container_t:s0:c1,c2".into();
    spec.linux.mount_label = "system_u:object_r:container_file_t:s0:c1,c2".into();
    spec.linux.net_devices.insert("eth1".into(), spec::linux::NetDevice { name: "eth0".into() });
    spec.linux.intel_rdt = Some(spec::linux::IntelRdt {
        schemata: vec!["L3:0=f".into()],
        enable_monitoring: true,
        ..spec::linux::IntelRdt::default()
    });
    let rules = r#"[{"paths": ["/usr"], "access": ["read", "execute"]}]"#;
    spec.annotations.insert(spec::landlock::ANNOTATION.into(), rules.into());
    let facts = on_v2();
    let known = &facts.on_demand;
    known.apparmor.set(true).unwrap();
    known.selinux.set(true).unwrap();
    known.landlock.set(2).unwrap();
    known.resctrl.set(Some(PathBuf::from("/sys/fs/resctrl"))).unwrap();
    (launch(spec), facts)
}

#[test]
fn labels_landlock_resctrl_and_devices_have_their_steps() {
    let (launch, facts) = rare();
    check(&launch, &facts, expect_file!["plans/rare.txt"]);
}

#[test]
fn what_a_host_lacks_is_refused_by_name() {
    let (launch, facts) = rare();
    let refused = |change: fn(&mut Spec), facts: &HostFacts| {
        let mut spec = launch.spec.clone().into_inner();
        spec.annotations.clear();
        spec.linux.intel_rdt = None;
        spec.linux.net_devices.clear();
        spec.process.apparmor_profile.clear();
        spec.process.selinux_label.clear();
        spec.linux.mount_label.clear();
        change(&mut spec);
        runtime::plan(&self::launch(spec), facts).unwrap_err().to_string()
    };
    let bare =
        HostFacts { on_demand: OnDemand::default(), capabilities: facts.capabilities & !(1 << 12), ..facts };
    bare.on_demand.apparmor.set(false).unwrap();
    bare.on_demand.selinux.set(false).unwrap();
    bare.on_demand.landlock.set(0).unwrap();
    bare.on_demand.oom_score_adj.set(0).unwrap();
    bare.on_demand.resctrl.set(None).unwrap();
    let apparmor: fn(&mut Spec) = |spec| spec.process.apparmor_profile = "x".into();
    type Case = (fn(&mut Spec), &'static str);
    let cases: &[Case] = &[
        (apparmor, "process.apparmorProfile `x`: AppArmor is not active on this host"),
        (
            |spec| spec.process.selinux_label = "x".into(),
            "process.selinuxLabel `x`: SELinux is not active on this host",
        ),
        (
            |spec| spec.linux.mount_label = "x".into(),
            "linux.mountLabel `x`: SELinux is not active on this host",
        ),
        (|spec| spec.linux.intel_rdt = Some(spec::linux::IntelRdt::default()), "linux.intelRdt: no resctrl"),
        (
            |spec| drop(spec.linux.net_devices.insert("eth1".into(), spec::linux::NetDevice::default())),
            "linux.netDevices: moving a network device takes CAP_NET_ADMIN",
        ),
        (
            |spec| drop(spec.annotations.insert(spec::landlock::ANNOTATION.into(), "[]".into())),
            "annotation org.holm.landlock.rules: Landlock is not active",
        ),
    ];
    for (change, told) in cases {
        let error = refused(*change, &bare);
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn a_writable_cgroup_is_given_to_the_containers_user_on_v2_alone() {
    let gives = |change: fn(&mut Spec), facts: &HostFacts| {
        let mut spec = spec_with_user_namespace();
        for mount in spec.mounts.iter_mut().filter(|mount| mount.fstype == "cgroup") {
            mount.options.retain(|option| option != "ro");
        }
        change(&mut spec);
        let plan = planned(&launch(spec), facts);
        plan.steps().iter().find_map(|step| step.what.strip_prefix("give the cgroup to ").map(String::from))
    };
    assert_eq!(gives(|_| {}, &on_v2()).as_deref(), Some("100000:100000"));
    assert_eq!(gives(|spec| spec.process.user.uid = 33, &on_v2()).as_deref(), Some("100033:100000"));
    assert_eq!(gives(|_| {}, &facts(host!("systemd-v1"))), None);
    assert_eq!(gives(|_| {}, &facts(host!("hybrid"))), None);
    // Whoever starts it may want it on v1 all the same, for systemd.
    let mut spec = spec_with_user_namespace();
    spec.mounts.iter_mut().for_each(|mount| mount.options.retain(|option| option != "ro"));
    let wanted = planned(&Launch { delegate_v1: true, ..launch(spec) }, &facts(host!("hybrid")));
    assert!(wanted.to_string().contains("give the cgroup to 100000:100000"), "{wanted}");
    let read_only: fn(&mut Spec) = |spec| {
        for mount in spec.mounts.iter_mut().filter(|mount| mount.fstype == "cgroup") {
            mount.options.push("ro".into());
        }
    };
    assert_eq!(gives(read_only, &on_v2()), None);
    let shared: fn(&mut Spec) =
        |spec| spec.linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Cgroup);
    assert_eq!(gives(shared, &on_v2()), None);
}

/// One plan for each way that steps are put together.
fn all() -> Vec<(&'static str, Plan)> {
    let mut spec = default_spec();
    spec.process.terminal = true;
    let terminal = Launch { stdio: Stdio::Terminal { size: None }, ..launch(with_seccomp(spec)) };
    let init = Launch { init: true, ..launch(with_seccomp(default_spec())) };
    let mut privileged = with_seccomp(default_spec());
    privileged.process.no_new_privileges = false;
    let mut notifying = with_seccomp(default_spec());
    if let Some(section) = &mut notifying.linux.seccomp {
        section.syscalls[0].names = vec!["mkdir".into()];
        section.syscalls[0].action = spec::seccomp::Action::Notify;
        section.default_action = spec::seccomp::Action::Allow;
        section.listener_path = "/run/agent".into();
    }
    let (everything_rare, on_demand) = rare();
    vec![
        ("listener", planned(&launch(notifying), &on_v2())),
        ("rare", planned(&everything_rare, &on_demand)),
        ("default on v2", planned(&launch(with_seccomp(default_spec())), &on_v2())),
        ("default on v1", planned(&launch(with_seccomp(default_spec())), &facts(host!("systemd-v1")))),
        ("default on both", planned(&launch(with_seccomp(default_spec())), &facts(host!("hybrid")))),
        ("old kernel", planned(&launch(with_seccomp(default_spec())), &on_kernel((5, 4)))),
        ("idmapped overlay", planned(&idmapped_overlay(), &on_v2())),
        ("rootless", planned(&rootless_launch(), &user_on_kernel((6, 1)))),
        ("terminal", planned(&terminal, &on_v2())),
        ("init", planned(&init, &on_v2())),
        ("with new privileges", planned(&launch(privileged), &on_v2())),
    ]
}

fn last(plan: &Plan, what: impl Fn(&Op) -> bool) -> Option<usize> {
    plan.program().ops().iter().rposition(|(_, op)| what(op))
}

fn first(plan: &Plan, what: impl Fn(&Op) -> bool) -> Option<usize> {
    plan.program().ops().iter().position(|(_, op)| what(op))
}

const PR_SET_NO_NEW_PRIVS: u64 = 38;

#[test]
fn the_program_ends_with_one_execve() {
    for (name, plan) in all() {
        let ops = plan.program().ops();
        let is_execute = |op: &Op| matches!(op, Op::Execute { .. });
        assert_eq!(first(&plan, is_execute), Some(ops.len() - 1), "{name}");
    }
}

#[test]
fn seccomp_is_loaded_last_before_exec() {
    for (name, plan) in all() {
        let Some(filter) = first(&plan, |op| matches!(op, Op::LoadFilter { .. })) else { continue };
        // Nothing comes after it but passing its listener on, for those that have one.
        let passes = first(&plan, |op| matches!(op, Op::PassListener { .. })).is_some();
        assert_eq!(filter + 2 + usize::from(passes), plan.program().ops().len(), "{name}");
    }
    let with_filter = |plan: &Plan| first(plan, |op| matches!(op, Op::LoadFilter { .. })).is_some();
    assert!(all().iter().filter(|(_, plan)| with_filter(plan)).count() >= 7);
}

#[test]
fn every_wait_of_the_stage_has_its_turn_of_the_engine() {
    for (name, plan) in all() {
        let mut awaited = Vec::new();
        for (_, op) in plan.program().ops() {
            if let Op::Await { turn, .. } = op {
                awaited.push(*turn);
            }
        }
        // The engine's side is private; its debug form is not.
        let debug = format!("{plan:?}");
        let told: Vec<u32> = debug
            .match_indices("Tell { turn: ")
            .map(|(at, found)| debug[at + found.len()..].split_once(", ").unwrap())
            .filter(|(_, rest)| rest.starts_with("fds"))
            .map(|(turn, _)| turn.parse().unwrap())
            .collect();
        assert_eq!(awaited, told, "{name}");
        assert!(awaited.is_sorted(), "{name}: turns arrive in order");
    }
}

#[test]
fn the_umask_of_the_program_is_set_after_the_last_file_is_made() {
    for (name, plan) in all() {
        let umask = last(&plan, |op| matches!(op, Op::SetUmask { .. })).expect(name);
        assert_eq!(plan.program().ops()[umask].1, Op::SetUmask { mask: 0o022 }, "{name}");
        let made = last(&plan, |op| {
            matches!(
                op,
                Op::MakeDirectory { .. }
                    | Op::MakeNode { .. }
                    | Op::MakeFile { .. }
                    | Op::EnsureDirectory { .. }
                    | Op::EnsureFile { .. }
                    | Op::EnsureSame { .. }
            )
        });
        assert!(made < Some(umask), "{name}");
    }
}

#[test]
fn descriptors_are_marked_close_on_exec_after_the_last_is_opened() {
    for (name, plan) in all() {
        let marked = first(&plan, |op| matches!(op, Op::CloseOnExec { .. })).expect(name);
        let opened = last(&plan, |op| {
            matches!(
                op,
                Op::FsOpen { .. }
                    | Op::FsMount { .. }
                    | Op::OpenTree { .. }
                    | Op::OpenBelow { .. }
                    | Op::Open { .. }
                    | Op::EnsureDirectory { .. }
                    | Op::EnsureFile { .. }
                    | Op::EnsureSame { .. }
                    | Op::OpenTerminal { .. }
                    | Op::Duplicate { .. }
                    | Op::Await { .. }
                    | Op::Supervise {}
            )
        });
        assert!(opened < Some(marked), "{name}");
    }
}

#[test]
fn a_process_without_new_privileges_says_so_before_it_loads_its_filter() {
    for (name, plan) in all() {
        let promise =
            first(&plan, |op| matches!(op, Op::Prctl { option, .. } if *option == PR_SET_NO_NEW_PRIVS));
        let filter = first(&plan, |op| matches!(op, Op::LoadFilter { .. }));
        match (promise, filter) {
            (Some(promise), Some(filter)) => assert!(promise < filter, "{name}"),
            (None, Some(_)) => {
                // Then loading takes CAP_SYS_ADMIN, which the process still has.
                let keeps =
                    |op: &Op| matches!(op, Op::SetCapabilities { effective, .. } if effective & 1 << 21 != 0);
                assert!(first(&plan, keeps).is_some(), "{name}");
            }
            (_, None) => {}
        }
    }
}

#[test]
fn capabilities_are_taken_after_the_last_change_of_user() {
    for (name, plan) in all() {
        let user = last(&plan, |op| matches!(op, Op::SetUid { .. } | Op::SetGid { .. })).expect(name);
        let groups = last(&plan, |op| matches!(op, Op::SetGroups { .. }));
        let bounding = last(&plan, |op| matches!(op, Op::LimitBounding { .. })).expect(name);
        let sets = first(&plan, |op| matches!(op, Op::SetCapabilities { .. })).expect(name);
        let ambient = last(&plan, |op| matches!(op, Op::SetAmbient { .. })).expect(name);
        assert!(groups < Some(user) && user < sets && bounding < sets && sets < ambient, "{name}");
    }
}

#[test]
fn nothing_is_mounted_after_the_old_root_is_gone() {
    for (name, plan) in all() {
        let pivot = first(&plan, |op| matches!(op, Op::PivotRoot { .. })).expect(name);
        let mounted =
            last(&plan, |op| matches!(op, Op::MoveMount { .. } | Op::FsMount { .. } | Op::Mask { .. }));
        assert!(mounted < Some(pivot), "{name}");
    }
}

#[test]
fn nothing_of_a_container_in_the_hosts_mount_namespace_is_attached_there() {
    let mut spec = default_spec();
    remove(&mut spec, NamespaceType::Mount);
    spec.linux.masked_paths.clear();
    spec.linux.readonly_paths.clear();
    spec.root.readonly = true;
    let plan = planned(&launch(spec.clone()), &on_kernel((6, 18)));
    let of_namespace = |op: &Op| {
        matches!(
            op,
            Op::PropagateAll { .. }
                | Op::PivotRoot { .. }
                | Op::LetGo { .. }
                | Op::MountByFd { .. }
                | Op::Reconfigure { .. }
                | Op::MoveMount { to: Slot::CWD, .. }
                | Op::Attach { root: Slot::CWD, .. }
        )
    };
    assert_eq!(first(&plan, of_namespace), None, "{plan}");
    let change = first(&plan, |op| matches!(op, Op::ChangeRoot { .. }));
    let mounted = last(&plan, |op| matches!(op, Op::MoveMount { .. } | Op::Attach { .. }));
    assert!(mounted.is_some() && mounted < change, "{plan}");
    let refused = |spec: &Spec, kernel| {
        let launch = launch(spec.clone());
        runtime::plan(&launch, &on_kernel(kernel)).expect_err("it is refused").to_string()
    };
    assert!(refused(&spec, (6, 14)).contains("Linux 6.15"));
    let mut with_user = spec.clone();
    add(&mut with_user, NamespaceType::User, "");
    with_user.linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    with_user.linux.gid_mappings.clone_from(&with_user.linux.uid_mappings);
    assert!(refused(&with_user, (6, 18)).contains("user namespace"));
    spec.linux.rootfs_propagation = Some(spec::Propagation::Rshared);
    assert!(refused(&spec, (6, 18)).contains("rootfsPropagation"));
}

#[test]
fn an_old_kernel_gets_no_call_that_it_lacks() {
    let plan = planned(&launch(default_spec()), &on_kernel((5, 4)));
    assert_eq!(first(&plan, |op| matches!(op, Op::MountAttr { .. })), None);
    assert!(first(&plan, |op| matches!(op, Op::MountByFd { .. })).is_some());
}

#[test]
fn the_same_launch_on_the_same_host_has_the_same_plan() {
    let (one, two) = (all(), all());
    for ((name, one), (_, two)) in one.iter().zip(&two) {
        assert_eq!(one, two, "{name}");
    }
}
