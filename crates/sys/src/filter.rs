//! A list of system calls that a process of ours restricts itself to (seccomp(2)).
//!
//! For filters of containers, which come from profiles, see the crate `seccomp`.

use crate::raw;
use crate::{Errno, SyscallError};

/// One call that stays allowed.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Its number ([`raw::nr`]).
    pub number: usize,
    /// An argument's index, and the values that the lower half of it may have; the upper half is not looked at, for
    /// arguments that are an `int` to the kernel.
    pub argument: Option<(u32, &'static [u32])>,
    /// An argument's index, and bits of which none may be set in it.
    pub without: Option<(u32, u32)>,
}

impl Allowed {
    /// The call, whatever its arguments.
    pub const fn any(number: usize) -> Self {
        Self { number, argument: None, without: None }
    }
}

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

fn instruction(code: u16, then: u8, otherwise: u8, operand: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&code.to_ne_bytes());
    bytes[2] = then;
    bytes[3] = otherwise;
    bytes[4..].copy_from_slice(&operand.to_ne_bytes());
    bytes
}

/// The filter: anything that is not in the list ends the process.
fn program(allowed: &[Allowed]) -> Vec<u8> {
    let mut program = vec![
        instruction(LOAD_WORD, 0, 0, ARCHITECTURE),
        instruction(JUMP_IF_EQUAL, 1, 0, NATIVE),
        instruction(RETURN, 0, 0, KILL_PROCESS),
        instruction(LOAD_WORD, 0, 0, NUMBER),
    ];
    for call in allowed {
        let mut check = Vec::new();
        if let Some((index, bits)) = call.without {
            check.push(instruction(LOAD_WORD, 0, 0, ARGUMENTS + 8 * index));
            check.push(instruction(JUMP_IF_ANY_BIT, 0, 1, bits));
            check.push(instruction(RETURN, 0, 0, KILL_PROCESS));
        }
        if let Some((index, values)) = call.argument {
            check.push(instruction(LOAD_WORD, 0, 0, ARGUMENTS + 8 * index));
            for (at, value) in values.iter().enumerate() {
                // Over the other comparisons and the return behind them.
                check.push(instruction(JUMP_IF_EQUAL, (values.len() - at) as u8, 0, *value));
            }
            check.push(instruction(RETURN, 0, 0, KILL_PROCESS));
        }
        check.push(instruction(RETURN, 0, 0, ALLOW));
        program.push(instruction(JUMP_IF_EQUAL, 0, check.len() as u8, call.number as u32));
        program.extend(check);
    }
    program.push(instruction(RETURN, 0, 0, KILL_PROCESS));
    program.concat()
}

/// Restricts this thread, and what it starts, to the calls in the list; any other ends the process. Sets `no_new_privs` first. On
/// x86-64 the numbers of x32 are other numbers, so they are not in the list either.
///
/// # Errors
/// `EINVAL` when the kernel has no filters.
///
/// # Kernel
/// Linux 4.14 (`SECCOMP_RET_KILL_PROCESS`).
pub fn restrict(allowed: &[Allowed]) -> Result<(), SyscallError> {
    let failed = |call, subject: &str, errno: Errno| SyscallError::new(call, subject, errno);
    raw::prctl(raw::PR_SET_NO_NEW_PRIVS, 1, 0)
        .map_err(|errno| failed("prctl", "PR_SET_NO_NEW_PRIVS", errno))?;
    raw::seccomp_set_filter(0, &program(allowed))
        .map(drop)
        .map_err(|errno| failed("seccomp", "SECCOMP_SET_MODE_FILTER", errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::nr;

    /// Runs a filter as the kernel would, on a call with its first six arguments.
    fn verdict(program: &[u8], architecture: u32, number: usize, arguments: [u64; 6]) -> u32 {
        let load = |offset: u32| match offset {
            NUMBER => number as u32,
            ARCHITECTURE => architecture,
            _ => arguments[((offset - ARGUMENTS) / 8) as usize] as u32,
        };
        let (mut at, mut accumulator) = (0usize, 0u32);
        loop {
            let bytes = &program[at * 8..at * 8 + 8];
            let operand = u32::from_ne_bytes(bytes[4..].try_into().unwrap());
            let jump = |yes: bool| usize::from(if yes { bytes[2] } else { bytes[3] });
            match u16::from_ne_bytes([bytes[0], bytes[1]]) {
                LOAD_WORD => accumulator = load(operand),
                JUMP_IF_EQUAL => at += jump(accumulator == operand),
                JUMP_IF_ANY_BIT => at += jump(accumulator & operand != 0),
                _ => return operand,
            }
            at += 1;
        }
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let list = [
            Allowed::any(nr::READ),
            Allowed { number: nr::SOCKET, argument: Some((0, &[2, 10])), without: None },
            Allowed { number: nr::MMAP, argument: None, without: Some((2, 4)) },
        ];
        let program = program(&list);
        let check = |number, arguments| verdict(&program, NATIVE, number, arguments);
        assert_eq!(check(nr::READ, [9; 6]), ALLOW);
        assert_eq!(check(nr::WRITE, [0; 6]), KILL_PROCESS);
        assert_eq!(check(nr::SOCKET, [2, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(check(nr::SOCKET, [10, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(check(nr::SOCKET, [16, 0, 0, 0, 0, 0]), KILL_PROCESS);
        assert_eq!(check(nr::MMAP, [0, 0, 3, 0, 0, 0]), ALLOW);
        assert_eq!(check(nr::MMAP, [0, 0, 7, 0, 0, 0]), KILL_PROCESS);
        assert_eq!(check(nr::READ | 0x4000_0000, [0; 6]), KILL_PROCESS);
        assert_eq!(verdict(&program, NATIVE ^ 1, nr::READ, [0; 6]), KILL_PROCESS);
    }
}
