//! A stream of nodes that breaks off anywhere goes on behind its last whole leaf.

use odi_manifest::{
    ArtifactPath, BlobId, Entry, FullFrames, FullReader, MemoryNodes, Sha256, Tree, encode_full,
};

#[test]
fn a_full_cut_anywhere_goes_on_where_it_was() {
    let entry = Entry { size: 3, blob: BlobId::of(b"abc"), sha256: Sha256::of(b"abc"), mtime: 7, ext: None };
    for count in [1, 3, 1_500] {
        let paths =
            (0..count).map(|n| ArtifactPath::parse(&format!("pool/{:03}/file-{n:05}", n / 9)).unwrap());
        let mut nodes = MemoryNodes::new();
        let tree = Tree::build(paths.map(|path| (path, entry.clone())), &mut nodes).unwrap();
        assert!(count < 1_500 || tree.level >= 1, "the tree is too small to have levels");
        let mut whole = Vec::new();
        encode_full(&tree, &nodes, |frame| whole.extend_from_slice(frame)).unwrap();
        let step = (whole.len() / 31).max(1);
        let mut resumed = 0;
        for cut in (0..whole.len()).step_by(step) {
            let (mut reader, mut sink) = (FullReader::new(tree.root), MemoryNodes::new());
            reader.feed(&whole[..cut], &mut sink).unwrap();
            let mut rest = Vec::new();
            match reader.resume_after().map(str::to_owned) {
                None => rest.clone_from(&whole),
                Some(after) => {
                    let mut frames = FullFrames::after(&tree, &after);
                    while let Some(frame) = frames.next_frame(&nodes).unwrap() {
                        rest.extend_from_slice(&frame);
                    }
                    assert!(rest.len() < whole.len());
                    resumed += 1;
                }
            }
            reader.feed(&rest, &mut sink).unwrap();
            assert_eq!(reader.finish().unwrap(), tree, "cut at {cut}");
            assert_eq!(Tree::open(&sink, tree.root).unwrap(), tree);
        }
        assert!(count < 1_500 || resumed > 15, "{resumed}");
    }
}
