//! Images of archives, put into a store.

use std::collections::BTreeMap;

use images::config::{Execution, ImageConfig, RootFs};
use images::manifest::Manifest;
use images::reference::Reference;
use images::store::{Image, PutImage, Store};
use images::{Descriptor, media};

/// An image whose layers are these archives.
pub(crate) fn put(store: &Store, name: &str, layers: &[Vec<u8>]) -> Image {
    let lease = store.lease().unwrap();
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for bytes in layers {
        let media_type =
            if bytes.starts_with(&[0x1f, 0x8b]) { media::OCI_LAYER_GZIP } else { media::OCI_LAYER };
        let descriptor = Descriptor::new(media_type, images::Digest::of(bytes), bytes.len() as u64);
        let mut writer = store.write_layer(&lease, &descriptor, None).unwrap();
        writer.push(bytes).unwrap();
        diff_ids.push(writer.finish().unwrap_or_else(|error| panic!("{}", report::one_line(&error))).diff_id);
        descriptors.push(descriptor);
    }
    let config = ImageConfig {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        config: Execution { cmd: vec![name.to_owned()], ..Execution::default() },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        ..ImageConfig::default()
    };
    let config = store.put_blob(&lease, media::OCI_CONFIG, &serde_json::to_vec(&config).unwrap()).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::OCI_MANIFEST.to_owned(),
        artifact_type: String::new(),
        config,
        layers: descriptors,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest =
        store.put_blob(&lease, media::OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
    let names = [Reference::parse(name).unwrap()];
    let put = PutImage { manifest: manifest.digest, target: manifest.digest, names: &names, action: "test" };
    store.put_image(&lease, &put).unwrap()
}
