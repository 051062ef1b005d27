//! What a settings file may say, and how each thing that it may not say is named.

use odi_manifest::{BlobId, Entry, Ext, Sha256};
use proptest::prelude::*;

use super::*;

const WHOLE: &str = r#"
index = ["home.html", "index.html"]
index_without_slash = ["index.json"]

[[media]]
paths = "simple/*"
type = "text/html"

[[media]]
paths = "*.sig"
type = "application/octet-stream"

[[pull]]
paths = "pool/*"
from = ["https://cdn.example.org/debian", "http://mirror.example.net/d/"]

[[elsewhere]]
folder = ""
from = "https://depot.example.net/all"

[[elsewhere]]
folder = "pool/v 1"
from = "https://depot.example.net/releases/1.0/"

[[elsewhere]]
path = "pool/v 1/odd.zip"
url = "https://depot.example.net/get?id=7"

[retention]
keep_hours = 24

[[client]]
name = "apt"
text = "deb {url} stable main"
"#;

#[test]
fn every_key_means_what_its_page_says() {
    let settings = read(WHOLE.as_bytes()).unwrap();
    assert_eq!(settings.index(), ["home.html", "index.html"]);
    assert_eq!(settings.index_without_slash(), ["index.json"]);
    for (path, media) in [
        ("simple/numpy", "text/html; charset=utf-8"),
        ("a.sig", "application/octet-stream"),
        ("a.deb", "application/vnd.debian.binary-package"),
    ] {
        assert_eq!(settings.media_type(path).as_str(), media, "{path}");
    }
    let here = Entry { size: 1, blob: BlobId::of(b"a"), sha256: Sha256::of(b"a"), mtime: 7, ext: None };
    let sources = |path: &str, entry: &Entry| -> Vec<String> {
        let path = ArtifactPath::parse(path).unwrap();
        settings.pull_sources(&path, entry).map(|source| source.url.to_string()).collect()
    };
    let pulled = |path: &str| sources(path, &here);
    assert_eq!(
        pulled("pool/a b"),
        ["https://cdn.example.org/debian/pool/a%20b", "http://mirror.example.net/d/pool/a%20b"]
    );
    assert!(pulled("dists/x").is_empty());
    let there = Entry { ext: Some(Ext::elsewhere()), ..here.clone() };
    for (path, url) in [
        ("x", "https://depot.example.net/all/x"),
        ("pool/v 2/a", "https://depot.example.net/all/pool/v%202/a"),
        ("pool/v 1/b/a c", "https://depot.example.net/releases/1.0/b/a%20c"),
        ("pool/v 1/odd.zip", "https://depot.example.net/get?id=7"),
    ] {
        assert_eq!(sources(path, &there)[0], url, "{path}");
        assert_eq!(sources(path, &there).len() - 1, pulled(path).len(), "{path}");
    }
    assert_eq!(settings.keep(), Some(Duration::from_secs(86_400)));
    let there = settings.clients()[0].at("https://everest.example.org/debian/");
    assert_eq!(there.text, "deb https://everest.example.org/debian/ stable main");
    assert_eq!(read(b"").unwrap(), CatalogSettings::default());
}

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    let many = |item: &str, count: usize| vec![item; count].join(", ");
    for (text, expected) in [
        ("\nindex = 5".to_owned(), "line 2, key `index`: must be a list of strings"),
        ("indexes = []".to_owned(), "line 1, key `indexes`: there is no such key"),
        (
            "index = [\n\"a\",\n\"a/b\"]".to_owned(),
            "line 3, key `index`: `a/b` is not a file name that a catalog may hold",
        ),
        (
            format!("index = [{}]", many("\"x\"", 5)),
            "line 1, key `index`: has 5 items, and at most 4 are read",
        ),
        ("[[media]]\npaths = \"*\"".to_owned(), "line 1, key `media[1].type`: is missing"),
        (
            "[[media]]\npaths = \"*\"\ntype = \"text/event-stream\"".to_owned(),
            "line 3, key `media[1].type`: `text/event-stream` is not in the list of media types that relays serve",
        ),
        (
            "[[media]]\npaths = \"**\"\ntype = \"text/html\"".to_owned(),
            "line 2, key `media[1].paths`: `**` is not a path, or a path with one `*` in it",
        ),
        (
            "[media]\npaths = \"*\"".to_owned(),
            "line 1, key `media`: must be a list of tables, each written [[...]]",
        ),
        (
            "[[elsewhere]]\nfolder = \"a/\"\nfrom = \"https://h/\"".to_owned(),
            "line 2, key `elsewhere[1].folder`: `a/` is not a path that a catalog may hold",
        ),
        (
            "[[elsewhere]]\npath = \"a\"\nfrom = \"https://h/\"".to_owned(),
            "line 3, key `elsewhere[1].from`: there is no such key",
        ),
        (
            "[[elsewhere]]\nfolder = \"a\"\nfrom = \"https://h/?q\"".to_owned(),
            "line 3, key `elsewhere[1].from`: `https://h/?q` is not an http or https URL without user, query and \
             fragment, of at most 512 bytes",
        ),
        (
            "[[elsewhere]]\npath = \"a\"\nurl = \"ftp://h/a\"".to_owned(),
            "line 3, key `elsewhere[1].url`: `ftp://h/a` is not an http or https URL without user and fragment, of \
             at most 512 bytes",
        ),
        (
            "[retention]\nkeep_hours = 0".to_owned(),
            "line 2, key `retention.keep_hours`: must be between 1 and 10000 hours",
        ),
        (
            "[retention]\nkeep_hours = -3".to_owned(),
            "line 2, key `retention.keep_hours`: must be between 1 and 10000 hours",
        ),
        (
            "[[client]]\nname = \"\"\ntext = \"x\"".to_owned(),
            "line 2, key `client[1].name`: must be a line of 1 to 64 bytes",
        ),
        (
            "[[client]]\nname = \"a\"\ntext = \"\\u0007\"".to_owned(),
            "line 3, key `client[1].text`: must be text of 1 to 2048 bytes",
        ),
    ] {
        assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected);
    }
    for url in ["ftp://h/", "https://user@h/", "https://h/?q", "h", "https://h/#f"] {
        let text = format!("[[pull]]\npaths = \"*\"\nfrom = [\"{url}\"]");
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line 3, key `pull[1].from`: `{url}` is not")), "{error}");
    }
    assert!(read(b"index = [").unwrap_err().to_string().starts_with("line 1: "));
    assert_eq!(read(b"a\n\xff").unwrap_err(), SettingsError::NotUtf8 { line: 2 });
    assert_eq!(read(&vec![b'#'; 65_537]).unwrap_err(), SettingsError::TooLarge(65_537));
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    let deep = format!("index = {}", "[".repeat(60_000));
    assert!(matches!(read(deep.as_bytes()), Err(SettingsError::Syntax { .. })));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,300}") {
        let _ = read(text.as_bytes());
    }

    #[test]
    fn a_file_with_a_piece_replaced_is_read_or_refused(at in 0..WHOLE.len(), length in 0..20_usize, with in "[a-z\\[\\]\"=\n.*{}]{0,6}") {
        let (at, end) = (at, (at + length).min(WHOLE.len()));
        let changed = format!("{}{with}{}", &WHOLE[..at], &WHOLE[end..]);
        let _ = read(changed.as_bytes());
    }
}
