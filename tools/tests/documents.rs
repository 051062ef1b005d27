//! What a directory makes for others' programs, read by those programs: digests by `sha256sum` and `b3sum`'s own format, a metalink and a
//! list by `aria2c` and `curl`.
//!
//! A client that is not installed is skipped aloud; with `ODI_SKIP=fail` that is a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/installed.rs"]
mod installed;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use installed::is_installed;
use odi_tools::demo::{DemoCatalog, Listed, Network, Origin};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(120);

/// A directory and two relays that hold `image.iso`.
struct Lab {
    work: tempfile::TempDir,
    network: Network,
    origin: Origin,
    image: Vec<u8>,
}

impl Lab {
    async fn start() -> Self {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut image = vec![0; (5 << 20) + 77];
        blake3::Hasher::new().update(b"image").finalize_xof().fill(&mut image);
        fs::write(tree.join("image.iso"), &image).unwrap();
        let origin = Origin::start(tree.clone()).await.unwrap();
        let url: Url = origin.url().parse().unwrap();
        let at = url.clone();
        let signing = tokio::task::spawn_blocking(move || DemoCatalog::begin(tree, "disks", &at).unwrap());
        let catalog = signing.await.unwrap();
        let listed = [Listed { name: "disks".to_owned(), id: catalog.id, origin: url }];
        let network = Network::start(work.path(), &listed, 1, 2).await.unwrap();
        network.ready(PATIENCE, |_| {}).await.unwrap();
        Self { work, network, origin, image }
    }

    fn url(&self, name: &str) -> String {
        self.network.directory_urls().next().unwrap().join(&format!("disks/{name}")).unwrap().to_string()
    }

    fn folder(&self) -> &Path {
        self.work.path()
    }

    fn is_right(&self, name: &str) {
        assert!(fs::read(self.folder().join(name)).unwrap() == self.image, "{name} is wrong");
    }

    async fn stop(self) {
        self.network.stop().await.unwrap();
        self.origin.stop().await;
    }
}

async fn run(folder: &Path, program: &'static str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What a program printed that succeeded.
async fn printed(folder: &Path, program: &'static str, arguments: &[&str]) -> String {
    let output = run(folder, program, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_what_sha256sum_checks() {
    if !is_installed("curl") || !is_installed("sha256sum") {
        return;
    }
    let lab = Lab::start().await;
    let image = lab.url("image.iso");
    let digest = format!("{image}.sha256");
    printed(lab.folder(), "curl", &["-sS", "--fail", "-L", "-O", &image, "-O", &digest]).await;
    lab.is_right("image.iso");
    assert_eq!(printed(lab.folder(), "sha256sum", &["-c", "image.iso.sha256"]).await, "image.iso: OK\n");
    let b3 = printed(lab.folder(), "curl", &["-sS", "--fail", &format!("{image}.b3")]).await;
    assert_eq!(b3, format!("{}  image.iso\n", blake3::hash(&lab.image)));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_downloads_by_metalink_from_several_relays() {
    if !is_installed("aria2c") || !is_installed("curl") {
        return;
    }
    let lab = Lab::start().await;
    for extension in ["meta4", "metalink"] {
        let metalink = lab.url(&format!("image.iso.{extension}"));
        let folder = lab.folder().join(extension);
        fs::create_dir(&folder).unwrap();
        let list = format!("image.{extension}");
        printed(&folder, "curl", &["-sS", "--fail", "-o", &list, &metalink]).await;
        let aria2 = ["-q", "--split=4", "--min-split-size=1M", "--check-integrity=true", "-M", &list];
        printed(&folder, "aria2c", &aria2).await;
        // It takes the name from the document.
        lab.is_right(&format!("{extension}/image.iso"));
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_list_has_the_file() {
    if !is_installed("curl") {
        return;
    }
    let lab = Lab::start().await;
    let list = printed(lab.folder(), "curl", &["-sS", "--fail", &lab.url("?mirrorlist")]).await;
    let bases: Vec<&str> = list.lines().collect();
    assert_eq!(bases.len(), 3, "two relays and the directory: {list}");
    for (number, base) in bases.iter().enumerate() {
        let (name, url) = (format!("copy-{number}"), format!("{base}image.iso"));
        printed(lab.folder(), "curl", &["-sS", "--fail", "-L", "-o", &name, &url]).await;
        lab.is_right(&name);
    }
    let words = printed(lab.folder(), "curl", &["-sS", "--fail", &lab.url("image.iso?explain")]).await;
    assert!(words.contains("held by this relay"), "{words}");
    lab.stop().await;
}
