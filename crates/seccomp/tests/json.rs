//! Profiles in Docker's JSON format are read as Docker reads them, and mistakes are found where they are.

#[path = "common/random.rs"]
mod random;

use expect_test::{Expect, expect};
use random::Random;
use seccomp::{Action, Arch, Choice, Flags, Host, Profile, compile, read_profile};

const HOST: Host = Host { bounding: 1 << 21, kernel: (6, 1), machine: Arch::X86_64 };

const EXAMPLE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "defaultErrno": "ENOSYS",
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}
    ],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
        {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["mseal"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.10"}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errno": "EAFNOSUPPORT",
         "args": [{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}
    ]
}"#;

fn show(profile: &Profile) -> String {
    let mut text =
        format!("default {}\n{:?}\n{:?}\n", profile.default_action, profile.architectures, profile.flags);
    for rule in &profile.rules {
        text += &format!("{}: {}", rule.action, rule.names.join(" "));
        for arg in &rule.args {
            text += &format!(", arg{} {:?} {} {}", arg.index(), arg.op, arg.value, arg.value_two);
        }
        text.push('\n');
    }
    text
}

#[test]
fn rules_are_kept_when_their_conditions_hold() {
    let profile = read_profile(EXAMPLE.as_bytes(), &HOST).unwrap().unwrap();
    expect![[r#"
        default errno 38 (ENOSYS)
        [X86_64, X86, X32]
        Flags { tsync: false, log: true, spec_allow: false, wait_killable_recv: false }
        allow: read write
        allow: mount
        allow: ptrace
        allow: arch_prctl
        errno 97: socket, arg0 Eq 40 0
    "#]]
    .assert_eq(&show(&profile));
}

#[test]
fn another_machine_without_capabilities_keeps_others() {
    let host = Host { bounding: 0, kernel: (4, 7), machine: Arch::Aarch64 };
    let profile = read_profile(EXAMPLE.as_bytes(), &host).unwrap().unwrap();
    expect![[r#"
        default errno 38 (ENOSYS)
        [Aarch64, Arm]
        Flags { tsync: false, log: true, spec_allow: false, wait_killable_recv: false }
        allow: read write
        errno 38 (ENOSYS): clone3
        allow: cacheflush
        errno 97: socket, arg0 Eq 40 0
    "#]]
    .assert_eq(&show(&profile));
}

#[test]
fn an_empty_document_asks_for_no_filter() {
    assert_eq!(read_profile(b"{}", &HOST).unwrap(), None);
    let allow = read_profile(br#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, &HOST).unwrap().unwrap();
    assert_eq!(allow, Profile { flags: Flags::not_given(HOST.kernel), ..Profile::allow_all(vec![]) });
}

#[test]
fn the_option_names_a_profile_or_none() {
    assert_eq!(Choice::parse("unconfined"), Choice::Unconfined);
    assert_eq!(Choice::parse("builtin"), Choice::Default);
    assert_eq!(Choice::parse("./default"), Choice::File("./default".into()));
}

fn fails(json: &str, expected: Expect) {
    expected.assert_eq(&report::render(&read_profile(json.as_bytes(), &HOST).unwrap_err()));
}

#[test]
fn an_unknown_action_is_named_with_its_place() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "ALLOW"}]}"#,
        expect![[r#"
            error: read seccomp profile, at syscalls[0].action
              cause: unknown seccomp action `ALLOW`
              hint:  actions are SCMP_ACT_ followed by ALLOW, ERRNO, KILL, KILL_PROCESS, KILL_THREAD, LOG, NOTIFY, TRACE or TRAP
        "#]],
    );
}

#[test]
fn a_condition_on_a_seventh_argument_is_refused() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP",
            "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
        expect![[r#"
            error: read seccomp profile, at syscalls[0].args[0].index
              cause: a condition on argument 6 of a system call
              hint:  arguments are counted from 0 to 5
        "#]],
    );
}

#[test]
fn a_wrong_kernel_version_is_found_by_its_path() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_TRAP",
            "includes": {"minKernel": "4"}}]}"#,
        expect![[r#"
            error: read seccomp profile, at syscalls[0].includes.minKernel
              cause: `4` is not a kernel version such as 4.8 at line 2 column 42
        "#]],
    );
}

#[test]
fn a_number_where_a_list_belongs_is_found_by_its_path() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": 3, "action": "SCMP_ACT_TRAP"}]}"#,
        expect![[r#"
            error: read seccomp profile, at syscalls[0].names
              cause: invalid type: integer `3`, expected a sequence at line 1 column 60
        "#]],
    );
}

