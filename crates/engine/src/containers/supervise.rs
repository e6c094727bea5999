//! The process that launches a container in the background and becomes its monitor.
//!
//! [`supervise`] is executed by whoever starts the container, and tells through a pipe how that went. It launches, so that it is the
//! container's parent, and then executes itself as the monitor, which keeps that and has none of the memory that a launch takes. When the
//! container has ended the monitor executes itself as [`after_exit`], which takes away what was made for the run, and starts it again or
//! removes it, as its definition says.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use monitor::setup::StreamFds;
use monitor::{ExitRecord, LogSetup, Setup, restart, time};
use report::{BoxedExplain, Kind};
use runtime::state::StateRoot;
use runtime::{Container, ContainerId, Life};
use rustix::fs::{CWD, Mode, OFlags, openat};
use sys::SyscallError;
use sys::pidfd::Identity;

use super::definition::Definition;
use super::error::ContainerFailure;
use super::home::{Home, LOG, Lock, Places, RUN, RunRecord, make_directory};
use super::start::own_program;
use super::told::{Told, Words};
use super::{events, find, remove};
use crate::connection::{self, Connection};
use crate::host::{Caller, boxed};
use crate::prepare;

/// What a supervisor is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duties {
    /// The pipe that it tells through.
    pub report: Option<i32>,
    /// The container's lock.
    pub lock: Option<i32>,
    /// A client that is attached from the start.
    pub client: Option<i32>,
    /// Rows and columns of the caller's terminal.
    pub size: Option<(u16, u16)>,
}

/// Launches the container and becomes its monitor. Returns only when that failed; the status is this program's.
pub fn supervise(id: &str, duties: &Duties) -> u8 {
    // No longer of the caller's session: its terminal, its Ctrl-C and its end are not ours.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let take = |number: Option<i32>| number.and_then(|number| sys::inherited::take(number).ok());
    let (report, client) = (take(duties.report), take(duties.client));
    let tell = |told: &Told| {
        if let Some(report) = &report {
            let text = serde_json::to_vec(told).unwrap_or_default();
            let _ = rustix::io::write(report, &text);
        }
    };
    let Some(lock) = take(duties.lock).map(Lock::from_fd) else { return 125 };
    let caller = Caller::read();
    let places = Places::of(&caller);
    let outcome = find::one(&places, id).and_then(|home| {
        let definition = home.definition().map_err(boxed)?;
        let monitor_lock = await_monitor_lock(&home)?.ok_or_else(|| busy(&definition))?;
        let outcome = launch(&places, &caller, &home, &definition, monitor_lock, (0, duties.size), client);
        if let Err(error) = &outcome {
            failed_start(&places, &home, &definition, error, 0);
        }
        outcome
    });
    match outcome {
        Ok((setup, pid)) => {
            tell(&Told::Started { pid });
            drop((report, lock));
            become_monitor(setup)
        }
        Err(error) => {
            tell(&Told::Failed(Words::of(&*error)));
            125
        }
    }
}

