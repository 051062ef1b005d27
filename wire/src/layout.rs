//! The one layout of a catalog (PROTOCOL.md § Layout): the same relative paths lie below `.odi/` at an origin and
//! below `/odi/v1/catalogs/{id}/` at a directory, so that one client follows either.
//!
//! [`LayoutPath`] is the only place where such a path is written or read. A path never comes from a catalog's
//! content, so it needs no escaping: it holds lowercase hexadecimal, decimal digits, `/`, `-` and `.` only.

use std::fmt;
use std::str::FromStr;

use odi_manifest::{BlobId, CatalogId, HeadId, NodeId, RevId};

/// The folder at the top of a published tree that holds the layout. No artifact may lie under it.
pub const ORIGIN_FOLDER: &str = ".odi/";

/// Where a directory keeps its catalogs; a catalog's id and a slash follow.
pub const API_CATALOGS: &str = "/odi/v1/catalogs/";

/// How many consecutive sequence numbers one merged file of heads spans.
pub const HEADS_PER_PACK: u64 = 1024;

/// The absolute path of a catalog's layout at a directory: `/odi/v1/catalogs/{id}/`.
#[must_use]
pub fn api_base(catalog: &CatalogId) -> String {
    format!("{API_CATALOGS}{catalog}/")
}

/// The number N of the merged file `heads/N.cborseq` that a sequence number falls into.
///
/// File N spans the sequence numbers from N x 1024 up to and without (N + 1) x 1024; file 0 starts at 1, since
/// there is no head 0.
#[must_use]
pub const fn head_pack_of(seq: u64) -> u64 {
    seq / HEADS_PER_PACK
}

/// One item of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayoutPath {
    /// `head`: the envelope of the newest head.
    Head,
    /// `roots/N`: the envelope of the root of trust with version N, counted from 1.
    Root(u64),
    /// `heads/SEQ`: the envelope of the head with that sequence number.
    HeadAt(u64),
    /// `heads/N.cborseq`: the envelopes of all heads that [`head_pack_of`] maps to N, ascending, nothing between.
    HeadPack(u64),
    /// `rev/HEX`: a revocation list.
    Revocations(RevId),
    /// `diffs/FROM-TO`: the operations from one head's manifest to a later one's.
    Diff {
        /// The head whose manifest the operations start from.
        from: HeadId,
        /// The head whose manifest they lead to.
        to: HeadId,
    },
    /// `full/HEX`: every node of a head's manifest in pre-order.
    Full(HeadId),
    /// `chunks/ab/HEX`: the chunk list of a blob over 256 KiB; `ab` repeats the first two digits.
    Chunks(BlobId),
    /// `blobs/ab/HEX`: the bytes of a blob; at an origin only those that are new in a retained head.
    Blob(BlobId),
    /// `nodes/HEX`: one node of a manifest; directories only.
    Node(NodeId),
    /// `testimony`: the newest head, who vouches for it, and which proofs of equivocation there are; directories only.
    Testimony,
    /// `equivocations/HEX-HEX`: a proof that these two heads contradict each other; directories only.
    Equivocation {
        /// The head with the smaller id.
        first: HeadId,
        /// The other one.
        second: HeadId,
    },
}

/// A text that is no path of the layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no path of the catalog layout")]
pub struct LayoutPathError {
    /// The text as given, cut to 200 characters.
    pub text: String,
}

impl fmt::Display for LayoutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Root(version) => write!(f, "roots/{version}"),
            Self::HeadAt(seq) => write!(f, "heads/{seq}"),
            Self::HeadPack(number) => write!(f, "heads/{number}.cborseq"),
            Self::Revocations(id) => write!(f, "rev/{id}"),
            Self::Diff { from, to } => write!(f, "diffs/{from}-{to}"),
            Self::Full(head) => write!(f, "full/{head}"),
            Self::Chunks(blob) => write_sharded(f, "chunks", blob),
            Self::Blob(blob) => write_sharded(f, "blobs", blob),
            Self::Node(node) => write!(f, "nodes/{node}"),
            Self::Testimony => f.write_str("testimony"),
            Self::Equivocation { first, second } => write!(f, "equivocations/{first}-{second}"),
        }
    }
}

fn write_sharded(f: &mut fmt::Formatter<'_>, folder: &str, blob: &BlobId) -> fmt::Result {
    let [first, ..] = blob.as_bytes();
    write!(f, "{folder}/{first:02x}/{blob}")
}

