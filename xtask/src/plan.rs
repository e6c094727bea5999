//! `cargo xtask plan`: what a launch of a bundle would do, on this host or on one that lacks things. Nothing is done.

use crate::Outcome;
use crate::facts::{calls, explained};
use cgroups::{CgroupPath, Place};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use runtime::facts::Calls;
use runtime::{ContainerId, HostFacts, Launch, Root, Stdio};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What an ordinary user's first id is on most systems (`UID_MIN` of login.defs(5)).
const ORDINARY_USER: u32 = 1000;

pub(crate) fn command() -> Command {
    Command::new("plan")
        .about("Print the plan for a bundle, with this host's facts altered as asked; nothing is done")
        .arg(
            Arg::new("bundle")
                .required(true)
                .value_name("BUNDLE")
                .value_parser(value_parser!(PathBuf))
                .help("Directory with config.json, or such a file"),
        )
        .arg(
            Arg::new("kernel")
                .long("kernel")
                .value_name("VERSION")
                .value_parser(version)
                .help("As on a kernel of this version, such as 5.4"),
        )
        .arg(
            Arg::new("rootless")
                .long("rootless")
                .action(ArgAction::SetTrue)
                .help("As an ordinary user, without capabilities"),
        )
        .arg(
            Arg::new("without")
                .long("without")
                .value_name("CALL")
                .action(ArgAction::Append)
                .help("As on a kernel that lacks this; `cargo xtask facts` lists the names; may be repeated"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let bundle = arguments.get_one::<PathBuf>("bundle").ok_or("a bundle is needed")?;
    let launch = launch(bundle)?;
    let mut facts = HostFacts::read().map_err(explained)?;
    if let Some(kernel) = arguments.get_one::<(u32, u32)>("kernel") {
        facts.kernel = *kernel;
        facts.calls = Calls::of_version(*kernel);
    }
    if arguments.get_flag("rootless") {
        facts.capabilities = 0;
        if facts.uid == 0 {
            (facts.uid, facts.gid) = (ORDINARY_USER, ORDINARY_USER);
        }
    }
    for name in arguments.get_many::<String>("without").into_iter().flatten() {
        take_away(&mut facts, name)?;
    }
    let plan = runtime::plan(&launch, &facts).map_err(explained)?;
    print!("{plan}");
    Ok(ExitCode::SUCCESS)
}

/// `MAJOR.MINOR`
fn version(text: &str) -> Result<(u32, u32), String> {
    let parsed =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.ok_or_else(|| "a kernel's version is two numbers, such as 5.4".to_owned())
}

fn take_away(facts: &mut HostFacts, name: &str) -> Result<(), String> {
    let mut all = calls(facts);
    match all.iter_mut().find(|(known, _)| *known == name) {
        Some((_, there)) => {
            **there = false;
            Ok(())
        }
        None => {
            let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
            Err(format!("no plan depends on `{name}`; what can be taken away: {}", names.join(", ")))
        }
    }
}

/// The launch that `holm-runtime run` makes of a bundle.
fn launch(bundle: &Path) -> Result<Launch, Box<dyn std::error::Error>> {
    let bundle = std::path::absolute(bundle)?;
    let (bundle, config) = match bundle.parent() {
        Some(parent) if bundle.is_file() => (parent.to_path_buf(), bundle.clone()),
        _ => (bundle.clone(), bundle.join("config.json")),
    };
    let bytes = std::fs::read(&config).map_err(|error| format!("{}: {error}", config.display()))?;
    let spec = spec::validate(spec::load(&bytes).map_err(explained)?).map_err(explained)?;
    let cgroup = match spec.linux.cgroups_path.strip_prefix('/') {
        Some(path) => Place::Mount(CgroupPath::parse(path).map_err(explained)?),
        None if spec.linux.cgroups_path.is_empty() => {
            Place::Own(CgroupPath::parse("plan").map_err(explained)?)
        }
        None => Place::Own(CgroupPath::parse(&spec.linux.cgroups_path).map_err(explained)?),
    };
    let stdio = if spec.process.terminal { Stdio::Terminal { size: None } } else { Stdio::Inherit };
    Ok(Launch {
        id: ContainerId::parse("plan").map_err(explained)?,
        root: Root::Directory { path: bundle.join(&spec.root.path) },
        spec,
        bundle,
        idmap_root: false,
        files: Vec::new(),
        parts: Vec::new(),
        make_cwd: false,
        stdio,
        cgroup,
        unit: None,
        init: false,
        die_with_parent: false,
        delegate_v1: false,
        keep_keyring: false,
        preserve_fds: 0,
        life: runtime::Life::Attended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!(version("5.4"), Ok((5, 4)));
        assert_eq!(version("6.18"), Ok((6, 18)));
        for bad in ["", "6", "6.x", "6.1.2", "-1.2"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
