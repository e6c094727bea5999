//! Media types: what a blob is, as its descriptor says.

/// The kinds of blobs that holm knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A list of manifests (OCI index, Docker manifest list).
    Index,
    /// A manifest (OCI, Docker schema 2).
    Manifest,
    /// The configuration of an image.
    Config,
    /// A layer: a tar archive, compressed in this way.
    Layer(Compression),
    /// Anything else: artifacts.
    Other,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// zstd (RFC 8878), one or more frames.
    Zstd,
}

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, plain.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty JSON object, as configuration of artifacts.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker's list of manifests.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layer, plain.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's layer, zstd.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

impl Media {
    /// What a media type means. Parameters after `;` are ignored. Foreign (non-distributable) layers are read as layers: they are
    /// only ever fetched from the registry itself, never from the addresses in their descriptor (CVE-2020-15157).
    pub fn of(media_type: &str) -> Self {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        match name {
            OCI_INDEX | DOCKER_INDEX => Self::Index,
            OCI_MANIFEST | DOCKER_MANIFEST => Self::Manifest,
            OCI_CONFIG | DOCKER_CONFIG => Self::Config,
            OCI_LAYER | DOCKER_LAYER | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
                Self::Layer(Compression::None)
            }
            OCI_LAYER_GZIP
            | DOCKER_LAYER_GZIP
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Self::Layer(Compression::Gzip),
            OCI_LAYER_ZSTD
            | DOCKER_LAYER_ZSTD
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => {
                Self::Layer(Compression::Zstd)
            }
            _ => Self::Other,
        }
    }
}

impl Compression {
    /// The compression that the first bytes of a stream show.
    pub fn of_content(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_media_types_are_known() {
        assert_eq!(Media::of(DOCKER_MANIFEST), Media::of(OCI_MANIFEST));
        assert_eq!(Media::of("application/vnd.oci.image.index.v1+json; charset=utf-8"), Media::Index);
        assert_eq!(Media::of(OCI_LAYER_ZSTD), Media::Layer(Compression::Zstd));
        assert_eq!(Media::of("text/plain"), Media::Other);
    }

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        assert_eq!(Compression::of_content(&[0x1f, 0x8b, 8]), Compression::Gzip);
        assert_eq!(Compression::of_content(&[0x28, 0xb5, 0x2f, 0xfd]), Compression::Zstd);
        assert_eq!(Compression::of_content(b"usr/"), Compression::None);
        assert_eq!(Compression::of_content(b""), Compression::None);
    }
}
