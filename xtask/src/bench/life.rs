//! `cargo xtask bench runtime`: what each command of a container's life costs, ours beside others', in one interleaved run.
//!
//! Every runtime has one container a round. A command is given to all of them before the next one is, so that whatever else the
//! machine does hits all alike. `exec` has two floors: a bare program that joins the same namespaces and cgroups of our container, and one
//! that also takes the rights of the container's programs.

use super::programs::{self, Kind, OURS, Program};
use super::room::{self, Launch, Measured, Plan};
use super::scenario::{Scenario, Task, View};
use super::stats::Series;
use super::table::{self, Row, Sheet};
use super::{bundle, must_be_root};
use crate::workspace::must;
use crate::{Outcome, workspace};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::process::ExitCode;
use std::time::Duration;

/// Between the marks of this name the tables are written.
const MARK: &str = "bench:runtime";

/// A command, its arguments before the container's id and behind it.
struct Step {
    title: &'static str,
    before: &'static [&'static str],
    behind: &'static [&'static str],
}

const fn step(title: &'static str, before: &'static [&'static str], behind: &'static [&'static str]) -> Step {
    Step { title, before, behind }
}

/// One round. `BUNDLE` and `PIDFILE` are filled in.
const STEPS: &[Step] = &[
    step("create", &["create", "--bundle", "BUNDLE", "--pid-file", "PIDFILE"], &[]),
    step("state", &["state"], &[]),
    step("start", &["start"], &[]),
    step("list", &["list"], &[]),
    step("exec, beside joining alone", &["exec"], &["/bin/true"]),
    step("exec, beside joining and taking the rights", &["exec"], &["/bin/true"]),
    step(UPDATE, &["update", "--pids-limit", "100"], &[]),
    step("events --stats", &["events", "--stats"], &[]),
    step("pause", &["pause"], &[]),
    step("resume", &["resume"], &[]),
    step("kill", &["kill"], &["KILL"]),
    step("delete", &["delete"], &[]),
];
const UPDATE: &str = "update";
/// The first `exec`.
const EXEC: usize = 4;

pub(super) fn command() -> Command {
    Command::new("runtime")
        .about("Measure the commands of a container's life; needs root")
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_parser(value_parser!(u32))
                .default_value("100")
                .help("Rounds of all commands"),
        )
        .arg(
            Arg::new("view")
                .long("view")
                .value_parser(["v1", "v2", "hybrid"])
                .default_value("v2")
                .help("Which cgroup hierarchies there are"),
        )
        .arg(
            Arg::new("containers")
                .long("containers")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .default_value("500")
                .help("Containers in the list that is timed at the end; 0 leaves it out"),
        )
        .args(super::programs::flags())
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Update the tables in docs/benchmarks.md, and in README.md if it has a place for them"),
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Outcome {
    must_be_root()?;
    let groups = room::Hierarchies::read()?;
    let view = match arguments.get_one::<String>("view").map(String::as_str) {
        Some("v1") => View::V1,
        Some("hybrid") => View::Hybrid,
        _ => View::V2,
    };
    if !groups.offer(view) {
        return Err("this host has no such cgroup hierarchies".into());
    }
    let scratch = workspace::root().join("target/bench");
    fs::create_dir_all(&scratch)?;
    let mut programs = programs::all(&scratch, arguments)?;
    // It has no such commands.
    programs.retain(|program| program.kind != Kind::Engine);
    let rootfs = bundle::rootfs(&scratch)?;
    let floor = build(&scratch, &rootfs)?;
    for program in programs.iter_mut().filter(|program| program.kind == Kind::Floor) {
        program.path.clone_from(&floor);
    }
    let runs = *arguments.get_one::<u32>("runs").expect("it has a default");
    let containers = *arguments.get_one::<u32>("containers").expect("it has a default");
    let scenario = Scenario { view, ..super::scenario::ALL[0] };
    let mut plan = Plan {
        view,
        runs,
        gap_us: 500,
        timer: programs::timer(&scratch),
        task: Task::Life(containers),
        launches: Vec::new(),
    };
    for program in &programs {
        plan.launches.push(launch(program, &scenario, &scratch, &rootfs)?);
    }
    eprintln!("measuring {runs} rounds");
    let mut measured = room::measure(&groups, &plan)?;
    if view == View::V2 && groups.offer(View::V1) {
        eprintln!("measuring {runs} rounds with cgroup v1");
        (plan.view, plan.task) = (View::V1, Task::Life(0));
        let update = STEPS.iter().position(|step| step.title == UPDATE).unwrap_or(0) * programs.len();
        let with_v1 = room::measure(&groups, &plan)?;
        for (place, result) in measured.iter_mut().zip(with_v1).skip(update).take(programs.len()) {
            if place.1.is_err() {
                *place = result;
            }
        }
    }

    let titles: Vec<String> = STEPS.iter().map(|step| step.title.to_owned()).collect();
    let many = (containers > 0).then(|| format!("list of {containers} containers"));
    let scenarios: Vec<Scenario> = titles
        .into_iter()
        .chain(many)
        .map(|title| Scenario { title: title.leak(), task: Task::Launch, ..scenario })
        .collect();
    let mut sheet = Sheet::new(&programs);
    for (row, scenario) in measured.chunks(programs.len()).zip(&scenarios) {
        let cells: Vec<Result<Series, String>> = row.iter().map(|(_, series)| series.clone()).collect();
        let row = Row { scenario, cells };
        print!("{}", sheet.text(&row));
        sheet.rows.push(row);
    }
    if arguments.get_flag("write") {
        table::write(&sheet, MARK)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the floor of `exec`, and the program that containers run.
fn build(scratch: &Path, rootfs: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let floor = scratch.join("enter");
    programs::compile(&workspace::root().join("xtask/floor/enter.c"), &floor, &[])?;
    let source = scratch.join("pause.c");
    fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")?;
    must(
        process::Command::new("cc").args(["-O2", "-static", "-o"]).args([&rootfs.join("bin/pause"), &source]),
    )?;
    Ok(floor)
}

fn launch(
    program: &Program,
    scenario: &Scenario,
    scratch: &Path,
    rootfs: &Path,
) -> Result<Launch, Box<dyn Error>> {
    let directory = scratch.join("bundles").join(&program.name);
    fs::create_dir_all(&directory)?;
    let mut config = bundle::config(scenario, rootfs);
    config["process"]["args"] = serde_json::json!(["/bin/pause"]);
    let file = directory.join("config.json");
    fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
    let mut argv = vec![program.path.display().to_string()];
    if program.kind == Kind::Runtime {
        argv.extend(["--root".to_owned(), format!("/run/bench-{}", program.name)]);
    }
    Ok(Launch { name: program.name.clone(), argv, config: Some(file) })
}

/// The inner side: all rounds, then the list of many. The results are those of each step for all programs, step by step.
pub(super) fn measured(plan: &Plan, containers: u32) -> Measured {
    let mut results: Measured = Vec::new();
    for _ in STEPS {
        results.extend(plan.launches.iter().map(|launch| (launch.name.clone(), Ok(Series::default()))));
    }
    const WARM_UP: u32 = 2;
    for round in 0..WARM_UP + plan.runs {
        for (index, step) in STEPS.iter().enumerate() {
            for (column, launch) in plan.launches.iter().enumerate() {
                let place = index * plan.launches.len() + column;
                std::thread::sleep(Duration::from_micros(plan.gap_us));
                let Some(argv) = words(plan, launch, index, step) else {
                    results[place].1 = Err("has no such command".to_owned());
                    continue;
                };
                let outcome = room::timed_argv(plan, &argv);
                let Ok(series) = &mut results[place].1 else { continue };
                match outcome {
                    Err(reason) => results[place].1 = Err(reason),
                    Ok(_) if round < WARM_UP => {}
                    Ok((wall_ms, cpu_ms, peak_kib)) => {
                        series.values.push(wall_ms);
                        series.cpu_ms += cpu_ms / f64::from(plan.runs);
                        series.peak_kib = series.peak_kib.max(peak_kib);
                    }
                }
            }
            if step.title == "kill" {
                // The kernel takes a moment to end what is killed.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    if containers > 0 {
        results.extend(
            plan.launches.iter().map(|launch| (launch.name.clone(), list_of_many(plan, launch, containers))),
        );
    }
    results
}

fn is_floor(launch: &Launch) -> bool {
    launch.argv.len() == 1
}

/// One for each runtime: some make the cgroup of this name in the same place, and refuse one that another has made.
fn id(launch: &Launch) -> String {
    format!("bench-{}", launch.name)
}

fn pid_file(launch: &Launch) -> String {
    format!("/run/bench-{}.pid", launch.name)
}

/// A step's command line for a program.
fn words(plan: &Plan, launch: &Launch, index: usize, step: &Step) -> Option<Vec<String>> {
    if is_floor(launch) {
        return match index.checked_sub(EXEC) {
            Some(rights @ (0 | 1)) => floor_words(plan, launch, rights == 1),
            _ => None,
        };
    }
    let bundle = launch.config.as_deref()?.parent()?.display().to_string();
    let mut argv = launch.argv.clone();
    argv.extend(step.before.iter().map(|word| match *word {
        "BUNDLE" => bundle.clone(),
        "PIDFILE" => pid_file(launch),
        word => word.to_owned(),
    }));
    if step.title != "list" {
        argv.push(id(launch));
    }
    argv.extend(step.behind.iter().map(|word| (*word).to_owned()));
    Some(argv)
}

/// The floor enters our container, or the first that there is.
fn floor_words(plan: &Plan, launch: &Launch, rights: bool) -> Option<Vec<String>> {
    let ours = plan.launches.iter().find(|launch| launch.name == OURS);
    let runtime = ours.or_else(|| plan.launches.iter().find(|launch| !is_floor(launch)))?;
    let pid = fs::read_to_string(pid_file(runtime)).ok()?;
    let pid = pid.trim();
    let root = Path::new("/sys/fs/cgroup");
    let mut argv = launch.argv.clone();
    argv.extend(rights.then(|| "--rights".to_owned()));
    let mut tasks = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let mount = match (plan.view, controllers) {
            (View::V2, "") => root.to_path_buf(),
            (View::Hybrid, "") => root.join("unified"),
            (View::V2, _) | (View::V1, "") => continue,
            (_, controllers) => root.join(controllers.trim_start_matches("name=")),
        };
        let directory = mount.join(path);
        if controllers.is_empty() {
            argv.extend(["--v2".to_owned(), directory.display().to_string()]);
        } else {
            tasks.push(directory.join("tasks").display().to_string());
        }
    }
    argv.extend([pid.to_owned(), "/bin/true".to_owned()]);
    argv.extend(tasks);
    Some(argv)
}

fn list_of_many(plan: &Plan, launch: &Launch, containers: u32) -> Result<Series, String> {
    if is_floor(launch) {
        return Err("has no such command".to_owned());
    }
    let bundle = launch
        .config
        .as_deref()
        .and_then(Path::parent)
        .map_or(String::new(), |path| path.display().to_string());
    let run = |words: &[&str]| {
        let output = process::Command::new(&launch.argv[0])
            .args(&launch.argv[1..])
            .args(words)
            .stdin(process::Stdio::null())
            .stdout(process::Stdio::null())
            .stderr(process::Stdio::null())
            .status();
        output.is_ok_and(|status| status.success())
    };
    let mut series = Series::default();
    let mut failed = None;
    for number in 0..containers {
        let id = format!("many-{number}");
        if !run(&["create", "--bundle", &bundle, &id]) || !run(&["start", &id]) {
            failed = Some(format!("container {number} could not be started"));
            break;
        }
    }
    if failed.is_none() {
        let mut argv = launch.argv.clone();
        argv.push("list".to_owned());
        for _ in 0..plan.runs.clamp(5, 20) {
            match room::timed_argv(plan, &argv) {
                Ok((wall_ms, cpu_ms, peak_kib)) => {
                    series.values.push(wall_ms);
                    series.cpu_ms = cpu_ms;
                    series.peak_kib = series.peak_kib.max(peak_kib);
                }
                Err(reason) => failed = Some(reason),
            }
        }
    }
    for number in 0..containers {
        run(&["delete", "--force", &format!("many-{number}")]);
    }
    failed.map_or(Ok(series), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_leaves_no_container_behind() {
        assert_eq!(STEPS.first().map(|step| step.title), Some("create"));
        assert_eq!(STEPS.last().map(|step| step.title), Some("delete"));
        assert!(STEPS[EXEC..].iter().take_while(|step| step.before == ["exec"]).count() == 2);
    }
}
