//! What a failed launch leaves behind: nothing, whichever step fails.
//!
//! Every test runs in a process and a mount namespace of its own, so that what it counts is nobody else's. It launches one
//! container as often as its plan has steps and lets another step fail each time; [`Host`] is compared before and after.

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use cgroups::Place;
use cgroups::plan::CgroupPath;
use runtime::state::StateRoot;
use runtime::{ContainerId, HostFacts, Launch, Root, Stdio, Upper};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// Runs `body` in a process and a mount namespace of its own.
fn alone(test: &str, body: fn(&Bundle)) {
    if common::alone("HOLM_TEST_UNDO_INSIDE", test) {
        body(&Bundle::new(test));
    }
}

/// A bundle in a temporary directory that goes when this does.
struct Bundle {
    id: String,
    dir: PathBuf,
}

impl Bundle {
    fn new(test: &str) -> Self {
        let id = format!("holm-undo-{}", std::process::id());
        let dir = std::env::temp_dir().join(format!("{id}-{test}"));
        let root = dir.join("rootfs");
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(root.join("bin")).expect("rootfs");
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox");
        symlink("busybox", root.join("bin/sleep")).expect("link");
        Self { id, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The configuration that runc starts from, for a program that never ends by itself.
    fn launch(&self, stdio: Stdio, change: impl FnOnce(&mut spec::Spec)) -> Launch {
        let mut spec = spec::default_spec(false);
        spec.process.terminal = stdio != Stdio::Inherit;
        spec.process.args = vec!["/bin/sleep".to_owned(), "1000000".to_owned()];
        change(&mut spec);
        Launch {
            id: ContainerId::parse(&self.id).expect("id"),
            spec: spec::validate(spec).expect("a valid configuration"),
            bundle: self.dir.clone(),
            root: Root::Directory { path: self.dir.join("rootfs") },
            idmap_root: false,
            files: Vec::new(),
            parts: Vec::new(),
            make_cwd: false,
            stdio,
            // Two levels, so that a directory made on the way has to go as well.
            cgroup: Place::Own(CgroupPath::parse(&format!("{}-above/{}", self.id, self.id)).expect("path")),
            unit: None,
            init: false,
            die_with_parent: false,
            delegate_v1: false,
            keep_keyring: false,
            preserve_fds: 0,
            life: runtime::Life::Attended,
        }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What a launch could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    mounts: String,
    cgroups: Vec<PathBuf>,
    records: BTreeSet<String>,
    descriptors: BTreeSet<(i32, PathBuf)>,
    children: bool,
    /// The root's files: a launch makes mount points there, but only before the first comparison.
    files: Vec<PathBuf>,
}

impl Host {
    fn look(bundle: &Bundle) -> Self {
        let mut cgroups = Vec::new();
        directories_named_after(Path::new("/sys/fs/cgroup"), &bundle.id, &mut cgroups);
        let mut files = Vec::new();
        everything_below(&bundle.dir.join("rootfs"), &mut files);
        Self {
            mounts: std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo"),
            cgroups,
            records: names(&bundle.state()),
            descriptors: descriptors(),
            children: !matches!(
                waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT),
                Err(rustix::io::Errno::CHILD)
            ),
            files,
        }
    }
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn descriptors() -> BTreeSet<(i32, PathBuf)> {
    let own = Path::new("/proc/self/fd");
    let open = names(own).into_iter().filter_map(|name| {
        // The one that lists the directory is closed again and has no target any more.
        let target = std::fs::read_link(own.join(&name)).ok()?;
        Some((name.parse().ok()?, target))
    });
    open.collect()
}

fn directories_named_after(dir: &Path, id: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if entry.file_name().to_string_lossy().contains(id) {
                found.push(path.clone());
            }
            directories_named_after(&path, id, found);
        }
    }
}

fn everything_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            everything_below(&path, found);
        }
        found.push(path);
    }
    found.sort();
}

/// Lets every step fail in turn.
fn fails_everywhere_and_leaves_nothing(bundle: &Bundle, launch: &Launch) {
    let facts = HostFacts::read().expect("facts");
    let plan = runtime::plan(launch, &facts).expect("a plan");
    let state = StateRoot::open(&bundle.state()).expect("state");

    let before_any = Host::look(bundle);
    let running = runtime::launch(launch, &plan, &state).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let busy = Host::look(bundle);
    assert!(!busy.cgroups.is_empty() && !busy.records.is_empty() && busy.children, "{busy:#?}");
    running.signal(rustix::process::Signal::KILL).expect("kill");
    let (_, left) = running.wait().expect("wait");
    assert!(left.is_empty(), "{left:?}");

    let before = Host::look(bundle);
    assert_eq!(Host { files: before.files.clone(), ..before_any }, before, "a container that ended in peace");
    for (index, step) in plan.steps().iter().enumerate() {
        let at = format!("step {} of {}: {:?} {}", index + 1, plan.steps().len(), step.actor, step.what);
        let failing = plan.clone().failing_at(index as u32, sys::Errno::IO);
        match runtime::launch(launch, &failing, &state) {
            Err(error) => {
                assert_eq!(error.step(), index as u32 + 1, "{at}: {}", chain(&error));
                assert!(error.left().is_empty(), "{at}: {}", chain(&error));
            }
            Ok(running) => {
                let _ = running.signal(rustix::process::Signal::KILL);
                let _ = running.wait();
                panic!("{at}: it did not fail");
            }
        }
        assert_eq!(Host::look(bundle), before, "{at}");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn whichever_step_of_the_first_configuration_fails_nothing_is_left() {
    alone("whichever_step_of_the_first_configuration_fails_nothing_is_left", |bundle| {
        fails_everywhere_and_leaves_nothing(bundle, &bundle.launch(Stdio::Inherit, |_| {}));
    });
}

#[test]
fn whichever_step_with_a_user_namespace_and_an_overlay_fails_nothing_is_left() {
    alone("whichever_step_with_a_user_namespace_and_an_overlay_fails_nothing_is_left", |bundle| {
        if !runtime::HostFacts::read().is_ok_and(|facts| facts.calls.mount_setattr) {
            eprintln!(
                "SKIPPED whichever_step_with_a_user_namespace_and_an_overlay_fails_nothing_is_left: no mount_setattr(2)"
            );
            return;
        }
        let mut launch = bundle.launch(Stdio::Inherit, |spec| {
            let map = spec::IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
            spec.linux.uid_mappings = vec![map];
            spec.linux.gid_mappings = vec![map];
            spec.linux
                .namespaces
                .push(spec::Namespace { kind: spec::NamespaceType::User, path: String::new() });
        });
        launch.idmap_root = true;
        launch.root =
            Root::Overlay { lower: bundle.dir.join("rootfs"), upper: Upper::Tmpfs { size_bytes: None } };
        fails_everywhere_and_leaves_nothing(bundle, &launch);
    });
}

#[test]
fn whichever_step_with_a_terminal_fails_nothing_is_left() {
    alone("whichever_step_with_a_terminal_fails_nothing_is_left", |bundle| {
        let stdio = Stdio::Terminal { size: Some((24, 80)) };
        fails_everywhere_and_leaves_nothing(bundle, &bundle.launch(stdio, |_| {}));
    });
}
