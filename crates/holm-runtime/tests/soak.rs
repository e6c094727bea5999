//! Many runs, and runs whose runtime is killed: nothing adds up.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bundle, Ran};
use runtime::state::StateRoot;
use rustix::process::{Pid, WaitId, WaitIdOptions, set_child_subreaper, waitid};

/// Lines of the host's mount table that speak of the bundle.
fn mounts(bundle: &Bundle) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let dir = bundle.dir.display().to_string();
    table.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

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

/// One test, because the children of this process are what it counts.
#[test]
fn neither_many_runs_nor_killed_ones_leave_anything() {
    let Some(mut bundle) = Bundle::new("neither_many_runs") else { return };
    set_child_subreaper(Pid::from_raw(1)).expect("prctl");
    let runs = std::env::var("HOLM_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    bundle.script("echo here; exit 3");
    for run in 0..runs {
        let ran = bundle.run();
        assert_eq!(ran, Ran { code: Some(3), out: "here\n".to_owned(), err: String::new() }, "run {run}");
    }
    assert!(all_have_ended(), "a process is left after {runs} runs");
    assert_eq!(mounts(&bundle), Vec::<String>::new());

    bundle.script("while :; do sleep 1000; done");
    let state = StateRoot::open(&bundle.dir.join("state")).expect("state");
    for turn in 0..60_u32 {
        let mut command = bundle.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("holm-runtime");
        // From before the first step to after the program's start, in an order without a pattern.
        std::thread::sleep(Duration::from_micros(u64::from(turn * 37 % 60) * 300));
        child.kill().expect("kill");
        child.wait().expect("wait");
        let found = bundle.left();
        let mut swept = state.sweep(4);
        // The stage has the record's lock as well until it executes itself; a killed runtime's may be about to.
        let start = Instant::now();
        while !bundle.left().is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
            swept.extend(state.sweep(4));
        }
        assert_eq!(
            bundle.left().len(),
            0,
            "turn {turn}: found {found:?}, swept {swept:?}: {:?}",
            bundle.left()
        );
        assert!(all_have_ended(), "turn {turn}: a process is left: found {found:?}, swept {swept:?}");
        assert_eq!(mounts(&bundle), Vec::<String>::new());
    }
    assert!(std::fs::exists(bundle.rootfs("bin/busybox")).unwrap_or(false), "the root is whole");
}
