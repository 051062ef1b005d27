//! Each page over plain data, as it is and over what strangers might say.

use odi_manifest::{BlobId, CatalogId, HeadId, Pin, PublicKey, Sha256, SigningKey, Timestamp};
use odi_wire::catalog_settings::ClientInstructions;
use odi_wire::message::{
    CatalogFreshness, DOCUMENT_VERSION, DifferenceKind, EquivocationStatus, FreshnessState, HeadStatus,
    Lifetime, OwnWord, PeerDifference, PeerStatus, RelayCounts, RelayHolding, RelayState, WitnessWord,
};

use super::*;
use crate::documents::{Explained, ExplainedMirror, Explanation, PassedOver};
use crate::history::{Change, Condition};
use crate::reports::{AuditReport, DirectoryReport};
use crate::roster::{Decision, Looks};
use crate::select::mirrors::Against;
use crate::select::{Nearness, Why};
use crate::statistics::{Day, Line, Tally};

const NOW: Timestamp = Timestamp(1_795_365_600);
/// What every text of strangers is in the hostile pages.
const HOSTILE: &str = "\"'><script src=//evil.example>alert(1)</script><img onerror=x>&lt;";

fn relay(n: u8) -> PublicKey {
    SigningKey::from_seed(&[n; 32]).public_key()
}

fn id() -> CatalogId {
    CatalogId::of(b"root")
}

fn status(seq: u64) -> HeadStatus {
    let head = HeadId::of(&seq.to_le_bytes());
    HeadStatus {
        seq,
        head,
        pin: Pin::of(seq, &head),
        entries: 1_234_567,
        bytes: 2_345_678_901,
        expires: Timestamp(NOW.0 + 86_400 * 60),
    }
}

fn traffic() -> Traffic {
    let today = Day::of(NOW);
    let tally = |downloads| Some(Tally { downloads, bytes: downloads * 1000 });
    let line = |back, redirected| Line {
        day: Some(today.back(back)),
        carried: tally(10),
        redirected,
        confirmed: tally(900),
        ..Line::default()
    };
    Traffic { today, days: vec![line(3, tally(990)), line(0, None)] }
}

fn network(text: impl Fn(&str) -> String) -> NetworkPage {
    let line = |n, state, shut_out: Option<Why>, weight| RelayLine {
        id: relay(n),
        urls: vec![text(&format!("https://r{n}.example"))],
        state,
        shut_out: shut_out.map(Verdict::from),
        weight,
        at: (n < 2).then_some((5252 - i16::from(n) * 8600, 1340 + i16::from(n) * 13_780)),
        probed: shut_out.is_none().then_some(NOW),
        catalogs: vec![RelayHolding { id: id(), seq: Some(17), share: 65_536 >> n }],
    };
    NetworkPage {
        v: DOCUMENT_VERSION,
        id: relay(9),
        urls: vec![text("https://everest.example")],
        version: "0.1.0",
        started: NOW,
        now: NOW,
        counts: RelayCounts { ready: 1, probation: 1, unproven: 0, quarantined: 1 },
        catalogs: vec![
            CatalogLine {
                name: "debian".to_owned(),
                id: id(),
                title: Some(text("Debian packages")),
                lifetime: Some(Lifetime::Good),
                freshness: Some(FreshnessState::Fresh),
                served: Some(status(17)),
                created: Some(NOW),
                waiting: 1,
                followers: 2,
                reach: Reach { relays: 2, full: 2, copies: 98_304 },
                fault: None,
            },
            CatalogLine {
                name: "empty".to_owned(),
                id: CatalogId::of(b"other root"),
                title: None,
                lifetime: None,
                freshness: None,
                served: None,
                created: None,
                waiting: 0,
                followers: 0,
                reach: Reach::default(),
                fault: Some(text("the origin does not answer")),
            },
        ],
        relays: vec![
            line(0, RelayState::Ready, None, 300),
            line(1, RelayState::Probation, None, 100),
            line(2, RelayState::Quarantined, Some(Why::Quarantined), 0),
        ],
        weights: 400,
        traffic: traffic(),
        peers: vec![
            PeerStatus {
                url: text("https://shasta.example/"),
                id: Some(relay(8)),
                heard: Some(NOW),
                fault: None,
                differs: vec![PeerDifference {
                    catalog: "debian".to_owned(),
                    kind: DifferenceKind::Behind,
                    seq: 16,
                    here: 17,
                    since: NOW,
                }],
                passed: 12,
                passing_fault: Some(text("what it passes on does not read")),
            },
            PeerStatus {
                url: text("https://k2.example/"),
                id: None,
                heard: None,
                fault: Some(text("unreachable")),
                differs: vec![],
                passed: 0,
                passing_fault: None,
            },
        ],
    }
}

