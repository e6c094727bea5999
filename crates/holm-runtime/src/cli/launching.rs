//! `create` and `run`.

use clap::{Arg, Command};

use super::flags;

/// `create`
pub(super) fn create() -> Command {
    Command::new("create").about("Create a container, which `start` starts").args(shared())
}

/// `run`
pub(super) fn run() -> Command {
    Command::new("run").about("Create and start a container").args(shared()).args([
        flags::switch("detach").short('d').help("Leave it running; without, wait for its end and delete it"),
        flags::switch("keep").help("Do not delete it at its end"),
        flags::switch("no-subreaper").help("Accepted for the sake of callers: no subreaper is needed"),
    ])
}

fn shared() -> [Arg; 8] {
    [
        flags::id(),
        flags::bundle(),
        flags::console_socket(),
        flags::pidfd_socket(),
        flags::pid_file(),
        flags::switch("no-pivot")
            .help("Enter the root with chroot(2), where that of the host is an initramfs"),
        flags::switch("no-new-keyring").help("Keep the caller's session keyring"),
        flags::preserve_fds(),
    ]
}