#[test]
fn two_ways_to_list_architectures_exclude_each_other() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#,
        expect![[r#"
            error: read seccomp profile, at archMap
              cause: both `architectures` and `archMap` are given
              hint:  keep one of the two
        "#]],
    );
}

#[test]
fn an_unknown_architecture_is_an_error_and_a_foreign_one_is_not() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X", "SCMP_ARCH_Z80"]}"#,
        expect![[r#"
            error: read seccomp profile, at architectures[1]
              cause: unknown seccomp architecture `SCMP_ARCH_Z80`
              hint:  names look like SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64
        "#]],
    );
}

#[test]
fn an_errno_on_an_action_without_one_is_refused() {
    fails(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]}"#,
        expect![[r#"
            error: read seccomp profile, at syscalls[0].action
              cause: SCMP_ACT_KILL with errno 1, which it cannot return
              hint:  only SCMP_ACT_ERRNO and SCMP_ACT_TRACE return a number
        "#]],
    );
}

#[test]
fn text_after_the_document_is_an_error() {
    fails(
        "{} {}",
        expect![[r#"
            error: read seccomp profile, at .
              cause: trailing characters at line 1 column 4
        "#]],
    );
}

/// The profile that distributions install for podman, where it is installed: it must compile on every
/// machine.
#[test]
fn the_installed_profile_of_podman_compiles() {
    let path = "/usr/share/containers/seccomp.json";
    let Ok(json) = std::fs::read(path) else {
        eprintln!("SKIPPED the_installed_profile_of_podman_compiles: no {path}");
        return;
    };
    for machine in [Arch::X86_64, Arch::Aarch64] {
        let profile = read_profile(&json, &Host { machine, ..HOST }).unwrap().unwrap();
        compile(&profile, machine).unwrap();
    }
}

#[test]
fn damaged_documents_never_panic_and_whatever_reads_also_compiles_or_says_why() {
    let mut random = Random::new(7);
    let (mut read, mut refused) = (0, 0);
    let words: [&[u8]; 12] = [
        b"18446744073709551615",
        b"-1",
        b"null",
        b"[]",
        b"{}",
        b"\"SCMP_ACT_NOTIFY\"",
        b"\"SCMP_CMP_MASKED_EQ\"",
        b"\"\"",
        b"5",
        b"\"socket\"",
        b"65536",
        b"1e9",
    ];
    for _ in 0..6_000 {
        let mut text = EXAMPLE.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len());
            match random.below(4) {
                0 => text[at] = random.next() as u8,
                1 => drop(text.drain(at..(at + random.below(9)).min(text.len()))),
                2 => drop(text.splice(at..at, random.pick(&words).iter().copied())),
                _ => {
                    // The value after a colon, replaced by another.
                    let colons: Vec<_> = (0..text.len()).filter(|at| text[*at] == b':').collect();
                    if !colons.is_empty() {
                        let start = random.pick(&colons) + 1;
                        let value = text[start..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(0);
                        text.splice(start..start + value, random.pick(&words).iter().copied());
                    }
                }
            }
            if text.is_empty() {
                text.push(b'{');
            }
        }
        match read_profile(&text, &HOST) {
            Err(error) => {
                assert!(!report::render(&error).is_empty());
                refused += 1;
            }
            Ok(profile) => {
                if let Some(Err(error)) = profile.map(|profile| compile(&profile, Arch::X86_64)) {
                    assert!(!report::render(&error).is_empty());
                }
                read += 1;
            }
        }
    }
    assert!(read > 300 && refused > 3_000, "{read} read, {refused} refused");
}

#[test]
fn a_rule_on_the_default_action_still_makes_its_calls_known() {
    let json = br#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["openat2"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let filter = compile(&read_profile(json, &HOST).unwrap().unwrap(), Arch::X86_64).unwrap();
    let answer =
        |number| seccomp::evaluate(&filter, &seccomp::Call::new(Arch::X86_64, number, [0; 6])).action();
    assert_eq!(answer(437), Action::Errno(1));
    assert_eq!(answer(438), Action::Errno(38));
}

#[test]
fn flags_that_are_not_mentioned_are_not_an_empty_list() {
    let spec_allow = |json: &str, kernel| {
        let host = Host { kernel, ..HOST };
        read_profile(json.as_bytes(), &host).unwrap().unwrap().flags.spec_allow
    };
    let unmentioned = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
    let empty = r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": []}"#;
    assert!(spec_allow(unmentioned, (4, 17)) && !spec_allow(unmentioned, (4, 16)));
    assert!(!spec_allow(empty, (4, 17)));
}
