//! A maintainer who publishes every second, while many download: nobody ever gets other bytes than the index that they have names,
//! and nothing that an index names is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use odi_manifest::Sha256;
use odi_wire::http::StatusCode;
use url::Url;

use crate::lab::{Lab, Scheme};
use crate::maintainer::Maintainer;
use crate::visitor::{Failed, Visitor};

const DOWNLOADS: usize = 10_000;
/// At least; as many as come in the time that the downloads take.
const PUBLICATIONS: u64 = 20;
const AT_ONCE: usize = 6;
const PACKAGES: usize = 24;
/// How many packages each publication changes.
const CHANGED: usize = 3;
const INDEX: &str = "index.txt";

/// Half of them are too large for a directory to carry.
fn size(package: usize) -> usize {
    if package.is_multiple_of(2) { 3_000 } else { 70_000 + package * 900 }
}

fn content(package: usize, version: u64) -> String {
    format!("package {package} {version}. ").chars().cycle().take(size(package)).collect()
}

/// Under a name of its own, as in a pool, and under one that every version has.
fn paths(package: usize, version: u64) -> [String; 2] {
    [format!("pool/{package}-{version}.bin"), format!("latest/{package}.bin")]
}

/// The maintainer's tree, version by version.
struct Tree<'a> {
    maintainer: &'a Maintainer,
    versions: BTreeMap<usize, u64>,
}

impl Tree<'_> {
    fn put(&mut self, package: usize, version: u64) {
        if let Some(former) = self.versions.insert(package, version) {
            std::fs::remove_file(self.maintainer.tree().join(&paths(package, former)[0])).unwrap();
        }
        paths(package, version)
            .iter()
            .for_each(|path| self.maintainer.write(path, &content(package, version)));
    }

    /// Names every file with its check sum, as the indexes of distributions do.
    fn index(&self) {
        let lines = self.versions.iter().flat_map(|(package, version)| {
            let sum = Sha256::of(content(*package, *version).as_bytes());
            paths(*package, *version).map(|path| format!("{sum}  {path}\n"))
        });
        self.maintainer.write(INDEX, &lines.collect::<String>());
    }

    fn publish(&self, directories: &[String]) {
        self.maintainer.ok(&["publish", "TREE", "--key", "REL", "--offline"]);
        for directory in directories {
            self.maintainer.ok(&["push", "TREE", directory]);
        }
    }
}

/// What came of all downloads.
#[derive(Debug, Default)]
struct Tally {
    right: AtomicUsize,
    unavailable: AtomicUsize,
    is_over: AtomicBool,
}

/// One download, which has to come with this check sum; a 503 is asked for again.
async fn take(visitor: &Visitor, url: &Url, sum: Option<&str>, tally: &Tally) -> (bytes::Bytes, Url) {
    loop {
        match visitor.fetch(url).await {
            Ok((bytes, at)) => {
                let got = Sha256::of(&bytes).to_string();
                assert!(sum.is_none_or(|sum| got == sum), "{url} came from {at} with {got} and not {sum:?}");
                tally.right.fetch_add(1, Ordering::Relaxed);
                return (bytes, at);
            }
            Err(Failed::Refused(StatusCode::SERVICE_UNAVAILABLE, _)) => {
                tally.unavailable.fetch_add(1, Ordering::Relaxed);
            }
            Err(failed) => panic!("{url}: {failed}; now it says {}", visitor.explained(url).await),
        }
    }
}

/// Downloads as clients of repositories do: an index, then what it names. What has a name of its own is asked for where the user
/// pointed the client, what has not beside the index that came.
async fn download(base: &Url, first: usize, tally: &Tally) {
    let visitor = Visitor::new();
    let mut turn = first;
    while !tally.is_over.load(Ordering::Relaxed) {
        let (index, beside) = take(&visitor, &base.join(INDEX).unwrap(), None, tally).await;
        let index = std::str::from_utf8(&index).unwrap();
        let lines: Vec<(&str, &str)> = index.lines().map(|line| line.split_once("  ").unwrap()).collect();
        assert_eq!(lines.len(), 2 * PACKAGES);
        for _ in 0..9 {
            turn += 7;
            let (sum, path) = lines[turn % lines.len()];
            let from = if path.starts_with("pool/") { base } else { &beside };
            take(&visitor, &from.join(path).unwrap(), Some(sum), tally).await;
        }
    }
}

#[test]
fn with_a_publication_every_second_ten_thousand_downloads_are_all_right() {
    let m = Maintainer::new();
    let mut lab = Lab::new(m.path(), m.tree(), Scheme::Http);
    let mut tree = Tree { maintainer: &m, versions: BTreeMap::new() };
    (0..PACKAGES).for_each(|package| tree.put(package, 1));
    tree.index();
    let init = ["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    let id =
        m.json(&[init.as_slice(), &["--origin", &lab.origin()]].concat())["id"].as_str().unwrap().to_owned();
    tree.publish(&[]);
    lab.start("demo", &id);
    lab.until_settled(1);
    // What has never changed comes from its unpinned URL; from the first change on, an index comes from its pin.
    (0..PACKAGES).for_each(|package| tree.put(package, 2));
    tree.index();
    tree.publish(&[lab.directory(0), lab.directory(1)]);
    lab.until_settled(2);

    let directories = [lab.directory(0), lab.directory(1)];
    let bases = directories.clone().map(|url| Url::parse(&format!("{url}/demo/")).unwrap());
    let (tally, began) = (Tally::default(), Instant::now());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let published = std::thread::scope(|scope| {
        let visitors = scope.spawn(|| {
            runtime.block_on(futures_util::future::join_all(
                (0..AT_ONCE).map(|number| download(&bases[number % 2], number * 5, &tally)),
            ))
        });
        let mut ticks = runtime.block_on(async { tokio::time::interval(Duration::from_secs(1)) });
        let mut version = 2;
        let goes_on =
            |version: u64| tally.right.load(Ordering::Relaxed) < DOWNLOADS || version < PUBLICATIONS;
        while goes_on(version) && !visitors.is_finished() {
            runtime.block_on(ticks.tick());
            version += 1;
            let first = usize::try_from(version).unwrap() * CHANGED;
            (first..first + CHANGED).for_each(|n| tree.put(n % PACKAGES, version));
            tree.index();
            tree.publish(&directories);
        }
        tally.is_over.store(true, Ordering::Relaxed);
        visitors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        version - 2
    });
    let (right, unavailable) = (tally.right.into_inner(), tally.unavailable.into_inner());
    odi_fixtures::tell!(
        "{right} downloads right, none wrong, none missing, {unavailable} asked to come again, beside {published} publications in {:.0} s",
        began.elapsed().as_secs_f64()
    );
}
