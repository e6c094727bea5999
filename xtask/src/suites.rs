//! `cargo xtask suites`: what other people's test suites say about a runtime.
//!
//! [`catalogue`] says which suites there are and how each is started, [`room`] is the private environment in which one
//! runs, [`results`] reads what it printed. Suites run side by side, each in a room of its own. Their sources are not
//! part of this repository: a directory has them, with their helper programs built (docs/design/conformance.md).

pub(crate) mod catalogue;
pub(crate) mod results;
pub(crate) mod room;

use crate::Outcome;
use crate::bench::room::Hierarchies;
use catalogue::{Kind, Suite};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use results::Results;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

pub(crate) fn command() -> Command {
    Command::new("suites")
        .about("Run other people's suites against a runtime, and compare with a baseline; needs root")
        .arg(path("runtime", "FILE").required(true).help("The runtime to test"))
        .arg(path("sources", "DIR").required(true).help("The directory with the suites, built"))
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_name("NAME")
                .value_parser(["holm", "runc", "crun", "youki"])
                .default_value("holm")
                .help("Whose command line and habits the runtime has"),
        )
        .arg(
            Arg::new("suite")
                .long("suite")
                .value_name("NAME")
                .action(ArgAction::Append)
                .value_parser(Suite::ALL.map(Suite::name))
                .help("Only this suite; may be repeated"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("FILE")
                .action(ArgAction::Append)
                .help("Only this file, group or program of a suite; may be repeated"),
        )
        .arg(path("logs", "DIR").help("Where to keep what the suites print [default: target/suites]"))
        .arg(
            path("wrapper", "FILE")
                .help("A program that starts each file of a suite, given as its arguments"),
        )
        .arg(
            Arg::new("rooms")
                .long("rooms")
                .value_name("NUMBER")
                .value_parser(value_parser!(u8).range(1..))
                .default_value("2")
                .help("Into how many parts, side by side, each suite is divided"),
        )
        .arg(path("record", "FILE").help("Write the outcome of every test to this file"))
        .arg(
            path("baseline", "FILE")
                .action(ArgAction::Append)
                .help("Compare with what --record wrote for another runtime; may be repeated"),
        )
}

fn path(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(value_parser!(PathBuf))
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let file = |name: &str| arguments.get_one::<PathBuf>(name);
    let runtime = fs::canonicalize(arguments.get_one::<PathBuf>("runtime").expect("it is required"))?;
    let sources = fs::canonicalize(arguments.get_one::<PathBuf>("sources").expect("it is required"))?;
    let kind = Kind::named(arguments.get_one::<String>("kind").expect("it has a default"));
    let logs =
        file("logs").cloned().unwrap_or_else(|| crate::workspace::root().join("target").join("suites"));
    let only: Vec<String> = arguments.get_many("only").into_iter().flatten().cloned().collect();
    let wanted: Vec<&String> = arguments.get_many("suite").into_iter().flatten().collect();
    let suites = Suite::ALL
        .into_iter()
        .filter(|suite| wanted.is_empty() || wanted.iter().any(|name| *name == suite.name()));

    let rooms = usize::from(*arguments.get_one::<u8>("rooms").expect("it has a default"));
    let hierarchies = Hierarchies::read()?;
    let mut plans = Vec::new();
    for suite in suites {
        let directory = logs.join(suite.name());
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let directory = fs::canonicalize(directory)?;
        match suite.plan(&sources, &runtime, kind, &directory) {
            Ok(mut plan) => {
                plan.jobs.retain(|job| only.is_empty() || only.contains(&job.name));
                plan.wrapper = file("wrapper").map(fs::canonicalize).transpose()?;
                plans.extend(plan.divided(rooms).into_iter().map(|part| (suite, part)));
            }
            Err(reason) => println!("skipped {}: {reason}", suite.name()),
        }
    }

    let mut results = Results::default();
    thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
        let running: Vec<_> = plans
            .iter()
            .map(|(suite, plan)| {
                let hierarchies = &hierarchies;
                (suite, scope.spawn(move || room::carry_out(hierarchies, plan).map_err(|e| e.to_string())))
            })
            .collect();
        for (suite, thread) in running {
            thread.join().map_err(|_| format!("{}: the thread ended early", suite.name()))??;
        }
        Ok(())
    })?;
    for (suite, plan) in &plans {
        for job in &plan.jobs {
            let text = fs::read(&job.log).unwrap_or_default();
            results.read(*suite, &job.name, &String::from_utf8_lossy(&text));
        }
    }

    if let Some(record) = file("record") {
        fs::write(record, results.to_text())?;
    }
    print!("{}", results.counts());
    let mut lost = false;
    for baseline in arguments.get_many::<PathBuf>("baseline").into_iter().flatten() {
        lost |= compare(&results, baseline, !only.is_empty())?;
    }
    Ok(if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints how the results differ from a baseline; true if something passes there and not here.
fn compare(results: &Results, baseline: &Path, partly: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(baseline).map_err(|error| format!("{}: {error}", baseline.display()))?;
    let difference = results.difference(&Results::from_text(&text), partly);
    println!("\nbeside {}:\n{}", baseline.display(), difference.text);
    Ok(difference.lost > 0)
}
