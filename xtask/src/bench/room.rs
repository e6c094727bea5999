//! The private environment of a measurement.
//!
//! Cgroups of its own, a cgroup namespace that starts there, /sys/fs/cgroup with the wanted [`View`], a tmpfs on /run:
//! several runs can go on side by side and nothing of the host is touched. [`measure`] makes the cgroups and starts
//! this program anew as `bench-room`; that one joins them, goes through unshare(1) and measures.

use super::scenario::{Task, View};
use super::stats::Series;
use crate::Outcome;
use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::time::Duration;

/// Stands for the container's id in a command line.
pub(super) const ID: &str = "{id}";

/// What the room is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) view: View,
    pub(super) runs: u32,
    pub(super) gap_us: u64,
    pub(super) timer: PathBuf,
    pub(super) task: Task,
    pub(super) launches: Vec<Launch>,
}

/// One program's command line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) name: String,
    pub(super) argv: Vec<String>,
    /// Its config.json, for those that have one.
    pub(super) config: Option<PathBuf>,
}

/// A program's name and what came out, or why nothing did.
pub(super) type Measured = Vec<(String, Result<Series, String>)>;

/// The cgroup hierarchies of this host, and where in them this process is.
pub(crate) struct Hierarchies(Vec<Hierarchy>);

struct Hierarchy {
    /// `cpu,cpuacct`, `name=systemd`, or nothing for the unified one.
    controllers: String,
    directory: PathBuf,
}

impl Hierarchies {
    pub(crate) fn read() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut found = Vec::new();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let mount_point = mounts.lines().find_map(|mount| mount_of(mount, controllers));
            if let Some(mount_point) = mount_point {
                let directory = Path::new(mount_point).join(path.trim_start_matches('/'));
                found.push(Hierarchy { controllers: controllers.to_owned(), directory });
            }
        }
        Ok(Self(found))
    }

    /// Whether a view can be shown here.
    pub(super) fn offer(&self, view: View) -> bool {
        let v1 = self.0.iter().any(|hierarchy| !hierarchy.controllers.is_empty());
        let v2 = self.0.iter().any(|hierarchy| hierarchy.controllers.is_empty());
        match view {
            View::V1 => v1,
            View::V2 => v2,
            View::Hybrid => v1 && v2,
        }
    }
}

/// The mount point in a line of /proc/self/mounts, if it is the hierarchy with these controllers.
fn mount_of<'a>(line: &'a str, controllers: &str) -> Option<&'a str> {
    let mut fields = line.split(' ').skip(1);
    let (target, fstype, options) = (fields.next()?, fields.next()?, fields.next()?);
    let is_it = match controllers {
        "" => fstype == "cgroup2",
        _ => {
            fstype == "cgroup"
                && controllers.split(',').all(|one| options.split(',').any(|option| option == one))
        }
    };
    is_it.then_some(target)
}

/// Carries out a plan in a room of its own.
pub(super) fn measure(hierarchies: &Hierarchies, plan: &Plan) -> Result<Measured, Box<dyn Error>> {
    let groups = Groups::make(hierarchies, "bench")?;
    let mut child = process::Command::new(std::env::current_exe()?)
        .arg("bench-room")
        .args(groups.0.iter().map(|group| format!("--enter={}", group.display())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("it is piped").write_all(&serde_json::to_vec(plan)?)?;
    let output = child.wait_with_output()?;
    drop(groups);
    if !output.status.success() {
        return Err(format!("the measurement ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Cgroups of our own; removed with what is below them when dropped.
pub(crate) struct Groups(pub(crate) Vec<PathBuf>);

impl Groups {
    pub(crate) fn make(hierarchies: &Hierarchies, label: &str) -> io::Result<Self> {
        let mut made = Self(Vec::new());
        for hierarchy in &hierarchies.0 {
            sweep(&hierarchy.directory, label);
            let group = hierarchy.directory.join(format!("holm-{label}-{}", process::id()));
            fs::create_dir(&group)?;
            made.0.push(group.clone());
            if hierarchy.controllers.split(',').any(|one| one == "cpuset") {
                // A v1 cpuset takes no process before it has processors and memory nodes.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(group.join(file), fs::read(hierarchy.directory.join(file))?)?;
                }
            }
        }
        Ok(made)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            remove_tree(group);
        }
    }
}

/// Takes away the groups, with all processes in them, of runs that were killed before they could.
fn sweep(directory: &Path, label: &str) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let maker = name.strip_prefix("holm-").and_then(|rest| rest.strip_prefix(label)?.strip_prefix('-'));
        let Some(maker) = maker.and_then(|maker| maker.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{maker}")).exists() {
            kill_all(&entry.path());
            remove_tree(&entry.path());
        }
    }
}

fn kill_all(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_all(&entry.path());
        }
    }
}

fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // Processes of a launch that just ended may take a moment to leave.
    for _ in 0..50 {
        if fs::remove_dir(group).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("note: {} is still there", group.display());
}

pub(crate) fn command() -> Command {
    Command::new("bench-room")
        .hide(true)
        .about("The inner side of `bench`")
        .arg(Arg::new("enter").long("enter").action(ArgAction::Append))
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    if let Some(groups) = arguments.get_many::<String>("enter") {
        for group in groups {
            fs::write(Path::new(group).join("cgroup.procs"), "0")
                .map_err(|error| format!("{group}/cgroup.procs: {error}"))?;
        }
        let error = process::Command::new("unshare")
            .args(["--mount", "--cgroup", "--propagation", "private", "--"])
            .arg(std::env::current_exe()?)
            .arg("bench-room")
            .exec();
        return Err(format!("unshare: {error}").into());
    }
    let plan: Plan = serde_json::from_reader(io::stdin().lock())?;
    furnish(plan.view)?;
    let measured = match plan.task {
        Task::Launch => interleaved(&plan, 1, plan.runs),
        Task::InARow(count) => interleaved(&plan, count, plan.runs.div_ceil(count).max(3)),
        Task::SmallestLimit => smallest_limits(&plan),
        Task::Life(containers) => super::life::measured(&plan, containers),
    };
    serde_json::to_writer(io::stdout().lock(), &measured)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the wanted hierarchies at /sys/fs/cgroup, and an empty /run.
pub(crate) fn furnish(view: View) -> Result<(), Box<dyn Error>> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)?;
    // Others than the mounted ones have no group of ours: there we would be in the root.
    let Hierarchies(mounted) = Hierarchies::read()?;
    let root = Path::new("/sys/fs/cgroup");
    unmount(root, UnmountFlags::DETACH)?;
    if view == View::V2 {
        unified(root)?;
    } else {
        mount("tmpfs", root, "tmpfs", MountFlags::empty(), None)?;
        let v1 = mounted.iter().map(|one| one.controllers.as_str()).filter(|one| !one.is_empty());
        for controllers in v1 {
            let name = controllers.trim_start_matches("name=");
            let options =
                if name == controllers { controllers.to_owned() } else { format!("none,{controllers}") };
            let directory = root.join(name);
            fs::create_dir(&directory)?;
            let options = CString::new(options)?;
            mount("cgroup", &directory, "cgroup", MountFlags::empty(), Some(options.as_c_str()))?;
        }
    }
    if view == View::Hybrid {
        let directory = root.join("unified");
        fs::create_dir(&directory)?;
        unified(&directory)?;
    }
    Ok(())
}

/// Mounts the unified hierarchy and leaves its root, so that controllers can be enabled for those below.
fn unified(directory: &Path) -> Result<(), Box<dyn Error>> {
    mount("cgroup2", directory, "cgroup2", MountFlags::empty(), None)?;
    let leaf = directory.join("outside");
    fs::create_dir(&leaf)?;
    Ok(fs::write(leaf.join("cgroup.procs"), "0")?)
}

/// All programs in turn, `rounds` times; each time `count` launches in a row.
fn interleaved(plan: &Plan, count: u32, rounds: u32) -> Measured {
    let mut measured: Measured =
        plan.launches.iter().map(|launch| (launch.name.clone(), Ok(Series::default()))).collect();
    const WARM_UP: u32 = 2;
    for round in 0..WARM_UP + rounds {
        for (launch, (_, result)) in plan.launches.iter().zip(&mut measured) {
            let Ok(series) = result else { continue };
            std::thread::sleep(Duration::from_micros(plan.gap_us));
            match timed(plan, launch, count, "bench") {
                Err(reason) => *result = Err(reason),
                Ok(_) if round < WARM_UP => {}
                Ok(sample) => {
                    series.values.push(sample.wall_ms);
                    series.cpu_ms += sample.cpu_ms / f64::from(count * rounds);
                    series.peak_kib = series.peak_kib.max(sample.peak_kib);
                }
            }
        }
    }
    measured
}

