//! `holm image mount` and `unmount`.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use images::store::{Image, Store};
use report::BoxedExplain;
use sys::SyscallError;

use super::{boxed, flag, path, print, refuse, store, text, texts};

/// Where images are mounted that nobody named a place for.
fn place(store: &Store, image: &Image) -> PathBuf {
    roots(store).join(image.config.hex())
}

fn roots(store: &Store) -> PathBuf {
    store.options().run.with_file_name("roots")
}

pub(super) fn mount(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let Some(name) = text(matches, "image") else {
        let lines: String = mounted(&store).iter().map(|path| format!("{}\n", path.display())).collect();
        print(&lines)?;
        return Ok(0);
    };
    let image = store.find(name).map_err(boxed)?;
    let at = path(matches, "directory").unwrap_or_else(|| place(&store, &image));
    if is_point(&at) {
        print(&format!("{}\n", at.display()))?;
        return Ok(0);
    }
    let failed = |call| {
        let at = at.clone();
        move |error: std::io::Error| boxed(SyscallError::new(call, at.display().to_string(), error))
    };
    std::fs::create_dir_all(&at).map_err(failed("mkdir"))?;
    let mount = store.mount_image(&image).map_err(boxed)?;
    let directory = File::open(&at).map_err(failed("open"))?;
    sys::raw::move_mount((&mount).into(), (&directory).into(), c"")
        .map_err(|errno| boxed(SyscallError::new("move_mount", at.display().to_string(), errno)))?;
    print(&format!("{}\n", at.display()))?;
    Ok(0)
}

pub(super) fn unmount(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let mut places: Vec<PathBuf> = Vec::new();
    if flag(matches, "all") {
        places.extend(mounted(&store));
    }
    for asked in texts(matches, "place") {
        let directory = PathBuf::from(asked);
        places.push(match asked.contains('/') && is_point(&directory) {
            true => directory,
            false => place(&store, &store.find(asked).map_err(boxed)?),
        });
    }
    if places.is_empty() && !flag(matches, "all") {
        return Err(refuse("nothing to unmount is named", "name an image or a directory, or use --all"));
    }
    for at in places {
        if !is_point(&at) {
            return Err(refuse(
                format!("nothing is mounted on {}", at.display()),
                "`holm image mount` lists what is",
            ));
        }
        rustix::mount::unmount(&at, rustix::mount::UnmountFlags::NOFOLLOW)
            .map_err(|errno| boxed(SyscallError::new("umount2", at.display().to_string(), errno)))?;
        if at.starts_with(roots(&store)) {
            let _ = std::fs::remove_dir(&at);
        }
    }
    Ok(0)
}

/// What is mounted where images are.
fn mounted(store: &Store) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(roots(store))).collect()
}

fn is_point(path: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Ok(real) = std::fs::canonicalize(path) else { return false };
    text.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| Path::new(point) == real)
}
