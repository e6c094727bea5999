//! Running hooks: programs of the configuration at points of a container's life.
//!
//! A hook is started as a container's program is, by a stage: its signals, descriptors and environment are its own, and those of a
//! container are born in its namespaces. Its standard input is the container's state; what it writes is kept for the error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use init::message::{self, Message};
use init::ops::Op;
use init::program::{Features, Program, Writer};
use report::{Explain, Hint, Kind};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SeekFrom, memfd_create, openat, seek};
use rustix::process::{Signal, WaitIdStatus, pidfd_send_signal};
use spec::{Hook, Hooks, NamespaceType, State};
use sys::{Errno, SyscallError, channel, raw};

use super::Confinement;
use super::spawn::{Birthplace, Stage};
use crate::plan::HookPoint;
use crate::record::has_ended;

/// A hook did not do what it was there for.
#[derive(Debug, thiserror::Error)]
#[error("error running {point} hook #{index}: {program} {why}{}", said(.output))]
pub struct HookFailed {
    /// When it ran.
    pub point: &'static str,
    /// Its place among those of that time.
    pub index: usize,
    /// The program.
    pub program: String,
    /// What happened.
    pub why: HookEnd,
    /// What it wrote last, on one line.
    pub output: String,
}

/// How a hook ended that failed.
#[derive(Debug, thiserror::Error)]
pub enum HookEnd {
    /// With this status.
    #[error("exited with status {0}")]
    Exited(i32),
    /// By this signal.
    #[error("was ended by {}", named(*.0))]
    Signalled(i32),
    /// It did not end in its time.
    #[error("was killed: it did not end within {0} s")]
    TimedOut(u64),
    /// It could not be started.
    #[error("could not be started: {0}")]
    NotStarted(SyscallError),
}

fn named(signal: i32) -> String {
    let words = match signal {
        6 => ": aborted",
        9 => ": killed",
        11 => ": segmentation fault",
        15 => ": terminated",
        31 => ": bad system call, which the filter does not allow",
        _ => "",
    };
    format!("signal {signal}{words}")
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

impl Explain for HookFailed {
    fn kind(&self) -> Kind {
        match &self.why {
            HookEnd::NotStarted(cause) => cause.kind(),
            _ => Kind::StateConflict,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let in_container = matches!(self.point, "createContainer" | "startContainer");
        match &self.why {
            HookEnd::NotStarted(SyscallError { errno: Errno::NOENT, .. })
                if self.point == "startContainer" =>
            {
                Some(Hint::new("the path of a startContainer hook is one of the container"))
            }
            HookEnd::NotStarted(SyscallError { errno: Errno::NOENT, .. }) if in_container => Some(Hint::new(
                "the path of a createContainer hook is one of the host, seen from the container's mount namespace",
            )),
            _ => None,
        }
    }
}

/// What holds for the hooks of one point.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Surroundings<'a> {
    /// Where createContainer hooks start, if they find the container's root there.
    pub(crate) root: Option<&'a Path>,
    /// What startContainer hooks are held to.
    pub(crate) confinement: Option<&'a Confinement>,
}

/// Runs the hooks of one point and stops at the first that fails.
///
/// `state` is what they read; its process is the container's, and for hooks in the container gets the number that it has there.
pub(crate) fn run(
    point: HookPoint,
    hooks: &Hooks,
    state: &State,
    surroundings: &Surroundings<'_>,
) -> Result<(), HookFailed> {
    let hooks = point.of(hooks);
    if hooks.is_empty() {
        return Ok(());
    }
    let failed = |index: usize, (why, output)| {
        let program = hooks.get(index).map_or_else(String::new, |hook| hook.path.clone());
        HookFailed { point: point.name(), index, program, why, output }
    };
    let not_started = |cause| failed(0, (HookEnd::NotStarted(cause), String::new()));
    let mut state = state.clone();
    let inside = matches!(point, HookPoint::CreateContainer | HookPoint::StartContainer);
    let container = if inside { Some(Inside::look(state.pid).map_err(not_started)?) } else { None };
    let container = container.map(|inside| Inside {
        directory: surroundings.root.filter(|_| point == HookPoint::CreateContainer).map(Path::to_owned),
        ..inside
    });
    if let Some(container) = &container {
        state.pid = container.pid;
    }
    let json = serde_json::to_vec(&state).unwrap_or_default();
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, &json, container.as_ref(), surroundings.confinement)
            .map_err(|end| failed(index, end))?;
    }
    Ok(())
}

