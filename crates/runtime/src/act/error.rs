//! A launch that failed, and why.

use std::fmt;

use init::ops::Op;
use report::{Explain, Hint, Kind};
use sys::{Errno, SyscallError, kind_of};

use super::Failure;
use super::hooks::HookFailed;
use crate::inputs::Launch;
use crate::plan::{Actor, Plan};
use crate::start::Tail;
use crate::state::StateError;

/// A container could not be started.
#[derive(Debug)]
pub struct LaunchError {
    doing: Doing,
    id: String,
    step: Box<StepFailed>,
    left: Vec<Cause>,
}

/// What a plan was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Launch,
    Enter,
    ChangeMounts,
}

/// The step that failed.
#[derive(Debug)]
struct StepFailed {
    what: String,
    number: u32,
    of: usize,
    actor: Actor,
    cause: Cause,
}

/// What failed in a step.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call of the engine.
    #[error(transparent)]
    Call(#[from] SyscallError),
    /// An operation on the cgroup.
    #[error(transparent)]
    Cgroup(cgroups::Error),
    /// systemd, asked for the container's cgroup.
    #[error(transparent)]
    Unit(crate::unit::UnitError),
    /// The container's record.
    #[error(transparent)]
    Record(StateError),
    /// A system call of the stage.
    #[error("{}", told(call, subject, *errno, *executing))]
    Stage {
        /// The call.
        call: &'static str,
        /// What it was called on.
        subject: String,
        /// Why it failed.
        errno: Errno,
        /// Whether it was the program itself that could not be executed.
        executing: bool,
    },
    /// A program that maps ids.
    #[error("{program}: {said}")]
    Helper {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A network device could not be moved.
    #[error("{device}: {error}")]
    Network {
        /// Its name on the host.
        device: String,
        /// What the kernel said.
        error: netlink::Error,
    },
    /// The caller's own part: connecting the container.
    #[error("{}", report::one_line(&**_0))]
    Connect(report::BoxedExplain),
    /// The filter for a hook that is started in the program's place.
    #[error(transparent)]
    Filter(Box<crate::plan::PlanError>),
    /// A hook.
    #[error(transparent)]
    Hook(Box<HookFailed>),
    /// Mounts that were made before the one that failed.
    #[error("{}", report::one_line(&**_0))]
    TakeBack(report::BoxedExplain),
    /// The stage ended without a word.
    #[error("the stage ended without saying why; it may have been killed, as by a memory limit")]
    StageSilent,
    /// A failure that a test asked for.
    #[error("a test asked for this failure")]
    Injected,
}

/// Engines tell from these words that a program is missing, or may not be executed.
fn told(call: &str, subject: &str, errno: Errno, executing: bool) -> String {
    match (executing, errno) {
        (false, _) => format!("{call}{}: {errno}", in_brackets(subject)),
        (true, Errno::NOENT | Errno::NOTDIR) if !subject.contains('/') => {
            format!("exec: \"{subject}\": executable file not found in $PATH")
        }
        (true, _) => format!("exec {subject}: {errno}"),
    }
}

fn in_brackets(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!("({subject})") }
}

impl LaunchError {
    pub(crate) fn new(
        doing: Doing,
        launch: &Launch,
        plan: &Plan,
        at: u32,
        failure: Failure,
        left: Vec<Cause>,
    ) -> Self {
        let (index, cause) = match failure {
            Failure::Here(cause) => (at, cause),
            Failure::Stage { step, op, errno } => {
                let op = plan.program().ops().get(op as usize).map(|(_, op)| *op);
                let cause = Cause::Stage {
                    call: op.map_or("program", Op::call),
                    subject: op.map_or(String::new(), |op| plan.program().subject(op)),
                    errno,
                    executing: matches!(op, Some(Op::Execute { .. } | Op::FindProgram { .. })),
                };
                (step, cause)
            }
        };
        let step = plan.steps().get(index as usize);
        Self {
            doing,
            id: launch.id.to_string(),
            step: Box::new(StepFailed {
                what: step.map_or_else(|| "start the stage".to_owned(), |step| step.what.clone()),
                number: index + 1,
                of: plan.steps().len(),
                actor: step.map_or(Actor::Stage, |step| step.actor),
                cause,
            }),
            left,
        }
    }

    /// A start that failed in an operation of the stage: the plan is another process's, which has left the end of it.
    pub(crate) fn of_start(id: &str, tail: &Tail, failure: Failure) -> Self {
        let (step, cause) = match failure {
            Failure::Here(cause) => (None, cause),
            Failure::Stage { step, op, errno } => {
                let known = tail.ops.iter().find(|known| known.op == op);
                let decoded = known.and_then(|known| Op::decode(known.code, &known.words));
                let cause = Cause::Stage {
                    call: decoded.map_or("program", Op::call),
                    subject: known.map_or_else(String::new, |known| known.subject.clone()),
                    errno,
                    executing: matches!(decoded, Some(Op::Execute { .. })),
                };
                (Some((step, known.map(|known| known.what.clone()))), cause)
            }
        };
        let (actor, number, what) = match step {
            Some((step, what)) => (Actor::Stage, step + 1, what.unwrap_or_default()),
            None => (Actor::Engine, tail.steps as u32, "start the program".to_owned()),
        };
        let step = StepFailed { what, number, of: tail.steps, actor, cause };
        Self { doing: Doing::Launch, id: id.to_owned(), step: Box::new(step), left: Vec::new() }
    }

