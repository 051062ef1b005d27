//! A copy made while the directory works, and one of a stopped directory; and what a week-old copy may not do: show what is older than what
//! was shown.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use odi_directoryd::backup::{self, BackupError, RESTORED};
use odi_fixtures::{DaemonProcess, Script, ScriptedServer, free_port};
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::RelayState;
use tempfile::TempDir;

use crate::joined::joined;
use crate::publisher::Publisher;
use crate::world::{PUBLIC_URL, World};

impl World {
    fn folder_of_data(&self) -> PathBuf {
        self.data_dir().join("data")
    }

    async fn back_up(&self, to: &Path) {
        let admin = self.directory.as_ref().unwrap().admin_addr().unwrap();
        let url = format!("http://{admin}/admin/backup").parse().unwrap();
        let ask = Ask::post(&url, "application/json", Vec::new());
        let reply =
            self.client.send(ask.header("odi-admin", HeaderValue::from_static("operate"))).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        backup::collect(&self.folder_of_data(), to).unwrap();
    }

    /// Its disk is lost while it is stopped, and comes back from a copy.
    fn restore(&self, from: &Path) {
        std::fs::remove_dir_all(self.folder_of_data()).unwrap();
        std::fs::create_dir(self.folder_of_data()).unwrap();
        backup::restore(from, &self.folder_of_data()).unwrap();
    }
}

#[tokio::test]
async fn a_week_old_copy_never_shows_what_is_older_than_what_was_shown() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"old"), ("b", b"old")]);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let (folder, to) = (TempDir::new().unwrap(), PathBuf::from("copy"));
    let to = folder.path().join(to);
    world.back_up(&to).await;
    publisher.publish(&[("a", b"new"), ("b", b"old")]);
    world.pull(&publisher.id, 2).await;
    world.clock.advance(Duration::from_secs(7 * 86_400));
    let newest = async |world: &World| {
        let (_, pin) = world.sent("/world/a").await;
        world.body(&pin.replace(PUBLIC_URL, "")).await
    };
    world.until(async || newest(&world).await == b"new").await;
    let id = world.id();
    world.stop().await;
    world.restore(&to);
    world.go_on().await;
    assert_eq!(world.id(), id, "it is the same directory");
    // From the first answer on: either none, or the new one.
    let mut refused = 0;
    loop {
        let reply = world.get("/world/a").await;
        match reply.status {
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            StatusCode::FOUND => {
                assert_eq!(newest(&world).await, b"new");
                break;
            }
            StatusCode::OK => {
                assert_eq!(
                    reply.body.collect().await.unwrap(),
                    b"new".as_slice(),
                    "after {refused} refusals"
                );
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(world.adopted().await, Some(2));
    world.until(async || !world.folder_of_data().join(RESTORED).exists()).await;
}

#[tokio::test]
async fn nobody_to_be_heard_means_a_minute_of_silence_and_another_after_the_next_start() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"old")]);
    let origin = publisher.serve().await;
    let mut world = World::start(&publisher.id, Some(&origin.url())).await;
    world.until_served(1).await;
    assert_eq!(world.body("/world/a").await, b"old");
    let folder = TempDir::new().unwrap();
    world.stop().await;
    let copy = folder.path().join("copy");
    let made = backup::back_up_stopped(&world.folder_of_data(), &copy, odi_manifest::Timestamp(1)).unwrap();
    assert!(made.files() > 5, "{made:?}");
    drop(origin);
    // The store is still there, with which it could show what it held.
    let store = folder.path().join("store");
    std::fs::rename(world.store_folder(), &store).unwrap();
    world.restore(&copy);
    std::fs::rename(&store, world.store_folder()).unwrap();
    for _ in 0..2 {
        world.go_on().await;
        for path in ["/world/a".to_owned(), format!("/odi/v1/catalogs/{}/head", publisher.id)] {
            assert_eq!(world.get(&path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        assert_eq!(world.get("/odi/v1/status").await.status, StatusCode::OK);
        world.clock.advance(Duration::from_secs(60));
        let head = format!("/odi/v1/catalogs/{}/head", publisher.id);
        world.until(async || world.get(&head).await.status == StatusCode::OK).await;
        assert!(world.folder_of_data().join(RESTORED).exists());
        world.stop().await;
    }
}

#[tokio::test]
async fn a_peer_is_heard_where_the_origin_is_gone() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"old")]);
    let origin = publisher.serve().await;
    let peer = World::start(&publisher.id, Some(&origin.url())).await;
    peer.until_served(1).await;
    let settings = format!("[[peer]]\nurl = \"{}\"\n", peer.url);
    let mut world = World::start_with(&publisher.id, None, &settings).await;
    world.until_served(1).await;
    let folder = TempDir::new().unwrap();
    world.back_up(&folder.path().join("copy")).await;
    world.stop().await;
    world.restore(&folder.path().join("copy"));
    publisher.publish(&[("a", b"new")]);
    peer.pull(&publisher.id, 2).await;
    world.go_on().await;
    let head = format!("/odi/v1/catalogs/{}/head", publisher.id);
    world.until(async || world.get(&head).await.status == StatusCode::OK).await;
    assert_eq!(world.adopted().await, Some(2));
    assert_eq!(world.served().await, Some(2));
}

