//! A line of a log.

use monitor::time::parse_rfc3339;
use monitor::{Driver, log::Stream};
use serde::Deserialize;

/// What the container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub stream: Stream,
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// What, with its line break; without one it is a part of a line.
    pub text: Vec<u8>,
}

#[derive(Deserialize)]
struct Json<'a> {
    log: std::borrow::Cow<'a, str>,
    stream: std::borrow::Cow<'a, str>,
    time: std::borrow::Cow<'a, str>,
}

pub(super) fn parse(driver: Driver, bytes: &[u8]) -> Option<Line> {
    match driver {
        Driver::K8sFile => k8s(bytes),
        _ => json(bytes),
    }
}

fn stream(name: &str) -> Option<Stream> {
    match name {
        "stdout" => Some(Stream::Output),
        "stderr" => Some(Stream::Error),
        _ => None,
    }
}

fn json(bytes: &[u8]) -> Option<Line> {
    let entry: Json<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Line {
        stream: stream(&entry.stream)?,
        time_ns: parse_rfc3339(&entry.time)?,
        text: entry.log.into_owned().into_bytes(),
    })
}

fn k8s(bytes: &[u8]) -> Option<Line> {
    let mut parts = bytes.strip_suffix(b"\n")?.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(parts.next()?).ok();
    let (time, name, tag) = (word()?, word()?, word()?);
    let mut text = parts.next().unwrap_or_default().to_vec();
    match tag {
        "F" => text.push(b'\n'),
        "P" => {}
        _ => return None,
    }
    Some(Line { stream: stream(name)?, time_ns: parse_rfc3339(time)?, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor::log::format::Stamp;

    #[test]
    fn what_is_written_is_read() {
        for (driver, write) in [
            (Driver::JsonFile, Stamp::json as fn(&Stamp, &mut Vec<u8>, &[u8], bool)),
            (Driver::K8sFile, Stamp::k8s),
        ] {
            for (text, whole) in [("hello \"you\"\t\\ é", true), ("", true), ("part", false)] {
                let mut bytes = Vec::new();
                let stamp = Stamp::new(Stream::Error, 1_795_832_017_123_456_789);
                write(&stamp, &mut bytes, text.as_bytes(), whole);
                let line = parse(driver, &bytes).unwrap();
                let expected = if whole { format!("{text}\n") } else { text.to_owned() };
                assert_eq!(String::from_utf8(line.text).unwrap(), expected);
                assert_eq!((line.stream, line.time_ns), (Stream::Error, 1_795_832_017_123_456_789));
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_no_line() {
        for bytes in [&b"{\"log\":\"x"[..], b"", b"\n", b"2026-11-28T02:13:37Z stdout", b"\xff\xff\n"] {
            assert_eq!(parse(Driver::JsonFile, bytes), None);
            assert_eq!(parse(Driver::K8sFile, bytes), None);
        }
    }
}
