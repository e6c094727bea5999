//! What a container does right now. Nothing of it is remembered: whether a process lives is the kernel's word, and how the last run
//! ended is what its monitor wrote down.

use std::time::{Duration, Instant};

use monitor::{ExitRecord, HealthRecord};
use runtime::state::StateRoot;
use runtime::{Container, ContainerId};

use super::home::{Home, RunRecord};
use super::wait::TOLD;

/// Where in its life a container is, as docker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It was never started.
    Created,
    /// Its first process lives.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended, and will be started again.
    Restarting,
    /// It has ended.
    Exited,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }

    /// Whether it has a process.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// Everything about the present.
#[derive(Debug)]
pub struct State {
    /// In one word.
    pub status: Status,
    /// Its first process; 0 without one.
    pub pid: i32,
    /// The current or last run.
    pub run: Option<RunRecord>,
    /// How the last run ended, if it has.
    pub exit: Option<ExitRecord>,
    /// Its record, if there is one: always for one that lives.
    pub container: Option<Container>,
}

impl State {
    /// Its health, if it runs and is asked for it.
    pub fn health(&self, home: &Home) -> Option<HealthRecord> {
        let run = self.run.as_ref()?.run;
        home.health().filter(|health| health.run == run)
    }

    /// The status of the last run, as a shell has it; 0 before the first.
    pub fn exit_status(&self) -> i32 {
        self.exit.as_ref().map_or(0, |exit| exit.status)
    }
}

/// What `home` does right now.
pub fn of(home: &Home, records: &StateRoot) -> State {
    let id = ContainerId::parse(&home.id).ok();
    let container = id.as_ref().and_then(|id| Container::open(records, id).ok());
    // Before the process is asked for: one that ends in between is then seen as running, which it was.
    let run = home.run();
    let pid = container.as_ref().map_or(0, Container::pid);
    if pid != 0 {
        let frozen = container.as_ref().is_some_and(|container| container.status() == spec::Status::Paused);
        let status = if frozen { Status::Paused } else { Status::Running };
        return State { status, pid, run, exit: home.exit(), container };
    }
    let ran = run.as_ref().map_or(0, |run| run.run);
    let is_told = |exit: &Option<ExitRecord>| exit.as_ref().map_or(0, |exit| exit.run) >= ran;
    let mut exit = home.exit();
    // Between a launch's beginning and its process, between an end and the word about it, and until its log is complete, somebody is at work.
    let until = Instant::now() + TOLD;
    while !is_told(&exit) || home.is_draining() {
        let is_watched = home.has_monitor();
        let now = id.as_ref().and_then(|id| Container::open(records, id).ok());
        if now.as_ref().is_some_and(|now| now.pid() != 0) {
            return of(home, records);
        }
        // What a monitor wrote last is there once its lock is not.
        exit = home.exit();
        if is_told(&exit) {
            if !home.is_draining() || Instant::now() >= until {
                break;
            }
        } else if !is_watched || Instant::now() >= until {
            exit = run.as_ref().map(lost);
            break;
        }
        if now.is_none_or(|now| now.status() != spec::Status::Stopped) {
            // It is being launched: what it was before is what it is.
            break;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let status = match &exit {
        Some(exit) if exit.again_ns.is_some() && home.has_monitor() => Status::Restarting,
        Some(_) => Status::Exited,
        None => Status::Created,
    };
    State { status, pid: 0, run, exit, container }
}

/// The end of a run that nobody saw: its monitor was killed, or the machine lost its power.
fn lost(run: &RunRecord) -> ExitRecord {
    ExitRecord {
        run: run.run,
        status: 255,
        started_ns: run.started_ns,
        finished_ns: run.started_ns,
        restarts: run.restarts,
        error: Some("nobody saw its end: its monitor was killed, or the machine went down".to_owned()),
        ..ExitRecord::default()
    }
}
