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
        #[serde(remote = "Self", rename_all = "camelCase")]
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

        crate::optional::objects!($Struct);
    };
}
pub(crate) use optional_properties;

/// Implements `Serialize` and `Deserialize` for structs that derive them with `remote = "Self"`.
///
/// What serde derives reads a struct from an array as well, with the fields in their order, so that
/// `"linux": []` would pass for an empty section. Here only an object will do.
macro_rules! objects {
    ($($Struct:ident),* $(,)?) => {
        $(
            impl serde::Serialize for $Struct {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    $Struct::serialize(self, serializer)
                }
            }

            impl<'de> serde::Deserialize<'de> for $Struct {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    $Struct::deserialize(crate::optional::OnlyObject(deserializer))
                }
            }
        )*
    };
}
pub(crate) use objects;

/// A deserializer for a struct that has to be an object.
pub(crate) struct OnlyObject<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for OnlyObject<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

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
    Option::<Blank<T>>::deserialize(deserializer).map(|name| name.and_then(|Blank(name)| name))
}

struct Blank<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Blank<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BlankVisitor(PhantomData))
    }
}

struct BlankVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BlankVisitor<T> {
    type Value = Blank<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(Blank(None));
        }
        T::deserialize(text.into_deserializer()).map(|name| Blank(Some(name)))
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
    Option::<Unique<T>>::deserialize(deserializer).map(|map| map.map_or_else(Map::new, |Unique(map)| map))
}

struct Unique<T>(Map<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for UniqueVisitor<T> {
    type Value = Unique<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
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
        Ok(Unique(map))
    }
}