/// Runs all `poststop` hooks, whatever becomes of each, and returns what failed (runtime.md, "Lifecycle", 13).
pub(crate) fn poststop(hooks: &Hooks, state: &State) -> Vec<HookFailed> {
    let one = |(index, hook): (usize, &Hook)| {
        let single = Hooks { poststop: vec![hook.clone()], ..Hooks::default() };
        run(HookPoint::Poststop, &single, state, &Surroundings::default())
            .err()
            .map(|failed| HookFailed { index, ..failed })
    };
    hooks.poststop.iter().enumerate().filter_map(one).collect()
}

/// The namespaces of a container that are not this process's, and how things are called in there.
struct Inside {
    namespaces: Vec<(NamespaceType, OwnedFd)>,
    /// What the process has as its root: setns(2) gives what is mounted topmost there, which is the container's root from the
    /// moment that it lies over the old one.
    root: OwnedFd,
    /// Where in there hooks start; at the root, if it does not say.
    directory: Option<PathBuf>,
    pid: i32,
    /// The first ids of its user namespace, if that is its own.
    owner: Option<(u32, u32)>,
}

/// User first, for the rights that it gives over the others; mount last, because paths change meaning with it.
const ORDER: [(NamespaceType, &str); 8] = [
    (NamespaceType::User, "user"),
    (NamespaceType::Pid, "pid"),
    (NamespaceType::Network, "net"),
    (NamespaceType::Ipc, "ipc"),
    (NamespaceType::Uts, "uts"),
    (NamespaceType::Time, "time"),
    (NamespaceType::Cgroup, "cgroup"),
    (NamespaceType::Mount, "mnt"),
];

impl Inside {
    fn look(pid: i32) -> Result<Self, SyscallError> {
        let mut namespaces = Vec::with_capacity(ORDER.len());
        for (kind, name) in ORDER {
            let path = PathBuf::from(format!("/proc/{pid}/ns/{name}"));
            let name_of = |path: &Path| std::fs::read_link(path);
            let theirs = match name_of(&path) {
                Ok(theirs) => theirs,
                // A kernel without this kind.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && pid_is_there(pid) => continue,
                Err(error) => return Err(SyscallError::new("readlink", path.display().to_string(), error)),
            };
            if name_of(&PathBuf::from(format!("/proc/self/ns/{name}"))).ok() != Some(theirs) {
                namespaces.push((kind, super::trees::open_namespace(&path)?));
            }
        }
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let status = read("status");
        let there = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last());
        let first = |text: String| {
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).min().unwrap_or(0u32)
        };
        let path = format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &path, flags, Mode::empty())
            .map_err(|errno| SyscallError::new("openat", path.as_str(), errno))?;
        let own_user = namespaces.iter().any(|(kind, _)| *kind == NamespaceType::User);
        Ok(Self {
            root,
            directory: None,
            namespaces,
            pid: there.and_then(|pid| pid.parse().ok()).unwrap_or(pid),
            owner: own_user.then(|| (first(read("uid_map")), first(read("gid_map")))),
        })
    }
}

fn pid_is_there(pid: i32) -> bool {
    std::fs::exists(format!("/proc/{pid}/ns/mnt")).unwrap_or(false)
}

type Ended = (HookEnd, String);

fn run_one(
    hook: &Hook,
    state: &[u8],
    container: Option<&Inside>,
    confinement: Option<&Confinement>,
) -> Result<(), Ended> {
    let not_started = |cause| (HookEnd::NotStarted(cause), String::new());
    let input = in_memory(c"holm-state", state).map_err(not_started)?;
    let output = in_memory(c"holm-hook-output", b"").map_err(not_started)?;
    let (program, inherited) =
        program(hook, &input, &output, (container, confinement)).map_err(not_started)?;
    let pid_namespace = container.and_then(|inside| {
        inside.namespaces.iter().find(|(kind, _)| *kind == NamespaceType::Pid).map(|(_, fd)| fd.as_fd())
    });
    let features = Features { openat2: true, close_range: false };
    let place = Birthplace { pid_namespace, ..Birthplace::HERE };
    let (control, stage) =
        Stage::start_program(&program, features, &place, &inherited).map_err(not_started)?;
    if let Some(errno) = failure_of(&control).map_err(not_started)? {
        let _ = stage.wait();
        return Err(not_started(SyscallError::new("execve", hook.path.as_str(), errno)));
    }
    if let Some(cause) = stage.failure() {
        return Err(not_started(cause));
    }
    // Negative and zero mean nothing sensible; the specification asks for more than zero, which is validated.
    let timeout = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    if let Some(seconds) = timeout
        && !has_ended(stage.pidfd(), Duration::from_secs(seconds))
    {
        let _ = pidfd_send_signal(stage.pidfd(), Signal::KILL);
        let _ = stage.wait();
        return Err((HookEnd::TimedOut(seconds), last_words(&output)));
    }
    let status = stage.wait().map_err(not_started)?;
    match end(&status) {
        None => Ok(()),
        Some(why) => Err((why, last_words(&output))),
    }
}

