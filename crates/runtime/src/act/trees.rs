//! Mounts that the engine makes, all detached.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, fstat, mkdirat, openat};
use sys::mount::{self, Context};
use sys::raw::{self, MountAttr};
use sys::{Errno, SyscallError};

use crate::plan::{CloneTree, Overlay, OverlayUpper, Produced};

/// Makes directories and those above them.
pub(crate) fn make_directories(paths: &[PathBuf]) -> Result<(), SyscallError> {
    for path in paths {
        std::fs::create_dir_all(path)
            .map_err(|error| SyscallError::new("mkdir", path.display().to_string(), error))?;
    }
    Ok(())
}

/// Opens a file of nsfs, whose content is a namespace.
pub(crate) fn open_namespace(path: &Path) -> Result<OwnedFd, SyscallError> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", path.display().to_string(), errno))
}

/// A detached copy of a mount.
pub(crate) fn clone(tree: &CloneTree, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, SyscallError> {
    let copy = mount::clone_tree(&tree.path, tree.recursive)?;
    let subject = tree.path.display().to_string();
    if let Some(userns) = userns {
        mount::map_ids(copy.as_fd(), tree.map_below, &userns, &subject)?;
    }
    if tree.propagation != 0 {
        let attr = MountAttr { propagation: tree.propagation, ..MountAttr::default() };
        mount::set_attributes(copy.as_fd(), tree.recursive, &attr, &subject)?;
    }
    Ok(copy)
}

/// A detached mount of an overlay from detached layers.
pub(crate) fn overlay<'a>(
    overlay: &Overlay,
    fd: impl Fn(Produced) -> BorrowedFd<'a>,
) -> Result<OwnedFd, SyscallError> {
    let lower: Vec<BorrowedFd<'a>> = overlay.lower.iter().map(|lower| fd(*lower)).collect();
    let memory;
    let layers = match &overlay.upper {
        OverlayUpper::Directory(layers) => fd(*layers),
        OverlayUpper::Tmpfs { size_bytes } => {
            let topmost = lower.first().ok_or_else(|| {
                SyscallError::new("fsconfig", "an overlay without a lower layer", Errno::INVAL)
            })?;
            memory = memory_layer(*topmost, *size_bytes, overlay.owner)?;
            memory.as_fd()
        }
    };
    let mount = || match overlay.attached {
        true => attached_overlay(&lower, layers),
        false => detached_overlay(&lower, layers),
    };
    match (&overlay.upper, overlay.owner) {
        // overlayfs makes its work directory, and later its copies, as who mounts it: somebody whom the mapping of the layer knows.
        (OverlayUpper::Directory(_), (uid, gid)) if (uid, gid) != (0, 0) => {
            sys::fsids::with_filesystem_ids(uid, gid, mount)?
        }
        _ => mount(),
    }
}

