//! `cargo xtask bench engine`: what people wait for when they use containers, ours beside docker and podman where these are installed.
//!
//! All run the same image of busybox, in network and mount namespaces of this program's own, with directories that go afterwards: a docker
//! daemon is started there and ended again. The commands are run in turn, so that whatever else the machine does hits all alike, and each is
//! timed from outside as a whole process, with the processor time of it and its children. A daemon's own processor time is in the rows of
//! many starts only, which count what all processors of the machine did.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command as Cli, value_parser};

use super::programs;
use super::stats::Series;
use super::table::{provenance, write_section};
use crate::Outcome;

pub(super) fn command() -> Cli {
    Cli::new("engine")
        .about("Measure commands on containers in the background; needs root and busybox-static")
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_parser(value_parser!(usize))
                .default_value("20")
                .help("How often each command is run"),
        )
        .arg(
            Arg::new("containers")
                .long("containers")
                .value_parser(value_parser!(usize))
                .default_value("50")
                .help("How many containers are idle while memory and lists are measured"),
        )
        .arg(
            Arg::new("starts")
                .long("starts")
                .value_parser(value_parser!(usize))
                .default_value("100")
                .help("How many containers are started 16 at a time"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Update the table in docs/benchmarks.md and README.md"),
        )
}

/// The mark of its table.
const MARK: &str = "bench:engine";

/// A program with docker's command line.
struct Engine {
    name: &'static str,
    program: PathBuf,
    /// Where it keeps things, for ours.
    env: Vec<(&'static str, PathBuf)>,
    /// The same, for the others: flags before the command.
    before: Vec<String>,
    /// Flags of every `run`.
    flags: Vec<&'static str>,
}

/// The column that is ours.
const OURS: &str = "holm";

/// What everybody calls the image.
const IMAGE: &str = "localhost/holm-bench:1";

impl Engine {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.before)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// `run` with these flags and this program, without a network.
    fn run(&self, flags: &[&str], program: &[&str]) -> Command {
        self.on(&[&["--network", "none"], flags].concat(), program)
    }

    /// The same on the network that is usual.
    fn on(&self, flags: &[&str], program: &[&str]) -> Command {
        let mut command = self.command(&["run"]);
        command.args(&self.flags).args(flags).arg(IMAGE).args(program);
        command
    }
}

impl Engine {
    /// Kills and removes containers. podman asks them to end first, unless it is told not to wait.
    fn removal(&self, names: &[&str]) -> Command {
        let at_once: &[&str] = if self.name == "podman" { &["-t", "0"] } else { &[] };
        self.command(&[&["rm", "-f"], at_once, names].concat())
    }
}

/// Milliseconds that all processors of the machine have worked.
fn machine_ms() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let worked = |index: usize| ticks.get(index).copied().unwrap_or(0.0);
    (worked(0) + worked(1) + worked(2) + worked(5) + worked(6)) * 10.0
}

/// Runs it; milliseconds of the clock and of processors.
fn timed(command: &mut Command) -> Result<(f64, f64), Box<dyn Error>> {
    let usage = || {
        let usage = rustix_children();
        usage * 1000.0
    };
    let before = usage();
    let begin = Instant::now();
    let status = command.status()?;
    let wall = begin.elapsed().as_secs_f64() * 1000.0;
    if !status.success() {
        return Err(format!("{command:?} failed: {status}").into());
    }
    Ok((wall, usage() - before))
}

/// Seconds of processors that the children of this process have had which it has waited for.
fn rustix_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) / 100.0
}

