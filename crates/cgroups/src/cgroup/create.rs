//! Making a group, and undoing it.
//!
//! The usual case costs few calls: the directory is made at once, and only if its parent is missing the way down
//! is made as well; on v2 one read of the new group's `cgroup.controllers` tells whether anything has to be
//! enabled above it.

use rustix::fs::OFlags;
use rustix::io::Errno as Failure;
use sys::SyscallError;

use super::{Cgroup, Group};
use crate::dir::{Dir, write_once};
use crate::error::Error;
use crate::layout::ControllerSet;
use crate::plan::{Existing, GroupPlan, Plan};
use crate::write::{IfAbsent, Write};

pub(super) fn create(plan: &Plan) -> Result<Cgroup, Error> {
    let mut cgroup = Cgroup { groups: Vec::with_capacity(plan.groups.len()) };
    for planned in &plan.groups {
        let made = make(planned).and_then(|group| {
            cgroup.groups.push(group);
            let group = &cgroup.groups[cgroup.groups.len() - 1];
            settle(planned, group)
        });
        if let Err(error) = made {
            undo(&cgroup);
            return Err(error);
        }
    }
    Ok(cgroup)
}

/// Removes what was made; nobody is in it yet, so once is enough.
fn undo(cgroup: &Cgroup) {
    for group in cgroup.groups.iter().rev() {
        if !group.taken_over {
            let _ = group.dir.unmake();
        }
        for parent in group.made_parents.iter().rev() {
            let _ = parent.unmake();
        }
    }
}

/// The directory, and those above it where they are missing.
fn make(planned: &GroupPlan) -> Result<Group, Error> {
    let mount = Dir::open_mount(&planned.mount)?;
    let dir = mount.at(planned.path.clone());
    let mut made_parents = Vec::new();
    // Somebody else may remove an empty parent between our two calls; they would have to do so each time.
    for _ in 0..8 {
        match dir.make() {
            Ok(()) => return Ok(group(planned, dir, made_parents, false)),
            Err(Failure::EXIST) if planned.existing == Existing::Refuse => {
                return Err(make_failed(&dir, Failure::EXIST));
            }
            Err(Failure::EXIST) => {
                if planned.existing == Existing::TakeOverEmpty {
                    take_over(&dir)?;
                }
                return Ok(group(planned, dir, made_parents, true));
            }
            Err(Failure::NOENT) => {
                for parent in planned.parents() {
                    let parent = mount.at(parent);
                    match parent.make() {
                        Ok(()) if planned.inherit_cpuset => {
                            inherit_cpuset(&parent)?;
                            // Groups below are then born with what this one has. Linux 2.6.38.
                            let _ = parent.write("cgroup.clone_children", b"1");
                            made_parents.push(parent);
                        }
                        Ok(()) => made_parents.push(parent),
                        Err(Failure::EXIST) => {}
                        Err(errno) => return Err(make_failed(&parent, errno)),
                    }
                }
            }
            Err(errno) => return Err(make_failed(&dir, errno)),
        }
    }
    Err(make_failed(&dir, Failure::NOENT))
}

fn group(planned: &GroupPlan, dir: Dir, made_parents: Vec<Dir>, taken_over: bool) -> Group {
    Group { version: planned.version, controllers: planned.controllers, dir, made_parents, taken_over }
}

fn make_failed(dir: &Dir, errno: Failure) -> Error {
    let group = dir.path();
    let cause = SyscallError::new("mkdirat", group.display().to_string(), errno);
    Error::Make { group, cause }
}

/// An existing group is taken over if nobody uses it.
fn take_over(dir: &Dir) -> Result<(), Error> {
    let in_use = |what| Err(Error::InUse { group: dir.path(), what });
    let processes = dir.read("cgroup.procs").map_err(|errno| dir.failed("read", "cgroup.procs", errno))?;
    if !processes.is_empty() {
        return in_use("has processes: the container's cgroup is not empty");
    }
    if !dir.children().map_err(|errno| dir.failed("getdents", "", errno))?.is_empty() {
        return in_use("has groups below it");
    }
    let frozen = dir.read("freezer.state").is_ok_and(|state| !state.starts_with(b"THAWED"))
        || dir.read("cgroup.freeze").is_ok_and(|state| state.starts_with(b"1"));
    if frozen {
        return in_use("is frozen: the container's cgroup unexpectedly frozen");
    }
    Ok(())
}

/// Everything that makes the new directory ready for a process.
fn settle(planned: &GroupPlan, group: &Group) -> Result<(), Error> {
    let dir = &group.dir;
    if planned.inherit_cpuset && !is_born_with_cpuset(dir) {
        inherit_cpuset(dir)?;
    }
    if !planned.enable.is_empty() || !planned.enable_if_offered.is_empty() {
        enable(planned, dir)?;
    }
    apply(dir, &planned.writes)?;
    if let Some(program) = &planned.device_program {
        super::devices::attach(dir, program, !group.taken_over)?;
    }
    Ok(())
}

