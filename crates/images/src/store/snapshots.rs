//! What the database knows of containers' roots.

use rusqlite::{OptionalExtension, params};

use super::database::{self, doing};
use super::{Store, now};
use crate::Error;
use crate::digest::Digest;

/// The first project that is ours; lower ones may be anybody's.
const FIRST_PROJECT: u32 = 1 << 20;

impl Store {
    pub(crate) fn insert_snapshot(
        &self,
        id: &str,
        manifest: &Digest,
        limit: Option<u64>,
    ) -> Result<(), Error> {
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        let image: i64 = transaction
            .query_row("SELECT count(*) FROM images WHERE manifest = ?", [manifest.to_string()], |row| {
                row.get(0)
            })
            .map_err(doing("look for an image"))?;
        if image == 0 {
            return Err(Error::not_found(format!("image {} any more", manifest.short())));
        }
        let rows = transaction
            .execute(
                "INSERT OR IGNORE INTO snapshots VALUES (?, ?, ?, ?, '')",
                params![id, manifest.to_string(), now(), limit.unwrap_or(0) as i64],
            )
            .map_err(doing("note a container"))?;
        if rows == 0 {
            return Err(Error::refused(
                report::Kind::AlreadyExists,
                format!("a container `{id}` has a root here already"),
                "use another name, or remove that container first",
            ));
        }
        transaction.commit().map_err(doing("note a container"))
    }

    pub(crate) fn set_snapshot_quota(&self, id: &str, quota: &str) -> Result<(), Error> {
        self.connection()
            .execute("UPDATE snapshots SET quota = ? WHERE id = ?", [quota, id])
            .map(drop)
            .map_err(doing("note a container"))
    }

    /// The image of a container's root, the limit of its changes, and how that is kept.
    pub(crate) fn find_snapshot(&self, id: &str) -> Result<Option<(Digest, Option<u64>, String)>, Error> {
        let row: Option<(String, i64, String)> = self
            .connection()
            .query_row("SELECT manifest, size_limit, quota FROM snapshots WHERE id = ?", [id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(doing("look for a container"))?;
        row.map(|(manifest, limit, quota)| {
            Ok((Digest::parse(&manifest)?, (limit > 0).then_some(limit as u64), quota))
        })
        .transpose()
    }

    /// The ids of the containers that use an image.
    ///
    /// # Errors
    /// Those of the database.
    pub fn snapshots(&self, manifest: &Digest) -> Result<Vec<String>, Error> {
        self.connection()
            .prepare_cached("SELECT id FROM snapshots WHERE manifest = ? ORDER BY id")
            .and_then(|mut statement| {
                statement.query_map([manifest.to_string()], |row| row.get(0))?.collect()
            })
            .map_err(doing("look for containers"))
    }

    pub(crate) fn delete_snapshot(&self, id: &str) -> Result<Option<Digest>, Error> {
        let found = self.find_snapshot(id)?;
        self.release_project(id)?;
        self.connection()
            .execute("DELETE FROM snapshots WHERE id = ?", [id])
            .map_err(doing("forget a container"))?;
        Ok(found.map(|(manifest, _, _)| manifest))
    }

    /// The layers of an image that no container uses.
    pub(crate) fn unused_layers(&self, manifest: &Digest) -> Result<Vec<Digest>, Error> {
        let sql = "SELECT digest FROM image_needs WHERE manifest = ?1 AND digest IN (SELECT diff_id FROM layers)
                   AND digest NOT IN (SELECT digest FROM image_needs WHERE manifest IN (SELECT manifest FROM snapshots))";
        let found: Vec<String> = self
            .connection()
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_map([manifest.to_string()], |row| row.get(0))?.collect()
            })
            .map_err(doing("look for layers"))?;
        found.iter().map(|text| Digest::parse(text)).collect()
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
        self.connection()
            .execute("DELETE FROM projects WHERE id = ?", [id])
            .map(drop)
            .map_err(doing("forget a container"))
    }
}
