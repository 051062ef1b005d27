//! Which target means what, and which means nothing.

use odi_manifest::{BlobId, CatalogId, HeadId};
use proptest::prelude::*;

use super::*;

const HEX: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

fn get(target: &str) -> Result<Route, Refusal> {
    parse(&Method::GET, target)
}

/// One line for a route, so that a table stays readable.
fn shown(target: &str) -> String {
    let place = |place: &Place| match place {
        Place::Slashless => "slashless".to_owned(),
        Place::Folder(_) => format!("folder {:?}", place.as_str()),
        Place::Artifact(_) => format!("artifact {:?}", place.as_str()),
    };
    match get(target) {
        Ok(Route::Artifact { name, place: p, .. }) => format!("{name}: {}", place(&p)),
        Ok(Route::State { name, state, place: p, .. }) => format!("{name} at {state:?}: {}", place(&p)),
        Ok(Route::Pinned { pin, place: p, .. }) => format!("pin {pin}: {}", place(&p)),
        Ok(Route::Blob { .. }) => "blob".to_owned(),
        Ok(Route::Page { page, .. }) => format!("page {}", page.path()),
        Ok(other) => format!("{other:?}"),
        Err(refusal) => refusal.status().as_u16().to_string(),
    }
}

#[test]
fn table_of_catalog_paths() {
    let pin = Pin::of(17, &HeadId::of(b"head"));
    let id = CatalogId::of(b"root");
    for (target, expected) in [
        ("/", "page /".to_owned()),
        ("/?json", "page /".to_owned()),
        ("/odi/catalogs/debian", "page /odi/catalogs/debian".to_owned()),
        ("/odi/catalogs/debian?json", "page /odi/catalogs/debian".to_owned()),
        (&format!("/odi/catalogs/{id}"), format!("page /odi/catalogs/{id}")),
        ("/odi/catalogs/catalogs", "page /odi/catalogs/catalogs".to_owned()),
        ("/odi%2fcatalogs/debian", "page /odi/catalogs/debian".to_owned()),
        (&format!("/odi/relays/{HEX}"), format!("page /odi/relays/{HEX}")),
        ("/odi/catalogs", "404".to_owned()),
        ("/odi/catalogs/", "404".to_owned()),
        ("/odi/catalogs/debian/", "404".to_owned()),
        ("/odi/catalogs/Debian", "404".to_owned()),
        ("/odi/catalogs/odi", "404".to_owned()),
        ("/odi/catalogs/debian@12", "404".to_owned()),
        (&format!("/odi/relays/{}", HEX.to_uppercase()), "404".to_owned()),
        (&format!("/odi/relays/{}", &HEX[2..]), "404".to_owned()),
        (&format!("/odi/relays/{HEX}/"), "404".to_owned()),
        ("/catalogs/debian", "catalogs: artifact \"debian\"".to_owned()),
        ("/debian", "debian: slashless".to_owned()),
        ("/debian/", "debian: folder \"\"".to_owned()),
        ("/debian/pool/", "debian: folder \"pool\"".to_owned()),
        ("/debian/pool/a%20b.deb", "debian: artifact \"pool/a b.deb\"".to_owned()),
        ("/debian/pool/a+b~1:2.deb", "debian: artifact \"pool/a+b~1:2.deb\"".to_owned()),
        ("/npm/@scope%2fname", "npm: artifact \"@scope/name\"".to_owned()),
        ("/npm/%40scope%2Fname/-/x.tgz", "npm: artifact \"@scope/name/-/x.tgz\"".to_owned()),
        ("/debian/a%253f", "debian: artifact \"a%3f\"".to_owned()),
        ("/debian/x?y", "debian: artifact \"x\"".to_owned()),
        ("/debian@12/x", "debian at Seq(12): artifact \"x\"".to_owned()),
        ("/debian@bookworm-2/x", "debian at Label(\"bookworm-2\"): artifact \"x\"".to_owned()),
        ("/debian@012/x", "404".to_owned()),
        ("/debian@/x", "404".to_owned()),
        (&format!("/{pin}/x"), format!("pin {pin}: artifact \"x\"")),
        (&format!("/%40{}/x/", &pin.to_string()[1..]), format!("pin {pin}: folder \"x\"")),
        ("/@17/x", "404".to_owned()),
        ("/@17-zzz/x", "404".to_owned()),
        (&format!("/blake3/{HEX}"), "blob".to_owned()),
        (&format!("/blake3/{}", HEX.to_uppercase()), "404".to_owned()),
        ("/blake3/", "404".to_owned()),
        ("/blake3", "404".to_owned()),
        ("/odi", "404".to_owned()),
        ("/odi1abc/x", "404".to_owned()),
        (&format!("/{id}"), format!("{id}: slashless")),
        (&format!("/{id}/pool/x"), format!("{id}: artifact \"pool/x\"")),
        (&format!("/{id}@12/x"), format!("{id} at Seq(12): artifact \"x\"")),
        (&format!("/{}/x", id.to_string().to_uppercase()), "404".to_owned()),
        ("/Debian/x", "404".to_owned()),
        ("/-debian/x", "404".to_owned()),
    ] {
        assert_eq!(shown(target), expected, "{target}");
    }
}

