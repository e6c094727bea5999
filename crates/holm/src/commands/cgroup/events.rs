//! `holm cgroup events`.

use std::time::{Duration, Instant};

use cgroups::events::{Event, Events, Watch};
use cgroups::{Cgroup, Controller, Refused};
use clap::ArgMatches;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::commands::failure::Failure;

const NAMES: [&str; 8] = ["oom-kill", "oom", "memory-high", "pids-max", "frozen", "thawed", "empty", "removed"];

/// What has no descriptor to wait for is looked at this often.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let until: Vec<&str> = matches.get_many::<String>("until").into_iter().flatten().map(String::as_str).collect();
    if let Some(wrong) = until.iter().find(|name| !NAMES.contains(name)) {
        let why = format!("the events are {}", NAMES.join(", "));
        return Err(Refused::value(format!("--until `{}`", wrong.escape_debug()), why).into());
    }
    let end = super::seconds(matches, "timeout")?.map(|timeout| Instant::now() + timeout);
    let (_host, _, cgroup) = super::named(matches)?;
    let as_json = matches.get_flag("json");
    let mut sources = sources(&cgroup)?;
    let mut seen = State::read(&cgroup, None);
    loop {
        let mut happened: Vec<(&str, u64)> = Vec::new();
        for source in &mut sources {
            while let Some(event) = source.next(Duration::ZERO)? {
                happened.push(named(event));
            }
        }
        let now = State::read(&cgroup, Some(&seen));
        happened.extend(now.since(&seen));
        seen = now;
        for (name, count) in &happened {
            let line = match (as_json, *count) {
                (true, count) => format!("{}\n", json!({ "event": name, "count": count })),
                (false, 1) => format!("{name}\n"),
                (false, count) => format!("{name} {count}\n"),
            };
            engine::run::print(&line)?;
        }
        let asked = happened.iter().any(|(name, _)| until.contains(name));
        let gone = happened.iter().any(|(name, _)| *name == "removed");
        if asked || gone || end.is_some_and(|end| Instant::now() >= end) {
            return Ok(0);
        }
        wait(&sources);
    }
}

/// What the kernel tells of its own accord. On a hybrid host memory and state are told by different hierarchies.
fn sources(cgroup: &Cgroup) -> Result<Vec<Events>, Failure> {
    let mut sources = Vec::new();
    if cgroup.path_of(Controller::Memory).is_some() {
        // `memory.high` of v2 has an event of its own; on v1 a threshold would need a value.
        let v2 = cgroup.recorded().iter().all(|it| it.version == cgroups::Version::V2);
        let watch = Watch { oom: true, threshold_bytes: v2.then_some(0), state: v2 };
        sources.push(Events::watch(cgroup, watch)?);
    }
    Ok(sources)
}

fn named(event: Event) -> (&'static str, u64) {
    match event {
        Event::OomKilled(count) => ("oom-kill", count),
        Event::OutOfMemory => ("oom", 1),
        Event::Threshold => ("memory-high", 1),
        Event::Empty => ("empty", 1),
        Event::Frozen => ("frozen", 1),
        Event::Thawed => ("thawed", 1),
        Event::Removed => ("removed", 1),
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    pids_hits: u64,
    frozen: bool,
    populated: bool,
    gone: bool,
    /// The kernel tells frozen and empty by itself (v2), so they are not looked at.
    told: bool,
}

impl State {
    fn read(cgroup: &Cgroup, before: Option<&Self>) -> Self {
        let told = cgroup.recorded().iter().all(|it| it.version == cgroups::Version::V2)
            && cgroup.path_of(Controller::Memory).is_some();
        let gone = cgroup.recorded().iter().all(|it| !it.mount.join(&it.path).exists());
        let before = before.copied().unwrap_or_default();
        Self {
            pids_hits: cgroup.pids_stats().ok().flatten().map_or(before.pids_hits, |stats| stats.limit_hits),
            frozen: cgroup.is_frozen().unwrap_or(before.frozen),
            populated: cgroup.processes_anywhere().map_or(before.populated, |all| !all.is_empty()),
            gone,
            told,
        }
    }

    fn since(&self, before: &Self) -> Vec<(&'static str, u64)> {
        let mut events = Vec::new();
        if self.gone {
            return vec![("removed", 1)];
        }
        if self.pids_hits > before.pids_hits {
            events.push(("pids-max", self.pids_hits - before.pids_hits));
        }
        if !self.told {
            match (before.frozen, self.frozen) {
                (false, true) => events.push(("frozen", 1)),
                (true, false) => events.push(("thawed", 1)),
                _ => {}
            }
            if before.populated && !self.populated {
                events.push(("empty", 1));
            }
        }
        events
    }
}

fn wait(sources: &[Events]) {
    let mut polled: Vec<_> = sources
        .iter()
        .flat_map(|source| source.descriptors())
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos() as _ };
    // Interrupted or not: everything is looked at again.
    let _ = poll(&mut polled, Some(&timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_looks_is_an_event() {
        let before = State { populated: true, pids_hits: 3, ..State::default() };
        let now = State { frozen: true, pids_hits: 5, ..State::default() };
        assert_eq!(now.since(&before), [("pids-max", 2), ("frozen", 1), ("empty", 1)]);
        let told = State { told: true, ..now };
        assert_eq!(told.since(&before), [("pids-max", 2)]);
        assert_eq!(State { gone: true, ..now }.since(&before), [("removed", 1)]);
    }
}
