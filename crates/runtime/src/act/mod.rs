//! Performing a plan: the engine's side.
//!
//! [`launch`] goes through the acts in their order. Everything that an act leaves on the host becomes a [`Made`] with its own way
//! of being undone; when an act or the stage fails, the list is undone from its end. When all goes well it belongs to
//! [`Running`], which undoes it when the container has ended.

mod beside;
mod confinement;
mod enter;
mod error;
pub(crate) mod hooks;
mod ids;
pub(crate) mod listener;
mod mount_change;
mod net_devices;
mod profile;
mod resctrl;
mod running;
mod spawn;
mod trees;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups::Cgroup;
use init::message::{self, Message};
use sys::{SyscallError, channel};

use crate::ahead::{self, Network};
use crate::environment::inherited;
use crate::inputs::{Launch, Life};
use crate::plan::{Act, HookPoint, Plan, Produced};
use crate::start::Tail;
use crate::state::{Claim, StateRoot};
use crate::unit::RecordedUnit;

pub(crate) use confinement::Confinement;
pub(crate) use enter::open_group;
pub use enter::{Entered, enter, enter_with};
use error::Doing;
pub use error::{Cause, LaunchError};
pub use hooks::{HookEnd, HookFailed};
pub use mount_change::change_mounts;
use profile::Profile;
pub use profile::Stamp;
pub use running::{Exit, Running};
pub(crate) use spawn::Stage;
use spawn::{Birthplace, Processors};

/// Something on the host that has to go again.
#[derive(Debug)]
pub(crate) enum Made {
    /// The container's record.
    Record(Claim),
    /// Its cgroup.
    Cgroup {
        /// Its directories.
        cgroup: Cgroup,
        /// Whether processes may be in it that did not end with the container's first.
        kill: bool,
    },
    /// Its groups of resctrl.
    Resctrl(Vec<PathBuf>),
    /// The unit of systemd that its cgroup is.
    Unit(RecordedUnit),
    /// Its first process.
    Stage(Stage),
}

impl Made {
    /// Undoes it.
    fn undo(self) -> Result<(), Cause> {
        match self {
            Self::Record(claim) => claim.release().map_err(Cause::Record),
            Self::Cgroup { cgroup, kill } => {
                // A pid namespace takes its processes with it; without one, others may have been started.
                let killed = if kill { cgroup.kill(PATIENCE) } else { Ok(()) };
                let removed = cgroup.remove(PATIENCE).map_err(|mut errors| errors.swap_remove(0));
                cgroup.remove_made_parents();
                removed.and(killed).map_err(Cause::Cgroup)
            }
            Self::Resctrl(made) => resctrl::remove(&made).map_err(Cause::Call),
            Self::Unit(unit) => unit.stop().map_err(Cause::Unit),
            Self::Stage(stage) => stage.kill().map_err(Cause::Call),
        }
    }
}

/// How long a cgroup may take to become empty after its processes were killed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Undoes from the end, goes on after a failure, and returns every failure.
pub(crate) fn undo(mut made: Vec<Made>) -> Vec<Cause> {
    // A cgroup goes only once its process is gone, also where the process was there first.
    made.sort_by_key(|made| matches!(made, Made::Stage(_)));
    made.into_iter().rev().filter_map(|made| made.undo().err()).collect()
}

/// Performs `plan`. The record of the container is kept below `state`.
///
/// # Errors
/// [`LaunchError`], which names the step that failed. What was made until then is undone; what could not be is in the error.
pub fn launch(launch: &Launch, plan: &Plan, state: &StateRoot) -> Result<Running, LaunchError> {
    perform(launch, plan, state, None, None)
}

/// As [`launch`], with what was made ahead. A plan for which something was made ahead that is not given here has it made now.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(
    launch: &Launch,
    plan: &Plan,
    state: &StateRoot,
    network: Option<Network>,
) -> Result<Running, LaunchError> {
    perform(launch, plan, state, network, None)
}

/// Performs a plan of [`crate::plan_connected`]: `connect` gets the container's network namespace while the stage goes on, and before the
/// program is started.
///
/// # Errors
/// As [`launch()`], and what `connect` says.
pub fn launch_connected(
    launch: &Launch,
    plan: &Plan,
    state: &StateRoot,
    connect: &mut Connect<'_>,
) -> Result<Running, LaunchError> {
    perform(launch, plan, state, None, Some(connect))
}

/// What connects a container: it gets the network namespace.
pub type Connect<'a> = dyn FnMut(OwnedFd) -> Result<(), report::BoxedExplain> + 'a;