pub(super) fn run(arguments: &ArgMatches) -> Outcome {
    let runs = *arguments.get_one::<usize>("runs").expect("it has a default");
    let containers = *arguments.get_one::<usize>("containers").expect("it has a default");
    let starts = *arguments.get_one::<usize>("starts").expect("it has a default");
    if std::env::var_os(INSIDE).is_none() {
        // Built where the network is, and run where nobody else's is.
        let holm = programs::holm()?;
        let mut again = Command::new("unshare");
        again.args(["--net", "--mount", "--propagation", "private"]).arg(std::env::current_exe()?);
        again.args(std::env::args_os().skip(1)).env(INSIDE, holm);
        let status = again.status()?;
        return Ok(std::process::ExitCode::from(status.code().unwrap_or(1) as u8));
    }
    let scratch = std::env::temp_dir().join(format!("holm-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let _ = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    // crun refuses hosts with cgroups of both versions; here, where nobody else looks, the second one is put aside for all alike.
    if Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        let _ = Command::new("umount").arg("/sys/fs/cgroup/unified").status();
    }
    let outcome = in_memory(&scratch).and_then(|()| measure(&scratch, runs, containers, starts));
    // What the others have left mounted, here where nobody else sees it.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().rev().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| Path::new(point).starts_with(&scratch)) {
        let _ = Command::new("umount").args(["--lazy", point]).status();
    }
    let _ = fs::remove_dir_all(&scratch);
    let table = outcome?;
    print!("{table}");
    if arguments.get_flag("write") {
        write_section(&table, MARK)?;
    }
    Ok(std::process::ExitCode::SUCCESS)
}

/// The directories of the programs that are below /run otherwise.
const RUN: [&str; 3] = ["run", "docker-run", "podman-run"];

/// What lives as long as the machine runs is in memory on most hosts, and so it is here.
fn in_memory(scratch: &Path) -> Result<(), Box<dyn Error>> {
    for name in RUN {
        let directory = scratch.join(name);
        fs::create_dir_all(&directory)?;
        let status = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&directory).status()?;
        if !status.success() {
            return Err(format!("mount a tmpfs on {}: {status}", directory.display()).into());
        }
    }
    Ok(())
}

/// The variable that tells this program that it is in namespaces of its own, and which holm to measure.
const INSIDE: &str = "HOLM_BENCH_ENGINE";

fn measure(scratch: &Path, runs: usize, containers: usize, starts: usize) -> Result<String, Box<dyn Error>> {
    let rootfs = busybox(scratch)?;
    let daemon = Daemon::start(scratch);
    let engines = engines(scratch, &rootfs, daemon.as_ref())?;
    let mut table: BTreeMap<(usize, &str), BTreeMap<&str, Series>> = BTreeMap::new();
    let mut note = |row: (usize, &'static str), engine: &'static str, value: f64, cpu: f64| {
        let series = table.entry(row).or_default().entry(engine).or_default();
        series.values.push(value);
        series.cpu_ms += cpu / runs as f64;
    };
    for engine in &engines {
        let _ = engine.command(&["rm", "-f", "bench"]).status();
    }
    for round in 0..=runs {
        for engine in &engines {
            let mut steps: Vec<((usize, &'static str), Command)> = vec![
                ((0, "run --rm true"), engine.run(&["--rm"], &["true"])),
                ((20, "run --rm true, bridge"), engine.on(&["--rm"], &["true"])),
                ((1, "run -d"), engine.run(&["-d", "--name", "bench"], &["sleep", "1000"])),
                ((2, "exec true"), engine.command(&["exec", "bench", "true"])),
                ((3, "inspect"), engine.command(&["inspect", "bench"])),
                ((4, "ps, 1 container"), engine.command(&["ps"])),
                ((5, "stop -t 0"), engine.command(&["stop", "-t", "0", "bench"])),
                ((6, "start"), engine.command(&["start", "bench"])),
                ((7, "rm -f"), engine.removal(&["bench"])),
            ];
            for (row, command) in &mut steps {
                let (wall, cpu) = timed(command)?;
                // The first round warms everything up.
                if round > 0 {
                    note(*row, engine.name, wall, cpu);
                }
            }
        }
    }
    for engine in &engines {
        let names: Vec<String> = (0..containers).map(|number| format!("idle{number}")).collect();
        let mut each = Vec::new();
        for name in &names {
            let (wall, _) = timed(&mut engine.run(&["-d", "--name", name], &["sleep", "10000"]))?;
            each.push(wall);
        }
        let tenth = (containers / 10).max(1);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        note((8, "start, mean of the first tenth"), engine.name, mean(&each[..tenth]), 0.0);
        note((9, "start, mean of the last tenth"), engine.name, mean(&each[containers - tenth..]), 0.0);
        for _ in 0..runs {
            let (wall, cpu) = timed(&mut engine.command(&["ps"]))?;
            note((10, "ps, all containers"), engine.name, wall, cpu);
        }
        note(
            (11, "PSS of a container's own process, KiB"),
            engine.name,
            monitors_kib(engine.name, scratch),
            0.0,
        );
        timed(engine.removal(&[]).args(&names))?;
        let begin = Instant::now();
        let mut running: Vec<_> = (0..20)
            .map(|number| engine.run(&["-d", "--name", &format!("par{number}")], &["sleep", "1000"]).spawn())
            .collect::<Result<_, _>>()?;
        for child in &mut running {
            child.wait()?;
        }
        note((12, "20 x run -d at once"), engine.name, begin.elapsed().as_secs_f64() * 1000.0, 0.0);
        let names: Vec<String> = (0..20).map(|number| format!("par{number}")).collect();
        timed(engine.removal(&[]).args(&names))?;
        let (wall, cpu) = (Instant::now(), machine_ms());
        let names: Vec<String> = (0..starts).map(|number| format!("many{number}")).collect();
        let queue = std::sync::Mutex::new(names.iter());
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while let Some(name) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                        let _ = engine.on(&["-d", "--name", name], &["sleep", "10000"]).status();
                    }
                });
            }
        });
        note(
            (21, "many x run -d, 16 at a time, bridge"),
            engine.name,
            wall.elapsed().as_secs_f64() * 1000.0,
            0.0,
        );
        note((22, "the same, work of all processors"), engine.name, machine_ms() - cpu, 0.0);
        timed(engine.removal(&[]).args(&names))?;
        let script = "i=0; while [ $i -lt 64 ]; do cat /lines; i=$((i + 1)); done";
        let begin = Instant::now();
        timed(&mut engine.run(&["-d", "--name", "log"], &["sh", "-c", script]))?;
        let _ = engine.command(&["wait", "log"]).status();
        note(
            (13, "64 MiB of lines through the log"),
            engine.name,
            begin.elapsed().as_secs_f64() * 1000.0,
            0.0,
        );
        timed(&mut engine.removal(&["log"]))?;
    }
    let text = markdown(&engines, &table, containers, starts);
    for engine in engines.iter().filter(|engine| engine.name == "holm") {
        let _ = engine.command(&["image", "prune", "--all"]).status();
    }
    Ok(text)
}

