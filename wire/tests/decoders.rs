//! What holds for any bytes from a stranger, over damaged samples: the oracles of `fixtures/fuzz`, bounded, on every test
//! run.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../manifest/tests/support/damage.rs"]
mod damage;
#[path = "../../fixtures/fuzz/src/message_oracles.rs"]
#[allow(unreachable_pub, reason = "public to the fuzz targets, which share it")]
mod message_oracles;
#[path = "../../fixtures/fuzz/src/request_oracles.rs"]
#[allow(unreachable_pub, reason = "public to the fuzz targets, which share it")]
mod request_oracles;
#[path = "support/sample_statements.rs"]
mod sample_statements;

use damage::{Sample, check_accepted, check_damaged};
use message_oracles::{
    challenge, document, head_pack, holders, look, notice, passed, push, statement, testimony,
};
use odi_fixtures::{PublishedCatalog, put};
use odi_manifest::{BlobId, CatalogId, HeadId, Pin};
use odi_wire::layout::api_base;
use odi_wire::message::{
    Challenge, Look, Looked, Notify, PreSharedKey, PublicUrl, Push, Testimony, encode_holders, encode_passed,
    encode_wanted, state,
};
use proptest::prelude::*;
use request_oracles::{catalog_settings, file_request, one_signed_request, request_target, signed_request};
use sample_statements::{assignment, audit, denials, inventory, key, leave, registration};
use serde_json::json;

fn statements() -> Vec<Sample> {
    let inventory = state(inventory(2), &key(1)).unwrap();
    let asked = Challenge { v: 1, dir: key(2).public_key(), nonce: [5; 32] };
    let url = PublicUrl::parse("https://relay.example.net").unwrap();
    let secret = PreSharedKey::from_bytes([7; 32]).answer_key(&asked.dir, &key(1).public_key());
    let answer = asked.answer(&url, &secret, &key(1)).unwrap();
    let news = Notify { v: 1, dir: asked.dir, catalogs: vec![CatalogId::of(b"root")], assignment_gen: 3 };
    let passed_on = [inventory.clone(), b"junk".to_vec()];
    let mut wanted = vec![(key(1).public_key(), 8), (key(2).public_key(), 0)];
    wanted.sort_unstable();
    let looking = Look { v: 1, dir: asked.dir, url: audit().url, range: Some((3, 900)) };
    let looked = Looked { v: 1, status: 206, bytes: b"what was seen".to_vec() };
    let pushed = Push {
        head: b"a head".to_vec(),
        roots: vec![b"a root".to_vec(), vec![]],
        rev: Some(vec![0x80]),
        diff: Some(b"a diff".to_vec()),
    };
    let shown = Testimony {
        head: Some(b"a head".to_vec()),
        rver: 3,
        cosigs: vec![b"a cosignature".to_vec(), vec![]],
        proofs: vec![[HeadId::of(b"one"), HeadId::of(b"two")]],
    };
    let mut published = PublishedCatalog::new("debian", 1);
    for path in ["a", "b", "c"] {
        published.publish(&[put(path, path.as_bytes())]);
    }
    let heads: Vec<u8> = published.heads.iter().flat_map(|head| head.encode()).collect();
    vec![
        Sample::new("statement", statement, inventory),
        Sample::new("statement", statement, state(registration(), &key(1)).unwrap()),
        Sample::new("statement", statement, state(assignment(), &key(2)).unwrap()),
        Sample::new("statement", statement, state(leave(), &key(1)).unwrap()),
        Sample::new("statement", statement, state(denials(), &key(2)).unwrap()),
        Sample::new("statement", statement, state(audit(), &key(2)).unwrap()),
        Sample::new("look", look, looking.encode().unwrap()),
        Sample::new("look", look, looked.encode().unwrap()),
        Sample::new("passed", passed, encode_wanted(&wanted).unwrap()),
        Sample::new("passed", passed, encode_passed(passed_on.iter().map(Vec::as_slice))),
        Sample::new("challenge", challenge, asked.encode().unwrap()),
        Sample::new("challenge", challenge, answer.encode().unwrap()),
        Sample::new("notice", notice, news.encode().unwrap()),
        Sample::new("push", push, pushed.encode().unwrap()),
        Sample::new("testimony", testimony, shown.encode()),
        Sample::new("holders", holders, encode_holders(passed_on.iter().map(Vec::as_slice))),
        Sample::new("head_pack", head_pack, heads),
    ]
}

