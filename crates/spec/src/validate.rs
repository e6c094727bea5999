//! Whether a configuration makes sense, as far as that can be told without looking at the host.
//!
//! [`validate`] is the door: behind it stand [`Valid`] configurations only. The rules are in the files below, one
//! for each section of the document, and are met in the order of the document. What needs the host is left to
//! the plan: whether a path exists, whether a joined network namespace is the host's, which capabilities can be had.

mod ids;
mod linux;
mod mounts;
mod nul;
mod process;
mod resources;
mod seccomp;
mod sysctl;

use crate::config::{Hook, Spec};
use crate::json_path::{Key, one_line};
use crate::landlock;
use crate::linux::NamespaceType;
use crate::resources::Resources;
use report::{Explain, Kind};
use std::fmt;
use std::ops::Deref;

pub(crate) use nul::check as find_nul;
pub use sysctl::path as sysctl_path;

/// Something [`validate`] has judged; nobody else can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid<T> {
    inner: T,
    warnings: Vec<Problem>,
}

impl<T> Valid<T> {
    /// What the specification wants logged, and what other runtimes let pass.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Gives up the judgement, to change something.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The property, such as `process.rlimits[0].soft`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub wrong: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.wrong)
    }
}

/// A configuration that makes no sense. It is told in one line, problem by problem in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.problems))]
pub struct Invalid {
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
    /// What would be told of it if nothing was wrong.
    pub warnings: Vec<Problem>,
}

fn joined(problems: &[Problem]) -> String {
    let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
    problems.join("; ")
}

impl Explain for Invalid {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// Judges a configuration.
///
/// ```
/// let mut spec = spec::default_spec(false);
/// spec.process.cwd = "home".into();
/// let error = spec::validate(spec).unwrap_err();
/// assert_eq!(error.to_string(), "process.cwd: `home` is not an absolute path");
/// ```
///
/// # Errors
/// [`Invalid`] with everything that is wrong, the first 32 things of it.
pub fn validate(spec: Spec) -> Result<Valid<Spec>, Invalid> {
    let mut findings = Findings::default();
    nul::check(&spec, &mut |path, _| {
        findings.wrong(path, "holds a NUL byte, which would end it for the kernel")
    });
    version(&spec.oci_version, &mut findings);
    process::check(&spec, &mut findings);
    if spec.root.path.is_empty() {
        findings.wrong(format_args!("root.path"), "is missing; it is a directory, absolute or in the bundle");
    }
    uts_name(&spec, "hostname", &spec.hostname, &mut findings);
    uts_name(&spec, "domainname", &spec.domainname, &mut findings);
    mounts::check(&spec, &mut findings);
    hooks(&spec, &mut findings);
    if spec.annotations.contains_key("") {
        findings.wrong(format_args!("annotations"), "has an empty key");
    }
    landlock(&spec, &mut findings);
    linux::check(&spec, &mut findings);
    findings.judge(spec)
}

/// Judges limits on their own, as an update has them.
///
/// # Errors
/// [`Invalid`]; paths start at the limits, such as `memory.swappiness`.
pub fn validate_resources(resources: Resources) -> Result<Valid<Resources>, Invalid> {
    let mut findings = Findings::default();
    resources::check(&resources, "", &mut findings);
    findings.judge(resources)
}

/// What has been found so far.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Findings {
    /// More than this nobody reads, and the document may hold a million mistakes.
    const ENOUGH: usize = 32;

    fn wrong(&mut self, path: fmt::Arguments<'_>, wrong: impl Into<String>) {
        push(&mut self.problems, path, wrong.into());
    }

    fn warn(&mut self, path: fmt::Arguments<'_>, wrong: impl Into<String>) {
        push(&mut self.warnings, path, wrong.into());
    }

    /// `path` has to be absolute.
    fn absolute(&mut self, path: fmt::Arguments<'_>, value: &str) {
        if value.is_empty() {
            self.wrong(path, "is empty; it has to be an absolute path");
        } else if !value.starts_with('/') {
            self.wrong(path, format!("`{value}` is not an absolute path"));
        }
    }

    /// `value` has to be from `least` to `most`.
    fn range(&mut self, path: fmt::Arguments<'_>, value: i64, least: i64, most: i64) {
        if value < least || value > most {
            self.wrong(path, format!("{value} is out of range; allowed are {least} to {most}"));
        }
    }

    fn judge<T>(self, inner: T) -> Result<Valid<T>, Invalid> {
        if self.problems.is_empty() {
            Ok(Valid { inner, warnings: self.warnings })
        } else {
            Err(Invalid { problems: self.problems, warnings: self.warnings })
        }
    }
}

fn push(list: &mut Vec<Problem>, path: fmt::Arguments<'_>, wrong: String) {
    if list.len() < Findings::ENOUGH {
        list.push(Problem { path: one_line(path.to_string()), wrong: one_line(wrong) });
    }
}

/// The version has to be one of the specification's first major version, in SemVer (config.md, "Specification
/// version").
fn version(version: &str, findings: &mut Findings) {
    let path = format_args!("ociVersion");
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [Some(1), Some(minor), Some(_)] => {
            if minor > 3 {
                findings.warn(
                    path,
                    format!("{version} is newer than {}; what it adds is ignored", crate::OCI_VERSION),
                );
            }
        }
        // The specification's own examples say 0.5.0-dev, and so do documents made from them.
        [Some(0), Some(_), Some(_)] => {
            findings
                .warn(path, format!("{version} is older than 1.0.0; the document is read as one of 1.0.0"));
        }
        [Some(_), Some(_), Some(_)] => {
            findings
                .wrong(path, format!("{version} is not supported; allowed are 1.0.0 and later 1.x versions"));
        }
        _ => findings.wrong(path, format!("`{version}` is not a version such as {}", crate::OCI_VERSION)),
    }
}

fn uts_name(spec: &Spec, property: &str, name: &str, findings: &mut Findings) {
    if name.is_empty() {
        return;
    }
    // __NEW_UTS_LEN, include/uapi/linux/utsname.h.
    if name.len() > 64 {
        findings
            .wrong(format_args!("{property}"), format!("has {} bytes; at most 64 are allowed", name.len()));
    }
    if spec.linux.namespace(NamespaceType::Uts).is_none() {
        findings.wrong(format_args!("{property}"), "needs a `uts` namespace; it would be set on the host");
    }
}

/// An annotation of ours with a text that is JSON of its own.
fn landlock(spec: &Spec, findings: &mut Findings) {
    let at = Key(landlock::ANNOTATION);
    match landlock::rules(&spec.annotations) {
        Ok(rules) => {
            for (rule, landlock::Rule { paths, .. }) in rules.iter().flatten().enumerate() {
                for (index, path) in paths.iter().enumerate() {
                    findings.absolute(format_args!("annotations{at}[{rule}].paths[{index}]"), path);
                }
            }
        }
        Err(error) => findings.wrong(format_args!("annotations{at}{}", error.path), error.message),
    }
}

fn hooks(spec: &Spec, findings: &mut Findings) {
    for (kind, hooks) in spec.hooks.by_kind() {
        for (index, hook) in hooks.iter().enumerate() {
            let Hook { path, timeout, .. } = hook;
            findings.absolute(format_args!("hooks.{kind}[{index}].path"), path);
            if let Some(seconds) = timeout.filter(|seconds| *seconds <= 0) {
                let path = format_args!("hooks.{kind}[{index}].timeout");
                findings.wrong(path, format!("{seconds} is no time; it has to be 1 second or more"));
            }
        }
    }
}
