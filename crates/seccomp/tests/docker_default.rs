//! The default profile answers every call as Docker's does.
//!
//! `data/docker_default.txt` says what Docker's profile says, one fact a line. [`Facts::answer`] reads it
//! in the most literal way; the compiled filter is interpreted and must agree for every number, machine,
//! set of capabilities and argument.

use seccomp::{Action, Arch, Call, Filter, X32_BIT, calls, compile, default_profile, evaluate};
use std::collections::HashMap;

const FACTS: &str = include_str!("data/docker_default.txt");

/// Arguments that the kernel cuts to 32 bits, with both profiles; Docker's filter compares all 64.
const INTS: [&str; 2] = ["socket", "personality"];

const CAPS: [(&str, u32); 14] = [
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_SYS_MODULE", 16),
    ("CAP_SYS_RAWIO", 17),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_PACCT", 20),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_SYS_BOOT", 22),
    ("CAP_SYS_NICE", 23),
    ("CAP_SYS_TIME", 25),
    ("CAP_SYS_TTY_CONFIG", 26),
    ("CAP_SYSLOG", 34),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

/// What Docker gives a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
/// net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
const DOCKER_CAPS: u64 = 0xa804_25fb;

struct Fact {
    action: Action,
    when: Vec<&'static str>,
    calls: Vec<&'static str>,
    condition: Option<Condition>,
}

#[derive(Clone, Copy)]
struct Condition {
    argument: usize,
    op: &'static str,
    value: u64,
    value_two: u64,
}

impl Condition {
    fn read(text: &'static str) -> Self {
        let words: Vec<_> = text.split_whitespace().collect();
        let hex = |word: &str| u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).unwrap();
        Self {
            argument: words[0].strip_prefix("arg").unwrap().parse().unwrap(),
            op: words[1],
            value: hex(words[2]),
            value_two: words.get(3).map_or(0, |word| hex(word)),
        }
    }

    fn holds(&self, args: &[u64; 6]) -> bool {
        let argument = args[self.argument];
        match self.op {
            "<" => argument < self.value,
            ">" => argument > self.value,
            "==" => argument == self.value,
            "masked" => argument & self.value == self.value_two,
            other => panic!("operator {other}"),
        }
    }
}

fn read_action(text: &str) -> Action {
    match text.split_once(' ') {
        Some(("errno", number)) => Action::Errno(number.parse().unwrap()),
        _ if text == "allow" => Action::Allow,
        _ => panic!("action {text}"),
    }
}

/// The facts that apply to one machine, kernel and set of capabilities.
struct Facts {
    default: Action,
    rules: Vec<Fact>,
    interfaces: Vec<String>,
}

impl Facts {
    fn read(bounding: u64, kernel: (u32, u32), machine: Arch) -> Self {
        let mut facts = Self { default: Action::Allow, rules: Vec::new(), interfaces: Vec::new() };
        for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
            if let Some(action) = line.strip_prefix("default ") {
                facts.default = read_action(action);
            } else if let Some(names) = line.strip_prefix("machine ") {
                if names.starts_with(machine.oci_name()) {
                    facts.interfaces = names.split(' ').map(str::to_owned).collect();
                }
            } else {
                let fields: Vec<_> = line.split(" | ").collect();
                let fact = Fact {
                    action: read_action(fields[0]),
                    when: fields[1].split(' ').collect(),
                    calls: fields[2].split(' ').collect(),
                    condition: fields.get(3).copied().map(Condition::read),
                };
                if fact.when.iter().all(|word| holds(word, bounding, kernel, machine)) {
                    facts.rules.push(fact);
                }
            }
        }
        facts
    }

    /// The facts that name a call.
    fn about(&self, name: Option<&str>) -> Vec<&Fact> {
        self.rules.iter().filter(|fact| name.is_some_and(|name| fact.calls.contains(&name))).collect()
    }

    /// What the facts on one call say; one without condition wins over those with one.
    fn answer(&self, name: Option<&str>, facts: &[&Fact], args: &[u64; 6]) -> Action {
        let mut seen = *args;
        if name.is_some_and(|name| INTS.contains(&name)) {
            seen[0] &= 0xffff_ffff;
        }
        let holds = |fact: &&&Fact| fact.condition.is_some_and(|condition| condition.holds(&seen));
        let always = facts.iter().find(|fact| fact.condition.is_none());
        always.or_else(|| facts.iter().find(holds)).map_or(self.default, |fact| fact.action)
    }

    fn named(&self, name: &str) -> bool {
        self.rules.iter().any(|fact| fact.calls.contains(&name))
    }

    /// Registers around every value that the facts compare with.
    fn samples(facts: &[&Fact]) -> Vec<[u64; 6]> {
        let mut samples = vec![[0; 6], [u64::MAX; 6], [0, u64::MAX, 3, 4, 5, 6]];
        for condition in facts.iter().filter_map(|fact| fact.condition) {
            let bits = (0..64).map(|bit| condition.value ^ 1 << bit);
            let near = [condition.value.wrapping_sub(1), condition.value, condition.value.wrapping_add(1)];
            for value in near.into_iter().chain(bits).chain((0..64).map(|bit| 1 << bit)) {
                let mut args = [0x7777; 6];
                args[condition.argument] = value;
                samples.push(args);
            }
        }
        samples
    }
}

