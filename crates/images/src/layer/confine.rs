//! What a process that unpacks may still do: read and write the descriptors that it was given, and below its new root make files.
//!
//! A user namespace without ids (for an index) or a root of its own (for files), no new privileges, Landlock, limits, and a list of
//! system calls. What the kernel lacks of the outer layers is left out; the list of calls is never.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use sys::raw::{self, Capabilities, Fd, nr};
use sys::{Errno, SyscallError};

/// `RLIMIT_*`
const RLIMIT_FSIZE: u32 = 1;
const RLIMIT_CORE: u32 = 4;
const RLIMIT_NOFILE: u32 = 7;
const RLIMIT_AS: u32 = 9;
/// The most address space: names, attributes and the windows of inflaters, many times over.
const MAX_ADDRESS_SPACE: u64 = 4 << 30;
const MAX_FILES: u64 = 32;

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWIPC: u64 = 0x0800_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;

/// What files of an archive take: to give them to others, whatever their modes say, with capabilities, devices, and marks for overlayfs.
const CAPABILITIES: u64 = 1 // CAP_CHOWN
    | 1 << 1 // CAP_DAC_OVERRIDE
    | 1 << 3 // CAP_FOWNER
    | 1 << 4 // CAP_FSETID
    | 1 << 21 // CAP_SYS_ADMIN: trusted.* attributes
    | 1 << 27 // CAP_MKNOD
    | 1 << 31; // CAP_SETFCAP

/// Confines this process to reading and writing what it has open. Call it before there is a second thread.
///
/// # Errors
/// A kernel without seccomp filters.
pub(super) fn to_descriptors(max_file_bytes: u64) -> Result<(), SyscallError> {
    // Where user namespaces are forbidden the rest has to do.
    let _ = raw::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC);
    limits(max_file_bytes)?;
    let _ = raw::capset(&Capabilities::default());
    no_new_privileges()?;
    landlock(None)?;
    filter(BASE, &[])
}

/// Makes `directory` the root of this process, and confines it to making files there. Call it before there is a second thread.
///
/// # Errors
/// Without `CAP_SYS_ADMIN` over the mount namespace, or on a kernel without seccomp filters.
pub(super) fn to_directory(directory: OwnedFd, max_file_bytes: u64) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: Errno| SyscallError::new(call, "the directory to unpack into", errno);
    let directory = match rustix::process::geteuid().is_root() {
        true => directory,
        false => {
            be_root_of_a_user_namespace()?;
            again(&directory)?
        }
    };
    // Before the namespace is a new one: only what is mounted in one's own can be copied.
    let flags = raw::OPEN_TREE_CLONE | raw::AT_EMPTY_PATH;
    let root = raw::open_tree(Fd::from(&directory), c"", flags).map_err(failed("open_tree"))?;
    sys::mount::enter_private_namespace()?;
    raw::move_mount(root, Fd::CWD, c"/").map_err(failed("move_mount"))?;
    raw::fchdir(root).map_err(failed("fchdir"))?;
    // The copy shares what happens to it with its origin, if that is shared; as a root it may not (pivot_root(2)).
    raw::mount(None, c".", None, raw::MS_PRIVATE, None).map_err(failed("mount"))?;
    raw::pivot_root_here().map_err(failed("pivot_root"))?;
    raw::detach_mount(c".").map_err(failed("umount2"))?;
    let _ = raw::close(root);
    // From the directory as it was `..` leads out.
    drop(directory);
    limits(max_file_bytes)?;
    let now = raw::capget().map_err(failed("capget"))?;
    let kept = CAPABILITIES & now.permitted;
    raw::capset(&Capabilities { effective: kept, permitted: kept, inheritable: 0 })
        .map_err(failed("capset"))?;
    no_new_privileges()?;
    landlock(Some(c"/"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(rustix::fs::CWD, "/", flags, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", "the directory to unpack into", errno))?;
    filter(BASE, FILES)?;
    Ok(root)
}

/// An ordinary user becomes root of a user namespace in which only their own ids exist (user_namespaces(7)), and gets a mount namespace
/// that belongs to it.
fn be_root_of_a_user_namespace() -> Result<(), SyscallError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    raw::unshare(CLONE_NEWUSER | CLONE_NEWNS)
        .map_err(|errno| SyscallError::new("unshare", "user mnt", errno))?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        std::fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| SyscallError::new("write", format!("/proc/self/{file}"), error))?;
    }
    Ok(())
}

