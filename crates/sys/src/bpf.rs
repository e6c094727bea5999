//! bpf(2), as far as device rules of cgroup v2 need it.
//!
//! [`load_device_program`] makes a program of [`Instruction`]s, [`attach`] puts it on a group. Everything else
//! about BPF is left to others.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, SyscallError};

/// One instruction, as `struct bpf_insn` of linux/bpf.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and where the operand comes from.
    pub code: u8,
    /// Destination register in the lower half, source in the upper.
    pub registers: u8,
    /// Distance of a jump, or offset of a load.
    pub offset: i16,
    /// The immediate operand.
    pub immediate: i32,
}

/// Codes of the instructions that are used (linux/bpf_common.h, linux/bpf.h).
pub mod code {
    /// `BPF_LDX | BPF_MEM | BPF_W`
    pub const LOAD_U32: u8 = 0x61;
    /// `BPF_ALU64 | BPF_MOV | BPF_X`
    pub const COPY: u8 = 0xbf;
    /// `BPF_ALU64 | BPF_MOV | BPF_K`
    pub const SET: u8 = 0xb7;
    /// `BPF_ALU64 | BPF_RSH | BPF_K`
    pub const SHIFT_RIGHT: u8 = 0x77;
    /// `BPF_ALU64 | BPF_AND | BPF_K`
    pub const AND: u8 = 0x57;
    /// `BPF_JMP | BPF_JNE | BPF_K`
    pub const JUMP_IF_NOT_EQUAL: u8 = 0x55;
    /// `BPF_JMP | BPF_JEQ | BPF_K`
    pub const JUMP_IF_EQUAL: u8 = 0x15;
    /// `BPF_JMP | BPF_JSET | BPF_K`
    pub const JUMP_IF_ANY_BIT: u8 = 0x45;
    /// `BPF_JMP | BPF_JA`
    pub const JUMP: u8 = 0x05;
    /// `BPF_JMP | BPF_EXIT`
    pub const EXIT: u8 = 0x95;
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: destination | source << 4, offset, immediate }
    }

    /// `destination = *(u32 *)(source + offset)`
    pub const fn load_u32(destination: u8, source: u8, offset: i16) -> Self {
        Self::new(code::LOAD_U32, destination, source, offset, 0)
    }

    /// `destination = source`
    pub const fn copy(destination: u8, source: u8) -> Self {
        Self::new(code::COPY, destination, source, 0, 0)
    }

    /// `destination = value`
    pub const fn set(destination: u8, value: i32) -> Self {
        Self::new(code::SET, destination, 0, 0, value)
    }

    /// `destination >>= bits`
    pub const fn shift_right(destination: u8, bits: i32) -> Self {
        Self::new(code::SHIFT_RIGHT, destination, 0, 0, bits)
    }

    /// `destination &= mask`
    pub const fn and(destination: u8, mask: i32) -> Self {
        Self::new(code::AND, destination, 0, 0, mask)
    }

    /// Skips `distance` instructions if `register != value`.
    pub const fn jump_if_not_equal(register: u8, value: i32, distance: i16) -> Self {
        Self::new(code::JUMP_IF_NOT_EQUAL, register, 0, distance, value)
    }

    /// Skips `distance` instructions if `register == value`.
    pub const fn jump_if_equal(register: u8, value: i32, distance: i16) -> Self {
        Self::new(code::JUMP_IF_EQUAL, register, 0, distance, value)
    }

    /// Skips `distance` instructions if `register & mask` is not 0.
    pub const fn jump_if_any_bit(register: u8, mask: i32, distance: i16) -> Self {
        Self::new(code::JUMP_IF_ANY_BIT, register, 0, distance, mask)
    }

    /// Skips `distance` instructions.
    pub const fn jump(distance: i16) -> Self {
        Self::new(code::JUMP, 0, 0, distance, 0)
    }

    /// Ends the program; its answer is register 0.
    pub const fn exit() -> Self {
        Self::new(code::EXIT, 0, 0, 0, 0)
    }
}

const PROG_LOAD: usize = 5;
const PROG_ATTACH: usize = 8;
const PROG_DETACH: usize = 9;
const PROG_GET_FD_BY_ID: usize = 13;
const PROG_QUERY: usize = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;

/// `union bpf_attr` for `BPF_PROG_LOAD`, up to what this module sets.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ByIdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// A program was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFailed {
    /// The call.
    pub cause: SyscallError,
    /// What the verifier said; empty if it was not reached.
    pub verifier_log: String,
}

/// Loads a program of the type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (`CAP_SYS_ADMIN` before Linux 5.8), `EINVAL` for a program that
/// the verifier refuses.
///
/// # Kernel
/// Linux 4.15.
pub fn load_device_program(instructions: &[Instruction]) -> Result<OwnedFd, LoadFailed> {
    // The verifier's log costs time, so it is asked for only once the kernel has refused.
    load(instructions, &mut []).or_else(|first| {
        if first == Errno::PERM || first == Errno::NOSYS {
            let cause = SyscallError::new("bpf", "BPF_PROG_LOAD", first);
            return Err(LoadFailed { cause, verifier_log: String::new() });
        }
        let mut log = vec![0; 64 * 1024];
        load(instructions, &mut log).map_err(|errno| {
            let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
            let verifier_log = String::from_utf8_lossy(&log[..length]).into_owned();
            LoadFailed { cause: SyscallError::new("bpf", "BPF_PROG_LOAD", errno), verifier_log }
        })
    })
}