/// Each is refused here, before any look-up.
#[test]
fn hostile_paths_are_refused() {
    for target in [
        "/debian//x",
        "/debian/../x",
        "/debian/%2e%2e/x",
        "/debian/a/%2E/b",
        "/debian/a%5cb",
        "/debian/a\\b",
        "/debian/.odi/head",
        "/debian/%2eodi/head",
        "/debian/a%0d%0aSet-Cookie:x",
        "/debian/%e2%80%ae",
        "/debian/a%e2%80%8b",
        "/debian//",
        "//debian/x",
        "/../etc/passwd",
    ] {
        assert_eq!(shown(target), "404", "{target}");
    }
    for target in
        ["/debian/%", "/debian/%f", "/debian/%zz", "/debian/%00", "/debian/%ff", "/debian/%c0%ae", "x", "*"]
    {
        assert_eq!(shown(target), "400", "{target}");
    }
    assert_eq!(shown(&format!("/debian/{}", "a".repeat(TARGET_BYTES_MAX))), "414");
    assert_eq!(shown(&format!("/debian/{}", "a/".repeat(40))), "404", "too deep");
}

#[test]
fn a_path_of_the_greatest_length_fits_fully_escaped() {
    let path = vec!["%41".repeat(255); 4].join("/");
    assert!(matches!(get(&format!("/debian/{path}")), Ok(Route::Artifact { .. })));
}

