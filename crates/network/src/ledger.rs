//! What lives as long as the machine runs: the records of containers' networks, and the table of leases.
//!
//! In `/run/holm/network` there are `leases`, `lock`, and `containers` with a record for each container. The lock is held while addresses and
//! ports are chosen and written down, so that of two processes at once each gets its own; a record is written whole before it gets its name,
//! and its lock (flock(2)) belongs to the process that keeps the container. Start reading at [`Ledger`].

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use report::Kind;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, openat, unlinkat};

use crate::error::Error;
use crate::leases::Table;
use crate::record::{Event, Header, Record, line};
use crate::store::{Places, directory};

/// The longest record that is read.
const LONGEST: u64 = 4 << 20;
const SUFFIX: &str = ".json";

/// The records and leases.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    dir: OwnedFd,
    containers: OwnedFd,
}

/// The lock on the leases, and what they are.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    file: File,
    pub(crate) table: Table,
    /// Held until this is dropped.
    _lock: OwnedFd,
}

/// A record that this process holds.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) header: Header,
    file: File,
}

impl Claim {
    /// The lock by itself.
    pub(crate) fn into_lock(self) -> OwnedFd {
        self.file.into()
    }
}

impl Ledger {
    /// Opens the directories, and makes them if they are missing.
    ///
    /// # Errors
    /// When they can be neither opened nor made.
    pub fn open(places: &Places) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let containers = places.run.join("containers");
        let inner = match openat(CWD, &containers, flags, Mode::empty()) {
            Ok(inner) => inner,
            Err(_) => directory(&containers)?,
        };
        Ok(Self { dir: directory(&places.run)?, containers: inner, path: places.run.clone() })
    }

    /// The directory, open.
    pub(crate) const fn directory(&self) -> &OwnedFd {
        &self.dir
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Every record that can be read, in the order of the containers' ids.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        let mut records: Vec<_> =
            self.ids()?.iter().filter_map(|id| self.record(id).transpose()).collect::<Result<_, _>>()?;
        records.sort_by(|one: &Record, two| one.header.id.cmp(&two.header.id));
        Ok(records)
    }

    /// The ids of all records.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let path = || self.path.join("containers");
        let mut ids = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.containers)
            .map_err(|errno| Error::file(&path(), "getdents64", errno))?
        {
            let entry = entry.map_err(|errno| Error::file(&path(), "getdents64", errno))?;
            let name = entry.file_name().to_str().unwrap_or_default();
            ids.extend(name.strip_suffix(SUFFIX).map(str::to_owned));
        }
        Ok(ids)
    }

    /// A container's record; none if it has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self, id: &str) -> Result<Option<Record>, Error> {
        let Some(mut file) = self.open_record(id, OFlags::RDONLY)? else { return Ok(None) };
        Ok(Record::parse(&self.read(id, &mut file)?))
    }

    /// Whether some process keeps the container of this record, or it runs without one: its monitor was killed.
    ///
    /// # Errors
    /// When the record cannot be opened.
    pub fn is_kept(&self, id: &str) -> Result<bool, Error> {
        let Some(mut file) = self.open_record(id, OFlags::RDONLY)? else { return Ok(false) };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(crate::record::lives(&self.read(id, &mut file)?)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(Error::file(&self.record_path(id), "flock", errno)),
        }
    }

    /// Takes a record that nobody keeps, to take away what it names. None when somebody keeps it, or it is gone.
    pub(crate) fn adopt(&self, id: &str) -> Result<Option<(Claim, Record)>, Error> {
        let Some(mut file) = self.open_record(id, OFlags::RDWR)? else { return Ok(None) };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(Error::file(&self.record_path(id), "flock", errno)),
        }
        let text = self.read(id, &mut file)?;
        if crate::record::lives(&text) {
            return Ok(None);
        }
        // Somebody else may have taken it away between the opening and the lock.
        let same = |status: &rustix::fs::Stat| status.st_nlink > 0;
        if !rustix::fs::fstat(&file).is_ok_and(|status| same(&status)) {
            return Ok(None);
        }
        let record = Record::parse(&text).unwrap_or_else(|| {
            // One that says nothing names nothing but itself.
            Record::empty(Header { id: id.to_owned(), name: None, token: String::new(), keeper: 0 })
        });
        Ok(Some((Claim { header: record.header.clone(), file }, record)))
    }

    /// The lock of a record that nobody holds; none when somebody does, or it is gone.
    pub(crate) fn hold(&self, id: &str) -> Result<Option<OwnedFd>, Error> {
        let Some(file) = self.open_record(id, OFlags::RDWR)? else { return Ok(None) };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file.into())),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::file(&self.record_path(id), "flock", errno)),
        }
    }

    /// Writes a record down. Of several processes that do so at once for one container, one succeeds.
    pub(crate) fn claim(&self, header: Header, events: &[Event]) -> Result<Claim, Error> {
        let path = self.record_path(&header.id);
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC | OFlags::APPEND;
        let file = openat(&self.containers, ".", flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::file(&path, "openat O_TMPFILE", errno))?;
        let mut file = File::from(file);
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| Error::file(&path, "flock", errno))?;
        let mut text = line(&header);
        events.iter().for_each(|event| text.extend(line(event)));
        file.write_all(&text).map_err(|error| Error::file(&path, "write", error))?;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, &unnamed, &self.containers, record_name(&header.id), AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(Claim { header, file }),
            Err(rustix::io::Errno::EXIST) => Err(Error::refused(
                format!("container {}", header.id),
                "it is on networks already",
                "choose another name, or wait until that one has ended",
                Kind::AlreadyExists,
            )),
            Err(errno) => Err(Error::file(&path, "linkat", errno)),
        }
    }

    /// Adds a line to the record of a container that somebody else may keep.
    pub(crate) fn append(&self, id: &str, event: &Event) -> Result<(), Error> {
        let gone = || Error::file(&self.record_path(id), "openat", sys::Errno::NOENT);
        let mut file = self.open_record(id, OFlags::WRONLY | OFlags::APPEND)?.ok_or_else(gone)?;
        file.write_all(&line(event)).map_err(|error| Error::file(&self.record_path(id), "write", error))
    }

    /// Takes the leases of a record back, and then its name. `first` is done with the lock held: rules that are written anew before or after agree
    /// with the records.
    pub(crate) fn release(
        &self,
        claim: &Claim,
        first: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut locked = self.lock()?;
        first()?;
        locked.table.free_all(&claim.header.token);
        locked.commit()?;
        match unlinkat(&self.containers, record_name(&claim.header.id), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::file(&self.record_path(&claim.header.id), "unlinkat", errno)),
        }
    }

    /// Locks the leases and reads them.
    pub(crate) fn lock(&self) -> Result<Locked, Error> {
        let open = |name: &str| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|errno| Error::file(&self.path.join(name), "openat", errno))
        };
        let lock = open("lock")?;
        while let Err(errno) = flock(&lock, FlockOperation::LockExclusive) {
            if errno != rustix::io::Errno::INTR {
                return Err(Error::file(&self.path.join("lock"), "flock", errno));
            }
        }
        let mut file = File::from(open("leases")?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| Error::file(&self.path.join("leases"), "read", error))?;
        Ok(Locked { path: self.path.join("leases"), file, table: Table::new(bytes), _lock: lock })
    }

    fn open_record(&self, id: &str, flags: OFlags) -> Result<Option<File>, Error> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.containers, record_name(id), flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::file(&self.record_path(id), "openat", errno)),
        }
    }

    fn read(&self, id: &str, file: &mut File) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        file.take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| Error::file(&self.record_path(id), "read", error))?;
        Ok(text)
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.path.join("containers").join(record_name(id))
    }
}

