//! What an inner node remembers of its children, so that a look-up that was made before asks nobody for nodes by name.
//!
//! A link is weak: it keeps no child in memory, and what the source of nodes has let go is asked for again. Nodes are
//! named by their bytes, so a link is never wrong, and trees that share a node share what it remembers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::Node;

/// A node's links to the children that were loaded through it, and whether it was itself reached through one.
#[derive(Default)]
pub(super) struct Links {
    children: Box<[Mutex<Weak<Node>>]>,
    followed: AtomicBool,
}

impl Links {
    /// What a link to one child takes.
    pub(super) const BYTES_EACH: usize = size_of::<Mutex<Weak<Node>>>();

    /// Links to `count` children, none of which was loaded yet.
    pub(super) fn new(count: usize) -> Self {
        Self { children: (0..count).map(|_| Mutex::default()).collect(), followed: AtomicBool::new(false) }
    }

    /// The child, if it was loaded before and is in memory still. Never waits: whoever meets another thread here does
    /// without the link.
    pub(super) fn follow(&self, at: usize) -> Option<Arc<Node>> {
        let child = self.children.get(at)?.try_lock().ok()?.upgrade()?;
        child.links().note();
        Some(child)
    }

    /// Remembers a child that was loaded and checked.
    pub(super) fn remember(&self, at: usize, child: &Arc<Node>) {
        if let Some(mut link) = self.children.get(at).and_then(|link| link.try_lock().ok()) {
            *link = Arc::downgrade(child);
        }
    }

    fn note(&self) {
        // Only the first one writes: a line of memory that is merely read stays with every core.
        if !self.followed.load(Ordering::Relaxed) {
            self.followed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this node was reached through a link since the last call.
    pub(super) fn take_followed(&self) -> bool {
        self.followed.swap(false, Ordering::Relaxed)
    }
}

/// What is remembered is no part of a node: a copy begins without.
impl Clone for Links {
    fn clone(&self) -> Self {
        Self::new(self.children.len())
    }
}

/// What is remembered is no part of a node: all links are equal.
impl PartialEq for Links {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Links {}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("children", &self.children.len()).finish_non_exhaustive()
    }
}
