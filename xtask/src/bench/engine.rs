//! `cargo xtask bench engine`: what people wait for when they use containers, ours beside docker and podman where these are installed.
//!
//! All run the same busybox. The commands are run in turn, so that whatever else the machine does hits all alike, and each is timed from
//! outside as a whole process, with the processor time of it and its children. A daemon's own processor time is not in it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::{Arg, ArgMatches, Command as Cli, value_parser};

use super::programs;
use super::stats::Series;
use crate::{Outcome, workspace};

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
}

/// A program with docker's command line.
struct Engine {
    name: &'static str,
    program: PathBuf,
    /// Where it keeps things, for ours.
    env: Vec<(&'static str, PathBuf)>,
    /// What stands for the root after the flags of `run`.
    root: Vec<String>,
}

impl Engine {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// `run` with these flags and this program.
    fn run(&self, flags: &[&str], program: &[&str]) -> Command {
        let mut command = self.command(&["run", "--network", "none"]);
        command.args(flags);
        match self.name {
            "holm" => command.args(&self.root).arg("--").args(program),
            _ => command.args(&self.root).args(program),
        };
        command
    }
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
    let scratch = std::env::temp_dir().join(format!("holm-bench-engine-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let outcome = measure(&scratch, runs, containers);
    let _ = fs::remove_dir_all(&scratch);
    outcome.map(|()| std::process::ExitCode::SUCCESS)
}

fn measure(scratch: &Path, runs: usize, containers: usize) -> Result<(), Box<dyn Error>> {
    let rootfs = busybox(scratch)?;
    let engines = engines(scratch, &rootfs)?;
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
                ((1, "run -d"), engine.run(&["-d", "--name", "bench"], &["sleep", "1000"])),
                ((2, "exec true"), engine.command(&["exec", "bench", "true"])),
                ((3, "inspect"), engine.command(&["inspect", "bench"])),
                ((4, "ps, 1 container"), engine.command(&["ps"])),
                ((5, "stop -t 0"), engine.command(&["stop", "-t", "0", "bench"])),
                ((6, "start"), engine.command(&["start", "bench"])),
                ((7, "rm -f"), engine.command(&["rm", "-f", "bench"])),
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
        let mut starts = Vec::new();
        for name in &names {
            let (wall, _) = timed(&mut engine.run(&["-d", "--name", name], &["sleep", "10000"]))?;
            starts.push(wall);
        }
        let tenth = (containers / 10).max(1);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        note((8, "start, mean of the first tenth"), engine.name, mean(&starts[..tenth]), 0.0);
        note((9, "start, mean of the last tenth"), engine.name, mean(&starts[containers - tenth..]), 0.0);
        for _ in 0..runs {
            let (wall, cpu) = timed(&mut engine.command(&["ps"]))?;
            note((10, "ps, all containers"), engine.name, wall, cpu);
        }
        note((11, "PSS of a container's own process, KiB"), engine.name, monitors_kib(engine.name), 0.0);
        let mut removal = engine.command(&["rm", "-f", "-t", "0"]);
        if engine.name != "podman" {
            removal = engine.command(&["rm", "-f"]);
        }
        timed(removal.args(&names))?;
        let begin = Instant::now();
        let mut running: Vec<_> = (0..20)
            .map(|number| engine.run(&["-d", "--name", &format!("par{number}")], &["sleep", "1000"]).spawn())
            .collect::<Result<_, _>>()?;
        for child in &mut running {
            child.wait()?;
        }
        note((12, "20 x run -d at once"), engine.name, begin.elapsed().as_secs_f64() * 1000.0, 0.0);
        let names: Vec<String> = (0..20).map(|number| format!("par{number}")).collect();
        timed(engine.command(&["rm", "-f"]).args(&names))?;
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
        timed(&mut engine.command(&["rm", "-f", "log"]))?;
    }
    print(&engines, &table, containers);
    Ok(())
}

fn print(engines: &[Engine], table: &BTreeMap<(usize, &str), BTreeMap<&str, Series>>, containers: usize) {
    println!(
        "Median (p10) in milliseconds unless it says otherwise; processor time in brackets; {containers} idle containers.\n"
    );
    let names: Vec<&str> = engines.iter().map(|engine| engine.name).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for ((_, row), cells) in table {
        let cells = names.iter().map(|name| match cells.get(name) {
            Some(series) if series.values.len() > 1 => {
                format!("{:.2} ({:.2}) [{:.1}]", series.median(), series.p10(), series.cpu_ms)
            }
            Some(series) => format!("{:.1}", series.median()),
            None => "-".to_owned(),
        });
        println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
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

fn engines(scratch: &Path, rootfs: &Path) -> Result<Vec<Engine>, Box<dyn Error>> {
    let mut engines = vec![Engine {
        name: "holm",
        program: built()?,
        env: vec![("HOLM_ROOT", scratch.join("root")), ("HOLM_RUNROOT", scratch.join("run"))],
        root: vec!["--rootfs".to_owned(), rootfs.display().to_string()],
    }];
    for name in ["docker", "podman"] {
        let works = Command::new(name).arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("bench: {name} is not here");
            continue;
        }
        let tar =
            Command::new("tar").arg("-C").arg(rootfs).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
        let image = "holm-bench:latest";
        let import = Command::new(name)
            .args(["import", "-", image])
            .stdin(tar.stdout.ok_or("tar has no output")?)
            .stdout(Stdio::null())
            .status()?;
        if !import.success() {
            return Err(format!("{name} cannot import the image").into());
        }
        engines.push(Engine { name, program: name.into(), env: Vec::new(), root: vec![image.to_owned()] });
    }
    Ok(engines)
}

fn built() -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root())
        .args(["build", "--release", "-p", "holm"])
        .args(programs::fastest_target());
    if !cargo.status()?.success() {
        return Err("holm cannot be built".into());
    }
    let targets = [
        format!("{}-unknown-linux-musl", std::env::consts::ARCH),
        format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
    ];
    let newest = targets
        .iter()
        .map(|target| workspace::root().join("target").join(target).join("release/holm"))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max();
    newest.map(|(_, path)| path).ok_or_else(|| "cargo built no holm".into())
}

/// The mean proportional set size of the processes that stand beside containers.
fn monitors_kib(engine: &str) -> f64 {
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
        if !beside.iter().any(|known| name.starts_with(known)) {
            continue;
        }
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        sizes.extend(pss.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok()));
    }
    sizes.iter().sum::<f64>() / sizes.len().max(1) as f64
}
