//! Files of containers: copied in and out, compared with the image, written to an archive.
//!
//! [`copy()`] is `cp`, [`diff`] and [`export()`] what they are called; start reading there. What belongs to a container is touched by a process
//! of its own only ([`child`]), which [`Opened`] is the handle of; [`rules`] decide where something goes.

pub mod child;
mod opened;
pub mod rules;
mod side;
mod stubs;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use images::files::changes::{self, Change};
use images::files::send::Ids;
use images::files::take::Rules;
use images::files::walk::{Reopener, place};
use images::transfer::write::{Writer, open_directory};
use report::{BoxedExplain, Explain, Kind};
use sys::SyscallError;

pub use opened::{For, Opened};

use self::rules::{Source, There, Typed, decide};
use self::side::{Root, Seen, Side};
use super::home::{Home, Places};
use super::{Definition, root};
use crate::host::boxed;
use crate::request::{Changes, Rootfs};

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The caller's files.
    Own(String),
    /// A container's.
    Container(Home, String),
    /// An archive on the standard input or output.
    Stream,
}

/// How something is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyOptions {
    /// Owners, set-user-id bits and the like come along.
    pub archive: bool,
    /// A link that is named is followed.
    pub follow: bool,
}

/// Something cannot be copied.
#[derive(Debug, thiserror::Error)]
#[error("copy {from} to {to}")]
struct NotCopied {
    from: String,
    to: String,
    cause: BoxedExplain,
}

impl Explain for NotCopied {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&*self.cause)
    }
}

/// The source is not there.
#[derive(Debug, thiserror::Error)]
enum BadSource {
    #[error("there is no {0}")]
    Missing(String),
    #[error("{0} is no directory")]
    NoDirectory(String),
    #[error("an archive goes into a directory, and {0} is none")]
    NoPlaceForArchive(String),
}

impl Explain for BadSource {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::NotFound,
            Self::NoDirectory(_) | Self::NoPlaceForArchive(_) => Kind::InvalidInput,
        }
    }
}

fn named(end: &End) -> String {
    match end {
        End::Own(path) => path.clone(),
        End::Container(home, path) => {
            let name =
                home.definition().map_or_else(|_| home.short().to_owned(), |definition| definition.name);
            format!("{name}:{path}")
        }
        End::Stream => "-".to_owned(),
    }
}

/// An end that is open.
enum Ready {
    Own(Side),
    Container(Opened),
    Stream,
}

impl Ready {
    fn open(places: &Places, end: &End, what_for: For) -> Result<Self, BoxedExplain> {
        Ok(match end {
            End::Own(_) => {
                let reopener = Reopener::new()
                    .map_err(|error| boxed(SyscallError::new("openat", "/proc/self/fd", error)))?;
                Self::Own(Side { root: Root::Own, reopener })
            }
            End::Container(home, _) => Self::Container(Opened::open(places, home, what_for)?),
            End::Stream => Self::Stream,
        })
    }

    fn look(&self, path: &str, follow: bool) -> Result<(Option<Seen>, side::Look), BoxedExplain> {
        match self {
            Self::Own(side) => side.look(path, follow).map(|(seen, look)| (Some(seen), look)).map_err(boxed),
            Self::Container(opened) => opened.look(path, follow).map(|look| (None, look)),
            Self::Stream => Ok((None, side::Look { there: There::Directory, name: String::new() })),
        }
    }
}

/// Copies files. Yields how many there were, and remarks, a line each.
///
/// # Errors
/// What is not there, does not fit, or cannot be read or written; what was copied before stays.
pub fn copy(
    places: &Places,
    from: &End,
    to: &End,
    options: CopyOptions,
) -> Result<(u64, Vec<String>), BoxedExplain> {
    copy_between(places, from, to, options)
        .map_err(|cause| boxed(NotCopied { from: named(from), to: named(to), cause }))
}

fn path_of(end: &End) -> &str {
    match end {
        End::Own(path) | End::Container(_, path) => path,
        End::Stream => "-",
    }
}

