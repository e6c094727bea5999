//! Asking for the container's health: a program of ours is executed now and then, which runs the check inside; this watches it.

use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::exit::{HEALTH_FILE, HEALTH_KEPT, HEALTH_OUTPUT, Health, HealthRecord, HealthState, write_record};
use crate::setup::{HealthSetup, OnFailure, Setup};
use crate::time::now_ns;

/// What the program may take beyond the check's own time before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// The status that it exits with when the check took too long.
pub const TOO_LONG: i32 = 124;

#[derive(Debug)]
pub(crate) struct Watch {
    setup: HealthSetup,
    record: HealthRecord,
    began: Instant,
    next: Instant,
    asking: Option<Asking>,
}

#[derive(Debug)]
struct Asking {
    child: Child,
    handle: OwnedFd,
    output: Vec<u8>,
    start_ns: u64,
    until: Instant,
}

impl Watch {
    pub(crate) fn begin(setup: HealthSetup, run: u64) -> Self {
        let now = Instant::now();
        let mut watch = Self {
            setup,
            record: HealthRecord { run, ..HealthRecord::default() },
            began: now,
            next: now,
            asking: None,
        };
        watch.next = now + watch.interval();
        watch
    }

    fn interval(&self) -> Duration {
        let early = self.is_early() && self.record.state == HealthState::Starting;
        let usual = self.setup.interval_ms;
        let ms = if early { self.setup.start_interval_ms.unwrap_or(usual) } else { usual };
        Duration::from_millis(ms.max(1))
    }

    fn is_early(&self) -> bool {
        self.began.elapsed() < Duration::from_millis(self.setup.start_period_ms)
    }

    /// What becomes readable when the answer is there.
    pub(crate) fn handle(&self) -> Option<&OwnedFd> {
        self.asking.as_ref().map(|asking| &asking.handle)
    }

    /// How long until something is to be done.
    pub(crate) fn due(&self) -> Duration {
        let at = self.asking.as_ref().map_or(self.next, |asking| asking.until);
        at.saturating_duration_since(Instant::now())
    }

    /// Asks if it is time; takes the answer if it is there. Returns what to do when health has become bad.
    pub(crate) fn turn(&mut self, setup: &Setup, run_directory: &OwnedFd) -> Option<OnFailure> {
        let now = Instant::now();
        if let Some(asking) = &mut self.asking {
            asking.collect();
            match asking.child.try_wait() {
                Ok(None) if now < asking.until => return None,
                Ok(Some(status)) => {
                    let status = status.code().unwrap_or(-1);
                    return self.answered(status, run_directory);
                }
                _ => {
                    let _ = asking.child.kill();
                    let _ = asking.child.wait();
                    return self.answered(-1, run_directory);
                }
            }
        }
        if now >= self.next {
            self.asking = ask(setup, self.setup.timeout_ms);
            self.next = now + self.interval();
        }
        None
    }

    fn answered(&mut self, status: i32, run_directory: &OwnedFd) -> Option<OnFailure> {
        let mut asking = self.asking.take()?;
        asking.collect();
        let status = if status == TOO_LONG { -1 } else { status };
        let answer = Health {
            start_ns: asking.start_ns,
            end_ns: now_ns(),
            status,
            output: String::from_utf8_lossy(&asking.output).into_owned(),
        };
        let early = self.is_early();
        let became_bad = judge(&mut self.record, answer, early, self.setup.retries);
        self.next = Instant::now() + self.interval();
        // Where it cannot be written the old one stands, which is what is known to others.
        let _ = write_record(run_directory, HEALTH_FILE, &self.record, false);
        became_bad.then_some(self.setup.on_failure)
    }

    /// Ends a question that is still open.
    pub(crate) fn end(mut self) {
        if let Some(asking) = &mut self.asking {
            let _ = asking.child.kill();
            let _ = asking.child.wait();
        }
    }
}

/// Takes an answer into the record; true when health has just become bad.
fn judge(record: &mut HealthRecord, answer: Health, early: bool, retries: u32) -> bool {
    let good = answer.status == 0;
    record.log.push(answer);
    if record.log.len() > HEALTH_KEPT {
        record.log.remove(0);
    }
    if good {
        record.failing = 0;
        record.state = HealthState::Healthy;
        return false;
    }
    // As long as the container starts, a failure says that it has not started yet.
    if early && record.state == HealthState::Starting {
        return false;
    }
    record.failing = record.failing.saturating_add(1);
    let bad = record.failing >= retries.max(1) && record.state != HealthState::Unhealthy;
    if bad {
        record.state = HealthState::Unhealthy;
    }
    bad
}

fn ask(setup: &Setup, timeout_ms: u64) -> Option<Asking> {
    let mut child = Command::new(Path::new("/proc/self/exe"))
        .args(["--health", &setup.id, &timeout_ms.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let handle =
        pid.and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    let Some(handle) = handle else {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    };
    if let Some(output) = &child.stdout
        && let Ok(flags) = fcntl_getfl(output.as_fd())
    {
        let _ = fcntl_setfl(output.as_fd(), flags | OFlags::NONBLOCK);
    }
    let until = Instant::now() + Duration::from_millis(timeout_ms) + GRACE;
    Some(Asking { child, handle, output: Vec::new(), start_ns: now_ns(), until })
}

impl Asking {
    /// Reads what it wrote, and keeps the beginning.
    fn collect(&mut self) {
        let Some(output) = &mut self.child.stdout else { return };
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = output.read(&mut buffer) {
            let room = HEALTH_OUTPUT.saturating_sub(self.output.len());
            self.output.extend_from_slice(&buffer[..len.min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(answers: &[i32], early: usize, retries: u32) -> Vec<(&'static str, u32)> {
        let mut record = HealthRecord::default();
        let told = answers.iter().enumerate().map(|(index, status)| {
            let answer = Health { status: *status, ..Health::default() };
            judge(&mut record, answer, index < early, retries);
            (record.state.name(), record.failing)
        });
        told.collect()
    }

    #[test]
    fn health_is_bad_after_so_many_failures_in_a_row() {
        assert_eq!(
            states(&[1, 0, 1, 1, 1, 0], 0, 2),
            [
                ("starting", 1),
                ("healthy", 0),
                ("healthy", 1),
                ("unhealthy", 2),
                ("unhealthy", 3),
                ("healthy", 0)
            ]
        );
    }

    #[test]
    fn failures_of_the_start_do_not_count() {
        assert_eq!(
            states(&[1, 1, 1, 1], 3, 1),
            [("starting", 0), ("starting", 0), ("starting", 0), ("unhealthy", 1)]
        );
    }

    #[test]
    fn only_the_last_answers_are_kept() {
        let mut record = HealthRecord::default();
        for status in 0..20 {
            judge(&mut record, Health { status, ..Health::default() }, false, 3);
        }
        let kept: Vec<_> = record.log.iter().map(|answer| answer.status).collect();
        assert_eq!(kept, [15, 16, 17, 18, 19]);
    }
}
