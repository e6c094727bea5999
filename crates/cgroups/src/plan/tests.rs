//! Plans of whole hosts, one step a line.

use expect_test::{Expect, expect};

use super::*;
use crate::limits::{
    CpuLimits, DeviceAccess, DeviceKind, DeviceNumber, DeviceRule, HugepageLimit, Limit, Rate, Throttle,
};
use crate::testing::layout;

const MIB: u64 = 1024 * 1024;

fn usual() -> Limits {
    let mut limits = Limits { pids_max: Some(Limit::At(100)), ..Limits::default() };
    limits.memory.max_bytes = Some(Limit::At(64 * MIB));
    limits.memory.memory_and_swap_max_bytes = Some(Limit::At(96 * MIB));
    limits.cpu.shares = Some(512);
    limits.cpu.quota_us = Some(Limit::At(150_000));
    limits.cpu.period_us = Some(100_000);
    let rule =
        |allow, kind, major, minor| DeviceRule { allow, kind, major, minor, access: DeviceAccess::ALL };
    limits.devices = Some(vec![
        rule(false, DeviceKind::Any, None, None),
        rule(true, DeviceKind::Char, Some(1), Some(3)),
        rule(true, DeviceKind::Char, Some(136), None),
    ]);
    limits
}

fn place(text: &str) -> Place {
    Place::Mount(CgroupPath::parse(text).unwrap())
}

fn told(layout: &Layout, place: &Place, limits: &Limits, which: Which) -> String {
    match plan(layout, &Wanted { place, limits, which }) {
        Ok(plan) => plan.to_string(),
        Err(refused) => format!("refused: {refused}\n"),
    }
}

fn check(host: &str, place: &Place, limits: &Limits, which: Which, expected: Expect) {
    expected.assert_eq(&told(&layout(host), place, limits, which));
}

