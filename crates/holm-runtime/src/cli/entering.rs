//! `exec`

use clap::{Arg, ArgAction, Command, value_parser};

use super::flags;

/// `exec`
pub(super) fn exec() -> Command {
    Command::new("exec").about("Start another program in a running container").args([
        flags::id(),
        Arg::new("args")
            .value_name("COMMAND")
            .num_args(0..)
            .trailing_var_arg(true)
            .value_parser(value_parser!(std::ffi::OsString))
            .help("The program and its arguments; not with --process"),
        flags::console_socket(),
        text("cwd", "DIR").help("Working directory in the container"),
        list("env", "NAME=VALUE").short('e').help("Set a variable of the environment"),
        flags::switch("tty").short('t').help("Give the program a terminal of its own"),
        text("user", "UID[:GID]").short('u').help("User and group of the program, as numbers"),
        list("additional-gids", "GID").short('g').value_delimiter(',').help("Add a supplementary group"),
        flags::path("process")
            .short('p')
            .value_name("FILE")
            .help("Read the program from a file with the `process` section of a configuration"),
        flags::switch("detach").short('d').help("Return once the program runs"),
        flags::pid_file(),
        text("process-label", "LABEL").help("SELinux label of the program"),
        text("apparmor", "PROFILE").help("AppArmor profile of the program"),
        flags::switch("no-new-privs").help("Set no_new_privs, whatever the container has"),
        list("cap", "NAME").short('c').value_delimiter(',').help("Add a capability"),
        flags::preserve_fds(),
        list("cgroup", "[CONTROLLER,…:]PATH").help("Run in this cgroup below the container's"),
        flags::switch("ignore-paused")
            .help("Also in a paused container; the program starts when that is resumed"),
        flags::pidfd_socket(),
        flags::switch("no-subreaper").help("Accepted for the sake of callers: this runtime is never one"),
    ])
}

fn text(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value)
}

fn list(name: &'static str, value: &'static str) -> Arg {
    text(name, value).action(ArgAction::Append)
}
