//! The rules, one table for each section.

use expect_test::{Expect, expect};
use spec::{NamespaceType, Spec, default_spec, validate};

/// The default configuration with all namespaces, and `change` made to it: what is wrong with it, or what it warns of.
fn check(change: impl FnOnce(&mut Spec), expected: Expect) {
    let mut spec = default_spec(false);
    change(&mut spec);
    let text = match validate(spec) {
        Ok(valid) => valid.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(invalid) => format!("{invalid}\n"),
    };
    expected.assert_eq(&text);
}

/// The default configuration with a property of `section` replaced by a piece of JSON.
fn set(pointer: &str, json: &str, expected: Expect) {
    check(|spec| *spec = with(spec, &[(pointer, json)]), expected);
}

fn set_all(changes: &[(&str, &str)], expected: Expect) {
    check(|spec| *spec = with(spec, changes), expected);
}

fn with(spec: &Spec, changes: &[(&str, &str)]) -> Spec {
    let mut document = serde_json::to_value(spec).unwrap();
    for (pointer, json) in changes {
        let mut place = &mut document;
        for name in pointer.split('/') {
            place = match name.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[name],
            };
        }
        *place = serde_json::from_str(json).unwrap();
    }
    spec::load(document.to_string().as_bytes()).unwrap()
}

