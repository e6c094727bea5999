//! Programs of this machine that tests look at a guest with. They go there with the libraries that they are linked with, in
//! place of the applets that busybox has of the same name.

use super::apt::output;
use crate::workspace::which;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What goes along where it is installed; a test whose program is missing skips itself and says so. The shell is among them
/// because busybox's prefers its own applets to the programs in its path.
const TOOLS: &[&str] = &[
    "bash",
    "ip",
    "ipcmk",
    "ipcs",
    "iptables",
    "jq",
    "mkfs.ext4",
    "nft",
    "nsenter",
    "pgrep",
    "ping",
    "route",
    "setpriv",
    "sh",
    "tar",
    "unshare",
];

/// Copies the tools into the root at `tree`.
pub(super) fn copy(tree: &Path) -> Result<(), Box<dyn Error>> {
    for tool in TOOLS {
        let Some(program) = which(tool) else {
            eprintln!("the guest goes without `{tool}`, which is not installed here");
            continue;
        };
        for applet in ["bin", "sbin", "usr/bin", "usr/sbin"] {
            let _ = fs::remove_file(tree.join(applet).join(tool));
        }
        // A program may go by several names, as iptables does; it looks at the one that it was called by.
        copy_file(&program, &tree.join("bin").join(tool))?;
        for library in libraries(&program)? {
            copy_file(&library, &tree.join(place(&library)))?;
        }
    }
    Ok(())
}

/// Where a library goes, below the root. Not below `/lib`, which has the kernel's modules mounted in it: an ordinary user's
/// container is put together from directories that have no mounts in them.
fn place(library: &Path) -> PathBuf {
    let place = library.strip_prefix("/").unwrap_or(library);
    if place.starts_with("lib") { Path::new("usr").join(place) } else { place.to_path_buf() }
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if !to.exists() {
        fs::create_dir_all(to.parent().expect("a file lies in a directory"))?;
        fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    Ok(())
}

/// The loader and the libraries of a program; none of a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if which("ldd").is_none() {
        return Err("no ldd here (Debian: `apt-get install libc-bin`)".into());
    }
    // It fails for static programs.
    Ok(output(Command::new("ldd").arg(program)).map(|text| paths(&text)).unwrap_or_default())
}

/// The files in lines such as `libc.so.6 => /lib/libc.so.6 (0x7f…)` and `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn paths(text: &str) -> Vec<PathBuf> {
    let words = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    text.lines().filter_map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::{paths, place};
    use std::path::Path;

    #[test]
    fn libraries_are_those_that_have_a_file() {
        let text =
            "\tlinux-vdso.so.1 (0x0000)\n\tlibc.so.6 => /lib/libc.so.6 (0x0001)\n\t/lib64/ld.so (0x0002)\n";
        assert_eq!(paths(text), [Path::new("/lib/libc.so.6"), Path::new("/lib64/ld.so")]);
        assert_eq!(place(Path::new("/lib/libc.so.6")), Path::new("usr/lib/libc.so.6"));
        assert_eq!(place(Path::new("/lib64/ld.so")), Path::new("lib64/ld.so"));
    }
}
