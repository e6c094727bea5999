//! How what a container changes is kept: `--storage-opt`.

use super::size::Bytes;
use super::{Problem, Value};

/// `--storage-opt size=SIZE`: the most that a container's changes to its root take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageOpt {
    /// That size.
    pub size: Bytes,
}

impl Value for StorageOpt {
    const FORM: &'static str = "size= and a number of bytes with an optional unit b, k, m, g, t or p";
    const EXAMPLE: &'static str = "size=10g";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text.split_once('=') {
            Some(("size", size)) => Ok(Self { size: Bytes::parse(size)? }),
            Some((other, _)) => Err(format!("`{other}` is not an option; only size is").into()),
            None => Err("it has no value".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_size_is_an_option() {
        assert_eq!(StorageOpt::parse("size=1g").map(|option| option.size.get()), Ok(1 << 30));
        for wrong in ["size", "size=", "size=0", "size=x", "dm.size=1g", "", "=1g"] {
            assert!(StorageOpt::parse(wrong).is_err(), "{wrong}");
        }
    }
}
