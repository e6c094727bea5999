//! What profiles mean, and what no filter can be made of.

#[path = "common/random.rs"]
mod random;

use random::Random;
use seccomp::{
    Action, Arch, Call, CompileError, Condition, Filter, Flags, Op, Profile, Rule, X32_BIT, calls, compile,
    evaluate, number,
};

const OPS: [Op; 7] = [Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];

fn rule(name: &'static str, action: Action, args: &[(u32, Op, u64, u64)]) -> Rule {
    let args = args
        .iter()
        .map(|(index, op, value, two)| Condition::new(*index, *op, *value, *two).unwrap())
        .collect();
    Rule { names: vec![name.into()], action, args }
}

fn profile(default_action: Action, rules: Vec<Rule>) -> Profile {
    Profile { default_action, architectures: vec![], flags: Flags::default(), rules }
}

fn filter(default_action: Action, rules: Vec<Rule>) -> Filter {
    compile(&profile(default_action, rules), Arch::X86_64).unwrap()
}

fn answer(filter: &Filter, arch: Arch, name: &str, args: &[u64]) -> Action {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    evaluate(filter, &Call::new(arch, number(name, arch).unwrap(), all)).action()
}

fn on_x86_64(filter: &Filter, name: &str, args: &[u64]) -> Action {
    answer(filter, Arch::X86_64, name, args)
}

#[test]
fn every_operator_compares_all_64_bits_without_sign() {
    let edges = [
        0,
        1,
        2,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fffe,
        0xffff_ffff,
        1 << 32,
        (1 << 32) + 1,
        0x7fff_ffff_ffff_ffff,
    ]
    .into_iter()
    .chain([1 << 63, (1 << 63) + 1, u64::MAX - (1 << 32), u64::MAX - 1, u64::MAX, 0xdead_beef_0bad_cafe])
    .collect::<Vec<u64>>();
    for (op, value) in OPS.into_iter().flat_map(|op| edges.iter().map(move |value| (op, *value))) {
        for two in [0, value, 1, u64::MAX] {
            let filter = filter(Action::Allow, vec![rule("mmap", Action::Errno(7), &[(1, op, value, two)])]);
            for argument in &edges {
                let args = [0, *argument, 0, 0, 0, 0];
                let holds = Condition::new(1, op, value, two).unwrap().holds(&args);
                let expected = if holds { Action::Errno(7) } else { Action::Allow };
                assert_eq!(
                    on_x86_64(&filter, "mmap", &args),
                    expected,
                    "{argument:#x} {op:?} {value:#x} {two:#x}"
                );
            }
        }
    }
}

#[test]
fn conditions_on_one_rule_must_all_hold() {
    let rules =
        vec![rule("mmap", Action::Errno(7), &[(0, Op::Eq, 1, 0), (2, Op::Gt, 5, 0), (5, Op::Ne, 3, 0)])];
    let filter = filter(Action::Allow, rules);
    assert_eq!(on_x86_64(&filter, "mmap", &[1, 0, 6, 0, 0, 0]), Action::Errno(7));
    assert_eq!(on_x86_64(&filter, "mmap", &[2, 0, 6, 0, 0, 0]), Action::Allow);
    assert_eq!(on_x86_64(&filter, "mmap", &[1, 0, 5, 0, 0, 0]), Action::Allow);
    assert_eq!(on_x86_64(&filter, "mmap", &[1, 0, 6, 0, 0, 3]), Action::Allow);
}

#[test]
fn conditions_on_the_same_argument_are_alternatives() {
    let filter =
        filter(Action::Errno(1), vec![rule("mmap", Action::Allow, &[(0, Op::Eq, 1, 0), (0, Op::Eq, 2, 0)])]);
    for (argument, expected) in [(1, Action::Allow), (2, Action::Allow), (3, Action::Errno(1))] {
        assert_eq!(on_x86_64(&filter, "mmap", &[argument]), expected);
    }
}

