//! The volumes of a caller, as directories.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use report::BoxedExplain;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sys::SyscallError;

use super::error::{VolumeFailure, boxed};
use super::lock::{self, NoLock};
use super::options::Kind;
use super::record::{self, Limit, Record};
use super::{disk, users};
use crate::containers::home::make_directory;
use crate::containers::{Places, events};
use crate::flags::Value as _;
use crate::flags::named::VolumeName;

/// The content of a volume, in its directory.
pub(super) const DATA: &str = "_data";
/// Where the file system is mounted of one that has its own.
pub(super) const MOUNTED: &str = "_mounted";
/// The label that says that nobody chose the name, as docker has it.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The volumes below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    directory: PathBuf,
    /// Where what happens to them is noted; none for who only looks.
    told: Option<Places>,
}

/// A volume to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewVolume {
    /// Its name; one is made up without it.
    pub name: Option<VolumeName>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `--opt`
    pub options: BTreeMap<String, String>,
    /// Nobody chose its name.
    pub anonymous: bool,
    /// It need not survive a loss of power, because its container does not.
    pub brief: bool,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What is known of it.
    pub record: Record,
    /// What it is made of.
    pub kind: Kind,
    /// Its directory.
    pub directory: PathBuf,
}

/// What a removal of many did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Names of what is gone.
    pub names: Vec<VolumeName>,
    /// How many bytes they had.
    pub bytes: u64,
}

impl Store {
    /// The volumes of these places.
    pub fn of(places: &Places) -> Self {
        Self { told: Some(places.clone()), ..Self::below(&places.durable) }
    }

    /// The volumes below the directory of what survives a boot.
    pub fn below(durable: &Path) -> Self {
        Self { directory: durable.join("volumes"), told: None }
    }

    /// Keeps volumes from being removed; `alone` also from being made.
    pub(super) fn lock(&self, alone: bool) -> Result<OwnedFd, BoxedExplain> {
        loop {
            match lock::wait(&self.directory, alone) {
                Ok(lock) => return Ok(lock),
                Err(NoLock::Gone) => make_directory(&self.directory)?,
                Err(NoLock::Busy) => return Err(boxed(VolumeFailure::Busy("…".to_owned()))),
                Err(NoLock::Call(cause)) => return Err(self.failed(cause)),
            }
        }
    }

    fn tell(&self, name: &VolumeName, action: &str) {
        if let Some(places) = &self.told {
            events::volume(places, name.as_str(), action);
        }
    }

    fn failed(&self, cause: SyscallError) -> BoxedExplain {
        boxed(VolumeFailure::Place { path: self.directory.clone(), cause })
    }

