//! `pause`, `resume`, `events`, `ps` and `features`

use clap::{Arg, Command};

use super::flags;

/// `pause`
pub(super) fn pause() -> Command {
    Command::new("pause").about("Stop all processes of a container until it is resumed").arg(flags::id())
}

/// `resume`
pub(super) fn resume() -> Command {
    Command::new("resume").about("Let a paused container go on").arg(flags::id())
}

/// `events`
pub(super) fn events() -> Command {
    Command::new("events").about("Show what a container uses, and when its memory runs out, as JSON").args([
        flags::id(),
        Arg::new("interval")
            .long("interval")
            .value_name("DURATION")
            .default_value("5s")
            .help("Time between two reports, such as 500ms, 5s or 1m"),
        flags::switch("stats").help("Show what it uses once, and end"),
    ])
}

/// `ps`
pub(super) fn ps() -> Command {
    Command::new("ps").about("Show the processes of a container").args([
        flags::id(),
        Arg::new("format")
            .long("format")
            .short('f')
            .value_name("FORMAT")
            .value_parser(["table", "json"])
            .default_value("table")
            .help("As ps(1) shows them, or their process ids as JSON"),
        Arg::new("args")
            .value_name("PS-ARGUMENT")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .help("Arguments for ps(1) [default: -ef]"),
    ])
}

/// `features`
pub(super) fn features() -> Command {
    Command::new("features")
        .about("Show what this runtime can do, as JSON (features.md of the specification)")
}
