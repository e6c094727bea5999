//! Writing images for others: an OCI layout that docker reads too, as an archive or a directory, or docker's older archive.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;

use super::write::{Head, Writer};
use crate::Error;
use crate::digest::Digest;
use crate::manifest::{Descriptor, Manifest};
use crate::media;
use crate::store::{Image, Store};

/// How images are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An archive of an OCI layout, with docker's `manifest.json` in it. All digests stay as they are.
    Oci,
    /// Docker's archive: plain layers, and no manifest. The image's id stays as it is.
    Docker,
    /// An OCI layout as a directory.
    Directory,
}

/// An image to save, with the names that go along.
#[derive(Debug)]
pub struct Saved {
    image: Image,
    names: Vec<String>,
    manifest: Manifest,
    /// The manifest's length in bytes.
    size: u64,
    diff_ids: Vec<Digest>,
}

impl Saved {
    /// Reads what is needed of an image.
    ///
    /// # Errors
    /// What is missing.
    pub fn read(store: &Store, image: Image, names: Vec<String>) -> Result<Self, Error> {
        let manifest = store.read_manifest(&image.manifest)?;
        let diff_ids = store.config(&image)?.rootfs.diff_ids;
        let size = store.read_document(&image.manifest)?.len() as u64;
        Ok(Self { image, names, manifest, size, diff_ids })
    }
}

/// Writes images as an archive.
///
/// # Errors
/// What is missing, or what writing says.
pub fn archive(store: &Store, images: &[Saved], format: Format, out: impl Write) -> Result<(), Error> {
    let failed = |error: io::Error| Error::call("write the archive", "write", error);
    let mut writer = Writer::new(out);
    match format {
        Format::Docker => docker(store, images, &mut writer)?,
        Format::Oci | Format::Directory => {
            writer.file("oci-layout", LAYOUT).map_err(failed)?;
            writer.file("index.json", &index(images)?).map_err(failed)?;
            for digest in blobs(images) {
                let mut file = store.open_blob(&digest)?;
                let size = file.metadata().map_err(failed)?.len();
                let name = format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
                writer
                    .head(&Head { name: name.as_bytes(), kind: b'0', mode: 0o644, size, ..Head::default() })
                    .map_err(failed)?;
                writer.content(&mut file, size).map_err(failed)?;
            }
            writer.file("manifest.json", &docker_list(images, true)?).map_err(failed)?;
        }
    }
    writer.finish().map(drop).map_err(failed)
}

/// Writes images as a layout into a directory, which is made.
///
/// # Errors
/// That it is there and not empty, what is missing, or what the disk says.
pub fn directory(store: &Store, images: &[Saved], path: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| {
        Error::step("write the layout", sys::SyscallError::new("write", path.display().to_string(), error))
    };
    if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::refused(
            report::Kind::AlreadyExists,
            format!("{} is not empty", path.display()),
            "name a new directory",
        ));
    }
    for digest in blobs(images) {
        let at = path.join("blobs").join(digest.algorithm().name());
        std::fs::create_dir_all(&at).map_err(failed)?;
        std::fs::copy(store.layout().blob(&digest), at.join(digest.hex())).map_err(failed)?;
    }
    std::fs::write(path.join("oci-layout"), LAYOUT).map_err(failed)?;
    std::fs::write(path.join("index.json"), index(images)?).map_err(failed)
}

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

fn blobs(images: &[Saved]) -> BTreeSet<Digest> {
    let all = images.iter().flat_map(|saved| {
        let layers = saved.manifest.layers.iter().map(|layer| layer.digest);
        layers.chain([saved.image.manifest, saved.manifest.config.digest])
    });
    all.collect()
}

