//! A network namespace made by a thread that does nothing else.
//!
//! It is a bare task of this process: a few system calls on a stack of its own, without an allocation or a thread-local variable, so that
//! nothing of a thread library has to be set up and taken apart for it.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::{CLONE_NEWNET, CloneArgs, clone_into, wait_until_zero};
use crate::raw::{self, Fd};
use crate::{Errno, SyscallError};

/// A network namespace that is being made.
#[derive(Debug)]
pub struct NewNetwork {
    task: Box<Task>,
}

const STACK_WORDS: usize = 512;
/// No result yet.
const PENDING: i32 = i32::MIN;

#[derive(Debug)]
#[repr(C, align(16))]
struct Task {
    /// Not written here: most of it is never touched.
    stack: [MaybeUninit<u64>; STACK_WORDS],
    tid: AtomicU32,
    /// A descriptor, or an error number below 0.
    result: AtomicI32,
}

impl NewNetwork {
    /// Begins to make one, with its loopback interface up.
    ///
    /// # Errors
    /// Those of clone3(2).
    pub fn begin() -> Result<Self, SyscallError> {
        const CLONE_VM: u64 = 0x100;
        const CLONE_FS: u64 = 0x200;
        const CLONE_FILES: u64 = 0x400;
        const CLONE_SIGHAND: u64 = 0x800;
        const CLONE_THREAD: u64 = 0x1_0000;
        const CLONE_SYSVSEM: u64 = 0x4_0000;
        const CLONE_CHILD_CLEARTID: u64 = 0x0020_0000;
        let mut task = Box::new(Task {
            stack: [MaybeUninit::uninit(); STACK_WORDS],
            tid: AtomicU32::new(u32::MAX),
            result: AtomicI32::new(PENDING),
        });
        let mut args = CloneArgs {
            flags: CLONE_VM
                | CLONE_FS
                | CLONE_FILES
                | CLONE_SIGHAND
                | CLONE_THREAD
                | CLONE_SYSVSEM
                | CLONE_CHILD_CLEARTID,
            child_tid: task.tid.as_ptr() as u64,
            stack: task.stack.as_mut_ptr() as u64,
            stack_size: size_of_val(&task.stack) as u64,
            ..CloneArgs::default()
        };
        let failed = |call, errno| SyscallError::new(call, "a thread", errno);
        // A handler of ours must not run on the small stack.
        let mask = raw::set_signal_mask(u64::MAX).map_err(|errno| failed("rt_sigprocmask", errno))?;
        // SAFETY: the stack is the thread's own, and `task` stays in place until the kernel has cleared `tid`, which `drop` waits for.
        let outcome = unsafe { clone_into(&mut args, work, &raw mut *task) };
        let _ = raw::set_signal_mask(mask);
        match outcome {
            Ok(thread) => {
                crate::processors::push_away(thread as i32, false);
                Ok(Self { task })
            }
            Err(errno) => {
                task.tid.store(0, Ordering::Release);
                Err(failed("clone3", errno))
            }
        }
    }

    /// Waits until it is made.
    ///
    /// # Errors
    /// Those of unshare(2), and `EPERM` without `CAP_NET_ADMIN`.
    pub fn finish(self) -> Result<OwnedFd, SyscallError> {
        wait_until_zero(&self.task.tid);
        match self.task.result.swap(PENDING, Ordering::AcqRel) {
            // SAFETY: the thread has opened this descriptor for us, and has ended.
            fd if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            errno => Err(SyscallError::new("unshare", "network", Errno::from_raw(errno.saturating_neg()))),
        }
    }
}

impl Drop for NewNetwork {
    fn drop(&mut self) {
        wait_until_zero(&self.task.tid);
        if let fd @ 0.. = *self.task.result.get_mut() {
            let _ = raw::close(Fd(fd));
        }
    }
}

extern "C" fn work(task: *mut Task) -> ! {
    // SAFETY: whoever began this keeps the task in place, and leaves all but the atomics alone.
    let task = unsafe { &*task };
    let made = raw::unshare(CLONE_NEWNET).and_then(|()| raw::loopback_up()).and_then(|()| raw::own_network());
    let result = made.map_or_else(|errno| -errno.raw(), |fd| fd.0);
    task.result.store(result, Ordering::Release);
    raw::exit_thread()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_network_is_made_by_a_thread_and_this_one_stays_where_it_is() {
        if !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED a_network_is_made_by_a_thread_and_this_one_stays_where_it_is: only root can make a network namespace"
            );
            return;
        }
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
        let own = || inode(&std::fs::File::open("/proc/self/ns/net").unwrap().into());
        let before = own();
        let made = NewNetwork::begin().unwrap().finish().unwrap();
        assert_eq!(crate::ns::kind(&made).unwrap(), CLONE_NEWNET);
        assert_ne!(inode(&made), before);
        assert_eq!(own(), before);
        assert!(rustix::io::fcntl_getfd(&made).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        // One that nobody waits for is gone with the value.
        drop(NewNetwork::begin().unwrap());
    }
}