/// The monitor's lock. The monitor of the last run may still hand on what was written last.
fn await_monitor_lock(home: &Home) -> Result<Option<OwnedFd>, BoxedExplain> {
    let until = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let lock = home.monitor_lock().map_err(boxed)?;
        if lock.is_some() || std::time::Instant::now() >= until {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn busy(definition: &Definition) -> BoxedExplain {
    boxed(ContainerFailure::Conflict {
        verb: "start",
        name: definition.name.clone(),
        state: "still being watched by the monitor of its last run".to_owned(),
        advice: "try again",
    })
}

/// Notes why a container could not be started; one that goes with its end goes now.
fn failed_start(places: &Places, home: &Home, definition: &Definition, error: &BoxedExplain, restarts: u32) {
    let _ = settle(places, home);
    if definition.auto_remove {
        let _ = remove::remove_locked(places, home, Some(definition));
        return;
    }
    let now = time::now_ns();
    let record = ExitRecord {
        run: home.run().map_or(0, |run| run.run),
        status: match error.kind() {
            Kind::CommandNotFound => 127,
            Kind::CommandNotExecutable => 126,
            _ => 125,
        },
        started_ns: now,
        finished_ns: now,
        restarts,
        error: Some(report::one_line(&**error)),
        ..ExitRecord::default()
    };
    if let Ok(directory) = monitor::exit::open_directory(&home.directory) {
        let _ = monitor::exit::write_record(&directory, monitor::exit::EXIT_FILE, &record, false);
    }
}

/// Takes away what is left of an earlier run: processes, cgroup, record.
///
/// # Errors
/// When something cannot be taken away.
pub fn settle(places: &Places, home: &Home) -> Result<(), BoxedExplain> {
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    let id = ContainerId::parse(&home.id).map_err(boxed)?;
    match Container::open(&records, &id) {
        Ok(container) => container.delete(true).map(drop).map_err(boxed)?,
        Err(runtime::state::StateError::NotFound { .. }) => {}
        Err(error) => return Err(boxed(error)),
    }
    // Its place in its networks: addresses, ports, names.
    connection::sweep(&Caller::read(), &home.id);
    Ok(())
}

/// The streams of a container without a terminal: ours, and what it gets in their place.
struct Pipes {
    ours: Ours,
    theirs: [OwnedFd; 3],
}

#[derive(Default)]
struct Ours {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

fn null() -> Result<OwnedFd, SyscallError> {
    openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", "/dev/null", errno))
}

/// An end to read from, and one for the container. The container's is open for reading too, so that it does not get SIGPIPE when its
/// monitor is killed: it waits, once the pipe is full, for another one.
fn output_pipe() -> Result<(OwnedFd, OwnedFd), SyscallError> {
    let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, "a pipe", errno);
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed("pipe2"))?;
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let both = openat(CWD, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap_or(write);
    Ok((read, both))
}

fn pipes(open_stdin: bool) -> Result<Pipes, SyscallError> {
    let mut ours = Ours::default();
    let input = match open_stdin {
        true => {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(|errno| SyscallError::new("pipe2", "standard input", errno))?;
            ours.input = Some(write);
            read
        }
        false => null()?,
    };
    let (read_output, output) = output_pipe()?;
    let (read_error, error) = output_pipe()?;
    ours.output = Some(read_output);
    ours.error = Some(read_error);
    Ok(Pipes { ours, theirs: [input, output, error] })
}

fn inode(fd: &OwnedFd) -> u64 {
    rustix::fs::fstat(fd).map_or(0, |stat| stat.st_ino)
}

fn set_streams(fds: [&OwnedFd; 3]) -> Result<(), SyscallError> {
    let failed = |errno| SyscallError::new("dup2", "the standard streams", errno);
    rustix::stdio::dup2_stdin(fds[0]).map_err(failed)?;
    rustix::stdio::dup2_stdout(fds[1]).map_err(failed)?;
    rustix::stdio::dup2_stderr(fds[2]).map_err(failed)
}

/// Launches the container; returns what its monitor has to know, and its first process.
fn launch(
    places: &Places,
    caller: &Caller,
    home: &Home,
    definition: &Definition,
    monitor_lock: OwnedFd,
    (restarts, size): (u32, Option<(u16, u16)>),
    client: Option<OwnedFd>,
) -> Result<(Setup, i32), BoxedExplain> {
    let failed = |cause| boxed(home.failed("start", cause));
    settle(places, home)?;
    make_directory(&home.run_directory)?;
    // Of somebody who was killed while taking it away.
    let _ = rustix::fs::unlink(home.run_directory.join(monitor::setup::REMOVAL));
    let mut flags = definition.request.clone();
    super::root::find(home, definition.manifest.as_deref(), &mut flags)?;
    crate::volumes::ready(places, &flags)?;
    let request = flags.check().map_err(boxed)?;
    let mut prepared = prepare::for_container(&request, caller, size, &home.id)?;
    let config = serde_json::to_vec(&*prepared.launch.spec).map_err(|error| {
        failed(SyscallError::new("write", "the configuration", std::io::Error::other(error)))
    })?;
    prepared.launch.life = Life::Kept { config, wait: false, notify: false };
    prepared.launch.die_with_parent = false;
    // The addresses are in the container's files, and these in the plan.
    let mut network = match &prepared.network {
        Some(wanted) => Some(Connection::reserve(wanted, caller, &mut prepared.launch)?),
        None => None,
    };
    let plan = crate::run::plan(&prepared)?;
    let stderr = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3).ok().map(File::from);
    let say = |line: &str| {
        if let Some(mut stderr) = stderr.as_ref() {
            let _ = writeln!(stderr, "holm: {line}");
        }
    };
    prepared.remarks.iter().map(String::as_str).chain(plan.notes().iter().map(|note| &**note)).for_each(say);
    for gift in &prepared.gifts {
        gift.give().map_err(boxed)?;
    }
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    let passed_through = definition.log.driver == monitor::Driver::Passthrough;
    let pipes = match definition.tty() || passed_through {
        true => None,
        false => Some(pipes(definition.open_stdin).map_err(failed)?),
    };
    let run = RunRecord {
        run: home.run().map_or(0, |run| run.run).max(home.exit().map_or(0, |exit| exit.run)) + 1,
        started_ns: time::now_ns(),
        restarts,
        monitored: true,
        pid: 0,
        ids: prepared.claim.as_ref().map(|claim| claim.slot),
        pipes: pipes.iter().flat_map(|pipes| [&pipes.theirs[1], &pipes.theirs[2]]).map(inode).collect(),
    };
    let directory = monitor::exit::open_directory(&home.directory).map_err(failed)?;
    // Before there is a process: a run that nobody sees the end of is known to have begun.
    monitor::exit::write_record(&directory, RUN, &run, false).map_err(failed)?;

    let nothing = null().map_err(failed)?;
    let mut ours = Ours::default();
    let mut launch = || match &mut network {
        None => runtime::launch(&prepared.launch, &plan, &records),
        Some(network) => {
            let mut tell = |line: &str| say(line);
            let mut connect = |namespace| network.connect(namespace, &mut tell);
            runtime::launch_connected(&prepared.launch, &plan, &records, &mut connect)
        }
    };
    let launched = match pipes {
        // What this process has was its caller's, and stays so for the next run.
        None if passed_through => launch(),
        None => {
            set_streams([&nothing, &nothing, &nothing]).map_err(failed)?;
            launch()
        }
        Some(pipes) => {
            ours = pipes.ours;
            set_streams([&pipes.theirs[0], &pipes.theirs[1], &pipes.theirs[2]]).map_err(failed)?;
            let launched = launch();
            set_streams([&nothing, &nothing, &nothing]).map_err(failed)?;
            launched
        }
    };
    let running = match launched {
        Ok(running) => running,
        Err(error) => {
            network.map_or_else(Vec::new, Connection::detach);
            return Err(boxed(error));
        }
    };
    let pid = running.pid();
    let joined = network.as_ref().map_or_else(Vec::new, Connection::joined);
    let copy = |fd: std::os::fd::BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map_err(|errno| failed(SyscallError::new("fcntl", "F_DUPFD_CLOEXEC", errno)))
    };
    let passed = (|| {
        if let Some(terminal) = running.terminal() {
            ours.terminal = Some(copy(terminal)?);
        }
        let pidfd = copy(running.pidfd().map_err(failed)?)?;
        // What the monitor holds is the container's also if the monitor is killed.
        let whose = Identity::of(pid, std::os::fd::AsFd::as_fd(&pidfd));
        if let Some(slot) = run.ids {
            crate::id_pool::note(&caller.run_directory, slot, whose).map_err(failed)?;
        }
        if network.is_some() {
            connection::note(caller, &home.id, whose)?;
        }
        let pass = |fd: OwnedFd| sys::inherited::pass(fd).map_err(failed);
        let some = |fd: Option<OwnedFd>| fd.map(pass).transpose();
        let mut held = Vec::new();
        if let Some(claim) = prepared.claim.take() {
            held.push(pass(claim.into_lock())?);
        }
        for fd in network.take().map_or_else(Vec::new, Connection::into_held) {
            held.push(pass(fd)?);
        }
        Ok(Setup {
            id: home.id.clone(),
            run: run.run,
            started_ns: run.started_ns,
            restarts,
            directory: home.directory.clone(),
            run_directory: home.run_directory.clone(),
            durable: home.durable,
            pid,
            pidfd: pass(pidfd)?,
            streams: StreamFds {
                input: some(ours.input)?,
                output: some(ours.output)?,
                error: some(ours.error)?,
                terminal: some(ours.terminal)?,
            },
            client: some(client)?,
            lock: pass(monitor_lock)?,
            held,
            log: log_setup(home, definition),
            stdin_once: definition.stdin_once && !definition.tty(),
            health: definition.health.as_ref().map(|health| health.setup),
            oom_events: oom_events(&records, home),
        })
    })();
    match passed {
        Ok(setup) => {
            events::started(places, home, definition, &joined);
            Ok((setup, pid))
        }
        Err(error) => {
            drop(running.abandon());
            Err(error)
        }
    }
}

