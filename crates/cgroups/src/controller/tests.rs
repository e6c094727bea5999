//! Which files are written, by version, and what texts of the kernel mean.

use expect_test::{Expect, expect};

use super::*;
use crate::limits::{
    CpuLimits, CpusetLimits, DeviceNumber, DeviceWeight, HugepageLimit, IoLimits, Limit, MemoryLimits, Rate,
    RdmaLimit, Throttle,
};
use crate::testing::mutations;

fn lines(writes: &Result<Vec<Write>, Refused>) -> String {
    match writes {
        Ok(writes) => writes.iter().map(|write| format!("{write}\n")).collect(),
        Err(refused) => format!("refused: {refused}\n"),
    }
}

fn check(v1: Result<Vec<Write>, Refused>, v2: Result<Vec<Write>, Refused>, expected: Expect) {
    expected.assert_eq(&format!("v1\n{}v2\n{}", lines(&v1), lines(&v2)));
}

fn check_memory(limits: MemoryLimits, expected: Expect) {
    check(memory::writes(&limits, Version::V1, None), memory::writes(&limits, Version::V2, None), expected);
}

fn memory(max: i64, both: i64) -> MemoryLimits {
    let limit = |value| (value != 0).then(|| Limit::from_oci(value));
    MemoryLimits { max_bytes: limit(max), memory_and_swap_max_bytes: limit(both), ..MemoryLimits::default() }
}

