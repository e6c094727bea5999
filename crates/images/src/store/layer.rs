//! Layers on their way into the store: content is written, and made ready while it arrives.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};
use rustix::fs::{Mode, OFlags};

use super::database::doing;
use super::layout::{Incoming, boot_id, random_name, step, sync_directory};
use super::{BlobWriter, Lease, Store};
use crate::Error;
use crate::digest::together::{Sum, Together};
use crate::digest::{Algorithm, Digest};
use crate::layer::Form;
use crate::layer::child::{Child, Done, Failed, Request};
use crate::manifest::Descriptor;

/// A layer that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLayer {
    /// The digest of its plain archive.
    pub diff_id: Digest,
    /// Its form.
    pub form: Form,
    /// The length of the plain archive in bytes.
    pub size: u64,
    /// How many entries it has.
    pub entries: u64,
    /// The length of the index in bytes.
    pub index_size: u64,
    /// Why it has not the preferred form, if it has not.
    pub reason: String,
    /// How many extended attributes and devices of the archive were left out.
    pub dropped: u64,
}

/// A layer that is being written and made ready. Dropped without [`LayerWriter::finish`], nothing is left of it.
#[derive(Debug)]
pub struct LayerWriter<'s> {
    store: &'s Store,
    blob: BlobWriter<'s>,
    making: Making,
    diff_id: Option<Digest>,
    /// The lease that protects it.
    lease: String,
}

/// A layer that is being made ready.
#[derive(Debug)]
struct Making {
    child: Child,
    form: Form,
    reason: String,
    plain: Option<Incoming>,
    index: Option<Incoming>,
    /// The digest of the plain archive, if the child does not compute it.
    sum: Option<Sum>,
    /// The directory of files on their way.
    directory: Option<Staged>,
}

/// How a layer is to be made ready.
struct Plan {
    form: Form,
    /// Why it is not the preferred one.
    reason: String,
    keep_plain: bool,
}

/// A directory in `tmp` that is taken away unless it moves to its place.
#[derive(Debug)]
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl LayerWriter<'_> {
    /// How many bytes have come: where to go on after a broken connection.
    pub fn written(&self) -> u64 {
        self.blob.written()
    }

    /// Takes more of the layer, as it comes from the registry.
    ///
    /// # Errors
    /// As [`BlobWriter::push`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.blob.push(bytes)?;
        self.making.child.tell(self.blob.written());
        Ok(())
    }

    /// Compares size and digests, and puts everything into its place.
    ///
    /// # Errors
    /// What does not match, or is wrong with the archive. Nothing is kept then.
    pub fn finish(self) -> Result<ReadyLayer, Error> {
        let Self { store, mut blob, mut making, diff_id, lease } = self;
        // First the digest: what is not what it should be is not reported as a broken archive.
        blob.check()?;
        making.child.tell_all();
        let digest = blob.descriptor().digest;
        blob.finish()?;
        store.settle(making, &lease, &digest, diff_id)
    }
}

