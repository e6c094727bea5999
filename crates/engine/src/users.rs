//! Users and groups of a container, from its own files.
//!
//! [`resolve`] answers who `--user` and `--group-add` are, from the texts of the container's `passwd` and
//! `group`; [`read_database`] reads those two below the root directory. The files belong to the container, so they are hostile:
//! they are opened without leaving the root, only when they are regular, read up to [`MAX_BYTES`], and lines
//! that do not parse are passed over. No name service of the host takes part.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};

use report::{Explain, Hint, Kind};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use sys::SyscallError;

use crate::flags::user::{Group, User, Who};

/// The most that is read of either file; what follows is not seen.
pub const MAX_BYTES: u64 = 1 << 20;

/// The most supplementary groups a process can have (`NGROUPS_MAX`).
pub const MAX_GROUPS: usize = 65_536;

/// The texts of a container's `/etc/passwd` and `/etc/group`; empty where there is no such file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/group`
    pub group: String,
}

/// Who the program runs as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The user id in the container.
    pub uid: u32,
    /// The group id in the container.
    pub gid: u32,
    /// Supplementary groups, ascending: those of the user in the file, and those asked for.
    pub groups: Vec<u32>,
    /// How many of `groups` were asked for by `--group-add`.
    pub groups_added: usize,
    /// The home directory, where the file has an absolute one; `/` otherwise.
    pub home: String,
    /// The user's name, where the file has one.
    pub name: String,
}

/// A user or a group that the container does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{name}` in the container's /etc/{file}")]
pub struct UnknownName {
    /// "user" or "group".
    pub what: &'static str,
    /// The name asked for.
    pub name: String,
    /// "passwd" or "group".
    pub file: &'static str,
}

impl Explain for UnknownName {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(format!("give the {} id as a number", self.what)))
    }
}

/// One line of a passwd file (passwd(5)).
#[derive(Debug, PartialEq, Eq)]
struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of a group file (group(5)).
#[derive(Debug, PartialEq, Eq)]
struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Who `user` and `added` are according to `database`. Without `user` it is root.
///
/// # Errors
/// A name that is not in the files. A number that is not in them is fine.
pub fn resolve(user: Option<&User>, added: &[Group], database: &Database) -> Result<Identity, UnknownName> {
    let who = user.map_or(&Who::Id(0), |user| &user.user);
    let line = match who {
        Who::Id(id) => passwd_lines(&database.passwd).find(|line| line.uid == *id),
        Who::Name(name) => match passwd_lines(&database.passwd).find(|line| line.name == name) {
            None => return Err(UnknownName { what: "user", name: name.clone(), file: "passwd" }),
            found => found,
        },
    };
    let uid = match (who, &line) {
        (Who::Id(id), _) => *id,
        (Who::Name(_), line) => line.as_ref().map_or(0, |line| line.uid),
    };
    let group = user.and_then(|user| user.group.as_ref());
    let gid = match group {
        Some(group) => find_group(group, database)?,
        None => line.as_ref().map_or(0, |line| line.gid),
    };
    let mut groups = Vec::new();
    // A group given with the user is the only one, as in docker.
    if let (Some(line), None) = (&line, group) {
        let member = |found: &GroupLine<'_>| found.members.split(',').any(|name| name == line.name);
        groups.extend(group_lines(&database.group).filter(member).map(|found| found.gid).take(MAX_GROUPS));
    }
    let mut groups_added = 0;
    for group in added {
        groups.push(find_group(&group.0, database)?);
        groups_added += 1;
    }
    groups.sort_unstable();
    groups.dedup();
    groups.truncate(MAX_GROUPS);
    let home = line.as_ref().map(|line| line.home).filter(|home| home.starts_with('/')).unwrap_or("/");
    let name = line.as_ref().map_or("", |line| line.name);
    Ok(Identity { uid, gid, groups, groups_added, home: home.to_owned(), name: name.to_owned() })
}

fn find_group(who: &Who, database: &Database) -> Result<u32, UnknownName> {
    match who {
        Who::Id(id) => Ok(*id),
        Who::Name(name) => group_lines(&database.group)
            .find(|line| line.name == name)
            .map(|line| line.gid)
            .ok_or_else(|| UnknownName { what: "group", name: name.clone(), file: "group" }),
    }
}

fn passwd_lines(text: &str) -> impl Iterator<Item = PasswdLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| is_name(name))?;
        let (uid, gid) = (parse_id(fields.nth(1)?)?, parse_id(fields.next()?)?);
        Some(PasswdLine { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

fn group_lines(text: &str) -> impl Iterator<Item = GroupLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| is_name(name))?;
        let gid = parse_id(fields.nth(1)?)?;
        Some(GroupLine { name, gid, members: fields.next().unwrap_or_default() })
    })
}

