//! What a real kernel does with our groups. Every group is our own, below `holm-test-<pid>-…`, and removed also
//! when a test fails.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use cgroups::controller::memory::MemoryStats;
use cgroups::error::Error;
use cgroups::events::{Event, Events, Watch};
use cgroups::limits::{DeviceAccess, DeviceKind, DeviceNumber, DeviceRule, HugepageLimit, Rate, Throttle};
use cgroups::{Cgroup, Controller, Layout, Limit, Limits, Place, Recorded, Version};
use common::*;

const MIB: u64 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_group_is_made_in_every_hierarchy_and_removed_without_a_trace() {
    let Some(layout) = host("made") else { return };
    let group = Own::new("made", &layout, &Limits::default());
    let recorded = group.recorded();
    assert_eq!(recorded.len(), layout.hierarchies().count());
    assert!(recorded.iter().all(|it| it.mount.join(&it.path).is_dir()));
    assert_eq!(group.joining().unwrap().files.len(), layout.v1.len());
    assert_eq!(group.joining().unwrap().clone_into.is_some(), layout.v2.is_some());
    let again = Cgroup::open(&recorded).unwrap();
    assert_eq!(again.recorded(), recorded);
    group.remove(PATIENCE).unwrap();
    group.remove_made_parents();
    assert!(recorded.iter().all(|it| !it.mount.join(&it.path).parent().unwrap().exists()));
    assert!(Cgroup::open(&recorded).unwrap().is_nowhere());
}

#[test]
fn values_arrive_in_the_files_of_the_kernel() {
    let Some(layout) = host("values") else { return };
    let mut limits = Limits { pids_max: Some(Limit::At(77)), ..Limits::default() };
    limits.memory.max_bytes = Some(Limit::At(64 * MIB));
    limits.memory.low_bytes = Some(Limit::At(32 * MIB));
    limits.cpu.shares = Some(512);
    limits.cpu.quota_us = Some(Limit::At(50_000));
    limits.cpu.period_us = Some(200_000);
    limits.cpuset.cpus = Some("0".to_owned());
    let Some(group) = Own::try_new("values", &layout, &limits) else { return };
    let files: &[_] = match layout.serving(Controller::Memory).unwrap().version {
        Version::V1 => &[
            (Controller::Memory, "memory.limit_in_bytes", "67108864"),
            (Controller::Memory, "memory.soft_limit_in_bytes", "33554432"),
            (Controller::Cpu, "cpu.shares", "512"),
            (Controller::Cpu, "cpu.cfs_quota_us", "50000"),
            (Controller::Cpu, "cpu.cfs_period_us", "200000"),
            (Controller::Cpuset, "cpuset.cpus", "0"),
            (Controller::Cpuset, "cpuset.mems", "0"),
        ],
        Version::V2 => &[
            (Controller::Memory, "memory.max", "67108864"),
            (Controller::Memory, "memory.low", "33554432"),
            (Controller::Cpu, "cpu.weight", "59"),
            (Controller::Cpu, "cpu.max", "50000 200000"),
            (Controller::Cpuset, "cpuset.cpus", "0"),
        ],
    };
    for (controller, file, expected) in files {
        assert_eq!(group.read(*controller, file), *expected, "{file}");
    }
    assert_eq!(group.pids_stats().unwrap().unwrap().max, Some(77));

    // Down and up again: the order of memory and memory+swap differs.
    for max in [32 * MIB, 128 * MIB, 16 * MIB] {
        let mut update = Limits::default();
        update.memory.max_bytes = Some(Limit::At(max));
        update.memory.memory_and_swap_max_bytes = Some(Limit::At(max + MIB));
        if let Err(error) = group.update(&layout, &update) {
            let no_swap_accounting = matches!(&error, Error::Set { file, .. } if file.contains("sw"));
            assert!(no_swap_accounting, "{error:?}");
        }
        assert_eq!(group.memory_stats().unwrap().unwrap().max_bytes, Some(max));
    }
    let mut period = Limits::default();
    period.cpu.period_us = Some(100_000);
    group.update(&layout, &period).unwrap();
    let (file, expected) = match layout.serving(Controller::Cpu).unwrap().version {
        Version::V1 => ("cpu.cfs_quota_us", "50000"),
        Version::V2 => ("cpu.max", "50000 100000"),
    };
    assert_eq!(group.read(Controller::Cpu, file), expected);

    // Linux 5.15.
    if !group.path_of(Controller::Cpu).unwrap().join("cpu.idle").exists() {
        return skipped("values: cpu.idle", "this kernel has no idle groups");
    }
    let mut quota = Limits::default();
    quota.cpu.quota_us = Some(Limit::Unlimited);
    quota.cpu.idle = Some(true);
    group.update(&layout, &quota).unwrap();
    quota.cpu.idle = Some(false);
    quota.cpu.shares = Some(2048);
    group.update(&layout, &quota).unwrap();
}

