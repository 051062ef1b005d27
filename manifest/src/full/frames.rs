//! Sending a whole manifest: frame after frame, as the taker asks for them.

use std::sync::Arc;

use super::FRAME_BYTES_MAX;
use crate::cbor::Writer;
use crate::tree::{load_branch, load_root};
use crate::{Node, Nodes, NodesError, Tree};

/// The frames of a whole manifest, or of what comes behind a path. Between two of them it holds the nodes on the way down
/// and nothing else, so that whoever sends them may wait for a slow reader, or stop, wherever it is.
#[derive(Debug)]
pub struct FullFrames {
    tree: Tree,
    after: Option<String>,
    begun: bool,
    /// Inner nodes on the way down.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    node: Arc<Node>,
    /// The child that comes next.
    at: usize,
    /// Whether the node begins behind the path.
    is_behind: bool,
}

impl FullFrames {
    /// Every frame of a manifest.
    #[must_use]
    pub const fn of(tree: &Tree) -> Self {
        Self { tree: *tree, after: None, begun: false, steps: Vec::new() }
    }

    /// What comes behind the leaf that a path falls into: the nodes whose first path is greater.
    #[must_use]
    pub fn after(tree: &Tree, after: &str) -> Self {
        Self { after: Some(after.to_owned()), ..Self::of(tree) }
    }

    /// The next frame; `None` after the last one.
    ///
    /// # Errors
    /// A node is missing or invalid.
    pub fn next_frame(&mut self, nodes: &dyn Nodes) -> Result<Option<Vec<u8>>, NodesError> {
        if !self.begun {
            let root = load_root(nodes, &self.tree.root)?;
            self.begun = true;
            let framed = self.after.is_none().then(|| frame(&root));
            self.enter(root, self.after.is_none());
            if framed.is_some() {
                return Ok(framed);
            }
        }
        while let Some(step) = self.steps.last_mut() {
            let (parent, at) = (Arc::clone(&step.node), step.at);
            if at >= parent.len() {
                self.steps.pop();
                continue;
            }
            let (begins_behind, is_sent) = place(&parent, at, step.is_behind, self.after.as_deref());
            let node = if is_sent { load_branch(nodes, &parent, at)? } else { None };
            // Only now: after an error the same node comes next.
            step.at += 1;
            let Some(node) = node else { continue };
            let framed = begins_behind.then(|| frame(&node));
            self.enter(node, begins_behind);
            if framed.is_some() {
                return Ok(framed);
            }
        }
        Ok(None)
    }

    fn enter(&mut self, node: Arc<Node>, is_behind: bool) {
        if node.level() > 0 {
            self.steps.push(Step { node, at: 0, is_behind });
        }
    }
}

/// Whether a child begins behind the path, and whether anything of it is sent.
fn place(parent: &Node, at: usize, is_behind: bool, after: Option<&str>) -> (bool, bool) {
    let Some(after) = after else { return (true, true) };
    let begins_behind = is_behind || parent.path(at).is_some_and(|first| first > after);
    // A subtree behind which another begins at or before the path lies before it altogether.
    let is_before = parent.path(at + 1).is_some_and(|next| next <= after);
    let leaf_of_path = parent.level() == 1 && !begins_behind;
    (begins_behind, begins_behind || !(is_before || leaf_of_path))
}

fn frame(node: &Node) -> Vec<u8> {
    let encoded = node.encode();
    let mut frame = Writer::with_capacity(encoded.len() + FRAME_BYTES_MAX);
    frame.bytes(&encoded);
    frame.into_bytes()
}
