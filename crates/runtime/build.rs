//! Builds the in-container stage: `crates/init/src/stage.rs` and what it needs, without the standard library.
//!
//! Cargo cannot build one crate twice in different ways for one program, so the compiler is called here, three times. The
//! result is a static executable of a few pages that [`include_bytes!`] puts into the engine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let crates =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join("..");
    for dir in ["sys/src", "init/src", "init/stage.ld"] {
        println!("cargo::rerun-if-changed={}", crates.join(dir).display());
    }
    compile(&out, "sys", "rlib", &crates.join("sys/src/lib.rs"), &[]);
    compile(&out, "init", "rlib", &crates.join("init/src/lib.rs"), &["sys"]);
    compile(&out, "holm_stage", "bin", &crates.join("init/src/stage.rs"), &["sys", "init"]);
}

fn compile(out: &Path, name: &str, kind: &str, source: &Path, needs: &[&str]) {
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    rustc.args(["--edition", "2024", "--crate-name", name, "--crate-type", kind]);
    rustc.arg("--target").arg(env::var_os("TARGET").expect("cargo sets TARGET"));
    rustc.args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "codegen-units=1", "--cap-lints", "allow"]);
    rustc.args(["-C", "target-feature=+crt-static", "-C", "relocation-model=static"]);
    // Where the sources are must not show in the executable.
    rustc.arg(format!("--remap-path-prefix={}=holm", source.parent().unwrap_or(source).display()));
    rustc.arg("--out-dir").arg(out).arg("-L").arg(out);
    for need in needs {
        rustc.arg("--extern").arg(format!("{need}={}", out.join(format!("lib{need}.rlib")).display()));
    }
    if kind == "bin" {
        rustc.args(["-C", "lto=fat", "-C", "strip=symbols"]);
        if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
            // The toolchain's own start files would come along.
            rustc.args(["-C", "link-self-contained=no"]);
        }
        for argument in ["-nostartfiles", "-nostdlib", "-static"] {
            rustc.arg("-C").arg(format!("link-arg={argument}"));
        }
        if let Some(linker) = env::var_os("RUSTC_LINKER") {
            // What cargo was told to link this target with.
            let mut argument = std::ffi::OsString::from("linker=");
            argument.push(linker);
            rustc.arg("-C").arg(argument);
        }
        // Few and small segments: every one costs time in execve(2).
        rustc.args(["-C", "link-arg=-Wl,--build-id=none,-z,noseparate-code,-z,norelro,--no-eh-frame-hdr"]);
    }
    rustc.arg(source);
    if kind == "bin" {
        // Best in a single one, as a script has it; linkers that take none are left to themselves.
        let script = source.parent().unwrap_or(source).join("../stage.ld");
        let args: Vec<_> = rustc.get_args().map(ToOwned::to_owned).collect();
        let mut scripted = Command::new(rustc.get_program());
        scripted.args(args).arg("-C").arg(format!("link-arg=-Wl,-T,{}", script.display()));
        if scripted.output().is_ok_and(|output| output.status.success()) {
            return;
        }
    }
    let status = rustc.status().unwrap_or_else(|error| panic!("cannot run rustc for the stage: {error}"));
    assert!(status.success(), "the in-container stage does not compile");
}
