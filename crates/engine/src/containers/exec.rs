//! Another program in a running container.

use std::os::fd::AsFd;

use report::{BoxedExplain, Explain, Kind};
use runtime::enter::Options;
use runtime::{Container, Enter, Entered, HostFacts, Stdio, Target};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::{CapabilitySet, Process, Spec, Status as OciStatus};
use sys::SyscallError;
use sys::signal::Signals;

use super::ContainerFailure;
use super::home::{Home, Places};
use super::start::own_program;
use super::state::Status;
use super::stop::living;
use crate::flags::destination::Destination;
use crate::flags::env::EnvEntry;
use crate::flags::user::User;
use crate::host::boxed;
use crate::request::Streams;
use crate::run::duplicate;
use crate::terminal::{Session, Wiring, attend};
use crate::users;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables beside the container's.
    pub env: Vec<EnvEntry>,
    /// Where it starts.
    pub workdir: Option<Destination>,
    /// As whom.
    pub user: Option<User>,
    /// With every capability.
    pub privileged: bool,
    /// What it reads from and writes to.
    pub streams: Streams,
    /// It runs on its own.
    pub detach: bool,
}

/// There is no program.
#[derive(Debug, thiserror::Error)]
#[error("no program to run in the container")]
struct NoProgram;

impl Explain for NoProgram {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// Starts a program and attends to it; returns its status, or 0 for one that was left running.
///
/// # Errors
/// Why it cannot be started.
pub fn exec(
    places: &Places,
    home: &Home,
    request: &ExecRequest,
    size: Option<(u16, u16)>,
    say: &mut dyn FnMut(&str),
) -> Result<u8, BoxedExplain> {
    let stdio = if request.streams.tty { Stdio::Terminal { size } } else { Stdio::Inherit };
    let prepared = prepare(places, home, request, stdio, say)?;
    let signals = Signals::catch(Session::caught()).map_err(boxed)?;
    let (entered, channels) = if request.detach {
        (prepared.start_detached()?, Vec::new())
    } else {
        let wiring = Wiring::prepare(&request.streams).map_err(boxed)?;
        let entered = prepared.start();
        let channels = wiring.restore();
        (entered?, channels)
    };
    if request.detach {
        return Ok(0);
    }
    let console = entered.terminal().map(duplicate).transpose().map_err(boxed)?;
    let attended = attend(Session {
        pidfd: entered.pidfd(),
        pid: entered.pid().unsigned_abs(),
        console,
        channels,
        signals: &signals,
        streams: &request.streams,
        terminal: (duplicate(std::io::stdin()).map_err(boxed)?, duplicate(std::io::stdout()).map_err(boxed)?),
        may_detach: true,
    });
    match attended {
        Ok(attended) if attended.detached => {
            keep_terminal(&entered)?;
            Ok(0)
        }
        Ok(_) => Ok(entered.wait().map_err(boxed)?.status() as u8),
        Err(error) => {
            let _ = entered.signal(rustix::process::Signal::KILL);
            Err(boxed(error))
        }
    }
}

/// Leaves a program on a terminal running: a process of its own has the other end of that, without which the program would be hung up.
fn keep_terminal(entered: &Entered) -> Result<(), BoxedExplain> {
    let Some(terminal) = entered.terminal() else { return Ok(()) };
    let pass = |fd| duplicate(fd).and_then(sys::inherited::pass).map_err(boxed);
    let numbers = [pass(terminal)?, pass(entered.pidfd())?];
    let mut command = own_program(KEEP_TERMINAL, &numbers[0].to_string());
    let null = std::process::Stdio::null;
    let spawned = command.arg(numbers[1].to_string()).stdin(null()).stdout(null()).stderr(null()).spawn();
    for number in numbers {
        drop(sys::inherited::take(number));
    }
    spawned.map(drop).map_err(|error| boxed(SyscallError::new("execve", "/proc/self/exe", error)))
}

/// The duty of [`terminal_keeper`].
pub const KEEP_TERMINAL: &str = "--keep-terminal";

/// Has the other end of a terminal until the program on it has ended, and reads what that writes, which is nobody's any more.
pub fn terminal_keeper(terminal: i32, pidfd: i32) -> u8 {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let (Ok(terminal), Ok(pidfd)) = (sys::inherited::take(terminal), sys::inherited::take(pidfd)) else {
        return 125;
    };
    let mut buffer = [0; 4096];
    let mut is_open = true;
    loop {
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        if is_open {
            fds.push(PollFd::new(&terminal, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => return 0,
            Ok(_) => {
                let read = rustix::io::read(&terminal, &mut buffer);
                is_open = !matches!(read, Ok(0) | Err(rustix::io::Errno::IO));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return 125,
        }
    }
}

/// A program that is ready to be started.
pub(crate) struct Prepared {
    enter: Enter,
    plan: runtime::Plan,
    pidfd: std::os::fd::OwnedFd,
}

impl Prepared {
    pub(crate) fn start(&self) -> Result<Entered, BoxedExplain> {
        runtime::enter(&self.enter, &self.plan, self.pidfd.as_fd()).map_err(boxed)
    }

    /// With nothing to read and nowhere to write to.
    fn start_detached(&self) -> Result<Entered, BoxedExplain> {
        let failed =
            |call| move |errno: rustix::io::Errno| boxed(SyscallError::new(call, "/dev/null", errno));
        let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed("openat"))?;
        let saved = [
            duplicate(std::io::stdin()).map_err(boxed)?,
            duplicate(std::io::stdout()).map_err(boxed)?,
            duplicate(std::io::stderr()).map_err(boxed)?,
        ];
        rustix::stdio::dup2_stdin(&null).map_err(failed("dup2"))?;
        rustix::stdio::dup2_stdout(&null).map_err(failed("dup2"))?;
        rustix::stdio::dup2_stderr(&null).map_err(failed("dup2"))?;
        let entered = self.start();
        rustix::stdio::dup2_stdin(&saved[0]).map_err(failed("dup2"))?;
        rustix::stdio::dup2_stdout(&saved[1]).map_err(failed("dup2"))?;
        rustix::stdio::dup2_stderr(&saved[2]).map_err(failed("dup2"))?;
        entered
    }
}

pub(crate) fn prepare(
    places: &Places,
    home: &Home,
    request: &ExecRequest,
    stdio: Stdio,
    say: &mut dyn FnMut(&str),
) -> Result<Prepared, BoxedExplain> {
    if request.args.first().is_none_or(String::is_empty) {
        return Err(boxed(NoProgram));
    }
    let (state, container, pidfd) = living(places, home, "run a program in")?;
    if state.status == Status::Paused {
        return Err(boxed(ContainerFailure::Conflict {
            verb: "run a program in",
            name: home.definition().map_or_else(|_| home.short().to_owned(), |it| it.name),
            state: OciStatus::Paused.to_string(),
            advice: "holm unpause lets it go on",
        }));
    }
    let mut spec = home.configuration(&container)?;
    spec.process = process(&spec, state.pid, request)?;
    let cgroups = groups(&container, state.pid)?;
    let target = Target::look(state.pid).map_err(boxed)?;
    let spec = spec::validate(spec).map_err(boxed)?;
    let options = Options { stdio, preserve_fds: 0, keep_keyring: false };
    let enter = Enter::new(container.id().clone(), spec, target, cgroups, options);
    let plan = runtime::plan::enter(&enter, &HostFacts::of_this_process().map_err(boxed)?).map_err(boxed)?;
    plan.notes().iter().for_each(|note| say(note));
    Ok(Prepared { enter, plan, pidfd })
}

/// The cgroups that it joins. On v2 no process can be in a group that hands controllers down (cgroups(7), "no internal processes"):
/// there it goes where the first process went.
fn groups(container: &Container, pid: i32) -> Result<Vec<cgroups::Recorded>, BoxedExplain> {
    let mut groups = container.recorded_cgroups();
    for group in groups.iter_mut().filter(|group| group.version == cgroups::Version::V2) {
        let file = group.mount.join(&group.path).join("cgroup.subtree_control");
        let hands_down = std::fs::read(file).is_ok_and(|controllers| !controllers.trim_ascii().is_empty());
        if hands_down {
            let now = runtime::enter::cgroups_of(pid).map_err(boxed)?;
            if let Some(now) = now.into_iter().find(|now| now.version == cgroups::Version::V2) {
                group.path = now.path;
            }
        }
    }
    Ok(groups)
}

/// The container's own process, changed.
fn process(spec: &Spec, pid: i32, request: &ExecRequest) -> Result<Process, BoxedExplain> {
    let mut process = spec.process.clone();
    process.args.clone_from(&request.args);
    process.terminal = request.streams.tty;
    process.console_size = None;
    if let Some(workdir) = &request.workdir {
        process.cwd = workdir.as_path().to_string_lossy().into_owned();
    }
    if let Some(user) = &request.user {
        let path = format!("/proc/{pid}/root");
        let root = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| boxed(SyscallError::new("openat", path, errno)))?;
        let database = users::read_database(root.as_fd()).map_err(boxed)?;
        let identity = users::resolve(Some(user), &[], &database).map_err(boxed)?;
        process.user.uid = identity.uid;
        process.user.gid = identity.gid;
        process.user.additional_gids.clone_from(&identity.groups);
        set(&mut process.env, "HOME", &identity.home);
        let sets = &mut process.capabilities;
        if identity.uid == 0 {
            sets.effective.clone_from(&sets.bounding);
            sets.permitted.clone_from(&sets.bounding);
        } else {
            // What root has is not for everybody: execve(2) by another user starts with none.
            sets.effective.clear();
            sets.permitted.clear();
            sets.ambient.clear();
        }
    }
    if request.streams.tty && !process.env.iter().any(|entry| entry.starts_with("TERM=")) {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        set(&mut process.env, "TERM", &kind);
    }
    for entry in &request.env {
        match entry {
            EnvEntry::Set { name, value } => set(&mut process.env, name, value),
            EnvEntry::Inherit { name } => {
                if let Ok(value) = std::env::var(name) {
                    set(&mut process.env, name, &value);
                }
            }
        }
    }
    if request.privileged {
        let own = sys::raw::capget().map(|sets| CapabilitySet(sets.effective)).unwrap_or_default();
        // In a user namespace of its own everything is there to be had.
        let all = if spec.linux.uid_mappings.is_empty() { own } else { CapabilitySet::ALL };
        let names: Vec<String> = all.iter().map(|capability| capability.name().to_owned()).collect();
        process.capabilities.bounding.clone_from(&names);
        process.capabilities.effective.clone_from(&names);
        process.capabilities.permitted = names;
        process.no_new_privileges = false;
    }
    Ok(process)
}

fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|old| old.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}