fn copy_between(
    places: &Places,
    from: &End,
    to: &End,
    options: CopyOptions,
) -> Result<(u64, Vec<String>), BoxedExplain> {
    let source_end = Ready::open(places, from, For::Reading)?;
    let (typed_from, typed_to) = (Typed::read(path_of(from)), Typed::read(path_of(to)));
    let (seen_from, name, source) = match &source_end {
        Ready::Stream => {
            (None, String::new(), Source { is_directory: true, contents: true, name: String::new() })
        }
        end => {
            let (seen, look) = end.look(path_of(from), options.follow || typed_from.is_directory)?;
            let is_directory = match look.there {
                There::Directory => true,
                There::Other if typed_from.is_directory => {
                    return Err(boxed(BadSource::NoDirectory(named(from))));
                }
                There::Other => false,
                There::Nothing | There::NoDirectory => return Err(boxed(BadSource::Missing(named(from)))),
            };
            // Of a root there is no name: its content is meant.
            let contents = typed_from.contents || typed_from.name.is_empty();
            let source = Source { is_directory, contents, name: typed_from.name.clone() };
            (seen, typed_from.name.clone(), source)
        }
    };
    let target_end = Ready::open(places, to, For::Writing)?;
    let (seen_to, target) = target_end.look(path_of(to), true)?;
    let (into, name) = match (&source_end, &target_end) {
        (_, Ready::Stream) => (rules::Into::Directory, if source.contents { String::new() } else { name }),
        (Ready::Stream, _) if target.there != There::Directory => {
            return Err(boxed(BadSource::NoPlaceForArchive(named(to))));
        }
        (Ready::Stream, _) => (rules::Into::Directory, String::new()),
        _ => {
            // The name that a link leads to, if the destination is one.
            let typed = Typed { name: target.name.clone(), ..typed_to };
            decide(&source, &typed, target.there).map_err(boxed)?
        }
    };
    let whole = options.archive || matches!(source_end, Ready::Stream);
    let flow = Flow { source: source_end, target: target_end, name, into, whole };
    flow.run(seen_from, seen_to)
}

/// A copy of which everything is decided.
struct Flow {
    source: Ready,
    target: Ready,
    name: String,
    into: rules::Into,
    whole: bool,
}

impl Flow {
    fn run(self, seen_from: Option<Seen>, seen_to: Option<Seen>) -> Result<(u64, Vec<String>), BoxedExplain> {
        let Self { source, target, name, into, whole } = self;
        let own_rules = Rules {
            owner: (!whole)
                .then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())),
            devices: whole && rustix::process::geteuid().is_root(),
            privileges: whole,
            directories: whole,
        };
        let read = |error| boxed(SyscallError::new("read", name.as_str(), error));
        match (source, target) {
            (Ready::Own(side), Ready::Container(opened)) => {
                let (input, output) = opened::pipe()?;
                opened.take(into, !whole, whole, input.as_fd())?;
                drop(input);
                let seen = seen_from.ok_or_else(|| read(std::io::ErrorKind::NotFound.into()))?;
                let sent = side.send(seen, &name, output);
                // What went wrong over there is why writing failed here.
                let (count, mut remarks) = match (opened.done("copy to"), sent.map_err(read)) {
                    (Ok((count, remarks)), Ok(more)) => (count, [remarks, more].concat()),
                    (_, Err(error)) if !is_broken_pipe(&*error) => return Err(error),
                    (Err(error), _) | (_, Err(error)) => return Err(error),
                };
                remarks.dedup();
                Ok((count, remarks))
            }
            (Ready::Stream, Ready::Container(opened)) => {
                opened.take(into, false, true, std::io::stdin().as_fd())?;
                opened.done("copy to")
            }
            (Ready::Container(opened), Ready::Own(side)) => {
                let (input, output) = opened::pipe()?;
                opened.send(&name, output.as_fd())?;
                drop(output);
                let seen = seen_to.ok_or_else(|| read(std::io::ErrorKind::NotFound.into()))?;
                let taken = side.take(seen, into, own_rules, input);
                let sent = opened.done("copy from");
                match (taken, sent) {
                    (Ok((count, remarks)), Ok((_, more))) => Ok((count, [remarks, more].concat())),
                    // An archive that ends too early: why it did.
                    (Err(bad), Err(error)) if !is_broken_pipe(&*error) => {
                        drop(bad);
                        Err(error)
                    }
                    (Err(bad), _) => Err(child::explained(bad)),
                    (_, Err(error)) => Err(error),
                }
            }
            (Ready::Container(opened), Ready::Stream) => {
                opened.send(&name, std::io::stdout().as_fd())?;
                opened.done("copy from")
            }
            (Ready::Container(from), Ready::Container(to)) => {
                let (input, output) = opened::pipe()?;
                to.take(into, !whole, whole, input.as_fd())?;
                drop(input);
                from.send(&name, output.as_fd())?;
                drop(output);
                let sent = from.done("copy from");
                match (sent, to.done("copy to")) {
                    (Ok((_, more)), Ok((count, remarks))) => Ok((count, [remarks, more].concat())),
                    (Err(error), Ok(_)) => Err(error),
                    (Err(error), Err(_)) if !is_broken_pipe(&*error) => Err(error),
                    (_, Err(error)) => Err(error),
                }
            }
            _ => Err(boxed(BadSource::Missing("container among both".to_owned()))),
        }
    }
}

