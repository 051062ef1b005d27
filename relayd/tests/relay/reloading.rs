//! What a SIGHUP changes about directories: they come and go, and what is wanted no longer leaves the disk.

use odi_manifest::{BlobId, Clock, SystemClock};
use odi_relayd::config::DirectoryConfig;
use odi_relayd::wanted::Wanted;
use odi_wire::message::{CatalogPattern, PublicUrl};

use crate::directory::FakeDirectory;
use crate::lab::{Lab, Relay, noise};
use crate::publisher::Publisher;
use crate::web::Web;

/// A `[[directory]]`, with what is wanted of it.
fn wanting(directory: &FakeDirectory, patterns: &[&str]) -> DirectoryConfig {
    let names = patterns.iter().map(|pattern| CatalogPattern::parse(pattern).unwrap()).collect();
    DirectoryConfig {
        url: PublicUrl::parse(&directory.url).unwrap(),
        key: None,
        wanted: Wanted { names, tags: Vec::new() },
        ids: Default::default(),
    }
}

impl Relay {
    /// As a SIGHUP does after the operator has edited the file.
    fn with_directories(&self, directories: Vec<DirectoryConfig>) {
        let config = odi_relayd::config::Config { directories, ..self.config() };
        assert_eq!(self.server.relay().reload(&config), Vec::<&str>::new());
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.server.relay().store.contains(&BlobId::of(bytes))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_come_and_go_without_a_restart_and_what_is_wanted_no_longer_leaves_the_disk() {
    let (first, second) = (noise(90, 700_000), noise(91, 600_000));
    let lab = Lab::start(&[("first", &first)]).await;
    let origin = Web::start(Default::default());
    let mut publisher = Publisher::new("other", SystemClock.now(), vec![origin.url()]);
    publisher.publish(&[("second", Some(&second))]);
    origin.put(publisher.files.clone());
    let other = FakeDirectory::start(41).await;
    other.offer("other", &publisher);
    let relay = lab.relay().await;
    let key = relay.key();
    relay.until("whole", |_| relay.holds(&first)).await;
    let status = async |path: &str| lab.get(&format!("{}/{path}", relay.url)).await.status.as_u16();
    assert_eq!(status("sample/first").await, 200);

    relay.with_directories(vec![wanting(&other, &[])]);
    lab.directory.until(|| lab.directory.left().contains(&key).then_some(())).await;
    relay
        .until("rid of the one and whole of the other", |_| !relay.holds(&first) && relay.holds(&second))
        .await;
    assert_eq!((status("sample/first").await, status("other/second").await), (404, 200));
    let packs = || relay.server.relay().store.usage().0;
    relay.until("smaller on disk", |_| packs() < 700_000 + 600_000).await;

    relay.with_directories(vec![wanting(&lab.directory, &[]), wanting(&other, &["other"])]);
    relay.until("whole again", |_| relay.holds(&first)).await;
    assert_eq!((status("sample/first").await, status("other/second").await), (200, 200));

    relay.with_directories(vec![wanting(&lab.directory, &["nothing-*"]), wanting(&other, &["other"])]);
    relay.until("rid of it again", |_| !relay.holds(&first)).await;
    let told = || {
        let registration = lab.directory.registration(&key)?;
        (registration.catalogs == wanting(&lab.directory, &["nothing-*"]).wanted.names).then_some(())
    };
    lab.directory.until(told).await;
    assert_eq!(status("other/second").await, 200);
}
