//! `events`: what a container uses, and when its memory runs out, one JSON object a line.
//!
//! [`json`] is the form that runc gave it and that others read.

mod json;

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::Arguments;
use cgroups::events::{Event, Events, Watch};
use cgroups::{Cgroup, Error};
use report::{Explain, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::container::Live;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// The time between two reports is none.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is no time between two reports: that is a number and a unit, such as 500ms, 5s or 1m, and more than 0", .0.escape_debug())]
struct BadInterval(String);

impl Explain for BadInterval {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let text = arguments.get_one::<String>("interval").map_or("", String::as_str);
    let interval = duration(text).ok_or_else(|| BadInterval(text.to_owned()))?;
    let container = Live::find(context, arguments)?;
    let id = container.id().as_str();
    let cgroup = container.cgroup()?;
    if arguments.get_flag("stats") {
        print(&json::stats(id, &cgroup.stats()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    watch(id, &cgroup, container.pidfd(), interval)
}

/// Reports until the container ends, or nobody reads any more.
fn watch(id: &str, cgroup: &Cgroup, pidfd: BorrowedFd<'_>, interval: Duration) -> Outcome {
    let mut events = match Events::watch(cgroup, Watch { oom: true, ..Watch::default() }) {
        Ok(events) => Some(events),
        // Without a memory controller memory does not run out.
        Err(Error::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut next = Instant::now() + interval;
    loop {
        match wait(events.as_ref(), pidfd, next)? {
            Woken::Ended => {
                // What happened to it at the very end is the most interesting.
                report_events(id, &mut events)?;
                return Ok(ExitCode::SUCCESS);
            }
            Woken::Event if !report_events(id, &mut events)? => return Ok(ExitCode::SUCCESS),
            Woken::Event => {}
            Woken::Time => {
                next += interval;
                if !print(&json::stats(id, &cgroup.stats()?))? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

enum Woken {
    Ended,
    Event,
    Time,
}

fn wait(events: Option<&Events>, pidfd: BorrowedFd<'_>, until: Instant) -> Result<Woken, Failure> {
    loop {
        let mut polled = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        polled.extend(
            events
                .into_iter()
                .flat_map(Events::descriptors)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Ok(Woken::Time),
            Ok(_) if !polled[0].revents().is_empty() => return Ok(Woken::Ended),
            Ok(_) => return Ok(Woken::Event),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(sys::SyscallError::new("poll", "", errno).into()),
        }
    }
}

/// False when nobody reads any more.
fn report_events(id: &str, events: &mut Option<Events>) -> Result<bool, Failure> {
    let Some(watched) = events else { return Ok(true) };
    let mut removed = false;
    while let Some(event) = watched.next(Duration::ZERO)? {
        match event {
            Event::OomKilled(_) | Event::OutOfMemory if !print(&json::oom(id))? => return Ok(false),
            // Its descriptor would be readable for ever.
            Event::Removed => removed = true,
            _ => {}
        }
        if removed {
            break;
        }
    }
    if removed {
        *events = None;
    }
    Ok(true)
}

/// False when nobody reads any more.
fn print(line: &str) -> Result<bool, Failure> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(sys::SyscallError::new("write", "standard output", error).into()),
    }
}

/// A time as Go writes it: numbers with units, one behind the other (`1m30s`, `1.5s`). More than 0.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = behind;
    }
    (sum > Duration::ZERO).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_go() {
        for (text, ms) in [("5s", 5000), ("500ms", 500), ("1m30s", 90_000), ("1.5s", 1500), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "0s", "s", "5x", "-1s", "1s5", "1..5s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
