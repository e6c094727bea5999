//! What is told to the kernel by a process that nobody waits for.
//!
//! A link that is to be deleted is gone at once, but the kernel answers only when nobody can look at it any more (`rcu_barrier` in
//! `netdev_run_todo`): 10 to 30 ms on an idle machine. Who waits for a container's end does not have to wait for that.

use std::os::fd::{AsFd, AsRawFd};

use netlink::route::links::{self, Which};
use netlink::{Protocol, Requests, Socket};
use sys::raw;

use crate::error::Error;

/// Begins to delete links of this network namespace.
///
/// # Errors
/// There can be no socket, or no process.
pub(crate) fn delete_links<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let failed = |cause| Error::kernel("remove links", cause);
    let mut batch = Requests::new();
    names.for_each(|name| links::delete(&mut batch, Which::Named(name)));
    let mut socket = Socket::open(Protocol::Route).map_err(failed)?;
    let bytes = socket.sealed(&mut batch);
    let started = |errno| Error::call("remove links", sys::SyscallError::new("clone", "", errno));
    match raw::fork().map_err(started)? {
        // Here nothing is allocated: another thread may have been doing that. The second process is nobody's child.
        0 => {
            if let Ok(0) = raw::fork() {
                raw::set_name(c"holm-net-remove");
                // Locks, and pipes whose end somebody waits for.
                let own = socket.as_fd().as_raw_fd().unsigned_abs();
                if own > 0 {
                    let _ = raw::close_range(0, own - 1);
                }
                let _ = raw::close_range(own + 1, u32::MAX);
                let _ = rustix::io::write(&socket, bytes);
            }
            raw::exit(0)
        }
        child => {
            let _ = raw::wait4(child, 0);
            Ok(())
        }
    }
}
