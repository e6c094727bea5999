//! From a registry into the store.
//!
//! [`Pull::named`] takes what people type and [`Pull::reference`] a full name; start there. The manifest decides; layers come in parallel, the
//! largest first, each at most once, and are given to the store as they arrive, which hashes them and makes them ready meanwhile. The image gets
//! its name when everything is there.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::blob::Blob;
use super::client::{Client, Fetched};
use super::conf::{Conf, Endpoint};
use super::error::RegistryError;
use super::progress::{Event, Watcher};
use super::short::{self, Candidates, Lock, Source};
use crate::digest::Digest;
use crate::digest::together::Together;
use crate::manifest::{self, Descriptor, Document, Index, Manifest};
use crate::platform::Platform;
use crate::reference::{Name, Reference};
use crate::store::{Lease, PutImage, Store};
use crate::{Error, config};

/// How many layers come at the same time, if nobody says otherwise.
pub const JOBS: usize = 4;
/// The file below the store's directory that keeps which registries short names are of.
pub const LOCK_FILE: &str = "short-names.toml";
/// How much is passed on at once.
const PIECE: usize = 256 << 10;
/// How often somebody who watches a layer is told of it.
pub(super) const PACE: Duration = Duration::from_millis(100);
/// The largest configuration of an image.
const MAX_CONFIG: u64 = crate::manifest::MAX_DOCUMENT_BYTES;

/// Images on their way into a store.
pub struct Pull<'a> {
    /// The registries.
    pub client: &'a Client,
    /// registries.conf.
    pub conf: &'a Conf,
    /// Where images go.
    pub store: &'a Store,
    /// `--tls-verify`.
    pub verify: Option<bool>,
    /// The machine that the image is for.
    pub platform: Platform,
    /// How many layers come at the same time.
    pub jobs: usize,
    /// Told what happens.
    pub watcher: &'a dyn Watcher,
}

/// An image that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its full name.
    pub name: Reference,
    /// The digest of what the name stands for: a manifest, or an index.
    pub digest: Digest,
    /// The digest of the manifest for this platform.
    pub manifest: Digest,
    /// The digest of its configuration, which docker calls the image's id.
    pub id: Digest,
}

/// Somebody who can say which of several images is meant; `None` if there is nobody.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &[Reference]) -> Option<usize>;

