//! The process that unpacks: it gets descriptors and a request over a socket, confines itself, works, and answers.
//!
//! [`main`] is its whole life; [`Child`] is how the other side sees it. The compressed layer is a file that may still be growing: how
//! far it is good comes through a pipe, so a layer is unpacked while it arrives, and the network never waits for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use sys::{SyscallError, channel};

use super::extract::{self, How, Staging};
use super::growing::{Growing, Teller};
use super::index::{S_IFMT, S_IFREG, Tree};
use super::tar::Archive;
use super::{Bad, Form, Limits, confine, erofs, inflate};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::Error;

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The form to make.
    pub form: Form,
    /// Whether the plain archive is to be written: not when it came uncompressed.
    pub keep_plain: bool,
    /// What the archive may contain.
    pub limits: Limits,
    /// As somebody who may not make devices.
    pub rootless: bool,
    /// Only one id exists.
    pub single_id: bool,
    /// The digest of the plain archive, if somebody else computes it, whom a pipe tells how far the archive is written.
    pub hashed_elsewhere: Option<Digest>,
}

/// What the process is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Job {
    /// To make a layer ready.
    Unpack(Request),
    /// To delete what lies in a store's `tmp` to be deleted: nobody waits for it.
    Sweep,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The digest of the plain archive.
    pub diff_id: Digest,
    /// Its length.
    pub size: u64,
    /// How many entries it has.
    pub entries: u64,
    /// Whether lower layers are hidden in part.
    pub whiteouts: u64,
    /// How many extended attributes and devices were left out.
    pub dropped: u64,
    /// The length of the index; 0 for files.
    pub index_size: u64,
    /// The digest of the index; that of nothing for files.
    pub index_digest: Digest,
}

/// Why nothing came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Failed {
    /// The archive is refused.
    Refused(String),
    /// It exceeds a limit; the flag that raises it.
    Limit(String, String),
    /// An index cannot hold it.
    Unindexable(String),
    /// The disk is full, or something like that: what was done, and the error's number.
    System(String, i32),
}

type Answer = Result<Done, Failed>;

/// How names in a store's `tmp` begin that are to be deleted.
pub(crate) const TRASH: &str = "trash-";
/// The most bytes of a message.
const MAX_MESSAGE: usize = 16 << 10;
/// How much is written to the index at once.
const CHUNK: usize = 256 << 10;

/// The life of the process: its standard input is the socket. Yields its exit status.
pub fn main() -> u8 {
    let socket = io::stdin();
    let mut message = vec![0; MAX_MESSAGE];
    let Ok((len, fds)) = channel::receive(socket.as_fd(), &mut message) else { return 125 };
    let request = match serde_json::from_slice::<Job>(&message[..len]) {
        Ok(Job::Unpack(request)) => request,
        Ok(Job::Sweep) => return fds.first().map_or(125, |tmp| sweep(tmp.as_fd())),
        Err(_) => return 125,
    };
    let answer: Answer = work(&request, fds).map_err(|bad| match bad {
        Bad::Unindexable(reason) => Failed::Unindexable(reason),
        Bad::Limit { limit, flag } => Failed::Limit(limit, flag.to_owned()),
        Bad::Io { doing, cause } if cause.raw_os_error().is_some() => {
            Failed::System(doing.to_owned(), cause.raw_os_error().unwrap_or_default())
        }
        Bad::Confine(cause) => {
            Failed::System(format!("confine the process that unpacks ({})", cause.call), cause.errno.raw())
        }
        other => Failed::Refused(other.to_string().replace('\n', " ")),
    });
    let text = serde_json::to_vec(&answer).unwrap_or_default();
    match channel::send(socket.as_fd(), &text[..text.len().min(MAX_MESSAGE)], &[]) {
        Ok(()) => 0,
        Err(_) => 125,
    }
}

/// Deletes all that begins with [`TRASH`] in a directory. What cannot be deleted is found by the next one.
fn sweep(tmp: BorrowedFd<'_>) -> u8 {
    let directory = PathBuf::from(format!("/proc/self/fd/{}", tmp.as_raw_fd()));
    for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(TRASH.as_bytes()) {
            delete(&entry.path());
        }
    }
    0
}

