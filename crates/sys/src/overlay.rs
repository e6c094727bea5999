//! Overlays, on every kernel that has them: [`of_directories`] and [`of_detached`].
//!
//! What differs is how layers are told. Linux 6.8 takes one parameter for each (`lowerdir+`). Before, all of them stand in one, of 255 bytes at
//! most; before 6.5 no parameter is looked at until the overlay is made, so that it is only then that an unknown one is refused.
//! Layers are named by their descriptors, which is short, and where even that is too long they go through mount(2), whose options have a page.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::mount::{self, Context};
use crate::raw;
use crate::{Errno, SyscallError};

/// The most bytes of a parameter's value (fsconfig(2)).
const MAX_PARAMETER: usize = 255;
/// The most bytes of all options of mount(2).
const MAX_PAGE: usize = 4095;

/// Whether the kernel has overlayfs, or a module that it loads for this question. Where the question is not allowed it is taken to be there.
pub fn is_there() -> bool {
    !matches!(Context::new("overlay"), Err(error) if error.errno == Errno::NODEV)
}

/// A detached overlay of directories of this mount namespace, the topmost first. `changes` is a directory with `upper` and `work` in it;
/// without one there have to be two layers at least. `attributes` are `MOUNT_ATTR_*`.
///
/// # Errors
/// Those of the calls: `EPERM` without `CAP_SYS_ADMIN`, `EINVAL` for what overlayfs takes not as a layer.
pub fn of_directories(
    lower: &[BorrowedFd<'_>],
    changes: Option<BorrowedFd<'_>>,
    attributes: u64,
) -> Result<OwnedFd, SyscallError> {
    if let Some(outcome) = by_parameters(lower, changes, attributes) {
        return outcome;
    }
    // A mount needs a place, which is in a namespace that nobody else sees: layers have to be mounts of it.
    let copy = |layer: &BorrowedFd<'_>| mount::clone_bare(*layer, "a layer");
    let copies = lower.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
    let changes = changes.as_ref().map(copy).transpose()?;
    in_a_thread(|| {
        let lower: Vec<_> = copies.iter().map(AsFd::as_fd).collect();
        let changes = changes.as_ref().map(AsFd::as_fd);
        attach(&lower, changes)?;
        by_a_page(&lower, changes, attributes)
    })
}

/// A detached overlay of detached mounts. Before Linux 6.15 layers have to be mounts of the mount namespace that the overlay is made in.
/// overlayfs keeps copies of its own of them, so that a namespace will do that lives as long as the thread that makes the mount:
/// nothing shows on the host, and nothing is left there if this process is killed.
///
/// # Errors
/// As [`of_directories`].
pub fn of_detached(
    lower: &[BorrowedFd<'_>],
    changes: Option<BorrowedFd<'_>>,
    attributes: u64,
) -> Result<OwnedFd, SyscallError> {
    in_a_thread(|| {
        attach(lower, changes)?;
        by_parameters(lower, changes, attributes).unwrap_or_else(|| by_a_page(lower, changes, attributes))
    })
}

/// Makes the layers mounts of a namespace of this thread's. Each becomes private before anything is mounted in it or over it: as a copy of a
/// shared mount it would show that on the host.
fn attach(lower: &[BorrowedFd<'_>], changes: Option<BorrowedFd<'_>>) -> Result<(), SyscallError> {
    mount::enter_private_namespace()?;
    changes.iter().chain(lower).try_for_each(attach_privately)
}

fn attach_privately(layer: &BorrowedFd<'_>) -> Result<(), SyscallError> {
    mount::attach_over_root(*layer, "a layer")?;
    let failed = |errno| SyscallError::new("mount", "a layer, private", errno);
    let path = CString::new(at_fd(layer, "")).map_err(|_| failed(Errno::INVAL))?;
    raw::mount(None, &path, None, raw::MS_PRIVATE, None).map_err(failed)
}

/// What lies below a descriptor, as a path.
fn at_fd(fd: &BorrowedFd<'_>, below: &str) -> String {
    format!("/proc/self/fd/{}{below}", fd.as_raw_fd())
}

/// What changes namespaces or directories of the thread it runs in.
fn in_a_thread<T: Send>(make: impl FnOnce() -> Result<T, SyscallError> + Send) -> Result<T, SyscallError> {
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new().spawn_scoped(scope, make);
        let failed = |error: std::io::Error| SyscallError::new("clone", "a thread", error);
        made.map_err(failed)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// By fsopen(2) and its parameters; none where they are too long.
fn by_parameters(
    lower: &[BorrowedFd<'_>],
    changes: Option<BorrowedFd<'_>>,
    attributes: u64,
) -> Option<Result<OwnedFd, SyscallError>> {
    let with = |layers: &[(&str, &str)]| {
        let context = Context::new("overlay")?;
        for (name, value) in layers {
            context.set(name, value)?;
        }
        match &changes {
            Some(changes) => {
                context.set("upperdir", &at_fd(changes, "/upper"))?;
                context.set("workdir", &at_fd(changes, "/work"))?;
            }
            None => context.flag("ro")?,
        }
        context.mount(attributes)
    };
    let names: Vec<String> = lower.iter().map(|layer| at_fd(layer, "")).collect();
    if let [_, _, ..] = names[..] {
        let each: Vec<(&str, &str)> = names.iter().map(|name| ("lowerdir+", name.as_str())).collect();
        match with(&each) {
            Err(error) if error.errno == Errno::INVAL => {}
            outcome => return Some(outcome),
        }
    }
    let all = names.join(":");
    (all.len() <= MAX_PARAMETER).then(|| with(&[("lowerdir", &all)]))
}

/// By mount(2), whose options share a page: named as numbers in the directory of descriptors, all 500 layers that overlayfs takes fit into it.
/// The thread has a mount namespace of its own, in which the layers are attached.
fn by_a_page(
    lower: &[BorrowedFd<'_>],
    changes: Option<BorrowedFd<'_>>,
    attributes: u64,
) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: Errno| SyscallError::new(call, "overlay", errno);
    rustix::process::chdir("/proc/thread-self/fd")
        .map_err(|errno| SyscallError::new("chdir", "/proc/thread-self/fd", errno))?;
    let names: Vec<String> = lower.iter().map(|layer| layer.as_raw_fd().to_string()).collect();
    let mut options = format!("lowerdir={}", names.join(":"));
    // It has to stand somewhere until there is a descriptor of it, and be found there: a descriptor's own name leads below what is mounted on it.
    let memory;
    let place = match changes {
        Some(changes) => {
            let own = changes.as_raw_fd();
            options.push_str(&format!(",upperdir={own}/upper,workdir={own}/work"));
            format!("{own}/upper")
        }
        None => {
            memory = Context::new("tmpfs")?.mount(0)?;
            attach_privately(&memory.as_fd())?;
            rustix::fs::mkdirat(&memory, "place", rustix::fs::Mode::RWXU)
                .map_err(|errno| SyscallError::new("mkdirat", "a place for an overlay", errno))?;
            format!("{}/place", memory.as_raw_fd())
        }
    };
    if options.len() > MAX_PAGE {
        let subject = format!("overlay, {} lower layers", lower.len());
        return Err(SyscallError::new("mount", subject, Errno::TOOBIG));
    }
    let text = |text: &str| CString::new(text).map_err(|_| failed("mount")(Errno::INVAL));
    // These attributes of a mount are what the flags are, to the bit.
    let flags = attributes & (raw::MOUNT_ATTR_RDONLY | raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV);
    raw::mount(Some(c"overlay"), &text(&place)?, Some(c"overlay"), flags, Some(&text(&options)?))
        .map_err(failed("mount"))?;
    mount::clone_tree(Path::new(&place), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{AtFlags, Mode, mkdirat, statat};

    /// More layers than a parameter holds.
    const LAYERS: usize = 60;

    type Made = (OwnedFd, Vec<OwnedFd>);

    /// A place for changes, and layers with something of their own in each, all detached: for one overlay, since what was attached once stays.
    fn layers(count: usize) -> Made {
        let made = || -> Result<Made, SyscallError> {
            let make = |directory: &OwnedFd, name: &str| {
                mkdirat(directory, name, Mode::RWXU)
                    .map_err(|errno| SyscallError::new("mkdirat", name, errno))
            };
            let memory = Context::new("tmpfs")?.mount(0)?;
            make(&memory, "upper")?;
            make(&memory, "work")?;
            let mut lower = Vec::new();
            for number in 0..count {
                let layer = Context::new("tmpfs")?.mount(0)?;
                make(&layer, &format!("of-{number}"))?;
                lower.push(layer);
            }
            Ok((memory, lower))
        };
        made().unwrap()
    }

    fn is_skipped(test: &str) -> bool {
        let skipped = !rustix::process::geteuid().is_root();
        if skipped {
            println!("SKIPPED {test}: needs root");
        }
        skipped
    }

    /// It shows all layers, and takes changes if there is a place for them.
    fn check(root: &OwnedFd, count: usize, memory: Option<&OwnedFd>) {
        for number in 0..count {
            statat(root, format!("of-{number}"), AtFlags::empty()).unwrap();
        }
        let made = mkdirat(root, "new", Mode::RWXU);
        match memory {
            Some(memory) => statat(memory, "upper/new", AtFlags::empty()).map(drop).unwrap(),
            None => assert_eq!(made, Err(rustix::io::Errno::ROFS)),
        }
    }

    #[test]
    fn detached_mounts_become_layers_however_many() {
        if is_skipped("detached_mounts_become_layers_however_many") {
            return;
        }
        for (count, changed) in
            [(1, true), (2, true), (20, true), (LAYERS, true), (2, false), (LAYERS, false)]
        {
            let (memory, lower) = layers(count);
            let borrowed: Vec<_> = lower.iter().map(AsFd::as_fd).collect();
            let changes = changed.then(|| memory.as_fd());
            let attributes = if changed { 0 } else { raw::MOUNT_ATTR_RDONLY };
            let root = of_detached(&borrowed, changes, attributes).unwrap();
            check(&root, count, changed.then_some(&memory));
        }
    }

    #[test]
    fn options_of_a_page_hold_many_layers() {
        if is_skipped("options_of_a_page_hold_many_layers") {
            return;
        }
        for changed in [true, false] {
            let (memory, lower) = layers(LAYERS);
            let borrowed: Vec<_> = lower.iter().map(AsFd::as_fd).collect();
            let changes = changed.then(|| memory.as_fd());
            let attributes = if changed { raw::MOUNT_ATTR_NOSUID } else { raw::MOUNT_ATTR_RDONLY };
            let root = in_a_thread(|| {
                attach(&borrowed, changes)?;
                by_a_page(&borrowed, changes, attributes)
            });
            check(&root.unwrap(), LAYERS, changed.then_some(&memory));
        }
    }

    /// On a mount that others share, and nothing of it shows there.
    #[test]
    fn directories_become_layers_however_many() {
        if is_skipped("directories_become_layers_however_many") {
            return;
        }
        let (base, _) = layers(0);
        for number in 0..LAYERS {
            mkdirat(&base, format!("{number}"), Mode::RWXU).unwrap();
            mkdirat(&base, format!("{number}/of-{number}"), Mode::RWXU).unwrap();
        }
        let mounts = || std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines().count();
        let made = in_a_thread(|| {
            mount::enter_private_namespace()?;
            mount::attach_over_root(base.as_fd(), "a layer")?;
            let path = CString::new(at_fd(&base.as_fd(), "")).unwrap();
            raw::mount(None, &path, None, raw::MS_SHARED, None).unwrap();
            let open = |number: usize| {
                rustix::fs::openat(&base, number.to_string(), rustix::fs::OFlags::PATH, Mode::empty())
                    .unwrap()
            };
            let opened: Vec<_> = (0..LAYERS).map(open).collect();
            let borrowed: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
            let before = mounts();
            let few = of_directories(&borrowed[..2], Some(base.as_fd()), 0)?;
            let many = of_directories(&borrowed, None, raw::MOUNT_ATTR_RDONLY)?;
            // The page is for what no parameter holds, but has to do for less too.
            let copies: Vec<_> =
                borrowed.iter().map(|layer| mount::clone_bare(*layer, "a layer").unwrap()).collect();
            let page = in_a_thread(|| {
                let copies: Vec<_> = copies.iter().map(AsFd::as_fd).collect();
                attach(&copies, None)?;
                by_a_page(&copies, None, raw::MOUNT_ATTR_RDONLY)
            })?;
            assert_eq!(mounts(), before);
            Ok((few, many, page))
        });
        let (few, many, page) = made.unwrap();
        check(&few, 2, Some(&base));
        check(&many, LAYERS, None);
        check(&page, LAYERS, None);
    }
}
