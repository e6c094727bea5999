//! The default profile: what Docker allows, as of moby/profiles in June 2026.
//!
//! [`default_profile`] picks from [`GROUPS`] what applies; the table is all there is. Its equivalence to
//! Docker's own profile is proven call by call in `tests/docker_default.rs`.

use crate::arch::Arch;
use crate::compile::{CompileError, compile, filter_flags};
use crate::filter::Filter;
use crate::profile::{Action, Condition, EPERM, Flags, Op, Profile, Rule};

mod precompiled;

/// When a group of calls is allowed.
enum When {
    Always,
    /// From this kernel on.
    Kernel(u32, u32),
    /// On this machine, whichever interface the call comes through.
    Machine(&'static [Arch]),
    /// With a capability in the bounding set.
    Cap(u32),
    /// Without it.
    NoCap(u32),
}

struct Group {
    when: When,
    /// Separated by white space.
    calls: &'static str,
    action: Action,
    args: &'static [Condition],
}

const fn allow(when: When, calls: &'static str) -> Group {
    Group { when, calls, action: Action::Allow, args: &[] }
}

const fn allow_if(when: When, calls: &'static str, args: &'static [Condition]) -> Group {
    Group { when, calls, action: Action::Allow, args }
}

/// A condition on the first argument.
const fn first(op: Op, value: u64) -> Condition {
    Condition::constant(0, op, value, 0)
}

/// Numbers of capabilities (linux/capability.h).
mod cap {
    pub(super) const DAC_READ_SEARCH: u32 = 2;
    pub(super) const SYS_MODULE: u32 = 16;
    pub(super) const SYS_RAWIO: u32 = 17;
    pub(super) const SYS_CHROOT: u32 = 18;
    pub(super) const SYS_PTRACE: u32 = 19;
    pub(super) const SYS_PACCT: u32 = 20;
    pub(super) const SYS_ADMIN: u32 = 21;
    pub(super) const SYS_BOOT: u32 = 22;
    pub(super) const SYS_NICE: u32 = 23;
    pub(super) const SYS_TIME: u32 = 25;
    pub(super) const SYS_TTY_CONFIG: u32 = 26;
    pub(super) const SYSLOG: u32 = 34;
    pub(super) const PERFMON: u32 = 38;
    pub(super) const BPF: u32 = 39;
}

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (linux/sched.h).
const NEW_NAMESPACES: u64 = 0x7e02_0000;
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
const ENOSYS: u16 = 38;

/// ptrace could step around a filter before Linux 4.8 (CVE-2019-2054).
const PTRACE_IS_SAFE: When = When::Kernel(4, 8);

#[rustfmt::skip]
const GROUPS: &[Group] = &[
    // Files and directories.
    allow(When::Always, "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
        faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
        fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat
        getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount _llseek lseek lstat lstat64 mkdir
        mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2
        pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile
        sendfile64 splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs
        tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev"),
    allow(When::Always, "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
        llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat"),
    // Waiting for events.
    allow(When::Always, "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
        io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect poll ppoll
        ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create timerfd_gettime
        timerfd_gettime64 timerfd_settime timerfd_settime64"),
    // Memory.
    allow(When::Always, "brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock
        mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
        pkey_mprotect process_mrelease remap_file_pages"),
    // Processes, threads and signals.
    allow(When::Always, "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv
        futex_wake get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid gettid kill pause pidfd_open
        pidfd_send_signal prctl restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
        rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo set_robust_list
        set_thread_area set_tid_address setpgid setsid sigaltstack sigprocmask sigreturn tgkill tkill uretprobe vfork
        wait4 waitid waitpid"),
    // Who one is, and what one may.
    allow(When::Always, "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
        getresgid getresgid32 getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset
        landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
        setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32"),
    // Scheduling and limits.
    allow(When::Always, "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_getaffinity
        sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
        sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
        sched_setscheduler sched_yield setpriority setrlimit ugetrlimit"),
    // Time; setting the clock is the kernel's to refuse.
    allow(When::Always, "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
        clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time
        timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times"),
    // Sockets. The families of AF_VSOCK (out of the container to the hypervisor) and AF_ALG stay closed;
    // socketcall of 32-bit x86 leads past that, here as with Docker.
    allow(When::Always, "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
        recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair"),
    allow_if(When::Always, "socket", &[first(Op::Lt, AF_ALG)]),
    allow_if(When::Always, "socket", &[first(Op::Eq, AF_ALG + 1)]),
    allow_if(When::Always, "socket", &[first(Op::Gt, AF_VSOCK)]),
    // System V and POSIX messages, semaphores, shared memory.
    allow(When::Always, "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
        mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64
        shmat shmctl shmdt shmget"),
    // About the machine.
    allow(When::Always, "getrandom sysinfo uname"),

    // PER_LINUX, PER_LINUX32, UNAME26, both, and "which one is it".
    allow_if(When::Always, "personality", &[first(Op::Eq, 0)]),
    allow_if(When::Always, "personality", &[first(Op::Eq, 0x0008)]),
    allow_if(When::Always, "personality", &[first(Op::Eq, 0x2_0000)]),
    allow_if(When::Always, "personality", &[first(Op::Eq, 0x2_0008)]),
    allow_if(When::Always, "personality", &[first(Op::Eq, 0xffff_ffff)]),

    allow(PTRACE_IS_SAFE, "process_vm_readv process_vm_writev ptrace"),
    allow(When::Machine(&[Arch::Arm, Arch::Aarch64]), "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls
        sync_file_range2"),
    allow(When::Machine(&[Arch::X86_64, Arch::X32]), "arch_prctl"),
    allow(When::Machine(&[Arch::X86_64, Arch::X32, Arch::X86]), "modify_ldt"),

    // Threads and processes, but no namespaces. The flags of clone3 lie in memory, so libraries are told to
    // fall back to clone.
    allow_if(When::NoCap(cap::SYS_ADMIN), "clone", &[first(Op::MaskedEq, NEW_NAMESPACES)]),
    Group { when: When::NoCap(cap::SYS_ADMIN), calls: "clone3", action: Action::Errno(ENOSYS), args: &[] },

    allow(When::Cap(cap::SYS_ADMIN), "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open
        quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"),
    allow(When::Cap(cap::DAC_READ_SEARCH), "open_by_handle_at"),
    allow(When::Cap(cap::SYS_BOOT), "reboot"),
    allow(When::Cap(cap::SYS_CHROOT), "chroot"),
    allow(When::Cap(cap::SYS_MODULE), "delete_module finit_module init_module"),
    allow(When::Cap(cap::SYS_PACCT), "acct"),
    allow(When::Cap(cap::SYS_PTRACE), "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    allow(When::Cap(cap::SYS_RAWIO), "ioperm iopl"),
    allow(When::Cap(cap::SYS_TIME), "clock_settime clock_settime64 settimeofday stime"),
    allow(When::Cap(cap::SYS_TTY_CONFIG), "vhangup"),
    allow(When::Cap(cap::SYS_NICE), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    allow(When::Cap(cap::SYSLOG), "syslog"),
    allow(When::Cap(cap::BPF), "bpf"),
    allow(When::Cap(cap::PERFMON), "perf_event_open"),
];

/// The profile a container gets unless it asks for another: refuse with EPERM what Docker's profile does
/// not allow.
///
/// `bounding` has bit n set for capability n of the container's bounding set, `kernel` is the running
/// version (`(6, 18)`), `machine` the architecture of the container's programs. The interfaces that go with
/// it (x86 and x32, 32-bit Arm) are covered as well.
pub fn default_profile(bounding: u64, kernel: (u32, u32), machine: Arch) -> Profile {
    let applies = |when: &When| match when {
        When::Always => true,
        When::Kernel(major, minor) => kernel >= (*major, *minor),
        When::Machine(machines) => machines.contains(&machine),
        When::Cap(cap) => bounding >> cap & 1 == 1,
        When::NoCap(cap) => bounding >> cap & 1 == 0,
    };
    let rule = |group: &Group| Rule {
        names: group.calls.split_ascii_whitespace().map(Into::into).collect(),
        action: group.action,
        args: group.args.to_vec(),
    };
    Profile {
        default_action: Action::Errno(EPERM),
        architectures: interfaces(machine),
        flags: Flags::not_given(kernel),
        rules: GROUPS.iter().filter(|group| applies(&group.when)).map(rule).collect(),
    }
}

/// [`default_profile`], compiled.
///
/// For the capabilities that containers usually have on x86_64 and Linux 4.8 or later the program is part
/// of the binary: no work at all.
pub fn default_filter(bounding: u64, kernel: (u32, u32), machine: Arch) -> Result<Filter, CompileError> {
    if bounding & CAPS_THAT_MATTER == USUAL_CAPS && kernel >= (4, 8) && machine == Arch::X86_64 {
        return Ok(Filter::new(precompiled::USUAL, filter_flags(Flags::not_given(kernel), false)));
    }
    compile(&default_profile(bounding, kernel, machine), machine)
}

/// Of the capabilities that [`GROUPS`] asks for, containers have this one by default.
const USUAL_CAPS: u64 = 1 << cap::SYS_CHROOT;

/// The capabilities that change the profile.
const CAPS_THAT_MATTER: u64 = {
    let (mut caps, mut i) = (0, 0);
    while i < GROUPS.len() {
        if let When::Cap(cap) | When::NoCap(cap) = GROUPS[i].when {
            caps |= 1 << cap;
        }
        i += 1;
    }
    caps
};

/// The interfaces Docker's profile lists for a machine.
fn interfaces(machine: Arch) -> Vec<Arch> {
    match machine {
        Arch::X86_64 => vec![Arch::X86_64, Arch::X86, Arch::X32],
        Arch::Aarch64 => vec![Arch::Aarch64, Arch::Arm],
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;
    use std::fmt::Write as _;

    /// `UPDATE_EXPECT=1 cargo test -p holm-seccomp precompiled` writes the file anew.
    #[test]
    fn the_precompiled_filter_is_what_the_compiler_makes() {
        let profile = default_profile(USUAL_CAPS, (6, 18), Arch::X86_64);
        let filter = compile(&profile, Arch::X86_64).unwrap();
        let mut text = "//! The default profile for the capabilities containers usually have, on x86_64, compiled.\n//!\n\
             //! Written by the test `the_precompiled_filter_is_what_the_compiler_makes`; not by hand.\n\n\
             use crate::filter::Instruction;\n\n\
             const fn i(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {\n    Instruction { code, jt, jf, k }\n}\n\n\
             #[rustfmt::skip]\npub(super) static USUAL: &[Instruction] = &[\n"
            .to_owned();
        for line in filter.instructions().chunks(5) {
            let cells = line.iter().map(|at| format!("i({:#x}, {}, {}, {:#x})", at.code, at.jt, at.jf, at.k));
            let _ = writeln!(text, "    {},", cells.collect::<Vec<_>>().join(", "));
        }
        text.push_str("];\n");
        expect_file!["docker/precompiled.rs"].assert_eq(&text);
        assert_eq!(default_filter(USUAL_CAPS, (6, 18), Arch::X86_64), Ok(filter));
    }

    #[test]
    fn capabilities_that_do_not_matter_do_not_keep_the_precompiled_filter_away() {
        for bounding in [USUAL_CAPS, 0xa804_25fb, !CAPS_THAT_MATTER | USUAL_CAPS, 0, u64::MAX] {
            for kernel in [(4, 4), (4, 8), (4, 17), (6, 18)] {
                let compiled = compile(&default_profile(bounding, kernel, Arch::X86_64), Arch::X86_64);
                assert_eq!(default_filter(bounding, kernel, Arch::X86_64), compiled);
            }
        }
    }
}