fn markdown(
    engines: &[Engine],
    table: &BTreeMap<(usize, &str), BTreeMap<&str, Series>>,
    containers: usize,
    starts: usize,
) -> String {
    let names: Vec<&str> = engines.iter().map(|engine| engine.name).collect();
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != OURS).collect();
    let ratios: Vec<String> = others.iter().map(|other| format!("{other} / {OURS}")).collect();
    let heads = [names.clone(), ratios.iter().map(String::as_str).collect()].concat();
    let mut text = format!("| median (p10) [processor time], ms | {} |\n", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(heads.len()));
    for ((_, row), cells) in table {
        let figures = names.iter().map(|name| match cells.get(name) {
            Some(series) if series.values.len() > 1 => {
                format!("{:.2} ({:.2}) [{:.1}]", series.median(), series.p10(), series.cpu_ms)
            }
            Some(series) => format!("{:.1}", series.median()),
            None => "-".to_owned(),
        });
        let ratios = others.iter().map(|other| match (cells.get(other), cells.get(OURS)) {
            (Some(other), Some(ours)) => format!("{:.1}", other.median() / ours.median()),
            _ => "-".to_owned(),
        });
        let _ = writeln!(text, "| {row} | {} |", figures.chain(ratios).collect::<Vec<_>>().join(" | "));
    }
    let versions: Vec<String> = engines.iter().map(|engine| programs::version(&engine.program)).collect();
    let _ = write!(text, "\nAll containers: {containers}; many: {starts}. {}", provenance(&versions));
    text
}

