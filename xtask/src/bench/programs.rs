//! Who takes part: the floor, our runtime, and the peers that are installed or named.

use crate::workspace::{cargo, must, root, which};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a program is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Flags of its own, no bundle.
    Floor,
    /// runc's command line.
    Runtime,
    /// `holm run`, without a bundle.
    Engine,
}

/// One column of the table.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) version: String,
}

/// The name under which our runtime appears.
pub(super) const OURS: &str = "holm-runtime";
pub(super) const FLOOR: &str = "floor";
/// The name under which the engine appears.
pub(super) const ENGINE: &str = "holm run";
const ENGINE_PACKAGE: &str = "holm";

/// Runtimes looked for in `PATH`.
const PEERS: &[&str] = &["crun", "runc", "youki"];

/// The flags that say who takes part.
pub(super) fn flags() -> [Arg; 2] {
    [
        Arg::new("peer")
            .long("peer")
            .value_name("NAME=PATH")
            .action(ArgAction::Append)
            .help("Another runtime with runc's command line"),
        Arg::new("without")
            .long("without")
            .value_name("NAME")
            .action(ArgAction::Append)
            .help("Leave this program out"),
    ]
}

/// Builds what is ours and finds the rest.
pub(super) fn all(scratch: &Path, arguments: &ArgMatches) -> Result<Vec<Program>, Box<dyn Error>> {
    let left_out: Vec<&String> = arguments.get_many("without").into_iter().flatten().collect();
    let mut programs = vec![floor(scratch)?];
    let has = |name: &str| !left_out.iter().any(|left_out| *left_out == name);
    let wanted: Vec<&str> = [(OURS, OURS), (ENGINE, ENGINE_PACKAGE)]
        .into_iter()
        .filter(|(name, _)| has(name))
        .map(|it| it.1)
        .collect();
    for path in ours(&wanted)? {
        let (name, kind) = match path.file_name().is_some_and(|name| name == ENGINE_PACKAGE) {
            true => (ENGINE, Kind::Engine),
            false => (OURS, Kind::Runtime),
        };
        programs.push(Program { name: name.into(), version: version(&path), path, kind });
    }
    programs.sort_by_key(|program| (program.kind == Kind::Engine, program.kind == Kind::Runtime));
    for name in PEERS {
        if let Some(path) = which(name) {
            programs.push(Program {
                name: (*name).into(),
                version: version(&path),
                path,
                kind: Kind::Runtime,
            });
        }
    }
    for peer in arguments.get_many::<String>("peer").into_iter().flatten() {
        let (name, path) =
            peer.split_once('=').ok_or_else(|| format!("--peer {peer}: expected NAME=PATH"))?;
        let path = std::fs::canonicalize(path).map_err(|error| format!("--peer {peer}: {error}"))?;
        programs.push(Program { name: name.into(), version: version(&path), path, kind: Kind::Runtime });
    }
    programs.retain(|program| !left_out.contains(&&program.name));
    Ok(programs)
}

/// The program that times others, built by [`floor`].
pub(super) fn timer(scratch: &Path) -> PathBuf {
    scratch.join("timed")
}

/// Builds the floor and the timer. With musl where it is installed: a static glibc spends 0.3 ms of its start on CPUID
/// instructions, which exit to the hypervisor on a virtual machine and are no part of a launch.
fn floor(scratch: &Path) -> Result<Program, Box<dyn Error>> {
    let source = root().join("xtask/floor");
    let stage = scratch.join("stage");
    let path = scratch.join(FLOOR);
    must(
        Command::new("cc")
            .args([
                "-O2",
                "-Wall",
                "-static",
                "-nostdlib",
                "-ffreestanding",
                "-fno-stack-protector",
                "-fno-pie",
                "-no-pie",
            ])
            .args([
                "-s",
                "-Wl,-z,norelro",
                "-Wl,-z,noseparate-code",
                "-Wl,--build-id=none",
                "-Wl,-z,max-page-size=4096",
                "-o",
            ])
            .args([&stage, &source.join("stage.c")]),
    )?;
    let embed = format!("-DSTAGE=\"{}\"", stage.display());
    let mut musl = false;
    for (output, input) in [(&path, "floor.c"), (&timer(scratch), "timed.c")] {
        musl = compile(&source.join(input), output, &[&embed])?;
    }
    let version = if musl { "C, musl" } else { "C, glibc" };
    Ok(Program { name: FLOOR.into(), path, kind: Kind::Floor, version: version.into() })
}

/// Compiles a static C program; returns whether with musl.
pub(super) fn compile(source: &Path, output: &Path, flags: &[&str]) -> Result<bool, Box<dyn Error>> {
    let musl = which("musl-gcc").is_some();
    let mut compiler = Command::new(if musl { "musl-gcc" } else { "cc" });
    compiler.args(["-O2", "-Wall", "-static"]).args(flags).arg("-o").arg(output).arg(source);
    if musl {
        // The kernel's headers, which musl does not bring along.
        for headers in ["/usr/include", "/usr/include/x86_64-linux-gnu"] {
            compiler.args(["-idirafter", headers]);
        }
    }
    must(&mut compiler)?;
    Ok(musl)
}

/// Builds `holm` as it ships.
pub(super) fn holm() -> Result<PathBuf, Box<dyn Error>> {
    ours(&[ENGINE_PACKAGE])?.pop().ok_or_else(|| "cargo built no holm".into())
}

/// Builds what is ours as it ships and says where the programs of these packages lie. All of it is built whatever is asked for, since cargo
/// chooses what the parts of it are built with by what is built together.
fn ours(packages: &[&str]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let mut build = cargo();
    build.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    build.args(["--package", OURS, "--package", ENGINE_PACKAGE]).args(fastest_target());
    let output = build.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo build --release: {}", output.status).into());
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let programs: Vec<PathBuf> = messages
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .filter(|path| packages.iter().any(|package| path.file_name().is_some_and(|name| name == *package)))
        .collect();
    if programs.len() == packages.len() { Ok(programs) } else { Err("cargo built no program".into()) }
}

/// A static musl program starts 0.3 ms sooner than a static glibc one, which looks at the processor at length first. Built for musl
/// where the toolchain has it.
pub(super) fn fastest_target() -> Vec<String> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let installed = Command::new("rustc").args(["--print", "target-libdir", "--target", &triple]).output();
    let has_it = installed.is_ok_and(|output| {
        let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&dir).is_dir()
    });
    if has_it { vec!["--target".to_owned(), triple] } else { Vec::new() }
}

/// The first line of `--version`.
pub(super) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown version").trim().to_owned()
}
