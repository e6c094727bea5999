//! How whoever attaches a container makes sure that names are served.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use sys::{SyscallError, channel};

use crate::Error;
use crate::keeper::SOCKET;
use crate::records::{SERVED, checked_network, failed};

/// How long the server may take to serve a network.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the keeper says when all is well.
pub(crate) const READY: &str = "ready";
/// What it says when there is another one already.
pub(crate) const ANOTHER: &str = "another";
/// Before a failure whose reason is that somebody else has the port.
pub(crate) const BUSY: &str = "busy ";
/// Before any other failure.
pub(crate) const FAILED: &str = "failed ";

/// Makes sure that the names of `network` are served, and returns when they are: at once where they are already. `program`
/// is how this program runs [`crate::keep`], to which the directory is added as the last argument.
///
/// # Errors
/// [`Error::Refused`] when the server cannot have the network's port, [`Error::Start`], [`Error::NotReady`].
pub fn ensure(directory: &Path, network: &str, program: &[&OsStr]) -> Result<(), Error> {
    checked_network(network)?;
    let until = Instant::now() + PATIENCE;
    loop {
        if served(directory, network) {
            return Ok(());
        }
        match ask(directory, network, until) {
            // Nobody is there, or he just went.
            None => {}
            Some(answer) => return outcome(&answer),
        }
        let answer = start(directory, program, until)?;
        if answer != READY && answer != ANOTHER {
            return outcome(&answer);
        }
        if Instant::now() >= until {
            return Err(Error::NotReady {
                why: format!("nothing was heard of it for {} s", PATIENCE.as_secs()),
            });
        }
        if answer == ANOTHER {
            sleep(Duration::from_millis(2));
        }
    }
}

/// Waits until the server has heard of everything that was announced and withdrawn before; [`ensure`] waits for that only when it
/// starts the server or a network's part of it, since otherwise the news takes less time than a container takes to ask.
///
/// # Errors
/// [`Error::Refused`] when the network is not served.
pub fn refresh(directory: &Path, network: &str) -> Result<(), Error> {
    checked_network(network)?;
    match ask(directory, network, Instant::now() + PATIENCE) {
        Some(answer) => outcome(&answer),
        None => Err(Error::NotReady { why: "nobody serves names here".to_owned() }),
    }
}

fn outcome(answer: &str) -> Result<(), Error> {
    if answer == READY {
        return Ok(());
    }
    let busy = answer.strip_prefix(BUSY);
    match busy.or_else(|| answer.strip_prefix(FAILED)) {
        Some(message) => Err(Error::Refused { message: message.to_owned(), busy: busy.is_some() }),
        None => Err(Error::NotReady { why: "it ended before it served".to_owned() }),
    }
}

/// Whether somebody holds the lock of a network: kept by the kernel for as long as the keeper lives, and no longer.
fn served(directory: &Path, network: &str) -> bool {
    let Ok(file) = File::open(directory.join(network).join(SERVED)) else { return false };
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// Asks the keeper to look now; its words, or `None` where nobody answers.
fn ask(directory: &Path, network: &str, until: Instant) -> Option<String> {
    let handle = File::open(directory).ok()?;
    let socket = channel::connect_in(&handle, SOCKET).ok()?;
    channel::send(&socket, network.as_bytes(), &[]).ok()?;
    ready(&socket, until)?;
    let mut answer = [0; 1024];
    let (length, _) = channel::receive(&socket, &mut answer).ok()?;
    (length > 0).then(|| String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Waits for something to read.
fn ready(socket: impl AsFd, until: Instant) -> Option<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return None,
            Ok(_) => return Some(()),
            Err(rustix::io::Errno::INTR) if Instant::now() < until => {}
            Err(_) => return None,
        }
    }
}

/// Starts a keeper and waits for what it has to say.
fn start(directory: &Path, program: &[&OsStr], until: Instant) -> Result<String, Error> {
    let Some((file, arguments)) = program.split_first() else {
        return Err(Error::NotReady { why: "there is no program to start".to_owned() });
    };
    let mut child = Command::new(file)
        .args(arguments)
        .arg(directory)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::Start(SyscallError::new("execve", file.to_string_lossy(), error)))?;
    let mut answer = String::new();
    if let Some(output) = child.stdout.take()
        && ready(&output, until).is_some()
    {
        let _ = output.take(1024).read_to_string(&mut answer);
    }
    // The program has put the keeper beside itself and ended; one that says nothing is not waited for.
    if answer.is_empty() {
        let _ = child.kill();
    }
    child.wait().map_err(failed("wait for", "wait4", Path::new(file)))?;
    Ok(answer.trim_end().to_owned())
}
