//! What is started in a container that runs already: the inputs of [`crate::plan::enter()`], as plain data.

use std::path::PathBuf;

use cgroups::layout::Hierarchy;
use cgroups::{Layout, Place, Recorded};
use spec::{Process, Spec, Valid};
use sys::SyscallError;

use crate::inputs::{ContainerId, Launch, Life, Root, Stdio};

/// A program to start in a running container.
#[derive(Debug, Clone)]
pub struct Enter {
    /// The subjects that a launch and an entering share (limits, ids, capabilities, the filter …) read a launch; what is particular
    /// to making a container is empty in this one.
    pub(crate) launch: Launch,
    pub(crate) target: Target,
    pub(crate) cgroups: Vec<Recorded>,
}

/// The container to enter, as its first process shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The process id of its first process, as seen here.
    pub pid: i32,
    /// The resource limits of that process, soft and hard, by number: what a new process gets for which none is asked. Those of the
    /// caller are nobody's business in there.
    pub limits: [(u64, u64); 16],
}

/// What is asked for beside the program itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it reads from and writes to.
    pub stdio: Stdio,
    /// How many descriptors from 3 on it inherits from the caller.
    pub preserve_fds: u32,
    /// Keep the caller's session keyring.
    pub keep_keyring: bool,
}

impl Enter {
    /// A program in the container `id` of this specification, whose `process` is the program to start, and which is in these
    /// cgroups.
    pub fn new(
        id: ContainerId,
        spec: Valid<Spec>,
        target: Target,
        cgroups: Vec<Recorded>,
        options: Options,
    ) -> Self {
        let launch = Launch {
            id,
            spec,
            bundle: PathBuf::new(),
            root: Root::Directory { path: PathBuf::from("/") },
            idmap_root: false,
            files: Vec::new(),
            parts: Vec::new(),
            make_cwd: false,
            stdio: options.stdio,
            cgroup: Place::Nowhere(String::new()),
            init: false,
            die_with_parent: false,
            delegate_v1: false,
            keep_keyring: options.keep_keyring,
            preserve_fds: options.preserve_fds,
            unit: None,
            life: Life::Attended,
        };
        Self { launch, target, cgroups }
    }

    /// The program.
    pub fn process(&self) -> &Process {
        &self.launch.spec.process
    }
}

impl Target {
    /// Looks at the first process of a container. Whoever calls this holds its pidfd, and asks afterwards whether it still lives:
    /// only then was it that process.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn look(pid: i32) -> Result<Self, SyscallError> {
        // 0 would be this process itself.
        let told = |resource| sys::raw::rlimit_of(pid, resource).ok().filter(|_| pid > 0);
        if let Some(limits) = all_of(told) {
            return Ok(Self { pid, limits });
        }
        let path = format!("/proc/{pid}/limits");
        let text = std::fs::read_to_string(&path).map_err(|error| SyscallError::new("read", path, error))?;
        Ok(Self { pid, limits: limits(&text) })
    }
}

/// All limits by number, if every one can be told.
fn all_of(told: impl Fn(u32) -> Option<(u64, u64)>) -> Option<[(u64, u64); 16]> {
    let mut limits = [(u64::MAX, u64::MAX); 16];
    for (resource, limit) in limits.iter_mut().enumerate() {
        *limit = told(resource as u32)?;
    }
    Some(limits)
}

/// The cgroups that a process is in, in every hierarchy that is mounted here.
///
/// # Errors
/// When there is no such process, or no procfs.
pub fn cgroups_of(pid: i32) -> Result<Vec<Recorded>, SyscallError> {
    let read = |path: String| std::fs::read(&path).map_err(|error| SyscallError::new("read", path, error));
    let layout =
        Layout::parse(&read("/proc/self/mountinfo".to_owned())?, &read(format!("/proc/{pid}/cgroup"))?);
    let recorded = |hierarchy: &Hierarchy| {
        Some(Recorded {
            version: hierarchy.version,
            controllers: hierarchy.controllers,
            mount: hierarchy.mount.clone(),
            path: hierarchy.own_below_mount()?,
        })
    };
    Ok(layout.hierarchies().filter_map(recorded).collect())
}

/// The lines of proc_pid_limits(5) in the order of the kernel's numbers, which is not that of the lines.
const NAMES: [&str; 16] = [
    "Max cpu time",
    "Max file size",
    "Max data size",
    "Max stack size",
    "Max core file size",
    "Max resident set",
    "Max processes",
    "Max open files",
    "Max locked memory",
    "Max address space",
    "Max file locks",
    "Max pending signals",
    "Max msgqueue size",
    "Max nice priority",
    "Max realtime priority",
    "Max realtime timeout",
];

fn limits(text: &str) -> [(u64, u64); 16] {
    let mut limits = [(u64::MAX, u64::MAX); 16];
    for line in text.lines() {
        let named =
            NAMES.iter().zip(&mut limits).find_map(|(name, limit)| Some((line.strip_prefix(name)?, limit)));
        let Some((rest, limit)) = named else { continue };
        let mut words = rest.split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
        *limit = (number(), number());
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_their_names() {
        let limits = limits(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max cpu time              unlimited            unlimited            seconds   \n\
             Max file size             4096                 unlimited            bytes     \n\
             Max processes             100                  200                  processes \n\
             Max open files            1024                 1048576              files     \n",
        );
        assert_eq!(limits[0], (u64::MAX, u64::MAX));
        assert_eq!(limits[1], (4096, u64::MAX));
        assert_eq!((limits[6], limits[7]), ((100, 200), (1024, 1_048_576)));
    }

    #[test]
    fn the_limits_of_this_process_are_those_that_the_kernel_tells() {
        let own = std::process::id() as i32;
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(limits(&text), Target::look(own).unwrap().limits);
        let target = Target::look(own).unwrap();
        for (resource, (soft, hard)) in target.limits.iter().enumerate() {
            let told = sys::raw::rlimit(resource as u32).unwrap();
            assert_eq!((*soft, *hard), told, "{}", NAMES[resource]);
        }
    }
}
