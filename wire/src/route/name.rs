//! What a directory calls a catalog, and how a URL names one of its states.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use odi_manifest::CatalogId;
use serde::{Deserialize, Deserializer, Serialize};

const NAME_BYTES_MAX: usize = 63;

/// A directory's own name for a catalog: `[a-z0-9][a-z0-9.-]{0,62}`, not `odi`, `blake3` or a catalog id. It means
/// something only at the directory that chose it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CatalogName(Box<str>);

/// A text that cannot name what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {expected}", text.escape_debug())]
pub struct NameError {
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// What it should have been.
    pub expected: &'static str,
}

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

impl CatalogName {
    /// The name as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CatalogName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let reserved = matches!(text, "odi" | "blake3") || text.starts_with("odi1");
        if is_plain(text) && !reserved {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new(
                text,
                "catalog name ([a-z0-9][a-z0-9.-]{0,62}, not `odi`, `blake3` or `odi1...`)",
            ))
        }
    }
}

/// `[a-z0-9][a-z0-9.-]{0,62}`.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(rest)
}

impl fmt::Display for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CatalogName({})", self.0)
    }
}

impl Borrow<str> for CatalogName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CatalogName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a URL names a catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CatalogRef {
    /// As the daemon that is asked calls it.
    Named(CatalogName),
    /// By its id, which means the same everywhere: what one daemon writes into a URL of another.
    Id(CatalogId),
}

impl FromStr for CatalogRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // No name reads as an id, so that neither hides the other: no name begins as ids do.
        let id = if text.starts_with("odi1") { text.parse().ok() } else { None };
        id.map_or_else(|| text.parse().map(Self::Named), |id| Ok(Self::Id(id)))
    }
}

impl From<CatalogName> for CatalogRef {
    fn from(name: CatalogName) -> Self {
        Self::Named(name)
    }
}

impl fmt::Display for CatalogRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// One state of a catalog, as a URL names it after `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StateName {
    /// By its sequence number: decimal, without leading zeros.
    Seq(u64),
    /// By a label that the newest head carries. Nothing that reads as a number.
    Label(String),
}

impl FromStr for StateName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new(text, "sequence number or label");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seq = text.parse().ok().filter(|_| !text.starts_with('0'));
            return seq.map(Self::Seq).ok_or_else(refuse);
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(fits) {
            Ok(Self::Label(text.to_owned()))
        } else {
            Err(refuse())
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::Label(label) => f.write_str(label),
        }
    }
}
