//! Two maintainers, each with a clone of the tree, and one directory: whoever comes second is told so, nothing is
//! overwritten, and both end on one line of heads.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]

#[path = "support/maintainer.rs"]
mod maintainer;
#[path = "support/web.rs"]
mod web;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use maintainer::Maintainer;
use odi_directoryd::Server;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_manifest::SystemClock;
use tokio::runtime::Runtime;

/// A directory that carries one catalog.
struct Directory {
    runtime: Runtime,
    server: Option<Server>,
    url: String,
}

impl Directory {
    fn start(folder: &Path, catalog: &str, origin: &str) -> Self {
        let data = folder.join("directory");
        std::fs::create_dir_all(&data).unwrap();
        let text = format!(
            "data_dir = {data:?}\nlisten = [\"127.0.0.1:0\"]\npublic_urls = [\"http://127.0.0.1:8400\"]\n\
             [[catalog]]\nname = \"demo\"\nid = \"{catalog}\"\norigin = \"{origin}\"\npoll = \"1h\"\n"
        );
        let config = Config::parse(&text, PrivateAddresses::Allowed).unwrap();
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::bind(config, Arc::new(SystemClock))).unwrap();
        let url = format!("http://{}/", server.local_addrs()[0]);
        Self { runtime, server: Some(server), url }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.drain(Duration::from_secs(5))).unwrap();
    }
}

/// A tree with one head, its clone, and a directory that has that head.
struct Scene {
    a: Maintainer,
    b: Maintainer,
    directory: Directory,
    origin: String,
}

fn scene() -> Scene {
    let a = Maintainer::with_tree(&[("index", "one")]);
    let origin = web::serve(a.tree());
    let catalog = a.json(&["publish", "TREE", "--key", "REL", "--origin", &origin])["id"].clone();
    let directory = Directory::start(a.path(), catalog.as_str().unwrap(), &origin);
    let pushed = a.json(&["push", "TREE", &directory.url]);
    assert_eq!(pushed["seq"], 1);
    let b = Maintainer::new();
    std::fs::remove_dir(b.tree()).unwrap();
    for name in ["tree", "rel"] {
        let copied = Command::new("cp").arg("-a").arg(a.path().join(name)).arg(b.path()).status().unwrap();
        assert!(copied.success());
    }
    Scene { a, b, directory, origin }
}

#[test]
fn the_second_is_told_before_anything_is_signed() {
    let Scene { a, b, directory, .. } = scene();
    a.write("a", "from a");
    a.ok(&["publish", "TREE", "--key", "REL"]);
    a.ok(&["push", "TREE", &directory.url]);
    b.write("b", "from b");
    let (code, said) = b.failure(&["publish", "TREE", "--key", "REL", "--directory", &directory.url]);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("head 2 of this catalog, newer than head 1 here"), "{said}");
    assert_eq!(b.json(&["status", "TREE"])["seq"], 1);
    // What the message says to do works.
    b.ok(&["pull", "TREE", &directory.url]);
    b.write("a", "from a");
    let third = b.json(&["publish", "TREE", "--key", "REL", "--directory", &directory.url]);
    assert_eq!((third["seq"].as_u64(), third["added"].as_u64()), (Some(3), Some(1)));
    b.ok(&["push", "TREE", &directory.url]);
    a.ok(&["pull", "TREE", &directory.url]);
    assert_eq!(a.json(&["status", "TREE"])["head"], third["head"]);
}