    /// The directory of a volume of this name, whether it is there or not.
    pub(super) fn directory_of(&self, name: &VolumeName) -> PathBuf {
        self.directory.join(name.as_str())
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// [`VolumeFailure::NotFound`], and [`VolumeFailure::Damaged`] for a record that cannot be read.
    pub fn find(&self, name: &VolumeName) -> Result<Volume, VolumeFailure> {
        let directory = self.directory_of(name);
        let damaged = |why: String| VolumeFailure::Damaged { name: name.to_string(), why };
        let file = match std::fs::File::open(directory.join(record::FILE)) {
            Ok(file) => file,
            Err(_) if directory.symlink_metadata().is_err() => {
                return Err(VolumeFailure::NotFound(name.to_string()));
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        let mut bytes = Vec::with_capacity(512);
        file.take(record::LONGEST).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        let record = Record::from_bytes(&bytes).map_err(damaged)?;
        let kind = Kind::of(&record.options).map_err(|error| damaged(error.to_string()))?;
        Ok(Volume { record: Record { name: name.clone(), ..record }, kind, directory })
    }

    /// All of them by name; one whose record cannot be read is told of.
    pub fn list(&self) -> Vec<Result<Volume, VolumeFailure>> {
        self.names()
            .iter()
            .map(|name| self.find(name))
            .filter(|found| !matches!(found, Err(VolumeFailure::NotFound(_))))
            .collect()
    }

    fn names(&self) -> Vec<VolumeName> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names: Vec<VolumeName> =
            entries.filter_map(|entry| VolumeName::parse(entry.file_name().to_str()?).ok()).collect();
        names.sort();
        names
    }

    /// Makes a volume, and tells whether it was not there before.
    ///
    /// # Errors
    /// Options that cannot be had, another volume of that name, and what the disk says. Nothing is left then.
    pub fn create(&self, wanted: &NewVolume) -> Result<(Volume, bool), BoxedExplain> {
        let _alone = self.lock(true)?;
        self.sweep();
        self.create_locked(wanted)
    }

    /// The same with the lock held; for one with options it is that of somebody alone.
    pub(super) fn create_locked(&self, wanted: &NewVolume) -> Result<(Volume, bool), BoxedExplain> {
        let kind = Kind::of(&wanted.options).map_err(boxed)?;
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => VolumeName::parse(&crate::prepare::random_id()).map_err(|problem| {
                boxed(VolumeFailure::Damaged { name: String::new(), why: problem.into_owned() })
            })?,
        };
        loop {
            match self.find(&name) {
                Ok(volume) if wanted.options.is_empty() || volume.record.options == wanted.options => {
                    return Ok((volume, false));
                }
                Ok(_) => return Err(boxed(VolumeFailure::Exists { name: name.to_string() })),
                Err(VolumeFailure::NotFound(_)) => {}
                Err(error) => return Err(boxed(error)),
            }
            if let Some(volume) = self.make(&name, wanted, &kind)? {
                self.tell(&name, "create");
                return Ok((volume, true));
            }
        }
    }

    /// Makes one under another name first. None when somebody else was faster.
    fn make(
        &self,
        name: &VolumeName,
        wanted: &NewVolume,
        kind: &Kind,
    ) -> Result<Option<Volume>, BoxedExplain> {
        match kind {
            Kind::Bind { device, .. } => drop(crate::host::canonical("--opt device", device)?),
            Kind::Tmpfs(_) if !rustix::process::geteuid().is_root() => {
                let problem =
                    "only root can mount it; --tmpfs gives a container memory of its own".to_owned();
                return Err(boxed(VolumeFailure::BadOption { given: "type=tmpfs".to_owned(), problem }));
            }
            _ => {}
        }
        let failed = |call: &'static str, error: std::io::Error| {
            let cause = SyscallError::new(call, name.as_str(), error);
            boxed(VolumeFailure::Call { what: "make", name: name.to_string(), cause })
        };
        let hidden = self.directory.join(format!(".new-{}", &crate::prepare::random_id()[..16]));
        std::fs::DirBuilder::new().mode(0o700).create(&hidden).map_err(|error| failed("mkdir", error))?;
        let outcome = (|| {
            // Whoever sweeps leaves it alone.
            let lock = lock::now(&hidden).ok_or_else(|| boxed(VolumeFailure::Busy(name.to_string())))?;
            let limit = match kind {
                Kind::Plain { size_bytes: Some(bytes) } => Some(self.limit(name, &hidden, *bytes)?),
                _ => None,
            };
            let inner = match (kind, limit) {
                (Kind::Bind { .. }, _) => None,
                (Kind::Tmpfs(_), _) | (_, Some(Limit::Disk)) => Some(MOUNTED),
                (Kind::Plain { .. }, _) => Some(DATA),
            };
            if let Some(inner) = inner {
                let inner = hidden.join(inner);
                std::fs::create_dir(&inner)
                    .and_then(|()| std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o755)))
                    .map_err(|error| failed("mkdir", error))?;
            }
            let mut labels = wanted.labels.clone();
            if wanted.anonymous {
                labels.insert(ANONYMOUS.to_owned(), String::new());
            }
            let record = Record {
                version: 1,
                name: name.clone(),
                created_ns: monitor::time::now_ns(),
                labels,
                options: wanted.options.clone(),
                anonymous: wanted.anonymous,
                limit,
            };
            let bytes = serde_json::to_vec(&record).unwrap_or_default();
            monitor::exit::write_file(&lock, record::FILE, &bytes, !wanted.brief).map_err(|cause| {
                boxed(VolumeFailure::Call { what: "make", name: name.to_string(), cause })
            })?;
            let directory = self.directory_of(name);
            match renameat_with(CWD, &hidden, CWD, &directory, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => return Ok(None),
                Err(errno) => return Err(failed("renameat2", errno.into())),
            }
            if !wanted.brief {
                self.synchronise();
            }
            Ok(Some(Volume { record, kind: kind.clone(), directory }))
        })();
        if !matches!(outcome, Ok(Some(_))) {
            let _ = std::fs::remove_dir_all(&hidden);
        }
        outcome
    }

    /// The names as well survive a loss of power.
    fn synchronise(&self) {
        if let Ok(directory) = monitor::exit::open_directory(&self.directory) {
            let _ = rustix::fs::fsync(directory);
        }
    }

    /// Sees to it that a volume in the making holds no more than so many bytes.
    fn limit(&self, name: &VolumeName, directory: &Path, bytes: u64) -> Result<Limit, BoxedExplain> {
        let projects = self.list().into_iter().flatten().filter_map(|volume| match volume.record.limit {
            Some(Limit::Project(project)) => Some(project),
            _ => None,
        });
        let project = projects.max().map_or(disk::FIRST_PROJECT, |last| last + 1);
        disk::limit(directory, project, bytes)
            .map_err(|cause| boxed(VolumeFailure::Size { name: name.to_string(), cause: Box::new(cause) }))
    }

    /// Removes a volume that no container uses.
    ///
    /// # Errors
    /// [`VolumeFailure::NotFound`], [`VolumeFailure::InUse`], and what the disk says.
    pub fn remove(&self, places: &Places, name: &VolumeName) -> Result<(), BoxedExplain> {
        let alone = self.lock(true)?;
        self.sweep();
        let by = users(places, None).of(name);
        if self.directory_of(name).symlink_metadata().is_err() {
            return Err(boxed(VolumeFailure::NotFound(name.to_string())));
        }
        if !by.is_empty() {
            return Err(boxed(VolumeFailure::InUse { name: name.to_string(), by }));
        }
        let gone = self.take_out(name)?;
        drop(alone);
        self.delete(gone)
    }

    /// Those of `names` that no container uses, `but` one, are removed.
    pub(super) fn remove_unused(
        &self,
        places: &Places,
        names: &[VolumeName],
        but: Option<&str>,
    ) -> Result<(), BoxedExplain> {
        let alone = self.lock(true)?;
        let users = users(places, but);
        let there = |name: &&VolumeName| self.directory_of(name).symlink_metadata().is_ok();
        let unused = names.iter().filter(there).filter(|name| users.of(name).is_empty());
        let gone = unused.map(|name| self.take_out(name)).collect::<Result<Vec<_>, _>>()?;
        drop(alone);
        gone.into_iter().try_for_each(|one| self.delete(one))
    }

    /// Removes what no container uses: volumes without a name of somebody's choice, with `all` the others as well; `keep` tells which
    /// ones to leave. What cannot be removed is told of.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn prune(
        &self,
        places: &Places,
        all: bool,
        keep: impl Fn(&Volume) -> bool,
    ) -> Result<(Pruned, Vec<BoxedExplain>), BoxedExplain> {
        let (mut pruned, mut failures) = (Pruned::default(), Vec::new());
        if !self.directory.exists() {
            return Ok((pruned, failures));
        }
        let alone = self.lock(true)?;
        self.sweep();
        let users = users(places, None);
        let mut gone = Vec::new();
        for volume in self.list().into_iter().flatten() {
            let name = volume.record.name.clone();
            if !(all || volume.record.anonymous) || keep(&volume) || !users.of(&name).is_empty() {
                continue;
            }
            let bytes = volume.usage();
            match self.take_out(&name) {
                Ok(one) => gone.push((name, bytes, one)),
                Err(error) => failures.push(error),
            }
        }
        drop(alone);
        for (name, bytes, one) in gone {
            match self.delete(one) {
                Ok(()) => {
                    pruned.names.push(name);
                    pruned.bytes += bytes;
                }
                Err(error) => failures.push(error),
            }
        }
        Ok((pruned, failures))
    }

    fn delete(&self, gone: Gone) -> Result<(), BoxedExplain> {
        let name = gone.name.clone();
        gone.delete()?;
        self.tell(&name, "destroy");
        Ok(())
    }

    /// Gives a volume a name that is none, so that what a crash leaves of it is nothing to anybody.
    fn take_out(&self, name: &VolumeName) -> Result<Gone, BoxedExplain> {
        let directory = self.directory_of(name);
        let lock = lock_of(name, &directory)?;
        if let Some(at) = disk::foreign_mount(&directory) {
            return Err(boxed(VolumeFailure::Mounted { name: name.to_string(), at }));
        }
        let hidden = self.directory.join(format!(".gone-{}-{name}", &crate::prepare::random_id()[..16]));
        std::fs::rename(&directory, &hidden).map_err(|error| {
            let cause = SyscallError::new("rename", name.as_str(), error);
            boxed(VolumeFailure::Call { what: "remove", name: name.to_string(), cause })
        })?;
        self.synchronise();
        Ok(Gone { name: name.clone(), path: hidden, _lock: lock })
    }

    /// Takes away what killed processes left. Returns how many there were.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn mend(&self) -> Result<usize, BoxedExplain> {
        if !self.directory.exists() {
            return Ok(0);
        }
        let _alone = self.lock(true)?;
        Ok(self.sweep())
    }

    /// The same with the lock held alone.
    fn sweep(&self) -> usize {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let left =
            entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with('.')));
        left.filter(|entry| {
            // Who makes or removes it has its lock.
            let Some(_lock) = lock::now(&entry.path()) else { return false };
            disk::foreign_mount(&entry.path()).is_none()
                && disk::unmount(&entry.path()).is_ok()
                && std::fs::remove_dir_all(entry.path()).is_ok()
        })
        .count()
    }
}

