//! Images as files: archives and layouts that docker, podman, skopeo and umoci read and write, and plain root filesystems.
//!
//! [`load`] takes what others wrote, [`save`] writes it; [`import`] makes an image of a root filesystem, [`export`] the other way round.
//! [`mod@write`] writes archives.

pub mod export;
pub mod import;
pub mod load;
pub mod save;
pub mod write;