fn freshness(text: impl Fn(&str) -> String) -> CatalogFreshness {
    let witness = |n, name: &str, seq: Option<u64>, counts| WitnessWord {
        name: text(name),
        key: relay(n),
        seq,
        t: seq.map(|_| NOW),
        counts,
    };
    CatalogFreshness {
        state: FreshnessState::Stale,
        quorum: 2,
        vouching: 1,
        newest: Some(NOW),
        until: None,
        since: Some(NOW),
        witnesses: vec![
            witness(9, "everest", Some(17), true),
            witness(8, "shasta", Some(16), false),
            witness(7, "k2", None, false),
        ],
        own: Some(OwnWord::Behind),
    }
}

fn catalog(text: impl Fn(&str) -> String) -> CatalogPage {
    let head = |seq, state, served: Option<u64>, superseded: Option<u64>, full| HeadLine {
        head: status(seq),
        state,
        created: Timestamp(NOW.0 - 7200),
        adopted: Timestamp(NOW.0 - 3600),
        served: served.map(Timestamp),
        superseded: superseded.map(Timestamp),
        reach: Reach { relays: 2, full, copies: u64::from(full) << 16 },
    };
    CatalogPage {
        v: DOCUMENT_VERSION,
        name: "debian".to_owned(),
        id: id(),
        url: "https://everest.example/debian/".to_owned(),
        title: Some(text("Debian packages")),
        home: Some(text("https://debian.example/?a=1&b=2")),
        origin: Some(text("https://ftp.example/debian/")),
        tags: vec![text("ecosystem:debian")],
        labels: vec![("stable".to_owned(), 16)],
        lifetime: Some(Lifetime::Ending),
        expires: Some(Timestamp(NOW.0 + 86_400)),
        root_expires: Some(Timestamp(NOW.0 + 86_400 * 300)),
        freshness: Some(freshness(&text)),
        equivocations: vec![EquivocationStatus {
            epoch: 1,
            seq: 16,
            heads: [HeadId::of(b"one"), HeadId::of(b"two")],
        }],
        polled: Some(NOW),
        fault: Some(text("the origin does not answer")),
        settings_fault: Some(text("odi-catalog.toml: line 1, key `index`: must be a list of strings")),
        heads: vec![
            head(18, HeadState::Waiting, None, None, 0),
            head(17, HeadState::Served, Some(NOW.0 - 3500), None, 1),
            head(16, HeadState::Former, None, Some(NOW.0 - 3500), 2),
        ],
        followers: 3,
        holders: vec![
            HolderLine {
                relay: relay(1),
                url: Some(text("https://r1.example:8443")),
                state: RelayState::Ready,
                shut_out: None,
                seq: Some(17),
                full: Some(17),
                share: 65_536,
                lacks: 2,
            },
            HolderLine {
                relay: relay(2),
                url: None,
                state: RelayState::Ready,
                shut_out: Some(Why::Unprobed.into()),
                seq: None,
                full: None,
                share: 1024,
                lacks: 0,
            },
        ],
        mirrors: vec![
            MirrorLine {
                url: text("https://ftp.example.net/debian/"),
                redirect: true,
                matched: Some(NOW),
                missed: Some(Timestamp(NOW.0 - 7200)),
            },
            MirrorLine {
                url: text("http://mirror.example/debian/"),
                redirect: false,
                matched: None,
                missed: None,
            },
        ],
        traffic: Traffic::none(Day::of(NOW)),
        lately: vec![Line {
            path: Some(text("pool/h/hello.deb")),
            downloads: Some(120),
            size: Some(5000),
            ..Line::default()
        }],
        clients: vec![ClientInstructions {
            name: text("apt"),
            text: text("deb https://everest.example/debian/ stable main"),
        }],
    }
}

fn of_relay(text: impl Fn(&str) -> String) -> RelayPage {
    RelayPage {
        v: DOCUMENT_VERSION,
        id: relay(1),
        urls: vec![text("https://r1.example"), text("http://r1.example")],
        now: NOW,
        state: RelayState::Probation,
        step: Step::Probation { matched: 3, wanted: 10 },
        decision: Some(Decision {
            verdict: crate::roster::Verdict::Approved,
            why: Some(text("our own")),
            at: NOW,
        }),
        reason: Some(text("the last probe got 404")),
        shut_out: None,
        lease_until: Some(Timestamp(NOW.0 + 40)),
        probed: Some(Timestamp(NOW.0 - 30)),
        weight: 100,
        weights: 400,
        rate: Some(12_500_000),
        disk: Some(2_000_000_000_000),
        wants: vec![text("debian"), text("ecosystem:python")],
        announced: Some(NOW),
        caps: vec![text("fill"), text("ipv4")],
        catalogs: vec![
            HoldingLine {
                id: id(),
                name: Some("debian".to_owned()),
                seq: Some(17),
                full: Some(16),
                share: 32_768,
                bytes: Some(1_172_839_450),
                beside: 4,
                lacks: 1,
            },
            HoldingLine {
                id: CatalogId::of(b"elsewhere"),
                name: None,
                seq: None,
                full: None,
                share: 65_536,
                bytes: None,
                beside: 0,
                lacks: 0,
            },
        ],
        traffic: traffic(),
        reported_by: vec![relay(2)],
        looks: Looks { matched: 299, failed: 2, elsewhere: 101 },
        history: vec![
            Change { at: Timestamp(NOW.0 - 90), condition: Condition::Ready, why: None },
            Change {
                at: Timestamp(NOW.0 - 3600),
                condition: Condition::Probation,
                why: Some(text("the last probe got 404")),
            },
        ],
        lies_less_than_one_in: Some(100),
        audits: vec![AuditReport {
            by: relay(8),
            at: NOW,
            url: text("https://r1.example/@17-x/pool/a"),
            own: true,
            seen: vec![relay(2)],
        }],
        reports: vec![DirectoryReport {
            by: relay(8),
            at: NOW,
            removed: false,
            why: Some(text("it gave wrong bytes")),
        }],
        bans: vec![],
    }
}

