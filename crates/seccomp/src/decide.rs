//! From rules on names to answers on ranges of numbers.
//!
//! [`branches`] is pure and knows all that makes a profile mean something: which rule wins, what happens to
//! numbers nobody named, which interfaces are closed. [`crate::emit`] only writes the result down as
//! instructions.

use crate::arch::{Arch, X32_BIT};
use crate::ints;
use crate::profile::{Action, Condition, Op, Profile, Rule};
use crate::table;

/// Killed: calls through an interface that the profile does not cover. libseccomp's `act_badarch`.
pub(crate) const CLOSED: Action = Action::KillThread;

/// What calls newer than the profile get.
pub(crate) const NOT_KNOWN: Action = Action::Errno(38);

/// What to do for the calls of one `seccomp_data.arch`.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) audit: u32,
    /// All numbers, in order and without gaps; neighbours differ.
    pub(crate) ranges: Vec<Range>,
    /// What [`Answer::Ask`] points to.
    pub(crate) questions: Vec<Vec<Case>>,
}

/// The numbers from `first` up to the next range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Whatever the arguments.
    Fixed(Action),
    /// The first case that holds, or else the default.
    Ask(u16),
}

/// An answer under conditions, all of which must hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) tests: Vec<Test>,
    pub(crate) action: Action,
}

/// A condition, once it is known how much of the argument counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) index: u8,
    pub(crate) op: Op,
    pub(crate) value: u64,
    pub(crate) value_two: u64,
    pub(crate) low_half_only: bool,
}

/// The branches of a filter for `target`, the native one first.
pub(crate) fn branches(profile: &Profile, target: Arch) -> Vec<Branch> {
    let mut listed = vec![target];
    for arch in &profile.architectures {
        if !listed.contains(arch) && same_machine(*arch, target) {
            listed.push(*arch);
        }
    }
    let spoken = Spoken::of(profile);
    let mut branches: Vec<Branch> = Vec::new();
    for arch in &listed {
        if branches.iter().all(|branch| branch.audit != arch.audit()) {
            let members: Vec<Arch> =
                listed.iter().copied().filter(|other| other.audit() == arch.audit()).collect();
            branches.push(branch(&spoken, &members));
        }
    }
    branches
}

/// Whether one kernel can serve both. Others never appear in `seccomp_data.arch` and need no code.
fn same_machine(one: Arch, other: Arch) -> bool {
    let is_arm = |arch| matches!(arch, Arch::Aarch64 | Arch::Arm);
    is_arm(one) == is_arm(other)
}

/// `members`: one architecture, or x86_64 and x32, which share a value of `seccomp_data.arch`.
fn branch(spoken: &Spoken<'_>, members: &[Arch]) -> Branch {
    let mut builder =
        Builder { default: spoken.profile.default_action, ranges: Vec::new(), questions: Vec::new() };
    let of = |arch| members.contains(&arch).then(|| Named::collect(spoken, arch));
    if members.contains(&Arch::X86_64) || members.contains(&Arch::X32) {
        builder.x86_64(of(Arch::X86_64), of(Arch::X32));
    } else {
        let named = Named::collect(spoken, members[0]);
        builder.zone(0, Some(&named));
    }
    Branch { audit: members[0].audit(), ranges: builder.ranges, questions: builder.questions }
}

struct Builder {
    default: Action,
    ranges: Vec<Range>,
    questions: Vec<Vec<Case>>,
}