fn perform(
    launch: &Launch,
    plan: &Plan,
    state: &StateRoot,
    network: Option<Network>,
    mut connect: Option<&mut Connect<'_>>,
) -> Result<Running, LaunchError> {
    let mut performing = Performing {
        network,
        ahead: None,
        launch,
        plan,
        state: Some(state),
        target: None,
        made: Vec::with_capacity(4),
        fds: Vec::with_capacity(8),
        control: None,
        terminal: None,
        born: None,
        profile: None,
        hooked: false,
    };
    match Profile::of(plan) {
        Ok(profile) => performing.profile = profile,
        Err(error) => return Err(LaunchError::new(Doing::Launch, launch, plan, 0, error.into(), Vec::new())),
    }
    for (step, act) in plan.acts() {
        if let Some(profile) = &mut performing.profile {
            profile.begin(*step);
        }
        let outcome = match (act, connect.as_deref_mut()) {
            (Act::Connect { turn }, Some(connect)) => performing.connect(*step, *turn, connect),
            _ => performing.perform_or_fail(*step, act),
        };
        let Err(failure) = outcome else { continue };
        let mut left = undo(std::mem::take(&mut performing.made));
        if performing.hooked {
            // What hooks have made, others may take away (runtime.md, "Lifecycle", 13).
            let state = performing.oci_state(spec::Status::Stopped);
            left.extend(
                hooks::poststop(&launch.spec.hooks, &state)
                    .into_iter()
                    .map(|failed| Cause::Hook(Box::new(failed))),
            );
        }
        return Err(LaunchError::new(Doing::Launch, launch, plan, *step, failure, left));
    }
    let Performing { made, terminal, profile, .. } = performing;
    if let Some(Made::Record(claim)) = made.first() {
        claim.unlock();
    }
    let stamps = profile.map_or_else(Vec::new, |profile| profile.finish(plan));
    Ok(Running::new(launch, made, terminal, stamps))
}

/// Where a launch failed.
pub(crate) enum Failure {
    /// In the act that is being performed.
    Here(Cause),
    /// In the stage, which told.
    Stage { step: u32, op: u32, errno: sys::Errno },
}

impl<T: Into<Cause>> From<T> for Failure {
    fn from(cause: T) -> Self {
        Self::Here(cause.into())
    }
}

pub(crate) fn is_new_pid_namespace(namespace: &spec::Namespace) -> bool {
    namespace.kind == spec::NamespaceType::Pid && namespace.is_new()
}

struct Performing<'a> {
    launch: &'a Launch,
    plan: &'a Plan,
    /// Where the container's record goes; none for a container that is entered.
    state: Option<&'a StateRoot>,
    /// The first process of the container that is entered.
    target: Option<BorrowedFd<'a>>,
    made: Vec<Made>,
    /// What acts yielded, in order.
    fds: Vec<OwnedFd>,
    /// The socket to the stage.
    control: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    /// The process that the stage went on in.
    born: Option<enter::Born>,
    profile: Option<Profile>,
    /// What was made ahead.
    network: Option<Network>,
    /// The stage that was started ahead.
    ahead: Option<ahead::Stage>,
    /// Whether a hook was run.
    hooked: bool,
}

