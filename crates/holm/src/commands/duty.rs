//! What this program executes itself for: supervisor and monitor of a container in the background, and its health.

use std::ffi::OsString;

use engine::containers::exec::{KEEP_TERMINAL, terminal_keeper};
use engine::containers::supervise::{Duties, after_exit, revived, supervise, watch};

/// Does the duty `word`; what follows is from this program itself.
pub fn run(word: &str, args: &[OsString]) -> u8 {
    let text = |index: usize| args.get(index).and_then(|arg| arg.to_str()).unwrap_or_default();
    let flag = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.to_str()?.parse::<i32>().ok()
    };
    match word {
        "--supervise" => {
            let cells = |name| flag(name).and_then(|number| u16::try_from(number).ok());
            let size = cells("--rows").zip(cells("--columns"));
            let duties =
                Duties { report: flag("--report"), lock: flag("--lock"), client: flag("--client"), size };
            supervise(text(0), &duties)
        }
        "--monitor" => match serde_json::from_str(text(0)) {
            Ok(setup) => watch(&setup),
            Err(_) => 125,
        },
        "--after-exit" => {
            let unwritten = args.get(2).and_then(|arg| arg.to_str());
            after_exit(text(0), text(1).parse().unwrap_or(0), unwritten, true)
        }
        "--see-to" => after_exit(text(0), text(1).parse().unwrap_or(0), None, false),
        "--revive" => revived(text(0)),
        "--files" => engine::containers::files::child::main(text(1).parse().unwrap_or(-1)),
        KEEP_TERMINAL => {
            let number = |index: usize| text(index).parse().unwrap_or(-1);
            terminal_keeper(number(0), number(1))
        }
        "--health" => engine::containers::health::check(text(0), text(1).parse().unwrap_or(30_000)),
        "--health-action" => engine::containers::health::act(text(0), text(1)),
        _ => 125,
    }
}
