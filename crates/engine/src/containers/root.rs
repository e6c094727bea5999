//! Roots from images.
//!
//! The store knows which container uses which image, so that nothing of an image goes while a container that stays is made of it, and its
//! layers are found again after the machine was started anew. [`make`] says so, [`release`] takes it back.

use images::digest::Digest;
use images::snapshot::Scratch;
use images::store::{Image, Options, Store};
use report::{BoxedExplain, Explain as _, Kind};

use super::home::{Home, Places};
use crate::flags::size::Bytes;
use crate::host::boxed;
use crate::request::{Changes, Rootfs, RunFlags};
use crate::rules::Refused;

fn store() -> Result<Store, BoxedExplain> {
    Store::open(Options::of_caller()).map_err(boxed)
}

/// The variable that asks for plain copies although there is overlay.
const STORAGE: &str = "HOLM_STORAGE";

/// What decides how a root comes to be.
#[derive(Debug, Clone, Copy)]
struct Ground {
    /// Copies are asked for.
    asked: bool,
    is_root: bool,
    kernel: (u32, u32),
    /// The kernel has overlayfs.
    overlay: bool,
    /// Changes go to a file system that is an overlay itself.
    on_overlay: bool,
}

impl Ground {
    fn look(home: &Home) -> Self {
        const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
        let is_overlay =
            || rustix::fs::statfs(&home.directory).is_ok_and(|it| it.f_type as u64 == OVERLAYFS_MAGIC);
        Self {
            asked: std::env::var_os(STORAGE).is_some_and(|value| value == "copy"),
            is_root: rustix::process::geteuid().is_root(),
            kernel: sys::kernel::version(),
            overlay: sys::overlay::is_there(),
            // Those of what does not stay are in memory.
            on_overlay: home.durable && is_overlay(),
        }
    }

    /// Why the root of a container is a copy of its layers, if it is to be one; `below` of them are below the topmost.
    fn copies(self, below: usize) -> Option<&'static str> {
        let several = below > 0;
        match self {
            Self { asked: true, .. } => Some("HOLM_STORAGE asks for it"),
            Self { is_root: true, overlay: false, .. } => Some("this kernel has no overlay"),
            Self { is_root: false, kernel, .. } if kernel < (5, 11) => {
                Some("overlays of ordinary users take Linux 5.11")
            }
            Self { is_root: false, kernel, .. } if several && kernel < (6, 8) => {
                Some("overlays of ordinary users with several layers take Linux 6.8")
            }
            Self { on_overlay: true, .. } => {
                Some("holm's own files are on an overlay, and there is no writing to one over another")
            }
            _ => None,
        }
    }
}

/// Makes what a container has in the store, and tells the request of it. One that stays holds its image there; where there is no overlay, its root is
/// a copy of the layers.
///
/// # Errors
/// When the image is gone, and what the store says.
pub(super) fn make(home: &Home, manifest: &str, request: &mut RunFlags) -> Result<(), BoxedExplain> {
    let why = Ground::look(home).copies(request.rootfs.below.len());
    if why.is_none() && !home.durable {
        return Ok(());
    }
    let store = store()?;
    let image = image_of(&store, manifest)?;
    let size = request.rootfs.size.map(Bytes::get);
    let Some(why) = why else {
        let snapshot = store.create_snapshot(&home.id, &image, size).map_err(boxed)?;
        if size.is_some() {
            request.rootfs.changes = Changes::Keep(snapshot.upper);
        }
        return Ok(());
    };
    if let Changes::Keep(_) = request.rootfs.changes {
        return Err(boxed(Refused {
            flag: "--keep-changes".to_owned(),
            problem: format!("the root is a plain copy of the image, whose changes are not apart ({why})"),
            advice: "leave it out: a container without --rm keeps its root".to_owned(),
            kind: Kind::Unsupported,
        }));
    }
    let snapshot = store.create_copy(&home.id, &image, size, home.durable).map_err(boxed)?;
    let directory = snapshot.tree();
    request.rootfs = Rootfs {
        directory,
        below: Vec::new(),
        changes: Changes::WriteThrough,
        copied: true,
        ..request.rootfs
    };
    Ok(())
}

