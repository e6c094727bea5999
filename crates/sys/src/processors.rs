//! Who runs where.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Moves a new task, a process or a thread, to another processor than this one: it would wait here until this thread sleeps, or keep it
/// waiting. With `on_any` it may then run on every processor, otherwise on those where this thread may. The scheduler may take it back at
/// any time.
pub fn push_away(task: i32, on_any: bool) {
    let Ok(mut all) = sched_getaffinity(None) else { return };
    if all.count() < 2 && !on_any {
        return;
    }
    let mut others = all;
    others.unset(crate::raw::processor());
    if on_any {
        (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    }
    // Best effort: the task may have ended already.
    if let Some(task) = Pid::from_raw(task)
        && (sched_setaffinity(Some(task), &others).is_ok() || on_any)
    {
        let _ = sched_setaffinity(Some(task), &all);
    }
}

/// Moves a task that has not run yet to this processor, when this thread is about to sleep: where it was sent, another may have more to do
/// than it seemed.
pub fn pull_here(task: i32) {
    let Ok(all) = sched_getaffinity(None) else { return };
    let mut here = CpuSet::new();
    here.set(crate::raw::processor());
    // Best effort, as above.
    if let Some(task) = Pid::from_raw(task)
        && sched_setaffinity(Some(task), &here).is_ok()
    {
        let _ = sched_setaffinity(Some(task), &all);
    }
}
