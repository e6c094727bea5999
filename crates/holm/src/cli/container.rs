//! The commands for a container's life: their flags.

use clap::{Arg, ArgAction, Command};

use super::flags::{many, one, signed, switch};

/// The commands, in the order of the help.
pub const NAMES: [&str; 17] = [
    "create", "start", "stop", "restart", "kill", "pause", "unpause", "wait", "rm", "ps", "inspect", "logs",
    "attach", "exec", "rename", "top", "port",
];

/// One of them.
pub fn command(name: &str) -> Option<Command> {
    let command = match name {
        "create" => super::run::create(),
        "start" => start(),
        "stop" => with_timeout(named("stop", "Ask containers to end, and kill those that do not")),
        "restart" => with_timeout(named("restart", "Stop containers and start them again")),
        "kill" => named("kill", "Send a signal to containers")
            .arg(one("signal", "SIGNAL", "The signal [default: KILL]").short('s')),
        "pause" => named("pause", "Freeze the processes of containers"),
        "unpause" => named("unpause", "Let frozen containers go on"),
        "wait" => named("wait", "Wait until containers have ended, and print their exit statuses").arg(one(
            "condition",
            "WHEN",
            "not-running (default), next-exit or removed",
        )),
        "rm" => with_all(named("rm", "Remove containers"))
            .arg(switch("force", "Kill those that run").short('f'))
            .arg(switch("volumes", "Remove their anonymous volumes as well").short('v')),
        "ps" => ps(),
        "inspect" => named("inspect", "Print everything about containers")
            .arg(format("a template, or json"))
            .arg(switch("size", "With the size of what they changed").short('s'))
            .arg(one("type", "TYPE", "Only things of this type: container")),
        "logs" => logs(),
        "attach" => single("attach", "Connect to the streams of a container that runs")
            .arg(one("detach-keys", "KEYS", "The keys that leave it running [default: ctrl-p,ctrl-q]"))
            .arg(switch("no-stdin", "Give it no input"))
            .arg(one("sig-proxy", "BOOL", "Pass signals on to it [default: true]")),
        "exec" => exec(),
        "rename" => single("rename", "Give a container another name")
            .arg(Arg::new("name").value_name("NAME").required(true).help("The new name")),
        "top" => single(
            "top",
            "List the processes of a container; without one, show all containers on the whole screen",
        )
        .mut_arg("container", |arg| arg.required(false))
        .arg(Arg::new("columns").value_name("COLUMN").num_args(0..).allow_hyphen_values(true).help(
            "What of each: pid, ppid, user, uid, pcpu, etime, stime, time, tty, state, rss, vsz, comm, args",
        )),
        "port" => single("port", "Tell which ports of the host lead to a container")
            .arg(Arg::new("private").value_name("PORT[/PROTOCOL]").help("Only this port of the container")),
        _ => return None,
    };
    Some(command)
}

fn base(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args_override_self(true).term_width(0)
}

/// A command for one container.
fn single(name: &'static str, about: &'static str) -> Command {
    base(name, about).arg(
        Arg::new("container")
            .value_name("CONTAINER")
            .required(true)
            .help("Its name, its id, or the beginning of its id"),
    )
}

/// A command for several.
fn named(name: &'static str, about: &'static str) -> Command {
    base(name, about)
        .arg(
            Arg::new("container")
                .value_name("CONTAINER")
                .num_args(0..)
                .action(ArgAction::Append)
                .help("Their names, their ids, or the beginnings of their ids"),
        )
        .arg(switch("latest", "The container that was made last").short('l'))
        .arg(many("filter", "KEY=VALUE", "Those that fulfil this: id, name, label, status, …"))
}

fn with_all(command: Command) -> Command {
    command.arg(switch("all", "All containers").short('a'))
}

fn with_timeout(command: Command) -> Command {
    with_all(command)
        .arg(
            signed(
                "time",
                "SECONDS",
                "How long to wait before it is killed; -1 is without end [default: 10]",
            )
            .short('t')
            .visible_alias("timeout"),
        )
        .arg(one("signal", "SIGNAL", "The signal that asks it to end").short('s'))
}

fn format(what: &'static str) -> Arg {
    one("format", "FORMAT", what).short('f')
}

fn start() -> Command {
    with_all(named("start", "Start containers"))
        .arg(switch("attach", "Show its output and exit with its status").short('a'))
        .arg(switch("interactive", "Give it the standard input").short('i'))
        .arg(one("detach-keys", "KEYS", "The keys that leave it running [default: ctrl-p,ctrl-q]"))
        .mut_arg("all", |arg| arg.short(None))
}

fn ps() -> Command {
    base("ps", "List containers")
        .arg(switch("all", "Also those that do not run").short('a'))
        .arg(many("filter", "KEY=VALUE", "Only those that fulfil this: id, name, label, status, exited, ancestor, before, since, volume, network, health, restart").short('f'))
        .arg(one("format", "FORMAT", "A template such as '{{.ID}} {{.Names}}', table TEMPLATE, or json"))
        .arg(one("last", "NUMBER", "The last made, so many, in whatever state").short('n'))
        .arg(switch("latest", "The last made, in whatever state").short('l'))
        .arg(switch("no-trunc", "Whole ids and commands"))
        .arg(switch("quiet", "Only ids").short('q'))
        .arg(switch("size", "With the size of what they changed").short('s'))
}

fn logs() -> Command {
    single("logs", "Print what a container wrote")
        .arg(switch("follow", "Go on as it writes").short('f'))
        .arg(one("since", "TIME", "Not what is older: a time, or how long ago"))
        .arg(one("until", "TIME", "Not what is younger"))
        .arg(one("tail", "NUMBER", "Only so many lines from the end [default: all]").short('n'))
        .arg(switch("timestamps", "With the time of each line").short('t'))
        .arg(switch("details", "With attributes of the log, of which there are none"))
}

fn exec() -> Command {
    base("exec", "Run a program in a container that runs")
        .arg(switch("detach", "Leave it running").short('d'))
        .arg(one("detach-keys", "KEYS", "The keys that leave it running [default: ctrl-p,ctrl-q]"))
        .arg(many("env", "NAME[=VALUE]", "Set a variable; without a value take the caller's").short('e'))
        .arg(many("env-file", "FILE", "Set the variables in a file of NAME=VALUE lines"))
        .arg(switch("interactive", "Connect the standard input").short('i'))
        .arg(switch("privileged", "Give it every capability"))
        .arg(switch("tty", "Give it a terminal").short('t'))
        .arg(one("user", "USER[:GROUP]", "Run as this user, by name or number").short('u'))
        .arg(one("workdir", "DIR", "Start in this directory of the container").short('w'))
        .arg(
            Arg::new("container")
                .value_name("CONTAINER")
                .required(true)
                .help("Its name, its id, or the beginning of its id"),
        )
        .arg(
            Arg::new("command")
                .value_name("PROGRAM")
                .num_args(1..)
                .required(true)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("The program and its arguments"),
        )
}
