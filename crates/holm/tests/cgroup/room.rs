//! Groups made with `holm cgroup` that are gone at the end of a test, also of a failed one.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cgroups::{Controller, Layout, Version};

pub(crate) const MIB: u64 = 1024 * 1024;

/// How often a measurement that others on the machine can spoil is made before it counts.
pub(crate) const TRIES: usize = 4;

/// Doubles itself until something stops it.
pub(crate) const BOMB: &str =
    "bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do (bomb) 2>/dev/null; done";

pub(crate) fn skipped(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}

/// `holm cgroup ARGS`.
pub(crate) fn holm(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    command.arg("cgroup").args(args).stdin(Stdio::null());
    command
}

/// The same, which has to succeed; its standard output.
#[track_caller]
pub(crate) fn done(args: &[&str]) -> String {
    let output = holm(args);
    assert!(output.status.success(), "holm cgroup {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same, which has to fail; its first line on standard error.
#[track_caller]
pub(crate) fn refused(args: &[&str]) -> String {
    let output = holm(args);
    assert_eq!(output.status.code(), Some(125), "holm cgroup {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

/// A group and those below it.
pub(crate) struct Group {
    pub(crate) name: String,
    mount: Option<&'static str>,
}

impl Group {
    /// A new group with these limits, or a word about what the host lacks.
    pub(crate) fn new(test: &str, limits: &[&str]) -> Option<Self> {
        Self::mounted(test, None, limits)
    }

    /// The same with controllers that are mounted for each command.
    pub(crate) fn mounted(test: &str, mount: Option<&'static str>, limits: &[&str]) -> Option<Self> {
        let group = Self { name: format!("nscg-{}-{test}", std::process::id()), mount };
        match group.make("", limits) {
            Ok(()) => Some(group),
            Err(reason) => {
                // Nothing was made, so there is nothing to remove.
                std::mem::forget(group);
                skipped(test, &reason);
                None
            }
        }
    }

    /// One that was made already.
    pub(crate) fn made(name: &str) -> Self {
        Self { name: name.to_owned(), mount: None }
    }

    fn make(&self, below: &str, limits: &[&str]) -> Result<(), String> {
        let name = self.below(below);
        let mut args = vec!["create", &name];
        args.extend(self.mount.iter().flat_map(|mount| ["--mount", mount]));
        args.extend(limits);
        let output = holm(&args);
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A group below it.
    #[track_caller]
    pub(crate) fn child(&self, name: &str, limits: &[&str]) -> String {
        self.make(name, limits).unwrap();
        self.below(name)
    }

    pub(crate) fn below(&self, name: &str) -> String {
        if name.is_empty() { self.name.clone() } else { format!("{}/{name}", self.name) }
    }

    /// A shell in the group.
    pub(crate) fn run(&self, script: &str) -> Running {
        run_in(&self.name, script)
    }

    /// A number in `holm cgroup stat -j`.
    pub(crate) fn stat(&self, subject: &str, name: &str) -> u64 {
        stat(&self.name, subject, name)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut args = vec!["delete", "-r", "--kill", &self.name];
        args.extend(self.mount.iter().flat_map(|mount| ["--mount", mount]));
        let output = holm(&args);
        if !output.status.success() {
            eprintln!("left behind: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

pub(crate) fn stat(group: &str, subject: &str, name: &str) -> u64 {
    let text = done(&["stat", "-j", group]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value[subject][name].as_u64().unwrap_or_else(|| panic!("no {subject}.{name} in {text}"))
}

pub(crate) fn run_in(group: &str, script: &str) -> Running {
    Running(command(&["exec", group, "--", "/bin/sh", "-c", script]).stdout(Stdio::null()).spawn().unwrap())
}

/// A child that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what is to come true, half a minute at most.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: this does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn version_of(controller: Controller) -> Option<Version> {
    Layout::read().unwrap().serving(controller).map(|hierarchy| hierarchy.version)
}

/// Processor time that a group has used, in nanoseconds.
pub(crate) fn cpu_ns(group: &str) -> u64 {
    stat(group, "cpu", "used_ns")
}

/// How much processor time each of `groups` uses within `time`.
pub(crate) fn use_within(groups: &[&str], time: Duration) -> (Vec<f64>, Duration) {
    let look = || groups.iter().map(|group| cpu_ns(group)).collect::<Vec<_>>();
    let (before, at) = (look(), Instant::now());
    std::thread::sleep(time);
    let (after, elapsed) = (look(), at.elapsed());
    (after.iter().zip(&before).map(|(after, before)| (after - before) as f64).collect(), elapsed)
}

/// Tries a measurement that others on the machine can spoil a few times.
#[track_caller]
pub(crate) fn measured(what: &str, measure: impl Fn() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..TRIES {
        match measure() {
            Ok(()) => return,
            Err(why) => last = why,
        }
    }
    panic!("{what}: {last} in the last of {TRIES} tries");
}
