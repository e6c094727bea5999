//! Leases: what a process is bringing in is not collected by another.
//!
//! A lease is a file in `locks`, locked as long as its process lives, and rows in the database for what it protects. The rows
//! of a dead process are swept by whoever collects next.

use std::fs::File;
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
    _lock: File,
}

impl<'s> Lease<'s> {
    pub(super) fn take(store: &'s Store) -> Result<Self, Error> {
        loop {
            let name = random_name();
            let path = store.layout.lock(&name);
            let failed = |call, error: std::io::Error| step("lock the image store", call, &path, error);
            let lock = File::options()
                .create_new(true)
                .write(true)
                .open(&path)
                .map_err(|error| failed("open", error))?;
            // Whoever sweeps may look at it in this very moment, and does not keep it.
            flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed("flock", errno.into()))?;
            // A process that slept before it had its lock may find that its file was swept.
            if lock.metadata().is_ok_and(|meta| meta.nlink() > 0) {
                return Ok(Self { store, name, _lock: lock });
            }
        }
    }

    /// Protects content, whether it is there yet or not.
    ///
    /// # Errors
    /// Those of the database.
    pub fn protect(&self, digest: &Digest) -> Result<(), Error> {
        self.protect_all(std::iter::once(digest))
    }

    /// The same for several at once.
    ///
    /// # Errors
    /// Those of the database.
    pub fn protect_all<'d>(&self, digests: impl IntoIterator<Item = &'d Digest>) -> Result<(), Error> {
        // Leases end with the machine's run.
        database::lightly(&mut self.store.connection(), |connection| {
            let transaction = database::writing(connection)?;
            for digest in digests {
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO leases VALUES (?, ?)",
                        params![self.name, digest.to_string()],
                    )
                    .map_err(database::doing("protect content"))?;
            }
            transaction.commit().map_err(database::doing("protect content"))
        })
    }
}

impl Store {
    /// Protects content for the lease of this name.
    pub(super) fn protect(&self, lease: &str, digest: &Digest) -> Result<(), Error> {
        database::lightly(&mut self.connection(), |connection| {
            connection
                .execute("INSERT OR IGNORE INTO leases VALUES (?, ?)", params![lease, digest.to_string()])
                .map(drop)
                .map_err(database::doing("protect content"))
        })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Whoever collects next would do the same: a failure changes nothing.
        let _ = database::lightly(&mut self.store.connection(), |connection| {
            connection
                .execute("DELETE FROM leases WHERE lease = ?", [&self.name])
                .map(drop)
                .map_err(database::doing("end a lease"))
        });
        let _ = std::fs::remove_file(self.store.layout.lock(&self.name));
    }
}

/// Takes away what is left of leases whose process is gone. The caller holds the database for writing.
pub(super) fn sweep(store: &Store, transaction: &rusqlite::Transaction<'_>) -> Result<(), Error> {
    let mut names: Vec<String> = transaction
        .prepare("SELECT DISTINCT lease FROM leases")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(database::doing("look for leases"))?;
    let lying = std::fs::read_dir(store.layout.root().join("locks")).into_iter().flatten().flatten();
    names.extend(lying.filter_map(|entry| entry.file_name().into_string().ok()));
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| name.len() == 16) {
        let path = store.layout.lock(name);
        if let Ok(lock) = File::open(&path) {
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            // It may have been made this moment, and be locked in the next: a young file is left alone.
            let young =
                lock.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if young.is_none_or(|age| age.as_secs() < 10) {
                continue;
            }
            let _ = std::fs::remove_file(&path);
        }
        transaction
            .execute("DELETE FROM leases WHERE lease = ?", [name])
            .map_err(database::doing("sweep leases"))?;
    }
    Ok(())
}
