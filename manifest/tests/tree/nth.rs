//! Any artifact is found by its position, in trees of every height.

use odi_manifest::{ArtifactPath, BlobId, Entry, MemoryNodes, Sha256, Tree};

#[test]
fn every_position_has_its_artifact_and_none_lies_behind() {
    let entry = Entry { size: 3, blob: BlobId::of(b"abc"), sha256: Sha256::of(b"abc"), mtime: 7, ext: None };
    for count in [0, 1, 3, 3_000] {
        let paths: Vec<ArtifactPath> = (0..count)
            .map(|n| ArtifactPath::parse(&format!("pool/{:03}/file-{n:05}", n / 9)).unwrap())
            .collect();
        let mut nodes = MemoryNodes::new();
        let tree = Tree::build(paths.iter().map(|path| (path.clone(), entry.clone())), &mut nodes).unwrap();
        assert!(count < 3_000 || tree.level >= 1, "the tree is too small to have levels");
        for (at, path) in (0..).zip(&paths) {
            assert_eq!(tree.nth(&nodes, at).unwrap().as_ref().map(|(path, _)| path), Some(path));
        }
        for behind in [count, count + 1, u64::MAX] {
            assert_eq!(tree.nth(&nodes, behind).unwrap(), None, "{behind} of {count}");
        }
    }
}
