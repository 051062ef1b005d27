//! Nodes that hash right and are wrong all the same: forged trees are refused wherever they come in.

use odi_manifest::cbor::Writer;
use odi_manifest::{
    ArtifactPath, Entry, FullError, FullReader, MemoryNodes, Node, NodeError, NodeId, NodesError, ProofError,
    Tree, encode_full,
};
use proptest::prelude::*;

use crate::maps::{Map, any_map, build, entry, packages, path};

/// A forged node: its bytes, and what a truthful parent would say of it.
#[derive(Clone)]
struct Forged {
    first: String,
    entries: u64,
    bytes: u64,
    encoded: Vec<u8>,
}

impl Forged {
    fn id(&self) -> NodeId {
        NodeId::of(&self.encoded)
    }
}

fn forge_leaf(artifacts: &[(ArtifactPath, Entry)]) -> Forged {
    let mut writer = Writer::new();
    writer.array(3).uint(1).uint(0).array(artifacts.len());
    let mut former: &[u8] = b"";
    for (path, entry) in artifacts {
        let path = path.as_str().as_bytes();
        let shared = former.iter().zip(path).take_while(|(a, b)| a == b).count();
        writer.array(6).uint(shared as u64).bytes(&path[shared..]).uint(entry.size);
        writer.bytes(entry.blob.as_bytes()).bytes(entry.sha256.as_bytes()).uint(entry.mtime);
        former = path;
    }
    Forged {
        first: artifacts[0].0.to_string(),
        entries: artifacts.len() as u64,
        bytes: artifacts.iter().map(|(_, entry)| entry.size).sum(),
        encoded: writer.into_bytes(),
    }
}

fn forge_inner(level: u64, children: &[Forged]) -> Forged {
    let mut writer = Writer::new();
    writer.array(3).uint(1).uint(level).array(children.len());
    for child in children {
        writer.array(4).bytes(child.first.as_bytes()).bytes(child.id().as_bytes());
        writer.uint(child.entries).uint(child.bytes);
    }
    Forged {
        first: children[0].first.clone(),
        entries: children.iter().map(|child| child.entries).sum(),
        bytes: children.iter().map(|child| child.bytes).sum(),
        encoded: writer.into_bytes(),
    }
}

fn artifacts(map: &Map) -> Vec<(ArtifactPath, Entry)> {
    map.iter().map(|(path, entry)| (path.clone(), entry.clone())).collect()
}

