//! Taking what others wrote: an OCI layout, as a directory or an archive, or docker's archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::config;
use crate::digest::{Algorithm, Digest};
use crate::layer::inflate;
use crate::layer::tar::{Archive, Kind};
use crate::layer::{Bad, Limits, show};
use crate::manifest::{self, Descriptor, Document, Index, MAX_DOCUMENT_BYTES, Manifest};
use crate::media::{self, Compression, Media};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Image, Lease, PutImage, Store};

/// The most entries of an archive of images.
const MAX_ENTRIES: usize = 20_000;
/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// What it is called in the file.
    pub names: Vec<Reference>,
}

/// Takes all images of an archive or of a layout. `names` replaces the names in it, where it has one image.
///
/// # Errors
/// What is wrong with it. No image is there then that was not before.
pub fn load(
    store: &Store,
    path: &Path,
    names: &[Reference],
    platform: &Platform,
    watch: &mut dyn FnMut(&str),
) -> Result<Vec<Loaded>, Error> {
    let failed = |call| {
        move |error: std::io::Error| {
            Error::step("load images", sys::SyscallError::new(call, path.display().to_string(), error))
        }
    };
    let lease = store.lease()?;
    let mut found = Found::default();
    if path.as_os_str() == "-" {
        read_archive(store, &lease, std::io::stdin(), &mut found)?;
    } else if path.is_dir() {
        read_layout(store, &lease, path, &mut found)?;
    } else {
        read_archive(store, &lease, File::open(path).map_err(failed("open"))?, &mut found)?;
    }
    let images = found.images(store, &lease)?;
    if images.is_empty() {
        return Err(Error::malformed(
            path.display().to_string(),
            "there is no image in it: neither `index.json` (OCI) nor `manifest.json` (docker)",
        ));
    }
    let mut loaded = Vec::new();
    let single = images.len() == 1;
    for (descriptor, own) in images {
        let target = descriptor.digest;
        let chosen = choose(store, &descriptor, platform, 0)?;
        let document = store.read_manifest(&chosen.digest)?;
        document.check_is_image()?;
        let config = config::parse(&store.read_document(&document.config.digest)?)?;
        ready(store, &lease, &document, &config.rootfs.diff_ids, watch)?;
        let names = if single && !names.is_empty() { names.to_vec() } else { own };
        let put = PutImage { manifest: chosen.digest, target, names: &names, action: "load" };
        loaded.push(Loaded { image: store.put_image(&lease, &put)?, names });
    }
    drop(lease);
    // Whatever the file had besides its images.
    store.prune(crate::store::What::Leftovers)?;
    Ok(loaded)
}

/// Makes layers ready, two at a time.
///
/// # Errors
/// The first failure.
pub fn ready(
    store: &Store,
    lease: &Lease<'_>,
    document: &Manifest,
    diff_ids: &[Digest],
    watch: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    if document.layers.len() != diff_ids.len() {
        return Err(Error::malformed(
            "the image",
            format!(
                "its manifest has {} layers, and its configuration {}",
                document.layers.len(),
                diff_ids.len()
            ),
        ));
    }
    let mut seen = std::collections::HashSet::new();
    let work: Vec<(&Descriptor, Digest)> = document
        .layers
        .iter()
        .zip(diff_ids.iter().copied())
        .filter(|(_, diff_id)| seen.insert(*diff_id))
        .collect();
    for (layer, _) in &work {
        if !store.has_blob(lease, &layer.digest)? {
            return Err(Error::malformed(
                "the image",
                format!("its layer {} is missing", layer.digest.short()),
            ));
        }
        watch(&format!("unpacking {}", layer.digest.short()));
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let worker = || -> Result<(), Error> {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some((layer, diff_id)) = work.get(number) else { return Ok(()) };
                store.prepare_layer(lease, &layer.digest, Some(*diff_id))?;
            }
        };
        let other = scope.spawn(worker);
        let own = worker();
        let theirs = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        own.and(theirs)
    })
}

/// What an archive or a layout holds.
#[derive(Default)]
struct Found {
    index: Option<Vec<u8>>,
    docker: Option<Vec<u8>>,
    /// Files that are no blobs of OCI, and where links lead: by their names.
    files: HashMap<Vec<u8>, Descriptor>,
    links: HashMap<Vec<u8>, Vec<u8>>,
}

