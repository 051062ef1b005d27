//! Whether operations would make some path both a file and a folder.

use super::error::TreeError;
use super::nodes::Nodes;
use super::walk::Walk;
use super::{NodesError, Tree};
use crate::Op;

/// Checks the paths that are new (`fresh`, indices into `ops`) against the former tree and the other operations.
/// Costs a look-up per new folder and new file.
pub(super) fn check_fresh(
    tree: &Tree,
    nodes: &dyn Nodes,
    ops: &[Op],
    fresh: &[usize],
) -> Result<(), TreeError> {
    let conflict = |file: &str, path: &str| TreeError::FileAndFolder { file: file.into(), path: path.into() };
    let mut former = "";
    for path in fresh.iter().filter_map(|index| ops.get(*index)).map(|op| op.path().as_str()) {
        for folder in folders_not_above(path, former) {
            if is_file(tree, nodes, ops, folder)? {
                return Err(conflict(folder, path));
            }
        }
        if let Some(below) = artifact_below(tree, nodes, ops, path)? {
            return Err(conflict(path, &below));
        }
        former = path;
    }
    Ok(())
}

/// The folders above `path` that are not above `former`, whose were checked before.
fn folders_not_above<'p>(path: &'p str, former: &str) -> impl Iterator<Item = &'p str> {
    let shared = super::row::common_prefix(path.as_bytes(), former.as_bytes());
    path.match_indices('/').filter(move |(at, _)| *at >= shared).filter_map(|(at, _)| path.get(..at))
}

fn op_at<'o>(ops: &'o [Op], path: &str) -> Option<&'o Op> {
    ops.binary_search_by(|op| op.path().as_str().cmp(path)).ok().and_then(|index| ops.get(index))
}

fn is_file(tree: &Tree, nodes: &dyn Nodes, ops: &[Op], path: &str) -> Result<bool, NodesError> {
    match op_at(ops, path) {
        Some(Op::Put(..)) => Ok(true),
        Some(Op::Remove(_)) => Ok(false),
        None => Ok(tree.get(nodes, path)?.is_some()),
    }
}

/// An artifact that will lie in the folder `path`.
fn artifact_below(
    tree: &Tree,
    nodes: &dyn Nodes,
    ops: &[Op],
    path: &str,
) -> Result<Option<String>, NodesError> {
    let prefix = format!("{path}/");
    let begin = ops.partition_point(|op| op.path().as_str() < prefix.as_str());
    let inside = ops.iter().skip(begin).take_while(|op| op.path().as_str().starts_with(&prefix));
    if let Some(put) = inside.clone().find(|op| matches!(op, Op::Put(..))) {
        return Ok(Some(put.path().to_string()));
    }
    let mut walk = Walk::seek(tree, nodes, &prefix)?;
    while let Some((found, _)) = walk.current().filter(|(found, _)| found.starts_with(&prefix)) {
        if !matches!(op_at(ops, found), Some(Op::Remove(_))) {
            return Ok(Some(found.to_owned()));
        }
        walk.advance()?;
    }
    Ok(None)
}
