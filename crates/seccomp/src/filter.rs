//! A compiled filter: classic BPF as the kernel takes it.

use std::borrow::Cow;
use std::fmt;

/// One instruction of classic BPF (`struct sock_filter`, linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Instruction {
    /// What to do; see [`op`].
    pub code: u16,
    /// How many instructions a jump skips when its test holds.
    pub jt: u8,
    /// How many it skips when the test does not hold.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// The instructions that filters made here consist of (linux/bpf_common.h).
///
/// All but the loads of arguments are of the kind that the kernel can follow when it works out which calls
/// are always allowed (`seccomp_is_const_allow`, Linux 5.11).
pub mod op {
    /// A = the 32-bit word of `seccomp_data` at byte k.
    pub const LOAD: u16 = 0x20;
    /// A = A & k.
    pub const AND: u16 = 0x54;
    /// Skip k instructions.
    pub const JUMP: u16 = 0x05;
    /// Test A == k.
    pub const JEQ: u16 = 0x15;
    /// Test A > k.
    pub const JGT: u16 = 0x25;
    /// Test A >= k.
    pub const JGE: u16 = 0x35;
    /// Test A & k != 0.
    pub const JSET: u16 = 0x45;
    /// The answer is k.
    pub const RETURN: u16 = 0x06;
}

/// Byte offsets in `struct seccomp_data` (linux/seccomp.h); all our architectures are little-endian.
pub mod data {
    /// The system call's number.
    pub const NUMBER: u32 = 0;
    /// The architecture.
    pub const ARCH: u32 = 4;
    /// The lower half of argument `index`.
    pub const fn low(index: u8) -> u32 {
        16 + 8 * index as u32
    }
    /// The upper half of argument `index`.
    pub const fn high(index: u8) -> u32 {
        low(index) + 4
    }
}

/// The longest program the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Bytes an instruction takes.
pub const INSTRUCTION_BYTES: usize = 8;

/// A filter that can be loaded with seccomp(2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    instructions: Cow<'static, [Instruction]>,
    flags: u32,
}

impl Filter {
    /// `SECCOMP_FILTER_FLAG_TSYNC` (Linux 3.17).
    pub const TSYNC: u32 = 1;
    /// `SECCOMP_FILTER_FLAG_LOG` (Linux 4.14).
    pub const LOG: u32 = 1 << 1;
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW` (Linux 4.17).
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0).
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// `SECCOMP_FILTER_FLAG_TSYNC_ESRCH` (Linux 5.7), without which TSYNC and NEW_LISTENER exclude each
    /// other.
    pub const TSYNC_ESRCH: u32 = 1 << 4;
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;

    pub(crate) fn new(instructions: impl Into<Cow<'static, [Instruction]>>, flags: u32) -> Self {
        Self { instructions: instructions.into(), flags }
    }

    /// The program.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The flags for `seccomp(SECCOMP_SET_MODE_FILTER, flags, …)`.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether loading it returns a listener descriptor.
    pub fn needs_listener(&self) -> bool {
        self.flags & Self::NEW_LISTENER != 0
    }

    /// The program as the bytes of an array of `struct sock_filter` on this machine.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * INSTRUCTION_BYTES);
        for instruction in self.instructions() {
            bytes.extend_from_slice(&instruction.code.to_ne_bytes());
            bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
            bytes.extend_from_slice(&instruction.k.to_ne_bytes());
        }
        bytes
    }

    /// A filter from the bytes of [`Filter::to_bytes`] (or of another compiler), and its flags.
    ///
    /// `None` unless the bytes are a program that the kernel's own check would pass for its form: 1 to
    /// [`MAX_INSTRUCTIONS`] instructions, jumps that stay inside, and a return at the end.
    pub fn from_bytes(bytes: &[u8], flags: u32) -> Option<Self> {
        let instructions: Vec<_> = bytes
            .chunks_exact(INSTRUCTION_BYTES)
            .map(|b| Instruction {
                code: u16::from_ne_bytes([b[0], b[1]]),
                jt: b[2],
                jf: b[3],
                k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            })
            .collect();
        let whole = bytes.len().is_multiple_of(INSTRUCTION_BYTES);
        (whole && is_well_formed(&instructions)).then(|| Self::new(instructions, flags))
    }
}

fn is_well_formed(program: &[Instruction]) -> bool {
    let inside = |at: usize, skip: u64| skip < (program.len() - at - 1) as u64;
    program.len() <= MAX_INSTRUCTIONS
        && program.last().is_some_and(|last| last.code == op::RETURN)
        && program.iter().enumerate().all(|(at, instruction)| match instruction.code {
            op::JUMP => inside(at, instruction.k.into()),
            op::JEQ | op::JGT | op::JGE | op::JSET => {
                inside(at, instruction.jt.into()) && inside(at, instruction.jf.into())
            }
            op::LOAD => instruction.k % 4 == 0 && instruction.k <= data::high(5),
            op::AND | op::RETURN => true,
            _ => false,
        })
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({} instructions, flags {:#x})", self.instructions.len(), self.flags)
    }
}