#[test]
fn rules_on_one_call_are_asked_in_order_and_one_without_conditions_wins() {
    let first = rule("mmap", Action::Errno(7), &[(0, Op::Ge, 5, 0)]);
    let second = rule("mmap", Action::Trap, &[(0, Op::Ge, 3, 0)]);
    let ordered = filter(Action::Allow, vec![first.clone(), second.clone()]);
    assert_eq!(on_x86_64(&ordered, "mmap", &[5]), Action::Errno(7));
    assert_eq!(on_x86_64(&ordered, "mmap", &[4]), Action::Trap);
    assert_eq!(on_x86_64(&ordered, "mmap", &[2]), Action::Allow);

    let always = filter(Action::Allow, vec![first, second, rule("mmap", Action::Log, &[])]);
    assert_eq!(on_x86_64(&always, "mmap", &[5]), Action::Log);
}

#[test]
fn an_int_argument_is_compared_as_the_kernel_sees_it() {
    const TIOCSTI: u64 = 0x5412;
    let filter = filter(Action::Allow, vec![rule("ioctl", Action::Errno(1), &[(1, Op::Eq, TIOCSTI, 0)])]);
    assert_eq!(on_x86_64(&filter, "ioctl", &[0, TIOCSTI]), Action::Errno(1));
    assert_eq!(on_x86_64(&filter, "ioctl", &[0, TIOCSTI | 1 << 32]), Action::Errno(1));
    assert_eq!(on_x86_64(&filter, "ioctl", &[0, TIOCSTI + 1]), Action::Allow);
}

#[test]
fn a_value_that_is_no_int_is_compared_in_full() {
    let filter = filter(Action::Allow, vec![rule("ioctl", Action::Errno(1), &[(1, Op::Ge, 1 << 32, 0)])]);
    assert_eq!(on_x86_64(&filter, "ioctl", &[0, 5]), Action::Allow);
    assert_eq!(on_x86_64(&filter, "ioctl", &[0, 1 << 33]), Action::Errno(1));
}

#[test]
fn x32_calls_are_killed_unless_listed() {
    let mut wanted = profile(Action::Allow, vec![rule("read", Action::Errno(5), &[])]);
    let closed = compile(&wanted, Arch::X86_64).unwrap();
    assert_eq!(answer(&closed, Arch::X32, "getpid", &[]), Action::KillThread);
    wanted.architectures.push(Arch::X32);
    let open = compile(&wanted, Arch::X86_64).unwrap();
    assert_eq!(answer(&open, Arch::X32, "getpid", &[]), Action::Allow);
    assert_eq!(answer(&open, Arch::X32, "read", &[]), Action::Errno(5));
}

#[test]
fn other_interfaces_are_killed_and_the_skipped_call_of_tracers_gets_the_default() {
    let filter = filter(Action::Allow, vec![]);
    for arch in [Arch::X86, Arch::Aarch64, Arch::Arm] {
        assert_eq!(answer(&filter, arch, "getpid", &[]), Action::KillThread);
    }
    assert_eq!(evaluate(&filter, &Call::new(Arch::X86_64, u32::MAX, [0; 6])).action(), Action::Allow);
    assert_eq!(evaluate(&filter, &Call::new(Arch::X86_64, X32_BIT, [0; 6])).action(), Action::KillThread);
}

#[test]
fn calls_newer_than_the_profile_fail_with_enosys_unless_the_default_lets_them_pass() {
    let newest = |default| {
        let rules = vec![rule("read", Action::Allow, &[]), rule("openat2", Action::Trap, &[])];
        let filter = filter(default, rules);
        ["openat", "openat2", "faccessat2"].map(|name| on_x86_64(&filter, name, &[]))
    };
    for default in [Action::Errno(1), Action::Errno(13), Action::KillProcess, Action::KillThread] {
        assert_eq!(newest(default), [default, Action::Trap, Action::Errno(38)]);
    }
    for default in [Action::Allow, Action::Log, Action::Trace(5)] {
        assert_eq!(newest(default), [default, Action::Trap, default]);
    }
}

