//! config-linux.md, "Control groups", on the hierarchies that this host has. How limits become writes on either version is tested in
//! the crate `cgroups`, without a kernel.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Bundle, Ran};
use crate::kernel::older_than;
use crate::{refused, said};

/// Whether the host has a hierarchy (v1) of this controller with this file in it.
fn v1(controller: &str) -> bool {
    fs::metadata(format!("/sys/fs/cgroup/{controller}/cgroup.clone_children")).is_ok()
}

/// Whether the host has v2 alone.
fn v2() -> bool {
    fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok()
}

/// Limits, the controllers that they take, and files with what they say on v1 and on v2.
type Case<'a> = (Value, &'a [&'a str], &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)]);

/// `resources` and what the files then say: on v1 with the controller before the name.
fn check(test: &str, cases: &[Case<'_>]) {
    let Some(mut bundle) = Bundle::new(test) else { return };
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "cgroup" }));
    for (resources, controllers, on_v1, on_v2) in cases {
        let files = if controllers.iter().all(|controller| v1(controller)) {
            on_v1
        } else if v2() {
            on_v2
        } else {
            eprintln!("SKIPPED {test}: {resources}: no {}", controllers.join(", "));
            continue;
        };
        bundle.config["linux"]["resources"] = resources.clone();
        for (file, value) in *files {
            let found = said(&mut bundle, &format!("cat /sys/fs/cgroup/{file}"));
            assert!(
                found.trim() == *value || found.lines().any(|line| line == *value),
                "{resources}: {file}: {found}"
            );
        }
    }
}

#[test]
fn memory_limits_are_those_of_the_specification() {
    check(
        "memory_limits_are_those",
        &[
            (
                json!({ "memory": { "limit": 67_108_864, "reservation": 33_554_432 } }),
                &["memory"],
                &[
                    ("memory/memory.limit_in_bytes", "67108864"),
                    ("memory/memory.soft_limit_in_bytes", "33554432"),
                ],
                &[("memory.max", "67108864"), ("memory.low", "33554432")],
            ),
            (
                json!({ "memory": { "limit": 67_108_864, "swap": 100_663_296 } }),
                &["memory"],
                &[("memory/memory.memsw.limit_in_bytes", "100663296")],
                &[("memory.swap.max", "33554432")],
            ),
            (
                json!({ "memory": { "limit": 67_108_864, "swap": -1 } }),
                &["memory"],
                &[],
                &[("memory.swap.max", "max")],
            ),
            (
                json!({ "memory": { "limit": 67_108_864, "checkBeforeUpdate": true } }),
                &["memory"],
                &[("memory/memory.limit_in_bytes", "67108864")],
                &[("memory.max", "67108864")],
            ),
        ],
    );
    if v1("memory") {
        check(
            "memory_limits_of_v1",
            &[
                (
                    json!({ "memory": { "swappiness": 7 } }),
                    &["memory"],
                    &[("memory/memory.swappiness", "7")],
                    &[],
                ),
                (
                    json!({ "memory": { "disableOOMKiller": true } }),
                    &["memory"],
                    &[("memory/memory.oom_control", "oom_kill_disable 1")],
                    &[],
                ),
                (
                    json!({ "memory": { "useHierarchy": true } }),
                    &["memory"],
                    &[("memory/memory.use_hierarchy", "1")],
                    &[],
                ),
                (
                    json!({ "memory": { "kernelTCP": 1_048_576 } }),
                    &["memory"],
                    &[("memory/memory.kmem.tcp.limit_in_bytes", "1048576")],
                    &[],
                ),
            ],
        );
    }
}

