//! A place for the containers of one test, which takes everything away again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::said;

/// Directories of a test's own.
pub(crate) struct House {
    pub(crate) base: PathBuf,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl House {
    /// None, and a line about it, where containers cannot be had.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED {test}: needs root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("holm-life-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        Some(Self { base })
    }

    /// `holm` with these arguments, for containers of this house.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        match args.split_first() {
            // What is of these tests' interest does not depend on a network.
            Some((verb @ (&"run" | &"create"), rest)) => command.args([verb, "--network", "none"]).args(rest),
            _ => command.args(args),
        };
        command.stdin(Stdio::null());
        command.env("HOLM_ROOT", self.base.join("root")).env("HOLM_RUNROOT", self.base.join("run"));
        command
    }

    pub(crate) fn holm(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it prints; it has to succeed.
    pub(crate) fn prints(&self, args: &[&str]) -> String {
        said::prints(self.command(args)).trim_end().to_owned()
    }

    /// What it says; it has to fail with this status.
    pub(crate) fn fails(&self, args: &[&str], status: i32) -> String {
        said::fails(self.command(args), Some(status))
    }

    /// A container of this machine's programs in the background.
    pub(crate) fn run(&self, name: &str, flags: &[&str], script: &str) -> String {
        let args =
            [&["run", "-d", "--rootfs", "/", "--name", name], flags, &["--", "sh", "-c", script]].concat();
        self.prints(&args)
    }

    pub(crate) fn field(&self, name: &str, template: &str) -> String {
        self.prints(&["inspect", "--format", template, name])
    }

    /// The monitor's process number.
    pub(crate) fn monitor(&self, id: &str) -> Option<u32> {
        let home = format!("{}/run/containers/{id}", self.base.display());
        processes().into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"holm-monitor\0") && String::from_utf8_lossy(&line).contains(&home)
        })
    }

    /// Everything of the house that is still there: files of containers, processes, cgroups.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for directory in ["root/containers", "root/names", "run/containers", "run/names", "run/run"] {
            let entries = std::fs::read_dir(self.base.join(directory)).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path().display().to_string()));
        }
        let house = self.base.display().to_string();
        for pid in processes() {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&env).contains(&house) && pid != std::process::id();
            if ours {
                left.push(format!("process {pid}: {}", String::from_utf8_lossy(&line)));
            }
        }
        left
    }

    /// Nothing is left, now or soon: what a monitor does after its container's end takes a moment.
    pub(crate) fn is_empty(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.leftovers();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.holm(&["rm", "--force", "--all"]);
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Waits until it is so.
pub(crate) fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "it did not come about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

pub(crate) fn kill_nine(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
