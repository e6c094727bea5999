//! Rules of everything that is not `linux`.

use crate::{ONE, USER, check, set, set_all};
use expect_test::expect;
use spec::NamespaceType;

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
        r#""0.5.0-dev""#,
        expect![[r#"
        warning: ociVersion: 0.5.0-dev is older than 1.0.0; the document is read as one of 1.0.0
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
        warning: process.capabilities: ignoring unknown or unavailable capabilities: [CAP_SYS_ADMN]
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
            process.capabilities.inheritable: holds CAP_SYS_ADMIN, which has to be in `bounding` as well, or the kernel refuses it (EPERM)
        "#]],
    );
    set(
        "process/capabilities/ambient",
        r#"["CAP_KILL"]"#,
        expect![[r#"
            warning: process.capabilities.ambient: can't raise ambient capability CAP_KILL: it is not in both `permitted` and `inheritable`
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
