//! Device rules as v2 takes them: a BPF program that the kernel asks about each access.
//!
//! The program goes through the rules from the last to the first. An allowing rule that matches the device
//! strikes its ways of access from those still asked for, and nothing left means yes; a denying rule that
//! matches one of them means no; so does the end.

use sys::bpf::Instruction;

use crate::limits::{DeviceAccess, DeviceKind, DeviceRule};

/// A compiled list of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProgram(Vec<Instruction>);

// Of struct bpf_cgroup_dev_ctx (linux/bpf.h): access_type, major, minor, each 32 bits; access_type has the
// ways of access in its upper half and the sort of device in the lower.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const ANSWER: u8 = 0;

const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

impl DeviceProgram {
    /// Compiles `rules`.
    pub fn compile(rules: &[DeviceRule]) -> Self {
        let mut code = vec![
            Instruction::load_u32(KIND, CONTEXT, 0),
            Instruction::load_u32(MAJOR, CONTEXT, 4),
            Instruction::load_u32(MINOR, CONTEXT, 8),
            Instruction::copy(ACCESS, KIND),
            Instruction::shift_right(ACCESS, 16),
            Instruction::and(KIND, 0xffff),
        ];
        for rule in rules.iter().rev() {
            let Some(tests) = tests(rule) else { continue };
            let verdict = verdict(rule.allow, mask(rule.access));
            let length = tests.len() + verdict.len();
            for (index, (register, value)) in tests.iter().enumerate() {
                let over_the_rest = length - index - 1;
                code.push(Instruction::jump_if_not_equal(*register, *value, over_the_rest as i16));
            }
            code.extend(verdict);
            // The verifier refuses code that is never reached: after a rule that decides everything there is
            // nothing to compile, not even the default.
            if tests.is_empty() && mask(rule.access) == ACCESS_ALL {
                return Self(code);
            }
        }
        code.extend(answer(false));
        Self(code)
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// Which registers have which values where the rule matches; `None` if no device can have them.
fn tests(rule: &DeviceRule) -> Option<Vec<(u8, i32)>> {
    let kind = match rule.kind {
        DeviceKind::Any => None,
        DeviceKind::Char => Some((KIND, CHAR)),
        DeviceKind::Block => Some((KIND, BLOCK)),
    };
    // The kernel has 12 bits for a major and 20 for a minor number.
    let number = |register, value: Option<u32>, bits: u32| match value {
        None => Some(None),
        Some(value) if value >> bits != 0 => None,
        Some(value) => Some(Some((register, value as i32))),
    };
    let major = number(MAJOR, rule.major, 12)?;
    let minor = number(MINOR, rule.minor, 20)?;
    Some([kind, major, minor].into_iter().flatten().collect())
}

fn verdict(allow: bool, mask: i32) -> Vec<Instruction> {
    match (allow, mask) {
        (_, ACCESS_ALL) => answer(allow).to_vec(),
        (true, _) => {
            let [yes, exit] = answer(true);
            vec![
                Instruction::and(ACCESS, ACCESS_ALL & !mask),
                Instruction::jump_if_not_equal(ACCESS, 0, 2),
                yes,
                exit,
            ]
        }
        (false, _) => {
            let [no, exit] = answer(false);
            vec![Instruction::jump_if_any_bit(ACCESS, mask, 1), Instruction::jump(2), no, exit]
        }
    }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [Instruction::set(ANSWER, i32::from(allow)), Instruction::exit()]
}

fn mask(access: DeviceAccess) -> i32 {
    let bit = |set, bit| if set { bit } else { 0 };
    bit(access.read, ACCESS_READ) | bit(access.write, ACCESS_WRITE) | bit(access.mknod, ACCESS_MKNOD)
}