fn load(instructions: &[Instruction], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attr = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
        insns: instructions.as_ptr().expose_provenance() as u64,
        license: c"Apache-2.0".as_ptr().expose_provenance() as u64,
        prog_name: *b"holm_devices\0\0\0\0",
        ..LoadAttr::default()
    };
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = log.len() as u32;
        attr.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    }
    // SAFETY: `attr` describes memory that outlives the call: the instructions and the licence are read, and at
    // most `log_size` bytes are written to `log`, which is borrowed exclusively.
    let fd = unsafe { bpf(PROG_LOAD, &mut attr) }?;
    Ok(own(fd))
}

/// Attaches `program` to the v2 group whose directory is open as `group`.
///
/// `replaces` is the program to be replaced, in one step with no moment between in which neither holds. The
/// program is attached with `BPF_F_ALLOW_MULTI`: a nested manager may add its own, and all have to agree.
///
/// # Kernel
/// Linux 4.15; replacing needs 5.6 and answers `EINVAL` before.
pub fn attach(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaces: Option<BorrowedFd<'_>>,
) -> Result<(), SyscallError> {
    let mut attr = AttachAttr {
        target_fd: number(group),
        attach_bpf_fd: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI,
        replace_bpf_fd: 0,
    };
    if let Some(replaced) = replaces {
        attr.attach_flags |= F_REPLACE;
        attr.replace_bpf_fd = number(replaced);
    }
    // SAFETY: `attr` holds integers only.
    let done = unsafe { bpf(PROG_ATTACH, &mut attr) };
    done.map(|_| ()).map_err(|errno| SyscallError::new("bpf", "BPF_PROG_ATTACH", errno))
}

/// Takes `program` off the group.
///
/// # Kernel
/// Linux 4.15.
pub fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let mut attr = AttachAttr {
        target_fd: number(group),
        attach_bpf_fd: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..AttachAttr::default()
    };
    // SAFETY: `attr` holds integers only.
    let done = unsafe { bpf(PROG_DETACH, &mut attr) };
    done.map(|_| ()).map_err(|errno| SyscallError::new("bpf", "BPF_PROG_DETACH", errno))
}

/// The device programs attached to the group itself, in the order they were attached.
///
/// # Kernel
/// Linux 4.15.
pub fn attached(group: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, SyscallError> {
    let failed = |what: &str, errno| SyscallError::new("bpf", what, errno);
    // The kernel allows 64 programs a group (BPF_CGROUP_MAX_PROGS).
    let mut ids = [0u32; 64];
    let mut attr = QueryAttr {
        target_fd: number(group),
        attach_type: ATTACH_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr().expose_provenance() as u64,
        prog_cnt: ids.len() as u32,
        ..QueryAttr::default()
    };
    // SAFETY: the kernel writes at most `prog_cnt` numbers to `ids`, which lives longer than the call and is used
    // by nobody else meanwhile, and the count to `attr`.
    unsafe { bpf(PROG_QUERY, &mut attr) }.map_err(|errno| failed("BPF_PROG_QUERY", errno))?;
    let count = (attr.prog_cnt as usize).min(ids.len());
    let mut programs = Vec::with_capacity(count);
    for &id in &ids[..count] {
        let mut attr = ByIdAttr { id, ..ByIdAttr::default() };
        // SAFETY: `attr` holds integers only.
        match unsafe { bpf(PROG_GET_FD_BY_ID, &mut attr) } {
            Ok(fd) => programs.push(own(fd)),
            // Gone meanwhile.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("BPF_PROG_GET_FD_BY_ID", errno)),
        }
    }
    Ok(programs)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

fn own(fd: usize) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor to us, and it is close-on-exec from birth.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// bpf(2).
///
/// # Safety
/// `attr` is the member of `union bpf_attr` that belongs to `command`, and every address in it is valid for what
/// the command does with it.
unsafe fn bpf<T>(command: usize, attr: &mut T) -> Result<usize, Errno> {
    let address = std::ptr::from_mut(attr).expose_provenance();
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes at `address`; the caller answers for the rest.
    let outcome = unsafe { syscall3(NR_BPF, command, address, size_of::<T>()) };
    if outcome < 0 { Err(Errno::from_raw(-outcome as i32)) } else { Ok(outcome as usize) }
}

#[cfg(target_arch = "x86_64")]
const NR_BPF: usize = 321;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const NR_BPF: usize = 280;

/// A system call with three arguments.
///
/// # Safety
/// As the call itself demands.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall3(number: usize, one: usize, two: usize, three: usize) -> isize {
    let outcome;
    // SAFETY: the instruction clobbers rcx and r11 beside rax; memory is assumed to change.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") number as isize => outcome, in("rdi") one, in("rsi") two,
            in("rdx") three, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    outcome
}

/// A system call with three arguments.
///
/// # Safety
/// As the call itself demands.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall3(number: usize, one: usize, two: usize, three: usize) -> isize {
    let outcome;
    // SAFETY: the instruction changes x0 only; memory is assumed to change.
    unsafe {
        std::arch::asm!("svc 0", in("x8") number, inlateout("x0") one as isize => outcome, in("x1") two,
            in("x2") three, options(nostack));
    }
    outcome
}

/// A system call with three arguments.
///
/// # Safety
/// As the call itself demands.
#[cfg(target_arch = "riscv64")]
unsafe fn syscall3(number: usize, one: usize, two: usize, three: usize) -> isize {
    let outcome;
    // SAFETY: the instruction changes a0 only; memory is assumed to change.
    unsafe {
        std::arch::asm!("ecall", in("a7") number, inlateout("a0") one as isize => outcome, in("a1") two,
            in("a2") three, options(nostack));
    }
    outcome
}
