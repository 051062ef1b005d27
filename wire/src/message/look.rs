//! `POST look`: a directory has a relay look at another one (CBOR, a signed request), and what that is answered.
//!
//! The relay gives back the bytes that it got, and judges nothing: what they should have been is known to the directory.

use std::ops::Range;

use odi_manifest::PublicKey;
use odi_manifest::cbor::{self, CborError, Reader};
use serde::{Deserialize, Serialize};

/// The largest request in bytes.
pub const LOOK_BYTES_MAX: usize = 8 << 10;

/// The most bytes that one look takes.
pub const SEEN_BYTES_MAX: u64 = 384 << 10;

/// The largest answer in bytes.
pub const LOOKED_BYTES_MAX: usize = 400 << 10;

/// `{v, dir, url, range?}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// 1.
    pub v: u8,
    /// The directory that asks.
    pub dir: PublicKey,
    /// Where to look: a relay's URL, at a pin.
    pub url: String,
    /// From the first byte to behind the last; the whole without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u64, u64)>,
}

/// `{v, bytes, status}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// 1.
    pub v: u8,
    /// The status of the answer; 0 if nothing usable came.
    pub status: u16,
    /// Its body.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl Look {
    /// Its encoding.
    ///
    /// # Errors
    /// The URL cannot be written, or the encoder's own error.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// It is not one, of another version, or it wants more than a look may take.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let look: Self = cbor::from_slice(bytes, LOOK_BYTES_MAX)?;
        let fits = look.range.is_none_or(|(from, to)| from < to && to - from <= SEEN_BYTES_MAX);
        if look.v == 1 && fits {
            Ok(look)
        } else {
            Err(Reader::new(bytes).expected("a look of version 1 at up to 384 KiB"))
        }
    }

    /// What of the file is wanted, if not all of it.
    #[must_use]
    pub fn range(&self) -> Option<Range<u64>> {
        self.range.map(|(from, to)| from..to)
    }
}

impl Looked {
    /// Nothing usable came.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { v: 1, status: 0, bytes: Vec::new() }
    }

    /// Its encoding.
    ///
    /// # Errors
    /// None for a value of this type; the encoder's own error otherwise.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// It is not one, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let looked: Self = cbor::from_slice(bytes, LOOKED_BYTES_MAX)?;
        let fits = looked.bytes.len() as u64 <= SEEN_BYTES_MAX;
        if looked.v == 1 && fits {
            Ok(looked)
        } else {
            Err(Reader::new(bytes).expected("what was seen, of version 1, up to 384 KiB"))
        }
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn a_look_and_what_was_seen_read_back_and_are_bounded() {
        let dir = SigningKey::from_seed(&[1; 32]).public_key();
        let look = |range| Look { v: 1, dir, url: "https://r.example/@1-x/a".to_owned(), range };
        for range in [None, Some((0, 1)), Some((7, 7 + SEEN_BYTES_MAX))] {
            let bytes = look(range).encode().unwrap();
            assert_eq!(Look::decode(&bytes), Ok(look(range)));
        }
        for range in [(1, 1), (2, 1), (0, SEEN_BYTES_MAX + 1), (0, u64::MAX)] {
            assert!(Look::decode(&look(Some(range)).encode().unwrap()).is_err(), "{range:?}");
        }
        let long = Look { url: "x".repeat(LOOK_BYTES_MAX), ..look(None) };
        assert!(Look::decode(&long.encode().unwrap()).is_err());
        assert!(Look::decode(&Look { v: 2, ..look(None) }.encode().unwrap()).is_err());

        let most = usize::try_from(SEEN_BYTES_MAX).unwrap();
        let seen = |length| Looked { v: 1, status: 206, bytes: vec![7; length] };
        for length in [0, most] {
            assert_eq!(Looked::decode(&seen(length).encode().unwrap()), Ok(seen(length)));
        }
        assert!(Looked::decode(&seen(most + 1).encode().unwrap()).is_err());
        assert!(Looked::decode(b"junk").is_err());
    }
}
