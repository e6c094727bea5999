//! Content on its way into the store.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use report::{Explain as _, Kind};
use rusqlite::{OptionalExtension, params};

use super::database::doing;
use super::layout::{Incoming, boot_id, read_small, sync_directory};
use super::{Lease, Store};
use crate::digest::together::{Sum, Together};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::layer::growing::Teller;
use crate::manifest::{Descriptor, MAX_DOCUMENT_BYTES};
use crate::{Error, manifest};

/// Content that is being written. It is hashed as it passes; dropped without [`BlobWriter::finish`], nothing is left of it.
#[derive(Debug)]
pub struct BlobWriter<'s> {
    store: &'s Store,
    incoming: Incoming,
    hashing: Hashing,
    written: u64,
    expected: Descriptor,
}

/// Who computes the digest.
#[derive(Debug)]
enum Hashing {
    /// The writer, of what passes.
    Here(Hasher),
    /// A thread, of what was written.
    Together(Teller, Sum),
    /// The thread, which has ended with it.
    Done(Digest),
}

impl Hashing {
    fn update(&mut self, bytes: &[u8], written: u64) {
        match self {
            Self::Here(hasher) => hasher.update(bytes),
            Self::Together(teller, _) => teller.tell(written),
            Self::Done(_) => {}
        }
    }

    /// The digest of all that was written: nothing comes after it.
    fn finish(&mut self) -> Result<Digest, Error> {
        match self {
            Self::Here(hasher) => Ok(hasher.clone().finish()),
            Self::Together(teller, sum) => {
                teller.tell_all();
                let digest = sum.wait()?;
                *self = Self::Done(digest);
                Ok(digest)
            }
            Self::Done(digest) => Ok(*digest),
        }
    }
}

impl<'s> BlobWriter<'s> {
    /// How many bytes have come: where to go on after a broken connection.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What is announced.
    pub fn descriptor(&self) -> &Descriptor {
        &self.expected
    }

    /// The content so far by a descriptor of its own, for reading.
    pub(crate) fn reader(&self) -> Result<OwnedFd, Error> {
        self.incoming.reader()
    }

    /// Takes more content.
    ///
    /// # Errors
    /// More than was announced, or what the disk says.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let after = self.written + bytes.len() as u64;
        if after > self.expected.size {
            return Err(Error::SizeMismatch {
                what: self.what(),
                expected: self.expected.size,
                found: after,
            });
        }
        self.incoming
            .file()
            .write_all(bytes)
            .map_err(|error| Error::call("write to the image store", "write", error))?;
        self.written = after;
        self.hashing.update(bytes, after);
        Ok(())
    }

    /// Compares size and digest, syncs it and gives it its name.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], [`Error::DigestMismatch`], or what the disk says. Nothing is kept then.
    pub fn finish(mut self) -> Result<(), Error> {
        self.check()?;
        let Self { store, incoming, expected, .. } = self;
        incoming.sync()?;
        store.place_blob(incoming, &expected.digest)?;
        store.record_blob(&expected.digest, expected.size, true, false)
    }

    /// Compares size and digest with what was announced.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        if self.written != self.expected.size {
            return Err(Error::SizeMismatch {
                what: self.what(),
                expected: self.expected.size,
                found: self.written,
            });
        }
        let found = self.hashing.finish()?;
        if found != self.expected.digest {
            return Err(Error::DigestMismatch {
                what: self.what(),
                expected: self.expected.digest.to_string(),
                found: found.to_string(),
            });
        }
        Ok(())
    }

    fn what(&self) -> String {
        format!("the blob {}", self.expected.digest.short())
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::Step { cause, .. }) => Err(io::Error::from_raw_os_error(cause.errno.raw())),
            Err(other) => Err(io::Error::other(other)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Begins to write content that is announced like this.
    ///
    /// # Errors
    /// What the database or the disk says.
    pub fn write_blob<'s>(
        &'s self,
        lease: &Lease<'_>,
        announced: &Descriptor,
    ) -> Result<BlobWriter<'s>, Error> {
        self.write_blob_with(lease, announced, None)
    }

    /// The same; the digest is computed together with others if they are given.
    pub(super) fn write_blob_with<'s>(
        &'s self,
        lease: &Lease<'_>,
        announced: &Descriptor,
        together: Option<&Together>,
    ) -> Result<BlobWriter<'s>, Error> {
        lease.protect(&announced.digest)?;
        let incoming = Incoming::new(&self.layout)?;
        let algorithm = announced.digest.algorithm();
        let hashing = match together.filter(|_| algorithm == Algorithm::Sha256) {
            Some(together) => {
                let (tell, sum) = together.add(incoming.reader()?)?;
                Hashing::Together(Teller::new(tell), sum)
            }
            None => Hashing::Here(Hasher::new(algorithm)),
        };
        Ok(BlobWriter { store: self, incoming, hashing, written: 0, expected: announced.clone() })
    }

    /// Writes a small blob that is at hand: a manifest or a configuration. Yields its descriptor.
    ///
    /// # Errors
    /// What the database or the disk says.
    pub fn put_blob(&self, lease: &Lease<'_>, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let descriptor = Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64);
        if !self.has_blob(lease, &descriptor.digest)? {
            let mut writer = self.write_blob(lease, &descriptor)?;
            writer.push(bytes)?;
            writer.finish()?;
        }
        Ok(descriptor)
    }

    /// Whether content is there. If it is, it stays as long as the lease.
    ///
    /// # Errors
    /// Those of the database.
    pub fn has_blob(&self, lease: &Lease<'_>, digest: &Digest) -> Result<bool, Error> {
        lease.protect(digest)?;
        self.blob_size(digest).map(|size| size.is_some())
    }

    /// The length of content that is there, known to be whole.
    ///
    /// # Errors
    /// Those of the database.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let found: Option<(i64, String)> = self
            .connection()
            .query_row("SELECT size, boot FROM blobs WHERE digest = ?", [digest.to_string()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(doing("look for content"))?;
        let Some((size, boot)) = found else { return Ok(None) };
        let lying = std::fs::metadata(self.layout.blob(digest)).map(|meta| meta.len()).ok();
        // After a power cut the end of what was not synced may be missing.
        let certain = boot.is_empty() || boot == boot_id();
        Ok((lying == Some(size as u64) && certain).then_some(size as u64))
    }

    /// Opens content.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the disk says.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        File::open(self.layout.blob(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("blob {digest} in the image store")),
            _ => super::layout::step("read from the image store", "open", &self.layout.blob(digest), error),
        })
    }

    /// Reads a document and compares its digest.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DigestMismatch`], [`Error::Limit`].
    pub fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let bytes = read_small(&self.layout.blob(digest), MAX_DOCUMENT_BYTES).map_err(|error| match error
            .kind()
        {
            Kind::NotFound => Error::not_found(format!("blob {digest} in the image store")),
            _ => error,
        })?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found != *digest {
            return Err(Error::DigestMismatch {
                what: format!("the stored blob {}", digest.short()),
                expected: digest.to_string(),
                found: found.to_string(),
            });
        }
        Ok(bytes)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// As [`Store::read_document`], or that it is none.
    pub fn read_manifest(&self, digest: &Digest) -> Result<manifest::Manifest, Error> {
        match manifest::parse(&self.read_document(digest)?, "")? {
            manifest::Document::Manifest(manifest) => Ok(*manifest),
            manifest::Document::Index(_) => Err(Error::malformed(
                format!("the blob {}", digest.short()),
                "it is an index and no manifest",
            )),
        }
    }

    /// Gives synced content its name. A new name is synced before an image is noted that needs it; if it is lost before, it is missing.
    fn place_blob(&self, incoming: Incoming, digest: &Digest) -> Result<(), Error> {
        let path = self.layout.blob(digest);
        // One that is not certain to be whole gives way, and must not come back under a row that says that it is.
        let stale = path.exists() && self.blob_size(digest)?.is_none();
        incoming.replace(&self.layout, &path)?;
        if stale { path.parent().map_or(Ok(()), sync_directory) } else { Ok(()) }
    }

    pub(super) fn record_blob(
        &self,
        digest: &Digest,
        size: u64,
        synced: bool,
        derived: bool,
    ) -> Result<(), Error> {
        let boot = if synced { String::new() } else { boot_id() };
        super::database::lightly(&mut self.connection(), |connection| {
            connection
                .execute(
                    "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4) ON CONFLICT (digest) DO UPDATE SET size = ?2,
                     boot = CASE WHEN boot = '' AND size = ?2 THEN '' ELSE ?3 END, derived = min(derived, ?4)",
                    params![digest.to_string(), size as i64, boot, derived],
                )
                .map(drop)
                .map_err(doing("note content"))
        })
    }
}

