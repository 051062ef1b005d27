//! Diffs and whole manifests of a directory over connections that break: a follower goes on where it was.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use odi_manifest::ArtifactPath;
use odi_store::{Ledger, RealDisk, Store, StoreOptions};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::fetch::{FetchLimits, Fetcher};
use odi_wire::sync::{FollowedCatalog, SyncClient, SyncOutcome, SyncSource};

use crate::publisher::Publisher;
use crate::world::{START, World};

/// Between a follower and a directory: passes every request on, and cuts answers to some of them short.
struct Cutter {
    addr: SocketAddr,
    /// Targets that were cut.
    cut: Arc<Mutex<Vec<String>>>,
}

impl Cutter {
    /// Cuts the first `times` answers to targets that hold `what`, each after `keep` bytes of its body.
    fn start(upstream: SocketAddr, what: &'static str, times: usize, keep: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let cut = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), noted) = (client, Arc::clone(&noted)) else { continue };
                std::thread::spawn(move || {
                    let should_cut = |target: &str| {
                        let mut noted = noted.lock().unwrap();
                        let cuts = target.contains(what) && noted.len() < times;
                        if cuts {
                            noted.push(target.to_owned());
                        }
                        cuts
                    };
                    // A connection that ends badly is what this is about.
                    let _ = pass_on(client, upstream, keep, should_cut);
                });
            }
        });
        Self { addr, cut }
    }
}

/// One request, one answer.
fn pass_on(
    client: TcpStream,
    upstream: SocketAddr,
    keep: usize,
    should_cut: impl Fn(&str) -> bool,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    while lines.read_line(&mut request)? > 2 {}
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let head = request.trim_end().to_owned() + "\r\nconnection: close\r\n\r\n";
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if should_cut(&target) {
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        answer.truncate(head + keep);
    }
    (&client).write_all(&answer)?;
    client.shutdown(std::net::Shutdown::Both)
}

fn follower(publisher: &Publisher, folder: &std::path::Path) -> (SyncClient, Arc<FollowedCatalog>) {
    let store = Store::open(Arc::new(RealDisk), &folder.join("store"), StoreOptions::default()).unwrap();
    let ledger = Arc::new(Ledger::open(Arc::new(RealDisk), &folder.join("trust")).unwrap());
    let followed = FollowedCatalog::open(publisher.id, store, ledger, START).unwrap();
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let fetcher = Fetcher::new(Arc::new(Client::new(policy).unwrap()), FetchLimits::default());
    (SyncClient::new(fetcher), followed)
}

fn artifacts<'a>(names: &'a [String], bytes: &'a [Vec<u8>]) -> Vec<(&'a str, &'a [u8])> {
    names.iter().map(String::as_str).zip(bytes.iter().map(Vec::as_slice)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_and_a_diff_that_break_off_are_gone_on_with_at_the_same_source() {
    let names: Vec<String> = (0..3000).map(|n| format!("pool/{:02}/package & name+{n:05}", n / 50)).collect();
    let bytes: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    let mut publisher = Publisher::new();
    publisher.publish(&artifacts(&names, &bytes));
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let directory = world.directory.as_ref().unwrap().local_addrs()[0];

    let folder = tempfile::tempdir().unwrap();
    let (client, followed) = follower(&publisher, folder.path());
    let cutter = Cutter::start(directory, "/full/", 3, 60_000);
    let id = publisher.id;
    let source =
        |cutter: &Cutter| SyncSource::directory(format!("http://{}/", cutter.addr).parse().unwrap(), &id);
    let outcome = client.follow(&followed, &source(&cutter), START).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(advance) if advance.faults.is_empty()));
    assert_eq!(followed.state().newest().unwrap().tree.entries, 3000);
    let afters = |cutter: &Cutter| -> Vec<ArtifactPath> {
        let targets = cutter.cut.lock().unwrap().clone();
        let after = |target: &String| {
            let text = target.split_once("?after=")?.1;
            ArtifactPath::parse(&odi_wire::route::decode(text).unwrap()).ok()
        };
        targets.iter().filter_map(after).collect()
    };
    let asked = afters(&cutter);
    assert!(asked.len() == 2 && asked[0] < asked[1], "each went on further: {asked:?}");

    let changed: Vec<Vec<u8>> = bytes.iter().map(|bytes| [bytes.as_slice(), b"!"].concat()).collect();
    publisher.publish(&artifacts(&names, &changed));
    world.pull(&publisher.id, 2).await;
    let cutter = Cutter::start(directory, "/diffs/", 3, 60_000);
    let outcome = client.follow(&followed, &source(&cutter), START).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(advance) if advance.faults.is_empty()));
    assert_eq!(followed.state().newest().unwrap().seq(), 2);
    let asked = afters(&cutter);
    assert!(asked.len() == 2 && asked[0] < asked[1], "each went on further: {asked:?}");

    // One that breaks off without having given anything is given up, for nodes one by one.
    let cutter = Cutter::start(directory, "/full/", usize::MAX, 0);
    let folder = tempfile::tempdir().unwrap();
    let (client, followed) = follower(&publisher, folder.path());
    let outcome = client.follow(&followed, &source(&cutter), START).await.unwrap();
    assert!(matches!(outcome, SyncOutcome::Advanced(advance) if !advance.faults.is_empty()));
    assert_eq!(cutter.cut.lock().unwrap().len(), 1);
}
