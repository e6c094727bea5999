//! What a record says, as plain data.
//!
//! A record is lines of JSON: first the [`Intent`], which is there before anything else of the container is; then an [`Event`] a line, as
//! it happens. [`Record::parse`] takes what it can read and ignores what a crash cut off.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cgroups::Recorded;
use cgroups::plan::GroupPlan;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use spec::{Hooks, Map};

use crate::inputs::{Launch, Life, Root};
use crate::unit::{RecordedUnit, Unit};

/// What is about to exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) oci_version: String,
    pub(crate) bundle: PathBuf,
    /// The directory that the root is taken from.
    pub(crate) rootfs: PathBuf,
    pub(crate) cgroups: Vec<RecordedGroup>,
    /// Groups above those that were missing before, topmost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parents: Vec<RecordedGroup>,
    /// The unit of systemd that the cgroup is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<RecordedUnit>,
    /// Nanoseconds since 1970.
    pub(crate) created_ns: u64,
    pub(crate) owner_uid: u32,
    /// The process that makes the container.
    pub(crate) keeper: Process,
    /// Whether the container outlives its keeper.
    #[serde(default)]
    pub(crate) durable: bool,
    /// Whether its processes are in a pid namespace of their own, which takes them with it.
    #[serde(default)]
    pub(crate) own_pids: bool,
    /// The bounding set of its program, as far as no user namespace makes it another.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub(crate) bounding: u64,
    /// Whether there is a directory with a socket for what its program says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) notify: bool,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) annotations: Map<String>,
    /// Those that run after the creation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) hooks: Hooks,
}

fn all() -> u64 {
    u64::MAX
}

fn is_all(capabilities: &u64) -> bool {
    *capabilities == u64::MAX
}

fn is_default(hooks: &Hooks) -> bool {
    *hooks == Hooks::default()
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Event {
    /// There is a first process.
    Started(Process),
    /// Everything is made; the program was started, or waits for being so.
    Created,
}

/// A process and what distinguishes it from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// The inode of the process's handle, which no other has until the next boot (pidfs, Linux 6.9); 0 before.
    pub(crate) handle: u64,
    /// Before Linux 6.9: when it was started, in clock ticks since the boot (proc_pid_stat(5)).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) start: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One directory of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedGroup {
    pub(crate) v2: bool,
    pub(crate) controllers: String,
    pub(crate) mount: PathBuf,
    pub(crate) path: PathBuf,
}

/// What could be read of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) intent: Option<Intent>,
    pub(crate) started: Option<Process>,
    pub(crate) created: bool,
}

impl Intent {
    pub(crate) fn new(launch: &Launch, groups: &[&GroupPlan]) -> Self {
        let spec = &launch.spec;
        let missing = |group: &&GroupPlan| {
            let parents = group.parents().into_iter();
            let missing = parents.filter(|path| !group.mount.join(path).exists());
            missing
                .map(|path| RecordedGroup { path: path.to_owned(), ..RecordedGroup::of(group) })
                .collect::<Vec<_>>()
        };
        Self {
            id: launch.id.to_string(),
            oci_version: spec.oci_version.clone(),
            bundle: launch.bundle.clone(),
            rootfs: match &launch.root {
                Root::Directory { path } | Root::Chroot { path, .. } => path.clone(),
                Root::Overlay { lower, .. } => lower.clone(),
                Root::Layers { lower, .. } => lower.first().cloned().unwrap_or_default(),
                Root::Assembled { from, .. } => from.clone(),
            },
            cgroups: groups.iter().map(|group| RecordedGroup::of(group)).collect(),
            // The slices above a unit are systemd's.
            parents: match launch.unit {
                Some(_) => Vec::new(),
                None => groups.iter().flat_map(missing).collect(),
            },
            unit: launch.unit.as_ref().map(Unit::recorded),
            created_ns: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
            owner_uid: rustix::process::getuid().as_raw(),
            keeper: Process::this(),
            durable: matches!(launch.life, Life::Kept { .. }),
            own_pids: spec.linux.namespaces.iter().any(crate::act::is_new_pid_namespace),
            bounding: match spec.linux.namespace(spec::NamespaceType::User) {
                Some(_) => u64::MAX,
                None => spec.process.capabilities.sets().bounding.0,
            },
            notify: launch.notifies(),
            annotations: spec.annotations.clone(),
            hooks: Hooks {
                start_container: crate::environment::inherited(&spec.hooks, &spec.process.env)
                    .start_container,
                poststart: spec.hooks.poststart.clone(),
                poststop: spec.hooks.poststop.clone(),
                ..Hooks::default()
            },
        }
    }

    pub(crate) fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.created_ns)
    }
}

impl Record {
    /// Takes every whole line; what is no line of a record is left out.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let intent = lines(text).next().and_then(|line| serde_json::from_slice(line).ok());
        let events = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        Self { intent, ..Self::events(&text[events..]) }
    }

    /// What has happened: the lines behind the intent.
    pub(crate) fn events(text: &[u8]) -> Self {
        let mut record = Self::default();
        for line in lines(text) {
            match serde_json::from_slice(line) {
                Ok(Event::Started(process)) => record.started = Some(process),
                Ok(Event::Created) => record.created = true,
                Err(_) => {}
            }
        }
        record
    }
}

