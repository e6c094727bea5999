//! What happens to a group, as descriptors that poll(2) waits for.
//!
//! [`Events`] is readable when something happened; [`Events::next`] then says what. On v1 that is an eventfd which
//! the kernel writes to, on v2 an inotify descriptor on the group's event files; both count, so that an event
//! between two looks is not lost.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{OFlags, inotify};
use rustix::io::Errno as Failure;

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::parse::flat_value;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Processes were killed because memory ran out; the number since the last such event.
    OomKilled(u64),
    /// The memory limit was hit and nothing could be reclaimed (v1 says only this much).
    OutOfMemory,
    /// Memory in use crossed the threshold, in either direction (v1), or `memory.high` (v2).
    Threshold,
    /// The last process left (v2).
    Empty,
    /// The group stands (v2).
    Frozen,
    /// The group goes on (v2).
    Thawed,
    /// The group is gone. v2 sends nothing when that happens; it is seen with the next event that does come.
    Removed,
}

/// What to watch for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Memory running out.
    pub oom: bool,
    /// Bytes in use crossing this (v1), or `memory.high` being exceeded (v2, any value here).
    pub threshold_bytes: Option<u64>,
    /// The group becoming empty, frozen or thawed (v2).
    pub state: bool,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    source: Source,
    known: Counts,
    ready: VecDeque<Event>,
}

#[derive(Debug)]
enum Source {
    /// v1: the eventfd of each kind cannot be told apart by its value, so there is one poll set of up to two.
    V1 {
        oom: Option<OwnedFd>,
        threshold: Option<OwnedFd>,
        memory: Dir,
    },
    V2 {
        inotify: OwnedFd,
        dir: Dir,
        watch: Watch,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    oom_kill: u64,
    high: u64,
    populated: bool,
    frozen: bool,
    gone: bool,
}

impl Events {
    /// Watches `cgroup`. Memory events come from whichever version serves memory; state from v2.
    ///
    /// # Errors
    /// [`Error::Missing`] when the host has no hierarchy that tells of it, or when events of both versions are
    /// asked for at once.
    pub fn watch(cgroup: &Cgroup, watch: Watch) -> Result<Self, Error> {
        let memory = cgroup.dir_serving(Controller::Memory);
        let wants_memory = watch.oom || watch.threshold_bytes.is_some();
        match memory {
            Some((Version::V1, dir)) if wants_memory => {
                if watch.state {
                    let needs = "single hierarchy for memory and state; watch them apart";
                    return Err(Error::Missing { what: "watch events", needs });
                }
                Self::watch_v1(dir, watch)
            }
            None if wants_memory => Err(Error::Missing { what: "watch memory", needs: "memory controller" }),
            _ => {
                let dir = cgroup.dir_v2();
                let dir = dir.ok_or(Error::Missing { what: "watch state", needs: "cgroup v2 hierarchy" })?;
                Self::watch_v2(dir, watch)
            }
        }
    }

    fn watch_v1(memory: Dir, watch: Watch) -> Result<Self, Error> {
        let register = |file: &str, argument: Option<u64>| -> Result<OwnedFd, Error> {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            let event = eventfd(0, flags).map_err(|errno| memory.failed("eventfd", file, errno))?;
            let target = memory
                .open_file(file, OFlags::RDONLY)
                .map_err(|errno| memory.failed("openat", file, errno))?;
            let mut command = format!("{} {}", event.as_raw_fd(), target.as_raw_fd());
            if let Some(argument) = argument {
                command.push_str(&format!(" {argument}"));
            }
            let control = "cgroup.event_control";
            memory
                .write(control, command.as_bytes())
                .map_err(|errno| memory.failed("write", control, errno))?;
            Ok(event)
        };
        let oom = watch.oom.then(|| register("memory.oom_control", None)).transpose()?;
        let threshold =
            watch.threshold_bytes.map(|bytes| register("memory.usage_in_bytes", Some(bytes))).transpose()?;
        let known = Counts { oom_kill: v1_oom_kills(&memory).unwrap_or(0), ..Counts::default() };
        Ok(Self { source: Source::V1 { oom, threshold, memory }, known, ready: VecDeque::new() })
    }

