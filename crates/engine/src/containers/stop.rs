//! Signals, stopping, pausing.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use report::BoxedExplain;
use runtime::Container;
use runtime::state::StateRoot;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spec::Signal;
use sys::SyscallError;

use super::definition::STOP_TIMEOUT;
use super::error::ContainerFailure;
use super::home::{Home, Places};
use super::state::{self, State, Status};
use super::{events, supervise, wait};
use crate::host::boxed;
use crate::terminal::{Reaction, SignalState, reaction};

/// How long a killed process may take to die: one that waits for a disk does not until that answers.
const DEATH: Duration = Duration::from_secs(30);
/// How long a program may take from its start until it has arranged for signals.
const YOUTH: Duration = Duration::from_secs(2);
/// How long one sleeps that has done so: who starts up works.
const SETTLED: Duration = Duration::from_millis(100);
/// How long a cgroup may take to freeze or thaw.
const FREEZE: Duration = Duration::from_secs(10);

fn records(places: &Places) -> Result<StateRoot, BoxedExplain> {
    StateRoot::open(&places.records()).map_err(boxed)
}

fn name_of(home: &Home) -> String {
    home.definition().map_or_else(|_| home.short().to_owned(), |definition| definition.name)
}

fn not_running(home: &Home, verb: &'static str, status: Status) -> BoxedExplain {
    let advice = match status {
        Status::Paused => "holm unpause lets it go on",
        _ => "holm start starts it",
    };
    boxed(ContainerFailure::Conflict { verb, name: name_of(home), state: status.name().to_owned(), advice })
}

/// A container that lives, and a handle of its first process.
pub(crate) fn living(
    places: &Places,
    home: &Home,
    verb: &'static str,
) -> Result<(State, Container, OwnedFd), BoxedExplain> {
    let mut state = state::of(home, &records(places)?);
    let container = state.container.take();
    match container.and_then(|container| Some((container.process()?.1, container))) {
        Some((pidfd, container)) if state.status.is_alive() => Ok((state, container, pidfd)),
        _ => {
            let status = if state.status.is_alive() { Status::Exited } else { state.status };
            Err(not_running(home, verb, status))
        }
    }
}

/// Sends a signal to the first process. A signal that ends it, as far as can be seen, is a wish that it stays down.
///
/// # Errors
/// When it does not run.
pub fn kill(places: &Places, home: &Home, signal: Signal) -> Result<(), BoxedExplain> {
    let (_, container, _) = living(places, home, "kill")?;
    let meant = home.definition().map(|definition| definition.stop_signal()).unwrap_or(Signal::TERM);
    if signal == Signal::KILL || signal == meant {
        home.note_stopped(true).map_err(boxed)?;
    }
    container.kill(Some(signal)).map_err(boxed)?;
    tell(places, home, "kill", &[("signal", signal.number().into())]);
    Ok(())
}

fn tell(places: &Places, home: &Home, action: &str, more: &[(&str, serde_json::Value)]) {
    events::emit(places, home, home.definition().ok().as_ref(), action, more);
}

/// Asks the container to end, and kills it when it has not after its time. `timeout` is in seconds, less than 0 is no bound.
/// Returns whether it ran.
///
/// # Errors
/// When it cannot be signalled or does not die.
pub fn stop(
    places: &Places,
    home: &Home,
    timeout: Option<i64>,
    signal: Option<Signal>,
) -> Result<bool, BoxedExplain> {
    let state = state::of(home, &records(places)?);
    match state.status {
        Status::Created | Status::Exited => return Ok(false),
        Status::Restarting => {
            let _lock = home.lock().map_err(boxed)?;
            home.note_stopped(true).map_err(boxed)?;
            supervise::cancel_restart(home);
            // It may have been started in between.
            if !state::of(home, &records(places)?).status.is_alive() {
                return Ok(false);
            }
        }
        Status::Running | Status::Paused => {}
    }
    let definition = home.definition().map_err(boxed)?;
    // Before the signal: its monitor asks for it as soon as it has ended.
    home.note_stopped(true).map_err(boxed)?;
    let run = home.run().map_or(0, |run| run.run);
    let Ok((state, container, pidfd)) = living(places, home, "stop") else {
        wait::until_told(home, run);
        return Ok(true);
    };
    let signal = signal.unwrap_or_else(|| definition.stop_signal());
    let timeout = timeout.or(definition.stop_timeout).unwrap_or(STOP_TIMEOUT);
    let patience = u64::try_from(timeout).ok().map(Duration::from_secs);
    let monitor = wait::listen(home);
    // A first process without a handler does not even notice: waiting for it is of no use.
    let heard = is_heard(&state, signal, &pidfd, patience);
    if heard {
        container.kill(Some(signal)).or_else(gone).map_err(boxed)?;
    }
    if state.status == Status::Paused {
        let cgroup = container.cgroup().map_err(boxed)?;
        cgroup.thaw(FREEZE).map_err(boxed)?;
    }
    if !heard || !has_ended(&pidfd, patience) {
        container.kill(Some(Signal::KILL)).or_else(gone).map_err(boxed)?;
        if !has_ended(&pidfd, Some(DEATH)) {
            return Err(boxed(
                home.failed("stop", SyscallError::new("pidfd_send_signal", "KILL", sys::Errno::TIMEDOUT)),
            ));
        }
    }
    told(home, run, monitor);
    tell(places, home, "stop", &[]);
    Ok(true)
}

