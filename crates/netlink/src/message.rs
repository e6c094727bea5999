//! Messages as the kernel sends them: several in a datagram, each with a header.

use crate::attributes::Attributes;
use sys::Errno;

/// `sizeof(struct nlmsghdr)`.
pub(crate) const HEADER: usize = 16;

/// `NLMSG_ERROR`: an acknowledgement, or a refusal.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(crate) const DONE: u16 = 3;
/// `NLMSG_MIN_TYPE`: below it are messages of netlink itself.
pub(crate) const FIRST_OF_PROTOCOL: u16 = 16;

/// `NLM_F_DUMP_INTR`
pub(crate) const INTERRUPTED: u16 = 0x10;
/// `NLM_F_CAPPED`: an error repeats only the header of what it is about.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow.
const WITH_ATTRIBUTES: u16 = 0x200;

/// The messages in some bytes.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let word = |at: usize| Some(u32::from_ne_bytes(self.rest.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_ne_bytes(self.rest.get(at..at + 2)?.try_into().ok()?));
        let len = word(0)? as usize;
        let (kind, flags, sequence) = (half(4)?, half(6)?, word(8)?);
        let body = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, body })
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What it is: a number of the protocol.
    pub kind: u16,
    /// `NLM_F_*`
    pub flags: u16,
    /// The number of the request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The protocol's own header of `N` bytes, and the attributes behind it. `None` when the message is too short.
    pub fn parts<const N: usize>(&self) -> Option<(&'a [u8; N], Attributes<'a>)> {
        let (header, _) = self.body.split_first_chunk::<N>()?;
        Some((header, Attributes::new(self.body.get(N.next_multiple_of(4)..).unwrap_or_default())))
    }

    /// The message with its header, to be kept.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = ((HEADER + self.body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.body);
        bytes
    }

    /// For an acknowledgement or the end of a dump: how it went.
    pub(crate) fn verdict(&self) -> Verdict {
        let number = self.body.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
        let behind = match self.kind {
            DONE => 4,
            // An error repeats the request: whole, or only its header.
            _ if self.flags & CAPPED != 0 => 4 + HEADER,
            _ => {
                let len =
                    self.body.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
                4 + (len as usize).next_multiple_of(4)
            }
        };
        let mut verdict = Verdict {
            errno: (number < 0).then(|| Errno::from_raw(number.wrapping_neg())),
            ..Verdict::default()
        };
        if self.flags & WITH_ATTRIBUTES != 0 {
            for attribute in Attributes::new(self.body.get(behind..).unwrap_or_default()) {
                match attribute.kind {
                    1 => verdict.words = Some(attribute.text().to_owned()).filter(|text| !text.is_empty()),
                    2 => verdict.offset = attribute.u32(),
                    5 => verdict.missing = attribute.u32(),
                    _ => {}
                }
            }
        }
        verdict
    }
}

/// What an acknowledgement says (`struct nlmsgerr` and `NLMSGERR_ATTR_*`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) errno: Option<Errno>,
    /// The kernel's sentence.
    pub(crate) words: Option<String>,
    /// Where in the request the attribute lies that it is about.
    pub(crate) offset: Option<u32>,
    /// The kind of an attribute that is missing.
    pub(crate) missing: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER as u32 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_refusal_has_number_sentence_and_place() {
        let mut body = (-22i32).to_ne_bytes().to_vec();
        body.extend(message(16, 0, &[]));
        body.extend([13, 0, 1, 0]);
        body.extend(b"bad name\0\0\0\0");
        body.extend([8, 0, 2, 0, 32, 0, 0, 0]);
        let bytes = message(ERROR, CAPPED | WITH_ATTRIBUTES, &body);
        let found = Messages::new(&bytes).next().unwrap().verdict();
        assert_eq!(
            found,
            Verdict {
                errno: Some(Errno::INVAL),
                words: Some("bad name".into()),
                offset: Some(32),
                missing: None
            }
        );
    }

    #[test]
    fn a_refusal_that_repeats_the_request_is_read_behind_it() {
        let mut body = (-1i32).to_ne_bytes().to_vec();
        body.extend(message(16, 0, &[1, 2, 3, 4, 5, 6, 7, 8]));
        body.extend([7, 0, 1, 0, b'n', b'o', 0, 0]);
        let bytes = message(ERROR, WITH_ATTRIBUTES, &body);
        assert_eq!(Messages::new(&bytes).next().unwrap().verdict().words.as_deref(), Some("no"));
    }

    #[test]
    fn a_message_that_claims_too_much_ends_the_datagram() {
        let mut bytes = message(16, 0, &[1, 2, 3, 4]);
        bytes.extend(message(17, 0, &[0; 8]));
        bytes.truncate(30);
        assert_eq!(Messages::new(&bytes).map(|message| message.kind).collect::<Vec<_>>(), [16]);
        assert_eq!(Messages::new(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
    }

    #[test]
    fn a_body_shorter_than_its_header_has_no_parts() {
        let bytes = message(16, 0, &[1, 2, 3]);
        assert!(Messages::new(&bytes).next().unwrap().parts::<4>().is_none());
    }
}
