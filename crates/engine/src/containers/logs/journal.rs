//! A log in systemd's journal, read by journalctl(1) in the journal's export format, which is binary-safe.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use monitor::log::Stream;
use report::{BoxedExplain, Explain, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::SyscallError;

use super::LogOptions;
use super::line::Line;
use crate::containers::home::{Home, Places};
use crate::containers::stop::living;
use crate::host::boxed;

/// What reads the journal: its files have a format of systemd's own.
pub(super) const PROGRAM: &str = "journalctl";
/// More than a line's entry has.
const MOST: usize = 4 << 20;
/// How long nothing has to come after a container's end until its log is complete, in milliseconds.
const QUIET_MS: i64 = 300;

/// journalctl said no.
#[derive(Debug, thiserror::Error)]
#[error("read the log of container `{name}` from the journal: journalctl: {said}")]
struct Unread {
    name: String,
    said: String,
}

impl Explain for Unread {
    fn kind(&self) -> Kind {
        Kind::Io
    }
}

#[derive(Debug)]
pub(super) struct Journal {
    places: Places,
    home: Home,
    /// None when nothing is asked for.
    child: Option<(Child, ChildStdout)>,
    follow: bool,
    buffer: Vec<u8>,
    /// It has been seen to that everything which was sent is in the journal.
    synchronised: bool,
}

impl Journal {
    pub(super) fn open(places: &Places, home: &Home, options: LogOptions) -> Result<Self, BoxedExplain> {
        if !options.follow && home.is_draining() {
            crate::containers::wait::until_told(home, 0);
        }
        let mut journal = Self {
            places: places.clone(),
            home: home.clone(),
            child: None,
            follow: options.follow,
            buffer: Vec::new(),
            synchronised: false,
        };
        if options.tail == Some(0) && !options.follow {
            return Ok(journal);
        }
        synchronise();
        let mut command = Command::new(PROGRAM);
        command.args(["--output=export", "--all", "--quiet", "--no-pager"]);
        match options.tail {
            Some(lines) => command.arg(format!("--lines={lines}")),
            None if options.follow => command.arg("--no-tail"),
            None => &mut command,
        };
        let at = |ns: u64| format!("@{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000);
        command.args(options.since_ns.map(|ns| format!("--since={}", at(ns))));
        command.args(options.until_ns.map(|ns| format!("--until={}", at(ns))));
        command.args(options.follow.then_some("--follow"));
        command.arg(format!("CONTAINER_ID_FULL={}", home.id));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // What follows is ended from here and says nothing of interest; nobody would read a pipe meanwhile.
        command.stderr(if options.follow { Stdio::null() } else { Stdio::piped() });
        let failed =
            |error| boxed(home.failed("read the log of", SyscallError::new("execve", PROGRAM, error)));
        let mut child = command.spawn().map_err(failed)?;
        journal.child = child.stdout.take().map(|output| (child, output));
        Ok(journal)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    pub(super) fn next_line(&mut self) -> Result<Option<Line>, BoxedExplain> {
        loop {
            if let Some((line, len)) = entry(&self.buffer) {
                self.buffer.drain(..len);
                match line {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            if self.child.is_none() || !self.wait() {
                return self.end().map(|()| None);
            }
            let mut piece = [0; 64 * 1024];
            let read = match &mut self.child {
                Some((_, output)) => output.read(&mut piece).unwrap_or(0),
                None => 0,
            };
            if read == 0 || self.buffer.len() > MOST {
                return self.end().map(|()| None);
            }
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    /// Waits until there is something to read; false when nothing comes any more.
    fn wait(&mut self) -> bool {
        if !self.follow {
            return true;
        }
        let Some((_, output)) = &self.child else { return false };
        loop {
            let timeout = Timespec { tv_sec: 0, tv_nsec: QUIET_MS * 1_000_000 };
            let mut fds = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)).unwrap_or(0) > 0 {
                return true;
            }
            let lives = living(&self.places, &self.home, "follow").is_ok() || self.home.has_monitor();
            match (lives, self.synchronised) {
                (true, _) => {}
                (false, true) => return false,
                (false, false) => {
                    synchronise();
                    self.synchronised = true;
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), BoxedExplain> {
        let Some((mut child, output)) = self.child.take() else { return Ok(()) };
        drop(output);
        if self.follow {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(());
        }
        let mut said = String::new();
        if let Some(errors) = child.stderr.take() {
            let _ = errors.take(64 * 1024).read_to_string(&mut said);
        }
        // It also ends so when there is no entry yet, and then it says nothing.
        match (child.wait().is_ok_and(|status| status.success()), said.lines().last()) {
            (false, Some(said)) => {
                Err(boxed(Unread { name: self.home.short().to_owned(), said: said.to_owned() }))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Everything that was sent to the journal is in its files. Who may not ask for that sees it a moment later.
fn synchronise() {
    let mut command = Command::new(PROGRAM);
    let _ = command.arg("--sync").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The first entry of some bytes in export format (systemd.io, "Journal Export Formats"), and how long it is; none while it is not complete.
/// An entry that is no line of a container is none.
fn entry(bytes: &[u8]) -> Option<(Option<Line>, usize)> {
    let (mut message, mut partial, mut stream, mut source_us, mut journal_us) =
        (None, false, Stream::Output, None, None);
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = &rest[..end];
        at += end + 1;
        if line.is_empty() {
            let time_us: u64 = source_us.or(journal_us).unwrap_or(0);
            let line = message.map(|mut text: Vec<u8>| {
                if !partial {
                    text.push(b'\n');
                }
                Line { stream, time_ns: time_us.saturating_mul(1000), text }
            });
            return Some((line, at));
        }
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&line[..equals], &line[equals + 1..]),
            // With its length in 64 bits, the lowest byte first, and a line break behind.
            None => {
                let length = bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok()?;
                let begin = at + 8;
                let end = begin.checked_add(usize::try_from(length).ok()?)?;
                let value = bytes.get(begin..end)?;
                bytes.get(end)?;
                at = end + 1;
                (line, value)
            }
        };
        let number = || std::str::from_utf8(value).ok()?.parse().ok();
        match name {
            b"MESSAGE" => message = Some(value.to_vec()),
            b"CONTAINER_PARTIAL_MESSAGE" => partial = value == b"true",
            b"PRIORITY" if value == b"3" => stream = Stream::Error,
            b"_SOURCE_REALTIME_TIMESTAMP" => source_us = number(),
            b"__REALTIME_TIMESTAMP" => journal_us = number(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_whole_or_not_yet() {
        let mut bytes =
            b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795858514253845\nPRIORITY=3\nMESSAGE=one=1\n\n"
                .to_vec();
        let first = bytes.len();
        bytes.extend_from_slice(b"_SOURCE_REALTIME_TIMESTAMP=2\n__REALTIME_TIMESTAMP=3\nMESSAGE\n\x05\0\0\0\0\0\0\0a\n\xff\0b\nCONTAINER_PARTIAL_MESSAGE=true\n\n");
        let second = bytes.len();
        bytes.extend_from_slice(b"PRIORITY=6\n\n");
        let expected = [
            (Some((Stream::Error, 1_795_858_514_253_845_000, b"one=1\n".to_vec())), first),
            (Some((Stream::Output, 2000, b"a\n\xff\0b".to_vec())), second - first),
            (None, bytes.len() - second),
        ];
        let mut at = 0;
        for (line, len) in expected {
            for short in 0..len {
                assert_eq!(entry(&bytes[at..at + short]), None, "{at} {short}");
            }
            let read = entry(&bytes[at..])
                .map(|(line, len)| (line.map(|line| (line.stream, line.time_ns, line.text)), len));
            assert_eq!(read, Some((line, len)));
            at += len;
        }
        for bytes in [&b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff\n\n"[..], b"", b"MESSAGE\n\x01"] {
            assert_eq!(entry(bytes), None);
        }
    }
}
