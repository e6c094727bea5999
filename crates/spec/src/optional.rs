//! How absent values are read and written.
//!
//! Documents come from Go programs, where `null`, an absent property and a zero value are one and the
//! same. So every optional property may be `null`, and what is empty is not written.

use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Declares a struct all of whose properties are optional.
macro_rules! optional_properties {
    (
        $(#[$meta:meta])*
        pub struct $Struct:ident { $( $(#[$fmeta:meta])* pub $field:ident: $Type:ty, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $Struct {
            $(
                $(#[$fmeta])*
                #[serde(
                    default,
                    deserialize_with = "crate::optional::null",
                    skip_serializing_if = "crate::optional::empty"
                )]
                pub $field: $Type,
            )*
        }
    };
}
pub(crate) use optional_properties;

/// Reads `null` as the default value.
pub(crate) fn null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Whether `value` need not be written.
pub(crate) fn empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads `null` and `""` as absent; for optional values that are names.
pub(crate) fn blank<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Blank(PhantomData))
}

struct Blank<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Blank<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() { Ok(None) } else { T::deserialize(text.into_deserializer()).map(Some) }
    }
}

/// A map from names to values; sorted, so that it is always written alike.
pub type Map<T> = BTreeMap<String, T>;

/// Reads a map and refuses a key that comes twice; `null` is an empty map.
pub(crate) fn map<'de, D, T>(deserializer: D) -> Result<Map<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Unique(PhantomData))
}

struct Unique<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Unique<T> {
    type Value = Map<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Map::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
            }
            let value = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(map)
    }
}
