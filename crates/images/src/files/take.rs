//! Files of an archive below a directory that may have files already, and whose owner may be changing them.
//!
//! [`Taker::archive`] takes a whole archive. A path of it is followed from the directory on, without any link; what lies at a name is
//! replaced at once (`rename`), never written through: a link that was there before is gone then, and what it led to stays as it was.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fsetxattr, fstatfs, futimens, linkat, mkdirat, mknodat, openat, renameat, statat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;
use sys::below::Links;
use sys::raw;

use super::walk::{Reopener, place};
use crate::layer::index::{S_IFDIR, S_IFMT, S_IFREG};
use crate::layer::limits::{MAX_NAME, MAX_PATH};
use crate::layer::name::keeps_attribute;
use crate::layer::tar::{Archive, Entry, Kind};
use crate::layer::{Bad, show};

/// What becomes of what an archive says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Who owns the files; nobody is whom the archive says.
    pub owner: Option<(u32, u32)>,
    /// Devices are made.
    pub devices: bool,
    /// Set-user-id and set-group-id bits and capabilities of files stay.
    pub privileges: bool,
    /// Directories that are there already get what the archive says of them.
    pub directories: bool,
}

/// File systems that are the kernel's own words (linux/magic.h): nothing is copied into them, whatever link or mount leads there.
const KERNELS: [u64; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0xcafe_4a11, // bpf
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
];

/// A directory whose metadata comes last, when nothing is made in it any more.
struct Pending {
    path: Vec<u8>,
    entry: Entry,
}

/// Takes archives.
pub struct Taker<'d> {
    root: BorrowedFd<'d>,
    reopener: &'d Reopener,
    rules: Rules,
    pending: Vec<Pending>,
    /// The directory that was used last.
    parent: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
    count: u64,
    /// What was left out, a line each.
    pub remarks: Vec<String>,
}

const CHUNK: usize = 128 << 10;
/// More remarks than anybody reads.
const MAX_REMARKS: usize = 100;

fn failed(doing: &'static str) -> impl Fn(Errno) -> Bad {
    move |errno| Bad::Io { doing, cause: errno.into() }
}

impl<'d> Taker<'d> {
    /// Files go below `root`.
    pub fn new(root: BorrowedFd<'d>, reopener: &'d Reopener, rules: Rules) -> Self {
        Self {
            root,
            reopener,
            rules,
            pending: Vec::new(),
            parent: None,
            buffer: vec![0; CHUNK],
            count: 0,
            remarks: Vec::new(),
        }
    }

    /// Takes all of an archive, plain or compressed (gzip, zstd). Yields how many entries it had.
    ///
    /// # Errors
    /// What is wrong with it, or what the disk says; what was taken before stays.
    pub fn archive(mut self, input: impl Read) -> Result<(u64, Vec<String>), Bad> {
        let plain = plain(input).map_err(Bad::io("read the archive"))?;
        let mut archive = Archive::new(BufReader::with_capacity(CHUNK, plain));
        while let Some(entry) = archive.next()? {
            self.count += 1;
            self.entry(entry, &mut |buffer| archive.content(buffer))?;
        }
        // What follows the end belongs to it as well: whoever writes is not to find a closed pipe.
        let mut rest = archive.into_input();
        io::copy(&mut rest, &mut io::sink()).map_err(Bad::io("read the archive"))?;
        while let Some(Pending { path, entry }) = self.pending.pop() {
            let directory = place(self.root, &path)
                .and_then(|place| self.reopener.read(place.as_fd()))
                .map_err(Bad::io("open a directory"))?;
            self.metadata(directory.as_fd(), &entry)?;
        }
        Ok((self.count, self.remarks))
    }