    fn watch_v2(dir: Dir, watch: Watch) -> Result<Self, Error> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| dir.failed("inotify_init1", "", errno))?;
        let mut files = vec!["cgroup.events"];
        if watch.oom || watch.threshold_bytes.is_some() {
            files.push("memory.events");
        }
        for file in files {
            // inotify takes paths only; the handle's entry in /proc leads to the file without another walk.
            let handle =
                dir.open_file(file, OFlags::PATH).map_err(|errno| dir.failed("openat", file, errno))?;
            let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
            inotify::add_watch(&inotify, path, WatchFlags::MODIFY)
                .map_err(|errno| dir.failed("inotify_add_watch", file, errno))?;
        }
        // Looked at after the watch is set, so that nothing falls between.
        let known = read_v2(&dir, watch);
        Ok(Self { source: Source::V2 { inotify, dir, watch }, known, ready: VecDeque::new() })
    }

    /// The descriptors that become readable.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (one, two) = match &self.source {
            Source::V1 { oom, threshold, .. } => (oom.as_ref(), threshold.as_ref()),
            Source::V2 { inotify, .. } => (Some(inotify), None),
        };
        one.into_iter().chain(two).map(AsFd::as_fd)
    }

    /// The next event, waiting for it at most `timeout`; `None` when the time is up.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let until = std::time::Instant::now() + timeout;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            let mut polled: Vec<_> =
                self.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let timespec =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) as _ };
            let count = match poll(&mut polled, Some(&timespec)) {
                Ok(count) => count,
                Err(Failure::INTR) => continue,
                Err(errno) => return Err(self.dir().failed("poll", "", errno)),
            };
            drop(polled);
            if count == 0 {
                return Ok(None);
            }
            self.look();
        }
    }

    fn dir(&self) -> &Dir {
        match &self.source {
            Source::V1 { memory, .. } => memory,
            Source::V2 { dir, .. } => dir,
        }
    }

    /// Takes in what is readable.
    fn look(&mut self) {
        match &self.source {
            Source::V1 { oom, threshold, memory } => {
                let fired = |fd: &Option<OwnedFd>| {
                    let mut count = [0; 8];
                    fd.as_ref().is_some_and(|fd| rustix::io::read(fd, &mut count) == Ok(8))
                };
                if fired(threshold) {
                    self.ready.push_back(Event::Threshold);
                }
                if fired(oom) {
                    // The kernel also tells when the group is removed.
                    match v1_oom_kills(memory) {
                        None => self.ready.push_back(Event::Removed),
                        Some(kills) if kills > self.known.oom_kill => {
                            self.ready.push_back(Event::OomKilled(kills - self.known.oom_kill));
                            self.known.oom_kill = kills;
                        }
                        Some(_) => self.ready.push_back(Event::OutOfMemory),
                    }
                }
            }
            Source::V2 { inotify, dir, watch } => {
                let mut buffer = [0; 4096];
                while rustix::io::read(inotify, &mut buffer).is_ok_and(|length| length > 0) {}
                let now = read_v2(dir, *watch);
                self.ready.extend(changes(self.known, now, *watch));
                self.known = now;
            }
        }
    }
}

/// What lies between two looks at a v2 group.
fn changes(before: Counts, now: Counts, watch: Watch) -> Vec<Event> {
    let mut events = Vec::new();
    if now.gone {
        return vec![Event::Removed];
    }
    if watch.oom && now.oom_kill > before.oom_kill {
        events.push(Event::OomKilled(now.oom_kill - before.oom_kill));
    }
    if watch.threshold_bytes.is_some() && now.high > before.high {
        events.push(Event::Threshold);
    }
    if watch.state {
        match (before.frozen, now.frozen) {
            (false, true) => events.push(Event::Frozen),
            (true, false) => events.push(Event::Thawed),
            _ => {}
        }
        if before.populated && !now.populated {
            events.push(Event::Empty);
        }
    }
    events
}

fn read_v2(dir: &Dir, watch: Watch) -> Counts {
    let text = |file| dir.read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let Ok(state) = text("cgroup.events") else { return Counts { gone: true, ..Counts::default() } };
    let memory = if watch.oom || watch.threshold_bytes.is_some() {
        text("memory.events").unwrap_or_default()
    } else {
        String::new()
    };
    Counts {
        oom_kill: flat_value(&memory, "oom_kill").unwrap_or(0),
        high: flat_value(&memory, "high").unwrap_or(0),
        populated: flat_value(&state, "populated") == Some(1),
        frozen: flat_value(&state, "frozen") == Some(1),
        gone: false,
    }
}

fn v1_oom_kills(memory: &Dir) -> Option<u64> {
    let text = memory.read("memory.oom_control").ok()?;
    // Kernels before 4.13 do not count.
    Some(flat_value(&String::from_utf8_lossy(&text), "oom_kill").unwrap_or(0))
}