/// An entry of docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Found {
    /// The images: what to choose from, and names.
    fn images(&self, store: &Store, lease: &Lease<'_>) -> Result<Vec<(Descriptor, Vec<Reference>)>, Error> {
        if let Some(bytes) = &self.index {
            let Document::Index(index) = manifest::parse(bytes, media::OCI_INDEX)? else {
                return Err(Error::malformed("index.json", "it is no index"));
            };
            return Ok(named(*index));
        }
        let Some(bytes) = &self.docker else { return Ok(Vec::new()) };
        let list: Vec<DockerImage> = serde_json::from_slice(bytes)
            .map_err(|error| Error::malformed("manifest.json", error.to_string()))?;
        if list.len() > manifest::MAX_MANIFESTS {
            return Err(Error::malformed("manifest.json", "it lists too many images"));
        }
        list.iter().map(|image| self.of_docker(store, lease, image)).collect()
    }

    /// Docker's archive has no manifest of the image's own: one is written that has the same configuration, and so the same id.
    fn of_docker(
        &self,
        store: &Store,
        lease: &Lease<'_>,
        image: &DockerImage,
    ) -> Result<(Descriptor, Vec<Reference>), Error> {
        let config = self.file(&image.config)?;
        let layers = image.layers.iter().flatten().map(|name| {
            let blob = self.file(name)?;
            let media_type = manifest::layer_media_type(compression(store, &blob.digest)?);
            Ok(Descriptor::new(media_type, blob.digest, blob.size))
        });
        let document = Manifest {
            schema_version: 2,
            media_type: media::OCI_MANIFEST.to_owned(),
            artifact_type: String::new(),
            config: Descriptor::new(media::OCI_CONFIG, config.digest, config.size),
            layers: layers.collect::<Result<_, Error>>()?,
            subject: None,
            annotations: Default::default(),
        };
        let bytes = serde_json::to_vec(&document)
            .map_err(|error| Error::malformed("the manifest", error.to_string()))?;
        let descriptor = store.put_blob(lease, media::OCI_MANIFEST, &bytes)?;
        let names = image.repo_tags.iter().flatten().map(|name| Reference::parse(name));
        Ok((descriptor, names.collect::<Result<_, _>>()?))
    }

    /// A file by its name, over links within the archive.
    fn file(&self, name: &str) -> Result<&Descriptor, Error> {
        let mut name = clean(name.as_bytes());
        for _ in 0..8 {
            if let Some(found) = self.files.get(&name) {
                return Ok(found);
            }
            match self.links.get(&name) {
                Some(target) => name = target.clone(),
                None => break,
            }
        }
        Err(Error::malformed("the archive", format!("`{}` is missing in it", show(&name))))
    }
}

/// What the entries of an index are called, in the words of OCI and of containerd.
fn named(index: Index) -> Vec<(Descriptor, Vec<Reference>)> {
    let known = |descriptor: &Descriptor| matches!(descriptor.media(), Media::Manifest | Media::Index);
    let images = index.manifests.into_iter().filter(known);
    let mut found: Vec<(Descriptor, Vec<Reference>)> = Vec::new();
    for descriptor in images {
        let full = descriptor.annotations.get("io.containerd.image.name");
        let short = descriptor.annotations.get("org.opencontainers.image.ref.name");
        // A tag alone names nothing that could be looked up.
        let name = full
            .or(short.filter(|name| name.contains(['/', ':'])))
            .and_then(|name| Reference::parse(name).ok());
        match found.iter_mut().find(|(known, _)| known.digest == descriptor.digest) {
            Some((_, names)) => names.extend(name),
            None => found.push((descriptor, name.into_iter().collect())),
        }
    }
    found
}

/// The manifest for this platform, through indexes that are there.
fn choose(
    store: &Store,
    descriptor: &Descriptor,
    platform: &Platform,
    depth: usize,
) -> Result<Descriptor, Error> {
    let bytes = store.read_document(&descriptor.digest)?;
    match manifest::parse(&bytes, &descriptor.media_type)? {
        Document::Manifest(_) => Ok(descriptor.clone()),
        Document::Index(_) if depth == MAX_DEPTH => {
            Err(Error::malformed("the index", "it lies in too many other ones"))
        }
        Document::Index(index) => match index.choose(platform) {
            Some(chosen) => choose(store, chosen, platform, depth + 1),
            None => match index.manifests.iter().find(|inner| inner.media() == Media::Index) {
                Some(inner) => choose(store, inner, platform, depth + 1),
                None => Err(Error::not_found(format!("image for {platform} in the index"))),
            },
        },
    }
}

fn compression(store: &Store, digest: &Digest) -> Result<Compression, Error> {
    let mut start = [0; 4];
    let mut file = store.open_blob(digest)?;
    let len = file.read(&mut start).map_err(|error| Error::call("read a layer", "read", error))?;
    Ok(Compression::of_content(&start[..len]))
}

