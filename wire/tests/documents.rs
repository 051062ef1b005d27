//! The JSON documents, key by key as PROTOCOL.md lists them: a changed key is a changed protocol.
#![allow(clippy::unwrap_used, reason = "a test that unwraps wrongly fails")]

use odi_manifest::{CatalogId, HeadId, Pin, SigningKey, Timestamp};
use odi_wire::catalog_settings::ClientInstructions;
use odi_wire::message::{
    BudgetStatus, CatalogSummary, DaemonKind, DirectoryLink, DirectoryStatus, DocumentError, HeadStatus,
    LeaseReply, RegistrationReply, RelayCatalog, RelayHolding, RelayState, RelayStatus, RelaySummary,
    ServedCatalog, SourceStatus, WellKnown, from_json, to_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Checks that a document reads back, and returns its keys and those of everything in it, in order.
fn keys<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(document: &T) -> Vec<String> {
    let bytes = to_json(document);
    assert_eq!(&from_json::<T>(&bytes, "the document").unwrap(), document);
    let mut found = Vec::new();
    collect(&serde_json::from_slice(&bytes).unwrap(), "", &mut found);
    found
}

fn collect(value: &serde_json::Value, prefix: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                found.push(format!("{prefix}{key}"));
                collect(value, &format!("{prefix}{key}."), found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, prefix, found)),
        _ => {}
    }
}

fn id() -> odi_manifest::PublicKey {
    SigningKey::from_seed(&[1; 32]).public_key()
}

fn head() -> HeadStatus {
    let head = HeadId::of(b"head");
    HeadStatus { seq: 7, head, pin: Pin::of(7, &head), entries: 1, bytes: 2, expires: Timestamp(3) }
}

#[test]
fn who_answers_here() {
    let catalog = ServedCatalog { name: "debian".into(), id: CatalogId::of(b"root"), seq: 7 };
    let urls = vec!["https://everest.example.org".to_owned()];
    let document = WellKnown { v: 1, kind: DaemonKind::Directory, id: id(), urls, catalogs: vec![catalog] };
    assert_eq!(
        keys(&document),
        ["catalogs", "catalogs.id", "catalogs.name", "catalogs.seq", "id", "kind", "urls", "v"]
    );
    let text = String::from_utf8(to_json(&document)).unwrap();
    assert!(text.contains("\"kind\":\"directory\"") && text.contains("\"id\":\"ssh-ed25519 AAAA"), "{text}");
}

#[test]
fn catalogs_and_relays_of_a_directory() {
    let HeadStatus { seq, head, pin, entries, bytes, expires } = head();
    let id = CatalogId::of(b"root");
    let (name, tags, title) = ("debian".into(), ["a".to_owned()].into(), Some("Debian".into()));
    let clients = vec![ClientInstructions { name: "apt".into(), text: "deb".into() }];
    let catalog = CatalogSummary {
        name,
        id,
        seq,
        head,
        pin,
        entries,
        bytes,
        expires,
        stale: false,
        tags,
        title,
        clients,
    };
    let expected =
        ["bytes", "clients", "clients.name", "clients.text", "entries", "expires", "head", "id", "name"];
    assert_eq!(keys(&catalog), [&expected[..], &["pin", "seq", "stale", "tags", "title"]].concat());
    let relay = RelaySummary {
        id: self::id(),
        urls: vec![],
        state: RelayState::Probation,
        lease_until: Timestamp(1),
        probed: Some(Timestamp(1)),
        reports: 1,
        catalogs: vec![RelayHolding { id, seq: Some(7), share: 65_536 }],
        reason: Some("a chunk was wrong".into()),
    };
    let expected =
        ["catalogs", "catalogs.id", "catalogs.seq", "catalogs.share", "id", "lease_until", "probed"];
    assert_eq!(keys(&relay), [&expected[..], &["reason", "reports", "state", "urls"]].concat());
    assert_eq!(keys(&RegistrationReply { state: RelayState::Unproven }), ["state"]);
    let lease = LeaseReply {
        state: RelayState::Unknown,
        lease_until: Timestamp(0),
        assignment_gen: 0,
        roster_gen: 0,
        reason: None,
    };
    assert_eq!(keys(&lease), ["assignment_gen", "lease_until", "roster_gen", "state"]);
    assert!(String::from_utf8(to_json(&lease)).unwrap().contains("\"unknown\""));
}

#[test]
fn status_of_a_relay() {
    let catalog = RelayCatalog {
        name: "debian".into(),
        id: CatalogId::of(b"root"),
        served: Some(head()),
        full: Some(head().pin),
        assigned: true,
        missing_blobs: 0,
        missing_bytes: 0,
        stale: false,
        bad_entries: 0,
        fault: None,
        settings_fault: None,
    };
    let status = RelayStatus {
        v: 1,
        kind: DaemonKind::Relay,
        id: id(),
        version: "0.1.0".into(),
        started: Timestamp(1),
        ready: true,
        catalogs: vec![catalog],
        stored_bytes: 5,
        budget: BudgetStatus { disk_bytes: 10, ..BudgetStatus::default() },
        sources: vec![SourceStatus {
            url: "http://origin".into(),
            bytes: 1,
            wasted: 0,
            failures: 0,
            wrong_chunks: 0,
            banned_until: None,
        }],
        directories: vec![DirectoryLink {
            reason: None,
            url: "http://directory".into(),
            id: None,
            state: RelayState::Ready,
            lease_until: None,
            assigner: true,
            introduced: false,
            fault: None,
            next_try: None,
        }],
    };
    let found = keys(&status);
    for required in
        ["id", "catalogs", "stored_bytes", "budget", "sources", "budget.disk_bytes", "catalogs.served.pin"]
    {
        assert!(found.iter().any(|key| key == required), "{required} of {found:?}");
    }
}

#[test]
fn readers_pass_over_new_keys_and_name_what_is_wrong() {
    let document = br#"{"v":1,"kind":"relay","id":"no key","urls":[],"catalogs":[],"new":{"x":1}}"#;
    let error = from_json::<WellKnown>(document, "a well-known document").unwrap_err();
    assert_eq!(error.to_string(), "the document does not read as a well-known document");
    let new = br#"{"state":"ready","new":[1]}"#;
    assert_eq!(from_json::<RegistrationReply>(new, "").unwrap().state, RelayState::Ready);
    let huge = vec![b' '; (8 << 20) + 1];
    assert!(matches!(from_json::<DirectoryStatus>(&huge, ""), Err(DocumentError::TooLarge(_))));
}
