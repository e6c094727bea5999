//! When the steps of a launch began: for profiles, in plans made by [`Plan::stamped`] only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use sys::SyscallError;
use sys::raw::monotonic_ns;

use crate::plan::{Actor, Plan};

/// When something of a launch happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Whose step it is.
    pub actor: Actor,
    /// The step that begins, or "end".
    pub what: String,
    /// Nanoseconds of the monotonic clock (clock_gettime(2)).
    pub at_ns: u64,
}

/// Collects stamps while a plan is performed.
#[derive(Debug)]
pub(crate) struct Profile {
    file: OwnedFd,
    engine: Vec<(u32, u64)>,
}

impl Profile {
    /// Where a plan is stamped, a profile of it.
    pub(crate) fn of(plan: &Plan) -> Result<Option<Self>, SyscallError> {
        if plan.stamps().is_none() {
            return Ok(None);
        }
        let file = memfd_create(c"profile", MemfdFlags::CLOEXEC)
            .map_err(|errno| SyscallError::new("memfd_create", "profile", errno))?;
        Ok(Some(Self { file, engine: Vec::with_capacity(64) }))
    }

    /// What the stage writes its stamps to.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A step of the engine begins.
    pub(crate) fn begin(&mut self, step: u32) {
        self.engine.push((step, monotonic_ns()));
    }

    /// All stamps, in the order of time.
    pub(crate) fn finish(self, plan: &Plan) -> Vec<Stamp> {
        let end = monotonic_ns();
        let stage = plan.stamps().unwrap_or_default();
        let mut bytes = vec![0; stage.len() * 8];
        let read = rustix::io::pread(&self.file, &mut bytes, 0).unwrap_or(0);
        let times =
            bytes[..read].chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
        let all = self.engine.into_iter().chain(stage.iter().copied().zip(times));
        let mut stamps: Vec<_> = all
            .filter_map(|(step, at_ns)| {
                let step = plan.steps().get(step as usize)?;
                Some(Stamp { actor: step.actor, what: step.what.clone(), at_ns })
            })
            .collect();
        stamps.push(Stamp { actor: Actor::Engine, what: "end".to_owned(), at_ns: end });
        stamps.sort_by_key(|stamp| stamp.at_ns);
        stamps
    }
}
