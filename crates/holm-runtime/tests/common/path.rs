//! What programs there are on this machine.

use std::process::{Command, Stdio};

/// Whether a program is found in `PATH`.
pub(crate) fn has(program: &str) -> bool {
    let script = format!("command -v {program}");
    let found = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
