//! `cargo xtask order`: which functions the programs run through, in the order of their first time.
//!
//! A small program steps through commands that people wait for. What it saw becomes the lists in `link`, by which the linker puts these
//! functions side by side (`link/build.rs`). Names are written without what differs from build to build, so that a list stays true
//! for long, and is harmless where it is not.

use super::bundle;
use super::scenario;
use crate::workspace::{cargo, must, root};
use crate::{Outcome, workspace};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};

pub(crate) fn command() -> Command {
    Command::new("order")
        .about("Write the order in which the functions of both programs are linked; needs root")
        .arg(
            Arg::new("built")
                .long("built")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where both programs lie, release builds with symbols, instead of building them"),
        )
}

/// A program, and command lines that people wait for. What stands in capitals is a directory of the scratch space.
struct Walk {
    program: &'static str,
    /// In front of all others.
    general: &'static [&'static str],
    lines: &'static [&'static str],
    /// The line whose functions come first in the list.
    first: &'static str,
    /// Whatever came of it, nothing stays behind.
    last: &'static str,
}

const WALKS: &[Walk] = &[
    Walk {
        program: "holm-runtime",
        general: &["--root", "STATE"],
        lines: &[
            "create --bundle PAUSE order",
            "start order",
            "exec order /bin/true",
            "run --bundle TRUE order2",
            "run --bundle FILTERED order2",
            "state order",
            "list",
            "kill order KILL",
            "delete --force order",
        ],
        first: "exec order /bin/true",
        last: "delete --force order",
    },
    Walk {
        program: "holm",
        general: &[],
        lines: &[
            "ip netns add order",
            "ip netns exec order true",
            "run --rootfs ROOTFS --network none --rm --name order -- /bin/true",
            "ip link add order0 type veth peer name order1",
            "ip addr show",
            "ip route show",
            "ps",
            "images",
            "ip netns delete order",
        ],
        first: "ip netns exec order true",
        last: "rm --force order",
    },
];

/// A line, and the addresses that it runs through.
type Stepped = (&'static str, Vec<u64>);

/// What runs in tasks that share the program's memory, which are not stepped through.
const BESIDE: [&str; 2] = ["_ZN3sys5clone5child17h*", "_ZN3sys5clone7network4work17h*"];

/// Tables for unwinding, which a program that aborts when it panics does not do; the start files refer to theirs.
const NO_UNWINDING: &str =
    "  /DISCARD/ : { *(EXCLUDE_FILE(*crt*.o) .eh_frame) *(.gcc_except_table .gcc_except_table.*) }\n";

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    super::must_be_root()?;
    let scratch = workspace::root().join("target/order");
    fs::create_dir_all(&scratch)?;
    let built = match arguments.get_one::<PathBuf>("built") {
        Some(directory) => directory.clone(),
        None => build(&scratch)?,
    };
    let steps = scratch.join("steps");
    must(
        process::Command::new("cc").args(["-O2", "-o"]).args([&steps, &root().join("xtask/floor/steps.c")]),
    )?;
    bundles(&scratch)?;
    // Networks and what is mounted end with this process.
    super::tools::enter_room()?;
    for walk in WALKS {
        let program = built.join(walk.program);
        let step = |line: &&'static str| Ok((*line, addresses(&scratch, &steps, &program, walk, line)?));
        let stepped = walk.lines.iter().map(step).collect();
        let mut last = process::Command::new(&program);
        last.args(words(&scratch, walk, walk.last)).envs(environment(&scratch));
        last.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        let stepped: Result<Vec<Stepped>, Box<dyn Error>> = stepped;
        let mut stepped = stepped?;
        stepped.sort_by_key(|(line, _)| *line != walk.first);
        let addresses = stepped.into_iter().flat_map(|(_, addresses)| addresses);
        let (count, list) = list(&symbols(&program)?, addresses);
        fs::write(root().join("link").join(walk.program).with_extension("ld"), list)?;
        println!("{}: {count} functions", walk.program);
    }
    Ok(ExitCode::SUCCESS)
}

