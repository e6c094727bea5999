//! Performing a change of a running container's mounts. When one of several mounts cannot be made, those before it go again.

use std::os::fd::BorrowedFd;

use init::ops::Op;
use spec::Mount;

use super::error::Doing;
use super::{Cause, Failure, LaunchError, Made, Performing, undo};
use crate::facts::HostFacts;
use crate::mount_change::{MountChange, What};
use crate::plan::{self, Plan};

/// Performs `plan`, which [`crate::plan::change_mounts()`] made on a host of these facts, on the container whose first process is
/// `target`.
///
/// # Errors
/// [`LaunchError`], which names the step that failed. Mounts that were made are taken away again; directories that were made for them
/// stay.
pub fn change_mounts(
    change: &MountChange,
    plan: &Plan,
    facts: &HostFacts,
    target: BorrowedFd<'_>,
) -> Result<(), LaunchError> {
    let Err(failed) = perform(change, plan, target) else { return Ok(()) };
    let (step, failure) = *failed;
    let mut left = Vec::new();
    if let (What::Add, Failure::Stage { op, .. }) = (change.what, &failure) {
        left.extend(take_back(change, made_before(change, plan, *op), facts, target));
    }
    Err(LaunchError::new(Doing::ChangeMounts, &change.launch, plan, step, failure, left))
}

fn perform(change: &MountChange, plan: &Plan, target: BorrowedFd<'_>) -> Result<(), Box<(u32, Failure)>> {
    let mut performing = Performing::of_running(&change.launch, plan, target);
    for (step, act) in plan.acts() {
        if let Err(failure) = performing.perform_or_fail(*step, act) {
            undo(std::mem::take(&mut performing.made));
            return Err(Box::new((*step, failure)));
        }
    }
    // It has said that it is done; what is left is its end.
    for made in performing.made {
        if let Made::Stage(stage) = made {
            let _ = stage.wait();
        }
    }
    Ok(())
}

/// The mounts that were attached before an operation of the program: each is attached by one.
fn made_before(change: &MountChange, plan: &Plan, op: u32) -> Vec<Mount> {
    let attaches = |op: &&(u32, Op)| matches!(op.1, Op::Attach { .. } | Op::MoveMount { .. });
    let attached = plan.program().ops().iter().take(op as usize).filter(attaches).count();
    let is_made = |mount: &&Mount| !mount.options.iter().any(|option| option == "remount");
    change.mounts().iter().filter(is_made).take(attached).cloned().collect()
}

fn take_back(
    change: &MountChange,
    mounts: Vec<Mount>,
    facts: &HostFacts,
    target: BorrowedFd<'_>,
) -> Option<Cause> {
    if mounts.is_empty() {
        return None;
    }
    let mut spec = change.launch.spec.clone().into_inner();
    spec.mounts = mounts;
    let failed = |error: report::BoxedExplain| Some(Cause::TakeBack(error));
    let spec = match spec::validate(spec) {
        Ok(spec) => spec,
        Err(error) => return failed(Box::new(error)),
    };
    let launch = crate::inputs::Launch { spec, ..change.launch.clone() };
    let change = MountChange { launch, what: What::Remove, ..*change };
    match plan::change_mounts(&change, facts) {
        Ok(plan) => match perform(&change, &plan, target) {
            Ok(()) => None,
            Err(cause) => {
                let (step, cause) = *cause;
                let (doing, launch) = (Doing::ChangeMounts, &change.launch);
                failed(Box::new(LaunchError::new(doing, launch, &plan, step, cause, Vec::new())))
            }
        },
        Err(error) => failed(Box::new(error)),
    }
}
