//! `cargo xtask order`: which functions of `holm-runtime` its commands run through, in the order of their first time.
//!
//! A small program steps through each command. What it saw becomes `order.ld`, by which the linker puts these functions side by side.
//! Names are written without what differs from build to build, so that the file stays true for long, and is harmless where it is not.

use super::bundle;
use super::scenario;
use crate::workspace::{cargo, must, root};
use crate::{Outcome, workspace};
use clap::{ArgMatches, Command};
use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};

pub(crate) fn command() -> Command {
    Command::new("order").about("Write the order in which holm-runtime's functions are linked; needs root")
}

/// The commands, in the order of a container's life. Those that matter most come first in the file.
const LIFE: &[&[&str]] = &[
    &["create", "--bundle", "PAUSE", "order"],
    &["state", "order"],
    &["start", "order"],
    &["exec", "order", "/bin/true"],
    &["list"],
    &["kill", "order", "KILL"],
    &["delete", "--force", "order"],
    &["run", "--bundle", "TRUE", "order"],
];
const FIRST: [&str; 2] = ["exec", "run"];

pub(crate) fn run(_: &ArgMatches) -> Outcome {
    super::must_be_root()?;
    let scratch = workspace::root().join("target/order");
    fs::create_dir_all(&scratch)?;
    let program = build(&scratch)?;
    let steps = scratch.join("steps");
    must(
        process::Command::new("cc").args(["-O2", "-o"]).args([&steps, &root().join("xtask/floor/steps.c")]),
    )?;
    let rootfs = bundle::rootfs(&scratch)?;
    let source = scratch.join("pause.c");
    fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")?;
    must(
        process::Command::new("cc").args(["-O2", "-static", "-o"]).args([&rootfs.join("bin/pause"), &source]),
    )?;
    for (name, args) in [("PAUSE", "/bin/pause"), ("TRUE", "/bin/true")] {
        let plain = scenario::ALL.iter().find(|scenario| scenario.seccomp).unwrap_or(&scenario::ALL[0]);
        let mut config = bundle::config(plain, &rootfs);
        config["process"]["args"] = serde_json::json!([args]);
        fs::create_dir_all(scratch.join(name))?;
        fs::write(scratch.join(name).join("config.json"), serde_json::to_vec(&config)?)?;
    }

    let walk = || {
        let one = |words: &&[&'static str]| Ok((words[0], addresses(&scratch, &steps, &program, words)?));
        LIFE.iter().map(one).collect::<Result<Vec<_>, Box<dyn Error>>>()
    };
    let seen = walk();
    // Whatever came of it: nothing stays behind.
    let mut delete = process::Command::new(&program);
    delete.arg("--root").arg(scratch.join("state")).args(["delete", "--force", "order"]);
    delete.stderr(Stdio::null()).status()?;
    let mut seen = seen?;
    seen.sort_by_key(|(name, _)| !FIRST.contains(name));
    let symbols = symbols(&program)?;
    let (mut known, mut script) = (HashSet::new(), String::from("SECTIONS {\n  .text.first : {\n"));
    for address in seen.iter().flat_map(|(_, addresses)| addresses) {
        let at = symbols.partition_point(|(from, _)| from <= address);
        let Some((_, name)) = at.checked_sub(1).and_then(|at| symbols.get(at)) else { continue };
        let pattern = pattern(name);
        if known.insert(pattern.clone()) {
            script.push_str(&format!("    *(.text.{pattern})\n"));
        }
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    fs::write(root().join("crates/holm-runtime/order.ld"), script)?;
    println!("{} functions", known.len());
    Ok(ExitCode::SUCCESS)
}

/// Builds the program with its symbols.
fn build(scratch: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo();
    build.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    build.args(["build", "--release", "--package", "holm-runtime", "--target-dir"]).arg(scratch);
    let target = super::programs::fastest_target();
    must(build.args(&target))?;
    let triple =
        target.get(1).cloned().unwrap_or_else(|| format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    Ok(scratch.join(triple).join("release/holm-runtime"))
}

/// Runs a command step by step.
fn addresses(
    scratch: &Path,
    steps: &Path,
    program: &Path,
    words: &[&str],
) -> Result<Vec<u64>, Box<dyn Error>> {
    let out = scratch.join("addresses");
    let mut line = process::Command::new("sh");
    line.args(["-c", "exec 3>\"$0\"; exec \"$@\""]).args([&out, steps, program]);
    line.arg("--root").arg(scratch.join("state"));
    for word in words {
        match *word {
            "PAUSE" | "TRUE" => line.arg(scratch.join(word)),
            word => line.arg(word),
        };
    }
    must(line.stdin(Stdio::null()).stdout(Stdio::null()))?;
    let text = fs::read_to_string(&out)?;
    Ok(text.lines().filter_map(|line| u64::from_str_radix(line, 16).ok()).collect())
}

/// Addresses and names of functions, in the order of their addresses.
fn symbols(program: &Path) -> Result<Vec<(u64, String)>, Box<dyn Error>> {
    let output = process::Command::new("nm").arg("-n").arg(program).output()?;
    let text = String::from_utf8(output.stdout)?;
    let symbol = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (address, kind, name) = (fields.next()?, fields.next()?, fields.next()?);
        let function = matches!(kind, "t" | "T" | "w" | "W");
        function.then(|| Some((u64::from_str_radix(address, 16).ok()?, name.to_owned())))?
    };
    Ok(text.lines().filter_map(symbol).collect())
}

/// A mangled name without the hashes in it.
fn pattern(name: &str) -> String {
    let name = match name.split_once(".llvm.") {
        Some((name, _)) => format!("{name}*"),
        None => name.to_owned(),
    };
    // `…17h0123456789abcdefE`
    if let Some((before, hash)) = name.rsplit_once("17h")
        && hash.len() >= 17
        && hash.as_bytes()[..16].iter().all(u8::is_ascii_hexdigit)
    {
        return format!("{before}17h*");
    }
    // `Cs0123456789a_` in front of a crate's name.
    let mut pattern = String::new();
    let mut rest = name.as_str();
    while let Some((before, behind)) = rest.split_once("Cs") {
        let hash = behind.bytes().take_while(u8::is_ascii_alphanumeric).count();
        pattern.push_str(before);
        if hash > 0 && behind[hash..].starts_with('_') {
            pattern.push_str("Cs*");
            rest = &behind[hash..];
        } else {
            pattern.push_str("Cs");
            rest = behind;
        }
    }
    pattern + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_no_hashes() {
        for (name, expected) in [
            ("_ZN4spec4load4load17h2348b006bf47944dE", "_ZN4spec4load4load17h*"),
            ("_RNvCsfLfy6EI15iL_7___rustc17rust_begin_unwind", "_RNvCs*_7___rustc17rust_begin_unwind"),
            ("memcpy", "memcpy"),
            ("f.llvm.123", "f*"),
        ] {
            assert_eq!(pattern(name), expected);
        }
    }
}
