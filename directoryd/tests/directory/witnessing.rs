//! Directories that vouch for what they have seen, and pass on each other's word.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odi_fixtures::{Script, ScriptedServer, free_port};
use odi_manifest::{Clock as _, Cosig, Timestamp, TrustRoot, Unverified};
use odi_wire::layout::LayoutPath;
use odi_wire::message::Testimony;
use serde_json::Value;

use crate::publisher::{Publisher, key_of};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    pub(crate) async fn testimony(&self, trust: &TrustRoot) -> Testimony {
        let path = format!("/odi/v1/catalogs/{}/testimony", trust.catalog());
        Testimony::decode(&self.body(&path).await).unwrap()
    }

    /// Who vouches here for which number, and when: the key's seed, the number, the time.
    pub(crate) async fn vouched(&self, trust: &TrustRoot) -> Vec<(u8, u64, Timestamp)> {
        let words = self.testimony(trust).await.cosigs;
        let read = |word: &Vec<u8>| {
            let word = Unverified::<Cosig>::decode(word).unwrap();
            let word = trust.verify_cosig(&word).unwrap();
            let by = (1..=u8::MAX).find(|seed| key_of(*seed) == *word.witness()).unwrap();
            (by, word.cosig().seq, word.cosig().t)
        };
        words.iter().map(read).collect()
    }

    /// What it says of how fresh its one catalog is.
    pub(crate) async fn freshness(&self) -> Value {
        self.json("/odi/v1/status").await["catalogs"][0]["freshness"].clone()
    }

    /// What it does as a witness itself.
    async fn own_word(&self) -> String {
        self.freshness().await["own"].as_str().unwrap_or_default().to_owned()
    }

    /// A metric of its one catalog.
    async fn measured(&self, name: &str) -> String {
        let sample = format!("odi_directory_catalog_{name}{{catalog=\"world\"}} ");
        let metrics = self.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).unwrap().to_owned()
    }
}

/// Two directories, with the keys 21 and 22, that follow each other; only the first one knows an origin.
async fn two(publisher: &Publisher, origin: &str) -> [World; 2] {
    two_at(publisher, [Some(origin), None]).await
}

/// The same with the origin that each knows.
pub(crate) async fn two_at(publisher: &Publisher, origins: [Option<&str>; 2]) -> [World; 2] {
    let ports = [free_port(), free_port()];
    let peer = |at: usize| format!("[[peer]]\nurl = \"http://127.0.0.1:{}\"\n", ports[at]);
    let first = World::start_as((21, ports[0]), &publisher.id, origins[0], &peer(1)).await;
    let second = World::start_as((22, ports[1]), &publisher.id, origins[1], &peer(0)).await;
    [first, second]
}

#[tokio::test]
async fn two_directories_vouch_for_the_newest_head_and_pass_on_each_others_word() {
    let mut publisher = Publisher::witnessed_by(&[21, 22], 2);
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let [first, second] = two(&publisher, &origin.url()).await;
    let (start, trust) = (first.clock.now(), publisher.trust.clone());
    let both = |seq, t| (vec![(21, seq, t), (22, seq, t)], vec![(22, seq, t), (21, seq, t)]);
    let said = async || (first.vouched(&trust).await, second.vouched(&trust).await);
    first.until(async || said().await == both(1, start)).await;

    // The next head at once; the same head every four hours.
    publisher.publish(&[("a", b"two")]);
    first.pull(&publisher.id, 2).await;
    first.until(async || said().await == both(2, start)).await;
    for world in [&first, &second] {
        world.clock.advance(4 * HOUR);
    }
    first.until(async || said().await == both(2, start.plus(4 * HOUR))).await;

    // A catalog that does not count on a directory hears nothing of it.
    let other = World::start_as((23, 0), &publisher.id, Some(&origin.url()), "").await;
    other.until_served(2).await;
    assert_eq!(other.vouched(&trust).await, []);
}

#[tokio::test]
async fn what_was_said_is_there_after_a_restart() {
    let mut publisher = Publisher::witnessed_by(&[21], 1);
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let mut world = World::start_as((21, 0), &publisher.id, Some(&origin.url()), "").await;
    let (start, trust) = (world.clock.now(), publisher.trust.clone());
    world.until(async || world.vouched(&trust).await == [(21, 1, start)]).await;
    drop(origin);
    world.clock.advance(HOUR);
    world.restart().await;
    assert_eq!(world.vouched(&trust).await, [(21, 1, start)]);
}

