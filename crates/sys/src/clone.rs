//! Starting a process from a sealed executable in new namespaces.
//!
//! [`spawn`] is clone3(2) with `CLONE_VM` and a stack of its own for the child, which does nothing but pass its descriptors
//! on, keep its capabilities if it has a user namespace, and execute the given file, or a copy that it makes. Sharing memory until then
//! saves copying page tables and the faults that follow; and since the child executes *before* anything of a container
//! is in reach, this program is never mapped in a process that a container can see (CVE-2019-5736).

#![allow(unsafe_code)]

mod between;
mod network;

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use crate::raw::{self, Fd, nr, syscall};
use crate::{Errno, SyscallError};

pub use between::spawn_joined;
pub use network::NewNetwork;

/// `CLONE_NEWTIME`, Linux 5.6. Not for [`spawn`]: its bit is part of the exit signal in older calls.
pub const CLONE_NEWTIME: u64 = 0x80;
/// `CLONE_NEWNS`
pub const CLONE_NEWNS: u64 = 0x0002_0000;
/// `CLONE_NEWCGROUP`, Linux 4.6.
pub const CLONE_NEWCGROUP: u64 = 0x0200_0000;
/// `CLONE_NEWUTS`
pub const CLONE_NEWUTS: u64 = 0x0400_0000;
/// `CLONE_NEWIPC`
pub const CLONE_NEWIPC: u64 = 0x0800_0000;
/// `CLONE_NEWUSER`
pub const CLONE_NEWUSER: u64 = 0x1000_0000;
/// `CLONE_NEWPID`
pub const CLONE_NEWPID: u64 = 0x2000_0000;
/// `CLONE_NEWNET`
pub const CLONE_NEWNET: u64 = 0x4000_0000;
/// All that [`spawn`] takes.
pub const NAMESPACES: u64 = CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
    | CLONE_NEWTIME;

/// The names of the kinds among `flags`, for errors: `net pid`.
pub(crate) fn names_of(flags: u64) -> String {
    let kinds = [
        (CLONE_NEWUSER, "user"),
        (CLONE_NEWPID, "pid"),
        (CLONE_NEWNS, "mnt"),
        (CLONE_NEWNET, "net"),
        (CLONE_NEWIPC, "ipc"),
        (CLONE_NEWUTS, "uts"),
        (CLONE_NEWCGROUP, "cgroup"),
        (CLONE_NEWTIME, "time"),
    ];
    let names: Vec<_> = kinds.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    names.join(" ")
}

/// What a process executes: a static executable.
#[derive(Debug, Clone, Copy)]
pub enum Executable<'a> {
    /// A file; best a sealed memfd.
    File(BorrowedFd<'a>),
    /// These bytes, which the process puts into a sealed memfd itself.
    Copy(&'static [u8]),
}

/// A process to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// What it executes.
    pub executable: Executable<'a>,
    /// Its name, `argv[0]`.
    pub name: &'static CStr,
    /// Its one argument, `argv[1]`.
    pub argument: CString,
    /// Descriptors that stay open in it, at the numbers they have here. All others are closed by close-on-exec.
    pub keep: &'a [BorrowedFd<'a>],
    /// New namespaces: `CLONE_NEW*`.
    pub namespaces: u64,
    /// The cgroup (v2) to start in; Linux 5.7.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A process that [`spawn`] started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id, as seen here.
    pub pid: i32,
    /// Its handle (Linux 5.3).
    pub pidfd: OwnedFd,
    trampoline: Box<Trampoline>,
}

impl Spawned {
    fn with_pid(mut self, pid: i32) -> Self {
        self.pid = pid;
        self
    }

    /// Waits until it has executed the file or ended: until then it shares its memory with this process.
    pub fn wait_until_apart(&self) {
        wait_until_zero(&self.trampoline.tid);
    }

    /// Whether it has made the copy that it executes, if it is to make one: it has been running then.
    pub fn has_begun(&self) -> bool {
        self.trampoline.copied.load(Ordering::Acquire)
    }

    /// Why nothing could be executed, if that is so. Only meaningful after the process has given up its descriptors.
    pub fn failure(&self) -> Option<SyscallError> {
        match self.trampoline.errno.load(Ordering::Acquire) {
            0 => None,
            errno => {
                let copied = self.trampoline.copied.load(Ordering::Acquire);
                let call = if copied { "execveat" } else { "memfd_create" };
                Some(SyscallError::new(call, "the in-container stage", Errno::from_raw(errno)))
            }
        }
    }
}

impl Drop for Spawned {
    /// Waits until the child no longer uses the memory it was lent, which is when it has executed or ended.
    fn drop(&mut self) {
        wait_until_zero(&self.trampoline.tid);
    }
}

/// Waits until the kernel clears this, as it does when a task lets go of the memory that it was lent (`CLONE_CHILD_CLEARTID`).
fn wait_until_zero(tid: &AtomicU32) {
    const FUTEX_WAIT: usize = 0;
    loop {
        let now = tid.load(Ordering::Acquire);
        if now == 0 {
            return;
        }
        // SAFETY: the kernel reads the integer, which is borrowed, and wakes whoever waits when it clears it.
        let _ = unsafe { syscall!(nr::FUTEX, tid.as_ptr(), FUTEX_WAIT, now, 0usize) };
    }
}

