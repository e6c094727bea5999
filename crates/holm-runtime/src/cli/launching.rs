//! `run`, and what it shares with `create`.

use clap::Command;

use super::flags;

/// `run`
pub(super) fn run() -> Command {
    Command::new("run").about("Create and run a container in the foreground").args([
        flags::id(),
        flags::bundle(),
        flags::pid_file(),
        flags::switch("no-new-keyring").help("Keep the caller's session keyring"),
        flags::preserve_fds(),
    ])
}
