//! Waiting for the end of a container.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use report::BoxedExplain;
use runtime::state::StateRoot;
use rustix::net::RecvFlags;

use super::home::{Home, Places};
use super::state::{self, Status};
use super::stop::has_ended;
use crate::host::boxed;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// It does not run.
    #[default]
    NotRunning,
    /// It ends once more from now on.
    NextExit,
    /// It is gone.
    Removed,
}

/// How long a monitor may take to write down, and to tell, an end that is there.
pub(crate) const TOLD: Duration = Duration::from_secs(10);
/// How long a monitor that has as many clients as it takes is waited for.
const ROOM: Duration = Duration::from_millis(500);

/// Waits until the monitor has written down how this run ended and what the container wrote, or there is no monitor that would.
pub(crate) fn until_told(home: &Home, run: u64) {
    let until = Instant::now() + TOLD;
    let mut pause = Duration::from_micros(100);
    loop {
        let is_told = || home.exit().is_some_and(|exit| exit.run >= run) && !home.is_draining();
        if !home.directory.exists() || is_told() {
            return;
        }
        if Instant::now() >= until || (!home.has_monitor() && pause > Duration::from_millis(4)) {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// One number for what wait(2) tells: the status, or 128 and the signal.
pub(crate) fn status_of(wait: i32) -> i32 {
    match wait & 0x7f {
        0 => (wait >> 8) & 0xff,
        signal => 128 + signal,
    }
}

/// A connection to the monitor, by which it tells the end; none when there is no monitor, or it has more clients than it takes.
pub(crate) fn listen(home: &Home) -> Option<OwnedFd> {
    let socket = super::attach::dial(home, Some(ROOM)).ok()?;
    monitor::protocol::send(&socket, monitor::protocol::HELLO, &[0], true).ok()?;
    Some(socket)
}

/// The status that the monitor tells when the container ends; none when it does not live to tell, or not within the time.
pub(crate) fn hear_end(socket: &OwnedFd, patience: Option<Duration>) -> Option<i32> {
    let mut message = [0; 16];
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if !has_ended(socket, left) {
            return None;
        }
        match rustix::net::recv(socket, &mut message, RecvFlags::DONTWAIT) {
            Ok((5, _)) if message[0] == monitor::protocol::EXIT => {
                return Some(i32::from_le_bytes([message[1], message[2], message[3], message[4]]));
            }
            Ok((0, _)) => return None,
            Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return None,
        }
    }
}

/// Waits, and returns the status of the run that has ended.
///
/// # Errors
/// When the records cannot be read.
pub fn wait(places: &Places, home: &Home, until: Until) -> Result<i32, BoxedExplain> {
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    let begun = home.run().map_or(0, |run| run.run);
    let first = state::of(home, &records);
    let known = first.exit.as_ref().map_or(0, |exit| exit.run);
    let mut status = first.exit_status();
    loop {
        let state = state::of(home, &records);
        if !home.directory.exists() {
            return Ok(status);
        }
        if let Some(container) = &state.container
            && let Some(pidfd) = container.pidfd()
        {
            let run = home.run().map_or(begun, |run| run.run);
            let told = listen(home).and_then(|socket| hear_end(&socket, None));
            while !has_ended(&pidfd, Some(Duration::from_secs(3600))) {}
            if told.is_none() {
                until_told(home, run);
            }
            let written = || home.exit().filter(|exit| exit.run == run).map(|exit| exit.status);
            let kernel = || sys::pidfd::exit_status(&pidfd).map(status_of);
            let unseen = || state::of(home, &records).exit.map(|exit| exit.status);
            status = told.or_else(written).or_else(kernel).or_else(unseen).unwrap_or(255);
            match until {
                Until::NotRunning | Until::NextExit => return Ok(status),
                Until::Removed => {}
            }
        }
        let exit = state.exit.as_ref();
        status = exit.map_or(status, |exit| exit.status);
        match until {
            Until::NotRunning if !matches!(state.status, Status::Running | Status::Paused) => {
                return Ok(status);
            }
            Until::NextExit if exit.is_some_and(|exit| exit.run > known) => return Ok(status),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