struct Sample {
    wall_ms: f64,
    cpu_ms: f64,
    peak_kib: u64,
}

/// Runs a command through the timer: wall and processor time in milliseconds, peak memory in KiB.
pub(super) fn timed_argv(plan: &Plan, argv: &[String]) -> Result<(f64, f64, u64), String> {
    let launch = Launch { name: String::new(), argv: argv.to_vec(), config: None };
    timed(plan, &launch, 1, "").map(|sample| (sample.wall_ms, sample.cpu_ms, sample.peak_kib))
}

/// Runs a launch through the timer.
fn timed(plan: &Plan, launch: &Launch, count: u32, id: &str) -> Result<Sample, String> {
    let argv = launch.argv.iter().map(|word| if word == ID { id } else { word.as_str() });
    // A file: a container that goes on living would keep a pipe open, and its reader waiting.
    let path = plan.timer.with_extension("errors");
    let errors = std::fs::File::create(&path).map_err(|error| error.to_string())?;
    let output = process::Command::new(&plan.timer)
        .arg(count.to_string())
        .args(argv)
        .stderr(errors)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [wall_ns, cpu_us, peak_kib, 0.0] => {
            Ok(Sample { wall_ms: wall_ns / 1e6, cpu_ms: cpu_us / 1e3, peak_kib: *peak_kib as u64 })
        }
        _ => {
            let said = std::fs::read(&path).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            Err(said.lines().last().unwrap_or("it failed without a word").trim().to_owned())
        }
    }
}

/// For each program the smallest `linux.resources.memory.limit` with which the launch succeeds three times.
fn smallest_limits(plan: &Plan) -> Measured {
    let mut measured = Measured::new();
    for launch in &plan.launches {
        let result = match &launch.config {
            Some(config) => smallest_limit(plan, launch, config),
            None => Err("takes no limit".to_owned()),
        };
        measured.push((launch.name.clone(), result));
    }
    measured
}

fn smallest_limit(plan: &Plan, launch: &Launch, config: &Path) -> Result<Series, String> {
    let original = fs::read(config).map_err(|error| error.to_string())?;
    let mut document: serde_json::Value =
        serde_json::from_slice(&original).map_err(|error| error.to_string())?;
    let mut attempt = 0;
    let mut starts_with = |kib: u64| {
        document["linux"]["resources"]["memory"]["limit"] = (kib * 1024).into();
        let written =
            serde_json::to_vec(&document).map_err(io::Error::from).and_then(|text| fs::write(config, text));
        written.map_err(|error| error.to_string())?;
        for _ in 0..3 {
            attempt += 1;
            let id = format!("limit-{attempt}");
            if timed(plan, launch, 1, &id).is_err() {
                forget(launch, &id);
                return Ok(false);
            }
        }
        Ok::<_, String>(true)
    };
    let (mut too_small, mut enough) = (0, 16 * 1024);
    let outcome = loop {
        if enough - too_small <= 4 {
            break if enough == 16 * 1024 {
                Err("not even 16 MiB are enough".to_owned())
            } else {
                Ok(enough)
            };
        }
        // A page is the finest the kernel knows.
        let middle = (too_small + enough) / 8 * 4;
        match starts_with(middle) {
            Ok(true) => enough = middle,
            Ok(false) => too_small = middle,
            Err(reason) => break Err(reason),
        }
    };
    fs::write(config, original).map_err(|error| error.to_string())?;
    outcome.map(|kib| Series { values: vec![kib as f64], ..Series::default() })
}

/// Removes what a failed launch left behind.
fn forget(launch: &Launch, id: &str) {
    let Some(run) = launch.argv.iter().position(|word| word == "run") else { return };
    let (program, before) = (&launch.argv[0], &launch.argv[1..run]);
    let _ = process::Command::new(program).args(before).args(["delete", "--force", id]).output();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_is_found_by_its_controllers() {
        let joint = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0";
        assert_eq!(mount_of(joint, "cpu,cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mount_of(joint, "cpuset"), None);
        let named = "cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0";
        assert_eq!(mount_of(named, "name=systemd"), Some("/sys/fs/cgroup/systemd"));
        assert_eq!(mount_of("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", ""), Some("/sys/fs/cgroup"));
    }
}
