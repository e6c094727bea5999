//! Roots from images.
//!
//! The store knows which container uses which image, so that nothing of an image goes while a container that stays is made of it, and its
//! layers are found again after the machine was started anew. [`hold`] says so, [`release`] takes it back.

use images::Snapshot;
use images::digest::Digest;
use images::store::{Options, Store};
use report::{BoxedExplain, Explain as _};

use super::home::{Home, Places};
use crate::host::boxed;
use crate::request::RunFlags;

fn store() -> Result<Store, BoxedExplain> {
    Store::open(Options::of_caller()).map_err(boxed)
}

/// Notes that a container is made of the image with this manifest.
///
/// # Errors
/// When the image is gone, and what the store says.
pub(super) fn hold(home: &Home, manifest: &str) -> Result<(), BoxedExplain> {
    hold_in(&store()?, home, manifest).map(drop)
}

fn hold_in(store: &Store, home: &Home, manifest: &str) -> Result<Snapshot, BoxedExplain> {
    let digest = Digest::parse(manifest).map_err(boxed)?;
    let Some(image) = store.image(&digest).map_err(boxed)? else {
        return Err(boxed(images::Error::not_found(format!("image {} any more", digest.short()))));
    };
    store.create_snapshot(&home.id, &image, None).map_err(boxed)
}

/// Gives a request the layers of the container's image, if it is of one; what is not mounted is.
///
/// # Errors
/// What of the image is missing or broken.
pub(super) fn find(home: &Home, manifest: Option<&str>, flags: &mut RunFlags) -> Result<(), BoxedExplain> {
    let Some(manifest) = manifest else { return Ok(()) };
    let store = store()?;
    let snapshot = match store.open_snapshot(&home.id) {
        // The store does not sync who holds what, and the definition is synced: after a power cut only that may be there.
        Err(error) if error.kind() == report::Kind::NotFound => hold_in(&store, home, manifest)?,
        other => other.map_err(boxed)?,
    };
    let mut layers = snapshot.lower.into_iter();
    if let Some(top) = layers.next() {
        flags.rootfs.directory = top;
        flags.rootfs.below = layers.collect();
    }
    Ok(())
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
        if !places.homes(true).join(&id).exists() {
            store.remove_snapshot(&id).map_err(boxed)?;
            gone.push(id);
        }
    }
    Ok(gone)
}
