//! `heads/revocations.json`: revocation lists, and what they take back.

use odi_manifest::{ArtifactPath, BlobId, HashedBlobId, Reason, RevId, Revocation, RevocationList, Revoked};
use serde_json::{Value, json};

use super::{bytes, hex, list, settle, text};

fn sample() -> RevocationList {
    let mut list = RevocationList::default();
    let whats = [
        Revoked::Blob(BlobId::of(b"evil")),
        Revoked::HashedBlob(HashedBlobId::of(&BlobId::of(b"hidden"))),
        Revoked::Heads { first: 7, last: 9 },
        Revoked::Path(ArtifactPath::parse("pool/evil").unwrap()),
    ];
    for (what, reason) in whats.into_iter().zip([1, 2, 3, 200]) {
        list.insert(Revocation { what, reason: Reason(reason), since: 4 });
    }
    list
}

fn look_up(list: &RevocationList, query: &Value) -> bool {
    let blob: BlobId = text(&query["blob"]).parse().unwrap();
    list.revokes(text(&query["path"]), &blob, query["seq"].as_u64().unwrap()).is_some()
}

fn result(encoded: &[u8]) -> &'static str {
    RevocationList::decode(encoded).map_or_else(|error| error.name(), |_| "ok")
}

#[test]
fn lists_take_back_what_the_vectors_say() {
    let lists: [(&str, Vec<u8>); 12] = [
        ("one entry of each kind", sample().encode()),
        ("empty", b"\x80".to_vec()),
        ("an unknown kind", b"\x81\x84\x04\x00\x00\x00".to_vec()),
        ("a range that ends before it begins", b"\x81\x84\x02\x82\x02\x01\x00\x00".to_vec()),
        ("an entry twice", b"\x82\x84\x02\x82\x01\x01\x00\x00\x84\x02\x82\x01\x01\x00\x00".to_vec()),
        ("entries out of order", b"\x82\x84\x02\x82\x02\x02\x00\x00\x84\x02\x82\x01\x01\x00\x00".to_vec()),
        ("a path that leads out", b"\x81\x84\x03\x62..\x00\x00".to_vec()),
        ("a reason of 256", b"\x81\x84\x02\x82\x01\x01\x19\x01\x00\x00".to_vec()),
        ("a blob of 31 bytes", [&b"\x81\x84\x00\x58\x1f"[..], &[0; 31], b"\x00\x00"].concat()),
        ("an entry of three", b"\x81\x83\x02\x82\x01\x01\x00".to_vec()),
        ("a long integer", b"\x81\x84\x02\x82\x18\x01\x01\x00\x00".to_vec()),
        ("trailing bytes", [&sample().encode()[..], b"\x00"].concat()),
    ];
    let innocent = BlobId::of(b"innocent").to_string();
    let queries: Vec<Value> = [
        ("a", BlobId::of(b"evil").to_string(), 1, true),
        ("a", BlobId::of(b"hidden").to_string(), 1, true),
        ("a", innocent.clone(), 6, false),
        ("a", innocent.clone(), 7, true),
        ("a", innocent.clone(), 9, true),
        ("a", innocent.clone(), 10, false),
        ("pool/evil", innocent.clone(), 1, true),
        ("pool/evil/x", innocent.clone(), 1, true),
        ("pool/evilish", innocent.clone(), 1, false),
        ("x/pool/evil", innocent, 1, false),
    ]
    .into_iter()
    .map(|(path, blob, seq, revoked)| json!({ "path": path, "blob": blob, "seq": seq, "revoked": revoked }))
    .collect();
    let cases = lists.into_iter().enumerate().map(|(index, (name, encoded))| {
        let mut case = json!({ "name": name, "list": hex(&encoded), "result": result(&encoded) });
        if index == 0 {
            case["id"] = json!(RevId::of(&encoded).to_string());
            case["queries"] = json!(queries);
        }
        case
    });
    let about = "Revocation lists as bytes: `ok`, or why they are refused; and what a sound one takes back.";
    for case in settle("heads/revocations.json", about, cases.collect()) {
        let encoded = bytes(&case["list"]);
        assert_eq!(result(&encoded), case["result"], "{}", case["name"]);
        let Some(queries) = case.get("queries") else { continue };
        let revocations =
            RevocationList::decode_named(&encoded, &text(&case["id"]).parse().unwrap()).unwrap();
        assert_eq!(revocations.encode(), encoded);
        for query in list(queries) {
            assert_eq!(look_up(&revocations, query), query["revoked"], "{query}");
        }
    }
}
