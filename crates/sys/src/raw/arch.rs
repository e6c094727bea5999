//! How a system call is made on this processor, and the numbers of the calls.

/// Makes a system call and returns what the kernel left in the result register.
///
/// # Safety
/// The arguments must be what call `number` expects: pointers valid for the kernel's reads and writes.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn syscall6(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the instruction clobbers rcx and r11 only; what the kernel does with the arguments is the
    // caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes a system call and returns what the kernel left in the result register.
///
/// # Safety
/// The arguments must be what call `number` expects: pointers valid for the kernel's reads and writes.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(crate) unsafe fn syscall6(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: `svc 0` clobbers no register but x0; what the kernel does with the arguments is the
    // caller's promise.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack),
        );
    }
    result
}

macro_rules! numbers {
    ($($name:ident $x86_64:literal $aarch64:literal)*) => {
        /// System call numbers of this processor (asm/unistd.h).
        pub mod nr {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                #[cfg(target_arch = "x86_64")]
                pub const $name: usize = $x86_64;
                #[doc = concat!("`", stringify!($name), "`")]
                #[cfg(target_arch = "aarch64")]
                pub const $name: usize = $aarch64;
            )*
        }
    };
}

numbers! {
    READ 0 63
    WRITE 1 64
    CLOSE 3 57
    FSTAT 5 80
    MMAP 9 222
    MPROTECT 10 226
    MUNMAP 11 215
    BRK 12 214
    RT_SIGRETURN 15 139
    MREMAP 25 216
    MADVISE 28 233
    RT_SIGACTION 13 134
    RT_SIGPROCMASK 14 135
    IOCTL 16 29
    PREAD64 17 67
    GETPID 39 172
    SOCKET 41 198
    CONNECT 42 203
    SENDTO 44 206
    RECVFROM 45 207
    SENDMSG 46 211
    RECVMSG 47 212
    BIND 49 200
    SETSOCKOPT 54 208
    GETSOCKOPT 55 209
    CLONE 56 220
    ACCEPT4 288 242
    EXECVE 59 221
    EXIT 60 93
    WAIT4 61 260
    KILL 62 129
    FCNTL 72 25
    FCHDIR 81 50
    GETCWD 79 17
    UMASK 95 166
    GETRUSAGE 98 165
    SETGROUPS 116 159
    SETRESUID 117 147
    SETRESGID 119 149
    SETFSUID 122 151
    SETFSGID 123 152
    SETSID 112 157
    CAPGET 125 90
    CAPSET 126 91
    PERSONALITY 135 92
    STATFS 137 43
    FSTATFS 138 44
    PIVOT_ROOT 155 41
    PRCTL 157 167
    CHROOT 161 51
    MOUNT 165 40
    UMOUNT2 166 39
    SETHOSTNAME 170 161
    SETDOMAINNAME 171 162
    GETTID 186 178
    SIGALTSTACK 131 132
    FUTEX 202 98
    SCHED_SETAFFINITY 203 122
    GETCPU 309 168
    RESTART_SYSCALL 219 128
    CLOCK_GETTIME 228 113
    EXIT_GROUP 231 94
    EPOLL_CTL 233 21
    GETDENTS64 217 61
    SET_MEMPOLICY 238 237
    KEYCTL 250 219
    IOPRIO_SET 251 30
    OPENAT 257 56
    MKDIRAT 258 34
    MKNODAT 259 33
    FCHOWNAT 260 54
    UNLINKAT 263 35
    SYMLINKAT 266 36
    READLINKAT 267 78
    FCHMODAT 268 53
    UNSHARE 272 97
    EPOLL_PWAIT 281 22
    DUP3 292 24
    RECVMMSG 299 243
    PRLIMIT64 302 261
    SENDMMSG 307 269
    RT_SIGTIMEDWAIT 128 137
    SETNS 308 268
    SCHED_SETATTR 314 274
    SECCOMP 317 277
    GETRANDOM 318 278
    MEMFD_CREATE 319 279
    BPF 321 280
    EXECVEAT 322 281
    STATX 332 291
    PIDFD_SEND_SIGNAL 424 424
    OPEN_TREE 428 428
    OPEN_TREE_ATTR 467 467
    MOVE_MOUNT 429 429
    FSOPEN 430 430
    FSCONFIG 431 431
    FSMOUNT 432 432
    PIDFD_OPEN 434 434
    CLONE3 435 435
    PPOLL 271 73
    SIGNALFD4 289 74
    CLOSE_RANGE 436 436
    FACCESSAT2 439 439
    OPENAT2 437 437
    PIDFD_GETFD 438 438
    MOUNT_SETATTR 442 442
    LANDLOCK_CREATE_RULESET 444 444
    LANDLOCK_ADD_RULE 445 445
    LANDLOCK_RESTRICT_SELF 446 446
    STATMOUNT 457 457
    LISTMOUNT 458 458
}
