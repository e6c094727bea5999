//! Device rules as v2 takes them: a BPF program that the kernel asks about each access.
//!
//! The program goes through the rules from the last to the first. An allowing rule that matches the device
//! strikes its ways of access from those still asked for, and nothing left means yes; a denying rule that
//! matches one of them means no; so does the end. Rules in a row with one effect share their tests: the kernel
//! goes through a program on every way that there is before it takes it, so a short one loads sooner.

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
        let mut draft = Draft::default();
        draft.code.extend([
            Instruction::load_u32(KIND, CONTEXT, 0),
            Instruction::load_u32(MAJOR, CONTEXT, 4),
            Instruction::load_u32(MINOR, CONTEXT, 8),
            Instruction::copy(ACCESS, KIND),
            Instruction::shift_right(ACCESS, 16),
            Instruction::and(KIND, 0xffff),
        ]);
        let last_first: Vec<Rule> = rules.iter().rev().filter_map(Rule::of).collect();
        for run in last_first.chunk_by(|one, two| one.effect() == two.effect()) {
            // Of rules in a row with one effect the order does not matter.
            if draft.run(run) {
                return Self(draft.finish(false));
            }
        }
        Self(draft.finish(true))
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// A rule that some device can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    allow: bool,
    access: i32,
}

impl Rule {
    fn of(rule: &DeviceRule) -> Option<Self> {
        // The kernel has 12 bits for a major and 20 for a minor number.
        let number = |value: Option<u32>, bits: u32| match value {
            Some(value) if value >> bits != 0 => None,
            value => Some(value.map(|value| value as i32)),
        };
        Some(Self {
            kind: match rule.kind {
                DeviceKind::Any => None,
                DeviceKind::Char => Some(CHAR),
                DeviceKind::Block => Some(BLOCK),
            },
            major: number(rule.major, 12)?,
            minor: number(rule.minor, 20)?,
            allow: rule.allow,
            access: mask(rule.access),
        })
    }

    fn effect(&self) -> (bool, i32) {
        (self.allow, self.access)
    }

    /// What the numbers are tested for.
    fn numbers(&self) -> (Option<i32>, Option<i32>) {
        (self.major, self.minor)
    }
}

/// Where a jump leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Yes,
    No,
    /// An instruction by its index.
    Here(usize),
}

/// A program under construction; both answers come at its end.
#[derive(Debug, Default)]
struct Draft {
    code: Vec<Instruction>,
    jumps: Vec<(usize, Target)>,
}

impl Draft {
    fn jump(&mut self, instruction: Instruction, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.code.push(instruction);
    }

    /// A jump to a place that [`Draft::land`] decides.
    fn jump_ahead(&mut self, instruction: Instruction) -> usize {
        self.code.push(instruction);
        self.code.len() - 1
    }

    fn land(&mut self, jumps: impl IntoIterator<Item = usize>) {
        let here = Target::Here(self.code.len());
        self.jumps.extend(jumps.into_iter().map(|jump| (jump, here)));
    }

    /// Rules with one effect; whether nothing is left to be decided behind them.
    fn run(&mut self, rules: &[Rule]) -> bool {
        let Some(&Rule { allow, access, .. }) = rules.first() else { return false };
        let whole = access == ACCESS_ALL;
        /// Major and minor, each one number or all.
        type Numbers = (Option<i32>, Option<i32>);
        let mut any: Vec<Numbers> = Vec::new();
        let mut of_kind: [(i32, Vec<Numbers>); 2] = [(CHAR, Vec::new()), (BLOCK, Vec::new())];
        for rule in rules {
            let other = |kind| rules.iter().any(|it| it.kind == Some(kind) && it.numbers() == rule.numbers());
            match rule.kind {
                // There are two kinds: what is ruled for both is ruled for any.
                Some(kind) if other(CHAR + BLOCK - kind) => add(&mut any, rule.numbers()),
                Some(kind) => {
                    for (of, numbers) in of_kind.iter_mut().filter(|(of, _)| *of == kind) {
                        debug_assert_eq!(*of, kind);
                        add(numbers, rule.numbers());
                    }
                }
                None => add(&mut any, rule.numbers()),
            }
        }
        let everything = any.contains(&(None, None));
        if everything {
            self.act(allow, access, true);
            return whole;
        }
        // A rule with an effect of its own on what is asked for has it once: those that match go there.
        let mut matched = Vec::new();
        let target = if allow { Target::Yes } else { Target::No };
        for (kind, numbers) in of_kind.iter().filter(|(_, numbers)| !numbers.is_empty()) {
            let over = self.jump_ahead(Instruction::jump_if_not_equal(KIND, *kind, 0));
            if numbers.contains(&(None, None)) {
                match whole {
                    true => self.jump(Instruction::jump(0), target),
                    false => matched.push(self.jump_ahead(Instruction::jump(0))),
                }
            } else {
                self.numbers(numbers, whole.then_some(target), &mut matched);
            }
            self.land([over]);
        }
        self.numbers(&any, whole.then_some(target), &mut matched);
        if !whole {
            let over = self.jump_ahead(Instruction::jump(0));
            self.land(matched);
            self.act(allow, access, false);
            self.land([over]);
        }
        false
    }