impl Performing<'_> {
    fn fd(&self, produced: Produced) -> &OwnedFd {
        &self.fds[produced.0]
    }

    fn stage(&self) -> Option<&Stage> {
        self.made.iter().rev().find_map(|made| match made {
            Made::Stage(stage) => Some(stage),
            _ => None,
        })
    }

    fn pid(&self) -> i32 {
        self.stage().map_or(0, Stage::pid)
    }

    /// Performs an act, after which a test may have asked for a failure.
    fn perform_or_fail(&mut self, step: u32, act: &Act) -> Result<(), Failure> {
        self.perform(act)?;
        if self.plan.fails_after(step) { Err(Cause::Injected.into()) } else { Ok(()) }
    }

    /// Hands the network namespace to the caller, once the stage is in it.
    fn connect(&mut self, step: u32, turn: u32, connect: &mut Connect<'_>) -> Result<(), Failure> {
        match self.receive()? {
            Some((number, _)) if number == turn => {}
            _ => return Err(self.ended()),
        }
        connect(self.network_namespace()?).map_err(Cause::Connect)?;
        if self.plan.fails_after(step) { Err(Cause::Injected.into()) } else { Ok(()) }
    }

    /// The stage's. One that was killed meanwhile, as by its memory limit, has none.
    fn network_namespace(&mut self) -> Result<OwnedFd, Failure> {
        match ids::open_network_namespace(self.pid()) {
            Err(error) if matches!(error.errno, sys::Errno::NOENT | sys::Errno::SRCH) => Err(self.ended()),
            namespace => Ok(namespace?),
        }
    }

    fn perform(&mut self, act: &Act) -> Result<(), Failure> {
        match act {
            Act::Record => {
                let groups = self.plan.cgroups();
                if let Some(state) = self.state {
                    let claim = state.claim(self.launch, &groups).map_err(Cause::Record)?;
                    self.made.push(Made::Record(claim));
                    if let (true, Some(Made::Record(claim))) = (self.launch.notifies(), self.made.last_mut())
                    {
                        claim.make_notify(self.launch.waits()).map_err(Cause::Record)?;
                    }
                }
            }
            Act::StartUnit { unit, properties } => {
                let (recorded, pid) = (unit.recorded(), self.pid());
                // Noted first: it may be there although we are told that it is not.
                self.made.push(Made::Unit(recorded));
                if let Err(error) = unit.start(pid, properties) {
                    if error.cause.is_unit_exists() {
                        // Somebody else's.
                        self.made.pop();
                    }
                    return Err(Cause::Unit(error).into());
                }
            }
            Act::CreateCgroup(plan) => {
                let cgroup = Cgroup::create(plan).map_err(Cause::Cgroup)?;
                let kill = !self.launch.spec.linux.namespaces.iter().any(is_new_pid_namespace);
                self.made.push(Made::Cgroup { cgroup, kill });
            }
            Act::OpenJoinFiles { .. } => {
                let cgroup = self.made.iter().rev().find_map(|made| match made {
                    Made::Cgroup { cgroup, .. } => Some(cgroup),
                    _ => None,
                });
                if let Some(cgroup) = cgroup {
                    let files = cgroup.join_files().map_err(Cause::Cgroup)?;
                    self.fds.extend(files);
                }
            }
            Act::DelegateCgroup { uid, gid } => {
                for made in &self.made {
                    if let Made::Cgroup { cgroup, .. } = made {
                        cgroup.delegate_safely(*uid, *gid).map_err(Cause::Cgroup)?;
                    }
                }
            }
            // A plan for a caller who connects, performed by one who does not: the container has no more than its loopback link.
            Act::Connect { turn } => match self.receive()? {
                Some((number, _)) if number == *turn => {}
                _ => return Err(self.ended()),
            },
            Act::MoveNetDevices { turn, devices } => match self.receive()? {
                Some((number, _)) if number == *turn => {
                    let namespace = self.network_namespace()?;
                    net_devices::move_all(devices, &namespace)?;
                }
                _ => return Err(self.ended()),
            },
            Act::EnterResctrl(group) => {
                let mut made = Vec::new();
                let outcome = resctrl::enter(group, self.pid(), &mut made);
                self.made.push(Made::Resctrl(made));
                outcome?;
            }
            Act::ConfineDevices(program) => {
                let cgroup = self.made.iter().find_map(|made| match made {
                    Made::Cgroup { cgroup, .. } => Some(cgroup),
                    _ => None,
                });
                cgroup.map_or(Ok(()), |cgroup| cgroup.confine(program)).map_err(Cause::Cgroup)?;
            }
            Act::TakeNetwork => {
                let network = self.network.take().map_or_else(ahead::make, Network::finish)?;
                self.fds.push(network);
            }
            Act::KeepConfig => {
                if let Some(Made::Record(claim)) = self.made.first() {
                    claim.keep_config(self.launch, &Tail::of(self.plan)).map_err(Cause::Record)?;
                }
            }
            Act::MakeDev(tree) => self.fds.push(beside::device_tree(tree)?),
            Act::ViewCgroup(view) => self.fds.push(beside::cgroup_view(view)?),
            Act::MakeDirectories(paths) => trees::make_directories(paths)?,
            Act::OpenNamespace { path } => self.fds.push(trees::open_namespace(path)?),
            Act::CloneTree(tree) => {
                let userns = tree.idmap.map(|produced| self.fd(produced).as_fd());
                let tree = trees::clone(tree, userns)?;
                self.fds.push(tree);
            }
            Act::Overlay(overlay) => {
                let overlay = trees::overlay(overlay, |produced| self.fd(produced).as_fd())?;
                self.fds.push(overlay);
            }
            Act::TakeContainer => self.take_container()?,
            Act::OpenRootOf { pid } => self.open_root_of(*pid)?,
            Act::OpenGroups(ways) => self.open_groups(ways)?,
            Act::OpenNamespaceOf { pid, kind } => self.open_namespace_of(*pid, *kind)?,
            Act::SpawnOutside { cgroup } => self.spawn_outside(*cgroup)?,
            Act::Spawn { namespaces, into_cgroup, pid_namespace, joined } => {
                self.spawn(*namespaces, *into_cgroup, *pid_namespace, joined)?;
            }
            Act::MapIds(maps) => ids::write_maps(self.pid(), maps)?,
            Act::MakeUserNamespace(maps) => self.fds.push(ids::make_user_namespace(maps)?),
            Act::MapTree { turn, userns, below, subject } => match self.receive()? {
                Some((number, mut fds)) if number == *turn && fds.len() == 1 => {
                    let copy = fds.remove(0);
                    sys::mount::map_ids(copy.as_fd(), *below, self.fd(*userns), subject)?;
                }
                _ => return Err(self.ended()),
            },
            Act::OpenUserNamespace => self.fds.push(ids::open_user_namespace(self.pid())?),
            Act::Tell { turn, fds } => self.tell(*turn, fds)?,
            Act::ReceiveTerminal { turn } => self.receive_terminal(*turn)?,
            // There is no filter before the start.
            Act::PassListener { at_start: true, .. } => {}
            Act::PassListener { turn, socket, .. } => self.pass_listener(*turn, socket)?,
            Act::AwaitExec => self.await_exec()?,
            Act::AwaitTurn { turn } => match self.receive()? {
                Some((number, _)) if number == *turn => {}
                _ => return Err(self.ended()),
            },
            Act::RunHooks(point) => {
                self.hooked = true;
                let status = match point {
                    HookPoint::Prestart | HookPoint::CreateRuntime | HookPoint::CreateContainer => {
                        spec::Status::Creating
                    }
                    HookPoint::StartContainer => spec::Status::Created,
                    HookPoint::Poststart => spec::Status::Running,
                    HookPoint::Poststop => spec::Status::Stopped,
                };
                let state = self.oci_state(status);
                let spec = &self.launch.spec;
                let root = self.launch.place_of_root();
                let all = inherited(&spec.hooks, &spec.process.env);
                let confinement = match point {
                    HookPoint::StartContainer => Some(Confinement::of(spec)?),
                    _ => None,
                };
                hooks::run(
                    *point,
                    &all,
                    &state,
                    &hooks::Surroundings { root, confinement: confinement.as_ref() },
                )
                .map_err(|failed| Cause::Hook(Box::new(failed)))?;
            }
            Act::Listen => {
                let socket = match self.made.first() {
                    Some(Made::Record(claim)) => claim.listen()?,
                    _ => return Err(Cause::StageSilent.into()),
                };
                self.fds.push(socket);
            }
            Act::Created => {
                if let Some(Made::Record(claim)) = self.made.first_mut() {
                    claim.created().map_err(Cause::Record)?;
                }
            }
        }
        Ok(())
    }

    /// What hooks are told.
    fn oci_state(&self, status: spec::Status) -> spec::State {
        spec::State {
            oci_version: self.launch.spec.oci_version.clone(),
            id: self.launch.id.to_string(),
            status,
            pid: self.pid(),
            bundle: self.launch.bundle.display().to_string(),
            annotations: self.launch.spec.annotations.clone(),
        }
    }

    fn spawn(
        &mut self,
        namespaces: u64,
        into_cgroup: bool,
        pid_namespace: Option<Produced>,
        joined: &[(Produced, u64)],
    ) -> Result<(), Failure> {
        let joined: Vec<_> = joined.iter().map(|(fd, kind)| (self.fd(*fd).as_fd(), *kind)).collect();
        let pid_namespace = pid_namespace.map(|produced| self.fd(produced).as_fd());
        let mut inherited: Vec<_> = self.plan.inherited().iter().map(|fd| self.fd(*fd).as_fd()).collect();
        inherited.extend(self.profile.as_ref().map(Profile::file));
        let cgroup = self.made.iter().find_map(|made| match made {
            Made::Cgroup { cgroup, .. } if into_cgroup => Some(cgroup),
            _ => None,
        });
        let directory = match cgroup {
            Some(cgroup) => cgroup.joining().map_err(Cause::Cgroup)?.clone_into,
            None => None,
        };
        let place = Birthplace {
            namespaces,
            pid_namespace,
            joined: &joined,
            cgroup: directory.as_ref().map(AsFd::as_fd),
            // What outlives its caller is not held to the caller's processors, as with other runtimes.
            processors: match self.launch.life {
                Life::Kept { .. } => Processors::Any,
                Life::Attended => Processors::Same,
            },
        };
        let (control, stage) = Stage::start(self.plan, &place, &inherited)?;
        if let Some(Made::Record(claim)) = self.made.first_mut() {
            claim.started(stage.pid(), stage.pidfd()).map_err(Cause::Record)?;
        }
        self.control = Some(control);
        self.made.push(Made::Stage(stage));
        Ok(())
    }

    fn control(&self) -> Result<&OwnedFd, Failure> {
        self.control.as_ref().ok_or(Failure::Here(Cause::StageSilent))
    }

    fn tell(&mut self, turn: u32, fds: &[Produced]) -> Result<(), Failure> {
        let control = self.control()?;
        let fds: Vec<_> = fds.iter().map(|fd| self.fd(*fd).as_fd()).collect();
        match channel::send(control, &Message::Turn { number: turn }.to_bytes(), &fds) {
            Ok(()) => Ok(()),
            // It is gone, and said why before it went; a reset is that with something sent before still unread.
            Err(SyscallError { errno: sys::Errno::PIPE | sys::Errno::CONNRESET, .. }) => match self.receive()
            {
                Err(failure) => Err(failure),
                Ok(_) => Err(Cause::StageSilent.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The stage's next turn with its descriptors; none when the socket has ended.
    fn receive(&mut self) -> Result<Option<(u32, Vec<OwnedFd>)>, Failure> {
        match self.receive_message()? {
            None => Ok(None),
            Some((Message::Turn { number }, fds)) => Ok(Some((number, fds))),
            Some((Message::Failed { step, op, errno }, _)) => Err(Failure::Stage { step, op, errno }),
            Some((Message::Listener { .. } | Message::Born { .. }, _)) => Err(Cause::StageSilent.into()),
        }
    }

    /// The stage's next message with its descriptors; none when the socket has ended. A birth is taken note of.
    fn receive_message(&mut self) -> Result<Option<(Message, Vec<OwnedFd>)>, Failure> {
        let mut bytes = [0; message::LEN];
        loop {
            let (len, fds) = match channel::receive(self.control()?, &mut bytes) {
                Err(SyscallError { errno: sys::Errno::INTR, .. }) => continue,
                // What was sent before the other side went away unread by it: the answer is still to come.
                Err(SyscallError { errno: sys::Errno::CONNRESET, .. }) => continue,
                outcome => outcome?,
            };
            if len == 0 {
                return Ok(None);
            }
            match bytes.get(..len).and_then(Message::from_bytes) {
                Some(Message::Born { pid }) => self.note_birth(pid, fds),
                Some(message) => return Ok(Some((message, fds))),
                None => return Err(Cause::StageSilent.into()),
            }
        }
    }

    fn receive_terminal(&mut self, turn: u32) -> Result<(), Failure> {
        match self.receive()? {
            Some((number, mut fds)) if number == turn && fds.len() == 1 => {
                self.terminal = fds.pop();
                Ok(())
            }
            _ => Err(self.ended()),
        }
    }

    fn pass_listener(&mut self, turn: u32, socket: &Path) -> Result<(), Failure> {
        let fd = match self.receive_message()? {
            Some((Message::Listener { number, fd }, _)) if number == turn => fd,
            Some((Message::Failed { step, op, errno }, _)) => return Err(Failure::Stage { step, op, errno }),
            _ => return Err(self.ended()),
        };
        self.await_birth()?;
        let (pid, process) = self.process().ok_or(Cause::StageSilent)?;
        let listener = listener::fetch(process, fd)?;
        let metadata = self.launch.spec.linux.seccomp.as_ref();
        let metadata = metadata.map_or(String::new(), |seccomp| seccomp.listener_metadata.clone());
        let state = spec::State { pid, ..self.oci_state(spec::Status::Creating) };
        listener::send(state, metadata, &listener, socket)?;
        self.tell(turn, &[])
    }

    fn await_exec(&mut self) -> Result<(), Failure> {
        self.await_silence()?;
        match self.receive()? {
            None => match self.stage().and_then(Stage::failure) {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
            Some(_) => Err(Cause::StageSilent.into()),
        }
    }

    /// The socket has ended before its time.
    fn ended(&self) -> Failure {
        match self.stage().and_then(Stage::failure) {
            Some(error) => error.into(),
            None => Cause::StageSilent.into(),
        }
    }
}