fn image_of(store: &Store, manifest: &str) -> Result<Image, BoxedExplain> {
    let digest = Digest::parse(manifest).map_err(boxed)?;
    let found = store.image(&digest).map_err(boxed)?;
    found.ok_or_else(|| boxed(images::Error::not_found(format!("image {} any more", digest.short()))))
}

/// Gives a request the layers of the container's image, or their copy, if it is of one; what is not mounted is.
///
/// # Errors
/// What of the image is missing or broken.
pub(super) fn find(home: &Home, manifest: Option<&str>, flags: &mut RunFlags) -> Result<(), BoxedExplain> {
    let Some(manifest) = manifest else { return Ok(()) };
    let store = store()?;
    let snapshot = match store.open_snapshot(&home.id) {
        // The store does not sync who holds what, and the definition is synced: after a power cut only that may be there.
        Err(error) if error.kind() == Kind::NotFound && flags.rootfs.changes != Changes::WriteThrough => {
            let image = image_of(&store, manifest)?;
            store.create_snapshot(&home.id, &image, flags.rootfs.size.map(Bytes::get)).map_err(boxed)?
        }
        other => other.map_err(boxed)?,
    };
    if flags.rootfs.copied {
        flags.rootfs.directory = snapshot.tree();
        return Ok(());
    }
    let mut layers = snapshot.lower.into_iter();
    if let Some(top) = layers.next() {
        flags.rootfs.directory = top;
        flags.rootfs.below = layers.collect();
    }
    Ok(())
}

/// Another copy of the layers, as they were.
///
/// # Errors
/// What of the image is missing or broken, and what the disk says.
pub(super) fn again(home: &Home) -> Result<Scratch, BoxedExplain> {
    let store = store()?;
    let snapshot = store.open_snapshot(&home.id).map_err(boxed)?;
    store.scratch_copy(&snapshot).map_err(boxed)
}

/// Whether something of a container is in the store.
pub(super) fn has_place(home: &Home) -> bool {
    home.durable || Options::of_caller().root.join("snapshots").join(&home.id).exists()
}

/// Lets the image go.
///
/// # Errors
/// What the store says.
pub(super) fn release(home: &Home) -> Result<(), BoxedExplain> {
    if !Options::of_caller().root.exists() {
        return Ok(());
    }
    store()?.remove_snapshot(&home.id).map_err(boxed)
}

/// Lets images go that containers hold which are not there: their makers were killed. Returns the containers' ids.
///
/// # Errors
/// What the store says.
pub(super) fn release_strays(places: &Places) -> Result<Vec<String>, BoxedExplain> {
    let mut gone = Vec::new();
    // The store is one for all places, so containers of other places are in it too.
    if std::env::var_os("HOLM_ROOT").is_some() || !Options::of_caller().root.exists() {
        return Ok(gone);
    }
    let store = store()?;
    for id in store.all_snapshots().map_err(boxed)? {
        // A container's directory is there before it holds anything, and goes after that.
        if ![true, false].iter().any(|durable| places.homes(*durable).join(&id).exists()) {
            store.remove_snapshot(&id).map_err(boxed)?;
            gone.push(id);
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_copy_where_no_overlay_will_do() {
        let usual = Ground { asked: false, is_root: true, kernel: (6, 18), overlay: true, on_overlay: false };
        let other = Ground { is_root: false, ..usual };
        for (ground, below, expected) in [
            (usual, 5, None),
            (other, 5, None),
            (Ground { asked: true, ..usual }, 0, Some("HOLM_STORAGE asks for it")),
            (Ground { overlay: false, ..usual }, 0, Some("this kernel has no overlay")),
            (Ground { kernel: (5, 4), ..usual }, 5, None),
            (Ground { kernel: (5, 10), ..other }, 0, Some("overlays of ordinary users take Linux 5.11")),
            (Ground { kernel: (6, 7), ..other }, 0, None),
            (
                Ground { kernel: (6, 7), ..other },
                1,
                Some("overlays of ordinary users with several layers take Linux 6.8"),
            ),
            (
                Ground { on_overlay: true, ..usual },
                0,
                Some("holm's own files are on an overlay, and there is no writing to one over another"),
            ),
        ] {
            assert_eq!(ground.copies(below), expected, "{ground:?} {below}");
        }
    }
}