/// Whether the first process does something about the signal. One that was started just now may not have come so far yet to say that it
/// handles or ignores it: it is given [`YOUTH`] for that, as long as there is patience and it does not just lie there.
fn is_heard(state: &State, signal: Signal, pidfd: &OwnedFd, patience: Option<Duration>) -> bool {
    let started_ns = state.run.as_ref().map_or(0, |run| run.started_ns);
    let age = Duration::from_nanos(monitor::time::now_ns().saturating_sub(started_ns));
    let grace = YOUTH.saturating_sub(age).min(patience.unwrap_or(YOUTH));
    let pid = state.pid.unsigned_abs();
    let mut asleep: Option<(String, Instant)> = None;
    let until = Instant::now() + grace;
    loop {
        if reaction(signal, &SignalState::read(pid)) == Reaction::Forward {
            return true;
        }
        let now = Instant::now();
        asleep = match (sleep_of(pid), asleep) {
            (Some(sleep), Some((same, since))) if sleep == same => Some((same, since)),
            (sleep, _) => sleep.map(|sleep| (sleep, now)),
        };
        let has_settled = asleep.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= SETTLED);
        let left = until.saturating_duration_since(now);
        if left.is_zero() || has_settled || has_ended(pidfd, Some(left.min(Duration::from_millis(5)))) {
            return false;
        }
    }
}

/// What is the same as long as a process sleeps without waking up: how often it has given the processor away. None while it runs, wants
/// to, or waits for a disk.
fn sleep_of(pid: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let is_asleep =
        status.lines().any(|line| line.strip_prefix("State:").is_some_and(|it| it.trim().starts_with('S')));
    let switches: Vec<&str> =
        status.lines().filter(|line| line.contains("voluntary_ctxt_switches")).collect();
    is_asleep.then(|| switches.join(" "))
}

/// Kills a container that this process has the lock of; none when it has no process.
pub(crate) fn kill_locked(home: &Home, state: &State) -> Result<Option<Death>, BoxedExplain> {
    let Some(container) = &state.container else { return Ok(None) };
    let Some(pidfd) = container.pidfd() else { return Ok(None) };
    let run = home.run().map_or(0, |run| run.run);
    let monitor = wait::listen(home);
    container.kill(Some(Signal::KILL)).or_else(gone).map_err(boxed)?;
    if state.status == Status::Paused {
        container.cgroup().map_err(boxed)?.thaw(FREEZE).map_err(boxed)?;
    }
    Ok(Some(Death { pidfd, run, monitor }))
}

/// The end of a container that was killed.
#[derive(Debug)]
pub(crate) struct Death {
    pidfd: OwnedFd,
    run: u64,
    monitor: Option<OwnedFd>,
}

impl Death {
    /// Waits until its processes are gone and its monitor, which writes into the directory that goes next, has done so.
    pub(crate) fn wait(self, home: &Home) -> Result<(), BoxedExplain> {
        if !has_ended(&self.pidfd, Some(DEATH)) {
            return Err(boxed(
                home.failed("kill", SyscallError::new("pidfd_send_signal", "KILL", sys::Errno::TIMEDOUT)),
            ));
        }
        told(home, self.run, self.monitor);
        Ok(())
    }
}

/// Waits for the monitor's word about the end. Whoever hears it does not have to look again and again.
fn told(home: &Home, run: u64, monitor: Option<OwnedFd>) {
    if monitor.and_then(|socket| wait::hear_end(&socket, Some(wait::TOLD))).is_none() {
        wait::until_told(home, run);
    }
}

fn gone(error: runtime::ContainerError) -> Result<(), runtime::ContainerError> {
    match error {
        runtime::ContainerError::NotRunning { .. } => Ok(()),
        other => Err(other),
    }
}

/// Whether the process has ended, or a socket can be read, within the time; no time is no bound.
pub(crate) fn has_ended(pidfd: impl AsFd, patience: Option<Duration>) -> bool {
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: left.as_secs().min(86_400) as _,
            tv_nsec: left.subsec_nanos() as _,
        });
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => return true,
            Ok(_) if left.is_some_and(|left| left.is_zero() || left < Duration::from_secs(86_400)) => {
                return false;
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Freezes its processes.
///
/// # Errors
/// When it does not run.
pub fn pause(places: &Places, home: &Home) -> Result<(), BoxedExplain> {
    let _lock = home.lock().map_err(boxed)?;
    let (state, container, _) = living(places, home, "pause")?;
    if state.status == Status::Paused {
        return Err(not_running(home, "pause", Status::Paused));
    }
    container.cgroup().map_err(boxed)?.freeze(FREEZE).map_err(boxed)?;
    tell(places, home, "pause", &[]);
    Ok(())
}

/// Lets them go on.
///
/// # Errors
/// When it is not paused.
pub fn unpause(places: &Places, home: &Home) -> Result<(), BoxedExplain> {
    let _lock = home.lock().map_err(boxed)?;
    let (state, container, _) = living(places, home, "unpause")?;
    if state.status != Status::Paused {
        return Err(boxed(ContainerFailure::Conflict {
            verb: "unpause",
            name: name_of(home),
            state: state.status.name().to_owned(),
            advice: "",
        }));
    }
    container.cgroup().map_err(boxed)?.thaw(FREEZE).map_err(boxed)?;
    tell(places, home, "unpause", &[]);
    Ok(())
}