fn is_broken_pipe(error: &dyn Explain) -> bool {
    report::one_line(error).contains("EPIPE")
}

/// What a container's root is made of, for who looks at what changed.
pub(crate) struct Layers {
    /// What it was made from.
    pub(crate) lower: OwnedFd,
    /// The upper directory, or the root as the container sees it.
    pub(crate) now: OwnedFd,
    /// Whether that is the upper directory of an overlay.
    pub(crate) is_upper: bool,
    /// How owners in it are called inside.
    pub(crate) ids: Ids,
    /// Where something is mounted.
    stubs: Vec<Vec<u8>>,
    /// As long as this lives, `now` does.
    _opened: Option<Opened>,
    /// As long as this lives, `lower` does.
    _copy: Option<images::snapshot::Scratch>,
}

/// A container whose changes cannot be told from the rest.
#[derive(Debug, thiserror::Error)]
#[error("the changes of container `{0}` go to its root directory itself: what was there before is not known")]
struct NoLayer(String);

impl Explain for NoLayer {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
}

impl Layers {
    pub(crate) fn open(places: &Places, home: &Home, definition: &Definition) -> Result<Self, BoxedExplain> {
        let mut flags = definition.request.clone();
        root::find(home, definition.manifest.as_deref(), &mut flags)?;
        let stubs = stubs::places(definition);
        if flags.rootfs.copied {
            let now = open_directory(&flags.rootfs.directory).map_err(|error| {
                boxed(SyscallError::new("openat", flags.rootfs.directory.display().to_string(), error))
            })?;
            let copy = root::again(home)?;
            let lower = copy.open().map_err(boxed)?;
            let ids = Ids::default();
            return Ok(Self { lower, now, is_upper: false, ids, stubs, _opened: None, _copy: Some(copy) });
        }
        let lower = lower(&flags.rootfs).map_err(boxed)?;
        match &flags.rootfs.changes {
            Changes::WriteThrough => Err(boxed(NoLayer(definition.name.clone()))),
            Changes::Keep(directory) => {
                let upper = directory.join("upper");
                let now = match open_directory(&upper) {
                    Ok(now) => now,
                    // It was never started.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        lower.try_clone().map_err(|error| boxed(SyscallError::new("fcntl", "", error)))?
                    }
                    Err(error) => {
                        return Err(boxed(SyscallError::new("openat", upper.display().to_string(), error)));
                    }
                };
                Ok(Self {
                    is_upper: upper.exists(),
                    lower,
                    now,
                    ids: Ids::default(),
                    stubs,
                    _opened: None,
                    _copy: None,
                })
            }
            Changes::Discard => {
                // They are in memory, in a mount of the container's.
                let opened = Opened::open(places, home, For::Root)?;
                let now = opened.root()?;
                let ids = ids(places, home);
                Ok(Self { lower, now, is_upper: false, ids, stubs, _opened: Some(opened), _copy: None })
            }
        }
    }

    pub(crate) fn changes(&self, reopener: &Reopener) -> std::io::Result<Vec<Change>> {
        let all = match self.is_upper {
            true => changes::of_upper(self.now.as_fd(), self.lower.as_fd(), reopener)?,
            false => changes::by_comparing(self.lower.as_fd(), self.now.as_fd(), &self.ids)?,
        };
        let status = |root: &OwnedFd, path: &[u8]| {
            place(root.as_fd(), path).ok().and_then(|place| rustix::fs::fstat(place).ok())
        };
        let is_empty = |path: &[u8]| {
            status(&self.now, path).is_some_and(|status| {
                let kind = rustix::fs::FileType::from_raw_mode(status.st_mode);
                let within = |change: &Change| {
                    change.path.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'))
                };
                match kind {
                    rustix::fs::FileType::Directory => !all.iter().any(within),
                    rustix::fs::FileType::RegularFile => status.st_size == 0,
                    _ => false,
                }
            })
        };
        let is_same = |path: &[u8]| {
            let (Some(was), Some(is)) = (status(&self.lower, path), status(&self.now, path)) else {
                return false;
            };
            let owner = self.ids.inside((is.st_uid, is.st_gid));
            (was.st_mode, was.st_uid, was.st_gid) == (is.st_mode, owner.0, owner.1)
        };
        Ok(stubs::leave_out(all.clone(), &self.stubs, is_empty, is_same))
    }
}

