//! The mark's file: `["odi-ledger-mark-1", [epoch, seq, head] or []]`, then the CRC32C of that in 4 little-endian bytes.

use odi_manifest::cbor::{CborError, Reader, Writer};
use odi_manifest::{HeadId, Mark};

const MAGIC: &str = "odi-ledger-mark-1";

pub(super) fn encode(mark: Option<&Mark>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).text(MAGIC).expect("ASCII is NFC");
    match mark {
        None => writer.array(0),
        Some(mark) => writer.array(3).uint(mark.epoch).uint(mark.seq).bytes(mark.head.as_bytes()),
    };
    let mut bytes = writer.into_bytes();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The mark that was written; `None` if the bytes are damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Option<Mark>> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body).to_le_bytes() != *sum {
        return None;
    }
    read(body).ok()
}

fn read(body: &[u8]) -> Result<Option<Mark>, CborError> {
    let mut reader = Reader::new(body);
    reader.array_of(2, "a mark")?;
    if reader.text()? != MAGIC {
        return Err(reader.expected("a mark"));
    }
    let mark = match reader.array()? {
        0 => None,
        3 => Some(Mark {
            epoch: reader.uint()?,
            seq: reader.uint()?,
            head: HeadId::from_bytes(reader.fixed()?),
        }),
        _ => return Err(reader.expected("a mark's three values, or none")),
    };
    reader.end()?;
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_one_spelling() {
        let mark = Mark { epoch: 2, seq: 300, head: HeadId::of(b"head") };
        let mut bytes = encode(Some(&mark));
        bytes.truncate(bytes.len() - 4);
        let values = 1 + 1 + MAGIC.len();
        assert_eq!(bytes[values], 0x83);
        bytes[values] = 0x85;
        let sum = crc32c::crc32c(&bytes).to_le_bytes();
        assert_eq!(decode(&[bytes, sum.to_vec()].concat()), None);
    }

    #[test]
    fn marks_round_trip_and_damage_shows() {
        let mark = Mark { epoch: 2, seq: 300, head: HeadId::of(b"head") };
        for mark in [None, Some(mark)] {
            let bytes = encode(mark.as_ref());
            assert_eq!(decode(&bytes), Some(mark));
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x10;
                assert_eq!(decode(&damaged), None, "{at}");
                assert_eq!(decode(&bytes[..at]), None);
            }
        }
    }
}