/// `+` and `-` begin the lines of NIS, which mean nothing here.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '+', '-'])
}

/// Digits only, below 2^32-1.
fn parse_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// The container's user database cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {path} of the container")]
pub struct ReadDatabase {
    /// The path in the container.
    pub path: &'static str,
    /// Why.
    #[source]
    pub cause: SyscallError,
}

impl Explain for ReadDatabase {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
}

/// Reads the user and group files below `root`, a directory. A file that is missing, and one that is not regular, is empty.
///
/// # Errors
/// [`ReadDatabase`], when a file is there and cannot be read.
///
/// # Kernel
/// openat2(2), Linux 5.6; before, links are not followed at all.
pub fn read_database(root: BorrowedFd<'_>) -> Result<Database, ReadDatabase> {
    Ok(Database { passwd: read_text(root, "/etc/passwd")?, group: read_text(root, "/etc/group")? })
}

/// The same for directories that will lie over each other as an overlay, the topmost first: each file is of the first that has it. One that a layer
/// above takes away (a whiteout, or a directory that hides those below) is not there.
///
/// # Errors
/// As [`read_database`].
pub fn read_database_of(layers: &[BorrowedFd<'_>]) -> Result<Database, ReadDatabase> {
    let find = |path: &'static str| {
        for layer in layers {
            match whose(*layer, path.trim_start_matches("/etc/")) {
                Holder::This => return read_text(*layer, path),
                Holder::Nobody => return Ok(String::new()),
                Holder::Below => {}
            }
        }
        Ok(String::new())
    };
    Ok(Database { passwd: find("/etc/passwd")?, group: find("/etc/group")? })
}

/// Which layer has a file.
enum Holder {
    /// This one.
    This,
    /// One below, if any.
    Below,
    /// None: this one takes it away.
    Nobody,
}

/// Which layer has `name` in `/etc`, as far as this one tells.
fn whose(layer: BorrowedFd<'_>, name: &str) -> Holder {
    let look = |directory: BorrowedFd<'_>, name: &str| {
        rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok()
    };
    let is_whiteout = |stat: &rustix::fs::Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
    };
    match look(layer, "etc") {
        None => return Holder::Below,
        Some(stat) if is_whiteout(&stat) => return Holder::Nobody,
        // A link in place of /etc is followed below the root by whoever reads.
        Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => return Holder::This,
        Some(_) => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::openat(layer, "etc", flags, Mode::empty()) else { return Holder::This };
    match look(directory.as_fd(), name) {
        Some(stat) if is_whiteout(&stat) => Holder::Nobody,
        Some(_) => Holder::This,
        None => {
            let opaque = ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|attribute| {
                let mut value = [0; 8];
                rustix::fs::fgetxattr(&directory, *attribute, &mut value)
                    .is_ok_and(|len| value[..len].starts_with(b"y"))
            });
            if opaque { Holder::Nobody } else { Holder::Below }
        }
    }
}