/// A linker script that puts the functions at these addresses in front of the others.
fn list(symbols: &[(u64, String)], addresses: impl Iterator<Item = u64>) -> (usize, String) {
    let (mut known, mut patterns) = (HashSet::new(), BESIDE.map(|name| format!("*(.text.{name})")).to_vec());
    for address in addresses {
        let at = symbols.partition_point(|(from, _)| *from <= address);
        let Some((start, _)) = at.checked_sub(1).and_then(|at| symbols.get(at)) else { continue };
        // The C library has several names for one function, and its section only one of them.
        for (_, name) in &symbols[symbols.partition_point(|(from, _)| from < start)..at] {
            let pattern = pattern(name);
            if known.insert(pattern.clone()) {
                patterns.push(format!("*(.text.{pattern})"));
            }
        }
    }
    // What is written in assembly has no section of its own.
    patterns.extend(["*crt1.o(.text)".to_owned(), "*libc*:*(.text)".to_owned()]);
    (
        known.len(),
        format!(
            "SECTIONS {{\n  .text.first : {{\n{}  }}\n{NO_UNWINDING}}}\nINSERT BEFORE .text;\n",
            filled(&patterns)
        ),
    )
}

/// As many of these a line as fit.
fn filled(words: &[String]) -> String {
    const WIDTH: usize = 144;
    let (mut text, mut room) = (String::new(), 0);
    for word in words {
        let more = word.len() + 1;
        if text.is_empty() || more > room {
            text.push_str(if text.is_empty() { "    " } else { "\n    " });
            room = WIDTH;
        } else {
            text.push(' ');
        }
        text.push_str(word);
        room = room.saturating_sub(more);
    }
    text + "\n"
}

/// Makes the containers that are started.
fn bundles(scratch: &Path) -> Result<(), Box<dyn Error>> {
    let rootfs = bundle::rootfs(scratch)?;
    let source = scratch.join("pause.c");
    fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")?;
    must(
        process::Command::new("cc").args(["-O2", "-static", "-o"]).args([&rootfs.join("bin/pause"), &source]),
    )?;
    for (name, args, filtered) in
        [("PAUSE", "/bin/pause", true), ("TRUE", "/bin/true", false), ("FILTERED", "/bin/true", true)]
    {
        let scenario = scenario::ALL.iter().find(|scenario| scenario.seccomp == filtered);
        let mut config = bundle::config(scenario.unwrap_or(&scenario::ALL[0]), &rootfs);
        config["process"]["args"] = serde_json::json!([args]);
        fs::create_dir_all(scratch.join(name))?;
        fs::write(scratch.join(name).join("config.json"), serde_json::to_vec(&config)?)?;
    }
    Ok(())
}

/// Builds the programs with their symbols, and says where they lie.
fn build(scratch: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo();
    build.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    build.args(["build", "--release"]).args(WALKS.iter().flat_map(|walk| ["--package", walk.program]));
    let target = super::programs::fastest_target();
    must(build.arg("--target-dir").arg(scratch).args(&target))?;
    let triple =
        target.get(1).cloned().unwrap_or_else(|| format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    Ok(scratch.join(triple).join("release"))
}

/// The words of a command line.
fn words(scratch: &Path, walk: &Walk, line: &'static str) -> Vec<PathBuf> {
    let directory = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let all = walk.general.iter().copied().chain(line.split(' '));
    all.map(|word| match word {
        "ROOTFS" => scratch.join("rootfs"),
        "KILL" => word.into(),
        _ if directory(word) => scratch.join(word),
        _ => word.into(),
    })
    .collect()
}

/// Where the engine keeps what it knows.
fn environment(scratch: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("HOLM_ROOT", scratch.join("root")),
        ("HOLM_RUNROOT", scratch.join("run")),
        ("HOLM_NETWORK", "none".into()),
    ]
}

/// Runs a command step by step.
fn addresses(
    scratch: &Path,
    steps: &Path,
    program: &Path,
    walk: &Walk,
    line: &'static str,
) -> Result<Vec<u64>, Box<dyn Error>> {
    let out = scratch.join("addresses");
    let mut command = process::Command::new("sh");
    command.args(["-c", "exec 3>\"$0\"; exec \"$@\""]).args([&out, steps, program]);
    command.args(words(scratch, walk, line)).envs(environment(scratch));
    must(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
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
    fn functions_come_in_the_order_of_their_first_time_under_all_their_names() {
        let symbols = [(16, "a"), (32, "_ZN1b17h0123456789abcdefE"), (48, "c"), (48, "d")];
        let symbols = symbols.map(|(at, name)| (at, name.to_owned()));
        let (count, list) = list(&symbols, [50, 17, 33, 18, 3].into_iter());
        assert_eq!(count, 4);
        let words =
            "*(.text.c) *(.text.d) *(.text.a) *(.text._ZN1b17h*) *crt1.o(.text) *libc*:*(.text) } /DISCARD/";
        let told: Vec<_> = list.split_whitespace().collect();
        assert!(told.join(" ").contains(words), "{list}");
    }

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
