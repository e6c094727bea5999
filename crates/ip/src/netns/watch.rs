//! Names that come and go are told as it happens.

use std::mem::MaybeUninit;

use namespaces::{Kind, hold};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::{DIRECTORY, failed, say};
use crate::fail::Fail;

/// `netns monitor`, which ends by a signal only.
pub(super) fn monitor() -> Result<u8, Fail> {
    let cannot = || format!("cannot watch {DIRECTORY}");
    hold::make_directory(Kind::Net).map_err(|cause| Fail::system(cannot(), cause))?;
    let watch =
        inotify::init(CreateFlags::CLOEXEC).map_err(|errno| failed(cannot(), "inotify_init1", "", errno))?;
    inotify::add_watch(&watch, DIRECTORY, WatchFlags::CREATE | WatchFlags::DELETE)
        .map_err(|errno| failed(cannot(), "inotify_add_watch", DIRECTORY, errno))?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    loop {
        let event = match events.next() {
            Ok(event) => event,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(failed(cannot(), "read", "inotify", errno)),
        };
        let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if event.events().contains(ReadFlags::CREATE) {
            say(&format!("add {name}\n"));
        }
        if event.events().contains(ReadFlags::DELETE) {
            say(&format!("delete {name}\n"));
        }
    }
}