const STACK_WORDS: usize = 1024;

/// What the child needs between its birth and its execve, in memory that both share.
#[derive(Debug)]
#[repr(C, align(16))]
struct Trampoline {
    /// Not written here: most of it is never touched.
    stack: [MaybeUninit<u64>; STACK_WORDS],
    tid: AtomicU32,
    errno: AtomicI32,
    /// Whether there is a file to execute.
    copied: AtomicBool,
    work: Work,
    ambient: bool,
    keep: Vec<Fd>,
    arguments: [usize; 3],
    /// What the argument points to.
    _argument: CString,
}

/// What the child does.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Nothing.
    Hold,
    Execute(Fd),
    ExecuteCopy(&'static [u8]),
}

/// `struct clone_args` of clone3(2), up to `cgroup`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A process that does nothing, in new namespaces of its own: they last as long as it does. It ends when this is dropped.
#[derive(Debug)]
pub struct Holder {
    spawned: Spawned,
}

impl Holder {
    /// Its process id, as seen here.
    pub fn pid(&self) -> i32 {
        self.spawned.pid
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
        use std::os::fd::AsFd;
        let pidfd = self.spawned.pidfd.as_fd();
        // It may have ended already.
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
        let interrupted = Some(rustix::io::Errno::INTR);
        while waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).err() == interrupted {}
    }
}

/// Starts a process that holds new namespaces (`CLONE_NEW*`).
///
/// # Errors
/// Those of clone3(2).
///
/// # Kernel
/// As [`spawn`].
pub fn hold(namespaces: u64) -> Result<Holder, SyscallError> {
    let started = start(
        Work::Hold,
        c"",
        CString::default(),
        Vec::new(),
        namespaces,
        None,
        false,
        |args, trampoline| directly(args, trampoline, namespaces),
    );
    started.map(|spawned| Holder { spawned })
}

/// Starts a process.
///
/// # Errors
/// Those of clone3(2). That the file cannot be executed shows later: [`Spawned::failure`].
///
/// # Kernel
/// Linux 5.3; new namespaces need `CAP_SYS_ADMIN`, or `CLONE_NEWUSER` among them.
pub fn spawn(spawn: Spawn<'_>) -> Result<Spawned, SyscallError> {
    let namespaces = spawn.namespaces;
    with_arguments(spawn, false, |args, trampoline| directly(args, trampoline, namespaces))
}

fn directly(mut args: CloneArgs, trampoline: *mut Trampoline, namespaces: u64) -> Result<i32, SyscallError> {
    // SAFETY: `start` has laid out both as `clone_into` requires, and keeps the trampoline until the child has let go of it.
    let outcome = unsafe { clone_into(&mut args, child, trampoline) };
    outcome
        .map(|pid| pid as i32)
        .map_err(|errno| SyscallError::new("clone3", format!("flags {:#x}", namespaces & NAMESPACES), errno))
}

/// Starts a process by `go`, which makes the call and returns the process id. With `ambient` it keeps its capabilities over execve also
/// where it makes no user namespace.
fn with_arguments(
    spawn: Spawn<'_>,
    ambient: bool,
    go: impl FnOnce(CloneArgs, *mut Trampoline) -> Result<i32, SyscallError>,
) -> Result<Spawned, SyscallError> {
    let Spawn { executable, name, argument, keep, namespaces, cgroup } = spawn;
    let keep = keep.iter().map(|fd| Fd(fd.as_raw_fd())).collect();
    let work = match executable {
        Executable::File(file) => Work::Execute(Fd(file.as_raw_fd())),
        Executable::Copy(bytes) => Work::ExecuteCopy(bytes),
    };
    start(work, name, argument, keep, namespaces, cgroup, ambient, go)
}

