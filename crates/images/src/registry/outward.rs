//! From the store to a registry.
//!
//! [`Push::image`] brings an image there: its layers in parallel, then its configuration, its manifest, and last what the name stands for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::client::Client;
use super::conf::{Conf, Endpoint};
use super::error::RegistryError;
use super::progress::{Event, Watcher};
use super::push::{Arrived, Outgoing};
use crate::Error;
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Document};
use crate::reference::{Reference, Repository};
use crate::store::Store;

/// An image on its way to a registry.
pub struct Push<'a> {
    /// The registries.
    pub client: &'a Client,
    /// registries.conf.
    pub conf: &'a Conf,
    /// Where the image is.
    pub store: &'a Store,
    /// `--tls-verify`.
    pub verify: Option<bool>,
    /// Repositories of the same registry that are likely to have a blob.
    pub elsewhere: &'a HashMap<Digest, Vec<Repository>>,
    /// How many layers go at the same time.
    pub jobs: usize,
    /// Told what happens.
    pub watcher: &'a dyn Watcher,
}

/// The repositories at the registry of `destination` that have blobs of `manifest`, as far as the names in the store tell.
///
/// # Errors
/// Those of the store.
pub fn neighbours(
    store: &Store,
    manifest: &Digest,
    destination: &Reference,
) -> Result<HashMap<Digest, Vec<Repository>>, Error> {
    let blobs = |manifest: &Digest| -> Result<HashSet<Digest>, Error> {
        let document = store.read_manifest(manifest)?;
        Ok(document.layers.iter().chain([&document.config]).map(|blob| blob.digest).collect())
    };
    let own = blobs(manifest)?;
    let mut found: HashMap<Digest, Vec<Repository>> = HashMap::new();
    for name in store.names()? {
        let Ok(reference) = Reference::parse(&name.name) else { continue };
        if reference.host() != destination.host() || reference.path() == destination.path() {
            continue;
        }
        for digest in blobs(&name.manifest).unwrap_or_default().intersection(&own) {
            let list = found.entry(*digest).or_default();
            if !list.contains(reference.path()) {
                list.push(reference.path().clone());
            }
        }
    }
    Ok(found)
}

impl Push<'_> {
    /// Brings the manifest or index `top` to `destination`, with all that it names and the store has.
    ///
    /// # Errors
    /// What the registry or the store says. What the registry had under this name stays until everything is there.
    pub fn image(&self, top: &Digest, destination: &Reference) -> Result<Digest, Error> {
        self.watcher.event(Event::Asking { name: destination });
        let during = |error: Error| error.during(format!("push {destination}"));
        let endpoint = self.conf.push_endpoint(destination, self.verify).map_err(RegistryError::from)?;
        let bytes = self.store.read_document(top)?;
        match manifest::parse(&bytes, "").map_err(during)? {
            Document::Manifest(_) => {
                self.manifest(&endpoint, *top, &bytes, Some(&destination.version())).map_err(during)?;
                Ok(*top)
            }
            Document::Index(index) => {
                let here =
                    |one: &&Descriptor| self.store.blob_size(&one.digest).is_ok_and(|size| size.is_some());
                let (present, absent): (Vec<_>, Vec<_>) = index.manifests.iter().partition(here);
                // Part of an index is not the index: a registry refuses it, and a name that stands for less than it says misleads.
                for one in absent {
                    if !self.client.has_manifest(&endpoint, &one.digest)? {
                        let which =
                            one.platform.as_ref().map_or_else(|| one.digest.to_string(), ToString::to_string);
                        return Err(during(Error::refused(
                            report::Kind::StateConflict,
                            format!("of this image for several machines, that for {which} is not here"),
                            "without --all, that for this machine is pushed alone",
                        )));
                    }
                }
                for one in &present {
                    let bytes = self.store.read_document(&one.digest)?;
                    self.manifest(&endpoint, one.digest, &bytes, None).map_err(during)?;
                }
                let media_type = media_type_of(&bytes, crate::media::OCI_INDEX);
                self.client.put_manifest(&endpoint, &destination.version(), &media_type, &bytes, top)?;
                Ok(*top)
            }
        }
    }

    /// A manifest with its layers; named by its digest if it gets no other name.
    fn manifest(
        &self,
        endpoint: &Endpoint,
        digest: Digest,
        bytes: &[u8],
        version: Option<&str>,
    ) -> Result<(), Error> {
        let Document::Manifest(found) = manifest::parse(bytes, "")? else {
            return Err(Error::malformed("the index", "it lists an index"));
        };
        self.watcher.event(Event::Found {
            digest,
            layers: found.layers.iter().map(|layer| (layer.digest, layer.size)).collect(),
        });
        let mut seen = HashSet::new();
        let mut blobs: Vec<&Descriptor> =
            found.layers.iter().chain([&found.config]).filter(|blob| seen.insert(blob.digest)).collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        thread::scope(|scope| {
            let work = || {
                while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = self.blob(endpoint, blob) {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        next.store(blobs.len(), Ordering::Relaxed);
                        self.client.stop();
                        return;
                    }
                }
            };
            for _ in 1..self.jobs.clamp(1, blobs.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let media_type = media_type_of(bytes, crate::media::OCI_MANIFEST);
        let own = digest.to_string();
        self.client.put_manifest(endpoint, version.unwrap_or(&own), &media_type, bytes, &digest)?;
        Ok(())
    }

    fn blob(&self, endpoint: &Endpoint, blob: &Descriptor) -> Result<(), Error> {
        let digest = blob.digest;
        let source = self.store.open_blob(&digest)?;
        self.watcher.event(Event::Started { digest });
        let told = Mutex::new(Instant::now());
        let progress = |bytes: u64| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() >= super::pull::PACE {
                *told = Instant::now();
                self.watcher.event(Event::Moved { digest, bytes });
            }
        };
        let elsewhere = self.elsewhere.get(&digest).map_or(&[][..], Vec::as_slice);
        let outgoing = Outgoing { digest, size: blob.size, source: &source, elsewhere, progress: &progress };
        match self.client.upload(endpoint, &outgoing)? {
            Arrived::Existed | Arrived::Mounted(_) => self.watcher.event(Event::There { digest }),
            Arrived::Uploaded => self.watcher.event(Event::Done { digest }),
        }
        Ok(())
    }
}

/// What a document says that it is, or `usual`.
fn media_type_of(bytes: &[u8], usual: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let said = serde_json::from_slice::<Typed>(bytes).ok().and_then(|typed| typed.media_type);
    said.filter(|text| !text.is_empty()).unwrap_or_else(|| usual.to_owned())
}
