//! Arguments that several commands have.

use std::path::PathBuf;

use clap::{Arg, ArgAction, value_parser};

/// The container's id.
pub fn id() -> Arg {
    Arg::new("id").required(true).value_name("ID").help("The container's id")
}

/// A flag with a path.
pub fn path(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_parser(value_parser!(PathBuf))
}

/// A flag that is on or off; `--name=false` is accepted too, as Go's flag package has it.
pub fn switch(name: &'static str) -> Arg {
    // An empty value name cannot be shown; BOOL is what the reference pages show.
    Arg::new(name)
        .long(name)
        .action(ArgAction::Set)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .value_parser(value_parser!(bool))
}

/// The bundle's directory.
pub fn bundle() -> Arg {
    path("bundle").short('b').value_name("DIR").help("Directory with config.json [default: .]")
}

/// Where to write the process id to.
pub fn pid_file() -> Arg {
    path("pid-file").value_name("FILE").help("File to write the process id to")
}

/// Where to send a terminal's other end to.
pub fn console_socket() -> Arg {
    path("console-socket")
        .value_name("SOCKET")
        .help("Unix socket to which the terminal's other end is sent (SCM_RIGHTS)")
}

/// Where to send the process's handle to.
pub fn pidfd_socket() -> Arg {
    path("pidfd-socket")
        .value_name("SOCKET")
        .help("Unix socket to which a handle of the process is sent (SCM_RIGHTS)")
}

/// How many descriptors to pass on.
pub fn preserve_fds() -> Arg {
    Arg::new("preserve-fds")
        .long("preserve-fds")
        .value_name("N")
        .value_parser(value_parser!(u16))
        .help("Pass N more descriptors than the standard three")
}
