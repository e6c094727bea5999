//! Hosts that nobody has at hand, judged.

use expect_test::{Expect, expect};

use super::*;

fn good() -> HostReport {
    let kinds = ["user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"];
    let controllers = ["cpu", "cpuset", "memory", "pids", "io", "devices", "freezer"];
    HostReport {
        kernel: (6, 18),
        uid: 0,
        capabilities: CapabilitySet::ALL,
        namespaces: kinds.map(|kind| (kind, Namespace::Made)).to_vec(),
        max_user_namespaces: Some(100_000),
        controllers: controllers.map(|name| (name, Some(Version::V2))).to_vec(),
        cgroups_writable: true,
        overlay: true,
        layer_index: "file-backed".to_owned(),
        seccomp_actions: ["errno", "user_notif"].map(str::to_owned).to_vec(),
        landlock: Some(7),
        apparmor: true,
        id_helpers: true,
        ip_forward: true,
        nftables: true,
        criu: true,
        ..HostReport::default()
    }
}

/// The rows that are not ok.
fn check(report: &HostReport, expected: &Expect) {
    let list: Vec<Finding> =
        findings(report).into_iter().filter(|finding| finding.state != State::Ok).collect();
    expected.assert_eq(&to_table(&list));
}

#[test]
fn a_good_host_has_nothing_to_complain_about() {
    expect![[r#"
        FEATURE                     STATE    FOUND
        kernel                      ok       Linux 6.18
        user namespace              ok
        mount namespace             ok
        pid namespace               ok
        network namespace           ok
        ipc namespace               ok
        uts namespace               ok
        cgroup namespace            ok
        time namespace              ok
        containers without root     ok
        ranges of ids               ok       4094 ranges of the built-in pool
        cgroup cpu                  ok       cgroup v2
        cgroup cpuset               ok       cgroup v2
        cgroup memory               ok       cgroup v2
        cgroup pids                 ok       cgroup v2
        cgroup io                   ok       cgroup v2
        cgroup devices              ok       cgroup v2
        cgroup freezer              ok       cgroup v2
        cgroup delegation           ok
        overlay                     ok
        image layers                ok       an EROFS index over the archive, file-backed
        id-mapped mounts            ok       on the root file system
        mount calls                 ok
        seccomp                     ok       with notification
        landlock                    ok       interface version 7
        security modules            ok       AppArmor
        capabilities of the caller  ok       all
        ip forwarding               ok
        nftables                    ok
        criu                        ok
        executable memory files     ok

        31 ok, 0 limited, 0 missing
    "#]]
    .assert_eq(&to_table(&findings(&good())));
}

#[test]
fn a_bare_host_is_told_what_to_do() {
    let mut report = HostReport { kernel: (5, 10), max_user_namespaces: Some(0), memfd_noexec: 2, ..good() };
    report.namespaces[0].1 = Namespace::Refused;
    report.namespaces[7].1 = Namespace::Absent;
    report.controllers[2].1 = None;
    report.no_idmap = Some("nfs has no id-mapped mounts".to_owned());
    report.missing_calls = vec![("mount_setattr", "5.12"), ("close_range", "5.11")];
    report.capabilities.remove(Capability::SysResource);
    report.seccomp_actions.clear();
    report.overlay = false;
    report.no_layer_index = Some("this kernel has no EROFS".to_owned());
    report.landlock = None;
    report.apparmor = false;
    report.ip_forward = false;
    report.nftables = false;
    report.criu = false;
    check(
        &report,
        &expect![[r#"
            FEATURE                     STATE    FOUND
            kernel                      limited  Linux 5.10
                                                 lost: own ids for containers of root need Linux 5.19
                                                 do:   run a newer kernel
            user namespace              missing  user.max_user_namespaces is 0
                                                 lost: containers have the host's ids, and only root has containers
                                                 do:   sysctl user.max_user_namespaces=15000
            time namespace              missing  the kernel does not have it
                                                 lost: --time-offset
                                                 do:   run a kernel that is built with it
            containers without root     missing  user.max_user_namespaces is 0
                                                 lost: only root has containers
                                                 do:   sysctl user.max_user_namespaces=15000
            cgroup memory               missing  no hierarchy has it
                                                 lost: --memory and its relatives
                                                 do:   boot with a kernel that has it, and mount cgroup2
            overlay                     missing
                                                 lost: a root directory can only be changed itself; the root of an image is a plain copy, made for each container
                                                 do:   modprobe overlay
            image layers                limited  this kernel has no EROFS
                                                 lost: layers are extracted, which takes longer and more room
                                                 do:   run as root on Linux 6.4 or newer with EROFS
            id-mapped mounts            limited  nfs has no id-mapped mounts
                                                 lost: containers of root that use this directory have the host's ids
                                                 do:   keep root directories on ext4, xfs or btrfs with Linux 5.19 or newer
            mount calls                 limited  without mount_setattr (Linux 5.12), close_range (Linux 5.11)
                                                 lost: older and slower ways are taken
                                                 do:   run a newer kernel, or a container that allows the calls
            seccomp                     missing  the kernel has no filters
                                                 lost: containers can make every system call
                                                 do:   run a kernel with CONFIG_SECCOMP_FILTER
            landlock                    limited
                                                 lost: helpers that read hostile files are confined less
                                                 do:   boot with lsm=…,landlock
            security modules            limited  neither AppArmor nor SELinux is active
                                                 lost: --security-opt apparmor= and label=; a second line of defence
                                                 do:   nothing: containers are kept in by the other means
            capabilities of the caller  limited  without CAP_SYS_RESOURCE
                                                 lost: containers without a user namespace lack them too; limits cannot be raised without CAP_SYS_RESOURCE
                                                 do:   give them to the surrounding container or virtual machine
            nftables                    missing
                                                 lost: no bridge networks and published ports
                                                 do:   load nf_tables, or run as root
            criu                        missing
                                                 lost: containers cannot be checkpointed
                                                 do:   install criu
            executable memory files     missing  vm.memfd_noexec is 2
                                                 lost: no container can be started: its first stage is run from memory
                                                 do:   sysctl vm.memfd_noexec=1

            0 ok, 7 limited, 9 missing
        "#]],
    );
}

#[test]
fn an_ordinary_user_is_told_about_ids_and_delegation() {
    let user = HostReport {
        uid: 1000,
        capabilities: CapabilitySet::EMPTY,
        cgroups_writable: false,
        userns_restricted_by_apparmor: true,
        ..good()
    };
    check(
        &user,
        &expect![[r#"
        FEATURE                  STATE    FOUND
        containers without root  limited  kernel.apparmor_restrict_unprivileged_userns is 1
                                          lost: only programs with an AppArmor profile for it make user namespaces
                                          do:   give holm a profile with `userns,`, or set the sysctl to 0
        ranges of ids            limited  no range in /etc/subuid and /etc/subgid
                                          lost: containers have one user and one group
                                          do:   usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER
        cgroup delegation        limited  no group belongs to this user
                                          lost: limits
                                          do:   run under `systemd-run --user --scope -p Delegate=yes`, or as root

        0 ok, 3 limited, 0 missing
    "#]],
    );
    let range = vec![SubIdRange { first: 100_000, count: 65_536 }];
    let user = HostReport {
        id_helpers: false,
        subuids: range.clone(),
        subgids: range,
        userns_for_root_only: true,
        ..user
    };
    check(
        &user,
        &expect![[r#"
        FEATURE                  STATE    FOUND
        containers without root  missing  kernel.unprivileged_userns_clone is 0
                                          lost: only root has containers
                                          do:   sysctl kernel.unprivileged_userns_clone=1
        ranges of ids            limited  newuidmap or newgidmap is not installed
                                          lost: containers have one user and one group
                                          do:   install uidmap (shadow-utils)
        cgroup delegation        limited  no group belongs to this user
                                          lost: limits
                                          do:   run under `systemd-run --user --scope -p Delegate=yes`, or as root

        0 ok, 2 limited, 1 missing
    "#]],
    );
}

#[test]
fn programs_read_the_same_as_json() {
    let json = to_json(&findings(&good())[..1]);
    expect![[r#"
        [
          {
            "advice": "",
            "feature": "kernel",
            "found": "Linux 6.18",
            "lost": "",
            "state": "ok"
          }
        ]
    "#]]
    .assert_eq(&json);
}
