//! The command line.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// Where records are when `--root` does not say: for root on tmpfs, for others in their runtime directory.
pub(crate) fn default_root() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/holm-runtime");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir).join("holm-runtime"),
        None => PathBuf::from(format!("/tmp/holm-runtime-{}", rustix::process::geteuid().as_raw())),
    }
}

/// All commands.
pub(crate) fn command() -> Command {
    let path = |name: &'static str| Arg::new(name).long(name).value_parser(value_parser!(PathBuf));
    Command::new("holm-runtime")
        .version(concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0"))
        .about("An OCI container runtime")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(path("root").value_name("DIR").global(true).help("Directory for the records of containers"))
        .subcommand(
            Command::new("run")
                .about("Create and run a container in the foreground")
                .arg(Arg::new("id").required(true).value_name("ID").help("The container's name"))
                .arg(
                    path("bundle")
                        .short('b')
                        .value_name("DIR")
                        .help("Directory with config.json [default: .]"),
                )
                .arg(path("pid-file").value_name("FILE").help("File to write the process id to"))
                .arg(
                    Arg::new("no-new-keyring")
                        .long("no-new-keyring")
                        .action(ArgAction::SetTrue)
                        .help("Keep the caller's session keyring"),
                )
                .arg(
                    Arg::new("preserve-fds")
                        .long("preserve-fds")
                        .value_name("N")
                        .value_parser(value_parser!(u16))
                        .help("Pass N more descriptors than the standard three"),
                ),
        )
        .subcommand(
            Command::new("spec")
                .about("Write a first config.json")
                .arg(path("bundle").short('b').value_name("DIR").help("Directory to write to [default: .]"))
                .arg(
                    Arg::new("rootless")
                        .long("rootless")
                        .action(ArgAction::SetTrue)
                        .help("For an ordinary user: with a user namespace"),
                ),
        )
}
