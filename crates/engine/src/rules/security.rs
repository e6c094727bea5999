//! What a container may not see and not call.

use report::Kind;
use spec::CapabilitySet;

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
    /// The filter of a file.
    pub(super) seccomp: Option<spec::Seccomp>,
    /// The built-in filter.
    pub(super) profile: Option<seccomp::Profile>,
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
            result.profile = Some(seccomp::default_profile(bounding.0, facts.kernel, machine()));
        }
    }
    Ok(result)
}

/// The architecture of this program, which is that of the container's first one.
fn machine() -> seccomp::Arch {
    match cfg!(target_arch = "aarch64") {
        true => seccomp::Arch::Aarch64,
        false => seccomp::Arch::X86_64,
    }
}