#[allow(clippy::too_many_arguments, reason = "the fields of a `Spawn` and how it is done")]
fn start(
    work: Work,
    name: &'static CStr,
    argument: CString,
    keep: Vec<Fd>,
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    ambient: bool,
    go: impl FnOnce(CloneArgs, *mut Trampoline) -> Result<i32, SyscallError>,
) -> Result<Spawned, SyscallError> {
    const CLONE_VM: u64 = 0x100;
    const CLONE_PIDFD: u64 = 0x1000;
    const CLONE_CHILD_CLEARTID: u64 = 0x0020_0000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;

    let mut trampoline = Box::new(Trampoline {
        stack: [MaybeUninit::uninit(); STACK_WORDS],
        tid: AtomicU32::new(u32::MAX),
        errno: AtomicI32::new(0),
        copied: AtomicBool::new(!matches!(work, Work::ExecuteCopy(_))),
        work,
        ambient: ambient || namespaces & CLONE_NEWUSER != 0,
        keep,
        arguments: [name.as_ptr() as usize, argument.as_ptr() as usize, 0],
        _argument: argument,
    });
    let mut pidfd = -1i32;
    let mut args = CloneArgs {
        flags: CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | (namespaces & NAMESPACES),
        pidfd: &raw mut pidfd as u64,
        child_tid: trampoline.tid.as_ptr() as u64,
        exit_signal: SIGCHLD,
        stack: trampoline.stack.as_mut_ptr() as u64,
        stack_size: size_of_val(&trampoline.stack) as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // A handler of ours must not run on the child's small stack.
    let mask =
        raw::set_signal_mask(u64::MAX).map_err(|errno| SyscallError::new("rt_sigprocmask", "all", errno))?;
    let outcome = go(args, &raw mut *trampoline);
    let _ = raw::set_signal_mask(mask);
    let pid = outcome?;
    // SAFETY: the kernel has just opened this descriptor for us, at the number that it wrote before the call ended.
    let pidfd = unsafe { OwnedFd::from_raw_fd((&raw const pidfd).read_volatile()) };
    Ok(Spawned { pid, pidfd, trampoline })
}

/// clone3(2), whose child runs `entry` on its own stack.
///
/// # Safety
/// `args` must name a stack of the child's own, and all it points to, as well as `data`, must stay in place until the
/// child has executed or ended.
unsafe fn clone_into<T>(
    args: &mut CloneArgs,
    entry: extern "C" fn(*mut T) -> !,
    data: *mut T,
) -> Result<usize, Errno> {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the parent goes on behind label 2 with only rax, rcx and r11 changed. The child has an empty stack, aligned to 16
    // bytes, calls `entry` and never returns.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") nr::CLONE3 as isize => result,
            in("rdi") &raw mut *args,
            in("rsi") size_of::<CloneArgs>(),
            in("r8") data,
            in("r9") entry,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above, with x0 for the result.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "brk #1",
            "2:",
            in("x8") nr::CLONE3,
            inlateout("x0") &raw mut *args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x9") data,
            in("x10") entry,
            options(nostack),
        );
    }
    if result < 0 { Err(Errno::from_raw(-result as i32)) } else { Ok(result as usize) }
}

/// The child's life until execve: system calls only, no allocation, no lock, no thread-local variable.
extern "C" fn child(trampoline: *mut Trampoline) -> ! {
    // SAFETY: the parent keeps the trampoline in place and leaves all but the atomics alone.
    let trampoline = unsafe { &*trampoline };
    let errno = match prepare(trampoline) {
        Err(errno) => errno,
        Ok(file) => {
            let arguments = trampoline.arguments.as_ptr();
            let empty_environment = &raw const trampoline.arguments[2];
            let name = c"".as_ptr();
            // SAFETY: the argument table is the addresses of two terminated strings and 0; the environment table is that 0.
            let outcome = unsafe {
                syscall!(nr::EXECVEAT, file.0, name, arguments, empty_environment, raw::AT_EMPTY_PATH)
            };
            outcome.err().unwrap_or(Errno::NOEXEC)
        }
    };
    trampoline.errno.store(errno.raw(), Ordering::Release);
    raw::exit(127)
}

/// Waits to be killed; all signals are blocked. Without its parent nobody would do that.
fn hold_on() -> ! {
    const SIGKILL: u64 = 9;
    if raw::prctl(raw::PR_SET_PDEATHSIG, SIGKILL, 0).is_ok() {
        loop {
            let _ = raw::wait_signal();
        }
    }
    raw::exit(127)
}

/// Returns what is to be executed.
fn prepare(trampoline: &Trampoline) -> Result<Fd, Errno> {
    let file = match trampoline.work {
        Work::Hold => hold_on(),
        Work::Execute(file) => file,
        Work::ExecuteCopy(bytes) => sealed_copy(bytes)?,
    };
    trampoline.copied.store(true, Ordering::Release);
    for fd in &trampoline.keep {
        raw::set_close_on_exec(*fd, false)?;
    }
    if trampoline.ambient {
        keep_capabilities()?;
    }
    Ok(file)
}

fn sealed_copy(bytes: &[u8]) -> Result<Fd, Errno> {
    let file = raw::memfd_create(c"holm-init", true)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = raw::write(file, rest)?;
        rest = rest.get(written.max(1)..).unwrap_or(&[]);
    }
    raw::seal(file)?;
    Ok(file)
}

/// A process in a new user namespace has all capabilities there, but loses them when it executes while its ids have no
/// mapping (user_namespaces(7)). Ambient ones stay (capabilities(7), "Transformation of capabilities during execve()").
fn keep_capabilities() -> Result<(), Errno> {
    let mut sets = raw::capget()?;
    sets.inheritable = sets.permitted;
    raw::capset(&sets)?;
    for capability in 0..64 {
        if sets.permitted & 1 << capability != 0 {
            raw::prctl(raw::PR_CAP_AMBIENT, raw::PR_CAP_AMBIENT_RAISE, capability)?;
        }
    }
    Ok(())
}