    fn remark(&mut self, path: &[u8], words: &str) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(format!("{} {words}", show(path)));
        }
    }

    fn entry(
        &mut self,
        entry: Entry,
        content: &mut dyn FnMut(&mut [u8]) -> Result<usize, Bad>,
    ) -> Result<(), Bad> {
        let path = parse(&entry.path)?;
        if path.is_empty() {
            return Ok(());
        }
        let (directory, name) = self.open_parent(&path)?;
        let name = OsStr::from_bytes(&name);
        let there = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Some(status),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(failed("look at a file")(errno)),
        };
        let is_directory = |status: &Stat| status.st_mode & S_IFMT == S_IFDIR;
        match (&entry.kind, &there) {
            (Kind::Directory, Some(status)) if !is_directory(status) => {
                return Err(Bad::entry(&path, "is a directory, and there is something else of that name"));
            }
            (Kind::Directory, _) => {}
            (_, Some(status)) if is_directory(status) => {
                return Err(Bad::entry(&path, "is no directory, and there is a directory of that name"));
            }
            _ => {}
        }
        match &entry.kind {
            Kind::Directory => {
                let is_new = there.is_none();
                if is_new {
                    mkdirat(&directory, name, Mode::RWXU).map_err(failed("make a directory"))?;
                }
                if is_new || self.rules.directories {
                    self.pending.push(Pending { path, entry });
                }
                Ok(())
            }
            Kind::File => self.file(&directory, name, &entry, content),
            Kind::SymLink(target) => {
                self.clear(&directory, name, there.is_some())?;
                symlinkat(OsStr::from_bytes(target), &directory, name)
                    .map_err(failed("make a symbolic link"))?;
                self.name_metadata(&directory, name, &entry)
            }
            Kind::HardLink(target) => {
                let target = parse(target)?;
                let (from, first) = self.open_parent(&target)?;
                let first = OsStr::from_bytes(&first);
                let same = statat(&from, first, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|_| Bad::entry(&path, "is a hard link to what is not there"))?;
                if there.is_some_and(|there| (there.st_dev, there.st_ino) == (same.st_dev, same.st_ino)) {
                    return Ok(());
                }
                self.clear(&directory, name, there.is_some())?;
                linkat(&from, first, &directory, name, AtFlags::empty()).map_err(failed("make a hard link"))
            }
            Kind::CharDevice(..) | Kind::BlockDevice(..) if !self.rules.devices => {
                self.remark(&path, "is a device: left out");
                Ok(())
            }
            Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Fifo => {
                let (kind, (major, minor)) = match entry.kind {
                    Kind::CharDevice(major, minor) => (FileType::CharacterDevice, (major, minor)),
                    Kind::BlockDevice(major, minor) => (FileType::BlockDevice, (major, minor)),
                    _ => (FileType::Fifo, (0, 0)),
                };
                self.clear(&directory, name, there.is_some())?;
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                match mknodat(&directory, name, kind, mode, rustix::fs::makedev(major, minor)) {
                    Err(Errno::PERM) => {
                        self.remark(&path, "is a device, and who copies may not make any: left out");
                        return Ok(());
                    }
                    outcome => outcome.map_err(failed("make a device"))?,
                }
                self.name_metadata(&directory, name, &entry)
            }
        }
    }

    /// Takes away what a name stands for.
    fn clear(&self, directory: &OwnedFd, name: &OsStr, is_there: bool) -> Result<(), Bad> {
        match unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) if is_there => Err(failed("replace a file")(errno)),
            _ => Ok(()),
        }
    }

    /// The directory of a path, and its last component; directories that are missing are made.
    fn open_parent(&mut self, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Bad> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(Bad::io("open a directory"));
        if let Some((last, directory)) = &self.parent
            && last == parent
        {
            return Ok((copy(directory)?, name.to_vec()));
        }
        let directory = self.directory(parent)?;
        let kind = fstatfs(&directory).map_err(failed("look at a file system"))?.f_type;
        if KERNELS.contains(&(kind as u64 & u64::from(u32::MAX))) {
            return Err(Bad::entry(path, "would go into a file system of the kernel's own"));
        }
        let both = copy(&directory)?;
        self.parent = Some((parent.to_vec(), directory));
        Ok((both, name.to_vec()))
    }

    fn directory(&self, path: &[u8]) -> Result<OwnedFd, Bad> {
        if path.is_empty() {
            return self.root.try_clone_to_owned().map_err(Bad::io("open a directory"));
        }
        let open = |path: &[u8]| {
            let path = std::path::Path::new(OsStr::from_bytes(path));
            sys::resolve::open_below(self.root, path, raw::O_PATH | raw::O_DIRECTORY, Links::Refused)
        };
        let refused = |errno: sys::Errno| match errno {
            sys::Errno::LOOP | sys::Errno::NOTDIR => {
                Bad::entry(path, "leads through something that is no directory")
            }
            errno => Bad::Io { doing: "open a directory", cause: io::Error::from_raw_os_error(errno.raw()) },
        };
        match open(path) {
            Ok(directory) => return Ok(directory),
            Err(error) if error.errno != sys::Errno::NOENT => return Err(refused(error.errno)),
            Err(_) => {}
        }
        let mut end = 0;
        let mut here = self.root.try_clone_to_owned().map_err(Bad::io("open a directory"))?;
        for component in path.split(|byte| *byte == b'/') {
            end += component.len();
            match mkdirat(&here, OsStr::from_bytes(component), Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    if let Some((uid, gid)) = self.rules.owner {
                        let _ = chownat(
                            &here,
                            OsStr::from_bytes(component),
                            Some(Uid::from_raw(uid)),
                            Some(Gid::from_raw(gid)),
                            AtFlags::SYMLINK_NOFOLLOW,
                        );
                    }
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("make a directory")(errno)),
            }
            here = open(&path[..end]).map_err(|error| refused(error.errno))?;
            end += 1;
        }
        Ok(here)
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        entry: &Entry,
        content: &mut dyn FnMut(&mut [u8]) -> Result<usize, Bad>,
    ) -> Result<(), Bad> {
        let hidden = format!(".holm-{}", crate::store::layout::random_name());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File =
            openat(directory, &hidden, flags, Mode::RUSR | Mode::WUSR).map_err(failed("make a file"))?.into();
        let outcome = self
            .fill(&file, entry, content)
            .and_then(|()| self.metadata(file.as_fd(), entry))
            .and_then(|()| match renameat(directory, &hidden, directory, name) {
                // Something is mounted there: the file is not replaced but written.
                Err(Errno::BUSY) => {
                    self.write_through(directory, name, &file)?;
                    unlinkat(directory, &hidden, AtFlags::empty()).map_err(failed("replace a file"))
                }
                outcome => outcome.map_err(failed("name a file")),
            });
        if outcome.is_err() {
            let _ = unlinkat(directory, &hidden, AtFlags::empty());
        }
        outcome
    }

    fn fill(
        &mut self,
        file: &File,
        entry: &Entry,
        content: &mut dyn FnMut(&mut [u8]) -> Result<usize, Bad>,
    ) -> Result<(), Bad> {
        let whole = [(0, entry.size)];
        for (offset, len) in entry.pieces.as_deref().unwrap_or(&whole) {
            let mut at = 0;
            while at < *len {
                let wanted = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
                let count = content(&mut self.buffer[..wanted])?;
                if count == 0 {
                    return Err(Bad::io("read the archive")(io::ErrorKind::UnexpectedEof.into()));
                }
                file.write_all_at(&self.buffer[..count], offset + at).map_err(Bad::io("write a file"))?;
                at += count as u64;
            }
        }
        match entry.pieces {
            Some(_) => file.set_len(entry.size).map_err(Bad::io("write a file")),
            None => Ok(()),
        }
    }

    fn write_through(&self, directory: &OwnedFd, name: &OsStr, from: &File) -> Result<(), Bad> {
        let place = place(directory.as_fd(), name.as_bytes()).map_err(Bad::io("open a file"))?;
        let status = rustix::fs::fstat(&place).map_err(failed("look at a file"))?;
        if status.st_mode & S_IFMT != S_IFREG {
            return Err(Bad::entry(
                name.as_bytes(),
                "would replace something that is mounted and is no file",
            ));
        }
        let mut to = File::from(self.reopener.write(place.as_fd()).map_err(Bad::io("open a file"))?);
        let mut source = Positioned { file: from, at: 0 };
        io::copy(&mut source, &mut to).map_err(Bad::io("write a file"))?;
        to.flush().map_err(Bad::io("write a file"))
    }

    fn owner(&self, entry: &Entry) -> (u32, u32) {
        self.rules.owner.unwrap_or((entry.uid, entry.gid))
    }

    fn mode(&self, entry: &Entry) -> Mode {
        let kept = match (self.rules.privileges, &entry.kind) {
            // Of a directory they are no privileges: they tell to whom belongs what is made in it.
            (true, _) | (_, Kind::Directory) => 0o7777,
            (false, _) => 0o1777,
        };
        Mode::from_raw_mode(entry.mode & kept)
    }

    fn unowned(&self, errno: Errno, entry: &Entry) -> Bad {
        let (uid, gid) = self.owner(entry);
        match errno {
            Errno::INVAL | Errno::OVERFLOW => Bad::entry(
                &entry.path,
                format!("belongs to user {uid} and group {gid}, who do not exist there"),
            ),
            Errno::PERM => Bad::entry(&entry.path, format!("cannot be given to user {uid} and group {gid}")),
            errno => failed("give a file to its owner")(errno),
        }
    }

    fn metadata(&mut self, file: BorrowedFd<'_>, entry: &Entry) -> Result<(), Bad> {
        let (uid, gid) = self.owner(entry);
        // The order counts: chown(2) takes set-user-id bits and capabilities away.
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| self.unowned(errno, entry))?;
        fchmod(file, self.mode(entry)).map_err(failed("set a mode"))?;
        for (name, value) in &entry.xattrs {
            if !keeps_attribute(name) || (name == b"security.capability" && !self.rules.privileges) {
                continue;
            }
            match fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::PERM) => {
                    let words = format!("has the attribute {}, which cannot be had there", show(name));
                    self.remark(&entry.path, &words);
                }
                Err(errno) => return Err(failed("set an extended attribute")(errno)),
            }
        }
        futimens(file, &times(entry)).map_err(failed("set a time"))
    }

    fn name_metadata(&self, directory: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), Bad> {
        let (uid, gid) = self.owner(entry);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(directory, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
            .map_err(|errno| self.unowned(errno, entry))?;
        utimensat(directory, name, &times(entry), flags).map_err(failed("set a time"))
    }
}

