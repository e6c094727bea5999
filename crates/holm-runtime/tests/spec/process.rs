//! config.md, "Process".

use serde_json::{Value, json};

use crate::common::Bundle;
use crate::{refused, said};

/// Fields of /proc/self/stat by their numbers in proc_pid_stat(5), of a program started without a shell.
fn stat(bundle: &mut Bundle, fields: [usize; 3]) -> [i64; 3] {
    bundle.config["process"]["args"] = json!(["/bin/cat", "/proc/self/stat"]);
    let ran = bundle.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let words: Vec<_> = ran.out.split_whitespace().collect();
    fields.map(|field| words[field - 1].parse().expect("a number"))
}

const NICE: usize = 19;
const PRIORITY: usize = 40;
const POLICY: usize = 41;

#[test]
fn the_scheduling_policy_is_as_configured() {
    let Some(mut bundle) = Bundle::new("the_scheduling_policy") else { return };
    for (scheduler, expected) in [
        (json!({ "policy": "SCHED_OTHER", "nice": 7 }), [0, 7, 0]),
        (json!({ "policy": "SCHED_BATCH", "nice": 5 }), [3, 5, 0]),
        (json!({ "policy": "SCHED_IDLE" }), [5, 0, 0]),
        (json!({ "policy": "SCHED_FIFO", "priority": 3 }), [1, 0, 3]),
        (json!({ "policy": "SCHED_RR", "priority": 4, "flags": ["SCHED_FLAG_RESET_ON_FORK"] }), [2, 0, 4]),
        (
            json!({ "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 10_000_000, "period": 20_000_000 }),
            [6, 0, 0],
        ),
    ] {
        bundle.config["process"]["scheduler"] = scheduler.clone();
        bundle.config["process"]["args"] = json!(["/bin/true"]);
        let ran = bundle.run();
        if ran.code == Some(1) && ran.err.contains("EPERM") {
            // Real-time policies take CAP_SYS_NICE and a share of real-time time for the cgroup.
            eprintln!("SKIPPED the_scheduling_policy_is_as_configured: {scheduler} cannot be had here");
            continue;
        }
        assert_eq!(stat(&mut bundle, [POLICY, NICE, PRIORITY]), expected, "{scheduler}");
    }
}

#[test]
fn a_scheduler_that_makes_no_sense_is_an_error_with_its_place() {
    let Some(mut bundle) = Bundle::new("a_scheduler_that_makes_no_sense") else { return };
    for (scheduler, place) in [
        (json!({ "policy": "SCHED_OTHER", "nice": 20 }), "process.scheduler.nice"),
        (json!({ "policy": "SCHED_FIFO" }), "process.scheduler.priority"),
        (json!({ "policy": "SCHED_OTHER", "priority": 1 }), "process.scheduler.priority"),
        (json!({ "policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 4 }), "process.scheduler"),
        (json!({ "policy": "SCHED_ISO" }), "process.scheduler.policy"),
        (json!({ "policy": "SCHED_NONE" }), "process.scheduler.policy"),
        (json!({ "policy": "SCHED_OTHER", "flags": ["X"] }), "process.scheduler.flags[0]"),
    ] {
        bundle.config["process"]["scheduler"] = scheduler;
        let err = refused(&bundle);
        assert!(err.contains(place), "{place}: {err}");
    }
}

#[test]
fn the_io_priority_is_as_configured() {
    let Some(mut bundle) = Bundle::new("the_io_priority") else { return };
    bundle.config["process"]["args"] = json!(["/bin/busybox", "ionice"]);
    for (class, priority, told) in [
        ("IOPRIO_CLASS_BE", 3, "best-effort: prio 3\n"),
        ("IOPRIO_CLASS_RT", 5, "realtime: prio 5\n"),
        ("IOPRIO_CLASS_IDLE", 0, "idle\n"),
    ] {
        bundle.config["process"]["ioPriority"] = json!({ "class": class, "priority": priority });
        let ran = bundle.run();
        if ran.err.contains("applet not found") {
            eprintln!("SKIPPED the_io_priority_is_as_configured: busybox has no ionice");
            return;
        }
        assert!(
            ran.out.ends_with(told) || class.ends_with("IDLE") && ran.out.starts_with("idle"),
            "{class}: {ran:?}"
        );
    }
    bundle.config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 });
    assert!(refused(&bundle).contains("process.ioPriority.priority"));
}

#[test]
fn the_execution_domain_is_as_configured() {
    let Some(mut bundle) = Bundle::new("the_execution_domain") else { return };
    for (domain, number) in [("LINUX", "00000000\n"), ("LINUX32", "00000008\n")] {
        bundle.config["linux"]["personality"] = json!({ "domain": domain });
        assert_eq!(said(&mut bundle, "cat /proc/self/personality"), number);
    }
    bundle.config["linux"]["personality"] = json!({ "domain": "SOLARIS" });
    assert!(refused(&bundle).contains("linux.personality.domain"));
}

#[test]
fn the_memory_policy_is_as_configured() {
    let Some(mut bundle) = Bundle::new("the_memory_policy") else { return };
    for (policy, told) in [
        (json!({ "mode": "MPOL_BIND", "nodes": "0" }), "bind:0"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }), "bind=static:0"),
        (
            json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"] }),
            "interleave=relative:0",
        ),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), "prefer:0"),
        (json!({ "mode": "MPOL_LOCAL" }), "local"),
        (json!({ "mode": "MPOL_DEFAULT" }), "default"),
    ] {
        bundle.config["linux"]["memoryPolicy"] = policy.clone();
        bundle.config["process"]["args"] = json!(["/bin/cat", "/proc/self/numa_maps"]);
        let ran = bundle.run();
        if ran.err.contains("numa_maps") || ran.err.contains("ENOSYS") {
            eprintln!("SKIPPED the_memory_policy_is_as_configured: this kernel has no NUMA");
            return;
        }
        assert!(ran.out.contains(&format!(" {told} ")), "{policy}: {ran:?}");
    }
    for (policy, place) in [
        (json!({ "mode": "MPOL_BIND" }), "linux.memoryPolicy.nodes"),
        (json!({ "mode": "MPOL_LOCAL", "nodes": "0" }), "linux.memoryPolicy.nodes"),
        (json!({ "mode": "MPOL_BIND", "nodes": "x" }), "linux.memoryPolicy.nodes"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"] }), "linux.memoryPolicy.flags[0]"),
    ] {
        bundle.config["linux"]["memoryPolicy"] = policy;
        let err = refused(&bundle);
        assert!(err.contains(place), "{place}: {err}");
    }
}

