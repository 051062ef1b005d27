//! Directories that nobody configured: those that the configured ones work together with.

use std::time::Duration;

use odi_manifest::{Clock, SigningKey, SystemClock};
use odi_relayd::config::{Config, DirectoryConfig, Terms};
use odi_wire::message::{IdRanges, PublicUrl, RelayState, RelayStatus};

use crate::directory::FakeDirectory;
use crate::lab::{Lab, Relay, noise};
use crate::publisher::Publisher;

/// A laboratory whose directory works together with another one, which calls `sample` by a name of its own and has a catalog
/// beside it that the first one lacks.
async fn two() -> (Lab, FakeDirectory, Publisher) {
    let lab = Lab::start(&[("a", &noise(1, 300_000))]).await;
    let other = FakeDirectory::start(41).await;
    let mut only_there = Publisher::new("only", SystemClock.now(), vec![lab.origin.url()]);
    only_there.publish(&[("b", Some(b"b"))]);
    lab.origin.put([("b".to_owned(), b"b".to_vec())]);
    other.offer("theirs", &lab.publisher);
    other.offer("only-there", &only_there);
    lab.directory.works_with(&[&other]);
    (lab, other, only_there)
}

impl Relay {
    /// As a SIGHUP does; the directories are asked at once for whom they work together with.
    fn with_federation(&self, federation: bool) {
        let config = self.config();
        let terms = Terms { federation, ..config.terms.clone() };
        assert_eq!(self.server.relay().reload(&Config { terms, ..config }), Vec::<&str>::new());
    }

    async fn until_joined(&self, other: &FakeDirectory) {
        other.until(|| other.is_proved(&self.key()).then_some(())).await;
    }
}

