//! An OCI runtime with runc's command line.
//!
//! [`cli`] is the one description of the flags; each command is a module with what it does. So far it runs a bundle in the
//! foreground and writes a bundle's first configuration; what it does not do yet is no command of it.

#![forbid(unsafe_code)]

mod cli;
mod run;
mod spec_command;

use std::process::ExitCode;

use report::BoxedExplain;

fn main() -> ExitCode {
    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let root = matches.get_one::<std::path::PathBuf>("root").cloned().unwrap_or_else(cli::default_root);
    let outcome: Result<ExitCode, BoxedExplain> = match matches.subcommand() {
        Some(("run", arguments)) => run::run(&root, arguments),
        Some(("spec", arguments)) => spec_command::run(arguments),
        _ => Ok(ExitCode::from(1)),
    };
    outcome.unwrap_or_else(|error| {
        eprint!("{}", report::render(&*error));
        ExitCode::from(1)
    })
}
