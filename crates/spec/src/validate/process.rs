//! Rules of the `process` section.

use super::Findings;
use crate::capability::{Capability, CapabilitySet};
use crate::config::Spec;
use crate::cpu_list;
use crate::id_map::{self, IdMapping};
use crate::linux::NamespaceType;
use crate::process::{Capabilities, Process, Scheduler, SchedulerPolicy};
use std::fmt::Arguments;

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    let process = &spec.process;
    if *process == Process::default() {
        findings.wrong(format_args!("process"), "is missing; it says which program to run");
        return;
    }
    if process.terminal
        && let Some(size) = process.console_size
    {
        // struct winsize has 16 bits for each.
        findings.range(format_args!("process.consoleSize.height"), size.height.into(), 0, 0xffff);
        findings.range(format_args!("process.consoleSize.width"), size.width.into(), 0, 0xffff);
    }
    user(spec, findings);
    if process.args.is_empty() {
        findings.wrong(format_args!("process.args"), "is empty; its first entry is the program to run");
    }
    for (at, variable) in process.env.iter().enumerate() {
        if variable.find('=').is_none_or(|name| name == 0) {
            findings.wrong(
                format_args!("process.env[{at}]"),
                format!("`{variable}` is not of the form NAME=value"),
            );
        }
    }
    findings.absolute(format_args!("process.cwd"), &process.cwd);
    capabilities(&process.capabilities, findings);
    rlimits(process, findings);
    if let Some(adjustment) = process.oom_score_adj {
        findings.range(format_args!("process.oomScoreAdj"), adjustment.into(), -1000, 1000);
    }
    if let Some(scheduler) = &process.scheduler {
        self::scheduler(scheduler, findings);
    }
    if let Some(io) = process.io_priority {
        findings.range(format_args!("process.ioPriority.priority"), io.priority.into(), 0, 7);
    }
    for (property, list) in
        [("initial", &process.exec_cpu_affinity.initial), ("final", &process.exec_cpu_affinity.r#final)]
    {
        if cpu_list::parse(list).is_none() {
            let path = format_args!("process.execCPUAffinity.{property}");
            findings.wrong(path, format!("`{list}` is not a list of CPUs such as `0-3,7`"));
        }
    }
}

fn user(spec: &Spec, findings: &mut Findings) {
    let user = &spec.process.user;
    let linux = &spec.linux;
    let mapped = linux.namespace(NamespaceType::User).is_some_and(|namespace| namespace.is_new());
    let mut id = |path: Arguments<'_>, id: u32, mappings: &[IdMapping], list: &str| {
        if id == u32::MAX {
            // It means "leave it alone" to setresuid(2) and its kin: whatever was set before would stay, root
            // mostly. Numbers beyond 32 bits do not get this far (CVE-2024-40635).
            findings.wrong(path, "4294967295 is no id; allowed are 0 to 4294967294");
        } else if mapped && !mappings.is_empty() && id_map::to_host(mappings, id).is_none() {
            findings.wrong(
                path,
                format!("{id} does not exist in the user namespace; linux.{list} has to hold it"),
            );
        }
    };
    id(format_args!("process.user.uid"), user.uid, &linux.uid_mappings, "uidMappings");
    id(format_args!("process.user.gid"), user.gid, &linux.gid_mappings, "gidMappings");
    for (at, gid) in user.additional_gids.iter().enumerate() {
        id(format_args!("process.user.additionalGids[{at}]"), *gid, &linux.gid_mappings, "gidMappings");
    }
    if let Some(umask) = user.umask.filter(|umask| *umask > 0o777) {
        let wrong = format!("{umask} is out of range; allowed are 0 to 511 (0o777)");
        findings.wrong(format_args!("process.user.umask"), wrong);
    }
}

