//! Tree nodes that rot under a running directory are fetched again, without a restart.

use std::path::Path;

use odi_wire::http::StatusCode;

use crate::publisher::Publisher;
use crate::world::World;

#[tokio::test]
async fn a_node_that_rots_while_the_directory_runs_is_mended() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one"), ("b", b"two")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let node = format!("/odi/v1/catalogs/{}/nodes/{}", publisher.id, publisher.newest().tree);
    let whole = world.body(&node).await;
    assert!(!whole.is_empty());
    flip_in_place(&world.data_dir().join("data/store"), &whole);
    let rotten = world.get(&node).await.status;
    assert_ne!(rotten, StatusCode::OK, "nothing that does not verify is given out");
    world.until(async || world.get(&node).await.status == StatusCode::OK).await;
    assert_eq!(world.body(&node).await, whole);
}

/// Flips a bit wherever these bytes lie below a folder, in files that stay open.
fn flip_in_place(folder: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let mut flipped = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            if let Some(at) = content.windows(bytes.len()).position(|window| window == bytes) {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all_at(&[content[at + 7] ^ 0x20], at as u64 + 7).unwrap();
                flipped += 1;
            }
        }
    }
    assert!(flipped > 0, "the bytes are nowhere");
}
