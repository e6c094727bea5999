//! `holm logs`.

use std::io::Write as _;

use clap::ArgMatches;
use engine::containers::logs::LogOptions;
use engine::engine::{Engine as _, Local};
use engine::flags::duration::Moment;
use report::BoxedExplain;
use sys::SyscallError;

use super::boxed;
use crate::cli::run::{on, optional, refuse, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let now = monitor::time::now_ns();
    let moment = |id, flag| -> Result<Option<u64>, BoxedExplain> {
        Ok(optional::<Moment>(matches, id, flag)?.map(|moment| moment.ns(now)))
    };
    let tail = match matches.get_one::<String>("tail").map(String::as_str) {
        None | Some("all" | "-1") => None,
        Some(text) => match text.parse::<u64>() {
            Ok(lines) => Some(lines),
            Err(_) => {
                return refuse(
                    format!("--tail `{}`: that is no number", text.escape_debug()),
                    "a number, or all",
                );
            }
        },
    };
    let options = LogOptions {
        follow: on(matches, "follow", "--follow")?,
        since_ns: moment("since", "--since")?,
        until_ns: moment("until", "--until")?,
        tail,
    };
    let timestamps = on(matches, "timestamps", "--timestamps")?;
    on(matches, "details", "--details")?;
    let mut reader = engine.logs(&texts(matches, "container").concat(), options)?;
    let mut output = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    let mut errors = std::io::stderr().lock();
    // The two are parts of one text: what goes to one waits for what went to the other before.
    let mut at_start = [true; 2];
    loop {
        if options.follow && !reader.has_more() && output.flush().is_err() {
            return Ok(0);
        }
        let Some(line) = reader.next_line()? else { break };
        let stamp = match timestamps && at_start[usize::from(line.is_error())] {
            true => monitor::time::rfc3339(line.time_ns) + " ",
            false => String::new(),
        };
        at_start[usize::from(line.is_error())] = line.text.ends_with(b"\n");
        let written = match line.is_error() {
            true => output
                .flush()
                .and_then(|()| errors.write_all(stamp.as_bytes()))
                .and_then(|()| errors.write_all(&line.text)),
            false => output.write_all(stamp.as_bytes()).and_then(|()| output.write_all(&line.text)),
        };
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
            Err(error) => return Err(boxed(SyscallError::new("write", "standard output", error))),
        }
    }
    let _ = output.flush();
    Ok(0)
}