/// A root with busybox and a file of lines.
fn busybox(scratch: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let rootfs = scratch.join("rootfs");
    for directory in ["bin", "dev", "proc", "sys", "etc", "tmp", "run"] {
        fs::create_dir_all(rootfs.join(directory))?;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.ok_or("busybox-static is not installed")?, rootfs.join("bin/busybox"))?;
    fs::set_permissions(rootfs.join("bin/busybox"), fs::Permissions::from_mode(0o755))?;
    for applet in ["sh", "true", "sleep", "cat"] {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    let line = format!("{}\n", "x".repeat(99));
    fs::write(rootfs.join("lines"), line.repeat((1 << 20) / 100))?;
    Ok(rootfs)
}

/// A docker daemon of this program's own.
struct Daemon {
    child: std::process::Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(scratch: &Path) -> Option<Self> {
        let socket = scratch.join("docker.sock");
        let path = |name: &str| scratch.join(name).display().to_string();
        let child = Command::new("dockerd")
            .args(["--data-root", &path("docker"), "--exec-root", &path("docker-run")])
            .args(["--pidfile", &path("docker.pid"), "--host", &format!("unix://{}", socket.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(scratch.join("docker.log")).ok()?)
            .spawn();
        let Ok(child) = child else {
            eprintln!("bench: there is no dockerd");
            return None;
        };
        let daemon = Self { child, socket };
        let until = Instant::now() + std::time::Duration::from_secs(30);
        while Instant::now() < until {
            let mut info = Command::new("docker");
            info.args(["--host", &daemon.host(), "info"]).stdout(Stdio::null()).stderr(Stdio::null());
            if info.status().is_ok_and(|status| status.success()) {
                return Some(daemon);
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        let log = fs::read_to_string(scratch.join("docker.log")).unwrap_or_default();
        eprintln!("bench: dockerd does not start: {}", log.lines().last().unwrap_or_default());
        None
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends its containers and containerd when it is asked to.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn engines(scratch: &Path, rootfs: &Path, daemon: Option<&Daemon>) -> Result<Vec<Engine>, Box<dyn Error>> {
    let path = |name: &str| scratch.join(name);
    let text = |name: &str| path(name).display().to_string();
    let holm = std::env::var_os(INSIDE).ok_or("it is not known which holm to measure")?;
    let mut engines = vec![Engine {
        name: "holm",
        program: holm.into(),
        env: vec![
            ("HOLM_ROOT", path("root")),
            ("HOLM_RUNROOT", path("run")),
            ("HOLM_IMAGES", path("images")),
        ],
        before: Vec::new(),
        flags: Vec::new(),
    }];
    if let Some(daemon) = daemon {
        let before = vec!["--host".to_owned(), daemon.host()];
        let flags = Vec::new();
        engines.push(Engine { name: "docker", program: "docker".into(), env: Vec::new(), before, flags });
    }
    let before =
        ["--root", &text("podman"), "--runroot", &text("podman-run"), "--cgroup-manager", "cgroupfs"];
    let podman = Engine {
        name: "podman",
        program: "podman".into(),
        env: Vec::new(),
        before: before.map(str::to_owned).to_vec(),
        // Its usual limits are higher than what a root without CAP_SYS_RESOURCE may set.
        flags: vec!["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"],
    };
    match podman.command(&["info"]).status() {
        Ok(status) if status.success() => engines.push(podman),
        _ => eprintln!("bench: there is no podman that works"),
    }
    for engine in &engines {
        let tar =
            Command::new("tar").arg("-C").arg(rootfs).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
        let import = engine
            .command(&["import", "-", IMAGE])
            .stdin(tar.stdout.ok_or("tar has no output")?)
            .stderr(Stdio::inherit())
            .status()?;
        if !import.success() {
            return Err(format!("{} cannot import the image", engine.name).into());
        }
    }
    Ok(engines)
}

/// The mean proportional set size of the processes that stand beside containers.
fn monitors_kib(engine: &str, scratch: &Path) -> f64 {
    let beside: &[&str] = match engine {
        "holm" => &["holm-monitor"],
        "docker" => &["containerd-shim"],
        _ => &["conmon"],
    };
    let mut sizes = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(first).rsplit('/').next().unwrap_or_default().to_owned();
        // Others on this machine may run the same programs.
        let ours = String::from_utf8_lossy(&line).contains(&*scratch.to_string_lossy());
        if !ours || !beside.iter().any(|known| name.starts_with(known)) {
            continue;
        }
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        sizes.extend(pss.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok()));
    }
    sizes.iter().sum::<f64>() / sizes.len().max(1) as f64
}