#[test]
fn processor_limits_are_those_of_the_specification() {
    if older_than((5, 15), "processor_limits_are_those_of_the_specification") {
        return;
    }
    check(
        "processor_limits_are_those",
        &[
            (
                json!({ "cpu": { "shares": 512, "quota": 50_000, "period": 200_000, "burst": 10_000 } }),
                &["cpu"],
                &[
                    ("cpu/cpu.shares", "512"),
                    ("cpu/cpu.cfs_quota_us", "50000"),
                    ("cpu/cpu.cfs_period_us", "200000"),
                    ("cpu/cpu.cfs_burst_us", "10000"),
                ],
                &[("cpu.max", "50000 200000"), ("cpu.max.burst", "10000")],
            ),
            (json!({ "cpu": { "idle": 1 } }), &["cpu"], &[("cpu/cpu.idle", "1")], &[("cpu.idle", "1")]),
            (
                json!({ "cpu": { "cpus": "0", "mems": "0" } }),
                &["cpuset"],
                &[("cpuset/cpuset.cpus", "0"), ("cpuset/cpuset.mems", "0")],
                &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
            ),
            (
                json!({ "cpu": { "quota": -1, "period": 100_000 } }),
                &["cpu"],
                &[("cpu/cpu.cfs_quota_us", "-1")],
                &[("cpu.max", "max 100000")],
            ),
        ],
    );
}

#[test]
fn the_limit_on_tasks_may_be_any_number_or_none() {
    check(
        "the_limit_on_tasks",
        &[
            (
                json!({ "pids": { "limit": 32 } }),
                &["pids"],
                &[("pids/pids.max", "32")],
                &[("pids.max", "32")],
            ),
            (
                json!({ "pids": { "limit": -1 } }),
                &["pids"],
                &[("pids/pids.max", "max")],
                &[("pids.max", "max")],
            ),
        ],
    );
}

/// A block device of this host by its numbers. A loop device that nothing is behind takes no limit on some kernels.
fn block_device() -> (u32, u32) {
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let dir = entry.path();
        let numbers = fs::read_to_string(dir.join("dev")).unwrap_or_default();
        let numbers = numbers
            .trim()
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let is_there = number(&dir.join("size").display().to_string()).is_some_and(|size| size > 0);
        if let (true, Some(numbers)) = (is_there, numbers) {
            return numbers;
        }
    }
    (7, 0)
}

#[test]
fn block_devices_are_throttled_and_weighed() {
    let (major, minor) = block_device();
    let device = format!("{major}:{minor}");
    let (reads, writes) = (format!("{device} 1048576"), format!("{device} 100"));
    let both = format!("{device} rbps=1048576 wbps=max riops=max wiops=100");
    check(
        "block_devices_are_throttled",
        &[(
            json!({ "blockIO": { "throttleReadBpsDevice": [{ "major": major, "minor": minor, "rate": 1_048_576 }],
                                 "throttleWriteIOPSDevice": [{ "major": major, "minor": minor, "rate": 100 }] } }),
            &["blkio"],
            &[
                ("blkio/blkio.throttle.read_bps_device", &reads),
                ("blkio/blkio.throttle.write_iops_device", &writes),
            ],
            &[("io.max", &both)],
        )],
    );
    if v1("blkio") && fs::metadata("/sys/fs/cgroup/blkio/blkio.bfq.weight").is_ok() {
        check(
            "block_devices_are_weighed",
            &[(
                json!({ "blockIO": { "weight": 123 } }),
                &["blkio"],
                &[("blkio/blkio.bfq.weight", "123")],
                &[],
            )],
        );
    }
}

#[test]
fn the_devices_that_may_be_used_are_those_of_the_rules() {
    let Some(mut bundle) = Bundle::new("the_devices_that_may_be_used") else { return };
    bundle.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"],
    });
    bundle.config["linux"]["resources"] = json!({ "devices": [
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" },
    ] });
    bundle.config["mounts"]
        .as_array_mut()
        .expect("a list")
        .push(json!({ "destination": "/dev/shm", "type": "tmpfs", "options": ["dev"] }));
    // Reading the log takes a capability that the program lacks, which comes after the rules.
    let script = "cd /dev/shm; n() { busybox mknod $1 $2 $3 $4; }; n kmsg c 1 11; n mem c 1 1; n disk b 7 7; \
                  (: < kmsg) 2>&1; (: > kmsg) 2>&1; (: < mem) 2>&1; (: < disk) 2>&1; echo x > /dev/null && echo works";
    let ran = bundle.script(script).run();
    let lines: Vec<_> = ran.out.lines().map(|line| line.rsplit(": ").next().unwrap_or_default()).collect();
    assert_eq!(lines.last(), Some(&"works"), "{ran:?}");
    for refused in ["mem", "disk"] {
        let line = ran.out.lines().find(|line| line.contains(&format!("open {refused}:")));
        assert!(line.is_some_and(|line| line.ends_with("Operation not permitted")), "{refused}: {ran:?}");
    }
    bundle.config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "x" }] });
    assert!(refused(&bundle).contains("linux.resources.devices[0].access"));
}

