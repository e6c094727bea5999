//! The tree of an image: mounted, and as one archive.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use sys::mount::Context;

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
        let names: Vec<String> = opened
            .iter()
            .map(|layer| format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(layer)))
            .collect();
        match overlay(&names, false) {
            // Parameters that each add a layer came with Linux 6.8; before, all of them stand in one, of 255 bytes at most.
            Err(cause) if cause.errno == sys::Errno::INVAL => overlay(&names, true),
            outcome => outcome,
        }
        .map_err(failed)
    }
}

/// A read-only overlay of these directories, the topmost one first.
fn overlay(layers: &[String], at_once: bool) -> Result<OwnedFd, sys::SyscallError> {
    let context = Context::new("overlay")?;
    match at_once {
        true => context.set("lowerdir", &layers.join(":"))?,
        false => layers.iter().try_for_each(|layer| context.set("lowerdir+", layer))?,
    }
    context.flag("ro")?;
    context.mount(sys::raw::MOUNT_ATTR_RDONLY | sys::raw::MOUNT_ATTR_NOSUID | sys::raw::MOUNT_ATTR_NODEV)
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
