//! What one state more costs those who keep the former ones.

use std::collections::BTreeMap;

use odi_manifest::{MemoryNodes, Node, NodeId, NodeSink, NodesError, Op};

use crate::maps::{Map, build, entry, packages};

/// States of a catalog, and changes of each: as many as `odi bench soak` makes, at places as far apart.
const STATES: usize = 128;
const CHANGES: usize = 20;

/// Nodes of all states, each once, with what they take in memory.
#[derive(Default)]
struct Kept {
    nodes: MemoryNodes,
    memory: BTreeMap<NodeId, u64>,
}

impl NodeSink for Kept {
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError> {
        self.memory.insert(id, Node::decode(&encoded).unwrap().memory_bytes());
        self.nodes.insert(id, &encoded)
    }
}

/// A leaf holds a hundred artifacts or so, and each change may meet another one.
#[test]
fn a_state_more_costs_the_nodes_that_hold_its_changes_and_those_on_the_way() {
    let mut map: Map = packages(4000);
    let (mut tree, first) = build(&map);
    let mut kept = Kept { nodes: first, ..Kept::default() };
    let paths: Vec<_> = map.keys().cloned().collect();
    let whole: Vec<NodeId> = tree.node_ids(&kept.nodes).map(Result::unwrap).collect();
    for (state, version) in (1..STATES).zip(1_u64..) {
        let changed = (0..CHANGES).map(|n| &paths[(state * 7919 + n * 199) % paths.len()]);
        let mut ops: Vec<Op> = changed.map(|path| Op::Put(path.clone(), entry(version << 32))).collect();
        ops.sort_by(|a, b| a.path().cmp(b.path()));
        ops.dedup_by(|a, b| a.path() == b.path());
        let mut fresh = Kept::default();
        let next = tree.update(&kept.nodes, &mut fresh, &ops).unwrap();
        let levels = usize::from(next.level) + 1;
        let on_the_way = CHANGES + 2 * levels;
        assert!(
            fresh.memory.len() <= on_the_way,
            "state {state} has {} nodes of its own",
            fresh.memory.len()
        );
        for op in ops {
            let Op::Put(path, entry) = op else { continue };
            map.insert(path, entry);
        }
        kept.nodes.absorb(fresh.nodes);
        kept.memory.append(&mut fresh.memory);
        tree = next;
    }
    assert_eq!(tree, build(&map).0);
    let kept_states = u64::try_from(STATES - 1).unwrap();
    let each = kept.memory.values().sum::<u64>() / kept_states;
    assert!(each < 400 << 10, "{each} bytes a state");
    assert!(whole.len() < 100, "{} nodes", whole.len());
}
