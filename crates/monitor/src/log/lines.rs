//! Output in pieces, as lines.

use super::LINE_MAX;

/// Puts pieces of output together to lines. A line of more than [`LINE_MAX`] bytes comes in parts.
#[derive(Debug, Default)]
pub struct Splitter {
    begun: Vec<u8>,
}

impl Splitter {
    /// Takes `bytes` and hands out each line that they finish, without its end, and parts of one that grows too long. The second
    /// argument of `out` tells whether the line ends there.
    pub fn split(&mut self, bytes: &[u8], mut out: impl FnMut(&[u8], bool)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_MAX - self.begun.len();
            let near = &rest[..rest.len().min(room + 1)];
            match memchr::memchr(b'\n', near) {
                Some(end) => {
                    self.hand_out(&rest[..end], true, &mut out);
                    rest = &rest[end + 1..];
                }
                None if rest.len() > room => {
                    self.hand_out(&rest[..room], false, &mut out);
                    rest = &rest[room..];
                }
                None => {
                    self.begun.extend_from_slice(rest);
                    return;
                }
            }
        }
    }

    fn hand_out(&mut self, end: &[u8], whole: bool, out: &mut impl FnMut(&[u8], bool)) {
        if self.begun.is_empty() {
            out(end, whole);
            return;
        }
        self.begun.extend_from_slice(end);
        out(&self.begun, whole);
        self.begun.clear();
        self.begun.shrink_to(LINE_MAX);
    }

    /// Hands out a line that was not finished.
    pub fn finish(&mut self, mut out: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            out(&self.begun);
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.split(piece, |line, whole| lines.push((line.to_vec(), whole)));
            assert!(splitter.begun.len() <= LINE_MAX);
        }
        splitter.finish(|line| lines.push((line.to_vec(), false)));
        lines
    }

    #[test]
    fn lines_do_not_depend_on_how_they_came() {
        let text = b"one\n\ntwo\nthree";
        let whole = split(&[text]);
        let expected: Vec<(Vec<u8>, bool)> =
            [("one", true), ("", true), ("two", true), ("three", false)].map(|(l, w)| (l.into(), w)).to_vec();
        assert_eq!(whole, expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(split(&bytes), expected);
    }

    #[test]
    fn a_line_without_end_comes_in_parts_and_nothing_is_lost() {
        let long = vec![b'x'; 100_000];
        let mut text = long.clone();
        text.push(b'\n');
        for size in [1000, 16_384, 16_385, 70_000, text.len()] {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            let lines = split(&pieces);
            assert!(lines.iter().all(|(line, _)| line.len() <= LINE_MAX));
            assert_eq!(lines.iter().filter(|(_, whole)| *whole).count(), 1);
            assert_eq!(lines.concat_len(), 100_000);
            assert!(lines.last().unwrap().1);
        }
    }

    #[test]
    fn a_line_of_just_the_longest_length_is_whole() {
        let mut text = vec![b'x'; LINE_MAX];
        text.push(b'\n');
        assert_eq!(split(&[&text]), [(vec![b'x'; LINE_MAX], true)]);
    }

    trait Length {
        fn concat_len(&self) -> usize;
    }

    impl Length for Vec<(Vec<u8>, bool)> {
        fn concat_len(&self) -> usize {
            self.iter().map(|(line, _)| line.len()).sum()
        }
    }
}
