//! Performing a plan to enter a running container.
//!
//! Nothing is made on the host but processes: the stage, and the one that it goes on in. [`enter`] leaves neither behind when it
//! fails.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use cgroups::Version;
use init::message::{self, Message};
use init::ops::Op;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use spec::NamespaceType;
use sys::{Errno, SyscallError, channel, mount};

use super::error::Doing;
use super::running::Exit;
use super::spawn::{Birthplace, Processors, Stage};
use super::{Failure, LaunchError, Made, PATIENCE, Performing};
use crate::ahead;
use crate::enter::Enter;
use crate::inputs::Launch;
use crate::plan::{Plan, Produced};

/// `f_type` of cgroup v1 and v2 (linux/magic.h).
const CGROUPS: [u64; 2] = [0x0027_e0eb, 0x6367_7270];

/// A process that the stage went on in.
#[derive(Debug)]
pub(crate) struct Born {
    pid: i32,
    pidfd: OwnedFd,
}

/// A program that was started in a running container. Dropping it leaves the program alone.
#[derive(Debug)]
pub struct Entered {
    process: Process,
    terminal: Option<OwnedFd>,
}

#[derive(Debug)]
enum Process {
    /// In the container's pid namespace.
    Born(Born),
    /// The stage itself, where the container has the host's pid namespace.
    Stage(Stage),
}

impl Entered {
    /// Its process id, as seen here.
    pub fn pid(&self) -> i32 {
        match &self.process {
            Process::Born(born) => born.pid,
            Process::Stage(stage) => stage.pid(),
        }
    }

    /// A handle of it that becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        match &self.process {
            Process::Born(born) => born.pidfd.as_fd(),
            Process::Stage(stage) => stage.pidfd(),
        }
    }

    /// The caller's end of its terminal, if it has one.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Sends it a signal. A process that has ended takes none, and that is no error.
    ///
    /// # Errors
    /// When the kernel refuses the signal.
    pub fn signal(&self, signal: Signal) -> Result<(), SyscallError> {
        signal_to(self.pidfd(), signal)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(self) -> Result<Exit, SyscallError> {
        wait_for(self.pidfd()).map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(255),
        })
    }
}

/// Performs `plan`, which [`crate::plan::enter()`] made, on the container whose first process is `target`.
///
/// # Errors
/// [`LaunchError`], which names the step that failed; no process is left of it.
pub fn enter(enter: &Enter, plan: &Plan, target: BorrowedFd<'_>) -> Result<Entered, LaunchError> {
    enter_with(enter, plan, target, None)
}

/// As [`enter`], with what was started ahead, as far as it is what the plan wants.
///
/// # Errors
/// As [`enter`].
pub fn enter_with(
    enter: &Enter,
    plan: &Plan,
    target: BorrowedFd<'_>,
    ahead: Option<ahead::Stage>,
) -> Result<Entered, LaunchError> {
    let launch = &enter.launch;
    let mut performing = Performing::of_running(launch, plan, target);
    performing.ahead = ahead;
    for (step, act) in plan.acts() {
        if let Err(failure) = performing.perform_or_fail(*step, act) {
            let left = performing.abandon();
            return Err(LaunchError::new(Doing::Enter, launch, plan, *step, failure, left));
        }
    }
    match performing.finish() {
        Ok(entered) => Ok(entered),
        Err(failure) => {
            let left = performing.abandon();
            let last = plan.steps().len().saturating_sub(1) as u32;
            Err(LaunchError::new(Doing::Enter, launch, plan, last, failure, left))
        }
    }
}

impl<'a> Performing<'a> {
    /// On the running container with this first process.
    pub(super) fn of_running(launch: &'a Launch, plan: &'a Plan, target: BorrowedFd<'a>) -> Self {
        Self {
            launch,
            plan,
            state: None,
            target: Some(target),
            made: Vec::with_capacity(1),
            fds: Vec::with_capacity(12),
            control: None,
            terminal: None,
            born: None,
            hooked: false,
            network: None,
            ahead: None,
            profile: None,
        }
    }
}

