//! The ordered changes from one tree to another. Subtrees that both have are skipped by name, so that the cost is the
//! nodes that differ and the way to them, whatever the heights.

use std::cmp::Ordering;
use std::sync::Arc;

use super::node::Node;
use super::nodes::Nodes;
use super::place::load_branch;
use super::{NodesError, Tree, load_root};
use crate::{ArtifactPath, Entry, NodeId, Op};

/// One tree's position: before an artifact, or before a whole subtree that has not been entered.
struct Side<'n> {
    nodes: &'n dyn Nodes,
    /// The root, until it is entered.
    root: Option<(NodeId, Arc<Node>)>,
    /// Nodes that were entered, and the next row of each.
    steps: Vec<(Arc<Node>, usize)>,
}

/// What comes next at a side.
enum Ahead<'s> {
    Artifact(&'s str, &'s Entry),
    Subtree { first_path: &'s str, level: u8, node: NodeId },
}

impl Ahead<'_> {
    const fn path(&self) -> &str {
        match self {
            Self::Artifact(path, _) => path,
            Self::Subtree { first_path, .. } => first_path,
        }
    }

    /// Artifacts come below every subtree.
    const fn height(&self) -> u8 {
        match self {
            Self::Artifact(..) => 0,
            Self::Subtree { level, .. } => 1 + *level,
        }
    }
}

impl<'n> Side<'n> {
    fn new(tree: &Tree, nodes: &'n dyn Nodes) -> Result<Self, NodesError> {
        let root = load_root(nodes, &tree.root)?;
        let root = (!root.is_empty()).then_some((tree.root, root));
        Ok(Self { nodes, root, steps: Vec::new() })
    }

    fn ahead(&self) -> Option<Ahead<'_>> {
        if let Some((id, root)) = &self.root {
            return Some(Ahead::Subtree { first_path: root.first_path(), level: root.level(), node: *id });
        }
        let (node, at) = self.steps.last()?;
        let path = node.path(*at)?;
        match (node.entry(*at), node.branch(*at)) {
            (Some(entry), _) => Some(Ahead::Artifact(path, entry)),
            (_, Some(branch)) => {
                let level = node.level().saturating_sub(1);
                Some(Ahead::Subtree { first_path: path, level, node: branch.node })
            }
            _ => None,
        }
    }

    /// Passes the artifact or subtree ahead.
    fn pass(&mut self) {
        if self.root.take().is_some() {
            return;
        }
        while let Some((node, at)) = self.steps.last_mut() {
            *at += 1;
            if *at < node.len() {
                return;
            }
            self.steps.pop();
        }
    }

    /// Goes into the subtree ahead.
    fn enter(&mut self) -> Result<(), NodesError> {
        if let Some((_, root)) = self.root.take() {
            self.steps.push((root, 0));
        } else if let Some((node, at)) = self.steps.last()
            && let Some(below) = load_branch(self.nodes, node, *at)?
        {
            self.steps.push((below, 0));
        }
        Ok(())
    }
}

/// The operations that turn one tree into another, ascending by path. After an error it ends.
pub struct Changes<'n> {
    sides: Option<(Side<'n>, Side<'n>)>,
    failed: Option<NodesError>,
}

/// What to do next, decided while both sides are only looked at.
enum Move {
    /// Both sides pass what they share.
    PassBoth,
    EnterFrom,
    EnterTo,
    EnterBoth,
    /// The former side alone has this.
    Remove(ArtifactPath),
    /// The later side alone has this.
    Put(ArtifactPath, Entry),
    /// Both have the path.
    Replace(ArtifactPath, Entry),
}

impl<'n> Changes<'n> {
    pub(super) fn new(from: &Tree, to: &Tree, nodes: &'n dyn Nodes) -> Self {
        if from.root == to.root {
            return Self { sides: None, failed: None };
        }
        match Side::new(from, nodes).and_then(|from| Ok((from, Side::new(to, nodes)?))) {
            Ok(sides) => Self { sides: Some(sides), failed: None },
            Err(error) => Self { sides: None, failed: Some(error) },
        }
    }

    fn advance(from: &mut Side<'n>, to: &mut Side<'n>) -> Result<Option<Op>, NodesError> {
        while let Some(next) = decide(from.ahead(), to.ahead()) {
            match next {
                Move::PassBoth => {
                    from.pass();
                    to.pass();
                }
                Move::EnterFrom => from.enter()?,
                Move::EnterTo => to.enter()?,
                Move::EnterBoth => {
                    from.enter()?;
                    to.enter()?;
                }
                Move::Remove(path) => {
                    from.pass();
                    return Ok(Some(Op::Remove(path)));
                }
                Move::Put(path, entry) => {
                    to.pass();
                    return Ok(Some(Op::Put(path, entry)));
                }
                Move::Replace(path, entry) => {
                    from.pass();
                    to.pass();
                    return Ok(Some(Op::Put(path, entry)));
                }
            }
        }
        Ok(None)
    }
}

/// The side that begins earlier moves, so a subtree is entered only once the other side is past its beginning, or
/// begins there with something else: no shared subtree is ever entered.
fn decide(from: Option<Ahead<'_>>, to: Option<Ahead<'_>>) -> Option<Move> {
    let order = match (&from, &to) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(a), Some(b)) => a.path().cmp(b.path()),
    };
    let path_of = ArtifactPath::from_checked;
    Some(match (order, from, to) {
        (Ordering::Less, Some(Ahead::Artifact(path, _)), _) => Move::Remove(path_of(path)),
        (Ordering::Less, ..) => Move::EnterFrom,
        (Ordering::Greater, _, Some(Ahead::Artifact(path, entry))) => Move::Put(path_of(path), entry.clone()),
        (Ordering::Greater, ..) => Move::EnterTo,
        (Ordering::Equal, Some(Ahead::Artifact(_, a)), Some(Ahead::Artifact(path, b))) => {
            if a == b {
                Move::PassBoth
            } else {
                Move::Replace(path_of(path), b.clone())
            }
        }
        (Ordering::Equal, Some(Ahead::Subtree { node: a, .. }), Some(Ahead::Subtree { node: b, .. }))
            if a == b =>
        {
            Move::PassBoth
        }
        (Ordering::Equal, Some(a), Some(b)) => match a.height().cmp(&b.height()) {
            Ordering::Greater => Move::EnterFrom,
            Ordering::Less => Move::EnterTo,
            Ordering::Equal => Move::EnterBoth,
        },
        (Ordering::Equal, ..) => return None,
    })
}

impl Iterator for Changes<'_> {
    type Item = Result<Op, NodesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let (from, to) = self.sides.as_mut()?;
        match Self::advance(from, to) {
            Ok(op) => op.map(Ok),
            Err(error) => {
                self.sides = None;
                Some(Err(error))
            }
        }
    }
}