fn explanation(text: impl Fn(&str) -> String) -> Explanation {
    let explained = |n, url: &str, weight| {
        let near = Nearness::Anywhere;
        Explained { relay: relay(n), url: text(url), weight, near }
    };
    Explanation {
        catalog: "debian".to_owned(),
        path: text("pool/h/hello world.deb"),
        pin: status(17).pin,
        blake3: BlobId::of(b"hello"),
        sha256: Sha256::of(b"hello"),
        size: 5,
        mtime: 1_700_000_000,
        proof: "/odi/v1/catalogs/odi1abc/proof?path=pool%2Fh&head=af13".to_owned(),
        client: "192.0.2.0/24".to_owned(),
        country: None,
        asn: None,
        scheme: "https",
        status: 302,
        location: Some(text("https://r1.example:8443/@17-abc/pool/h/hello%20world.deb")),
        reason: text("held by this relay"),
        sent_on: vec![],
        relays: vec![
            explained(1, "https://r1.example:8443/@17-abc/pool/h/hello%20world.deb", 300),
            explained(2, "https://r2.example/@17-abc/pool/h/hello%20world.deb", 100),
        ],
        passed_over: vec![PassedOver {
            relay: relay(3),
            url: Some(text("https://r3.example")),
            code: Why::NotHeld.code(),
            words: Why::NotHeld.words(),
        }],
        mirrors: vec![
            ExplainedMirror::of(text("https://ftp.example.net/debian/pool/h/hello%20world.deb"), None),
            ExplainedMirror::of(
                text("http://mirror.example/debian/pool/h/hello%20world.deb"),
                Some(Against::OtherScheme),
            ),
        ],
    }
}

/// The part of a page that is its own, a tag a line.
fn shown(html: &str) -> String {
    html.split_once("<body>").unwrap().1.replace("><", ">\n<")
}

#[test]
fn pages_over_plain_data() {
    let plain = str::to_owned;
    insta::assert_snapshot!("network", shown(&network(plain).to_html()));
    insta::assert_snapshot!("catalog", shown(&catalog(plain).to_html()));
    insta::assert_snapshot!("relay", shown(&of_relay(plain).to_html()));
    insta::assert_snapshot!("artifact", shown(&explanation(plain).to_html()));
}

#[test]
fn documents_over_plain_data() {
    let plain = str::to_owned;
    insta::assert_snapshot!("network_json", serde_json::to_string_pretty(&network(plain)).unwrap());
    insta::assert_snapshot!("catalog_json", serde_json::to_string_pretty(&catalog(plain)).unwrap());
    insta::assert_snapshot!("relay_json", serde_json::to_string_pretty(&of_relay(plain)).unwrap());
}

#[test]
fn a_relay_that_is_shut_out_is_told_why() {
    let shut = RelayPage { shut_out: Some(Why::Spent.into()), weight: 0, ..of_relay(str::to_owned) };
    assert!(shut.to_html().contains(Why::Spent.words()));
    let silent = RelayPage { lease_until: Some(NOW), ..shut };
    assert!(silent.to_html().contains("ended "), "a lease that has just ended has ended");
}

#[test]
fn texts_of_strangers_are_shown_and_never_run() {
    let hostile = |_: &str| HOSTILE.to_owned();
    let script = |_: &str| "javascript:alert(1)".to_owned();
    let pages = [
        network(hostile).to_html(),
        catalog(hostile).to_html(),
        of_relay(hostile).to_html(),
        explanation(hostile).to_html(),
        network(script).to_html(),
        catalog(script).to_html(),
        of_relay(script).to_html(),
        explanation(script).to_html(),
    ];
    for html in pages {
        let html = shown(&html);
        for run in ["<script", "<img", "\"'>", "href=\"javascript", "href=\"//"] {
            assert!(!html.contains(run), "{run} in {html}");
        }
    }
}
