//! The flags of `holm ns`. What they mean is read in `commands::ns`.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use namespaces::Kind;

use super::flags::{many, one, signed};

const EXAMPLES: &str = "\
Examples:
  holm ns list --tree                              every namespace of this host
  holm ns enter -t 4711 -a                         a shell in all namespaces of process 4711
  holm ns run -r -p -m --mount-proc -- ps -e       root of a user namespace, alone in a pid namespace
  holm ns hold net blue                            a network namespace without a process, as `ip netns add` makes it
  holm ns run --uts=box --hostname box -- true     another kind, held by the name `box`
  holm ns enter --uts=box -- hostname
  holm ns release uts box";

/// The definition.
pub fn command() -> Command {
    Command::new("ns")
        .about("List, inspect, enter, make and hold namespaces")
        .subcommand_required(true)
        .term_width(0)
        .subcommands([list(), inspect(), enter(), run(), hold(), release()])
        .after_help(format!("{}\n{EXAMPLES}", kinds_text()))
}

/// Two lines for each kind: what it isolates, and what stays shared.
fn kinds_text() -> String {
    let mut text = String::from("Kinds: what a namespace has for itself, and what stays shared.\n");
    for kind in Kind::ALL {
        let _ =
            writeln!(text, "  {:<7} {}\n  {:<7} shared: {}", kind.name(), kind.isolates(), "", kind.shares());
    }
    text
}

fn json() -> Arg {
    Arg::new("json").long("json").short('j').action(ArgAction::SetTrue).help("Print JSON")
}

fn list() -> Command {
    Command::new("list")
        .visible_alias("ls")
        .about("List the namespaces of this host, also those that only a mount or a descriptor holds")
        .args([
            many("kind", "KIND", "Only this kind: user, pid, mnt, net, ipc, uts, cgroup or time").short('t'),
            one("pid", "PID", "Only those of this process").short('p'),
            switch("tree", "Put pid and user namespaces below their parents"),
            switch("owners", "Put each namespace below the user namespace that owns it"),
            json(),
        ])
        .args_override_self(true)
}

fn inspect() -> Command {
    Command::new("inspect")
        .about("Tell all that is known about a namespace")
        .arg(
            Arg::new("namespace").value_name("NAMESPACE").required(true).num_args(1..).help(
                "A process, a file, a name (`blue` or `net:blue`), or a number as `holm ns list` shows it",
            ),
        )
        .arg(json())
}

fn enter() -> Command {
    let kinds = kind_flags(
        "Enter the",
        "namespace of the target, or this one: a file, a held name or a number",
        "NS",
    );
    Command::new("enter")
        .about("Run a program in namespaces that exist")
        .override_usage("holm ns enter [-t PID] [FLAGS] [--] [PROGRAM [ARG]...]")
        .args([one("target", "PID", "The process whose namespaces are meant").short('t')])
        .args(kinds)
        .args([
            switch("all", "Enter all namespaces of the target that differ from the caller's").short('a'),
            optional("root", "DIR", "Change the root directory to the target's, or to this one").short('r'),
            optional("wd", "DIR", "Change the working directory to the target's, or to this one").short('w'),
            one("wdns", "DIR", "Change the working directory to this one, looked up inside").short('W'),
            one("setuid", "UID", "Run as this user: a number inside, or `follow` for the target's").short('S'),
            one("setgid", "GID", "Run as this group: a number inside, or `follow` for the target's").short('G'),
            switch("preserve-credentials", "Leave user and groups as they are, also in a user namespace"),
            switch("no-fork", "Do not fork for a pid namespace: only the program's children are inside")
                .short('F'),
            program(),
        ])
        .args_override_self(true)
        .after_help(
            "Everything is opened first. Then what the entered user namespace does not own is joined, then the user\n\
             namespace, then what it owns, mounts last. The program is the caller's shell if none is named.\n\n\
             Exit status: that of the program; 128+N when signal N ended it; 127 when it is not there, 126 when it\n\
             cannot be executed, 125 when anything else went wrong before.",
        )
}

