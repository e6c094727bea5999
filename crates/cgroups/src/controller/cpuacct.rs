//! Processor time used, on v1: the `cpuacct` controller. It has no limits; on v2 `cpu.stat` tells the same.

/// Processor time used, as v1 tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuacctStats {
    /// Time used, in nanoseconds (`cpuacct.usage`).
    pub used_ns: u64,
    /// Of that in user mode (`cpuacct.usage_user`).
    pub user_ns: u64,
    /// Of that in the kernel (`cpuacct.usage_sys`).
    pub system_ns: u64,
    /// Time used on each processor (`cpuacct.usage_percpu`).
    pub per_cpu_ns: Vec<u64>,
}

impl CpuacctStats {
    /// The numbers in `cpuacct.usage_percpu`.
    pub fn parse_per_cpu(text: &str) -> Vec<u64> {
        text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect()
    }
}
