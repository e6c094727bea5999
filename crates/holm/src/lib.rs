//! The program people type.
//!
//! [`main`] looks at the subcommand first and builds only that one's part of the command line; start reading
//! there. [`cli`] is the one definition that flags, help, completions and manual pages come from, [`commands`]
//! has a file for each subcommand.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use report::{BoxedExplain, Kind};

pub mod cli;
pub mod commands;

/// What holds for every subcommand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Global {
    /// `--debug`: also say what only somebody who looks for a reason wants to know.
    pub debug: bool,
}

/// Runs the command line `args`, without the program's name, and returns the exit status.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut global = Global::default();
    let mut rest = args.into_iter();
    loop {
        let Some(arg) = rest.next() else {
            print(&cli::command().render_help().to_string());
            return ExitCode::from(cli::USAGE_STATUS);
        };
        let word = arg.to_string_lossy();
        match word.as_ref() {
            // Duties that this program executes itself for.
            "--supervise"
            | "--monitor"
            | "--after-exit"
            | "--see-to"
            | "--revive"
            | "--health"
            | "--health-action"
            | "--files"
            | engine::containers::exec::KEEP_TERMINAL => {
                return ExitCode::from(commands::duty::run(&word, &rest.collect::<Vec<_>>()));
            }
            "--debug" | "-D" => global.debug = true,
            "--help" | "-h" | "help" => return help(rest.next()),
            "--version" | "-V" | "-v" => return commands::version::plain(),
            // What unpacks the layers of images, in confinement: this program executes itself for it.
            "unpack-layer" => return ExitCode::from(images::layer::child::main()),
            // It has a grammar of its own, and is started often: nothing of the rest is set up.
            "ip" => return ExitCode::from(ip::run(&rest.collect::<Vec<_>>())),
            // Not for people: how an attachment starts the server of its network's names.
            dns::SUBCOMMAND => return commands::dns::run(&rest.collect::<Vec<_>>()),
            // Likewise, what keeps the rules of networks.
            network::keeper::SUBCOMMAND => return commands::network::keep(&rest.collect::<Vec<_>>()),
            name => {
                return match cli::subcommand(name) {
                    Some(command) => run(name, command, rest.collect(), global),
                    None => unknown(name),
                };
            }
        }
    }
}

fn run(name: &str, command: clap::Command, args: Vec<OsString>, global: Global) -> ExitCode {
    let display = format!("holm {name}");
    let matches = match command.bin_name(display).no_binary_name(true).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return cli::report_usage(&error, name),
    };
    let outcome = match name {
        "run" => commands::run::run(&matches, global),
        "volume" => commands::volume::run(&matches),
        "network" => commands::network::run(&matches),
        "ns" => commands::ns::run(&matches),
        "cgroup" | "cg" => commands::cgroup::run(&matches),
        "pull" => commands::registry::pull::run(&matches),
        "push" => commands::registry::push::run(&matches),
        "images" => commands::image::list(&matches),
        "image" => commands::image::run(&matches),
        "login" => commands::registry::login::login(&matches),
        "logout" => commands::registry::login::logout(&matches),
        "doctor" => commands::doctor::run(&matches),
        "completions" => commands::completions::run(&matches),
        name if cli::files::NAMES.contains(&name) => commands::files::run(name, &matches),
        name if cli::system::NAMES.contains(&name) => commands::system::run(name, &matches),
        name if cli::container::NAMES.contains(&name) => commands::container::run(name, &matches, global),
        _ => commands::version::run(&matches),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprint!("{}", report::render(&*error));
            ExitCode::from(failure_status(&error))
        }
    }
}

fn help(topic: Option<OsString>) -> ExitCode {
    let topic = topic.map(|topic| topic.to_string_lossy().into_owned());
    match topic.as_deref() {
        None => print(&cli::command().render_help().to_string()),
        Some("ip") => return ExitCode::from(ip::run(&["help".into()])),
        Some(name) => match cli::subcommand(name) {
            Some(command) => print(&command.bin_name(format!("holm {name}")).render_long_help().to_string()),
            None => return unknown(name),
        },
    }
    ExitCode::SUCCESS
}

fn unknown(name: &str) -> ExitCode {
    let names = cli::names().join(", ");
    eprint!(
        "error: there is no command `{name}`\n  hint:  the commands are {names}; `holm help` tells what they do\n"
    );
    ExitCode::from(cli::USAGE_STATUS)
}

/// Writes help and the like; a reader that has gone is no failure.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The exit status of a failure, as docker has it: 127 and 126 for a program that is not there and one that
/// cannot be executed, 125 for everything else.
fn failure_status(error: &BoxedExplain) -> u8 {
    match error.kind() {
        Kind::CommandNotFound => 127,
        Kind::CommandNotExecutable => 126,
        Kind::InvalidInput
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::PermissionDenied
        | Kind::Unsupported
        | Kind::Busy
        | Kind::ResourceExhausted
        | Kind::StateConflict
        | Kind::Io
        | Kind::Internal => 125,
    }
}
