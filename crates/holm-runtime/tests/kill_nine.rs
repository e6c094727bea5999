//! The runtime is killed at any moment; `delete --force` then leaves nothing.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bundle, Ran};
use rustix::process::{Pid, WaitId, WaitIdOptions, set_child_subreaper, waitid};
use serde_json::json;

/// Reaps what ended below this process, which gets all orphans; whether nothing is left before a generous while is over.
fn all_have_ended() -> bool {
    let start = Instant::now();
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Err(rustix::io::Errno::CHILD) => return true,
            Ok(None) if start.elapsed() > Duration::from_secs(10) => return false,
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
    }
}

/// `delete --force`, while what ends is reaped: a pid namespace does not end before somebody has waited for the processes in it, and
/// those that were started in it later are children of this process.
fn delete(bundle: &Bundle) -> Ran {
    let child = bundle.runtime(&["delete", "--force", &bundle.id]).spawn().expect("holm-runtime");
    let own = Pid::from_child(&child);
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // The peek tells no number, so each one is asked for.
        match waitid(WaitId::Pid(own), options) {
            Ok(None) => {}
            _ => break,
        }
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let children: String =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).collect();
        let others = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        for other in others.filter(|pid| *pid != own) {
            let _ = waitid(WaitId::Pid(other), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ran::of(&child.wait_with_output().expect("its end"))
}

/// Numbers without a pattern (xorshift), the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn succeed(bundle: &Bundle, arguments: &[&str]) {
    let mut command = bundle.runtime(arguments);
    let status = command.stdout(Stdio::null()).status().expect("holm-runtime");
    assert!(status.success(), "{arguments:?}: {status}");
}

/// What comes before the command that is killed.
fn prepare(bundle: &Bundle, command: &str) {
    let id = bundle.id.as_str();
    if matches!(command, "start" | "exec" | "delete" | "kill") {
        succeed(bundle, &["create", id]);
    }
    if matches!(command, "exec" | "delete" | "kill") {
        succeed(bundle, &["start", id]);
    }
}

/// One test, because the children of this process are what it counts. HOLM_SOAK is how often each command is killed.
#[test]
fn whenever_the_runtime_is_killed_delete_leaves_nothing() {
    let Some(mut bundle) = Bundle::new("kill_nine") else { return };
    set_child_subreaper(Pid::from_raw(1)).expect("prctl");
    let times = std::env::var("HOLM_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(34);
    let seed = u64::from(std::process::id()) << 20 | 0x9e37;
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);
    // Processes below the first, so that more than one has to go.
    bundle.script("sleep 1000 & while :; do sleep 1000; done");
    bundle.write();
    let id = bundle.id.clone();
    for command in ["create", "run", "start", "exec", "delete", "kill"] {
        let arguments: &[&str] = match command {
            "delete" => &["delete", "--force", &id],
            "kill" => &["kill", &id, "KILL"],
            "run" => &["run", "--detach", &id],
            "exec" => &["exec", "--detach", &id, "/bin/sleep", "1000"],
            command => &[command, &id],
        };
        // How long it takes when it is not killed, so that the blows fall on all of it.
        prepare(&bundle, command);
        let start = Instant::now();
        succeed(&bundle, arguments);
        let whole = start.elapsed();
        let ran = delete(&bundle);
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        assert!(all_have_ended(), "{command}: a process is left");
        for turn in 0..times {
            let hook = json!([{"path": "/bin/true"}]);
            let with_hooks = dice.below(4) == 0;
            bundle.config["hooks"] =
                if with_hooks { json!({"createRuntime": hook, "poststart": hook}) } else { json!({}) };
            bundle.write();
            prepare(&bundle, command);
            let mut child = bundle.runtime(arguments).spawn().expect("holm-runtime");
            let wait = Duration::from_micros(dice.below(whole.as_micros() as u64 * 5 / 4 + 1));
            let start = Instant::now();
            while start.elapsed() < wait {
                std::hint::spin_loop();
            }
            child.kill().expect("kill");
            child.wait().expect("wait");
            let ran = delete(&bundle);
            let what = format!("{command}, turn {turn}, killed after {wait:?}; delete: {ran:?}");
            assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{what}");
            assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new(), "{what}");
            assert!(all_have_ended(), "a process is left: {what}");
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
            assert!(!mounts.contains(&bundle.dir.display().to_string()), "a mount is left: {what}");
        }
    }
    bundle.config["hooks"] = json!({});
    assert!(bundle.rootfs("bin/busybox").exists(), "the root is whole");
    assert_eq!(bundle.script("echo whole").run().out, "whole\n", "the root is as it was");
}
