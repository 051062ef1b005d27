//! `GET /odi/v1/catalogs/{id}/testimony`: what a directory shows of a catalog, and who vouches for it (PROTOCOL.md § Testimony).
//!
//! Records as they came, for the reader to verify: for having been passed on nothing is believed.

use odi_manifest::cbor::{CborError, CborReason, Reader, Writer};
use odi_manifest::{HeadId, RecordKind};

/// The most cosignatures in one answer: a root lists at most 32 witnesses.
pub const TESTIMONY_COSIGS_MAX: usize = 32;

/// The most proofs of equivocation that one answer names.
pub const TESTIMONY_PROOFS_MAX: usize = 16;

/// The largest answer in bytes: a head, the cosignatures, the names of the proofs, and what frames them.
pub const TESTIMONY_BYTES_MAX: usize = RecordKind::Head.envelope_bytes_max()
    + TESTIMONY_COSIGS_MAX * (RecordKind::Cosig.envelope_bytes_max() + 3)
    + TESTIMONY_PROOFS_MAX * 70
    + 64;

/// The answer: CBOR `{head?, rver, cosigs, proofs}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// The envelope of the newest adopted head; none before the first.
    pub head: Option<Vec<u8>>,
    /// The version of the newest root; 0 before the first.
    pub rver: u64,
    /// Envelopes of the newest cosignature of each witness, the directory's own first.
    pub cosigs: Vec<Vec<u8>>,
    /// The two heads of each proof of equivocation that lies there.
    pub proofs: Vec<[HeadId; 2]>,
}

impl Testimony {
    /// Its one encoding. What is over a bound is left out.
    ///
    /// # Panics
    /// Never: the keys are short ASCII texts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3 + usize::from(self.head.is_some()));
        if let Some(head) = &self.head {
            key(&mut writer, "head").bytes(head);
        }
        key(&mut writer, "rver").uint(self.rver);
        let cosigs = self.cosigs.get(..TESTIMONY_COSIGS_MAX).unwrap_or(&self.cosigs);
        key(&mut writer, "cosigs").array(cosigs.len());
        for cosig in cosigs {
            writer.bytes(cosig);
        }
        let proofs = self.proofs.get(..TESTIMONY_PROOFS_MAX).unwrap_or(&self.proofs);
        key(&mut writer, "proofs").array(proofs.len());
        for [first, second] in proofs {
            writer.array(2).bytes(first.as_bytes()).bytes(second.as_bytes());
        }
        writer.into_bytes()
    }

    /// Reads an answer of at most [`TESTIMONY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// It is larger, or anything but the one encoding of a testimony.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        if bytes.len() > TESTIMONY_BYTES_MAX {
            return Err(CborError { reason: CborReason::TooLarge, at: TESTIMONY_BYTES_MAX });
        }
        let mut reader = Reader::new(bytes);
        let head = match reader.map()? {
            3 => None,
            4 => {
                expect(&mut reader, "head", "the key `head`")?;
                Some(reader.bytes()?.to_vec())
            }
            _ => return Err(reader.expected("a map of `head`, `rver`, `cosigs` and `proofs`")),
        };
        expect(&mut reader, "rver", "the key `rver`")?;
        let rver = reader.uint()?;
        expect(&mut reader, "cosigs", "the key `cosigs`")?;
        let mut cosigs = Vec::new();
        for _ in 0..count(&mut reader, TESTIMONY_COSIGS_MAX, "at most 32 cosignatures")? {
            cosigs.push(reader.bytes()?.to_vec());
        }
        expect(&mut reader, "proofs", "the key `proofs`")?;
        let mut proofs = Vec::new();
        for _ in 0..count(&mut reader, TESTIMONY_PROOFS_MAX, "at most 16 proofs")? {
            reader.array_of(2, "two heads")?;
            proofs.push([reader.fixed()?, reader.fixed()?].map(HeadId::from_bytes));
        }
        reader.end()?;
        Ok(Self { head, rver, cosigs, proofs })
    }
}

fn key<'a>(writer: &'a mut Writer, name: &str) -> &'a mut Writer {
    writer.text(name).expect("ASCII is NFC")
}

fn expect(reader: &mut Reader<'_>, name: &str, what: &'static str) -> Result<(), CborError> {
    if reader.text()? == name { Ok(()) } else { Err(reader.expected(what)) }
}

fn count(reader: &mut Reader<'_>, most: usize, what: &'static str) -> Result<usize, CborError> {
    let count = reader.array()?;
    if count <= most { Ok(count) } else { Err(reader.expected(what)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_testimony() -> impl Strategy<Value = Testimony> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let pair = any::<([u8; 32], [u8; 32])>().prop_map(|(a, b)| [a, b].map(HeadId::from_bytes));
        let (cosigs, proofs) = (prop::collection::vec(bytes(), 0..4), prop::collection::vec(pair, 0..3));
        (prop::option::of(bytes()), any::<u64>(), cosigs, proofs)
            .prop_map(|(head, rver, cosigs, proofs)| Testimony { head, rver, cosigs, proofs })
    }

    proptest! {
        #[test]
        fn a_testimony_reads_back(testimony in any_testimony()) {
            prop_assert_eq!(Testimony::decode(&testimony.encode()), Ok(testimony));
        }

        #[test]
        fn what_reads_is_the_one_encoding(
            testimony in any_testimony(), at in any::<prop::sample::Index>(), flip in 1_u8..
        ) {
            let mut bytes = testimony.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Testimony::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
            }
        }
    }

    #[test]
    fn the_largest_fits_and_a_larger_one_is_cut() {
        let record = |kind: RecordKind| vec![0; kind.envelope_bytes_max()];
        let heads = [1, 2].map(|byte| HeadId::from_bytes([byte; 32]));
        let largest = Testimony {
            head: Some(record(RecordKind::Head)),
            rver: u64::MAX,
            cosigs: vec![record(RecordKind::Cosig); TESTIMONY_COSIGS_MAX],
            proofs: vec![heads; TESTIMONY_PROOFS_MAX],
        };
        assert_eq!(Testimony::decode(&largest.encode()), Ok(largest.clone()));
        let mut larger = largest.clone();
        larger.cosigs.push(Vec::new());
        larger.proofs.push(heads);
        assert_eq!(larger.encode(), largest.encode());
    }
}
