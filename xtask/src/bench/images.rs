//! `cargo xtask bench images`: what fetching an image costs, ours beside others', from the same registry on this machine.
//!
//! [`make`] makes two real images of Debian's packages, once; [`peers`] knows how each engine is started, told to fetch, and measured. Everything
//! happens in a network and a mount namespace of this process's own. Stores are empty each time, on the disk that the scratch directory is on and on
//! a tmpfs; the engines take turns, so that whatever else the machine does hits all of them alike.

mod make;
mod peers;

use super::stats::Series;
use crate::{Outcome, workspace};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use make::Made;
use peers::Peer;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;
/// Where the registry listens, in the namespace of this process's own.
const REGISTRY: &str = "127.0.0.1:5000";

pub(super) fn command() -> Command {
    Command::new("images")
        .about("Measure fetching, listing and removing images; needs root, docker-registry and mmdebstrap")
        .arg(
            Arg::new("image")
                .long("image")
                .action(ArgAction::Append)
                .value_parser(["small", "big"])
                .help("Only this image"),
        )
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_parser(value_parser!(usize))
                .default_value("5")
                .help("Fetches into an empty store by each engine"),
        )
        .arg(Arg::new("root").long("root").value_parser(["disk", "tmpfs"]).help("Only stores there"))
        .arg(Arg::new("without").long("without").value_name("NAME").action(ArgAction::Append).help("Leave this engine out"))
        .arg(
            Arg::new("erofs-path")
                .long("erofs-path")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where a containerd with an EROFS snapshotter, its ctr and its mkfs.erofs are, if not in PATH"),
        )
        .arg(Arg::new("prepare").long("prepare").action(ArgAction::SetTrue).help("Make the images and the programs, and measure nothing"))
        .arg(Arg::new("write").long("write").action(ArgAction::SetTrue).help("Update the table in docs/benchmarks.md and README.md"))
}

/// What was measured of one engine with one image and one kind of store.
struct Cell {
    cold: Result<Series, String>,
    again_ms: Option<f64>,
}

struct Row {
    title: String,
    cells: Vec<Cell>,
}

