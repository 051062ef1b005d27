//! What the operator decides: it holds over restarts, is shown where it matters, and nobody else can ask for it.

use std::process::{Command, Output};

use odi_fixtures::{DaemonProcess, free_port};
use odi_manifest::CatalogId;
use odi_wire::client::Ask;
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::RelayState;
use serde_json::{Value, json};

use crate::joined::joined;
use crate::world::World;

impl World {
    fn operator_url(&self, target: &str) -> url::Url {
        let addr = self.directory.as_ref().unwrap().admin_addr().unwrap();
        format!("http://{addr}/admin/{target}").parse().unwrap()
    }

    pub(crate) async fn operate(&self, verb: &str, body: Value) -> (StatusCode, Value) {
        let ask = Ask::post(&self.operator_url(verb), "application/json", body.to_string());
        let ask = ask.header("odi-admin", HeaderValue::from_static("operate"));
        let reply = self.client.send(ask).await.unwrap();
        let (status, body) = (reply.status, reply.body.collect().await.unwrap());
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn listed(&self, what: &str) -> Value {
        let ask = Ask::get(&self.operator_url(what)).header("odi-admin", HeaderValue::from_static("operate"));
        let reply = self.client.send(ask).await.unwrap();
        serde_json::from_slice(&reply.body.collect().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn who_is_shut_out_gets_nobody_until_released_restarts_and_announcements_or_not() {
    let (publisher, _origin, mut world, mut relay) = joined().await;
    let heads = [publisher.newest().id()];
    let key = relay.key.public_key().to_hex();
    let page = format!("/odi/relays/{key}?json");
    assert_eq!(world.sent("/world/big").await.0, StatusCode::FOUND);
    let (status, said) =
        world.operate("quarantine", json!({"relay": &key[..8], "why": "<b>too slow</b>"})).await;
    assert_eq!(
        (status, &said["decision"]["verdict"], &said["state"]),
        (StatusCode::OK, &"quarantined".into(), &"quarantined".into())
    );
    for round in 0..2 {
        let explained = world.json("/world/big?explain&json").await;
        assert_eq!(explained["passed_over"][0]["code"], "barred", "round {round}: {explained}");
        assert_ne!(world.sent("/world/big").await.1, format!("{}/", relay.url));
        let shown = world.json(&page).await;
        let words = "this directory's operator has shut it out: <b>too slow</b>";
        assert_eq!((&shown["step"]["name"], &shown["reason"]), (&"barred".into(), &words.into()));
        assert_eq!(shown["decision"]["why"], "<b>too slow</b>");
        // Its operator is told, and nothing that it does changes anything.
        let lease = relay.announce(&world, &publisher.id, &heads).await;
        assert_eq!((lease.state, lease.reason.as_deref()), (RelayState::Quarantined, Some(words)));
        if round == 0 {
            world.restart().await;
        }
    }
    relay.register(&world).await;
    relay.until(&world, RelayState::Quarantined).await;

    assert_eq!(world.operate("release", json!({"relay": relay.url.as_str()})).await.0, StatusCode::OK);
    relay.announce(&world, &publisher.id, &heads).await;
    relay.until(&world, RelayState::Ready).await;
    world.until(async || world.sent("/world/big").await.1.starts_with(relay.url.as_str())).await;
    assert!(world.json(&page).await["decision"].is_null());
}

#[tokio::test]
async fn who_is_removed_is_gone_and_stays_away_until_let_in() {
    let (publisher, _origin, mut world, mut relay) = joined().await;
    let key = relay.key.public_key().to_hex();
    let record = world.data_dir().join(format!("data/relays/{key}.json"));
    assert!(record.exists());
    let (status, said) = world.operate("remove", json!({"relay": key})).await;
    assert_eq!((status, &said["known"]), (StatusCode::OK, &false.into()));
    assert!(!record.exists() && relay.summary(&world).await.is_null());
    assert_eq!(relay.register(&world).await, StatusCode::FORBIDDEN);
    world.restart().await;
    assert_eq!(relay.register(&world).await, StatusCode::FORBIDDEN);
    assert_eq!(world.listed("relays").await[0]["decision"]["verdict"], "removed");
    assert_eq!(world.operate("approve", json!({"relay": &key[..10]})).await.0, StatusCode::OK);
    relay.join(&world, &publisher.id, &[publisher.newest().id()]).await;
}

#[tokio::test]
async fn only_a_program_of_this_machine_may_ask() {
    let world = World::start(&CatalogId::of(b"nothing yet"), None).await;
    let field = ("odi-admin", HeaderValue::from_static("operate"));
    let post = || Ask::post(&world.operator_url("remove"), "text/plain", "{\"relay\":\"x\"}");
    for (what, ask) in [
        ("no field", post()),
        (
            "a page's",
            post().header(field.0, field.1.clone()).header("origin", HeaderValue::from_static("null")),
        ),
        (
            "a name that leads here now",
            post()
                .header(field.0, field.1.clone())
                .header("host", HeaderValue::from_static("evil.example:9400")),
        ),
        ("a read without the field", Ask::get(&world.operator_url("relays"))),
    ] {
        assert_eq!(world.client.send(ask).await.unwrap().status, StatusCode::FORBIDDEN, "{what}");
    }
    assert_eq!(world.operate("remove", json!({"relay": "x"})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.operate("remove", json!({"relays": "x"})).await.0, StatusCode::BAD_REQUEST);
    let long = json!({"relay": "ab".repeat(32), "why": "x".repeat(501)});
    assert_eq!(world.operate("quarantine", long).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.get("/admin/relays").await.status, StatusCode::NOT_FOUND, "on the public listener");
}

#[tokio::test]
async fn the_command_line_does_it_and_ends_as_documented() {
    let admin = free_port();
    let settings = format!(
        "admin = \"127.0.0.1:{admin}\"\n[[catalog]]\nname = \"world\"\nid = \"{}\"\n",
        CatalogId::of(b"nothing yet")
    );
    let mut daemon = DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &settings);
    let config = daemon.config();
    let run = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
        command.args(["--allow-private-addresses", "--config"]).arg(&config).arg("admin").args(arguments);
        command.output().unwrap()
    };
    assert_eq!(run(&["relays"]).status.code(), Some(69), "nobody answers");
    daemon.start().await;
    let catalogs = run(&["catalogs"]);
    assert_eq!(catalogs.status.code(), Some(0));
    assert!(String::from_utf8(catalogs.stdout).unwrap().starts_with("world  odi1"));
    assert_eq!(run(&["quarantine", "nobody.example"]).status.code(), Some(67));
    let key = odi_manifest::SigningKey::from_seed(&[3; 32]).public_key();
    let done = run(&["quarantine", &key.to_string(), "--why", "it is not ours", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["key"], &said["decision"]["why"]), (&key.to_hex().into(), &"it is not ours".into()));
    let listed = String::from_utf8(run(&["relays"]).stdout).unwrap();
    assert!(listed.contains("quarantined by you") && listed.contains("it is not ours"), "{listed}");
    let explained = run(&["explain", "/world/a"]);
    assert_eq!(explained.status.code(), Some(1), "it has no state yet: {explained:?}");
    assert_eq!(run(&["approve"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_catalog_that_is_added_on_the_command_line_is_followed_at_once() {
    let admin = free_port();
    let mut daemon =
        DaemonProcess::new(env!("CARGO_BIN_EXE_odi-directoryd"), &format!("admin = \"127.0.0.1:{admin}\"\n"));
    let config = daemon.config();
    let add = |name: &str, id: &[u8], origin: &str| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
        command.args(["--allow-private-addresses", "--config"]).arg(&config).args(["admin", "add", name]);
        command.arg(CatalogId::of(id).to_string()).args(["--origin", origin]).output().unwrap()
    };
    let early = add("early", b"early", "http://127.0.0.1:9/");
    assert_eq!(early.status.code(), Some(69), "nobody is there yet to take it up: {early:?}");
    daemon.start().await;
    let added = add("late", b"late", "http://127.0.0.1:9/tree/");
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    let said = String::from_utf8(added.stdout).unwrap();
    assert!(said.contains("catalogs.d/late.toml") && said.contains(" as late"), "{said}");
    let listed = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"))
        .args(["--allow-private-addresses", "--config"])
        .arg(&config)
        .args(["admin", "catalogs"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("early  odi1") && listed.contains("late  odi1"), "{listed}");

    let folder = config.with_file_name("catalogs.d");
    for (name, id, origin, code, words) in [
        ("late", &b"other"[..], "http://127.0.0.1:9/", 78, "`late` stands in "),
        ("other", b"late", "http://127.0.0.1:9/", 78, "late.toml too"),
        ("other", b"other", "ftp://127.0.0.1/", 78, "the scheme is http or https"),
        ("../evil", b"other", "http://127.0.0.1:9/", 2, "NAME"),
    ] {
        let refused = add(name, id, origin);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
    std::fs::write(folder.join("taken.toml"), "").unwrap();
    assert_eq!(add("taken", b"taken", "http://127.0.0.1:9/").status.code(), Some(73));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
}
