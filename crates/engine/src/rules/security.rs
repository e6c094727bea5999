//! What a container may not see and not call.

use report::Kind;
use spec::CapabilitySet;
use spec::seccomp::{Action, Architecture, Condition, Operator, Rule};

use super::{Facts, Refused, refused};
use crate::flags::security_opt::{Label, LabelPart, Seccomp, SecurityOpt};
use crate::request::RunRequest;

/// Files that tell about or reach into the host (moby's `DefaultSpec`).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Files that change the host when they are written (moby's `DefaultSpec`).
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The parts of the configuration that keep a container in.
#[derive(Debug, Default)]
pub(super) struct Security {
    pub(super) no_new_privileges: bool,
    pub(super) apparmor_profile: String,
    pub(super) process_label: String,
    pub(super) mount_label: String,
    pub(super) masked_paths: Vec<String>,
    pub(super) readonly_paths: Vec<String>,
    /// The system call filter.
    pub(super) seccomp: Option<spec::Seccomp>,
}

/// What `--security-opt`, `--privileged` and the defaults come to.
pub(super) fn security(
    request: &RunRequest,
    facts: &Facts,
    bounding: CapabilitySet,
) -> Result<Security, Refused> {
    let mut result = Security::default();
    let mut filter = if request.privileged { Seccomp::Unconfined } else { Seccomp::Default };
    let mut label = Some(["system_u", "system_r", "container_t", "s0"].map(str::to_owned));
    let mut label_was_asked_for = false;
    let usual = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    if !request.privileged {
        result.masked_paths = usual(&MASKED);
        result.masked_paths.extend(facts.thermal_throttle.iter().cloned());
        result.readonly_paths = usual(&READ_ONLY);
    }
    for option in &request.security_opt {
        match option {
            SecurityOpt::Seccomp(asked) => filter = asked.clone(),
            SecurityOpt::NoNewPrivileges(on) => result.no_new_privileges = *on,
            SecurityOpt::AppArmor(profile) if profile == "unconfined" => result.apparmor_profile.clear(),
            SecurityOpt::AppArmor(profile) if facts.apparmor => result.apparmor_profile.clone_from(profile),
            SecurityOpt::AppArmor(profile) => {
                return refused(
                    format!("--security-opt apparmor={profile}"),
                    "AppArmor is not active on this host",
                    "leave the option out",
                    Kind::Unsupported,
                );
            }
            SecurityOpt::Label(Label::Disable) => label = None,
            SecurityOpt::Label(Label::Part(part, value)) => {
                label_was_asked_for = true;
                if let Some(parts) = &mut label {
                    let index = match part {
                        LabelPart::User => 0,
                        LabelPart::Role => 1,
                        LabelPart::Type => 2,
                        LabelPart::Level => 3,
                    };
                    parts[index].clone_from(value);
                }
            }
            SecurityOpt::SystemPathsUnconfined => {
                result.masked_paths.clear();
                result.readonly_paths.clear();
            }
            SecurityOpt::Mask(paths) => result.masked_paths.extend(paths.iter().cloned()),
            SecurityOpt::Unmask(paths) => {
                result.masked_paths.retain(|path| !paths.contains(path));
                result.readonly_paths.retain(|path| !paths.contains(path));
            }
        }
    }
    if label_was_asked_for && !facts.selinux {
        return refused(
            "--security-opt label",
            "SELinux is not active on this host",
            "leave the option out",
            Kind::Unsupported,
        );
    }
    if let Some(parts) = label.filter(|_| label_was_asked_for) {
        result.process_label = parts.join(":");
        result.mount_label = format!("{}:object_r:container_file_t:{}", parts[0], parts[3]);
    }
    match filter {
        Seccomp::Unconfined => {}
        Seccomp::File(_) => result.seccomp.clone_from(&facts.seccomp_file),
        Seccomp::Default => {
            let profile = seccomp::default_profile(bounding.0, facts.kernel, machine());
            result.seccomp = Some(document(&profile));
        }
    }
    Ok(result)
}

/// The architecture of this program, which is that of the container's first one.
pub(crate) fn machine() -> seccomp::Arch {
    match cfg!(target_arch = "aarch64") {
        true => seccomp::Arch::Aarch64,
        false => seccomp::Arch::X86_64,
    }
}

/// A profile as the configuration states it.
pub fn document(profile: &seccomp::Profile) -> spec::Seccomp {
    let (default_action, default_errno_ret) = action(profile.default_action);
    let rule = |rule: &seccomp::Rule| {
        let (action, errno_ret) = action(rule.action);
        Rule {
            names: rule.names.iter().map(|name| name.clone().into_owned()).collect(),
            action,
            errno_ret,
            args: rule.args.iter().map(condition).collect(),
        }
    };
    spec::Seccomp {
        default_action,
        default_errno_ret,
        architectures: profile
            .architectures
            .iter()
            .filter_map(|arch| Architecture::from_name(arch.oci_name()))
            .collect(),
        flags: None,
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls: profile.rules.iter().map(rule).collect(),
    }
}

fn action(action: seccomp::Action) -> (Action, Option<u32>) {
    match action {
        seccomp::Action::KillProcess => (Action::KillProcess, None),
        seccomp::Action::KillThread => (Action::KillThread, None),
        seccomp::Action::Trap => (Action::Trap, None),
        seccomp::Action::Errno(errno) => (Action::Errno, Some(errno.into())),
        seccomp::Action::Trace(number) => (Action::Trace, Some(number.into())),
        seccomp::Action::Notify => (Action::Notify, None),
        seccomp::Action::Log => (Action::Log, None),
        seccomp::Action::Allow => (Action::Allow, None),
    }
}

fn condition(condition: &seccomp::Condition) -> Condition {
    let op = match condition.op {
        seccomp::Op::Ne => Operator::NotEqual,
        seccomp::Op::Lt => Operator::LessThan,
        seccomp::Op::Le => Operator::LessEqual,
        seccomp::Op::Eq => Operator::EqualTo,
        seccomp::Op::Ge => Operator::GreaterEqual,
        seccomp::Op::Gt => Operator::GreaterThan,
        seccomp::Op::MaskedEq => Operator::MaskedEqual,
    };
    Condition { index: condition.index().into(), value: condition.value, value_two: condition.value_two, op }
}
