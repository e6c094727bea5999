//! Programs and lists, compared with what the rules mean.

use expect_test::expect;
use sys::bpf::{Instruction, code};

use super::*;
use crate::limits::{DeviceAccess, DeviceKind, DeviceRule};

/// An access that the kernel asks about.
#[derive(Debug, Clone, Copy)]
struct Access {
    kind: DeviceKind,
    major: u32,
    minor: u32,
    mask: u32,
}

/// What the rules mean: for each way of access the last that matches decides.
fn meant(rules: &[DeviceRule], access: Access) -> bool {
    [(1, 'm'), (2, 'r'), (4, 'w')].into_iter().filter(|(bit, _)| access.mask & bit != 0).all(|(_, letter)| {
        let matches = |rule: &&DeviceRule| {
            (rule.kind == DeviceKind::Any || rule.kind == access.kind)
                && rule.major.is_none_or(|major| major == access.major)
                && rule.minor.is_none_or(|minor| minor == access.minor)
                && rule.access.to_string().contains(letter)
        };
        rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
    })
}

/// What the instructions do.
fn run(program: &[Instruction], access: Access) -> bool {
    let kind = if access.kind == DeviceKind::Block { 1 } else { 2 };
    let context = [access.mask << 16 | kind, access.major, access.minor];
    let mut registers = [None::<u64>; 11];
    let mut next = 0usize;
    for _ in 0..program.len() {
        let Instruction { code, registers: pair, offset, immediate } = program[next];
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        let immediate = i64::from(immediate) as u64;
        next += 1;
        let value = |register: usize| registers[register].expect("a register is read that was never written");
        let mut jump = false;
        match code {
            code::LOAD_U32 => {
                assert_eq!(from, 1);
                registers[to] = Some(u64::from(context[usize::try_from(offset).unwrap() / 4]));
            }
            code::COPY => registers[to] = Some(value(from)),
            code::SET => registers[to] = Some(immediate),
            code::SHIFT_RIGHT => registers[to] = Some(value(to) >> immediate),
            code::AND => registers[to] = Some(value(to) & immediate),
            code::JUMP_IF_NOT_EQUAL => jump = value(to) != immediate,
            code::JUMP_IF_EQUAL => jump = value(to) == immediate,
            code::JUMP_IF_ANY_BIT => jump = value(to) & immediate != 0,
            code::JUMP => jump = true,
            code::EXIT => return value(0) != 0,
            other => panic!("unknown instruction {other:#x}"),
        }
        if jump {
            next = next.checked_add_signed(isize::from(offset)).unwrap();
        }
    }
    panic!("the program does not end")
}

/// What a v1 kernel does with the lines (device_cgroup.c, match_exception and match_exception_partial).
fn listed(writes: &[crate::Write], access: Access) -> bool {
    let mut allow_by_default = true;
    let mut exceptions = Vec::new();
    for write in writes {
        let allow = write.file == "devices.allow";
        if write.value == "a" {
            allow_by_default = allow;
            exceptions.clear();
            continue;
        }
        assert_ne!(allow, allow_by_default, "an exception is taken back that was never made");
        let words: Vec<_> = write.value.split(' ').collect();
        let kind = if words[0] == "c" { DeviceKind::Char } else { DeviceKind::Block };
        let (major, minor) = words[1].split_once(':').unwrap();
        let number = |text: &str| text.parse::<u32>().ok();
        let bits =
            [(1, 'm'), (2, 'r'), (4, 'w')].into_iter().filter(|(_, letter)| words[2].contains(*letter));
        exceptions.push((kind, number(major), number(minor), bits.map(|(bit, _)| bit).sum::<u32>()));
    }
    let same = |&(kind, major, minor, _): &(DeviceKind, Option<u32>, Option<u32>, u32)| {
        kind == access.kind
            && major.is_none_or(|major| major == access.major)
            && minor.is_none_or(|minor| minor == access.minor)
    };
    if allow_by_default {
        !exceptions.iter().any(|it| same(it) && it.3 & access.mask != 0)
    } else {
        exceptions.iter().any(|it| same(it) && access.mask & !it.3 == 0)
    }
}

fn accesses() -> impl Iterator<Item = Access> {
    [DeviceKind::Char, DeviceKind::Block].into_iter().flat_map(|kind| {
        (0..3).flat_map(move |major| {
            (0..3).flat_map(move |minor| (1..8).map(move |mask| Access { kind, major, minor, mask }))
        })
    })
}

/// Every rule over two numbers and the ways of access.
fn all_rules() -> Vec<DeviceRule> {
    let mut rules = Vec::new();
    for allow in [true, false] {
        for kind in [DeviceKind::Any, DeviceKind::Char, DeviceKind::Block] {
            for major in [None, Some(1), Some(2)] {
                for minor in [None, Some(1)] {
                    for letters in ["r", "wm", "rwm"] {
                        let access = DeviceAccess::parse(letters).unwrap();
                        rules.push(DeviceRule { allow, kind, major, minor, access });
                    }
                }
            }
        }
    }
    rules
}

