//! The stage as a process.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use init::program::{Features, Program};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use sys::clone::{self, Executable, Spawn, Spawned};
use sys::raw::Image;
use sys::{Errno, SyscallError, channel, memfd};

use super::Failure;
use crate::plan::Plan;

/// The in-container stage, made by the build script.
static STAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/holm_stage"));

/// mmap(2) takes whole pages; 64 KiB is the largest a supported processor has.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };
static NOTHING: [u8; PAGE] = [0; PAGE];

/// On which processors a stage may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processors {
    /// On those where this process may.
    Same,
    /// On all that its cgroup has.
    Any,
    /// It says so itself, and is left alone: this process waits for it at once, so that it is best off here.
    Kept,
}

/// The container's first process.
#[derive(Debug)]
pub(crate) struct Stage {
    spawned: Spawned,
}

/// Where a stage is born.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birthplace<'a> {
    /// New namespaces: `CLONE_NEW*`.
    pub(crate) namespaces: u64,
    /// An existing pid namespace.
    pub(crate) pid_namespace: Option<BorrowedFd<'a>>,
    /// Other existing namespaces, each with its kind.
    pub(crate) joined: &'a [(BorrowedFd<'a>, u64)],
    /// A cgroup (v2).
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// On which processors it may run.
    pub(crate) processors: Processors,
}

impl Birthplace<'_> {
    /// Where this process is.
    pub(crate) const HERE: Self =
        Self { namespaces: 0, pid_namespace: None, joined: &[], cgroup: None, processors: Processors::Same };
}

impl Stage {
    /// Starts it; returns the socket to it as well.
    pub(crate) fn start(
        plan: &Plan,
        place: &Birthplace<'_>,
        inherited: &[BorrowedFd<'_>],
    ) -> Result<(OwnedFd, Self), Failure> {
        Ok(Self::start_program(plan.program(), plan.features(), place, inherited)?)
    }

    /// Starts one that plays this program, whose first slots are the inherited descriptors.
    pub(crate) fn start_program(
        program: &Program,
        features: Features,
        place: &Birthplace<'_>,
        inherited: &[BorrowedFd<'_>],
    ) -> Result<(OwnedFd, Self), SyscallError> {
        let &Birthplace { namespaces, pid_namespace, joined, cgroup, processors } = place;
        let (ours, theirs) = channel::pair()?;
        let numbers: Vec<i32> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
        let program = program.to_bytes(&numbers, features);
        let offset = STAGE.len().next_multiple_of(PAGE);
        let padding = NOTHING.get(..offset - STAGE.len()).unwrap_or(&NOTHING);
        let file = memfd::sealed(c"holm-init", true, &[STAGE, padding, &program])?;
        let argument = format!("{},{},{offset},{}", theirs.as_raw_fd(), file.as_raw_fd(), program.len());
        let argument = CString::new(argument).unwrap_or_default();
        let mut keep = Vec::with_capacity(inherited.len() + 2);
        keep.extend([theirs.as_fd(), file.as_fd()]);
        keep.extend_from_slice(inherited);
        let executable = Executable::File(file.as_fd());
        let spawn = Spawn { executable, name: c"holm-init", argument, keep: &keep, namespaces, cgroup };
        let is_time = |(_, kind): &&(BorrowedFd<'_>, u64)| *kind == clone::CLONE_NEWTIME;
        let time = joined.iter().find(is_time).map(|(namespace, _)| *namespace);
        let others: Vec<_> = joined.iter().filter(|one| !is_time(one)).copied().collect();
        let start = || match others.as_slice() {
            [] => clone::spawn(spawn),
            others => clone::spawn_joined(spawn, others),
        };
        let start = || match pid_namespace {
            None => start(),
            Some(namespace) => born_in(namespace, clone::CLONE_NEWPID, "pid", start),
        };
        // A process that shares its memory with another, as this one does with a new one at first, may not join a time namespace, nor
        // go back to its own.
        let spawned = match time {
            None => start()?,
            Some(namespace) => born_in(namespace, clone::CLONE_NEWTIME, "time", || {
                start().inspect(Spawned::wait_until_apart)
            })?,
        };
        push_away(spawned.pid, processors);
        Ok((ours, Self { spawned }))
    }

    /// Starts one that waits for its program, which will keep at most the capabilities `keep` in the bounding set; returns the socket to it
    /// as well.
    pub(crate) fn start_waiting(
        cgroup: Option<BorrowedFd<'_>>,
        keep: u64,
    ) -> Result<(OwnedFd, Self), SyscallError> {
        let (ours, theirs) = channel::pair()?;
        let argument = CString::new(format!("{},{keep}", theirs.as_raw_fd())).unwrap_or_default();
        let executable = Executable::Copy(STAGE);
        let keep = &[theirs.as_fd()];
        let spawn = Spawn { executable, name: c"holm-init", argument, keep, namespaces: 0, cgroup };
        let spawned = clone::spawn(spawn)?;
        push_away(spawned.pid, Processors::Same);
        Ok((ours, Self { spawned }))
    }

    /// Takes one that waits back to this processor if it has not begun on the one that it was sent to. This process is about to sleep.
    pub(crate) fn hurry(&self) {
        if !self.spawned.has_begun() {
            sys::processors::pull_here(self.spawned.pid);
        }
    }

    /// The program as a message to one that waits for it; none if it has to be given in another way.
    pub(crate) fn message(plan: &Plan) -> Option<Vec<u8>> {
        let count = plan.inherited().len();
        let bytes = plan.program().to_bytes(&vec![0; count], plan.features());
        (count <= sys::raw::MAX_FDS && bytes.len() <= Image::LONGEST).then_some(bytes)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.spawned.pid
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.spawned.pidfd.as_fd()
    }

    pub(crate) fn failure(&self) -> Option<SyscallError> {
        self.spawned.failure()
    }

    /// Waits until it has ended, and takes its status.
    pub(crate) fn wait(&self) -> Result<WaitIdStatus, SyscallError> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => return Ok(status),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(SyscallError::new("waitid", "the container", errno)),
            }
        }
    }

