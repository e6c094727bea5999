//! From answers on ranges of numbers to instructions.
//!
//! [`assemble`] writes the program from its end to its beginning: jumps of classic BPF only go forward, so
//! every target exists before the jump to it. The numbers of an architecture become a balanced tree of
//! comparisons; arguments are loaded only below calls that have conditions, so that the kernel can see which
//! calls are always allowed and skip the filter for them (Linux 5.11).

use crate::decide::{Answer, Branch, CLOSED, Case, Range, Test};
use crate::filter::{Instruction, data, op};
use crate::profile::{Action, Op};

/// The program for `branches`; calls through any other architecture are killed. `default` answers questions
/// of which no case holds.
pub(crate) fn assemble(branches: &[Branch], default: Action) -> Vec<Instruction> {
    let mut program = Backwards { instructions: Vec::with_capacity(512), returns: Vec::new() };
    let blocks: Vec<(u32, Place)> =
        branches.iter().rev().map(|branch| (branch.audit, program.branch(branch, default))).collect();
    let mut other = program.answer(CLOSED);
    for (audit, block) in blocks {
        other = program.test(op::JEQ, audit, block, other);
    }
    program.push(op::LOAD, data::ARCH);
    program.instructions.reverse();
    program.instructions
}

/// Where to jump to.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Counted from the end of the program.
    at: usize,
    /// The word of `seccomp_data` that the instruction there loads, if it does: a jump that has it in A
    /// already goes one further.
    loads: Option<u32>,
}

struct Backwards {
    /// The last instruction of the program first.
    instructions: Vec<Instruction>,
    /// The newest return of each value.
    returns: Vec<(u32, usize)>,
}

impl Backwards {
    fn push(&mut self, code: u16, k: u32) -> usize {
        self.instructions.push(Instruction { code, jt: 0, jf: 0, k });
        self.instructions.len() - 1
    }

    /// A place that returns `action`.
    fn answer(&mut self, action: Action) -> Place {
        let code = action.code();
        let at = match self.returns.iter().find(|(known, _)| *known == code) {
            Some((_, at)) => *at,
            None => {
                let at = self.push(op::RETURN, code);
                self.returns.push((code, at));
                at
            }
        };
        Place { at, loads: None }
    }

    /// A comparison of A, which holds no known word of `seccomp_data`.
    fn test(&mut self, code: u16, k: u32, yes: Place, no: Place) -> Place {
        let (mut yes, mut no) = (yes.at, no.at);
        loop {
            // Bringing one target closer moves the other one away, so both are looked at again.
            match (self.skip_to(yes), self.skip_to(no)) {
                (Ok(jt), Ok(jf)) => {
                    self.instructions.push(Instruction { code, jt, jf, k });
                    return Place { at: self.instructions.len() - 1, loads: None };
                }
                (Err(()), _) => yes = self.closer(yes),
                (_, Err(())) => no = self.closer(no),
            }
        }
    }

    /// How many instructions the next one has to skip to get to `at`; a test can skip 255 at most.
    fn skip_to(&self, at: usize) -> Result<u8, ()> {
        u8::try_from(self.instructions.len() - 1 - at).map_err(drop)
    }

    /// A copy of the return at `at`, or a jump to whatever else is there.
    fn closer(&mut self, at: usize) -> usize {
        let target = self.instructions[at];
        if target.code != op::RETURN {
            let skip = self.instructions.len() - 1 - at;
            // A program is checked against 4,096 instructions when it is whole.
            return self.push(op::JUMP, skip as u32);
        }
        let copy = self.push(op::RETURN, target.k);
        for known in self.returns.iter_mut().filter(|(code, _)| *code == target.k) {
            known.1 = copy;
        }
        copy
    }

    /// A comparison of a word of `seccomp_data`, loaded right before.
    fn test_word(&mut self, word: u32, code: u16, k: u32, yes: Place, no: Place) -> Place {
        let past = |place: Place| match place.loads {
            Some(loaded) if loaded == word => Place { at: place.at - 1, loads: None },
            _ => place,
        };
        self.test(code, k, past(yes), past(no));
        self.load(word)
    }

