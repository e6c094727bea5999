//! Processes: identity, privileges, limits, scheduling, signals, execution.

use core::ffi::CStr;
use core::mem::size_of;

use super::{Fd, as_fd, nr, syscall, text};
use crate::Errno;

/// unshare(2) with `CLONE_NEW*` flags.
pub fn unshare(flags: u64) -> Result<(), Errno> {
    // SAFETY: an integer; only namespace flags are meant, which share no memory.
    unsafe { syscall!(nr::UNSHARE, flags) }.map(drop)
}

/// setns(2): joins the namespace that `fd` is, which must be of one of the `kinds` (`CLONE_NEW*`).
pub fn setns(fd: Fd, kinds: u64) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::SETNS, fd.arg(), kinds) }.map(drop)
}

/// setresuid(2) with one id for all three.
pub fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::SETRESUID, uid, uid, uid) }.map(drop)
}

/// setresgid(2) with one id for all three.
pub fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::SETRESGID, gid, gid, gid) }.map(drop)
}

/// setfsuid(2) of this thread; returns the id from before. It never fails, and what the id is afterwards only a second call tells.
pub fn set_filesystem_uid(uid: u32) -> u32 {
    // SAFETY: integers.
    unsafe { syscall!(nr::SETFSUID, uid) }.unwrap_or(0) as u32
}

/// setfsgid(2) of this thread; see [`set_filesystem_uid`].
pub fn set_filesystem_gid(gid: u32) -> u32 {
    // SAFETY: integers.
    unsafe { syscall!(nr::SETFSGID, gid) }.unwrap_or(0) as u32
}

/// setgroups(2); `groups` holds 32-bit ids in the machine's byte order.
pub fn setgroups(groups: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel copies `len / 4` integers out of the slice, at any alignment.
    unsafe { syscall!(nr::SETGROUPS, groups.len() / 4, groups.as_ptr()) }.map(drop)
}

/// setsid(2).
pub fn setsid() -> Result<(), Errno> {
    // SAFETY: no argument.
    unsafe { syscall!(nr::SETSID) }.map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    // SAFETY: an integer; the call cannot fail.
    let _ = unsafe { syscall!(nr::UMASK, mask) };
}

/// The three capability sets of a thread (capabilities(7)), bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What is in force.
    pub effective: u64,
    /// What may be in force.
    pub permitted: u64,
    /// What passes to programs that ask for it.
    pub inheritable: u64,
}

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// capget(2) of this thread.
pub fn capget() -> Result<Capabilities, Errno> {
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: the kernel reads a header of two integers and writes two records of three.
    unsafe { syscall!(nr::CAPGET, header.as_ptr(), data.as_mut_ptr())? };
    let set = |at: usize| u64::from(data[at]) | u64::from(data[at + 3]) << 32;
    Ok(Capabilities { effective: set(0), permitted: set(1), inheritable: set(2) })
}

/// capset(2) of this thread.
pub fn capset(sets: &Capabilities) -> Result<(), Errno> {
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let Capabilities { effective, permitted, inheritable } = *sets;
    let halves = |shift: u32| {
        [(effective >> shift) as u32, (permitted >> shift) as u32, (inheritable >> shift) as u32]
    };
    let data = [halves(0), halves(32)];
    // SAFETY: the kernel reads a header of two integers and two records of three.
    unsafe { syscall!(nr::CAPSET, header.as_ptr(), data.as_ptr()) }.map(drop)
}

/// `PR_SET_PDEATHSIG`
pub const PR_SET_PDEATHSIG: u64 = 1;
/// `PR_SET_DUMPABLE`
pub const PR_SET_DUMPABLE: u64 = 4;
/// `PR_SET_KEEPCAPS`
pub const PR_SET_KEEPCAPS: u64 = 8;
/// `PR_CAPBSET_DROP`
pub const PR_CAPBSET_DROP: u64 = 24;
/// `PR_SET_NO_NEW_PRIVS`
pub const PR_SET_NO_NEW_PRIVS: u64 = 38;
/// `PR_CAP_AMBIENT`
pub const PR_CAP_AMBIENT: u64 = 47;
/// `PR_CAP_AMBIENT_RAISE`
pub const PR_CAP_AMBIENT_RAISE: u64 = 2;
/// `PR_CAP_AMBIENT_CLEAR_ALL`
pub const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
/// `PR_SET_CHILD_SUBREAPER`
pub const PR_SET_CHILD_SUBREAPER: u64 = 36;

