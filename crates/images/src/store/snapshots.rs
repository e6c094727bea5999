//! What the store knows of containers' roots.
//!
//! It stands in their directories, in symbolic links, which are there whole or not at all and cost no sync: `image` names the image's manifest,
//! and `quota` how the size of the changes is limited.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use rusqlite::params;
use rustix::fs::FlockOperation;

use super::Store;
use super::database::{self, doing};
use super::layout::step;
use crate::Error;
use crate::digest::Digest;

/// The first project that is ours; lower ones may be anybody's.
const FIRST_PROJECT: u32 = 1 << 20;

impl Store {
    /// Makes the directory of a container's root, which holds the image from here on.
    pub(crate) fn insert_snapshot(&self, id: &str, manifest: &Digest) -> Result<(), Error> {
        const DOING: &str = "make a container's root";
        let directory = self.layout.snapshot(id);
        let _gate = self.pass(FlockOperation::LockShared)?;
        match fs::create_dir(&directory) {
            // One without an image is what a process left that was killed right here.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(step(DOING, "mkdir", &directory, error));
            }
            _ => {}
        }
        let link = directory.join("image");
        symlink(manifest.to_string(), &link).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::refused(
                report::Kind::AlreadyExists,
                format!("a container `{id}` has a root here already"),
                "use another name, or remove that container first",
            ),
            _ => step(DOING, "symlink", &link, error),
        })?;
        if self.image(manifest)?.is_some() {
            return Ok(());
        }
        let _ = fs::remove_file(&link);
        let _ = fs::remove_dir(&directory);
        Err(Error::not_found(format!("image {} any more", manifest.short())))
    }

    /// Notes how the size of a container's changes is limited.
    pub(crate) fn set_snapshot_quota(&self, id: &str, quota: &str, limit: u64) -> Result<(), Error> {
        let link = self.layout.snapshot(id).join("quota");
        symlink(format!("{quota} {limit}"), &link)
            .map_err(|error| step("limit a container's disk", "symlink", &link, error))
    }

    /// The image of a container's root, the limit of its changes, and how that is kept.
    pub(crate) fn find_snapshot(&self, id: &str) -> Result<Option<(Digest, Option<u64>, String)>, Error> {
        let directory = self.layout.snapshot(id);
        let Some(manifest) = told(&directory.join("image"))? else { return Ok(None) };
        let quota = told(&directory.join("quota"))?.unwrap_or_default();
        let (quota, limit) = quota.split_once(' ').unwrap_or_default();
        Ok(Some((Digest::parse(&manifest)?, limit.parse().ok(), quota.to_owned())))
    }

    /// The ids of all containers that have a root here, or were about to get one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn all_snapshots(&self) -> Result<Vec<String>, Error> {
        let path = self.layout.root().join("snapshots");
        let failed = |error| step("look for containers", "getdents64", &path, error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            ids.extend(entry.map_err(failed)?.file_name().into_string());
        }
        ids.sort();
        Ok(ids)
    }

    /// Containers and the manifests of their images.
    fn held(&self) -> Result<Vec<(String, Digest)>, Error> {
        let mut held = Vec::new();
        for id in self.all_snapshots()? {
            if let Some(manifest) = told(&self.layout.snapshot(&id).join("image"))? {
                held.push((id, Digest::parse(&manifest)?));
            }
        }
        Ok(held)
    }

    /// The ids of the containers that use an image.
    ///
    /// # Errors
    /// What the disk says.
    pub fn snapshots(&self, manifest: &Digest) -> Result<Vec<String>, Error> {
        let held = self.held()?.into_iter();
        Ok(held.filter(|(_, of)| of == manifest).map(|(id, _)| id).collect())
    }

    /// The layers of an image that no container uses.
    pub(crate) fn unused_layers(&self, manifest: &Digest) -> Result<Vec<Digest>, Error> {
        let used: BTreeSet<Digest> = self.held()?.into_iter().map(|(_, manifest)| manifest).collect();
        if used.contains(manifest) {
            return Ok(Vec::new());
        }
        let connection = self.connection();
        let mut needs = connection
            .prepare("SELECT digest FROM image_needs WHERE manifest = ? AND digest IN (SELECT diff_id FROM layers)")
            .map_err(doing("look for layers"))?;
        let mut of = |manifest: &Digest| -> Result<BTreeSet<String>, Error> {
            needs
                .query_map([manifest.to_string()], |row| row.get(0))
                .and_then(Iterator::collect)
                .map_err(doing("look for layers"))
        };
        let mut unused = of(manifest)?;
        for other in &used {
            unused = &unused - &of(other)?;
        }
        unused.iter().map(|text| Digest::parse(text)).collect()
    }

    /// A number of a project for a container, which no other one has.
    pub(crate) fn claim_project(&self, id: &str) -> Result<u32, Error> {
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        let last: Option<u32> = transaction
            .query_row("SELECT max(project) FROM projects", [], |row| row.get(0))
            .map_err(doing("number a container"))?;
        let project = last.map_or(FIRST_PROJECT, |last| last + 1);
        transaction
            .execute("INSERT INTO projects VALUES (?, ?)", params![project, id])
            .map_err(doing("number a container"))?;
        transaction.commit().map_err(doing("number a container"))?;
        Ok(project)
    }

    pub(crate) fn release_project(&self, id: &str) -> Result<(), Error> {
        let connection = self.connection();
        // Few containers have one: the database is not written for the others.
        let mut claimed =
            connection.prepare("SELECT 1 FROM projects WHERE id = ?").map_err(doing("forget a container"))?;
        if claimed.exists([id]).map_err(doing("forget a container"))? {
            connection
                .execute("DELETE FROM projects WHERE id = ?", [id])
                .map_err(doing("forget a container"))?;
        }
        Ok(())
    }
}

/// Puts the manifests that containers use into the table `snapshots` of this connection. The caller is alone behind the gate.
pub(super) fn gather(store: &Store, transaction: &rusqlite::Transaction<'_>) -> Result<(), Error> {
    transaction
        .execute_batch(
            "CREATE TEMP TABLE IF NOT EXISTS snapshots (manifest TEXT PRIMARY KEY) WITHOUT ROWID; DELETE FROM temp.snapshots;",
        )
        .map_err(doing("look for containers"))?;
    for (_, manifest) in store.held()? {
        transaction
            .execute("INSERT OR IGNORE INTO temp.snapshots VALUES (?)", params![manifest.to_string()])
            .map_err(doing("look for containers"))?;
    }
    Ok(())
}

/// What a symbolic link says; nothing where there is none.
fn told(link: &std::path::Path) -> Result<Option<String>, Error> {
    match fs::read_link(link) {
        Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(step("read from the image store", "readlink", link, error)),
    }
}