fn run() -> Command {
    let kinds = kind_flags(
        "Make a new",
        "namespace, and bind it to a file that exists or hold it by a name",
        "FILE|NAME",
    );
    Command::new("run")
        .about("Run a program in new namespaces")
        .override_usage("holm ns run [FLAGS] [--] [PROGRAM [ARG]...]")
        .next_help_heading("Namespaces")
        .args(kinds)
        .args([
            switch("fork", "Run the program in a child; implied by -p, -T and --kill-child").short('f'),
            optional("kill-child", "SIGNAL", "Send the child this signal when holm dies [default: KILL]"),
        ])
        .next_help_heading("Users")
        .args([
            switch("map-root-user", "Be root inside; implies -U").short('r'),
            switch("map-current-user", "Be oneself inside; implies -U").short('c'),
            one("map-user", "USER", "Be this user inside; implies -U"),
            one("map-group", "GROUP", "Be in this group inside; implies -U"),
            many("map-users", "INSIDE:OUTSIDE:COUNT", "Map these user ids; implies -U"),
            many("map-groups", "INSIDE:OUTSIDE:COUNT", "Map these group ids; implies -U"),
            switch("map-auto", "Map the caller's ranges in /etc/subuid and /etc/subgid from 0 on; implies -U"),
            one("setgroups", "allow|deny", "Whether groups can be dropped inside; needs -U"),
            one("setuid", "UID", "Run the program as this user").short('S'),
            one("setgid", "GID", "Run the program as this group").short('G'),
            switch("keep-caps", "Let the program keep the capabilities in its user namespace"),
        ])
        .next_help_heading("Files")
        .args([
            optional("mount-proc", "DIR", "Mount a new procfs on /proc, or there; implies -m"),
            one("propagation", "MODE", "private (default), slave, shared or unchanged; needs -m"),
            one("root", "DIR", "Change the root directory").short('R'),
            one("wd", "DIR", "Change the working directory, inside of the root").short('w'),
        ])
        .next_help_heading("Names and clocks")
        .args([
            one("hostname", "NAME", "Set the host name; needs -u"),
            signed("monotonic", "SECONDS", "Shift the monotonic clock; needs -T"),
            signed("boottime", "SECONDS", "Shift the boot-time clock; needs -T"),
            program(),
        ])
        .args_override_self(true)
        .after_help(
            "The program is the caller's shell if none is named. Signals sent to holm are passed on to a child.\n\n\
             Exit status: as that of `holm ns enter`.",
        )
}

fn hold() -> Command {
    Command::new("hold")
        .about("Keep a namespace without a process, by a name")
        .args([kind_argument(), name_argument()])
        .args([
            one("target", "PID", "Hold that of this process instead of a new one").short('t'),
            one("file", "FILE", "Hold the one at this file"),
        ])
        .after_help(
            "Names are bound below /run/holm/ns/KIND, those of network namespaces in /run/netns, where `ip netns` has\n\
             its own. A pid namespace can only be held from a process in it, and dies with its first one.",
        )
}

fn release() -> Command {
    Command::new("release")
        .about("Free a name; the namespace ends with the last process in it")
        .args([kind_argument(), name_argument()])
}

fn kind_argument() -> Arg {
    Arg::new("kind").value_name("KIND").required(true).help("user, pid, mnt, net, ipc, uts, cgroup or time")
}

fn name_argument() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("Letters, digits and _.+-")
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// A flag whose value may be left out: `--net` and `--net=FILE`.
fn optional(name: &'static str, value: &'static str, help: impl Into<String>) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("")
        .action(ArgAction::Set)
        .help(help.into())
}

/// The letters that nsenter(1) and unshare(1) have for the kinds.
fn kind_flags(before: &str, after: &str, value: &'static str) -> Vec<Arg> {
    let flag = |(kind, long, short): (Kind, &'static str, char)| {
        optional(long, value, format!("{before} {kind} {after}")).short(short)
    };
    KINDS.into_iter().map(flag).collect()
}

/// The flags of the kinds.
pub const KINDS: [(Kind, &str, char); 8] = [
    (Kind::Mnt, "mount", 'm'),
    (Kind::Uts, "uts", 'u'),
    (Kind::Ipc, "ipc", 'i'),
    (Kind::Net, "net", 'n'),
    (Kind::Pid, "pid", 'p'),
    (Kind::User, "user", 'U'),
    (Kind::Cgroup, "cgroup", 'C'),
    (Kind::Time, "time", 'T'),
];

/// The program and its arguments, where flags end.
pub(super) fn program() -> Arg {
    Arg::new("program")
        .value_name("PROGRAM")
        .num_args(0..)
        .trailing_var_arg(true)
        .value_parser(clap::value_parser!(std::ffi::OsString))
        .help("The program and its arguments")
}
