//! perf(1) by group: the `perf_event` controller. It has neither limits nor statistics:
//! being a member is all.

use std::os::fd::OwnedFd;

use crate::cgroup::Cgroup;
use crate::error::Error;
use crate::layout::Controller;

/// A handle for perf_event_open(2) with `PERF_FLAG_PID_CGROUP`.
///
/// # Errors
/// [`Error::Missing`] without a hierarchy for it.
pub fn open(cgroup: &Cgroup) -> Result<OwnedFd, Error> {
    let missing = Error::Missing { what: "count events of the processor", needs: "perf_event controller" };
    let (_, dir) = cgroup.dir_serving(Controller::PerfEvent).ok_or(missing)?;
    dir.open_self().map_err(|errno| dir.failed("openat", "", errno))
}