const USER: (&str, &str) = ("linux/namespaces/0/type", r#""user""#);
const TIME: (&str, &str) = ("linux/namespaces/0/type", r#""time""#);
const ONE: &str = r#"[{"containerID":0,"hostID":1000,"size":1}]"#;

#[test]
fn the_version_is_one_of_the_first_major_version() {
    set("ociVersion", r#""1.0.2-dev""#, expect![""]);
    set(
        "ociVersion",
        r#""1.9.0""#,
        expect![[r#"
        warning: ociVersion: 1.9.0 is newer than 1.3.0; what it adds is ignored
    "#]],
    );
    set(
        "ociVersion",
        r#""2.0.0""#,
        expect![[r#"
        ociVersion: 2.0.0 is not supported; allowed are 1.0.0 and later 1.x versions
    "#]],
    );
    set(
        "ociVersion",
        r#""""#,
        expect![[r#"
        ociVersion: `` is not a version such as 1.3.0
    "#]],
    );
}

#[test]
fn there_is_a_program_to_run() {
    set(
        "process",
        "null",
        expect![[r#"
        process: is missing; it says which program to run
    "#]],
    );
    set(
        "process/args",
        "[]",
        expect![[r#"
        process.args: is empty; its first entry is the program to run
    "#]],
    );
    set(
        "process/cwd",
        r#""""#,
        expect![[r#"
        process.cwd: is empty; it has to be an absolute path
    "#]],
    );
    set(
        "process/cwd",
        r#""tmp""#,
        expect![[r#"
        process.cwd: `tmp` is not an absolute path
    "#]],
    );
    set(
        "process/env",
        r#"["A=1","B","=x"]"#,
        expect![[r#"
        process.env[1]: `B` is not of the form NAME=value
        process.env[2]: `=x` is not of the form NAME=value
    "#]],
    );
    set(
        "root",
        "null",
        expect![[r#"
        root.path: is missing; it is a directory, absolute or in the bundle
    "#]],
    );
    set(
        "process/consoleSize",
        r#"{"height":1,"width":65536}"#,
        expect![[r#"
        process.consoleSize.width: 65536 is out of range; allowed are 0 to 65535
    "#]],
    );
    set_all(
        &[("process/consoleSize", r#"{"height":1,"width":65536}"#), ("process/terminal", "false")],
        expect![""],
    );
}

#[test]
fn a_user_is_one_that_exists() {
    set("process/user", r#"{"uid":4294967294,"gid":0}"#, expect![""]);
    set(
        "process/user",
        r#"{"uid":4294967295,"gid":4294967295,"additionalGids":[4294967295]}"#,
        expect![[r#"
        process.user.uid: 4294967295 is no id; allowed are 0 to 4294967294
        process.user.gid: 4294967295 is no id; allowed are 0 to 4294967294
        process.user.additionalGids[0]: 4294967295 is no id; allowed are 0 to 4294967294
    "#]],
    );
    set(
        "process/user/umask",
        "512",
        expect![[r#"
        process.user.umask: 512 is out of range; allowed are 0 to 511 (0o777)
    "#]],
    );
    set_all(
        &[
            USER,
            ("linux/uidMappings", ONE),
            ("linux/gidMappings", ONE),
            ("process/user", r#"{"uid":1,"gid":0}"#),
        ],
        expect![[r#"
            process.user.uid: 1 does not exist in the user namespace; linux.uidMappings has to hold it
        "#]],
    );
}

#[test]
fn capability_sets_are_such_that_the_kernel_takes_them() {
    set(
        "process/capabilities/bounding/0",
        r#""CAP_SYS_ADMN""#,
        expect![[r#"
        warning: process.capabilities.bounding[0]: `CAP_SYS_ADMN` is not a known capability and is left out
    "#]],
    );
    set(
        "process/capabilities/effective",
        r#"["CAP_KILL","CAP_SYS_ADMIN"]"#,
        expect![[r#"
        process.capabilities.effective: holds CAP_SYS_ADMIN, which has to be in `permitted` as well
    "#]],
    );
    set(
        "process/capabilities/inheritable",
        r#"["CAP_SYS_ADMIN"]"#,
        expect![[r#"
        process.capabilities.inheritable: holds CAP_SYS_ADMIN, which has to be in `bounding` as well
    "#]],
    );
    set(
        "process/capabilities/ambient",
        r#"["CAP_KILL"]"#,
        expect![[r#"
        warning: process.capabilities.ambient: holds CAP_KILL, which is left out: it is not in both `permitted` and `inheritable`
    "#]],
    );
}

#[test]
fn limits_of_the_process_fit() {
    set(
        "process/rlimits",
        r#"[{"type":"RLIMIT_CORE","soft":2,"hard":1}]"#,
        expect![[r#"
        process.rlimits[0].soft: 2 is above the hard limit, 1
    "#]],
    );
    let twice = r#"[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1}]"#;
    set(
        "process/rlimits",
        twice,
        expect![[r#"
        process.rlimits[1].type: RLIMIT_CORE comes twice
    "#]],
    );
    set(
        "process/oomScoreAdj",
        "-1001",
        expect![[r#"
        process.oomScoreAdj: -1001 is out of range; allowed are -1000 to 1000
    "#]],
    );
    set("process/oomScoreAdj", "-1000", expect![""]);
    set(
        "process/ioPriority",
        r#"{"class":"IOPRIO_CLASS_RT","priority":8}"#,
        expect![[r#"
        process.ioPriority.priority: 8 is out of range; allowed are 0 to 7
    "#]],
    );
    set(
        "process/execCPUAffinity",
        r#"{"initial":"0-","final":"0-1"}"#,
        expect![[r#"
        process.execCPUAffinity.initial: `0-` is not a list of CPUs such as `0-3,7`
    "#]],
    );
}

#[test]
fn scheduling_is_such_that_the_kernel_takes_it() {
    for (scheduler, expected) in [
        (r#"{"policy":"SCHED_OTHER","nice":-20}"#, expect![""]),
        (
            r#"{"policy":"SCHED_OTHER","nice":20}"#,
            expect![[r#"
            process.scheduler.nice: 20 is out of range; allowed are -20 to 19
        "#]],
        ),
        (
            r#"{"policy":"SCHED_OTHER","priority":1}"#,
            expect![[r#"
            process.scheduler.priority: is for SCHED_FIFO and SCHED_RR only, not for SCHED_OTHER
        "#]],
        ),
        (r#"{"policy":"SCHED_FIFO","priority":99}"#, expect![""]),
        (
            r#"{"policy":"SCHED_FIFO"}"#,
            expect![[r#"
            process.scheduler.priority: 0 is out of range; allowed are 1 to 99
        "#]],
        ),
        (
            r#"{"policy":"SCHED_ISO"}"#,
            expect![[r#"
            process.scheduler.policy: SCHED_ISO is a name only: no kernel implements it
        "#]],
        ),
        (
            r#"{"policy":"SCHED_IDLE","period":5}"#,
            expect![[r#"
            process.scheduler: runtime, deadline and period are for SCHED_DEADLINE only, not for SCHED_IDLE
        "#]],
        ),
        (r#"{"policy":"SCHED_DEADLINE","runtime":1024,"deadline":2000}"#, expect![""]),
        (
            r#"{"policy":"SCHED_DEADLINE","runtime":1023,"deadline":2000,"period":3000}"#,
            expect![[r#"
            process.scheduler: SCHED_DEADLINE needs 1024 <= runtime <= deadline <= period, in nanoseconds below 2^63
        "#]],
        ),
        (
            r#"{"policy":"SCHED_DEADLINE","runtime":3000,"deadline":2000,"period":3000}"#,
            expect![[r#"
            process.scheduler: SCHED_DEADLINE needs 1024 <= runtime <= deadline <= period, in nanoseconds below 2^63
        "#]],
        ),
    ] {
        set("process/scheduler", scheduler, expected);
    }
}

#[test]
fn names_of_the_container_need_a_namespace() {
    check(
        |spec| spec.linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Uts),
        expect![[r#"
        hostname: needs a `uts` namespace; it would be set on the host
    "#]],
    );
    check(
        |spec| spec.domainname = "d".repeat(65),
        expect![[r#"
        domainname: has 65 bytes; at most 64 are allowed
    "#]],
    );
}

#[test]
fn mounts_are_complete() {
    for (mount, expected) in [
        (
            r#"{"destination":"data","type":"tmpfs"}"#,
            expect![[r#"
            warning: mounts[0].destination: `data` is relative, which is deprecated; it is taken as `/data`
        "#]],
        ),
        (
            r#"{"destination":"","type":"tmpfs"}"#,
            expect![[r#"
            mounts[0].destination: is empty; it is a path in the container
        "#]],
        ),
        (
            r#"{"destination":"/a"}"#,
            expect![[r#"
            mounts[0].type: is missing; it is a filesystem such as `tmpfs`, or one of the options is `bind` or `rbind`
        "#]],
        ),
        (
            r#"{"destination":"/a","options":["bind"]}"#,
            expect![[r#"
            mounts[0].source: is missing; a bind mount needs one
        "#]],
        ),
        (r#"{"destination":"/a","options":["rshared"]}"#, expect![""]),
        (
            r#"{"destination":"/a","source":"/b","options":["bind","ro","size=1m"]}"#,
            expect![[r#"
            mounts[0].options[2]: `size=1m` is for a filesystem; a bind mount takes none, or the kernel would ignore it
        "#]],
        ),
        (
            r#"{"destination":"/a","source":"/b","options":["bind","idmap"]}"#,
            expect![[r#"
            mounts[0].options: asks for an id-mapped mount: it needs uidMappings and gidMappings, or a `user` namespace
        "#]],
        ),
        (
            r#"{"destination":"/a","type":"tmpfs","options":["ridmap"]}"#,
            expect![[r#"
            mounts[0].options[0]: `ridmap` is for bind mounts only; add `bind` or `rbind`
        "#]],
        ),
    ] {
        set("mounts/0", mount, expected);
    }
    let mapped = |uids: &str, gids: &str| {
        format!(
            r#"{{"destination":"/a","source":"/b","options":["bind","idmap"],"uidMappings":{uids},"gidMappings":{gids}}}"#
        )
    };
    set("mounts/0", &mapped(ONE, ONE), expect![""]);
    set(
        "mounts/0",
        &mapped(ONE, "[]"),
        expect![[r#"
        mounts[0].gidMappings: is missing; uidMappings needs it
    "#]],
    );
    set(
        "mounts/0",
        &mapped(r#"[{"containerID":0,"hostID":0,"size":0}]"#, ONE),
        expect![[r#"
        mounts[0].uidMappings[0].size: is 0; a range holds 1 id or more
    "#]],
    );
}

#[test]
fn hooks_are_programs_with_a_time() {
    set(
        "hooks",
        r#"{"poststop":[{"path":"/a","timeout":1},{"path":"a","timeout":0}]}"#,
        expect![[r#"
        hooks.poststop[1].path: `a` is not an absolute path
        hooks.poststop[1].timeout: 0 is no time; it has to be 1 second or more
    "#]],
    );
    set(
        "annotations",
        r#"{"":"x"}"#,
        expect![[r#"
        annotations: has an empty key
    "#]],
    );
}

#[test]
fn namespaces_come_once() {
    set(
        "linux/namespaces/1",
        r#"{"type":"pid"}"#,
        expect![[r#"
        linux.namespaces[1].type: `pid` comes twice
    "#]],
    );
    set(
        "linux/namespaces/1/path",
        r#""proc/1/ns/net""#,
        expect![[r#"
        linux.namespaces[1].path: `proc/1/ns/net` is not an absolute path
    "#]],
    );
    check(
        |spec| spec.linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Mount),
        expect![[r#"
            linux.maskedPaths: needs a `mount` namespace; it would be done on the host
            linux.readonlyPaths: needs a `mount` namespace; it would be done on the host
        "#]],
    );
}

#[test]
fn id_mappings_are_such_that_the_kernel_takes_them() {
    set(
        "linux/uidMappings",
        ONE,
        expect![[r#"
        linux.uidMappings: needs a `user` namespace in linux.namespaces
    "#]],
    );
    set_all(
        &[USER, ("linux/uidMappings", ONE)],
        expect![[r#"
        linux.gidMappings: is missing; a new `user` namespace needs it
    "#]],
    );
    let joined = ("linux/namespaces/0", r#"{"type":"user","path":"/proc/1/ns/user"}"#);
    set_all(
        &[joined, ("linux/uidMappings", ONE), ("linux/gidMappings", ONE)],
        expect![[r#"
        warning: linux.uidMappings: is of no effect: /proc/1/ns/user has its own mappings
        warning: linux.gidMappings: is of no effect: /proc/1/ns/user has its own mappings
    "#]],
    );
    for (mappings, expected) in [
        (r#"[{"containerID":0,"hostID":4294967294,"size":1}]"#, expect![""]),
        (
            r#"[{"containerID":0,"hostID":4294967295,"size":1}]"#,
            expect![[r#"
            linux.uidMappings[0].hostID: 4294967295 with size 1 goes beyond 4294967294, the last id
        "#]],
        ),
        (
            r#"[{"containerID":0,"hostID":5,"size":4294967295}]"#,
            expect![[r#"
            linux.uidMappings[0].hostID: 5 with size 4294967295 goes beyond 4294967294, the last id
        "#]],
        ),
        (
            r#"[{"containerID":0,"hostID":5,"size":0}]"#,
            expect![[r#"
            process.user.uid: 0 does not exist in the user namespace; linux.uidMappings has to hold it
            linux.uidMappings[0].size: is 0; a range holds 1 id or more
        "#]],
        ),
        (r#"[{"containerID":0,"hostID":5,"size":5},{"containerID":5,"hostID":10,"size":5}]"#, expect![""]),
        (
            r#"[{"containerID":0,"hostID":5,"size":5},{"containerID":4,"hostID":9,"size":5}]"#,
            expect![[r#"
            linux.uidMappings[1].containerID: overlaps linux.uidMappings[0] in the container; ranges have to be apart
            linux.uidMappings[1].hostID: overlaps linux.uidMappings[0] on the host; ranges have to be apart
        "#]],
        ),
    ] {
        set_all(&[USER, ("linux/uidMappings", mappings), ("linux/gidMappings", ONE)], expected);
    }
}

#[test]
fn kernel_parameters_belong_to_a_namespace_of_the_container() {
    for (sysctl, expected) in [
        (
            r#"{"net.ipv4.conf.eth0/1.forwarding":"1","net/core/somaxconn":"1","kernel.shmmax":"1"}"#,
            expect![""],
        ),
        (r#"{"fs.mqueue.msg_max":"1","kernel.domainname":"x","kernel.hostname":"runc"}"#, expect![""]),
        (
            r#"{"kernel.hostname":"other"}"#,
            expect![[r#"
            linux.sysctl["kernel.hostname"]: contradicts `hostname`, which is `runc`
        "#]],
        ),
        (
            r#"{"kernel.core_pattern":"|/x"}"#,
            expect![[r#"
            linux.sysctl["kernel.core_pattern"]: belongs to no namespace; allowed are net.*, fs.mqueue.*, user.*, kernel.domainname, kernel.hostname and the kernel.msg*, kernel.sem* and kernel.shm* of System V IPC
        "#]],
        ),
        (
            r#"{"net.//.//.kernel.core_pattern":"|/x"}"#,
            expect![[r#"
            linux.sysctl["net.//.//.kernel.core_pattern"]: is not a name such as `net.ipv4.ip_forward`
        "#]],
        ),
        (
            r#"{"net/../kernel/core_pattern":"|/x"}"#,
            expect![[r#"
            linux.sysctl["net/../kernel/core_pattern"]: is not a name such as `net.ipv4.ip_forward`
        "#]],
        ),
        (
            r#"{"net":"1"}"#,
            expect![[r#"
                linux.sysctl.net: is not a name such as `net.ipv4.ip_forward`
            "#]],
        ),
        (
            r#"{"net..a":"1"}"#,
            expect![[r#"
            linux.sysctl["net..a"]: is not a name such as `net.ipv4.ip_forward`
        "#]],
        ),
        (
            r#"{"user.max_user_namespaces":"0"}"#,
            expect![[r#"
            linux.sysctl["user.max_user_namespaces"]: needs a `user` namespace; it would be set on the host
        "#]],
        ),
        (
            r#"{"net.a":"1","net/a":"2"}"#,
            expect![[r#"
            linux.sysctl["net/a"]: names /proc/sys/net/a a second time
        "#]],
        ),
    ] {
        set("linux/sysctl", sysctl, expected);
    }
    set_all(
        &[
            USER,
            ("linux/uidMappings", ONE),
            ("linux/gidMappings", ONE),
            ("linux/namespaces/1/type", r#""time""#),
            ("linux/sysctl", r#"{"net.a":"1","user.max_net_namespaces":"1"}"#),
        ],
        expect![[r#"
            linux.sysctl["net.a"]: needs a `network` namespace; it would be set on the host
        "#]],
    );
}

#[test]
fn clocks_are_set_in_a_new_time_namespace() {
    let offsets = ("linux/timeOffsets", r#"{"monotonic":{"secs":1}}"#);
    set_all(
        &[offsets],
        expect![[r#"
        linux.timeOffsets.monotonic: needs a new `time` namespace in linux.namespaces
    "#]],
    );
    set_all(&[TIME, offsets], expect![""]);
    set_all(
        &[("linux/namespaces/0", r#"{"type":"time","path":"/x"}"#), offsets],
        expect![[r#"
        linux.timeOffsets.monotonic: cannot be set in a `time` namespace that is joined; only in a new one
    "#]],
    );
    set_all(
        &[TIME, ("linux/timeOffsets", r#"{"boottime":{"secs":9223372037,"nanosecs":1000000000}}"#)],
        expect![[r#"
            linux.timeOffsets.boottime.secs: 9223372037 is out of range; allowed are -9223372036 to 9223372036
            linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range; allowed are 0 to 999999999
        "#]],
    );
}

#[test]
fn devices_have_numbers_and_names() {
    let device = r#"[{"path":"dev/x","type":"c","major":4096,"minor":-1,"fileMode":65536,"uid":4294967295}]"#;
    set(
        "linux/devices",
        device,
        expect![[r#"
        linux.devices[0].path: `dev/x` is not an absolute path
        linux.devices[0].major: 4096 is out of range; allowed are 0 to 4095
        linux.devices[0].minor: -1 is out of range; allowed are 0 to 1048575
        linux.devices[0].fileMode: 65536 is out of range; allowed are 0 to 4095 (0o7777)
        linux.devices[0].uid: 4294967295 is no id; allowed are 0 to 4294967294
    "#]],
    );
    set("linux/devices", r#"[{"path":"/dev/x","type":"p","fileMode":33206}]"#, expect![""]);
    let devices = r#"{"eth0":{"name":"a/b"},"eth1":{"name":"eth%d"},"eth2":{"name":"same"},"eth3":{"name":"same"},
        "0123456789abcdef":{},"eth4":{"name":"%d%d"}}"#;
    set(
        "linux/netDevices",
        devices,
        expect![[r#"
            linux.netDevices.0123456789abcdef: is no name of a network device: 1 to 15 bytes without `/`, `:` and spaces, at most one `%d` in a new name
            linux.netDevices.0123456789abcdef.name: is no name of a network device: 1 to 15 bytes without `/`, `:` and spaces, at most one `%d` in a new name
            linux.netDevices.eth0.name: is no name of a network device: 1 to 15 bytes without `/`, `:` and spaces, at most one `%d` in a new name
            linux.netDevices.eth3.name: `same` is the name of another device already
            linux.netDevices.eth4.name: is no name of a network device: 1 to 15 bytes without `/`, `:` and spaces, at most one `%d` in a new name
        "#]],
    );
    set_all(
        &[("linux/namespaces/1/type", r#""cgroup""#), ("linux/netDevices", r#"{"eth0":{}}"#)],
        expect![[r#"
            linux.netDevices: needs a `network` namespace to move devices to
        "#]],
    );
}

#[test]
fn paths_stay_where_they_belong() {
    set(
        "linux/cgroupsPath",
        r#""/a/../b""#,
        expect![[r#"
        linux.cgroupsPath: has a `..` in it; it has to stay below the cgroup root
    "#]],
    );
    set("linux/cgroupsPath", r#""system.slice:holm:a..b""#, expect![""]);
    set(
        "linux/maskedPaths",
        r#"["proc/kcore",""]"#,
        expect![[r#"
        linux.maskedPaths[0]: `proc/kcore` is not an absolute path
        linux.maskedPaths[1]: is empty; it has to be an absolute path
    "#]],
    );
    set(
        "linux/readonlyPaths",
        r#"["./proc"]"#,
        expect![[r#"
        linux.readonlyPaths[0]: `./proc` is not an absolute path
    "#]],
    );
}

#[test]
fn filters_can_be_compiled() {
    for (seccomp, expected) in [
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}"#,
            expect![[r#"
            linux.seccomp.defaultErrnoRet: is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE only, not for SCMP_ACT_ALLOW
        "#]],
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#,
            expect![[r#"
            linux.seccomp.defaultErrnoRet: 4096 is out of range; allowed are 0 to 4095
        "#]],
        ),
        (r#"{"defaultAction":"SCMP_ACT_TRACE","defaultErrnoRet":65535}"#, expect![""]),
        (
            r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/a"}"#,
            expect![[r#"
            linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is for rules only
        "#]],
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_LOG",
                "args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]},{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            expect![[r#"
                linux.seccomp.syscalls[0].names: is empty; it names system calls
                linux.seccomp.syscalls[0].args[0].index: 6 is out of range; allowed are 0 to 5
                linux.seccomp.syscalls[1].action: SCMP_ACT_NOTIFY cannot be had for `write`, which the runtime needs itself
                linux.seccomp.listenerPath: is missing; linux.seccomp.syscalls[1] is SCMP_ACT_NOTIFY and needs a listener
            "#]],
        ),
    ] {
        set("linux/seccomp", seccomp, expected);
    }
}

#[test]
fn limits_of_the_cgroup_fit() {
    for (resources, expected) in [
        (
            r#"{"devices":[{"allow":true,"type":"","access":"rwx","major":-2}]}"#,
            expect![[r#"
            linux.resources.devices[0].major: -2 is out of range; allowed are -1 to 4294967295
            linux.resources.devices[0].access: `rwx` is not made of `r`, `w` and `m`
        "#]],
        ),
        (
            r#"{"memory":{"limit":-2,"swappiness":101}}"#,
            expect![[r#"
            linux.resources.memory.limit: -2 is out of range; allowed are -1 to 9223372036854775807
            linux.resources.memory.swappiness: 101 is out of range; allowed are 0 to 100
        "#]],
        ),
        (
            r#"{"memory":{"limit":100,"swap":99}}"#,
            expect![[r#"
            linux.resources.memory.swap: 99 is below the memory limit, 100: it is the sum of memory and swap, or -1
        "#]],
        ),
        (r#"{"memory":{"limit":100,"swap":-1}}"#, expect![""]),
        (
            r#"{"cpu":{"quota":10,"burst":11,"cpus":"0;1","mems":"0-31:2/8","idle":2}}"#,
            expect![[r#"
            linux.resources.cpu.burst: 11 is above the quota, 10
            linux.resources.cpu.cpus: "0;1" is not a list such as `0-3,7`
            linux.resources.cpu.idle: 2 is out of range; allowed are 0 to 1
        "#]],
        ),
        (
            r#"{"blockIO":{"weight":9,"weightDevice":[{"major":-1,"minor":0,"weight":1001}]}}"#,
            expect![[r#"
            linux.resources.blockIO.weight: 9 is out of range; allowed are 10 to 1000
            linux.resources.blockIO.weightDevice[0].weight: 1001 is out of range; allowed are 10 to 1000
            linux.resources.blockIO.weightDevice[0].major: -1 is out of range; allowed are 0 to 4095
        "#]],
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2M","limit":1},{"pageSize":"2MB","limit":1},{"pageSize":"2MB","limit":1}]}"#,
            expect![[r#"
                linux.resources.hugepageLimits[0].pageSize: `2M` is not a page size such as `64KB`, `2MB` or `1GB`
                linux.resources.hugepageLimits[2].pageSize: `2MB` comes twice
            "#]],
        ),
        (
            r#"{"network":{"priorities":[{"name":"a b","priority":1}]}}"#,
            expect![[r#"
            linux.resources.network.priorities[0].name: `a b` is no name of a network device
        "#]],
        ),
        (
            r#"{"unified":{"memory.high":"1","../memory.max":"1","cgroup":"1"}}"#,
            expect![[r#"
                linux.resources.unified["../memory.max"]: is not the name of a cgroup file such as `memory.high`: CONTROLLER.PARAMETER, no slash
                linux.resources.unified.cgroup: is not the name of a cgroup file such as `memory.high`: CONTROLLER.PARAMETER, no slash
            "#]],
        ),
    ] {
        set("linux/resources", resources, expected);
    }
}

#[test]
fn the_rest_of_linux_is_what_the_kernel_takes() {
    set(
        "linux/intelRdt",
        r#"{"closID":"/","schemata":["a\nb"],"memBwSchema":"L3:"}"#,
        expect![[r#"
        linux.intelRdt.schemata[0]: has a line break in it; it has to be one line
        linux.intelRdt.memBwSchema: has to start with `MB:`
    "#]],
    );
    set(
        "linux/intelRdt",
        r#"{"closID":"a/b"}"#,
        expect![[r#"
        linux.intelRdt.closID: `a/b` is not the name of a directory, nor `/` for the default class
    "#]],
    );
    set(
        "linux/memoryPolicy",
        r#"{"mode":"MPOL_BIND"}"#,
        expect![[r#"
        linux.memoryPolicy.nodes: is empty; MPOL_BIND needs at least one node
    "#]],
    );
    set(
        "linux/memoryPolicy",
        r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#,
        expect![[r#"
        linux.memoryPolicy.nodes: has to be empty for MPOL_LOCAL
    "#]],
    );
    let both = r#"{"mode":"MPOL_BIND","nodes":"x","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}"#;
    set(
        "linux/memoryPolicy",
        both,
        expect![[r#"
        linux.memoryPolicy.nodes: `x` is not a list of nodes such as `0-3,7`
        linux.memoryPolicy.flags: has both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES; only one of them is allowed
    "#]],
    );
    set(
        "linux/personality",
        r#"{"domain":"LINUX32","flags":["X"]}"#,
        expect![[r#"
        warning: linux.personality.flags: is left out: the specification has no flag yet
    "#]],
    );
}

#[test]
fn no_more_is_told_than_is_read() {
    let mut spec = default_spec(false);
    spec.process.env = vec!["x".to_owned(); 1000];
    assert_eq!(validate(spec).unwrap_err().problems.len(), 32);
}

#[test]
fn limits_are_judged_on_their_own_for_an_update() {
    let resources: spec::Resources = spec::load_as(br#"{"memory":{"swappiness":200}}"#).unwrap();
    let error = spec::validate_resources(resources).unwrap_err();
    expect!["memory.swappiness: 200 is out of range; allowed are 0 to 100"].assert_eq(&error.to_string());
}
