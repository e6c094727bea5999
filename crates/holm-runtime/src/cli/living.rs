//! Commands on containers that exist: `start`, `state`, `list`, `kill`, `mounts`, `delete`.

use std::path::PathBuf;

use clap::{Arg, Command, value_parser};

use super::flags;

/// `start`
pub(super) fn start() -> Command {
    Command::new("start").about("Start the program of a created container").arg(flags::id())
}

/// `state`
pub(super) fn state() -> Command {
    Command::new("state").about("Print a container's state as JSON").arg(flags::id())
}

/// `list`
pub(super) fn list() -> Command {
    Command::new("list").visible_alias("ls").about("List the containers").args([
        Arg::new("format")
            .long("format")
            .short('f')
            .value_name("FORMAT")
            .value_parser(["table", "json"])
            .default_value("table")
            .help("How to print them"),
        flags::switch("quiet").short('q').help("Print ids only"),
    ])
}

/// `kill`
pub(super) fn kill() -> Command {
    Command::new("kill").about("Send a signal to a container's first process").args([
        flags::id(),
        Arg::new("signal")
            .value_name("SIGNAL")
            .default_value("SIGTERM")
            .allow_hyphen_values(true)
            .help("Its name, with or without SIG, or its number"),
        flags::switch("all").short('a').help("Send it to all processes of the container"),
    ])
}

/// `mounts`
pub(super) fn mounts() -> Command {
    Command::new("mounts").about("Mount into a running container, or take mounts away").args([
        Arg::new("action")
            .required(true)
            .value_name("ACTION")
            .value_parser(["add", "remove"])
            .help("Make the mounts, or take them away, the last one first"),
        flags::id(),
        Arg::new("file").required(true).value_name("FILE").value_parser(value_parser!(PathBuf)).help(
            "JSON array like the `mounts` section of a configuration; - is standard input. To remove only takes the destinations",
        ),
    ])
}

/// `delete`
pub(super) fn delete() -> Command {
    Command::new("delete").about("Take away a container that has stopped").args([
        flags::id(),
        flags::switch("force")
            .short('f')
            .help("Kill it if it runs, whatever its record is like; that there is none is no failure"),
    ])
}