/// prctl(2), for the options that take numbers; any other is refused.
pub fn prctl(option: u64, argument: u64, second: u64) -> Result<usize, Errno> {
    const NUMERIC: [u64; 7] = [
        PR_SET_PDEATHSIG,
        PR_SET_DUMPABLE,
        PR_SET_KEEPCAPS,
        PR_CAPBSET_DROP,
        PR_SET_NO_NEW_PRIVS,
        PR_CAP_AMBIENT,
        PR_SET_CHILD_SUBREAPER,
    ];
    if !NUMERIC.contains(&option) {
        return Err(Errno::INVAL);
    }
    // SAFETY: these options take integers only.
    unsafe { syscall!(nr::PRCTL, option, argument, second) }
}

/// sethostname(2).
pub fn sethostname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the slice.
    unsafe { syscall!(nr::SETHOSTNAME, name.as_ptr(), name.len()) }.map(drop)
}

/// setdomainname(2).
pub fn setdomainname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the slice.
    unsafe { syscall!(nr::SETDOMAINNAME, name.as_ptr(), name.len()) }.map(drop)
}

/// Sets a limit of this process (prlimit(2)); `resource` is a `RLIMIT_*`, `u64::MAX` means unlimited.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = [soft, hard];
    // SAFETY: the kernel reads a `struct rlimit64` and writes none.
    unsafe { syscall!(nr::PRLIMIT64, 0usize, resource, limit.as_ptr(), 0usize) }.map(drop)
}

/// Soft and hard limit of this process (prlimit(2)).
pub fn rlimit(resource: u32) -> Result<(u64, u64), Errno> {
    rlimit_of(0, resource)
}

/// Soft and hard limit of a process, of this one for 0 (prlimit(2)); `EPERM` without `CAP_SYS_RESOURCE` for one of another user.
pub fn rlimit_of(pid: i32, resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes a `struct rlimit64` and reads none.
    unsafe { syscall!(nr::PRLIMIT64, pid, resource, 0usize, limit.as_mut_ptr())? };
    Ok((limit[0], limit[1]))
}

/// personality(2).
pub fn personality(persona: u64) -> Result<(), Errno> {
    // SAFETY: an integer.
    unsafe { syscall!(nr::PERSONALITY, persona) }.map(drop)
}

/// A new session keyring of this name for this process (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`); its serial number.
pub fn join_session_keyring(name: &CStr) -> Result<i32, Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, text(name)) }.map(|serial| serial as i32)
}

/// Sets who may do what with a key (keyctl(2), `KEYCTL_SETPERM`).
pub fn set_key_permissions(serial: i32, permissions: u32) -> Result<(), Errno> {
    const KEYCTL_SETPERM: usize = 5;
    // SAFETY: integers.
    unsafe { syscall!(nr::KEYCTL, KEYCTL_SETPERM, serial as isize, permissions) }.map(drop)
}

/// `struct sched_attr` of sched_setattr(2), its first version of 48 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Size of this structure: 48.
    pub size: u32,
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    /// Nice value, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// Static priority, for `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub runtime_ns: u64,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub deadline_ns: u64,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub period_ns: u64,
}

/// sched_setattr(2) of this thread.
pub fn sched_setattr(attr: &SchedAttr) -> Result<(), Errno> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attr };
    // SAFETY: the kernel reads as many bytes as the structure says it has.
    unsafe { syscall!(nr::SCHED_SETATTR, 0usize, &raw const attr, 0usize) }.map(drop)
}

/// sched_setaffinity(2) of this thread; `mask` holds a bit a processor, lowest first.
pub fn sched_setaffinity(mask: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the slice.
    unsafe { syscall!(nr::SCHED_SETAFFINITY, 0usize, mask.len(), mask.as_ptr()) }.map(drop)
}

/// The processor that this thread runs on right now (getcpu(2)); 0 where the kernel does not tell.
pub fn processor() -> usize {
    let mut number = 0u32;
    // SAFETY: the kernel writes an integer.
    match unsafe { syscall!(nr::GETCPU, &raw mut number, 0usize, 0usize) } {
        Ok(_) => number as usize,
        Err(_) => 0,
    }
}

/// ioprio_set(2) of this thread; class and level as `IOPRIO_PRIO_VALUE` joins them.
pub fn ioprio_set(priority: u64) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOPRIO_SET, IOPRIO_WHO_PROCESS, 0usize, priority) }.map(drop)
}