#[test]
fn a_failed_step_leaves_nothing_behind() {
    let Some(layout) = host("undo") else { return };
    let mut limits = Limits::default();
    limits.cpuset.cpus = Some("4000".to_owned());
    let plan = planned("undo", &layout, &limits).unwrap();
    let error = Cgroup::create(&plan).unwrap_err();
    assert!(matches!(&error, Error::Set { file, .. } if file == "cpuset.cpus"), "{error:?}");
    for group in &plan.groups {
        assert!(!group.mount.join(&group.path).parent().unwrap().exists());
    }
}

#[test]
fn a_group_that_somebody_uses_is_refused_and_an_empty_one_taken_over() {
    let Some(layout) = host("taken") else { return };
    let group = Own::new("taken", &layout, &Limits::default());
    let plan = planned("taken", &layout, &Limits::default()).unwrap();
    drop(Cgroup::create(&plan).unwrap());
    let refused = Cgroup::create(&plan.clone().exclusive()).unwrap_err();
    assert_eq!(report::Explain::kind(&refused), report::Kind::AlreadyExists);
    let child = group.run("exec sleep 60");
    assert!(
        matches!(Cgroup::create(&plan), Err(Error::InUse { what, .. }) if what.starts_with("has processes"))
    );
    drop(child);
}

#[test]
fn memory_beyond_the_limit_kills_and_is_told() {
    let Some(layout) = host("oom") else { return };
    let mut limits = Limits::default();
    limits.memory.max_bytes = Some(Limit::At(16 * MIB));
    let Some(group) = Own::try_new("oom", &layout, &limits) else { return };
    let mut events = Events::watch(&group, Watch { oom: true, ..Watch::default() }).unwrap();
    assert_eq!(events.next(Duration::ZERO).unwrap(), None);
    // Swap would hide the limit.
    let mut swap = Limits::default();
    swap.memory.memory_and_swap_max_bytes = Some(Limit::At(17 * MIB));
    let _ = group.update(&layout, &swap);
    let mut child = group.run("dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; exit $?");
    let status = child.0.wait().unwrap();
    assert!(status.code().is_some_and(|code| code != 0) || status.signal() == Some(9), "{status}");
    let told = events.next(PATIENCE).unwrap();
    assert!(matches!(told, Some(Event::OomKilled(1..) | Event::OutOfMemory)), "{told:?}");
    assert!(group.oom_kills().unwrap().unwrap() >= 1);
    let stats = group.memory_stats().unwrap().unwrap();
    assert!(stats.limit_hits > 0 && stats.max_bytes == Some(16 * MIB), "{stats:?}");
    group.remove(PATIENCE).unwrap();
    if layout.serving(Controller::Memory).unwrap().version == Version::V1 {
        let rest = std::iter::from_fn(|| events.next(Duration::from_millis(500)).unwrap());
        assert!(rest.take(10).any(|event| event == Event::Removed));
    }
}

#[test]
fn a_fork_bomb_stops_at_the_limit_and_dies_at_once() {
    let Some(layout) = host("bomb") else { return };
    let limits = Limits { pids_max: Some(Limit::At(40)), ..Limits::default() };
    let Some(group) = Own::try_new("bomb", &layout, &limits) else { return };
    let mut child = group.run(BOMB);
    wait_until(|| group.pids_stats().unwrap().unwrap().limit_hits > 0);
    let stats = group.pids_stats().unwrap().unwrap();
    assert!(stats.current <= 40 && stats.max == Some(40), "{stats:?}");
    group.freeze(PATIENCE).unwrap();
    let hits = || group.pids_stats().unwrap().unwrap().limit_hits;
    let before = hits();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(hits(), before, "a frozen bomb forks");
    group.kill_and_reap(&mut child);
    assert!(group.tasks().unwrap().is_empty());
}