/// The whole lines of a text.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"))
}

/// A line of a record.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

impl Process {
    /// The process of this number and handle.
    pub(crate) fn of(pid: i32, pidfd: BorrowedFd<'_>) -> Self {
        let handle = handle(pidfd);
        Self { pid, handle, start: if handle == 0 { start_time(pid) } else { 0 } }
    }

    fn this() -> Self {
        let pid = rustix::process::getpid();
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Self::of(pid.as_raw_nonzero().get(), pidfd.as_fd()),
            Err(_) => Self { pid: pid.as_raw_nonzero().get(), handle: 0, start: 0 },
        }
    }

    /// A handle of it, unless it has ended: one that nobody has waited for yet has, too.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let now = Self::of(self.pid, pidfd.as_fd());
        let same = match (self.handle, now.handle) {
            (0, 0) => self.start == now.start,
            (then, now) => then == now,
        };
        (same && !has_ended(pidfd.as_fd(), Duration::ZERO)).then_some(pidfd)
    }
}

/// Whether the process of this handle has ended, or does so within `patience` (Linux 5.3).
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>, patience: Duration) -> bool {
    let timeout =
        Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) as _ };
    matches!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)), Ok(ready) if ready > 0)
}

fn handle(pidfd: BorrowedFd<'_>) -> u64 {
    const PIDFS_MAGIC: u64 = 0x5049_4446;
    // Before pidfs all handles share one inode. The kernel does not change meanwhile, so it is asked once.
    static HAS_PIDFS: OnceLock<bool> = OnceLock::new();
    let asked = || sys::raw::filesystem_type(sys::raw::Fd::from(&pidfd)) == Ok(PIDFS_MAGIC);
    match HAS_PIDFS.get_or_init(asked) {
        true => fstat(pidfd).map_or(0, |status| status.st_ino),
        false => 0,
    }
}

/// Field 22 of `/proc/PID/stat`; the second is a name in parentheses, which may hold anything.
fn start_time(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

impl RecordedGroup {
    pub(crate) fn of(group: &GroupPlan) -> Self {
        Self {
            v2: group.version == cgroups::Version::V2,
            controllers: group.controllers.to_string(),
            mount: group.mount.clone(),
            path: group.path.clone(),
        }
    }

    pub(crate) fn to_recorded(&self) -> Recorded {
        Recorded {
            version: if self.v2 { cgroups::Version::V2 } else { cgroups::Version::V1 },
            controllers: cgroups::ControllerSet::parse(self.controllers.as_bytes()),
            mount: self.mount.clone(),
            path: self.path.clone(),
        }
    }

    /// Whether its processes stand still; unreadable means that they do not.
    pub(crate) fn is_frozen(&self) -> bool {
        let mut buffer = [0; 16];
        let state = sys::short::read(&self.mount.join(&self.path).join(freezer_file(self.v2)), &mut buffer);
        state.is_ok_and(says_frozen)
    }
}

/// The file of a group that says whether its processes stand still.
pub(crate) const fn freezer_file(v2: bool) -> &'static str {
    if v2 { "cgroup.freeze" } else { "freezer.state" }
}

/// What that file says.
pub(crate) fn says_frozen(state: &[u8]) -> bool {
    matches!(state.trim_ascii(), b"1" | b"FROZEN" | b"FREEZING")
}

/// The group that freezes: v1's freezer, or the one of v2.
pub(crate) fn freezer(groups: &[RecordedGroup]) -> Option<&RecordedGroup> {
    let names = |group: &&RecordedGroup| group.controllers.split([' ', ',']).any(|name| name == "freezer");
    groups.iter().find(names).or_else(|| groups.iter().find(|group| group.v2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Vec<u8> {
        let intent = Intent {
            id: "web".to_owned(),
            oci_version: "1.3.0".to_owned(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            cgroups: Vec::new(),
            parents: Vec::new(),
            unit: None,
            created_ns: 5,
            owner_uid: 0,
            keeper: Process { pid: 1, handle: 2, start: 0 },
            durable: true,
            own_pids: true,
            bounding: 1 << 5,
            notify: false,
            annotations: Map::default(),
            hooks: Hooks::default(),
        };
        let mut text = line(&intent);
        text.extend(line(&Event::Started(Process { pid: 7, handle: 8, start: 0 })));
        text.extend(line(&Event::Created));
        text
    }

    #[test]
    fn a_record_that_was_cut_off_says_what_it_still_says() {
        let text = whole();
        for len in 0..=text.len() {
            let record = Record::parse(&text[..len]);
            let lines = text[..len].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(record.intent.is_some(), lines >= 1, "{len}");
            assert_eq!(record.started.is_some(), lines >= 2, "{len}");
            assert_eq!(record.created, lines >= 3, "{len}");
        }
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_read_as_a_record() {
        for text in [&b""[..], b"\0\0\0", b"null\n", b"{}\n{}\n", b"\xff\xfe\n\n\n", b"[1]\n\"created\"\n"] {
            assert_eq!(Record::parse(text).intent, None);
        }
    }

    #[test]
    fn a_process_is_itself_and_nobody_of_the_same_number() {
        let this = Process::this();
        assert!(this.open().is_some());
        assert!(Process { handle: this.handle ^ 1, start: this.start ^ 1, ..this }.open().is_none());
    }
}