#[test]
fn a_stale_clone_signs_no_second_head_of_a_number_and_no_root() {
    let Scene { a, b, directory, .. } = scene();
    a.write("a", "from a");
    a.ok(&["publish", "TREE", "--key", "REL"]);
    a.ok(&["push", "TREE", &directory.url]);
    let third = b.path().join("third").to_str().unwrap().to_owned();
    let public = format!("{third}.pub");
    b.ok(&["keygen", "--out", &third, "--no-passphrase"]);
    let root = a.path().join("root").to_str().unwrap().to_owned();
    let removed = a.path().join("rel.pub").to_str().unwrap().to_owned();
    let label = ["label", "TREE", "stable", "--key", "REL"];
    let revoke = ["revoke", "TREE", "index", "--key", "REL"];
    let change = ["trust", "change", "TREE", "--root-key", &root, "--add-release", &public];
    let change = [&change[..], &["--remove-release", &removed]].concat();
    for command in [&label[..], &revoke[..], &change[..]] {
        // The origin knows, and so does the directory.
        for ask in [&[][..], &["--directory", &directory.url][..]] {
            let (code, said) = b.failure(&[command, ask].concat());
            assert_eq!(code, 6, "{command:?}: {said}");
            assert!(said.contains("head 2 of this catalog, newer than head 1 here"), "{command:?}: {said}");
        }
    }
    assert_eq!(b.json(&["status", "TREE"])["seq"], 1);
    assert!(!b.tree().join(".odi/pending").exists());
    assert_eq!(b.json(&["trust", "show", "TREE"])["version"], 1);

    // What the message says to do works, for each of them.
    b.ok(&["pull", "TREE", &directory.url]);
    assert_eq!(b.json(&label)["seq"], 3);
    assert_eq!(b.json(&revoke)["seq"], 4);
    let changed = b.json(&change);
    assert_eq!((changed["epoch"].as_u64(), changed["floor"].as_u64()), (Some(2), Some(4)));
    b.write("a", "from a");
    assert_eq!(b.json(&["publish", "TREE", "--key", &third])["seq"], 5);
}

#[test]
fn a_label_needs_no_origin_that_answers() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    let gone = "http://127.0.0.1:1/";
    m.ok(&["publish", "TREE", "--key", "REL", "--origin", gone]);
    let labelled = m.json(&["label", "TREE", "stable", "--key", "REL"]);
    assert_eq!(labelled["seq"], 2);
    let note = labelled["notes"][0].as_str().unwrap();
    assert!(note.starts_with("whether the catalog moved on could not be asked: "), "{note}");
    assert_eq!(note.matches("http://127.0.0.1:1/").count(), 1, "{note}");
    let offline = m.json(&["label", "TREE", "stable", "--key", "REL", "--offline"]);
    assert_eq!((&offline["seq"], offline["notes"].as_array().unwrap().len()), (&3.into(), 0));
}

#[test]
fn a_fork_is_refused_by_the_directory_and_mended_by_its_maker() {
    let Scene { a, b, directory, .. } = scene();
    a.write("a", "from a");
    b.write("b", "from b");
    for m in [&a, &b] {
        m.ok(&["publish", "TREE", "--key", "REL", "--offline"]);
    }
    a.ok(&["push", "TREE", &directory.url]);
    let (code, said) = b.failure(&["push", "TREE", &directory.url]);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("has another head 2") && said.contains("odi-sign pull --replace"), "{said}");
    assert_eq!(b.failure(&["pull", "TREE", &directory.url]).0, 6);
    let mended = b.json(&["pull", "TREE", &directory.url, "--replace"]);
    assert!(mended["gave_up"].is_string());
    b.write("a", "from a");
    let third = b.json(&["publish", "TREE", "--key", "REL", "--directory", &directory.url]);
    assert_eq!(third["seq"], 3);
    b.ok(&["push", "TREE", &directory.url]);
    b.ok(&["verify", "TREE"]);
}

#[test]
fn a_directory_that_is_behind_gets_the_heads_between() {
    let Scene { a, directory, .. } = scene();
    for round in ["two", "three", "four"] {
        a.write("index", round);
        a.ok(&["publish", "TREE", "--key", "REL", "--offline"]);
    }
    assert_eq!(a.json(&["push", "TREE", &directory.url])["directories"][0]["result"], "taken");
    let b = Maintainer::new();
    let (code, said) = b.failure(&["push", "TREE", &directory.url]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn an_origin_is_verified_from_its_first_root_to_its_last_byte() {
    let Scene { a, origin, .. } = scene();
    a.write("index", "two");
    a.ok(&["publish", "TREE", "--key", "REL"]);
    let checked = a.json(&["verify", &origin]);
    assert_eq!((checked["seq"].as_u64(), checked["checked"].as_u64()), (Some(2), Some(1)));
    a.write("index", "not signed");
    let (code, said) = a.failure(&["verify", &origin]);
    assert_eq!((code, said.contains("index: other bytes than those signed")), (5, true), "{said}");
    let (code, said) = a.failure(&["verify", "TREE"]);
    assert_eq!((code, said.contains("index: other bytes than those signed")), (5, true), "{said}");
}