/// The same directory by a mount of this mount namespace: the namespace of an ordinary user is new already, and has copies of all mounts.
fn again(directory: &OwnedFd) -> Result<OwnedFd, SyscallError> {
    use std::os::fd::AsRawFd as _;
    let failed = |call| {
        move |errno: rustix::io::Errno| {
            SyscallError::new(call, "the directory to unpack into", Errno::from(errno))
        }
    };
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let path = rustix::fs::readlink(&link, Vec::new()).map_err(failed("readlink"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(rustix::fs::CWD, &path, flags, Mode::empty()).map_err(failed("openat"))?;
    let identity =
        |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).map_err(failed("fstat"));
    if identity(directory)? != identity(&found)? {
        return Err(failed("openat")(rustix::io::Errno::STALE));
    }
    Ok(found)
}

fn limits(max_file_bytes: u64) -> Result<(), SyscallError> {
    for (resource, limit) in [
        (RLIMIT_FSIZE, max_file_bytes),
        (RLIMIT_CORE, 0),
        (RLIMIT_NOFILE, MAX_FILES),
        (RLIMIT_AS, MAX_ADDRESS_SPACE),
    ] {
        // The caller's own limit may be lower.
        let hard = raw::rlimit(resource).map_or(limit, |(_, hard)| hard.min(limit));
        raw::set_rlimit(resource, hard, hard)
            .map_err(|errno| SyscallError::new("prlimit", format!("resource {resource}"), errno))?;
    }
    Ok(())
}

fn no_new_privileges() -> Result<(), SyscallError> {
    raw::prctl(raw::PR_SET_NO_NEW_PRIVS, 1, 0)
        .and_then(|_| raw::prctl(raw::PR_SET_DUMPABLE, 0, 0))
        .map(drop)
        .map_err(|errno| SyscallError::new("prctl", "no_new_privs", errno))
}

/// Governs all rights to files, and grants them below one place or nowhere.
fn landlock(below: Option<&std::ffi::CStr>) -> Result<(), SyscallError> {
    let failed = |call| move |errno| SyscallError::new(call, "the process that unpacks", errno);
    let rights = match raw::landlock_abi() {
        // The first version has no way to allow moving files between directories.
        Ok(1) if below.is_some() => return Ok(()),
        Ok(1) => (1 << 13) - 1,
        Ok(2) => (1 << 14) - 1,
        Ok(3 | 4) => (1 << 15) - 1,
        Ok(_) => (1u64 << 16) - 1,
        Err(_) => return Ok(()),
    };
    let rules = raw::landlock_create_ruleset(rights).map_err(failed("landlock_create_ruleset"))?;
    if let Some(place) = below {
        let place = raw::openat(Fd::CWD, place, raw::O_PATH | raw::O_DIRECTORY | raw::O_CLOEXEC, 0)
            .map_err(failed("openat"))?;
        raw::landlock_allow(rules, place, rights).map_err(failed("landlock_add_rule"))?;
        let _ = raw::close(place);
    }
    let outcome = raw::landlock_restrict_self(rules).map_err(failed("landlock_restrict_self"));
    let _ = raw::close(rules);
    outcome
}

/// Numbers of the calls on this processor, for both of the two that holm runs on.
const fn call(x86_64: u32, aarch64: u32) -> u32 {
    if cfg!(target_arch = "aarch64") { aarch64 } else { x86_64 }
}

/// What inflating, hashing, and writing to open files take.
const BASE: &[u32] = &[
    call(0, 63),    // read
    call(1, 64),    // write
    call(3, 57),    // close
    call(5, 80),    // fstat
    call(8, 62),    // lseek
    call(9, 222),   // mmap
    call(10, 226),  // mprotect
    call(11, 215),  // munmap
    call(12, 214),  // brk
    call(13, 134),  // rt_sigaction
    call(14, 135),  // rt_sigprocmask
    call(15, 139),  // rt_sigreturn
    call(17, 67),   // pread64
    call(18, 68),   // pwrite64
    call(20, 66),   // writev
    call(24, 124),  // sched_yield
    call(25, 216),  // mremap
    call(28, 233),  // madvise
    call(39, 172),  // getpid
    call(46, 211),  // sendmsg
    call(47, 212),  // recvmsg
    call(56, 220),  // clone, for the second thread
    call(60, 93),   // exit
    call(131, 132), // sigaltstack
    call(157, 167), // prctl, for the thread's name
    call(186, 178), // gettid
    call(200, 130), // tkill
    call(202, 98),  // futex
    call(204, 123), // sched_getaffinity
    call(218, 96),  // set_tid_address
    call(228, 113), // clock_gettime
    call(231, 94),  // exit_group
    call(234, 131), // tgkill
    call(273, 99),  // set_robust_list
    call(302, 261), // prlimit64
    call(318, 278), // getrandom
    call(334, 293), // rseq
    call(72, 25),   // fcntl
    call(77, 46),   // ftruncate
];

/// What making files takes besides.
const FILES: &[u32] = &[
    call(91, 52),   // fchmod
    call(93, 55),   // fchown
    call(190, 7),   // fsetxattr
    call(257, 56),  // openat
    call(258, 34),  // mkdirat
    call(259, 33),  // mknodat
    call(260, 54),  // fchownat
    call(262, 79),  // newfstatat
    call(263, 35),  // unlinkat
    call(268, 53),  // fchmodat
    call(452, 452), // fchmodat2
    call(264, 38),  // renameat
    call(316, 276), // renameat2
    call(265, 37),  // linkat
    call(266, 36),  // symlinkat
    call(280, 88),  // utimensat
    call(285, 47),  // fallocate
    call(332, 291), // statx
];

/// Puts a list of system calls into force for this thread and all that it starts; any other call ends the process. clone3(2) is
/// answered with `ENOSYS`, so that the C library takes clone(2), whose flags a filter can see: threads yes, processes no.
fn filter(base: &[u32], more: &[u32]) -> Result<(), SyscallError> {
    const LD_WORD: u16 = 0x20;
    const JEQ: u16 = 0x15;
    const JSET: u16 = 0x45;
    const RET: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const ENOSYS: u32 = 0x0005_0000 | 38;
    const CLONE_THREAD: u32 = 0x1_0000;
    const ARCH: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };
    const CLONE: u32 = call(56, 220);
    const CLONE3: u32 = 435;
    let mut program: Vec<(u16, u8, u8, u32)> = vec![
        (LD_WORD, 0, 0, 4),
        (JEQ, 1, 0, ARCH),
        (RET, 0, 0, KILL),
        (LD_WORD, 0, 0, 0),
        (JEQ, 0, 1, CLONE3),
        (RET, 0, 0, ENOSYS),
        (JEQ, 0, 4, CLONE),
        // The low half of the first argument, on both processors.
        (LD_WORD, 0, 0, 16),
        (JSET, 1, 0, CLONE_THREAD),
        (RET, 0, 0, KILL),
        (RET, 0, 0, ALLOW),
    ];
    // The number is still loaded where the jump over clone led.
    for number in base.iter().chain(more).filter(|number| **number != u32::MAX && **number != CLONE) {
        program.push((JEQ, 0, 1, *number));
        program.push((RET, 0, 0, ALLOW));
    }
    program.push((RET, 0, 0, KILL));
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for (code, yes, no, operand) in program {
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&[yes, no]);
        bytes.extend_from_slice(&operand.to_ne_bytes());
    }
    raw::seccomp_set_filter(0, &bytes)
        .map(drop)
        .map_err(|errno| SyscallError::new("seccomp", "the process that unpacks", errno))
}

// The numbers above are those of the calls that the rest of the house makes.
const _: () = assert!(nr::OPENAT == call(257, 56) as usize && nr::MKNODAT == call(259, 33) as usize);
