//! Every parser of a file of cgroupfs on every text.

#![no_main]

use cgroups::controller::{cpu, cpuacct, cpuset, hugetlb, io, memory, misc, rdma};
use cgroups::pressure::Pressure;
use cgroups::{ControllerSet, Version, units};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut stats = memory::MemoryStats::default();
    stats.parse_stat(text, Version::V1);
    stats.parse_stat(text, Version::V2);
    stats.parse_events(text);
    let _ = (cpu::CpuStats::parse_v1(text), cpu::CpuStats::parse_v2(text));
    let _ = (cpuacct::CpuacctStats::parse_per_cpu(text), cpuset::parse_list(text));
    let _ = (io::parse_stat(text), io::parse_v1(text, text));
    let _ = (rdma::parse(text), misc::parse(text), hugetlb::page_size_in(text));
    let _ = (Pressure::parse(text), ControllerSet::parse(text.as_bytes()));
    let _ = (units::parse_bytes(text), units::parse_cpus(text), units::parse_device_rate(text));
});
