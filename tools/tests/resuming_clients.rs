//! The clients that people resume downloads with, against a relay over a line that is cut in the middle: each goes on
//! where it was, and what it has in the end is right.
//!
//! A client that is not installed is skipped aloud; with `ODI_SKIP=fail` that is a failure.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/cutting_proxy.rs"]
mod cutting_proxy;
#[path = "support/installed.rs"]
mod installed;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use cutting_proxy::CuttingProxy;
use installed::is_installed;
use odi_tools::demo::{DemoCatalog, Listed, Network, Origin};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(120);
/// Many chunks, and a last one that is not whole.
const SIZE: u64 = (12 << 20) + 77;
const MIB: u64 = 1 << 20;
/// Heads of answers, and what a client asks for twice at a seam.
const SLACK: u64 = 256 << 10;

/// A relay that holds `image.iso`, and the bad line to it.
struct Lab {
    work: tempfile::TempDir,
    network: Network,
    origin: Origin,
    proxy: CuttingProxy,
    image: Vec<u8>,
}

impl Lab {
    async fn start(prepare: impl FnOnce(&Path)) -> Self {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut image = vec![0; usize::try_from(SIZE).unwrap()];
        blake3::Hasher::new().update(b"image").finalize_xof().fill(&mut image);
        fs::write(tree.join("image.iso"), &image).unwrap();
        prepare(&tree);
        let origin = Origin::start(tree.clone()).await.unwrap();
        let url: Url = origin.url().parse().unwrap();
        let at = url.clone();
        let signing = tokio::task::spawn_blocking(move || DemoCatalog::begin(tree, "disks", &at).unwrap());
        let catalog = signing.await.unwrap();
        let listed = [Listed { name: "disks".to_owned(), id: catalog.id, origin: url }];
        let network = Network::start(work.path(), &listed, 1, 1).await.unwrap();
        network.ready(PATIENCE, |_| {}).await.unwrap();
        let relay = network.relay_urls().next().unwrap().socket_addrs(|| None).unwrap()[0];
        Self { proxy: CuttingProxy::start(relay), work, network, origin, image }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/disks/{name}", self.proxy.addr)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.work.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// The file is right, and came over the line about once although so many connections were cut.
    fn came_once(&self, file: &Path, cuts: usize) {
        let (cut, bytes) = self.proxy.seen();
        assert_eq!(cut, cuts, "connections were cut");
        assert!(fs::read(file).unwrap() == self.image, "{} is wrong", file.display());
        assert!((SIZE..=SIZE + SLACK).contains(&bytes), "{bytes} bytes for a file of {SIZE}");
    }

    async fn stop(self) {
        self.network.stop().await.unwrap();
        self.origin.stop().await;
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_on_where_it_was() {
    if !is_installed("curl") {
        return;
    }
    let lab = Lab::start(|_| {}).await;
    let (folder, url) = (lab.folder("curl"), lab.url("image.iso"));
    let curl = || run(&folder, "curl", &["-sS", "--fail", "-C", "-", "-O", &url]);
    lab.proxy.cut([3 * MIB, 5 * MIB]);
    for _ in 0..2 {
        assert_eq!(curl().status.code(), Some(18), "cut in the middle is a partial file");
    }
    assert!((7 * MIB..9 * MIB).contains(&fs::metadata(folder.join("image.iso")).unwrap().len()));
    succeeded(&curl());
    lab.came_once(&folder.join("image.iso"), 2);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wget_goes_on_where_it_was() {
    if !is_installed("wget") {
        return;
    }
    let lab = Lab::start(|_| {}).await;
    let (folder, url) = (lab.folder("wget"), lab.url("image.iso"));
    // One try each, as if the machine went down in between.
    let wget = || run(&folder, "wget", &["-q", "-c", "--tries=1", &url]);
    lab.proxy.cut([2 * MIB, 4 * MIB]);
    for _ in 0..2 {
        assert!(!wget().status.success());
    }
    succeeded(&wget());
    lab.came_once(&folder.join("image.iso"), 2);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_goes_on_with_eight_connections() {
    if !is_installed("aria2c") {
        return;
    }
    let lab = Lab::start(|_| {}).await;
    let (folder, url) = (lab.folder("aria2"), lab.url("image.iso"));
    // Without preallocation, so that what is there came over the line; it checks the Digest header by itself.
    let eight = ["-q", "-x8", "-s8", "-k1M", "--file-allocation=none", "--continue=true", "--max-tries=1"];
    let aria2 = || run(&folder, "aria2c", &[&eight[..], &[&url]].concat());
    // Before the end of any connection's part. It keeps whole pieces of a mebibyte.
    lab.proxy.cut([1_400_000; 8]);
    // It may connect again by itself, or give up and be told to go on.
    if !aria2().status.success() {
        assert!(folder.join("image.iso.aria2").exists(), "it remembers what it has");
        succeeded(&aria2());
    }
    assert!(fs::read(folder.join("image.iso")).unwrap() == lab.image);
    let (cut, bytes) = lab.proxy.seen();
    assert!(cut > 0 && bytes < SIZE * 4 / 3, "{cut} cuts, {bytes} bytes for a file of {SIZE}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zsync_fetches_what_differs_and_goes_on_after_a_cut() {
    if !is_installed("zsync") {
        return;
    }
    let lab = Lab::start(|tree| succeeded(&run(tree, "zsyncmake", &["-u", "image.iso", "image.iso"]))).await;
    let (folder, url) = (lab.folder("zsync"), lab.url("image.iso.zsync"));
    // The former image: a third of it in pieces all over is different.
    let mut former = lab.image.clone();
    former.chunks_mut(96 * 1024).for_each(|piece| {
        let third = piece.len() / 3;
        piece[..third].fill(0);
    });
    fs::write(folder.join("former.iso"), former).unwrap();
    let zsync = || run(&folder, "zsync", &["-q", "-i", "former.iso", "-o", "image.iso", &url]);
    // The control file comes first, over a connection of its own.
    lab.proxy.cut([u64::MAX, MIB]);
    // It connects again by itself; if it had given up, it would go on from its `.part` file.
    if !zsync().status.success() {
        assert!(folder.join("image.iso.part").exists());
        succeeded(&zsync());
    }
    assert!(fs::read(folder.join("image.iso")).unwrap() == lab.image);
    let (cut, bytes) = lab.proxy.seen();
    assert_eq!(cut, 1);
    assert!((SIZE / 3..SIZE * 2 / 3).contains(&bytes), "{bytes} bytes for a third of {SIZE}");
    lab.stop().await;
}

/// A browser's download manager: kept-alive connections, each with ranges of its own, `If-Range` with the strong tag.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(lab: &Lab) -> Self {
        Self { stream: TcpStream::connect(lab.proxy.addr).unwrap() }
    }

    /// Asks for a range; the head, and the bytes as far as they came.
    fn get(&mut self, range: &Range<u64>, tag: Option<&str>) -> (String, Vec<u8>) {
        let if_range = tag.map_or_else(String::new, |tag| format!("If-Range: {tag}\r\n"));
        let Range { start, end } = range;
        let request = format!(
            "GET /disks/image.iso HTTP/1.1\r\nHost: relay\r\nRange: bytes={start}-{}\r\n{if_range}\r\n",
            end - 1
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && self.stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        let mut body = Vec::new();
        // A cut is an end of the stream, or a reset if something was on its way.
        let _cut = (&self.stream).take(end - start).read_to_end(&mut body);
        (String::from_utf8(head).unwrap(), body)
    }
}

fn tag_of(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned()
}

/// Fetches a sixth of the file in ranges, over one connection until it is cut, and then over another.
fn fetch_sixth(lab: &Lab, mut connection: Connection, sixth: u64) -> (Range<u64>, Vec<u8>) {
    let whole = SIZE * sixth / 6..SIZE * (sixth + 1) / 6;
    let (mut got, mut tag) = (Vec::new(), None);
    while (got.len() as u64) < whole.end - whole.start {
        let start = whole.start + got.len() as u64;
        let range = start..whole.end.min(start + 700_000);
        let (head, bytes) = connection.get(&range, tag.as_deref());
        let says = format!("content-range: bytes {}-{}/{SIZE}", range.start, range.end - 1);
        if head.is_empty() || (bytes.len() as u64) < range.end - range.start {
            connection = Connection::open(lab);
        }
        if !head.is_empty() {
            assert!(head.starts_with("HTTP/1.1 206") && head.contains(&says), "{head}");
            assert!(tag.as_ref().is_none_or(|tag| *tag == tag_of(&head)));
            tag = Some(tag_of(&head));
        }
        got.extend(bytes);
    }
    (whole, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_fetch_ranges_in_parallel_and_go_on() {
    let lab = Lab::start(|_| {}).await;
    // Each is cut within a range: the first ends at 700 000 bytes.
    lab.proxy.cut([1_000_000; 12]);
    let connections: Vec<Connection> = (0..12).map(|_| Connection::open(&lab)).collect();
    std::thread::scope(|scope| {
        let lab = &lab;
        let fetch =
            |(number, connection): (u64, _)| scope.spawn(move || fetch_sixth(lab, connection, number % 6));
        let sixths: Vec<_> = (0..).zip(connections).map(fetch).collect();
        for sixth in sixths {
            let (at, bytes) = sixth.join().unwrap();
            let (start, end) = (usize::try_from(at.start).unwrap(), usize::try_from(at.end).unwrap());
            assert!(bytes == lab.image[start..end], "{at:?} is wrong");
        }
    });
    assert_eq!(lab.proxy.seen().0, 12);
    let mut late = Connection::open(&lab);
    let (head, _) = late.get(&(0..10), Some("\"another\""));
    assert!(head.starts_with("HTTP/1.1 200"), "ranges of another file are not mixed with this one: {head}");
    lab.stop().await;
}