fn lists_of_rules() -> impl Iterator<Item = Vec<DeviceRule>> {
    let rules = all_rules();
    let pairs: Vec<_> =
        rules.iter().flat_map(|&one| all_rules().into_iter().map(move |two| vec![one, two])).collect();
    let mut state = 88_172_645_463_325_252_u64;
    let random = (0..3000).map(move |_| {
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        (0..1 + next(7)).map(|_| rules[next(rules.len())]).collect()
    });
    std::iter::once(Vec::new()).chain(pairs).chain(random)
}

#[test]
fn a_program_decides_every_access_as_the_rules_mean_it() {
    for rules in lists_of_rules() {
        let program = DeviceProgram::compile(&rules);
        for access in accesses() {
            assert_eq!(run(program.instructions(), access), meant(&rules, access), "{rules:?} {access:?}");
        }
    }
}

#[test]
fn a_program_has_no_instruction_that_is_never_reached() {
    for rules in lists_of_rules() {
        let program = DeviceProgram::compile(&rules);
        let code = program.instructions();
        let mut reached = vec![false; code.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            let target = at + 1 + usize::try_from(code[at].offset).unwrap();
            match code[at].code {
                code::EXIT => {}
                code::JUMP => open.push(target),
                code::JUMP_IF_EQUAL | code::JUMP_IF_NOT_EQUAL | code::JUMP_IF_ANY_BIT => {
                    open.extend([at + 1, target]);
                }
                _ => open.push(at + 1),
            }
        }
        assert!(reached.iter().all(|&it| it), "{rules:?}");
    }
}

#[test]
fn a_list_never_allows_more_than_the_rules_and_less_only_for_opens_over_several_entries() {
    let mut held = 0;
    for rules in lists_of_rules() {
        let Ok(writes) = writes(&rules) else { continue };
        held += 1;
        for access in accesses() {
            let (list, rule) = (listed(&writes, access), meant(&rules, access));
            let one_way = access.mask.count_ones() == 1;
            assert!(rule || !list, "more: {rules:?} {access:?}");
            assert!(list == rule || !one_way, "less: {rules:?} {access:?}");
        }
    }
    assert!(held > 5000, "{held}");
}

#[test]
fn the_default_rules_of_a_container_are_short() {
    let rule = |allow, kind, major, minor, access| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: DeviceAccess::parse(access).unwrap(),
    };
    let mut rules = vec![
        rule(false, DeviceKind::Any, None, None, "rwm"),
        rule(true, DeviceKind::Char, None, None, "m"),
        rule(true, DeviceKind::Block, None, None, "m"),
        rule(true, DeviceKind::Char, Some(1), Some(3), "rw"),
        rule(true, DeviceKind::Char, Some(136), None, "rwm"),
    ];
    let told = |rules: &[DeviceRule]| match writes(rules) {
        Ok(writes) => writes.iter().map(|write| format!("{write}\n")).collect(),
        Err(refused) => refused.to_string(),
    };
    expect![[r#"
        devices.deny a
        devices.allow c *:* m
        devices.allow b *:* m
        devices.allow c 1:3 rwm
        devices.allow c 136:* rwm
    "#]]
    .assert_eq(&told(&rules));
    assert_eq!(DeviceProgram::compile(&rules).instructions().len(), 20);
    rules.push(rule(false, DeviceKind::Char, Some(136), Some(0), "w"));
    expect!["devices: cgroup v1 cannot take `c 136:0 w` out of the wider rule `c 136:* rwm` before it"]
        .assert_eq(&told(&rules));
}

#[test]
fn a_change_of_the_list_takes_nothing_away_that_stays() {
    let rule = |minor, access| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(minor),
        access: DeviceAccess::parse(access).unwrap(),
    };
    let told = |current, rules: &[DeviceRule]| {
        let writes = transition(current, rules).unwrap();
        writes.iter().map(|write| format!("{write}\n")).collect::<String>()
    };
    expect![[r#"
        devices.allow c 1:9 r
        devices.deny c 1:3 m
        devices.deny c 1:5 r
    "#]]
    .assert_eq(&told("c 1:3 rwm\nc 1:5 r\n", &[rule(3, "rw"), rule(9, "r")]));
    expect![[r#"
        devices.deny a
        devices.allow c 1:3 rw
    "#]]
    .assert_eq(&told("a *:* rwm\n", &[rule(3, "rw")]));
    expect![[""]].assert_eq(&told("c 1:3 rw\n", &[rule(3, "rw")]));
}
