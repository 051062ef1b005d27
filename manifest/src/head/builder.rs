//! Making heads: numbers, links and what carries over come from the trust root and the former head.

use super::{Head, HeadMeta, Label, skip_target};
use crate::clock::Timestamp;
use crate::extensions::Extensions;
use crate::ids::{HeadId, NodeId, RevId};
use crate::record::{RecordError, Unverified};
use crate::trust::TrustRoot;
use crate::verify::Verified;

/// A head in the making. The result of [`build`](Self::build) waits for signatures of the release keys.
#[derive(Clone, Debug)]
pub struct HeadBuilder {
    head: Head,
    skip_to: Option<u64>,
}

impl HeadBuilder {
    /// The catalog's next head. `former` is the newest one; what it says carries over, its tree included. Under a root
    /// that opened an epoch above `former`, the new head begins that epoch at its floor, and `former` must then be
    /// the floor's head, or `None` if that has none.
    #[must_use]
    pub fn after(trust: &TrustRoot, former: Option<&Verified<Head>>) -> Self {
        let floor = trust.floor().filter(|_| former.is_none_or(|head| head.epoch < trust.epoch()));
        let (seq, prev) = match (floor, former) {
            (Some(floor), _) => (floor.next, Some(floor.head)),
            (None, Some(former)) => (former.seq.saturating_add(1), Some(former.id())),
            (None, None) => (1, None),
        };
        let former = former.map(Verified::value);
        let head = Head {
            entries: former.map_or(0, |former| former.entries),
            v: 1,
            x: former.map_or_else(Extensions::default, |former| former.x.clone()),
            created: Timestamp(0),
            bytes: former.map_or(0, |former| former.bytes),
            catalog: *trust.catalog(),
            expires: Timestamp(0),
            origins: former.map_or_else(Vec::new, |former| former.origins.clone()),
            revocations: former.and_then(|former| former.revocations),
            seq,
            meta: former.map_or_else(HeadMeta::default, |former| former.meta.clone()),
            prev,
            root_version: trust.root().version,
            skip: None,
            tree: former.map_or_else(|| NodeId::of(&[]), |former| former.tree),
            void: former.map_or_else(Vec::new, |former| former.void.clone()),
            epoch: trust.epoch(),
            labels: former.map_or_else(Vec::new, |former| former.labels.clone()),
        };
        let skip_to = skip_target(seq).map(|target| trust.ancestor(target));
        Self { head, skip_to }
    }

    /// The sequence number that the head will have.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.head.seq
    }

    /// The sequence number of the ancestor whose id [`skip`](Self::skip) must be told; 0 stands for "no head"
    /// ([`Floor::NO_HEAD`](crate::Floor::NO_HEAD)), `None` for no skip at all.
    #[must_use]
    pub const fn skip_to(&self) -> Option<u64> {
        self.skip_to
    }

    /// Sets the ancestor at [`skip_to`](Self::skip_to).
    #[must_use]
    pub const fn skip(mut self, ancestor: HeadId) -> Self {
        self.head.skip = Some(ancestor);
        self
    }

    /// Sets when it is made and from when on it is not newly adopted.
    #[must_use]
    pub const fn times(mut self, created: Timestamp, expires: Timestamp) -> Self {
        self.head.created = created;
        self.head.expires = expires;
        self
    }

    /// Sets the manifest: its root node, number of entries and sum of sizes in bytes.
    #[must_use]
    pub const fn tree(mut self, root: NodeId, entries: u64, bytes: u64) -> Self {
        self.head.tree = root;
        self.head.entries = entries;
        self.head.bytes = bytes;
        self
    }

    /// Sets what the catalog says about itself; tags are put in order.
    #[must_use]
    pub fn meta(mut self, mut meta: HeadMeta) -> Self {
        meta.tags.sort();
        meta.tags.dedup();
        self.head.meta = meta;
        self
    }

    /// Sets where the artifacts can be fetched.
    #[must_use]
    pub fn origins(mut self, origins: Vec<String>) -> Self {
        self.head.origins = origins;
        self
    }

    /// Sets the revocation list in force.
    #[must_use]
    pub const fn revocations(mut self, list: RevId) -> Self {
        self.head.revocations = Some(list);
        self
    }

    /// Names a divergent head whose holders may move over.
    #[must_use]
    pub fn void(mut self, divergent: HeadId) -> Self {
        self.head.void.push(divergent);
        self.head.void.sort();
        self.head.void.dedup();
        self
    }

    /// Gives a sequence number a name, or a name another number.
    #[must_use]
    pub fn label(mut self, name: &str, seq: u64) -> Self {
        self.head.labels.retain(|label| label.name != name);
        self.head.labels.push(Label { name: name.to_owned(), seq });
        self.head.labels.sort();
        self
    }

    /// Drops a name.
    #[must_use]
    pub fn unlabel(mut self, name: &str) -> Self {
        self.head.labels.retain(|label| label.name != name);
        self
    }

    /// Sets an extension.
    #[must_use]
    pub fn extension(mut self, name: &str, value: Vec<u8>) -> Self {
        self.head.x.set(name, value);
        self
    }

    /// The head, which now waits for signatures.
    ///
    /// # Errors
    /// The head would break a rule: no times, a missing skip, a bad label, over 4 KiB, ...
    pub fn build(mut self) -> Result<Unverified<Head>, RecordError> {
        if self.skip_to == Some(0) {
            self.head.skip = Some(crate::root::Floor::NO_HEAD);
        }
        Unverified::draft(self.head)
    }
}
