//! Device rules on v2: loading the program and putting it on the group.

use std::os::fd::AsFd;

use sys::{Errno, SyscallError};

use super::Cgroup;
use crate::controller::devices::DeviceProgram;
use crate::dir::Dir;
use crate::error::Error;

impl Cgroup {
    /// Puts device rules on a new group of v2, where [`Cgroup::create`] was given none.
    ///
    /// # Errors
    /// [`Error::DeviceProgram`] when the kernel refuses the program.
    pub fn confine(&self, program: &DeviceProgram) -> Result<(), Error> {
        self.v2().map_or(Ok(()), |group| attach(&group.dir, program, !group.taken_over))
    }
}

/// Attaches `program` in the place of what is attached now, without a moment in which neither holds. On a `new` group there is nothing.
pub(super) fn attach(dir: &Dir, program: &DeviceProgram, new: bool) -> Result<(), Error> {
    let failed = |cause| Error::DeviceProgram { group: dir.path(), cause, verifier_log: String::new() };
    let group = dir
        .open_self()
        .map_err(|errno| failed(SyscallError::new("openat", dir.path().display().to_string(), errno)))?;
    let loaded = sys::bpf::load_device_program(program.instructions()).map_err(|refused| {
        Error::DeviceProgram { group: dir.path(), cause: refused.cause, verifier_log: refused.verifier_log }
    })?;
    let before = if new { Vec::new() } else { sys::bpf::attached(group.as_fd()).map_err(failed)? };
    // With one program before, the kernel swaps it (5.6). With several, or on an older kernel, the new one is
    // added first: all of them have to agree, so meanwhile less is allowed and never more.
    if let [only] = before.as_slice() {
        match sys::bpf::attach(group.as_fd(), loaded.as_fd(), Some(only.as_fd())) {
            Ok(()) => return Ok(()),
            Err(error) if error.errno == Errno::INVAL => {}
            Err(error) => return Err(failed(error)),
        }
    }
    sys::bpf::attach(group.as_fd(), loaded.as_fd(), None).map_err(failed)?;
    before.iter().try_for_each(|old| sys::bpf::detach(group.as_fd(), old.as_fd())).map_err(failed)
}
