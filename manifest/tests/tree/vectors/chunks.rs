//! `chunks/`: blob names and chunk lists at every boundary, and lists that are refused.

use odi_manifest::{BlobHasher, BlobId, CHUNK_BYTES, ChunkList, HashedBlob, Sha256, chunk_range};
use serde_json::json;

use super::{bytes, hex, number, settle, text};

/// Byte i is i mod 251, as in BLAKE3's own vectors.
fn pattern(size: u64) -> Vec<u8> {
    (0..=250).cycle().take(usize::try_from(size).unwrap()).collect()
}

fn hashed(size: u64) -> HashedBlob {
    let mut hasher = BlobHasher::new();
    hasher.update(&pattern(size));
    hasher.finalize()
}

#[test]
fn lists() {
    const C: u64 = CHUNK_BYTES;
    let edges = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17]
        .iter()
        .flat_map(|chunks| [chunks * C - 1, chunks * C, chunks * C + 1]);
    let sizes: Vec<u64> = [0, 1, 1023, 1024, 1025].into_iter().chain(edges).chain([32 * C + 1]).collect();
    let about = "Blobs whose byte i is i mod 251: BLAKE3, SHA-256, and the chunk list where there is one.";
    let built = sizes
        .into_iter()
        .map(|size| {
            let blob = hashed(size);
            let list = blob.chunks.map(|list| hex(list.to_bytes()));
            json!({ "size": size, "blob": blob.blob.to_string(), "sha256": blob.sha256.to_string(), "list": list })
        })
        .collect();
    for case in settle("chunks/lists.json", about, built) {
        let size = number(&case["size"]);
        let content = pattern(size);
        let blob: BlobId = text(&case["blob"]).parse().unwrap();
        assert_eq!(BlobId::of(&content), blob);
        assert_eq!(Sha256::of(&content).to_string(), text(&case["sha256"]));
        assert_eq!(case["list"].is_null(), size <= CHUNK_BYTES);
        if size > CHUNK_BYTES {
            let list = ChunkList::verify(&bytes(&case["list"]), &blob, size).unwrap();
            for index in 0..list.len() {
                let range = chunk_range(size, index);
                let chunk =
                    &content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                assert_eq!(list.check(index, chunk), Ok(()));
            }
        }
    }
}

#[test]
fn refusals() {
    let blob = hashed(2 * CHUNK_BYTES + 1);
    let list = blob.chunks.as_ref().unwrap().to_bytes();
    let swapped = [&list[32..64], &list[..32], &list[64..]].concat();
    let mut flipped = list.clone();
    flipped[95] ^= 1;
    let size = blob.size;
    let about = "Chunk lists for a blob and a claimed size: `ok`, or why they are refused.";
    let built = [
        ("the list itself", &list[..], size, "ok"),
        ("another length of the last chunk, which only that chunk shows", &list, size + 5, "ok"),
        ("one value too few", &list[..64], size, "list-length"),
        ("a value cut short", &list[..95], size, "list-length"),
        ("another number of chunks", &list, 3 * CHUNK_BYTES + 1, "list-length"),
        ("two values swapped", &swapped, size, "other-blob"),
        ("a bit flipped", &flipped, size, "other-blob"),
        ("a blob of one chunk", &list[..32], CHUNK_BYTES, "no-list"),
        ("the empty blob", &[], 0, "no-list"),
        ("more than 64 GiB", &list, (64 << 30) + 1, "blob-too-large"),
    ]
    .map(|(name, list, size, result)| {
        json!({ "name": name, "blob": blob.blob.to_string(), "size": size, "list": hex(list), "result": result })
    });
    for case in settle("chunks/refusals.json", about, built.to_vec()) {
        let blob = text(&case["blob"]).parse().unwrap();
        let judged = ChunkList::verify(&bytes(&case["list"]), &blob, number(&case["size"]));
        assert_eq!(
            judged.map_or_else(|error| error.name(), |_| "ok"),
            text(&case["result"]),
            "{}",
            case["name"]
        );
    }
}
