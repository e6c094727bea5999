//! Passing the listener of a system call filter to the one who answers for its calls (config-linux.md, "Seccomp").

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use spec::state::{ContainerProcessState, SECCOMP_FD_NAME, State};
use sys::raw::{self, Fd};
use sys::{Errno, SyscallError};

/// Fetches a descriptor of a process by its number there (Linux 5.6; `PTRACE_MODE_ATTACH_REALCREDS`, which `CAP_SYS_PTRACE` over its user
/// namespace gives). The process itself may not be able to send it: its filter already holds.
pub(crate) fn fetch(process: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, SyscallError> {
    pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .map_err(|errno| SyscallError::new("pidfd_getfd", "the filter's listener", errno))
}

/// Sends the state of the container with its listener to the socket, on a connection of its own.
pub(crate) fn send(
    state: State,
    metadata: String,
    listener: &OwnedFd,
    socket: &Path,
) -> Result<(), SyscallError> {
    let failed = |call, error: std::io::Error| SyscallError::new(call, socket.display().to_string(), error);
    let stream = UnixStream::connect(socket)
        .map_err(|error| failed("failed to connect with seccomp agent: connect", error))?;
    let state = ContainerProcessState {
        oci_version: spec::OCI_VERSION.to_owned(),
        fds: vec![SECCOMP_FD_NAME.to_owned()],
        pid: state.pid,
        metadata,
        state,
    };
    let bytes = serde_json::to_vec(&state).map_err(|error| failed("sendmsg", error.into()))?;
    // Agents read once: all of it goes in one message.
    let fds = [Fd::from(&listener.as_fd())];
    raw::send_with_fds(Fd::from(&stream), &bytes, &fds)
        .map_err(|errno: Errno| SyscallError::new("sendmsg", socket.display().to_string(), errno))
}
