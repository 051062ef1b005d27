//! The `x` map of roots and heads: signed bytes under short names, kept, forwarded, and ignored where unknown.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

use crate::record::BrokenRule;

/// The most entries of an `x` map.
pub const EXTENSIONS_MAX: usize = 16;

/// The longest name in an `x` map, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Signed entries that this version need not understand, ascending by (length, bytes) of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Vec<(String, Vec<u8>)>);

impl Extensions {
    /// Whether there are none; then the record has no `x` at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value under this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Sets the value under this name.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
        self.0.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    }

    /// Every name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// # Errors
    /// Too many entries, or a name that is empty or too long. (The record's own limit bounds the values.)
    pub(crate) fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.0.len() <= EXTENSIONS_MAX, "more than 16 entries in `x`")?;
        let names_fit = self.0.iter().all(|(name, _)| (1..=NAME_BYTES_MAX).contains(&name.len()));
        BrokenRule::unless(names_fit, "a name in `x` is not 1 to 32 bytes long")
    }
}

impl Serialize for Extensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, Bytes::new(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Extensions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from texts to byte strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extensions, A::Error> {
                let mut extensions = Extensions::default();
                while let Some((name, value)) = map.next_entry::<String, ByteBuf>()? {
                    extensions.0.push((name, value.into_vec()));
                }
                Ok(extensions)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
