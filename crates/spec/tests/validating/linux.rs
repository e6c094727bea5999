//! Rules of the `linux` section.

use crate::{ONE, TIME, USER, check, set, set_all};
use expect_test::expect;
use spec::{NamespaceType, default_spec, validate};

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
            linux.maskedPaths[1]: is empty; it has to be an absolute path
        "#]],
    );
    set("linux/readonlyPaths", r#"["./proc"]"#, expect![""]);
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
                linux.seccomp.syscalls[1].action: SCMP_ACT_NOTIFY cannot be used for the write syscall, which the runtime needs itself
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
            linux.memoryPolicy.nodes: MPOL_LOCAL mode requires 0 nodes but got 1
        "#]],
    );
    let both = r#"{"mode":"MPOL_BIND","nodes":"x","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}"#;
    set(
        "linux/memoryPolicy",
        both,
        expect![[r#"
            linux.memoryPolicy.nodes: invalid memory policy nodes: `x` is not a list such as `0-3,7`
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
