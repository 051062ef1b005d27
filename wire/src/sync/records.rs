//! Getting the signed records of a catalog from a source: roots, heads, revocation lists. Nothing is judged here.

use odi_manifest::cbor::Reader;
use odi_manifest::{Head, REVOCATION_BYTES_MAX, Record, RecordKind, RevId, Root, Unverified};

use super::{SyncError, SyncSource};
use crate::fetch::{Fetcher, Source, SourceFault};
use crate::layout::{HEADS_PER_PACK, LayoutPath, head_pack_of};

/// How deep an envelope is nested: its array, the array of signatures, the pairs.
const ENVELOPE_DEPTH: usize = 4;

/// One source, asked item by item.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) source: &'a SyncSource,
}

impl Asker<'_> {
    /// An item of at most `bytes_max` bytes.
    pub(super) async fn bytes(&self, item: LayoutPath, bytes_max: usize) -> Result<Vec<u8>, SourceFault> {
        self.fetcher.small(&self.source.item(item), bytes_max as u64).await
    }

    /// A root by version; nothing if the source has none.
    pub(super) async fn root(&self, version: u64) -> Result<Option<Unverified<Root>>, SyncError> {
        let item = LayoutPath::Root(version);
        match self.bytes(item, RecordKind::Root.envelope_bytes_max()).await {
            Ok(bytes) => record(item, &bytes).map(Some),
            Err(SourceFault::Absent(_)) => Ok(None),
            Err(source) => Err(SyncError::Source { item, source }),
        }
    }

    /// The newest head; nothing if a directory waited in vain for a newer one than `held`.
    pub(super) async fn newest_head(&self, held: Option<u64>) -> Result<Option<Unverified<Head>>, SyncError> {
        let item = LayoutPath::Head;
        let (place, wait) = self.source.head(held);
        let fetcher = self.fetcher.waiting(wait);
        match fetcher.small(&place, RecordKind::Head.envelope_bytes_max() as u64).await {
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => record(item, &bytes).map(Some),
            Err(source) => Err(SyncError::Source { item, source }),
        }
    }

    /// A former head by sequence number, from its own file or from the merged one.
    pub(super) async fn head_at(&self, seq: u64) -> Result<Vec<Unverified<Head>>, SyncError> {
        let item = LayoutPath::HeadAt(seq);
        match self.bytes(item, RecordKind::Head.envelope_bytes_max()).await {
            Ok(bytes) => record(item, &bytes).map(|head| vec![head]),
            Err(SourceFault::Absent(status)) => self.head_pack(seq).await.map_err(|error| match error {
                SyncError::Source { source: SourceFault::Absent(_), .. } => {
                    SyncError::Source { item, source: SourceFault::Absent(status) }
                }
                other => other,
            }),
            Err(source) => Err(SyncError::Source { item, source }),
        }
    }

    /// All heads of the merged file that a sequence number falls into.
    async fn head_pack(&self, seq: u64) -> Result<Vec<Unverified<Head>>, SyncError> {
        let item = LayoutPath::HeadPack(head_pack_of(seq));
        let pack_bytes_max = RecordKind::Head.envelope_bytes_max() as u64 * HEADS_PER_PACK;
        let place: Source = self.source.item(item);
        let pack = self.fetcher.small(&place, pack_bytes_max).await;
        let pack = pack.map_err(|source| SyncError::Source { item, source })?;
        split_heads(&pack).map(|envelope| record(item, envelope)).collect()
    }

    /// A revocation list, encoded. The caller checks that it is the one.
    pub(super) async fn revocations(&self, id: RevId) -> Result<Vec<u8>, SyncError> {
        let item = LayoutPath::Revocations(id);
        let bytes = self.bytes(item, REVOCATION_BYTES_MAX).await;
        bytes.map_err(|source| SyncError::Source { item, source })
    }
}

/// Reads a record that came as this item.
pub(super) fn record<T: Record>(item: LayoutPath, bytes: &[u8]) -> Result<Unverified<T>, SyncError> {
    Unverified::decode(bytes).map_err(|source| SyncError::Record { item, source: Box::new(source) })
}

/// The envelopes of a merged file of heads, a CBOR sequence. What is no item comes as the rest, and then fails to decode.
pub fn split_heads(sequence: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = sequence;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let item = Reader::new(rest).skip(ENVELOPE_DEPTH).unwrap_or(rest);
        rest = rest.get(item.len()..).unwrap_or_default();
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use odi_manifest::Envelope;
    use proptest::prelude::*;

    use super::*;

    fn envelope(payload: Vec<u8>) -> Vec<u8> {
        Envelope::new(RecordKind::Head, payload).unwrap().encode()
    }

    proptest! {
        #[test]
        fn merged_heads_come_apart_again(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..9)) {
            let items: Vec<Vec<u8>> = payloads.into_iter().map(envelope).collect();
            prop_assert!(split_heads(&items.concat()).eq(items.iter().map(Vec::as_slice)));
        }

        #[test]
        fn any_bytes_come_apart_without_losing_one(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(split_heads(&bytes).collect::<Vec<_>>().concat(), bytes);
        }
    }
}
