//! Filling: from origins and peers of any honesty, never storing or serving a wrong byte.

use odi_manifest::{BlobId, Clock, SigningKey, SystemClock};
use odi_wire::fetch::Party;
use odi_wire::message::{IdRanges, PublicUrl, RelayStatus};

use crate::lab::{Lab, Relay, noise};
use crate::web::{Behaviour, Web};

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_misbehaves_makes_503s_and_never_wrong_bytes() {
    let (large, small) = (noise(2, 600_000), noise(3, 5_000));
    for behaviour in [
        Behaviour::Flip,
        Behaviour::Truncate,
        Behaviour::Gzip,
        Behaviour::Endless,
        Behaviour::Refuse,
        Behaviour::RedirectInward,
    ] {
        let lab = Lab::start(&[("large", &large), ("small", &small)]).await;
        lab.origin.behave(behaviour);
        let relay = lab.relay().await;
        relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
        for path in ["large", "small"] {
            let got = lab.get(&format!("{}/{}/{path}", relay.url, lab.publisher.pin())).await;
            if got.status == 503 {
                assert!(!got.header("retry-after").is_empty(), "{behaviour:?}");
            } else {
                assert!(got.body.is_none(), "{behaviour:?} {path}: what began well is cut off, not made up");
            }
        }
        let store = &relay.server.relay().store;
        assert!(
            !store.contains(&BlobId::of(&large)) && !store.contains(&BlobId::of(&small)),
            "{behaviour:?}"
        );
        if behaviour == Behaviour::Flip {
            let status = relay.until("drifted", |status| status.catalogs[0].fault.is_some()).await;
            assert!(status.catalogs[0].fault.as_ref().unwrap().contains("origin drifted"), "{status:?}");
        }

        lab.origin.behave(Behaviour::Proper);
        for (path, bytes) in [("large", &large), ("small", &small)] {
            let got = lab.get(&format!("{}/{}/{path}", relay.url, lab.publisher.pin())).await;
            assert_eq!(got.status, 200, "after {behaviour:?} {path}");
            assert!(got.is(bytes), "after {behaviour:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_without_ranges_will_do() {
    let large = noise(4, 3_000_000);
    let lab = Lab::start(&[("large", &large)]).await;
    lab.origin.behave(Behaviour::IgnoreRange);
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let got = lab.get(&format!("{}/sample/large", relay.url)).await;
    assert!(got.is(&large));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_replaced_at_the_origin_come_from_where_it_keeps_them() {
    let large = noise(5, 600_000);
    let lab = Lab::start(&[("large", &large), ("small", b"signed")]).await;
    lab.origin.edit("large", |bytes| bytes[300_000] ^= 1);
    lab.origin.edit("small", |bytes| *bytes = b"other!".to_vec());
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let got = lab.get(&format!("{}/sample/large", relay.url)).await;
    assert!(got.is(&large));
    let got = lab.get(&format!("{}/sample/small", relay.url)).await;
    assert_eq!(got.body.as_deref(), Some(&b"signed"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_fills_from_the_first_when_the_origin_is_gone() {
    let (large, small) = (noise(6, 9 << 20), noise(7, 1000));
    let lab = Lab::start(&[("large", &large), ("small", &small)]).await;
    let first = lab.relay().await;
    first.until_full(1).await;
    lab.directory.until_announced_full(&first.key(), &lab.publisher).await;
    lab.origin.behave(Behaviour::Refuse);
    let before = lab.origin.body_bytes();

    let second = lab.relay().await;
    let status = second.until_full(1).await;
    assert_eq!(lab.origin.body_bytes(), before);
    let given = status.sources.iter().find(|source| source.url == first.url).unwrap().bytes;
    assert_eq!(given, (large.len() + small.len()) as u64);
    let got = lab.get(&format!("{}/{}/large", second.url, lab.publisher.pin())).await;
    assert!(got.is(&large));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_is_banned_and_costs_no_byte() {
    let (large, small) = (noise(8, 600_000), noise(9, 1000));
    let lab = Lab::start(&[("large", &large), ("small", &small)]).await;
    let pin = lab.publisher.pin();
    let files = [("large", &large), ("small", &small)];
    let liar = Web::start(files.map(|(path, bytes)| (format!("{pin}/{path}"), bytes.clone())).into());
    liar.behave(Behaviour::Flip);
    let claim = lab.publisher.claim(IdRanges::all());
    let url = PublicUrl::parse(&liar.url()).unwrap();
    lab.directory.plant_inventory(&SigningKey::from_seed(&[66; 32]), url.clone(), claim);

    lab.origin.behave(Behaviour::Refuse);
    let relay = lab.relay().await;
    // Not before it has judged them: a liar that is outrun by the origin has said nothing wrong.
    let said_wrong = |status: &RelayStatus| {
        status.sources.iter().any(|source| source.url == url.as_str() && source.wasted > 0)
    };
    relay.until("misled", said_wrong).await;
    lab.origin.behave(Behaviour::Proper);
    let status = relay.until_full(1).await;
    let record = status.sources.iter().find(|source| source.url == url.as_str()).unwrap();
    assert!(record.wrong_chunks > 0 && record.banned_until.is_some(), "{status:?}");
    for (path, bytes) in [("large", &large), ("small", &small)] {
        let got = lab.get(&format!("{}/sample/{path}", relay.url)).await;
        assert!(got.is(bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_that_lie_alike_stop_nothing_and_one_caught_is_banned() {
    let (large, small) = (noise(28, 600_000), noise(29, 1000));
    let lab = Lab::start(&[("large", &large), ("small", &small)]).await;
    let liars: Vec<Web> = [70, 71]
        .into_iter()
        .map(|seed| {
            let files = [("large", &large), ("small", &small)];
            let pin = lab.publisher.pin();
            let liar = Web::start(files.map(|(path, bytes)| (format!("{pin}/{path}"), bytes.clone())).into());
            liar.behave(Behaviour::Flip);
            let claim = lab.publisher.claim(IdRanges::all());
            let url = PublicUrl::parse(&liar.url()).unwrap();
            lab.directory.plant_inventory(&SigningKey::from_seed(&[seed; 32]), url, claim);
            liar
        })
        .collect();
    lab.origin.behave(Behaviour::Refuse);
    let relay = lab.relay().await;
    let pin = lab.publisher.pin().to_string();
    let asked = |liar: &Web| !liar.seen(|path| path.starts_with(&pin)).is_empty();
    relay.until("misled twice", |_| liars.iter().all(asked)).await;
    lab.origin.behave(Behaviour::Proper);
    relay.until_full(1).await;
    for (path, bytes) in [("large", &large), ("small", &small)] {
        let got = lab.get(&format!("{}/{}/{path}", relay.url, lab.publisher.pin())).await;
        assert!(got.is(bytes), "{path}");
    }
    // The right bytes convict whoever had others for the same place.
    let urls: Vec<String> = liars.iter().map(|liar| liar.url().trim_end_matches('/').to_owned()).collect();
    let banned = |url: &String, status: &RelayStatus| {
        status.sources.iter().any(|source| source.url == *url && source.banned_until.is_some())
    };
    let status = relay.status().await;
    assert!(urls.iter().any(|url| banned(url, &status)), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was_and_serves_before_anybody_answers() {
    let (large, small) = (noise(10, 9 << 20), noise(11, 1000));
    let mut lab = Lab::start(&[("large", &large), ("small", &small)]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    lab.directory.stop().await;
    lab.origin.behave(Behaviour::Refuse);

    let relay = relay.restart().await;
    relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
    for place in [lab.publisher.pin().to_string(), "sample".to_owned()] {
        let got = lab.get(&format!("{}/{place}/large", relay.url)).await;
        assert!(got.is(&large), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verified_chunks_survive_a_restart() {
    let large = noise(12, 4 << 20);
    let lab = Lab::start(&[("large", &large)]).await;
    lab.origin.behave(Behaviour::Truncate);
    let relay = lab.relay().await;
    relay.until("disappointed", |status| status.sources.iter().any(|source| source.failures > 0)).await;
    let relay = relay.restart().await;
    let before = lab.origin.body_bytes();
    lab.origin.behave(Behaviour::Proper);
    relay.until_full(1).await;
    let after = lab.origin.body_bytes() - before;
    assert!(after <= large.len() as u64 * 6 / 10, "{after} bytes were fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_a_pack_is_never_served_and_is_repaired() {
    let (large, small) = (noise(13, 3 << 20), noise(14, 100_000));
    let lab = Lab::start(&[("large", &large), ("small", &small)]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let Relay { server, folder, url, .. } = relay;
    server.drain(std::time::Duration::from_secs(1)).await;
    for bytes in [&large[1_000_000..1_000_064], &small[500..564]] {
        flip(&folder.path().join("store"), bytes);
    }
    let relay = Relay::again(&[&lab.directory], folder, &url).await;
    relay.until("following", |status| status.catalogs.iter().any(|c| c.served.is_some())).await;
    for (path, bytes) in [("large", &large), ("small", &small)] {
        let got = lab.get(&format!("{}/{}/{path}", relay.url, lab.publisher.pin())).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.is(bytes), "{path}: mended while it is sent");
    }
    relay.until_full(1).await;
}

/// Flips a bit of the one place below `folder` where these bytes lie.
fn flip(folder: &std::path::Path, bytes: &[u8]) {
    let mut flipped = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut content = std::fs::read(&path).unwrap();
            if let Some(at) = content.windows(bytes.len()).position(|window| window == bytes) {
                content[at + 7] ^= 0x20;
                std::fs::write(&path, content).unwrap();
                flipped += 1;
            }
        }
    }
    assert_eq!(flipped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_fill_nothing_are_left_alone_and_the_origin_is_the_last_resort() {
    let files: Vec<(String, Vec<u8>)> =
        (0..20_u8).map(|n| (format!("file-{n:02}"), noise(200 + n, 1000))).collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&named).await;
    // More of them than may be asked as homes; every answer is 404.
    let idlers: Vec<Web> = (80..86)
        .map(|seed| {
            let idler = Web::start(Default::default());
            let url = PublicUrl::parse(&idler.url()).unwrap();
            let claim = lab.publisher.claim(IdRanges::none());
            lab.directory.plant_inventory(&SigningKey::from_seed(&[seed; 32]), url, claim);
            idler
        })
        .collect();
    let relay = lab.relay().await;
    let is_shunned = |idler: &Web| {
        let party = Party::of(&idler.url().parse().unwrap());
        relay.server.relay().fill.sources().is_shunned(party.as_str(), SystemClock.now())
    };
    relay.until("tired of one", |_| idlers.iter().any(is_shunned)).await;
    relay.until_full(1).await;
    assert!(relay.status().await.sources.iter().all(|source| source.banned_until.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_lists_are_asked_of_origins_in_turn_too() {
    let files: Vec<(String, Vec<u8>)> =
        (0..12_u8).map(|n| (format!("file-{n:02}"), noise(220 + n, 300_000))).collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let lab = Lab::start(&named).await;
    lab.origin.behave(Behaviour::Wait);
    let relay = lab.relay().await;
    let lists = || lab.origin.seen(|path| path.contains("/chunks/")).len();
    let under_way = || format!("{:?}", relay.server.relay().fill).contains("in_flight: 12");
    relay.until("asking for lists", |_| under_way() && lists() >= 4).await;
    for _ in 0..3 {
        relay.status().await;
        assert_eq!(lists(), 4, "as many as an origin is asked for at once");
    }
    lab.origin.behave(Behaviour::Proper);
    relay.until_full(1).await;
}