/// One parameter a layer: there is no page of options that they would have to fit into.
fn detached_overlay(lower: &[BorrowedFd<'_>], layers: BorrowedFd<'_>) -> Result<OwnedFd, SyscallError> {
    let context = Context::new("overlay")?;
    for layer in lower {
        context.set_fd("lowerdir+", *layer)?;
    }
    context.set_fd("upperdir", open_directory(layers, "upper")?.as_fd())?;
    context.set_fd("workdir", open_directory(layers, "work")?.as_fd())?;
    context.mount(0)
}

/// Before Linux 6.15 layers have to be mounts of the mount namespace that the overlay is made in. overlayfs keeps copies of its own of
/// them, so that a namespace will do that lives as long as the thread that makes the mount: nothing shows on the host, and nothing
/// is left there if this process is killed.
fn attached_overlay(lower: &[BorrowedFd<'_>], layers: BorrowedFd<'_>) -> Result<OwnedFd, SyscallError> {
    let at_fd = |fd: BorrowedFd<'_>, below: &str| format!("/proc/self/fd/{}{below}", fd.as_raw_fd());
    let make = || {
        mount::enter_private_namespace()?;
        mount::attach_over_root(layers, "the upper layer")?;
        for layer in lower {
            mount::attach_over_root(*layer, "a lower layer")?;
        }
        let context = Context::new("overlay")?;
        // Parameters that each add a layer came with Linux 6.8; before, all of them stand in one, of 255 bytes at most.
        let names: Vec<String> = lower.iter().map(|layer| at_fd(*layer, "")).collect();
        let all = names.join(":");
        if names.len() == 1 || context.set("lowerdir+", &names[0]).is_err() {
            if all.len() > MAX_PARAMETER {
                return overlay_of_a_page(lower, layers);
            }
            context.set("lowerdir", &all)?;
        } else {
            for name in &names[1..] {
                context.set("lowerdir+", name)?;
            }
        }
        context.set("upperdir", &at_fd(layers, "/upper"))?;
        context.set("workdir", &at_fd(layers, "/work"))?;
        context.mount(0)
    };
    in_a_thread(make)
}

/// What changes namespaces or directories of the thread it runs in.
fn in_a_thread<T: Send>(make: impl FnOnce() -> Result<T, SyscallError> + Send) -> Result<T, SyscallError> {
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new().spawn_scoped(scope, make);
        let failed = |error: std::io::Error| SyscallError::new("clone", "a thread", error);
        made.map_err(failed)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The most bytes of a parameter's value (fsconfig(2)).
const MAX_PARAMETER: usize = 255;
/// The most bytes of all options of mount(2).
const MAX_PAGE: usize = 4095;

/// An overlay by mount(2), whose options share a page: named as numbers in the directory of descriptors, all 500 layers that overlayfs takes
/// fit into it. The thread has a mount namespace of its own, in which `layers` is attached.
fn overlay_of_a_page(lower: &[BorrowedFd<'_>], layers: BorrowedFd<'_>) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: Errno| SyscallError::new(call, "overlay", errno);
    rustix::process::chdir("/proc/thread-self/fd")
        .map_err(|errno| SyscallError::new("chdir", "/proc/thread-self/fd", errno))?;
    let names: Vec<String> = lower.iter().map(|layer| layer.as_raw_fd().to_string()).collect();
    let own = layers.as_raw_fd();
    let options = format!("lowerdir={},upperdir={own}/upper,workdir={own}/work", names.join(":"));
    if options.len() > MAX_PAGE {
        return Err(SyscallError::new(
            "mount",
            format!("overlay, {} lower layers", lower.len()),
            Errno::TOOBIG,
        ));
    }
    let text = |text: String| std::ffi::CString::new(text).map_err(|_| failed("mount")(Errno::INVAL));
    // It has to stand somewhere until there is a descriptor of it.
    let target = text(format!("{own}/upper"))?;
    raw::mount(Some(c"overlay"), &target, Some(c"overlay"), 0, Some(&text(options)?))
        .map_err(failed("mount"))?;
    mount::clone_tree(Path::new(&format!("{own}/upper")), false)
}

/// A tmpfs with an empty layer, whose topmost directory is as the lower layer's: overlayfs shows the upper one's mode and owner.
fn memory_layer(
    lower: BorrowedFd<'_>,
    size_bytes: Option<u64>,
    owner: (u32, u32),
) -> Result<OwnedFd, SyscallError> {
    let context = Context::new("tmpfs")?;
    context.set("mode", "0755")?;
    if let Some(size) = size_bytes {
        context.set("size", &size.to_string())?;
    }
    let memory = context.mount(0)?;
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, "the layer in memory", errno);
    let below = fstat(lower).map_err(|errno| failed("fstat", errno))?;
    let mode = Mode::from_raw_mode(below.st_mode & 0o7777);
    mkdirat(&memory, "upper", mode).map_err(|errno| failed("mkdirat", errno))?;
    mkdirat(&memory, "work", Mode::RWXU).map_err(|errno| failed("mkdirat", errno))?;
    rustix::fs::chmodat(&memory, "upper", mode, AtFlags::empty())
        .map_err(|errno| failed("fchmodat", errno))?;
    // The lower layer is seen through its id mapping: its owner 0 is `owner` here.
    let (uid, gid) = match (below.st_uid, below.st_gid) {
        (0, 0) => owner,
        other => other,
    };
    if (uid, gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        chownat(&memory, "upper", Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("fchownat", errno))?;
    }
    Ok(memory)
}

fn open_directory(layers: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, SyscallError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(layers, name, flags, Mode::empty()).map_err(|errno: rustix::io::Errno| {
        SyscallError::new("openat", format!("{name} of the upper layer"), Errno::from(errno))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_page_hold_many_layers() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED options_of_a_page_hold_many_layers: needs root");
            return;
        }
        const LAYERS: usize = 60;
        let (memory, lower) = in_a_thread(|| {
            let memory = Context::new("tmpfs")?.mount(0)?;
            let lower: Vec<OwnedFd> = (0..LAYERS)
                .map(|number| {
                    let layer = Context::new("tmpfs")?.mount(0)?;
                    mkdirat(&layer, format!("of-{number}"), Mode::RWXU)
                        .map_err(|errno| SyscallError::new("mkdirat", "a layer", errno))?;
                    Ok(layer)
                })
                .collect::<Result<_, SyscallError>>()?;
            for name in ["upper", "work"] {
                mkdirat(&memory, name, Mode::RWXU)
                    .map_err(|errno| SyscallError::new("mkdirat", name, errno))?;
            }
            Ok((memory, lower))
        })
        .unwrap();
        let root = in_a_thread(|| {
            mount::enter_private_namespace()?;
            mount::attach_over_root(memory.as_fd(), "the upper layer")?;
            for layer in &lower {
                mount::attach_over_root(layer.as_fd(), "a lower layer")?;
            }
            let borrowed: Vec<BorrowedFd<'_>> = lower.iter().map(AsFd::as_fd).collect();
            overlay_of_a_page(&borrowed, memory.as_fd())
        })
        .unwrap();
        for number in 0..LAYERS {
            rustix::fs::statat(&root, format!("of-{number}"), AtFlags::empty()).unwrap();
        }
        mkdirat(&root, "new", Mode::RWXU).unwrap();
        rustix::fs::statat(&memory, "upper/new", AtFlags::empty()).unwrap();
    }
}