#[test]
fn a_fork_bomb_is_killed_by_list_as_well() {
    let Some(layout) = host("list") else { return };
    // Without the v2 hierarchy there is no cgroup.kill.
    let v1 = Layout { v2: None, ..layout };
    if v1.v1.is_empty() {
        return skipped("list", "this host has no cgroup v1");
    }
    for hidden in [None, Some(Controller::Pids), Some(Controller::Freezer)] {
        let mut layout = v1.clone();
        layout.v1.retain(|hierarchy| hidden.is_none_or(|hidden| !hierarchy.controllers.contains(hidden)));
        let mut limits = Limits::default();
        if hidden != Some(Controller::Pids) {
            limits.pids_max = Some(Limit::At(60));
        }
        let group = Own::new("list", &layout, &limits);
        // Without pids the machine is protected by the bomb itself: each of its processes lives for a moment.
        let bomb = if hidden == Some(Controller::Pids) {
            "bomb() { for i in 1 2 3; do sleep 0.2; (bomb) & done; }; \
            for i in 1 2 3 4; do (bomb) & done; sleep 5"
        } else {
            BOMB
        };
        let mut child = group.run(bomb);
        std::thread::sleep(Duration::from_millis(150));
        group.kill_and_reap(&mut child);
        assert_eq!(group.processes().unwrap(), [0; 0], "without {hidden:?}");
        if hidden != Some(Controller::Pids) {
            assert_eq!(group.pids_stats().unwrap().unwrap().max, Some(60));
        }
    }
}

#[test]
fn a_frozen_group_stands_and_goes_on_and_can_be_killed() {
    let Some(layout) = host("frozen") else { return };
    let mut views =
        vec![Layout { v1: Vec::new(), ..layout.clone() }, Layout { v2: None, ..layout.clone() }, layout];
    views.retain(|view| view.hierarchies().next().is_some());
    for layout in views {
        let group = Own::new("frozen", &layout, &Limits::default());
        let counter = std::env::temp_dir().join(format!("holm-test-{}-counter", std::process::id()));
        let script = format!("while :; do echo >> {}; done", counter.display());
        let mut child = group.run(&script);
        let length = || std::fs::metadata(&counter).map_or(0, |it| it.len());
        wait_until(|| length() > 10);
        group.freeze(PATIENCE).unwrap();
        group.freeze(PATIENCE).unwrap();
        assert!(group.is_frozen().unwrap());
        let before = length();
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(length(), before);
        group.thaw(PATIENCE).unwrap();
        assert!(!group.is_frozen().unwrap());
        wait_until(|| length() > before);
        group.freeze(PATIENCE).unwrap();
        group.kill_and_reap(&mut child);
        let _ = std::fs::remove_file(&counter);
    }
}

#[test]
fn state_changes_are_told_by_v2() {
    let Some(layout) = host("state") else { return };
    if layout.v2.is_none() {
        return skipped("state", "no cgroup v2");
    }
    let group = Own::new("state", &Layout { v1: Vec::new(), ..layout }, &Limits::default());
    let mut events = Events::watch(&group, Watch { state: true, ..Watch::default() }).unwrap();
    let mut child = group.run("exec sleep 60");
    group.freeze(PATIENCE).unwrap();
    assert_eq!(events.next(PATIENCE).unwrap(), Some(Event::Frozen));
    group.thaw(PATIENCE).unwrap();
    assert_eq!(events.next(PATIENCE).unwrap(), Some(Event::Thawed));
    group.send_kill().unwrap();
    assert_eq!(child.0.wait().unwrap().signal(), Some(9));
    assert_eq!(events.next(PATIENCE).unwrap(), Some(Event::Empty));
    assert_eq!(events.next(Duration::ZERO).unwrap(), None);
}