    /// What could not be undone.
    pub fn left(&self) -> &[Cause] {
        &self.left
    }

    /// The number of the step that failed, counted from 1.
    pub fn step(&self) -> u32 {
        self.step.number
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.doing {
            Doing::Launch => write!(f, "cannot start container `{}`", self.id)?,
            Doing::Enter => write!(f, "cannot start a program in container `{}`", self.id)?,
            Doing::ChangeMounts => write!(f, "cannot change the mounts of container `{}`", self.id)?,
        }
        if !self.left.is_empty() {
            write!(f, " (left behind: ")?;
            for (index, cause) in self.left.iter().enumerate() {
                write!(f, "{}{cause}", if index == 0 { "" } else { "; " })?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.step)
    }
}

impl Explain for LaunchError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&*self.step)
    }
}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.actor {
            Actor::Engine => "",
            Actor::Stage => ", in the container",
        };
        write!(f, "{}  (step {} of {}{place})", self.what, self.number, self.of)
    }
}

impl std::error::Error for StepFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl Explain for StepFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
}

impl Explain for Cause {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            // Those are transparent: what they show is the error itself, so its cause comes next.
            Self::Call(_) => None,
            Self::Cgroup(cause) => cause.below(),
            Self::Unit(cause) => cause.below(),
            Self::Record(cause) => cause.below(),
            Self::Filter(cause) => cause.below(),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Call(cause) => cause.kind(),
            Self::Cgroup(cause) => cause.kind(),
            Self::Unit(cause) => cause.kind(),
            Self::Record(cause) => cause.kind(),
            Self::Stage { executing: true, errno, .. } => match *errno {
                Errno::NOENT | Errno::NOTDIR => Kind::CommandNotFound,
                _ => Kind::CommandNotExecutable,
            },
            Self::Stage { errno, .. } => kind_of(*errno),
            Self::Network { error, .. } => error.kind(),
            Self::Connect(cause) | Self::TakeBack(cause) => cause.kind(),
            Self::Filter(cause) => cause.kind(),
            Self::Hook(cause) => cause.kind(),
            Self::Helper { .. } => Kind::PermissionDenied,
            Self::StageSilent => Kind::ResourceExhausted,
            Self::Injected => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Cgroup(cause) => cause.hint(),
            Self::Unit(cause) => cause.hint(),
            Self::Record(cause) => cause.hint(),
            Self::Connect(cause) => report::first_hint(&**cause),
            Self::Filter(cause) => cause.hint(),
            Self::Hook(cause) => cause.hint(),
            Self::Call(SyscallError { call: "fsopen", errno: Errno::NODEV, .. })
            | Self::Stage { call: "fsopen", errno: Errno::NODEV, executing: false, .. } => Some(Hint::new(
                "this kernel does not have that file system; without overlay a root directory is only changed itself, with --rootfs-write",
            )),
            Self::Stage { executing: true, errno, .. } => match *errno {
                Errno::NOENT => Some(Hint::new(
                    "is the program in the container's root? A script needs its interpreter there, a dynamic program its loader",
                )),
                Errno::ACCES => Some(Hint::new(
                    "the file must be executable for the container's user, on a mount without `noexec`",
                )),
                Errno::NOEXEC => Some(Hint::new(
                    "the file is no program for this machine; a script needs `#!` and an interpreter in its first line",
                )),
                _ => None,
            },
            Self::Stage { call: "move_mount" | "fsmount" | "fsconfig", errno: Errno::PERM, .. } => {
                Some(Hint::new(
                    "in a user namespace the kernel mounts an overlay since Linux 5.11 (before, use --rootfs-write), and /proc and /sys \
                     only where the outer ones are fully visible; inside another container start that with `--security-opt systempaths=unconfined`",
                ))
            }
            Self::Stage { call: "openat2" | "move_mount", errno: Errno::LOOP, .. } => Some(Hint::new(
                "proc and sysfs must be mounted on ordinary directory, not on a link: what is written and hidden there would be redirected",
            )),
            Self::Stage { call: "sched_setattr", errno: Errno::PERM, .. } => Some(Hint::new(
                "a deadline process scheduler can't be used together with AllowedCPUs (linux.resources.cpu.cpus): it wants every processor; \
                 other policies take CAP_SYS_NICE",
            )),
            Self::Stage { call: "setns", errno: Errno::PERM, .. } => Some(Hint::new(
                "a namespace can be joined only with rights over it: one that the host's user namespace owns is closed to a \
                 container with a user namespace of its own. Start this one with `--userns host`",
            )),
            Self::Stage { call: "umount2", errno: Errno::INVAL, .. } => Some(Hint::new(
                "nothing is mounted exactly there; in the container /proc/self/mountinfo lists what is",
            )),
            Self::Stage { call: "umount2", errno: Errno::BUSY, .. } => {
                Some(Hint::new("this leads to the container's root, which stays"))
            }
            Self::Stage { call: "pivot_root", errno: Errno::INVAL, .. } => {
                Some(Hint::new("the root of this system is an initramfs, which pivot_root(2) cannot leave"))
            }
            Self::Helper { .. } => Some(Hint::new(
                "install the package uidmap, and give the user a range in /etc/subuid and /etc/subgid; `holm doctor` shows both",
            )),
            Self::StageSilent => {
                Some(Hint::new("raise the memory limit; the kernel's log tells of a process killed by it"))
            }
            _ => None,
        }
    }
}