fn index(images: &[Saved]) -> Result<Vec<u8>, Error> {
    let mut manifests = Vec::new();
    for saved in images {
        let media_type = match saved.image.media_type.as_str() {
            "" => media::OCI_MANIFEST,
            own => own,
        };
        let mut descriptor = Descriptor::new(media_type, saved.image.manifest, saved.size);
        descriptor.platform = Some(saved.image.platform.clone());
        if saved.names.is_empty() {
            manifests.push(descriptor.clone());
        }
        for name in &saved.names {
            let mut named = descriptor.clone();
            named.annotations.insert("io.containerd.image.name".to_owned(), name.clone());
            named.annotations.insert("org.opencontainers.image.ref.name".to_owned(), name.clone());
            manifests.push(named);
        }
    }
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests });
    serde_json::to_vec(&index).map_err(|error| Error::malformed("index.json", error.to_string()))
}

/// `manifest.json`, with the names of the files as each format has them.
fn docker_list(images: &[Saved], oci: bool) -> Result<Vec<u8>, Error> {
    let blob = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
    let list: Vec<_> = images
        .iter()
        .map(|saved| {
            let config = saved.manifest.config.digest;
            let layers: Vec<String> = match oci {
                true => saved.manifest.layers.iter().map(|layer| blob(&layer.digest)).collect(),
                false => saved.diff_ids.iter().map(|diff_id| format!("{}.tar", diff_id.hex())).collect(),
            };
            let config = if oci { blob(&config) } else { format!("{}.json", config.hex()) };
            json!({ "Config": config, "RepoTags": saved.names.iter().map(|name| familiar(name)).collect::<Vec<_>>(), "Layers": layers })
        })
        .collect();
    serde_json::to_vec(&list).map_err(|error| Error::malformed("manifest.json", error.to_string()))
}

/// Docker knows its own names by their short form.
fn familiar(name: &str) -> String {
    crate::reference::Reference::parse(name)
        .map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

fn docker(store: &Store, images: &[Saved], writer: &mut Writer<impl Write>) -> Result<(), Error> {
    let failed = |error: io::Error| Error::call("write the archive", "write", error);
    let mut done: HashMap<Digest, ()> = HashMap::new();
    for saved in images {
        for (layer, diff_id) in saved.manifest.layers.iter().zip(&saved.diff_ids) {
            if done.insert(*diff_id, ()).is_some() {
                continue;
            }
            let ready = store
                .ready_layer(diff_id)?
                .ok_or_else(|| Error::not_found(format!("ready layer {}", diff_id.short())))?;
            let name = format!("{}.tar", diff_id.hex());
            let head =
                Head { name: name.as_bytes(), kind: b'0', mode: 0o644, size: ready.size, ..Head::default() };
            writer.head(&head).map_err(failed)?;
            let mut plain = plain(store, layer, diff_id)?;
            writer.content(&mut plain, ready.size).map_err(failed)?;
        }
        let config = saved.manifest.config.digest;
        if done.insert(config, ()).is_none() {
            writer.file(&format!("{}.json", config.hex()), &store.read_document(&config)?).map_err(failed)?;
        }
    }
    writer.file("manifest.json", &docker_list(images, false)?).map_err(failed)
}

/// The plain archive of a layer: it is there where there is an index over it.
fn plain(store: &Store, layer: &Descriptor, diff_id: &Digest) -> Result<Box<dyn Read>, Error> {
    if store.blob_size(diff_id)?.is_some() {
        return Ok(Box::new(store.open_blob(diff_id)?));
    }
    let mut start = [0; 4];
    let len = store
        .open_blob(&layer.digest)?
        .read(&mut start)
        .map_err(|error| Error::call("read a layer", "read", error))?;
    let file = io::BufReader::with_capacity(256 << 10, store.open_blob(&layer.digest)?);
    Ok(match media::Compression::of_content(&start[..len]) {
        media::Compression::None => Box::new(file),
        media::Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        media::Compression::Zstd => Box::new(
            zstd::stream::read::Decoder::with_buffer(file)
                .map_err(|error| Error::call("inflate a layer", "read", error))?,
        ),
    })
}