impl Pull<'_> {
    /// Fetches what a name means. `ask` is asked if it could be of several registries.
    ///
    /// # Errors
    /// What is wrong with the name, the registry, or the image. The store is as before, but for content that is collected later.
    pub fn named(&self, name: &Name, ask: Ask<'_>) -> Result<Pulled, Error> {
        let short = match name {
            Name::Full(reference) => return self.reference(&reference.clone().tagged()),
            Name::Short(short) => short,
        };
        let lock = Lock::new(self.store.layout().root().join(LOCK_FILE));
        let locked = lock.get(short).map_err(RegistryError::from)?;
        let mut candidates = short::candidates(short, self.conf, locked).map_err(RegistryError::from)?;
        if let Candidates::Ask(list) = candidates {
            candidates = match ask(&short.to_string(), &list) {
                Some(chosen) => Candidates::FirstOf(list.into_iter().nth(chosen).into_iter().collect()),
                None => short::without_a_terminal(short, self.conf, list).map_err(RegistryError::from)?,
            };
        }
        let (list, keep) = match candidates {
            Candidates::One(reference, source) => (vec![reference], source == Source::OnlyOne),
            Candidates::FirstOf(list) | Candidates::Ask(list) => (list, true),
        };
        let mut missing = None;
        for reference in list {
            match self.reference(&reference.clone().tagged()) {
                Ok(pulled) => {
                    if keep {
                        lock.keep(short, &reference).map_err(RegistryError::from)?;
                    }
                    return Ok(pulled);
                }
                // Only a registry that says that it does not have it is passed over: one that is out of reach might have it, and then the
                // name would go to whoever comes next.
                Err(Error::Registry(error)) if error.is_missing() => missing = Some(error),
                Err(other) => return Err(other),
            }
        }
        Err(match missing {
            Some(error) => Error::Registry(error),
            None => Error::not_found(format!("registry for `{short}`")),
        })
    }

    /// The digest that the registry has for a name now.
    ///
    /// # Errors
    /// The registry cannot be asked, or does not have it.
    pub fn current(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let endpoints = self.conf.endpoints(reference, self.verify).map_err(RegistryError::from)?;
        self.first(&endpoints, |endpoint| self.client.manifest_digest(endpoint, &reference.version()))
    }

    /// Fetches an image.
    ///
    /// # Errors
    /// As [`Pull::named`].
    pub fn reference(&self, reference: &Reference) -> Result<Pulled, Error> {
        self.watcher.event(Event::Asking { name: reference });
        let endpoints = self.conf.endpoints(reference, self.verify).map_err(RegistryError::from)?;
        let top = self.first(&endpoints, |endpoint| self.client.manifest(endpoint, &reference.version()))?;
        let during = |error: Error| error.during(format!("pull {reference}"));
        let lease = self.store.lease()?;
        match manifest::parse(&top.bytes, &top.media_type).map_err(during)? {
            Document::Manifest(found) => {
                self.image(&lease, reference, &endpoints, &top, &found, &top).map_err(during)
            }
            Document::Index(index) => {
                let chosen = self.choose(reference, &index)?;
                let bytes = self.first(&endpoints, |endpoint| {
                    self.client.manifest(endpoint, &chosen.digest.to_string())
                })?;
                if bytes.bytes.len() as u64 != chosen.size {
                    return Err(during(Error::SizeMismatch {
                        what: "the manifest".to_owned(),
                        expected: chosen.size,
                        found: bytes.bytes.len() as u64,
                    }));
                }
                // What a descriptor says goes before what a server says, and an index in an index is no image.
                match manifest::parse(&bytes.bytes, &chosen.media_type).map_err(during)? {
                    Document::Manifest(found) => {
                        self.image(&lease, reference, &endpoints, &top, &found, &bytes).map_err(during)
                    }
                    Document::Index(_) => Err(during(Error::malformed(
                        "the index",
                        "it lists an index and no manifest for this platform",
                    ))),
                }
            }
        }
    }

    fn choose<'i>(&self, reference: &Reference, index: &'i Index) -> Result<&'i Descriptor, Error> {
        index.choose(&self.platform).ok_or_else(|| {
            let mut offered: Vec<String> = index
                .manifests
                .iter()
                .filter_map(|one| one.platform.as_ref())
                .map(ToString::to_string)
                .collect();
            offered.retain(|platform| !platform.starts_with("unknown/"));
            offered.dedup();
            Error::NotFound {
                what: format!("image {reference} for {}", self.platform),
                hint: Some(format!("it is for {}; --platform chooses", offered.join(", "))),
            }
        })
    }

    fn image(
        &self,
        lease: &Lease<'_>,
        reference: &Reference,
        endpoints: &[Endpoint],
        top: &Fetched,
        found: &Manifest,
        bytes: &Fetched,
    ) -> Result<Pulled, Error> {
        found.check_is_image()?;
        self.watcher.event(Event::Found {
            digest: top.digest,
            layers: found.layers.iter().map(|layer| (layer.digest, layer.size)).collect(),
        });
        lease.protect_all(found.layers.iter().map(|layer| &layer.digest).chain([&found.config.digest]))?;
        let configuration = self.configuration(lease, endpoints, &found.config)?;
        let diff_ids = &configuration.rootfs.diff_ids;
        if diff_ids.len() != found.layers.len() {
            return Err(Error::malformed(
                "the image",
                format!(
                    "its manifest has {} layers, its configuration {}",
                    found.layers.len(),
                    diff_ids.len()
                ),
            ));
        }
        self.layers(lease, endpoints, &found.layers, diff_ids)?;
        for document in [top, bytes] {
            self.keep(lease, document)?;
        }
        let names = [reference.clone()];
        self.store.put_image(
            lease,
            &PutImage { manifest: bytes.digest, target: top.digest, names: &names, action: "pull" },
        )?;
        Ok(Pulled {
            name: reference.clone(),
            digest: top.digest,
            manifest: bytes.digest,
            id: found.config.digest,
        })
    }

    /// Keeps a document as it came.
    fn keep(&self, lease: &Lease<'_>, document: &Fetched) -> Result<(), Error> {
        if !self.store.has_blob(lease, &document.digest)? {
            let announced =
                Descriptor::new(&document.media_type, document.digest, document.bytes.len() as u64);
            let mut writer = self.store.write_blob(lease, &announced)?;
            writer.push(&document.bytes)?;
            writer.finish()?;
        }
        Ok(())
    }

    fn configuration(
        &self,
        lease: &Lease<'_>,
        endpoints: &[Endpoint],
        announced: &Descriptor,
    ) -> Result<config::ImageConfig, Error> {
        if announced.size > MAX_CONFIG {
            return Err(Error::Limit {
                what: format!("a configuration of {} bytes", announced.size),
                limit: format!("{MAX_CONFIG} bytes"),
                flag: None,
            });
        }
        if self.store.has_blob(lease, &announced.digest)? {
            return config::parse(&self.store.read_document(&announced.digest)?);
        }
        let bytes = self.client.small_blob(endpoints, &announced.digest, announced.size)?;
        let parsed = config::parse(&bytes)?;
        let mut writer = self.store.write_blob(lease, announced)?;
        writer.push(&bytes)?;
        writer.finish()?;
        Ok(parsed)
    }

    /// Brings the layers in. The first failure ends all transfers.
    fn layers(
        &self,
        lease: &Lease<'_>,
        endpoints: &[Endpoint],
        layers: &[Descriptor],
        diff_ids: &[Digest],
    ) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut wanted: Vec<(&Descriptor, &Digest)> =
            layers.iter().zip(diff_ids).filter(|(layer, _)| seen.insert(layer.digest)).collect();
        // A large one that began last would be waited for alone.
        wanted.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.size));
        // One layer has two digests, which pass by two threads anyway.
        let together = if wanted.len() > 1 { Together::start() } else { None };
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        thread::scope(|scope| {
            let work = || {
                while let Some((layer, diff_id)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = self.layer(lease, endpoints, layer, diff_id, together.as_ref()) {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        next.store(wanted.len(), Ordering::Relaxed);
                        self.client.stop();
                        return;
                    }
                }
            };
            for _ in 1..self.jobs.clamp(1, wanted.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn layer(
        &self,
        lease: &Lease<'_>,
        endpoints: &[Endpoint],
        layer: &Descriptor,
        diff_id: &Digest,
        together: Option<&Together>,
    ) -> Result<(), Error> {
        let digest = layer.digest;
        if self.store.has_blob(lease, &digest)? {
            if self.store.ready_layer(diff_id)?.is_none() {
                self.watcher.event(Event::Arrived { digest });
                self.store.prepare_layer(lease, &digest, Some(*diff_id))?;
            }
            self.watcher.event(Event::There { digest });
            return Ok(());
        }
        self.watcher.event(Event::Started { digest });
        let resumed = |digest: &Digest, at: u64| self.watcher.event(Event::Resumed { digest: *digest, at });
        let mut blob = Blob::new(self.client, endpoints, digest, layer.size, &resumed);
        let failure = blob.failure();
        let mut writer = self.store.write_layer_with(lease, layer, Some(*diff_id), together)?;
        let mut piece = vec![0; PIECE];
        let mut told = Instant::now();
        loop {
            let read = match blob.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    return Err(match failure.take() {
                        Some(reason) => reason.into(),
                        None => Error::call("read from the registry", "read", error),
                    });
                }
            };
            writer.push(&piece[..read])?;
            if told.elapsed() >= PACE {
                told = Instant::now();
                self.watcher.event(Event::Moved { digest, bytes: writer.written() });
            }
        }
        self.watcher.event(Event::Arrived { digest });
        writer.finish()?;
        self.watcher.event(Event::Done { digest });
        Ok(())
    }

    /// The answer of the first registry that gives one. What the registry itself says counts more than what its mirrors say.
    fn first<T>(
        &self,
        endpoints: &[Endpoint],
        ask: impl Fn(&Endpoint) -> Result<T, RegistryError>,
    ) -> Result<T, Error> {
        let mut last = None;
        for endpoint in endpoints {
            match ask(endpoint) {
                Ok(answer) => return Ok(answer),
                Err(error) if endpoint.mirror && error.another_may_help() => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or_else(|| Error::not_found("registry to ask"), Error::from))
    }
}
