//! Many runs: nothing adds up.

mod common;

use std::time::{Duration, Instant};

use common::{Bundle, Ran};
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
fn many_runs_leave_nothing() {
    let Some(mut bundle) = Bundle::new("many_runs") else { return };
    set_child_subreaper(Pid::from_raw(1)).expect("prctl");
    let runs = std::env::var("HOLM_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    bundle.script("echo here; exit 3");
    for run in 0..runs {
        let ran = bundle.run();
        assert_eq!(ran, Ran { code: Some(3), out: "here\n".to_owned(), err: String::new() }, "run {run}");
    }
    assert!(all_have_ended(), "a process is left after {runs} runs");
    assert_eq!(mounts(&bundle), Vec::<String>::new());

    assert!(std::fs::exists(bundle.rootfs("bin/busybox")).unwrap_or(false), "the root is whole");
}
