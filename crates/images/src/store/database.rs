//! The table of contents: SQLite, shared by all processes that use the store.
//!
//! Everything in it can be made anew from the files of the store ([`super::rebuild`]). It is written when images change, and never when
//! containers do: which container uses which image stands in the containers' directories, and what is in use for a while in leases.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::Error;

/// How long a process waits for another one that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Raised with every change of the tables.
const VERSION: i32 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS blobs (
    digest TEXT PRIMARY KEY, size INTEGER NOT NULL,
    -- The start of the machine in which it was written without being synced; empty when it is on the disk.
    boot TEXT NOT NULL DEFAULT '',
    -- It was made from another blob and can be made again.
    derived INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layers (
    diff_id TEXT PRIMARY KEY, form TEXT NOT NULL, size INTEGER NOT NULL, entries INTEGER NOT NULL,
    index_size INTEGER NOT NULL, index_digest TEXT NOT NULL, reason TEXT NOT NULL, dropped INTEGER NOT NULL,
    boot TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
    manifest TEXT PRIMARY KEY, config TEXT NOT NULL, media_type TEXT NOT NULL, os TEXT NOT NULL, architecture TEXT NOT NULL,
    variant TEXT NOT NULL, created TEXT NOT NULL, size INTEGER NOT NULL, added INTEGER NOT NULL
) WITHOUT ROWID;
-- Everything that an image needs: its documents, its layers as they came, and the digests of their plain content.
CREATE TABLE IF NOT EXISTS image_needs (
    manifest TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS needed ON image_needs (digest);
CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, target TEXT NOT NULL, manifest TEXT NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS named ON names (manifest);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, action TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS projects (project INTEGER PRIMARY KEY, id TEXT NOT NULL);
";

/// Opens the database and makes its tables if they are missing. Tells whether they were.
pub(super) fn open(path: &Path) -> Result<(Connection, bool), Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|cause| failed("open it", cause))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|cause| failed("open it", cause))?;
    let version: i32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|cause| failed("read its version", cause))?;
    if version > VERSION {
        return Err(Error::refused(
            report::Kind::Unsupported,
            format!("{} was written by a newer holm", path.display()),
            "use that one, or another store with --root",
        ));
    }
    // The log stays when the last process closes it, so that the next one need not make it anew; who writes ends it (`writing`).
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|cause| failed("set it up", cause))?;
    // Commits survive a power cut: an image is only told to be there when it is.
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;")
        .map_err(|cause| failed("set it up", cause))?;
    if version < VERSION {
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .map_err(|cause| failed("set it up", cause))?;
        let setup = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
        connection.execute_batch(&setup).map_err(|cause| failed("make its tables", cause))?;
    }
    Ok((connection, version == 0))
}

/// A transaction that may write. Others wait until it ends.
pub(super) fn writing(connection: &mut Connection) -> Result<Transaction<'_>, Error> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(|cause| failed("set it up", cause))?;
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|cause| failed("begin to write", cause))
}

/// Runs statements whose effect need not survive a power cut by itself: it does as soon as anything later does, since the log is one
/// sequence (sqlite.org/wal.html). Content whose row is lost is fetched or made again.
pub(super) fn lightly<T>(
    connection: &mut Connection,
    run: impl FnOnce(&mut Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let level = |connection: &Connection, text| {
        connection.execute_batch(text).map_err(|cause| failed("choose how it is synced", cause))
    };
    level(connection, "PRAGMA synchronous = NORMAL")?;
    let outcome = run(connection);
    level(connection, "PRAGMA synchronous = FULL")?;
    outcome
}

/// An error of SQLite with what was being done.
pub(super) fn failed(doing: &'static str, cause: rusqlite::Error) -> Error {
    Error::Database { doing, cause }
}

/// For `map_err`.
pub(super) fn doing(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |cause| failed(what, cause)
}
