//! The one encoding of a revocation list.

use super::{HashedBlobId, REVOCATION_BYTES_MAX, Reason, Revocation, RevocationList, Revoked};
use crate::cbor::{CborError, CborReason, Reader, Writer};
use crate::ids::{BlobId, RevId};
use crate::path::{ArtifactPath, PathError};

/// Bytes that are not a revocation list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not the profile's CBOR, or not this array.
    #[error("the revocation list is malformed")]
    Cbor(#[from] CborError),
    /// Not the list that was named.
    #[error("the revocation list is {found}, not {expected}")]
    NotTheNamed {
        /// What a head names.
        expected: RevId,
        /// What these bytes are.
        found: RevId,
    },
    /// No entries: then there is no list.
    #[error("the revocation list is empty")]
    Empty,
    /// A kind that this version does not know, and so could not obey.
    #[error("the revocation list has an entry of unknown kind {0}")]
    UnknownKind(u64),
    /// Entries not strictly ascending by (kind, value).
    #[error("the revocation list is out of order, or has an entry twice")]
    Order,
    /// A path that no artifact can have.
    #[error("the revocation list names an impossible path")]
    Path(#[source] PathError),
    /// A range of heads that ends before it begins.
    #[error("the revocation list has an empty range of heads")]
    EmptyRange,
}

impl RevocationError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.reason.name(),
            Self::NotTheNamed { .. } => "not-the-named",
            Self::Empty => "empty",
            Self::UnknownKind(_) => "unknown-kind",
            Self::Order => "order",
            Self::Path(_) => "path",
            Self::EmptyRange => "empty-range",
        }
    }
}

impl RevocationList {
    /// Reads the list that a head names.
    ///
    /// # Errors
    /// The bytes are not that list, or no list.
    pub fn decode_named(bytes: &[u8], expected: &RevId) -> Result<Self, RevocationError> {
        // The size is checked before the bytes are hashed, and by whoever fetched them before they were kept.
        if bytes.len() <= REVOCATION_BYTES_MAX {
            let found = RevId::of(bytes);
            if found != *expected {
                return Err(RevocationError::NotTheNamed { expected: *expected, found });
            }
        }
        Self::decode(bytes)
    }

    /// Reads a list of at most [`REVOCATION_BYTES_MAX`].
    ///
    /// # Errors
    /// The bytes are anything but the one encoding of a list with entries.
    pub fn decode(bytes: &[u8]) -> Result<Self, RevocationError> {
        if bytes.len() > REVOCATION_BYTES_MAX {
            let reason = CborReason::TooLarge;
            return Err(RevocationError::Cbor(CborError { reason, at: REVOCATION_BYTES_MAX }));
        }
        let mut reader = Reader::new(bytes);
        let count = reader.array()?;
        let mut entries: Vec<Revocation> = Vec::new();
        for _ in 0..count {
            let entry = read_entry(&mut reader)?;
            if entries.last().is_some_and(|former| former.what >= entry.what) {
                return Err(RevocationError::Order);
            }
            entries.push(entry);
        }
        reader.end()?;
        if entries.is_empty() { Err(RevocationError::Empty) } else { Ok(Self(entries)) }
    }

    /// The list's one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(self.0.len());
        for entry in &self.0 {
            writer.array(4);
            write_what(&mut writer, &entry.what);
            writer.uint(u64::from(entry.reason.0)).uint(entry.since);
        }
        writer.into_bytes()
    }
}

