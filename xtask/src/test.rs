//! `cargo xtask test`: every test of the workspace, with a count that tells skipped from passed.
//!
//! A test whose need is missing prints `SKIPPED name: reason` and returns, which the test harness calls passing; [`tally`]
//! subtracts those. `--without CALL` hides system calls first, so that the fallbacks run.

mod hide;
pub(crate) mod tally;

use crate::Outcome;
use crate::workspace::cargo;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode, Stdio};
use tally::Tally;

pub(crate) fn command() -> Command {
    Command::new("test")
        .about("Run all tests and documentation tests; the last line counts them")
        .arg(
            Arg::new("without")
                .long("without")
                .value_name("SYSCALL")
                .action(ArgAction::Append)
                .value_parser(hide::known)
                .help("Run as on a kernel that lacks this call; may be repeated"),
        )
        .arg(
            Arg::new("package")
                .long("package")
                .short('p')
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only this package"),
        )
        .arg(Arg::new("again").long("again").action(ArgAction::SetTrue).help(
            "Run failed tests once more, alone; those that pass then are listed as unsteady, and are no failures",
        ))
        .arg(Arg::new("filter").value_name("FILTER").help("Only tests whose name contains this"))
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let filter = arguments.get_one::<String>("filter");
    let mut scope = Vec::new();
    match arguments.get_many::<String>("package") {
        Some(names) => names.for_each(|name| scope.extend(["--package", name.as_str()])),
        None => scope.push("--workspace"),
    }
    // Built first: compilers are not the ones to run with calls hidden.
    let mut tally = Tally::default();
    if !cargo().args(["test", "--no-run", "--all-targets"]).args(&scope).status()?.success() {
        tally.ended("--no-run", false);
        print!("{}", tally.report());
        return Ok(ExitCode::FAILURE);
    }
    let apart = Apart::new()?;
    let hidden: Vec<u32> = arguments.get_many("without").into_iter().flatten().copied().collect();
    hide::syscalls(&hidden)?;

    for targets in ["--all-targets", "--doc"] {
        if targets == "--doc" && !has_library(arguments)? {
            continue;
        }
        let mut command = cargo();
        apart.told_to(&mut command);
        command
            .args(["test", "--no-fail-fast", targets])
            .args(&scope)
            .arg("--")
            .args(filter)
            .arg("--show-output");
        let passed = stream(&mut command, &mut tally)?;
        tally.ended(targets, passed);
    }
    if arguments.get_flag("again") && tally.can_be_tried_again() {
        println!("\nFailed tests once more, alone:");
        let mut command = cargo();
        apart.told_to(&mut command);
        command.args(["test", "--no-fail-fast", "--all-targets"]).args(&scope);
        command.args(["--", "--exact", "--test-threads", "1"]).args(tally.failures());
        let mut second = Tally::default();
        stream(&mut command, &mut second)?;
        tally.again(&second);
    }
    print!("{}", tally.report());
    Ok(if tally.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where containers of tests that name no place are recorded, away from those of this machine. A test that wants the defaults, on a host
/// that it made, takes these variables away.
struct Apart {
    directory: PathBuf,
}

impl Apart {
    fn new() -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("holm-test-{}", process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Self { directory })
    }

    fn told_to(&self, command: &mut process::Command) {
        command.env("HOLM_ROOT", self.directory.join("root")).env("HOLM_RUNROOT", self.directory.join("run"));
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// `cargo test --doc` refuses packages without a library.
fn has_library(arguments: &ArgMatches) -> Result<bool, Box<dyn std::error::Error>> {
    let Some(names) = arguments.get_many::<String>("package") else { return Ok(true) };
    let names: Vec<&str> = names.map(String::as_str).collect();
    let packages = crate::workspace::packages()?;
    let has = |package: &serde_json::Value| {
        let targets = package["targets"].as_array().into_iter().flatten();
        targets.into_iter().any(|target| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
        })
    };
    Ok(packages
        .iter()
        .filter(|package| package["name"].as_str().is_some_and(|name| names.contains(&name)))
        .all(has))
}

/// Runs a command, shows what it prints as it comes, and counts along.
fn stream(command: &mut process::Command, tally: &mut Tally) -> io::Result<bool> {
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer).stdin(Stdio::null());
    let mut child = command.spawn()?;
    // Its copies of the writing end would keep the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut out = io::stdout().lock();
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        tally.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(child.wait()?.success())
}
