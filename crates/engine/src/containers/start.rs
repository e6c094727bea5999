//! Starting a container in the background.

use std::io::{IsTerminal as _, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use report::{BoxedExplain, Explain, Hint, Kind};
use runtime::state::StateRoot;
use sys::SyscallError;

use super::attach::AttachOptions;
use super::definition::Definition;
use super::error::ContainerFailure;
use super::home::{Home, Lock, Places};
use super::state::{self, Status};
use super::told::Told;
use crate::host::boxed;

/// A container that was started.
#[derive(Debug)]
pub struct Started {
    /// Its first process, as seen here.
    pub pid: i32,
    /// Our end of a socket that is attached from the start, if one was asked for.
    pub client: Option<OwnedFd>,
}

/// Starts a container. One that runs already is left as it is; with `attach` that is an error, because what it wrote before is not to be
/// had any more.
///
/// # Errors
/// Why it cannot be started.
pub fn start(places: &Places, home: &Home, attach: Option<&AttachOptions>) -> Result<Started, BoxedExplain> {
    let lock = home.lock().map_err(boxed)?;
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    let state = state::of(home, &records);
    let definition = home.definition().map_err(boxed)?;
    match state.status {
        Status::Running | Status::Paused => {
            return Ok(Started { pid: state.pid, client: None });
        }
        Status::Created | Status::Exited | Status::Restarting => {}
    }
    drop(records);
    home.note_stopped(false).map_err(boxed)?;
    start_locked(home, &definition, lock, attach)
}

/// Starts a container that this process has the lock of.
///
/// # Errors
/// Why it cannot be started.
pub fn start_locked(
    home: &Home,
    definition: &Definition,
    lock: Lock,
    attach: Option<&AttachOptions>,
) -> Result<Started, BoxedExplain> {
    let failed = |cause| boxed(home.failed("start", cause));
    let (report, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| failed(SyscallError::new("pipe2", "", errno)))?;
    let mut ours = None;
    let mut passed = vec![
        ("--report", sys::inherited::pass(tell).map_err(failed)?),
        ("--lock", sys::inherited::pass(lock.into_fd()).map_err(failed)?),
    ];
    if let Some(options) = attach {
        let (here, there) = sys::channel::pair().map_err(failed)?;
        // Before there is a container, so that nothing is written without us.
        options.say_hello(&here)?;
        ours = Some(here);
        passed.push(("--client", sys::inherited::pass(there).map_err(failed)?));
    }
    let mut command = own_program("--supervise", &home.id);
    if let Some((rows, columns)) = attach.and_then(|options| options.size) {
        command.args(["--rows", &rows.to_string(), "--columns", &columns.to_string()]);
    }
    for (flag, number) in &passed {
        command.arg(flag).arg(number.to_string());
    }
    // Whoever starts it: the terminal is described as to whoever made it.
    match &definition.terminal_type {
        Some(kind) => command.env("TERM", kind),
        None => command.env_remove("TERM"),
    };
    if definition.log.driver == monitor::Driver::Passthrough {
        refuse_terminal(definition)?;
    } else {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    }
    let spawned = command.spawn();
    // The child has its copies; ours would keep the pipe open.
    for (_, number) in passed {
        drop(sys::inherited::take(number));
    }
    spawned.map_err(|error| failed(SyscallError::new("execve", "/proc/self/exe", error)))?;
    let mut text = Vec::new();
    std::fs::File::from(report)
        .read_to_end(&mut text)
        .map_err(|error| failed(SyscallError::new("read", "the supervisor's report", error)))?;
    match serde_json::from_slice(&text) {
        Ok(Told::Started { pid }) => Ok(Started { pid, client: ours }),
        Ok(Told::Failed(words)) => Err(words.into_error()),
        Err(_) => Err(boxed(ContainerFailure::Conflict {
            verb: "start",
            name: definition.name.clone(),
            state: "without its supervisor, which was killed".to_owned(),
            advice: "start it again",
        })),
    }
}

/// A terminal that is passed through.
#[derive(Debug, thiserror::Error)]
#[error("start container `{0}`: with the log driver passthrough it would get this terminal")]
struct OnTerminal(String);

impl Explain for OnTerminal {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "it could type into it, so give it files or pipes as its streams: a unit of systemd does",
        ))
    }
}

/// Whoever has a terminal can put characters into its input (TIOCSTI, CVE-2017-5226).
fn refuse_terminal(definition: &Definition) -> Result<(), BoxedExplain> {
    let is_terminal =
        std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal();
    if is_terminal { Err(boxed(OnTerminal(definition.name.clone()))) } else { Ok(()) }
}

/// Variables that programs of ours are given: where things are, and nothing that is the caller's business.
const KEPT: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "HOLM_ROOT",
    "HOLM_IMAGES",
    "HOLM_RUNROOT",
    "DBUS_SESSION_BUS_ADDRESS",
    "TMPDIR",
    "TERM",
];

/// This program once more, for a duty of its own.
pub(crate) fn own_program(duty: &str, id: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env_clear();
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.args([duty, id]);
    command
}
