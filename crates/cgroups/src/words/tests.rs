//! What the words are written as on either version, and what is refused.

use super::*;
use crate::plan::{CgroupPath, Place, Wanted, Which, plan};
use crate::testing::mutations;
use expect_test::{Expect, expect};

const HYBRID: &str = include_str!("../../tests/texts/hybrid.mountinfo");
const HYBRID_OWN: &str = include_str!("../../tests/texts/hybrid.cgroup");
const V2: &str = include_str!("../../tests/texts/systemd-v2.mountinfo");
const V2_OWN: &str = include_str!("../../tests/texts/systemd-v2.cgroup");

fn device(text: &str) -> Result<(DeviceKind, DeviceNumber), Refused> {
    match text {
        "/dev/sda" | "8:0" => Ok((DeviceKind::Block, DeviceNumber { major: 8, minor: 0 })),
        "/dev/null" => Ok((DeviceKind::Char, DeviceNumber { major: 1, minor: 3 })),
        _ => Err(Refused::value(text, "there is no such device")),
    }
}

fn v1() -> Layout {
    Layout::parse(HYBRID.as_bytes(), HYBRID_OWN.as_bytes())
}

fn v2() -> Layout {
    let mut layout = Layout::parse(V2.as_bytes(), V2_OWN.as_bytes());
    if let Some(v2) = &mut layout.v2 {
        v2.controllers = Controller::ALL.iter().copied().collect();
    }
    layout
}

/// What is written for these words, on either version.
fn written(words: &str, layout: &Layout) -> String {
    let mut wish = Wish::default();
    for word in words.split(' ') {
        if let Err(refused) = wish.add(word, &device) {
            return format!("{refused}\n");
        }
    }
    let place = Place::Mount(CgroupPath::parse("g").unwrap());
    let planned = wish
        .limits(layout, None)
        .and_then(|limits| plan(layout, &Wanted { place: &place, limits: &limits, which: Which::Needed }));
    match planned {
        Ok(plan) => {
            let text = plan.to_string();
            let lines = text.lines().filter(|line| line.starts_with("write") || line.starts_with("attach"));
            lines.map(|line| line.to_owned() + "\n").collect()
        }
        Err(refused) => format!("{}\n", named(refused)),
    }
}

fn check(words: &str, expected: Expect) {
    expected.assert_eq(&format!("v1\n{}v2\n{}", written(words, &v1()), written(words, &v2())));
}

