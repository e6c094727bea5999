//! Commands on a container that runs, as a caller sees them: `exec`, `pause`, `resume`, `update`, `events`, `ps`, `features`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/kernel.rs"]
mod kernel;

mod attacks;
mod exec;
mod mounts;
mod terminal;
mod watching;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{Bundle, Ran};
use serde_json::Value;

/// A container that sleeps, and is deleted when this goes.
struct Live {
    bundle: Bundle,
}

impl Live {
    /// `None`, with a line that says why, where this host cannot run it.
    fn start(test: &str, change: impl FnOnce(&mut Bundle)) -> Option<Self> {
        let mut bundle = Bundle::new(test)?;
        bundle.config["process"]["args"] = serde_json::json!(["/bin/sleep", "100000"]);
        bundle.config["root"]["readonly"] = serde_json::json!(false);
        change(&mut bundle);
        bundle.write();
        let live = Self { bundle };
        live.does(&["create", live.id()]);
        live.does(&["start", live.id()]);
        Some(live)
    }

    fn id(&self) -> &str {
        &self.bundle.id
    }

    /// The command with these arguments.
    fn command(&self, arguments: &[&str]) -> Command {
        self.bundle.runtime(arguments)
    }

    fn call(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().expect("holm-runtime"))
    }

    /// What it writes; it has to succeed.
    fn does(&self, arguments: &[&str]) -> String {
        // Who holds the caller's pipes would be waited for: a created container's streams go nowhere.
        let mut command = self.command(arguments);
        if arguments.first() == Some(&"create") {
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            assert!(command.status().expect("holm-runtime").success(), "{arguments:?}");
            return String::new();
        }
        let ran = Ran::of(&command.output().expect("holm-runtime"));
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.out
    }

    /// What it says on failing, with this status.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.call(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran.err
    }

    /// What a script says in the container.
    fn script(&self, flags: &[&str], script: &str) -> Ran {
        let mut arguments = vec!["exec"];
        arguments.extend(flags);
        arguments.extend([self.id(), "/bin/sh", "-c", script]);
        self.call(&arguments)
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.does(&["state", self.id()])).expect("JSON")
    }

    fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let deleted = self.command(&["delete", "--force", self.id()]).output();
        if !std::thread::panicking() {
            assert!(self.bundle.left().is_empty(), "{:?} after {deleted:?}", self.bundle.left());
        }
    }
}

/// Waits for something that happens soon.
fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < until, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
