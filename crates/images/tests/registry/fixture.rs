//! Blobs and manifests to send about.

use std::io::Read as _;

use images::digest::Digest;
use images::media;
use images::registry::blob::Blob;
use images::registry::push::{Arrived, Outgoing, Source};
use images::registry::{Client, Endpoint, RegistryError};

/// Bytes that do not repeat.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn upload(client: &Client, endpoint: &Endpoint, bytes: &[u8]) -> Result<Arrived, RegistryError> {
    upload_from(client, endpoint, bytes, &[])
}

pub(crate) fn upload_from(
    client: &Client,
    endpoint: &Endpoint,
    bytes: &[u8],
    elsewhere: &[images::reference::Repository],
) -> Result<Arrived, RegistryError> {
    struct Bytes<'a>(&'a [u8]);
    impl Source for Bytes<'_> {
        fn read_at(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
            self.0.read_at(buffer, at)
        }
    }
    let blob = Outgoing {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        source: &Bytes(bytes),
        elsewhere,
        progress: &|_| {},
    };
    client.upload(endpoint, &blob)
}

pub(crate) fn download(
    client: &Client,
    endpoints: &[Endpoint],
    bytes: &[u8],
) -> Result<Vec<u8>, RegistryError> {
    fetch(client, endpoints, &Digest::of(bytes), bytes.len() as u64)
}

pub(crate) fn fetch(
    client: &Client,
    endpoints: &[Endpoint],
    digest: &Digest,
    size: u64,
) -> Result<Vec<u8>, RegistryError> {
    let nobody = |_: &Digest, _: u64| {};
    let mut blob = Blob::new(client, endpoints, *digest, size, &nobody);
    let failure = blob.failure();
    let mut got = Vec::new();
    match blob.read_to_end(&mut got) {
        Ok(_) => Ok(got),
        Err(error) => Err(failure.take().unwrap_or_else(|| panic!("no reason was kept for: {error}"))),
    }
}

/// Puts an image of one layer there and returns its manifest.
pub(crate) fn image(client: &Client, endpoint: &Endpoint, tag: &str, layer: &[u8]) -> Vec<u8> {
    let config = b"{}";
    upload(client, endpoint, config).unwrap();
    upload(client, endpoint, layer).unwrap();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
        media::OCI_MANIFEST,
        media::OCI_CONFIG,
        Digest::of(config),
        config.len(),
        media::OCI_LAYER_GZIP,
        Digest::of(layer),
        layer.len()
    );
    client
        .put_manifest(
            endpoint,
            tag,
            media::OCI_MANIFEST,
            manifest.as_bytes(),
            &Digest::of(manifest.as_bytes()),
        )
        .unwrap();
    manifest.into_bytes()
}
