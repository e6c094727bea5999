//! Texts of real hosts, and texts of no host at all.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;
use crate::testing::{layout, mutations, texts};

fn check(host: &str, expected: Expect) {
    let layout = layout(host);
    let mut told = format!("{:?}\n", layout.arrangement());
    for hierarchy in layout.hierarchies() {
        let name = hierarchy.name.as_deref().unwrap_or("");
        let ro = if hierarchy.read_only { " read-only" } else { "" };
        let own = match hierarchy.own_below_mount() {
            Some(own) => format!("own `{}`", own.display()),
            None => "own elsewhere".to_owned(),
        };
        let mount = hierarchy.mount.display();
        let _ = writeln!(told, "{:?} {mount}: {}{name}, {own}{ro}", hierarchy.version, hierarchy.controllers);
    }
    expected.assert_eq(&told);
}

#[test]
fn a_hybrid_host_has_its_controllers_on_v1_and_a_v2_beside() {
    check(
        "hybrid",
        expect![[r#"
            Hybrid
            V1 /sys/fs/cgroup/cpu: cpu, own ``
            V1 /sys/fs/cgroup/cpuacct: cpuacct, own ``
            V1 /sys/fs/cgroup/cpuset: cpuset, own ``
            V1 /sys/fs/cgroup/memory: memory, own `api/e6dd2a2043630ee1`
            V1 /sys/fs/cgroup/devices: devices, own ``
            V1 /sys/fs/cgroup/freezer: freezer, own ``
            V1 /sys/fs/cgroup/blkio: io, own ``
            V1 /sys/fs/cgroup/pids: pids, own ``
            V1 /sys/fs/cgroup/systemd: systemd, own ``
            V2 /sys/fs/cgroup/unified: , own ``
        "#]],
    );
}

#[test]
fn a_systemd_host_has_one_v2_hierarchy() {
    check(
        "systemd-v2",
        expect![[r#"
            V2
            V2 /sys/fs/cgroup: cpuset cpu io memory hugetlb pids rdma misc, own `user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope`
        "#]],
    );
}

#[test]
fn an_old_systemd_host_mounts_controllers_together() {
    check(
        "systemd-v1",
        expect![[r#"
            Hybrid
            V1 /sys/fs/cgroup/systemd: systemd, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/cpu,cpuacct: cpu cpuacct, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/net_cls,net_prio: net_cls net_prio, own ``
            V1 /sys/fs/cgroup/memory: memory, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/pids: pids, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/blkio: io, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/cpuset: cpuset, own ``
            V1 /sys/fs/cgroup/devices: devices, own `system.slice/ssh.service`
            V1 /sys/fs/cgroup/rdma: rdma, own ``
            V1 /sys/fs/cgroup/hugetlb: hugetlb, own ``
            V1 /sys/fs/cgroup/freezer: freezer, own ``
            V1 /sys/fs/cgroup/perf_event: perf_event, own ``
            V2 /sys/fs/cgroup/unified: , own `system.slice/ssh.service`
        "#]],
    );
}

#[test]
fn a_container_on_v1_sees_its_own_group_as_the_mount() {
    check(
        "docker-v1",
        expect![[r#"
            V1
            V1 /sys/fs/cgroup/systemd: systemd, own `` read-only
            V1 /sys/fs/cgroup/cpu,cpuacct: cpu cpuacct, own ``
            V1 /sys/fs/cgroup/memory: memory, own ``
            V1 /sys/fs/cgroup/pids: pids, own `` read-only
        "#]],
    );
}

#[test]
fn a_container_on_v2_has_a_read_only_mount() {
    check(
        "docker-v2",
        expect![[r#"
            V2
            V2 /sys/fs/cgroup: cpuset cpu io memory hugetlb pids rdma misc, own `` read-only
        "#]],
    );
}

#[test]
fn mounts_that_another_one_hides_are_not_used() {
    check(
        "remounted",
        expect![[r#"
            V1
            V1 /sys/fs/cgroup/with space: pids, own elsewhere
            V1 /sys/fs/cgroup/memory: memory, own ``
        "#]],
    );
}

#[test]
fn of_two_mounts_of_a_hierarchy_the_one_that_can_be_used_counts() {
    let layout = Layout::parse(
        b"1 0 8:1 / / rw - ext4 a rw\n\
          2 1 0:9 / /ro ro - cgroup c rw,memory\n\
          3 1 0:9 / /rw rw - cgroup c rw,memory\n\
          4 1 0:9 / /late rw - cgroup c rw,memory\n",
        b"4:memory:/\n",
    );
    assert_eq!(layout.v1.len(), 1);
    assert_eq!(layout.v1[0].mount, Path::new("/rw"));
}

#[test]
fn a_controller_on_v1_is_served_there_and_not_by_v2() {
    let layout = layout("systemd-v1");
    let version = |controller| layout.serving(controller).map(|hierarchy| hierarchy.version);
    assert_eq!(version(Controller::Freezer), Some(Version::V1));
    assert_eq!(version(Controller::Misc), None);
    let layout = super::super::testing::layout("systemd-v2");
    let version = |controller| layout.serving(controller).map(|hierarchy| hierarchy.version);
    assert_eq!(version(Controller::Freezer), Some(Version::V2));
    assert_eq!(version(Controller::NetCls), None);
}

#[test]
fn no_text_makes_the_parser_panic() {
    for host in ["hybrid", "systemd-v1", "docker-v1", "remounted"] {
        let (mountinfo, own) = texts(host);
        for text in mutations(mountinfo.as_bytes(), 300) {
            Layout::parse(&text, own.as_bytes()).hierarchies().for_each(|it| drop(it.own_below_mount()));
        }
        for text in mutations(own.as_bytes(), 300) {
            Layout::parse(mountinfo.as_bytes(), &text)
                .hierarchies()
                .for_each(|it| drop(it.own_below_mount()));
        }
    }
}

#[test]
fn a_loop_of_parents_ends() {
    Layout::parse(b"1 2 0:1 / /a rw - tmpfs t rw\n2 1 0:2 / /a/b rw - cgroup2 c rw\n", b"0::/\n");
}

#[test]
fn the_kernel_tells_of_mounts_what_mountinfo_tells() {
    let read = |name: &str| std::fs::read(name).unwrap_or_default();
    let own = read("/proc/self/cgroup");
    let Some(asked) = live::layout(&own) else {
        return eprintln!(
            "SKIPPED the_kernel_tells_of_mounts_what_mountinfo_tells: statmount(2) with options is in Linux 6.11"
        );
    };
    let mut told = Layout::parse(&read("/proc/self/mountinfo"), &own);
    // Mounts are listed by their age; in which order hierarchies come means nothing.
    let sort = |layout: &mut Layout| layout.v1.sort_by(|one, two| one.mount.cmp(&two.mount));
    let mut asked = asked;
    sort(&mut asked);
    sort(&mut told);
    assert_eq!(asked, told);
}
