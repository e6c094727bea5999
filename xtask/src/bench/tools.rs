//! `cargo xtask bench tools`: `holm ip` beside iproute2, and `netns exec` beside a program that does nothing else.
//!
//! The programs take turns in a network and mount namespace of this process's own; each run is timed from outside as a
//! whole process. Start reading at [`TASKS`].

use super::programs::{self, timer};
use super::stats::Series;
use super::table::{provenance, write_section};
use crate::workspace::{must, root, which};
use crate::{Outcome, workspace};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

/// What is timed: a title, the command in front of all runs, the one that is timed, and the one behind each. `IP` stands
/// for the program that is measured; the other commands are iproute2's.
struct Task {
    title: &'static str,
    before: &'static [&'static str],
    timed: &'static str,
    after: &'static str,
    floor: Option<&'static str>,
}

const TASKS: [Task; 5] = [
    Task { title: "netns add", before: &[], timed: "netns add t0", after: "netns delete t0", floor: None },
    Task {
        title: "link add (a veth pair)",
        before: &[],
        timed: "link add t0 type veth peer name t1",
        after: "link delete t0",
        floor: None,
    },
    Task {
        title: "netns exec true, beside setns and exec alone",
        before: &["netns add e0"],
        timed: "netns exec e0 true",
        after: "",
        floor: Some("/run/netns/e0 true"),
    },
    Task {
        title: "netns exec true, beside the same with a new /sys",
        before: &[],
        timed: "netns exec e0 true",
        after: "",
        floor: Some("--sys /run/netns/e0 true"),
    },
    Task { title: "addr show with 500 links", before: &[], timed: "addr show", after: "", floor: None },
];

pub(super) fn command() -> Command {
    Command::new("tools")
        .about("Measure `holm ip` beside iproute2; needs root")
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_parser(value_parser!(u32))
                .default_value("100")
                .help("Runs of each"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Update the table in README.md and docs/benchmarks.md"),
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Outcome {
    let scratch = workspace::root().join("target/bench");
    std::fs::create_dir_all(&scratch)?;
    let holm = programs::holm()?;
    let floor = compile(&scratch)?;
    let iproute = which("ip").ok_or("iproute2's `ip` is not installed")?;
    let runs = *arguments.get_one::<u32>("runs").expect("it has a default");
    enter_room()?;
    let mut rows = String::new();
    for task in &TASKS {
        for line in task.before {
            must(process::Command::new(&iproute).args(line.split(' ')))?;
        }
        if task.title.contains("500 links") {
            many_links(&iproute)?;
        }
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut programs = vec![
            ("iproute2", vec![iproute.display().to_string()], words(task.timed)),
            ("holm ip", vec![holm.display().to_string(), "ip".into()], words(task.timed)),
        ];
        if let Some(line) = task.floor {
            programs.push(("floor", vec![floor.display().to_string()], words(line)));
        }
        let mut series = vec![Series::default(); programs.len()];
        for round in 0..runs + 3 {
            for ((_, program, words), series) in programs.iter().zip(&mut series) {
                let sample = timed(&timer(&scratch), program, words)?;
                // The first rounds fill caches.
                if round >= 3 {
                    series.values.push(sample);
                }
                if !task.after.is_empty() {
                    must(process::Command::new(&iproute).args(task.after.split(' ')))?;
                }
            }
        }
        rows.push_str(&row(task, &series));
        println!("\n{}, ms ({runs} runs)", task.title);
        for ((name, ..), own) in programs.iter().zip(&series) {
            let ratio = own.median() / series[0].median();
            let (median, tenth) = (own.median(), own.p10());
            print!("  {name:<9} median {median:>7.3}  p10 {tenth:>7.3}  x iproute2 {ratio:>5.2}");
            match series.get(2) {
                Some(floor) => println!("  x floor {:>5.2}", own.median() / floor.median()),
                None => println!(),
            }
        }
    }
    if arguments.get_flag("write") {
        let version = process::Command::new(&iproute).arg("-V").output()?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let versions =
            [format!("holm {}", env!("CARGO_PKG_VERSION")), version, "floor (C, static)".to_owned()];
        let head = "| median (p10), ms | floor | holm ip | iproute2 | holm / floor | iproute2 / holm |\n|---|---|---|---|---|---|\n";
        write_section(&format!("{head}{rows}\n{}", provenance(&versions)), "bench:tools")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of the table; `series` are iproute2's, ours, and the floor's where there is one.
fn row(task: &Task, series: &[Series]) -> String {
    let (theirs, ours, floor) = (&series[0], &series[1], series.get(2));
    let cell = |series: &Series| format!("{:.2} ({:.2})", series.median(), series.p10());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    format!(
        "| {} | {} | {} | {} | {} | {:.2} |\n",
        task.title,
        or_dash(floor.map(cell)),
        cell(ours),
        cell(theirs),
        or_dash(floor.map(|floor| format!("{:.2}", ours.median() / floor.median()))),
        theirs.median() / ours.median(),
    )
}

/// A network, and a `/run`, that end with this process.
pub(super) fn enter_room() -> Result<(), Box<dyn Error>> {
    const CLONE_NEWNS: u64 = 0x0002_0000;
    const CLONE_NEWNET: u64 = 0x4000_0000;
    sys::raw::unshare(CLONE_NEWNS | CLONE_NEWNET).map_err(|errno| format!("unshare: {errno}"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("none", "/run", "tmpfs", MountFlags::empty(), None)?;
    Ok(())
}

/// 500 bridges with an address each.
fn many_links(iproute: &Path) -> Result<(), Box<dyn Error>> {
    let lines: String = (0..500)
        .map(|number| {
            let (high, low) = (number / 250, number % 250 + 1);
            format!("link add b{number} type bridge\naddr add 10.{high}.{low}.1/24 dev b{number}\n")
        })
        .collect();
    let batch = workspace::root().join("target/bench/links");
    std::fs::write(&batch, lines)?;
    must(process::Command::new(iproute).arg("-batch").arg(&batch))?;
    Ok(())
}

/// Wall time of one run in milliseconds.
fn timed(timer: &Path, program: &[String], words: &[String]) -> Result<f64, Box<dyn Error>> {
    let output = process::Command::new(timer).arg("1").args(program).args(words).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [wall_ns, _, _, 0.0] => Ok(wall_ns / 1e6),
        _ => Err(format!("{program:?} {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Builds the timer and the program that does nothing else.
fn compile(scratch: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let compiler = if which("musl-gcc").is_some() { "musl-gcc" } else { "cc" };
    let floor = scratch.join("nsexec");
    for (output, source) in [(&floor, "nsexec.c"), (&timer(scratch), "timed.c")] {
        let source = root().join("xtask/floor").join(source);
        must(
            process::Command::new(compiler).args(["-O2", "-Wall", "-static", "-o"]).arg(output).arg(source),
        )?;
    }
    Ok(floor)
}
