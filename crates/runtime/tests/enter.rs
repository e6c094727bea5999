//! Entering a running container, and what a failed entering leaves behind: nothing, whichever step fails.
//!
//! Every test runs in a process and a mount namespace of its own, so that what it counts is nobody else's.

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;

use cgroups::Place;
use cgroups::plan::CgroupPath;
use runtime::ahead;
use runtime::enter::{Options, cgroups_of};
use runtime::facts::Calls;
use runtime::state::StateRoot;
use runtime::{ContainerId, Enter, Entered, Exit, HostFacts, Launch, Plan, Root, Running, Stdio, Target};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use spec::{CapabilitySet, IdMapping, Namespace, NamespaceType, Seccomp, Spec};

/// Runs `body` in a process and a mount namespace of its own.
fn alone(test: &str, body: fn(&Bundle)) {
    if common::alone("HOLM_TEST_ENTER_INSIDE", test) {
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
        let id = format!("holm-enter-{}", std::process::id());
        let dir = std::env::temp_dir().join(format!("{id}-{test}"));
        let root = dir.join("rootfs");
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(root.join("bin")).expect("rootfs");
        std::fs::DirBuilder::new().mode(0o777).create(root.join("out")).expect("rootfs");
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox");
        for name in "cat cp false grep id kill ls readlink sh sleep stat stty true tty ulimit".split(' ') {
            symlink("busybox", root.join("bin").join(name)).expect("link");
        }
        Self { id, dir }
    }

    /// Launches the first configuration, changed, with a program that never ends by itself.
    fn container(&self, change: impl FnOnce(&mut Spec)) -> Container {
        let mut spec = spec::default_spec(false);
        spec.process.terminal = false;
        spec.process.args = vec!["/bin/sleep".to_owned(), "1000000".to_owned()];
        spec.root.readonly = false;
        change(&mut spec);
        let launch = Launch {
            id: ContainerId::parse(&self.id).expect("id"),
            spec: spec::validate(spec.clone()).expect("a valid configuration"),
            bundle: self.dir.clone(),
            root: Root::Directory { path: self.dir.join("rootfs") },
            idmap_root: false,
            files: Vec::new(),
            parts: Vec::new(),
            make_cwd: false,
            stdio: Stdio::Inherit,
            cgroup: Place::Own(CgroupPath::parse(&self.id).expect("path")),
            init: false,
            unit: None,
            life: runtime::Life::Attended,
            die_with_parent: true,
            delegate_v1: false,
            keep_keyring: false,
            preserve_fds: 0,
        };
        let facts = HostFacts::read().expect("facts");
        let plan = runtime::plan(&launch, &facts).expect("a plan");
        let state = StateRoot::open(&self.dir.join("state")).expect("state");
        let running =
            runtime::launch(&launch, &plan, &state).unwrap_or_else(|error| panic!("{}", chain(&error)));
        Container { id: launch.id, spec, running: Some(running), out: self.dir.join("rootfs/out") }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A container that ends when this goes.
struct Container {
    id: ContainerId,
    spec: Spec,
    running: Option<Running>,
    out: PathBuf,
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.signal(Signal::KILL);
            let _ = running.wait();
        }
    }
}

impl Container {
    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.running().pidfd().expect("a handle")
    }

    fn enter(&self, stdio: Stdio, change: impl FnOnce(&mut Spec)) -> Enter {
        let pid = self.running().pid();
        let mut spec = self.spec.clone();
        spec.process.terminal = stdio != Stdio::Inherit;
        change(&mut spec);
        let options = Options { stdio, preserve_fds: 0, keep_keyring: false };
        let spec = spec::validate(spec).expect("a valid configuration");
        let cgroups = cgroups_of(pid).expect("cgroups");
        Enter::new(self.id.clone(), spec, Target::look(pid).expect("limits"), cgroups, options)
    }

    fn stage_ahead(&self, keep: u64) -> ahead::Stage {
        let cgroups = cgroups_of(self.running().pid()).expect("cgroups");
        ahead::Stage::start(&cgroups, CapabilitySet(keep)).expect("a stage")
    }

    fn start(&self, enter: &Enter) -> Entered {
        let plan = planned(enter);
        runtime::enter(enter, &plan, self.pidfd()).unwrap_or_else(|error| panic!("{}\n{plan}", chain(&error)))
    }

    /// What a script of busybox's shell says, and how it ends.
    fn says(&self, script: &str, change: impl FnOnce(&mut Spec)) -> (Exit, String) {
        let enter = self.enter(Stdio::Inherit, |spec| {
            spec.process.args =
                ["/bin/sh", "-c", &format!("({script}) >/out/said 2>&1")].map(String::from).to_vec();
            change(spec);
        });
        let exit = self.start(&enter).wait().expect("wait");
        let said = self.out.join("said");
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let _ = std::fs::remove_file(said);
        (exit, text.trim().to_owned())
    }
}

