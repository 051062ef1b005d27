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
use std::sync::Arc;
use std::time::{Duration, Instant};

use installed::is_installed;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_fixtures::free_port;
use odi_manifest::SystemClock;
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

/// The relay that the metalink names first dies, and the directory that it names last: the mirror between them is left.
#[tokio::test(flavor = "multi_thread")]
async fn aria2_goes_on_to_a_mirror_when_the_relay_of_its_metalink_is_dead() {
    if !is_installed("aria2c") || !is_installed("curl") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let mut image = vec![0; (5 << 20) + 77];
    blake3::Hasher::new().update(b"mirrored").finalize_xof().fill(&mut image);
    fs::write(tree.join("image.iso"), &image).unwrap();
    let (origin, mirror) =
        (Origin::start(tree.clone()).await.unwrap(), Origin::start(tree.clone()).await.unwrap());
    let at: Url = origin.url().parse().unwrap();
    let signing = tokio::task::spawn_blocking(move || DemoCatalog::begin(tree, "disks", &at).unwrap());
    let id = signing.await.unwrap().id;
    let (here, there) = (free_port(), free_port());
    let directory = format!(
        "data_dir = {:?}\nlisten = [\"127.0.0.1:{here}\"]\npublic_urls = [\"http://127.0.0.1:{here}\"]\n\
         [[catalog]]\nname = \"disks\"\nid = \"{id}\"\norigin = \"{}\"\npoll = \"1s\"\n\
         [[mirror]]\ncatalog = \"disks\"\nurl = \"{}\"\nredirect = true\n",
        work.path().join("directory"),
        origin.url(),
        mirror.url()
    );
    let directory = Config::parse(&directory, PrivateAddresses::Allowed).unwrap();
    let directory = odi_directoryd::Server::bind(directory, Arc::new(SystemClock)).await.unwrap();
    let relay = format!(
        "data_dir = {:?}\nlisten = [\"127.0.0.1:{there}\"]\npublic_urls = [\"http://127.0.0.1:{there}\"]\n\
         disk = \"20 GB\"\n[[directory]]\nurl = \"http://127.0.0.1:{here}\"\ncatalogs = [\"*\"]\n",
        work.path().join("relay")
    );
    let relay = odi_relayd::config::Config::parse(&relay, PrivateAddresses::Allowed).unwrap();
    let relay = odi_relayd::Server::bind(relay, Arc::new(SystemClock)).await.unwrap();

    let metalink = format!("http://127.0.0.1:{here}/disks/image.iso.meta4");
    let (first, second) = (
        format!("<url priority=\"1\">http://127.0.0.1:{there}/@"),
        format!("<url priority=\"2\">{}image.iso</url>", mirror.url()),
    );
    let (begun, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_millis(200)));
    loop {
        looks.tick().await;
        run(work.path(), "curl", &["-sS", "-o", "image.meta4", &metalink]).await;
        let said = fs::read_to_string(work.path().join("image.meta4")).unwrap_or_default();
        if said.contains(&first) && said.contains(&second) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{said}");
    }
    relay.drain(Duration::from_secs(5)).await;
    directory.drain(Duration::from_secs(5)).await.unwrap();
    origin.stop().await;
    let aria2 = ["-q", "--max-tries=2", "--retry-wait=0", "--check-integrity=true", "-M", "image.meta4"];
    printed(work.path(), "aria2c", &aria2).await;
    assert!(fs::read(work.path().join("image.iso")).unwrap() == image, "image.iso is wrong");
    mirror.stop().await;
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
