//! `run`: a bundle, in the foreground or detached.

use std::process::ExitCode;

use crate::cli::Arguments;
use report::{Explain, Kind};
use runtime::Container;
use runtime::state::StateRoot;

use super::launching::{self, Mode};
use super::relay;
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    if arguments.get_flag("detach") {
        launching::launch(context, arguments, Mode::Detach)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the launch, so that no signal is lost in between.
    let signals = relay::catch()?;
    let running = launching::launch(context, arguments, Mode::Attend)?;
    // Held from here on: whatever has its name later is this container, or another one is seen to.
    let container = Container::open(&StateRoot::open(&context.root)?, running.id());
    let relayed = relay::attend(running.pidfd()?, &signals, running.terminal());
    if let Err(error) = &relayed {
        context.log.warn(&report::one_line(error));
        let _ = running.signal(rustix::process::Signal::KILL);
    }
    let exit = running.exit()?;
    if !arguments.get_flag("keep") {
        let deleted = container
            .map_err(Into::into)
            .and_then(|container| super::delete::delete(context, container, true));
        match deleted {
            Ok(()) => {}
            // Somebody else did.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => context.log.warn(&report::one_line(&error)),
        }
    }
    Ok(ExitCode::from(exit.status() as u8))
}