#[test]
fn the_oom_score_is_as_configured_or_as_near_as_it_can_be_had() {
    let Some(mut bundle) = Bundle::new("the_oom_score") else { return };
    bundle.config["process"]["oomScoreAdj"] = json!(321);
    assert_eq!(said(&mut bundle, "cat /proc/self/oom_score_adj"), "321\n");
    bundle.config["process"]["oomScoreAdj"] = json!(-321);
    let ran = bundle.script("cat /proc/self/oom_score_adj").run();
    assert!(ran.out == "-321\n" || ran.err.contains("CAP_SYS_RESOURCE"), "{ran:?}");
    bundle.config["process"].as_object_mut().expect("an object").remove("oomScoreAdj");
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").expect("procfs");
    assert_eq!(said(&mut bundle, "cat /proc/self/oom_score_adj"), own);
    bundle.config["process"]["oomScoreAdj"] = json!(1001);
    assert!(refused(&bundle).contains("process.oomScoreAdj"));
}

#[test]
fn a_resource_limit_that_cannot_be_had_is_an_error() {
    let Some(mut bundle) = Bundle::new("a_resource_limit_that_cannot") else { return };
    let most = u64::MAX;
    bundle.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 10, "hard": most }]);
    let ran = bundle.script("true").run();
    assert!(ran.code == Some(1) && ran.err.contains("RLIMIT_NOFILE"), "more than fs.nr_open: {ran:?}");
    for (limits, place) in [
        (json!([{ "type": "RLIMIT_X", "soft": 1, "hard": 1 }]), "process.rlimits[0].type"),
        (json!([{ "type": "RLIMIT_CORE", "soft": 2, "hard": 1 }]), "process.rlimits[0].soft"),
        (
            json!([{ "type": "RLIMIT_CORE", "soft": 1, "hard": 1 }, { "type": "RLIMIT_CORE", "soft": 1, "hard": 1 }]),
            "process.rlimits[1].type",
        ),
    ] {
        bundle.config["process"]["rlimits"] = limits;
        let err = refused(&bundle);
        assert!(err.contains(place), "{place}: {err}");
    }
}

