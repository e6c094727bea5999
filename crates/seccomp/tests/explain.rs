//! What a filter looks like in words.

use expect_test::{Expect, expect};
use seccomp::{Action, Arch, Condition, Op, Profile, Rule, compile, default_filter, disassemble, explain};

fn rule(names: &[&'static str], action: Action, args: &[(u32, Op, u64, u64)]) -> Rule {
    let args = args
        .iter()
        .map(|(index, op, value, two)| Condition::new(*index, *op, *value, *two).unwrap())
        .collect();
    Rule { names: names.iter().map(|name| (*name).into()).collect(), action, args }
}

fn small() -> Profile {
    let mut profile = Profile::allow_all(vec![]);
    profile.flags.log = true;
    profile.rules = vec![
        rule(&["reboot", "swapon", "swapoff"], Action::Errno(1), &[]),
        rule(&["kexec_load"], Action::KillProcess, &[]),
        rule(&["ptrace"], Action::Trap, &[(0, Op::Eq, 16, 0)]),
        rule(&["ioctl"], Action::Errno(25), &[(1, Op::Eq, 0x5412, 0)]),
        rule(&["clone"], Action::Errno(1), &[(0, Op::MaskedEq, 0x1000_0000, 0x1000_0000)]),
        rule(&["mmap"], Action::Log, &[(1, Op::Ge, 1 << 33 | 5, 0), (2, Op::MaskedEq, 6, 6)]),
    ];
    profile
}

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

#[test]
fn a_small_filter_is_explained() {
    check(
        explain(&compile(&small(), Arch::X86_64).unwrap()),
        expect![[r#"
            40 instructions, logged

            x86_64
              allow: everything else
              errno 1 (EPERM): reboot swapoff swapon
              kill process: kexec_load
              clone, by its arguments:
                  22  look at the lower half of argument 0
                  23  if has a bit of 0x10000000 errno 1 (EPERM), else allow
              ioctl, by its arguments:
                  18  look at the lower half of argument 1
                  19  if == 0x5412 errno 25, else allow
              mmap, by its arguments:
                   6  look at the upper half of argument 1
                   7  if > 0x2 go to 12, else go to 9
                   9  if == 0x2 go to 10, else allow
                  10  look at the lower half of argument 1
                  11  if >= 0x5 go to 12, else allow
                  12  look at the lower half of argument 2
                  13  keep the bits 0x6
                  14  if == 0x6 log, else allow
              ptrace, by its arguments:
                  27  look at the upper half of argument 0
                  28  if == 0x0 go to 29, else allow
                  29  look at the lower half of argument 0
                  30  if == 0x10 trap, else allow

            x32
              kill thread: everything

            any other interface (x86, aarch64, arm): kill thread
        "#]],
    );
}

#[test]
fn a_small_filter_is_disassembled() {
    check(
        disassemble(&compile(&small(), Arch::X86_64).unwrap()),
        expect![[r#"
            0    look at the architecture
            1    if == 0xc000003e go to 2, else kill thread
            2    look at the number
            3    if >= 0x65 go to 24, else go to 4
            4    if >= 0x10 go to 16, else go to 5
            5    if == 0x9 go to 6, else allow
            6    look at the upper half of argument 1
            7    if > 0x2 go to 12, else go to 9
            8    look at the upper half of argument 1
            9    if == 0x2 go to 10, else allow
            10   look at the lower half of argument 1
            11   if >= 0x5 go to 12, else allow
            12   look at the lower half of argument 2
            13   keep the bits 0x6
            14   if == 0x6 log, else allow
            15   log
            16   if >= 0x38 go to 21, else go to 17
            17   if >= 0x11 allow, else go to 18
            18   look at the lower half of argument 1
            19   if == 0x5412 errno 25, else allow
            20   errno 25
            21   if >= 0x39 allow, else go to 22
            22   look at the lower half of argument 0
            23   if has a bit of 0x10000000 errno 1 (EPERM), else allow
            24   if >= 0xf6 go to 34, else go to 25
            25   if >= 0xa7 go to 32, else go to 26
            26   if >= 0x66 allow, else go to 27
            27   look at the upper half of argument 0
            28   if == 0x0 go to 29, else allow
            29   look at the lower half of argument 0
            30   if == 0x10 trap, else allow
            31   trap
            32   if >= 0xaa allow, else errno 1 (EPERM)
            33   errno 1 (EPERM)
            34   if >= 0x40000000 go to 37, else go to 35
            35   if >= 0xf7 allow, else kill process
            36   kill process
            37   if >= 0xffffffff allow, else kill thread
            38   kill thread
            39   allow
        "#]],
    );
}

#[test]
fn the_default_filter_is_explained() {
    let text = explain(&default_filter(1 << 18, (6, 18), Arch::X86_64).unwrap());
    let (native, others) = text.split_once("\nx86\n").unwrap();
    check(
        native.to_owned(),
        expect![[r#"
            332 instructions, speculation allowed

            x86_64
              allow: accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
                chroot clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range
                creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
                epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate
                fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock
                fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
                futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
                getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
                getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat
                inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
                io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule
                landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listmount listxattr
                listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create
                memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect
                mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv
                msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
                pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
                preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev
                pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
                removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
                rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
                sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
                sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
                sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list
                set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
                setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt
                shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink
                symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
                timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask
                uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4 waitid write writev
              errno 1 (EPERM): _sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module
                fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg
                init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load
                keyctl lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount
                mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
                pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security
                set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs
                syslog tuxcall umount2 unshare uprobe uselib userfaultfd ustat vhangup vserver
              errno 38 (ENOSYS): clone3 file_getattr file_setattr listns open_tree_attr rseq_slice_yield numbers from 467
              clone, by its arguments:
                  19  look at the lower half of argument 0
                  20  if has a bit of 0x7e020000 errno 1 (EPERM), else allow
              personality, by its arguments:
                  24  look at the lower half of argument 0
                  25  if == 0x0 allow, else go to 27
                  27  if == 0x8 allow, else go to 29
                  29  if == 0x20000 allow, else go to 31
                  31  if == 0x20008 allow, else go to 33
                  33  if == 0xffffffff allow, else errno 1 (EPERM)
              socket, by its arguments:
                  12  look at the lower half of argument 0
                  13  if >= 0x26 go to 15, else allow
                  15  if == 0x27 allow, else go to 17
                  17  if > 0x28 allow, else errno 1 (EPERM)
        "#]],
    );
    assert!(
        others.contains("\nx32\n") && others.ends_with("\nany other interface (aarch64, arm): kill thread\n")
    );
}
