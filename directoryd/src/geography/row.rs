//! What databases have in their rows, under the names that MaxMind, DB-IP and others give it.

use std::fmt;

use odi_wire::message::Country;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::whereabouts::{Continent, Point, Whereabouts};

/// A row, with what is of use here; every field may be absent, and others are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    country: Code,
    country_code: Code,
    continent: Code,
    continent_code: Code,
    location: Degrees,
    latitude: Option<f64>,
    longitude: Option<f64>,
    autonomous_system_number: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Degrees {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// Two letters: as they are, or in a map with names in all languages.
#[derive(Clone, Copy, Debug, Default)]
struct Code(Option<[u8; 2]>);

impl Code {
    fn or(self, other: Self) -> Option<[u8; 2]> {
        self.0.or(other.0)
    }
}

impl From<Row> for Whereabouts {
    fn from(row: Row) -> Self {
        let country = row.country.or(row.country_code).and_then(Country::of);
        let continent = row.continent.or(row.continent_code);
        let continent = continent.and_then(|code| Continent::of_code(str::from_utf8(&code).ok()?));
        let (lat, lon) = (row.location.latitude.or(row.latitude), row.location.longitude.or(row.longitude));
        Self {
            asn: row.autonomous_system_number,
            country,
            continent: continent.or_else(|| country.and_then(Continent::of)),
            point: lat.zip(lon).and_then(|(lat, lon)| Point::of_degrees(lat, lon)),
        }
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CodeVisitor)
    }
}

struct CodeVisitor;

impl<'de> Visitor<'de> for CodeVisitor {
    type Value = Code;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a code of two letters, or a map that has one")
    }

    fn visit_str<E>(self, text: &str) -> Result<Code, E> {
        // A name rather than a code is left to the field beside it.
        Ok(Code(text.as_bytes().try_into().ok()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Code, A::Error> {
        let mut code = Code::default();
        while let Some(key) = map.next_key::<&str>()? {
            if matches!(key, "iso_code" | "code") {
                code = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(code)
    }
}
