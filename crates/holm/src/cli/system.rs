//! The commands about all of holm: `info`, `events`, `stats`, `update`, and `system` with its own.

use clap::{Arg, Command};

use super::flags::{many, one, signed, switch};

/// The commands, in the order of the help.
pub const NAMES: [&str; 6] = ["stats", "events", "update", "info", "prune", "system"];

/// One of them.
pub fn command(name: &str) -> Option<Command> {
    let command = match name {
        "stats" => stats(),
        "events" => base("events", "Tell what happens to containers, volumes and networks, as it does")
            .arg(one("since", "TIME", "Also what happened since then"))
            .arg(one("until", "TIME", "End at this time"))
            .arg(
                many(
                    "filter",
                    "KEY=VALUE",
                    "Only what fulfils this: container, event, image, label, network, type, volume",
                )
                .short('f'),
            )
            .arg(one("format", "FORMAT", "A template, or json"))
            .arg(switch("no-stream", "End with what has happened")),
        "update" => update(),
        "info" => base("info", "Tell what holm has here, and on what it works")
            .arg(one("format", "FORMAT", "A template, or json").short('f')),
        "prune" => prune("prune", "Remove containers that do not run"),
        "system" => system(),
        _ => return None,
    };
    Some(command)
}

fn base(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args_override_self(true).term_width(0)
}

fn containers() -> Arg {
    Arg::new("container")
        .value_name("CONTAINER")
        .num_args(0..)
        .help("Their names, their ids, or the beginnings of their ids")
}

fn prune(name: &'static str, about: &'static str) -> Command {
    base(name, about).arg(switch("force", "Accepted for habit's sake: nobody is asked").short('f')).arg(many(
        "filter",
        "KEY=VALUE",
        "Only what fulfils this: until=TIME, label=…, label!=…",
    ))
}

fn stats() -> Command {
    base("stats", "Show what containers use, live")
        .arg(switch("all", "Also those that do not run").short('a'))
        .arg(one("format", "FORMAT", "A template, table TEMPLATE, or json"))
        .arg(switch("no-stream", "Once, and end"))
        .arg(switch("no-trunc", "Whole ids"))
        .arg(switch("no-reset", "Accepted for habit's sake"))
        .arg(one("interval", "SECONDS", "Between two looks [default: 1]").short('i'))
        .arg(containers())
}

fn update() -> Command {
    let limits = super::run::limit_flags();
    base("update", "Change limits of containers, and more of one that does not run")
        .next_help_heading("Limits, at once")
        .args(limits)
        .next_help_heading("Life, at once")
        .arg(one(
            "restart",
            "POLICY",
            "Start it again when it ends: no, on-failure[:MOST], always, unless-stopped",
        ))
        .arg(signed("stop-timeout", "SECONDS", "How long it may take to stop"))
        .next_help_heading("With the next start; what it changed of its files stays")
        .args([
            many("env", "NAME[=VALUE]", "Set a variable").short('e'),
            many("unset-env", "NAME", "Take a variable away").visible_alias("unsetenv"),
            many(
                "volume",
                "[SRC:]DST[:OPTIONS]",
                "Show a directory of the host or a volume in the container",
            )
            .short('v'),
            many("mount", "FIELDS", "The same in long form"),
            many("tmpfs", "DST[:OPTIONS]", "Mount a file system in memory"),
            many("unmount", "DST|VOLUME", "Take a mount away, by its place or its volume")
                .visible_alias("rm-volume"),
            many("publish", "[[IP:]HOST:]PORT", "Publish a port or range of the container on the host")
                .short('p'),
            many(
                "unpublish",
                "PORT[/PROTOCOL]",
                "Do not publish this port of the container any more; all for every one",
            ),
            many("expose", "PORT[/PROTOCOL]", "Name a port that the container listens on"),
            many("label", "KEY=VALUE", "Attach a label").short('l'),
            one("hostname", "NAME", "Set the host name inside"),
        ])
        .next_help_heading("Other")
        .arg(containers())
}

fn system() -> Command {
    Command::new("system")
        .about("Look after everything that holm keeps")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .term_width(0)
        .subcommands([
            base("check", "Find what a crash left, and mend it")
                .arg(switch("only-look", "Mend nothing"))
                .arg(one("format", "FORMAT", "json")),
            base("restore", "Start what is to run after a boot, by its restart policy"),
            prune("prune", "Remove what is not needed: containers that do not run")
                .arg(switch("volumes", "Also volumes without a name that no container uses")),
            base("df", "Tell how much room holm takes")
                .arg(one("format", "FORMAT", "A template, or json"))
                .arg(switch("verbose", "One by one").short('v')),
            base("info", "Tell what holm has here, and on what it works").arg(one(
                "format",
                "FORMAT",
                "A template, or json",
            )),
            base("reset", "Kill and remove every container, and every volume with what is in it")
                .arg(switch("force", "Do it: nothing is asked").short('f')),
        ])
}