impl Builder {
    /// The four quarters of the numbers: x86_64, x32, and both again with bit 31 set, which no call has.
    ///
    /// The upper two follow what runc's stub and libseccomp's check make of them: ENOSYS where the stub
    /// applies, otherwise closed unless both interfaces are listed. Number -1 is what a tracer sets to skip
    /// a call; it is never taken for x32.
    fn x86_64(&mut self, x86_64: Option<Named<'_>>, x32: Option<Named<'_>>) {
        self.zone(0, x86_64.as_ref());
        self.zone(X32_BIT, x32.as_ref());
        let both = x86_64.is_some() && x32.is_some();
        let beyond = |named: &Option<Named<'_>>| match named {
            Some(Named { newest: Some(_), .. }) => NOT_KNOWN,
            _ if both => self.default,
            _ => CLOSED,
        };
        let (upper, upper_x32) = (beyond(&x86_64), beyond(&x32));
        self.push(0x8000_0000, Answer::Fixed(upper));
        self.push(0x8000_0000 | X32_BIT, Answer::Fixed(upper_x32));
        if x32.is_none() {
            self.push(u32::MAX, Answer::Fixed(self.default));
        }
    }

    /// The numbers from `start` on; `None` is an interface that is not listed.
    fn zone(&mut self, start: u32, named: Option<&Named<'_>>) {
        let Some(named) = named else {
            self.push(start, Answer::Fixed(CLOSED));
            return;
        };
        self.push(start, Answer::Fixed(self.default));
        let mut rest = named.entries.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|entry| entry.number == first.number).count();
            let (entries, after) = rest.split_at(count);
            let answer = self.answer(named.rules, named.arch, entries);
            self.push(first.number, answer);
            self.push(first.number + 1, Answer::Fixed(self.default));
            rest = after;
        }
        if let Some(newest) = named.newest {
            self.push(newest + 1, Answer::Fixed(NOT_KNOWN));
        }
    }

    /// The first rule without conditions wins over all others on the same call, wherever it stands; that is
    /// libseccomp's way. Otherwise the rules are asked in order.
    fn answer(&mut self, rules: &[Rule], arch: Arch, entries: &[Entry]) -> Answer {
        let mut question = Vec::new();
        for entry in entries {
            let rule = &rules[entry.rule as usize];
            if rule.args.is_empty() && entry.carried.is_none() {
                return Answer::Fixed(rule.action);
            }
            let alternatives = entry.alternatives(rule, arch);
            if alternatives.iter().any(Vec::is_empty) {
                return Answer::Fixed(rule.action);
            }
            question.extend(alternatives.into_iter().map(|tests| Case { tests, action: rule.action }));
        }
        let known = self.questions.iter().position(|other| *other == question);
        let index = known.unwrap_or_else(|| {
            self.questions.push(question);
            self.questions.len() - 1
        });
        // There are fewer calls than 65,536, and a question a call at most.
        Answer::Ask(index as u16)
    }

    fn push(&mut self, first: u32, answer: Answer) {
        if self.ranges.last().is_some_and(|last| last.first == first) {
            self.ranges.pop();
        }
        if self.ranges.last().is_none_or(|last| last.answer != answer) {
            self.ranges.push(Range { first, answer });
        }
    }
}

/// The calls that a profile names, in its order.
struct Spoken<'a> {
    profile: &'a Profile,
    calls: Vec<(u32, table::Call)>,
}

impl<'a> Spoken<'a> {
    fn of(profile: &'a Profile) -> Self {
        let mut calls = Vec::with_capacity(512);
        for (index, rule) in profile.rules.iter().enumerate() {
            calls.extend(rule.names.iter().filter_map(|name| Some((index as u32, table::find(name)?))));
        }
        Self { profile, calls }
    }
}

/// The rules of a profile, by the numbers of one architecture.
struct Named<'a> {
    rules: &'a [Rule],
    arch: Arch,
    /// Sorted by number; entries of one number in the order of the rules.
    entries: Vec<Entry>,
    /// The greatest number that a rule names, if calls above it shall fail with ENOSYS.
    newest: Option<u32>,
}

impl<'a> Named<'a> {
    fn collect(spoken: &Spoken<'a>, arch: Arch) -> Self {
        let Spoken { profile, calls } = spoken;
        let mut entries = Vec::with_capacity(calls.len());
        let mut newest = 0;
        for (index, call) in calls.iter().copied() {
            let rule = &profile.rules[index as usize];
            // Rules that repeat the default say nothing, but the calls they name are known to the profile.
            let counts = rule.action != profile.default_action;
            if let Some(number) = call.number(arch) {
                newest = newest.max(number);
                if counts {
                    entries.push(Entry { number, rule: index, call, carried: None });
                }
            }
            if counts && arch == Arch::X86 {
                entries.extend(through_multiplexer(rule, index, call));
            }
        }
        let entries = by_number(&entries);
        let stub = newest != 0 && !profile.default_action.is_permissive();
        Self { rules: &profile.rules, arch, entries, newest: stub.then_some(newest) }
    }
}

/// Sorts by number and keeps the order of the rules; in one pass, because numbers are small and dense.
fn by_number(entries: &[Entry]) -> Vec<Entry> {
    const SLOTS: usize = 1024;
    // Calls that only 32-bit Arm has lie far above all others; they share the last slot.
    let slot = |entry: &Entry| SLOTS.min((entry.number & !X32_BIT) as usize + 1);
    let Some(any) = entries.first() else { return Vec::new() };
    let mut starts = [0; SLOTS + 1];
    for entry in entries {
        starts[slot(entry)] += 1;
    }
    let mut start = 0;
    for count in &mut starts {
        start += std::mem::replace(count, start);
    }
    let last = starts[SLOTS];
    let mut sorted = vec![*any; entries.len()];
    for entry in entries {
        let at = &mut starts[slot(entry)];
        sorted[*at] = *entry;
        *at += 1;
    }
    sorted[last..].sort_by_key(|entry| entry.number);
    sorted
}

/// That a rule applies to a number.
#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u32,
    rule: u32,
    call: table::Call,
    /// Set when `number` is socketcall or ipc: the row of [`CARRIED`].
    carried: Option<u8>,
}

