//! How a person names a namespace: a process, a file, a name that holds it, or its number.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::error::Error;
use crate::find::{self, Found};
use crate::hold::{self, Name};
use crate::kind::{Id, Kind};

/// A namespace, or the eight of a process, as named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `4711`: those of a process.
    Process(u32),
    /// `/proc/1/ns/net`: a file.
    File(PathBuf),
    /// `net:[4026531840]`, or a number too large for a process.
    Id {
        /// The kind, where it was given.
        kind: Option<Kind>,
        /// The inode.
        inode: u64,
    },
    /// `blue` or `net:blue`: held by this name.
    Name {
        /// The kind, where it was given.
        kind: Option<Kind>,
        /// The name.
        name: Name,
    },
}

/// Process ids are below this (`PID_MAX_LIMIT`); the kernel numbers namespaces from 0xf0000000.
const PID_LIMIT: u64 = 1 << 22;

impl Reference {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        if let Some(id) = Id::parse(text) {
            return Ok(Self::Id { kind: Some(id.kind), inode: id.inode });
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: u64 = text.parse().map_err(|_| {
                Error::input(format!("`{text}` is neither a process nor a namespace"), "it is too large")
            })?;
            return match u32::try_from(number) {
                Ok(0) => Err(Error::input("there is no process 0", "processes are numbered from 1")),
                Ok(pid) if number < PID_LIMIT => Ok(Self::Process(pid)),
                _ => Ok(Self::Id { kind: None, inode: number }),
            };
        }
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => {
                let kind = Kind::from_name(kind).ok_or_else(|| unknown_kind(kind))?;
                (Some(kind), name)
            }
            None => (None, text),
        };
        Ok(Self::Name { kind, name: Name::parse(name)? })
    }

    /// Opens the namespace of `kind` that is meant.
    ///
    /// # Errors
    /// When it is not there, is of another kind, or may not be opened.
    pub fn open(&self, kind: Kind, found: &dyn Fn() -> Result<Found, Error>) -> Result<(OwnedFd, Id), Error> {
        let (fd, id) = match self {
            Self::Process(pid) => open_of_process(*pid, kind)?,
            Self::File(path) => find::open_path(path)?,
            Self::Name { kind: given, name } => {
                let of = given.unwrap_or(kind);
                let path = hold::path(of, name);
                if !find::exists(&path) {
                    return Err(Error::not_found(
                        format!("no {of} namespace is held as `{}`", name.as_str()),
                        "`holm ns list` shows what is held; a file is given with a slash in it",
                    ));
                }
                find::open_path(&path)?
            }
            Self::Id { kind: given, inode } => {
                let id = Id { kind: given.unwrap_or(kind), inode: *inode };
                let found = found()?;
                let namespace = found.get(id).ok_or_else(|| {
                    Error::not_found(
                        format!("there is no namespace {id}"),
                        "`holm ns list` shows those there are",
                    )
                })?;
                (find::open(namespace)?, id)
            }
        };
        if id.kind != kind {
            return Err(Error::input(
                format!("{id} is not a {kind} namespace"),
                "give it to the flag of its own kind",
            ));
        }
        Ok((fd, id))
    }

    /// Which namespaces are meant; those of a process are eight.
    ///
    /// # Errors
    /// When there is none.
    pub fn ids(&self, found: &Found) -> Result<Vec<Id>, Error> {
        match self {
            Self::Process(pid) => {
                let directory = find::proc(*pid, "ns");
                let ids: Vec<_> = Kind::ALL
                    .into_iter()
                    .filter_map(|kind| find::link(&directory.join(kind.name())).ok()?)
                    .collect();
                if ids.is_empty() {
                    return Err(no_process(*pid));
                }
                Ok(ids)
            }
            Self::File(path) => find::open_path(path).map(|(_, id)| vec![id]),
            Self::Id { kind, inode } => {
                let fits = |id: &Id| id.inode == *inode && kind.is_none_or(|kind| kind == id.kind);
                let ids: Vec<_> = found.namespaces.iter().map(|it| it.id).filter(fits).collect();
                if ids.is_empty() {
                    let what = format!("there is no namespace with the number {inode}");
                    return Err(Error::not_found(what, "`holm ns list` shows those there are"));
                }
                Ok(ids)
            }
            Self::Name { kind, name } => {
                let kinds = Kind::ALL.into_iter().filter(|it| kind.is_none_or(|kind| kind == *it));
                let ids: Vec<_> = kinds
                    .filter_map(|kind| find::open_path(&hold::path(kind, name)).ok())
                    .map(|(_, id)| id)
                    .collect();
                if ids.is_empty() {
                    let what = format!("no namespace is held as `{}`", name.as_str());
                    return Err(Error::not_found(what, "`holm ns list` shows what is held"));
                }
                Ok(ids)
            }
        }
    }
}

/// The namespace of `kind` of a process.
///
/// # Errors
/// When there is no such process, or it may not be looked at.
pub fn open_of_process(pid: u32, kind: Kind) -> Result<(OwnedFd, Id), Error> {
    find::open_path(&find::proc(pid, "ns").join(kind.name())).map_err(|error| match error {
        Error::Step { cause, .. }
            if cause.errno == sys::Errno::NOENT && !find::exists(&find::proc(pid, "")) =>
        {
            no_process(pid)
        }
        Error::Step { what, cause, .. } if cause.errno == sys::Errno::NOENT => Error::step_with(
            what,
            cause,
            Some("the process has ended and waits for its parent, or the kernel lacks this kind"),
        ),
        other => other,
    })
}

fn no_process(pid: u32) -> Error {
    Error::not_found(format!("there is no process {pid}"), "it may have ended; see `ps -e`")
}

/// A word that is no kind.
pub fn unknown_kind(text: &str) -> Error {
    Error::input(
        format!("`{}` is not a kind of namespace", text.escape_debug()),
        "the kinds are user, pid, mnt, net, ipc, uts, cgroup and time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_named_in_one_of_four_ways() {
        let name = |text| Name::parse(text).unwrap();
        for (text, expected) in [
            ("4711", Reference::Process(4711)),
            ("/proc/1/ns/net", Reference::File("/proc/1/ns/net".into())),
            ("./file", Reference::File("./file".into())),
            ("4026531840", Reference::Id { kind: None, inode: 4_026_531_840 }),
            ("net:[4026531840]", Reference::Id { kind: Some(Kind::Net), inode: 4_026_531_840 }),
            ("blue", Reference::Name { kind: None, name: name("blue") }),
            ("net:blue", Reference::Name { kind: Some(Kind::Net), name: name("blue") }),
        ] {
            assert_eq!(Reference::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["", "0", "nat:blue", "net:", "a b", "99999999999999999999999", ".."] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
