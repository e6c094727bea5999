//! The volumes of a container: found or made when it is made, mounted before it starts, taken away with it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use report::BoxedExplain;
use sys::SyscallError;

use super::error::{VolumeFailure, boxed};
use super::store::{DATA, NewVolume, Store, Volume, lock_of};
use super::{disk, root, users};
use crate::containers::{Definition, Home, Places, find};
use crate::flags::mount::Mount;
use crate::flags::named::{VolumeMount, VolumeName, VolumesFrom};
use crate::request::RunFlags;

/// The file that says that a volume is being filled.
const FILLING: &str = "filling";

/// Volumes that a container is about to have. Until this is kept nobody removes them; dropped before, what was made for it goes again.
#[derive(Debug)]
#[must_use]
pub struct Attached {
    places: Places,
    id: String,
    lock: Option<OwnedFd>,
    made: Vec<VolumeName>,
}

impl Attached {
    /// The container has its definition, which says from now on that it uses them.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        drop(self.lock.take());
        if !self.made.is_empty() {
            let _ = Store::of(&self.places).remove_unused(&self.places, &self.made, Some(&self.id));
        }
    }
}

/// Gives a container the volumes that it asks for: those of other containers too, new ones where there are none, and in these what its root
/// has at the same place.
///
/// # Errors
/// What cannot be had; what was made for it is gone then.
pub fn attach(
    places: &Places,
    home: &Home,
    flags: &mut RunFlags,
    from: &[VolumesFrom],
) -> Result<Attached, BoxedExplain> {
    let mut attached = Attached { places: places.clone(), id: home.id.clone(), lock: None, made: Vec::new() };
    if from.is_empty() && flags.mounts.iter().all(|mount| mount.volume().is_none()) {
        return Ok(attached);
    }
    let store = Store::of(places);
    // One with a size takes a number that no other one has.
    let alone = flags.mounts.iter().filter_map(Mount::volume).any(|volume| !volume.made_with.is_empty());
    attached.lock = Some(store.lock(alone)?);
    for other in from {
        borrow(places, other, flags)?;
    }
    let mut root = None;
    let mut mounts = std::mem::take(&mut flags.mounts);
    for mount in &mut mounts {
        let Mount::Volume(mount) = mount else { continue };
        let (volume, made) = store.create_locked(&wanted(mount, !home.durable))?;
        mount.name = Some(volume.name().clone());
        if made {
            attached.made.push(volume.name().clone());
        }
        if mount.no_copy || mount.subpath.is_some() {
            continue;
        }
        fill(places, &volume, mount, flags, &mut root)?;
    }
    flags.mounts = mounts;
    ready(places, flags)?;
    Ok(attached)
}

fn wanted(mount: &VolumeMount, brief: bool) -> NewVolume {
    let map = |list: &[crate::flags::label::Label]| -> BTreeMap<String, String> {
        list.iter().map(|one| (one.key.clone(), one.value.clone())).collect()
    };
    NewVolume {
        name: mount.name.clone(),
        labels: map(&mount.labels),
        options: map(&mount.made_with),
        anonymous: mount.anonymous,
        brief: brief && mount.anonymous,
    }
}

/// The volumes and directories of another container, where this one has nothing of its own.
fn borrow(places: &Places, other: &VolumesFrom, flags: &mut RunFlags) -> Result<(), BoxedExplain> {
    let definition = find::one(places, &other.container)?.definition().map_err(crate::host::boxed)?;
    for mount in &definition.request.mounts {
        let mut mount = mount.clone();
        let options = match &mut mount {
            Mount::Bind(bind) => &mut bind.options,
            Mount::Volume(volume) => &mut volume.options,
            Mount::Tmpfs(_) => continue,
        };
        options.read_only |= other.read_only;
        if flags.mounts.iter().all(|own| own.destination() != mount.destination()) {
            flags.mounts.push(mount);
        }
    }
    Ok(())
}

