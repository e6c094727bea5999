//! The build script of both programs: has the linker put side by side what a program runs through, which is a third of it.
//!
//! Otherwise it lies scattered over all of the executable, and the kernel maps each part when it is first reached. A list beside this file
//! names the functions, without what differs from build to build; `cargo xtask order` writes it anew. One that is not there any more
//! is no error, and a linker that does not take such a list is left alone.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    let list = root.join("link").join(variable("CARGO_PKG_NAME")).with_extension("ld");
    println!("cargo::rerun-if-changed={}", list.display());
    println!("cargo::rerun-if-changed={}", root.join("link/build.rs").display());
    let wanted = variable("PROFILE") == "release" && variable("CARGO_CFG_TARGET_OS") == "linux";
    if !wanted {
        return;
    }
    let Ok(list) = list.canonicalize() else { return };
    let order = format!("-Wl,-T,{}", list.display());
    // Functions that come out the same become one, where the linker can do that. Some C libraries tell theirs apart by address.
    let same = (variable("CARGO_PKG_NAME") == "holm-runtime").then(|| "-Wl,--icf=all".to_owned());
    for argument in std::iter::once(order).chain(same) {
        if is_understood(&argument, Path::new(&variable("OUT_DIR"))) {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Links a small program with this argument, and with this build's linker and flags, and runs it where it can run.
fn is_understood(argument: &str, out: &Path) -> bool {
    let (source, program) = (out.join("probe.rs"), out.join("probe"));
    if std::fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let Some(rustc) = env::var_os("RUSTC") else { return false };
    let mut rustc = Command::new(rustc);
    rustc.args(["--edition", "2024", "--crate-name", "probe", "--target"]);
    rustc.arg(env::var_os("TARGET").unwrap_or_default()).arg("-o").arg(&program);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    rustc.arg("-C").arg(format!("link-arg={argument}")).arg(&source);
    let links = rustc.output().is_ok_and(|output| output.status.success());
    let foreign = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch != env::consts::ARCH);
    links && (foreign || Command::new(&program).output().is_ok_and(|output| output.status.success()))
}
