//! What can go wrong, in words.

use std::fmt;

use report::{Explain, Kind};
use sys::{Errno, SyscallError, kind_of};

use crate::attributes::Attributes;
use crate::message::{HEADER, Verdict};
use crate::route;

/// A conversation with the kernel that did not succeed.
#[derive(Debug)]
pub enum Error {
    /// The kernel refused a request.
    Refused(Refused),
    /// The socket itself failed.
    Socket(SyscallError),
    /// The kernel had more to say than its buffer for this socket holds, so that acknowledgements are lost: what
    /// was asked for may have been done or not.
    Overrun {
        /// How many requests are without an answer.
        unanswered: usize,
    },
    /// An answer is not what it should be.
    Malformed {
        /// What was expected.
        expected: &'static str,
    },
}

impl Error {
    /// The refusal, if it is one.
    pub const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// The error number, where there is one.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(refused) => Some(refused.errno),
            Self::Socket(error) => Some(error.errno),
            Self::Overrun { .. } => Some(Errno::NOBUFS),
            Self::Malformed { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Socket(error) => error.fmt(f),
            Self::Overrun { unanswered } => {
                write!(f, "netlink: the kernel's answers to {unanswered} requests were lost (ENOBUFS)")
            }
            Self::Malformed { expected } => write!(f, "netlink: the kernel's answer is no {expected}"),
        }
    }
}

impl std::error::Error for Error {}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(refused) => refused.kind(),
            Self::Socket(error) => error.kind(),
            Self::Overrun { .. } => Kind::ResourceExhausted,
            Self::Malformed { .. } => Kind::Internal,
        }
    }
}

impl From<SyscallError> for Error {
    fn from(error: SyscallError) -> Self {
        Self::Socket(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// A request that the kernel refused, with all that it says about it (extended acknowledgements, Linux 4.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of the requests sent together.
    pub index: usize,
    /// The error number.
    pub errno: Errno,
    /// The kernel's sentence, where it has one.
    pub words: Option<String>,
    /// The attribute that it is about, or that is missing, by its names from the outside in: `IFLA_LINKINFO/IFLA_INFO_DATA/1`.
    pub attribute: Option<String>,
    /// Whether that attribute is missing, not wrong.
    pub missing: bool,
}

impl Refused {
    pub(crate) fn new(index: usize, errno: Errno, verdict: Verdict, request: &[u8]) -> Self {
        let kind = request.get(4..6).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes);
        let missing = verdict.missing.is_some();
        let attribute = match (verdict.missing, verdict.offset) {
            (Some(missing), _) => Some(route::attribute_name(kind, &[missing as u16])),
            (None, Some(offset)) => {
                let path = path_to(request, kind, offset as usize);
                (!path.is_empty()).then(|| route::attribute_name(kind, &path))
            }
            (None, None) => None,
        };
        Self { index, errno, words: verdict.words, attribute, missing }
    }
}

/// The kinds of the attributes around `offset`, from the outside in.
fn path_to(request: &[u8], kind: u16, offset: usize) -> Vec<u16> {
    let mut path = Vec::new();
    let mut start = HEADER + route::header_len(kind);
    let mut bytes = request.get(start..).unwrap_or_default();
    'deeper: while path.len() < 8 {
        let base = bytes.as_ptr() as usize;
        for attribute in Attributes::new(bytes) {
            let data = start + (attribute.data.as_ptr() as usize - base);
            let end = data + attribute.data.len();
            if offset + 4 == data || (data..end).contains(&offset) {
                path.push(attribute.kind);
                if offset + 4 == data {
                    return path;
                }
                (start, bytes) = (data, attribute.data);
                continue 'deeper;
            }
        }
        return path;
    }
    path
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.words {
            Some(words) => write!(f, "the kernel refused: {}: {}", words.trim_end_matches('.'), self.errno)?,
            None => write!(f, "the kernel refused: {}", self.errno)?,
        }
        match (&self.attribute, self.missing) {
            (Some(attribute), true) => write!(f, ", {attribute} is missing"),
            (Some(attribute), false) => write!(f, ", at {attribute}"),
            (None, _) => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        kind_of(self.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Requests;
    use crate::route::{LinkHeader, NEWLINK, ifla, info};

    #[test]
    fn the_attribute_that_the_kernel_points_at_is_named_from_the_outside_in() {
        let mut requests = Requests::one(NEWLINK, 0, &LinkHeader::default().bytes());
        requests.text(ifla::IFNAME, "eth0");
        requests.nest(ifla::LINKINFO, |link| {
            link.text(info::KIND, "vlan");
            link.nest(info::DATA, |data| {
                data.u16(1, 5000);
            });
        });
        let request = requests.bytes_of(0);
        let place = request.windows(2).rposition(|pair| pair == 5000u16.to_ne_bytes()).unwrap();
        let verdict = Verdict { offset: Some(place as u32 - 4), ..Verdict::default() };
        let refused = Refused::new(0, Errno::RANGE, verdict, request);
        assert_eq!(refused.attribute.as_deref(), Some("IFLA_LINKINFO/IFLA_INFO_DATA/1"));
    }

    #[test]
    fn an_offset_outside_the_request_names_nothing() {
        let requests = Requests::one(NEWLINK, 0, &LinkHeader::default().bytes());
        for offset in [0, 5, 16, 32, 4000, u32::MAX] {
            let verdict = Verdict { offset: Some(offset), ..Verdict::default() };
            assert_eq!(Refused::new(0, Errno::INVAL, verdict, requests.bytes_of(0)).attribute, None);
        }
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refused = Refused {
            index: 0,
            errno: Errno::INVAL,
            words: Some("Invalid prefix for given prefix length.".into()),
            attribute: Some("RTA_DST".into()),
            missing: false,
        };
        assert_eq!(
            refused.to_string(),
            "the kernel refused: Invalid prefix for given prefix length: invalid argument (EINVAL), at RTA_DST"
        );
    }
}
