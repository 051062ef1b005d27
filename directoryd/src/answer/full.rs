//! Whole manifests as they are sent, however large and however slowly they are read.
//!
//! Invariants
//! - The tree is read a piece at a time, when the reader asks for one: a slow reader holds neither a thread nor more
//!   memory than that, and one that has gone costs nothing more.
//! - A tree never changes, so how long it is when it is sent is found out once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{ArtifactPath, FullFrames, NodeId, Nodes, NodesError, Tree};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Body, BodyError};
use tokio::sync::Semaphore;

/// Bytes of a whole manifest that are gathered before they are sent.
const PIECE_BYTES: usize = 256 << 10;
/// How many manifests are measured at once: that reads every node of one.
const MEASURED_AT_ONCE: usize = 4;
/// How long one may wait for its turn to be measured.
const MEASURE_PATIENCE: Duration = Duration::from_secs(20);
/// How many lengths are remembered.
const LENGTHS_MAX: usize = 256;

/// The frames of a manifest, or of what of it comes behind the leaf of a path.
pub(super) fn frames(tree: &Tree, after: Option<&ArtifactPath>) -> FullFrames {
    after.map_or_else(|| FullFrames::of(tree), |after| FullFrames::after(tree, after.as_str()))
}

/// A body of that many bytes, read as it is sent.
pub(super) fn body<N>(nodes: N, frames: FullFrames, length: u64) -> Body
where
    N: Nodes + Clone + Send + Sync + 'static,
{
    let pieces = futures_util::stream::try_unfold(frames, move |frames| {
        let nodes = nodes.clone();
        async move {
            let (piece, frames) = off_worker(move || gathered(&nodes, frames)).await;
            let piece = piece.map_err(BodyError::source)?;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), frames)))
        }
    });
    Body::stream(length, pieces)
}

/// The next piece; empty at the end.
fn gathered(nodes: &dyn Nodes, mut frames: FullFrames) -> (Result<Vec<u8>, NodesError>, FullFrames) {
    let mut piece = Vec::new();
    while piece.len() < PIECE_BYTES {
        match frames.next_frame(nodes) {
            Ok(Some(frame)) => piece.extend_from_slice(&frame),
            Ok(None) => break,
            Err(error) => return (Err(error), frames),
        }
    }
    (Ok(piece), frames)
}

/// Of which manifest, and from where on.
type Measured = (NodeId, Option<ArtifactPath>);

/// What has been measured lately, and who measures now.
#[derive(Debug)]
pub(crate) struct Lengths {
    /// The newest last.
    known: Mutex<VecDeque<(Measured, u64)>>,
    turns: Semaphore,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(MEASURED_AT_ONCE) }
    }
}