#[test]
fn every_resource_limit_is_set() {
    let Some(mut bundle) = Bundle::new("every_resource_limit") else { return };
    let names = [
        ("RLIMIT_CPU", "Max cpu time", 1000),
        ("RLIMIT_FSIZE", "Max file size", 1_000_000),
        ("RLIMIT_DATA", "Max data size", 100_000_000),
        ("RLIMIT_STACK", "Max stack size", 4_000_000),
        ("RLIMIT_CORE", "Max core file size", 0),
        ("RLIMIT_RSS", "Max resident set", 100_000_000),
        ("RLIMIT_NPROC", "Max processes", 64),
        ("RLIMIT_NOFILE", "Max open files", 77),
        ("RLIMIT_MEMLOCK", "Max locked memory", 8192),
        ("RLIMIT_AS", "Max address space", 500_000_000),
        ("RLIMIT_LOCKS", "Max file locks", 12),
        ("RLIMIT_SIGPENDING", "Max pending signals", 34),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 4096),
        ("RLIMIT_NICE", "Max nice priority", 0),
        ("RLIMIT_RTPRIO", "Max realtime priority", 0),
        ("RLIMIT_RTTIME", "Max realtime timeout", 9000),
    ];
    let limits: Vec<Value> =
        names.iter().map(|(name, _, value)| json!({ "type": name, "soft": value, "hard": value })).collect();
    bundle.config["process"]["rlimits"] = json!(limits);
    let out = said(&mut bundle, "cat /proc/self/limits");
    for (name, line, value) in names {
        let line =
            out.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_else(|| panic!("{name}: {out}"));
        let numbers: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(numbers, [value.to_string(), value.to_string()], "{name}");
    }
}

#[test]
fn labels_of_a_security_module_that_is_not_active_are_refused_by_name() {
    let Some(mut bundle) = Bundle::new("labels_of_a_security_module") else { return };
    let on = |path| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(['Y', '1', '0']));
    let apparmor = on("/sys/module/apparmor/parameters/enabled");
    let selinux = on("/sys/fs/selinux/enforce");
    for (active, section, property, label) in [
        (apparmor, "process", "apparmorProfile", "holm-test-profile-that-is-not-loaded"),
        (selinux, "process", "selinuxLabel", "system_u:system_r:container_t:s0:c1,c2"),
        (selinux, "linux", "mountLabel", "system_u:object_r:container_file_t:s0:c1,c2"),
    ] {
        let before = bundle.config.clone();
        bundle.config[section][property] = json!(label);
        if !active {
            let err = refused(&bundle);
            assert!(err.contains(property) && err.contains("is not active on this host"), "{err}");
        } else if property == "apparmorProfile" {
            // Nobody loaded it, which shows when the program is executed.
            let err = refused(&bundle);
            assert!(err.contains("execve") || err.contains(label), "{err}");
        }
        bundle.config = before;
    }
}

#[test]
fn an_unknown_capability_is_told_and_left_out() {
    let Some(mut bundle) = Bundle::new("an_unknown_capability") else { return };
    let list = json!(["CAP_CHOWN", "CAP_NO_SUCH"]);
    bundle.config["process"]["capabilities"] =
        json!({ "bounding": list, "permitted": list, "effective": list });
    let ran = bundle.script("grep -i capeff /proc/self/status").run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.ends_with("0000000000000001\n"), "{ran:?}");
    assert!(ran.err.contains("CAP_NO_SUCH"), "{ran:?}");
}

#[test]
fn affinity_of_later_processes_is_checked_and_does_not_touch_the_first() {
    let Some(mut bundle) = Bundle::new("affinity_of_later_processes") else { return };
    let list = |bundle: &mut Bundle| said(bundle, "grep Cpus_allowed_list /proc/self/status");
    let before = list(&mut bundle);
    bundle.config["process"]["execCPUAffinity"] = json!({ "initial": "0", "final": "0" });
    assert_eq!(list(&mut bundle), before);
    bundle.config["process"]["execCPUAffinity"] = json!({ "initial": "0-" });
    assert!(refused(&bundle).contains("process.execCPUAffinity.initial"));
}
