//! Revocation lists: what a catalog takes back, at every sequence number (FORMAT.md § Revocation).
//!
//! A list is `[[kind, value, reason, since], ...]`, ascending by (kind, value), named by its hash in heads. Within an
//! epoch a list only grows: one that lacks an entry of its forerunner is refused, so that a thief of the release key
//! cannot bring revoked bytes back.

mod codec;

use std::fmt;

use crate::ids::{BlobId, RevId, context};
use crate::path::ArtifactPath;

pub use codec::RevocationError;

/// The largest encoded list, in bytes.
pub const REVOCATION_BYTES_MAX: usize = 1024 * 1024;

/// What is taken back. The order of the variants is that of their kinds on the wire, 0 to 3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// Kind 0: content, wherever it appears.
    Blob(BlobId),
    /// Kind 1: content by the hash of its id, so that the list is no index of what it names.
    HashedBlob(HashedBlobId),
    /// Kind 2: whole states, from one sequence number to another, both included.
    Heads {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Kind 3: a path, and everything below it.
    Path(ArtifactPath),
}

/// `derive_key("ODI 2026-11 revoked blob v1", BlobId)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashedBlobId(pub [u8; 32]);

impl HashedBlobId {
    /// The hash of a blob's id.
    #[must_use]
    pub fn of(blob: &BlobId) -> Self {
        Self(blake3::derive_key(context::REVOKED_BLOB, blob.as_bytes()))
    }
}

/// Why something was taken back; numbers without a name are kept and shown as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u8);

impl Reason {
    /// No reason is given.
    pub const UNSPECIFIED: Self = Self(0);
    /// The content is malicious or tampered with.
    pub const COMPROMISED: Self = Self(1);
    /// The law demands it.
    pub const LEGAL: Self = Self(2);
    /// Published by mistake, or withdrawn by its authors.
    pub const WITHDRAWN: Self = Self(3);
    /// It holds secrets or personal data.
    pub const PRIVATE: Self = Self(4);
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNSPECIFIED => f.write_str("unspecified"),
            Self::COMPROMISED => f.write_str("compromised"),
            Self::LEGAL => f.write_str("legal"),
            Self::WITHDRAWN => f.write_str("withdrawn"),
            Self::PRIVATE => f.write_str("private"),
            Self(other) => write!(f, "reason {other}"),
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub what: Revoked,
    /// Why.
    pub reason: Reason,
    /// The sequence number of the head that first carried it, for people.
    pub since: u64,
}

/// What a catalog has taken back. Invariant: strictly ascending by [`Revoked`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationList(Vec<Revocation>);

impl RevocationList {
    /// Whether nothing is revoked; then heads have no list at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.0.iter()
    }

    /// Takes something back. What is revoked already stays as it is, reason included; says whether it was new.
    pub fn insert(&mut self, revocation: Revocation) -> bool {
        match self.0.binary_search_by(|entry| entry.what.cmp(&revocation.what)) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, revocation);
                true
            }
        }
    }

    /// The entry that takes this artifact back at this sequence number, if one does.
    #[must_use]
    pub fn revokes(&self, path: &str, blob: &BlobId, seq: u64) -> Option<&Revocation> {
        self.revokes_blob(blob).or_else(|| self.revokes_head(seq)).or_else(|| self.revokes_path(path))
    }

    /// The entry that takes this content back.
    #[must_use]
    pub fn revokes_blob(&self, blob: &BlobId) -> Option<&Revocation> {
        let has_hashes = self.0.iter().any(|entry| matches!(entry.what, Revoked::HashedBlob(_)));
        let hashed = || self.find(&Revoked::HashedBlob(HashedBlobId::of(blob)));
        self.find(&Revoked::Blob(*blob)).or_else(|| has_hashes.then(hashed).flatten())
    }

    /// The entry that takes this whole state back.
    #[must_use]
    pub fn revokes_head(&self, seq: u64) -> Option<&Revocation> {
        let covers = |what: &Revoked| matches!(what, Revoked::Heads { first, last } if (*first..=*last).contains(&seq));
        self.0.iter().find(|entry| covers(&entry.what))
    }

    /// The entry that takes this path, or a folder above it, back.
    #[must_use]
    pub fn revokes_path(&self, path: &str) -> Option<&Revocation> {
        let covers = |revoked: &str| {
            path.strip_prefix(revoked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().find(|entry| matches!(&entry.what, Revoked::Path(revoked) if covers(revoked.as_str())))
    }

    /// The first entry of a former list that this one lacks or changes; `None` if this one continues it.
    #[must_use]
    pub fn lost<'a>(&self, former: &'a Self) -> Option<&'a Revocation> {
        former.0.iter().find(|entry| self.find(&entry.what) != Some(entry))
    }

    fn find(&self, what: &Revoked) -> Option<&Revocation> {
        let at = self.0.binary_search_by(|entry| entry.what.cmp(what)).ok()?;
        self.0.get(at)
    }

    /// The list's name in heads.
    #[must_use]
    pub fn id(&self) -> RevId {
        RevId::of(&self.encode())
    }
}