impl Lengths {
    /// How many bytes a manifest, or what of it comes behind the leaf of a path, is when it is sent.
    ///
    /// The refusal is for whoever waits too long for others; the inner error is of the tree.
    pub(super) async fn of<N>(
        &self,
        nodes: &N,
        tree: &Tree,
        after: Option<&ArtifactPath>,
    ) -> Result<Result<u64, NodesError>, Refusal>
    where
        N: Nodes + Clone + Send + Sync + 'static,
    {
        let what = (tree.root, after.cloned());
        if let Some(length) = self.known(&what) {
            return Ok(Ok(length));
        }
        let turn = tokio::time::timeout(MEASURE_PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Refusal::unavailable("too many manifests are asked for", MEASURE_PATIENCE));
        };
        if let Some(length) = self.known(&what) {
            return Ok(Ok(length));
        }
        let mut length = 0;
        let mut frames = frames(tree, after);
        loop {
            // Whoever asked may be gone by the next piece.
            let nodes = nodes.clone();
            let (piece, rest) = off_worker(move || gathered(&nodes, frames)).await;
            match piece {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => length += piece.len() as u64,
                Err(error) => return Ok(Err(error)),
            }
            frames = rest;
        }
        self.remember(what, length);
        Ok(Ok(length))
    }

    fn known(&self, what: &Measured) -> Option<u64> {
        self.lock().iter().find(|(known, _)| known == what).map(|(_, length)| *length)
    }

    fn remember(&self, what: Measured, length: u64) {
        let mut known = self.lock();
        if known.len() >= LENGTHS_MAX {
            known.pop_front();
        }
        known.push_back((what, length));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Measured, u64)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt as _;
    use odi_manifest::{BlobId, Entry, MemoryNodes, Node, Sha256};

    use super::*;

    /// Counts what is read.
    #[derive(Clone)]
    struct Counted {
        nodes: Arc<MemoryNodes>,
        read: Arc<AtomicUsize>,
    }

    impl Nodes for Counted {
        fn node(&self, id: &NodeId) -> Result<Arc<Node>, NodesError> {
            self.read.fetch_add(1, Ordering::SeqCst);
            self.nodes.node(id)
        }
    }

    /// A manifest of several pieces.
    fn large() -> (Tree, Counted) {
        let entry = |n: u32| Entry {
            size: 3,
            blob: BlobId::of(&n.to_le_bytes()),
            sha256: Sha256::of(b""),
            mtime: 7,
            ext: None,
        };
        let path = |n: u32| ArtifactPath::parse(&format!("pool/{:03}/file-{n:05}", n / 50)).unwrap();
        let mut nodes = MemoryNodes::new();
        let tree = Tree::build((0..20_000).map(|n| (path(n), entry(n))), &mut nodes).unwrap();
        (tree, Counted { nodes: Arc::new(nodes), read: Arc::default() })
    }

    async fn length(tree: &Tree, nodes: &Counted) -> u64 {
        let length = Lengths::default().of(nodes, tree, None).await.unwrap().unwrap();
        assert!(length > 4 * PIECE_BYTES as u64, "{length}: too small to show anything");
        length
    }

    async fn first_piece(body: &mut Body) -> Bytes {
        let Body::Stream { stream, .. } = body else { panic!("it is not streamed") };
        stream.next().await.unwrap().unwrap()
    }

    /// With few threads for what blocks, so that one which is held is missed.
    fn run<T>(threads: usize, test: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(threads).enable_all().build().unwrap();
        let test = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await });
        test.expect("somebody waits for ever")
    }

    #[test]
    fn readers_that_take_a_piece_and_stop_hold_no_thread() {
        run(2, async {
            let (tree, nodes) = large();
            let length = length(&tree, &nodes).await;
            let mut slow: Vec<Body> =
                (0..8).map(|_| body(nodes.clone(), frames(&tree, None), length)).collect();
            for body in &mut slow {
                assert!(first_piece(body).await.len() < 2 * PIECE_BYTES);
            }
            assert_eq!(off_worker(|| "served").await, "served");
        });
    }

    #[test]
    fn nothing_is_read_for_a_reader_that_has_gone() {
        run(1, async {
            let (tree, nodes) = large();
            let length = length(&tree, &nodes).await;
            let before = nodes.read.load(Ordering::SeqCst);
            let mut body = body(nodes.clone(), frames(&tree, None), length);
            first_piece(&mut body).await;
            drop(body);
            // Behind whatever had been begun, as there is one thread.
            off_worker(|| ()).await;
            let read = nodes.read.load(Ordering::SeqCst) - before;
            assert!(read < before / 2, "{read} of {before} nodes for one piece");
        });
    }

    #[tokio::test]
    async fn what_is_sent_is_as_long_as_was_said_from_anywhere_on() {
        let (tree, nodes) = large();
        for after in [None, Some("pool/100/file-05017"), Some("pool/zzz")] {
            let after = after.map(|path| ArtifactPath::parse(path).unwrap());
            let lengths = Lengths::default();
            let length = lengths.of(&nodes, &tree, after.as_ref()).await.unwrap().unwrap();
            let sent = body(nodes.clone(), frames(&tree, after.as_ref()), length).collect(length).await;
            assert_eq!(sent.unwrap().len() as u64, length);
            let read = nodes.read.load(Ordering::SeqCst);
            assert_eq!(lengths.of(&nodes, &tree, after.as_ref()).await.unwrap().unwrap(), length);
            assert_eq!(nodes.read.load(Ordering::SeqCst), read, "measured twice");
        }
    }
}