#[test]
fn swap_on_v2_is_what_exceeds_memory() {
    check_memory(
        memory(64, 96),
        expect![[r#"
        v1
        memory.limit_in_bytes 64
        memory.memsw.limit_in_bytes 96
        v2
        memory.swap.max 32
        memory.max 64
    "#]],
    );
    check_memory(
        memory(64, 64),
        expect![[r#"
        v1
        memory.limit_in_bytes 64
        memory.memsw.limit_in_bytes 64
        v2
        memory.swap.max 0
        memory.max 64
    "#]],
    );
    check_memory(
        memory(64, -1),
        expect![[r#"
        v1
        memory.limit_in_bytes 64
        memory.memsw.limit_in_bytes -1  (if there is such a file)
        v2
        memory.swap.max max  (if there is such a file)
        memory.max 64
    "#]],
    );
    check_memory(
        memory(-1, 0),
        expect![[r#"
        v1
        memory.limit_in_bytes -1
        memory.memsw.limit_in_bytes -1  (if there is such a file)
        v2
        memory.swap.max max  (if there is such a file)
        memory.max max
    "#]],
    );
    check_memory(
        memory(64, 32),
        expect![[r#"
        v1
        refused: memory.swap: 32 bytes of memory and swap together are less than 64 bytes of memory
        v2
        refused: memory.swap: 32 bytes of memory and swap together are less than 64 bytes of memory
    "#]],
    );
    check_memory(
        memory(0, 32),
        expect![[r#"
        v1
        refused: memory.swap: a limit on memory and swap needs one on memory
        v2
        refused: memory.swap: a limit on memory and swap needs one on memory
    "#]],
    );
    check_memory(
        memory(0, 0),
        expect![[r#"
        v1
        v2
    "#]],
    );
}

#[test]
fn memory_and_its_sum_with_swap_move_in_the_order_the_kernel_accepts() {
    let now = memory::Current { max: Limit::At(50), memory_and_swap_max: Limit::At(100), used_bytes: 10 };
    let update = |max, both| lines(&memory::writes(&memory(max, both), Version::V1, Some(now)));
    expect![[r#"
        memory.memsw.limit_in_bytes 300
        memory.limit_in_bytes 200
    "#]]
    .assert_eq(&update(200, 300));
    expect![[r#"
        memory.limit_in_bytes 20
        memory.memsw.limit_in_bytes 30
    "#]]
    .assert_eq(&update(20, 30));
    expect![[r#"
        memory.memsw.limit_in_bytes -1  (if there is such a file)
        memory.limit_in_bytes -1
    "#]]
    .assert_eq(&update(-1, 0));
    expect![[r#"
        memory.memsw.limit_in_bytes 80
    "#]]
    .assert_eq(&update(0, 80));
    let update = |max, both| lines(&memory::writes(&memory(max, both), Version::V2, Some(now)));
    expect![[r#"
        memory.swap.max 30
    "#]]
    .assert_eq(&update(0, 80));
}

#[test]
fn every_memory_limit_has_its_file() {
    let limits = MemoryLimits {
        max_bytes: Some(Limit::At(100)),
        low_bytes: Some(Limit::At(50)),
        kernel_tcp_max_bytes: Some(Limit::At(7)),
        swappiness_percent: Some(10),
        oom_kill_disabled: Some(true),
        ..MemoryLimits::default()
    };
    check_memory(
        limits,
        expect![[r#"
        v1
        memory.limit_in_bytes 100
        memory.soft_limit_in_bytes 50
        memory.kmem.tcp.limit_in_bytes 7
        memory.swappiness 10
        memory.oom_control 1
        v2
        refused: memory.kernelTCP: invalid configuration for cgroup v2, which serves memory on this host and does not have this limit
    "#]],
    );
    let limits = MemoryLimits {
        max_bytes: Some(Limit::At(100)),
        high_bytes: Some(Limit::At(80)),
        low_bytes: Some(Limit::Unlimited),
        ..MemoryLimits::default()
    };
    check_memory(
        limits,
        expect![[r#"
        v1
        refused: memory.high: invalid configuration for cgroup v1, which serves memory on this host and does not have this limit
        v2
        memory.low max
        memory.high 80
        memory.max 100
    "#]],
    );
}

#[test]
fn processor_limits_have_their_files() {
    let both = |limits: CpuLimits, expected| {
        check(cpu::writes(&limits, Version::V1), cpu::writes(&limits, Version::V2), expected);
    };
    let limits = CpuLimits {
        shares: Some(1024),
        quota_us: Some(Limit::At(50_000)),
        period_us: Some(200_000),
        burst_us: Some(1000),
        ..CpuLimits::default()
    };
    both(
        limits,
        expect![[r#"
        v1
        cpu.shares 1024
        cpu.cfs_period_us 200000
        cpu.cfs_burst_us 1000
        cpu.cfs_quota_us 50000
        v2
        cpu.weight 100
        cpu.max.burst 1000
        cpu.max 50000 200000
    "#]],
    );
    both(
        CpuLimits { quota_us: Some(Limit::Unlimited), ..CpuLimits::default() },
        expect![[r#"
        v1
        cpu.cfs_quota_us -1
        v2
        cpu.max max
    "#]],
    );
    both(
        CpuLimits { period_us: Some(1000), ..CpuLimits::default() },
        expect![[r#"
        v1
        cpu.cfs_period_us 1000
        v2
        cpu.max max 1000
    "#]],
    );
    both(
        CpuLimits { idle: Some(true), shares: Some(2), ..CpuLimits::default() },
        expect![[r#"
        v1
        cpu.shares 2
        cpu.idle 1
        v2
        cpu.idle 1
    "#]],
    );
    both(
        CpuLimits { idle: Some(false), shares: Some(2), ..CpuLimits::default() },
        expect![[r#"
        v1
        cpu.idle 0  (if there is such a file)
        cpu.shares 2
        v2
        cpu.idle 0  (if there is such a file)
        cpu.weight 1
    "#]],
    );
    both(
        CpuLimits { realtime_runtime_us: Some(5), realtime_period_us: Some(9), ..CpuLimits::default() },
        expect![[r#"
            v1
            cpu.rt_period_us 9
            cpu.rt_runtime_us 5
            v2
            refused: cpu.realtimeRuntime: invalid configuration for cgroup v2, which serves cpu on this host and does not have this limit
        "#]],
    );
    both(
        CpuLimits { weight: Some(10_001), ..CpuLimits::default() },
        expect![[r#"
        v1
        refused: cpu.weight: 10001 is not between 1 and 10000
        v2
        refused: cpu.weight: 10001 is not between 1 and 10000
    "#]],
    );
}

#[test]
fn shares_become_weights_by_the_formula_of_2025() {
    // Values of the test in opencontainers/cgroups, and the ends.
    for (shares, weight) in [
        (0, None),
        (1, Some(1)),
        (2, Some(1)),
        (1024, Some(100)),
        (262_144, Some(10_000)),
        (u64::MAX, Some(10_000)),
    ] {
        assert_eq!(cpu::weight_from_shares(shares), weight, "{shares}");
    }
    let weights: Vec<_> = (2..262_200).map(|shares| cpu::weight_from_shares(shares).unwrap()).collect();
    assert!(weights.is_sorted() && weights.iter().all(|weight| (1..=10_000).contains(weight)));
}

#[test]
fn block_devices_have_their_files() {
    let device = DeviceNumber { major: 8, minor: 16 };
    let other = DeviceNumber { major: 259, minor: 0 };
    let throttle = |device, rate, per_second| Throttle { device, rate, per_second };
    let limits = IoLimits {
        weight: Some(500),
        device_weights: vec![DeviceWeight { device, weight: Some(10), leaf_weight: None }],
        throttles: vec![
            throttle(device, Rate::ReadBytes, 1_048_576),
            throttle(other, Rate::WriteOperations, 10),
            throttle(device, Rate::WriteBytes, 0),
            throttle(device, Rate::ReadOperations, 5),
        ],
        ..IoLimits::default()
    };
    check(
        io::writes(&limits, Version::V1),
        io::writes(&limits, Version::V2),
        expect![[r#"
        v1
        blkio.weight 500  (or blkio.bfq.weight 500)
        blkio.weight_device 8:16 10  (or blkio.bfq.weight_device 8:16 10)
        blkio.throttle.read_bps_device 8:16 1048576
        blkio.throttle.write_iops_device 259:0 10
        blkio.throttle.write_bps_device 8:16 0
        blkio.throttle.read_iops_device 8:16 5
        v2
        io.bfq.weight 500  (or io.weight default 4950)
        io.bfq.weight 8:16 10  (or io.weight 8:16 1)
        io.max 8:16 rbps=1048576 wbps=max riops=5
        io.max 259:0 wiops=10
    "#]],
    );
    let limits = IoLimits { weight: Some(9), ..IoLimits::default() };
    check(
        io::writes(&limits, Version::V1),
        io::writes(&limits, Version::V2),
        expect![[r#"
        v1
        refused: blockIO.weight: 9 is not between 10 and 1000
        v2
        refused: blockIO.weight: 9 is not between 10 and 1000
    "#]],
    );
    assert_eq!((io::weight_from_blkio(10), io::weight_from_blkio(1000)), (1, 10_000));
}

#[test]
fn the_small_controllers_have_their_files() {
    let pages = |size: &str| [HugepageLimit { page_size: size.to_owned(), max_bytes: 9 }];
    let huge = |size, version| hugetlb::writes(&pages(size), version);
    check(
        huge("2MB", Version::V1),
        huge("1GB", Version::V2),
        expect![[r#"
        v1
        hugetlb.2MB.limit_in_bytes 9
        hugetlb.2MB.rsvd.limit_in_bytes 9  (if there is such a file)
        v2
        hugetlb.1GB.max 9
        hugetlb.1GB.rsvd.max 9  (if there is such a file)
    "#]],
    );
    check(
        huge("../x", Version::V1),
        huge("MB", Version::V2),
        expect![[r#"
        v1
        refused: hugepageLimits.pageSize: `../x` is not a size such as `2MB`
        v2
        refused: hugepageLimits.pageSize: `MB` is not a size such as `2MB`
    "#]],
    );
    let rdma = [RdmaLimit { device: "mlx5_1".to_owned(), hca_handles: Some(3), hca_objects: None }];
    check(
        rdma::writes(&rdma),
        misc::writes(&[("sev_es".to_owned(), Limit::Unlimited)]),
        expect![[r#"
        v1
        rdma.max mlx5_1 hca_handle=3
        v2
        misc.max sev_es max
    "#]],
    );
    let eth0 = [("eth0".to_owned(), 5)];
    check(
        net_prio::writes(&eth0, Version::V1),
        net_prio::writes(&eth0, Version::V2),
        expect![[r#"
        v1
        net_prio.ifpriomap eth0 5
        v2
        refused: network.priorities: invalid configuration for cgroup v2, which serves net_prio on this host and does not have this limit
    "#]],
    );
    check(
        net_cls::writes(Some(0x10001), Version::V1),
        net_cls::writes(None, Version::V2),
        expect![[r#"
        v1
        net_cls.classid 65537
        v2
    "#]],
    );
    let set = |cpus: &str| {
        cpuset::writes(&CpusetLimits { cpus: Some(cpus.to_owned()), mems: Some("0".to_owned()) })
    };
    check(
        set("0-3,8"),
        set("0-,3"),
        expect![[r#"
        v1
        cpuset.cpus 0-3,8
        cpuset.mems 0
        v2
        refused: cpu.cpus: `0-,3` is not a list such as `0-3,8`
    "#]],
    );
}

#[test]
fn lists_of_processors_are_ranges() {
    assert_eq!(cpuset::parse_list("0-3,8\n"), Some(vec![(0, 3), (8, 8)]));
    assert_eq!(cpuset::parse_list("0-31:2/8"), Some(vec![(0, 31)]));
    assert_eq!(cpuset::parse_list("\n"), Some(vec![]));
    for bad in ["3-1", "a", "1,,2", "-1", "1-2-3", "0-3:9/8", "0-3:1/0"] {
        assert_eq!(cpuset::parse_list(bad), None, "{bad}");
    }
}

const CPU_STAT: &str = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnice_usec 0\n\
    core_sched.force_idle_usec 0\nnr_periods 10\nnr_throttled 3\nthrottled_usec 70000\nnr_bursts 1\nburst_usec 9\n";
const MEMORY_STAT: &str = "anon 4096\nfile 8192\nkernel 1024\nkernel_stack 16\nshmem 12\ninactive_file 4096\n\
    pgfault 100\npgmajfault 2\nworkingset_refault_anon 0\n";
const MEMORY_STAT_V1: &str = "cache 1\nrss 2\ntotal_cache 8192\ntotal_rss 4096\ntotal_inactive_file 4096\n\
    total_shmem 12\ntotal_pgfault 100\ntotal_pgmajfault 2\n";
const IO_STAT: &str = "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n\
    8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021\n254:0\n";
const BLKIO_BYTES: &str = "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 4096\n8:0 Async 8192\n8:0 Discard 1\n\
    8:0 Total 12289\nTotal 12289\n";
const PRESSURE: &str = "some avg10=1.50 avg60=0.25 avg300=0.01 total=123456\n\
    full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";

#[test]
fn statistics_of_both_versions_mean_the_same() {
    let stats = cpu::CpuStats::parse_v2(CPU_STAT);
    assert_eq!((stats.used_ns, stats.periods, stats.throttled_ns), (2_500_000_000, 10, 70_000_000));
    let v1 = cpu::CpuStats::parse_v1(
        "nr_periods 10\nnr_throttled 3\nthrottled_time 70000000\nnr_bursts 1\nburst_time 9000\n",
    );
    assert_eq!(v1, cpu::CpuStats { used_ns: 0, user_ns: 0, system_ns: 0, ..stats });

    let (mut one, mut two) = (memory::MemoryStats::default(), memory::MemoryStats::default());
    one.parse_stat(MEMORY_STAT_V1, Version::V1);
    two.parse_stat(MEMORY_STAT, Version::V2);
    let same = |it: &memory::MemoryStats| {
        (
            it.anonymous_bytes,
            it.file_bytes,
            it.inactive_file_bytes,
            it.shared_bytes,
            it.faults,
            it.major_faults,
        )
    };
    assert_eq!(same(&one), (4096, 8192, 4096, 12, 100, 2));
    assert_eq!(same(&one), same(&two));

    let devices = io::parse_stat(IO_STAT);
    assert_eq!(devices.len(), 3);
    assert_eq!(devices[1].1.discards, 3021);
    let devices = io::parse_v1(BLKIO_BYTES, "8:0 Read 1\n8:0 Write 2\n9:1 Read 4\nTotal 7\n");
    assert_eq!(devices.len(), 2);
    let sda = devices[0].1;
    assert_eq!((sda.read_bytes, sda.written_bytes, sda.reads, sda.writes), (4096, 8192, 1, 2));

    let pressure = crate::pressure::Pressure::parse(PRESSURE).unwrap();
    assert_eq!((pressure.some.total_us, pressure.full.unwrap().total_us), (123_456, 7));
    assert_eq!(cpuacct::CpuacctStats::parse_per_cpu("12 0 7 \n"), [12, 0, 7]);
    assert_eq!(rdma::parse("mlx4_0 hca_handle=2 hca_object=max\n")[0].hca_handles, 2);
    assert_eq!(misc::parse("sev 3\n"), [("sev".to_owned(), 3)]);
    assert_eq!(hugetlb::page_size_in("hugetlb.2MB.current"), Some("2MB"));
    assert_eq!(hugetlb::page_size_in("hugetlb.2MB.rsvd.current"), None);
    assert_eq!(crate::parse::limit("9223372036854771712\n"), None);
    assert_eq!(crate::parse::limit("max\n"), None);
    assert_eq!(crate::parse::limit("4096\n"), Some(4096));
}

#[test]
fn no_text_makes_a_parser_panic() {
    for text in
        [CPU_STAT, MEMORY_STAT, MEMORY_STAT_V1, IO_STAT, BLKIO_BYTES, PRESSURE, "0-3,8:1/2", "c 1:3 rwm\n"]
    {
        for spoilt in mutations(text.as_bytes(), 200) {
            let spoilt = String::from_utf8_lossy(&spoilt);
            let mut stats = memory::MemoryStats::default();
            stats.parse_stat(&spoilt, Version::V1);
            stats.parse_stat(&spoilt, Version::V2);
            stats.parse_events(&spoilt);
            let _ = (cpu::CpuStats::parse_v1(&spoilt), cpu::CpuStats::parse_v2(&spoilt));
            let _ = (io::parse_stat(&spoilt), io::parse_v1(&spoilt, &spoilt), cpuset::parse_list(&spoilt));
            let _ = (rdma::parse(&spoilt), misc::parse(&spoilt), hugetlb::page_size_in(&spoilt));
            let _ =
                (crate::pressure::Pressure::parse(&spoilt), cpuacct::CpuacctStats::parse_per_cpu(&spoilt));
            let _ = (crate::parse::limit(&spoilt), devices::transition(&spoilt, &[]));
        }
    }
}
