//! A system call filter in a file: `--security-opt seccomp=FILE`.
//!
//! The file is docker's profile format. It holds the OCI form as well, because that is what remains when
//! every condition (`includes`, `excludes`, `archMap`) has been decided; [`parse`] decides them.

use report::{Explain, Hint, Kind};
use serde::Deserialize;
use spec::seccomp::{Action, Architecture, Condition, Flag, Rule};
use spec::{Capability, CapabilitySet, Seccomp};

/// A profile that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadProfile(String);

impl Explain for BadProfile {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "the format is that of docker's profiles and of linux.seccomp in an OCI configuration",
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: Action,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Architecture>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<Flag>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Conditional>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Architecture,
    sub_architectures: Option<Vec<Architecture>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conditional {
    #[serde(default)]
    names: Option<Vec<String>>,
    /// The older form of `names`.
    name: Option<String>,
    action: Action,
    errno_ret: Option<u32>,
    args: Option<Vec<Condition>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// The filter that the text `json` means for a container with these capabilities on this kernel and machine.
///
/// # Errors
/// [`BadProfile`], with line and column.
pub fn parse(json: &str, bounding: CapabilitySet, kernel: (u32, u32)) -> Result<Seccomp, BadProfile> {
    let document: Document = serde_json::from_str(json).map_err(|error| BadProfile(error.to_string()))?;
    let native = if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };
    let mut architectures = document.architectures.unwrap_or_default();
    for map in document.arch_map.unwrap_or_default() {
        if map.architecture == native {
            architectures.push(native);
            architectures.extend(map.sub_architectures.unwrap_or_default());
        }
    }
    let mut syscalls = Vec::new();
    for rule in document.syscalls.unwrap_or_default() {
        let included = rule.includes.map_or(Ok(true), |filter| filter.all(bounding, kernel))?;
        let excluded = rule.excludes.map_or(Ok(false), |filter| filter.any(bounding, kernel))?;
        let mut names = rule.names.unwrap_or_default();
        names.extend(rule.name);
        if names.is_empty() {
            return Err(BadProfile("a rule names no system call".to_owned()));
        }
        if included && !excluded {
            let args = rule.args.unwrap_or_default();
            syscalls.push(Rule { names, action: rule.action, errno_ret: rule.errno_ret, args });
        }
    }
    Ok(Seccomp {
        default_action: document.default_action,
        default_errno_ret: document.default_errno_ret,
        architectures,
        flags: document.flags,
        listener_path: document.listener_path.unwrap_or_default(),
        listener_metadata: document.listener_metadata.unwrap_or_default(),
        syscalls,
    })
}

impl Filter {
    /// Each condition that is there holds (moby's `includes`).
    fn all(&self, bounding: CapabilitySet, kernel: (u32, u32)) -> Result<bool, BadProfile> {
        let caps = self.caps.iter().flatten().all(|name| has(name, bounding));
        let arches = self.arches.as_deref().is_none_or(|arches| arches.is_empty() || is_native(arches));
        Ok(caps && arches && self.min_kernel.as_deref().map_or(Ok(true), |text| at_least(text, kernel))?)
    }

    /// One of the conditions holds (moby's `excludes`).
    fn any(&self, bounding: CapabilitySet, kernel: (u32, u32)) -> Result<bool, BadProfile> {
        let caps = self.caps.iter().flatten().any(|name| has(name, bounding));
        let arches = self.arches.as_deref().is_some_and(is_native);
        Ok(caps || arches || self.min_kernel.as_deref().map_or(Ok(false), |text| at_least(text, kernel))?)
    }
}

fn has(name: &str, bounding: CapabilitySet) -> bool {
    Capability::from_name(name).is_some_and(|capability| bounding.contains(capability))
}

/// Go's names of architectures.
fn is_native(arches: &[String]) -> bool {
    let native = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    arches.iter().any(|arch| arch == native)
}

fn at_least(text: &str, kernel: (u32, u32)) -> Result<bool, BadProfile> {
    let version =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version
        .map(|version| kernel >= version)
        .ok_or_else(|| BadProfile(format!("minKernel `{text}` is not a kernel version such as 4.8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
        ],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "always"},
            {"name": "chroot", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
             "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["later"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "9.0"}},
            {"names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}}
        ]
    }"#;

    #[test]
    fn conditions_of_a_docker_profile_are_decided() {
        let bounding: CapabilitySet = [Capability::SysChroot].into_iter().collect();
        let profile = parse(PROFILE, bounding, (6, 18)).unwrap();
        let names: Vec<_> = profile.syscalls.iter().map(|rule| rule.names[0].as_str()).collect();
        assert_eq!(names, ["read", "chroot", "clone", "ptrace"]);
        assert_eq!(profile.architectures.len(), 2);
        assert_eq!(profile.default_errno_ret, Some(38));
    }

    #[test]
    fn an_oci_filter_is_a_profile_too() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                       "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_KILL"}]}"#;
        assert_eq!(parse(text, CapabilitySet::EMPTY, (5, 4)).unwrap().syscalls.len(), 1);
    }

    #[test]
    fn what_is_not_a_profile_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"defaultAction": "SCMP_ACT_FOO"}"#,
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}"#,
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW",
                "includes": {"minKernel": "x"}}]}"#,
        ] {
            assert!(parse(text, CapabilitySet::EMPTY, (6, 0)).is_err(), "{text}");
        }
    }
}
