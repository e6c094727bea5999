//! Performing a plan: the engine's side.
//!
//! [`launch`] goes through the acts in their order. Everything that an act leaves on the host becomes a [`Made`] with its own way
//! of being undone; when an act or the stage fails, the list is undone from its end. When all goes well it belongs to
//! [`Running`], which undoes it when the container has ended.

mod error;
pub(crate) mod hooks;
mod ids;
mod running;
mod spawn;
mod trees;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use cgroups::Cgroup;
use init::message::{self, Message};
use sys::{SyscallError, channel};

use crate::inputs::Launch;
use crate::plan::{Act, HookPoint, Plan, Produced};
use crate::start::Tail;
use crate::state::{Claim, StateRoot};
use crate::unit::RecordedUnit;

pub use error::{Cause, LaunchError};
pub use hooks::{HookEnd, HookFailed};
pub use running::{Exit, Running};
use spawn::Stage;

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
    let mut performing = Performing {
        launch,
        plan,
        state,
        made: Vec::with_capacity(4),
        fds: Vec::with_capacity(8),
        control: None,
        terminal: None,
        hooked: false,
    };
    for (step, act) in plan.acts() {
        let failure = match performing.perform(act) {
            Ok(()) if plan.fails_after(*step) => Failure::Here(Cause::Injected),
            Ok(()) => continue,
            Err(failure) => failure,
        };
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
        return Err(LaunchError::new(launch, plan, *step, failure, left));
    }
    let Performing { made, terminal, .. } = performing;
    if let Some(Made::Record(claim)) = made.first() {
        claim.unlock();
    }
    Ok(Running::new(launch, made, terminal))
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
    state: &'a StateRoot,
    made: Vec<Made>,
    /// What acts yielded, in order.
    fds: Vec<OwnedFd>,
    /// The socket to the stage.
    control: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
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

    fn perform(&mut self, act: &Act) -> Result<(), Failure> {
        match act {
            Act::Record => {
                let groups = self.plan.cgroups();
                let tail = Tail::of(self.plan);
                let claim = self.state.claim(self.launch, &groups, &tail).map_err(Cause::Record)?;
                self.made.push(Made::Record(claim));
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
            Act::Spawn { namespaces, into_cgroup, pid_namespace } => {
                self.spawn(*namespaces, *into_cgroup, *pid_namespace)?;
            }
            Act::MapIds(maps) => ids::write_maps(self.pid(), maps)?,
            Act::OpenUserNamespace => self.fds.push(ids::open_user_namespace(self.pid())?),
            Act::Tell { turn, fds } => self.tell(*turn, fds)?,
            Act::ReceiveTerminal { turn } => self.receive_terminal(*turn)?,
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
                hooks::run(*point, &self.launch.spec.hooks, &state)
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
    ) -> Result<(), Failure> {
        let pid_namespace = pid_namespace.map(|produced| self.fd(produced).as_fd());
        let inherited: Vec<_> = self.plan.inherited().iter().map(|fd| self.fd(*fd).as_fd()).collect();
        let cgroup = self.made.iter().find_map(|made| match made {
            Made::Cgroup { cgroup, .. } if into_cgroup => Some(cgroup),
            _ => None,
        });
        let directory = match cgroup {
            Some(cgroup) => cgroup.joining().map_err(Cause::Cgroup)?.clone_into,
            None => None,
        };
        let (control, stage) = Stage::start(
            self.plan,
            namespaces,
            pid_namespace,
            &inherited,
            directory.as_ref().map(AsFd::as_fd),
        )?;
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
    fn receive(&self) -> Result<Option<(u32, Vec<OwnedFd>)>, Failure> {
        let mut bytes = [0; message::LEN];
        let control = self.control()?;
        let (len, fds) = loop {
            match channel::receive(control, &mut bytes) {
                Err(SyscallError { errno: sys::Errno::INTR, .. }) => {}
                // What was sent before the other side went away unread by it: the answer is still to come.
                Err(SyscallError { errno: sys::Errno::CONNRESET, .. }) => {}
                outcome => break outcome?,
            }
        };
        if len == 0 {
            return Ok(None);
        }
        match bytes.get(..len).and_then(Message::from_bytes) {
            Some(Message::Turn { number }) => Ok(Some((number, fds))),
            Some(Message::Failed { step, op, errno }) => Err(Failure::Stage { step, op, errno }),
            None => Err(Cause::StageSilent.into()),
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

    fn await_exec(&mut self) -> Result<(), Failure> {
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
