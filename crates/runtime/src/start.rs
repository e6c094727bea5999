//! Starting a container that waits.
//!
//! Its stage waits on a socket. Whoever connects talks to the stage as the creator did, and learns from the socket's end that the
//! program runs, or from a message why not. The plan is the creator's; what its last steps were is kept as a [`Tail`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use init::message::{self, Message};
use init::ops::{ARGUMENTS, Op};
use serde::{Deserialize, Serialize};
use spec::Status;
use sys::{Errno, SyscallError, channel};

use crate::act::hooks::{self, Surroundings};
use crate::act::{Cause, Confinement, Failure, LaunchError, listener};
use crate::container::{Container, ContainerError};
use crate::plan::{Act, HookPoint, Plan, START};
use crate::state::start_name;

/// The operations that the stage performs when it is started, for the sentence that tells of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// How many steps the plan has.
    pub(crate) steps: usize,
    pub(crate) ops: Vec<TailOp>,
    /// Who gets the listener of the filter, and the turn that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<(u32, PathBuf)>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TailOp {
    pub(crate) op: u32,
    pub(crate) what: String,
    pub(crate) code: u32,
    pub(crate) words: [u64; ARGUMENTS],
    pub(crate) subject: String,
}

impl Tail {
    pub(crate) fn of(plan: &Plan) -> Self {
        let program = plan.program();
        let behind = program.ops().iter().position(|(_, op)| matches!(op, Op::Accept { .. }));
        let Some(behind) = behind else { return Self::default() };
        let tail = |(index, (step, op)): (usize, &(u32, Op))| {
            let (code, words) = op.encode();
            let what = plan.steps().get(*step as usize).map_or_else(String::new, |step| step.what.clone());
            TailOp { op: index as u32, what, code, words, subject: program.subject(*op) }
        };
        Self {
            steps: plan.steps().len(),
            ops: program.ops().iter().enumerate().skip(behind).map(tail).collect(),
            listener: plan.acts().iter().find_map(|(_, act)| match act {
                Act::PassListener { turn, socket, at_start: true } => Some((*turn, socket.clone())),
                _ => None,
            }),
        }
    }
}

impl Container {
    /// Starts the program of a container that waits for it. Of several processes that do so at once, one succeeds.
    ///
    /// # Errors
    /// When it does not wait, its program cannot be executed, or a hook fails: then the container is taken away.
    pub fn start(&mut self) -> Result<(), ContainerError> {
        self.lock()?;
        match self.status() {
            Status::Created => {}
            Status::Stopped => return Err(self.conflict("start", "has stopped")),
            Status::Creating => return Err(self.conflict("start", "is still being created")),
            Status::Running | Status::Paused => return Err(self.conflict("start", "was started already")),
        }
        let socket = match channel::connect_in(self.dir(), &start_name(self.id().as_str())) {
            Ok(socket) => socket,
            Err(_) if self.pid() == 0 => return Err(self.conflict("start", "has stopped")),
            Err(error) => return Err(self.start_failed(Failure::Here(error.into()))),
        };
        let hooks = self.hooks().clone();
        if !hooks.start_container.is_empty() {
            let confinement = Confinement::of(&*self.spec()?);
            let confinement = confinement.map_err(|cause| self.start_failed(Failure::Here(cause)))?;
            let held = Surroundings { root: None, confinement: Some(&confinement) };
            let state = self.state_as(Status::Created);
            if let Err(failed) = hooks::run(HookPoint::StartContainer, &hooks, &state, &held) {
                return Err(self.ruined(failed));
            }
        }
        let turn = Message::Turn { number: START }.to_bytes();
        // A stage that is gone has left its reason to be read.
        let _ = channel::send(&socket, &turn, &[]);
        let outcome = self.outcome(&socket);
        // Whatever came of it: the container waits no more.
        self.root().remove(&start_name(self.id().as_str()))?;
        outcome.map_err(|failure| self.start_failed(failure))?;
        let free = Surroundings::default();
        if let Err(failed) = hooks::run(HookPoint::Poststart, &hooks, &self.state_after_start(), &free) {
            return Err(self.ruined(failed));
        }
        self.unlock();
        Ok(())
    }

    fn start_failed(&self, failure: Failure) -> ContainerError {
        ContainerError::Start(Box::new(LaunchError::of_start(self.id().as_str(), &self.tail(), failure)))
    }

    /// A hook failed: the container ends and is taken away (runtime.md, "Lifecycle", 7 and 9).
    fn ruined(&mut self, failed: hooks::HookFailed) -> ContainerError {
        let error = self.start_failed(Failure::Here(Cause::Hook(Box::new(failed))));
        let _ = self.take_away();
        error
    }

    /// What the stage says last: nothing, and execve(2) closes the socket, or why it failed. Before that it may have a filter whose
    /// listener is somebody's.
    fn outcome(&self, socket: &OwnedFd) -> Result<(), Failure> {
        let mut bytes = [0; message::LEN];
        loop {
            let len = match channel::receive(socket, &mut bytes) {
                Err(SyscallError { errno: Errno::INTR | Errno::CONNRESET, .. }) => continue,
                Err(error) => return Err(Failure::Here(error.into())),
                Ok((0, _)) => return Ok(()),
                Ok((len, _)) => len,
            };
            match bytes.get(..len).and_then(Message::from_bytes) {
                Some(Message::Failed { step, op, errno }) => return Err(Failure::Stage { step, op, errno }),
                Some(Message::Listener { number, fd }) => self.pass_listener(socket, number, fd)?,
                _ => return Err(Failure::Here(Cause::StageSilent)),
            }
        }
    }

    fn pass_listener(&self, socket: &OwnedFd, number: u32, fd: i32) -> Result<(), Failure> {
        let (Some((turn, agent)), Some(process)) = (self.tail().listener, self.pidfd()) else {
            return Err(Failure::Here(Cause::StageSilent));
        };
        let metadata = self.spec().ok().and_then(|spec| spec.linux.seccomp.clone());
        let metadata = metadata.map_or(String::new(), |seccomp| seccomp.listener_metadata);
        let listener = listener::fetch(process.as_fd(), fd)?;
        listener::send(self.state_as(Status::Created), metadata, &listener, &agent)?;
        if turn != number {
            return Err(Failure::Here(Cause::StageSilent));
        }
        Ok(channel::send(socket, &Message::Turn { number: turn }.to_bytes(), &[])?)
    }
}