fn names(status: &RelayStatus) -> Vec<&str> {
    status.catalogs.iter().map(|catalog| catalog.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_its_directory_names_is_joined_for_what_is_carried_anyway() {
    let (lab, other, only_there) = two().await;
    let relay = Relay::with(&[&lab.directory], "vantage = true\n").await;
    let key = relay.key();
    relay.until_joined(&other).await;
    let [here, there] = [&lab.directory, &other].map(|directory| directory.registration(&key).unwrap());
    let asked: Vec<&str> = there.catalogs.iter().map(|pattern| pattern.as_str()).collect();
    assert_eq!((asked, &there.tags[..], there.dir), (vec!["theirs"], &[][..], other.key()));
    assert_ne!(here.psk.expose(), there.psk.expose());

    for directory in [&lab.directory, &other] {
        directory.until_announced_full(&key, &lab.publisher).await;
    }
    let status = relay.until_full(1).await;
    let links: Vec<_> =
        status.directories.iter().map(|link| (&link.url, link.introduced, link.assigner)).collect();
    assert_eq!(links, [(&lab.directory.url, false, true), (&other.url, true, false)]);
    assert_eq!(names(&status), ["sample"], "nobody agreed to carry {}", only_there.id());

    // Its operator agreed to look at others for the directory that they named.
    let says = |directory: &FakeDirectory| {
        directory.inventory(&key).unwrap().caps.iter().any(|cap| cap == "vantage")
    };
    assert!(says(&lab.directory) && !says(&other));
    let at = format!("{}/{}/a", relay.url, lab.publisher.pin());
    let refused = lab.ask(other.look(&key, &relay.url, &at, None)).await;
    assert!(String::from_utf8(refused.body.unwrap()).unwrap().contains("looks at no others"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_introduced_directory_makes_nobody_unready() {
    let (lab, other, _) = two().await;
    other.hang_over_assignments();
    let mut test = Publisher::new("no-bytes-anywhere", SystemClock.now(), vec![lab.origin.url()]);
    test.publish(&[("nowhere", Some(b"nowhere"))]);
    other.offer("odi-selftest", &test);
    let relay = Relay::with(&[&lab.directory], "admin = \"127.0.0.1:0\"\n").await;
    relay.until_joined(&other).await;
    let lacks = |status: &RelayStatus| {
        status.catalogs.iter().any(|catalog| catalog.id == test.id() && catalog.missing_blobs > 0)
    };
    relay.until("ready, though it lacks the self-test", |status| status.ready && lacks(status)).await;
    let admin = format!("http://{}/readyz", relay.server.admin_addr().unwrap());
    assert_eq!(lab.get(&admin).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_configured_one_dies_the_introduced_one_assigns_what_is_carried_and_after_a_restart_too() {
    let (mut lab, other, _) = two().await;
    lab.directory.lease(Duration::from_secs(3));
    lab.directory.assign(IdRanges::none());
    let relay = lab.relay().await;
    let key = relay.key();
    relay.until_joined(&other).await;
    let status = relay.until("assigned nothing", |status| status.directories[0].assigner).await;
    assert!(status.catalogs.iter().all(|catalog| !catalog.assigned), "{status:?}");

    lab.directory.stop().await;
    let status = relay.until_full(1).await;
    assert!(status.directories[1].assigner);
    assert_eq!(names(&status), ["sample"]);

    let before = other.registration(&key).unwrap().generation;
    let relay = relay.restart().await;
    assert!(other.left().contains(&key));
    other.until(|| other.registration(&key).filter(|now| now.generation > before)).await;
    let status = relay.until("assigned again", |status| {
        status.directories.get(1).is_some_and(|link| link.assigner && link.state == RelayState::Ready)
    });
    assert_eq!(names(&status.await), ["sample"]);
    let asked = other.registration(&key).unwrap().catalogs;
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_names_any_more_is_left_but_silence_changes_nothing() {
    let (lab, other, _) = two().await;
    let relay = lab.relay().await;
    let key = relay.key();
    relay.until_joined(&other).await;
    let record = relay.data_dir().join("directories");
    let records = || std::fs::read_dir(&record).unwrap().count();
    assert_eq!(records(), 2);

    lab.directory.hide_peers();
    for _ in 0..2 {
        // The second question comes after the first answer was taken in.
        let asked = lab.directory.asked_for_peers();
        relay.with_federation(true);
        lab.directory.until(|| (lab.directory.asked_for_peers() > asked).then_some(())).await;
    }
    assert_eq!(other.left(), []);
    assert!(relay.status().await.directories[1].introduced);

    lab.directory.works_with(&[]);
    relay.with_federation(true);
    other.until(|| other.left().contains(&key).then_some(())).await;
    let status = relay.until("alone with the first", |status| status.directories.len() == 1).await;
    assert_eq!(status.directories[0].url, lab.directory.url);
    relay.until("rid of what it remembered", |_| records() == 1).await;
    assert_eq!(lab.directory.left(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_is_asked_for_follows_what_the_configured_ones_offer() {
    let (lab, other, only_there) = two().await;
    let third = FakeDirectory::start(42).await;
    third.offer("named-elsewhere", &only_there);
    let relay = lab.relay().await;
    relay.until_joined(&other).await;
    let asked = || {
        let asked = other.registration(&relay.key()).unwrap().catalogs;
        asked.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(asked(), ["theirs"]);
    let config = relay.config();
    let mut directories = config.directories.clone();
    directories
        .push(DirectoryConfig { url: PublicUrl::parse(&third.url).unwrap(), ..directories[0].clone() });
    assert_eq!(relay.server.relay().reload(&Config { directories, ..config.clone() }), Vec::<&str>::new());
    other.until(|| (asked() == ["only-there", "theirs"]).then_some(())).await;
    assert_eq!(relay.server.relay().reload(&config), Vec::<&str>::new());
    other.until(|| (asked() == ["theirs"]).then_some(())).await;
    assert_eq!(other.left(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_to_the_federation_asks_nobody_for_it() {
    let (lab, other, _) = two().await;
    let relay = Relay::with(&[&lab.directory], "federation = false\n").await;
    let key = relay.key();
    relay.until("ready", |status| status.ready).await;
    let relay = relay.restart().await;
    relay.until("ready again", |status| status.ready).await;
    assert_eq!((lab.directory.asked_for_peers(), other.answered()), (0, 0));
    assert_eq!(relay.status().await.directories.len(), 1);

    relay.with_federation(true);
    relay.until_joined(&other).await;
    relay.with_federation(false);
    other.until(|| other.left().contains(&key).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_with_another_key_than_was_said_gets_no_secret() {
    let (lab, other, _) = two().await;
    let stranger = FakeDirectory::start(77).await;
    stranger.offer("theirs", &lab.publisher);
    let said = SigningKey::from_seed(&[78; 32]).public_key();
    lab.directory.names(&[(other.url.clone(), other.key()), (stranger.url.clone(), said)]);
    let relay = lab.relay().await;
    relay.until_joined(&other).await;
    let fault = |status: &RelayStatus| status.directories.get(2)?.fault.clone();
    let status = relay.until("refusing", |status| fault(status).is_some()).await;
    assert!(fault(&status).unwrap().contains("it used to have"), "{status:?}");
    assert_eq!(stranger.told_secrets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_memory_of_introductions_is_none() {
    let (lab, other, _) = two().await;
    let relay = lab.relay().await;
    relay.until_joined(&other).await;
    let before = other.registration(&relay.key()).unwrap().generation;
    let relay = relay
        .restart_after(|data| {
            let file = data.join("introductions.json");
            assert!(std::fs::read_to_string(&file).unwrap().contains(&other.url));
            std::fs::write(&file, "{\"half").unwrap();
        })
        .await;
    let again = || other.registration(&relay.key()).filter(|now| now.generation > before);
    other.until(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_was_passed_off_as_a_self_test_is_followed_as_what_it_is_once_it_is_wanted() {
    let (lab, other, _) = two().await;
    let mut late = Publisher::new("late", SystemClock.now(), vec![lab.origin.url()]);
    late.publish(&[("c", Some(b"c"))]);
    lab.origin.put([("c".to_owned(), b"c".to_vec())]);
    other.offer("odi-selftest", &late);
    let relay = lab.relay().await;
    relay
        .until("followed as a self-test", |status| {
            status.catalogs.iter().any(|catalog| catalog.id == late.id() && catalog.name == "odi-selftest")
        })
        .await;
    lab.directory.offer("late", &late);
    // A changed `[[directory]]` is met anew at once; offers are looked at every minute otherwise.
    let mut config = relay.config();
    config.directories[0].ids.insert("nobody-calls-it-so".to_owned(), lab.publisher.id());
    assert_eq!(relay.server.relay().reload(&config), Vec::<&str>::new());
    relay
        .until("followed as what it is", |status| {
            status.catalogs.iter().any(|catalog| catalog.id == late.id() && catalog.name == "late")
        })
        .await;
}