#[test]
fn a_profile_without_known_calls_has_no_newest_one() {
    let filter = filter(Action::Errno(1), vec![rule("no_such_call", Action::Allow, &[])]);
    assert_eq!(on_x86_64(&filter, "read", &[]), Action::Errno(1));
    assert_eq!(filter.instructions().len(), 7);
}

#[test]
fn socketcall_and_ipc_of_x86_follow_the_rules_for_what_they_carry() {
    let mut wanted = profile(
        Action::Allow,
        vec![
            rule("connect", Action::Errno(5), &[]),
            rule("socket", Action::Errno(6), &[(0, Op::Eq, 40, 0)]),
            rule("shmget", Action::Errno(7), &[]),
        ],
    );
    wanted.architectures.push(Arch::X86);
    let filter = compile(&wanted, Arch::X86_64).unwrap();
    let x86 = |name, args: &[u64]| answer(&filter, Arch::X86, name, args);
    assert_eq!(x86("connect", &[]), Action::Errno(5));
    assert_eq!(x86("socketcall", &[3]), Action::Errno(5));
    // The family lies in memory: what cannot be told apart is refused.
    assert_eq!(x86("socketcall", &[1]), Action::Errno(6));
    assert_eq!(x86("socket", &[2]), Action::Allow);
    assert_eq!(x86("socketcall", &[4]), Action::Allow);
    assert_eq!(x86("ipc", &[23]), Action::Errno(7));
    assert_eq!(x86("ipc", &[1 << 16 | 23]), Action::Errno(7));
    assert_eq!(x86("ipc", &[24]), Action::Allow);
}

#[test]
fn flags_are_those_the_kernel_takes_together() {
    let with = |flags: Flags, action| {
        let profile = Profile { flags, ..profile(Action::Allow, vec![rule("mount", action, &[])]) };
        compile(&profile, Arch::X86_64).unwrap().flags()
    };
    let all = Flags { tsync: true, log: true, spec_allow: true, wait_killable_recv: true };
    assert_eq!(with(Flags::default(), Action::Trap), 0);
    assert_eq!(with(all, Action::Trap), Filter::TSYNC | Filter::LOG | Filter::SPEC_ALLOW);
    assert_eq!(with(Flags::default(), Action::Notify), Filter::NEW_LISTENER);
    assert_eq!(with(all, Action::Notify), 0b11_1111);
}

#[test]
fn a_listener_cannot_answer_everything_nor_write() {
    let by_default = profile(Action::Notify, vec![]);
    assert_eq!(compile(&by_default, Arch::X86_64), Err(CompileError::NotifyByDefault));
    let on_write = profile(Action::Allow, vec![rule("write", Action::Notify, &[])]);
    assert_eq!(compile(&on_write, Arch::X86_64), Err(CompileError::NotifyOnWrite));
}

/// Rules on every call, each with several conditions and answers of its own: thousands of instructions, and
/// jumps far beyond 255.
fn large(rules_a_call: u16) -> Profile {
    let mut random = Random::new(3);
    let mut rules = Vec::new();
    for (name, _) in calls(Arch::X86_64).filter(|(_, number)| *number < 250) {
        for _ in 0..rules_a_call {
            // mmap-like arguments of calls without an int among them are compared in full; ints are left out.
            let index = (0..6).find(|index| !seccomp::ints::is_int(name, *index)).unwrap();
            let condition =
                (u32::from(index), random.pick(&OPS), random.next() & random.next(), random.next());
            rules.push(rule(name, Action::Errno(1 + random.below(4000) as u16), &[condition]));
        }
    }
    profile(Action::Allow, rules)
}

