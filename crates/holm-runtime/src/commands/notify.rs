//! What a container's program tells who supervises it: sd_notify(3).
//!
//! With `NOTIFY_SOCKET` in the environment of `create` or `run` the container gets a socket of its own, in a directory of ours that is
//! mounted at `/run/notify`. What arrives there is not trusted: of its lines `READY=1` alone is passed on, together with the process that
//! is to be watched from then on.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use report::{Explain, Hint, Kind};
use runtime::state::NOTIFY_SOCKET;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spec::{Mount, Spec};
use sys::SyscallError;

use super::bundle::{Refused, refuse};
use crate::log::Log;

/// The variable that names the supervisor's socket.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// Where the container finds its own.
const DIRECTORY: &str = "/run/notify";
/// How long a supervisor may take to say that it has read what we sent (sd_notify_barrier(3)).
const BARRIER: Duration = Duration::from_secs(30);

/// The supervisor cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("tell the supervisor at NOTIFY_SOCKET that the container is ready")]
pub(super) struct NotToldError(#[source] SyscallError);

impl Explain for NotToldError {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.0)
    }
    fn kind(&self) -> Kind {
        self.0.kind()
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("the container runs; without NOTIFY_SOCKET nobody is told"))
    }
}

/// The supervisor's socket.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    address: SocketAddr,
    name: String,
}

impl Supervisor {
    /// The one that the environment names.
    ///
    /// # Errors
    /// When that is no address of a Unix socket.
    pub(super) fn of_environment() -> Result<Option<Self>, Refused> {
        std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(Self::parse).transpose()
    }

    /// A path, or a name behind `@` without a place in the filesystem.
    fn parse(name: OsString) -> Result<Self, Refused> {
        let shown = name.to_string_lossy().escape_debug().to_string();
        let refused = |why: &str| refuse(format!("NOTIFY_SOCKET `{shown}` {why}"));
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(&name),
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
            _ => return Err(refused("is no Unix socket: neither an absolute path nor a name behind `@`")),
        };
        let address = address.map_err(|error| refused(&format!("is no Unix socket: {error}")))?;
        Ok(Self { address, name: shown })
    }

    /// Says that the container is ready, and which process to watch. With a barrier it returns when that has been read.
    fn tell(&self, main_pid: i32, barrier: bool, log: &Log) -> Result<(), NotToldError> {
        let failed =
            |call, error: io::Error| NotToldError(SyscallError::new(call, self.name.as_str(), error));
        let socket = UnixDatagram::unbound().map_err(|error| failed("socket", error))?;
        socket.connect_addr(&self.address).map_err(|error| failed("connect", error))?;
        for text in ["READY=1".to_owned(), format!("MAINPID={main_pid}")] {
            socket.send(text.as_bytes()).map_err(|error| failed("send", error))?;
        }
        if barrier && !self.wait_until_read(&socket)? {
            log.warn("the supervisor at NOTIFY_SOCKET does not say that it has read what it was told");
        }
        Ok(())
    }

    /// The supervisor closes the descriptor that comes with the message when it gets to it; false when it does not.
    fn wait_until_read(&self, socket: &UnixDatagram) -> Result<bool, NotToldError> {
        let failed =
            |call, errno: rustix::io::Errno| NotToldError(SyscallError::new(call, self.name.as_str(), errno));
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| failed("pipe2", errno))?;
        sys::channel::send(socket, b"BARRIER=1", &[write.as_fd()]).map_err(NotToldError)?;
        drop(write);
        let timeout = Timespec { tv_sec: BARRIER.as_secs() as i64, tv_nsec: 0 };
        loop {
            match poll(&mut [PollFd::new(&read, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed("poll", errno)),
            }
        }
    }
}

/// Gives the container the directory with its socket, and tells its program where that is.
pub(super) fn add(spec: &mut Spec, directory: &Path) {
    spec.mounts.push(Mount {
        destination: DIRECTORY.to_owned(),
        source: directory.display().to_string(),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    spec.process.env.push(format!("{VARIABLE}={DIRECTORY}/{NOTIFY_SOCKET}"));
}

/// The container's socket, and who is told of what arrives there.
pub(super) struct Notifications {
    socket: UnixDatagram,
    supervisor: Supervisor,
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Notifications {
    pub(super) fn new(socket: OwnedFd, supervisor: Supervisor) -> Self {
        Self { socket: UnixDatagram::from(socket), supervisor }
    }

    /// Takes one message; true when it says that the program is ready. Descriptors that come with it are closed by the kernel.
    pub(super) fn is_ready(&self) -> bool {
        let mut bytes = [0; 4096];
        self.socket.recv(&mut bytes).is_ok_and(|len| says_ready(&bytes[..len]))
    }

    /// Tells that the container is ready and this process is to be watched, which stays.
    pub(super) fn pass_on_attended(&self, log: &Log) -> Result<(), NotToldError> {
        self.supervisor.tell(std::process::id() as i32, false, log)
    }

    /// Waits until the program is ready or has ended, and tells the former.
    pub(super) fn wait(&self, pid: i32, pidfd: BorrowedFd<'_>, log: &Log) -> Result<(), NotToldError> {
        loop {
            let mut polled =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(NotToldError(SyscallError::new("poll", "", errno))),
            }
            let [message, end] = polled.map(|polled| !polled.revents().is_empty());
            if message && self.is_ready() {
                return self.supervisor.tell(pid, true, log);
            }
            // What it said last is read first.
            if end && !message {
                return Ok(());
            }
        }
    }
}

fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_message_the_line_that_says_ready_counts() {
        for (message, ready) in [
            ("READY=1", true),
            ("STATUS=here\nREADY=1\n", true),
            ("MAINPID=1\nREADY=0", false),
            ("STATUS=READY=1", false),
            ("READY=11", false),
            ("", false),
        ] {
            assert_eq!(says_ready(message.as_bytes()), ready, "{message}");
        }
    }

    #[test]
    fn a_supervisor_is_a_path_or_an_abstract_name() {
        assert!(Supervisor::parse("/run/systemd/notify".into()).is_ok());
        assert!(Supervisor::parse("@abstract".into()).is_ok());
        for bad in ["relative", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            let refused = Supervisor::parse(bad.into()).unwrap_err().to_string();
            assert!(refused.contains("is no Unix socket"), "{refused}");
        }
    }
}
