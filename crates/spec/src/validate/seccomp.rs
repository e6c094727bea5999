//! Rules of the `seccomp` section. Names of system calls are not judged: a profile names those of all kernels.

use super::Findings;
use crate::seccomp::{Action, Seccomp};
use std::fmt::Arguments;

pub(super) fn check(seccomp: &Seccomp, findings: &mut Findings) {
    errno(
        format_args!("linux.seccomp.defaultErrnoRet"),
        seccomp.default_action,
        seccomp.default_errno_ret,
        findings,
    );
    if seccomp.default_action == Action::Notify {
        // The runtime's own calls after the filter is loaded would wait for a listener that it has yet to send.
        findings.wrong(format_args!("linux.seccomp.defaultAction"), "SCMP_ACT_NOTIFY is for rules only");
    }
    let mut notifies = None;
    for (at, rule) in seccomp.syscalls.iter().enumerate() {
        if rule.names.is_empty() {
            findings
                .wrong(format_args!("linux.seccomp.syscalls[{at}].names"), "is empty; it names system calls");
        }
        errno(format_args!("linux.seccomp.syscalls[{at}].errnoRet"), rule.action, rule.errno_ret, findings);
        for (index, condition) in rule.args.iter().enumerate() {
            let path = format_args!("linux.seccomp.syscalls[{at}].args[{index}].index");
            findings.range(path, condition.index.into(), 0, 5);
        }
        if rule.action == Action::Notify {
            notifies = notifies.or(Some(at));
            if rule.names.iter().any(|name| name == "write") {
                // Sending the listener to its agent is done with what comes next after loading the filter.
                let path = format_args!("linux.seccomp.syscalls[{at}].action");
                findings.wrong(
                    path,
                    "SCMP_ACT_NOTIFY cannot be used for the write syscall, which the runtime needs itself",
                );
            }
        }
    }
    if let Some(at) = notifies
        && seccomp.listener_path.is_empty()
    {
        let wrong =
            format!("is missing; linux.seccomp.syscalls[{at}] is SCMP_ACT_NOTIFY and needs a listener");
        findings.wrong(format_args!("linux.seccomp.listenerPath"), wrong);
    }
    if !seccomp.listener_path.is_empty() && !seccomp.listener_path.starts_with('/') {
        findings.absolute(format_args!("linux.seccomp.listenerPath"), &seccomp.listener_path);
    }
    if seccomp.listener_path.is_empty() && !seccomp.listener_metadata.is_empty() {
        let path = format_args!("linux.seccomp.listenerMetadata");
        findings.wrong(path, "is for the one behind linux.seccomp.listenerPath, which is missing");
    }
    // sockaddr_un.sun_path holds 108 bytes, the terminating NUL byte among them.
    if seccomp.listener_path.len() > 107 {
        let wrong = format!("has {} bytes; a socket's path has at most 107", seccomp.listener_path.len());
        findings.wrong(format_args!("linux.seccomp.listenerPath"), wrong);
    }
}

fn errno(path: Arguments<'_>, action: Action, errno: Option<u32>, findings: &mut Findings) {
    let Some(errno) = errno else { return };
    match action {
        // The kernel cuts it to MAX_ERRNO (kernel/seccomp.c).
        Action::Errno => findings.range(path, errno.into(), 0, 4095),
        // SECCOMP_RET_DATA has 16 bits.
        Action::Trace => findings.range(path, errno.into(), 0, 65535),
        _ => findings.wrong(path, format!("is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE only, not for {action}")),
    }
}
