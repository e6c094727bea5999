//! The kernel takes our filters, and answers as the evaluator says.
//!
//! A small C program loads a filter in processes of its own and makes harmless calls there.
#![cfg(target_arch = "x86_64")]

#[path = "common/helper.rs"]
mod helper;
#[path = "common/random.rs"]
mod random;

use helper::Helper;
use random::Random;
use seccomp::{
    Action, Arch, Call, Condition, Filter, Op, Profile, Rule, X32_BIT, compile, default_filter, evaluate,
    number,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct FilterFile(PathBuf);

impl FilterFile {
    fn write(test: &str, filter: &Filter) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}.bpf", std::process::id()));
        std::fs::write(&path, filter.to_bytes()).unwrap();
        Self(path)
    }
}

impl Drop for FilterFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes all `calls` below `filter` and compares; returns how many were compared.
fn check(test: &str, filter: &Filter, calls: &[Call]) -> usize {
    let loader = match Helper::compile("loader", &[]) {
        Ok(loader) => loader,
        Err(reason) => {
            eprintln!("SKIPPED {test}: {reason}");
            return usize::MAX;
        }
    };
    let file = FilterFile::write(test, filter);
    let mut input = String::new();
    for call in calls {
        let mode = if call.arch == Arch::X86.audit() { "compat" } else { "native" };
        let args: Vec<_> = call.args.iter().map(u64::to_string).collect();
        let _ = writeln!(input, "{mode} {} {}", call.number, args.join(" "));
    }
    let output = loader.run(&[file.0.to_str().unwrap()], &input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), calls.len(), "{}", String::from_utf8_lossy(&output.stderr));
    if text.lines().next().is_some_and(|line| line.ends_with("exit 3")) {
        eprintln!("SKIPPED {test}: no filter can be loaded: {}", String::from_utf8_lossy(&output.stderr));
        return usize::MAX;
    }
    let mut compared = 0;
    for (call, line) in calls.iter().zip(text.lines()) {
        let (free, filtered) = line.split_once(" | ").unwrap();
        if free == "signal 11" {
            eprintln!("SKIPPED {test}: this kernel has no 32-bit calls");
            continue;
        }
        let number = |text: &str| text.parse::<i64>().ok();
        let action = evaluate(filter, call).action();
        let agrees = match action {
            Action::Errno(errno) => number(filtered) == Some(-i64::from(errno)),
            Action::Trace(_) => number(filtered) == Some(-38),
            Action::KillThread | Action::KillProcess | Action::Trap => filtered == "signal 31",
            // Process ids differ from one process to the next; failures do not.
            Action::Allow | Action::Log => {
                filtered == free || matches!((number(free), number(filtered)), (Some(0..), Some(0..)))
            }
            Action::Notify => false,
        };
        assert!(agrees, "{call:x?}: {action}, without the filter {free}, with it {filtered}");
        compared += 1;
    }
    compared
}

fn native(name: &str, args: &[u64]) -> Call {
    on(Arch::X86_64, name, args)
}

fn on(arch: Arch, name: &str, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call::new(arch, number(name, arch).unwrap(), all)
}

/// Calls that do nothing: they only ask, or their arguments make no sense.
fn harmless() -> Vec<Call> {
    let mut calls = vec![
        native("socket", &[1, 1]),
        native("socket", &[38, 5]),
        native("socket", &[39, 1]),
        native("socket", &[40, 1]),
        native("socket", &[41, 99]),
        native("socket", &[1 << 32 | 38, 5]),
        native("personality", &[0xffff_ffff]),
        native("personality", &[0]),
        native("personality", &[8]),
        native("personality", &[9]),
        native("personality", &[1 << 32 | 8]),
        // CLONE_NEWNS with CLONE_FS is refused by the kernel itself.
        native("clone", &[0x2_0200]),
        native("clone", &[0x2_0200 | 1 << 40]),
        native("clone3", &[0, 0]),
        native("unshare", &[0]),
        native("mount", &[0, 0, 0, 0, 0]),
        native("bpf", &[9999, 0, 0]),
        native("reboot", &[0, 0, 0, 0]),
        native("keyctl", &[9999]),
        native("chroot", &[0]),
        native("ptrace", &[2, u64::MAX, 0, 0]),
        native("io_uring_setup", &[0, 0]),
        on(Arch::X86, "getpid", &[]),
        on(Arch::X86, "mount", &[]),
        on(Arch::X86, "clone3", &[]),
        on(Arch::X86, "socketcall", &[1, 0]),
        on(Arch::X86, "personality", &[9]),
        on(Arch::X32, "getpid", &[]),
        on(Arch::X32, "mount", &[]),
        Call::new(Arch::X86_64, 500, [0; 6]),
        Call::new(Arch::X86_64, X32_BIT | 600, [0; 6]),
        Call::new(Arch::X86, 500, [0; 6]),
        Call::new(Arch::X86_64, u32::MAX, [0; 6]),
    ];
    calls.extend(
        ["getpid", "getppid", "getuid", "gettid", "getpgrp", "umask", "sched_yield"]
            .map(|name| native(name, &[])),
    );
    calls
}

#[test]
fn the_kernel_answers_the_default_filter_as_the_evaluator_says() {
    let test = "the_kernel_answers_the_default_filter_as_the_evaluator_says";
    let filter = default_filter(1 << 18, (6, 18), Arch::X86_64).unwrap();
    assert!(check(test, &filter, &harmless()) > 25);
}

#[test]
fn interfaces_that_are_not_listed_are_closed() {
    let test = "interfaces_that_are_not_listed_are_closed";
    let filter = compile(&Profile::allow_all(vec![]), Arch::X86_64).unwrap();
    assert!(check(test, &filter, &harmless()) > 25);
}

#[test]
fn the_kernel_compares_arguments_as_the_evaluator_does() {
    let test = "the_kernel_compares_arguments_as_the_evaluator_does";
    let mut random = Random::new(11);
    // These take no arguments, so any value in the registers is harmless.
    let names =
        ["getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "gettid", "getpgrp", "sched_yield"];
    let ops = [Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];
    let values = [0, 1, 5, 0xffff_ffff, 1 << 32, 1 << 32 | 5, u64::MAX, 0x8000_0000, 0xff00_ff00_ff00_ff00];
    for round in 0..4 {
        let mut profile = Profile::allow_all(vec![Arch::X86]);
        for name in names {
            for rule in 0..1 + random.below(3) as u16 {
                let count = 1 + random.below(2) as u32;
                let args = (0..count).map(|index| {
                    let op = random.pick(&ops);
                    Condition::new(index, op, random.pick(&values), random.pick(&values)).unwrap()
                });
                let args = args.collect();
                profile.rules.push(Rule {
                    names: vec![name.into()],
                    action: Action::Errno(100 + rule),
                    args,
                });
            }
        }
        let filter = compile(&profile, Arch::X86_64).unwrap();
        let mut calls = Vec::new();
        for _ in 0..150 {
            let args: [u64; 6] =
                std::array::from_fn(|_| random.pick(&values).wrapping_add(random.next() % 2));
            calls.push(native(random.pick(&names), &args));
        }
        assert!(check(&format!("{test}-{round}"), &filter, &calls) >= 150);
    }
}
