//! The operator's denylist: what is on it is refused at once, dropped, and told to the directories.

use std::sync::Arc;

use odi_manifest::BlobId;
use odi_relayd::config::{Config, PrivateAddresses};
use odi_relayd::denylist::Denylist;

use crate::lab::{Lab, Relay, noise};

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