fn planned(enter: &Enter) -> Plan {
    let facts = HostFacts::of_this_process().expect("facts");
    runtime::plan::enter(enter, &facts).unwrap_or_else(|error| panic!("{}", report::render(&error)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn user_namespace(spec: &mut Spec) {
    let map = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
    spec.linux.uid_mappings = vec![map];
    spec.linux.gid_mappings = vec![map];
    spec.linux.namespaces.push(Namespace { kind: NamespaceType::User, path: String::new() });
}

fn with_filter(spec: &mut Spec) {
    let section = br#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]
    }"#;
    spec.linux.seccomp = Some(spec::load_as::<Seccomp>(section).expect("a profile"));
}

/// Enough of a filter for execve, and too little for what comes before it.
fn with_narrow_filter(spec: &mut Spec) {
    with_filter(spec);
    let section = br#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["setsid", "clone"], "action": "SCMP_ACT_ERRNO"}]
    }"#;
    spec.linux.seccomp = Some(spec::load_as::<Seccomp>(section).expect("a profile"));
}

/// What an entering could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    descriptors: BTreeSet<i32>,
    children: Vec<i32>,
    processes: String,
}

impl Host {
    fn look(container: &Container) -> Self {
        let mut groups = String::new();
        for group in cgroups_of(container.running().pid()).expect("cgroups") {
            let file = group.mount.join(&group.path).join("cgroup.procs");
            groups.push_str(&std::fs::read_to_string(file).expect("cgroup.procs"));
        }
        Self { descriptors: numbers("/proc/self/fd"), children: children(), processes: groups }
    }
}

fn numbers(dir: &str) -> BTreeSet<i32> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children() -> Vec<i32> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Lets every step fail in turn.
fn fails_everywhere_and_leaves_nothing(container: &Container, enter: &Enter) {
    let plan = planned(enter);
    let before = Host::look(container);
    let exit = container.start(enter).wait().expect("wait");
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(Host::look(container), before, "a program that ended in peace");
    let twice = plan.steps().iter().enumerate().flat_map(|step| [(step, false), (step, true)]);
    for ((index, step), ahead) in twice {
        let at = format!("step {} of {}: {:?} {}", index + 1, plan.steps().len(), step.actor, step.what);
        let failing = plan.clone().failing_at(index as u32, sys::Errno::IO);
        let stage = ahead.then(|| container.stage_ahead(u64::MAX));
        match runtime::enter_with(enter, &failing, container.pidfd(), stage) {
            Err(error) => {
                assert_eq!(error.step(), index as u32 + 1, "{at}: {}", chain(&error));
                assert!(error.left().is_empty(), "{at}: {}", chain(&error));
            }
            Ok(entered) => {
                let _ = entered.signal(Signal::KILL);
                let _ = entered.wait();
                panic!("{at}: it did not fail");
            }
        }
        assert_eq!(Host::look(container), before, "{at}");
    }
    assert!(matches!(
        waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG),
        Ok(None)
    ));
}

#[test]
fn whichever_step_of_an_entering_fails_nothing_is_left() {
    alone("whichever_step_of_an_entering_fails_nothing_is_left", |bundle| {
        let container = bundle.container(with_filter);
        let enter = container.enter(Stdio::Inherit, |spec| spec.process.args = vec!["/bin/true".to_owned()]);
        fails_everywhere_and_leaves_nothing(&container, &enter);
    });
}

#[test]
fn whichever_step_of_an_entering_with_a_user_namespace_and_a_terminal_fails_nothing_is_left() {
    alone(
        "whichever_step_of_an_entering_with_a_user_namespace_and_a_terminal_fails_nothing_is_left",
        |bundle| {
            std::os::unix::fs::chown(bundle.dir.join("rootfs"), Some(100_000), None).expect("chown");
            let container = bundle.container(user_namespace);
            let stdio = Stdio::Terminal { size: Some((24, 80)) };
            let enter = container.enter(stdio, |spec| spec.process.args = vec!["/bin/true".to_owned()]);
            fails_everywhere_and_leaves_nothing(&container, &enter);
        },
    );
}

#[test]
fn an_older_kernel_joins_the_namespaces_one_by_one() {
    alone("an_older_kernel_joins_the_namespaces_one_by_one", |bundle| {
        std::os::unix::fs::chown(bundle.dir.join("rootfs"), Some(100_000), None).expect("chown");
        let container = bundle.container(user_namespace);
        let enter = container.enter(Stdio::Inherit, |spec| spec.process.args = vec!["/bin/true".to_owned()]);
        let mut facts = HostFacts::of_this_process().expect("facts");
        facts.calls = Calls::of_version((5, 4));
        let plan = runtime::plan::enter(&enter, &facts).expect("a plan");
        let joins =
            plan.program().ops().iter().filter(|(_, op)| matches!(op, init::ops::Op::Join { .. })).count();
        assert_eq!(joins, 6);
        let before = Host::look(&container);
        let entered = runtime::enter(&enter, &plan, container.pidfd());
        let entered = entered.unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(entered.wait().expect("wait"), Exit::Code(0));
        assert_eq!(Host::look(&container), before);
    });
}

