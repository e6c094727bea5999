//! What the tests share that count what is left of a container.

use std::path::Path;
use std::process::Command;

/// Whether this is the process and the mount namespace that `test` has for itself. If it is not, the test is run in one, or
/// says what it needs; `inside` names the variable that tells.
pub(crate) fn alone(inside: &str, test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: it needs root");
        return false;
    }
    if !Path::new("/bin/busybox").exists() {
        eprintln!("SKIPPED {test}: it needs /bin/busybox, linked statically");
        return false;
    }
    if std::env::var_os(inside).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("own path");
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(inside, "1")
        .status();
    match status {
        Ok(status) => assert!(status.success(), "{test}: {status}"),
        Err(error) => eprintln!("SKIPPED {test}: it needs unshare(1): {error}"),
    }
    false
}