#[tokio::test]
async fn relays_decisions_and_counts_come_back() {
    let (publisher, _origin, mut world, mut relay) = joined().await;
    for caller in 0..12 {
        let from = HeaderValue::from_str(&format!("203.0.113.{caller}")).unwrap();
        let ask = Ask::get(&world.at("/world/big")).header("x-forwarded-for", from);
        world.client.send(ask).await.unwrap();
    }
    let folder = TempDir::new().unwrap();
    world.back_up(&folder.path().join("copy")).await;
    world.stop().await;
    world.restore(&folder.path().join("copy"));
    world.go_on().await;
    let lease = relay.announce(&world, &publisher.id, &[publisher.newest().id()]).await;
    assert_ne!(lease.state, RelayState::Unknown, "it need not register again");
    let total = world.json("/odi/v1/statistics/total").await;
    assert_eq!(total["lines"][0]["redirected"]["downloads"], 10, "{total}");
}

#[tokio::test]
async fn what_is_no_whole_copy_or_would_bury_a_directory_is_refused() {
    let (_publisher, _origin, mut world, _relay) = joined().await;
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy");
    world.back_up(&copy).await;
    world.stop().await;
    assert!(matches!(backup::restore(&copy, &world.folder_of_data()), Err(BackupError::Occupied(_))));
    let again = backup::back_up_stopped(&world.folder_of_data(), &copy, odi_manifest::Timestamp(1));
    assert!(matches!(again, Err(BackupError::NotEmpty(_))));
    let elsewhere = folder.path().join("elsewhere");
    let list = std::fs::read_to_string(copy.join("backup.json")).unwrap();
    for (what, damage) in [
        ("damaged", "\"identity.key\""),
        ("names", "\"../../etc/passwd\""),
        ("names", "\"store/packs/x\""),
        ("names", "\"restored\""),
    ] {
        let changed = if what == "damaged" {
            std::fs::write(copy.join("decisions.json"), "{}").unwrap();
            list.replace("\"identity.key\"", "\"decisions.json\"")
        } else {
            list.replace("\"identity.key\"", damage)
        };
        std::fs::write(copy.join("backup.json"), changed).unwrap();
        let refused = backup::restore(&copy, &elsewhere).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused}");
        assert!(!elsewhere.join("identity.key").exists());
    }
    std::fs::remove_file(copy.join("backup.json")).unwrap();
    assert!(matches!(backup::restore(&copy, &elsewhere), Err(BackupError::NotWhole { .. })));
}

#[tokio::test]
async fn the_commands_do_it_beside_a_running_directory_and_without_one() {
    let server = ScriptedServer::start(|_| Script::absent()).await.unwrap();
    let settings = format!(
        "admin = \"127.0.0.1:{}\"\n[[catalog]]\nname = \"world\"\nid = \"{}\"\norigin = \"{}\"\n",
        free_port(),
        odi_manifest::CatalogId::of(b"nothing yet"),
        server.url()
    );
    let mut daemon = DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &settings);
    let (config, folder) = (daemon.config(), TempDir::new().unwrap());
    let run = |verb: &str, at: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
        command.args(["--allow-private-addresses", "--config"]).arg(&config).arg(verb).arg(at);
        command.output().unwrap()
    };
    daemon.start().await;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let done = run("backup", &first);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(run("backup", &first).status.code(), Some(1), "it is not empty");
    assert_eq!(run("restore", &first).status.code(), Some(1), "there is a directory");
    daemon.kill();
    assert_eq!(run("backup", &second).status.code(), Some(0));
    let data = config.with_file_name("data");
    let key = std::fs::read(data.join("identity.key")).unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    assert_eq!(run("restore", &second).status.code(), Some(0));
    assert_eq!(std::fs::read(data.join("identity.key")).unwrap(), key);
    daemon.start().await;
}
