//! Statistics in the form of `runc events` (its `types/events.go`), which engines read.

use cgroups::cgroup::Stats;
use cgroups::controller::memory::MemoryStats;
use cgroups::pressure::{Pressure, Stall};
use serde_json::{Map, Value, json};

/// A report of what a container uses.
pub(super) fn stats(id: &str, stats: &Stats) -> String {
    let data = json!({
        "cpu": cpu(stats),
        "cpuset": {},
        "memory": memory(stats),
        "pids": stats.pids.map_or_else(|| json!({}), |pids| filled([
            ("current", Some(pids.current)),
            ("limit", pids.max),
        ])),
        "blkio": block(stats),
        "hugetlb": stats.hugetlb.iter().map(|size| {
            let usage = filled([
                ("usage", Some(size.used_bytes)),
                ("max", size.peak_bytes),
                ("failcnt", Some(size.limit_hits)),
            ]);
            (size.page_size.clone(), usage)
        }).collect::<Map<_, _>>(),
        "intel_rdt": {},
        "network_interfaces": null,
    });
    // In this order, which some readers look for as text.
    format!(r#"{{"type":"stats","id":{},"data":{data}}}"#, json!(id))
}

/// Memory ran out.
pub(super) fn oom(id: &str) -> String {
    format!(r#"{{"type":"oom","id":{}}}"#, json!(id))
}

/// An object of what is known.
fn filled<const N: usize>(entries: [(&str, Option<u64>); N]) -> Value {
    let known = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(known.collect())
}

fn with_pressure(mut value: Value, pressure: Option<&Pressure>) -> Value {
    if let Some(pressure) = pressure {
        let stall = |stall: &Stall| {
            json!({
                "avg10": stall.avg10_percent,
                "avg60": stall.avg60_percent,
                "avg300": stall.avg300_percent,
                "total": stall.total_us,
            })
        };
        value["psi"] =
            json!({ "some": stall(&pressure.some), "full": stall(&pressure.full.unwrap_or_default()) });
    }
    value
}

fn cpu(stats: &Stats) -> Value {
    let mut usage = json!({ "kernel": 0, "user": 0 });
    let mut throttling = json!({});
    if let Some(cpu) = stats.cpu {
        usage = json!({ "total": cpu.used_ns, "kernel": cpu.system_ns, "user": cpu.user_ns });
        throttling = json!({
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled_ns,
        });
        if cpu.bursts > 0 {
            throttling["burstsPeriods"] = cpu.bursts.into();
            throttling["burstTime"] = cpu.burst_ns.into();
        }
    }
    if let Some(each) = &stats.cpuacct {
        usage["percpu"] = each.per_cpu_ns.clone().into();
    }
    with_pressure(json!({ "usage": usage, "throttling": throttling }), stats.cpu_pressure.as_ref())
}

/// No limit is the largest number, as runc has it.
const UNLIMITED: u64 = u64::MAX;

fn memory(stats: &Stats) -> Value {
    let entry = |limit: Option<u64>, usage: u64, max: Option<u64>, hits: u64| {
        filled([
            ("limit", Some(limit.unwrap_or(UNLIMITED))),
            ("usage", Some(usage)),
            ("max", max),
            ("failcnt", Some(hits)),
        ])
    };
    let none = MemoryStats::default();
    let memory = stats.memory.as_ref().unwrap_or(&none);
    let value = json!({
        "cache": memory.file_bytes,
        "usage": entry(memory.max_bytes, memory.used_bytes, memory.peak_bytes, memory.limit_hits),
        // Memory and swap together on v1, as the kernel counts there.
        "swap": entry(memory.swap_max_bytes, memory.swap_used_bytes.unwrap_or(0), None, 0),
        "kernel": entry(None, memory.kernel_bytes, None, 0),
        "kernelTCP": entry(None, 0, None, 0),
        "raw": memory.stat.iter().map(|(name, value)| (name.clone(), Value::from(*value))).collect::<Map<_, _>>(),
    });
    with_pressure(value, stats.memory_pressure.as_ref())
}

fn block(stats: &Stats) -> Value {
    let entries = |of: fn(&cgroups::controller::io::DeviceStats) -> [(&'static str, u64); 3]| {
        let mut list = Vec::new();
        for (device, device_stats) in &stats.io {
            for (op, value) in of(device_stats) {
                list.push(json!({ "major": device.major, "minor": device.minor, "op": op, "value": value }));
            }
        }
        list
    };
    let bytes =
        entries(|io| [("Read", io.read_bytes), ("Write", io.written_bytes), ("Discard", io.discarded_bytes)]);
    let operations = entries(|io| [("Read", io.reads), ("Write", io.writes), ("Discard", io.discards)]);
    let mut value = json!({});
    if !bytes.is_empty() {
        value = json!({ "ioServiceBytesRecursive": bytes, "ioServicedRecursive": operations });
    }
    with_pressure(value, stats.io_pressure.as_ref())
}

#[cfg(test)]
mod tests {
    use cgroups::controller::cpu::CpuStats;
    use cgroups::controller::io::DeviceStats;
    use cgroups::controller::pids::PidsStats;
    use cgroups::limits::DeviceNumber;

    use super::*;

    #[test]
    fn statistics_have_the_names_that_engines_read() {
        let pressure = Pressure::parse(
            "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3",
        );
        let all = Stats {
            cpu: Some(CpuStats {
                used_ns: 30,
                user_ns: 10,
                system_ns: 20,
                throttled_periods: 2,
                ..CpuStats::default()
            }),
            memory: Some(MemoryStats {
                used_bytes: 4096,
                max_bytes: Some(8192),
                limit_hits: 1,
                stat: vec![("anon".to_owned(), 5)],
                ..MemoryStats::default()
            }),
            pids: Some(PidsStats { current: 3, max: None, peak: None, limit_hits: 0 }),
            io: vec![(
                DeviceNumber { major: 8, minor: 0 },
                DeviceStats { read_bytes: 512, reads: 1, ..DeviceStats::default() },
            )],
            cpu_pressure: pressure,
            ..Stats::default()
        };
        let value: Value = serde_json::from_str(&stats("web", &all)).unwrap();
        let at = |path: &str| value.pointer(path).unwrap_or_else(|| panic!("{path} in {value:#}"));
        assert_eq!((at("/type"), at("/id")), (&json!("stats"), &json!("web")));
        assert_eq!(at("/data/cpu/usage"), &json!({ "total": 30, "kernel": 20, "user": 10 }));
        assert_eq!(at("/data/cpu/throttling/throttledPeriods"), &json!(2));
        assert_eq!(at("/data/cpu/psi/some/avg10"), &json!(1.5));
        assert_eq!(at("/data/memory/usage"), &json!({ "limit": 8192, "usage": 4096, "failcnt": 1 }));
        assert_eq!(at("/data/memory/swap/limit"), &json!(u64::MAX));
        assert_eq!(at("/data/memory/raw/anon"), &json!(5));
        assert_eq!(at("/data/pids"), &json!({ "current": 3 }));
        let read = json!({ "major": 8, "minor": 0, "op": "Read", "value": 512 });
        assert_eq!(at("/data/blkio/ioServiceBytesRecursive/0"), &read);
        assert_eq!(oom("web"), r#"{"type":"oom","id":"web"}"#);
    }
}
