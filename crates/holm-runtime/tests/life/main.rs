//! The life of containers by the commands of the runtime: a module a subject.

#[path = "../common/mod.rs"]
mod common;

mod create_start;
mod hooks;
mod notify;
mod records;
mod systemd;

use std::fs::File;
use std::time::{Duration, Instant};

use common::{Bundle, Ran};
use serde_json::Value;

/// A container that is deleted when this goes.
struct Container {
    bundle: Bundle,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.bundle.runtime(&["delete", "--force", &self.bundle.id]).status();
    }
}

impl Container {
    fn new(test: &str) -> Option<Self> {
        Some(Self { bundle: Bundle::new(test)? })
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.bundle.runtime(arguments)
    }

    /// The runtime with these arguments, to its end. What it and a container write goes to files, so that a container's end is not
    /// waited for.
    fn call(&self, arguments: &[&str]) -> Ran {
        let file = |name| File::create(self.bundle.dir.join(name)).expect("a file for output");
        let mut command = self.bundle.runtime(arguments);
        let status = command.stdout(file("out")).stderr(file("err")).status().expect("holm-runtime");
        let err = std::fs::read_to_string(self.bundle.dir.join("err")).unwrap_or_default();
        Ran { code: status.code(), out: self.output(), err }
    }

    /// A command on the container, which has to succeed without a word on standard error.
    fn does(&self, command: &str) {
        self.does_all(&[command]);
    }

    fn does_all(&self, arguments: &[&str]) {
        let ran = self.call(&[arguments, &[self.id()]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
    }

    /// A command that has to fail: what it says.
    fn fails(&self, arguments: &[&str]) -> String {
        let ran = self.call(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        ran.err
    }

    /// What it has written since it was created.
    fn output(&self) -> String {
        std::fs::read_to_string(self.bundle.dir.join("out")).unwrap_or_default()
    }

    fn id(&self) -> &str {
        &self.bundle.id
    }

    fn state(&self) -> Value {
        let ran = Ran::of(&self.bundle.runtime(&["state", self.id()]).output().expect("holm-runtime"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).expect("JSON")
    }

    fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until `state` says so, for a generous while.
    fn becomes(&self, status: &str) {
        assert!(soon(|| self.status() == status), "it is {}, not {status}", self.status());
    }

    fn is_gone(&self) {
        assert_eq!(self.bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

/// Whether something comes true before a generous while is over.
fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    condition()
}
