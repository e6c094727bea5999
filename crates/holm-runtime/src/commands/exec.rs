//! `exec`: another program in a running container.
//!
//! [`process`] decides which program, [`cgroup`] in which cgroups; the rest is the way of [`runtime::enter()`]. A failure of this command
//! is exit status 255, so that it is told from the program's own.

mod cgroup;
mod process;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::Arguments;
use cgroups::Recorded;
use report::{Explain, Hint, Kind};
use runtime::ahead;
use runtime::enter::Options;
use runtime::{Enter, HostFacts, Stdio, Target};
use spec::{CapabilitySet, Process, Spec, Status};
use sys::SyscallError;

use self::process::{BadRequest, Request};
use super::container::Live;
use super::document::FileFailed;
use super::launching::{Started, connect, pass_on};
use super::relay;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// The container is not in a state to be entered.
#[derive(Debug, thiserror::Error)]
#[error("{}", refusal(id, *status))]
struct WrongState {
    id: String,
    status: Status,
}

fn refusal(id: &str, status: Status) -> String {
    match status {
        // Engines look for these words.
        Status::Paused => format!("cannot exec in a paused container: `{id}` is paused"),
        _ => format!("cannot start a program in container `{id}`, which is {status}"),
    }
}

impl Explain for WrongState {
    fn kind(&self) -> Kind {
        Kind::StateConflict
    }
    fn hint(&self) -> Option<Hint> {
        (self.status == Status::Paused).then(|| {
            Hint::new("resume it first, or use --ignore-paused: the program then starts when it is resumed")
        })
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    enter(context, arguments).map_err(|failure| failure.with_status(255))
}

fn enter(context: &Context, arguments: &Arguments) -> Outcome {
    let flag = |name: &str| arguments.get_flag(name);
    let file = |name: &str| arguments.get_one::<PathBuf>(name);
    let preserve_fds = u32::from(arguments.get_one::<u16>("preserve-fds").copied().unwrap_or(0));
    // Before this program opens anything, which would get a number that is free.
    check_descriptors(preserve_fds)?;

    let request = Request::parse(arguments)?;
    let container = Live::find(context, arguments)?;
    match container.status() {
        Status::Paused if flag("ignore-paused") => {}
        Status::Created | Status::Running => {}
        status => return Err(WrongState { id: container.id().to_string(), status }.into()),
    }
    let process = file("process").map(|path| read_process(path)).transpose()?;
    let keep = match (&process, request.caps.as_slice()) {
        (None, []) => container.container.bounding(),
        _ => CapabilitySet(u64::MAX),
    };
    let (cgroups, ahead) = begin(&container, arguments, keep)?;
    let mut spec = container.spec()?;
    // What only concerns the making of a container was judged then.
    (spec.mounts, spec.hooks) = Default::default();
    let detach = flag("detach");
    spec.process = match process {
        Some(process) => process,
        None => request.applied_to(&spec)?,
    };
    let terminal = spec.process.terminal;
    let console = file("console-socket");
    match (terminal && detach, console) {
        (true, None) => {
            return Err(
                BadRequest("a terminal of a detached program needs --console-socket".to_owned()).into()
            );
        }
        (false, Some(_)) => {
            let why = "--console-socket is for a terminal (--tty) of a detached program (--detach)";
            return Err(BadRequest(why.to_owned()).into());
        }
        _ => {}
    }
    let console = connect(arguments, "console-socket")?;
    let handle = connect(arguments, "pidfd-socket")?;

    environment(&container, &mut spec)?;
    let size = spec
        .process
        .console_size
        .and_then(|size| Some((u16::try_from(size.height).ok()?, u16::try_from(size.width).ok()?)));
    let stdio = match terminal {
        true if detach => Stdio::Terminal { size },
        true => Stdio::PlainTerminal { size: size.or_else(relay::window_size) },
        false => Stdio::Inherit,
    };
    let target = Target::look(container.pid())?;
    let spec = spec::validate(spec)?;
    for warning in spec.warnings() {
        context.log.warn(&warning.to_string());
    }
    let options = Options { stdio, preserve_fds, keep_keyring: false };
    let has_filter = spec.linux.seccomp.is_some();
    let enter = Enter::new(container.id().clone(), spec, target, cgroups, options);
    let mut facts = HostFacts::of_this_process()?;
    if has_filter {
        facts.on_demand.filters = container.container.filters();
    }
    let plan = runtime::plan::enter(&enter, &facts)?;
    if context.log.is_debug() {
        plan.to_string().lines().for_each(|step| context.log.debug(step));
        plan.facts().iter().for_each(|fact| context.log.debug(fact));
    }
    for note in plan.notes() {
        context.log.warn(note);
    }

    let signals = relay::catch()?;
    let entered = runtime::enter_with(&enter, &plan, container.pidfd(), ahead)?;
    let started = Started { pid: entered.pid(), pidfd: entered.pidfd(), terminal: entered.terminal() };
    if let Err(error) = pass_on(arguments, &started, console, handle) {
        // Nobody would know of it.
        let _ = entered.signal(rustix::process::Signal::KILL);
        let _ = entered.wait();
        return Err(error.into());
    }
    if detach {
        return Ok(ExitCode::SUCCESS);
    }
    relay::attend(entered.pidfd(), &signals, entered.terminal(), None)?;
    let exit = entered.wait()?;
    // Nothing is left to be written or taken away, and to take this program apart would keep its caller waiting.
    sys::raw::exit(exit.status() & 0xff)
}

/// The cgroups of the program, and a stage that is in them already, where one could be started and there is another processor.
fn begin(
    container: &Live,
    arguments: &Arguments,
    keep: CapabilitySet,
) -> Result<(Vec<Recorded>, Option<ahead::Stage>), Failure> {
    let mut asked = arguments.get_many::<String>("cgroup").into_iter().flatten().peekable();
    let has_processor = ahead::has_processor_to_spare();
    let recorded = container.container.recorded_cgroups();
    if has_processor
        && asked.peek().is_none()
        && let Some(stage) = ahead::Stage::start(&recorded, keep)
        && stage.is_in(&recorded)
    {
        return Ok((recorded, Some(stage)));
    }
    let cgroups = cgroup::below(container.cgroups()?, asked)?;
    let stage = if has_processor { ahead::Stage::start(&cgroups, keep) } else { None };
    Ok((cgroups, stage))
}

fn read_process(path: &Path) -> Result<Process, Failure> {
    let bytes = std::fs::read(path).map_err(|error| FileFailed {
        what: "read the process from",
        path: path.to_owned(),
        cause: SyscallError::new("open", path.display().to_string(), error),
    })?;
    Ok(spec::load_as(&bytes)?)
}

/// The last value of each variable, and a home.
fn environment(container: &Live, spec: &mut Spec) -> Result<(), Failure> {
    let process = &mut spec.process;
    process::last_values(&mut process.env);
    if !process.env.iter().any(|entry| entry.starts_with("HOME=")) {
        let root = container.root()?;
        process.env.push(format!("HOME={}", runtime::passwd::home(root.as_fd(), process.user.uid)));
    }
    Ok(())
}

/// Descriptors that the caller wants to pass on have to be there: a number that is free would soon be one of ours.
fn check_descriptors(count: u32) -> Result<(), BadRequest> {
    for number in 3..3 + count {
        // One of ours would be close-on-exec, which none is that came through execve.
        if sys::raw::is_close_on_exec(sys::raw::Fd(number as i32)) != Ok(false) {
            return Err(BadRequest(format!("--preserve-fds {count}: there is no descriptor {number}")));
        }
    }
    Ok(())
}
