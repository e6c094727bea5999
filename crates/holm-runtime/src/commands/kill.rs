//! `kill`: sends a signal.

use std::process::ExitCode;

use crate::cli::Arguments;
use spec::Signal;

use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let text = arguments.get_one::<String>("signal").map_or("", String::as_str);
    // 0 is no signal: the kernel only looks whether the process is there.
    let signal = if text == "0" { None } else { Some(text.parse::<Signal>()?) };
    let container = super::container(context, arguments)?;
    match (signal, arguments.get_flag("all")) {
        (Some(signal), true) => container.kill_all(signal)?,
        // Whoever means all processes does not mind that there is none.
        (None, true) => {}
        (signal, _) => container.kill(signal)?,
    }
    Ok(ExitCode::SUCCESS)
}
