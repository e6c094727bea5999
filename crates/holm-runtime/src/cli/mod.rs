//! The command line: flags, help and reference pages come from here.
//!
//! [`frame`] has the global flags, [`subcommand`] is one command, which is all that a run of the program needs; [`command`] is the
//! whole.

mod arguments;
mod entering;
pub mod flags;
mod later;
mod launching;
pub mod limits;
mod living;
mod tables;
mod watching;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

pub(crate) use self::arguments::Arguments;
use self::arguments::Table;
pub(crate) use self::later::refusal as refusal_of_later;
use crate::log::Log;

/// The commands, in the order of the help.
pub const NAMES: &[&str] = &[
    "create", "start", "run", "exec", "state", "list", "ps", "kill", "delete", "pause", "resume", "update",
    "mounts", "events", "features", "spec",
];

/// What `--version` prints. Engines look for the word "version" in the first line and for a line with "spec: ".
pub const VERSION: &str = concat!("holm-runtime version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0\n");

/// Global flags with a value, which may be the word behind them.
const WITH_VALUE: [&str; 5] = ["--root", "--log", "--log-format", "--rootless", "--criu"];

/// The command that a command line names: its first word that is neither a flag nor the value of one.
pub fn command_name(args: &[OsString]) -> Option<String> {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let word = word.to_string_lossy();
        if !word.starts_with('-') {
            return Some(word.into_owned());
        }
        if takes_a_value(&word) {
            words.next();
        }
    }
    None
}

/// Whether the word behind this global flag is its value.
pub(crate) fn takes_a_value(flag: &str) -> bool {
    WITH_VALUE.contains(&flag)
}

/// The table of a command's arguments.
pub(crate) fn table(name: &str) -> Option<&'static Table> {
    let name = if name == "ls" { "list" } else { name };
    tables::TABLES.iter().find(|table| table.name == name)
}

/// The command and its arguments, if the command line is a plain one.
pub(crate) fn plain(args: &[OsString], name: Option<&str>) -> Option<(&'static str, Arguments)> {
    let table = table(name?)?;
    Some((table.name, arguments::parse(args, tables::FRAME, table)?))
}

/// How help is laid out: as runc's is.
const HELP: &str = "NAME:\n   {bin} - {about}\n\nUSAGE:\n   {usage}\n\n{all-args}{after-help}";

/// One command.
pub fn subcommand(name: &str) -> Option<Command> {
    let command = match name {
        "create" => launching::create(),
        "start" => living::start(),
        "run" => launching::run(),
        "exec" => entering::exec(),
        "pause" => watching::pause(),
        "resume" => watching::resume(),
        "update" => limits::update(),
        "mounts" => living::mounts(),
        "events" => watching::events(),
        "ps" => watching::ps(),
        "features" => watching::features(),
        "state" => living::state(),
        "list" | "ls" => living::list(),
        "kill" => living::kill(),
        "delete" => living::delete(),
        "spec" => Command::new("spec").about("Write a first config.json").args([
            flags::path("bundle").short('b').value_name("DIR").help("Directory to write to [default: .]"),
            flags::switch("rootless").help("For an ordinary user: with a user namespace"),
        ]),
        _ => return None,
    };
    Some(command.help_template(HELP))
}

/// The global flags. All but `--rootless`, which `spec` has as well, are also accepted behind the command's name.
pub fn frame() -> Command {
    Command::new("holm-runtime")
        .about("a drop-in for runc - Open Container Initiative runtime")
        .help_template(HELP)
        .disable_version_flag(true)
        .disable_help_subcommand(false)
        .args([
            flags::path("root")
                .value_name("DIR")
                .global(true)
                .help("Directory for the records of containers"),
            flags::path("log")
                .value_name("FILE")
                .global(true)
                .help("File to add messages to [default: standard error]"),
            Arg::new("log-format")
                .long("log-format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .default_value("text")
                .global(true)
                .help("How messages look in the log"),
            flags::switch("debug")
                .global(true)
                .help("Also log what only somebody who looks for a reason wants to know"),
            flags::switch("systemd-cgroup")
                .global(true)
                .help("Ask systemd for cgroups; `cgroupsPath` is SLICE:PREFIX:NAME"),
            Arg::new("rootless")
                .long("rootless")
                .value_name("WHEN")
                .value_parser(["true", "false", "auto"])
                .default_value("auto")
                .help("Do without a cgroup where the caller may not make one and the configuration names none and no limits"),
            Arg::new("criu")
                .long("criu")
                .value_name("PATH")
                .hide(true)
                .help("Accepted for the sake of callers, and not used"),
            Arg::new("version")
                .long("version")
                .short('v')
                .action(ArgAction::SetTrue)
                .help("Print the version"),
        ])
}

/// The whole command line.
pub fn command() -> Command {
    frame().subcommands(NAMES.iter().filter_map(|name| subcommand(name)))
}

fn the_commands() -> String {
    format!("the commands are {}", NAMES.join(", "))
}

/// Prints what was wrong with a command line, or the help that it asked for.
pub(crate) fn report_usage(error: &clap::Error, name: Option<&str>, log: &Log) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(&text);
    }
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first).replace('\'', "`");
    let (message, hint) = match name {
        Some(name) if table(name).is_some() => {
            (first, format!("`holm-runtime {name} --help` lists the flags"))
        }
        // Programs that use runtimes know runc's words.
        Some(name) if error.kind() == ErrorKind::InvalidSubcommand => {
            (format!("No help topic for '{name}': there is no such command"), the_commands())
        }
        _ => (first, the_commands()),
    };
    log.error(&message);
    eprint!("error: {message}\n  hint:  {hint}\n");
    ExitCode::from(1)
}

/// Ends a command line that nothing is done for.
pub(crate) fn refuse(message: &str, log: &Log) -> ExitCode {
    log.error(message);
    eprintln!("error: {message}");
    ExitCode::from(1)
}

/// Prints help and the like; a reader that has gone is no failure.
pub(crate) fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_holds_together() {
        command().debug_assert();
        assert!(NAMES.iter().all(|name| subcommand(name).is_some_and(|command| command.get_name() == *name)));
    }

    #[test]
    fn the_command_is_the_first_word_that_belongs_to_no_flag() {
        for (line, name) in [
            ("run web", Some("run")),
            ("--root run state web", Some("state")),
            ("--root=run --debug --log-format json state web", Some("state")),
            ("--version", None),
            ("", None),
        ] {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(command_name(&args).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn flags_are_accepted_before_and_after_the_id() {
        for line in
            ["run -b /b web", "run web --bundle /b", "run web --bundle=/b", "--debug run web -b/b --log /l"]
        {
            let matches = command().no_binary_name(true).try_get_matches_from(line.split(' ')).unwrap();
            let (_, run) = matches.subcommand().unwrap();
            assert_eq!(run.get_one::<String>("id").unwrap(), "web", "{line}");
            assert_eq!(run.get_one::<std::path::PathBuf>("bundle").unwrap().as_os_str(), "/b", "{line}");
        }
    }

    #[test]
    fn every_global_flag_with_a_value_is_known_to_the_search_for_the_name() {
        let frame = frame();
        let with_value = frame
            .get_arguments()
            .filter(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set());
        let mut names: Vec<String> =
            with_value.filter_map(|arg| arg.get_long()).map(|name| format!("--{name}")).collect();
        let mut known = WITH_VALUE.map(String::from).to_vec();
        names.sort();
        known.sort();
        assert_eq!(names, known);
    }
}
