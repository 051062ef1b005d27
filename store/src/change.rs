//! What can happen to the index. Whoever causes a change queues one of these; the writer applies them in order.

use std::sync::mpsc::SyncSender;

use odi_manifest::{BlobId, NodeId};

use crate::pack::{Location, PackId};
use crate::pins::PinName;
use crate::record::Header;
use crate::row::Hour;

/// One change to the index.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A record was written; `source` is where compaction took it from.
    Record { header: Header, at: Location, source: Option<Location> },
    /// A chunk, or with `None` the chunk list, lies damaged at this place.
    Drop { blob: BlobId, size: u64, chunk: Option<u32>, at: Location },
    /// A node lies damaged at this place.
    DropNode { node: NodeId, at: Location },
    /// Nobody needs these, unless somebody has come to need them since.
    Evict { blobs: Vec<BlobId>, nodes: Vec<NodeId> },
    /// Says whether the blob is complete, in step with evictions.
    Confirm { blob: BlobId, reply: SyncSender<bool> },
    /// The blob was used.
    Touch { blob: BlobId, hour: Hour },
    /// Nothing more will be appended to a pack.
    Seal { pack: PackId, end: u64 },
    /// A record of a purged blob was found in a pack.
    Stain { pack: PackId },
    /// Remove a pack, if no row refers to it.
    Remove { pack: PackId },
    /// These blobs stay, whatever reclaim finds.
    Pin { name: PinName, blobs: Vec<BlobId> },
    /// The pin is over.
    Unpin { name: PinName },
    /// Scrub has come as far as this.
    Scrubbed { at: Location },
}
