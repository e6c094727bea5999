//! `holm exec`.

use std::io::IsTerminal as _;

use clap::ArgMatches;
use engine::containers::exec::ExecRequest;
use engine::engine::{Engine as _, Local};
use engine::terminal;
use report::BoxedExplain;

use crate::Global;
use crate::cli::run::{env, on, optional, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches, global: Global) -> Result<u8, BoxedExplain> {
    let request = ExecRequest {
        args: texts(matches, "command"),
        env: env(matches)?,
        workdir: optional(matches, "workdir", "--workdir")?,
        user: optional(matches, "user", "--user")?,
        privileged: on(matches, "privileged", "--privileged")?,
        streams: engine::request::Streams {
            tty: on(matches, "tty", "--tty")?,
            interactive: on(matches, "interactive", "--interactive")?,
            detach_keys: optional(matches, "detach-keys", "--detach-keys")?.unwrap_or_default(),
        },
        detach: on(matches, "detach", "--detach")?,
    };
    let size = terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout()));
    let mut say = |line: &str| {
        if global.debug {
            eprintln!("holm: {line}");
        }
    };
    if request.streams.tty
        && request.streams.interactive
        && !request.detach
        && !std::io::stdin().is_terminal()
    {
        eprintln!("holm: the standard input is not a terminal: what it holds is typed to the program");
    }
    engine.exec(&texts(matches, "container").concat(), &request, size, &mut say)
}
