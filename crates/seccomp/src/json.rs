//! Profiles in Docker's JSON format.
//!
//! [`read_profile`] turns a document and a [`Host`] into a [`Profile`]; the format is that of moby and
//! containers/common: an OCI `linux.seccomp` with conditions (`includes`, `excludes`) on capabilities,
//! machine and kernel. Keys that mean nothing are passed over, as Docker does.

use crate::arch::{Arch, UnknownArch};
use crate::profile::{Action, Condition, Flags, Op, Profile, ProfileError, Rule};
use report::{Explain, Hint, Kind};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::borrow::Cow;

/// What a profile's conditions are decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Bit n: capability n is in the container's bounding set.
    pub bounding: u64,
    /// The running kernel, as in `(6, 18)`.
    pub kernel: (u32, u32),
    /// The architecture of the container's programs.
    pub machine: Arch,
}

/// Reads a profile and keeps what applies to `host`.
///
/// `Ok(None)`: the document has neither a default action nor rules, and so asks for no filter.
pub fn read_profile(json: &[u8], host: &Host) -> Result<Option<Profile>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document: Document = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| JsonError::new(error.path().to_string(), Problem::Json(error.into_inner())))?;
    deserializer.end().map_err(|error| JsonError::new(".", Problem::Json(error)))?;
    document.profile(host)
}

/// Why a document is no profile, and where in it.
#[derive(Debug, thiserror::Error)]
#[error("read seccomp profile, at {path}")]
pub struct JsonError {
    /// The place in the document, as in `syscalls[3].includes.minKernel`.
    pub path: String,
    /// What is wrong there.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not JSON, or not of this form.
    #[error("{0}")]
    Json(serde_json::Error),
    /// A word or number of it means nothing.
    #[error(transparent)]
    Value(ProfileError),
    /// An architecture nobody knows.
    #[error(transparent)]
    Arch(UnknownArch),
    /// An error name we have no number for.
    #[error("unknown errno `{name}`")]
    Errno {
        /// As given.
        name: String,
    },
    /// Two ways to say one thing, of which only one may be used.
    #[error("both `{one}` and `{other}` are given")]
    Both {
        /// The one key.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
}

impl JsonError {
    fn new(path: impl Into<String>, problem: Problem) -> Self {
        Self { path: path.into(), problem }
    }
}

impl Explain for Problem {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Problem::Json(_) => None,
            Problem::Value(error) => error.hint(),
            Problem::Arch(error) => error.hint(),
            Problem::Errno { .. } => Some(Hint::new("give the number as `errnoRet`")),
            Problem::Both { .. } => Some(Hint::new("keep one of the two")),
        }
    }
}

impl Explain for JsonError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.problem)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: Option<String>,
    default_errno_ret: Option<u32>,
    default_errno: Option<String>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<Machine>>,
    flags: Option<Vec<String>>,
    syscalls: Option<Vec<Syscall>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    errno: Option<String>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Conditions>,
    #[serde(default)]
    excludes: Option<Conditions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conditions {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    #[serde(default, deserialize_with = "kernel_version")]
    min_kernel: Option<(u32, u32)>,
}

/// `"4.8"`; an empty string says nothing.
fn kernel_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(u32, u32)>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)?.filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let numbers =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match numbers {
        Some(version) if version != (0, 0) => Ok(Some(version)),
        _ => Err(D::Error::custom(format!("`{text}` is not a kernel version such as 4.8"))),
    }
}

impl Document {
    fn profile(self, host: &Host) -> Result<Option<Profile>, JsonError> {
        let syscalls = self.syscalls.unwrap_or_default();
        let default_action = self.default_action.unwrap_or_default();
        if default_action.is_empty() && syscalls.is_empty() {
            return Ok(None);
        }
        let default_action =
            action("", "defaultAction", &default_action, self.default_errno_ret, self.default_errno)?;
        let architectures =
            architectures(self.architectures.unwrap_or_default(), self.arch_map.unwrap_or_default(), host)?;
        let mut flags = if self.flags.is_some() { Flags::default() } else { Flags::not_given(host.kernel) };
        for (at, name) in self.flags.iter().flatten().enumerate() {
            flags
                .set_oci(name)
                .map_err(|error| JsonError::new(format!("flags[{at}]"), Problem::Value(error)))?;
        }
        let mut rules = Vec::new();
        for (at, syscall) in syscalls.into_iter().enumerate() {
            let applies = syscall.applies(host);
            // What does not apply here must make sense all the same: a document is right or wrong on every
            // machine.
            let rule = syscall.rule(&format!("syscalls[{at}]"))?;
            rules.extend(applies.then_some(rule));
        }
        Ok(Some(Profile { default_action, architectures, flags, rules }))
    }
}

