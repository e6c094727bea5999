//! Our compiler and libseccomp agree on what a profile means.
//!
//! A small C program asks libseccomp for a filter of the same profile; both filters are interpreted. What
//! libseccomp does not do itself, runc's stub in front of its filters, is added by [`runc`].
//!
//! libseccomp 2.5.4 loses cases when it merges several conditional rules on one call into its tree (two `<`
//! on one argument, for example). Where the two sides differ on such a call, [`literal`] is the judge, and
//! ours must be the right one.

#[path = "common/helper.rs"]
mod helper;
#[path = "common/random.rs"]
mod random;

use helper::Helper;
use random::Random;
use seccomp::{
    Action, Arch, Call, Condition, Filter, Flags, Op, Profile, Rule, X32_BIT, compile, evaluate, ints,
};
use std::collections::HashMap;
use std::fmt::Write as _;

fn oracle(test: &str) -> Option<Helper> {
    Helper::compile("oracle", &["-lseccomp"]).map_err(|reason| eprintln!("SKIPPED {test}: {reason}")).ok()
}

/// The numbers this libseccomp knows; ours with [`X32_BIT`] on x32, as its own.
fn numbers(oracle: &Helper, arch: Arch) -> HashMap<String, i64> {
    let names: Vec<&str> = Arch::ALL.into_iter().flat_map(seccomp::calls).map(|(name, _)| name).collect();
    let output = oracle.run(&["numbers", &arch.to_string()], &names.join("\n"));
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let pair =
        |line: &str| line.split_once(' ').map(|(name, number)| (name.to_owned(), number.parse().unwrap()));
    lines.lines().filter_map(pair).collect()
}

#[test]
fn numbers_agree_with_libseccomp() {
    let Some(oracle) = oracle("numbers_agree_with_libseccomp") else { return };
    for arch in Arch::ALL {
        let theirs = numbers(&oracle, arch);
        assert!(theirs.len() > 400);
        for (name, number) in theirs.iter().filter(|(_, number)| **number >= 0) {
            assert_eq!(seccomp::number(name, arch).map(i64::from), Some(*number), "{name} on {arch}");
        }
    }
}

/// Names both sides know and number alike on all interfaces of a machine.
fn common_names(oracle: &Helper, arches: &[Arch]) -> Vec<&'static str> {
    let tables: Vec<_> = arches.iter().map(|arch| (*arch, numbers(oracle, *arch))).collect();
    let alike = |name: &str| {
        tables.iter().all(|(arch, theirs)| match (theirs.get(name), seccomp::number(name, *arch)) {
            (Some(number), Some(ours)) => *number == i64::from(ours),
            (Some(number), None) => *number < 0,
            (None, _) => false,
        })
    };
    seccomp::calls(arches[0]).map(|(name, _)| name).filter(|name| alike(name)).collect()
}

fn action(random: &mut Random) -> Action {
    let errno = 1 + random.below(130) as u16;
    random.pick(&[
        Action::Allow,
        Action::Allow,
        Action::Errno(1),
        Action::Errno(errno),
        Action::KillProcess,
        Action::KillThread,
        Action::Trap,
        Action::Trace(errno),
        Action::Log,
    ])
}

const OPS: [Op; 7] = [Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];

fn value(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => random.below(5) as u64,
        1 => 1 << random.below(64),
        2 => (1 << 32) - 1 + random.below(3) as u64,
        3 => u64::MAX - random.below(3) as u64,
        4 => random.next() & random.next() & random.next(),
        _ => random.next(),
    }
}

