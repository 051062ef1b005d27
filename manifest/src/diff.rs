//! Diffs as they travel: a header and the operations between two manifests, prefix-compressed, as one CBOR sequence.
//! FORMAT.md § Diff. A diff is untrusted: applying it is judged by the root that comes out.

mod resume;

pub use resume::{end_of_operation, last_whole_operation};

use crate::cbor::{CborError, CborReason, Reader, Writer};
use crate::entry::EntryError;
use crate::tree::common_prefix;
use crate::{
    ArtifactPath, CatalogId, DIFF_BYTES_MAX, DIFF_OPS_MAX, DIFF_PATH_BYTES_MAX, Entry, HeadId, NodeId,
    NodeSink, Nodes, NodesError, Op, PathError, Tree, TreeError,
};

/// Items of a removal.
const REMOVE_FIELDS: usize = 2;

/// The fewest bytes that an operation takes, to bound what a claimed count may reserve.
const OP_BYTES_MIN: usize = 4;

/// What a diff says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffHeader {
    /// The catalog.
    pub cat: CatalogId,
    /// The head whose manifest it starts from.
    pub from: HeadId,
    /// The head whose manifest it leads to.
    pub to: HeadId,
    /// How many operations follow.
    pub n: u64,
}

/// Bytes that are not a diff. The guilty party is whoever supplied them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// Larger than any diff: such changes travel as nodes.
    #[error("diff has {0} bytes, the largest has {DIFF_BYTES_MAX}")]
    TooLarge(usize),
    /// More operations than any diff has: such changes travel as nodes.
    #[error("diff has {0} operations, the largest has {DIFF_OPS_MAX}")]
    TooMany(u64),
    /// Paths that unfold to more bytes than those of any diff.
    #[error("paths of the diff take more than {DIFF_PATH_BYTES_MAX} bytes")]
    PathsTooLong,
    /// Not the profile's CBOR, or not a diff.
    #[error("diff is malformed")]
    Cbor(#[from] CborError),
    /// A path that breaks a rule.
    #[error("operation {index} of the diff has a wrong path")]
    Path {
        /// The operation, from 0.
        index: u64,
        /// What is wrong with its path.
        source: PathError,
    },
    /// An entry out of its bounds.
    #[error("operation {index} of the diff has a wrong entry")]
    Entry {
        /// The operation, from 0.
        index: u64,
        /// What is wrong with its entry.
        source: EntryError,
    },
    /// Paths not strictly ascending.
    #[error("operation {0} of the diff is out of order")]
    Order(u64),
    /// A shared prefix that is longer than the former path, or could be longer than it is.
    #[error("operation {0} of the diff has a wrong shared prefix")]
    SharedPrefix(u64),
}

impl DiffError {
    /// The reason's name in published vectors and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::TooMany(_) => "too-many",
            Self::PathsTooLong => "paths-too-long",
            Self::Cbor(error) => error.reason.name(),
            Self::Path { source, .. } => source.reason.name(),
            Self::Entry { source, .. } => source.name(),
            Self::Order(_) => "order",
            Self::SharedPrefix(_) => "shared-prefix",
        }
    }
}

/// A diff that does not lead where it should. The former tree stays; the guilty party is the diff's source.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The operations do not fit the tree, or nodes cannot be had.
    #[error("diff does not apply")]
    Tree(#[from] TreeError),
    /// An operation that changes nothing.
    #[error("diff does not change `{0}`")]
    Idle(String),
    /// Another manifest than the signed one.
    #[error("diff leads to root {got} instead of {expected}")]
    OtherRoot {
        /// The signed root.
        expected: NodeId,
        /// What came out.
        got: NodeId,
    },
}

/// Whether a diff of these operations is one that receivers take, if it is also at most [`DIFF_BYTES_MAX`] long.
#[must_use]
pub fn diff_fits(ops: &[Op]) -> bool {
    let path_bytes = || ops.iter().map(|op| op.path().as_str().len()).sum::<usize>();
    ops.len() <= DIFF_OPS_MAX && path_bytes() <= DIFF_PATH_BYTES_MAX
}

/// Encodes a diff. The header's `n` is set to the number of operations, which ascend strictly by path.
#[must_use]
pub fn encode_diff(header: &DiffHeader, ops: &[Op]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(120 + ops.len() * 128);
    write_header(&mut writer, &DiffHeader { n: ops.len() as u64, ..*header });
    let mut former = "";
    for op in ops {
        let path = op.path().as_str();
        let shared = common_prefix(former.as_bytes(), path.as_bytes());
        let suffix = path.as_bytes().get(shared..).unwrap_or_default();
        let fields = match op {
            Op::Put(_, entry) => REMOVE_FIELDS + entry.fields(),
            Op::Remove(_) => REMOVE_FIELDS,
        };
        writer.array(fields).uint(shared as u64).bytes(suffix);
        if let Op::Put(_, entry) = op {
            entry.write(&mut writer);
        }
        former = path;
    }
    writer.into_bytes()
}

/// Decodes a diff of at most [`DIFF_BYTES_MAX`] bytes.
///
/// # Errors
/// The first rule that it breaks.
pub fn decode_diff(encoded: &[u8]) -> Result<(DiffHeader, Vec<Op>), DiffError> {
    decode_within(encoded, DIFF_PATH_BYTES_MAX)
}

