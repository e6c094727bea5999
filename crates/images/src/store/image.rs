//! Images: what they need, and what they are called.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::database::{self, doing};
use super::{Lease, ReadyLayer, Store, now};
use crate::config::{self, ImageConfig};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::{Error, manifest};

/// An image to note, whose content is all there.
#[derive(Debug, Clone)]
pub struct PutImage<'a> {
    /// Its manifest.
    pub manifest: Digest,
    /// What was asked for: the manifest, or the index that it was chosen from, whose content may be there too.
    pub target: Digest,
    /// What it is to be called.
    pub names: &'a [Reference],
    /// How it came to be, for its history: `pull`, `load`, `import`, `bootstrap`, `build`.
    pub action: &'a str,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its manifest.
    pub manifest: Digest,
    /// Its configuration.
    pub config: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// For which machine.
    pub platform: Platform,
    /// When it was made (RFC 3339), as it says itself.
    pub created: String,
    /// How many bytes its layers have, as they came.
    pub size: u64,
    /// When it came here, in seconds since 1970.
    pub added: i64,
    /// What it is called.
    pub names: Vec<String>,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// In full.
    pub name: String,
    /// What it stands for in the registry: a manifest or an index.
    pub target: Digest,
    /// The manifest that it stands for here.
    pub manifest: Digest,
    /// Since when, in seconds since 1970.
    pub changed: i64,
}

/// Something that happened to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The name.
    pub name: String,
    /// The manifest.
    pub manifest: String,
    /// What: `pull`, `load`, `tag`, `untag`, …
    pub action: String,
}

const COLUMNS: &str = "manifest, config, media_type, os, architecture, variant, created, size, added";

/// A row that somebody else wrote may hold anything.
fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    let text: String = row.get(column)?;
    Digest::parse(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            error.to_string().into(),
        )
    })
}

fn image(row: &Row<'_>) -> rusqlite::Result<Image> {
    Ok(Image {
        manifest: digest(row, 0)?,
        config: digest(row, 1)?,
        media_type: row.get(2)?,
        platform: Platform {
            os: row.get(3)?,
            architecture: row.get(4)?,
            variant: row.get(5)?,
            ..Platform::default()
        },
        created: row.get(6)?,
        size: row.get::<_, i64>(7)? as u64,
        added: row.get(8)?,
        names: Vec::new(),
    })
}