/// Deletes a file or a directory with all that is in it, as far as that can be done.
pub(crate) fn delete(path: &Path) {
    let directory = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let _ = if directory { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

/// Starts a process that deletes what lies in `tmp` to be deleted, and does not wait for it.
///
/// # Errors
/// That it cannot be started.
pub(crate) fn start_sweeper(program: &[OsString], tmp: BorrowedFd<'_>) -> Result<(), Error> {
    let failed = |cause| Error::step("start the process that deletes", cause);
    let (ours, theirs) = channel::pair().map_err(failed)?;
    // What is typed at the terminal afterwards is not meant for it.
    let mut child =
        command(program)?.process_group(0).stdin(Stdio::from(theirs)).spawn().map_err(|error| {
            let name = program.first().map(|name| name.to_string_lossy().into_owned());
            failed(SyscallError::new("execve", name.unwrap_or_default(), error))
        })?;
    let message = serde_json::to_vec(&Job::Sweep)
        .map_err(|error| Error::malformed("the request to delete", error.to_string()))?;
    channel::send(&ours, &message, &[tmp]).map_err(failed)?;
    // A caller that lives on has no zombie of it.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// The program that unpacks, with nothing of this process's surroundings.
fn command(program: &[OsString]) -> Result<Command, Error> {
    let [name, arguments @ ..] = program else {
        return Err(Error::refused(report::Kind::Internal, "no program to unpack with", "set one"));
    };
    let mut command = Command::new(name);
    command.args(arguments).env_clear().current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn work(request: &Request, fds: Vec<OwnedFd>) -> Result<Done, Bad> {
    let missing = || Bad::Io { doing: "begin", cause: io::ErrorKind::InvalidInput.into() };
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(missing);
    let source = Growing::new(next()?, next()?);
    // Whatever files are made have the modes that the archive says.
    sys::raw::umask(0);
    // Some room for the index and for what filesystems round up.
    let most = request.limits.layer_bytes.saturating_add(1 << 30);
    match request.form {
        Form::Erofs => {
            let plain = if request.keep_plain { Some(File::from(next()?)) } else { None };
            let mut out = File::from(next()?);
            let sum = match request.hashed_elsewhere {
                Some(digest) => {
                    // Whoever hashes for all layers is waited for at the end: one that falls behind goes first.
                    let _ = rustix::process::nice(3);
                    Sum::Elsewhere { digest, teller: Teller::new(next()?), written: 0 }
                }
                None => Sum::here(),
            };
            confine::to_descriptors(most).map_err(Bad::Confine)?;
            index(source, plain.as_ref(), &mut out, &request.limits, sum)
        }
        Form::Tree => {
            let directory = confine::to_directory(next()?, most).map_err(Bad::Confine)?;
            let how = How { rootless: request.rootless, single_id: request.single_id };
            files(source, directory.as_fd(), how, &request.limits)
        }
    }
}

/// Who computes the digest of the plain archive.
enum Sum {
    /// This process.
    Here(Hasher),
    /// Somebody who reads what is written, and compares it with what it has to be.
    Elsewhere { digest: Digest, teller: Teller, written: u64 },
}

impl Sum {
    fn here() -> Self {
        Self::Here(Hasher::new(Algorithm::Sha256))
    }

    /// These bytes were written.
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here(hasher) => hasher.update(bytes),
            Self::Elsewhere { teller, written, .. } => {
                *written += bytes.len() as u64;
                teller.tell(*written);
            }
        }
    }

    /// All were written.
    fn finish(self) -> Digest {
        match self {
            Self::Here(hasher) => hasher.finish(),
            Self::Elsewhere { digest, mut teller, .. } => {
                teller.tell_all();
                digest
            }
        }
    }
}

/// Writes the plain archive and the index over it.
fn index(
    source: impl Read + Send,
    plain: Option<&File>,
    out: &mut impl Write,
    limits: &Limits,
    sum: Sum,
) -> Result<Done, Bad> {
    let (tree, diff_id, size) = pass(source, plain, limits, sum, |_, _, _, _| Ok(()))?;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&diff_id.as_bytes()[..16]);
    let mut out = BufWriter::with_capacity(CHUNK, Hashing { out, hasher: Hasher::new(Algorithm::Sha256) });
    let index_size = erofs::write(&tree, size, uuid, &mut out)?;
    let hashing = out.into_inner().map_err(|error| Bad::io("write the index")(error.into_error()))?;
    Ok(Done {
        diff_id,
        size,
        entries: tree.entries,
        whiteouts: tree.whiteouts,
        dropped: tree.dropped,
        index_size,
        index_digest: hashing.hasher.finish(),
    })
}

/// Makes files below `directory`, which is empty.
///
/// # Errors
/// What is wrong with the archive, or the disk.
pub fn files(
    source: impl Read + Send,
    directory: BorrowedFd<'_>,
    how: How,
    limits: &Limits,
) -> Result<Done, Bad> {
    let mut staging = Staging::new(directory)?;
    let (tree, diff_id, size) = pass(source, None, limits, Sum::here(), |inode, size, pieces, content| {
        staging.take(inode, size, pieces, content)
    })?;
    let left_out = extract::build(directory, &tree, how)?;
    Ok(Done {
        diff_id,
        size,
        entries: tree.entries,
        whiteouts: tree.whiteouts,
        dropped: tree.dropped + left_out,
        index_size: 0,
        index_digest: Digest::of(b""),
    })
}

/// Reads the content of a file, some at a time.
type Content<'c> = &'c mut dyn FnMut(&mut [u8]) -> Result<usize, Bad>;
/// What takes the content of a file: its inode, its length, its pieces if it is sparse, and how to read it.
type Sink<'s> = dyn FnMut(u32, u64, Option<&[(u64, u64)]>, Content<'_>) -> Result<(), Bad> + 's;