/// Reads a file by position, so that its own is left alone.
struct Positioned<'f> {
    file: &'f File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Reopener {
    /// Opens for writing, and empties, what `place` is: a regular file, as the caller has seen.
    fn write(&self, place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(self.directory(), place.as_raw_fd().to_string(), flags, Mode::empty())?)
    }
}

/// A path below the root of what is taken: without `.` and empty components.
fn parse(name: &[u8]) -> Result<Vec<u8>, Bad> {
    let bad = |problem: &str| Err(Bad::entry(name, problem));
    if name.len() > MAX_PATH {
        return bad("has a path of more than 4096 bytes");
    }
    if name.contains(&0) {
        return bad("has a NUL in its name");
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return bad("leads out of where it belongs"),
            _ if component.len() > MAX_NAME => return bad("has a component of more than 255 bytes"),
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
    }
    Ok(path)
}

/// The plain archive of one that may be compressed.
fn plain<'i>(mut input: impl Read + 'i) -> io::Result<Box<dyn Read + 'i>> {
    let mut start = [0; 4];
    let mut len = 0;
    while len < start.len() {
        match input.read(&mut start[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let all = io::Cursor::new(start[..len].to_vec()).chain(input);
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(all)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(all)?),
        _ => Box::new(all),
    })
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.0, tv_nsec: entry.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::write::{Head, Writer, open_directory};
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Scene(std::path::PathBuf);

    impl Scene {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("holm-take-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("in")).unwrap();
            fs::create_dir_all(dir.join("out")).unwrap();
            fs::write(dir.join("out/secret"), "secret").unwrap();
            Self(dir)
        }

        fn take(&self, archive: &[u8]) -> Result<(u64, Vec<String>), Bad> {
            let root = open_directory(&self.0.join("in")).unwrap();
            let reopener = Reopener::new().unwrap();
            let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let rules = Rules { owner: Some(me), devices: false, privileges: false, directories: false };
            Taker::new(root.as_fd(), &reopener, rules).archive(archive)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// An archive of heads; files have their name as content.
    fn archive(heads: &[Head<'_>]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for head in heads {
            let size = if head.kind == b'0' { head.name.len() as u64 } else { 0 };
            writer.head(&Head { size, ..head.clone() }).unwrap();
            writer.content(&mut { head.name }, size).unwrap();
        }
        writer.finish().unwrap()
    }

    fn head<'h>(kind: u8, name: &'h str, link: &'h str) -> Head<'h> {
        Head { kind, name: name.as_bytes(), link: link.as_bytes(), mode: 0o4755, ..Head::default() }
    }

    #[test]
    fn nothing_is_made_through_a_link_that_was_there_or_came_along() {
        let scene = Scene::new("links");
        symlink("../out", scene.0.join("in/there")).unwrap();
        let through = archive(&[head(b'0', "there/secret", "")]);
        assert!(matches!(scene.take(&through), Err(Bad::Entry { .. })));
        let along = archive(&[head(b'2', "link", "../out"), head(b'0', "link/secret", "")]);
        assert!(matches!(scene.take(&along), Err(Bad::Entry { .. })));
        let hard = archive(&[head(b'2', "h", "../out"), head(b'1', "mine", "h/secret")]);
        assert!(scene.take(&hard).is_err());
        let over = archive(&[head(b'2', "f", "../out/secret"), head(b'0', "f", "")]);
        scene.take(&over).unwrap();
        assert_eq!(fs::read_to_string(scene.0.join("in/f")).unwrap(), "f");
        assert_eq!(fs::read_to_string(scene.0.join("out/secret")).unwrap(), "secret");
        assert!(!scene.0.join("in/mine").exists());
    }

    #[test]
    fn names_that_lead_out_are_refused_and_privileges_left_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let scene = Scene::new("names");
        for name in ["../x", "a/../../x", "a/.."] {
            assert!(scene.take(&archive(&[head(b'0', name, "")])).is_err(), "{name}");
        }
        scene.take(&archive(&[head(b'0', "/abs/.wh.file", "")])).unwrap();
        let made = fs::metadata(scene.0.join("in/abs/.wh.file")).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, 0o755);
        let (_, remarks) = scene.take(&archive(&[head(b'3', "null", "")])).unwrap();
        assert_eq!(remarks, ["null is a device: left out"]);
    }

    #[test]
    fn directories_and_others_do_not_replace_each_other() {
        let scene = Scene::new("kinds");
        fs::create_dir(scene.0.join("in/d")).unwrap();
        fs::write(scene.0.join("in/f"), "").unwrap();
        assert!(scene.take(&archive(&[head(b'0', "d", "")])).is_err());
        assert!(scene.take(&archive(&[head(b'5', "f/", "")])).is_err());
        scene.take(&archive(&[head(b'5', "d/", ""), head(b'0', "d/new", "")])).unwrap();
        assert!(scene.0.join("in/d/new").exists());
    }

    #[test]
    fn nothing_is_taken_into_a_file_system_of_the_kernel() {
        let proc = open_directory(std::path::Path::new("/proc/self")).unwrap();
        let reopener = Reopener::new().unwrap();
        let rules = Rules { owner: None, devices: false, privileges: false, directories: false };
        let outcome =
            Taker::new(proc.as_fd(), &reopener, rules).archive(&archive(&[head(b'0', "comm", "")])[..]);
        assert!(matches!(outcome, Err(Bad::Entry { .. })));
    }

    #[test]
    fn broken_archives_and_compressed_ones_are_read_as_what_they_are() {
        let scene = Scene::new("broken");
        let good = archive(&[head(b'0', "a", "")]);
        assert!(scene.take(&good[..700]).is_err());
        assert!(scene.take(b"no archive at all, and long enough for a block of one").is_err());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&good).unwrap();
        assert_eq!(scene.take(&packed.finish().unwrap()).unwrap().0, 1);
        assert_eq!(scene.take(&zstd::stream::encode_all(&good[..], 1).unwrap()).unwrap().0, 1);
        let names: Vec<_> =
            fs::read_dir(scene.0.join("in")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["a"], "nothing half-made stays");
    }
}
