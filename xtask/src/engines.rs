//! `cargo xtask engines`: whether podman, docker and containerd can work with a runtime.
//!
//! Each engine runs a Debian container with it: run, logs, exec, stats, top, update, pause, stop, start, kill, rm. [`start`] is how an
//! engine is brought up with directories and a socket of its own, [`life`] is what is done with it. It happens in the rooms of
//! `suites`, so nothing of an engine's reaches the host.

mod life;
mod report;
mod start;

use crate::Outcome;
use crate::bench::room::Hierarchies;
use crate::suites::catalogue::Suite;
use crate::suites::results::Results;
use crate::suites::room::{self, Job, Plan};
use crate::workspace::{must, root, which};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use start::Engine;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

pub(crate) fn command() -> Command {
    Command::new("engines")
        .about("Run a Debian container with podman, docker and containerd on top of a runtime; needs root")
        .arg(runtime().help("The runtime to test"))
        .arg(
            Arg::new("engine")
                .long("engine")
                .value_name("NAME")
                .action(ArgAction::Append)
                .value_parser(Engine::ALL.map(Engine::name))
                .help("Only this engine; may be repeated"),
        )
        .arg(
            Arg::new("rootfs")
                .long("rootfs")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("An archive with the container's files [default: a small Debian]"),
        )
        .arg(
            Arg::new("install")
                .long("install")
                .action(ArgAction::SetTrue)
                .help("Install engines that are missing with apt-get; their services are not started"),
        )
}

fn runtime() -> Arg {
    Arg::new("runtime").long("runtime").value_name("FILE").required(true).value_parser(value_parser!(PathBuf))
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let runtime = fs::canonicalize(arguments.get_one::<PathBuf>("runtime").expect("it is required"))?;
    let install = arguments.get_flag("install");
    let wanted: Vec<&String> = arguments.get_many("engine").into_iter().flatten().collect();
    let logs = root().join("target/engines");
    fs::create_dir_all(&logs)?;
    let archive = match arguments.get_one::<PathBuf>("rootfs") {
        Some(archive) => fs::canonicalize(archive)?,
        None => match debian(&logs, install) {
            Ok(archive) => archive,
            Err(reason) => {
                println!("SKIPPED engines: {reason}");
                return Ok(ExitCode::SUCCESS);
            }
        },
    };
    let hierarchies = Hierarchies::read()?;
    let mut results = Results::default();
    for engine in Engine::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| *name == engine.name()) {
            continue;
        }
        if let Err(reason) = present(engine, install) {
            println!("SKIPPED engine {}: {reason}", engine.name());
            continue;
        }
        let log = logs.join(format!("{}.log", engine.name()));
        let own = std::env::current_exe()?;
        let words = [
            &*own.to_string_lossy(),
            "engines-inside",
            engine.name(),
            &runtime.to_string_lossy(),
            &archive.to_string_lossy(),
        ];
        let job = Job {
            name: engine.name().to_owned(),
            seconds: 240,
            argv: words.map(str::to_owned).to_vec(),
            open_input: false,
            log: log.clone(),
        };
        let plan = Plan { directory: PathBuf::from("/tmp"), jobs: vec![job], ..Plan::default() };
        room::carry_out(&hierarchies, &plan)?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        print!("{}\n{output}", engine.name());
        results.read(Suite::Engines, engine.name(), &output);
    }
    print!("\n{}", results.counts());
    Ok(if results.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The inner side: one engine, in its room.
pub(crate) fn inside() -> Command {
    Command::new("engines-inside")
        .hide(true)
        .about("The inner side of `engines`")
        .arg(Arg::new("engine").required(true))
        .arg(Arg::new("runtime").required(true).value_parser(value_parser!(PathBuf)))
        .arg(Arg::new("archive").required(true).value_parser(value_parser!(PathBuf)))
}

pub(crate) fn run_inside(arguments: &ArgMatches) -> Outcome {
    let name = arguments.get_one::<String>("engine").expect("it is required");
    let engine = Engine::ALL.into_iter().find(|engine| engine.name() == name).ok_or("no such engine")?;
    let path = |name: &str| arguments.get_one::<PathBuf>(name).expect("it is required");
    let session = engine.start(path("runtime"), path("archive"))?;
    let report = match engine {
        Engine::Podman | Engine::Docker => life::as_docker(&session),
        Engine::Containerd => life::as_containerd(&session),
    };
    if report.failed() {
        let session_log = session.log();
        println!("# what the daemon said:");
        let complaint = |line: &&str| line.contains("level=error") || line.contains("level=fatal");
        session_log.lines().filter(complaint).for_each(|line| println!("# {line}"));
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sees to it that an engine's programs are there.
fn present(engine: Engine, install: bool) -> Result<(), String> {
    let missing = || engine.programs().iter().find(|program| which(program).is_none());
    if missing().is_some() && install {
        apt(engine.packages()).map_err(|error| error.to_string())?;
    }
    match missing() {
        None => Ok(()),
        Some(program) => Err(format!("{program} is not in PATH; --install gets it with apt-get")),
    }
}

/// A small Debian as an archive, made once: of the packages of this machine, or where it is another system, by mmdebstrap(1).
fn debian(directory: &Path, install: bool) -> Result<PathBuf, String> {
    let archive = directory.join("debian.tar");
    if archive.exists() {
        return Ok(archive);
    }
    if which("dpkg").is_some() && Path::new("/etc/debian_version").exists() {
        let mut command = process::Command::new("sh");
        command.args(["-c", include_str!("engines/debian.sh"), "sh"]).arg(&archive);
        must(&mut command).map_err(|error| error.to_string())?;
        return Ok(archive);
    }
    if which("mmdebstrap").is_none() && install {
        apt(&["mmdebstrap"]).map_err(|error| error.to_string())?;
    }
    if which("mmdebstrap").is_none() {
        return Err("mmdebstrap, which makes the container's files, is not in PATH".to_owned());
    }
    let unfinished = directory.join("debian.unfinished.tar");
    let mut command = process::Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "stable"]).arg(&unfinished);
    must(&mut command).map_err(|error| error.to_string())?;
    fs::rename(&unfinished, &archive).map_err(|error| error.to_string())?;
    Ok(archive)
}

/// Installs packages and starts none of their services.
fn apt(packages: &[&str]) -> Result<(), Box<dyn Error>> {
    if which("apt-get").is_none() {
        return Err("there is no apt-get here".into());
    }
    // invoke-rc.d(8) asks this program; it is taken away again if it was not there.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
    }
    let done = must(
        process::Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages),
    );
    if ours {
        fs::remove_file(policy)?;
    }
    Ok(done?)
}