impl Store {
    /// Notes an image and its names. Everything it consists of has to be there, and is checked to be: documents, layers as they came,
    /// and layers made ready. A name that stood for another image stands for this one from now on.
    ///
    /// # Errors
    /// What is missing, or contradicts itself.
    pub fn put_image(&self, lease: &Lease<'_>, put: &PutImage<'_>) -> Result<Image, Error> {
        let bytes = self.read_document(&put.manifest)?;
        let document = match manifest::parse(&bytes, "")? {
            manifest::Document::Manifest(manifest) => *manifest,
            manifest::Document::Index(_) => {
                return Err(Error::malformed("the manifest", "it is an index, which is no image itself"));
            }
        };
        document.check_is_image()?;
        let config = config::parse(&self.read_document(&document.config.digest)?)?;
        let needs = self.needs(lease, put, &document, &config)?;
        let algorithms: std::collections::BTreeSet<_> =
            needs.iter().map(|digest| digest.algorithm()).collect();
        for algorithm in algorithms {
            super::layout::sync_directory(&self.layout.root().join("blobs").join(algorithm.name()))?;
        }
        let size = document.layers.iter().map(|layer| layer.size).sum::<u64>();
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        for digest in &needs {
            transaction
                .execute(
                    "INSERT OR IGNORE INTO image_needs VALUES (?, ?)",
                    params![put.manifest.to_string(), digest.to_string()],
                )
                .map_err(doing("note an image"))?;
        }
        transaction
            .execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![
                    put.manifest.to_string(),
                    document.config.digest.to_string(),
                    document.media_type,
                    config.os,
                    config.architecture,
                    config.variant,
                    config.created,
                    size as i64,
                    now(),
                ],
            )
            .map_err(doing("note an image"))?;
        for name in put.names {
            self.point(&transaction, &name.to_string(), &put.target, &put.manifest, put.action)?;
        }
        // Before others may take it away again.
        let noted = select(&transaction, "manifest = ?1", &put.manifest.to_string())?.pop();
        transaction.commit().map_err(doing("note an image"))?;
        noted.ok_or_else(|| Error::not_found(format!("image {}", put.manifest.short())))
    }

    /// Checks that all is there, and lists it.
    fn needs(
        &self,
        lease: &Lease<'_>,
        put: &PutImage<'_>,
        document: &Manifest,
        config: &ImageConfig,
    ) -> Result<Vec<Digest>, Error> {
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != document.layers.len() {
            return Err(Error::malformed(
                "the image",
                format!(
                    "its manifest has {} layers, and its configuration {}",
                    document.layers.len(),
                    diff_ids.len()
                ),
            ));
        }
        let mut needs = vec![put.manifest, document.config.digest];
        for (layer, diff_id) in document.layers.iter().zip(diff_ids) {
            if !self.has_blob(lease, &layer.digest)? {
                return Err(Error::not_found(format!("layer {} in the image store", layer.digest.short())));
            }
            if self.ready_layer(diff_id)?.is_none() {
                return Err(Error::not_found(format!("ready layer {} in the image store", diff_id.short())));
            }
            needs.extend([layer.digest, *diff_id]);
        }
        if put.target != put.manifest && self.has_blob(lease, &put.target)? {
            needs.push(put.target);
        }
        Ok(needs)
    }

    /// Makes a name stand for an image. The file comes first: after a power cut it is in both places or in neither.
    fn point(
        &self,
        transaction: &Transaction<'_>,
        name: &str,
        target: &Digest,
        manifest: &Digest,
        action: &str,
    ) -> Result<(), Error> {
        let entry = Name { name: name.to_owned(), target: *target, manifest: *manifest, changed: now() };
        let text =
            serde_json::to_vec(&entry).map_err(|error| Error::malformed("the name", error.to_string()))?;
        self.layout.replace(&self.layout.reference(name), &text)?;
        self.point_row(transaction, &entry)?;
        event(transaction, name, manifest, action)
    }

    pub(super) fn point_row(&self, transaction: &Transaction<'_>, entry: &Name) -> Result<(), Error> {
        transaction
            .execute(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)",
                params![entry.name, entry.target.to_string(), entry.manifest.to_string(), entry.changed],
            )
            .map_err(doing("name an image"))?;
        Ok(())
    }

    /// Gives an image one more name.
    ///
    /// # Errors
    /// That it is not there.
    pub fn tag(&self, image: &Image, name: &Reference) -> Result<(), Error> {
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        // It may have gone since it was found.
        let there: Option<i64> = transaction
            .query_row("SELECT 1 FROM images WHERE manifest = ?", [image.manifest.to_string()], |row| {
                row.get(0)
            })
            .optional()
            .map_err(doing("look for an image"))?;
        if there.is_none() {
            return Err(Error::not_found(format!("image {}", image.manifest.short())));
        }
        let target: Option<String> = transaction
            .query_row(
                "SELECT target FROM names WHERE manifest = ? LIMIT 1",
                [image.manifest.to_string()],
                |row| row.get(0),
            )
            .optional()
            .map_err(doing("look for an image"))?;
        let target = target.and_then(|text| Digest::parse(&text).ok()).unwrap_or(image.manifest);
        self.point(&transaction, &name.to_string(), &target, &image.manifest, "tag")?;
        transaction.commit().map_err(doing("name an image"))
    }

    /// Takes a name away. The image stays, without it.
    ///
    /// # Errors
    /// That it is not there.
    pub fn untag(&self, name: &str) -> Result<(), Error> {
        let mut connection = self.connection();
        let transaction = database::writing(&mut connection)?;
        self.untag_in(&transaction, name)?;
        transaction.commit().map_err(doing("take a name away"))
    }

    pub(super) fn untag_in(&self, transaction: &Transaction<'_>, name: &str) -> Result<(), Error> {
        let manifest: Option<String> = transaction
            .query_row("SELECT manifest FROM names WHERE name = ?", [name], |row| row.get(0))
            .optional()
            .map_err(doing("look for a name"))?;
        let Some(manifest) = manifest else { return Err(unknown(name)) };
        let _ = std::fs::remove_file(self.layout.reference(name));
        transaction.execute("DELETE FROM names WHERE name = ?", [name]).map_err(doing("take a name away"))?;
        if let Ok(manifest) = Digest::parse(&manifest) {
            event(transaction, name, &manifest, "untag")?;
        }
        Ok(())
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// Those of the database.
    pub fn name(&self, name: &Reference) -> Result<Option<Name>, Error> {
        let full = name.to_string();
        self.connection()
            .query_row("SELECT name, target, manifest, changed FROM names WHERE name = ?", [full], name_row)
            .optional()
            .map_err(doing("look for a name"))
    }

    /// All names.
    ///
    /// # Errors
    /// Those of the database.
    pub fn names(&self) -> Result<Vec<Name>, Error> {
        self.connection()
            .prepare_cached("SELECT name, target, manifest, changed FROM names ORDER BY name")
            .and_then(|mut statement| statement.query_map([], name_row)?.collect())
            .map_err(doing("list names"))
    }

    /// An image by its manifest.
    ///
    /// # Errors
    /// Those of the database.
    pub fn image(&self, manifest: &Digest) -> Result<Option<Image>, Error> {
        let found = self.select("manifest = ?1", &manifest.to_string())?;
        Ok(found.into_iter().next())
    }

    /// Finds an image by what a person writes: a name, `NAME@DIGEST`, or the beginning of the digest of its configuration (the image's id)
    /// or manifest, with or without `sha256:`.
    ///
    /// # Errors
    /// That there is none, or more than one.
    pub fn find(&self, text: &str) -> Result<Image, Error> {
        if let Ok(name) = Reference::parse(text) {
            if let Some(found) = self.name(&name)? {
                return self.image(&found.manifest)?.ok_or_else(|| unknown(text));
            }
            if let Some(digest) = name.digest() {
                let found = self.select("manifest = ?1 OR config = ?1", &digest.to_string())?;
                if let Some(image) = found.into_iter().next() {
                    return Ok(image);
                }
                let by_index: Option<Digest> = self
                    .connection()
                    .query_row("SELECT manifest FROM names WHERE target = ?", [digest.to_string()], |row| {
                        self::digest(row, 0)
                    })
                    .optional()
                    .map_err(doing("look for an image"))?;
                if let Some(manifest) = by_index
                    && let Some(image) = self.image(&manifest)?
                {
                    return Ok(image);
                }
            }
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < 4 || hex.len() > 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown(text));
        }
        let pattern = format!("sha256:{}%", hex.to_ascii_lowercase());
        let mut found = self.select("config LIKE ?1 OR manifest LIKE ?1", &pattern)?;
        match found.len() {
            0 => Err(unknown(text)),
            1 => Ok(found.remove(0)),
            count => Err(Error::refused(
                report::Kind::InvalidInput,
                format!("`{text}` is the beginning of the ids of {count} images"),
                "give more digits of it",
            )),
        }
    }

    /// All images, the latest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        let mut images: Vec<Image> = self
            .connection()
            .prepare_cached(&format!("SELECT {COLUMNS} FROM images ORDER BY added DESC, manifest"))
            .and_then(|mut statement| statement.query_map([], image)?.collect())
            .map_err(doing("list images"))?;
        let mut names: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for name in self.names()? {
            names.entry(name.manifest).or_default().push(name.name);
        }
        for image in &mut images {
            image.names = names.remove(&image.manifest).unwrap_or_default();
        }
        Ok(images)
    }

    /// The configuration of an image.
    ///
    /// # Errors
    /// As [`Store::read_document`].
    pub fn config(&self, image: &Image) -> Result<ImageConfig, Error> {
        config::parse(&self.read_document(&image.config)?)
    }

    /// The layers of an image, the lowest first, ready to be mounted. What is not, or not certain to be whole, is made ready.
    ///
    /// # Errors
    /// What is missing or broken.
    pub fn layers(&self, image: &Image) -> Result<Vec<ReadyLayer>, Error> {
        let config = self.config(image)?;
        let mut document = None;
        let mut layers = Vec::new();
        for (number, diff_id) in config.rootfs.diff_ids.iter().enumerate() {
            if let Some(ready) = self.usable_layer(diff_id)? {
                layers.push(ready);
                continue;
            }
            let document = match &document {
                Some(document) => document,
                None => document.insert(self.read_manifest(&image.manifest)?),
            };
            let layer = document.layers.get(number).ok_or_else(|| {
                Error::malformed("the image", "its manifest has fewer layers than its configuration")
            })?;
            let lease = self.lease()?;
            layers.push(self.prepare_layer(&lease, &layer.digest, Some(*diff_id))?);
        }
        Ok(layers)
    }

    /// What happened to names, the latest last.
    ///
    /// # Errors
    /// Those of the database.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        let row = |row: &Row<'_>| {
            Ok(Event { at: row.get(0)?, name: row.get(1)?, manifest: row.get(2)?, action: row.get(3)? })
        };
        self.connection()
            .prepare_cached("SELECT at, name, manifest, action FROM events ORDER BY id")
            .and_then(|mut statement| statement.query_map([], row)?.collect())
            .map_err(doing("list events"))
    }

    fn select(&self, condition: &str, value: &str) -> Result<Vec<Image>, Error> {
        select(&self.connection(), condition, value)
    }
}