#[test]
fn jumps_reach_across_programs_of_thousands_of_instructions() {
    let profile = large(2);
    let filter = compile(&profile, Arch::X86_64).unwrap();
    assert!((2000..4096).contains(&filter.instructions().len()), "{filter:?}");
    assert_eq!(Filter::from_bytes(&filter.to_bytes(), filter.flags()), Some(filter.clone()));
    let mut random = Random::new(4);
    for (name, number) in calls(Arch::X86_64) {
        for _ in 0..20 {
            let args = std::array::from_fn(|_| random.next() & random.next());
            let mut rules = profile.rules.iter().filter(|rule| rule.names[0] == name);
            let expected =
                rules.find(|rule| rule.args[0].holds(&args)).map_or(Action::Allow, |rule| rule.action);
            assert_eq!(
                evaluate(&filter, &Call::new(Arch::X86_64, number, args)).action(),
                expected,
                "{name} {args:x?}"
            );
        }
    }
}

#[test]
fn a_program_that_the_kernel_would_not_take_is_an_error() {
    let Err(error @ CompileError::TooLong { instructions }) = compile(&large(5), Arch::X86_64) else {
        panic!("too long a program was accepted");
    };
    assert!(instructions > 4096);
    assert_eq!(
        report::render(&error),
        format!(
            "error: a seccomp filter of {instructions} instructions\n  \
             hint:  the kernel takes 4096 instructions; use fewer rules with conditions on arguments\n"
        )
    );
}

#[test]
fn any_profile_compiles_to_a_well_formed_program_or_an_error() {
    let mut random = Random::new(5);
    let names: Vec<&str> =
        Arch::ALL.into_iter().flat_map(calls).map(|(name, _)| name).chain(["", "none", "é"]).collect();
    let actions = [
        Action::KillProcess,
        Action::KillThread,
        Action::Trap,
        Action::Errno(0),
        Action::Errno(4095),
        Action::Trace(u16::MAX),
        Action::Notify,
        Action::Log,
        Action::Allow,
    ];
    let mut compiled = 0;
    for _ in 0..600 {
        let rules = (0..random.below(40)).map(|_| Rule {
            names: (0..random.below(20)).map(|_| random.pick(&names).into()).collect(),
            action: random.pick(&actions),
            args: (0..random.below(8).saturating_sub(3))
                .map(|_| {
                    Condition::new(
                        random.below(6) as u32,
                        random.pick(&OPS),
                        random.next() >> random.below(64),
                        random.next(),
                    )
                })
                .collect::<Result<_, _>>()
                .unwrap(),
        });
        let rules = rules.collect();
        let profile = Profile {
            default_action: random.pick(&actions),
            architectures: (0..random.below(6)).map(|_| random.pick(&Arch::ALL)).collect(),
            flags: Flags { log: random.below(2) == 0, ..Flags::default() },
            rules,
        };
        let target = random.pick(&Arch::ALL);
        match compile(&profile, target) {
            Ok(filter) => {
                assert_eq!(Filter::from_bytes(&filter.to_bytes(), filter.flags()), Some(filter.clone()));
                assert!(!seccomp::explain(&filter).is_empty() && !seccomp::disassemble(&filter).is_empty());
                compiled += 1;
            }
            Err(error) => assert!(!report::render(&error).is_empty()),
        }
    }
    assert!(compiled > 200, "{compiled}");
}

#[test]
fn bytes_that_are_no_program_are_not_taken_for_one() {
    let bytes =
        filter(Action::Errno(1), vec![rule("mmap", Action::Allow, &[(0, Op::Gt, 1 << 40, 0)])]).to_bytes();
    assert!(Filter::from_bytes(&[], 0).is_none());
    assert!(Filter::from_bytes(&bytes[..bytes.len() - 1], 0).is_none());
    assert!(Filter::from_bytes(&bytes[..8], 0).is_none());
    assert!(Filter::from_bytes(&bytes.repeat(700), 0).is_none());
    let mut random = Random::new(6);
    for _ in 0..5_000 {
        let mut damaged = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(damaged.len());
            damaged[at] = random.next() as u8;
        }
        if let Some(filter) = Filter::from_bytes(&damaged, 0) {
            // Whatever passes ends, stays inside, and can be shown.
            evaluate(&filter, &Call::new(Arch::X86_64, 9, [0; 6]));
            seccomp::explain(&filter);
        }
    }
}
