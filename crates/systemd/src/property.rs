//! What a unit is given: names and values (org.freedesktop.systemd1(5)).

use crate::{Error, text};

/// A property of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// As systemd spells it on the bus.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A value, by its D-Bus type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    Numbers(Vec<u32>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
    /// `a(st)`
    Amounts(Vec<(String, u64)>),
}

impl Property {
    /// A property with a value.
    pub fn new(name: impl Into<String>, value: Value) -> Self {
        Self { name: name.into(), value }
    }

    /// From an annotation `org.systemd.property.NAME` and its value in GVariant's text format, as runc and crun take them:
    /// `true`, `'text'`, `['a', 'b']`, `uint64 3`, `@as []`. A name that ends in `Sec` is a time in seconds and becomes `USec`.
    ///
    /// # Errors
    /// When the name is none, or the value cannot be understood.
    pub fn from_annotation(name: &str, value: &str) -> Result<Self, Error> {
        let plain = name.len() > 3 && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        let subject = || format!("annotation org.systemd.property.{}", name.escape_debug());
        if !plain || !name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(Error::invalid(
                subject(),
                "a property's name has letters only, more than three, the first a capital",
            ));
        }
        let parsed = text::parse(value).map_err(|why| Error::invalid(subject(), why))?;
        match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
            None => Ok(Self::new(name, parsed)),
            Some(stem) => {
                let seconds = match parsed {
                    Value::I32(seconds) => u64::try_from(seconds).ok(),
                    Value::I64(seconds) => u64::try_from(seconds).ok(),
                    Value::U32(seconds) => Some(seconds.into()),
                    Value::U64(seconds) => Some(seconds),
                    _ => None,
                };
                let microseconds = seconds.and_then(|seconds| seconds.checked_mul(1_000_000));
                let microseconds = microseconds
                    .ok_or_else(|| Error::invalid(subject(), "it has to be a number of seconds"))?;
                Ok(Self::new(format!("{stem}USec"), Value::U64(microseconds)))
            }
        }
    }
}

impl Value {
    /// The D-Bus type.
    pub fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Bytes(_) => "ay",
            Self::Numbers(_) => "au",
            Self::Pairs(_) => "a(ss)",
            Self::Amounts(_) => "a(st)",
        }
    }
}

/// Processors or memory nodes as systemd takes them: bit n of the bytes for number n. The list is `0-3,8`, as in cpuset(7).
///
/// # Errors
/// When it is no such list, or has numbers above 8191.
pub fn mask(list: &str) -> Result<Vec<u8>, Error> {
    const MOST: usize = 8192;
    let bad = || Error::invalid(format!("`{}`", list.escape_debug()), "not a list such as 0-3,8");
    let mut bytes = Vec::new();
    for part in list.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < MOST);
        let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(bad()) };
        if first > last {
            return Err(bad());
        }
        if bytes.len() <= last / 8 {
            bytes.resize(last / 8 + 1, 0);
        }
        (first..=last).for_each(|number| bytes[number / 8] |= 1 << (number % 8));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_become_properties() {
        let check = |name: &str, value: &str, expected: Result<Property, &str>| {
            let found = Property::from_annotation(name, value).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name} {value}");
        };
        check(
            "CollectMode",
            "'inactive-or-failed'",
            Ok(Property::new("CollectMode", Value::Text("inactive-or-failed".into()))),
        );
        check(
            "TimeoutStopUSec",
            "uint64 123000000",
            Ok(Property::new("TimeoutStopUSec", Value::U64(123_000_000))),
        );
        check("TimeoutStopSec", "123", Ok(Property::new("TimeoutStopUSec", Value::U64(123_000_000))));
        check(
            "After",
            "['a.service', 'b.service']",
            Ok(Property::new("After", Value::Texts(vec!["a.service".into(), "b.service".into()]))),
        );
        check(
            "X",
            "1",
            Err(
                "annotation org.systemd.property.X: a property's name has letters only, more than three, the first a capital",
            ),
        );
        check(
            "TimeoutStopSec",
            "-1",
            Err("annotation org.systemd.property.TimeoutStopSec: it has to be a number of seconds"),
        );
    }

    #[test]
    fn lists_of_processors_become_bits() {
        assert_eq!(mask("0-3,8").unwrap(), [0b1111, 1]);
        assert_eq!(mask("").unwrap(), [0u8; 0]);
        for bad in ["a", "3-1", "1-", "99999", "-"] {
            assert!(mask(bad).is_err(), "{bad}");
        }
    }
}
