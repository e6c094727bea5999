//! Compiled filters, kept in a directory.
//!
//! [`Cache::compile`] is [`crate::compile()`] with a memory; start reading there. A file is believed only
//! when it is ours (a regular file of this user that nobody else may write), whole (checksum), and holds
//! the very profile that is asked for: the name is a hash, but the profile itself is compared. Anything
//! else is compiled anew and replaced. Every file may go at any time; when there are too many, all but the
//! newest do.

use crate::arch::Arch;
use crate::compile::{COMPILER_VERSION, CompileError, compile};
use crate::filter::Filter;
use crate::profile::{Op, Profile};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::hash::{DefaultHasher, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of compiled filters.
#[derive(Debug)]
pub struct Cache {
    directory: OwnedFd,
}

/// Where a filter came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a file of the cache.
    Cached,
    /// Compiled, and stored for the next time.
    Stored,
    /// Compiled; storing it failed, which only costs time.
    NotStored(Errno),
}

/// A directory that is not fit to be a cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// It could not be looked at.
    #[error("look at the directory of compiled seccomp filters: {0}")]
    Stat(Errno),
    /// Not a directory, or one that others own or may write to.
    #[error(
        "keep compiled seccomp filters in what is not a directory of our own (owner {owner}, mode {mode:o})"
    )]
    NotOurs {
        /// The owner's user id.
        owner: u32,
        /// Type and permissions, as stat(2) gives them.
        mode: u32,
    },
}

impl report::Explain for CacheError {
    fn kind(&self) -> report::Kind {
        match self {
            CacheError::Stat(_) => report::Kind::Io,
            CacheError::NotOurs { .. } => report::Kind::PermissionDenied,
        }
    }
    fn hint(&self) -> Option<report::Hint> {
        match self {
            CacheError::Stat(_) => None,
            CacheError::NotOurs { .. } => Some(report::Hint::new(
                "a filter from somebody else could allow anything; the directory must be owned by the user who runs holm, with mode 0700 or 0755",
            )),
        }
    }
}

impl Cache {
    /// A cache in `directory`, which must belong to this user, and to nobody else for writing.
    pub fn new(directory: OwnedFd) -> Result<Self, CacheError> {
        let stat = fstat(&directory).map_err(CacheError::Stat)?;
        if is_ours(&stat, FileType::Directory) {
            Ok(Self { directory })
        } else {
            Err(CacheError::NotOurs { owner: stat.st_uid, mode: stat.st_mode })
        }
    }

    /// The filter for `profile`, from the cache if it is there, otherwise compiled and stored.
    pub fn compile(&self, profile: &Profile, target: Arch) -> Result<(Filter, Origin), CompileError> {
        let question = encode(profile, target);
        let name = file_name(&question);
        if let Some(filter) = self.read(&name, &question) {
            return Ok((filter, Origin::Cached));
        }
        let filter = compile(profile, target)?;
        let origin = match self.write(&name, &question, &filter) {
            Ok(()) => Origin::Stored,
            Err(errno) => Origin::NotStored(errno),
        };
        Ok((filter, origin))
    }

    fn read(&self, name: &str, question: &[u8]) -> Option<Filter> {
        // A named pipe must not make us wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&self.directory, name, flags, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        let size =
            usize::try_from(stat.st_size).ok().filter(|size| *size <= question.len() + LARGEST_ANSWER)?;
        if !is_ours(&stat, FileType::RegularFile) {
            return None;
        }
        let bytes = read_exactly(file.as_fd(), size)?;
        let (content, sum) = bytes.split_last_chunk::<8>()?;
        if checksum(0, content) != u64::from_ne_bytes(*sum) {
            return None;
        }
        let (flags, program) = content.strip_prefix(question)?.split_first_chunk::<4>()?;
        Filter::from_bytes(program, u32::from_ne_bytes(*flags))
    }

    fn write(&self, name: &str, question: &[u8], filter: &Filter) -> Result<(), Errno> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".{name}.{}.{count}", std::process::id());
        let mut content = question.to_vec();
        content.extend_from_slice(&filter.flags().to_ne_bytes());
        content.extend_from_slice(&filter.to_bytes());
        content.extend_from_slice(&checksum(0, &content).to_ne_bytes());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let stored = write_all(file.as_fd(), &content)
            .and_then(|()| renameat(&self.directory, &temporary, &self.directory, name));
        if stored.is_ok() {
            self.tidy(name);
        } else {
            // The first error is the one to tell; a leftover temporary file is harmless.
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        stored
    }

    /// Removes all filters but `newest` once there are more than anybody needs at a time.
    fn tidy(&self, newest: &str) {
        let Ok(entries) = Dir::read_from(&self.directory) else { return };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_owned()).collect();
        if names.len() <= MOST {
            return;
        }
        for name in names.iter().filter(|name| name.to_bytes() != newest.as_bytes()) {
            // The directory itself and its parent are among them, and refuse.
            let _ = unlinkat(&self.directory, name.as_c_str(), AtFlags::empty());
        }
    }
}

/// How many files there may be: some 20 KB each.
const MOST: usize = 64;

/// Flags, the longest program, checksum.
const LARGEST_ANSWER: usize = 4 + crate::filter::MAX_INSTRUCTIONS * crate::filter::INSTRUCTION_BYTES + 8;

fn is_ours(stat: &rustix::fs::Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o022 == 0
}

fn read_exactly(file: BorrowedFd<'_>, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match rustix::io::read(file, &mut bytes[filled..]) {
            Ok(0) => return None,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(bytes)
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// All that decides what the compiler makes, in a form of which no two profiles share one: every list and
/// name is preceded by its length.
fn encode(profile: &Profile, target: Arch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 << 10);
    let number = |bytes: &mut Vec<u8>, number: u64| bytes.extend_from_slice(&number.to_ne_bytes());
    bytes.extend_from_slice(b"holm seccomp");
    bytes.extend_from_slice(&COMPILER_VERSION.to_ne_bytes());
    bytes.push(target.index() as u8);
    number(&mut bytes, profile.architectures.len() as u64);
    bytes.extend(profile.architectures.iter().map(|arch| arch.index() as u8));
    let flags = profile.flags;
    bytes.extend([flags.tsync, flags.log, flags.spec_allow, flags.wait_killable_recv].map(u8::from));
    number(&mut bytes, profile.default_action.code().into());
    number(&mut bytes, profile.rules.len() as u64);
    for rule in &profile.rules {
        number(&mut bytes, rule.action.code().into());
        number(&mut bytes, rule.args.len() as u64);
        for arg in &rule.args {
            bytes.extend([arg.index(), operator(arg.op)]);
            number(&mut bytes, arg.value);
            number(&mut bytes, arg.value_two);
        }
        number(&mut bytes, rule.names.len() as u64);
        for name in &rule.names {
            bytes.extend_from_slice(&(name.len() as u32).to_ne_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
    }
    bytes
}

fn operator(op: Op) -> u8 {
    match op {
        Op::Ne => 0,
        Op::Lt => 1,
        Op::Le => 2,
        Op::Eq => 3,
        Op::Ge => 4,
        Op::Gt => 5,
        Op::MaskedEq => 6,
    }
}

/// 128 bits, from two different hashes.
fn file_name(question: &[u8]) -> String {
    format!("{:016x}{:016x}.bpf", checksum(1, question), checksum(2, question))
}

fn checksum(variant: u8, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(variant);
    hasher.write(bytes);
    hasher.finish()
}