fn select(connection: &Connection, condition: &str, value: &str) -> Result<Vec<Image>, Error> {
    let mut images: Vec<Image> = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM images WHERE {condition}"))
        .and_then(|mut statement| statement.query_map([value], image)?.collect())
        .map_err(doing("look for an image"))?;
    for image in &mut images {
        image.names = connection
            .prepare_cached("SELECT name FROM names WHERE manifest = ? ORDER BY name")
            .and_then(|mut statement| {
                statement.query_map([image.manifest.to_string()], |row| row.get(0))?.collect()
            })
            .map_err(doing("look for an image"))?;
    }
    Ok(images)
}

pub(super) fn name_row(row: &Row<'_>) -> rusqlite::Result<Name> {
    Ok(Name { name: row.get(0)?, target: digest(row, 1)?, manifest: digest(row, 2)?, changed: row.get(3)? })
}

fn event(transaction: &Transaction<'_>, name: &str, manifest: &Digest, action: &str) -> Result<(), Error> {
    transaction
        .execute(
            "INSERT INTO events (at, name, manifest, action) VALUES (?, ?, ?, ?)",
            params![now(), name, manifest.to_string(), action],
        )
        .map_err(doing("note what happened"))?;
    // A history of the latest things, not of everything.
    transaction
        .execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - 10000", [])
        .map_err(doing("note what happened"))?;
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::NotFound {
        what: format!("image `{}`", name.escape_debug()),
        hint: Some("`holm images` lists those that are here, and `holm pull` fetches one".to_owned()),
    }
}
