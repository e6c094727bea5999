//! The two formats of lines in files.

use super::Stream;
use crate::time::{TIME_LEN, write_rfc3339};

/// Appends a line as docker's `json-file` has it: a part of a line has no line break at its end. What is not UTF-8 becomes U+FFFD.
pub fn json(out: &mut Vec<u8>, stream: Stream, line: &[u8], whole: bool, now_ns: u64) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, line);
    if whole {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    time(out, now_ns);
    out.extend_from_slice(b"\"}\n");
}

/// Appends a line as Kubernetes reads them: `TIME STREAM F|P TEXT`, `P` for a part of a line.
pub fn k8s(out: &mut Vec<u8>, stream: Stream, line: &[u8], whole: bool, now_ns: u64) {
    time(out, now_ns);
    out.push(b' ');
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(if whole { b" F " } else { b" P " });
    out.extend_from_slice(line);
    out.push(b'\n');
}

fn time(out: &mut Vec<u8>, now_ns: u64) {
    let mut text = [0; TIME_LEN];
    write_rfc3339(now_ns, &mut text);
    out.extend_from_slice(&text);
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // Most text is plain: it is copied a stretch at a time.
        let plain = rest.iter().position(|byte| !matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let plain = plain.unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&byte) = rest.first() else { return };
        if byte < 0x80 {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\n' => out.extend_from_slice(b"\\n"),
                0x7f => out.push(byte),
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
        json(&mut out, Stream::Error, line, whole, 1_000_000_007);
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
    fn a_line_for_kubernetes_tells_whether_it_is_whole() {
        let mut out = Vec::new();
        k8s(&mut out, Stream::Output, b"hi", true, 0);
        k8s(&mut out, Stream::Output, b"ho", false, 0);
        assert_eq!(
            out,
            b"1970-01-01T00:00:00.000000000Z stdout F hi\n1970-01-01T00:00:00.000000000Z stdout P ho\n"
        );
    }
}
