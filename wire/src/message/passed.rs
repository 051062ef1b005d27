//! What directories pass on between each other: which statements are wanted, and envelopes as they came (CBOR).
//!
//! Reading says nothing of who signed what; that is for whoever takes a statement.

use odi_manifest::PublicKey;
use odi_manifest::cbor::{self, CborError, Reader, Writer};

/// How many relays one request may name, and how many envelopes one answer may have.
pub const PASSED_MAX: usize = 256;

/// The largest request in bytes.
pub const WANTED_BYTES_MAX: usize = 16 << 10;

/// The largest answer in bytes.
pub const PASSED_BYTES_MAX: usize = 8 << 20;

/// The relays of which a directory wants something newer, each with the generation that it knows.
pub type Wanted = Vec<(PublicKey, u64)>;

/// The body of `POST relays/statements`: an array of pairs, ascending by relay.
///
/// # Errors
/// None for what is ascending and within the bound; the encoder's own error otherwise.
pub fn encode_wanted(wanted: &Wanted) -> Result<Vec<u8>, CborError> {
    cbor::to_vec(wanted)
}

/// Reads what is wanted.
///
/// # Errors
/// It is too large, not ascending, or anything else than its one encoding.
pub fn decode_wanted(bytes: &[u8]) -> Result<Wanted, CborError> {
    let wanted: Wanted = cbor::from_slice(bytes, WANTED_BYTES_MAX)?;
    if wanted.len() <= PASSED_MAX && wanted.is_sorted_by(|a, b| a.0 < b.0) {
        Ok(wanted)
    } else {
        Err(Reader::new(bytes).expected("at most 256 relays, ascending"))
    }
}

/// An answer: an array of byte strings, each an envelope. What is over either bound is left out.
#[must_use]
pub fn encode_passed<'a>(envelopes: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    within(envelopes, PASSED_MAX, PASSED_BYTES_MAX)
}

/// Takes an answer apart.
///
/// # Errors
/// It is no array of byte strings, or over a bound.
pub fn split_passed(bytes: &[u8]) -> Result<Vec<&[u8]>, CborError> {
    split(bytes, PASSED_MAX, PASSED_BYTES_MAX, "at most 256 envelopes in 8 MiB")
}

/// Writes envelopes, those that are over a bound left out.
pub(super) fn within<'a>(
    envelopes: impl IntoIterator<Item = &'a [u8]>,
    count_max: usize,
    bytes_max: usize,
) -> Vec<u8> {
    let mut bytes = 0;
    let fitting: Vec<&[u8]> = envelopes
        .into_iter()
        .take(count_max)
        .take_while(|envelope| {
            bytes += envelope.len() + 9;
            bytes < bytes_max
        })
        .collect();
    let mut writer = Writer::new();
    writer.array(fitting.len());
    for envelope in fitting {
        writer.bytes(envelope);
    }
    writer.into_bytes()
}

/// Takes envelopes apart that keep the bounds.
pub(super) fn split<'a>(
    bytes: &'a [u8],
    count_max: usize,
    bytes_max: usize,
    what: &'static str,
) -> Result<Vec<&'a [u8]>, CborError> {
    let mut reader = Reader::new(bytes);
    let count = reader.array()?;
    if count > count_max || bytes.len() > bytes_max {
        return Err(reader.expected(what));
    }
    let envelopes: Result<Vec<&[u8]>, CborError> = (0..count).map(|_| reader.bytes()).collect();
    reader.end()?;
    envelopes
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    fn keys(count: usize) -> Wanted {
        let key = |n: usize| SigningKey::from_seed(blake3::hash(&n.to_le_bytes()).as_bytes()).public_key();
        let mut keys: Wanted = (0..count).map(|n| (key(n), u64::MAX)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_is_wanted_reads_back_and_is_bounded() {
        for count in [0, 1, PASSED_MAX] {
            let bytes = encode_wanted(&keys(count)).unwrap();
            assert!(bytes.len() <= WANTED_BYTES_MAX);
            assert_eq!(decode_wanted(&bytes).unwrap(), keys(count));
        }
        assert!(decode_wanted(&encode_wanted(&keys(PASSED_MAX + 1)).unwrap()).is_err());
        let mut twice = keys(2);
        twice.reverse();
        assert!(decode_wanted(&encode_wanted(&twice).unwrap()).is_err());
        assert!(decode_wanted(b"junk").is_err());
    }

    #[test]
    fn what_is_over_a_bound_is_left_out_and_refused() {
        let many = vec![&b"one"[..]; PASSED_MAX + 1];
        assert_eq!(split_passed(&encode_passed(many.iter().copied())).unwrap().len(), PASSED_MAX);
        let large = vec![0; PASSED_BYTES_MAX / 2];
        let passed = encode_passed([&b"a"[..], &large, &large]);
        assert_eq!(split_passed(&passed).unwrap().len(), 2);
        assert!(split_passed(&within(many.iter().copied(), usize::MAX, usize::MAX)).is_err());
        for bytes in [&b""[..], &[0x80, 0x00], &[0x81, 0x00], &[0xa0]] {
            assert!(split_passed(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
