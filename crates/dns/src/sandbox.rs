//! What the answerer keeps of its rights: nothing but the sockets that it was given, and new ones towards resolvers.

use sys::filter::{Allowed, restrict};
use sys::raw::{self, nr};
use sys::{Errno, SyscallError};

/// `nobody`, which owns no files.
const NOBODY: u32 = 65534;
const RLIMIT_DATA: u32 = 2;
const RLIMIT_NOFILE: u32 = 7;
/// Far beyond what tables and queues need.
const MEMORY: u64 = 256 * 1024 * 1024;
/// More than all clients, questions on their way and networks.
const DESCRIPTORS: u64 = 4096;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const PROT_EXEC: u32 = 4;
const F_GETFD: u32 = 1;

/// What the answerer still calls: descriptors that it has, new connections over IP, memory without a right to execute,
/// the clock. No file can be opened, no program started, no process looked at.
const CALLS: &[Allowed] = &[
    Allowed::any(nr::EPOLL_PWAIT),
    Allowed::any(nr::EPOLL_CTL),
    Allowed::any(nr::RECVMMSG),
    Allowed::any(nr::SENDMMSG),
    Allowed::any(nr::RECVFROM),
    Allowed::any(nr::SENDTO),
    Allowed::any(nr::RECVMSG),
    Allowed::any(nr::SENDMSG),
    Allowed::any(nr::READ),
    Allowed::any(nr::PREAD64),
    Allowed::any(nr::WRITE),
    Allowed::any(nr::CLOSE),
    Allowed::any(nr::FSTAT),
    // How the standard library of a debug build looks at a descriptor before it is closed.
    Allowed { number: nr::FCNTL, argument: Some((1, &[F_GETFD])), without: None },
    Allowed::any(nr::ACCEPT4),
    Allowed { number: nr::SOCKET, argument: Some((0, &[AF_INET, AF_INET6])), without: None },
    Allowed::any(nr::CONNECT),
    Allowed::any(nr::GETSOCKOPT),
    Allowed::any(nr::GETRANDOM),
    Allowed::any(nr::CLOCK_GETTIME),
    Allowed::any(nr::FUTEX),
    Allowed::any(nr::BRK),
    Allowed { number: nr::MMAP, argument: None, without: Some((2, PROT_EXEC)) },
    Allowed { number: nr::MPROTECT, argument: None, without: Some((2, PROT_EXEC)) },
    Allowed::any(nr::MUNMAP),
    Allowed::any(nr::MREMAP),
    Allowed::any(nr::MADVISE),
    Allowed::any(nr::SIGALTSTACK),
    Allowed::any(nr::RT_SIGPROCMASK),
    Allowed::any(nr::RT_SIGRETURN),
    Allowed::any(nr::RESTART_SYSCALL),
    Allowed::any(nr::EXIT),
    Allowed::any(nr::EXIT_GROUP),
    // How a panic ends the process.
    Allowed::any(nr::GETPID),
    Allowed::any(nr::GETTID),
];

/// Gives up everything that is not needed to answer.
///
/// # Errors
/// When a right cannot be given up, in which case nothing is to be served.
pub(crate) fn enter() -> Result<(), SyscallError> {
    let failed = |call: &'static str, subject: &'static str| {
        move |errno: Errno| SyscallError::new(call, subject, errno)
    };
    // A limit above the one that is there is refused without CAP_SYS_RESOURCE; the smaller one then stays.
    for (resource, most) in [(RLIMIT_DATA, MEMORY), (RLIMIT_NOFILE, DESCRIPTORS)] {
        let (_, hard) = raw::rlimit(resource).map_err(failed("getrlimit", "own limits"))?;
        let most = most.min(hard);
        raw::set_rlimit(resource, most, most).map_err(failed("setrlimit", "own limits"))?;
    }
    // The bounding set needs CAP_SETPCAP; without it there is nothing in the other sets either.
    for capability in 0..64 {
        if raw::prctl(raw::PR_CAPBSET_DROP, capability, 0).is_err() {
            break;
        }
    }
    // In a user namespace there may be no such user (EINVAL), or no right to groups (EPERM): the capabilities go all the same.
    tolerate(raw::setgroups(&[]), &[Errno::PERM]).map_err(failed("setgroups", "none"))?;
    tolerate(raw::set_gid(NOBODY), &[Errno::PERM, Errno::INVAL]).map_err(failed("setresgid", "nobody"))?;
    tolerate(raw::set_uid(NOBODY), &[Errno::PERM, Errno::INVAL]).map_err(failed("setresuid", "nobody"))?;
    raw::capset(&raw::Capabilities::default()).map_err(failed("capset", "none"))?;
    raw::prctl(raw::PR_SET_DUMPABLE, 0, 0).map_err(failed("prctl", "PR_SET_DUMPABLE"))?;
    restrict(CALLS)
}

fn tolerate(outcome: Result<(), Errno>, these: &[Errno]) -> Result<(), Errno> {
    match outcome {
        Err(errno) if !these.contains(&errno) => Err(errno),
        _ => Ok(()),
    }
}
