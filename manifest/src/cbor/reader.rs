//! A pull reader that can only read the profile: every header it accepts is definite, shortest and allowed.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{CborError, CborReason};

/// What the next item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0 to 2^64 - 1.
    Uint,
    /// -2^64 to -1.
    Negative,
    /// A byte string.
    Bytes,
    /// A text.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// False or true.
    Bool,
}

/// An item's first bytes, checked: its kind and its value, length or count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) value: u64,
    /// Where the item begins.
    pub(super) at: usize,
}

/// Reads items of the profile from a byte slice, in order. A failed read leaves the position unspecified.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn remaining(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The bytes that were read since `start`.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// An error about the item that begins at the present position.
    #[must_use]
    pub fn expected(&self, what: &'static str) -> CborError {
        CborError::new(CborReason::Expected(what), self.at)
    }

    /// Asserts that nothing is left.
    ///
    /// # Errors
    /// [`CborReason::TrailingBytes`].
    pub const fn end(&self) -> Result<(), CborError> {
        if self.is_empty() { Ok(()) } else { Err(CborError::new(CborReason::TrailingBytes, self.at)) }
    }

    fn take(&mut self, count: u64, at: usize) -> Result<&'a [u8], CborError> {
        let taken = usize::try_from(count).ok().and_then(|count| self.remaining().get(..count));
        let taken = taken.ok_or_else(|| CborError::new(CborReason::Truncated, at))?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn header(&mut self) -> Result<Header, CborError> {
        let at = self.at;
        let fail = |reason| Err(CborError::new(reason, at));
        let Some(&first) = self.remaining().first() else { return fail(CborReason::Truncated) };
        self.at += 1;
        let kind = match first >> 5 {
            0 => Kind::Uint,
            1 => Kind::Negative,
            2 => Kind::Bytes,
            3 => Kind::Text,
            4 => Kind::Array,
            5 => Kind::Map,
            6 => return fail(CborReason::Tag),
            _ => return simple(first, at),
        };
        let (width, least) = match first & 0x1f {
            small @ 0..24 => return Ok(Header { kind, value: u64::from(small), at }),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return fail(CborReason::Indefinite),
            _ => return fail(CborReason::Reserved),
        };
        let value = self.take(width, at)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < least { fail(CborReason::NotShortest) } else { Ok(Header { kind, value, at }) }
    }

    fn expect(&mut self, kind: Kind, what: &'static str) -> Result<Header, CborError> {
        let header = self.header()?;
        if header.kind == kind {
            Ok(header)
        } else {
            Err(CborError::new(CborReason::Expected(what), header.at))
        }
    }

    /// The next item's kind, without reading it.
    ///
    /// # Errors
    /// Nothing is left, or the item is outside the profile.
    pub fn peek(&self) -> Result<Kind, CborError> {
        self.clone().header().map(|header| header.kind)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// The next item is none.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, CborError> {
        Ok(self.expect(Kind::Uint, "an unsigned integer")?.value)
    }

    /// A boolean.
    ///
    /// # Errors
    /// The next item is none.
    pub fn bool(&mut self) -> Result<bool, CborError> {
        Ok(self.expect(Kind::Bool, "a boolean")?.value == 1)
    }

    /// A byte string.
    ///
    /// # Errors
    /// The next item is none.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let header = self.expect(Kind::Bytes, "a byte string")?;
        self.take(header.value, header.at)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// The next item is no byte string, or has another length.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let at = self.at;
        let bytes = self.bytes()?;
        bytes
            .try_into()
            .map_err(|_| CborError::new(CborReason::Expected("a byte string of its fixed length"), at))
    }

    /// A text, which is UTF-8 in normalization form C.
    ///
    /// # Errors
    /// The next item is none.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let header = self.expect(Kind::Text, "a text")?;
        self.text_body(header)
    }

    /// Opens an array: its number of items, of which each takes at least one of the bytes that are left.
    ///
    /// # Errors
    /// The next item is none, or is longer than the input.
    pub fn array(&mut self) -> Result<usize, CborError> {
        let header = self.expect(Kind::Array, "an array")?;
        self.count(header)
    }

    /// Opens an array of exactly `count` items.
    ///
    /// # Errors
    /// The next item is no array, or has another number of items.
    pub fn array_of(&mut self, count: usize, what: &'static str) -> Result<(), CborError> {
        let at = self.at;
        if self.array()? == count { Ok(()) } else { Err(CborError::new(CborReason::Expected(what), at)) }
    }

    /// Opens a map: its number of pairs. The caller reads a key, then a value, that many times.
    ///
    /// # Errors
    /// The next item is none, or is longer than the input.
    pub fn map(&mut self) -> Result<usize, CborError> {
        let header = self.expect(Kind::Map, "a map")?;
        self.count(header)
    }

    /// Checks and skips one item whatever it is, and returns its bytes. `depth` counts the arrays and maps around it.
    ///
    /// # Errors
    /// The item, or something in it, is outside the profile.
    pub fn skip(&mut self, depth: usize) -> Result<&'a [u8], CborError> {
        let start = self.at;
        super::profile::check_item(self, depth)?;
        Ok(self.since(start))
    }

    pub(super) fn count(&self, header: Header) -> Result<usize, CborError> {
        let per_item = if header.kind == Kind::Map { 2 } else { 1 };
        let needed = header.value.checked_mul(per_item).and_then(|needed| usize::try_from(needed).ok());
        match (needed, usize::try_from(header.value)) {
            (Some(needed), Ok(count)) if needed <= self.remaining().len() => Ok(count),
            _ => Err(CborError::new(CborReason::Truncated, header.at)),
        }
    }

    pub(super) fn bytes_body(&mut self, header: Header) -> Result<&'a [u8], CborError> {
        self.take(header.value, header.at)
    }

    pub(super) fn text_body(&mut self, header: Header) -> Result<&'a str, CborError> {
        let bytes = self.take(header.value, header.at)?;
        let text = str::from_utf8(bytes).map_err(|_| CborError::new(CborReason::NotUtf8, header.at))?;
        if is_nfc(text) { Ok(text) } else { Err(CborError::new(CborReason::NotNfc, header.at)) }
    }
}

/// Major type 7: two booleans, and many refusals.
fn simple(first: u8, at: usize) -> Result<Header, CborError> {
    let reason = match first & 0x1f {
        value @ 20..=21 => return Ok(Header { kind: Kind::Bool, value: u64::from(value) - 20, at }),
        22 => CborReason::Null,
        23 => CborReason::Undefined,
        25..=27 => CborReason::Float,
        28..=30 => CborReason::Reserved,
        31 => CborReason::Indefinite,
        _ => CborReason::Simple,
    };
    Err(CborError::new(reason, at))
}

/// Whether a text is in normalization form C.
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii()
        || match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => true,
            IsNormalized::No => false,
            IsNormalized::Maybe => text.nfc().eq(text.chars()),
        }
}