/// A name without `./` and the like; `..` stays and finds nothing.
fn clean(name: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

/// Where a link within an archive leads.
fn resolve(from: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = from.split(|byte| *byte == b'/').collect();
    parts.pop();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// The digest that the name of a blob in a layout says.
fn blob_name(name: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(name).ok()?;
    let (algorithm, hex) = text.strip_prefix("blobs/")?.split_once('/')?;
    let algorithm = match algorithm {
        "sha256" => Algorithm::Sha256,
        "sha512" => Algorithm::Sha512,
        _ => return None,
    };
    Digest::from_hex(algorithm, hex)
}

fn read_archive(
    store: &Store,
    lease: &Lease<'_>,
    source: impl Read + Send,
    found: &mut Found,
) -> Result<(), Error> {
    let limits = Limits { layer_bytes: u64::MAX, ..store.options().limits.clone() };
    let bad = |bad: Bad| match bad {
        Bad::Io { doing, cause } if cause.raw_os_error().is_some() => Error::call(doing, "read", cause),
        bad => Error::malformed("the archive", bad.to_string()),
    };
    let mut source = BufReader::with_capacity(256 << 10, source);
    let start = source.fill_buf().map_err(|error| Error::call("read the archive", "read", error))?;
    if Compression::of_content(start) == Compression::None {
        return read_entries(store, lease, Archive::new(source), found).map_err(|error| error.map_bad(bad));
    }
    std::thread::scope(|scope| {
        let plain = inflate::start(scope, source, &limits, |_| Ok(()));
        read_entries(store, lease, Archive::new(plain), found).map_err(|error| error.map_bad(bad))
    })
}

/// An error of the archive, or of the store.
enum Either {
    Bad(Bad),
    Other(Error),
}

impl Either {
    fn map_bad(self, with: impl FnOnce(Bad) -> Error) -> Error {
        match self {
            Self::Bad(bad) => with(bad),
            Self::Other(error) => error,
        }
    }
}

impl From<Bad> for Either {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<Error> for Either {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn read_entries<R: BufRead>(
    store: &Store,
    lease: &Lease<'_>,
    mut archive: Archive<R>,
    found: &mut Found,
) -> Result<(), Either> {
    let mut count = 0;
    while let Some(entry) = archive.next()? {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(Error::malformed("the archive", "it has too many entries").into());
        }
        let name = clean(&entry.path);
        match entry.kind {
            Kind::SymLink(target) => {
                let target = resolve(&name, &target);
                found.links.insert(name, target);
            }
            Kind::HardLink(target) => {
                found.links.insert(name, clean(&target));
            }
            Kind::File => {
                let mut content = |buffer: &mut [u8]| archive.content(buffer).map_err(Either::from);
                take(store, lease, found, name, entry.size, &mut content)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes a file: a blob, a document that tells what there is, or something that one of these may name.
fn take(
    store: &Store,
    lease: &Lease<'_>,
    found: &mut Found,
    name: Vec<u8>,
    size: u64,
    content: &mut dyn FnMut(&mut [u8]) -> Result<usize, Either>,
) -> Result<(), Either> {
    let mut small = |what: &str| -> Result<Vec<u8>, Either> {
        if size > MAX_DOCUMENT_BYTES {
            let limit = format!("{MAX_DOCUMENT_BYTES} bytes");
            return Err(Error::Limit { what: what.to_owned(), limit, flag: None }.into());
        }
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += content(&mut bytes[filled..])?;
        }
        Ok(bytes)
    };
    match name.as_slice() {
        b"index.json" => found.index = Some(small("index.json")?),
        b"manifest.json" => found.docker = Some(small("manifest.json")?),
        b"oci-layout" | b"repositories" => {}
        _ => {
            let mut buffer = vec![0; 256 << 10];
            let announced = blob_name(&name);
            let mut writer = store.write_unnamed(lease, size)?;
            loop {
                match content(&mut buffer)? {
                    0 => break,
                    count => writer.push(&buffer[..count])?,
                }
            }
            let descriptor = writer.finish_as(lease, announced.as_ref())?;
            found.files.insert(name, descriptor);
        }
    }
    Ok(())
}

fn read_layout(store: &Store, lease: &Lease<'_>, path: &Path, found: &mut Found) -> Result<(), Error> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::step("load images", sys::SyscallError::new("open", path.display().to_string(), error))
    };
    let index = path.join("index.json");
    found.index = Some(crate::store::layout::read_small(&index, MAX_DOCUMENT_BYTES)?);
    for algorithm in ["sha256", "sha512"] {
        let directory = path.join("blobs").join(algorithm);
        for entry in std::fs::read_dir(&directory).into_iter().flatten() {
            let entry = entry.map_err(|error| failed(&directory, error))?;
            let name = format!("blobs/{algorithm}/{}", entry.file_name().to_string_lossy());
            let Some(digest) = blob_name(name.as_bytes()) else { continue };
            if store.has_blob(lease, &digest)? {
                continue;
            }
            let mut file = File::open(entry.path()).map_err(|error| failed(&entry.path(), error))?;
            let size = file.metadata().map_err(|error| failed(&entry.path(), error))?.len();
            let mut content = |buffer: &mut [u8]| {
                file.read(buffer).map_err(|error| Either::Other(failed(&entry.path(), error)))
            };
            take(store, lease, found, name.into_bytes(), size, &mut content)
                .map_err(|error| error.map_bad(|bad| Error::malformed("the layout", bad.to_string())))?;
        }
    }
    Ok(())
}