/// A volume's lock.
pub(super) fn lock_of(name: &VolumeName, directory: &Path) -> Result<OwnedFd, BoxedExplain> {
    lock::wait(directory, true).map_err(|error| {
        boxed(match error {
            NoLock::Busy => VolumeFailure::Busy(name.to_string()),
            NoLock::Gone => VolumeFailure::NotFound(name.to_string()),
            NoLock::Call(cause) => VolumeFailure::Call { what: "lock", name: name.to_string(), cause },
        })
    })
}

/// What was a volume.
struct Gone {
    name: VolumeName,
    path: PathBuf,
    _lock: OwnedFd,
}

impl Gone {
    fn delete(self) -> Result<(), BoxedExplain> {
        let failed =
            |cause| boxed(VolumeFailure::Call { what: "remove", name: self.name.to_string(), cause });
        disk::unmount(&self.path).map_err(failed)?;
        std::fs::remove_dir_all(&self.path)
            .map_err(|error| failed(SyscallError::new("unlinkat", self.path.display().to_string(), error)))
    }
}

impl Volume {
    /// The name.
    pub fn name(&self) -> &VolumeName {
        &self.record.name
    }

    /// Where its content is on the host.
    pub fn data(&self) -> PathBuf {
        match (&self.kind, self.record.limit) {
            (Kind::Bind { device, .. }, _) => device.clone(),
            (Kind::Tmpfs(_), _) => self.directory.join(MOUNTED),
            (Kind::Plain { .. }, Some(Limit::Disk)) => self.directory.join(MOUNTED).join(DATA),
            (Kind::Plain { .. }, _) => self.directory.join(DATA),
        }
    }

    /// The bytes on the disk that it takes; none of what is only borrowed.
    pub fn usage(&self) -> u64 {
        match self.kind {
            Kind::Bind { .. } => 0,
            _ => crate::containers::usage(&self.data()),
        }
    }

    /// Whether nothing can be written to it from anywhere.
    pub fn is_read_only(&self) -> bool {
        matches!(self.kind, Kind::Bind { read_only: true, .. })
    }
}