fn documents() -> Vec<Sample> {
    let (id, catalog, head) = (key(1).public_key().to_string(), CatalogId::of(b"root"), HeadId::of(b"head"));
    let newest = json!({
        "seq": 7, "head": head, "pin": Pin::of(7, &head), "entries": 1, "bytes": 2, "expires": 1_800_000_000,
    });
    let relay = json!({
        "v": 1, "kind": "relay", "id": id, "version": "0.1.0", "started": 1_790_000_000, "ready": true,
        "catalogs": [{ "name": "debian", "id": catalog, "served": newest, "full": Pin::of(7, &head),
            "assigned": true, "missing_blobs": 0, "missing_bytes": 0, "stale": false, "bad_entries": 0, "fault": "none\u{e9}" }],
        "stored_bytes": 5, "budget": { "disk_bytes": 10, "disk_used": 5, "rate_bytes": 9, "transfer_used": 0 },
        "sources": [{ "url": "http://origin", "bytes": 1, "wasted": 0, "failures": 0, "wrong_chunks": 0 }],
        "directories": [{ "url": "http://directory", "state": "ready", "assigner": true }],
    });
    let directory = json!({
        "v": 1, "kind": "directory", "id": id, "version": "0.1.0", "started": 1, "ready": false,
        "catalogs": [{ "name": "debian", "id": catalog, "adopted": newest, "stale": false, "relays": 1 }],
        "relays": { "unproven": 0, "probation": 1, "ready": 2, "quarantined": 3 },
        "carried_bytes": 0, "carry_budget": 9,
    });
    let relays = json!([{
        "id": id, "urls": ["http://r"], "state": "probation", "lease_until": 9, "probed": 8, "reports": 0,
        "catalogs": [{ "id": catalog, "seq": 7, "share": 65_536 }], "reason": "a chunk was wrong",
    }]);
    let lease =
        json!({ "state": "ready", "lease_until": 9, "assignment_gen": 0, "roster_gen": 0, "reason": null });
    let well_known = json!({
        "v": 1, "kind": "relay", "id": id, "urls": ["http://r"], "new": [{}],
        "catalogs": [{ "name": "debian", "id": catalog, "seq": 7 }],
    });
    let documents = [relay, directory, relays, lease, well_known];
    documents.map(|sample| Sample::new("document", document, sample.to_string())).into()
}

const SETTINGS: &str = r#"
index = ["home.html"]
index_without_slash = ["index.json"]
[[media]]
paths = "simple/*"
type = "text/html"
[[pull]]
paths = "pool/*"
from = ["https://cdn.example.org/debian", "http://mirror.example.net/d/"]
[[elsewhere]]
folder = "pool"
from = "https://depot.example.org/v1/"
[[elsewhere]]
path = "a.html"
url = "https://depot.example.org/get?id=7"
[retention]
keep_hours = 24
[[client]]
name = "apt"
text = "deb {url} stable main"
"#;

fn requests() -> Vec<Sample> {
    let pin = Pin::of(17, &HeadId::of(b"head"));
    let base = api_base(&CatalogId::of(b"root"));
    let head = HeadId::of(b"2");
    let targets = [
        "/".to_owned(),
        "/debian".to_owned(),
        "/npm/%40scope%2Fname/-/a%20b.tgz?avoid=r1&avoid=AS%20680&relay=x&https=0".to_owned(),
        "/debian@bookworm-2/pool/".to_owned(),
        format!("/{pin}/pool/a+b~1:2.deb?mirrorlist"),
        format!("/blake3/{}", BlobId::of(b"x")),
        format!("{base}diffs/{head}-{head}?after=pool%2Fa"),
        format!("{base}heads/3.cborseq"),
        format!("{base}head?after=3&wait=100"),
        format!("{base}proof?path=a%2Fb&head={head}"),
        format!("{base}testimony?unlike={head}&wait=50"),
        format!("{base}equivocations/{head}-{head}"),
        format!("{base}push"),
        "/.well-known/odi/challenge".to_owned(),
        "/?json".to_owned(),
        "/odi/catalogs/debian?json".to_owned(),
        format!("/odi/relays/{head}"),
        format!("/odi/v1/relays/reports?unlike={head}&wait=50"),
        "/odi/v1/relays/statements".to_owned(),
    ];
    let asked =
        |method: u8, fields: &str| [&[method][..], &1000_u64.to_le_bytes(), fields.as_bytes()].concat();
    let tag = format!("\"{}\"", BlobId::of(b"a file"));
    let files = [
        asked(0, "rbytes=0-4, 10-19,-5"),
        asked(0, &format!("rbytes=900-\nR{tag}\nm{tag}, \"x\"")),
        asked(0, "rbytes=1000-\nRSun, 06 Nov 1994 08:49:37 GMT"),
        asked(1, &format!("nW/\"x\", {tag}")),
        asked(1, "sSunday, 06-Nov-94 08:49:37 GMT"),
        asked(0, "uSun Nov  6 08:49:36 1994"),
    ];
    let mut samples = vec![
        Sample::new("signed_request", signed_request, one_signed_request()),
        Sample::new("catalog_settings", catalog_settings, SETTINGS),
    ];
    samples.extend(targets.map(|target| Sample::new("request_target", request_target, target)));
    samples.extend(files.map(|file| Sample::new("file_request", file_request, file)));
    samples
}

#[test]
fn samples_themselves_hold() {
    for samples in [statements(), documents(), requests()] {
        check_accepted(&samples);
    }
}

#[test]
fn damaged_statements_hold() {
    check_damaged(&statements(), 300);
}

#[test]
fn damaged_documents_hold() {
    check_damaged(&documents(), 200);
}

#[test]
fn damaged_requests_hold() {
    check_damaged(&requests(), 300);
}

proptest! {
    #[test]
    fn any_bytes_hold(bytes: Vec<u8>) {
        for oracle in [
            statement, challenge, look, notice, passed, push, testimony, holders, document, head_pack, signed_request, file_request, request_target,
            catalog_settings,
        ] {
            oracle(&bytes);
        }
    }

    /// What is read of a request is text that only just means something, or only just does not.
    #[test]
    fn any_fields_of_a_request_hold(
        size in 0..2000_u64,
        range in "(bytes=)?[-0-9, ]{0,30}",
        tags in "[\"W/*, a]{0,20}",
        target in "/(odi/v1/catalogs/|debian@?|blake3/|@1-)?[a-z0-9%/.?&=@-]{0,40}",
    ) {
        for name in ["R", "m", "n"] {
            let fields = format!("r{range}\n{name}{tags}");
            file_request(&[&[0][..], &size.to_le_bytes(), fields.as_bytes()].concat());
        }
        request_target(target.as_bytes());
    }
}