/// Fills a volume that is empty. Somebody who was killed over it is taken up from the beginning.
fn fill(
    places: &Places,
    volume: &Volume,
    mount: &VolumeMount,
    flags: &RunFlags,
    root: &mut Option<OwnedFd>,
) -> Result<(), BoxedExplain> {
    let failed = |cause| {
        let at = mount.destination.as_path().to_owned();
        boxed(VolumeFailure::Fill { name: volume.name().to_string(), at, cause })
    };
    let lock = lock_of(volume.name(), &volume.directory)?;
    disk::mount(volume)?;
    let data = open_data(volume)?;
    let begun = volume.directory.join(FILLING);
    if begun.exists() {
        // What others have written meanwhile is theirs.
        if users(places, None).of(volume.name()).is_empty() {
            empty(&data).map_err(failed)?;
        }
        remove_mark(&begun).map_err(failed)?;
    }
    if !is_empty(&data).map_err(failed)? {
        return Ok(());
    }
    if root.is_none() {
        *root = root::open(flags).map_err(failed)?;
    }
    let Some(root) = root else { return Ok(()) };
    let Some(from) = root::directory(root, mount.destination.as_path()).map_err(failed)? else {
        return Ok(());
    };
    monitor::exit::write_file(&lock, FILLING, b"", false).map_err(failed)?;
    let copied = images::files::copy::layers(&[from.as_fd()], data.as_fd());
    if copied.is_err() && users(places, None).of(volume.name()).is_empty() {
        let _ = empty(&data);
    }
    remove_mark(&begun).map_err(failed)?;
    copied.map_err(failed)
}

/// Whether a volume has nothing in it.
fn is_empty(directory: &OwnedFd) -> Result<bool, SyscallError> {
    let failed = |errno| SyscallError::new("getdents64", "the volume", errno);
    for entry in rustix::fs::Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove_mark(path: &Path) -> Result<(), SyscallError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SyscallError::new("unlinkat", path.display().to_string(), error))
        }
        _ => Ok(()),
    }
}

/// Removes what is in a directory, through its handle.
fn empty(data: &OwnedFd) -> Result<(), SyscallError> {
    use std::os::fd::AsRawFd as _;
    let path = PathBuf::from(format!("/proc/self/fd/{}", data.as_raw_fd()));
    let failed = |error| SyscallError::new("unlinkat", "the volume", error);
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_type().map_err(failed)?.is_dir() {
            true => std::fs::remove_dir_all(entry.path()),
            false => std::fs::remove_file(entry.path()),
        }
        .map_err(failed)?;
    }
    Ok(())
}

fn open_data(volume: &Volume) -> Result<OwnedFd, BoxedExplain> {
    let data = volume.data();
    monitor::exit::open_directory(&data)
        .map_err(|cause| boxed(VolumeFailure::Call { what: "open", name: volume.name().to_string(), cause }))
}

/// Sees to it before a start that a container's volumes are there: file systems of their own are mounted, as after the machine's start.
///
/// # Errors
/// One that is gone, which is not made anew without a word, and what the kernel says.
pub fn ready(places: &Places, flags: &RunFlags) -> Result<(), BoxedExplain> {
    for mount in flags.mounts.iter().filter_map(Mount::volume) {
        let Some(name) = &mount.name else { continue };
        let volume = Store::of(places).find(name).map_err(boxed)?;
        if disk::has_own(&volume) {
            let _lock = lock_of(name, &volume.directory)?;
            disk::mount(&volume)?;
        }
    }
    Ok(())
}

/// Where a volume's content is on the host, or would be if it were there; and whether nothing can be written to it.
pub fn data_path(durable: &Path, mount: &VolumeMount) -> (PathBuf, bool) {
    let store = Store::below(durable);
    let unmade =
        || durable.join("volumes").join(mount.name.as_ref().map_or("…", VolumeName::as_str)).join(DATA);
    let found = mount.name.as_ref().and_then(|name| store.find(name).ok());
    found.map_or_else(|| (unmade(), false), |volume| (volume.data(), volume.is_read_only()))
}

/// Removes the volumes without a name of somebody's choice that a container has and nobody else, while it is still there itself.
///
/// # Errors
/// What cannot be removed.
pub fn release(places: &Places, home: &Home, definition: &Definition) -> Result<(), BoxedExplain> {
    let own = definition.request.mounts.iter().filter_map(Mount::volume).filter(|volume| volume.anonymous);
    let names: Vec<VolumeName> = own.filter_map(|volume| volume.name.clone()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Store::of(places).remove_unused(places, &names, Some(&home.id)),
    }
}
