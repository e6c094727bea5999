//! The two formats of lines in files.

use super::Stream;
use crate::time::{TIME_LEN, write_rfc3339};

/// What all lines of a piece of output have in common: the stream and the time, in the words of both formats.
#[derive(Debug)]
pub struct Stamp {
    /// The stream.
    pub stream: Stream,
    time: [u8; TIME_LEN],
}

impl Stamp {
    /// Of what came at `now_ns`.
    pub fn new(stream: Stream, now_ns: u64) -> Self {
        let mut time = [0; TIME_LEN];
        write_rfc3339(now_ns, &mut time);
        Self { stream, time }
    }

    /// Appends a line as docker's `json-file` has it: a part of a line has no line break at its end. What is not UTF-8 becomes U+FFFD.
    pub fn json(&self, out: &mut Vec<u8>, line: &[u8], whole: bool) {
        // Room for everything but what has to be escaped.
        out.reserve(line.len() + 96);
        out.extend_from_slice(b"{\"log\":\"");
        escape(out, line);
        out.extend_from_slice(match (whole, self.stream) {
            (true, Stream::Output) => b"\\n\",\"stream\":\"stdout\",\"time\":\"".as_slice(),
            (true, Stream::Error) => b"\\n\",\"stream\":\"stderr\",\"time\":\"",
            (false, Stream::Output) => b"\",\"stream\":\"stdout\",\"time\":\"",
            (false, Stream::Error) => b"\",\"stream\":\"stderr\",\"time\":\"",
        });
        out.extend_from_slice(&self.time);
        out.extend_from_slice(b"\"}\n");
    }

    /// Appends a line as Kubernetes reads them: `TIME STREAM F|P TEXT`, `P` for a part of a line.
    pub fn k8s(&self, out: &mut Vec<u8>, line: &[u8], whole: bool) {
        out.reserve(line.len() + 48);
        out.extend_from_slice(&self.time);
        out.push(b' ');
        out.extend_from_slice(self.stream.name().as_bytes());
        out.extend_from_slice(if whole { b" F " } else { b" P " });
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

/// How many bytes from the first on go into a text of JSON as they are: no control characters, `"`, `\`, and nothing beyond ASCII. Eight
/// bytes are looked at together.
fn plain(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of the lowest byte that is below `most`; of bytes above that one, it says nothing.
    let below = |word: u64, most: u64| word.wrapping_sub(LOW * most) & !word & HIGH;
    let mut at = 0;
    while let Some(Ok(eight)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(eight);
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let found = (word & HIGH) | below(word, 0x20) | quote | backslash;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x80..);
    at + bytes[at..].iter().position(special).unwrap_or(bytes.len() - at)
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // Most text is plain: it is copied a stretch at a time.
        let (plain, special) = rest.split_at(plain(rest));
        out.extend_from_slice(plain);
        rest = special;
        let Some(&byte) = rest.first() else { return };
        if byte < 0x80 {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\n' => out.extend_from_slice(b"\\n"),
                control => {
                    const DIGITS: &[u8; 16] = b"0123456789abcdef";
                    out.extend_from_slice(b"\\u00");
                    out.push(DIGITS[usize::from(control >> 4)]);
                    out.push(DIGITS[usize::from(control & 15)]);
                }
            }
            rest = &rest[1..];
            continue;
        }
        let len = character(rest);
        match len {
            Some(len) => {
                out.extend_from_slice(&rest[..len]);
                rest = &rest[len..];
            }
            None => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                rest = &rest[1..];
            }
        }
    }
}

/// The length of the character of several bytes that begins here; none when there is none.
fn character(bytes: &[u8]) -> Option<usize> {
    let len = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    std::str::from_utf8(bytes.get(..len)?).ok().map(|_| len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_json(line: &[u8], whole: bool) -> String {
        let mut out = Vec::new();
        Stamp::new(Stream::Error, 1_000_000_007).json(&mut out, line, whole);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_of_json_is_docker_s() {
        assert_eq!(
            as_json(b"a\tb \"c\" \\ \x01\xff\xc3\xa9", true),
            "{\"log\":\"a\\tb \\\"c\\\" \\\\ \\u0001\u{fffd}é\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01.000000007Z\"}\n"
        );
        assert!(as_json(b"part", false).starts_with("{\"log\":\"part\",\"stream\""));
    }

    #[test]
    fn every_byte_makes_a_line_of_json_that_can_be_read() {
        for first in 0..=255u8 {
            for second in [0u8, b'a', 0x80, 0xbf, 0xc3, 0xff] {
                let value: serde_json::Value =
                    serde_json::from_str(&as_json(&[first, second], true)).unwrap();
                let expected = format!("{}\n", String::from_utf8_lossy(&[first, second]));
                if first < 0x80 && second < 0x80 {
                    assert_eq!(value["log"], expected.as_str());
                } else {
                    assert!(value["log"].as_str().unwrap().ends_with('\n'));
                }
            }
        }
    }

    #[test]
    fn what_is_plain_ends_where_something_is_not() {
        for special in 0..=255u8 {
            let is_plain = matches!(special, 0x20..=0x7f) && special != b'"' && special != b'\\';
            for at in 0..20 {
                // What stands behind changes nothing.
                for behind in [b'a', 0, 0x80, b'"'] {
                    let mut text = vec![b'~'; at];
                    text.extend([special, behind, b' ', b'!', 0x7f, b'#', b'[', b']', b'x']);
                    let end =
                        text.iter().position(|byte| !matches!(byte, 0x20..=0x7f) || b"\"\\".contains(byte));
                    assert_eq!(plain(&text), end.unwrap_or(text.len()), "{special} {at} {behind}");
                    assert_eq!(plain(&text) > at, is_plain);
                }
            }
        }
    }

    #[test]
    fn a_line_for_kubernetes_tells_whether_it_is_whole() {
        let mut out = Vec::new();
        let stamp = Stamp::new(Stream::Output, 0);
        stamp.k8s(&mut out, b"hi", true);
        stamp.k8s(&mut out, b"ho", false);
        assert_eq!(
            out,
            b"1970-01-01T00:00:00.000000000Z stdout F hi\n1970-01-01T00:00:00.000000000Z stdout P ho\n"
        );
    }
}