    /// Tests numbers, grouped by major. Those that match go to the target or, without one, where `matched` will lead.
    fn numbers(
        &mut self,
        numbers: &[(Option<i32>, Option<i32>)],
        target: Option<Target>,
        matched: &mut Vec<usize>,
    ) {
        let mut hit = |draft: &mut Self, instruction| match target {
            Some(target) => draft.jump(instruction, target),
            None => matched.push(draft.jump_ahead(instruction)),
        };
        for (at, (major, _)) in numbers.iter().enumerate() {
            if numbers[..at].iter().any(|(before, _)| before == major) {
                continue;
            }
            let minors = || numbers.iter().filter(|(other, _)| other == major).map(|(_, minor)| *minor);
            match major {
                Some(major) if minors().any(|minor| minor.is_none()) => {
                    hit(self, Instruction::jump_if_equal(MAJOR, *major, 0));
                }
                Some(major) => {
                    let over = self.jump_ahead(Instruction::jump_if_not_equal(MAJOR, *major, 0));
                    for minor in minors().flatten() {
                        hit(self, Instruction::jump_if_equal(MINOR, minor, 0));
                    }
                    self.land([over]);
                }
                None => {
                    for minor in minors().flatten() {
                        hit(self, Instruction::jump_if_equal(MINOR, minor, 0));
                    }
                }
            }
        }
    }

    /// What a rule does that matches. One for everything and every access ends the program.
    fn act(&mut self, allow: bool, access: i32, everything: bool) {
        match (allow, access) {
            (true, ACCESS_ALL) if everything => self.jump(Instruction::jump(0), Target::Yes),
            (false, ACCESS_ALL) if everything => self.jump(Instruction::jump(0), Target::No),
            (true, _) => {
                self.code.push(Instruction::and(ACCESS, ACCESS_ALL & !access));
                self.jump(Instruction::jump_if_equal(ACCESS, 0, 0), Target::Yes);
            }
            (false, _) => self.jump(Instruction::jump_if_any_bit(ACCESS, access, 0), Target::No),
        }
    }

    /// The program. `open_end`: what comes to its end is refused. The verifier takes no code that is never reached.
    fn finish(mut self, open_end: bool) -> Vec<Instruction> {
        let leads_to = |jumps: &[(usize, Target)], target| jumps.iter().any(|(_, to)| *to == target);
        if !open_end && self.code.last().is_some_and(|last| *last == Instruction::jump(0)) {
            // Straight to the answer.
            if let Some((at, target)) = self.jumps.pop() {
                debug_assert_eq!(at, self.code.len() - 1);
                self.code.pop();
                let end = Target::Here(self.code.len());
                self.jumps.iter_mut().filter(|(_, to)| *to == target).for_each(|(_, to)| *to = end);
                self.code.extend(answer(target == Target::Yes));
            }
        }
        let no = self.code.len();
        if open_end || leads_to(&self.jumps, Target::No) {
            self.code.extend(answer(false));
        }
        let yes = self.code.len();
        if leads_to(&self.jumps, Target::Yes) {
            self.code.extend(answer(true));
        }
        for (at, target) in self.jumps {
            let to = match target {
                Target::Yes => yes,
                Target::No => no,
                Target::Here(index) => index,
            };
            // A program of more than 32,767 instructions has rules that the kernel then refuses to load.
            self.code[at].offset = (to - at - 1).try_into().unwrap_or(i16::MAX);
        }
        self.code
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [Instruction::set(ANSWER, i32::from(allow)), Instruction::exit()]
}

fn mask(access: DeviceAccess) -> i32 {
    let bit = |set, bit| if set { bit } else { 0 };
    bit(access.read, ACCESS_READ) | bit(access.write, ACCESS_WRITE) | bit(access.mknod, ACCESS_MKNOD)
}
