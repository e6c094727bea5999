//! The root of a container from an image: the image's layers as directories, and a place for what the container changes.
//!
//! [`Store::create_snapshot`] makes one, [`Store::open_snapshot`] finds it again, also after a start of the machine, and
//! [`Store::remove_snapshot`] takes it away. As long as it is there the image cannot be removed.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use report::Kind;
use sys::mount::Context;
use sys::{SyscallError, loop_device, quota};

use crate::Error;
use crate::digest::Digest;
use crate::files::copy;
use crate::layer::child::TRASH;
use crate::store::layout::{random_name, step};
use crate::store::{Image, Store};

/// The smallest disk that a filesystem of its own is made on.
pub const MIN_DISK_BYTES: u64 = 16 << 20;

/// How the size of a container's changes is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Not at all.
    None,
    /// By the project quota of the filesystem that the store lies on.
    Project,
    /// By a filesystem of its own, in a file.
    Disk,
}

impl Quota {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Project => "project",
            Self::Disk => "disk",
        }
    }
}

/// What a container's root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id: the container's.
    pub id: String,
    /// The image's manifest.
    pub manifest: Digest,
    /// The directories of the layers, the topmost first, as overlayfs takes them.
    pub lower: Vec<PathBuf>,
    /// The directory for changes, with `upper` and `work` in it.
    pub upper: PathBuf,
    /// The most bytes of changes.
    pub size_limit: Option<u64>,
    /// How that is kept.
    pub quota: Quota,
}

impl Snapshot {
    /// The whole tree, where the root is a copy of the layers ([`Store::create_copy`]).
    pub fn tree(&self) -> PathBuf {
        self.upper.join("root")
    }
}