/// One pass over the archive: inflated in a thread; hashed, written and understood here.
fn pass(
    source: impl Read + Send,
    plain: Option<&File>,
    limits: &Limits,
    mut sum: Sum,
    mut files: impl FnMut(u32, u64, Option<&[(u64, u64)]>, Content<'_>) -> Result<(), Bad>,
) -> Result<(Tree, Digest, u64), Bad> {
    let files: &mut Sink<'_> = &mut files;
    let mut tree = Tree::new();
    let size = std::thread::scope(|scope| {
        let sink = |bytes: &[u8]| -> Result<(), Bad> {
            if let Some(mut plain) = plain {
                plain.write_all(bytes).map_err(Bad::io("write the layer"))?;
            }
            sum.update(bytes);
            Ok(())
        };
        let mut archive = Archive::new(inflate::start(scope, source, limits, sink));
        let outcome = understand(&mut archive, &mut tree, limits, files);
        let mut input = archive.into_input();
        match outcome {
            Ok(()) => input.finish(),
            // An error of the source looks like one of the archive: its real cause says more.
            Err(bad) => Err(input.cause().unwrap_or(bad)),
        }
    })?;
    Ok((tree, sum.finish(), size))
}

fn understand<R: io::BufRead>(
    archive: &mut Archive<R>,
    tree: &mut Tree,
    limits: &Limits,
    files: &mut Sink<'_>,
) -> Result<(), Bad> {
    while let Some(entry) = archive.next()? {
        let (size, pieces) = (entry.size, entry.pieces.clone());
        let before = tree.inodes() as u32;
        tree.add(entry, limits)?;
        let inode = tree.inodes() as u32 - 1;
        // A new file is the inode made last; directories that were missing come before it.
        if inode >= before && tree.inode(inode).mode & S_IFMT == S_IFREG {
            files(inode, size, pieces.as_deref(), &mut |buffer| archive.content(buffer))?;
        }
    }
    Ok(())
}

struct Hashing<'o, W> {
    out: &'o mut W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The process, seen from the other side. Dropped, it is ended.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    socket: OwnedFd,
    progress: Option<Teller>,
}

impl Child {
    /// Starts it for `blob`, with what it writes to: the plain archive and the index, or the directory.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn start(
        program: &[OsString],
        request: &Request,
        blob: BorrowedFd<'_>,
        outputs: &[BorrowedFd<'_>],
    ) -> Result<Self, Error> {
        let failed = |cause| Error::step("start the process that unpacks", cause);
        let (ours, theirs) = channel::pair().map_err(failed)?;
        let (news, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| failed(SyscallError::new("pipe2", "", errno)))?;
        let process = command(program)?.stdin(Stdio::from(theirs)).spawn().map_err(|error| {
            let name = program.first().map(|name| name.to_string_lossy().into_owned());
            failed(SyscallError::new("execve", name.unwrap_or_default(), error))
        })?;
        let child = Self { process, socket: ours, progress: Some(Teller::new(tell)) };
        let message = serde_json::to_vec(&Job::Unpack(request.clone()))
            .map_err(|error| Error::malformed("the request to unpack", error.to_string()))?;
        let mut fds = vec![blob, news.as_fd()];
        fds.extend_from_slice(outputs);
        channel::send(&child.socket, &message, &fds).map_err(failed)?;
        Ok(child)
    }

    /// The blob is good up to here.
    pub fn tell(&mut self, good: u64) {
        if let Some(progress) = &mut self.progress {
            progress.tell(good);
        }
    }

    /// All of the blob has come.
    pub fn tell_all(&mut self) {
        if let Some(mut progress) = self.progress.take() {
            progress.tell_all();
        }
    }

    /// Tells that all has come, and waits for the answer.
    ///
    /// # Errors
    /// The answer's failure as an error, or that it died.
    pub fn finish(mut self) -> Result<Result<Done, Failed>, Error> {
        self.tell_all();
        let mut message = vec![0; MAX_MESSAGE];
        let (len, _) = channel::receive(&self.socket, &mut message)
            .map_err(|cause| Error::step("hear from the process that unpacks", cause))?;
        if len == 0 {
            let status = self.process.wait().map(|status| status.to_string()).unwrap_or_default();
            return Err(Error::malformed(
                "the layer",
                format!("the process that unpacks it died ({status}): what it did not expect ends it"),
            ));
        }
        serde_json::from_slice::<Answer>(&message[..len])
            .map_err(|error| Error::malformed("the answer of the process that unpacks", error.to_string()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.progress = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(problem) => Self::malformed("the layer", problem),
            Failed::Limit(limit, flag) => {
                Self::Limit { what: "the layer".to_owned(), limit, flag: flag_of(&flag) }
            }
            Failed::Unindexable(reason) => {
                Self::malformed("the layer", format!("an index cannot hold it: {reason}"))
            }
            Failed::System(doing, number) => Self::step(
                "unpack the layer",
                SyscallError::new("write", doing, sys::Errno::from_raw(number)),
            ),
        }
    }
}

/// The flags that limits name.
fn flag_of(name: &str) -> Option<&'static str> {
    ["--max-layer-size", "--max-layer-entries", "--max-expansion", "--absolute-names"]
        .into_iter()
        .find(|flag| *flag == name)
}
