//! systemd's journal, through its socket (systemd.io, "Native Journal Protocol").

use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::Stream;

const SOCKET: &str = "/run/systemd/journal/socket";
/// How long a journal that does not read is waited for; then what it has no room for is lost, until it reads again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether there is a journal to write to.
pub fn is_there() -> bool {
    Path::new(SOCKET).exists()
}

/// A way into the journal. It is opened with the first line, and again after a failure.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// It did not read the last line.
    is_deaf: bool,
    /// The fields of every line, as they are sent.
    fields: Vec<u8>,
    message: Vec<u8>,
}

impl Journal {
    /// Lines carry these fields.
    pub fn new(fields: &[(String, String)]) -> Self {
        Self::at(SOCKET.into(), fields)
    }

    fn at(path: PathBuf, fields: &[(String, String)]) -> Self {
        let mut encoded = Vec::new();
        for (name, value) in fields {
            field(&mut encoded, name, value.as_bytes());
        }
        Self { path, socket: None, is_deaf: false, fields: encoded, message: Vec::new() }
    }

    /// Sends a line.
    ///
    /// # Errors
    /// Those of the socket: the line is lost.
    pub fn send(&mut self, stream: Stream, line: &[u8], whole: bool) -> std::io::Result<()> {
        self.message.clear();
        field(&mut self.message, "MESSAGE", line);
        // syslog(3): LOG_INFO, and LOG_ERR for standard error, as docker has it.
        let priority: &[u8] = if stream == Stream::Error { b"3" } else { b"6" };
        field(&mut self.message, "PRIORITY", priority);
        if !whole {
            field(&mut self.message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        self.message.extend_from_slice(&self.fields);
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket
            }
        };
        let outcome = deliver(&socket, &self.message, self.is_deaf);
        self.is_deaf = outcome == Err(Errno::AGAIN);
        // One that only does not read is the same later; another failure may be of a journal that was started anew.
        if outcome.is_ok() || self.is_deaf {
            self.socket = Some(socket);
        }
        outcome.map_err(Into::into)
    }
}

/// Sends a message; one that is too long for the socket in a file that nobody can change any more.
fn deliver(socket: &UnixDatagram, message: &[u8], at_once: bool) -> Result<(), Errno> {
    let flags = if at_once { SendFlags::NOSIGNAL | SendFlags::DONTWAIT } else { SendFlags::NOSIGNAL };
    match rustix::net::send(socket, message, flags) {
        Err(Errno::MSGSIZE | Errno::NOBUFS) => {}
        outcome => return outcome.map(drop),
    }
    let file = memfd_create("journal-message", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(file);
    file.write_all(message)
        .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    let own = [file.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&own));
    sendmsg(socket, &[], &mut control, flags).map(drop)
}

/// `NAME=VALUE`, or with its length where the value has line breaks.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::io::{IoSliceMut, Read as _, Seek as _};

    #[test]
    fn a_value_with_a_line_break_carries_its_length() {
        let mut out = Vec::new();
        field(&mut out, "A", b"b=c");
        field(&mut out, "D", b"e\nf");
        assert_eq!(out, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
    }

    /// A journal that is this test, and a way to it.
    fn journal(name: &str, fields: &[(String, String)]) -> (UnixDatagram, Journal) {
        let path = std::env::temp_dir().join(format!("holm-journal-{name}-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut journal = Journal::at(path.clone(), fields);
        journal.send(Stream::Output, b"first", true).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut bytes = [0; 256];
        let len = receiver.recv(&mut bytes).unwrap();
        assert!(bytes[..len].starts_with(b"MESSAGE=first\nPRIORITY=6\n"));
        (receiver, journal)
    }

    #[test]
    fn what_is_too_long_for_the_socket_goes_in_a_sealed_file() {
        let (receiver, mut journal) = journal("long", &[]);
        let long = vec![b'x'; 4 << 20];
        journal.send(Stream::Error, &long, false).unwrap();
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut room);
        let mut bytes = [0; 16];
        let message =
            recvmsg(&receiver, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        assert_eq!(message.unwrap().bytes, 0);
        let files: Vec<_> = control
            .drain()
            .flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
                _ => Vec::new(),
            })
            .collect();
        let [file] = <[_; 1]>::try_from(files).unwrap();
        // What journald asks for (journald-native.c).
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
        let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        assert!(seals.contains(wanted), "{seals:?}");
        let mut file = std::fs::File::from(file);
        file.rewind().unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        let end = text.split_off(b"MESSAGE=".len() + long.len());
        assert!(text.starts_with(b"MESSAGE=") && text[8..] == long);
        assert_eq!(end, b"\nPRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\n");
    }

    #[test]
    fn a_journal_that_does_not_read_is_waited_for_once() {
        let (receiver, mut journal) = journal("deaf", &[("A".to_owned(), "b".to_owned())]);
        let line = vec![b'x'; 16 * 1024];
        let mut lost = 0;
        while lost < 50 {
            lost += usize::from(journal.send(Stream::Output, &line, true).is_err());
        }
        assert!(journal.is_deaf);
        // It reads again: nothing of what comes then is lost.
        let mut bytes = vec![0; 64 * 1024];
        receiver.recv(&mut bytes).unwrap();
        receiver.set_nonblocking(true).unwrap();
        while receiver.recv(&mut bytes).is_ok() {}
        journal.send(Stream::Output, b"last", true).unwrap();
        let len = receiver.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"MESSAGE=last\nPRIORITY=6\nA=b\n");
        drop(receiver);
        assert!(journal.send(Stream::Output, b"x", true).is_err());
        assert!(journal.socket.is_none(), "it is looked for again");
    }
}