pub(super) fn run(arguments: &ArgMatches) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err("it needs root: engines mount".into());
    }
    let scratch = workspace::root().join("target/bench/images");
    fs::create_dir_all(&scratch)?;
    let holm = super::programs::holm()?;
    let wanted: Vec<&String> = arguments.get_many("image").into_iter().flatten().collect();
    let chosen: Vec<make::Kind> = make::Kind::ALL
        .into_iter()
        .filter(|kind| wanted.is_empty() || wanted.iter().any(|name| *name == kind.name()))
        .collect();
    let made = chosen.iter().map(|kind| make::image(*kind, &scratch)).collect::<Result<Vec<Made>, _>>()?;
    if arguments.get_flag("prepare") {
        return Ok(ExitCode::SUCCESS);
    }
    enter_namespaces()?;
    let _registry = Registry::start(&scratch)?;
    for image in &made {
        make::push(image, REGISTRY)?;
    }
    let left_out: Vec<&String> = arguments.get_many("without").into_iter().flatten().collect();
    let erofs_path = arguments.get_one::<PathBuf>("erofs-path").cloned();
    let mut engines = peers::all(&holm, erofs_path.as_deref());
    engines.retain(|peer| !left_out.iter().any(|name| *name == peer.name()));
    let runs = *arguments.get_one::<usize>("runs").expect("it has a default");
    let only = arguments.get_one::<String>("root").map(String::as_str);
    let mut rows = Vec::new();
    for image in &made {
        for (place, root) in [("disk", scratch.join("store")), ("tmpfs", scratch.join("memory"))] {
            if only.is_some_and(|only| only != place) {
                continue;
            }
            fs::create_dir_all(&root)?;
            if place == "tmpfs" {
                mount("tmpfs", &root, "tmpfs", MountFlags::empty(), None)?;
            }
            eprintln!("measuring: {} on {place}", image.kind.name());
            let cells = measure(&engines, image, &root, runs)?;
            if place == "tmpfs" {
                unmount(&root, UnmountFlags::DETACH)?;
            }
            rows.push(Row { title: format!("{}, store on {place}", image.title()), cells });
            print!("{}", text(&engines, rows.last().expect("it was pushed")));
        }
    }
    let store = scratch.join("store");
    let lists = holm_alone(&holm, made.last(), &store)?;
    print!("{lists}");
    fs::remove_dir_all(&store).ok();
    if arguments.get_flag("write") {
        super::table::write_section(&markdown(&engines, &rows, &lists), "bench:images")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nothing of the host's network or mounts is touched from here on.
fn enter_namespaces() -> Result<(), Box<dyn Error>> {
    sys::raw::unshare(CLONE_NEWNS | CLONE_NEWNET).map_err(|errno| format!("unshare: {errno}"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)?;
    workspace::must(std::process::Command::new("ip").args(["link", "set", "lo", "up"]))?;
    Ok(())
}

struct Registry(Child);

impl Registry {
    fn start(scratch: &Path) -> Result<Self, Box<dyn Error>> {
        let config = scratch.join("registry.yml");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{REGISTRY}'}}\n",
                scratch.join("registry").display()
            ),
        )?;
        let child = std::process::Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry: {error}"))?;
        let began = Instant::now();
        while std::net::TcpStream::connect(REGISTRY).is_err() {
            if began.elapsed() > Duration::from_secs(30) {
                return Err("docker-registry does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self(child))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each engine fetches the image in turns: once while somebody looks at its memory, then `runs` times with nobody looking, and once more with all
/// layers present.
fn measure(
    engines: &[Box<dyn Peer>],
    image: &Made,
    root: &Path,
    runs: usize,
) -> Result<Vec<Cell>, Box<dyn Error>> {
    let mut cells: Vec<Cell> = engines
        .iter()
        .map(|_| Cell { cold: Ok(Series { values: Vec::new(), cpu_ms: 0.0, peak_kib: 0 }), again_ms: None })
        .collect();
    let name = image.name(REGISTRY);
    for run in 0..=runs {
        for (peer, cell) in engines.iter().zip(&mut cells) {
            let Ok(series) = &mut cell.cold else { continue };
            let store = root.join(peer.name());
            fs::create_dir_all(&store)?;
            let outcome = peer.start(&store).and_then(|session| {
                let cold = session.fetch(&name, run == 0)?;
                let again = if run == runs { session.fetch(&name, false).ok() } else { None };
                Ok((cold, again))
            });
            match outcome {
                Ok((cold, _)) if run == 0 => series.peak_kib = cold.peak_kib,
                Ok((cold, again)) => {
                    series.values.push(cold.ms);
                    cell.again_ms = again.map(|again| again.ms);
                }
                Err(reason) => cell.cold = Err(reason),
            }
            peers::clear(&store);
        }
    }
    Ok(cells)
}

/// What only holm is asked: a list of a thousand images, and the removal of a large one.
fn holm_alone(holm: &Path, large: Option<&Made>, store: &Path) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let store = store.join("lists");
    fs::create_dir_all(&store)?;
    make::thousand(&store)?;
    let timed = |arguments: &[&str]| -> Result<f64, Box<dyn Error>> {
        let mut command = std::process::Command::new(holm);
        command.args(arguments).env("HOLM_IMAGES", &store).stdout(Stdio::null());
        let began = Instant::now();
        workspace::must(&mut command)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    let mut lists = Series { values: Vec::new(), cpu_ms: 0.0, peak_kib: 0 };
    for _ in 0..20 {
        lists.values.push(timed(&["images"])?);
    }
    let _ =
        writeln!(text, "`holm images` with 1,000 images: {:.1} ms (p10 {:.1}).", lists.median(), lists.p10());
    if let Some(large) = large {
        let mut removals = Series { values: Vec::new(), cpu_ms: 0.0, peak_kib: 0 };
        let name = large.name(REGISTRY);
        for _ in 0..3 {
            timed(&["pull", "-q", &name])?;
            removals.values.push(timed(&["image", "remove", &name])?);
        }
        let _ = writeln!(
            text,
            "`holm image remove` of the {} image: {:.0} ms.",
            large.kind.name(),
            removals.median()
        );
    }
    peers::clear(&store);
    Ok(text)
}

fn text(engines: &[Box<dyn Peer>], row: &Row) -> String {
    let mut text = format!("\n{}\n", row.title);
    for (peer, cell) in engines.iter().zip(&row.cells) {
        let _ = match &cell.cold {
            Err(reason) => writeln!(text, "  {:18} - {reason}", peer.name()),
            Ok(series) => writeln!(
                text,
                "  {:18} median {:>8.0} ms, min {:>8.0}, again {:>7.0}, peak {:>7} KiB",
                peer.name(),
                series.median(),
                series.quantile(0.0),
                cell.again_ms.unwrap_or(f64::NAN),
                series.peak_kib
            ),
        };
    }
    text
}

fn markdown(engines: &[Box<dyn Peer>], rows: &[Row], lists: &str) -> String {
    let names: Vec<&str> = engines.iter().map(|peer| peer.name()).collect();
    let line = |title: &str, cells: Vec<String>| format!("| {title} | {} |\n", cells.join(" | "));
    let mut text =
        format!("| seconds, median (least) | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    let each = |row: &Row, show: &dyn Fn(&Cell, &Series) -> String| -> Vec<String> {
        row.cells
            .iter()
            .map(|cell| cell.cold.as_ref().map_or("-".to_owned(), |series| show(cell, series)))
            .collect()
    };
    for row in rows {
        text.push_str(&line(
            &row.title,
            each(row, &|_, series| {
                format!("{:.2} ({:.2})", series.median() / 1e3, series.quantile(0.0) / 1e3)
            }),
        ));
        text.push_str(&line(
            "… again, all layers present, ms",
            each(row, &|cell, _| cell.again_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}"))),
        ));
        text.push_str(&line(
            "… peak memory, MiB",
            each(row, &|_, series| format!("{:.0}", series.peak_kib as f64 / 1024.0)),
        ));
        let ours = names
            .iter()
            .position(|name| *name == peers::OURS)
            .and_then(|place| row.cells[place].cold.as_ref().ok());
        if let Some(ours) = ours {
            text.push_str(&line(
                "… times holm's",
                each(row, &|_, series| format!("{:.2}", series.median() / ours.median())),
            ));
        }
    }
    let versions: Vec<String> =
        engines.iter().map(|peer| format!("{} ({})", peer.name(), peer.version())).collect();
    format!("{text}\n{lists}\n{}", super::table::provenance(&versions))
}