#[test]
fn api_table() {
    let id = CatalogId::of(b"root");
    let catalog = |rest: &str| format!("/odi/v1/catalogs/{id}/{rest}");
    let api = |method: &Method, target: &str| match parse(method, target) {
        Ok(Route::Api(route)) => Ok(route),
        Ok(other) => panic!("{target} is {other:?}"),
        Err(refusal) => Err(refusal.status().as_u16()),
    };
    let (get, post) = (&Method::GET, &Method::POST);
    let second = std::time::Duration::from_secs;
    assert_eq!(api(get, "/odi/v1/status"), Ok(ApiRoute::Status));
    assert_eq!(api(get, "/odi/v1/relays"), Ok(ApiRoute::Relays));
    assert_eq!(api(post, "/odi/v1/relays"), Ok(ApiRoute::Register));
    assert_eq!(api(post, "/odi/v1/relays/inventory"), Ok(ApiRoute::Inventory));
    assert_eq!(api(get, "/odi/v1/relays/inventory"), Err(405));
    assert_eq!(api(post, "/odi/v1/relays/statements"), Ok(ApiRoute::Statements));
    assert_eq!(api(get, "/odi/v1/relays/statements"), Err(405));
    assert_eq!((api(post, "/odi/v1/look"), api(get, "/odi/v1/look")), (Ok(ApiRoute::Look), Err(405)));
    let reports = |unlike, wait| ApiRoute::Reports { unlike, wait: second(wait) };
    assert_eq!(api(get, "/odi/v1/relays/reports"), Ok(reports(None, 0)));
    let blob = BlobId::of(b"x");
    assert_eq!(
        api(get, &format!("/odi/v1/relays/reports?unlike={blob}&wait=99")),
        Ok(reports(Some(blob), 60))
    );
    assert_eq!(api(get, "/odi/v1/relays/reports?unlike=x"), Err(400));
    let statistics = |of, days, csv| Ok(ApiRoute::Statistics { of, days, csv });
    assert_eq!(api(get, "/odi/v1/statistics/total"), statistics(StatisticsOf::Total, 30, false));
    assert_eq!(api(get, "/odi/v1/statistics/lately?csv&days=7"), statistics(StatisticsOf::Lately, 7, true));
    assert_eq!(api(get, "/odi/v1/statistics/callers"), Err(404));
    assert_eq!(api(get, "/odi/v1/statistics/total?days=-1"), Err(400));
    assert_eq!(api(post, "/odi/v1/statistics/total"), Err(405));
    assert_eq!(api(get, &format!("/odi/v1/relays/{HEX}/assignment")).map(|_| ()), Ok(()));
    assert_eq!(api(get, "/odi/v1/relays/af/assignment"), Err(404));
    assert_eq!(
        api(get, &catalog("head?after=7&wait=9999")),
        Ok(ApiRoute::Head { catalog: id, after: Some(7), wait: second(60) })
    );
    assert_eq!(api(get, &catalog("head")), Ok(ApiRoute::Head { catalog: id, after: None, wait: second(0) }));
    assert_eq!(api(get, &catalog("head?after=x")), Err(400));
    let said = BlobId::of(b"an answer");
    assert_eq!(
        api(get, &catalog(&format!("testimony?unlike={said}&wait=50"))),
        Ok(ApiRoute::Testimony { catalog: id, unlike: Some(said), wait: second(50) })
    );
    assert_eq!(
        api(get, &catalog("testimony")),
        Ok(ApiRoute::Testimony { catalog: id, unlike: None, wait: second(0) })
    );
    assert_eq!(api(get, &catalog("testimony?unlike=7")), Err(400));
    assert_eq!(api(post, &catalog("testimony")), Err(405));
    assert_eq!(
        api(get, &catalog("roots/1")),
        Ok(ApiRoute::Layout {
            catalog: id,
            item: crate::layout::LayoutPath::Root(1),
            after: None,
            size: None
        })
    );
    let list = catalog(&format!("chunks/{}/{HEX}", &HEX[..2]));
    assert!(matches!(
        api(get, &format!("{list}?size=300000")),
        Ok(ApiRoute::Layout { item: crate::layout::LayoutPath::Chunks(_), size: Some(300_000), .. })
    ));
    assert_eq!(api(get, &format!("{list}?size=-1")), Err(400));
    assert_eq!(api(get, &catalog("roots/0")), Err(404));
    assert_eq!(api(get, &catalog("../status")), Err(404));
    assert_eq!(api(get, &catalog("proof")), Err(400));
    assert!(matches!(
        api(get, &catalog(&format!("proof?path=a%2Fb&head={HEX}"))),
        Ok(ApiRoute::Proof { path, head: Some(_), .. }) if path.as_str() == "a/b"
    ));
    let (path, head) = ("a b&head=/+#%.deb", HeadId::of(b"head"));
    assert_eq!(
        api(get, &ApiRoute::proof_path(&id, path, &head)),
        Ok(ApiRoute::Proof { catalog: id, path: ArtifactPath::parse(path).unwrap(), head: Some(head) })
    );
    assert_eq!(api(post, &catalog("push")), Ok(ApiRoute::Push { catalog: id }));
    assert_eq!(api(get, &catalog("push")), Err(405));
    assert_eq!(api(get, "/odi/v1/catalogs/odi1zzz/head"), Err(404));
    assert_eq!(api(get, "/odi/v2/status"), Err(404));
    assert_eq!(parse(get, WELL_KNOWN), Ok(Route::WellKnown));
    assert_eq!(parse(post, CHALLENGE), Ok(Route::Challenge));
    assert_eq!(parse(get, CHALLENGE), Err(Refusal::MethodNotAllowed { allow: "POST" }));
}

#[test]
fn content_is_only_read() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT]
    {
        for target in ["/debian/x", "/", "/odi/catalogs/debian"] {
            assert_eq!(parse(&method, target), Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }));
        }
    }
}

#[test]
fn locations_are_built_below_a_public_url() {
    let pin = Pin::of(17, &HeadId::of(b"head"));
    let base = |text: &str| url::Url::parse(text).unwrap();
    let path = pinned_path(&pin, "pool/a b#1?.deb");
    assert_eq!(path, format!("/{pin}/pool/a%20b%231%3F.deb"));
    assert_eq!(location(&base("https://r1.example.net"), &path), format!("https://r1.example.net{path}"));
    assert_eq!(
        location(&base("http://r1.example.net:81/odi/"), &path),
        format!("http://r1.example.net:81/odi{path}")
    );
}

proptest! {
    #[test]
    fn every_valid_path_survives_the_way_there_and_back(path in "[^/\\x00]{1,8}(/[^/\\x00]{1,8}){0,3}") {
        if let Ok(path) = ArtifactPath::parse(&path) {
            let name: CatalogName = "debian".parse().unwrap();
            let target = named_path(&name, path.as_str());
            let name = CatalogRef::Named(name);
            prop_assert_eq!(
                get(&target),
                Ok(Route::Artifact { name, place: Place::Artifact(path), query: Query::default() })
            );
        }
    }

    #[test]
    fn any_target_is_survived(target in "(/(odi|debian|@1-|blake3|\\.well-known))?[\\PC/%?&=@.]{0,80}") {
        let _ = get(&target);
    }
}
