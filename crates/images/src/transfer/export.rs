//! The tree of an image: mounted, and as one archive.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use sys::raw;

use super::write::Writer;
use crate::Error;
use crate::store::layout::step;
use crate::store::{Image, Store};

impl Store {
    /// A detached, read-only mount of an image's whole tree.
    ///
    /// # Errors
    /// What the kernel says: it takes root.
    pub fn mount_image(&self, image: &Image) -> Result<OwnedFd, Error> {
        let failed = |cause| Error::step(format!("mount the image {}", image.config.short()), cause);
        let mut lower = self.lower_directories(image)?;
        // overlayfs wants two layers where nothing is written to: an empty one below changes nothing.
        let empty = self.layout().root().join("empty");
        std::fs::create_dir_all(&empty).map_err(|error| step("mount an image", "mkdir", &empty, error))?;
        lower.push(empty);
        let mut opened = Vec::with_capacity(lower.len());
        for directory in &lower {
            opened.push(
                super::write::open_directory(directory)
                    .map_err(|error| step("mount an image", "open", directory, error))?,
            );
        }
        let opened: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
        sys::overlay::of_directories(
            &opened,
            None,
            raw::MOUNT_ATTR_RDONLY | raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV,
        )
        .map_err(failed)
    }
}

/// Writes an image's tree as an archive.
///
/// # Errors
/// What the kernel or writing says.
pub fn export(store: &Store, image: &Image, out: impl Write) -> Result<(), Error> {
    let root = store.mount_image(image)?;
    let mut writer = Writer::new(out);
    writer
        .tree(root.as_fd(), None)
        .and_then(|()| writer.finish())
        .map(drop)
        .map_err(|error| Error::call("write the archive", "write", error))
}