impl Write for LayerWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.blob.write(bytes)?;
        self.making.child.tell(self.blob.written());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Begins to write a layer. `diff_id` is what the configuration says, where it is known already.
    ///
    /// # Errors
    /// What the database or the disk says.
    pub fn write_layer<'s>(
        &'s self,
        lease: &Lease<'_>,
        announced: &Descriptor,
        diff_id: Option<Digest>,
    ) -> Result<LayerWriter<'s>, Error> {
        self.write_layer_with(lease, announced, diff_id, None)
    }

    /// The same; its digests are computed together with others if they are given.
    ///
    /// # Errors
    /// As [`Store::write_layer`].
    pub fn write_layer_with<'s>(
        &'s self,
        lease: &Lease<'_>,
        announced: &Descriptor,
        diff_id: Option<Digest>,
        together: Option<&Together>,
    ) -> Result<LayerWriter<'s>, Error> {
        if let Some(diff_id) = &diff_id {
            lease.protect(diff_id)?;
        }
        let blob = self.write_blob_with(lease, announced, together)?;
        let (form, reason) = self.form();
        let plan = Plan { form, reason, keep_plain: diff_id != Some(announced.digest) };
        let making = self.make(plan, blob.reader()?, together.zip(diff_id))?;
        Ok(LayerWriter { store: self, blob, making, diff_id, lease: lease.name.clone() })
    }

    /// Makes a layer ready whose content is there.
    ///
    /// # Errors
    /// What is wrong with the archive, or does not match.
    pub fn prepare_layer(
        &self,
        lease: &Lease<'_>,
        digest: &Digest,
        diff_id: Option<Digest>,
    ) -> Result<ReadyLayer, Error> {
        if let Some(diff_id) = &diff_id {
            lease.protect(diff_id)?;
            if let Some(ready) = self.usable_layer(diff_id)? {
                return Ok(ready);
            }
        }
        let (form, reason) = self.form();
        let plan = Plan { form, reason, keep_plain: diff_id != Some(*digest) };
        let making = self.make(plan, self.open_blob(digest)?.into(), None)?;
        self.settle(making, &lease.name, digest, diff_id)
    }

    /// The layer of this plain content, if it is ready and certain to be whole.
    ///
    /// # Errors
    /// Those of the database.
    pub fn ready_layer(&self, diff_id: &Digest) -> Result<Option<ReadyLayer>, Error> {
        let found = self
            .connection()
            .query_row(
                "SELECT form, size, entries, index_size, reason, dropped, boot FROM layers WHERE diff_id = ?",
                [diff_id.to_string()],
                |row| {
                    let number = |column| row.get::<_, i64>(column).map(|value| value as u64);
                    let ready = ReadyLayer {
                        diff_id: *diff_id,
                        form: Form::of_name(&row.get::<_, String>(0)?).unwrap_or(Form::Tree),
                        size: number(1)?,
                        entries: number(2)?,
                        index_size: number(3)?,
                        reason: row.get(4)?,
                        dropped: number(5)?,
                    };
                    Ok((ready, row.get::<_, String>(6)?))
                },
            )
            .optional()
            .map_err(doing("look for a layer"))?;
        let Some((ready, boot)) = found else { return Ok(None) };
        let certain = boot.is_empty() || boot == boot_id();
        let lies = match ready.form {
            Form::Erofs => {
                let index = std::fs::metadata(self.layout.index(diff_id)).map(|meta| meta.len()).ok();
                index == Some(ready.index_size) && self.blob_size(diff_id)? == Some(ready.size)
            }
            Form::Tree => self.layout.tree(diff_id).is_dir(),
        };
        Ok((certain && lies).then_some(ready))
    }

    /// The layer of this plain content, if it is ready in a form that this host can mount.
    ///
    /// # Errors
    /// Those of the database.
    pub fn usable_layer(&self, diff_id: &Digest) -> Result<Option<ReadyLayer>, Error> {
        let ready = self.ready_layer(diff_id)?;
        Ok(ready.filter(|ready| {
            ready.form == Form::Tree || self.form().0 == Form::Erofs || crate::mount::support().is_ok()
        }))
    }

    /// The form that layers get here, and why it is not the preferred one.
    pub fn form(&self) -> (Form, String) {
        match (self.options.form, crate::mount::support()) {
            (Some(Form::Tree), _) => (Form::Tree, "asked for".to_owned()),
            (Some(Form::Erofs), _) | (None, Ok(_)) => (Form::Erofs, String::new()),
            (None, Err(reason)) => (Form::Tree, reason),
        }
    }

    /// Starts to make a layer ready. Who is given to compute the digest of its plain archive does so, if it is written.
    fn make(
        &self,
        plan: Plan,
        blob: OwnedFd,
        together: Option<(&Together, Digest)>,
    ) -> Result<Making, Error> {
        let Plan { form, reason, keep_plain } = plan;
        let rootless = !rustix::process::geteuid().is_root();
        let mut request = Request {
            form,
            keep_plain: keep_plain && form == Form::Erofs,
            limits: self.options.limits.clone(),
            rootless,
            // Only their own ids exist for an ordinary user while they unpack.
            single_id: rootless,
            hashed_elsewhere: None,
        };
        let program = &self.options.unpacker;
        match form {
            Form::Erofs => {
                let plain = if request.keep_plain { Some(Incoming::new(&self.layout)?) } else { None };
                let index = Incoming::new(&self.layout)?;
                let (mut tell, mut sum) = (None, None);
                if let (Some(plain), Some((together, diff_id))) = (&plain, together)
                    && diff_id.algorithm() == Algorithm::Sha256
                {
                    let added = together.add(plain.reader()?)?;
                    (tell, sum) = (Some(added.0), Some(added.1));
                    request.hashed_elsewhere = Some(diff_id);
                }
                let mut outputs = Vec::new();
                outputs.extend(plain.as_ref().map(|plain| plain.file().as_fd()));
                outputs.push(index.file().as_fd());
                outputs.extend(tell.as_ref().map(AsFd::as_fd));
                let child = Child::start(program, &request, blob.as_fd(), &outputs)?;
                Ok(Making { child, form, reason, plain, index: Some(index), sum, directory: None })
            }
            Form::Tree => {
                let path = self.layout.tmp().join(format!("tree-{}", random_name()));
                std::fs::create_dir(&path)
                    .map_err(|error| step("unpack the layer", "mkdir", &path, error))?;
                let staged = Staged(path);
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = rustix::fs::open(&staged.0, flags, Mode::empty())
                    .map_err(|errno| step("unpack the layer", "openat", &staged.0, errno))?;
                let child = Child::start(program, &request, blob.as_fd(), &[directory.as_fd()])?;
                Ok(Making {
                    child,
                    form,
                    reason,
                    plain: None,
                    index: None,
                    sum: None,
                    directory: Some(staged),
                })
            }
        }
    }

    /// Waits for a layer to be ready, and puts it into its place.
    fn settle(
        &self,
        making: Making,
        lease: &str,
        digest: &Digest,
        diff_id: Option<Digest>,
    ) -> Result<ReadyLayer, Error> {
        let Making { child, form, reason, plain, index, sum, directory } = making;
        let mut done = match child.finish()? {
            Ok(done) => done,
            Err(Failed::Unindexable(why)) if self.options.form != Some(Form::Erofs) => {
                let plan = Plan { form: Form::Tree, reason: why, keep_plain: false };
                let making = self.make(plan, self.open_blob(digest)?.into(), None)?;
                return self.settle(making, lease, digest, diff_id);
            }
            Err(failed) => {
                return Err(Error::from(failed).during(format!("make the layer {} ready", digest.short())));
            }
        };
        if let Some(sum) = sum {
            done.diff_id = sum.wait()?;
        }
        if let Some(expected) = diff_id
            && expected != done.diff_id
        {
            return Err(Error::DigestMismatch {
                what: format!("the plain content of the layer {}", digest.short()),
                expected: expected.to_string(),
                found: done.diff_id.to_string(),
            });
        }
        // It may be known only now; before it is there, or whoever collects in this moment takes it.
        self.protect(lease, &done.diff_id)?;
        // Another process may have been quicker, and images use what it made.
        if let Some(ready) = self.usable_layer(&done.diff_id)? {
            return Ok(ready);
        }
        let place = self.layout.layer(&done.diff_id);
        match form {
            Form::Erofs => {
                if let Some(plain) = plain
                    && done.diff_id != *digest
                    && self.blob_size(&done.diff_id)?.is_none()
                {
                    // One that is not certain to be whole gives way. It can be made again from the content, which is synced: it need not be.
                    plain.replace(&self.layout, &self.layout.blob(&done.diff_id))?;
                    self.record_blob(&done.diff_id, done.size, false, true)?;
                }
                std::fs::create_dir_all(&place)
                    .map_err(|error| step("keep the layer", "mkdir", &place, error))?;
                if let Some(index) = index {
                    // One of a layer that was damaged gives way.
                    index.replace(&self.layout, &self.layout.index(&done.diff_id))?;
                }
            }
            Form::Tree => {
                if let Some(staged) = directory {
                    self.place_tree(&staged, &done)?;
                }
            }
        }
        // An index is made again after a power cut, and files are not.
        if form == Form::Tree {
            sync_directory(&self.layout.root().join("layers"))?;
        }
        self.record_layer(&done, form, &reason)?;
        Ok(ReadyLayer {
            diff_id: done.diff_id,
            form,
            size: done.size,
            entries: done.entries,
            index_size: done.index_size,
            reason,
            dropped: done.dropped,
        })
    }

    fn place_tree(&self, staged: &Staged, done: &Done) -> Result<(), Error> {
        let place = self.layout.layer(&done.diff_id);
        let failed =
            |call| move |error: io::Error| step("keep the layer", call, &place_of(&done.diff_id), error);
        fn place_of(diff_id: &Digest) -> PathBuf {
            PathBuf::from(format!("layer {}", diff_id.short()))
        }
        // Files are many: one call syncs them all.
        let directory = std::fs::File::open(&staged.0).map_err(failed("open"))?;
        rustix::fs::syncfs(&directory).map_err(|errno| failed("syncfs")(errno.into()))?;
        match std::fs::rename(&staged.0, &place) {
            // An older one, of another form or not certain to be whole, goes in the same moment, and is taken away in the place of this one.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                renameat_with(CWD, &staged.0, CWD, &place, RenameFlags::EXCHANGE)
                    .map_err(|errno| failed("renameat2")(errno.into()))
            }
            outcome => outcome.map_err(failed("rename")),
        }
    }

    fn record_layer(&self, done: &Done, form: Form, reason: &str) -> Result<(), Error> {
        let boot = if form == Form::Tree { String::new() } else { boot_id() };
        super::database::lightly(&mut self.connection(), |connection| {
            connection
                .execute(
                    "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    params![
                        done.diff_id.to_string(),
                        form.name(),
                        done.size as i64,
                        done.entries as i64,
                        done.index_size as i64,
                        done.index_digest.to_string(),
                        reason,
                        done.dropped as i64,
                        boot,
                    ],
                )
                .map(drop)
                .map_err(doing("note a layer"))
        })
    }
}
