//! What `create` and `run` have in common: the launch, and passing on what the caller asked for.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::cli::Arguments;
use runtime::state::StateRoot;
use runtime::{HostFacts, Running};
use sys::SyscallError;

use super::bundle;
use crate::context::Context;
use crate::failure::Failure;

/// What becomes of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It waits for its start.
    Create,
    /// It runs on its own.
    Detach,
    /// It runs while we wait.
    Attend,
}

impl Mode {
    pub(super) fn is_attended(self) -> bool {
        self == Self::Attend
    }
}

/// Launches what the command line asks for, and passes on process number, handle and terminal.
pub(super) fn launch(context: &Context, arguments: &Arguments, mode: Mode) -> Result<Running, Failure> {
    let (launch, network) = bundle::launch(context, arguments, mode)?;
    // The program ends when it has done its work: to take these apart would only cost time.
    let launch = ManuallyDrop::new(launch);
    // Whoever is not there to take them ends the launch before it has begun.
    let console = connect(arguments, "console-socket")?;
    let handle = connect(arguments, "pidfd-socket")?;
    let state = StateRoot::open(&context.root)?;
    let mut facts = HostFacts { network_ahead: network.is_some(), ..HostFacts::read()? };
    if launch.spec.linux.seccomp.is_some() {
        facts.on_demand.filters = state.filters();
    }
    let plan = ManuallyDrop::new(runtime::plan(&launch, &facts)?);
    if context.log.is_debug() {
        plan.to_string().lines().for_each(|step| context.log.debug(step));
        plan.facts().iter().for_each(|fact| context.log.debug(fact));
    }
    for note in plan.notes() {
        context.log.warn(note);
    }
    let running = runtime::launch_with(&launch, &plan, &state, network)?;
    let started = Started { pid: running.pid(), pidfd: running.pidfd()?, terminal: running.terminal() };
    match pass_on(arguments, &started, console, handle) {
        Ok(()) => Ok(running),
        Err(error) => {
            for cause in running.abandon() {
                context.log.warn(&format!("left behind: {}", report::one_line(&cause)));
            }
            Err(error.into())
        }
    }
}

/// A process that was started, for those who wait for it.
pub(super) struct Started<'a> {
    pub(super) pid: i32,
    pub(super) pidfd: BorrowedFd<'a>,
    pub(super) terminal: Option<BorrowedFd<'a>>,
}

/// A connection to one who waits for a descriptor.
pub(super) type Socket = Option<(PathBuf, UnixStream)>;

/// Connects to the socket that a flag names, before anything is started.
pub(super) fn connect(arguments: &Arguments, flag: &str) -> Result<Socket, SyscallError> {
    let Some(path) = arguments.get_one::<PathBuf>(flag) else { return Ok(None) };
    let socket = UnixStream::connect(path);
    let socket = socket.map_err(|error| SyscallError::new("connect", path.display().to_string(), error))?;
    Ok(Some((path.clone(), socket)))
}

/// Sends terminal and handle, and writes the process id.
pub(super) fn pass_on(
    arguments: &Arguments,
    started: &Started<'_>,
    console: Socket,
    handle: Socket,
) -> Result<(), SyscallError> {
    if let (Some((path, socket)), Some(terminal)) = (console, started.terminal) {
        // Receivers take the data for the name of the file.
        send(&path, socket, b"/dev/ptmx", terminal)?;
    }
    if let Some((path, socket)) = handle {
        send(&path, socket, b"pidfd", started.pidfd)?;
    }
    match arguments.get_one::<PathBuf>("pid-file") {
        Some(file) => write_pid(file, started.pid),
        None => Ok(()),
    }
}

fn send(path: &Path, socket: UnixStream, name: &[u8], fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let socket = OwnedFd::from(socket);
    sys::channel::send(socket.as_fd(), name, &[fd])
        .map_err(|error| SyscallError::new("sendmsg", path.display().to_string(), error.errno))
}

/// Under another name first: whoever waits for the file finds it whole.
fn write_pid(file: &Path, pid: i32) -> Result<(), SyscallError> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(file.file_name().unwrap_or_default());
    let hidden = file.with_file_name(hidden);
    let failed = |call, path: &Path, error| SyscallError::new(call, path.display().to_string(), error);
    std::fs::write(&hidden, pid.to_string()).map_err(|error| failed("write", &hidden, error))?;
    std::fs::rename(&hidden, file).map_err(|error| {
        let _ = std::fs::remove_file(&hidden);
        failed("rename", file, error)
    })
}