fn end(status: &WaitIdStatus) -> Option<HookEnd> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(HookEnd::Exited(code)),
        (None, signal) => Some(HookEnd::Signalled(signal.unwrap_or(0))),
    }
}

/// What the hook's stage plays.
fn program<'a>(
    hook: &Hook,
    input: &'a OwnedFd,
    output: &'a OwnedFd,
    (container, confinement): (Option<&'a Inside>, Option<&Confinement>),
) -> Result<(Program, Vec<BorrowedFd<'a>>), SyscallError> {
    const SIGKILL: u64 = 9;
    let mut ops = Writer::new();
    let mut inherited = vec![input.as_fd(), output.as_fd()];
    let (stdin, stdout) = (ops.inherit(), ops.inherit());
    // A hook must not go on for a container that nobody makes any more.
    ops.push(Op::Prctl { option: raw::PR_SET_PDEATHSIG, argument: SIGKILL, second: 0 });
    for (kind, fd) in container.iter().flat_map(|inside| &inside.namespaces) {
        if *kind == NamespaceType::Pid {
            continue;
        }
        let ns = ops.inherit();
        inherited.push(fd.as_fd());
        ops.push(Op::Join { ns, kinds: kind.clone_flag() });
        if let (NamespaceType::User, Some((uid, gid))) = (kind, container.and_then(|inside| inside.owner)) {
            ops.push(Op::Prctl { option: raw::PR_SET_KEEPCAPS, argument: 1, second: 0 });
            ops.push(Op::SetGid { gid });
            ops.push(Op::SetUid { uid });
            ops.push(Op::Prctl { option: raw::PR_SET_PDEATHSIG, argument: SIGKILL, second: 0 });
        }
    }
    if let Some(inside) = container {
        let root = ops.inherit();
        inherited.push(inside.root.as_fd());
        ops.push(Op::ChangeRoot { root });
        if let Some(directory) = &inside.directory {
            let path = ops.text(directory.as_os_str().as_encoded_bytes());
            ops.push(Op::ChangeDirectory { path });
        }
    }
    ops.push(Op::Duplicate { fd: stdin, number: 0 });
    ops.push(Op::Duplicate { fd: stdout, number: 1 });
    ops.push(Op::Duplicate { fd: stdout, number: 2 });
    ops.push(Op::ResetSignals {});
    ops.push(Op::CloseOnExec { first: 3 });
    if let Some(confinement) = confinement {
        confinement.take(&mut ops);
        ops.push(Op::Prctl { option: raw::PR_SET_PDEATHSIG, argument: SIGKILL, second: 0 });
        confinement.restrict(&mut ops);
    }
    let candidates = ops.table([&hook.path]);
    let arguments = if hook.args.is_empty() { ops.table([&hook.path]) } else { ops.table(&hook.args) };
    let environment = ops.table(&hook.env);
    ops.push(Op::Execute { candidates, arguments, environment });
    let program = ops.finish().map_err(|_| SyscallError::new("execve", hook.path.as_str(), Errno::TOOBIG))?;
    Ok((program, inherited))
}

/// Why the hook's stage failed; none once it has become the hook.
fn failure_of(control: &OwnedFd) -> Result<Option<Errno>, SyscallError> {
    let mut bytes = [0; message::LEN];
    loop {
        match channel::receive(control, &mut bytes) {
            Err(SyscallError { errno: Errno::INTR, .. }) => {}
            Err(error) => return Err(error),
            Ok((len, _)) => {
                return Ok(match bytes.get(..len).and_then(Message::from_bytes) {
                    Some(Message::Failed { errno, .. }) => Some(errno),
                    _ => None,
                });
            }
        }
    }
}

/// A file without a name, to be read from its start: a pipe would be full at some point.
fn in_memory(name: &std::ffi::CStr, content: &[u8]) -> Result<OwnedFd, SyscallError> {
    let failed =
        |call| move |errno: rustix::io::Errno| SyscallError::new(call, name.to_string_lossy(), errno);
    let file = memfd_create(name, MemfdFlags::CLOEXEC).map_err(failed("memfd_create"))?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).map_err(failed("write"))?;
        rest = &rest[written..];
    }
    seek(&file, SeekFrom::Start(0)).map_err(failed("lseek"))?;
    Ok(file)
}

/// The end of what a hook wrote, on one line.
fn last_words(output: &OwnedFd) -> String {
    const MOST: u64 = 1024;
    let len = rustix::fs::fstat(output).map_or(0, |status| status.st_size as u64);
    let mut bytes = vec![0; MOST as usize];
    let read = rustix::io::pread(output, &mut bytes, len.saturating_sub(MOST)).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..read]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
