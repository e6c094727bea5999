//! `cargo xtask bench launch`: what a container launch costs, ours beside others', in one interleaved run.
//!
//! [`scenario`] says what is measured, [`programs`] who takes part, [`room`] is the private environment where it
//! happens, [`table`] what is shown. The programs are run in turn, ABCABC…, so that whatever else the machine does
//! hits all of them alike, and each run is timed from outside as a whole process.

mod bundle;
mod engine;
mod images;
mod life;
mod network;
pub(crate) mod order;
mod programs;
pub(crate) mod room;
pub(crate) mod scenario;
mod stats;
mod table;
mod tools;

use crate::{Outcome, workspace};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use programs::{Kind, Program};
use room::Plan;
use scenario::Scenario;
use stats::Series;
use std::fs;
use std::process::ExitCode;
use table::{Row, Sheet};

pub(crate) fn command() -> Command {
    let launch = Command::new("launch")
        .about("Measure launches of /bin/true; needs root")
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_parser(value_parser!(u32))
                .default_value("200")
                .help("Launches of each program in each scenario"),
        )
        .arg(
            Arg::new("scenario")
                .long("scenario")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only this scenario; --list shows them"),
        )
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("List the scenarios"))
        .args(programs::flags())
        .arg(
            Arg::new("gap")
                .long("gap-us")
                .value_parser(value_parser!(u64))
                .default_value("500")
                .help("Rest between two launches, in microseconds"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Update the tables in README.md and docs/benchmarks.md"),
        );
    Command::new("bench")
        .about("Measurements")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(launch)
        .subcommand(tools::command())
        .subcommand(life::command())
        .subcommand(images::command())
        .subcommand(network::command())
        .subcommand(engine::command())
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    let (name, arguments) = arguments.subcommand().expect("clap requires one");
    match name {
        "tools" => return tools::run(arguments),
        "runtime" => return life::run(arguments),
        "images" => return images::run(arguments),
        "network" => return network::run(arguments),
        "engine" => return engine::run(arguments),
        _ => {}
    }
    let groups = room::Hierarchies::read()?;
    let wanted: Vec<&String> = arguments.get_many("scenario").into_iter().flatten().collect();
    let scenarios: Vec<&Scenario> = scenario::ALL
        .iter()
        .filter(|scenario| groups.offer(scenario.view))
        .filter(|scenario| wanted.is_empty() || wanted.iter().any(|name| *name == scenario.name))
        .collect();
    if arguments.get_flag("list") {
        scenarios.iter().for_each(|scenario| println!("{:<16} {}", scenario.name, scenario.title));
        return Ok(ExitCode::SUCCESS);
    }
    if scenarios.is_empty() {
        return Err("no such scenario here; --list shows them".into());
    }
    let scratch = workspace::root().join("target/bench");
    fs::create_dir_all(&scratch)?;
    let programs = programs::all(&scratch, arguments)?;
    let rootfs = bundle::rootfs(&scratch)?;
    let runs = *arguments.get_one::<u32>("runs").expect("it has a default");
    let gap_us = *arguments.get_one::<u64>("gap").expect("it has a default");

    let mut sheet = Sheet::new(&programs);
    for scenario in scenarios {
        eprintln!("measuring: {}", scenario.title);
        let mut plan = Plan {
            view: scenario.view,
            runs,
            gap_us,
            timer: programs::timer(&scratch),
            task: scenario.task,
            launches: Vec::new(),
        };
        for program in &programs {
            plan.launches.push(launch(program, scenario, &scratch, &rootfs)?);
        }
        let results = room::measure(&groups, &plan)?;
        let cells = results.into_iter().map(|(_, series)| series).collect::<Vec<Result<Series, String>>>();
        let row = Row { scenario, cells };
        print!("{}", sheet.text(&row));
        sheet.rows.push(row);
    }
    if arguments.get_flag("write") {
        table::write(&sheet, "bench:launch")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Cgroups and namespaces take root.
fn must_be_root() -> Result<(), Box<dyn std::error::Error>> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err("this takes root".into()) }
}

/// How `program` is launched in `scenario`; its bundle is written.
fn launch(
    program: &Program,
    scenario: &Scenario,
    scratch: &std::path::Path,
    rootfs: &std::path::Path,
) -> Result<room::Launch, Box<dyn std::error::Error>> {
    let directory = scratch.join("bundles").join(&program.name);
    fs::create_dir_all(&directory)?;
    let config = bundle::config(scenario, rootfs);
    fs::write(directory.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    let mut argv = vec![program.path.display().to_string()];
    match program.kind {
        Kind::Floor => {
            argv.extend(scenario.floor_arguments());
            if scenario.seccomp {
                let filter = scratch.join("default.bpf");
                fs::write(&filter, bundle::default_filter()?)?;
                argv.extend(["--seccomp".into(), filter.display().to_string()]);
            }
            argv.extend([rootfs.display().to_string(), "/bin/true".into()]);
        }
        Kind::Engine => argv.extend(scenario.engine_arguments(rootfs)),
        Kind::Runtime => {
            let state = format!("/run/bench-{}", program.name);
            let bundle = directory.display().to_string();
            argv.extend(["--root", &state, "run", "--bundle", &bundle, room::ID].map(String::from));
        }
    }
    Ok(room::Launch {
        name: program.name.clone(),
        argv,
        config: matches!(program.kind, Kind::Runtime).then(|| directory.join("config.json")),
    })
}
