//! `tree/`: whole manifests with their nodes, large ones by recipe, and proofs.

use odi_manifest::{ArtifactPath, BlobId, Entry, Ext, MemoryNodes, Node, NodeId, Proof, Sha256, Tree};
use serde_json::{Value, json};

use super::{bytes, hex, number, settle, text};
use crate::maps::{Map, path};

/// The entry of the recipes: everything follows from path and number.
fn entry_of(path: &ArtifactPath, number: u64) -> Entry {
    let content = path.as_str().as_bytes();
    let size = number * 1000;
    Entry {
        size,
        blob: BlobId::of(content),
        sha256: Sha256::of(content),
        mtime: 1_700_000_000 + number,
        ext: None,
    }
}

/// Artifact i of a recipe.
fn recipe(number: u64) -> (ArtifactPath, Entry) {
    let path =
        path(&format!("pool/{:02x}/package-{number:06}_1.{}_all.deb", number * 7919 % 256, number % 10));
    let entry = entry_of(&path, number);
    (path, entry)
}

const RECIPE: &str = "artifact i (from 0): path pool/{i * 7919 mod 256, 2 hex digits}/package-{i, 6 digits}_1.{i mod 10}_all.deb, \
    size 1000 i, blob and sha256 of the path's bytes, mtime 1700000000 + i";

fn maps() -> Vec<(&'static str, Map)> {
    let few = |texts: &[&str]| -> Map {
        texts.iter().zip(0..).map(|(text, number)| (path(text), entry_of(&path(text), number))).collect()
    };
    let mut extended = few(&["a", "b"]);
    extended.get_mut("b").unwrap().ext = Some(Ext::from_encoded(b"\xa1\x01\x63odi").unwrap());
    vec![
        ("nothing", Map::new()),
        ("one artifact", few(&["README"])),
        (
            "shared prefixes, some inside a character",
            few(&["a", "a-b", "ab/c", "ab/d", "\u{e9}", "\u{e9}a", "\u{ea}"]),
        ),
        ("an extension map", extended),
        ("several leaves", (0..400).map(recipe).collect()),
    ]
}

fn artifact_json((path, entry): (&ArtifactPath, &Entry)) -> Value {
    json!({
        "path": path.as_str(), "size": entry.size, "blob": entry.blob.to_string(),
        "sha256": entry.sha256.to_string(), "mtime": entry.mtime,
        "ext": entry.ext.as_ref().map(|ext| hex(ext.as_bytes())),
    })
}

fn artifact_of(value: &Value) -> (ArtifactPath, Entry) {
    let ext = value["ext"].as_str().map(|_| Ext::from_encoded(&bytes(&value["ext"])).unwrap());
    let entry = Entry {
        size: number(&value["size"]),
        blob: text(&value["blob"]).parse().unwrap(),
        sha256: text(&value["sha256"]).parse().unwrap(),
        mtime: number(&value["mtime"]),
        ext,
    };
    (path(text(&value["path"])), entry)
}

fn built(map: Map) -> (Tree, MemoryNodes) {
    let mut nodes = MemoryNodes::new();
    let tree = Tree::build(map, &mut nodes).unwrap();
    (tree, nodes)
}

fn encoded_nodes(tree: &Tree, nodes: &MemoryNodes) -> Vec<String> {
    tree.node_ids(nodes).map(|id| hex(nodes.encoded(&id.unwrap()).unwrap())).collect()
}

#[test]
fn trees() {
    let about = "Artifacts, the tree that they are, and the bytes of its nodes in pre-order.";
    let cases = maps()
        .into_iter()
        .map(|(name, map)| {
            let artifacts: Vec<Value> = map.iter().map(artifact_json).collect();
            let (tree, nodes) = built(map);
            json!({
                "name": name, "artifacts": artifacts, "root": tree.root.to_string(), "level": tree.level,
                "entries": tree.entries, "bytes": tree.bytes, "nodes": encoded_nodes(&tree, &nodes),
            })
        })
        .collect();
    for case in settle("tree/trees.json", about, cases) {
        let map: Map = case["artifacts"].as_array().unwrap().iter().map(artifact_of).collect();
        let (tree, nodes) = built(map);
        assert_eq!(tree.root.to_string(), text(&case["root"]));
        assert_eq!(json!(encoded_nodes(&tree, &nodes)), case["nodes"]);
        for node in case["nodes"].as_array().unwrap() {
            assert_eq!(Node::decode(&bytes(node)).unwrap().encode(), bytes(node));
        }
    }
}

#[test]
fn recipes() {
    let about = format!("Large manifests by recipe: {RECIPE}.");
    let cases = [1_000_u64, 20_000]
        .into_iter()
        .map(|count| {
            let (tree, nodes) = built((0..count).map(recipe).collect());
            let root = tree.root.to_string();
            json!({ "count": count, "root": root, "level": tree.level, "bytes": tree.bytes, "nodes": nodes.len() })
        })
        .collect();
    settle("tree/recipes.json", &about, cases);
}

#[test]
fn proofs() {
    let (tree, nodes) = built((0..400).map(recipe).collect());
    let (present, entry) = recipe(123);
    let proof = tree.prove(&nodes, present.as_str()).unwrap().encode();
    let absent = format!("{present}.asc");
    let absence = tree.prove(&nodes, &absent).unwrap().encode();
    let other = tree.prove(&nodes, recipe(0).0.as_str()).unwrap().encode();
    let mut flipped = proof.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let short = [&b"\x81"[..], &proof[1..=first_frame(&proof)]].concat();
    let root = tree.root.to_string();
    let found = entry.blob.to_string();
    let cases = [
        ("an entry", &proof, present.as_str(), found.as_str()),
        ("no entry", &absence, &absent, "absent"),
        ("before everything", &tree.prove(&nodes, "a").unwrap().encode(), "a", "absent"),
        ("behind everything", &tree.prove(&nodes, "z").unwrap().encode(), "z", "absent"),
        ("the way to another path", &other, present.as_str(), "other-node"),
        ("a bit flipped", &flipped, present.as_str(), "other-node"),
        ("the root alone", &short, present.as_str(), "too-short"),
        ("no nodes", &b"\x80".to_vec(), present.as_str(), "unexpected-type"),
        ("trailing bytes", &[&proof[..], b"\x00"].concat(), present.as_str(), "trailing-bytes"),
    ]
    .map(|(name, proof, path, result)| {
        json!({ "name": name, "root": root, "path": path, "proof": hex(proof), "result": result })
    });
    let about = "Proofs: the blob that the path has, `absent`, or the first reason why it is no proof.";
    for case in settle("tree/proofs.json", about, cases.to_vec()) {
        let root: NodeId = text(&case["root"]).parse().unwrap();
        let judged =
            Proof::decode(&bytes(&case["proof"])).and_then(|proof| proof.verify(&root, text(&case["path"])));
        let result = match judged {
            Ok(Some(entry)) => entry.blob.to_string(),
            Ok(None) => "absent".to_owned(),
            Err(error) => error.name().to_owned(),
        };
        assert_eq!(result, text(&case["result"]), "{}", case["name"]);
    }
}

/// Where the first node's frame ends in a proof: the header's two length bytes say.
fn first_frame(proof: &[u8]) -> usize {
    match proof[1] {
        0x58 => 2 + usize::from(proof[2]),
        0x59 => 3 + usize::from(u16::from_be_bytes([proof[2], proof[3]])),
        other => panic!("a frame that begins with {other:#x}"),
    }
}