#[test]
fn on_v2_there_is_one_directory_and_controllers_are_handed_down_to_it() {
    check(
        "systemd-v2",
        &place("holm/web"),
        &usual(),
        Which::All,
        expect![[r#"
            mkdir   /sys/fs/cgroup/holm/web
            enable  /sys/fs/cgroup/cgroup.subtree_control  +cpu +memory +pids +io
            enable  /sys/fs/cgroup/holm/cgroup.subtree_control  +cpu +memory +pids +io
            write   /sys/fs/cgroup/holm/web/cpu.weight 59
            write   /sys/fs/cgroup/holm/web/cpu.max 150000 100000
            write   /sys/fs/cgroup/holm/web/memory.swap.max 33554432
            write   /sys/fs/cgroup/holm/web/memory.max 67108864
            write   /sys/fs/cgroup/holm/web/pids.max 100
            attach  /sys/fs/cgroup/holm/web  device program of 14 instructions
            join    /sys/fs/cgroup/holm/web  (clone into)
        "#]],
    );
}

#[test]
fn on_v2_only_what_is_needed_is_enabled_when_asked_for() {
    let hugepages = vec![HugepageLimit { page_size: "2MB".to_owned(), max_bytes: 4 * MIB }];
    let limits = Limits { hugepages, ..Limits::default() };
    check(
        "systemd-v2",
        &place("web"),
        &limits,
        Which::Needed,
        expect![[r#"
        mkdir   /sys/fs/cgroup/web
        enable  /sys/fs/cgroup/cgroup.subtree_control  +hugetlb
        write   /sys/fs/cgroup/web/hugetlb.2MB.max 4194304
        write   /sys/fs/cgroup/web/hugetlb.2MB.rsvd.max 4194304  (if there is such a file)
        join    /sys/fs/cgroup/web  (clone into)
    "#]],
    );
}

#[test]
fn a_hybrid_host_gets_its_v1_groups_and_a_v2_leaf() {
    check(
        "hybrid",
        &place("holm/web"),
        &usual(),
        Which::All,
        expect![[r#"
        mkdir   /sys/fs/cgroup/cpu/holm/web
        write   /sys/fs/cgroup/cpu/holm/web/cpu.shares 512
        write   /sys/fs/cgroup/cpu/holm/web/cpu.cfs_period_us 100000
        write   /sys/fs/cgroup/cpu/holm/web/cpu.cfs_quota_us 150000
        join    /sys/fs/cgroup/cpu/holm/web/tasks
        mkdir   /sys/fs/cgroup/cpuacct/holm/web
        join    /sys/fs/cgroup/cpuacct/holm/web/tasks
        mkdir   /sys/fs/cgroup/cpuset/holm/web
        copy    /sys/fs/cgroup/cpuset/holm/web/cpuset.cpus and cpuset.mems from the parent, where empty
        join    /sys/fs/cgroup/cpuset/holm/web/tasks
        mkdir   /sys/fs/cgroup/memory/holm/web
        write   /sys/fs/cgroup/memory/holm/web/memory.limit_in_bytes 67108864
        write   /sys/fs/cgroup/memory/holm/web/memory.memsw.limit_in_bytes 100663296
        join    /sys/fs/cgroup/memory/holm/web/tasks
        mkdir   /sys/fs/cgroup/devices/holm/web
        write   /sys/fs/cgroup/devices/holm/web/devices.deny a
        write   /sys/fs/cgroup/devices/holm/web/devices.allow c 1:3 rwm
        write   /sys/fs/cgroup/devices/holm/web/devices.allow c 136:* rwm
        join    /sys/fs/cgroup/devices/holm/web/tasks
        mkdir   /sys/fs/cgroup/freezer/holm/web
        join    /sys/fs/cgroup/freezer/holm/web/tasks
        mkdir   /sys/fs/cgroup/blkio/holm/web
        join    /sys/fs/cgroup/blkio/holm/web/tasks
        mkdir   /sys/fs/cgroup/pids/holm/web
        write   /sys/fs/cgroup/pids/holm/web/pids.max 100
        join    /sys/fs/cgroup/pids/holm/web/tasks
        mkdir   /sys/fs/cgroup/systemd/holm/web
        join    /sys/fs/cgroup/systemd/holm/web/tasks
        mkdir   /sys/fs/cgroup/unified/holm/web
        join    /sys/fs/cgroup/unified/holm/web  (clone into)
    "#]],
    );
}

#[test]
fn only_the_needed_hierarchies_and_one_to_find_processes_by() {
    let limits = Limits { pids_max: Some(Limit::At(5)), ..Limits::default() };
    check(
        "hybrid",
        &place("holm/web"),
        &limits,
        Which::Needed,
        expect![[r#"
        mkdir   /sys/fs/cgroup/pids/holm/web
        write   /sys/fs/cgroup/pids/holm/web/pids.max 5
        join    /sys/fs/cgroup/pids/holm/web/tasks
        mkdir   /sys/fs/cgroup/unified/holm/web
        join    /sys/fs/cgroup/unified/holm/web  (clone into)
    "#]],
    );
    let v1 = Layout { v2: None, ..layout("hybrid") };
    expect![[r#"
        mkdir   /sys/fs/cgroup/freezer/holm/web
        join    /sys/fs/cgroup/freezer/holm/web/tasks
        mkdir   /sys/fs/cgroup/pids/holm/web
        write   /sys/fs/cgroup/pids/holm/web/pids.max 5
        join    /sys/fs/cgroup/pids/holm/web/tasks
    "#]]
    .assert_eq(&told(&v1, &place("holm/web"), &limits, Which::Needed));
}

#[test]
fn controllers_mounted_together_share_a_directory() {
    let mut limits = usual();
    limits.devices = None;
    limits.network.class_id = Some(0x10001);
    limits.io.throttles = vec![Throttle {
        device: DeviceNumber { major: 8, minor: 0 },
        rate: Rate::ReadBytes,
        per_second: MIB,
    }];
    check(
        "systemd-v1",
        &place("web"),
        &limits,
        Which::Needed,
        expect![[r#"
        mkdir   /sys/fs/cgroup/cpu,cpuacct/web
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.shares 512
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.cfs_period_us 100000
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.cfs_quota_us 150000
        join    /sys/fs/cgroup/cpu,cpuacct/web/tasks
        mkdir   /sys/fs/cgroup/net_cls,net_prio/web
        write   /sys/fs/cgroup/net_cls,net_prio/web/net_cls.classid 65537
        join    /sys/fs/cgroup/net_cls,net_prio/web/tasks
        mkdir   /sys/fs/cgroup/memory/web
        write   /sys/fs/cgroup/memory/web/memory.limit_in_bytes 67108864
        write   /sys/fs/cgroup/memory/web/memory.memsw.limit_in_bytes 100663296
        join    /sys/fs/cgroup/memory/web/tasks
        mkdir   /sys/fs/cgroup/pids/web
        write   /sys/fs/cgroup/pids/web/pids.max 100
        join    /sys/fs/cgroup/pids/web/tasks
        mkdir   /sys/fs/cgroup/blkio/web
        write   /sys/fs/cgroup/blkio/web/blkio.throttle.read_bps_device 8:0 1048576
        join    /sys/fs/cgroup/blkio/web/tasks
        mkdir   /sys/fs/cgroup/unified/web
        join    /sys/fs/cgroup/unified/web  (clone into)
    "#]],
    );
}

#[test]
fn what_hands_controllers_down_on_v2_goes_beside_the_own_group() {
    let path = || CgroupPath::parse("web").unwrap();
    let base = |place: &Place, limits: &Limits| {
        let layout = layout("systemd-v2");
        let wanted = Wanted { place, limits, which: Which::All };
        let own = layout.v2.as_ref().and_then(Hierarchy::own_below_mount).unwrap();
        let planned = plan(&layout, &wanted).unwrap();
        (own, planned.groups[0].base.clone())
    };
    let (own, below) = base(&Place::Own(path()), &usual());
    assert!(own.parent().is_some() && below == own, "{own:?}");
    assert_eq!(base(&Place::Near(path()), &usual()).1, own.parent().unwrap());
    assert_eq!(base(&Place::Near(path()), &Limits::default()).1, own);
}

#[test]
fn nested_in_a_container_the_group_goes_below_the_own_one() {
    let mut limits = usual();
    (limits.devices, limits.pids_max) = (None, None);
    let below = Place::Own(CgroupPath::parse("web").unwrap());
    check(
        "docker-v1",
        &below,
        &limits,
        Which::All,
        expect![[r#"
        mkdir   /sys/fs/cgroup/cpu,cpuacct/web
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.shares 512
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.cfs_period_us 100000
        write   /sys/fs/cgroup/cpu,cpuacct/web/cpu.cfs_quota_us 150000
        join    /sys/fs/cgroup/cpu,cpuacct/web/tasks
        mkdir   /sys/fs/cgroup/memory/web
        write   /sys/fs/cgroup/memory/web/memory.limit_in_bytes 67108864
        write   /sys/fs/cgroup/memory/web/memory.memsw.limit_in_bytes 100663296
        join    /sys/fs/cgroup/memory/web/tasks
        note    cgroup: /sys/fs/cgroup/systemd is mounted read-only
        note    cgroup: /sys/fs/cgroup/pids is mounted read-only
    "#]],
    );
    check(
        "hybrid",
        &below,
        &Limits::default(),
        Which::All,
        expect![[r#"
        mkdir   /sys/fs/cgroup/cpu/web
        join    /sys/fs/cgroup/cpu/web/tasks
        mkdir   /sys/fs/cgroup/cpuacct/web
        join    /sys/fs/cgroup/cpuacct/web/tasks
        mkdir   /sys/fs/cgroup/cpuset/web
        copy    /sys/fs/cgroup/cpuset/web/cpuset.cpus and cpuset.mems from the parent, where empty
        join    /sys/fs/cgroup/cpuset/web/tasks
        mkdir   /sys/fs/cgroup/memory/api/e6dd2a2043630ee1/web
        join    /sys/fs/cgroup/memory/api/e6dd2a2043630ee1/web/tasks
        mkdir   /sys/fs/cgroup/devices/web
        join    /sys/fs/cgroup/devices/web/tasks
        mkdir   /sys/fs/cgroup/freezer/web
        join    /sys/fs/cgroup/freezer/web/tasks
        mkdir   /sys/fs/cgroup/blkio/web
        join    /sys/fs/cgroup/blkio/web/tasks
        mkdir   /sys/fs/cgroup/pids/web
        join    /sys/fs/cgroup/pids/web/tasks
        mkdir   /sys/fs/cgroup/systemd/web
        join    /sys/fs/cgroup/systemd/web/tasks
        mkdir   /sys/fs/cgroup/unified/web
        join    /sys/fs/cgroup/unified/web  (clone into)
    "#]],
    );
}

#[test]
fn a_delegated_user_works_below_his_own_group() {
    let delegated = Place::Delegated {
        base: PathBuf::from("user.slice/user-1000.slice/user@1000.service/app.slice"),
        path: CgroupPath::parse("holm/web").unwrap(),
    };
    let limits = Limits { pids_max: Some(Limit::At(5)), ..Limits::default() };
    check(
        "systemd-v2",
        &delegated,
        &limits,
        Which::All,
        expect![[r#"
        mkdir   /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/holm/web
        enable  /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/cgroup.subtree_control  +pids +cpu +io +memory
        enable  /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/holm/cgroup.subtree_control  +pids +cpu +io +memory
        write   /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/holm/web/pids.max 5
        join    /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/holm/web  (clone into)
    "#]],
    );
    check(
        "hybrid",
        &delegated,
        &limits,
        Which::All,
        expect![[r#"
        refused: pids.limit: this container has no cgroup of its own (only cgroup v2 is delegated to this user)
    "#]],
    );
}

#[test]
fn no_limit_is_left_out_silently() {
    let nowhere = Place::Nowhere("no delegation".to_owned());
    let pids = Limits { pids_max: Some(Limit::At(5)), ..Limits::default() };
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let cases: Vec<(&str, &Place, Limits)> = vec![
        ("systemd-v2", &nowhere, pids.clone()),
        ("systemd-v2", &nowhere, Limits::default()),
        ("docker-v1", &nowhere, pids.clone()),
        ("docker-v2", &nowhere, Limits::default()),
    ];
    let mut all = String::new();
    for (host, place, limits) in &cases {
        all.push_str(&format!("{host}: {}\n", told(&layout(host), place, limits, Which::All).trim()));
    }
    let place = place("web");
    for (host, limits) in [
        ("docker-v1", pids.clone()),
        ("docker-v1", with(|it| it.devices = Some(Vec::new()))),
        ("docker-v2", pids),
        ("hybrid", with(|it| it.network.class_id = Some(1))),
        ("hybrid", with(|it| it.misc = vec![("sev".to_owned(), Limit::At(1))])),
        ("hybrid", with(|it| it.memory.high_bytes = Some(Limit::At(1)))),
        ("hybrid", with(|it| it.unified = vec![("memory.high".to_owned(), "1".to_owned())])),
        ("systemd-v2", with(|it| it.unified = vec![("cgroup.procs".to_owned(), "1".to_owned())])),
        ("systemd-v2", with(|it| it.unified = vec![("../memory.max".to_owned(), "1".to_owned())])),
        ("systemd-v2", with(|it| it.unified = vec![("memory.high".to_owned(), "1m\n\n2m".to_owned())])),
        ("systemd-v2", with(|it| it.network.class_id = Some(1))),
        ("systemd-v2", with(|it| it.memory.swappiness_percent = Some(0))),
        ("systemd-v2", with(|it| it.memory.oom_kill_disabled = Some(true))),
        ("systemd-v2", with(|it| it.memory.memory_and_swap_max_bytes = Some(Limit::At(1)))),
        ("systemd-v2", with(|it| it.memory.kernel_max_bytes = Some(Limit::At(1)))),
        ("systemd-v2", with(|it| it.cpu.realtime_runtime_us = Some(1))),
        ("systemd-v2", with(|it| it.io.leaf_weight = Some(10))),
        ("systemd-v1", with(|it| it.cpu = CpuLimits { weight: Some(5), ..CpuLimits::default() })),
    ] {
        all.push_str(&format!("{host}: {}\n", told(&layout(host), &place, &limits, Which::Needed).trim()));
    }
    let empty = Layout::default();
    all.push_str(&told(
        &empty,
        &place,
        &Limits { pids_max: Some(Limit::At(1)), ..Limits::default() },
        Which::All,
    ));
    expect![[r#"
        systemd-v2: refused: pids.limit: this container has no cgroup of its own (no delegation)
        systemd-v2: 
        docker-v1: refused: pids.limit: this container has no cgroup of its own (no delegation)
        docker-v2: 
        docker-v1: refused: pids.limit: /sys/fs/cgroup/pids is mounted read-only
        docker-v1: refused: devices: this host has no devices controller
        docker-v2: refused: pids.limit: /sys/fs/cgroup is mounted read-only
        hybrid: refused: network.classID: this host has no net_cls controller
        hybrid: refused: misc: this host has no misc controller
        hybrid: refused: memory.high: invalid configuration for cgroup v1, which serves memory on this host and does not have this limit
        hybrid: refused: unified.memory.high: invalid configuration for cgroup v1, which serves memory on this host and does not have this limit
        systemd-v2: refused: unified.cgroup.procs: this is not a file that limits something in a cgroup v2 group
        systemd-v2: refused: unified.../memory.max: this is not a file that limits something in a cgroup v2 group
        systemd-v2: mkdir   /sys/fs/cgroup/web
        enable  /sys/fs/cgroup/cgroup.subtree_control  +memory
        write   /sys/fs/cgroup/web/memory.high 1m
        write   /sys/fs/cgroup/web/memory.high 2m
        join    /sys/fs/cgroup/web  (clone into)
        systemd-v2: refused: network.classID: this host has no net_cls controller
        systemd-v2: refused: memory.swappiness: invalid configuration for cgroup v2, which serves memory on this host and does not have this limit
        systemd-v2: refused: memory.disableOOMKiller: invalid configuration for cgroup v2, which serves memory on this host and does not have this limit
        systemd-v2: refused: memory.swap: a limit on memory and swap needs one on memory
        systemd-v2: mkdir   /sys/fs/cgroup/web
        join    /sys/fs/cgroup/web  (clone into)
        note    memory.kernel: left out: kernel memory has no limit of its own since Linux 5.16, it counts as memory
        systemd-v2: refused: cpu.realtimeRuntime: invalid configuration for cgroup v2, which serves cpu on this host and does not have this limit
        systemd-v2: refused: blockIO.leafWeight: invalid configuration for cgroup v2, which serves io on this host and does not have this limit
        systemd-v1: refused: cpu.weight: invalid configuration for cgroup v1, which serves cpu on this host and does not have this limit
        refused: pids.limit: this host has no pids controller
    "#]].assert_eq(&all);
}

#[test]
fn a_path_has_no_way_out_and_no_name_of_the_kernel() {
    for good in ["/holm/web", "a", "kubepods/besteffort/pod1-2_3", "system.slice:x", "a.b/c.d"] {
        assert!(CgroupPath::parse(good).is_ok(), "{good}");
    }
    let long = "x".repeat(256);
    for bad in [
        "",
        "/",
        "..",
        "a/../b",
        "a//b",
        "./a",
        "cgroup.procs",
        "memory.max",
        "a/tasks",
        "a\nb",
        "a\0b",
        &long,
    ] {
        assert!(CgroupPath::parse(bad).is_err(), "{bad}");
    }
}