/// A copy of layers that goes when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Opens the directory.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self) -> Result<OwnedFd, SyscallError> {
        let opened = File::open(&self.0);
        opened
            .map(OwnedFd::from)
            .map_err(|error| SyscallError::new("openat", self.0.display().to_string(), error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Store {
    /// Makes the root of a container from an image as a plain copy of the layers, for where there is no overlay. `durable`: a loss of power right
    /// afterwards leaves it whole.
    ///
    /// # Errors
    /// As [`Store::create_snapshot`].
    pub fn create_copy(
        &self,
        id: &str,
        image: &Image,
        size_limit: Option<u64>,
        durable: bool,
    ) -> Result<Snapshot, Error> {
        let snapshot = self.create_snapshot(id, image, size_limit)?;
        let copied = copy_layers(&snapshot.lower, &snapshot.tree()).and_then(|directory| {
            match durable {
                // Files are many: one call syncs them all.
                true => rustix::fs::syncfs(&directory)
                    .map_err(|errno| step("copy the layers", "syncfs", &snapshot.tree(), errno)),
                false => Ok(()),
            }
        });
        match copied {
            Ok(()) => Ok(snapshot),
            Err(error) => {
                let _ = self.remove_snapshot(id);
                Err(error)
            }
        }
    }

    /// A copy of a container's layers, as they were when it was made.
    ///
    /// # Errors
    /// What the disk says.
    pub fn scratch_copy(&self, snapshot: &Snapshot) -> Result<Scratch, Error> {
        let scratch = Scratch(self.layout().tmp().join(format!("{TRASH}copy-{}", random_name())));
        copy_layers(&snapshot.lower, &scratch.0)?;
        Ok(scratch)
    }

    /// The layers of an image as directories, the topmost first; what is not mounted yet is.
    ///
    /// # Errors
    /// What is missing or broken, or what the kernel says.
    pub fn lower_directories(&self, image: &Image) -> Result<Vec<PathBuf>, Error> {
        let layers = self.layers(image)?;
        let mut directories =
            layers.iter().map(|layer| self.layer_directory(layer)).collect::<Result<Vec<_>, _>>()?;
        directories.reverse();
        if directories.is_empty() {
            // An image without layers is an empty root.
            let empty = self.layout().root().join("empty");
            std::fs::create_dir_all(&empty)
                .map_err(|error| step("make an empty root", "mkdir", &empty, error))?;
            directories.push(empty);
        }
        Ok(directories)
    }

    /// Makes the root of a container from an image.
    ///
    /// # Errors
    /// An id that is there, a limit that cannot be kept here, or what the disk says. Nothing is left then.
    pub fn create_snapshot(
        &self,
        id: &str,
        image: &Image,
        size_limit: Option<u64>,
    ) -> Result<Snapshot, Error> {
        check_id(id)?;
        let directory = self.layout().snapshot(id);
        self.insert_snapshot(id, &image.manifest)?;
        let made = self.make_snapshot(&directory, id, image, size_limit);
        if made.is_err() {
            let _ = self.remove_snapshot(id);
        }
        made
    }

    fn make_snapshot(
        &self,
        directory: &Path,
        id: &str,
        image: &Image,
        size_limit: Option<u64>,
    ) -> Result<Snapshot, Error> {
        let changes = directory.join("changes");
        std::fs::create_dir(&changes)
            .map_err(|error| step("make a container's root", "mkdir", &changes, error))?;
        let quota = match size_limit {
            None => Quota::None,
            Some(bytes) => {
                let quota = self.limit(directory, &changes, id, bytes)?;
                self.set_snapshot_quota(id, quota.name(), bytes)?;
                quota
            }
        };
        self.complete(id, image, size_limit, quota)
    }

    /// Makes the layers available, and the directories for changes.
    fn complete(
        &self,
        id: &str,
        image: &Image,
        size_limit: Option<u64>,
        quota: Quota,
    ) -> Result<Snapshot, Error> {
        let lower = self.lower_directories(image)?;
        let upper = self.layout().snapshot(id).join("changes");
        let first = upper.join("upper");
        if !first.exists() {
            for path in [&first, &upper.join("work")] {
                std::fs::create_dir_all(path)
                    .map_err(|error| step("make a container's root", "mkdir", path, error))?;
            }
            // overlayfs shows the upper root: it has to look like the image's.
            let like = lower.first().and_then(|path| std::fs::metadata(path).ok());
            if let Some(like) = like {
                use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
                let mode = std::fs::Permissions::from_mode(like.mode() & 0o7777);
                std::fs::set_permissions(&first, mode)
                    .and_then(|()| match rustix::process::geteuid().is_root() {
                        true => std::os::unix::fs::chown(&first, Some(like.uid()), Some(like.gid())),
                        false => Ok(()),
                    })
                    .map_err(|error| step("make a container's root", "chmod", &first, error))?;
            }
        }
        Ok(Snapshot { id: id.to_owned(), manifest: image.manifest, lower, upper, size_limit, quota })
    }

    /// Finds the root of a container again, and mounts what is not mounted.
    ///
    /// # Errors
    /// That it is not there, or what is broken.
    pub fn open_snapshot(&self, id: &str) -> Result<Snapshot, Error> {
        let (manifest, size_limit, quota) =
            self.find_snapshot(id)?.ok_or_else(|| Error::not_found(format!("root of a container `{id}`")))?;
        let image = self
            .image(&manifest)?
            .ok_or_else(|| Error::not_found(format!("image {} of the container `{id}`", manifest.short())))?;
        let quota = match quota.as_str() {
            "project" => Quota::Project,
            "disk" => Quota::Disk,
            _ => Quota::None,
        };
        let directory = self.layout().snapshot(id);
        if quota == Quota::Disk {
            mount_disk(&directory.join("disk"), &directory.join("changes"))?;
        }
        self.complete(id, &image, size_limit, quota)
    }

    /// Takes the root of a container away, with what it changed. Layers that no other container uses are unmounted.
    ///
    /// # Errors
    /// What the disk says; the rest is done all the same. What is not there is no failure.
    pub fn remove_snapshot(&self, id: &str) -> Result<(), Error> {
        check_id(id)?;
        let directory = self.layout().snapshot(id);
        let found = self.find_snapshot(id)?;
        let changes = directory.join("changes");
        if is_mounted(&changes) {
            rustix::mount::unmount(&changes, rustix::mount::UnmountFlags::DETACH)
                .map_err(|errno| step("unmount a container's disk", "umount2", &changes, errno))?;
        }
        if directory.exists() {
            // Out of the way first: half of it is never found.
            let aside = self.layout().tmp().join(format!("{TRASH}{id}-{}", random_name()));
            std::fs::rename(&directory, &aside)
                .map_err(|error| step("remove a container's root", "rename", &directory, error))?;
            std::fs::remove_dir_all(&aside).or_else(|error| match error.kind() {
                // Somebody who collects was quicker.
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(step("remove a container's root", "unlink", &aside, error)),
            })?;
        }
        self.release_project(id)?;
        let Some((manifest, ..)) = found else { return Ok(()) };
        self.unmount_unused(&manifest)
    }

    /// Unmounts the layers of an image that no container uses.
    fn unmount_unused(&self, manifest: &Digest) -> Result<(), Error> {
        for diff_id in self.unused_layers(manifest)? {
            // Somebody may be in it, with `holm image mount` for example: it goes with the next one.
            let _ = self.unmount_layer(&diff_id);
        }
        Ok(())
    }

    /// Keeps changes within a size: by project quota where the filesystem counts projects, otherwise by a filesystem in a file.
    fn limit(&self, directory: &Path, changes: &Path, id: &str, bytes: u64) -> Result<Quota, Error> {
        let dir =
            File::open(changes).map_err(|error| step("limit a container's disk", "open", changes, error))?;
        let project = self.claim_project(id)?;
        match quota::limit_project(dir.as_fd(), project, bytes) {
            Ok(()) => return Ok(Quota::Project),
            // No quota here: a filesystem of its own has an end too.
            Err(_) => self.release_project(id)?,
        }
        if bytes < MIN_DISK_BYTES {
            return Err(Error::refused(
                Kind::InvalidInput,
                format!("a container's disk of {bytes} bytes is too small for a filesystem"),
                "give it 16 MiB or more",
            ));
        }
        make_disk(&directory.join("disk"), bytes)?;
        mount_disk(&directory.join("disk"), changes)?;
        Ok(Quota::Disk)
    }
}

/// Copies layers, the topmost first, to one new directory.
fn copy_layers(lower: &[PathBuf], to: &Path) -> Result<File, Error> {
    let failed = |call, path: &Path, error| step("copy the layers", call, path, error);
    let open = |path: &Path| File::open(path).map_err(|error| failed("openat", path, error));
    std::fs::create_dir(to).map_err(|error| failed("mkdir", to, error))?;
    let directory = open(to)?;
    let layers = lower.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    copy::layers(&layers, directory.as_fd())
        .map_err(|cause| Error::step("copy the layers".to_owned(), cause))?;
    Ok(directory)
}

/// Makes a sparse file of this size with ext4 on it, to be mounted by [`mount_disk`].
///
/// # Errors
/// That there is no mkfs.ext4, and what it says.
pub fn make_disk(path: &Path, bytes: u64) -> Result<(), Error> {
    let failed = |call| move |error: std::io::Error| step("make a container's disk", call, path, error);
    let file = File::create(path).map_err(failed("open"))?;
    file.set_len(bytes).map_err(failed("ftruncate"))?;
    let Some(program) = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/bin/mkfs.ext4", "/bin/mkfs.ext4"]
        .iter()
        .find(|path| Path::new(path).exists())
    else {
        return Err(Error::refused(
            Kind::Unsupported,
            "the size of a container's disk cannot be limited here: the filesystem of the store counts no projects, and there is no mkfs.ext4",
            "install e2fsprogs, or mount the store's filesystem with `prjquota`",
        ));
    };
    let output = Command::new(program)
        .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(failed("execve"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::refused(
        Kind::Io,
        format!(
            "make a container's disk: mkfs.ext4 says: {}",
            words.lines().last().unwrap_or_default().trim()
        ),
        "see whether there is room on the disk of the image store",
    ))
}

/// Mounts the file system in a file over a directory, through a loop device; one that is mounted there already is left.
///
/// # Errors
/// Those of the calls: `EPERM` for others than root.
pub fn mount_disk(file: &Path, at: &Path) -> Result<(), Error> {
    if is_mounted(at) {
        return Ok(());
    }
    let disk = File::options()
        .read(true)
        .write(true)
        .open(file)
        .map_err(|error| step("mount a container's disk", "open", file, error))?;
    let failed = |cause| Error::step("mount a container's disk", cause);
    // Where another mount namespace has it mounted still: through a second device the file system would be there twice, and destroy itself.
    let known = loop_device::serving(file).map_err(failed)?;
    let device = match known {
        Some(device) => device,
        None => loop_device::attach_writable(disk.as_fd()).map_err(failed)?,
    };
    let context = Context::new("ext4").map_err(failed)?;
    context.set("source", &device.path).map_err(failed)?;
    let mounted = context.mount(sys::raw::MOUNT_ATTR_NODEV | sys::raw::MOUNT_ATTR_NOSUID).map_err(failed)?;
    attach(&mounted, at)
}

/// Attaches a detached mount over a directory.
pub(crate) fn attach(mount: &OwnedFd, at: &Path) -> Result<(), Error> {
    let directory = File::open(at).map_err(|error| step("mount", "open", at, error))?;
    sys::raw::move_mount(mount.into(), (&directory).into(), c"")
        .map_err(|errno| step("mount", "move_mount", at, errno))
}

/// Whether something is mounted exactly here.
pub fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    path.parent().is_some_and(|parent| device(path).is_some() && device(path) != device(parent))
}

/// An id is a name in a directory, and nothing else.
fn check_id(id: &str) -> Result<(), Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(good) {
        return Err(Error::malformed(format!("the id `{}`", id.escape_debug()), "it is no container's id"));
    }
    Ok(())
}