impl Locked {
    /// Writes what was changed.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        for (offset, bytes) in self.table.writes() {
            self.file
                .write_all_at(bytes, offset)
                .map_err(|error| Error::file(&self.path, "pwrite", error))?;
        }
        Ok(())
    }
}

impl Claim {
    /// Adds a line to the record.
    pub(crate) fn append(&mut self, event: &Event) -> Result<(), Error> {
        let path = || PathBuf::from(record_name(&self.header.id));
        self.file.write_all(&line(event)).map_err(|error| Error::file(&path(), "write", error))
    }

    /// What the record says now: others may have added to it.
    pub(crate) fn read(&self) -> Result<Record, Error> {
        let path = || PathBuf::from(record_name(&self.header.id));
        let mut text = Vec::new();
        let failed = |error: std::io::Error| Error::file(&path(), "read", error);
        let len = self.file.metadata().map_err(failed)?.len().min(LONGEST);
        text.resize(len as usize, 0);
        self.file.read_exact_at(&mut text, 0).map_err(failed)?;
        Record::parse(&text)
            .ok_or_else(|| Error::Garbled { path: path(), problem: "its first line is missing".to_owned() })
    }
}

/// The name of a record's file. What could lead elsewhere becomes a name that no id has.
fn record_name(id: &str) -> String {
    let fine = !id.is_empty()
        && id.len() < 200
        && !id.starts_with('.')
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    if fine { format!("{id}{SUFFIX}") } else { format!("@{SUFFIX}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Life;

    #[test]
    fn a_record_whose_container_runs_is_not_taken_away_though_nobody_keeps_it() {
        let base = std::env::temp_dir().join(format!("holm-ledger-{}", std::process::id()));
        let ledger = Ledger::open(&Places::below(&base.join("data"), &base.join("run"))).unwrap();
        let header = || Header { id: "c".to_owned(), name: None, token: "0".repeat(16), keeper: 0 };
        let own = rustix::process::getpid();
        let handle = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        let whose = sys::pidfd::Identity::of(own.as_raw_nonzero().get(), std::os::fd::AsFd::as_fd(&handle));
        let life = Life { pid: whose.pid, handle: whose.handle, start: whose.start };
        drop(ledger.claim(header(), &[Event::Lives(life)]).unwrap());
        let while_it_runs = (ledger.adopt("c").unwrap().is_some(), ledger.is_kept("c").unwrap());
        let held = ledger.hold("c").unwrap();
        let twice = ledger.hold("c").unwrap();
        drop(held);
        ledger
            .append("c", &Event::Lives(Life { handle: life.handle + 1, start: life.start + 1, ..life }))
            .unwrap();
        let adopted = ledger.adopt("c").unwrap().is_some();
        let afterwards = (adopted, ledger.is_kept("c").unwrap());
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!((while_it_runs, afterwards), ((false, true), (true, false)));
        assert!(twice.is_none(), "one at a time");
    }
}