/// The ids of a container that runs: its user namespace's.
fn ids(places: &Places, home: &Home) -> Ids {
    let Ok((state, _, _)) = super::stop::living(places, home, "reach the files of") else {
        return Ids::default();
    };
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", state.pid)).unwrap_or_default();
    Ids::parse(&read("uid_map"), &read("gid_map"))
}

/// The layers that are not the container's own, as one tree.
fn lower(rootfs: &Rootfs) -> Result<OwnedFd, SyscallError> {
    let open = |path: &std::path::Path| {
        open_directory(path).map_err(|error| SyscallError::new("openat", path.display().to_string(), error))
    };
    if rootfs.below.is_empty() {
        return open(&rootfs.directory);
    }
    let mut layers = vec![open(&rootfs.directory)?];
    for directory in &rootfs.below {
        layers.push(open(directory)?);
    }
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    let attributes = sys::raw::MOUNT_ATTR_RDONLY | sys::raw::MOUNT_ATTR_NOSUID | sys::raw::MOUNT_ATTR_NODEV;
    sys::overlay::of_directories(&layers, None, attributes)
}

/// What a container changed of its root, in order of paths.
///
/// # Errors
/// When that cannot be told, or not be read.
pub fn diff(places: &Places, home: &Home) -> Result<Vec<Change>, BoxedExplain> {
    let definition = home.definition().map_err(boxed)?;
    let failed =
        |error| boxed(home.failed("read the changes of", SyscallError::new("read", "its root", error)));
    let layers = Layers::open(places, home, &definition)?;
    let reopener = Reopener::new().map_err(failed)?;
    layers.changes(&reopener).map_err(failed)
}

/// Writes a container's whole root to an archive, without what is mounted in it. Yields remarks, a line each.
///
/// # Errors
/// When it cannot be read or written.
pub fn export(places: &Places, home: &Home, out: &File) -> Result<Vec<String>, BoxedExplain> {
    let opened = Opened::open(places, home, For::Root)?;
    opened.look("/", true)?;
    opened.send("", out.as_fd())?;
    opened.done("export").map(|(_, remarks)| remarks)
}

/// Writes a layer of what a container changed. Yields remarks, a line each.
pub(crate) fn write_layer(
    layers: &Layers,
    reopener: &Reopener,
    out: impl Write,
) -> std::io::Result<Vec<String>> {
    let changes = layers.changes(reopener)?;
    let mut writer = Writer::new(out);
    let remarks = changes::layer(&mut writer, layers.now.as_fd(), &changes, reopener, &layers.ids)?;
    writer.finish()?;
    Ok(remarks)
}
