//! What a catalog's `odi-catalog.toml` changes at a relay, and that a broken one changes nothing.

use odi_manifest::BlobId;

use crate::lab::{Lab, noise};
use crate::web::Web;

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogs_settings_say_how_it_is_served_and_where_it_is_pulled_from() {
    let depot = Web::start(Default::default());
    let settings = format!(
        "index = [\"home.html\"]\nindex_without_slash = [\"index.json\"]\n\
         [[media]]\npaths = \"*.odd\"\ntype = \"text/html\"\n\
         [[pull]]\npaths = \"pool/*\"\nfrom = [\"{}\"]\n[retention]\nkeep_hours = 12\n",
        depot.url()
    );
    let files: [(&str, &[u8]); 4] = [
        ("odi-catalog.toml", settings.as_bytes()),
        ("simple/home.html", b"<p>packages</p>"),
        ("simple/index.json", b"{}"),
        ("other/index.html", b"not the index here"),
    ];
    let mut lab = Lab::start(&files).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    let catalog = relay.server.relay().catalogs.get(&lab.publisher.id()).unwrap();
    relay.until("as its settings say", |_| catalog.settings.now().keep().is_some()).await;
    for place in ["sample".to_owned(), lab.publisher.pin().to_string()] {
        let at = |path: &str| format!("{}/{place}/{path}", relay.url);
        assert!(lab.get(&at("simple/")).await.is(b"<p>packages</p>"));
        let bare = lab.get(&at("simple")).await;
        assert!(bare.is(b"{}") && bare.header("content-type") == "application/json", "{bare:?}");
        assert_eq!(lab.get(&at("other")).await.status, 301);
        let listing = String::from_utf8(lab.get(&at("other/")).await.body.unwrap()).unwrap();
        assert!(listing.contains("Index of"), "{listing}");
    }
    relay.until("asked to keep", |_| catalog.followed.retention().as_secs() == 12 * 3600).await;

    // The origin has neither the file nor a kept copy of it: only where it may be pulled from.
    let large = noise(31, 600_000);
    depot.put([("pool/a.odd".to_owned(), large.clone())]);
    let kept = BlobId::of(&large).to_string();
    lab.publisher.publish(&[("pool/a.odd", Some(&large))]);
    let here =
        |path: &String| *path != "pool/a.odd" && !path.ends_with(&format!("blobs/{}/{kept}", &kept[..2]));
    lab.origin.put(lab.publisher.files.clone().into_iter().filter(|(path, _)| here(path)));
    lab.directory.offer("sample", &lab.publisher);
    relay.until_full(2).await;
    let got = lab.get(&format!("{}/sample/pool/a.odd", relay.url)).await;
    assert!(got.is(&large) && got.header("content-type") == "text/html; charset=utf-8");
    assert!(!depot.seen(|path| path == "pool/a.odd").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_read_leave_the_former_ones_and_are_told() {
    let mut lab = Lab::start(&[
        ("odi-catalog.toml", b"index = [\"home.html\"]"),
        ("simple/home.html", b"<p>packages</p>"),
    ])
    .await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    lab.publish(&[("odi-catalog.toml", Some(b"index = [\"home.html\"]\nindx = 1"))]);
    let status = relay.until("puzzled", |status| status.catalogs[0].settings_fault.is_some()).await;
    assert_eq!(
        status.catalogs[0].settings_fault.as_deref(),
        Some("odi-catalog.toml: line 2, key `indx`: there is no such key")
    );
    assert!(lab.get(&format!("{}/sample/simple/", relay.url)).await.is(b"<p>packages</p>"));
    lab.publish(&[("odi-catalog.toml", None)]);
    relay.until("at its defaults", |status| status.catalogs[0].settings_fault.is_none()).await;
    let listing = lab.get(&format!("{}/sample/simple/", relay.url)).await;
    assert!(String::from_utf8(listing.body.unwrap()).unwrap().contains("home.html"));
}