fn read_text(root: BorrowedFd<'_>, path: &'static str) -> Result<String, ReadDatabase> {
    use rustix::io::Errno;
    let failed = |call, errno: Errno| ReadDatabase { path, cause: SyscallError::new(call, path, errno) };
    // Non-blocking: a FIFO in the file's place would otherwise be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => open_without_links(root, path, flags),
        other => other,
    };
    let fd = match opened {
        Ok(fd) => fd,
        // NXIO and OPNOTSUPP: a socket or a device without driver stands there.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::OPNOTSUPP) => {
            return Ok(String::new());
        }
        Err(errno) => return Err(failed("openat2", errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| failed("fstat", errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    File::from(fd)
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| ReadDatabase { path, cause: SyscallError::new("read", path, error) })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same on kernels without openat2(2): no component may be a link.
fn open_without_links(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let (directory, name) = path.trim_start_matches('/').split_once('/').unwrap_or((".", path));
    let walk = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(root, directory, walk, Mode::empty())?;
    rustix::fs::openat(directory.as_fd(), name, flags | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Value;
    use expect_test::expect;
    use std::fmt::Write as _;

    fn database() -> Database {
        Database {
            passwd: "root:x:0:0:root:/root:/bin/sh\n# comment\n+::::::\nbroken\nbig:x:4294967296:1::/:\n\
                     minus:x:-1:1::/:\nmax:x:4294967295:1::/:\n1000:x:0:0:a name made of digits:/:\n\
                     web:x:33:34::relative:\nweb:x:0:0:a second one::\nann:x:1000:1000::/home/ann:/bin/sh\n"
                .to_owned(),
            group: "root:x:0:\nadm:x:4:ann,web\n\nstaff:x:50:ann\nbad:x:x:ann\nvideo:x:44:ann,ann\n"
                .to_owned(),
        }
    }

    #[test]
    fn ids_are_resolved_in_the_containers_own_files() {
        let mut lines = String::new();
        for user in [
            "",
            "0",
            "ann",
            "1000",
            "web",
            "web:staff",
            "7",
            "ann:0",
            "7:44",
            "max",
            "minus",
            "nobody",
            "0:nogroup",
        ] {
            let parsed = User::parse(user).ok();
            let added = [Group::parse("video").unwrap(), Group::parse("9").unwrap()];
            let _ = match resolve(parsed.as_ref(), &added[..usize::from(user == "1000") * 2], &database()) {
                Ok(it) => writeln!(
                    lines,
                    "{user} => {}:{} {:?} {} `{}`",
                    it.uid, it.gid, it.groups, it.home, it.name
                ),
                Err(error) => writeln!(lines, "{user} !! {error}"),
            };
        }
        expect![[r#"
             => 0:0 [] /root `root`
            0 => 0:0 [] /root `root`
            ann => 1000:1000 [4, 44, 50] /home/ann `ann`
            1000 => 1000:1000 [4, 9, 44, 50] /home/ann `ann`
            web => 33:34 [4] / `web`
            web:staff => 33:50 [] / `web`
            7 => 7:0 [] / ``
            ann:0 => 1000:0 [] /home/ann `ann`
            7:44 => 7:44 [] / ``
            max !! there is no user `max` in the container's /etc/passwd
            minus !! there is no user `minus` in the container's /etc/passwd
            nobody !! there is no user `nobody` in the container's /etc/passwd
            0:nogroup !! there is no group `nogroup` in the container's /etc/group
        "#]]
        .assert_eq(&lines);
    }

    #[test]
    fn a_number_is_not_a_users_name() {
        let user = User::parse("1000").unwrap();
        let found = resolve(Some(&user), &[], &database()).unwrap();
        assert_eq!((found.uid, found.name.as_str()), (1000, "ann"));
    }

    /// A directory of the test's own, removed at its end.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("holm-users-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("etc")).unwrap();
            Self(path)
        }
        fn read(&self) -> Result<Database, ReadDatabase> {
            read_database(File::open(&self.0).unwrap().as_fd())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_is_followed_inside_of_the_root_only() {
        let root = Scratch::new("link");
        std::fs::write(root.0.join("inside"), "in:x:5:5::/:\n").unwrap();
        std::os::unix::fs::symlink("/inside", root.0.join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink("../../../../../../../etc/group", root.0.join("etc/group")).unwrap();
        let database = root.read().unwrap();
        assert_eq!(database.passwd, "in:x:5:5::/:\n");
        assert_eq!(database.group, "", "the host's group file was read");
    }

    #[test]
    fn the_topmost_layer_that_has_a_file_or_takes_it_away_decides() {
        let (top, middle, bottom) = (Scratch::new("top"), Scratch::new("middle"), Scratch::new("bottom"));
        std::fs::remove_dir(top.0.join("etc")).unwrap();
        std::fs::write(middle.0.join("etc/passwd"), "m:x:1:1::/:\n").unwrap();
        for file in ["passwd", "group"] {
            std::fs::write(bottom.0.join("etc").join(file), "b:x:2:\n").unwrap();
        }
        let read = || {
            let layers = [&top, &middle, &bottom].map(|layer| File::open(&layer.0).unwrap());
            let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
            read_database_of(&layers).unwrap()
        };
        assert_eq!((read().passwd.as_str(), read().group.as_str()), ("m:x:1:1::/:\n", "b:x:2:\n"));
        let gone = middle.0.join("etc/group");
        let made = rustix::fs::mknodat(rustix::fs::CWD, &gone, FileType::CharacterDevice, Mode::empty(), 0);
        if made.is_err() {
            eprintln!(
                "SKIPPED the_topmost_layer_that_has_a_file_or_takes_it_away_decides: no whiteouts can be made here"
            );
            return;
        }
        assert_eq!(read().group, "");
        std::fs::remove_file(&gone).unwrap();
        rustix::fs::setxattr(
            middle.0.join("etc"),
            "trusted.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        assert_eq!((read().passwd.as_str(), read().group.as_str()), ("m:x:1:1::/:\n", ""));
        rustix::fs::mknodat(rustix::fs::CWD, top.0.join("etc"), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
        assert_eq!(read(), Database::default());
    }

    #[test]
    fn only_a_regular_file_is_read_and_not_more_than_a_limit_of_it() {
        let root = Scratch::new("kind");
        std::fs::create_dir(root.0.join("etc/passwd")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.0.join("etc/group"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(root.read().unwrap(), Database::default());
        std::fs::remove_file(root.0.join("etc/group")).unwrap();
        std::fs::write(root.0.join("etc/group"), vec![b'x'; MAX_BYTES as usize + 10]).unwrap();
        assert_eq!(root.read().unwrap().group.len(), MAX_BYTES as usize);
    }
}
