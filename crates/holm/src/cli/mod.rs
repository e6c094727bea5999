//! The command line: flags, help, completions and manual pages come from here.
//!
//! [`subcommand`] builds one part, which is all that a run of the program needs; [`command`] the whole, for
//! what is generated.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

pub mod cgroup;
pub mod container;
pub mod files;
pub mod flags;
pub mod image;
mod ip;
pub(crate) mod keeping;
pub mod network;
pub mod ns;
pub mod registry;
pub mod run;
pub mod system;
pub mod volume;

/// The subcommands beside those of a container's life, which come behind the first.
const OTHERS: [&str; 14] = [
    "pull",
    "push",
    "images",
    "image",
    "login",
    "logout",
    "volume",
    "network",
    "ip",
    "ns",
    "cgroup",
    "doctor",
    "completions",
    "version",
];

/// The subcommands, in the order of the help.
pub fn names() -> Vec<&'static str> {
    std::iter::once("run")
        .chain(container::NAMES)
        .chain(files::NAMES)
        .chain(system::NAMES)
        .chain(OTHERS)
        .collect()
}

/// The exit status for a command line that is wrong, as docker has it.
pub const USAGE_STATUS: u8 = 125;

/// One subcommand.
pub fn subcommand(name: &str) -> Option<Command> {
    let command = match name {
        "run" => run::command(),
        name if container::NAMES.contains(&name) => return container::command(name),
        name if files::NAMES.contains(&name) => return files::command(name),
        name if system::NAMES.contains(&name) => return system::command(name),
        "volume" => volume::command(),
        "network" => network::command(),
        "ip" => ip::command(),
        "ns" => ns::command(),
        "cgroup" | "cg" => cgroup::command(),
        "pull" => registry::pull(),
        "push" => registry::push(),
        "images" => image::list(),
        "image" => image::command(),
        "login" => registry::login(),
        "logout" => registry::logout(),
        "doctor" => Command::new("doctor")
            .about("Tell what this host offers for containers, what is missing, and what to do")
            .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the table as JSON")),
        "completions" => Command::new("completions").about("Print completions for a shell").arg(
            Arg::new("shell")
                .required(true)
                .value_name("SHELL")
                .value_parser(["bash", "elvish", "fish", "powershell", "zsh"])
                .help("The shell"),
        ),
        "version" => Command::new("version").about("Print the version").arg(
            flags::one("format", "FORMAT", "A template such as '{{.Client.Version}}', or json").short('f'),
        ),
        _ => return None,
    };
    Some(command)
}

/// The whole command line.
pub fn command() -> Command {
    let debug = Arg::new("debug")
        .long("debug")
        .short('D')
        .action(ArgAction::SetTrue)
        .help("Also say what only somebody who looks for a reason wants to know");
    Command::new("holm")
        .about("Containers without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(debug)
        .subcommands(names().into_iter().filter_map(subcommand))
        .after_help(
            "Example:\n  holm run --rootfs / -it -- sh     the machine's own programs, in a container of their own\n\n\
             `holm help COMMAND` tells more.",
        )
}

/// Prints what was wrong with a command line in our own form, and help where it was asked for.
pub fn report_usage(error: &clap::Error, subcommand: &str) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        crate::print(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let mut message = first.strip_prefix("error: ").unwrap_or(first).replace('\'', "`");
    if error.kind() == ErrorKind::MissingRequiredArgument {
        // What is missing stands on lines of its own.
        let missing = text.lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::trim);
        message = format!("missing: {}", missing.collect::<Vec<_>>().join(" "));
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(list)) => list.first().cloned(),
        _ => None,
    };
    let invalid = context(ContextKind::InvalidArg).unwrap_or_default();
    let hint = match (later(&invalid), context(ContextKind::SuggestedArg)) {
        (Some(later), _) => later.to_owned(),
        (None, Some(similar)) => format!("did you mean `{similar}`?"),
        (None, None) => match context(ContextKind::ValidValue) {
            Some(_) => text.lines().nth(1).unwrap_or_default().trim().trim_matches(['[', ']']).to_owned(),
            None => format!("`holm {subcommand} --help` lists the flags"),
        },
    };
    eprint!("error: {message}\n  hint:  {hint}\n");
    ExitCode::from(USAGE_STATUS)
}

/// What to say about flags that docker and podman have and holm has not.
fn later(flag: &str) -> Option<&'static str> {
    let flag = flag.split(['=', ' ']).next().unwrap_or_default();
    match flag {
        "--gpus" => Some("give the devices with --device"),
        _ => None,
    }
}
