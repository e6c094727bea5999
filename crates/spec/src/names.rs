//! Enums that are strings in a document.
//!
//! [`names!`] declares one together with its names. The names are looked up by one function for all
//! enums, so that thirty of them do not become thirty generated parsers.

use serde::de::{self, Deserializer, Visitor};
use std::fmt;

/// Declares an enum whose values are strings, with `ALL`, `NAMES`, `name()`, `from_name()`, `Display`,
/// `Serialize` and `Deserialize`.
macro_rules! names {
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident { $( $(#[$vmeta:meta])* $Variant:ident = $name:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Enum { $( $(#[$vmeta])* $Variant, )+ }

        impl $Enum {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$Variant, )+ ];
            /// The names of [`Self::ALL`], in the same order.
            pub const NAMES: &'static [&'static str] = &[ $( $name, )+ ];

            /// The name as it stands in a document.
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().position(|known| *known == name).map(|at| Self::ALL[at])
            }
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $Enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $Enum {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::names::index(deserializer, Self::NAMES).map(|at| Self::ALL[at])
            }
        }
    };
}
pub(crate) use names;

/// Which of `names` comes next in the document.
pub(crate) fn index<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &'static [&'static str],
) -> Result<usize, D::Error> {
    deserializer.deserialize_str(OneOf(names))
}

struct OneOf(&'static [&'static str]);

impl Visitor<'_> for OneOf {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<usize, E> {
        self.0.iter().position(|known| *known == name).ok_or_else(|| E::unknown_variant(name, self.0))
    }
}
