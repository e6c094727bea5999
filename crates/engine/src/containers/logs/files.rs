//! A log in files, over all that it was spread to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use monitor::Driver;
use monitor::log::file::rotated;
use report::BoxedExplain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use sys::SyscallError;

use super::line::{self, Line};
use super::{LogOptions, tail};
use crate::containers::Definition;
use crate::containers::home::{Home, LOG, Places};
use crate::containers::stop::living;
use crate::containers::wait;
use crate::host::boxed;

/// A log that is being read.
#[derive(Debug)]
pub(super) struct Files {
    places: Places,
    home: Home,
    path: PathBuf,
    driver: Driver,
    options: LogOptions,
    /// Files that come before the one that is being read, the next one last.
    queue: Vec<(File, u64)>,
    current: Option<BufReader<File>>,
    /// The file that is written now, by its number, once it is being read.
    newest: Option<u64>,
    notify: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// A last look is taken after the end.
    ended: bool,
}

/// Opens them.
///
/// # Errors
/// When they cannot be read.
pub(super) fn open(
    places: &Places,
    home: &Home,
    definition: &Definition,
    options: LogOptions,
) -> Result<Files, BoxedExplain> {
    // One that has just ended has written more than its monitor has put here.
    if !options.follow && home.is_draining() {
        wait::until_told(home, 0);
    }
    let path = home.directory.join(LOG);
    let notify = match options.follow {
        true => Some(watch(&home.directory).map_err(|cause| boxed(home.failed("read the log of", cause)))?),
        false => None,
    };
    let failed =
        |error: std::io::Error| boxed(home.failed("read the log of", SyscallError::new("read", LOG, error)));
    let mut files = files(&path, definition.log.max_files).map_err(failed)?;
    let newest = files.first().and_then(|file| file.metadata().ok()).map(|data| data.ino());
    let mut queue = Vec::new();
    match options.tail {
        None => queue.extend(files.drain(..).map(|file| (file, 0))),
        Some(mut wanted) => {
            for mut file in files.drain(..) {
                let (at, found) = tail::begin(&mut file, wanted).map_err(failed)?;
                queue.push((file, at));
                wanted = wanted.saturating_sub(found);
                if wanted == 0 {
                    break;
                }
            }
        }
    }
    Ok(Files {
        places: places.clone(),
        home: home.clone(),
        path,
        driver: definition.log.driver,
        options,
        queue,
        current: None,
        newest,
        notify,
        buffer: Vec::new(),
        ended: false,
    })
}

/// The log's files, the newest first. Opened one after the other, so that one that is set aside meanwhile may be there twice.
fn files(path: &Path, max_files: u32) -> std::io::Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    let mut seen = Vec::new();
    for number in 0..max_files.max(1) {
        match File::open(rotated(path, number)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if !seen.contains(&inode) {
                    seen.push(inode);
                    files.push(file);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn watch(directory: &Path) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, LOG, errno);
    let notify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .map_err(failed("inotify_init1"))?;
    let events = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE_SELF
        | inotify::WatchFlags::MOVE_SELF;
    inotify::add_watch(&notify, directory, events).map_err(failed("inotify_add_watch"))?;
    Ok(notify)
}

impl Files {
    /// The next line; none when there are no more. Waits when following.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, BoxedExplain> {
        loop {
            if self.read_line()? {
                let line = line::parse(self.driver, &self.buffer);
                self.buffer.clear();
                // A line that a crash or a full disk has cut off is none.
                let Some(line) = line else { continue };
                if self.options.until_ns.is_some_and(|until| line.time_ns > until) {
                    return Ok(None);
                }
                if self.options.since_ns.is_none_or(|since| line.time_ns >= since) {
                    return Ok(Some(line));
                }
                continue;
            }
            if !self.options.follow || self.ended {
                return Ok(None);
            }
            self.wait();
        }
    }

    /// Whether a line can be read without waiting, as far as that is known without looking.
    pub(super) fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.current.as_ref().is_some_and(|reader| !reader.buffer().is_empty())
    }

    /// Reads up to the end of a line into the buffer; false when there is none yet.
    fn read_line(&mut self) -> Result<bool, BoxedExplain> {
        /// Longer than any line that is written.
        const MOST: usize = 1 << 20;
        loop {
            if let Some(reader) = &mut self.current {
                let failed =
                    |error| boxed(self.home.failed("read the log of", SyscallError::new("read", LOG, error)));
                let available = reader.fill_buf().map_err(failed)?;
                if !available.is_empty() {
                    let (end, whole) = match available.iter().position(|byte| *byte == b'\n') {
                        Some(end) => (end + 1, true),
                        None => (available.len(), false),
                    };
                    if self.buffer.len() < MOST {
                        self.buffer.extend_from_slice(&available[..end]);
                    }
                    reader.consume(end);
                    if whole {
                        return Ok(true);
                    }
                    continue;
                }
            }
            if let Some((mut file, at)) = self.queue.pop() {
                file.seek(SeekFrom::Start(at)).map_err(boxed_read(&self.home))?;
                self.current = Some(BufReader::with_capacity(64 * 1024, file));
                self.buffer.clear();
                continue;
            }
            if !self.options.follow || !self.open_newer()? {
                return Ok(false);
            }
        }
    }

    /// Goes on with the file that is written now, if that is another one than before.
    fn open_newer(&mut self) -> Result<bool, BoxedExplain> {
        let Ok(file) = File::open(&self.path) else { return Ok(false) };
        let data = file.metadata().map_err(boxed_read(&self.home))?;
        if self.newest == Some(data.ino()) {
            // A single file that began anew is read from its beginning.
            if let Some(reader) = &mut self.current
                && reader.stream_position().is_ok_and(|at| at > data.len())
            {
                reader.seek(SeekFrom::Start(0)).map_err(boxed_read(&self.home))?;
                return Ok(data.len() > 0);
            }
            return Ok(false);
        }
        self.newest = Some(data.ino());
        self.current = Some(BufReader::with_capacity(64 * 1024, file));
        self.buffer.clear();
        Ok(true)
    }

    fn wait(&mut self) {
        let Some(notify) = &self.notify else {
            self.ended = true;
            return;
        };
        let living = living(&self.places, &self.home, "follow").ok();
        if living.is_none() && !self.home.has_monitor() {
            // What was written before it went is read once more.
            self.ended = true;
            return;
        }
        let mut fds = vec![PollFd::from_borrowed_fd(notify.as_fd(), PollFlags::IN)];
        if let Some((_, _, pidfd)) = &living {
            fds.push(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
        }
        // A monitor that ends is not told by either.
        let nanoseconds = if living.is_some() { 500_000_000 } else { 5_000_000 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let _ = poll(&mut fds, Some(&timeout));
        let mut events = [0; 4096];
        while rustix::io::read(notify, &mut events).is_ok_and(|len| len > 0) {}
    }
}

fn boxed_read(home: &Home) -> impl Fn(std::io::Error) -> BoxedExplain + '_ {
    |error| boxed(home.failed("read the log of", SyscallError::new("read", LOG, error)))
}
