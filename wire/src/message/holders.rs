//! `GET /odi/v1/catalogs/{id}/relays`: the newest inventories of the relays that live, passed on as they came.

use odi_manifest::Verified;
use odi_manifest::cbor::CborError;

use super::passed::{split, within};
use super::{Inventory, open};

/// The most inventories that one answer passes on.
pub const HOLDERS_MAX: usize = 1000;

/// The largest answer in bytes.
pub const HOLDERS_BYTES_MAX: usize = 32 << 20;

/// The answer: a CBOR array of byte strings, each the envelope of one inventory. What is over either bound is left out.
#[must_use]
pub fn encode_holders<'a>(envelopes: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    within(envelopes, HOLDERS_MAX, HOLDERS_BYTES_MAX)
}

/// Reads an answer. Each inventory is verified by the key of the relay that it names; one that does not verify is left
/// out, because the directory that passed it on is believed in nothing.
///
/// # Errors
/// It is no array of byte strings, or larger than a directory may send.
pub fn decode_holders(bytes: &[u8]) -> Result<Vec<Verified<Inventory>>, CborError> {
    let envelopes = split(bytes, HOLDERS_MAX, HOLDERS_BYTES_MAX, "at most 1000 inventories in 32 MiB")?;
    Ok(envelopes.into_iter().filter_map(|envelope| open(envelope).ok()).collect())
}

#[cfg(test)]
mod tests {
    use odi_manifest::{SigningKey, Timestamp};

    use super::*;
    use crate::message::state;

    fn inventory(seed: u8, signer: u8) -> Vec<u8> {
        let inventory = Inventory {
            v: 1,
            relay: SigningKey::from_seed(&[seed; 32]).public_key(),
            generation: 1,
            t: Timestamp(1),
            exp: Timestamp(60),
            bans: Vec::new(),
            urls: vec![],
            caps: vec![],
            catalogs: vec![],
        };
        state(inventory, &SigningKey::from_seed(&[signer; 32])).unwrap()
    }

    #[test]
    fn what_a_relay_did_not_sign_is_left_out() {
        let envelopes = [inventory(1, 1), inventory(2, 9), inventory(3, 3), b"junk".to_vec()];
        let read = decode_holders(&encode_holders(envelopes.iter().map(Vec::as_slice))).unwrap();
        let relays: Vec<_> = read.iter().map(|inventory| inventory.relay).collect();
        assert_eq!(relays, [1, 3].map(|seed| SigningKey::from_seed(&[seed; 32]).public_key()));
    }

    #[test]
    fn other_shapes_are_refused() {
        for bytes in [
            &b""[..],
            &[0x80, 0x00],
            &[0x81, 0x00],
            &[0xa0],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(decode_holders(bytes).is_err(), "{bytes:02x?}");
        }
        assert!(decode_holders(&[0x80]).unwrap().is_empty());
    }
}
