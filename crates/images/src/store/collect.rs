//! Removing images, and collecting what nobody needs any more.
//!
//! An image is forgotten in one writing transaction, and what nobody needs any more is put aside in a second one: a process that is killed
//! in between leaves content without an image, and never an image without its content. Who brings something in, or makes a container of
//! it, says so first and looks then, and both kinds take turns (`Store::pass`): so either it is seen here, or the other finds the content
//! gone and brings it again.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Transaction, params};
use rustix::fs::FlockOperation;

use super::database::{self, doing};
use super::layout::{random_name, read_small};
use super::{Image, Name, Store, lease, snapshots};
use crate::Error;
use crate::digest::Digest;
use crate::layer::child::{self, TRASH};

/// Files above this many bytes are not waited for while they are deleted.
const MUCH: u64 = 16 << 20;

/// What to remove besides leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing: only what belongs to no image.
    Leftovers,
    /// Images without a name that no container uses.
    Nameless,
    /// All images that no container uses.
    Unused,
}

/// What was taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Names.
    pub names: Vec<String>,
    /// Images, by their manifests.
    pub images: Vec<Digest>,
    /// How many blobs and layers.
    pub blobs: u64,
    /// How many bytes of blobs.
    pub bytes: u64,
}

impl Store {
    /// Takes an image away, with all its names, and what nothing else needs of it.
    ///
    /// # Errors
    /// That a container uses it; `force` takes its names away then.
    pub fn remove(&self, image: &Image, force: bool) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let gate = self.pass(FlockOperation::LockExclusive)?;
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        let users = self.snapshots(&image.manifest)?;
        if !users.is_empty() && !force {
            return Err(in_use(image, &users));
        }
        for name in names(&transaction, &image.manifest.to_string())? {
            self.untag_in(&transaction, &name)?;
            collected.names.push(name);
        }
        if users.is_empty() {
            forget(&transaction, &image.manifest.to_string())?;
            collected.images.push(image.manifest);
        }
        transaction.commit().map_err(doing("remove an image"))?;
        // The image is gone for good before the first of its files is.
        let trash = database::lightly(&mut connection, |connection| {
            let transaction = database::writing(connection)?;
            let trash = self.collect(&transaction, &mut collected)?;
            transaction.commit().map_err(doing("collect leftovers"))?;
            Ok(trash)
        })?;
        // Nobody waits for the files to be deleted.
        drop((connection, gate));
        self.empty(&trash);
        Ok(collected)
    }

    /// Collects what nobody needs: of images what `what` says, of everything else all that belongs to no image, no container and no
    /// running process.
    ///
    /// # Errors
    /// Those of the database.
    pub fn prune(&self, what: What) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let gate = self.pass(FlockOperation::LockExclusive)?;
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        let condition = match what {
            What::Leftovers => "0",
            What::Nameless => {
                "manifest NOT IN (SELECT manifest FROM names) AND manifest NOT IN (SELECT manifest FROM snapshots)"
            }
            What::Unused => "manifest NOT IN (SELECT manifest FROM snapshots)",
        };
        // What somebody brings in this moment may have no name yet.
        let sql = format!(
            "SELECT manifest FROM images WHERE {condition} AND manifest NOT IN (SELECT digest FROM leases)"
        );
        lease::gather(self, &transaction)?;
        snapshots::gather(self, &transaction)?;
        let going: Vec<String> = strings(&transaction, &sql, [])?;
        for manifest in &going {
            for name in names(&transaction, manifest)? {
                self.untag_in(&transaction, &name)?;
                collected.names.push(name);
            }
            forget(&transaction, manifest)?;
            collected.images.extend(Digest::parse(manifest));
        }
        transaction.commit().map_err(doing("remove images"))?;
        let trash = database::lightly(&mut connection, |connection| {
            let transaction = database::writing(connection)?;
            let mut trash = self.collect(&transaction, &mut collected)?;
            trash.extend(self.strays(&transaction)?);
            transaction.commit().map_err(doing("collect leftovers"))?;
            Ok(trash)
        })?;
        // Nobody waits for the files to be deleted.
        drop((connection, gate));
        self.empty(&trash);
        Ok(collected)
    }

    /// Forgets blobs and layers that nobody needs, and puts them aside. The files go when the transaction has ended.
    fn collect(
        &self,
        transaction: &Transaction<'_>,
        collected: &mut Collected,
    ) -> Result<Vec<PathBuf>, Error> {
        const NEEDED: &str = "NOT IN (SELECT digest FROM image_needs UNION SELECT digest FROM leases)";
        lease::gather(self, transaction)?;
        let mut trash = Vec::new();
        for diff_id in
            strings(transaction, &format!("SELECT diff_id FROM layers WHERE diff_id {NEEDED}"), [])?
        {
            let Ok(digest) = Digest::parse(&diff_id) else { continue };
            // Where a process is in it, it stays until the next time.
            if self.unmount_layer(&digest).is_err() {
                continue;
            }
            trash.extend(self.aside(self.layout.layer(&digest)));
            transaction
                .execute("DELETE FROM layers WHERE diff_id = ?", [&diff_id])
                .map_err(doing("forget a layer"))?;
        }
        let sql = format!(
            "SELECT digest FROM blobs WHERE digest {NEEDED} AND digest NOT IN (SELECT diff_id FROM layers)"
        );
        for digest in strings(transaction, &sql, [])? {
            let Ok(parsed) = Digest::parse(&digest) else { continue };
            let path = self.layout.blob(&parsed);
            collected.bytes += std::fs::metadata(&path).map_or(0, |meta| meta.len());
            collected.blobs += 1;
            trash.extend(self.aside(path));
            transaction
                .execute("DELETE FROM blobs WHERE digest = ?", [&digest])
                .map_err(doing("forget content"))?;
        }
        Ok(trash)
    }

    /// Files of the store that the database knows nothing of: left by processes that were killed.
    fn strays(&self, transaction: &Transaction<'_>) -> Result<Vec<PathBuf>, Error> {
        let mut trash = Vec::new();
        let known = |sql: &str, value: String| -> Result<bool, Error> {
            transaction
                .query_row(sql, params![value], |row| row.get::<_, i64>(0))
                .map(|count| count > 0)
                .map_err(doing("look for leftovers"))
        };
        let entries = |name: &str| {
            let list = std::fs::read_dir(self.layout.root().join(name)).into_iter().flatten().flatten();
            list.map(|entry| entry.path())
        };
        for algorithm in ["sha256", "sha512"] {
            for path in entries(&format!("blobs/{algorithm}")) {
                let digest = format!("{algorithm}:{}", file_name(&path));
                let sql = "SELECT (SELECT count(*) FROM blobs WHERE digest = ?1) + (SELECT count(*) FROM leases WHERE digest = ?1)";
                if !known(sql, digest)? {
                    trash.extend(self.aside(path));
                }
            }
        }
        for path in entries("layers") {
            let digest = format!("sha256:{}", file_name(&path));
            let sql = "SELECT (SELECT count(*) FROM layers WHERE diff_id = ?1) + (SELECT count(*) FROM leases WHERE digest = ?1)";
            if !known(sql, digest)? {
                trash.extend(self.aside(path));
            }
        }
        for path in entries("refs") {
            self.straighten(transaction, &path)?;
        }
        self.remember_names(transaction)?;
        // What is on its way is young, or its process is gone.
        for path in entries("tmp") {
            let meta = std::fs::symlink_metadata(&path).and_then(|meta| meta.modified());
            let age = meta.ok().and_then(|at| at.elapsed().ok());
            let aside = file_name(&path).starts_with(TRASH);
            if aside || age.is_some_and(|age| age.as_secs() > 24 * 60 * 60) {
                trash.push(path);
            }
        }
        Ok(trash)
    }

    /// A file that remembers a name follows the database: a process that was killed between both leaves it ahead.
    fn straighten(&self, transaction: &Transaction<'_>, path: &std::path::Path) -> Result<(), Error> {
        let said =
            read_small(path, 64 << 10).ok().and_then(|bytes| serde_json::from_slice::<Name>(&bytes).ok());
        let Some(said) = said else {
            let _ = std::fs::remove_file(path);
            return Ok(());
        };
        let known: Option<Name> = transaction
            .query_row(
                "SELECT name, target, manifest, changed FROM names WHERE name = ?",
                [&said.name],
                super::image::name_row,
            )
            .optional()
            .map_err(doing("look for a name"))?;
        match known {
            None => {
                let _ = std::fs::remove_file(path);
            }
            Some(known) if known.manifest != said.manifest => {
                let text = serde_json::to_vec(&known)
                    .map_err(|error| Error::malformed("the name", error.to_string()))?;
                self.layout.replace(path, &text)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A name whose file is missing gets one: the process that took it away was killed before it had told the database.
    fn remember_names(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let names: Vec<Name> = transaction
            .prepare_cached("SELECT name, target, manifest, changed FROM names")
            .and_then(|mut statement| statement.query_map([], super::image::name_row)?.collect())
            .map_err(doing("list names"))?;
        for name in names {
            let path = self.layout.reference(&name.name);
            if !path.exists() {
                let text = serde_json::to_vec(&name)
                    .map_err(|error| Error::malformed("the name", error.to_string()))?;
                self.layout.replace(&path, &text)?;
            }
        }
        Ok(())
    }

    /// Moves something to `tmp`, from where it is never used again.
    fn aside(&self, path: PathBuf) -> Option<PathBuf> {
        let to = self.layout.tmp().join(format!("{TRASH}{}", random_name()));
        std::fs::rename(path, &to).ok().map(|()| to)
    }

    /// Deletes what was moved aside. Much of it is deleted by a process of its own, which nobody waits for; if that is killed, the next
    /// collection finds the rest.
    pub(crate) fn empty(&self, trash: &[PathBuf]) {
        let much = |path: &PathBuf| {
            let meta = std::fs::symlink_metadata(path);
            meta.is_ok_and(|meta| if meta.is_dir() { path.join("tree").exists() } else { meta.len() > MUCH })
        };
        if trash.iter().any(much)
            && let Ok(tmp) = std::fs::File::open(self.layout.tmp())
            && child::start_sweeper(&self.options.unpacker, tmp.as_fd()).is_ok()
        {
            return;
        }
        trash.iter().for_each(|path| child::delete(path));
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn strings(
    transaction: &Transaction<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<String>, Error> {
    transaction
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(values, |row| row.get(0))?.collect())
        .map_err(doing("look for leftovers"))
}

fn names(transaction: &Transaction<'_>, manifest: &str) -> Result<Vec<String>, Error> {
    strings(transaction, "SELECT name FROM names WHERE manifest = ? ORDER BY name", [manifest])
}

fn forget(transaction: &Transaction<'_>, manifest: &str) -> Result<(), Error> {
    for sql in ["DELETE FROM images WHERE manifest = ?", "DELETE FROM image_needs WHERE manifest = ?"] {
        transaction.execute(sql, [manifest]).map_err(doing("forget an image"))?;
    }
    Ok(())
}

fn in_use(image: &Image, users: &[String]) -> Error {
    let names: Vec<String> = users.iter().take(3).map(|id| id.chars().take(12).collect()).collect();
    Error::refused(
        report::Kind::Busy,
        format!(
            "the image {} is used by {} container(s): {}",
            image.config.short(),
            users.len(),
            names.join(", ")
        ),
        "remove the containers first, or use --force to take its names away",
    )
}
