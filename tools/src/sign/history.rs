//! Every head that a tree ever published: `.odi/heads/SEQ`, and `heads/N.cborseq` once 1024 numbers are past.
//!
//! A pack is written whole and durable before the single files it replaces are removed, so at every moment each head
//! is in one place at least. What is read here proves nothing; callers verify heads by signature or by name.

use std::fs;
use std::io;

use odi_manifest::cbor::Reader;
use odi_manifest::{
    EnvelopeError, Head, RecordError, RecordKind, TrustRoot, Unverified, Verified, skip_target, verify_named,
};
use odi_wire::layout::{HEADS_PER_PACK, LayoutPath, head_pack_of};

use super::failure::Failure;
use super::odi_folder::{OdiFolder, read_bounded};
use super::tree_disk::{DiskError, TreeDisk, replace};

/// An envelope around a head of at most 4 KiB, with its signatures.
pub(crate) const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// Reads the head with this sequence number; `None` if there is none.
///
/// # Errors
/// When a file cannot be read, or holds something else.
pub(crate) fn head_at(odi: &OdiFolder, seq: u64) -> Result<Option<Unverified<Head>>, Failure> {
    let path = odi.head_at(seq);
    if let Some(bytes) = read_bounded(&path, HEAD_BYTES_MAX)? {
        return decode(&bytes, &path).map(Some);
    }
    let pack = odi.item(LayoutPath::HeadPack(head_pack_of(seq)));
    let Some(bytes) = read_bounded(&pack, HEAD_BYTES_MAX * HEADS_PER_PACK)? else { return Ok(None) };
    let heads = heads_in_pack(&bytes).map_err(|source| Failure::Record { path: pack, source })?;
    Ok(heads.into_iter().find(|head| head.claims().seq == seq))
}

/// The heads of a pack, ascending.
pub(crate) fn heads_in_pack(bytes: &[u8]) -> Result<Vec<Unverified<Head>>, RecordError> {
    let mut heads = Vec::new();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let envelope = reader.skip(0).map_err(|error| RecordError::Envelope {
            kind: RecordKind::Head,
            source: EnvelopeError::Cbor(error),
        })?;
        heads.push(Unverified::decode(envelope)?);
    }
    Ok(heads)
}

fn decode(bytes: &[u8], path: &std::path::Path) -> Result<Unverified<Head>, Failure> {
    Unverified::decode(bytes).map_err(|source| Failure::Record { path: path.to_path_buf(), source })
}

/// Merges the last pack of heads that `newest` completed, if that is still to be done.
///
/// # Errors
/// When a head cannot be read or the pack cannot be written.
pub(crate) fn merge_complete_pack(disk: &dyn TreeDisk, odi: &OdiFolder, newest: u64) -> Result<(), Failure> {
    let Some(complete) = head_pack_of(newest).checked_sub(1) else { return Ok(()) };
    let seqs = (complete * HEADS_PER_PACK).max(1)..(complete + 1) * HEADS_PER_PACK;
    let mut pack = Vec::new();
    let mut merged = Vec::new();
    let path = odi.item(LayoutPath::HeadPack(complete));
    if !path.exists() {
        for seq in seqs.clone() {
            // An epoch may have left numbers unused.
            if let Some(bytes) = read_bounded(&odi.head_at(seq), HEAD_BYTES_MAX)? {
                pack.extend_from_slice(&bytes);
            }
        }
        replace(disk, path, &pack)?;
    }
    for seq in seqs {
        let single = odi.head_at(seq);
        match fs::symlink_metadata(&single) {
            Ok(_) => merged.push(single),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DiskError { verb: "look at", path: single, source }.into()),
        }
    }
    for single in merged {
        disk.remove(&single).map_err(DiskError::at("remove", &single))?;
    }
    Ok(())
}

/// The ancestor of `head` with this sequence number, proved by the `skip` and `prev` of the heads between.
///
/// # Errors
/// When a head on the way is missing or is not the one that its successor names.
pub(crate) fn ancestor(
    odi: &OdiFolder,
    trust: &TrustRoot,
    head: &Verified<Head>,
    seq: u64,
) -> Result<Verified<Head>, Failure> {
    let mut at = head.clone();
    while at.seq > seq {
        let skip_seq = skip_target(at.seq).map(|target| trust.ancestor(target));
        let (next_seq, id) = match (skip_seq, at.skip, at.prev) {
            (Some(target), Some(skip), _) if target >= seq => (target, skip),
            (_, _, Some(prev)) => (trust.ancestor(at.seq - 1), prev),
            _ => return Err(Failure::NoSuchHead { seq }),
        };
        let found = head_at(odi, next_seq)?.ok_or(Failure::NoSuchHead { seq: next_seq })?;
        let path = odi.head_at(next_seq);
        at = verify_named(&found, &id).map_err(|source| Failure::NotTheNamed { path, source })?;
    }
    if at.seq == seq { Ok(at) } else { Err(Failure::NoSuchHead { seq }) }
}
