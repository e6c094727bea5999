//! `cargo xtask vm-test`: the tests on other kernels, with all controllers of cgroup v2, and below a real systemd.
//!
//! A [`lane::Lane`] names a kernel and what it boots into. [`kernel`] gets Debian's kernel, [`disk`] lays out what the guest
//! sees, [`boot`] runs it in qemu (emulated: no KVM is asked for) and counts what comes out of its second serial line. What
//! happens inside are the scripts of `xtask/guest`. Nothing of this needs root, except that the lanes with systemd want
//! mmdebstrap(1), which needs root or unprivileged user namespaces.

mod apt;
mod boot;
mod cpio;
mod disk;
mod kernel;
mod lane;
mod payload;
mod tools;

use crate::Outcome;
use crate::test::tally::Tally;
use crate::workspace::{root, which};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lane::{LANES, Lane};
use std::error::Error;
use std::process::ExitCode;

pub(crate) fn command() -> Command {
    let lanes = LANES.iter().map(|lane| lane.name).chain(["all"]).collect::<Vec<_>>();
    Command::new("vm-test")
        .about("Run the kernel tests in qemu, on Debian's kernels; the last line counts them")
        .arg(
            Arg::new("lane")
                .long("lane")
                .value_name("NAME")
                .action(ArgAction::Append)
                .value_parser(clap::builder::PossibleValuesParser::new(lanes))
                .default_value("v2")
                .help("What to boot into; may be repeated"),
        )
        .arg(
            Arg::new("kernel")
                .long("kernel")
                .value_name("VERSION")
                .value_parser(|text: &str| kernel::suite(text).map(str::to_owned))
                .help(format!("The kernel in place of the lane's own: {}", kernel::known())),
        )
        .arg(
            Arg::new("package")
                .long("package")
                .short('p')
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only this package's tests"),
        )
        .arg(Arg::new("again").long("again").action(ArgAction::SetTrue).help(
            "Run failed tests once more, alone; those that pass then are listed as unsteady, and are no failures",
        ))
        .arg(
            Arg::new("filter")
                .value_name("FILTER")
                .num_args(0..)
                .help("Only tests whose names contain one of these"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let names: Vec<&String> = arguments.get_many("lane").into_iter().flatten().collect();
    let wanted = |lane: &&Lane| names.iter().any(|name| *name == lane.name || *name == "all");
    let suite = arguments.get_one::<String>("kernel").map(String::as_str);
    let only: Vec<String> = arguments.get_many("package").into_iter().flatten().cloned().collect();
    let filter: Vec<&str> = arguments.get_many("filter").into_iter().flatten().map(String::as_str).collect();
    let directory = root().join("target/vm-test");
    std::fs::create_dir_all(&directory)?;

    if let Some(reason) = missing() {
        return Ok(all_skipped(&reason));
    }
    let programs = payload::build(&only)?;
    let mut lines = Vec::new();
    let mut success = true;
    for lane in LANES.iter().filter(wanted) {
        let suite = suite.unwrap_or(lane.suite);
        let outcome = kernel::get(&directory, suite)
            .and_then(|kernel| Ok((disk::root(&directory, lane)?, kernel)))
            .map_err(|error| error.to_string());
        let line = match outcome {
            Err(reason) => {
                eprintln!("SKIPPED lane {}: {reason}", lane.name);
                format!("lane {}: skipped: {reason}", lane.name)
            }
            Ok((root, kernel)) => {
                println!("\n== lane {}: Linux {} ==", lane.name, kernel.release);
                let mut tally = in_guest(&directory, lane, &kernel, &root, &programs, &filter.join(" "))?;
                if arguments.get_flag("again") && tally.can_be_tried_again() {
                    println!("\nFailed tests once more, alone:");
                    let failures = tally.failures().join(" ");
                    tally.again(&in_guest(&directory, lane, &kernel, &root, &programs, &failures)?);
                }
                print!("{}", tally.report());
                success &= tally.is_success();
                format!("lane {} (Linux {}): {}", lane.name, kernel.release, tally.counts())
            }
        };
        lines.push(line);
    }
    println!();
    lines.iter().for_each(|line| println!("{line}"));
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One boot and what was counted in it.
fn in_guest(
    directory: &std::path::Path,
    lane: &Lane,
    kernel: &kernel::Kernel,
    root: &std::path::Path,
    programs: &[payload::Program],
    filter: &str,
) -> Result<Tally, Box<dyn Error>> {
    let payload = payload::lay_out(directory, lane, kernel, programs, filter)?;
    let initramfs = directory.join("initramfs");
    std::fs::write(&initramfs, disk::initramfs(kernel)?)?;
    boot::boot(&boot::Machine {
        lane,
        kernel,
        initramfs: &initramfs,
        disks: [root, &payload],
        log: directory,
    })
}

/// What this machine lacks for any lane.
fn missing() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some("only Debian's kernels for amd64 are known".to_owned());
    }
    let packages = [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("mke2fs", "e2fsprogs"),
        ("apt-get", "apt"),
        ("dpkg", "dpkg"),
    ];
    if let Some((program, package)) = packages.iter().find(|(program, _)| which(program).is_none()) {
        return Some(format!("no {program} here (Debian: `apt-get install {package}`)"));
    }
    let busybox = std::path::Path::new(disk::BUSYBOX).exists();
    (!busybox).then(|| format!("no {} here (Debian: `apt-get install busybox-static`)", disk::BUSYBOX))
}

fn all_skipped(reason: &str) -> ExitCode {
    eprintln!("SKIPPED vm-test: {reason}");
    println!("0 passed, 0 failed, 1 skipped");
    ExitCode::SUCCESS
}