fn holds(word: &str, bounding: u64, kernel: (u32, u32), machine: Arch) -> bool {
    let has = |cap: &str| {
        let (_, bit) =
            CAPS.iter().find(|(name, _)| *name == cap).unwrap_or_else(|| panic!("capability {cap}"));
        bounding >> bit & 1 == 1
    };
    let is = |machines: &str| machines.split(',').any(|name| name == machine.docker_name());
    if let Some(cap) = word.strip_prefix("cap=") {
        has(cap)
    } else if let Some(cap) = word.strip_prefix("no-cap=") {
        !has(cap)
    } else if let Some(machines) = word.strip_prefix("machine=") {
        is(machines)
    } else if let Some(machines) = word.strip_prefix("no-machine=") {
        !is(machines)
    } else if let Some(version) = word.strip_prefix("kernel>=") {
        let (major, minor) = version.split_once('.').unwrap();
        kernel >= (major.parse().unwrap(), minor.parse().unwrap())
    } else {
        assert_eq!(word, "always");
        true
    }
}

/// Every number that means something on `arch`, some that do not, and the name of each.
fn numbers(arch: Arch) -> Vec<(u32, Option<&'static str>)> {
    let names: HashMap<u32, &str> = calls(arch).map(|(name, number)| (number, name)).collect();
    let base = if arch == Arch::X32 { X32_BIT } else { 0 };
    let arm_only = 0xf_0000..0xf_0010;
    let beyond = [700, 1 << 16, (1 << 30) - 1].map(|number| number | base);
    (base..base + 620)
        .chain(arm_only.map(|number| number | base))
        .chain(beyond)
        .map(|number| (number, names.get(&number).copied()))
        .collect()
}

fn compare(bounding: u64, kernel: (u32, u32), machine: Arch) -> usize {
    let facts = Facts::read(bounding, kernel, machine);
    let profile = default_profile(bounding, kernel, machine);
    assert_eq!(
        profile.architectures.iter().map(|arch| arch.oci_name()).collect::<Vec<_>>(),
        facts.interfaces
    );
    let filter = compile(&profile, machine).unwrap();
    profile.architectures.iter().map(|arch| compare_interface(&filter, &facts, *arch, bounding, kernel)).sum()
}

fn compare_interface(filter: &Filter, facts: &Facts, arch: Arch, bounding: u64, kernel: (u32, u32)) -> usize {
    let newest = calls(arch).filter(|(name, _)| facts.named(name)).map(|(_, number)| number).max().unwrap();
    let mut compared = 0;
    for (number, name) in numbers(arch) {
        let on_call = facts.about(name);
        for args in Facts::samples(&on_call) {
            // runc puts this in front of the profile; without it Docker's default would be EPERM.
            let expected =
                if number > newest { Action::Errno(38) } else { facts.answer(name, &on_call, &args) };
            let verdict = evaluate(filter, &Call::new(arch, number, args));
            assert_eq!(
                verdict.action(),
                expected,
                "{name:?} ({number:#x}) on {arch} with {args:#x?}, capabilities {bounding:#x}, Linux {kernel:?}"
            );
            compared += 1;
        }
    }
    compared
}

fn bit(index: usize) -> u64 {
    1 << CAPS[index].1
}

