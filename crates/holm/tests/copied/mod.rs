//! The program under test in another place, for users who cannot reach where it was built.

use std::path::Path;
use std::process::Command;

/// Copies it, by a process of its own: what other threads fork meanwhile would keep a file that is written here open, and nobody could
/// execute it (`ETXTBSY`).
pub(crate) fn copy_holm(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_holm")).arg(to).status().unwrap();
    assert!(copied.success(), "cp: {copied}");
}