fn write_what(writer: &mut Writer, what: &Revoked) {
    match what {
        Revoked::Blob(blob) => writer.uint(0).bytes(blob.as_bytes()),
        Revoked::HashedBlob(hash) => writer.uint(1).bytes(&hash.0),
        Revoked::Heads { first, last } => writer.uint(2).array(2).uint(*first).uint(*last),
        Revoked::Path(path) => writer.uint(3).text(path.as_str()).expect("a path is NFC"),
    };
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Revocation, RevocationError> {
    reader.array_of(4, "a kind, a value, a reason and a sequence number")?;
    let what = match reader.uint()? {
        0 => Revoked::Blob(BlobId::from_bytes(reader.fixed()?)),
        1 => Revoked::HashedBlob(HashedBlobId(reader.fixed()?)),
        2 => read_range(reader)?,
        3 => Revoked::Path(ArtifactPath::parse(reader.text()?).map_err(RevocationError::Path)?),
        other => return Err(RevocationError::UnknownKind(other)),
    };
    let small = reader.expected("a reason from 0 to 255");
    let reason = Reason(u8::try_from(reader.uint()?).map_err(|_| small)?);
    Ok(Revocation { what, reason, since: reader.uint()? })
}

fn read_range(reader: &mut Reader<'_>) -> Result<Revoked, RevocationError> {
    reader.array_of(2, "a first and a last sequence number")?;
    let (first, last) = (reader.uint()?, reader.uint()?);
    if first <= last { Ok(Revoked::Heads { first, last }) } else { Err(RevocationError::EmptyRange) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list() -> RevocationList {
        let mut list = RevocationList::default();
        let whats = [
            Revoked::Path(ArtifactPath::parse("pool/evil").unwrap()),
            Revoked::Heads { first: 7, last: 9 },
            Revoked::HashedBlob(HashedBlobId::of(&BlobId::of(b"hidden"))),
            Revoked::Blob(BlobId::of(b"evil")),
        ];
        for what in whats {
            assert!(list.insert(Revocation { what: what.clone(), reason: Reason::COMPROMISED, since: 4 }));
            assert!(!list.insert(Revocation { what, reason: Reason::LEGAL, since: 5 }));
        }
        list
    }

    #[test]
    fn lists_round_trip_in_order() {
        let list = list();
        assert_eq!(RevocationList::decode_named(&list.encode(), &list.id()).unwrap(), list);
        let other = RevocationList::decode_named(&list.encode(), &RevId::of(b"")).unwrap_err();
        assert_eq!(other.name(), "not-the-named");
    }

    #[test]
    fn content_states_and_paths_are_revoked() {
        let list = list();
        let innocent = BlobId::of(b"innocent");
        assert!(list.revokes("a", &BlobId::of(b"evil"), 1).is_some());
        assert!(list.revokes("a", &BlobId::of(b"hidden"), 1).is_some());
        assert!(list.revokes("a", &innocent, 9).is_some());
        assert!(list.revokes("pool/evil", &innocent, 1).is_some());
        assert!(list.revokes("pool/evil/x", &innocent, 1).is_some());
        for (path, seq) in [("pool/evilish", 1), ("pool", 6), ("x/pool/evil", 10)] {
            assert_eq!(list.revokes(path, &innocent, seq), None, "{path}");
        }
    }

    #[test]
    fn a_list_continues_another_only_with_all_its_entries() {
        let mut longer = list();
        let what = Revoked::Heads { first: 1, last: 1 };
        longer.insert(Revocation { what, reason: Reason(77), since: 1 });
        assert_eq!(longer.lost(&list()), None);
        assert_eq!(list().lost(&longer).unwrap().reason.to_string(), "reason 77");
        let mut changed = list();
        changed.0[0].reason = Reason::LEGAL;
        assert!(changed.lost(&list()).is_some());
    }

    #[test]
    fn other_bytes_are_refused() {
        let refused = |bytes: &[u8]| RevocationList::decode(bytes).unwrap_err().name();
        assert_eq!(refused(b"\x80"), "empty");
        assert_eq!(refused(b"\x81\x84\x02\x82\x02\x01\x00\x00"), "empty-range");
        assert_eq!(refused(b"\x82\x84\x02\x82\x01\x01\x00\x00\x84\x02\x82\x01\x01\x00\x00"), "order");
        assert_eq!(refused(b"\x81\x84\x04\x00\x00\x00"), "unknown-kind");
        assert_eq!(refused(b"\x81\x84\x03\x62..\x00\x00"), "path");
        assert_eq!(refused(b"\x81\x84\x02\x82\x01\x01\x19\x01\x00\x00"), "unexpected-type");
        assert_eq!(refused(&vec![0; REVOCATION_BYTES_MAX + 1]), "too-large");
    }

    proptest! {
        #[test]
        fn decoding_never_panics_and_has_one_spelling(bytes: Vec<u8>) {
            if let Ok(list) = RevocationList::decode(&bytes) {
                prop_assert_eq!(list.encode(), bytes);
            }
        }
    }
}
