//! Manifests, indexes and descriptors: what an image consists of.
//!
//! [`parse`] takes the bytes and the media type that the descriptor (or the registry) gave, and yields one of both. A document
//! that could be read as either is refused (CVE-2021-41190).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::media::{self, Media};
use crate::platform::Platform;
use crate::{Error, media::Compression};

/// The most bytes of a manifest, an index or a configuration.
pub const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// The most layers of an image.
pub const MAX_LAYERS: usize = 1000;
/// The most manifests of an index.
pub const MAX_MANIFESTS: usize = 1000;

/// Where to find content, how long it is and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Further places, which are never asked (CVE-2020-15157).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The kind of artifact.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
}

impl Descriptor {
    /// A descriptor without anything that is optional.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: String::new(),
        }
    }

    /// What it is.
    pub fn media(&self) -> Media {
        Media::of(&self.media_type)
    }
}

/// A manifest: one image for one platform, or an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it is, as it says itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The kind of artifact.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// What this is about: signatures and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests, one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it is, as it says itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The kind of artifact.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The manifests.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// What this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// One of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several.
    Index(Box<Index>),
}

/// Reads a manifest or an index. `media_type` is what the descriptor or the registry says; empty where nobody said anything.
///
/// # Errors
/// What is not one of both, is both, is too large, or contradicts the media type.
pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document, Error> {
    let bad = |problem: &str| Error::malformed("the manifest", problem);
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(Error::Limit {
            what: format!("a manifest of {} bytes", bytes.len()),
            limit: format!("{MAX_DOCUMENT_BYTES} bytes"),
            flag: None,
        });
    }
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| bad(&format!("it is no JSON: {error}")))?;
    let object = value.as_object().ok_or_else(|| bad("it is no object"))?;
    let has = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    if has("fsLayers") || object.get("schemaVersion").and_then(serde_json::Value::as_u64) == Some(1) {
        return Err(bad("it is of Docker's schema 1, which is no longer supported"));
    }
    if object.get("schemaVersion").and_then(serde_json::Value::as_u64) != Some(2) {
        return Err(bad("its `schemaVersion` is not 2"));
    }
    if has("manifests") && (has("layers") || has("config")) {
        return Err(bad("it has both `manifests` and `layers`, so that it could be read in two ways"));
    }
    let own = object.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or_default();
    let kind = |name: &str| match Media::of(name) {
        Media::Index => Some(true),
        Media::Manifest => Some(false),
        _ => None,
    };
    if !own.is_empty() && !media_type.is_empty() && kind(own).is_some() && kind(media_type).is_some() {
        let plain = media_type.split(';').next().unwrap_or_default().trim();
        if own != plain {
            return Err(bad(&format!("it says that it is `{own}`, and came as `{plain}`")));
        }
    }
    let is_index = kind(media_type).or(kind(own)).unwrap_or(has("manifests"));
    if is_index != has("manifests") && (has("manifests") || has("layers") || has("config")) {
        return Err(bad("its media type and its content contradict each other"));
    }
    let problem = |error: serde_json::Error| bad(&error.to_string());
    if is_index {
        let index: Index = serde_json::from_value(value).map_err(problem)?;
        if index.manifests.len() > MAX_MANIFESTS {
            return Err(bad(&format!("it lists {} manifests", index.manifests.len())));
        }
        return Ok(Document::Index(Box::new(index)));
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(problem)?;
    if manifest.layers.len() > MAX_LAYERS {
        return Err(bad(&format!("it has {} layers", manifest.layers.len())));
    }
    Ok(Document::Manifest(Box::new(manifest)))
}

impl Manifest {
    /// Whether it is an image, and not an artifact: its layers can be laid over each other.
    ///
    /// # Errors
    /// What is not a layer.
    pub fn check_is_image(&self) -> Result<(), Error> {
        if self.config.media() != Media::Config {
            return Err(Error::malformed(
                "the manifest",
                format!("it is an artifact and no image: its configuration is `{}`", self.config.media_type),
            ));
        }
        match self.layers.iter().find(|layer| !matches!(layer.media(), Media::Layer(_))) {
            Some(other) => Err(Error::malformed(
                "the manifest",
                format!("it has a layer of the unknown type `{}`", other.media_type),
            )),
            None => Ok(()),
        }
    }
}

impl Index {
    /// The manifest that serves `platform` best; of equals, the first.
    pub fn choose(&self, platform: &Platform) -> Option<&Descriptor> {
        let offers = self.manifests.iter().filter(|offer| offer.media() == Media::Manifest);
        let fitting = offers.filter_map(|offer| match &offer.platform {
            Some(offered) => platform.match_with(offered).map(|rank| (rank, offer)),
            None => Some((u32::MAX, offer)),
        });
        fitting.min_by_key(|(rank, _)| *rank).map(|(_, offer)| offer)
    }
}

/// The media type of a layer that is compressed in this way.
pub fn layer_media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media::OCI_LAYER,
        Compression::Gzip => media::OCI_LAYER_GZIP,
        Compression::Zstd => media::OCI_LAYER_ZSTD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,{extra}"config":{{"mediaType":"{}","digest":"{D}","size":0}},"layers":[]}}"#,
            media::OCI_CONFIG
        )
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let both = manifest(r#""manifests":[],"#);
        for media_type in ["", media::OCI_MANIFEST, media::OCI_INDEX] {
            assert!(parse(both.as_bytes(), media_type).is_err());
        }
        assert!(parse(manifest("").as_bytes(), media::OCI_INDEX).is_err());
        let says = manifest(&format!(r#""mediaType":"{}","#, media::OCI_MANIFEST));
        assert!(parse(says.as_bytes(), media::DOCKER_MANIFEST).is_err());
        assert!(matches!(parse(says.as_bytes(), media::OCI_MANIFEST), Ok(Document::Manifest(_))));
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        for text in ["", "null", "[]", "{}", r#"{"schemaVersion":1,"fsLayers":[]}"#, r#"{"schemaVersion":2}"#]
        {
            let error = parse(text.as_bytes(), "").unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_nearest_platform_is_chosen() {
        let offer = |platform: &str| Descriptor {
            platform: Some(Platform::parse(platform).unwrap()),
            ..Descriptor::new(media::OCI_MANIFEST, Digest::of(platform.as_bytes()), 1)
        };
        let index = Index {
            schema_version: 2,
            media_type: String::new(),
            artifact_type: String::new(),
            manifests: vec![offer("linux/arm/v5"), offer("linux/arm/v6"), offer("linux/amd64")],
            subject: None,
            annotations: BTreeMap::new(),
        };
        let chosen = index.choose(&Platform::parse("linux/arm/v7").unwrap()).unwrap();
        assert_eq!(chosen.platform.as_ref().unwrap().to_string(), "linux/arm/v6");
        assert!(index.choose(&Platform::parse("linux/s390x").unwrap()).is_none());
    }
}
