//! Proving that the store is whole, and mending it.

use rusqlite::params;

use super::database::doing;
use super::rebuild::hashes_to;
use super::{Image, Store};
use crate::digest::Digest;
use crate::layer::Form;
use crate::{Error, config};

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The image, by a name or its id.
    pub image: String,
    /// What is wrong.
    pub problem: String,
    /// Whether it was mended.
    pub mended: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many images were looked at.
    pub images: usize,
    /// How many blobs and layers were compared with their digests.
    pub compared: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong, or all that was is mended.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.mended)
    }
}

impl Store {
    /// Compares everything that images consist of with its digest. With `repair`, what can be made again is; what cannot is put aside, so
    /// that the next pull fetches it, and the images that need it are absent until then.
    ///
    /// # Errors
    /// Those of the database.
    pub fn verify(&self, images: &[Image], repair: bool) -> Result<Report, Error> {
        let mut report = Report { images: images.len(), ..Report::default() };
        for image in images {
            let name = image.names.first().cloned().unwrap_or_else(|| image.config.short());
            self.verify_image(image, &name, repair, &mut report)?;
        }
        Ok(report)
    }

    fn verify_image(
        &self,
        image: &Image,
        name: &str,
        repair: bool,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut findings = Vec::new();
        let mut compared = 0;
        // Documents and layers as they came cannot be made again.
        let mut lost = Vec::new();
        let mut content = |digest: &Digest| match hashes_to(&self.layout.blob(digest), digest) {
            Ok(_) => true,
            Err(error) => {
                lost.push(*digest);
                findings.push(Finding {
                    image: name.to_owned(),
                    problem: report::one_line(&error),
                    mended: false,
                });
                false
            }
        };
        compared += 2;
        let documents = content(&image.manifest) & content(&image.config);
        if documents {
            let document = self.read_manifest(&image.manifest)?;
            let config = config::parse(&self.read_document(&image.config)?)?;
            for (layer, diff_id) in document.layers.iter().zip(&config.rootfs.diff_ids) {
                compared += 1;
                if !content(&layer.digest) {
                    continue;
                }
                compared += 1;
                if let Err(problem) = self.verify_layer(diff_id) {
                    let mended = repair && self.make_again(&layer.digest, diff_id).is_ok();
                    report.findings.push(Finding { image: name.to_owned(), problem, mended });
                }
            }
        }
        report.compared += compared;
        report.findings.extend(findings);
        if repair && !lost.is_empty() {
            self.put_aside(&lost)?;
        }
        Ok(())
    }

    /// Compares a layer that is ready with its digests.
    fn verify_layer(&self, diff_id: &Digest) -> Result<(), String> {
        let said = |error: Error| report::one_line(&error);
        let what = format!("the layer {}", diff_id.short());
        let row: Option<(String, String)> = {
            use rusqlite::OptionalExtension as _;
            self.connection()
                .query_row(
                    "SELECT form, index_digest FROM layers WHERE diff_id = ?",
                    [diff_id.to_string()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
                .map_err(|cause| said(super::database::failed("look for a layer", cause)))?
        };
        let Some((form, index)) = row else { return Err(format!("{what} is not ready")) };
        match Form::of_name(&form) {
            Some(Form::Erofs) => {
                hashes_to(&self.layout.blob(diff_id), diff_id).map_err(said)?;
                let digest = Digest::parse(&index).map_err(said)?;
                hashes_to(&self.layout.index(diff_id), &digest)
                    .map_err(|error| format!("the index of {what}: {}", said(error)))?;
            }
            _ => {
                if !self.layout.tree(diff_id).is_dir() {
                    return Err(format!("the files of {what} are gone"));
                }
            }
        }
        if self.ready_layer(diff_id).map_err(said)?.is_none() {
            return Err(format!("{what} is not certain to be whole after the machine's last stop"));
        }
        Ok(())
    }

    /// Makes a layer ready again from its content.
    fn make_again(&self, digest: &Digest, diff_id: &Digest) -> Result<(), Error> {
        let lease = self.lease()?;
        lease.protect_all([digest, diff_id])?;
        let _ = self.unmount_layer(diff_id);
        self.connection()
            .execute("DELETE FROM layers WHERE diff_id = ?", [diff_id.to_string()])
            .map_err(doing("forget a layer"))?;
        if digest != diff_id {
            let _ = std::fs::remove_file(self.layout.blob(diff_id));
        }
        self.prepare_layer(&lease, digest, Some(*diff_id)).map(drop)
    }

    /// Takes damaged content out of the way. Images that need it are not listed any more; their names stay in `refs`.
    fn put_aside(&self, lost: &[Digest]) -> Result<(), Error> {
        for digest in lost {
            let _ = std::fs::remove_file(self.layout.blob(digest));
            let connection = self.connection();
            for sql in [
                "DELETE FROM blobs WHERE digest = ?1",
                "DELETE FROM names WHERE manifest IN (SELECT manifest FROM image_needs WHERE digest = ?1)",
                "DELETE FROM images WHERE manifest IN (SELECT manifest FROM image_needs WHERE digest = ?1)",
            ] {
                connection.execute(sql, params![digest.to_string()]).map_err(doing("put content aside"))?;
            }
        }
        Ok(())
    }
}