impl Performing<'_> {
    /// The caller's handle, once the process still lives: what was read of it by its number before was then its own.
    pub(super) fn take_container(&mut self) -> Result<(), Failure> {
        let gone = || SyscallError::new("pidfd_send_signal", "the container's first process", Errno::SRCH);
        let target = self.target.ok_or_else(gone)?;
        alive(target)?;
        let copy = target.try_clone_to_owned();
        self.fds.push(copy.map_err(|error| SyscallError::new("fcntl F_DUPFD_CLOEXEC", "pidfd", error))?);
        Ok(())
    }

    pub(super) fn open_groups(&mut self, ways: &[(Version, std::path::PathBuf)]) -> Result<(), Failure> {
        for (_, path) in ways {
            let place = Produced(self.fds.len());
            let opened = self.ahead.as_mut().and_then(|ahead| ahead.take_group(path, place));
            self.fds.push(opened.map_or_else(|| open_group(path), Ok)?);
        }
        Ok(())
    }

    pub(super) fn open_namespace_of(&mut self, pid: i32, kind: NamespaceType) -> Result<(), Failure> {
        self.open_of(&format!("{pid}/ns/{}", kind.proc_name()), OFlags::RDONLY)
    }

    pub(super) fn open_root_of(&mut self, pid: i32) -> Result<(), Failure> {
        self.open_of(&format!("{pid}/root"), OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Opens a path of procfs that is the first process's.
    fn open_of(&mut self, path: &str, flags: OFlags) -> Result<(), Failure> {
        let proc = mount::private_procfs()?;
        let fd = openat(&proc, path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| SyscallError::new("openat", format!("/proc/{path}"), errno))?;
        if let Some(target) = self.target {
            alive(target)?;
        }
        self.fds.push(fd);
        Ok(())
    }

    pub(super) fn spawn_outside(&mut self, cgroup: Option<Produced>) -> Result<(), Failure> {
        let ahead = self.ahead.take().filter(|ahead| ahead.is_born_in(cgroup));
        let inherited: Vec<_> = self.plan.inherited().iter().map(|fd| self.fd(*fd).as_fd()).collect();
        if let (Some(ahead), Some(message)) = (ahead, Stage::message(self.plan))
            && let Some((control, stage)) = ahead.into_parts()
        {
            let sent = channel::send(&control, &message, &inherited);
            stage.hurry();
            self.control = Some(control);
            self.made.push(Made::Stage(stage));
            // One that has ended says why, or has to be asked.
            return sent.or_else(|error| match error.errno {
                Errno::PIPE | Errno::CONNRESET => Ok(()),
                _ => Err(error.into()),
            });
        }
        let cgroup = cgroup.map(|produced| self.fd(produced).as_fd());
        let place = Birthplace { cgroup, processors: Processors::Kept, ..Birthplace::HERE };
        let (control, stage) = Stage::start(self.plan, &place, &inherited)?;
        self.control = Some(control);
        self.made.push(Made::Stage(stage));
        Ok(())
    }

    /// The stage went on in another process: takes its own status, and hands out the other.
    fn finish(&mut self) -> Result<Entered, Failure> {
        let terminal = self.terminal.take();
        let stage = self.made.iter().position(|made| matches!(made, Made::Stage(_)));
        let stage = match stage.map(|index| self.made.remove(index)) {
            Some(Made::Stage(stage)) => stage,
            _ => return Err(super::Cause::StageSilent.into()),
        };
        if self.born.is_none() && self.expects_birth() {
            self.made.push(Made::Stage(stage));
            return Err(super::Cause::StageSilent.into());
        }
        let process = match self.born.take() {
            Some(born) => {
                stage.wait()?;
                Process::Born(born)
            }
            None => Process::Stage(stage),
        };
        Ok(Entered { process, terminal })
    }

    /// Ends what was started. The stage is not killed in the middle of its birth: the process that it goes on in would be nobody's.
    /// The socket is shut instead, so it waits for nothing more, and says what it has to say.
    fn abandon(&mut self) -> Vec<super::Cause> {
        if let Some(control) = self.control.take() {
            let _ = shutdown(&control, Shutdown::Write);
            self.listen_to_the_end(&control);
        }
        let mut left = Vec::new();
        if let Some(born) = self.born.take() {
            let ended =
                signal_to(born.pidfd.as_fd(), Signal::KILL).and_then(|()| wait_for(born.pidfd.as_fd()));
            left.extend(ended.err().map(super::Cause::Call));
        }
        left.extend(super::undo(std::mem::take(&mut self.made)));
        left
    }

    /// Reads until nobody is at the other end, for a bounded time: a stage in a frozen cgroup says nothing.
    fn listen_to_the_end(&mut self, control: &OwnedFd) {
        let until = std::time::Instant::now() + PATIENCE;
        let mut bytes = [0; message::LEN];
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left == Duration::ZERO {
                return;
            }
            let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
            match poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            match channel::receive(control, &mut bytes) {
                Ok((0, _)) => return,
                Ok((len, fds)) => {
                    if let Some(Message::Born { pid }) = bytes.get(..len).and_then(Message::from_bytes) {
                        self.note_birth(pid, fds);
                    }
                }
                Err(SyscallError { errno: Errno::CONNRESET | Errno::INTR, .. }) => {}
                Err(_) => return,
            }
        }
    }

    fn expects_birth(&self) -> bool {
        self.plan.program().ops().iter().any(|(_, op)| matches!(op, Op::Rebirth {}))
    }

    /// Waits until nobody is at the other end any more, where only the news of a birth is expected before: it is there to be read
    /// then, and this process has to be woken once only.
    pub(super) fn await_silence(&self) -> Result<(), Failure> {
        if !self.expects_birth() || self.born.is_some() {
            return Ok(());
        }
        let control = self.control()?;
        loop {
            match poll(&mut [PollFd::new(control, PollFlags::RDHUP)], None) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(SyscallError::new("poll", "the stage's socket", errno).into()),
            }
        }
    }

    /// Waits for the news of the process that the stage goes on in, which may come later than what that process says.
    pub(super) fn await_birth(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; message::LEN];
        while self.expects_birth() && self.born.is_none() {
            let (len, fds) = channel::receive(self.control()?, &mut bytes)?;
            match bytes.get(..len).and_then(Message::from_bytes) {
                Some(Message::Born { pid }) => self.note_birth(pid, fds),
                _ => return Err(super::Cause::StageSilent.into()),
            }
        }
        Ok(())
    }

    /// The process that the program is played in: its number and its handle.
    pub(super) fn process(&self) -> Option<(i32, BorrowedFd<'_>)> {
        match &self.born {
            Some(born) => Some((born.pid, born.pidfd.as_fd())),
            None => self.stage().map(|stage| (stage.pid(), stage.pidfd())),
        }
    }

    pub(super) fn note_birth(&mut self, pid: i32, mut fds: Vec<OwnedFd>) {
        if let Some(pidfd) = fds.pop() {
            self.born = Some(Born { pid, pidfd });
        }
    }
}

