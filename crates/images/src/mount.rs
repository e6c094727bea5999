//! Layers as directories: an index and its archive are mounted, extracted files are where they are.
//!
//! A layer is mounted once, whatever the number of containers that use it: they share its page cache. It is mounted file-backed
//! (Linux 6.12), or through two loop devices that the kernel gives back by itself (Linux 6.4).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};
use sys::mount::Context;
use sys::{Errno, SyscallError, loop_device, raw};

use crate::Error;
use crate::digest::Digest;
use crate::layer::Form;
use crate::store::layout::step;
use crate::store::{ReadyLayer, Store};

/// EROFS takes files in place of devices.
const FILE_BACKED: (u32, u32) = (6, 12);
/// EROFS takes blocks that are smaller than a page.
const SMALL_BLOCKS: (u32, u32) = (6, 4);
const EROFS_MAGIC: u64 = 0xe0f5_e1e2;

/// How an index is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The files themselves.
    File,
    /// Loop devices over them.
    Loop,
}

impl Way {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::File => "file-backed",
            Self::Loop => "loop devices",
        }
    }
}

/// How this host mounts an index, or why it does not: layers are extracted then.
///
/// # Errors
/// The reason, in words.
pub fn support() -> Result<Way, String> {
    static SUPPORT: OnceLock<Result<Way, String>> = OnceLock::new();
    SUPPORT.get_or_init(probe).clone()
}

fn probe() -> Result<Way, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root may mount EROFS".to_owned());
    }
    let version = sys::kernel::version();
    if version < SMALL_BLOCKS {
        return Err(format!(
            "Linux {}.{} has no EROFS with blocks of 512 bytes; 6.4 has",
            version.0, version.1
        ));
    }
    match Context::new("erofs") {
        Ok(_) => {}
        Err(cause) if cause.errno == Errno::NODEV => return Err("this kernel has no EROFS".to_owned()),
        Err(cause) => return Err(format!("EROFS cannot be mounted here: {cause}")),
    }
    let outside = || std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if outside().split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"] {
        return Err("EROFS cannot be mounted in a user namespace".to_owned());
    }
    Ok(if version >= FILE_BACKED { Way::File } else { Way::Loop })
}

/// A detached, read-only mount of an index over its archive.
///
/// # Errors
/// What the kernel says.
pub fn erofs(index: BorrowedFd<'_>, archive: BorrowedFd<'_>, way: Way) -> Result<OwnedFd, SyscallError> {
    let by_fd = |fd: BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    match way {
        Way::File => match mount_erofs(&by_fd(index), &by_fd(archive)) {
            // A kernel that was built without files as devices.
            Err(cause) if cause.errno == Errno::NOTBLK => erofs(index, archive, Way::Loop),
            outcome => outcome,
        },
        Way::Loop => {
            // The mount keeps them, and the kernel gives them back when it goes.
            let (index, archive) = (loop_device::attach(index)?, loop_device::attach(archive)?);
            mount_erofs(&index.path, &archive.path)
        }
    }
}

fn mount_erofs(index: &str, archive: &str) -> Result<OwnedFd, SyscallError> {
    let context = Context::new("erofs")?;
    context.flag("ro")?;
    context.set("source", index)?;
    context.set("device", archive)?;
    // What the host mounts of images has no power on the host (CVE-2021-41091). A root that is laid over it has flags of its own.
    context.mount(
        raw::MOUNT_ATTR_RDONLY | raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV | raw::MOUNT_ATTR_NOATIME,
    )
}

impl Store {
    /// The directory in which a layer's tree is. An index is mounted there if it is not yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn layer_directory(&self, layer: &ReadyLayer) -> Result<PathBuf, Error> {
        if layer.form == Form::Tree {
            return Ok(self.layout().tree(&layer.diff_id));
        }
        let point = self.mount_point(&layer.diff_id);
        if is_erofs(&point) {
            return Ok(point);
        }
        let run = &self.options().run;
        std::fs::create_dir_all(&point).map_err(|error| step("mount a layer", "mkdir", &point, error))?;
        let _lock = lock(run)?;
        if is_erofs(&point) {
            return Ok(point);
        }
        let way = support().unwrap_or(Way::File);
        let open =
            |path: PathBuf| File::open(&path).map_err(|error| step("mount a layer", "open", &path, error));
        let index = open(self.layout().index(&layer.diff_id))?;
        let archive = open(self.layout().blob(&layer.diff_id))?;
        let what = || format!("mount the layer {}", layer.diff_id.short());
        let mounted =
            erofs(index.as_fd(), archive.as_fd(), way).map_err(|cause| Error::step(what(), cause))?;
        let directory = File::open(&point).map_err(|error| step("mount a layer", "open", &point, error))?;
        raw::move_mount((&mounted).into(), (&directory).into(), c"").map_err(|errno| {
            Error::step(what(), SyscallError::new("move_mount", point.display().to_string(), errno))
        })?;
        Ok(point)
    }

    /// Takes the mount of a layer away, if it is there. Containers that use it keep theirs.
    ///
    /// # Errors
    /// What the kernel says; `EBUSY` where a process is in it.
    pub fn unmount_layer(&self, diff_id: &Digest) -> Result<bool, Error> {
        let point = self.mount_point(diff_id);
        let mut taken = false;
        if point.exists() {
            let _lock = lock(&self.options().run)?;
            while is_erofs(&point) {
                rustix::mount::unmount(&point, rustix::mount::UnmountFlags::NOFOLLOW)
                    .map_err(|errno| step("unmount a layer", "umount2", &point, errno))?;
                taken = true;
            }
            let _ = std::fs::remove_dir(&point);
            let _ = std::fs::remove_dir(self.run_directory());
        }
        Ok(taken)
    }

    /// Where what is mounted of this store lies. Two stores do not meet, and one that moved finds its own.
    pub fn run_directory(&self) -> PathBuf {
        let store = Digest::of(self.layout().root().as_os_str().as_encoded_bytes());
        self.options().run.join(store.short())
    }

    /// Where a layer is mounted.
    pub fn mount_point(&self, diff_id: &Digest) -> PathBuf {
        self.run_directory().join(&diff_id.hex()[..32])
    }
}

/// One process at a time mounts and unmounts.
fn lock(run: &Path) -> Result<File, Error> {
    let path = run.join(".lock");
    let failed = |call, error: std::io::Error| step("mount a layer", call, &path, error);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| failed("open", error))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed("flock", errno.into()))?;
    Ok(file)
}

fn is_erofs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|about| about.f_type as u64 == EROFS_MAGIC)
}