#[test]
fn every_call_is_answered_as_docker_answers_it() {
    let all: u64 = (0..CAPS.len()).map(bit).sum();
    let mut sets = vec![0, all, u64::MAX, DOCKER_CAPS];
    for one in 0..CAPS.len() {
        sets.extend([bit(one), all & !bit(one)]);
        sets.extend((0..one).map(|two| bit(one) | bit(two)));
    }
    let mut compared = 0;
    for (at, set) in sets.iter().enumerate() {
        // Kernel versions matter to one fact only; the pairs of capabilities run on new kernels alone.
        let kernels: &[(u32, u32)] =
            if at < 6 { &[(6, 18), (4, 7), (4, 8), (3, 10), (5, 0)] } else { &[(6, 18)] };
        for (kernel, machine) in
            kernels.iter().flat_map(|kernel| [(*kernel, Arch::X86_64), (*kernel, Arch::Aarch64)])
        {
            compared += compare(*set, kernel, machine);
        }
    }
    assert!(compared > 500_000, "only {compared} answers compared");
    eprintln!("{compared} answers compared");
}

#[test]
fn ptrace_on_old_kernels_needs_its_capability() {
    let answer = |bounding, kernel| {
        let filter = compile(&default_profile(bounding, kernel, Arch::X86_64), Arch::X86_64).unwrap();
        evaluate(&filter, &Call::new(Arch::X86_64, 101, [0; 6])).action()
    };
    assert_eq!(answer(DOCKER_CAPS, (4, 7)), Action::Errno(1));
    assert_eq!(answer(DOCKER_CAPS, (4, 8)), Action::Allow);
    assert_eq!(answer(1 << 19, (4, 7)), Action::Allow);
}

#[test]
fn a_socket_family_is_judged_as_the_kernel_sees_it() {
    let filter = compile(&default_profile(DOCKER_CAPS, (6, 18), Arch::X86_64), Arch::X86_64).unwrap();
    let socket = |family| evaluate(&filter, &Call::new(Arch::X86_64, 41, [family, 0, 0, 0, 0, 0])).action();
    assert_eq!(socket(2), Action::Allow);
    assert_eq!(socket(38), Action::Errno(1));
    // Greater than AF_VSOCK in 64 bits, AF_ALG for the kernel: a filter that compares all of it lets this
    // through.
    assert_eq!(socket(1 << 32 | 38), Action::Errno(1));
    assert_eq!(socket(u64::MAX << 32 | 40), Action::Errno(1));
}

#[test]
fn common_calls_of_the_default_profile_need_no_arguments_and_few_instructions() {
    let filter = compile(&default_profile(DOCKER_CAPS, (6, 18), Arch::X86_64), Arch::X86_64).unwrap();
    let conditional = ["clone", "personality", "socket"];
    let mut most = 0;
    for (name, number) in calls(Arch::X86_64) {
        let verdict = evaluate(&filter, &Call::new(Arch::X86_64, number, [0; 6]));
        assert_eq!(verdict.loaded_arguments, conditional.contains(&name), "{name}");
        if !verdict.loaded_arguments {
            most = most.max(verdict.steps);
        }
    }
    assert!(most <= 13, "{most} instructions for a call without conditions");
}

/// With `HOLM_DOCKER_PROFILE=…/default.json` (moby/profiles, seccomp/default.json): the document itself,
/// through our reader, compiles to the very filter of our table.
#[test]
fn the_document_itself_compiles_to_the_same_filter() {
    let Some(path) = std::env::var_os("HOLM_DOCKER_PROFILE") else {
        eprintln!(
            "SKIPPED the_document_itself_compiles_to_the_same_filter: HOLM_DOCKER_PROFILE names no document"
        );
        return;
    };
    let json = std::fs::read(path).unwrap();
    for (bounding, kernel) in
        [(0, (6, 18)), (DOCKER_CAPS, (6, 18)), (u64::MAX, (4, 4)), (bit(6), (5, 10)), (bit(4), (4, 7))]
    {
        for machine in [Arch::X86_64, Arch::Aarch64] {
            let host = seccomp::Host { bounding, kernel, machine };
            let theirs = seccomp::read_profile(&json, &host).unwrap().unwrap();
            let ours = default_profile(bounding, kernel, machine);
            assert_eq!(compile(&theirs, machine).unwrap(), compile(&ours, machine).unwrap());
        }
    }
}