fn action(
    path: &str,
    key: &str,
    name: &str,
    errno_ret: Option<u32>,
    errno: Option<String>,
) -> Result<Action, JsonError> {
    let dot = if path.is_empty() { "" } else { "." };
    // containers/common writes the name beside the number; the number counts.
    let errno_ret = match (errno_ret, errno.filter(|name| !name.is_empty())) {
        (None, Some(name)) => match errno_number(&name) {
            Some(number) => Some(number),
            None => return Err(JsonError::new(format!("{path}{dot}errno"), Problem::Errno { name })),
        },
        (number, _) => number,
    };
    Action::from_oci(name, errno_ret)
        .map_err(|error| JsonError::new(format!("{path}{dot}{key}"), Problem::Value(error)))
}

/// The names that profiles use, or a number.
fn errno_number(name: &str) -> Option<u32> {
    Some(match name {
        "EPERM" => 1,
        "ENOENT" => 2,
        "EACCES" => 13,
        "EINVAL" => 22,
        "ENOSYS" => 38,
        "EOPNOTSUPP" | "ENOTSUP" => 95,
        "EAFNOSUPPORT" => 97,
        _ => return name.parse().ok(),
    })
}

/// The interfaces of the first entry of `archMap` for this machine, or the plain list.
fn architectures(plain: Vec<String>, map: Vec<Machine>, host: &Host) -> Result<Vec<Arch>, JsonError> {
    if !plain.is_empty() && !map.is_empty() {
        return Err(JsonError::new("archMap", Problem::Both { one: "architectures", other: "archMap" }));
    }
    let read = |path: String, name: &str| {
        Arch::from_oci(name).map_err(|error| JsonError::new(path, Problem::Arch(error)))
    };
    let mut found = Vec::new();
    for (at, name) in plain.iter().enumerate() {
        found.extend(read(format!("architectures[{at}]"), name)?);
    }
    for (at, machine) in map.iter().enumerate() {
        let main = read(format!("archMap[{at}].architecture"), &machine.architecture)?;
        let mut interfaces: Vec<Arch> = main.into_iter().collect();
        for (sub, name) in machine.sub_architectures.iter().flatten().enumerate() {
            interfaces.extend(read(format!("archMap[{at}].subArchitectures[{sub}]"), name)?);
        }
        if main == Some(host.machine) && found.is_empty() {
            found = interfaces;
        }
    }
    Ok(found)
}

impl Syscall {
    fn applies(&self, host: &Host) -> bool {
        let has = |name: &String| capability(name).is_some_and(|bit| host.bounding >> bit & 1 == 1);
        let is = |name: &String| name == host.machine.docker_name();
        let excluded = self.excludes.as_ref().is_some_and(|excludes| {
            excludes.arches.iter().flatten().any(is)
                || excludes.caps.iter().flatten().any(has)
                || excludes.min_kernel.is_some_and(|version| host.kernel >= version)
        });
        let included = self.includes.as_ref().is_none_or(|includes| {
            let arches = includes.arches.as_deref().unwrap_or_default();
            (arches.is_empty() || arches.iter().any(is))
                && includes.caps.iter().flatten().all(has)
                && includes.min_kernel.is_none_or(|version| host.kernel >= version)
        });
        included && !excluded
    }

    fn rule(self, path: &str) -> Result<Rule, JsonError> {
        let single = self.name.filter(|name| !name.is_empty());
        let names = match (single, self.names.unwrap_or_default()) {
            (Some(_), names) if !names.is_empty() => {
                return Err(JsonError::new(path, Problem::Both { one: "name", other: "names" }));
            }
            (Some(name), _) => vec![name],
            (None, names) => names,
        };
        let mut args = Vec::new();
        for (at, argument) in self.args.unwrap_or_default().into_iter().enumerate() {
            let condition = Op::from_oci(&argument.op)
                .and_then(|op| Condition::new(argument.index, op, argument.value, argument.value_two))
                .map_err(|error| {
                    let key =
                        if matches!(error, ProfileError::ArgumentIndex { .. }) { "index" } else { "op" };
                    JsonError::new(format!("{path}.args[{at}].{key}"), Problem::Value(error))
                })?;
            args.push(condition);
        }
        let action = action(path, "action", &self.action, self.errno_ret, self.errno)?;
        Ok(Rule { names: names.into_iter().map(Cow::Owned).collect(), action, args })
    }
}

/// The names of capabilities by number (linux/capability.h, Linux 6.18). One that is not here cannot be in
/// a bounding set.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn capability(name: &str) -> Option<usize> {
    let name = name.strip_prefix("CAP_")?;
    CAPABILITIES.iter().position(|known| *known == name)
}

/// Where a container's profile comes from: `--security-opt seccomp=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// `builtin` or `default`, or nothing said: [`crate::default_profile`].
    Default,
    /// `unconfined`: no filter at all.
    Unconfined,
    /// A file in the format of [`read_profile`].
    File(std::path::PathBuf),
}

impl Choice {
    /// Reads the option's value. A file that is called like one of the words is written as a path:
    /// `./default`.
    pub fn parse(value: &str) -> Self {
        match value {
            "" | "builtin" | "default" => Choice::Default,
            "unconfined" => Choice::Unconfined,
            path => Choice::File(path.into()),
        }
    }
}