#[test]
fn devices_are_denied_by_the_list_of_v1_and_by_the_program_of_v2() {
    let Some(layout) = host("devices") else { return };
    for layout in [Layout { v2: None, ..layout.clone() }, Layout { v1: Vec::new(), ..layout }] {
        if layout.hierarchies().next().is_none() {
            continue;
        }
        let char = |minor, access| DeviceRule {
            allow: true,
            kind: DeviceKind::Char,
            major: Some(1),
            minor: Some(minor),
            access: DeviceAccess::parse(access).unwrap(),
        };
        let all = DeviceRule {
            allow: false,
            kind: DeviceKind::Any,
            major: None,
            minor: None,
            access: DeviceAccess::ALL,
        };
        let rules = vec![all, char(3, "rwm"), char(5, "r")];
        let limits = Limits { devices: Some(rules.clone()), ..Limits::default() };
        let Some(group) = Own::try_new("devices", &layout, &limits) else { continue };
        let dir = std::env::temp_dir().join(format!("holm-test-{}-nodes", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let node = dir.join("node").display().to_string();
        let works = |script: &str| group.run(script).0.wait().unwrap().success();
        assert!(works("echo x > /dev/null && head -c1 /dev/null"));
        assert!(works("head -c1 /dev/zero > /dev/null"));
        assert!(!works("echo x 2>/dev/null > /dev/zero"));
        assert!(!works("head -c1 /dev/urandom 2>/dev/null > /dev/null"));
        assert!(works(&format!("rm -f {node}; mknod {node} c 1 3")));
        assert!(!works(&format!("rm -f {node}; mknod {node} c 1 5 2>/dev/null")));
        assert!(!works(&format!("rm -f {node}; mknod {node} b 7 0 2>/dev/null")));

        // Another list takes the place of the first.
        let update = Limits { devices: Some(vec![all, char(3, "rwm"), char(9, "r")]), ..Limits::default() };
        group.update(&layout, &update).unwrap();
        assert!(works("head -c1 /dev/urandom > /dev/null"));
        assert!(!works("head -c1 /dev/zero 2>/dev/null > /dev/null"));
        let everything = vec![DeviceRule { allow: true, ..all }];
        group.update(&layout, &Limits { devices: Some(everything), ..Limits::default() }).unwrap();
        assert!(works("head -c1 /dev/zero > /dev/null"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn statistics_agree_with_what_was_done() {
    let Some(layout) = host("stats") else { return };
    let group = Own::new("stats", &layout, &Limits::default());
    let started = Instant::now();
    let mut child = group.run("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 60");
    wait_until(|| group.cpu_stats().unwrap().unwrap_or_default().used_ns > 20_000_000);
    // The kernel gathers the numbers of its processors every two seconds.
    wait_until(|| group.memory_stats().unwrap().is_none_or(|memory| memory.faults > 0));
    let stats = group.stats().unwrap();
    let cpu = stats.cpu.unwrap();
    assert!(u128::from(cpu.used_ns) <= started.elapsed().as_nanos() * 2, "{cpu:?}");
    if let Some(memory) = &stats.memory {
        let MemoryStats { used_bytes, peak_bytes, anonymous_bytes, .. } = memory;
        assert!(*used_bytes > 0 && *used_bytes < 64 * MIB && *anonymous_bytes < 64 * MIB, "{memory:?}");
        assert!(peak_bytes.is_none_or(|peak| peak >= *used_bytes / 2));
        assert!(memory.faults > 0 && memory.max_bytes.is_none(), "{memory:?}");
    }
    if let Some(pids) = stats.pids {
        assert_eq!((pids.current, pids.max), (1, None));
    }
    if let Some(cpuacct) = &stats.cpuacct {
        let sum: u64 = cpuacct.per_cpu_ns.iter().sum();
        assert!(sum > 0 && sum <= group.cpuacct_stats().unwrap().unwrap().used_ns, "{cpuacct:?}");
    }
    if layout.v2.is_some() && Path::new("/proc/pressure/cpu").exists() {
        assert!(stats.cpu_pressure.is_some());
    }
    assert_eq!(group.processes().unwrap(), [child.0.id()]);
    assert_eq!(group.tasks().unwrap(), [child.0.id()]);
    group.kill_and_reap(&mut child);
}

#[test]
fn groups_below_are_removed_first() {
    let Some(layout) = host("nested") else { return };
    let group = Own::new("nested", &layout, &Limits::default());
    for it in group.recorded() {
        std::fs::create_dir_all(it.mount.join(&it.path).join("a/b")).unwrap();
        std::fs::create_dir(it.mount.join(&it.path).join("c")).unwrap();
    }
    group.remove(PATIENCE).unwrap();
    assert!(group.recorded().iter().all(|it| !it.mount.join(&it.path).exists()));
}

#[test]
fn a_busy_group_is_not_removed_for_ever() {
    let Some(layout) = host("busy") else { return };
    let group = Own::new("busy", &layout, &Limits::default());
    let mut child = group.run("exec sleep 60");
    let started = Instant::now();
    let errors = group.remove(Duration::from_millis(30)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(errors.iter().all(|error| matches!(error, Error::TimedOut { wanted: "removed", .. })));
    group.kill_and_reap(&mut child);
}

#[test]
fn a_delegated_group_belongs_to_the_user_and_its_limits_do_not() {
    use std::os::unix::fs::MetadataExt;
    let Some(layout) = host("delegate") else { return };
    let group = Own::new("delegate", &layout, &Limits::default());
    group.delegate(12345, 54321).unwrap();
    for it in group.recorded() {
        let dir = it.mount.join(&it.path);
        let owner = |file: &str| std::fs::metadata(dir.join(file)).map(|it| (it.uid(), it.gid())).ok();
        assert_eq!(owner("cgroup.procs"), Some((12345, 54321)));
        assert_eq!(owner("."), Some((12345, 54321)));
        for limit in ["memory.limit_in_bytes", "memory.max", "pids.max", "cgroup.freeze", "devices.allow"] {
            assert!(owner(limit).is_none_or(|owner| owner == (0, 0)), "{limit}");
        }
    }
}

#[test]
fn what_limits_nothing_is_delegated_safely() {
    use std::os::unix::fs::MetadataExt;
    let Some(layout) = host("safely") else { return };
    let group = Own::new("safely", &layout, &Limits::default());
    group.delegate_safely(12345, 54321).unwrap();
    for it in group.recorded() {
        let is_theirs = it.version == cgroups::Version::V2 || it.controllers.is_empty();
        let owner = std::fs::metadata(it.mount.join(&it.path)).map(|it| (it.uid(), it.gid())).unwrap();
        assert_eq!(owner, if is_theirs { (12345, 54321) } else { (0, 0) }, "{it:?}");
    }
}

#[test]
fn a_limit_without_its_controller_is_refused() {
    let Some(layout) = host("refused") else { return };
    let without = Layout {
        v1: layout.v1.iter().filter(|it| !it.controllers.contains(Controller::Memory)).cloned().collect(),
        v2: layout.v2.clone().map(|v2| cgroups::layout::Hierarchy { controllers: Default::default(), ..v2 }),
    };
    let mut limits = Limits::default();
    limits.memory.max_bytes = Some(Limit::At(MIB));
    assert!(planned("refused", &without, &limits).is_err());
    let nowhere = Place::Nowhere("no delegation".to_owned());
    let wanted = cgroups::Wanted { place: &nowhere, limits: &limits, which: cgroups::Which::All };
    assert!(cgroups::plan(&layout, &wanted).is_err());
}

#[test]
fn a_group_can_be_made_below_the_own_one() {
    let Some(layout) = host("own") else { return };
    // The own group of v2 holds this process; without limits that is no obstacle.
    let place = Place::Own(path("own"));
    let wanted = cgroups::Wanted { place: &place, limits: &Limits::default(), which: cgroups::Which::Needed };
    let group = Own(Cgroup::create(&cgroups::plan(&layout, &wanted).unwrap()).unwrap());
    let mut child = group.run("exec sleep 60");
    assert_eq!(group.processes().unwrap(), [child.0.id()]);
    group.kill_and_reap(&mut child);
}

#[test]
fn a_record_that_leads_elsewhere_is_refused() {
    let Some(layout) = host("record") else { return };
    let group = Own::new("record", &layout, &Limits::default());
    let recorded = group.recorded();
    for path in ["", "..", "a/../../b", "/etc", "."] {
        let spoilt = Recorded { path: path.into(), ..recorded[0].clone() };
        assert!(Cgroup::open(&[spoilt]).is_err(), "{path}");
    }
    let elsewhere = Recorded { mount: std::env::temp_dir(), ..recorded[0].clone() };
    assert!(Cgroup::open(&[elsewhere]).is_err());
}

#[test]
fn crossing_a_threshold_of_memory_is_told() {
    let Some(layout) = host("threshold") else { return };
    let mut limits = Limits::default();
    let is_v2 = layout.serving(Controller::Memory).is_none_or(|it| it.version == Version::V2);
    if is_v2 {
        limits.memory.high_bytes = Some(Limit::At(4 * MIB));
    }
    let Some(group) = Own::try_new("threshold", &layout, &limits) else { return };
    let mut events =
        Events::watch(&group, Watch { threshold_bytes: Some(4 * MIB), ..Watch::default() }).unwrap();
    assert_eq!(events.next(Duration::ZERO).unwrap(), None);
    let mut child = group.run("exec dd if=/dev/zero of=/dev/null bs=8M count=1 2>/dev/null");
    assert_eq!(events.next(PATIENCE).unwrap(), Some(Event::Threshold));
    group.kill_and_reap(&mut child);
}

#[test]
fn throttles_arrive_for_a_block_device() {
    let Some(layout) = host("throttle") else { return };
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut numbers = devices.filter_map(|it| std::fs::read_to_string(it.path().join("dev")).ok());
    let Some(number) = numbers.next() else {
        return skipped("throttle", "no block device");
    };
    let (major, minor) = number.trim().split_once(':').unwrap();
    let device = DeviceNumber { major: major.parse().unwrap(), minor: minor.parse().unwrap() };
    let mut limits = Limits::default();
    limits.io.throttles = vec![
        Throttle { device, rate: Rate::ReadBytes, per_second: MIB },
        Throttle { device, rate: Rate::WriteOperations, per_second: 50 },
    ];
    let Some(group) = Own::try_new("throttle", &layout, &limits) else { return };
    match layout.serving(Controller::Io).unwrap().version {
        Version::V1 => {
            let read = |file| group.read(Controller::Io, file);
            assert_eq!(read("blkio.throttle.read_bps_device"), format!("{device} 1048576"));
            assert_eq!(read("blkio.throttle.write_iops_device"), format!("{device} 50"));
        }
        Version::V2 => {
            let expected = format!("{device} rbps=1048576 wbps=max riops=max wiops=50");
            assert_eq!(group.read(Controller::Io, "io.max"), expected);
        }
    }
    limits.io.throttles.iter_mut().for_each(|throttle| throttle.per_second = 0);
    group.update(&layout, &limits).unwrap();
}

#[test]
fn what_is_written_to_a_disk_is_counted() {
    use std::os::unix::fs::MetadataExt;
    let Some(layout) = host("io") else { return };
    // On v1 the throttling layer counts, and since Linux 6.10 only on devices that have a throttle.
    let number = std::fs::metadata(std::env::temp_dir()).unwrap().dev();
    let device = DeviceNumber { major: rustix::fs::major(number), minor: rustix::fs::minor(number) };
    let plan = {
        let mut limits = Limits::default();
        limits.io.throttles = vec![Throttle { device, rate: Rate::WriteBytes, per_second: 1024 * MIB }];
        planned("io", &layout, &limits)
    };
    let group = match plan.map(|plan| Cgroup::create(&plan)) {
        Ok(Ok(group)) => Own(group),
        other => return skipped("io", &format!("temporary files are not on a whole disk: {other:?}")),
    };
    let file = std::env::temp_dir().join(format!("holm-test-{}-disk", std::process::id()));
    let script = format!("dd if=/dev/zero of={} bs=64k count=16 oflag=direct 2>/dev/null", file.display());
    let written = group.run(&script).0.wait().unwrap().success();
    let _ = std::fs::remove_file(&file);
    if !written {
        return skipped("io", "temporary files are not on a disk");
    }
    wait_until(|| {
        group.io_stats().unwrap().iter().map(|(_, it)| it.written_bytes).sum::<u64>() >= 16 * 65536
    });
    let (_, stats) = group.io_stats().unwrap()[0];
    assert!(stats.writes >= 1 && stats.writes <= 64, "{stats:?}");
}

#[test]
fn huge_pages_have_a_limit() {
    let Some(layout) = host("hugetlb") else { return };
    let Some(hierarchy) = layout.serving(Controller::Hugetlb) else {
        return skipped("hugetlb", "no hugetlb controller");
    };
    // On a hybrid host the v2 root would have to hand it down, which is not ours to change.
    if !layout.v1.is_empty() && hierarchy.version == Version::V2 {
        return skipped("hugetlb", "the controller is on the v2 side of a hybrid host");
    }
    let hugepages = vec![HugepageLimit { page_size: "2MB".to_owned(), max_bytes: 4 * MIB }];
    let group = Own::new("hugetlb", &layout, &Limits { hugepages, ..Limits::default() });
    let stats = group.hugetlb_stats().unwrap();
    let two = stats.iter().find(|it| it.page_size == "2MB").unwrap();
    assert_eq!((two.used_bytes, two.max_bytes, two.limit_hits), (0, Some(4 * MIB), 0));
}

/// The test starts itself twice: in the group, and there again as an ordinary user.
#[test]
fn an_ordinary_user_works_in_a_group_that_was_delegated() {
    use std::os::unix::process::CommandExt;
    let name = "an_ordinary_user_works_in_a_group_that_was_delegated";
    let again = |program: &Path, role: &str| {
        let mut command = std::process::Command::new(program);
        command.args(["--exact", name, "--nocapture"]).env("HOLM_TEST_ROLE", role);
        command
    };
    match std::env::var("HOLM_TEST_ROLE").as_deref() {
        Ok("user") => return as_ordinary_user(),
        Ok("in-group") => {
            let mut command = again(&std::env::current_exe().unwrap(), "user");
            assert!(command.uid(12345).gid(12345).status().unwrap().success());
            return;
        }
        _ => {}
    }
    let Some(layout) = host("user") else { return };
    if layout.v2.is_none() {
        return skipped("user", "no cgroup v2");
    }
    let group = Own::new("user", &Layout { v1: Vec::new(), ..layout }, &Limits::default());
    group.delegate(12345, 12345).unwrap();
    // The user may not read where this program was built.
    let program = std::env::temp_dir().join(format!("holm-test-{}-program", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let script = format!("HOLM_TEST_ROLE=in-group exec {} --exact {name} --nocapture", program.display());
    let status = group.run(&script).0.wait().unwrap();
    std::fs::remove_file(&program).unwrap();
    assert!(status.success());
}

fn as_ordinary_user() {
    let layout = Layout::read().unwrap();
    let candidates = cgroups::delegation::read_candidates(&layout).unwrap();
    let delegated = cgroups::delegation::choose(&candidates).unwrap();
    assert!(delegated.base.ends_with("leaf"), "{delegated:?}");
    assert!(!candidates[1].writable, "{candidates:?}");
    let place = delegated.place(cgroups::CgroupPath::parse("holm/mine").unwrap());
    let mut limits = Limits::default();
    let pids = candidates[0].controllers.contains(Controller::Pids);
    if pids {
        limits.pids_max = Some(Limit::At(5));
    }
    let wanted = cgroups::Wanted { place: &place, limits: &limits, which: cgroups::Which::Needed };
    let layout = Layout { v1: Vec::new(), ..layout };
    let plan = cgroups::plan(&delegated.narrow(&layout, true), &wanted).unwrap();
    if pids {
        assert!(cgroups::plan(&delegated.narrow(&layout, false), &wanted).is_err());
        let error = Cgroup::create(&plan).unwrap_err();
        assert!(matches!(error, Error::HoldsProcesses { .. }), "{error:?}");
    }
    let group = Own(Cgroup::create(&plan.evacuating()).unwrap());
    let mut child = group.run("exec sleep 60");
    assert_eq!(group.processes().unwrap(), [child.0.id()]);
    if pids {
        assert_eq!(group.pids_stats().unwrap().unwrap().max, Some(5));
    }
    group.freeze(PATIENCE).unwrap();
    group.kill_and_reap(&mut child);
}
