//! `holm cgroup stat`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cgroups::cgroup::{Stats, Usage};
use cgroups::controller::{cpuset, perf_event};
use cgroups::pressure::Pressure;
use cgroups::Cgroup;
use clap::ArgMatches;
use serde_json::{Map, Value, json};
use sys::perf::{Counter, Event};

use super::{count, seconds, show};
use crate::commands::failure::Failure;
use crate::commands::table;

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let (watch, perf) = (seconds(matches, "watch")?, seconds(matches, "perf")?);
    let lines = count(matches, "count")?;
    let (_host, _, cgroup) = super::named(matches)?;
    let as_json = matches.get_flag("json");
    match (watch, perf) {
        (Some(pause), _) => follow(&cgroup, pause, lines, as_json)?,
        (None, Some(time)) => engine::run::print(&counted(&cgroup, time, as_json)?)?,
        (None, None) => {
            let stats = cgroup.stats()?;
            let text = if as_json { table::json(&to_json(&stats)) } else { shown(&stats) };
            engine::run::print(&text)?;
        }
    }
    Ok(0)
}

/// A line every `pause`, until the count is reached or the group is gone.
fn follow(cgroup: &Cgroup, pause: Duration, lines: Option<u64>, as_json: bool) -> Result<(), Failure> {
    if !as_json {
        engine::run::print("   CPU %    MEMORY   TASKS    READ/s  WRITTEN/s  THROTTLED\n")?;
    }
    let (mut before, mut at) = (cgroup.usage()?, Instant::now());
    let mut printed = 0;
    while lines.is_none_or(|lines| printed < lines) {
        std::thread::sleep(pause);
        if cgroup.recorded().iter().all(|it| !it.mount.join(&it.path).exists()) {
            break;
        }
        let (now, looked) = (cgroup.usage()?, Instant::now());
        let wall_ns = looked.duration_since(at).as_nanos() as u64;
        engine::run::print(&line(&before, &now, wall_ns, as_json))?;
        (before, at) = (now, looked);
        printed += 1;
    }
    Ok(())
}

fn line(before: &Usage, now: &Usage, wall_ns: u64, as_json: bool) -> String {
    let since = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
    let cpu = since(now.cpu_ns, before.cpu_ns);
    let a_second = |count: u64| (count as f64 * 1e9 / wall_ns.max(1) as f64) as u64;
    let read = since(now.read_bytes, before.read_bytes).map(a_second);
    let written = since(now.written_bytes, before.written_bytes).map(a_second);
    let throttled = since(now.throttled_periods, before.throttled_periods);
    if as_json {
        let percent = cpu.map(|cpu| (cpu as f64 * 1000.0 / wall_ns.max(1) as f64).round() / 10.0);
        let value = json!({
            "cpu_percent": percent,
            "memory_bytes": now.memory_bytes,
            "tasks": now.tasks,
            "read_bytes_per_second": read,
            "written_bytes_per_second": written,
            "throttled_periods": throttled,
        });
        return format!("{value}\n");
    }
    format!(
        "{:>8}  {:>8}  {:>6}  {:>8}  {:>9}  {:>9}\n",
        show::or_dash(cpu, |cpu| show::percent(cpu, wall_ns)),
        show::or_dash(now.memory_bytes, show::bytes),
        show::or_dash(now.tasks, |tasks| tasks.to_string()),
        show::or_dash(read, show::bytes),
        show::or_dash(written, show::bytes),
        show::or_dash(throttled, |periods| periods.to_string()),
    )
}