/// set_mempolicy(2); `nodes` holds a bit a node, lowest first, padded to a multiple of eight bytes.
pub fn set_mempolicy(mode: u32, nodes: &[u8]) -> Result<(), Errno> {
    // The kernel takes one bit less than it is told (set_mempolicy(2), "maxnode").
    let bits = nodes.len() * 8 + 1;
    // SAFETY: the kernel reads `bits - 1` bits of the slice.
    unsafe { syscall!(nr::SET_MEMPOLICY, mode as i32 as isize, nodes.as_ptr(), bits) }.map(drop)
}

/// seccomp(2), `SECCOMP_SET_MODE_FILTER`; `filter` is an array of `struct sock_filter` in bytes. With
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` in `flags` the result is the listener.
pub fn seccomp_set_filter(flags: u64, filter: &[u8]) -> Result<usize, Errno> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    #[repr(C)]
    struct SockFprog {
        len: u16,
        filter: *const u8,
    }
    let len = u16::try_from(filter.len() / 8).map_err(|_| Errno::INVAL)?;
    let program = SockFprog { len, filter: filter.as_ptr() };
    // SAFETY: the kernel copies `len` instructions of eight bytes out of the slice.
    unsafe { syscall!(nr::SECCOMP, SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
}

/// Gives signals 1 to 64 their default dispositions, ignored ones too (rt_sigaction(2)).
pub fn reset_signal_handlers() {
    // SIGKILL and SIGSTOP refuse, which is as well.
    (1..=64).for_each(reset_signal_handler);
}

/// Gives a signal its default disposition (rt_sigaction(2)). A caller that ignores SIGCHLD, which is inherited, would have the kernel
/// throw the status of children away (wait(2)).
pub fn reset_signal_handler(signal: u32) {
    // `struct kernel_sigaction`: handler (0 is `SIG_DFL`), flags, restorer, mask.
    let default = [0u64; 4];
    // SAFETY: the kernel reads a `struct sigaction` and writes none; no handler is installed.
    let _ = unsafe { syscall!(nr::RT_SIGACTION, signal, default.as_ptr(), 0usize, 8usize) };
}

/// Sets the mask of blocked signals of this thread, bit n-1 for signal n, and returns the mask before (rt_sigprocmask(2)).
pub fn set_signal_mask(mask: u64) -> Result<u64, Errno> {
    const SIG_SETMASK: usize = 2;
    let mut old = 0u64;
    // SAFETY: the kernel reads and writes eight bytes each.
    unsafe { syscall!(nr::RT_SIGPROCMASK, SIG_SETMASK, &raw const mask, &raw mut old, 8usize)? };
    Ok(old)
}

/// A descriptor that hands out signals of a set, bit n-1 for signal n, which have to be blocked (signalfd4(2)).
pub fn signal_descriptor(set: u64) -> Result<Fd, Errno> {
    const SFD_CLOEXEC: usize = 0x80000;
    // SAFETY: the kernel reads eight bytes.
    unsafe { syscall!(nr::SIGNALFD4, -1isize, &raw const set, 8usize, SFD_CLOEXEC) }.map(as_fd)
}

/// Waits until one of two descriptors can be read, and says which (ppoll(2)).
pub fn wait_readable(fds: [Fd; 2]) -> Result<[bool; 2], Errno> {
    const POLLIN: i16 = 1;
    #[repr(C)]
    struct Polled {
        fd: i32,
        events: i16,
        revents: i16,
    }
    let mut polled = fds.map(|fd| Polled { fd: fd.0, events: POLLIN, revents: 0 });
    // SAFETY: the kernel reads and writes two `struct pollfd`; without a time and a mask it waits for ever.
    unsafe { syscall!(nr::PPOLL, polled.as_mut_ptr(), 2usize, 0usize, 0usize, 0usize)? };
    Ok(polled.map(|one| one.revents != 0))
}

/// The process id as this process sees it.
pub fn getpid() -> i32 {
    // SAFETY: no argument; the call cannot fail.
    unsafe { syscall!(nr::GETPID) }.map_or(0, |pid| pid as i32)
}

/// kill(2).
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::KILL, pid as isize, signal) }.map(drop)
}

/// Sends a signal to the process of a handle (pidfd_send_signal(2)); 0 sends none and only looks.
pub fn pidfd_send_signal(pidfd: Fd, signal: i32) -> Result<(), Errno> {
    // SAFETY: integers; no information of the caller's own goes along.
    unsafe { syscall!(nr::PIDFD_SEND_SIGNAL, pidfd.arg(), signal, 0usize, 0usize) }.map(drop)
}

/// A copy of this process (clone(2) as fork(2)): 0 in the copy, its process id here.
pub fn fork() -> Result<i32, Errno> {
    const SIGCHLD: usize = 17;
    // SAFETY: no memory is shared and no stack is given, so the copy goes on where this process is.
    unsafe { syscall!(nr::CLONE, SIGCHLD) }.map(|pid| pid as i32)
}

/// A copy of this process whose parent is this process's parent (clone(2), `CLONE_PARENT`, `CLONE_PIDFD` of Linux 5.2): none in the
/// copy; here its process id, as seen here, and its handle, which is close-on-exec.
///
/// It is born in the pid namespace that setns(2) or unshare(2) have set for children, which this process itself is not in.
pub fn fork_sibling() -> Result<Option<(i32, Fd)>, Errno> {
    const CLONE_PIDFD: usize = 0x1000;
    const CLONE_PARENT: usize = 0x8000;
    const SIGCHLD: usize = 17;
    let mut pidfd = -1i32;
    // SAFETY: no memory is shared and no stack is given, so the copy goes on where this process is; the kernel writes one
    // integer here.
    let pid = unsafe {
        syscall!(nr::CLONE, CLONE_PARENT | CLONE_PIDFD | SIGCHLD, 0usize, &raw mut pidfd, 0usize, 0usize)?
    };
    Ok(if pid == 0 { None } else { Some((pid as i32, Fd(pidfd))) })
}

/// wait4(2) for a child (-1: any): its process id and wait status; with `WNOHANG` in `options` 0 when none is ready.
pub fn wait4(pid: i32, options: u32) -> Result<(i32, i32), Errno> {
    let mut status = 0i32;
    // SAFETY: the kernel writes one integer.
    let pid = unsafe { syscall!(nr::WAIT4, pid as isize, &raw mut status, options)? };
    Ok((pid as i32, status))
}

/// What processes have used (getrusage(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceUsage {
    /// Processor time in user mode, in nanoseconds.
    pub user_ns: u64,
    /// Processor time in the kernel, in nanoseconds.
    pub system_ns: u64,
    /// The most memory that one of them had at a time, in bytes.
    pub peak_memory_bytes: u64,
}

/// What those children of this process have used that it has waited for (getrusage(2), `RUSAGE_CHILDREN`).
pub fn children_usage() -> Result<ResourceUsage, Errno> {
    const RUSAGE_CHILDREN: isize = -1;
    // `struct rusage` is two times of two words and fourteen counters.
    let mut usage = [0u64; 18];
    // SAFETY: the kernel writes a `struct rusage` of 18 words.
    unsafe { syscall!(nr::GETRUSAGE, RUSAGE_CHILDREN, usage.as_mut_ptr())? };
    let time = |at: usize| usage[at] * 1_000_000_000 + usage[at + 1] * 1000;
    Ok(ResourceUsage { user_ns: time(0), system_ns: time(2), peak_memory_bytes: usage[4] * 1024 })
}

/// exit_group(2).
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: an integer; the call does not return.
        let _ = unsafe { syscall!(nr::EXIT_GROUP, code) };
    }
}

/// exit(2): ends the calling thread alone.
pub fn exit_thread() -> ! {
    loop {
        // SAFETY: an integer; the call does not return.
        let _ = unsafe { syscall!(nr::EXIT, 0usize) };
    }
}

/// Waits until one of the blocked signals arrives, whichever it is, and takes it (rt_sigtimedwait(2)).
pub fn wait_signal() -> Result<u32, Errno> {
    let all = u64::MAX;
    // SAFETY: the kernel reads eight bytes and, given null, writes no details and waits without limit.
    unsafe { syscall!(nr::RT_SIGTIMEDWAIT, &raw const all, 0usize, 0usize, 8usize) }
        .map(|signal| signal as u32)
}

/// The name of this thread as tools show it, cut to 15 bytes (`PR_SET_NAME`).
pub fn set_name(name: &CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the kernel reads a terminated string.
    let _ = unsafe { syscall!(nr::PRCTL, PR_SET_NAME, text(name)) };
}
