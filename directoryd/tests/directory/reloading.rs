//! What a SIGHUP changes: catalogs come, go and get other origins while the directory runs; the rest is said to wait.

use std::path::PathBuf;
use std::time::Duration;

use odi_directoryd::Reloaded;
use odi_directoryd::config::{CatalogConfig, Fault, FaultyFile};
use odi_fixtures::DaemonProcess;
use odi_manifest::Timestamp;
use odi_wire::http::StatusCode;

use crate::publisher::Publisher;
use crate::world::{START, World};

fn another() -> Publisher {
    Publisher::under_a_root_until(Timestamp(START.0 + (1 << 29)))
}

fn catalog(name: &str, publisher: &Publisher, origin: &str) -> CatalogConfig {
    CatalogConfig {
        name: name.parse().unwrap(),
        id: publisher.id,
        origin: Some(format!("{origin}/").parse().unwrap()),
        poll: Duration::from_secs(86_400),
        mirrors: Vec::new(),
        file: Some(PathBuf::from("/etc/odi/catalogs.d/other.toml")),
    }
}

#[tokio::test]
async fn catalogs_come_and_go_and_come_again() {
    let (mut first, mut second) = (Publisher::new(), another());
    first.publish(&[("a", b"first")]);
    second.publish(&[("a", b"second")]);
    let (origin, other) = (first.serve().await, second.serve().await);
    let world = World::start(&first.id, Some(&origin.url())).await;
    world.until_served(1).await;
    let added = catalog("other", &second, other.url().trim_end_matches('/'));
    let done = world.reload(|config| config.catalogs.push(added.clone())).await;
    assert_eq!(done, Reloaded { added: vec!["other".to_owned()], ..Reloaded::default() });
    world.until(async || world.body("/other/a").await == b"second").await;
    assert_eq!(world.body("/world/a").await, b"first");

    // Its file has a fault now: nothing of what was taken of it falls for that.
    let faulty = FaultyFile {
        path: PathBuf::from("/etc/odi/catalogs.d/other.toml"),
        faults: vec![Fault { line: Some(3), what: "poll".to_owned() }],
    };
    assert_eq!(world.reload(|config| config.faulty_files.push(faulty)).await, Reloaded::default());
    assert_eq!(world.body("/other/a").await, b"second");

    let gone = world.reload(|_| ()).await;
    assert_eq!(gone, Reloaded { removed: vec!["other".to_owned()], ..Reloaded::default() });
    assert_eq!(world.get("/other/a").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.body("/world/a").await, b"first");

    second.publish(&[("a", b"newer")]);
    let again = world.reload(|config| config.catalogs.push(added)).await;
    assert_eq!(again.added, ["other"]);
    world
        .until(async || {
            world.body("/other/a").await == b"newer"
                || world.json("/odi/v1/status").await["catalogs"].to_string().contains("\"seq\":2")
        })
        .await;
    assert_eq!(world.body("/world/a").await, b"first");
}

#[tokio::test]
async fn an_origin_moves_and_what_cannot_change_is_named() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"one")]);
    let old = publisher.serve().await;
    let world = World::start(&publisher.id, Some(&old.url())).await;
    world.until_served(1).await;
    drop(old);
    let new = publisher.serve().await;
    publisher.publish(&[("a", b"two")]);
    let done = world
        .reload(|config| {
            config.catalogs[0].origin = Some(new.url().parse().unwrap());
            config.copies = 7;
            config.listen.clear();
        })
        .await;
    assert_eq!(
        (done.changed, done.kept),
        (vec!["world".to_owned()], vec!["listen".to_owned(), "copies".to_owned()])
    );
    world.until(async || world.adopted().await == Some(2)).await;
}

#[tokio::test]
async fn a_real_hang_up_takes_a_new_file_and_survives_bad_ones() {
    let (mut first, mut second) = (Publisher::new(), another());
    first.publish(&[("a", b"first")]);
    second.publish(&[("a", b"second")]);
    let (origin, other) = (first.serve().await, second.serve().await);
    let table = |name: &str, publisher: &Publisher, origin: &str| {
        format!("[[catalog]]\nname = \"{name}\"\nid = \"{}\"\norigin = \"{origin}\"\n", publisher.id)
    };
    let settings = table("world", &first, &origin.url());
    let mut daemon = DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &settings);
    daemon.start().await;
    daemon.until(async || daemon.get("world/a").await.is_some()).await;
    let folder = daemon.config().with_file_name("catalogs.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("1.toml"), "nonsense = true\n").unwrap();
    std::fs::write(folder.join("2.toml"), table("other", &second, &other.url())).unwrap();
    daemon.hang_up();
    daemon.until(async || daemon.get("other/a").await.as_deref() == Some(b"second")).await;

    // A configuration that cannot be read changes nothing.
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    std::fs::write(daemon.config(), "data_dir =").unwrap();
    std::fs::remove_file(folder.join("2.toml")).unwrap();
    daemon.hang_up();
    assert_eq!(daemon.get("other/a").await.as_deref(), Some(&b"second"[..]));
    std::fs::write(daemon.config(), text).unwrap();
    daemon.hang_up();
    daemon.until(async || daemon.get("other/a").await.is_none()).await;
    assert_eq!(daemon.get("world/a").await.as_deref(), Some(&b"first"[..]));
}
