//! A filter in words.
//!
//! [`explain`] tells what happens to which call, interface by interface: what `--show-plan` prints.
//! [`disassemble`] lists the instructions as they are. Both read only the program, so they are as true of a
//! cached filter as of a fresh one.

use crate::arch::{Arch, X32_BIT};
use crate::filter::{Filter, Instruction, data, op};
use crate::profile::Action;
use crate::table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What the filter does, for people: one paragraph an interface, one line an answer, then the calls whose
/// arguments are looked at.
pub fn explain(filter: &Filter) -> String {
    let program = filter.instructions();
    let mut text = format!("{} instructions", program.len());
    let flags: String =
        FLAGS.iter().filter(|(bit, _)| filter.flags() & bit != 0).map(|(_, name)| *name).collect();
    let _ = writeln!(text, "{}{flags}", if flags.is_empty() { "" } else { "," });
    let mut closed = Vec::new();
    for arch in Arch::ALL {
        if program.iter().any(|at| at.code == op::JEQ && at.k == arch.audit()) {
            interface(&mut text, program, arch);
        } else {
            closed.push(arch.to_string());
        }
    }
    let other = leaves(program, 0, None);
    let _ = writeln!(text, "\nany other interface ({}): {}", closed.join(", "), answers(program, &other));
    text
}

const FLAGS: [(u32, &str); 6] = [
    (Filter::TSYNC, " all threads"),
    (Filter::LOG, " logged"),
    (Filter::SPEC_ALLOW, " speculation allowed"),
    (Filter::NEW_LISTENER, " with a listener"),
    (Filter::TSYNC_ESRCH, ""),
    (Filter::WAIT_KILLABLE_RECV, " waits killable"),
];

/// The instructions, one a line.
pub fn disassemble(filter: &Filter) -> String {
    let program = filter.instructions();
    let mut text = String::new();
    for at in 0..program.len() {
        let _ = writeln!(text, "{at:<4} {}", instruction(program, at));
    }
    text
}

/// Numbers that end at the same instruction: a return, or the first look at an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaf {
    first: u32,
    last: u32,
    at: usize,
}

/// Follows the program for all numbers of an architecture at once (`None`: one that it does not know).
fn leaves(program: &[Instruction], first: u32, arch: Option<Arch>) -> Vec<Leaf> {
    let mut done = Vec::new();
    let last = match arch {
        Some(Arch::X86_64) => X32_BIT - 1,
        Some(Arch::X32) => 2 * X32_BIT - 1,
        _ => u32::MAX,
    };
    let audit = arch.map_or(0, Arch::audit);
    // Where to go on, for which numbers, and whether A holds the number or the architecture.
    let mut open = vec![(0, first, last, false)];
    while let Some((at, first, last, number)) = open.pop() {
        let Some(Instruction { code, jt, jf, k }) = program.get(at).copied() else { continue };
        let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
        let fixed = |holds| if holds { yes } else { no };
        match code {
            op::LOAD if k <= data::ARCH => open.push((at + 1, first, last, k == data::NUMBER)),
            op::JUMP => open.push((at + 1 + k as usize, first, last, number)),
            op::JEQ if !number => open.push((fixed(audit == k), first, last, number)),
            op::JEQ if (first..=last).contains(&k) => {
                if k > first {
                    open.push((no, first, k - 1, number));
                }
                if k < last {
                    open.push((no, k + 1, last, number));
                }
                open.push((yes, k, k, number));
            }
            op::JEQ => open.push((no, first, last, number)),
            op::JGE if number && first < k && k <= last => {
                open.extend([(no, first, k - 1, number), (yes, k, last, number)]);
            }
            op::JGE if number => open.push((fixed(first >= k), first, last, number)),
            op::JGT if number && first <= k && k < last => {
                open.extend([(no, first, k, number), (yes, k + 1, last, number)]);
            }
            op::JGT if number => open.push((fixed(first > k), first, last, number)),
            _ => done.push(Leaf { first, last, at }),
        }
    }
    done.sort_unstable_by_key(|leaf| leaf.first);
    done
}