#[test]
fn huge_pages_are_limited_with_their_reservations() {
    let Some(mut bundle) = Bundle::new("huge_pages_are_limited") else { return };
    let available =
        ["/sys/fs/cgroup/hugetlb", "/sys/fs/cgroup/unified"].iter().any(|path| fs::metadata(path).is_ok())
            || v2();
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "cgroup" }));
    bundle.config["linux"]["resources"] =
        json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] });
    let ran = bundle.script("find() { for f in /sys/fs/cgroup/hugetlb.2MB.$1 /sys/fs/cgroup/*/hugetlb.2MB.$1; do [ -e $f ] && cat $f; done; }; \
        find max; find limit_in_bytes; find rsvd.max; find rsvd.limit_in_bytes; true").run();
    if ran.code != Some(0) && !available {
        eprintln!("SKIPPED huge_pages_are_limited_with_their_reservations: {}", ran.err);
        return;
    }
    assert_eq!(ran.out, "4194304\n4194304\n", "{ran:?}");
    bundle.config["linux"]["resources"] = json!({ "hugepageLimits": [{ "pageSize": "2M", "limit": 1 }] });
    assert!(refused(&bundle).contains("linux.resources.hugepageLimits[0].pageSize"));
}

#[test]
fn files_of_the_unified_hierarchy_are_written_as_they_are() {
    let Some(mut bundle) = Bundle::new("files_of_the_unified") else { return };
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "cgroup" }));
    let base = if v2() {
        "/sys/fs/cgroup"
    } else if fs::metadata("/sys/fs/cgroup/unified/cgroup.controllers").is_ok() {
        "/sys/fs/cgroup/unified"
    } else {
        eprintln!("SKIPPED files_of_the_unified_hierarchy_are_written_as_they_are: no v2 hierarchy");
        return;
    };
    let controllers = fs::read_to_string(format!("{base}/cgroup.controllers")).unwrap_or_default();
    if controllers.split_whitespace().any(|controller| controller == "hugetlb") {
        bundle.config["linux"]["resources"] = json!({ "unified": { "hugetlb.2MB.max": "2097152" } });
        assert_eq!(said(&mut bundle, &format!("cat {base}/hugetlb.2MB.max")), "2097152\n");
    }
    for (unified, told) in [
        (json!({ "nocontroller.max": "1" }), "nocontroller"),
        (json!({ "../cgroup.procs": "1" }), "linux.resources.unified"),
    ] {
        bundle.config["linux"]["resources"] = json!({ "unified": unified });
        let err = refused(&bundle);
        assert!(err.contains(told), "{told}: {err}");
    }
}