/// Content whose digest is known only when all of it has come.
#[derive(Debug)]
pub struct UnnamedWriter<'s> {
    store: &'s Store,
    incoming: Incoming,
    hasher: Hasher,
    written: u64,
    most: u64,
}

impl UnnamedWriter<'_> {
    /// Takes more content.
    ///
    /// # Errors
    /// More than was allowed, or what the disk says.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > self.most {
            return Err(Error::SizeMismatch {
                what: "a file of the archive".to_owned(),
                expected: self.most,
                found: self.written,
            });
        }
        self.incoming
            .file()
            .write_all(bytes)
            .map_err(|error| Error::call("write to the image store", "write", error))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Syncs it and gives it its name, which has to be `announced` if there is one.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], or what the disk says. Nothing is kept then.
    pub fn finish_as(self, lease: &Lease<'_>, announced: Option<&Digest>) -> Result<Descriptor, Error> {
        let Self { store, incoming, hasher, written, .. } = self;
        let found = match announced {
            Some(announced) if announced.algorithm() != Algorithm::Sha256 => {
                super::rebuild::hash(incoming.file(), announced.algorithm())?
            }
            _ => hasher.finish(),
        };
        if let Some(announced) = announced
            && *announced != found
        {
            return Err(Error::DigestMismatch {
                what: format!("the blob {}", announced.short()),
                expected: announced.to_string(),
                found: found.to_string(),
            });
        }
        if !store.has_blob(lease, &found)? {
            incoming.sync()?;
            store.place_blob(incoming, &found)?;
            store.record_blob(&found, written, true, false)?;
        }
        Ok(Descriptor::new("application/octet-stream", found, written))
    }
}

impl Write for UnnamedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::Step { cause, .. }) => Err(io::Error::from_raw_os_error(cause.errno.raw())),
            Err(other) => Err(io::Error::other(other)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Begins to write content whose digest is not known yet, at most `most` bytes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write_unnamed<'s>(&'s self, _lease: &Lease<'_>, most: u64) -> Result<UnnamedWriter<'s>, Error> {
        Ok(UnnamedWriter {
            store: self,
            incoming: Incoming::new(&self.layout)?,
            hasher: Hasher::new(Algorithm::Sha256),
            written: 0,
            most,
        })
    }
}
