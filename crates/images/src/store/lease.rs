//! Leases: what a process is bringing in, or has in use, is not collected by another.
//!
//! A lease is a file in `locks`, locked as long as its process lives, which lists what it protects. Whoever collects reads all of them, and
//! sweeps those of dead processes. Nothing here is synced: leases end with the machine's run.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use rusqlite::params;
use rustix::fs::{FlockOperation, flock};

use super::layout::{random_name, step};
use super::{Store, database};
use crate::Error;
use crate::digest::Digest;

/// What its holder brings in, and finds there, stays at least as long as this lives.
#[derive(Debug)]
pub struct Lease<'s> {
    pub(super) store: &'s Store,
    pub(super) name: String,
    lock: File,
}

impl<'s> Lease<'s> {
    pub(super) fn take(store: &'s Store) -> Result<Self, Error> {
        loop {
            let name = random_name();
            let path = store.layout.lock(&name);
            let failed = |call, error: std::io::Error| step("lock the image store", call, &path, error);
            let lock = File::options()
                .create_new(true)
                .append(true)
                .open(&path)
                .map_err(|error| failed("open", error))?;
            // Whoever sweeps may look at it in this very moment, and does not keep it.
            flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed("flock", errno.into()))?;
            // A process that slept before it had its lock may find that its file was swept.
            if lock.metadata().is_ok_and(|meta| meta.nlink() > 0) {
                return Ok(Self { store, name, lock });
            }
        }
    }

    /// Protects content, whether it is there yet or not.
    ///
    /// # Errors
    /// What the disk says.
    pub fn protect(&self, digest: &Digest) -> Result<(), Error> {
        self.protect_all(std::iter::once(digest))
    }

    /// The same for several at once.
    ///
    /// # Errors
    /// What the disk says.
    pub fn protect_all<'d>(&self, digests: impl IntoIterator<Item = &'d Digest>) -> Result<(), Error> {
        let lines: String = digests.into_iter().map(|digest| format!("{digest}\n")).collect();
        self.store.note(&self.lock, &self.name, &lines)
    }
}

impl Store {
    /// Protects content for the lease of this name.
    pub(super) fn protect(&self, lease: &str, digest: &Digest) -> Result<(), Error> {
        let path = self.layout.lock(lease);
        let file = File::options()
            .append(true)
            .open(&path)
            .map_err(|error| step("protect content", "open", &path, error))?;
        self.note(&file, lease, &format!("{digest}\n"))
    }

    fn note(&self, mut file: &File, lease: &str, lines: &str) -> Result<(), Error> {
        let _gate = self.pass(FlockOperation::LockShared)?;
        file.write_all(lines.as_bytes())
            .map_err(|error| step("protect content", "write", &self.layout.lock(lease), error))
    }

    /// Goes through the gate: shared by all who note that they need something, and then look whether it is there; alone to find what
    /// nobody needs, and to forget it. So either the one is seen, or the other finds it gone.
    pub(super) fn pass(&self, how: FlockOperation) -> Result<File, Error> {
        let path = self.layout.root().join("locks");
        let gate = File::open(&path).map_err(|error| step("lock the image store", "open", &path, error))?;
        flock(&gate, how).map_err(|errno| step("lock the image store", "flock", &path, errno))?;
        Ok(gate)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Whoever collects next would do the same: a failure changes nothing.
        let _ = std::fs::remove_file(self.store.layout.lock(&self.name));
    }
}

/// Puts what is protected into the table `leases` of this connection, and takes away what is left of leases whose process is gone. The caller
/// is alone behind the gate.
pub(super) fn gather(store: &Store, transaction: &rusqlite::Transaction<'_>) -> Result<(), Error> {
    transaction
        .execute_batch(
            "CREATE TEMP TABLE IF NOT EXISTS leases (digest TEXT PRIMARY KEY) WITHOUT ROWID; DELETE FROM temp.leases;",
        )
        .map_err(database::doing("look for leases"))?;
    let lying = std::fs::read_dir(store.layout.root().join("locks")).into_iter().flatten().flatten();
    for name in lying.filter_map(|entry| entry.file_name().into_string().ok()) {
        if name.len() != 16 {
            continue;
        }
        let path = store.layout.lock(&name);
        let Ok(lock) = File::open(&path) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // It may have been made this moment, and be locked in the next: a young file is left alone.
            let young =
                lock.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if young.is_some_and(|age| age.as_secs() >= 10) {
                let _ = std::fs::remove_file(&path);
                continue;
            }
        }
        // By the descriptor: a lease that ends in this moment takes its name with it.
        let mut listed = Vec::new();
        (&lock).read_to_end(&mut listed).map_err(|error| step("look for leases", "read", &path, error))?;
        for digest in String::from_utf8_lossy(&listed).lines() {
            transaction
                .execute("INSERT OR IGNORE INTO temp.leases VALUES (?)", params![digest])
                .map_err(database::doing("look for leases"))?;
        }
    }
    Ok(())
}
