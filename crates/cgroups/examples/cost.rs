//! What a group costs on this host: the parts of it that a launch waits for, in microseconds.
//!
//! `cargo run --release -p holm-cgroups --example cost`

use std::time::{Duration, Instant};

use cgroups::{Cgroup, CgroupPath, Layout, Limits, Place, Wanted, Which, plan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("holm-cost-{}", std::process::id());
    let mut parts: [(&str, Vec<Duration>); 5] =
        ["layout", "plan", "create", "joining", "remove"].map(|it| (it, Vec::new()));
    let keep = Place::Mount(CgroupPath::parse(&format!("{name}/keep"))?);
    let limits = Limits::default();
    let decide =
        |layout: &Layout, place: &Place| plan(layout, &Wanted { place, limits: &limits, which: Which::All });
    let kept = Cgroup::create(&decide(&Layout::read()?, &keep)?)?;
    for round in 0..300 {
        let place = Place::Mount(CgroupPath::parse(&format!("{name}/{round}"))?);
        let mut part = 0;
        let mut lap = |started: Instant| {
            parts[part].1.push(started.elapsed());
            part += 1;
            Instant::now()
        };
        let started = Instant::now();
        let layout = Layout::read()?;
        let started = lap(started);
        let plan = decide(&layout, &place)?;
        let started = lap(started);
        let cgroup = Cgroup::create(&plan)?;
        let started = lap(started);
        let joining = cgroup.joining()?;
        let started = lap(started);
        drop(joining);
        cgroup.remove(Duration::from_secs(1)).map_err(|mut errors| errors.remove(0))?;
        lap(started);
    }
    kept.remove(Duration::from_secs(1)).map_err(|mut errors| errors.remove(0))?;
    kept.remove_made_parents();
    for (name, times) in &mut parts {
        times.sort_unstable();
        let micros = |at: usize| times[at].as_nanos() as f64 / 1000.0;
        println!("{name:8} min {:7.1}  median {:7.1}  p90 {:7.1}", micros(0), micros(150), micros(270));
    }
    Ok(())
}
