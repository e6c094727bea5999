//! The keeper: reads the directory and the host's resolvers, binds the networks' ports, and has a child that answers.
//!
//! [`keep`] is the whole life. It ends when no container is on any network any more. That it lives shows in a lock, which the
//! kernel takes back from a process that was killed; the answerer ends with it, since its end of their socket closes.

mod answerer;
mod bound;
mod known;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{SocketFlags, accept_with};
use sys::raw::{self, Capabilities};
use sys::{Errno, SyscallError, channel};

use crate::Error;
use crate::records::{failed, make_directory};
use crate::start::{ANOTHER, BUSY, FAILED, READY};
use answerer::Answerer;
use known::Known;

/// Where the keeper listens for those who wait, below the directory.
pub(crate) const SOCKET: &str = ".server";
/// The lock of the one keeper of a directory.
const LOCK: &str = ".lock";
/// How long the server stays without a container, so that one that follows at once finds it.
const LINGER: Duration = Duration::from_secs(1);
/// How often an answerer that died is started anew.
const MOST_DEATHS: u32 = 20;

/// `CAP_SETGID`, `CAP_SETUID` and `CAP_SETPCAP`, which the answerer takes to get rid of all others, `CAP_NET_BIND_SERVICE`
/// and `CAP_NET_RAW` (to bind to a device before Linux 5.7).
const CAPABILITIES: u64 = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 13;

/// Serves the names in `directory` until none is left. What happened is said on standard output, in a word or a line; then this
/// process ends, and the server goes on beside it.
///
/// # Errors
/// When the server cannot start.
pub fn keep(directory: &Path) -> Result<(), Error> {
    // Beside the one who asked for it, who waits for his own child only.
    match raw::fork().map_err(|errno| Error::Start(SyscallError::new("clone", "", errno)))? {
        0 => {}
        _ => return Ok(()),
    }
    raw::set_name(c"holm-dns-keeper");
    // A session of its own: no signal of somebody's terminal reaches it. In a new process this cannot fail.
    let _ = raw::setsid();
    let outcome = live(directory);
    if let Err(error) = &outcome {
        say(&words(error));
    }
    raw::exit(i32::from(outcome.is_err()))
}

/// What those who wait are told of a failure.
fn words(error: &Error) -> String {
    let busy = matches!(error, Error::Bind { cause, .. } if cause.errno == Errno::ADDRINUSE);
    let sort = if busy { BUSY } else { FAILED };
    format!("{sort}{}", report::one_line(error).trim_start_matches("error: "))
}

/// Says one thing to whoever started us, and lets go of it.
fn say(word: &str) {
    let mut output = std::io::stdout();
    // A reader that has gone has given up, and the server is of use to others.
    let _ = output.write_all(word.as_bytes());
    let _ = output.flush();
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        for number in 0..3 {
            let _ = raw::dup3(raw::Fd::from(&null), raw::Fd(number));
        }
    }
}

fn live(directory: &Path) -> Result<(), Error> {
    make_directory(directory)?;
    let directory = directory.canonicalize().map_err(failed("open", "realpath", directory))?;
    let _ = std::env::set_current_dir("/");
    let path = directory.join(LOCK);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed("open", "openat", &path))?;
    let mut said = false;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if !said {
                    say(ANOTHER);
                }
                return Ok(());
            }
            Err(errno) => return Err(failed("lock", "flock", &path)(errno.into())),
        }
        give_up_rights();
        Keeper::new(&directory)?.run(&mut said)?;
        // Whoever announced a name before the locks went has seen them held, and counts on us; whoever does so from now
        // on finds them free.
        flock(&lock, FlockOperation::Unlock)
            .map_err(|errno| failed("unlock", "flock", &path)(errno.into()))?;
        if known::is_deserted(&directory) {
            return Ok(());
        }
    }
}