    /// Ends it and everything in its pid namespace.
    pub(crate) fn kill(self) -> Result<(), SyscallError> {
        match pidfd_send_signal(self.pidfd(), Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(errno) => return Err(SyscallError::new("pidfd_send_signal", "the container", errno)),
        }
        match self.wait() {
            Ok(_) => Ok(()),
            Err(error) if error.errno == sys::Errno::CHILD => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Starts a process in an existing pid or time namespace: this process's children are born there until it says otherwise
/// (pid_namespaces(7), time_namespaces(7)).
fn born_in<T>(
    namespace: BorrowedFd<'_>,
    kind: u64,
    name: &str,
    start: impl FnOnce() -> Result<T, SyscallError>,
) -> Result<T, SyscallError> {
    /// A process says that it is apart a moment before it is: `EUSERS` until then.
    const TRIES: u32 = 1000;
    let enter = |fd: BorrowedFd<'_>| {
        let mut tries = 0;
        loop {
            match sys::raw::setns(sys::raw::Fd::from(&fd), kind) {
                Err(Errno::USERS) if tries < TRIES => std::thread::sleep(Duration::from_millis(1)),
                outcome => {
                    return outcome
                        .map_err(|errno| SyscallError::new("setns", format!("{name} namespace"), errno));
                }
            }
            tries += 1;
        }
    };
    let own = super::trees::open_namespace(&std::path::PathBuf::from(format!("/proc/self/ns/{name}")))?;
    enter(namespace)?;
    let outcome = start();
    enter(own.as_fd())?;
    outcome
}

/// Moves a new process to another processor than this one: both have work to do.
fn push_away(pid: i32, processors: Processors) {
    match processors {
        Processors::Same => sys::processors::push_away(pid, false),
        Processors::Any => sys::processors::push_away(pid, true),
        Processors::Kept => {}
    }
}