#[test]
fn a_program_is_in_all_namespaces_and_cgroups_of_its_container() {
    alone("a_program_is_in_all_namespaces_and_cgroups_of_its_container", |bundle| {
        for change in [|_: &mut Spec| {}, user_namespace] {
            if let Err(error) = std::os::unix::fs::chown(bundle.dir.join("rootfs/out"), Some(100_000), None) {
                panic!("{error}");
            }
            let container = bundle.container(change);
            let enter = container.enter(Stdio::Inherit, |spec| {
                spec.process.args = ["/bin/sleep", "100"].map(String::from).to_vec();
            });
            let entered = container.start(&enter);
            let (init, own) = (container.running().pid(), entered.pid());
            for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
                let of =
                    |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
                assert_eq!(of(own), of(init), "{kind}");
            }
            for file in ["cgroup", "uid_map", "limits", "oom_score_adj"] {
                let of = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect(file);
                assert_eq!(of(own), of(init), "{file}");
            }
            let root = |pid: i32| std::fs::read_link(format!("/proc/{pid}/root")).expect("root");
            assert_eq!(root(own), root(init));
            entered.signal(Signal::KILL).expect("kill");
            assert_eq!(entered.wait().expect("wait"), Exit::Signal(9));
        }
    });
}

#[test]
fn filters_capabilities_and_no_new_privileges_hold_for_a_program_as_for_the_first() {
    alone("filters_capabilities_and_no_new_privileges_hold_for_a_program_as_for_the_first", |bundle| {
        for no_new_privileges in [true, false] {
            for filter in [with_filter, with_narrow_filter] {
                let container = bundle.container(|spec| {
                    filter(spec);
                    spec.process.no_new_privileges = no_new_privileges;
                });
                let status = |pid: i32| {
                    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
                    let wanted =
                        ["Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", "Sig", "Shd", "Umask"];
                    let lines = text.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
                    lines.filter(|line| !line.starts_with("SigQ")).map(str::to_owned).collect::<Vec<_>>()
                };
                let enter = container.enter(Stdio::Inherit, |spec| {
                    spec.process.args = ["/bin/sleep", "100"].map(String::from).to_vec();
                });
                let entered = container.start(&enter);
                let (first, second) = (status(container.running().pid()), status(entered.pid()));
                entered.signal(Signal::KILL).expect("kill");
                entered.wait().expect("wait");
                assert_eq!(second, first);
                assert!(first.contains(&"Seccomp:\t2".to_owned()), "{first:?}");
            }
        }
    });
}

#[test]
fn nothing_of_the_caller_leaks_into_a_program() {
    alone("nothing_of_the_caller_leaks_into_a_program", |bundle| {
        let container = bundle.container(|_| {});
        // Limits, blocked and ignored signals, groups, a mask and a descriptor without close-on-exec.
        let leak = File::open("/dev/null").expect("/dev/null");
        sys::raw::set_close_on_exec(sys::raw::Fd(leak.as_raw_fd()), false).expect("fcntl");
        sys::raw::set_rlimit(7, 77, 4096).expect("a limit");
        sys::raw::set_signal_mask(1 << 9 | 1 << 14).expect("a mask");
        sys::raw::setgroups(&[4321u32.to_ne_bytes()].concat()).expect("groups");
        sys::raw::umask(0o777);
        let (exit, said) = container.says(
            "ulimit -n; umask; id -G; grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd | wc -l",
            |_| {},
        );
        sys::raw::umask(0o022);
        sys::raw::set_signal_mask(0).expect("a mask");
        let limit = Target::look(container.running().pid()).expect("limits").limits[7].0.min(4096);
        let busybox_closes = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000";
        assert_eq!(exit, Exit::Code(0), "{said}");
        // 0, 1, 2, and the directory that is listed.
        assert_eq!(said, format!("{limit}\n0022\n0\n{busybox_closes}\n4"));
    });
}

