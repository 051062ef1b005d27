//! Going on with a diff that broke off: the rest is the very bytes behind an operation that both sides can name by its path.

use super::{ArtifactPath, DiffError, Reader, read_header, read_op};

/// The path of the last operation that is whole in the beginning of a diff, and where it ends; none if there is none
/// yet, or if the bytes are no beginning of a diff.
#[must_use]
pub fn last_whole_operation(beginning: &[u8]) -> Option<(ArtifactPath, usize)> {
    let mut last = None;
    each_operation(beginning, |path, end| {
        last = Some((path.clone(), end));
        true
    })
    .ok()?;
    last
}

/// Where the operation on this path ends in a diff; none if it has no such operation.
///
/// # Errors
/// The first rule that the diff breaks up to there.
pub fn end_of_operation(encoded: &[u8], path: &ArtifactPath) -> Result<Option<usize>, DiffError> {
    let mut found = None;
    each_operation(encoded, |at, end| {
        found = (at == path).then_some(end);
        at < path
    })?;
    Ok(found)
}

/// Sees whole operations with their ends until `see` says no. A cut ends it too.
fn each_operation(
    encoded: &[u8],
    mut see: impl FnMut(&ArtifactPath, usize) -> bool,
) -> Result<(), DiffError> {
    let is_cut = |error: &DiffError| error.name() == "truncated";
    let mut reader = Reader::new(encoded);
    let header = match read_header(&mut reader) {
        Ok(header) => header,
        Err(error) => return Some(error.into()).filter(|error| !is_cut(error)).map_or(Ok(()), Err),
    };
    let mut path = Vec::new();
    for index in 0..header.n {
        if reader.is_empty() {
            break;
        }
        match read_op(&mut reader, index, &mut path) {
            Ok(op) if !see(op.path(), reader.position()) => break,
            Ok(_) => {}
            Err(error) if is_cut(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobId, CatalogId, DiffHeader, Entry, HeadId, Op, Sha256, encode_diff};

    #[test]
    fn a_diff_cut_anywhere_goes_on_behind_its_last_whole_operation() {
        let entry =
            Entry { size: 3, blob: BlobId::of(b"abc"), sha256: Sha256::of(b"abc"), mtime: 7, ext: None };
        let path = |number: u32| ArtifactPath::parse(&format!("pool/file-{number:02}")).unwrap();
        let ops: Vec<Op> = (0..6)
            .map(|number| {
                if number % 3 == 1 { Op::Remove(path(number)) } else { Op::Put(path(number), entry.clone()) }
            })
            .collect();
        let id = HeadId::from_bytes([1; 32]);
        let header = DiffHeader { cat: CatalogId::of(b"root"), from: id, to: id, n: 6 };
        let encoded = encode_diff(&header, &ops);
        let mut seen = 0;
        for cut in 0..=encoded.len() {
            let Some((path, end)) = last_whole_operation(&encoded[..cut]) else {
                assert_eq!(seen, 0);
                continue;
            };
            assert!(end <= cut);
            assert_eq!(end_of_operation(&encoded, &path).unwrap(), Some(end));
            seen = seen.max(usize::from(path >= ops[5].path().clone()) + 1);
        }
        assert_eq!(seen, 2, "the last operation was seen whole");
        assert_eq!(end_of_operation(&encoded, &path(77)).unwrap(), None);
        assert!(end_of_operation(b"\xff", &path(0)).is_err());
        assert_eq!(last_whole_operation(b"\xff"), None);
    }
}