pub(crate) fn open_group(path: &Path) -> Result<OwnedFd, SyscallError> {
    let failed = |call, errno| SyscallError::new(call, path.display().to_string(), errno);
    // A directory's name ends with a slash here.
    let directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let flags = if directory { OFlags::RDONLY | OFlags::DIRECTORY } else { OFlags::WRONLY };
    let fd = openat(CWD, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|errno| failed("openat", errno.into()))?;
    let found = fstatfs(&fd).map_err(|errno| failed("fstatfs", errno.into()))?.f_type as u64;
    if CGROUPS.contains(&found) { Ok(fd) } else { Err(failed("fstatfs", Errno::XDEV)) }
}

fn alive(pidfd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    // Readable is a process that has ended, also while nobody has waited for it.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let failed = |errno| SyscallError::new("poll", "the container's first process", errno);
    match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)) {
        Ok(0) => Ok(()),
        Ok(_) => Err(failed(Errno::SRCH)),
        Err(errno) => Err(failed(errno.into())),
    }
}

fn signal_to(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), SyscallError> {
    match pidfd_send_signal(pidfd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(SyscallError::new("pidfd_send_signal", "the program", errno)),
    }
}

fn wait_for(pidfd: BorrowedFd<'_>) -> Result<WaitIdStatus, SyscallError> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(SyscallError::new("waitid", "the program", errno)),
        }
    }
}
