//! systemd's journal, through its socket (systemd.io, "Native Journal Protocol").

use std::os::unix::net::UnixDatagram;

use super::Stream;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether there is a journal to write to.
pub fn is_there() -> bool {
    std::path::Path::new(SOCKET).exists()
}

/// A way into the journal. It is opened with the first line, and again after a failure.
#[derive(Debug)]
pub struct Journal {
    socket: Option<UnixDatagram>,
    /// The fields of every line, as they are sent.
    fields: Vec<u8>,
    message: Vec<u8>,
}

impl Journal {
    /// Lines carry these fields.
    pub fn new(fields: &[(String, String)]) -> Self {
        let mut encoded = Vec::new();
        for (name, value) in fields {
            field(&mut encoded, name, value.as_bytes());
        }
        Self { socket: None, fields: encoded, message: Vec::new() }
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
                socket.connect(SOCKET)?;
                socket
            }
        };
        socket.send(&self.message)?;
        self.socket = Some(socket);
        Ok(())
    }
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

    #[test]
    fn a_value_with_a_line_break_carries_its_length() {
        let mut out = Vec::new();
        field(&mut out, "A", b"b=c");
        field(&mut out, "D", b"e\nf");
        assert_eq!(out, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
    }
}
