//! `run`: a bundle, in the foreground or detached.

use std::process::ExitCode;

use crate::cli::Arguments;
use report::{Explain, Kind};
use runtime::state::StateRoot;
use runtime::{Container, Running};
use sys::SyscallError;

use super::launching::{self, Mode};
use super::notify::{Notifications, Supervisor};
use super::relay::{self, Said};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    if arguments.get_flag("detach") {
        let running = launching::launch(context, arguments, Mode::Detach)?;
        if let Some(notifications) = notifications(&running)? {
            notifications.wait(running.pid(), running.pidfd()?, &context.log)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Before the launch, so that no signal is lost in between.
    let signals = relay::catch()?;
    let running = launching::launch(context, arguments, Mode::Attend)?;
    // Held from here on: whatever has its name later is this container, or another one is seen to.
    let container = Container::open(&StateRoot::open(&context.root)?, running.id());
    let notifications = notifications(&running)?;
    let told = || {
        if let Some(Err(error)) = notifications.as_ref().map(|said| said.pass_on_attended(&context.log)) {
            context.log.warn(&report::one_line(&error));
        }
    };
    let said = notifications.as_ref().map(|said| Said { said, told: &told });
    let relayed = relay::attend(running.pidfd()?, &signals, running.terminal(), said);
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
    // As in `exec`: what is left to be closed would keep the caller waiting.
    sys::raw::exit(exit.status() & 0xff)
}

/// What the program says of itself, if somebody wants to know.
fn notifications(running: &Running) -> Result<Option<Notifications>, Failure> {
    let Some(socket) = running.notifications() else { return Ok(None) };
    let failed = |error| SyscallError::new("fcntl F_DUPFD_CLOEXEC", "the socket for notifications", error);
    let socket = socket.try_clone_to_owned().map_err(failed)?;
    Ok(Supervisor::of_environment()?.map(|supervisor| Notifications::new(socket, supervisor)))
}