    fn load(&mut self, word: u32) -> Place {
        Place { at: self.push(op::LOAD, word), loads: Some(word) }
    }

    /// A program for the calls of one architecture.
    fn branch(&mut self, branch: &Branch, default: Action) -> Place {
        let questions = &branch.questions;
        match self.tree(&branch.ranges, questions, default) {
            // One answer to everything needs no number.
            place if branch.ranges.len() == 1 => place,
            _ => self.load(data::NUMBER),
        }
    }

    /// A balanced search for the range of A.
    fn tree(&mut self, ranges: &[Range], questions: &[Vec<Case>], default: Action) -> Place {
        match ranges {
            [] => self.answer(CLOSED),
            [only] => match only.answer {
                Answer::Fixed(action) => self.answer(action),
                Answer::Ask(index) => self.question(&questions[usize::from(index)], default),
            },
            // A single number among others of one kind takes one comparison, not two.
            [around, one, after] if around.answer == after.answer && after.first - one.first == 1 => {
                let no = self.tree(&ranges[..1], questions, default);
                let yes = self.tree(&ranges[1..2], questions, default);
                self.test(op::JEQ, one.first, yes, no)
            }
            _ => {
                let (left, right) = ranges.split_at(ranges.len() / 2);
                let yes = self.tree(right, questions, default);
                let no = self.tree(left, questions, default);
                self.test(op::JGE, right[0].first, yes, no)
            }
        }
    }

    /// The first case that holds, or else the default.
    fn question(&mut self, cases: &[Case], default: Action) -> Place {
        let mut otherwise = self.answer(default);
        for case in cases.iter().rev() {
            let mut holds = self.answer(case.action);
            for test in case.tests.iter().rev() {
                holds = self.condition(test, holds, otherwise);
            }
            otherwise = holds;
        }
        otherwise
    }

    fn condition(&mut self, test: &Test, yes: Place, no: Place) -> Place {
        match test.op {
            Op::Ne => self.equal(test, no, yes),
            Op::Eq => self.equal(test, yes, no),
            Op::Gt => self.ordered(test, op::JGT, yes, no),
            Op::Ge => self.ordered(test, op::JGE, yes, no),
            Op::Le => self.ordered(test, op::JGT, no, yes),
            Op::Lt => self.ordered(test, op::JGE, no, yes),
            Op::MaskedEq => self.masked(test, yes, no),
        }
    }

    fn equal(&mut self, test: &Test, yes: Place, no: Place) -> Place {
        let [low, high] = halves(test.value);
        let same = self.test_word(data::low(test.index), op::JEQ, low, yes, no);
        if test.low_half_only {
            return same;
        }
        self.test_word(data::high(test.index), op::JEQ, high, same, no)
    }

    /// `code` is JGT or JGE. With equal upper halves the lower ones decide, otherwise the upper ones do.
    fn ordered(&mut self, test: &Test, code: u16, yes: Place, no: Place) -> Place {
        let [low, high] = halves(test.value);
        let by_low = self.test_word(data::low(test.index), code, low, yes, no);
        if test.low_half_only {
            return by_low;
        }
        let word = data::high(test.index);
        let tie = self.test_word(word, op::JEQ, high, by_low, no);
        self.test_word(word, op::JGT, high, yes, tie)
    }

    fn masked(&mut self, test: &Test, yes: Place, no: Place) -> Place {
        let words = [data::low(test.index), data::high(test.index)];
        let masks = halves(test.value);
        let wanted = halves(test.value & test.value_two);
        let mut place = yes;
        for ((word, mask), wanted) in words.into_iter().zip(masks).zip(wanted) {
            place = match mask {
                0 => place,
                u32::MAX => self.test_word(word, op::JEQ, wanted, place, no),
                _ if wanted == 0 => self.test_word(word, op::JSET, mask, no, place),
                _ if wanted == mask && mask.is_power_of_two() => {
                    self.test_word(word, op::JSET, mask, place, no)
                }
                _ => {
                    self.test(op::JEQ, wanted, place, no);
                    self.push(op::AND, mask);
                    self.load(word)
                }
            };
        }
        place
    }
}

/// The lower and the upper half.
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}