/// What the kernel's own events come to within `time`.
fn counted(cgroup: &Cgroup, time: Duration, as_json: bool) -> Result<String, Failure> {
    let group = perf_event::open(cgroup)?;
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let ranges = cpuset::parse_list(&online).unwrap_or_default();
    let mut counters = Vec::new();
    for processor in ranges.into_iter().flat_map(|(first, last)| first..=last) {
        for event in Event::ALL {
            match Counter::open(&group, processor, event) {
                Ok(counter) => counters.push((event, counter)),
                // It went offline meanwhile.
                Err(error) if error.errno == sys::Errno::NODEV => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    std::thread::sleep(time);
    let mut text = String::new();
    let mut object = Map::new();
    for event in Event::ALL {
        let mine = counters.iter().filter(|(of, _)| *of == event);
        let sum = mine.map(|(_, counter)| counter.read()).sum::<Result<u64, _>>()?;
        let value = if event == Event::TaskClock { show::time(sum) } else { sum.to_string() };
        let _ = writeln!(text, "{:<20} {value}", event.name());
        object.insert(event.name().to_owned(), sum.into());
    }
    Ok(if as_json { table::json(&Value::Object(object)) } else { text })
}

fn shown(stats: &Stats) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<20} {value}");
    };
    if let Some(cpu) = &stats.cpu {
        line("cpu.used", show::time(cpu.used_ns));
        line("cpu.user", show::time(cpu.user_ns));
        line("cpu.system", show::time(cpu.system_ns));
        line(
            "cpu.throttled",
            format!("{} of {} periods, {}", cpu.throttled_periods, cpu.periods, show::time(cpu.throttled_ns)),
        );
    }
    if let Some(memory) = &stats.memory {
        line("memory.used", show::bytes(memory.used_bytes));
        line("memory.peak", show::or_dash(memory.peak_bytes, show::bytes));
        line("memory.max", memory.max_bytes.map_or("max".to_owned(), show::bytes));
        line("memory.anonymous", show::bytes(memory.anonymous_bytes));
        line("memory.file", show::bytes(memory.file_bytes));
        line("memory.kernel", show::bytes(memory.kernel_bytes));
        line("memory.swap", show::or_dash(memory.swap_used_bytes, show::bytes));
        line("memory.limit_hits", memory.limit_hits.to_string());
        line("memory.oom_kills", memory.oom_kills.to_string());
    }
    if let Some(pids) = &stats.pids {
        line("pids.current", pids.current.to_string());
        line("pids.peak", show::or_dash(pids.peak, |peak| peak.to_string()));
        line("pids.max", pids.max.map_or("max".to_owned(), |max| max.to_string()));
        line("pids.limit_hits", pids.limit_hits.to_string());
    }
    for (device, io) in &stats.io {
        let value = format!(
            "read {} in {}, written {} in {}",
            show::bytes(io.read_bytes),
            io.reads,
            show::bytes(io.written_bytes),
            io.writes
        );
        line(&format!("io {device}"), value);
    }
    for huge in &stats.hugetlb {
        line(&format!("hugetlb.{}", huge.page_size), show::bytes(huge.used_bytes));
    }
    for (name, pressure) in pressures(stats) {
        if let Some(it) = pressure {
            let full = it.full.map_or(0.0, |full| full.avg10_percent);
            line(name, format!("some {:.2} %, full {full:.2} % of the last 10 s", it.some.avg10_percent));
        }
    }
    text
}

fn pressures(stats: &Stats) -> [(&'static str, Option<Pressure>); 3] {
    [
        ("cpu.pressure", stats.cpu_pressure),
        ("memory.pressure", stats.memory_pressure),
        ("io.pressure", stats.io_pressure),
    ]
}

fn to_json(stats: &Stats) -> Value {
    let mut all = Map::new();
    if let Some(cpu) = &stats.cpu {
        all.insert("cpu".to_owned(), json!({
            "used_ns": cpu.used_ns,
            "user_ns": cpu.user_ns,
            "system_ns": cpu.system_ns,
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_ns": cpu.throttled_ns,
        }));
    }
    if let Some(per_cpu) = stats.cpuacct.as_ref().map(|it| &it.per_cpu_ns) {
        all.insert("cpu_by_processor_ns".to_owned(), json!(per_cpu));
    }
    if let Some(memory) = &stats.memory {
        all.insert("memory".to_owned(), json!({
            "used_bytes": memory.used_bytes,
            "peak_bytes": memory.peak_bytes,
            "max_bytes": memory.max_bytes,
            "anonymous_bytes": memory.anonymous_bytes,
            "file_bytes": memory.file_bytes,
            "kernel_bytes": memory.kernel_bytes,
            "swap_used_bytes": memory.swap_used_bytes,
            "faults": memory.faults,
            "major_faults": memory.major_faults,
            "limit_hits": memory.limit_hits,
            "oom_kills": memory.oom_kills,
        }));
    }
    if let Some(pids) = &stats.pids {
        all.insert("pids".to_owned(), json!({
            "current": pids.current, "peak": pids.peak, "max": pids.max, "limit_hits": pids.limit_hits,
        }));
    }
    let io = stats.io.iter().map(|(device, io)| {
        json!({
            "device": device.to_string(),
            "read_bytes": io.read_bytes,
            "written_bytes": io.written_bytes,
            "reads": io.reads,
            "writes": io.writes,
        })
    });
    all.insert("io".to_owned(), Value::Array(io.collect()));
    let huge = stats.hugetlb.iter().map(|it| json!({ "page_size": it.page_size, "used_bytes": it.used_bytes }));
    all.insert("hugetlb".to_owned(), Value::Array(huge.collect()));
    for (name, pressure) in pressures(stats) {
        if let Some(it) = pressure {
            let full = it.full.map(|full| full.total_us);
            all.insert(name.replace('.', "_"), json!({ "some_us": it.some.total_us, "full_us": full }));
        }
    }
    Value::Object(all)
}
