//! Running a container in the foreground, from what was prepared to its exit status.

use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};

use report::BoxedExplain;
use runtime::state::StateRoot;
use runtime::{Exit, Plan};
use sys::SyscallError;
use sys::signal::Signals;

use crate::connection::{self, Connection, Joined};
use crate::containers::remove::SWEPT;
use crate::host::{Caller, boxed};
use crate::prepare::Prepared;
use crate::terminal::{Session, Wiring, attend};

const SIGKILL: i32 = 9;

/// The steps of the launch.
///
/// # Errors
/// What this host cannot do.
pub fn plan(prepared: &Prepared) -> Result<Plan, BoxedExplain> {
    match prepared.network {
        Some(_) => runtime::plan_connected(&prepared.launch, &prepared.facts).map_err(boxed),
        None => runtime::plan(&prepared.launch, &prepared.facts).map_err(boxed),
    }
}

/// Launches the container, attends to it and returns the status this program exits with: the container's own,
/// or 128 and the number of the signal that ended it. `say` gets what somebody should know, a line each.
///
/// # Errors
/// What failed before the program ran, or beside it. Nothing of the container is left then.
pub fn run(prepared: Prepared, caller: &Caller, say: &mut dyn FnMut(&str)) -> Result<u8, BoxedExplain> {
    run_told(prepared, caller, say, &mut |_, _| ())
}

/// A moment in a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its program runs.
    Runs,
    /// It has ended, and its network is still there.
    Ended,
}

/// The same; `tell` is called at each moment, with the networks that the container is in.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_told(
    mut prepared: Prepared,
    caller: &Caller,
    say: &mut dyn FnMut(&str),
    tell: &mut dyn FnMut(Moment, Vec<Joined>),
) -> Result<u8, BoxedExplain> {
    let state = StateRoot::open(&caller.run_directory.join("run")).map_err(boxed)?;
    // Containers of an earlier holm that was killed.
    for id in state.sweep(SWEPT) {
        connection::sweep(caller, id.as_str());
        say(&format!("took away what was left of container {id}"));
    }
    // The addresses are in the container's files, and these in the plan.
    let mut network = match &prepared.network {
        Some(wanted) => Some(Connection::reserve(wanted, caller, &mut prepared.launch)?),
        None => None,
    };
    let plan = plan(&prepared)?;
    for note in plan.notes() {
        say(note);
    }
    for gift in &prepared.gifts {
        gift.give().map_err(boxed)?;
    }
    let signals = Signals::catch(Session::caught()).map_err(boxed)?;
    let wiring = Wiring::prepare(&prepared.streams).map_err(boxed)?;
    let launched = match &mut network {
        None => runtime::launch(&prepared.launch, &plan, &state),
        Some(network) => {
            let mut connect = |namespace| network.connect(namespace, say);
            runtime::launch_connected(&prepared.launch, &plan, &state, &mut connect)
        }
    };
    let channels = wiring.restore();
    let running = match launched {
        Ok(running) => running,
        Err(error) => {
            disconnect(network, say);
            return Err(boxed(error));
        }
    };
    tell(Moment::Runs, network.as_ref().map_or_else(Vec::new, Connection::joined));
    if let Some(network) = &mut network {
        network.settle();
    }

    let console = match running.terminal() {
        Some(terminal) => Some(duplicate(terminal).map_err(boxed)?),
        None => None,
    };
    let attended = attend(Session {
        pidfd: running.pidfd().map_err(boxed)?,
        pid: running.pid().unsigned_abs(),
        console,
        channels,
        signals: &signals,
        streams: &prepared.streams,
        terminal: (duplicate(std::io::stdin()).map_err(boxed)?, duplicate(std::io::stdout()).map_err(boxed)?),
        may_detach: false,
    });
    // Whatever happened here: the container ends with this command.
    if let Err(error) = &attended {
        say(&report::one_line(error));
        let _ = running.signal(rustix::process::Signal::KILL);
    }
    let exit = running.exit().map_err(boxed)?;
    if exit == Exit::Signal(SIGKILL) && running.oom_kills() > 0 {
        say("the kernel killed the container's program: it needs more memory than its limit; raise --memory");
    }
    if let Some(network) = &mut network {
        tell(Moment::Ended, network.joined_now());
        network.let_go();
    }
    for cause in running.take_away() {
        say(&format!("not taken away: {cause}"));
    }
    disconnect(network, say);
    drop(prepared.claim);
    let killed_for = attended.map_err(boxed)?.killed_for;
    Ok(status(exit, killed_for.map(|signal| signal.number() as i32)))
}

/// Takes a container's network away, and says what could not be.
fn disconnect(network: Option<Connection>, say: &mut dyn FnMut(&str)) {
    for error in network.map_or_else(Vec::new, Connection::detach) {
        say(&format!("not taken away: {}; `holm network prune` takes it away", report::one_line(&*error)));
    }
}

/// The exit status for `exit`. When we killed the container on behalf of a signal it is that signal's.
fn status(exit: Exit, killed_for: Option<i32>) -> u8 {
    let exit = match (exit, killed_for) {
        (Exit::Signal(SIGKILL), Some(signal)) => Exit::Signal(signal),
        (exit, _) => exit,
    };
    exit.status() as u8
}

pub(crate) fn duplicate(fd: impl AsFd) -> Result<OwnedFd, SyscallError> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
        .map_err(|errno| SyscallError::new("fcntl", "F_DUPFD_CLOEXEC", errno))
}

/// Writes `text` to standard output; a reader that has gone is no failure.
///
/// # Errors
/// Those of write(2).
pub fn print(text: &str) -> Result<(), BoxedExplain> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(boxed(SyscallError::new("write", "standard output", error)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_was_meant_for_the_container_is_told_as_its_end() {
        assert_eq!(status(Exit::Code(7), None), 7);
        assert_eq!(status(Exit::Signal(15), None), 143);
        assert_eq!(status(Exit::Signal(9), Some(2)), 130);
        assert_eq!(status(Exit::Code(3), Some(2)), 3, "it ended by itself meanwhile");
    }
}