/// What the reader says of a root and the nodes that follow it.
fn read(root: &Forged, below: &[&Forged]) -> Result<Tree, NodeError> {
    let mut reader = FullReader::new(root.id());
    let mut sink = MemoryNodes::new();
    for node in std::iter::once(&root).chain(below) {
        match reader.push(&node.encoded, &mut sink) {
            Ok(()) => {}
            Err(FullError::Node { reason, .. }) => return Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }
    Ok(reader.finish().unwrap())
}

fn read_all(root: &Forged, leaves: &[Forged]) -> Result<Tree, NodeError> {
    read(root, &leaves.iter().collect::<Vec<_>>())
}

/// The leaves that the cut rule makes of a map, as slices of its artifacts.
fn true_leaves(map: &Map) -> Vec<Vec<(ArtifactPath, Entry)>> {
    let (tree, nodes) = build(map);
    let all = artifacts(map);
    let mut rest = all.as_slice();
    let mut leaves = Vec::new();
    for id in tree.node_ids(&nodes) {
        let node = Node::decode(&nodes.encoded(&id.unwrap()).unwrap()).unwrap();
        if node.level() == 0 {
            let (leaf, more) = rest.split_at(node.len());
            leaves.push(leaf.to_vec());
            rest = more;
        }
    }
    leaves
}

#[test]
fn only_the_true_cuts_pass() {
    let map = packages(400);
    let leaves = true_leaves(&map);
    assert!(leaves.len() >= 4);
    let forge = |leaves: &[Vec<(ArtifactPath, Entry)>]| -> Vec<Forged> {
        leaves.iter().map(|leaf| forge_leaf(leaf)).collect()
    };
    let honest = forge(&leaves);
    assert_eq!(read_all(&forge_inner(1, &honest), &honest), Ok(build(&map).0));

    let mut merged = leaves.clone();
    let second = merged.remove(1);
    merged[0].extend(second);
    let forged = forge(&merged);
    let cut_at = leaves[0].len() - 1;
    assert_eq!(read_all(&forge_inner(1, &forged), &forged), Err(NodeError::CutInside(cut_at)));

    let mut split = leaves.clone();
    let tail = split[1].split_off(5);
    split.insert(2, tail);
    let forged = forge(&split);
    assert_eq!(read_all(&forge_inner(1, &forged), &forged), Err(NodeError::CutMissing));

    let mut moved = leaves;
    let last = moved[0].pop().unwrap();
    moved[1].insert(0, last);
    let forged = forge(&moved);
    assert_eq!(read_all(&forge_inner(1, &forged), &forged), Err(NodeError::CutMissing));
}

#[test]
fn parents_that_lie_are_refused() {
    let map = packages(400);
    let honest: Vec<Forged> = true_leaves(&map).iter().map(|leaf| forge_leaf(leaf)).collect();
    let with = |change: &dyn Fn(&mut Forged)| {
        let mut told = honest.clone();
        let bytes = told[1].encoded.clone();
        change(&mut told[1]);
        told[1].encoded = bytes;
        read_all(&forge_inner(1, &told), &honest)
    };
    assert_eq!(with(&|child| child.entries += 1), Err(NodeError::PlaceSums));
    assert_eq!(with(&|child| child.bytes -= 1), Err(NodeError::PlaceSums));
    assert_eq!(with(&|child| child.first.push('x')), Err(NodeError::PlaceFirst));
    assert_eq!(
        read_all(&forge_inner(2, &honest), &honest),
        Err(NodeError::PlaceLevel { expected: 1, got: 0 })
    );
    let lone = forge_inner(1, &honest[..1]);
    assert_eq!(read_all(&lone, &honest), Err(NodeError::LoneChild));
    let other = read(&forge_inner(1, &honest), &[&honest[1]]);
    assert_eq!(other, Err(NodeError::OtherNode(honest[1].id())));
}

#[test]
fn children_keep_to_their_range() {
    let all = artifacts(&packages(400));
    let (left, right) = (forge_leaf(&all[..100]), forge_leaf(&all[90..]));
    assert_eq!(
        read_all(&forge_inner(1, &[left.clone(), right.clone()]), &[left, right]),
        Err(NodeError::PlaceRange)
    );
}

#[test]
fn a_file_is_no_folder_even_leaves_apart() {
    let mut map: Map = (0..400).map(|i| (path(&format!("a-{i:04}/{}", "x".repeat(60))), entry(i))).collect();
    map.insert(path("a"), entry(1));
    let honest = true_leaves(&map);
    assert!(honest.len() > 2);
    let mut leaves = honest;
    leaves.last_mut().unwrap().push((path("a/b"), entry(2)));
    let forged: Vec<Forged> = leaves.iter().map(|leaf| forge_leaf(leaf)).collect();
    let judged = read_all(&forge_inner(1, &forged), &forged);
    assert_eq!(judged, Err(NodeError::FileAndFolder("a".into())));
}

#[test]
fn proofs_judge_the_places_too() {
    let map = packages(400);
    let mut leaves = true_leaves(&map);
    let tail = leaves[1].split_off(5);
    let asked = tail[0].0.clone();
    leaves.insert(2, tail);
    let forged: Vec<Forged> = leaves.iter().map(|leaf| forge_leaf(leaf)).collect();
    let root = forge_inner(1, &forged);
    let mut nodes = MemoryNodes::new();
    for node in forged.iter().chain([&root]) {
        nodes.insert(node.id(), &node.encoded).unwrap();
    }
    let tree = Tree::open(&nodes, root.id()).unwrap();
    let before = leaves[1].last().unwrap().0.clone();
    let proof = tree.prove(&nodes, before.as_str()).unwrap();
    let judged = proof.verify(&root.id(), before.as_str());
    assert!(matches!(judged, Err(ProofError::Node { reason: NodeError::CutMissing, .. })), "{judged:?}");
    assert!(tree.get(&nodes, asked.as_str()).unwrap().is_some());
}

/// A source of nodes that answers with other nodes than were asked for, as a broken store might.
struct Confused {
    nodes: Vec<std::sync::Arc<Node>>,
}

impl odi_manifest::Nodes for Confused {
    fn node(&self, id: &NodeId) -> Result<std::sync::Arc<Node>, NodesError> {
        let pick = usize::from(id.as_bytes()[0]) % self.nodes.len();
        Ok(std::sync::Arc::clone(&self.nodes[pick]))
    }
}

#[test]
fn walks_end_whatever_the_source_says() {
    let map = packages(3000);
    let (tree, nodes) = build(&map);
    let all: Vec<_> =
        tree.node_ids(&nodes).map(|id| odi_manifest::Nodes::node(&nodes, &id.unwrap()).unwrap()).collect();
    for skip in 0..all.len().min(20) {
        let confused = Confused { nodes: all.iter().skip(skip).cloned().collect() };
        assert!(tree.iter(&confused, None).count() <= 3001);
        let _ = tree.get(&confused, "pool/main/1/pkg");
        let _ = tree.list(&confused, "pool/main", None, 100);
        let _ = tree.prove(&confused, "pool");
        let ops = [odi_manifest::Op::Put(path("pool/main/x"), entry(1))];
        let _ = tree.update(&confused, &mut MemoryNodes::new(), &ops);
        assert!(Tree::diff(&confused, &tree, &Tree::empty()).count() <= 3001);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Leaves cut anywhere: accepted exactly if they are the true ones.
    #[test]
    fn one_map_has_one_root(map in any_map(2..300), cuts in prop::collection::btree_set(1..300usize, 1..6)) {
        let all = artifacts(&map);
        let mut leaves = Vec::new();
        let mut begin = 0;
        for cut in cuts.into_iter().filter(|cut| *cut < all.len()).chain([all.len()]) {
            leaves.push(forge_leaf(&all[begin..cut]));
            begin = cut;
        }
        let root = if leaves.len() == 1 { leaves.remove(0) } else { forge_inner(1, &leaves) };
        prop_assume!(leaves.iter().chain([&root]).all(|node| Node::decode(&node.encoded).is_ok()));
        let (tree, _) = build(&map);
        match read_all(&root, &leaves) {
            Ok(read) => prop_assert_eq!(read, tree),
            Err(_) => prop_assert_ne!(root.id(), tree.root),
        }
    }

    /// A flipped byte anywhere in a stream is refused, and no node is kept that is not of the tree.
    #[test]
    fn flipped_streams_are_refused(count in 1u64..400, at: prop::sample::Index, bit in 0u8..8) {
        let (tree, nodes) = build(&packages(count));
        let mut stream = Vec::new();
        encode_full(&tree, &nodes, |frame| stream.extend_from_slice(frame)).unwrap();
        let at = at.index(stream.len());
        stream[at] ^= 1 << bit;
        let mut sink: Vec<(NodeId, Vec<u8>)> = Vec::new();
        let mut reader = FullReader::new(tree.root);
        let fed = reader.feed(&stream, &mut sink).and_then(|()| reader.finish().map(|_| ()));
        prop_assert!(fed.is_err());
        prop_assert!(sink.iter().all(|(id, _)| nodes.encoded(id).is_some()));
    }
}
