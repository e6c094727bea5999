//! What a filter answers to a call, without a kernel.
//!
//! An interpreter of classic BPF that knows the instructions of [`op`]. The tests
//! prove filters with it; people ask it "why is this call refused".

use crate::arch::Arch;
use crate::filter::{Filter, Instruction, data, op};
use crate::profile::Action;

/// A system call as a filter sees it (`struct seccomp_data` without the instruction pointer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The number; x32 calls have [`crate::X32_BIT`] set.
    pub number: u32,
    /// `AUDIT_ARCH_…`; [`Arch::audit`].
    pub arch: u32,
    /// The registers.
    pub args: [u64; 6],
}

impl Call {
    /// A call through `arch`.
    pub fn new(arch: Arch, number: u32, args: [u64; 6]) -> Self {
        Self { number, arch: arch.audit(), args }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            data::NUMBER => self.number,
            data::ARCH => self.arch,
            8 | 12 => 0,
            _ => {
                let value = self.args.get((offset as usize - 16) / 8).copied().unwrap_or(0);
                if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 }
            }
        }
    }
}

/// An answer, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The value returned (`SECCOMP_RET_…`).
    pub code: u32,
    /// How many instructions were executed.
    pub steps: u32,
    /// Whether something other than number and architecture was looked at. A call that is allowed without
    /// that is in the kernel's bitmap of calls for which no filter is run (Linux 5.11, on the native
    /// architecture and, with 32-bit emulation, the compatible one).
    pub loaded_arguments: bool,
}

impl Verdict {
    /// The answer, as the kernel reads it: codes without a name kill the process.
    pub fn action(&self) -> Action {
        Action::from_code(self.code).unwrap_or(Action::KillProcess)
    }
}

/// Runs `filter` on `call`.
pub fn evaluate(filter: &Filter, call: &Call) -> Verdict {
    run(filter.instructions(), call)
}

fn run(program: &[Instruction], call: &Call) -> Verdict {
    let (mut at, mut a, mut steps, mut loaded_arguments) = (0_usize, 0_u32, 0, false);
    loop {
        // A program that leaves its own end is refused by the kernel; here it kills, as the strictest answer.
        let Some(instruction) = program.get(at) else {
            return Verdict { code: Action::KillProcess.code(), steps, loaded_arguments };
        };
        steps += 1;
        at += 1;
        let k = instruction.k;
        let test = match instruction.code {
            op::LOAD => {
                loaded_arguments |= k > data::ARCH;
                a = call.word(k);
                continue;
            }
            op::AND => {
                a &= k;
                continue;
            }
            op::JUMP => {
                at = at.saturating_add(k as usize);
                continue;
            }
            op::JEQ => a == k,
            op::JGT => a > k,
            op::JGE => a >= k,
            op::JSET => a & k != 0,
            op::RETURN => return Verdict { code: k, steps, loaded_arguments },
            _ => return Verdict { code: Action::KillProcess.code(), steps, loaded_arguments },
        };
        at += usize::from(if test { instruction.jt } else { instruction.jf });
    }
}
