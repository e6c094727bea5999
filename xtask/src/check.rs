//! `cargo xtask check`: what review relies on, in one command.

use crate::workspace::{cargo, shown, which};
use crate::{Outcome, generate, tidy};
use clap::{ArgMatches, Command};
use std::process::{self, ExitCode};

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Formatting, lints, tidy, generated pages, documentation and licences; runs all, then names what failed")
}

pub(crate) fn run(_: &ArgMatches) -> Outcome {
    let mut failed = Vec::new();
    let mut formatting = cargo();
    formatting.args(["fmt", "--all", "--check"]);
    let mut lints = cargo();
    lints.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let mut documentation = cargo();
    documentation.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", RUSTDOC);
    let steps = [("formatting", formatting), ("lints", lints), ("documentation", documentation)];
    for (name, mut command) in steps {
        if !passes(name, &mut command)? {
            failed.push(name);
        }
    }
    println!("== tidy");
    let complaints = tidy::complaints()?;
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    if !complaints.is_empty() {
        failed.push("tidy");
    }
    println!("== generated pages");
    let stale = generate::stale()?;
    stale.iter().for_each(|complaint| println!("{complaint}"));
    if !stale.is_empty() {
        failed.push("generated pages");
    }
    if !fuzz_targets()? {
        failed.push("fuzz targets");
    }
    if !licences()? {
        failed.push("licences");
    }
    match failed.as_slice() {
        [] => println!("everything is in order"),
        failed => println!("failed: {}", failed.join(", ")),
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Warnings are errors; the rest is what .cargo/config.toml says, which this variable would replace.
const RUSTDOC: &str = "-D warnings -C target-feature=+crt-static -C relocation-model=static";

fn passes(name: &str, command: &mut process::Command) -> std::io::Result<bool> {
    println!("== {name}: {}", shown(command));
    Ok(command.status()?.success())
}

/// The fuzz targets are a workspace of their own, which nothing else compiles.
fn fuzz_targets() -> std::io::Result<bool> {
    if which("c++").is_none() {
        println!("== fuzz targets\nSKIPPED fuzz targets: libFuzzer takes a C++ compiler");
        return Ok(true);
    }
    let mut command = cargo();
    command.args(["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    passes("fuzz targets", &mut command)
}

/// Licences and origins of the dependencies. Advisories only where their database can be had.
fn licences() -> std::io::Result<bool> {
    if which("cargo-deny").is_none() {
        println!("== licences\nSKIPPED licences: cargo-deny is not installed");
        return Ok(true);
    }
    let mut command = cargo();
    command.args(["deny", "check", "licenses", "bans", "sources"]);
    let fine = passes("licences", &mut command)?;
    let fetched = cargo().args(["deny", "fetch", "db"]).output()?.status.success();
    if !fetched {
        println!("SKIPPED advisories: the advisory database cannot be reached from here");
        return Ok(fine);
    }
    let mut command = cargo();
    command.args(["deny", "check", "advisories"]);
    Ok(passes("advisories", &mut command)? && fine)
}
