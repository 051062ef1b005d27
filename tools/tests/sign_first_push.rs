//! The first push to a directory that cannot reach any origin: it carries all that is needed.

#![allow(clippy::unwrap_used, reason = "a test may panic on what it did not expect")]

#[path = "support/maintainer.rs"]
mod maintainer;

use std::sync::Arc;
use std::time::Duration;

use maintainer::Maintainer;
use odi_directoryd::Server;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_manifest::SystemClock;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::{CBOR, Push};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_an_origin_adopts_what_is_pushed_whatever_its_number() {
    let m = Maintainer::with_tree(&[("a", "one"), ("b/c", "two")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    m.write("a", "three");
    m.ok(&["publish", "TREE", "--key", "REL"]);
    m.write("d", "four");
    let id = m.json(&["publish", "TREE", "--key", "REL"])["id"].as_str().unwrap().to_owned();
    let config = format!(
        "data_dir = {:?}\nlisten = [\"127.0.0.1:0\"]\npublic_urls = [\"http://127.0.0.1:9999\"]\n\
         [[catalog]]\nname = \"demo\"\nid = \"{id}\"\n",
        m.path().join("directory")
    );
    let config = Config::parse(&config, PrivateAddresses::Allowed).unwrap();
    let directory = Server::bind(config, Arc::new(SystemClock)).await.unwrap();
    let url = format!("http://{}", directory.local_addrs().first().unwrap());
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let client = Client::new(policy).unwrap();

    // A push without the manifest says what it would take.
    let read = |name: &str| std::fs::read(m.tree().join(".odi").join(name)).unwrap();
    let bare = Push { head: read("head"), roots: vec![read("roots/1")], ..Push::default() };
    let at = format!("{url}/odi/v1/catalogs/{id}/push").parse().unwrap();
    let refused = client.send(Ask::post(&at, CBOR, bare.encode().unwrap())).await.unwrap();
    assert_eq!(refused.status, 422);
    let said = String::from_utf8(refused.body.collect().await.unwrap().to_vec()).unwrap();
    assert!(said.contains("push with the diff from the empty manifest"), "{said}");

    let pushed = tokio::task::block_in_place(|| m.text(&["push", "TREE", &url]));
    assert!(pushed.contains("taken (head 3)"), "{pushed}");
    let head =
        client.send(Ask::get(&format!("{url}/odi/v1/catalogs/{id}/head").parse().unwrap())).await.unwrap();
    assert_eq!(head.body.collect().await.unwrap().to_vec(), read("head"));
    m.write("a", "five");
    tokio::task::block_in_place(|| m.ok(&["publish", "TREE", "--key", "REL"]));
    let pushed = tokio::task::block_in_place(|| m.text(&["push", "TREE", &url]));
    assert!(pushed.contains("taken (head 4)"), "{pushed}");
    directory.drain(Duration::from_secs(5)).await.unwrap();
}
