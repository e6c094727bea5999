//! `holm dns-server DIRECTORY`: the server of container names, started by whoever attaches a container and by nobody else.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::USAGE_STATUS;

/// Serves the names in a directory until there are none. What goes wrong is said to the one who waits, on standard output.
pub fn run(args: &[OsString]) -> ExitCode {
    let [directory] = args else {
        eprint!(
            "error: {} takes one directory\n  hint:  `holm network` starts it when a container needs it\n",
            dns::SUBCOMMAND
        );
        return ExitCode::from(USAGE_STATUS);
    };
    match dns::keep(Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", report::render(&error));
            ExitCode::FAILURE
        }
    }
}
