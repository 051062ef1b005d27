//! A directory and relays give out what their catalog's origin never had.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use odi_manifest::{BlobId, Sha256};
use odi_tools::demo::{Listed, Network, Origin};
use odi_wire::client::Ask;
use odi_wire::http::StatusCode;
use url::Url;

use crate::maintainer::Maintainer;

/// Only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A release host's front: it sends everybody on to where the bytes are, with a query, as GitHub does.
fn front(depot: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let depot = depot.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(request)) = lines.next() else { continue };
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            // Who goes away is sent nowhere.
            let _ = write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {depot}{path}?token=1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    url
}

fn depot(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_fill_themselves_from_where_the_signed_entry_says_the_bytes_are() {
    let m = Maintainer::with_tree(&[("index.html", "hello")]);
    let (mut large, small) = (vec![0; 900_000], b"signature".to_vec());
    blake3::Hasher::new().update(b"release").finalize_xof().fill(&mut large);
    let folder = m.path().join("depot");
    depot(&folder, &[("app.tar", &large), ("app.tar.sig", &small)]);
    let (host, origin) = (Origin::start(folder).await.unwrap(), Origin::start(m.tree()).await.unwrap());
    let list = m.path().join("list");
    let host_front = front(&host.url());
    let line = |bytes: &[u8], name: &str| format!("{}  {host_front}{name}  v1/{name}\n", Sha256::of(bytes));
    fs::write(&list, line(&large, "app.tar") + &line(&small, "app.tar.sig")).unwrap();
    let list = list.to_str().unwrap().to_owned();
    let url = origin.url();
    let import = ["import", "TREE", "--key", "REL", "--origin", &url, "--list", &list];
    let id = m.json(&import)["id"].as_str().unwrap().parse().unwrap();
    // The origin has neither the files nor kept copies.
    let kept = BlobId::of(&large).to_string();
    assert!(!m.tree().join("v1").exists());
    assert!(!m.tree().join(".odi/blobs").join(&kept[..2]).join(&kept).exists());

    let listed = [Listed { name: "demo".to_owned(), id, origin: Url::parse(&url).unwrap() }];
    let network = Network::start(m.path(), &listed, 1, 2).await.unwrap();
    network.ready(PATIENCE, |_| {}).await.unwrap();
    let directory = network.directory_urls().next().unwrap().clone();
    for (name, bytes) in [("v1/app.tar", &large), ("v1/app.tar.sig", &small)] {
        let at = directory.join(&format!("demo/{name}")).unwrap();
        let reply = network.client().send(Ask::get(&at).following(5)).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(reply.body.collect().await.unwrap() == bytes[..], "{name}");
        for relay in network.relay_urls() {
            let at = relay.join(&format!("blake3/{}", BlobId::of(bytes))).unwrap();
            let reply = network.client().send(Ask::get(&at)).await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "{name} at {relay}");
        }
    }
    network.stop().await.unwrap();
    origin.stop().await;
    host.stop().await;
}