impl Entry {
    /// The rule's conditions as alternatives; an empty one always holds.
    fn alternatives(&self, rule: &Rule, arch: Arch) -> Vec<Vec<Test>> {
        if let Some(at) = self.carried {
            let (_, (_, mask), inner) = CARRIED[usize::from(at)];
            let (value, value_two) = (mask.into(), inner.into());
            return vec![vec![Test { index: 0, op: Op::MaskedEq, value, value_two, low_half_only: true }]];
        }
        let test = |condition: &Condition| Test::new(condition, self.call.name(), arch);
        let repeats = (0..6).any(|index| rule.args.iter().filter(|arg| arg.index() == index).count() > 1);
        if repeats {
            rule.args.iter().map(|arg| test(arg).into_iter().collect()).collect()
        } else {
            vec![rule.args.iter().filter_map(test).collect()]
        }
    }
}

impl Test {
    /// `None` when the condition holds for every argument.
    fn new(condition: &Condition, call: &str, arch: Arch) -> Option<Self> {
        let Condition { op, value, value_two, .. } = *condition;
        // A value whose upper half is neither empty nor a sign extension was not written with an int in mind.
        let fits = |value: u64| matches!(value >> 32, 0 | 0xffff_ffff);
        let is_int = ints::is_int(call, condition.index()) && fits(value) && fits(value_two);
        let low_half_only = arch.is_32_bit() || is_int;
        let seen = if low_half_only { u64::from(u32::MAX) } else { u64::MAX };
        let test = Self {
            index: condition.index(),
            op,
            value: value & seen,
            value_two: value_two & seen,
            low_half_only,
        };
        (op != Op::MaskedEq || test.value != 0).then_some(test)
    }
}

/// A call of 32-bit x86 that carries others, told apart by its first argument: its number, and how much of
/// the argument counts.
type Carrier = (u32, u32);
const SOCKETCALL: Carrier = (102, u32::MAX);
/// The kernel takes a version from the upper 16 bits (ipc/syscall.c) before it looks at the number.
const IPC: Carrier = (117, 0xffff);

/// What they carry, under which number (linux/net.h, linux/ipc.h); in the order of the table.
static CARRIED: [(table::Call, Carrier, u8); 32] = [
    (table::call("accept"), SOCKETCALL, 5),
    (table::call("accept4"), SOCKETCALL, 18),
    (table::call("bind"), SOCKETCALL, 2),
    (table::call("connect"), SOCKETCALL, 3),
    (table::call("getpeername"), SOCKETCALL, 7),
    (table::call("getsockname"), SOCKETCALL, 6),
    (table::call("getsockopt"), SOCKETCALL, 15),
    (table::call("listen"), SOCKETCALL, 4),
    (table::call("msgctl"), IPC, 14),
    (table::call("msgget"), IPC, 13),
    (table::call("msgrcv"), IPC, 12),
    (table::call("msgsnd"), IPC, 11),
    (table::call("recv"), SOCKETCALL, 10),
    (table::call("recvfrom"), SOCKETCALL, 12),
    (table::call("recvmmsg"), SOCKETCALL, 19),
    (table::call("recvmsg"), SOCKETCALL, 17),
    (table::call("semctl"), IPC, 3),
    (table::call("semget"), IPC, 2),
    (table::call("semop"), IPC, 1),
    (table::call("semtimedop"), IPC, 4),
    (table::call("send"), SOCKETCALL, 9),
    (table::call("sendmmsg"), SOCKETCALL, 20),
    (table::call("sendmsg"), SOCKETCALL, 16),
    (table::call("sendto"), SOCKETCALL, 11),
    (table::call("setsockopt"), SOCKETCALL, 14),
    (table::call("shmat"), IPC, 21),
    (table::call("shmctl"), IPC, 24),
    (table::call("shmdt"), IPC, 22),
    (table::call("shmget"), IPC, 23),
    (table::call("shutdown"), SOCKETCALL, 13),
    (table::call("socket"), SOCKETCALL, 1),
    (table::call("socketpair"), SOCKETCALL, 8),
];

/// The rule once more, for the call that carries `call` on 32-bit x86.
///
/// The arguments of the inner call lie in memory, where a filter cannot look. A rule with conditions
/// therefore refuses the inner call altogether, and allows nothing. (libseccomp lets such a rule allow
/// everything.)
fn through_multiplexer(rule: &Rule, index: u32, call: table::Call) -> Option<Entry> {
    if !rule.args.is_empty() && rule.action.is_permissive() {
        return None;
    }
    let at = CARRIED.binary_search_by_key(&call, |(inner, ..)| *inner).ok()?;
    let (_, (number, _), _) = CARRIED[at];
    Some(Entry { number, rule: index, call, carried: Some(at as u8) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_calls_are_sorted_and_their_carriers_numbered() {
        assert!(CARRIED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(table::number("socketcall", Arch::X86), Some(SOCKETCALL.0));
        assert_eq!(table::number("ipc", Arch::X86), Some(IPC.0));
    }
}