/// Unknown names are only warned about, as config.md wants it. The other rules are those of capset(2) and of
/// `PR_CAP_AMBIENT_RAISE` in prctl(2), which fail with EPERM and do not say which capability it was.
fn capabilities(capabilities: &Capabilities, findings: &mut Findings) {
    let mut unknown: Vec<&str> = Vec::new();
    for names in [
        &capabilities.bounding,
        &capabilities.effective,
        &capabilities.inheritable,
        &capabilities.permitted,
        &capabilities.ambient,
    ] {
        for name in names {
            if Capability::from_name(name).is_none() && !unknown.contains(&name.as_str()) {
                unknown.push(name);
            }
        }
    }
    if !unknown.is_empty() {
        // The words by which callers of other runtimes know it.
        let wrong = format!("ignoring unknown or unavailable capabilities: [{}]", unknown.join(" "));
        findings.warn(format_args!("process.capabilities"), wrong);
    }
    let sets = capabilities.sets();
    let outside = |inner: CapabilitySet, outer: CapabilitySet| {
        let outside = inner.difference(outer);
        (!outside.is_empty()).then(|| outside.to_string())
    };
    if let Some(outside) = outside(sets.effective, sets.permitted) {
        let path = format_args!("process.capabilities.effective");
        findings.wrong(path, format!("holds {outside}, which has to be in `permitted` as well"));
    }
    if let Some(outside) = outside(sets.inheritable, sets.bounding) {
        let path = format_args!("process.capabilities.inheritable");
        findings.wrong(
            path,
            format!(
                "holds {outside}, which has to be in `bounding` as well, or the kernel refuses it (EPERM)"
            ),
        );
    }
    let ambient: CapabilitySet =
        capabilities.ambient.iter().filter_map(|name| Capability::from_name(name)).collect();
    if let Some(outside) = outside(ambient, sets.ambient) {
        let path = format_args!("process.capabilities.ambient");
        findings.warn(
            path,
            format!(
                "can't raise ambient capability {outside}: it is not in both `permitted` and `inheritable`"
            ),
        );
    }
}

fn rlimits(process: &Process, findings: &mut Findings) {
    for (at, limit) in process.rlimits.iter().enumerate() {
        if process.rlimits[..at].iter().any(|earlier| earlier.resource == limit.resource) {
            findings
                .wrong(format_args!("process.rlimits[{at}].type"), format!("{} comes twice", limit.resource));
        }
        if limit.soft > limit.hard {
            let path = format_args!("process.rlimits[{at}].soft");
            findings.wrong(path, format!("{} is above the hard limit, {}", limit.soft, limit.hard));
        }
    }
}

/// The rules of sched_setattr(2).
fn scheduler(scheduler: &Scheduler, findings: &mut Findings) {
    let Scheduler { policy, nice, priority, runtime, deadline, period, .. } = scheduler;
    let path = |property| format!("process.scheduler.{property}");
    match policy {
        SchedulerPolicy::Other | SchedulerPolicy::Batch => {
            findings.range(format_args!("{}", path("nice")), (*nice).into(), -20, 19);
        }
        SchedulerPolicy::Iso => {
            findings.wrong(
                format_args!("{}", path("policy")),
                "SCHED_ISO is a name only: no kernel implements it",
            );
        }
        _ => {}
    }
    if matches!(policy, SchedulerPolicy::Fifo | SchedulerPolicy::Rr) {
        findings.range(format_args!("{}", path("priority")), (*priority).into(), 1, 99);
    } else if *priority != 0 {
        findings.wrong(
            format_args!("{}", path("priority")),
            format!("is for SCHED_FIFO and SCHED_RR only, not for {policy}"),
        );
    }
    if *policy == SchedulerPolicy::Deadline {
        // __checkparam_dl(), kernel/sched/deadline.c: a period of 0 is the deadline.
        let period = if *period == 0 { *deadline } else { *period };
        if *runtime < 1024 || runtime > deadline || *deadline > period || period >> 63 != 0 {
            let wrong =
                "SCHED_DEADLINE needs 1024 <= runtime <= deadline <= period, in nanoseconds below 2^63";
            findings.wrong(format_args!("process.scheduler"), wrong);
        }
    } else if *runtime != 0 || *deadline != 0 || *period != 0 {
        let wrong = format!("runtime, deadline and period are for SCHED_DEADLINE only, not for {policy}");
        findings.wrong(format_args!("process.scheduler"), wrong);
    }
}