fn decode_within(encoded: &[u8], path_bytes_max: usize) -> Result<(DiffHeader, Vec<Op>), DiffError> {
    if encoded.len() > DIFF_BYTES_MAX {
        return Err(DiffError::TooLarge(encoded.len()));
    }
    let mut reader = Reader::new(encoded);
    let header = read_header(&mut reader)?;
    let count = usize::try_from(header.n).ok().filter(|count| *count <= DIFF_OPS_MAX);
    let count = count.ok_or(DiffError::TooMany(header.n))?;
    if count > encoded.len() / OP_BYTES_MIN {
        return Err(CborError::new(CborReason::Truncated, encoded.len()).into());
    }
    let mut ops = Vec::with_capacity(count);
    let (mut path, mut path_bytes) = (Vec::new(), 0);
    for index in 0..header.n {
        ops.push(read_op(&mut reader, index, &mut path)?);
        path_bytes += path.len();
        if path_bytes > path_bytes_max {
            return Err(DiffError::PathsTooLong);
        }
    }
    reader.end()?;
    Ok((header, ops))
}

fn write_header(writer: &mut Writer, header: &DiffHeader) {
    let key = |writer: &mut Writer, key: &str| {
        writer.text(key).map(|_| ()).expect("the header's keys are ASCII");
    };
    writer.map(4);
    key(writer, "n");
    writer.uint(header.n);
    key(writer, "to");
    writer.bytes(header.to.as_bytes());
    key(writer, "cat");
    writer.bytes(header.cat.as_bytes());
    key(writer, "from");
    writer.bytes(header.from.as_bytes());
}

fn read_header(reader: &mut Reader<'_>) -> Result<DiffHeader, CborError> {
    let at = reader.position();
    if reader.map()? != 4 {
        return Err(CborError::new(CborReason::Expected("a diff header of four fields"), at));
    }
    let key = |reader: &mut Reader<'_>, expected: &'static str| {
        let at = reader.position();
        let found = reader.text()?;
        if found == expected { Ok(()) } else { Err(CborError::new(CborReason::Expected(expected), at)) }
    };
    key(reader, "n")?;
    let n = reader.uint()?;
    key(reader, "to")?;
    let to = HeadId::from_bytes(reader.fixed()?);
    key(reader, "cat")?;
    let cat = CatalogId::from_bytes(reader.fixed()?);
    key(reader, "from")?;
    let from = HeadId::from_bytes(reader.fixed()?);
    Ok(DiffHeader { cat, from, to, n })
}

/// Reads one operation; `path` holds the former one's path and takes this one's.
fn read_op(reader: &mut Reader<'_>, index: u64, path: &mut Vec<u8>) -> Result<Op, DiffError> {
    let fields = reader.array()?;
    let shared = usize::try_from(reader.uint()?).ok().filter(|shared| *shared <= path.len());
    let shared = shared.ok_or(DiffError::SharedPrefix(index))?;
    let suffix = reader.bytes()?;
    match (path.get(shared), suffix.first()) {
        (_, None) => return Err(DiffError::Order(index)),
        (Some(old), Some(new)) if old == new => return Err(DiffError::SharedPrefix(index)),
        (Some(old), Some(new)) if old > new => return Err(DiffError::Order(index)),
        _ => {}
    }
    path.truncate(shared);
    path.extend_from_slice(suffix);
    let parsed = ArtifactPath::parse_bytes(path).map_err(|source| DiffError::Path { index, source })?;
    if fields == REMOVE_FIELDS {
        return Ok(Op::Remove(parsed));
    }
    match Entry::read(reader, fields.saturating_sub(REMOVE_FIELDS)) {
        Ok(entry) => Ok(Op::Put(parsed, entry)),
        Err(EntryError::Cbor(error)) => Err(error.into()),
        Err(source) => Err(DiffError::Entry { index, source }),
    }
}

/// Applies the operations of a diff and accepts the result only if it is the expected root and every operation
/// changed something. Nodes reach the sink only then, children before parents.
///
/// # Errors
/// The diff does not lead from `from` to `expected_root`.
pub fn apply_diff(
    nodes: &dyn Nodes,
    sink: &mut dyn NodeSink,
    from: &Tree,
    ops: &[Op],
    expected_root: &NodeId,
) -> Result<Tree, ApplyError> {
    let mut created: Vec<(NodeId, Vec<u8>)> = Vec::new();
    let (tree, idle) = from.update_noting_idle(nodes, &mut created, ops)?;
    if let Some(op) = idle.and_then(|index| ops.get(index)) {
        return Err(ApplyError::Idle(op.path().to_string()));
    }
    if tree.root != *expected_root {
        return Err(ApplyError::OtherRoot { expected: *expected_root, got: tree.root });
    }
    let put_all = |created: Vec<(NodeId, Vec<u8>)>, sink: &mut dyn NodeSink| -> Result<(), NodesError> {
        created.into_iter().try_for_each(|(id, encoded)| sink.put(id, encoded))
    };
    put_all(created, sink).map_err(TreeError::from)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_unfold_without_bound() {
        let folder = vec!["x".repeat(250); 4].join("/");
        let ops: Vec<Op> = (0..100)
            .map(|number| Op::Remove(ArtifactPath::parse(&format!("{folder}/{number:03}")).unwrap()))
            .collect();
        let header =
            DiffHeader { cat: CatalogId::of(b"c"), from: HeadId::of(b"1"), to: HeadId::of(b"2"), n: 0 };
        let encoded = encode_diff(&header, &ops);
        let path_bytes = 100 * (folder.len() + 4);
        assert!(encoded.len() < path_bytes / 50);
        assert_eq!(decode_within(&encoded, path_bytes).map(|(_, ops)| ops), Ok(ops));
        assert_eq!(decode_within(&encoded, path_bytes - 1), Err(DiffError::PathsTooLong));
    }
}