/// Calls that 32-bit x86 also makes through socketcall and ipc: there rules with conditions differ on
/// purpose.
fn is_carried(name: &str) -> bool {
    [
        "sock", "bind", "conn", "listen", "accept", "getpeer", "send", "recv", "shutdown", "setsock",
        "getsock", "sem", "msg", "shm", "ipc",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

fn conditions(random: &mut Random, names: &[&str]) -> Vec<Condition> {
    if names.iter().any(|name| is_carried(name)) || random.below(3) > 0 {
        return Vec::new();
    }
    // One comparison an argument: a repeated argument makes alternatives, which the oracle gets as rules of
    // their own.
    let mut args = Vec::new();
    for _ in 0..=random.below(3) {
        let index = random.below(6) as u32;
        if names.iter().all(|name| !ints::is_int(name, index as u8)) {
            let op = random.pick(&OPS);
            args.push(Condition::new(index, op, value(random), value(random)).unwrap());
        }
    }
    args
}

fn profile(random: &mut Random, names: &[&'static str], architectures: Vec<Arch>) -> Profile {
    let default_action = action(random);
    // Where conditional rules with different answers overlap, libseccomp's order is not that of the
    // document; so each call has one answer for its conditional rules.
    let answers = [action(random), action(random), action(random)];
    let mut rules = Vec::new();
    for _ in 0..random.pick(&[0, 1, 3, 10, 40, 150]) {
        let class = random.below(3);
        let of_class: Vec<_> = names.iter().filter(|name| name.len() % 3 == class).copied().collect();
        let chosen: Vec<_> = (0..=random.below(4)).map(|_| random.pick(&of_class)).collect();
        let args = conditions(random, &chosen);
        let action = if args.is_empty() { action(random) } else { answers[class] };
        rules.push(Rule { names: chosen.iter().map(|name| (*name).into()).collect(), action, args });
    }
    Profile { default_action, architectures, flags: Flags::default(), rules }
}

/// The profile as runc tells it to libseccomp.
fn for_oracle(profile: &Profile, target: Arch, optimize: u32) -> String {
    let mut text = format!("default {}\noptimize {optimize}\narch {target}\n", profile.default_action.code());
    for arch in profile.architectures.iter().filter(|arch| **arch != target) {
        let _ = writeln!(text, "arch {arch}");
    }
    text.push_str("begin\n");
    for rule in profile.rules.iter().filter(|rule| rule.action != profile.default_action) {
        let repeats = rule
            .args
            .iter()
            .enumerate()
            .any(|(at, arg)| rule.args[..at].iter().any(|before| before.index() == arg.index()));
        let alternatives: Vec<&[Condition]> =
            if repeats { rule.args.chunks(1).collect() } else { vec![&rule.args] };
        for (name, args) in
            rule.names.iter().flat_map(|name| alternatives.iter().map(move |args| (name, args)))
        {
            let _ = write!(text, "rule {} {name} {}", rule.action.code(), args.len());
            for arg in *args {
                let op = 1 + OPS.iter().position(|op| *op == arg.op).unwrap();
                let _ = write!(text, " {} {op} {} {}", arg.index(), arg.value, arg.value_two);
            }
            text.push('\n');
        }
    }
    text
}

/// The answer of `filter`, made by libseccomp, behind the stub that runc puts in front of it.
fn runc(profile: &Profile, target: Arch, filter: &Filter, call: &Call) -> Action {
    let permissive = matches!(profile.default_action, Action::Allow | Action::Log | Action::Trace(_));
    for arch in Arch::ALL {
        let listed = arch == target || profile.architectures.contains(&arch);
        let x32 = call.number & X32_BIT != 0;
        let of_arch = match arch {
            Arch::X86_64 => !x32,
            Arch::X32 => x32,
            _ => true,
        };
        if permissive || !listed || call.arch != arch.audit() || !of_arch {
            continue;
        }
        let numbers =
            profile.rules.iter().flat_map(|rule| &rule.names).filter_map(|name| seccomp::number(name, arch));
        if numbers.max().is_some_and(|newest| newest != 0 && call.number > newest) {
            return Action::Errno(38);
        }
    }
    evaluate(filter, call).action()
}

fn calls(random: &mut Random, profile: &Profile, arches: &[Arch]) -> Vec<Call> {
    let mut calls = Vec::new();
    for arch in arches {
        let interesting: Vec<u64> =
            profile.rules.iter().flat_map(|rule| &rule.args).map(|arg| arg.value).collect();
        let argument = |random: &mut Random| match random.below(4) {
            0 if !interesting.is_empty() => {
                random.pick(&interesting).wrapping_add(random.next() % 3).wrapping_sub(1)
            }
            1 if !interesting.is_empty() => random.pick(&interesting) ^ 1 << random.below(64),
            _ => value(random),
        };
        let x32 = if *arch == Arch::X32 { X32_BIT } else { 0 };
        let mut numbers: Vec<u32> = (0..560).map(|number| number | x32).collect();
        numbers.extend([
            0x3fff_ffff,
            0x7fff_ffff,
            0x8000_0000,
            0xbfff_ffff,
            0xc000_0000,
            u32::MAX - 1,
            u32::MAX,
            0xf_0002,
        ]);
        for named in profile.rules.iter().filter(|rule| !rule.args.is_empty()).flat_map(|rule| &rule.names) {
            numbers.extend(std::iter::repeat_n(seccomp::number(named, *arch), 12).flatten());
        }
        for number in numbers {
            let mut args = std::array::from_fn(|_| argument(random));
            if random.below(2) == 0 || number == 117 {
                args[0] = random.below(30) as u64;
            }
            calls.push(Call::new(*arch, number, args));
        }
    }
    calls
}

fn agree_on_random_profiles(test: &str, target: Arch, others: &[Arch], seeds: std::ops::Range<u64>) {
    let Some(oracle) = oracle(test) else { return };
    let machine: Vec<Arch> = std::iter::once(target).chain(others.iter().copied()).collect();
    let names = common_names(&oracle, &machine);
    assert!(names.len() > 300, "{}", names.len());
    let (mut compared, mut merged_wrongly) = (0, 0);
    for seed in seeds {
        let mut random = Random::new(seed);
        let listed: Vec<Arch> = others.iter().copied().filter(|_| random.below(2) == 0).collect();
        let profile = profile(&mut random, &names, listed);
        let optimize = if profile.rules.len() > 32 { 2 } else { 1 };
        let input = for_oracle(&profile, target, optimize);
        let output = oracle.run(&["export"], &input);
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        let theirs = Filter::from_bytes(&output.stdout, 0).expect("a well-formed program");
        let ours = compile(&profile, target).unwrap();
        assert_eq!(Filter::from_bytes(&ours.to_bytes(), ours.flags()), Some(ours.clone()), "seed {seed}");
        for call in calls(&mut random, &profile, &machine) {
            let expected = runc(&profile, target, &theirs, &call);
            let actual = evaluate(&ours, &call).action();
            compared += 1;
            if actual == expected {
                continue;
            }
            let (name, told) = about(&call, &input);
            let conditional = |rule: &&Rule| rule.names.iter().any(|n| n == name) && !rule.args.is_empty();
            if profile.rules.iter().filter(conditional).map(|rule| rule.args.len()).sum::<usize>() > 1
                && actual == literal(&profile, name, &call)
            {
                merged_wrongly += 1;
                continue;
            }
            assert_eq!(actual, expected, "seed {seed}, {name}, {call:x?}\n{told}");
        }
    }
    assert!(merged_wrongly * 200 < compared, "{merged_wrongly} of {compared} differ");
    eprintln!("{compared} answers compared; libseccomp merged rules wrongly for {merged_wrongly}");
}

/// The answer of the rules on the call `name`, read one after the other.
fn literal(profile: &Profile, name: &str, call: &Call) -> Action {
    let wide = [Arch::X86_64, Arch::Aarch64].iter().any(|arch| arch.audit() == call.arch)
        && call.number & X32_BIT == 0;
    let seen = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let holds = |arg: &Condition| {
        let arg = Condition::new(arg.index().into(), arg.op, seen(arg.value), seen(arg.value_two)).unwrap();
        arg.holds(&call.args.map(seen))
    };
    let matches = |rule: &Rule| {
        let repeats = rule
            .args
            .iter()
            .any(|arg| rule.args.iter().filter(|other| other.index() == arg.index()).count() > 1);
        if repeats { rule.args.iter().any(holds) } else { rule.args.iter().all(holds) }
    };
    let about = || {
        profile
            .rules
            .iter()
            .filter(|rule| rule.action != profile.default_action && rule.names.iter().any(|n| n == name))
    };
    about()
        .find(|rule| rule.args.is_empty())
        .or_else(|| about().find(|rule| matches(rule)))
        .map_or(profile.default_action, |rule| rule.action)
}

/// The name of a call, and the lines of the profile that concern it.
fn about(call: &Call, input: &str) -> (&'static str, String) {
    let arches = Arch::ALL.into_iter().filter(|arch| arch.audit() == call.arch);
    let name = arches.filter_map(|arch| seccomp::name(call.number, arch)).next().unwrap_or("no name");
    let concerns = |line: &&str| !line.starts_with("rule") || line.split(' ').nth(2) == Some(name);
    (name, input.lines().filter(concerns).collect::<Vec<_>>().join("\n"))
}

#[test]
fn random_profiles_mean_the_same_to_libseccomp_on_x86() {
    let test = "random_profiles_mean_the_same_to_libseccomp_on_x86";
    agree_on_random_profiles(test, Arch::X86_64, &[Arch::X86, Arch::X32], 0..80);
}

#[test]
fn random_profiles_mean_the_same_to_libseccomp_on_arm() {
    let test = "random_profiles_mean_the_same_to_libseccomp_on_arm";
    agree_on_random_profiles(test, Arch::Aarch64, &[Arch::Arm], 0..50);
}

/// The default profile with the calls both sides know, by both.
#[test]
fn the_default_profile_takes_fewer_instructions_than_libseccomps() {
    let Some(oracle) = oracle("the_default_profile_takes_fewer_instructions_than_libseccomps") else {
        return;
    };
    let machine = [Arch::X86_64, Arch::X86, Arch::X32];
    let names = common_names(&oracle, &machine);
    let mut profile = seccomp::default_profile(0xa804_25fb, (6, 18), Arch::X86_64);
    for rule in &mut profile.rules {
        rule.names.retain(|name| names.contains(&&**name));
    }
    profile.rules.retain(|rule| !rule.names.is_empty());
    let ours = compile(&profile, Arch::X86_64).unwrap();
    let common = "read write close mmap munmap brk futex openat newfstatat rt_sigaction epoll_pwait recvfrom sendto getpid clone";
    let common: Vec<&str> = common.split(' ').collect();
    let steps = |filter: &Filter, name: &str| {
        let number = seccomp::number(name, Arch::X86_64).unwrap();
        evaluate(filter, &Call::new(Arch::X86_64, number, [0; 6])).steps
    };
    let describe = |who: &str, filter: &Filter| {
        let average = |names: &[&str]| {
            names.iter().map(|name| steps(filter, name)).sum::<u32>() as f64 / names.len() as f64
        };
        let (all, few) = (average(&names), average(&common));
        let length = filter.instructions().len();
        eprintln!("{who}: {length} instructions; executed {all:.1} on average, {few:.1} for common calls");
        (all, few)
    };
    let (all, few) = describe("ours", &ours);
    for optimize in [1, 2] {
        let output = oracle.run(&["export"], &for_oracle(&profile, Arch::X86_64, optimize));
        let theirs = Filter::from_bytes(&output.stdout, 0).expect("a well-formed program");
        let (their_all, their_few) = describe(&format!("libseccomp, optimization {optimize}"), &theirs);
        assert!(all < their_all && few < their_few);
    }
}

/// Why [`ints`] exists.
#[test]
fn libseccomp_is_led_past_a_condition_on_an_int() {
    let Some(oracle) = oracle("libseccomp_is_led_past_a_condition_on_an_int") else { return };
    let args = vec![Condition::new(0, Op::Gt, 40, 0).unwrap()];
    let rules = vec![Rule { names: vec!["socket".into()], action: Action::Allow, args }];
    let profile =
        Profile { default_action: Action::Errno(1), architectures: vec![], flags: Flags::default(), rules };
    let output = oracle.run(&["export"], &for_oracle(&profile, Arch::X86_64, 1));
    let theirs = Filter::from_bytes(&output.stdout, 0).expect("a well-formed program");
    let ours = compile(&profile, Arch::X86_64).unwrap();
    let alg = Call::new(Arch::X86_64, 41, [1 << 32 | 38, 5, 0, 0, 0, 0]);
    assert_eq!(evaluate(&theirs, &alg).action(), Action::Allow);
    assert_eq!(evaluate(&ours, &alg).action(), Action::Errno(1));
}
