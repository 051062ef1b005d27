//! The operator's denylist: what is on it is refused at once, dropped, and told to the directories.

use std::sync::Arc;

use odi_manifest::{ArtifactPath, BlobId};
use odi_relayd::config::{Config, PrivateAddresses};
use odi_relayd::fill::Job;
use odi_wire::denylist::Denylist;
use odi_wire::layout::LayoutPath;

use crate::lab::{Lab, Relay, noise};
use crate::web::Behaviour;

impl Relay {
    /// As a SIGHUP does after the operator has edited a file.
    fn deny(&self, lines: &str) {
        let mut config = self.server.relay().config.clone();
        config.terms.denied = Arc::new(Denylist::parse(lines).unwrap());
        assert_eq!(self.server.relay().reload(&config), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_denies_is_refused_at_once_dropped_and_told_to_directories() {
    let (bad, secret) = (noise(70, 700_000), noise(71, 1000));
    let lab =
        Lab::start(&[("bad", &bad), ("copy/of-bad", &bad), ("inner/secret", &secret), ("good", b"good")])
            .await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let pin = lab.publisher.pin();
    let status = async |path: &str| lab.get(&format!("{}/{path}", relay.url)).await.status.as_u16();
    let by_content = format!("blake3/{}", BlobId::of(&bad));
    assert_eq!(status(&by_content).await, 200);

    relay.deny(&format!("blake3:{}\n/sample/inner/\n", BlobId::of(&bad)));
    for path in ["sample/bad", &format!("{pin}/copy/of-bad"), "sample/inner/secret", &by_content] {
        assert_eq!(status(path).await, 451, "{path}");
    }
    assert_eq!(status("sample/good").await, 200);
    let key = relay.key();
    let told = lab.directory.until(|| {
        let inventory = lab.directory.inventory(&key)?;
        let held = inventory.catalog(&lab.publisher.id())?.clone();
        let denied = [BlobId::of(&bad), BlobId::of(&secret)];
        // The rest is claimed again as soon as it was looked through.
        let rest = held.full.is_some() && held.holds(&BlobId::of(b"good"), true);
        (rest && denied.iter().all(|blob| !held.holds(blob, true))).then_some(())
    });
    told.await;
    relay.until("rid of it", |_| !relay.server.relay().store.contains(&BlobId::of(&bad))).await;
    assert_eq!(status(&format!("blake3/{}", BlobId::of(&secret))).await, 451);
    let whole = relay.status().await;
    assert_eq!(whole.catalogs[0].missing_blobs, 0, "what is denied is not missing");

    // Allowed again, it is fetched again.
    relay.deny("");
    relay.until("whole again", |_| relay.server.relay().store.contains(&BlobId::of(&bad))).await;
    assert_eq!(status("sample/bad").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn until_it_is_known_what_a_path_means_nothing_is_served_by_its_content() {
    let (secret, good) = (noise(72, 700_000), noise(73, 1000));
    let lab = Lab::start(&[("inner/secret", &secret), ("good", &good)]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let by_content = |bytes: &[u8]| format!("{}/blake3/{}", relay.url, BlobId::of(bytes));
    assert_eq!(lab.get(&by_content(&secret)).await.status, 200);

    // The moment between the operator's word and the look at the catalog.
    let shared = relay.server.relay();
    shared.denied.replace(Arc::new(Denylist::parse("/sample/inner/\n").unwrap()));
    for bytes in [&secret, &good] {
        let got = lab.get(&by_content(bytes)).await;
        assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "10"));
    }
    let chunks = LayoutPath::Chunks(BlobId::of(&secret));
    let chunks = format!("{}/odi/v1/catalogs/{}/{chunks}", relay.url, lab.publisher.id());
    assert_eq!(lab.get(&chunks).await.status, 503);
    assert_eq!(lab.get(&format!("{}/sample/good", relay.url)).await.status, 200);
    shared.catalogs.all().iter().for_each(|catalog| catalog.changed.ring());
    shared.unneeded.ring();
    let knows = |_: &_| !shared.denied.awaits_sweep() && shared.denied.denies_blob(&BlobId::of(&secret));
    relay.until("sure", knows).await;
    assert_eq!(lab.get(&by_content(&secret)).await.status, 451);
    assert_eq!(lab.get(&by_content(&good)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_former_head_names_is_looked_at_too() {
    let (secret, bad) = (noise(74, 1000), noise(75, 1000));
    let mut lab = Lab::start(&[("inner/secret", &secret), ("bad", &bad), ("good", b"good")]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    lab.publish(&[("inner/secret", None), ("bad", None)]);
    relay.until_full(2).await;
    relay.deny(&format!("/sample/inner/secret\nsha256:{}\n", odi_manifest::Sha256::of(&bad)));
    let status = async |lab: &Lab, bytes: &[u8]| {
        lab.get(&format!("{}/blake3/{}", relay.url, BlobId::of(bytes))).await.status.as_u16()
    };
    let denied = &relay.server.relay().denied;
    relay.until("sure", |_| !denied.awaits_sweep() && denied.denies_blob(&BlobId::of(&bad))).await;
    let now = (status(&lab, &secret).await, status(&lab, &bad).await, status(&lab, b"good").await);
    assert_eq!(now, (451, 451, 200));
    relay.until("rid of it", |_| !relay.server.relay().store.contains(&BlobId::of(&bad))).await;
    // A later head is looked at too, and what was found in the former ones stays.
    lab.publish(&[("inner/secret", Some(b"another secret"))]);
    relay.until_full(3).await;
    relay.until("sure again", |_| denied.denies_blob(&BlobId::of(b"another secret"))).await;
    assert_eq!((status(&lab, &secret).await, status(&lab, b"good").await), (451, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_before_it_was_denied_is_neither_fetched_nor_kept() {
    let (late, early) = (noise(76, 1_300_000), noise(77, 1000));
    let lab = Lab::start(&[("late", &late), ("early", &early)]).await;
    lab.directory.assign(odi_wire::message::IdRanges::none());
    let relay = lab.relay().await;
    relay.until("following", |status| status.catalogs.iter().any(|catalog| catalog.served.is_some())).await;
    let shared = relay.server.relay();
    let holds = |bytes: &[u8]| shared.store.contains(&BlobId::of(bytes));
    let job = |path: &str| {
        let catalog = shared.catalogs.named(&"sample".parse().unwrap()).unwrap();
        let head = Arc::clone(catalog.state().newest().unwrap());
        let path: ArtifactPath = path.parse().unwrap();
        let entry = head.tree.get(&shared.store.nodes(), path.as_str()).unwrap().unwrap();
        Job::new(&catalog, &head, path, &entry)
    };
    lab.origin.behave(Behaviour::Wait);
    let mut on_its_way = shared.fill.ask_now(job("late")).unwrap();
    // First of all its chunk list.
    relay.until("asked for", |_| !lab.origin.seen(|path| path.contains("/chunks/")).is_empty()).await;
    relay.deny("/sample/late\n/sample/early\n");
    lab.origin.behave(Behaviour::Proper);
    assert!(!on_its_way.landed().await && !holds(&late));

    assert!(!shared.fill.ask_now(job("early")).unwrap().landed().await && !holds(&early));
    assert!(lab.origin.seen(|path| path.contains("early")).is_empty());
    relay.deny("");
    assert!(shared.fill.ask_now(job("late")).unwrap().landed().await && holds(&late));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_can_change_and_names_the_rest() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = Relay::with(&[&lab.directory], "bandwidth = \"80 Mbit/s\"\n").await;
    let text = format!(
        "data_dir = {:?}\nlisten = [\"127.0.0.1:1\"]\npublic_urls = [\"{}\"]\ndisk = \"2 GB\"\nbandwidth = \"8 Mbit/s\"\n\
         transfer = \"1 TB/month\"\n[[directory]]\nurl = \"{}\"\ncatalogs = [\"other\"]\n",
        relay.data_dir(),
        relay.url,
        lab.directory.url
    );
    let config = Config::parse(&text, PrivateAddresses::Allowed).unwrap();
    assert_eq!(relay.server.relay().reload(&config), ["listen", "disk"]);
    let now = |status: &odi_wire::message::RelayStatus| {
        status.budget.rate_bytes == Some(1_000_000) && status.budget.transfer_bytes == Some(1_000_000_000_000)
    };
    let status = relay.until("on other terms", now).await;
    assert_eq!(status.budget.disk_bytes, 1_000_000_000);
    let key = relay.key();
    let slower = || lab.directory.inventory(&key).filter(|inventory| inventory.rate() == Some(1_000_000));
    lab.directory.until(slower).await;
}