impl FromStr for LayoutPath {
    type Err = LayoutPathError;

    /// Reads a relative path, without a leading slash. Every item has exactly one spelling.
    fn from_str(text: &str) -> Result<Self, LayoutPathError> {
        parse(text).ok_or_else(|| LayoutPathError { text: text.chars().take(200).collect() })
    }
}

fn parse(text: &str) -> Option<LayoutPath> {
    let Some((folder, rest)) = text.split_once('/') else {
        return match text {
            "head" => Some(LayoutPath::Head),
            "testimony" => Some(LayoutPath::Testimony),
            _ => None,
        };
    };
    match folder {
        "roots" => number(rest).filter(|version| *version > 0).map(LayoutPath::Root),
        "heads" => match rest.strip_suffix(".cborseq") {
            Some(pack) => number(pack).map(LayoutPath::HeadPack),
            None => number(rest).filter(|seq| *seq > 0).map(LayoutPath::HeadAt),
        },
        "rev" => rest.parse().ok().map(LayoutPath::Revocations),
        "diffs" => {
            let (from, to) = rest.split_once('-')?;
            Some(LayoutPath::Diff { from: from.parse().ok()?, to: to.parse().ok()? })
        }
        "full" => rest.parse().ok().map(LayoutPath::Full),
        "chunks" => sharded(rest).map(LayoutPath::Chunks),
        "blobs" => sharded(rest).map(LayoutPath::Blob),
        "nodes" => rest.parse().ok().map(LayoutPath::Node),
        "equivocations" => {
            let (first, second) = rest.split_once('-')?;
            Some(LayoutPath::Equivocation { first: first.parse().ok()?, second: second.parse().ok()? })
        }
        _ => None,
    }
}

/// Decimal digits without sign or leading zero.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { text.parse().ok() } else { None }
}

fn sharded(text: &str) -> Option<BlobId> {
    let (shard, hex) = text.split_once('/')?;
    (hex.get(..2) == Some(shard)).then(|| hex.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_path() -> impl Strategy<Value = LayoutPath> {
        let id = any::<[u8; 32]>();
        prop_oneof![
            Just(LayoutPath::Head),
            (1..u64::MAX).prop_map(LayoutPath::Root),
            (1..u64::MAX).prop_map(LayoutPath::HeadAt),
            any::<u64>().prop_map(LayoutPath::HeadPack),
            id.prop_map(|id| LayoutPath::Revocations(RevId::from_bytes(id))),
            (id, id).prop_map(|(from, to)| LayoutPath::Diff {
                from: HeadId::from_bytes(from),
                to: HeadId::from_bytes(to)
            }),
            id.prop_map(|id| LayoutPath::Full(HeadId::from_bytes(id))),
            id.prop_map(|id| LayoutPath::Chunks(BlobId::from_bytes(id))),
            id.prop_map(|id| LayoutPath::Blob(BlobId::from_bytes(id))),
            id.prop_map(|id| LayoutPath::Node(NodeId::from_bytes(id))),
            Just(LayoutPath::Testimony),
            (id, id).prop_map(|(first, second)| LayoutPath::Equivocation {
                first: HeadId::from_bytes(first),
                second: HeadId::from_bytes(second)
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_path_reads_back(path in any_path()) {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn a_text_that_reads_is_the_only_spelling(text in "(roots|heads|rev|chunks|head)?/?[+0-9a-f.]{0,12}(.cborseq)?") {
            if let Ok(path) = text.parse::<LayoutPath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let hex = BlobId::of(b"x").to_string();
        let wrong_shard = if hex.starts_with("00") { "01" } else { "00" };
        for text in [
            "",
            "/head",
            "head/",
            "roots/0",
            "roots/01",
            "roots/+1",
            "roots/-1",
            "heads/0",
            "heads/99999999999999999999999",
            "heads/1.cborseq/",
            &format!("chunks/{wrong_shard}/{hex}"),
            &format!("chunks/{hex}"),
            &format!("blobs/{}/{}", &hex[..2].to_uppercase(), hex.to_uppercase()),
            &format!("diffs/{hex}"),
            "../head",
        ] {
            assert!(text.parse::<LayoutPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn packs_split_at_multiples_of_1024() {
        assert_eq!([1, 1023, 1024, 2047, 2048].map(head_pack_of), [0, 0, 1, 1, 2]);
    }
}
