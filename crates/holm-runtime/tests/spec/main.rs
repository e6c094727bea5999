//! Clauses of the OCI runtime specification, each run for real through `holm-runtime run`. `docs/reference/oci-spec.md` names the test
//! of every clause.

#[path = "../common/mod.rs"]
mod common;

mod mounts;
mod seccomp;

use common::{Bundle, Ran};

/// What a script prints, which has to succeed.
fn said(bundle: &mut Bundle, script: &str) -> String {
    let ran = bundle.script(script).run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

/// What a launch that has to fail tells.
fn refused(bundle: &Bundle) -> String {
    let ran: Ran = bundle.run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    ran.err
}

/// The options and optional fields of the mount that the container sees at `path`, as mountinfo has them.
fn mount_options(bundle: &mut Bundle, path: &str) -> Vec<String> {
    let text = said(bundle, "cat /proc/self/mountinfo");
    let line = text.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
    let line = line.unwrap_or_else(|| panic!("nothing at {path} in {text}"));
    let (mount, superblock) = line.split_once(" - ").expect("a line of mountinfo");
    let options = mount.split(' ').nth(5).into_iter().chain(superblock.split(' ').nth(2));
    let fields = mount.split(' ').skip(6).map(|field| field.split(':').next().unwrap_or_default());
    options.flat_map(|list| list.split(',')).chain(fields).map(String::from).collect()
}
