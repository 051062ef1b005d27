//! Why bytes are not the profile's CBOR: one closed list, which `fixtures/vectors/cbor` names word for word.

use std::fmt;

/// Bytes that are not what the profile allows, or not the expected record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct CborError {
    /// What is wrong.
    pub reason: CborReason,
    /// Offset of the offending item's first byte.
    pub at: usize,
}

impl CborError {
    pub(crate) const fn new(reason: CborReason, at: usize) -> Self {
        Self { reason, at }
    }

    pub(crate) fn shape(at: usize, detail: &dyn fmt::Display) -> Self {
        Self::new(CborReason::Shape(detail.to_string()), at)
    }
}

/// Every way to leave the profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborReason {
    /// More bytes than the named limit of this record.
    #[error("too large")]
    TooLarge,
    /// The bytes end inside an item, or a length promises more than follows.
    #[error("truncated")]
    Truncated,
    /// Bytes after the one item.
    #[error("trailing bytes")]
    TrailingBytes,
    /// More nested arrays and maps than [`DEPTH_MAX`](super::DEPTH_MAX).
    #[error("too deep")]
    TooDeep,
    /// An indefinite length, or a stray break.
    #[error("indefinite length")]
    Indefinite,
    /// An integer or length in more bytes than it needs.
    #[error("not the shortest form")]
    NotShortest,
    /// A tag; bignums are tags.
    #[error("tag")]
    Tag,
    /// A floating-point number.
    #[error("floating-point number")]
    Float,
    /// A null. Absent things are absent.
    #[error("null")]
    Null,
    /// An `undefined`.
    #[error("undefined")]
    Undefined,
    /// A simple value other than false and true.
    #[error("unassigned simple value")]
    Simple,
    /// Additional information 28 to 30, which RFC 8949 reserves.
    #[error("reserved additional information")]
    Reserved,
    /// A text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A text that is not in normalization form C of the pinned Unicode version.
    #[error("text is not NFC")]
    NotNfc,
    /// A map key that is neither a text nor an unsigned integer, or keys of both types in one map.
    #[error("map key of a wrong type")]
    KeyType,
    /// Map keys not ascending by (length, bytes).
    #[error("map keys out of order")]
    KeyOrder,
    /// The same map key twice.
    #[error("duplicate map key")]
    DuplicateKey,
    /// Something else was expected here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// In the profile, but not this record.
    #[error("not the expected record: {0}")]
    Shape(String),
    /// Decodes, but is not what the decoded record encodes to.
    #[error("not the record's own encoding")]
    ReencodesDifferently,
}

impl CborReason {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing-bytes",
            Self::TooDeep => "too-deep",
            Self::Indefinite => "indefinite",
            Self::NotShortest => "not-shortest",
            Self::Tag => "tag",
            Self::Float => "float",
            Self::Null => "null",
            Self::Undefined => "undefined",
            Self::Simple => "simple",
            Self::Reserved => "reserved",
            Self::NotUtf8 => "not-utf8",
            Self::NotNfc => "not-nfc",
            Self::KeyType => "key-type",
            Self::KeyOrder => "key-order",
            Self::DuplicateKey => "duplicate-key",
            Self::Expected(_) => "unexpected-type",
            Self::Shape(_) => "shape",
            Self::ReencodesDifferently => "reencodes-differently",
        }
    }
}
