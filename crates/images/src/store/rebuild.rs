//! Making the database anew from what lies in the store.

use std::fs::File;

use rusqlite::params;

use super::database::{self, doing};
use super::layout::{boot_id, read_small};
use super::{Name, PutImage, Store};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::manifest::{self, MAX_DOCUMENT_BYTES};
use crate::{Error, config};

impl Store {
    /// Fills an empty database: every blob whose content has its digest, then every manifest whose parts are all there, then names.
    ///
    /// Layers are made ready again where their index is not certain to be whole.
    ///
    /// # Errors
    /// Those of the database.
    pub fn rebuild(&self) -> Result<(), Error> {
        let lease = self.lease()?;
        let mut manifests = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = self.layout.root().join("blobs").join(algorithm.name());
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some(digest) = Digest::from_hex(algorithm, &name) else { continue };
                let Ok(size) = hashes_to(&entry.path(), &digest) else { continue };
                self.record_blob(&digest, size, true, false)?;
                if size <= MAX_DOCUMENT_BYTES && is_manifest(&entry.path()) {
                    manifests.push(digest);
                }
            }
        }
        for manifest in &manifests {
            // What lacks a part is no image; its blobs are collected with the next prune.
            let _ = self.restore(&lease, manifest);
        }
        let names = std::fs::read_dir(self.layout.root().join("refs")).into_iter().flatten().flatten();
        for entry in names {
            let Ok(bytes) = read_small(&entry.path(), 64 << 10) else { continue };
            let Ok(name) = serde_json::from_slice::<Name>(&bytes) else { continue };
            if self.image(&name.manifest)?.is_some() {
                let mut connection = self.connection();
                let transaction = database::writing(&mut connection)?;
                self.point_row(&transaction, &name)?;
                transaction.commit().map_err(doing("name an image"))?;
            }
        }
        Ok(())
    }

    fn restore(&self, lease: &super::Lease<'_>, manifest: &Digest) -> Result<(), Error> {
        let document = self.read_manifest(manifest)?;
        document.check_is_image()?;
        let config = config::parse(&self.read_document(&document.config.digest)?)?;
        for (layer, diff_id) in document.layers.iter().zip(&config.rootfs.diff_ids) {
            self.prepare_layer(lease, &layer.digest, Some(*diff_id))?;
            if layer.digest != *diff_id {
                self.connection()
                    .execute(
                        "UPDATE blobs SET derived = 1, boot = ? WHERE digest = ?",
                        params![boot_id(), diff_id.to_string()],
                    )
                    .map_err(doing("note content"))?;
            }
        }
        let put = PutImage { manifest: *manifest, target: *manifest, names: &[], action: "rebuild" };
        self.put_image(lease, &put).map(drop)
    }
}

/// The length of a file whose content has this digest.
pub(super) fn hashes_to(path: &std::path::Path, digest: &Digest) -> Result<u64, Error> {
    let file = File::open(path)
        .map_err(|error| super::layout::step("read from the image store", "open", path, error))?;
    let found = hash(&file, digest.algorithm())?;
    if found == *digest {
        let size = file.metadata().map(|meta| meta.len());
        return size.map_err(|error| super::layout::step("read from the image store", "fstat", path, error));
    }
    Err(Error::DigestMismatch {
        what: format!("the stored blob {}", digest.short()),
        expected: digest.to_string(),
        found: found.to_string(),
    })
}

/// The digest of a file's content, whatever its position.
pub(super) fn hash(file: &File, algorithm: Algorithm) -> Result<Digest, Error> {
    use std::os::unix::fs::FileExt as _;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::call("read from the image store", "pread", error)),
        }
    }
}

fn is_manifest(path: &std::path::Path) -> bool {
    let Ok(bytes) = read_small(path, MAX_DOCUMENT_BYTES) else { return false };
    bytes.first() == Some(&b'{') && matches!(manifest::parse(&bytes, ""), Ok(manifest::Document::Manifest(_)))
}
