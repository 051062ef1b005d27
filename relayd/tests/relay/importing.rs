//! A mirror that becomes a relay: what its folder has is not downloaded again.

use std::sync::Arc;

use odi_manifest::SystemClock;
use odi_relayd::config::{Config, PrivateAddresses};
use odi_relayd::import::{ImportError, import};

use crate::lab::{Lab, noise};
use crate::web::Behaviour;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_mirror_has_is_fetched_again() {
    let files: Vec<(String, Vec<u8>)> =
        (0..20).map(|n| (format!("pool/{n}"), noise(100 + n, 40_000 * usize::from(n) + 1))).collect();
    let listed: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&listed).await;
    // It learns its catalog, and gets no byte of it.
    lab.origin.behave(Behaviour::Refuse);
    let relay = lab.relay().await;
    relay
        .until("following", |status| status.catalogs.iter().any(|catalog| catalog.missing_blobs == 20))
        .await;
    assert_eq!(lab.origin.body_bytes(), 0);

    // The mirror names some files otherwise, and has others of the same size, damaged, and unrelated.
    let mirror = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(mirror.path().join("debian/deep")).unwrap();
    for (n, (_, bytes)) in files.iter().enumerate() {
        std::fs::write(mirror.path().join(format!("debian/deep/{n}.bin")), bytes).unwrap();
        let mut damaged = bytes.clone();
        damaged[0] ^= 1;
        std::fs::write(mirror.path().join(format!("debian/{n}.bad")), damaged).unwrap();
    }
    std::fs::write(mirror.path().join("README"), "unrelated").unwrap();
    let config = format!(
        "data_dir = {:?}\nlisten = [\"127.0.0.1:1\"]\npublic_urls = [\"http://127.0.0.1:8501\"]\ndisk = \"1 GB\"\n\
         [[directory]]\nurl = \"{}\"\n",
        relay.data_dir(),
        lab.directory.url
    );
    let config = Config::parse(&config, PrivateAddresses::Allowed).unwrap();
    let folder = mirror.path().to_owned();
    let running = {
        let (config, folder) = (config.clone(), folder.clone());
        tokio::task::spawn_blocking(move || import(&config, &folder, Arc::new(SystemClock))).await.unwrap()
    };
    assert!(matches!(running, Err(ImportError::Store(_))), "a running relay keeps its store: {running:?}");

    let again = config.clone();
    let mut done = None;
    let relay = relay
        .restart_after(|_| {
            let first = import(&config, &folder, Arc::new(SystemClock)).unwrap();
            let second = import(&again, &folder, Arc::new(SystemClock)).unwrap();
            done = Some((first, second));
        })
        .await;
    let (first, second) = done.unwrap();
    assert_eq!((first.blobs, first.missing, first.full), (20, 0, false), "{first:?}");
    assert_eq!(first.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert_eq!((second.blobs, second.compared), (0, 0), "nothing is read twice: {second:?}");

    relay.until_full(1).await;
    for (path, bytes) in &files {
        assert!(lab.get(&format!("{}/sample/{path}", relay.url)).await.is(bytes), "{path}");
    }
    assert_eq!(lab.origin.body_bytes(), 0, "not a byte came from the origin");
}
