//! Finding the detach keys in what somebody types.

use std::os::fd::AsFd;

use rustix::io::Errno;

/// Looks for a sequence of bytes in a stream. Bytes that may become the sequence are held back until the
/// next one decides.
#[derive(Debug, Clone)]
pub struct DetachScanner {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachScanner {
    /// A scanner for `keys`; with none nothing is ever found.
    pub fn new(keys: &[u8]) -> Self {
        Self { keys: keys.to_vec(), matched: 0 }
    }

    /// Takes `input`, puts on `output` what is not part of the sequence, and tells whether the sequence was
    /// completed. The sequence itself is not passed on.
    pub fn scan(&mut self, input: &[u8], output: &mut Vec<u8>) -> bool {
        let mut found = false;
        for &byte in input {
            self.advance(byte, output);
            if !self.keys.is_empty() && self.matched == self.keys.len() {
                self.matched = 0;
                found = true;
            }
        }
        found
    }

    /// How many bytes are held back: they are the first ones of the sequence.
    pub fn held(&self) -> usize {
        self.matched
    }

    fn advance(&mut self, byte: u8, output: &mut Vec<u8>) {
        // What was held back and now cannot be the sequence's beginning goes out; a later part of it may
        // still be (ctrl-p ctrl-p ctrl-q holds one).
        while self.matched > 0 && self.keys[self.matched] != byte {
            let held = &self.keys[..self.matched];
            let kept = (0..self.matched).rev().find(|len| held.ends_with(&self.keys[..*len])).unwrap_or(0);
            output.extend_from_slice(&held[..self.matched - kept]);
            self.matched = kept;
        }
        match self.keys.get(self.matched) {
            Some(key) if *key == byte => self.matched += 1,
            _ => output.push(byte),
        }
    }
}

/// Reads what was typed, at most so many bytes, and no further than the keys: what somebody typed ahead behind them is for whoever reads the
/// terminal next. Yields how much was read, and whether the keys were there.
///
/// # Errors
/// Those of read(2).
pub(crate) fn read_typed(
    from: impl AsFd,
    scanner: &mut DetachScanner,
    most: usize,
    output: &mut Vec<u8>,
) -> Result<(usize, bool), Errno> {
    let there = rustix::io::ioctl_fionread(&from).ok().and_then(|there| usize::try_from(there).ok());
    let there = there.unwrap_or(1).clamp(1, most);
    let mut count = 0;
    while count < there {
        let mut byte = [0];
        match rustix::io::read(&from, &mut byte) {
            Ok(0) => break,
            Ok(_) => count += 1,
            Err(_) if count > 0 => break,
            Err(errno) => return Err(errno),
        }
        if scanner.scan(&byte, output) {
            return Ok((count, true));
        }
    }
    Ok((count, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_behind_the_keys_is_left_for_the_next() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"ab\x10\x11next").unwrap();
        let (mut scanner, mut output) = (DetachScanner::new(b"\x10\x11"), Vec::new());
        assert_eq!(read_typed(&read, &mut scanner, 100, &mut output).unwrap(), (4, true));
        assert_eq!(output, b"ab");
        output.clear();
        assert_eq!(read_typed(&read, &mut scanner, 3, &mut output).unwrap(), (3, false));
        assert_eq!(read_typed(&read, &mut scanner, 100, &mut output).unwrap(), (1, false));
        drop(write);
        assert_eq!(read_typed(&read, &mut scanner, 100, &mut output).unwrap(), (0, false));
        assert_eq!(output, b"next");
    }

    /// Feeds `text` in pieces of one byte and at once; both must agree.
    fn scan(keys: &str, text: &str) -> (String, bool) {
        let (mut whole, mut output) = (DetachScanner::new(keys.as_bytes()), Vec::new());
        let found = whole.scan(text.as_bytes(), &mut output);
        let (mut single, mut pieces, mut any) = (DetachScanner::new(keys.as_bytes()), Vec::new(), false);
        for byte in text.bytes() {
            any |= single.scan(&[byte], &mut pieces);
        }
        assert_eq!((&output, found), (&pieces, any), "{keys} {text}");
        (String::from_utf8(output).unwrap(), found)
    }

    #[test]
    fn the_sequence_is_found_and_everything_else_is_passed_on() {
        for (keys, text, passed, found) in [
            ("pq", "hello", "hello", false),
            ("pq", "apqb", "ab", true),
            ("pq", "ppq", "p", true),
            ("pq", "pxpp", "pxp", false),
            ("aab", "aaab", "a", true),
            ("abab", "abababx", "abx", true),
            ("abac", "ababac", "ab", true),
            ("p", "xp", "x", true),
            ("", "pq", "pq", false),
        ] {
            assert_eq!(scan(keys, text), (passed.to_owned(), found), "{keys} in {text}");
        }
    }

    #[test]
    fn a_beginning_is_held_back() {
        let (mut scanner, mut output) = (DetachScanner::new(b"pq"), Vec::new());
        assert!(!scanner.scan(b"ap", &mut output));
        assert_eq!((output.as_slice(), scanner.held()), (&b"a"[..], 1));
    }
}