/// A directory that shows these words once there are any, and hands out no head.
async fn one_that_remembers(publisher: &Publisher, cosigs: Arc<Mutex<Vec<Vec<u8>>>>) -> ScriptedServer {
    let introduction = serde_json::json!({
        "v": 1, "kind": "directory", "id": key_of(30), "urls": [],
        "catalogs": [{ "name": "world", "id": publisher.id, "seq": 2 }],
    });
    ScriptedServer::start(move |seen| {
        let cosigs = cosigs.lock().unwrap().clone();
        match seen.target.as_str() {
            _ if cosigs.is_empty() => Script::status(503, ""),
            "/.well-known/odi" => Script::respond(seen, introduction.to_string().as_bytes()),
            target if target.contains("/testimony") => {
                let shown = Testimony { head: None, rver: 1, cosigs, proofs: Vec::new() };
                Script::respond(seen, &shown.encode())
            }
            _ => Script::absent(),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn after_a_backup_of_last_week_nothing_is_said_below_what_a_peer_remembers() {
    let mut publisher = Publisher::witnessed_by(&[21], 1);
    publisher.publish(&[("a", b"one")]);
    let (first_head, trust) = (publisher.newest().encode(), publisher.trust.clone());
    let origin = publisher.serve().await;
    let remembered = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let peer = one_that_remembers(&publisher, Arc::clone(&remembered)).await;
    let settings = format!("[[peer]]\nurl = \"{}\"\n", peer.url());
    let mut world = World::start_as((21, 0), &publisher.id, Some(&origin.url()), &settings).await;

    // It hears the peer before it says anything.
    world.until_served(1).await;
    world.until(async || world.own_word().await == "listening").await;
    assert_eq!(world.vouched(&trust).await, []);
    *remembered.lock().unwrap() = vec![b"nothing to speak of".to_vec()];
    let backed_up_at = world.clock.now();
    world.until(async || world.vouched(&trust).await == [(21, 1, backed_up_at)]).await;
    world.stop().await;
    let (data, backup) = (world.data_dir().join("data"), world.data_dir().join("backup"));
    copy(&data, &backup);
    world.go_on().await;

    // A second head, and its word for that one.
    publisher.publish(&[("a", b"two")]);
    world.clock.advance(HOUR);
    let spoke_at = world.clock.now();
    world.pull(&publisher.id, 2).await;
    world.until(async || world.vouched(&trust).await == [(21, 2, spoke_at)]).await;
    let said = world.testimony(&trust).await.cosigs;
    world.stop().await;

    // A week later the backup comes back, and all that the origin shows is as old.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&backup, &data).unwrap();
    publisher.put(LayoutPath::Head, first_head);
    remembered.lock().unwrap().clear();
    world.clock.advance(7 * 24 * HOUR);
    world.go_on().await;
    world.until(async || world.own_word().await == "listening").await;
    assert_eq!(world.vouched(&trust).await, [(21, 1, backed_up_at)], "the word that was backed up");
    *remembered.lock().unwrap() = said;
    world.until(async || world.own_word().await == "behind").await;
    assert_eq!(world.adopted().await, Some(1));
    assert_eq!(world.vouched(&trust).await, [(21, 2, spoke_at)], "its own word, as the peer has it");
    world.clock.advance(24 * HOUR);
    publisher.publish(&[("a", b"three")]);
    world.pull(&publisher.id, 3).await;
    let now = world.clock.now();
    world.until(async || world.vouched(&trust).await == [(21, 3, now)]).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_quorum_makes_a_catalog_fresh_for_48_hours_after_a_witness_has_died() {
    let mut publisher = Publisher::witnessed_by(&[21, 22, 23], 2);
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let [first, mut second] = two(&publisher, &origin.url()).await;
    first.until(async || first.freshness().await["state"] == "fresh").await;
    let start = first.clock.now();
    let fresh = first.freshness().await;
    assert_eq!(fresh["quorum"], 2);
    assert_eq!(fresh["vouching"], 2);
    assert_eq!(fresh["newest"], start.0);
    assert_eq!(fresh["until"], start.0 + 48 * 3600);
    assert_eq!(fresh["witnesses"][0]["name"].as_str().unwrap().len(), "witness 21".len());
    let page = String::from_utf8(first.body("/odi/catalogs/world").await).unwrap();
    assert!(page.contains("Fresh: 2 of 3 witnesses, newest at "), "{page}");
    assert_eq!(first.measured("fresh").await, "1");

    second.stop().await;
    for (hours, state) in [(1, "fresh"), (47, "fresh"), (48, "fresh")] {
        first.clock.set(start.plus(hours * HOUR));
        assert_eq!(first.freshness().await["state"], state, "{hours}");
    }
    // The one that is left goes on vouching; one of three is too few.
    first.until(async || first.freshness().await["newest"] == (start.0 + 48 * 3600)).await;
    first.clock.set(Timestamp(start.0 + 48 * 3600 + 1));
    let stale = first.freshness().await;
    assert_eq!(stale["state"], "stale");
    assert_eq!(stale["vouching"], 1);
    assert_eq!(stale["since"], start.0 + 48 * 3600);
    assert_eq!([first.measured("fresh").await, first.measured("witnesses").await], ["0", "1"]);
    let page = String::from_utf8(first.body("/odi/catalogs/world").await).unwrap();
    assert!(page.contains("1 of 3 witnesses have vouched for the newest head lately, and 2 must"), "{page}");
    assert_eq!(first.body("/world/a").await, b"one", "what is here is served on");

    // It is fresh again when the other one is back.
    second.clock.set(first.clock.now());
    second.go_on().await;
    first.until(async || first.freshness().await["state"] == "fresh").await;
}

#[tokio::test]
async fn without_a_quorum_there_is_no_freeze_protection() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let origin = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let said = world.freshness().await;
    assert_eq!([&said["state"], &said["own"]], [&Value::from("unprotected"), &Value::Null]);
    let page = String::from_utf8(world.body("/odi/catalogs/world").await).unwrap();
    assert!(page.contains("No freeze protection"), "{page}");
    assert!(!world.metrics().await.contains("odi_directory_catalog_fresh{"));
}