#[test]
fn memory_is_limited_in_either_version() {
    check(
        "memory.max=256M memory.low=64M memory.swap.max=1G",
        expect![[r#"
            v1
            write   /sys/fs/cgroup/memory/g/memory.limit_in_bytes 268435456
            write   /sys/fs/cgroup/memory/g/memory.memsw.limit_in_bytes 1342177280
            write   /sys/fs/cgroup/memory/g/memory.soft_limit_in_bytes 67108864
            v2
            write   /sys/fs/cgroup/g/memory.swap.max 1073741824
            write   /sys/fs/cgroup/g/memory.low 67108864
            write   /sys/fs/cgroup/g/memory.max 268435456
        "#]],
    );
    check(
        "memory.high=100M",
        expect![[r#"
            v1
            memory.high: invalid configuration for cgroup v1, which serves memory on this host and does not have this limit
            v2
            write   /sys/fs/cgroup/g/memory.high 104857600
        "#]],
    );
}

#[test]
fn weights_keep_their_proportions_in_either_version() {
    check(
        "cpu.weight=300 cpu.max=1.5",
        expect![[r#"
            v1
            write   /sys/fs/cgroup/cpu/g/cpu.shares 3072
            write   /sys/fs/cgroup/cpu/g/cpu.cfs_period_us 100000
            write   /sys/fs/cgroup/cpu/g/cpu.cfs_quota_us 150000
            v2
            write   /sys/fs/cgroup/g/cpu.weight 300
            write   /sys/fs/cgroup/g/cpu.max 150000 100000
        "#]],
    );
    check(
        "io.weight=200 io.weight=8:0:300 io.max=/dev/sda:rbps=10M,wiops=max",
        expect![[r#"
            v1
            write   /sys/fs/cgroup/blkio/g/blkio.bfq.weight 200  (or blkio.weight 200)
            write   /sys/fs/cgroup/blkio/g/blkio.bfq.weight_device 8:0 300  (or blkio.weight_device 8:0 300)
            write   /sys/fs/cgroup/blkio/g/blkio.throttle.read_bps_device 8:0 10485760
            write   /sys/fs/cgroup/blkio/g/blkio.throttle.write_iops_device 8:0 0
            v2
            write   /sys/fs/cgroup/g/io.bfq.weight default 200  (or io.weight default 200)
            write   /sys/fs/cgroup/g/io.weight default 200  (if there is such a file)
            write   /sys/fs/cgroup/g/io.bfq.weight 8:0 300  (or io.weight 8:0 300)
            write   /sys/fs/cgroup/g/io.weight 8:0 300  (if there is such a file)
            write   /sys/fs/cgroup/g/io.max 8:0 rbps=10485760 wiops=max
        "#]],
    );
    for weight in 1..=10_000 {
        assert_eq!(weight_from_shares(shares_from_weight(weight)).abs_diff(weight), 0, "{weight}");
    }
}

#[test]
fn devices_are_rules_in_order_with_what_they_except_from_in_front() {
    check(
        "devices=+/dev/null:rw,+c:5:*",
        expect![[r#"
            v1
            write   /sys/fs/cgroup/devices/g/devices.deny a
            write   /sys/fs/cgroup/devices/g/devices.allow c 1:3 rw
            write   /sys/fs/cgroup/devices/g/devices.allow c 5:* rwm
            v2
            attach  /sys/fs/cgroup/g  device program of 18 instructions
        "#]],
    );
    check(
        "devices=-c:1:3",
        expect![[r#"
            v1
            write   /sys/fs/cgroup/devices/g/devices.allow a
            write   /sys/fs/cgroup/devices/g/devices.deny c 1:3 rwm
            v2
            attach  /sys/fs/cgroup/g  device program of 13 instructions
        "#]],
    );
}

#[test]
fn what_only_one_version_has_is_refused_on_the_other_with_the_reason() {
    check(
        "net_cls.classid=10:1",
        expect![[r#"
            v1
            net_cls.classid: this host has no net_cls controller
            v2
            net_cls.classid: this host has no net_cls controller
        "#]],
    );
    check(
        "perf_event",
        expect![[r#"
            v1
            v2
        "#]],
    );
    check(
        "memory.swap.max=1G",
        expect![[r#"
            v1
            memory.swap.max: cgroup v1 limits memory and swap together, so it needs memory.max as well
            v2
            write   /sys/fs/cgroup/g/memory.swap.max 1073741824
        "#]],
    );
}

#[test]
fn a_wrong_word_or_value_gets_one_line() {
    let mut all = String::new();
    for text in [
        "memory.max=5q",
        "memory.max",
        "memory.max=0",
        "memory_max=5M",
        "weight=5",
        "fly=1",
        "cpu.max=0",
        "cpu.max=1ms/5s",
        "cpu.weight=0",
        "cpuset.cpus=a",
        "pids.max=-1",
        "io.max=/dev/sda",
        "io.max=/dev/null:rbps=1",
        "io.max=/dev/sda:speed=1",
        "io.weight=8:0:x",
        "devices=all",
        "devices=+c:1",
        "net_cls.classid=g:1",
        "perf_event=1",
        "hugetlb.2XB.max=1",
    ] {
        let refused = written(text, &v1());
        assert_eq!(refused.lines().count(), 1, "{text}: {refused}");
        all.push_str(&refused);
    }
    expect![[r#"
        memory.max: `5q`: an amount is a number and a unit, such as 512k, 64m or 1.5g
        memory.max: it needs a value: memory.max=SIZE|max
        memory.max: no process can live with no memory at all
        memory_max: this is not a limit; did you mean memory.max?
        weight: this is not a limit; did you mean cpu.weight?
        fly: this is not a limit; `holm cgroup set --help` lists them
        cpu.max: `0`: the least the kernel can do is 0.01 processors
        cpu.max: `1ms/5s`: the kernel takes periods from 1ms to 1s
        cpu.weight: `0` is not 1 to 10000
        cpuset.cpus: `a` is not a list such as 0-3,8
        pids.max: `-1` is not a number or max
        io.max: `/dev/sda` is not DEVICE:rbps=SIZE,wbps=SIZE,riops=NUMBER,wiops=NUMBER
        io.max: /dev/null is not a block device
        io.max: `/dev/sda:speed=1` is not DEVICE:rbps=SIZE,wbps=SIZE,riops=NUMBER,wiops=NUMBER
        io.weight: `8:0:x` is not [DEVICE:]1-10000
        devices: `all` is not a rule such as -all, +/dev/null:rw or +c:1:5:r
        devices: `+c:1` is not a rule such as -all, +/dev/null:rw or +c:1:5:r
        net_cls.classid: `g:1` is not a class such as 10:1, in hexadecimal as tc writes it, or 0x100001
        perf_event: it has no value: being a member is all
        hugetlb.2XB.max: page sizes are written as 64KB, 2MB or 1GB
    "#]]
    .assert_eq(&all);
}

#[test]
fn classes_are_read_as_tc_writes_them() {
    assert_eq!(class_id("10:1"), Some(0x10_0001));
    assert_eq!(class_id("0x100001"), Some(0x10_0001));
    assert_eq!(class_id("1048577"), Some(0x10_0001));
    for text in ["", ":", "1:", "10000:1", "0x", "0x100000000", "-1"] {
        assert_eq!(class_id(text), None, "{text}");
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    for text in [
        "memory.max=256M",
        "cpu.max=20ms/100ms",
        "io.max=8:0:rbps=1M,wiops=5",
        "devices=-all,+/dev/null:rw,+c:1:*:r",
        "net_cls.classid=10:1",
        "rdma.max=mlx5:hca_handle=1,hca_object=2",
        "misc.max=sev:5",
        "io.weight=8:0:100",
        "hugetlb.2MB.max=4M",
    ] {
        for spoilt in mutations(text.as_bytes(), 300) {
            let mut wish = Wish::default();
            if wish.add(&String::from_utf8_lossy(&spoilt), &device).is_ok() {
                let _ = wish.limits(&v1(), None);
            }
        }
    }
}
