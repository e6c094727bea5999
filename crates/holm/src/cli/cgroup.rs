//! The flags of `holm cgroup`. What they mean is read in `commands::cgroup`.

use std::fmt::Write as _;

use cgroups::words::WORDS;
use clap::{Arg, ArgAction, Command};

use super::flags::{many, one};

const EXAMPLES: &str = "\
Examples:
  holm cgroup create build memory.max=2G cpu.max=1.5 pids.max=500
  holm cgroup exec build -- make -j4
  holm cgroup set build cpu.weight=50
  holm cgroup stat build --watch
  holm cgroup top
  holm cgroup freeze build
  holm cgroup delete --kill build
  holm cgroup create --mount net_cls mail net_cls.classid=10:1

A group's name is its path below where the hierarchies are mounted: `build`, `build/tests`. On a host with several
hierarchies (cgroup v1, or v1 and v2) it is made in all of them.";

/// The definition.
pub fn command() -> Command {
    Command::new("cgroup")
        .visible_alias("cg")
        .about("Limit, prioritise, account and control groups of processes, on cgroup v1, v2 and both")
        .subcommand_required(true)
        .term_width(0)
        .subcommands([
            create(),
            delete(),
            list(),
            set(),
            get(),
            stat(),
            top(),
            exec(),
            processes(),
            freeze(),
            thaw(),
            kill(),
            events(),
            delegate(),
        ])
        .after_help(format!("{}\n{EXAMPLES}", words_text()))
}

/// The vocabulary, a line each.
fn words_text() -> String {
    let mut text = String::from("Limits, the same for either version:\n");
    for word in WORDS {
        let form = if word.value.is_empty() { word.name.to_owned() } else { format!("{}={}", word.name, word.value) };
        let _ = if form.len() > 32 {
            writeln!(text, "  {form}\n  {:<32} {}", "", word.about)
        } else {
            writeln!(text, "  {form:<32} {}", word.about)
        };
    }
    text.push_str("SIZE has a unit K, M, G or T; TIME has us, ms or s.\n");
    text
}

fn create() -> Command {
    group("create", "Make a group, with limits").args([
        limits().num_args(0..),
        one("delegate", "USER[:GROUP]", "Give it to this user, who may then make groups below it"),
    ])
}

fn delete() -> Command {
    Command::new("delete")
        .visible_alias("rm")
        .about("Remove groups that are empty")
        .arg(name().num_args(1..))
        .args([
            switch("recursive", "Remove the groups below them as well").short('r'),
            switch("kill", "Kill the processes in them first"),
            mount(),
        ])
}

fn list() -> Command {
    Command::new("list")
        .visible_alias("ls")
        .about("Show the tree of groups with what they use now")
        .args([name().required(false), switch("all", "Also groups without processes").short('a'), mount(), json()])
}

fn set() -> Command {
    group("set", "Change limits; what is not named stays").arg(limits().num_args(1..).required(true)).after_help(words_text())
}

fn get() -> Command {
    group("get", "Print limits, as they can be given to `set`")
        .arg(Arg::new("word").value_name("LIMIT").num_args(0..).help("Only these"))
        .arg(json())
}

fn stat() -> Command {
    group("stat", "Tell what a group has used").args([
        optional("watch", "SECONDS", "Print a line every second, or so many seconds").short('w'),
        one("count", "NUMBER", "With --watch: end after so many lines").short('n'),
        optional("perf", "SECONDS", "Count events of the kernel for a second, or so many: page faults, switches, …"),
        json(),
    ])
}

fn top() -> Command {
    Command::new("top").about("Watch the groups live").args([
        name().required(false),
        one("delay", "SECONDS", "How often to look [default: 1]").short('d'),
        one("count", "NUMBER", "End after so many looks").short('n'),
        switch("batch", "Print one table after the other, for pipes").short('b'),
        mount(),
    ])
}

fn exec() -> Command {
    group("exec", "Run a program in a group")
        .override_usage("holm cgroup exec [FLAGS] NAME [--] PROGRAM [ARG]...")
        .arg(super::ns::program().required(true))
}

fn processes() -> Command {
    group("move", "Move processes into a group, with all their threads")
        .arg(Arg::new("pid").value_name("PID").num_args(1..).required(true).help("The processes"))
}

fn freeze() -> Command {
    group("freeze", "Stop every process of a group and wait until all stand").arg(timeout())
}

fn thaw() -> Command {
    group("thaw", "Let the processes of a frozen group go on").arg(timeout())
}

fn kill() -> Command {
    group("kill", "Kill every process of a group and wait until they are gone").args([
        one("signal", "SIGNAL", "Send this signal instead, and do not wait").short('s'),
        timeout(),
    ])
}

fn events() -> Command {
    group("events", "Print what happens to a group: oom-kill, pids-max, frozen, thawed, empty, removed").args([
        many("until", "EVENT", "End after this event"),
        one("timeout", "SECONDS", "End after so many seconds").short('t'),
        json(),
    ])
}

fn delegate() -> Command {
    group("delegate", "Give a group to a user, who may then make groups below it")
        .arg(Arg::new("user").value_name("USER[:GROUP]").required(true).help("By name or number"))
}

fn group(command: &'static str, about: &'static str) -> Command {
    Command::new(command).about(about).args([name(), mount()])
}

fn name() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("The group's path below the mounts")
}

fn limits() -> Arg {
    Arg::new("limits").value_name("LIMIT=VALUE").help("Limits: memory.max=256M, cpu.max=1.5, …")
}

fn mount() -> Arg {
    many("mount", "CONTROLLERS", "Mount a v1 hierarchy with these that nobody has mounted, for this command alone")
}

fn timeout() -> Arg {
    one("timeout", "SECONDS", "How long to wait [default: 10]").short('t')
}

fn json() -> Arg {
    Arg::new("json").long("json").short('j').action(ArgAction::SetTrue).help("Print JSON")
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn optional(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    one(name, value, help).num_args(0..=1).require_equals(true).default_missing_value("1")
}