#[test]
fn a_limit_that_makes_no_sense_or_has_no_controller_is_an_error() {
    let Some(mut bundle) = Bundle::new("a_limit_that_makes_no_sense") else { return };
    for (resources, place) in [
        (json!({ "memory": { "limit": -2 } }), "linux.resources.memory.limit"),
        (json!({ "memory": { "limit": 1000, "swap": 500 } }), "linux.resources.memory.swap"),
        (json!({ "memory": { "swappiness": 101 } }), "linux.resources.memory.swappiness"),
        (json!({ "cpu": { "quota": 100, "burst": 101 } }), "linux.resources.cpu.burst"),
        (json!({ "cpu": { "cpus": "a\nb" } }), "linux.resources.cpu.cpus"),
        (json!({ "cpu": { "idle": 2 } }), "linux.resources.cpu.idle"),
        (json!({ "pids": { "limit": "1" } }), "linux.resources.pids.limit"),
        (json!({ "blockIO": { "weight": 5 } }), "linux.resources.blockIO.weight"),
        (
            json!({ "blockIO": { "weightDevice": [{ "major": 8, "minor": 0 }] } }),
            "linux.resources.blockIO.weightDevice[0]",
        ),
        (json!({ "rdma": { "mlx": {} } }), "linux.resources.rdma.mlx"),
        (
            json!({ "network": { "priorities": [{ "name": "a/b", "priority": 1 }] } }),
            "linux.resources.network.priorities[0].name",
        ),
    ] {
        bundle.config["linux"]["resources"] = resources;
        let err = refused(&bundle);
        assert!(err.contains(place), "{place}: {err}");
    }
    if !v1("rdma") && !v2() {
        bundle.config["linux"]["resources"] = json!({ "rdma": { "mlx5_1": { "hcaHandles": 3 } } });
        let err = refused(&bundle);
        assert!(err.contains("rdma"), "{err}");
    }
}

#[test]
fn the_cgroups_path_is_taken_below_the_mount_or_below_the_callers() {
    let Some(mut bundle) = Bundle::new("the_cgroups_path") else { return };
    let id = bundle.id.clone();
    bundle.config["linux"]["cgroupsPath"] = json!(format!("/{id}-parent/{id}"));
    let out = said(&mut bundle, "cat /proc/self/cgroup");
    assert!(out.lines().any(|line| line.ends_with(&format!("/{id}-parent/{id}"))), "{out}");
    bundle.config["linux"]["cgroupsPath"] = json!(format!("{id}-below/{id}"));
    let out = said(&mut bundle, "cat /proc/self/cgroup");
    assert!(out.lines().any(|line| line.ends_with(&format!("{id}-below/{id}"))), "{out}");
    bundle.config["linux"]["cgroupsPath"] = json!("/a/../../b");
    assert!(refused(&bundle).contains("linux.cgroupsPath"));
}

/// A group of cgroup v2 and one in it; they go with this.
struct Nested(std::path::PathBuf);

impl Drop for Nested {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("inner"));
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn limits_without_a_path_are_held_beside_a_callers_group_that_cannot_hand_controllers_down() {
    const NAME: &str = "limits_without_a_path_are_held_beside";
    let Some(mut bundle) = Bundle::new(NAME) else { return };
    let base = if v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
    let nested = Nested(format!("{base}/holm-near-{}", std::process::id()).into());
    let made = fs::create_dir(&nested.0).and_then(|()| fs::create_dir(nested.0.join("inner")));
    let offered = fs::read_to_string(nested.0.join("cgroup.controllers")).unwrap_or_default();
    let has = |controller: &str| offered.split_whitespace().any(|offered| offered == controller);
    let (resources, file, value) = if has("pids") {
        (json!({ "pids": { "limit": 32 } }), "pids.max", "32\n")
    } else if has("hugetlb") && !v1("hugetlb") {
        let limits = json!([{ "pageSize": "2MB", "limit": 4_194_304 }]);
        (json!({ "hugepageLimits": limits }), "hugetlb.2MB.max", "4194304\n")
    } else {
        return eprintln!("SKIPPED {NAME}: {made:?}, no controller of v2 is handed down: `{offered}`");
    };
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "cgroup" }));
    bundle.config["linux"]["resources"] = resources;
    bundle.script(&format!("cat {base}/{file}"));
    let runtime = bundle.command();
    let mut line = Command::new("/bin/sh");
    line.args(["-c", "echo $$ >\"$1\" && shift && exec \"$@\"", "sh"]);
    line.arg(nested.0.join("inner/cgroup.procs")).arg(runtime.get_program()).args(runtime.get_args());
    let output = line.current_dir(nested.0.parent().expect("a mount")).output().expect("a shell");
    let ran = Ran::of(&output);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), value), "{ran:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new(), "{ran:?}");
}