#[test]
fn a_program_gets_the_terminal_of_its_container_and_a_session() {
    alone("a_program_gets_the_terminal_of_its_container_and_a_session", |bundle| {
        let container = bundle.container(|_| {});
        let stdio = Stdio::Terminal { size: Some((43, 132)) };
        let enter = container.enter(stdio, |spec| {
            spec.process.user.uid = 1000;
            spec.process.args = ["/bin/sh", "-c", "tty; stty size; stat -c %u:%a $(tty); echo hi >/dev/tty"]
                .map(String::from)
                .to_vec();
        });
        let entered = container.start(&enter);
        let mut terminal =
            File::from(entered.terminal().expect("a terminal").try_clone_to_owned().expect("dup"));
        assert_eq!(entered.wait().expect("wait"), Exit::Code(0));
        let mut said = [0; 4096];
        let mut text = String::new();
        // At its end a terminal gives EIO.
        while let Ok(len) = terminal.read(&mut said) {
            text.push_str(&String::from_utf8_lossy(&said[..len]));
        }
        assert_eq!(text, "/dev/pts/0\r\n43 132\r\n1000:620\r\nhi\r\n");
    });
}

#[test]
fn a_working_directory_outside_of_the_root_is_no_way_out() {
    alone("a_working_directory_outside_of_the_root_is_no_way_out", |bundle| {
        let container = bundle.container(|_| {});
        for number in 3..12 {
            let enter = container.enter(Stdio::Inherit, |spec| {
                spec.process.cwd = format!("/proc/self/fd/{number}");
                spec.process.args = vec!["/bin/true".to_owned()];
            });
            let plan = planned(&enter);
            let error = runtime::enter(&enter, &plan, container.pidfd()).expect_err("no such place");
            assert!(chain(&error).contains("change to /proc/self/fd/"), "{}", chain(&error));
        }
    });
}

#[test]
fn a_container_that_has_ended_cannot_be_entered() {
    alone("a_container_that_has_ended_cannot_be_entered", |bundle| {
        let container = bundle.container(|_| {});
        let enter = container.enter(Stdio::Inherit, |spec| spec.process.args = vec!["/bin/true".to_owned()]);
        let plan = planned(&enter);
        container.running().signal(Signal::KILL).expect("kill");
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(container.pidfd()), ended).expect("its end");
        let error = runtime::enter(&enter, &plan, container.pidfd()).expect_err("it has ended");
        assert_eq!(error.step(), 1, "{}", chain(&error));
    });
}

#[test]
fn a_program_that_is_not_there_is_told_and_leaves_nothing() {
    alone("a_program_that_is_not_there_is_told_and_leaves_nothing", |bundle| {
        let container = bundle.container(with_filter);
        let before = Host::look(&container);
        let enter =
            container.enter(Stdio::Inherit, |spec| spec.process.args = vec!["/bin/nowhere".to_owned()]);
        let plan = planned(&enter);
        let error = runtime::enter(&enter, &plan, container.pidfd()).expect_err("no such program");
        assert_eq!(
            chain(&error),
            format!(
                "cannot start a program in container `{}`: execute /bin/nowhere  (step {} of {}, in the container): \
                 exec /bin/nowhere: no such file or directory (ENOENT)",
                container.id,
                plan.steps().len() - 1,
                plan.steps().len()
            )
        );
        assert_eq!(Host::look(&container), before);
    });
}

#[test]
fn a_stage_that_was_started_ahead_plays_the_program_with_its_rights_and_else_is_gone() {
    alone("a_stage_that_was_started_ahead_plays_the_program_with_its_rights_and_else_is_gone", |bundle| {
        /// CAP_KILL
        const KEPT: u64 = 1 << 5;
        std::os::unix::fs::chown(bundle.dir.join("rootfs"), Some(100_000), None).expect("chown");
        let out = bundle.dir.join("rootfs/out");
        std::fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("chmod");
        for change in [with_filter, user_namespace] {
            let container = bundle.container(change);
            let before = Host::look(&container);
            let unwanted = container.stage_ahead(KEPT);
            assert_eq!(children().len(), before.children.len() + 1);
            drop(unwanted);
            assert_eq!(Host::look(&container), before, "nobody wanted it");

            let enter = container.enter(Stdio::Inherit, |spec| {
                spec.process.capabilities = Default::default();
                spec.process.capabilities.bounding = vec!["CAP_KILL".to_owned()];
                // Without a shell, which has ideas of its own about signals.
                spec.process.args = ["/bin/cp", "/proc/self/status", "/out/said"].map(String::from).to_vec();
            });
            let plan = planned(&enter);
            let stage = container.stage_ahead(KEPT);
            let entered = runtime::enter_with(&enter, &plan, container.pidfd(), Some(stage));
            let exit = entered.unwrap_or_else(|error| panic!("{}", chain(&error))).wait().expect("wait");
            let said = std::fs::read_to_string(out.join("said")).expect("said");
            std::fs::remove_file(out.join("said")).expect("said");
            let number = |name| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let numbers = ["SigBlk:", "SigIgn:", "CapBnd:"].map(|name| number(name).unwrap_or_default());
            let zero = "0000000000000000";
            assert_eq!((exit, numbers), (Exit::Code(0), [zero, zero, "0000000000000020"]), "{said}");
            assert_eq!(Host::look(&container), before);
        }
    });
}