fn answers(program: &[Instruction], leaves: &[Leaf]) -> String {
    let words: BTreeSet<String> = leaves.iter().map(|leaf| instruction(program, leaf.at)).collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

fn interface(text: &mut String, program: &[Instruction], arch: Arch) {
    let base = if arch == Arch::X32 { X32_BIT } else { 0 };
    let names: BTreeMap<u32, &str> = table::calls(arch).map(|(name, number)| (number, name)).collect();
    let leaves = leaves(program, base, Some(arch));
    // The answer that covers most numbers without a name is told as "everything else".
    let unnamed = |leaf: &Leaf| {
        u64::from(leaf.last - leaf.first) + 1 - names.range(leaf.first..=leaf.last).count() as u64
    };
    let mut by_answer: BTreeMap<String, (Vec<&str>, Vec<String>)> = BTreeMap::new();
    let mut asked: Vec<(&str, usize)> = Vec::new();
    for leaf in &leaves {
        let calls = names.range(leaf.first..=leaf.last);
        if program[leaf.at].code != op::RETURN {
            asked.extend(calls.map(|(_, name)| (*name, leaf.at)));
            continue;
        }
        let (listed, others) = by_answer.entry(instruction(program, leaf.at)).or_default();
        listed.extend(calls.map(|(_, name)| *name));
        if unnamed(leaf) > 0 {
            others.push(match (leaf.first - base, leaf.last - base) {
                (one, same) if one == same => one.to_string(),
                (first, last) if last >= X32_BIT - 1 => format!("from {first}"),
                (first, last) => format!("{first}-{last}"),
            });
        }
    }
    let _ = writeln!(text, "\n{arch}");
    let one_answer = by_answer.len() == 1 && asked.is_empty();
    for (answer, (mut listed, others)) in by_answer {
        // Single gaps in the numbering say nothing to people; what lies beyond all calls does.
        let beyond = others.iter().find(|range| range.starts_with("from"));
        if one_answer {
            let _ = writeln!(text, "  {answer}: everything");
        } else if beyond.is_some() && listed.len() * 2 > names.len() {
            let _ = writeln!(text, "  {answer}: everything else");
        } else {
            listed.sort_unstable();
            let beyond = beyond.map(|range| format!("numbers {range}"));
            listed.extend(beyond.as_deref());
            wrap(text, &format!("{answer}: "), &listed);
        }
    }
    asked.sort_unstable();
    for (name, at) in asked {
        let _ = writeln!(text, "  {name}, by its arguments:");
        for at in reachable(program, at) {
            let _ = writeln!(text, "    {at:>4}  {}", instruction(program, at));
        }
    }
}

/// The instructions that can follow from `start`, without the returns: jumps to those name the answer.
fn reachable(program: &[Instruction], start: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        let Some(Instruction { code, jt, jf, k }) = program.get(at).copied() else { continue };
        if code == op::RETURN || !seen.insert(at) {
            continue;
        }
        match code {
            op::JUMP => open.push(at + 1 + k as usize),
            op::LOAD | op::AND => open.push(at + 1),
            _ => open.extend([at + 1 + usize::from(jt), at + 1 + usize::from(jf)]),
        }
    }
    seen
}

fn wrap(text: &mut String, start: &str, words: &[&str]) {
    let mut line = format!("  {start}");
    for word in words {
        if line.len() + word.len() > 110 {
            let _ = writeln!(text, "{}", line.trim_end());
            line = "    ".to_owned();
        }
        line.push_str(word);
        line.push(' ');
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn instruction(program: &[Instruction], at: usize) -> String {
    let Instruction { code, jt, jf, k } = program[at];
    let test = |what: &str| {
        let to = |skip: u8| target(program, at + 1 + usize::from(skip));
        format!("if {what} {}, else {}", to(jt), to(jf))
    };
    match code {
        op::LOAD => format!("look at {}", word(k)),
        op::AND => format!("keep the bits {k:#x}"),
        op::JUMP => target(program, at + 1 + k as usize),
        op::JEQ => test(&format!("== {k:#x}")),
        op::JGT => test(&format!("> {k:#x}")),
        op::JGE => test(&format!(">= {k:#x}")),
        op::JSET => test(&format!("has a bit of {k:#x}")),
        op::RETURN => {
            Action::from_code(k).map_or_else(|| format!("return {k:#x}"), |action| action.to_string())
        }
        _ => format!("unknown {code:#x} {jt} {jf} {k:#x}"),
    }
}

fn target(program: &[Instruction], at: usize) -> String {
    match program.get(at) {
        Some(Instruction { code: op::RETURN, .. }) => instruction(program, at),
        _ => format!("go to {at}"),
    }
}

fn word(offset: u32) -> String {
    match offset {
        data::NUMBER => "the number".to_owned(),
        data::ARCH => "the architecture".to_owned(),
        8 | 12 => "the instruction pointer".to_owned(),
        _ => {
            let half = if offset.is_multiple_of(8) { "lower" } else { "upper" };
            format!("the {half} half of argument {}", (offset - 16) / 8)
        }
    }
}
