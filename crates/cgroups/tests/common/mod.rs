//! Groups and processes that are gone at the end of a test, also of a failed one.

use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgroups::{
    Cgroup, CgroupPath, Controller, Layout, Limits, Place, Plan, Refused, Version, Wanted, Which, plan,
};

/// Doubles itself until something stops it.
pub(crate) const BOMB: &str =
    "bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do (bomb) 2>/dev/null; done";

/// The host's layout, if this process may make groups there.
pub(crate) fn host(test: &str) -> Option<Layout> {
    let layout = Layout::read().unwrap();
    let place = Place::Mount(path(&format!("{test}-probe")));
    let wanted = Wanted { place: &place, limits: &Limits::default(), which: Which::All };
    match plan(&layout, &wanted).map(|plan| (Cgroup::create(&plan), plan.groups.is_empty())) {
        Ok((Ok(group), false)) => {
            drop(Own(group));
            Some(layout)
        }
        other => {
            skipped(test, &format!("this host lets us make no group: {other:?}"));
            None
        }
    }
}

pub(crate) fn skipped(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}

pub(crate) fn path(name: &str) -> CgroupPath {
    CgroupPath::parse(&format!("holm-test-{}-{name}/leaf", std::process::id())).unwrap()
}

pub(crate) fn planned(name: &str, layout: &Layout, limits: &Limits) -> Result<Plan, Refused> {
    plan(layout, &Wanted { place: &Place::Mount(path(name)), limits, which: Which::All })
}

/// A group of our own that is gone when this is dropped.
pub(crate) struct Own(pub(crate) Cgroup);

impl Own {
    pub(crate) fn new(name: &str, layout: &Layout, limits: &Limits) -> Self {
        Self(Cgroup::create(&planned(name, layout, limits).unwrap()).unwrap())
    }

    /// The same, or a word about what this host lacks.
    pub(crate) fn try_new(name: &str, layout: &Layout, limits: &Limits) -> Option<Self> {
        match planned(name, layout, limits) {
            Ok(plan) => Some(Self(Cgroup::create(&plan).unwrap())),
            Err(refused) => {
                skipped(name, &refused.to_string());
                None
            }
        }
    }

    /// A shell in the group; it has joined by itself.
    pub(crate) fn run(&self, script: &str) -> Running {
        let joins: String = self
            .0
            .recorded()
            .iter()
            .map(|it| {
                let file = if it.version == Version::V1 { "tasks" } else { "cgroup.procs" };
                format!("echo 0 > '{}' || exit 99\n", it.mount.join(&it.path).join(file).display())
            })
            .collect();
        let marker = "echo joined\nexec >&2\n";
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("{joins}{marker}{script}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        Running(child)
    }

    /// Kills everybody; our own child is waited for meanwhile.
    pub(crate) fn kill_and_reap(&self, child: &mut Running) {
        let recorded = self.0.recorded();
        let killer =
            std::thread::spawn(move || Cgroup::open(&recorded).unwrap().kill(Duration::from_secs(20)));
        child.0.wait().unwrap();
        killer.join().unwrap().unwrap();
        assert!(self.0.is_empty().unwrap());
    }

    pub(crate) fn read(&self, controller: Controller, file: &str) -> String {
        let path = self.0.path_of(controller).unwrap().join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")).trim().to_owned()
    }
}

impl Deref for Own {
    type Target = Cgroup;

    fn deref(&self) -> &Cgroup {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill(Duration::from_secs(5));
        if let Err(errors) = self.0.remove(Duration::from_secs(5)) {
            eprintln!("left behind: {errors:?}");
        }
        self.0.remove_made_parents();
    }
}

/// A child that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "this does not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}