/// Keeps only what is needed to bind ports and to make an answerer. Without any (an ordinary user) there is nothing to give up.
fn give_up_rights() {
    for capability in 0..64 {
        if CAPABILITIES >> capability & 1 == 0 && raw::prctl(raw::PR_CAPBSET_DROP, capability, 0).is_err() {
            break;
        }
    }
    if let Ok(own) = raw::capget() {
        let left = own.permitted & CAPABILITIES;
        let _ = raw::capset(&Capabilities { effective: left, permitted: left, inheritable: 0 });
    }
    let _ = raw::prctl(raw::PR_SET_NO_NEW_PRIVS, 1, 0);
}

struct Keeper {
    known: Known,
    /// Those who wait connect here.
    requests: OwnedFd,
    answerer: Answerer,
}

impl Keeper {
    fn new(directory: &Path) -> Result<Self, Error> {
        let handle = File::open(directory).map_err(failed("open", "openat", directory))?;
        // What a killed keeper left; ours is the lock.
        let _ = std::fs::remove_file(directory.join(SOCKET));
        let requests = channel::listen_in(&handle, SOCKET).map_err(Error::Start)?;
        let known = Known::read(directory)?;
        let answerer = Answerer::start(&[]).map_err(Error::Start)?;
        Ok(Self { known, requests, answerer })
    }

    fn run(&mut self, said: &mut bool) -> Result<(), Error> {
        let mut deaths = 0;
        self.settle();
        if !*said {
            *said = true;
            // Networks that cannot be served are a matter of those who ask for them.
            say(READY);
        }
        let mut deserted = None;
        loop {
            if self.known.is_empty() {
                let since = *deserted.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    break;
                }
            } else {
                deserted = None;
            }
            let left = deserted.map(|since| LINGER.saturating_sub(since.elapsed()));
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()) + 1,
            });
            let mut events = [
                PollFd::new(&self.known, PollFlags::IN),
                PollFd::new(&self.requests, PollFlags::IN),
                PollFd::new(&self.answerer, PollFlags::IN),
            ];
            match poll(&mut events, timeout.as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(Error::Serve(SyscallError::new("poll", "", errno))),
            }
            let [changed, asked, answered] = events.each_ref().map(|event| !event.revents().is_empty());
            if answered && !self.answerer.hear() {
                deaths += 1;
                if deaths > MOST_DEATHS {
                    return Err(Error::Serve(SyscallError::new(
                        "wait4",
                        "the answerer keeps dying",
                        Errno::PIPE,
                    )));
                }
                std::thread::sleep(Duration::from_millis(50));
                self.answerer = Answerer::start(&self.known.bound()).map_err(Error::Serve)?;
                self.publish();
            }
            if changed {
                self.known.changes();
                self.settle();
            }
            if asked {
                self.request();
            }
        }
        // Before the lock goes, so that nobody connects to one who does not answer any more.
        let _ = std::fs::remove_file(self.known.directory().join(SOCKET));
        self.known.close_all();
        Ok(())
    }

    /// Binds and closes what has to be, and tells the answerer.
    fn settle(&mut self) {
        let closed = self.known.close();
        for network in &closed {
            self.answerer.close(network);
        }
        if !closed.is_empty() {
            // The port is free once the answerer has closed it too.
            self.publish();
        }
        for bound in self.known.open() {
            self.answerer.open(bound);
        }
        self.publish();
    }

    fn publish(&mut self) {
        let text = self.known.text();
        self.answerer.publish(&text);
        self.answerer.wait();
        self.known.lock_bound();
    }

    /// Somebody waits for a network to be served.
    fn request(&mut self) {
        let Ok(client) = accept_with(&self.requests, SocketFlags::CLOEXEC) else { return };
        let patience = Some(Duration::from_secs(1));
        let _ = set_socket_timeout(&client, Timeout::Recv, patience);
        let mut name = [0; 256];
        let Ok((length, _)) = channel::receive(&client, &mut name) else { return };
        let name = String::from_utf8_lossy(&name[..length]).into_owned();
        self.known.changes();
        self.known.try_again();
        self.settle();
        let answer = self.known.failure(&name).unwrap_or_else(|| READY.to_owned());
        // Who has gone meanwhile needs no answer.
        let _ = channel::send(&client, answer.as_bytes(), &[]);
    }
}