/// Gives a container that runs a monitor again, after its own was killed. What it had of the terminal and of the input is gone; its output
/// is found by the pipes that the container still has.
///
/// # Errors
/// When it does not run, or has a monitor.
pub fn revive(home: &Home) -> Result<(), BoxedExplain> {
    let mut command = own_program("--revive", &home.id);
    let null = std::process::Stdio::null;
    let status = command.stdin(null()).stdout(null()).stderr(null()).spawn();
    status
        .map_err(|error| boxed(home.failed("watch", SyscallError::new("execve", "/proc/self/exe", error))))?;
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while !home.has_monitor() {
        if std::time::Instant::now() >= until {
            return Err(boxed(
                home.failed("watch", SyscallError::new("flock", "monitor", sys::Errno::TIMEDOUT)),
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The process that becomes a container's second monitor.
pub fn revived(id: &str) -> u8 {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let places = Places::of(&Caller::read());
    let setup = find::one(&places, id).and_then(|home| {
        let _lock = home.lock().map_err(boxed)?;
        let failed = |cause| boxed(home.failed("watch", cause));
        let definition = home.definition().map_err(boxed)?;
        let (state, _, pidfd) = super::stop::living(&places, &home, "watch")?;
        let run = state.run.unwrap_or_default();
        let pass = |fd: OwnedFd| sys::inherited::pass(fd).map_err(failed);
        let pipe = |number: usize| match pipe_of(state.pid, number + 1, run.pipes.get(number).copied()) {
            Some(fd) => pass(fd).map(Some),
            None => Ok(None),
        };
        let records = StateRoot::open(&places.records()).map_err(boxed)?;
        let mut held = Vec::new();
        // Its range of ids and its networks are its own by what is noted of them; the locks are for who looks no further.
        let caller = Caller::read();
        let ids = run.ids.and_then(|slot| crate::id_pool::hold(&caller.run_directory, slot).ok().flatten());
        for lock in ids.into_iter().chain(connection::hold(&caller, &home.id)) {
            held.push(pass(lock)?);
        }
        // By this one others see that somebody watches: it comes when everything else is held.
        let monitor_lock = home.monitor_lock().map_err(boxed)?.ok_or_else(|| busy(&definition))?;
        Ok(Setup {
            id: home.id.clone(),
            run: run.run,
            started_ns: run.started_ns,
            restarts: run.restarts,
            directory: home.directory.clone(),
            run_directory: home.run_directory.clone(),
            durable: home.durable,
            pid: state.pid,
            pidfd: pass(pidfd)?,
            streams: StreamFds { output: pipe(0)?, error: pipe(1)?, ..StreamFds::default() },
            client: None,
            lock: pass(monitor_lock)?,
            held,
            log: log_setup(&home, &definition),
            stdin_once: false,
            health: definition.health.as_ref().map(|health| health.setup),
            oom_events: oom_events(&records, &home),
        })
    });
    match setup {
        Ok(setup) => become_monitor(setup),
        Err(_) => 125,
    }
}

/// The end to read from of a pipe that a container's process has as this descriptor, if it is still that pipe: what the container has put
/// in its place is not opened.
fn pipe_of(pid: i32, number: usize, inode: Option<u64>) -> Option<OwnedFd> {
    let path = format!("/proc/{pid}/fd/{number}");
    let looked = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&looked).ok()?;
    let is_pipe = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo;
    if !is_pipe || Some(stat.st_ino) != inode {
        return None;
    }
    let again = format!("/proc/self/fd/{}", looked.as_raw_fd());
    openat(CWD, again, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Does what a monitor does after its container's end, for one that was killed before.
///
/// # Errors
/// When that cannot be started.
pub fn see_to(places: &Places, home: &Home, run: u64) -> Result<(), BoxedExplain> {
    {
        let _lock = home.lock().map_err(boxed)?;
        let records = StateRoot::open(&places.records()).map_err(boxed)?;
        let state = super::state::of(home, &records);
        if state.status.is_alive() || home.has_monitor() {
            return Ok(());
        }
        if home.exit().map_or(0, |exit| exit.run) < run
            && let Some(exit) = &state.exit
        {
            write_exit(home, exit);
        }
    }
    let mut command = own_program("--see-to", &home.id);
    let null = std::process::Stdio::null;
    let child = command.arg(run.to_string()).stdin(null()).stdout(null()).stderr(null()).spawn();
    let mut child = child.map_err(|error| {
        boxed(home.failed("see to", SyscallError::new("execve", "/proc/self/exe", error)))
    })?;
    // Until it has taken away what there was; one that starts it again goes on for long.
    let until = std::time::Instant::now() + Duration::from_secs(5);
    let id = ContainerId::parse(&home.id).map_err(boxed)?;
    while matches!(child.try_wait(), Ok(None)) && std::time::Instant::now() < until {
        let records = StateRoot::open(&places.records()).map_err(boxed)?;
        if Container::open(&records, &id).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn log_setup(home: &Home, definition: &Definition) -> LogSetup {
    let choice = &definition.log;
    let fields = match choice.driver {
        monitor::Driver::Journald => {
            let tag = choice.tag.clone().unwrap_or_else(|| definition.name.clone());
            [
                ("CONTAINER_ID", home.short()),
                ("CONTAINER_ID_FULL", &home.id),
                ("CONTAINER_NAME", &definition.name),
                ("CONTAINER_TAG", &tag),
                ("IMAGE_NAME", &definition.image()),
                ("SYSLOG_IDENTIFIER", &tag),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
        }
        _ => Vec::new(),
    };
    LogSetup {
        driver: choice.driver,
        path: home.directory.join(LOG),
        max_bytes: choice.max_bytes,
        max_files: choice.max_files,
        fields,
    }
}

/// The file in which the kernel counts what it killed for lack of memory.
fn oom_events(records: &StateRoot, home: &Home) -> Option<std::path::PathBuf> {
    let container = Container::open(records, &ContainerId::parse(&home.id).ok()?).ok()?;
    container.recorded_cgroups().into_iter().find_map(|group| {
        if !group.controllers.contains(cgroups::Controller::Memory) {
            return None;
        }
        let directory = group.mount.join(&group.path);
        Some(directory.join(match group.version {
            cgroups::Version::V1 => "memory.oom_control",
            cgroups::Version::V2 => "memory.events",
        }))
    })
}

/// Executes this program as the monitor; where that fails, this process does the work as it is.
fn become_monitor(setup: Setup) -> ! {
    let text = serde_json::to_string(&setup).unwrap_or_default();
    let mut command = own_program("--monitor", &text);
    command.arg0("holm-monitor");
    let _ = command.exec();
    watch(&setup)
}

/// The monitor: watches the container, and goes on as what comes after it.
pub fn watch(setup: &Setup) -> ! {
    let mut told = |record: &ExitRecord| {
        let caller = Caller::read();
        let places = Places::of(&caller);
        if let Ok(home) = find::find(&places, &setup.id) {
            tell_end(&places, &home, record);
        }
    };
    let Ok(ended) = monitor::run(setup, &mut told) else {
        // The container goes on, and whoever looks sees that nobody watches it.
        std::process::exit(125);
    };
    if ended.removed {
        std::process::exit(0);
    }
    let mut command = own_program("--after-exit", &setup.id);
    command.arg(setup.run.to_string());
    if ended.unwritten.is_some() {
        command.arg(serde_json::to_string(&ended.record).unwrap_or_default());
    }
    let _ = command.exec();
    std::process::exit(125)
}

/// What comes after a run: it is taken away, and the container is started again or removed. `unwritten` is the record of its end if the
/// monitor could not write it; `is_told` says whether there was a monitor that has told of the end.
pub fn after_exit(id: &str, run: u64, unwritten: Option<&str>, is_told: bool) -> u8 {
    let _ = sys::signal::set_blocked(sys::signal::SignalSet(0));
    let caller = Caller::read();
    let places = Places::of(&caller);
    let Ok(home) = find::find(&places, id) else { return 0 };
    // Whoever has it for so long takes it away, and then this is theirs as well.
    let Ok(mut lock) = home.lock() else { return 0 };
    let is_ours = |home: &Home| home.run().is_some_and(|now| now.run == run);
    if !is_ours(&home) {
        return 0;
    }
    let Ok(Some(mut monitor_lock)) = home.monitor_lock() else { return 0 };
    if let Some(record) = unwritten.and_then(|text| serde_json::from_str::<ExitRecord>(text).ok()) {
        write_exit(&home, &record);
    }
    if let (false, Some(record)) = (is_told, home.exit()) {
        tell_end(&places, &home, &record);
    }
    let _ = settle(&places, &home);
    let mut last = run;
    loop {
        let Ok(definition) = home.definition() else { return 0 };
        if definition.auto_remove {
            drop(monitor_lock);
            return u8::from(remove::remove_locked(&places, &home, Some(&definition)).is_err());
        }
        let Some(mut exit) = home.exit() else { return 0 };
        let ended = restart::Run {
            length_ns: exit.finished_ns.saturating_sub(exit.started_ns),
            status: exit.status,
            restarts: exit.restarts,
            stopped: home.was_stopped(),
        };
        let Some((wait, restarts)) = restart::again(definition.restart, ended) else { return 0 };
        exit.again_ns = Some(time::now_ns() + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        write_exit(&home, &exit);
        drop(lock);
        if !sleep(&home, wait) {
            return 0;
        }
        let Ok(again) = home.lock() else { return 0 };
        lock = again;
        let wanted = home.exit().is_some_and(|exit| exit.run == last && exit.again_ns.is_some());
        if !wanted || home.was_stopped() {
            return 0;
        }
        match launch(&places, &caller, &home, &definition, monitor_lock, (restarts, None), None) {
            Ok((setup, _)) => {
                drop(lock);
                become_monitor(setup)
            }
            Err(error) => {
                failed_start(&places, &home, &definition, &error, restarts);
                last = home.run().map_or(0, |run| run.run);
                match home.monitor_lock() {
                    Ok(Some(again)) => monitor_lock = again,
                    _ => return 0,
                }
            }
        }
    }
}

fn tell_end(places: &Places, home: &Home, exit: &ExitRecord) {
    let Ok(definition) = home.definition() else { return };
    if exit.oom {
        events::emit(places, home, Some(&definition), "oom", &[]);
    }
    let length = exit.finished_ns.saturating_sub(exit.started_ns) / 1_000_000_000;
    let more = [("exitCode", exit.status.to_string().into()), ("execDuration", length.to_string().into())];
    events::died(places, home, &definition, &more, &connection::joined(&home.id));
}

pub(crate) fn write_exit(home: &Home, record: &ExitRecord) {
    if let Ok(directory) = monitor::exit::open_directory(&home.directory) {
        let _ = monitor::exit::write_record(&directory, monitor::exit::EXIT_FILE, record, false);
    }
}

/// Takes back the promise to start a container again. Whoever sleeps until then finds that out within [`SLICE`].
pub(crate) fn cancel_restart(home: &Home) {
    if let Some(mut exit) = home.exit()
        && exit.again_ns.take().is_some()
    {
        write_exit(home, &exit);
        let until = std::time::Instant::now() + SLICE * 40;
        while home.has_monitor() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How often a sleeper looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);

/// Waits; false when somebody took the restart back meanwhile.
fn sleep(home: &Home, wait: Duration) -> bool {
    let until = std::time::Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(SLICE));
        if home.exit().is_none_or(|exit| exit.again_ns.is_none()) {
            return false;
        }
    }
}