/// Whether the new v1 cpuset was born with what its parent has (`cgroup.clone_children`): then both lists are
/// filled, else none.
fn is_born_with_cpuset(dir: &Dir) -> bool {
    dir.read("cpuset.mems").is_ok_and(|mems| !mems.trim_ascii().is_empty())
}

/// A new v1 cpuset has no processors and takes no process; it gets its parent's. Those above are ours or were
/// made by somebody who did the same.
fn inherit_cpuset(dir: &Dir) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = |dir: &Dir| dir.read(file).map_err(|errno| dir.failed("read", file, errno));
        if !read(dir)?.trim_ascii().is_empty() {
            continue;
        }
        let Some(parent) = dir.parent() else { continue };
        let mut inherited = read(&parent)?;
        if inherited.trim_ascii().is_empty() {
            inherit_cpuset(&parent)?;
            inherited = read(&parent)?;
        }
        let value = String::from_utf8_lossy(inherited.trim_ascii()).into_owned();
        write(dir, &Write::new(file, value))?;
    }
    Ok(())
}

/// Hands the controllers down from `base` to the new group's parent, where they are not there yet.
pub(super) fn enable(planned: &GroupPlan, dir: &Dir) -> Result<(), Error> {
    let has = |dir: &Dir| {
        let text = dir.read("cgroup.controllers");
        text.map(|text| ControllerSet::parse(&text))
            .map_err(|errno| dir.failed("read", "cgroup.controllers", errno))
    };
    let here = has(dir)?;
    if planned.enable.without(here).is_empty() && planned.enable_if_offered.without(here).is_empty() {
        return Ok(());
    }
    let base = dir.at(planned.base.clone());
    let offered = has(&base)?;
    for parent in std::iter::once(base).chain(planned.parents().into_iter().map(|path| dir.at(path))) {
        let handed_down = parent.read("cgroup.subtree_control");
        let handed_down = ControllerSet::parse(&handed_down.unwrap_or_default());
        let needed = planned.enable.without(handed_down);
        let wished = planned.enable_if_offered.without(handed_down);
        if needed.is_empty() && wished.is_empty() {
            continue;
        }
        // Only the group that existed before can have processes. The kernel would refuse to enable memory there,
        // but would enable pids and cpu and make every group below invalid (cgroups(7), thread mode).
        if parent.below() == planned.base && has_internal_processes(&parent) {
            match (needed.is_empty(), planned.evacuate) {
                (true, _) => continue,
                (false, true) => evacuate(&parent)?,
                (false, false) => {
                    return Err(Error::HoldsProcesses {
                        group: parent.path(),
                        controllers: needed.to_string(),
                    });
                }
            }
        }
        if !needed.is_empty() {
            let controllers = plus(needed);
            parent.write("cgroup.subtree_control", controllers.as_bytes()).map_err(|errno| {
                Error::Enable {
                    group: parent.path(),
                    cause: SyscallError::new("write", "cgroup.subtree_control", errno),
                    controllers,
                }
            })?;
        }
        // These serve statistics only: what the parent cannot hand down is not missed. One by one, since one
        // refusal would take the others with it.
        for controller in wished.iter().filter(|&controller| offered.contains(controller)) {
            let _ = parent.write("cgroup.subtree_control", format!("+{controller}").as_bytes());
        }
    }
    Ok(())
}

/// The root may have processes beside its children; it is the one group without a type.
fn has_internal_processes(dir: &Dir) -> bool {
    dir.read("cgroup.type").is_ok() && dir.read("cgroup.procs").is_ok_and(|processes| !processes.is_empty())
}

/// Moves the processes of a group to its child `init`.
fn evacuate(dir: &Dir) -> Result<(), Error> {
    let init = dir.child("init".as_ref());
    match init.make() {
        Ok(()) | Err(Failure::EXIST) => {}
        Err(errno) => return Err(make_failed(&init, errno)),
    }
    // They may fork meanwhile; a child is born where its parent is, so few rounds do.
    for _ in 0..64 {
        let here = dir.read("cgroup.procs").map_err(|errno| dir.failed("read", "cgroup.procs", errno))?;
        if here.is_empty() {
            break;
        }
        for process in here.split(|&byte| byte == b'\n').filter(|process| !process.is_empty()) {
            match init.write("cgroup.procs", process) {
                // Gone meanwhile, or of a pid namespace outside of ours ("0").
                Ok(()) | Err(Failure::SRCH) => {}
                Err(errno) => return Err(init.failed("write", "cgroup.procs", errno)),
            }
        }
    }
    Ok(())
}

