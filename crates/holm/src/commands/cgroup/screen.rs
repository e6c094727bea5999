//! A full-screen view of lines: the terminal's second screen, drawn anew each time, and the keys that are pressed.
//!
//! Only the sequences that every terminal emulator has had for decades are used. A program that draws whole lines needs no
//! more, so there is no library for it.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use engine::terminal::{RawMode, size_of};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::SyscallError;
use sys::signal::{SignalSet, Signals};

/// Second screen, no cursor, no wrapping of long lines.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, in lower case.
    Letter(char),
    /// An arrow or a page key, as lines to go down; up is negative.
    Scroll(i32),
    /// Control-C, escape, or a signal to end.
    End,
}

/// The screen, as long as it lives.
#[derive(Debug)]
pub(super) struct Screen {
    signals: Signals,
    _raw: RawMode,
}

impl Screen {
    /// Takes the terminal over, if standard input and output are one.
    pub(super) fn open() -> Option<Result<Self, SyscallError>> {
        let (input, output) = (std::io::stdin(), std::io::stdout());
        (input.is_terminal() && output.is_terminal()).then(|| {
            // SIGHUP, SIGINT, SIGQUIT, SIGTERM: the terminal is put right before the end. SIGWINCH: drawn anew.
            let signals = Signals::catch(SignalSet::of(&[1, 2, 3, 15, 28]))?;
            let raw = RawMode::enter(&input)?;
            write(BEGIN);
            Ok(Self { signals, _raw: raw })
        })
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> (usize, usize) {
        let (rows, columns) = size_of(std::io::stdout()).unwrap_or((24, 80));
        (usize::from(rows), usize::from(columns))
    }

    /// Draws `lines`; the one at `inverse` stands out.
    pub(super) fn draw(&self, lines: &[String], inverse: usize) {
        write(&frame(lines, inverse, self.size()));
    }

    /// What is pressed within `at_most`; nothing also when the size has changed.
    pub(super) fn wait(&self, at_most: Duration) -> Option<Key> {
        let input = std::io::stdin();
        let mut polled = [PollFd::new(&input, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let timeout =
            Timespec { tv_sec: at_most.as_secs() as _, tv_nsec: i64::from(at_most.subsec_nanos()) as _ };
        if !poll(&mut polled, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            return None;
        }
        while let Ok(Some(arrived)) = self.signals.next() {
            if arrived.signal != 28 {
                return Some(Key::End);
            }
        }
        if polled[0].revents().is_empty() {
            return None;
        }
        let mut bytes = [0; 16];
        match rustix::io::read(&input, &mut bytes) {
            Ok(0) => Some(Key::End),
            Ok(length) => key(&bytes[..length]),
            Err(_) => None,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(END);
    }
}

fn write(text: &str) {
    let mut output = std::io::stdout().lock();
    // A terminal that has gone takes nothing more; the signal for that ends the view.
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// One picture: each line is written over the old one and cleared behind it, so nothing flickers.
fn frame(lines: &[String], inverse: usize, (rows, columns): (usize, usize)) -> String {
    let mut text = String::from("\x1b[H");
    for (index, line) in lines.iter().take(rows).enumerate() {
        let line: String = line.chars().take(columns).collect();
        if index > 0 {
            text.push_str("\r\n");
        }
        if index == inverse {
            let padding = " ".repeat(columns.saturating_sub(line.chars().count()));
            text.extend([INVERSE, &line, &padding, PLAIN]);
        } else {
            text.push_str(&line);
        }
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    text
}

fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        [3] | [27] => Some(Key::End),
        b"\x1b[A" | b"\x1bOA" => Some(Key::Scroll(-1)),
        b"\x1b[B" | b"\x1bOB" => Some(Key::Scroll(1)),
        b"\x1b[5~" => Some(Key::Scroll(-10)),
        b"\x1b[6~" => Some(Key::Scroll(10)),
        [byte, ..] if byte.is_ascii_graphic() => Some(Key::Letter(byte.to_ascii_lowercase() as char)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_never_exceeds_the_terminal() {
        let lines = ["title".to_owned(), "a long line".to_owned(), "not shown".to_owned()];
        assert_eq!(
            frame(&lines, 0, (2, 6)),
            "\x1b[H\x1b[7mtitle \x1b[0m\x1b[K\r\na long\x1b[K\x1b[J"
        );
    }

    #[test]
    fn keys_are_letters_arrows_and_the_ways_out() {
        assert_eq!(key(b"Q"), Some(Key::Letter('q')));
        assert_eq!(key(b"\x1b[B"), Some(Key::Scroll(1)));
        assert_eq!(key(b"\x03"), Some(Key::End));
        assert_eq!(key(b"\x1b"), Some(Key::End));
        assert_eq!(key(b"\x1b[99~"), None);
    }
}
