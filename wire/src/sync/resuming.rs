//! Diffs and whole manifests that break off, from a directory: what is missing is asked for at the same source, behind the
//! last path that came whole (PROTOCOL.md § Layout, `after`).

use odi_manifest::{DIFF_BYTES_MAX, FullReader, NodeId, Tree, last_whole_operation};
use odi_store::StoreNodes;

use super::TreeFault;
use super::records::Asker;
use crate::fetch::{Incoming, SourceFault};
use crate::layout::LayoutPath;
use crate::off_worker::off_worker;

/// How often one item may break off and be gone on with; each time something has to have come.
const RESUMES_MAX: usize = 16;

/// A stream of nodes is handed to the store in pieces of this size.
const FEED_BYTES: usize = 1 << 20;

/// A diff, put together of as many pieces as it takes.
pub(super) async fn diff(asker: &Asker<'_>, item: LayoutPath) -> Result<Vec<u8>, SourceFault> {
    let (mut diff, mut whole) = (Vec::new(), 0);
    let mut place = asker.source.item(item);
    for _ in 0..=RESUMES_MAX {
        let bytes_max = DIFF_BYTES_MAX.saturating_sub(diff.len()) as u64;
        let fault = match asker.fetcher.append(&place, bytes_max, &mut diff).await {
            Ok(()) => return Ok(diff),
            Err(fault) => fault,
        };
        if !is_cut(&fault) || !asker.source.has_nodes() {
            return Err(fault);
        }
        let beginning = std::mem::take(&mut diff);
        let (back, last) = off_worker(move || {
            let last = last_whole_operation(&beginning);
            (beginning, last)
        })
        .await;
        diff = back;
        // A source that gives nothing more is given up.
        let Some((path, end)) = last.filter(|(_, end)| *end > whole) else { return Err(fault) };
        diff.truncate(end);
        whole = end;
        place = asker.source.item_after(item, path.as_str());
    }
    Err(SourceFault::Stalled)
}

/// A whole manifest, from the body of the first answer and as many more as it takes.
pub(super) async fn full(
    asker: &Asker<'_>,
    item: LayoutPath,
    mut body: Incoming,
    bytes_max: u64,
    (root, nodes): (NodeId, StoreNodes),
) -> Result<Tree, TreeFault> {
    let mut reader = FullReader::new(root);
    let mut whole: Option<String> = None;
    for _ in 0..=RESUMES_MAX {
        let cut;
        (reader, cut) = take(reader, &mut body, item, &nodes).await?;
        let Some(fault) = cut else {
            return reader.finish().map_err(|source| TreeFault::Full { item, source: Box::new(source) });
        };
        let after = reader.resume_after().map(str::to_owned);
        let went_on = after.is_some() && after > whole;
        if !went_on || !is_cut(&fault) || !asker.source.has_nodes() {
            return Err(TreeFault::Source { item, source: fault });
        }
        let place = asker.source.item_after(item, after.as_deref().unwrap_or_default());
        let asked = asker.fetcher.stream(&place, bytes_max).await;
        body = asked.map_err(|source| TreeFault::Source { item, source })?;
        whole = after;
    }
    Err(TreeFault::Source { item, source: SourceFault::Stalled })
}

/// Feeds a reader until the body ends, or breaks off with the fault that is returned.
async fn take(
    mut reader: FullReader,
    body: &mut Incoming,
    item: LayoutPath,
    nodes: &StoreNodes,
) -> Result<(FullReader, Option<SourceFault>), TreeFault> {
    let mut piece = Vec::with_capacity(FEED_BYTES);
    loop {
        let (bytes, ended, fault) = match body.next().await {
            Ok(Some(bytes)) => (bytes, false, None),
            Ok(None) => (bytes::Bytes::new(), true, None),
            Err(fault) => (bytes::Bytes::new(), true, Some(fault)),
        };
        piece.extend_from_slice(&bytes);
        if piece.len() >= FEED_BYTES || ended {
            let (fed, mut sink) = (std::mem::take(&mut piece), nodes.clone());
            let (back, end) = off_worker(move || {
                let end = reader.feed(&fed, &mut sink);
                (reader, end)
            })
            .await;
            reader = back;
            end.map_err(|source| TreeFault::Full { item, source: Box::new(source) })?;
        }
        if ended {
            return Ok((reader, fault));
        }
    }
}

/// Whether what came before the fault may be gone on with: the connection failed, not what was said over it.
const fn is_cut(fault: &SourceFault) -> bool {
    matches!(
        fault,
        SourceFault::Broken(_) | SourceFault::Truncated { .. } | SourceFault::Stalled | SourceFault::TooSlow
    )
}