/// `+memory +pids`.
fn plus(controllers: ControllerSet) -> String {
    let words: Vec<_> = controllers.iter().map(|controller| format!("+{controller}")).collect();
    words.join(" ")
}

/// Performs `writes` in order. Writes to one file in a row share one open file.
pub(super) fn apply(dir: &Dir, writes: &[Write]) -> Result<(), Error> {
    let mut again = Vec::new();
    for run in writes.chunk_by(|one, two| one.file == two.file) {
        let fd = match dir.open_file(&run[0].file, OFlags::WRONLY) {
            Ok(fd) => fd,
            Err(errno) => {
                run.iter().try_for_each(|write| absent(dir, write, errno))?;
                continue;
            }
        };
        for write in run {
            match write_once(&fd, write.value.as_bytes()) {
                Ok(()) => {}
                Err(Failure::INVAL) if write.retry_last => again.push(write),
                Err(errno) => return Err(set_failed(dir, write, "write", errno)),
            }
        }
    }
    again.into_iter().try_for_each(|again| write(dir, again))
}

fn write(dir: &Dir, write: &Write) -> Result<(), Error> {
    match dir.open_file(&write.file, OFlags::WRONLY) {
        Ok(fd) => {
            write_once(&fd, write.value.as_bytes()).map_err(|errno| set_failed(dir, write, "write", errno))
        }
        Err(errno) => absent(dir, write, errno),
    }
}

/// What happens to a write whose file could not be opened.
fn absent(dir: &Dir, unwritten: &Write, errno: Failure) -> Result<(), Error> {
    match &unwritten.if_absent {
        IfAbsent::Skip if errno == Failure::NOENT => Ok(()),
        IfAbsent::Instead(other) if errno == Failure::NOENT => write(dir, other),
        _ => Err(set_failed(dir, unwritten, "openat", errno)),
    }
}

fn set_failed(dir: &Dir, write: &Write, call: &'static str, errno: Failure) -> Error {
    let subject = dir.path().join(&*write.file).display().to_string();
    Error::Set {
        group: dir.path(),
        file: write.file.to_string(),
        value: write.value.clone(),
        cause: SyscallError::new(call, subject, errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::{Explain as _, Kind};

    /// A directory with these files, gone at the end.
    struct Files(std::path::PathBuf);

    impl Files {
        fn new(name: &str, files: &[&str]) -> (Self, Dir) {
            let path = std::env::temp_dir().join(format!("holm-test-{}-{name}", std::process::id()));
            std::fs::create_dir_all(path.join("group")).unwrap();
            for file in files {
                std::fs::write(path.join("group").join(file), "").unwrap();
            }
            let dir = Dir::open_mount(&path).unwrap().at("group");
            (Self(path), dir)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_missing_file_fails_is_skipped_or_replaced_as_planned() {
        let (_files, dir) = Files::new("absent", &["io.weight", "pids.max"]);
        let io = Write::new("io.bfq.weight", 500).or_instead(Write::new("io.weight", "default 4950"));
        apply(&dir, &[io, Write::new("memory.swap.max", "max").or_skip(), Write::new("pids.max", 7)])
            .unwrap();
        assert_eq!(dir.read("io.weight").unwrap(), b"default 4950");
        assert_eq!(dir.read("pids.max").unwrap(), b"7");

        let error = apply(&dir, &[Write::new("memory.swap.max", 5), Write::new("pids.max", 9)]).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let told = report::render(&error).replace(&dir.path().display().to_string(), "GROUP");
        expect_test::expect![[r#"
            error: set memory.swap.max to `5` in cgroup GROUP
              cause: openat(GROUP/memory.swap.max): no such file or directory (ENOENT)
              hint:  the kernel does not account swap; start it with `swapaccount=1`
        "#]]
        .assert_eq(&told);
        assert_eq!(dir.read("pids.max").unwrap(), b"7");
    }

    #[test]
    fn values_for_one_file_are_written_in_order_through_one_descriptor() {
        let (_files, dir) = Files::new("order", &["devices.allow", "devices.deny"]);
        let allow = |value| Write::new("devices.allow", value);
        apply(&dir, &[Write::new("devices.deny", "a"), allow("c 1:3 rwm\n"), allow("c 1:5 r\n")]).unwrap();
        assert_eq!(dir.read("devices.allow").unwrap(), b"c 1:3 rwm\nc 1:5 r\n");
    }

    #[test]
    fn no_file_is_made_by_writing() {
        let (_files, dir) = Files::new("made", &[]);
        assert!(apply(&dir, &[Write::new("memory.max", 1)]).is_err());
        assert!(dir.files().unwrap().is_empty());
    }
}
