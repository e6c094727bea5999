//! Digests: the names of content.
//!
//! A [`Digest`] is a parsed value and its text is made from it, so that nothing but hexadecimal digits ever becomes a file's name
//! (CVE-2024-3727).

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

pub mod together;

/// How a digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which every registry has.
    Sha256,
    /// SHA-512, which the specification allows.
    Sha512,
}

impl Algorithm {
    /// Its name in a digest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The digest of some content, `sha256:…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The first bytes count, as many as the algorithm has.
    bytes: [u8; 64],
}

impl Digest {
    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A SHA-256 from its 32 bytes.
    pub fn from_sha256(sum: [u8; 32]) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&sum);
        Self { algorithm: Algorithm::Sha256, bytes }
    }

    /// Parses `ALGORITHM:HEX`.
    ///
    /// # Errors
    /// Another algorithm, or anything but the right number of lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::malformed(format!("the digest `{}`", text.escape_debug()), problem);
        let (name, hex) = text.split_once(':').ok_or_else(|| bad("it has no algorithm"))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(bad("its algorithm is neither sha256 nor sha512")),
        };
        Self::from_hex(algorithm, hex)
            .ok_or_else(|| bad("it takes 64 (sha256) or 128 (sha512) of the digits 0-9a-f"))
    }

    /// A digest from its hexadecimal digits.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if hex.len() != algorithm.len() * 2 {
            return None;
        }
        let mut bytes = [0; 64];
        for (place, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *place = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self { algorithm, bytes })
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its hexadecimal digits.
    pub fn hex(&self) -> String {
        hexadecimal(self.as_bytes())
    }

    /// The first twelve of its hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hexadecimal(&self.bytes[..6])
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }
}

/// Lists have thousands of them: formatting each byte would take longer than all else.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A digest while its content passes. ring computes it: its assembler is more than twice as fast as compiled Rust on processors without
/// instructions for SHA. Several at once are quicker by [`together::Together`].
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: ring::digest::Context,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Nothing has passed yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let context = match algorithm {
            Algorithm::Sha256 => ring::digest::Context::new(&ring::digest::SHA256),
            Algorithm::Sha512 => ring::digest::Context::new(&ring::digest::SHA512),
        };
        Self { algorithm, context }
    }

    /// More content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all that has passed.
    pub fn finish(self) -> Digest {
        let sum = self.context.finish();
        let mut bytes = [0; 64];
        bytes[..self.algorithm.len()].copy_from_slice(sum.as_ref());
        Digest { algorithm: self.algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_written_as_it_was_read() {
        assert_eq!(Digest::parse(EMPTY).unwrap().to_string(), EMPTY);
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let long = format!("sha512:{}", "0f".repeat(64));
        assert_eq!(Digest::parse(&long).unwrap().to_string(), long);
    }

    #[test]
    fn what_could_be_a_path_is_no_digest() {
        for text in ["", "sha256", "sha256:", "sha256:../../etc/passwd", "md5:00", "sha256:E3B0", "../x:00"] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        assert!(Digest::parse(&EMPTY.to_uppercase()).is_err());
        assert!(Digest::parse(&format!("{EMPTY}0")).is_err());
    }
}
