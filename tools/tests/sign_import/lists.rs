//! Lists of artifacts that stay where they are: a release host and `SHA256SUMS`.

use std::fs;
use std::path::PathBuf;

use odi_manifest::Sha256;

use crate::maintainer::Maintainer;
use crate::web;

/// A release host with these files, and a maintainer whose tree is served too.
struct Releases {
    m: Maintainer,
    host: String,
    origin: String,
}

impl Releases {
    fn new() -> Self {
        let m = Maintainer::with_tree(&[("index.html", "hello")]);
        let host = web::serve(m.path().join("host"));
        let origin = web::serve(m.tree());
        Self { m, host, origin }
    }

    fn upload(&self, name: &str, bytes: &[u8]) {
        let file = self.m.path().join("host").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Writes a list, and returns the arguments that import it.
    fn list(&self, name: &str, lines: &[String]) -> PathBuf {
        let file = self.m.path().join(name);
        fs::write(&file, lines.join("\n")).unwrap();
        file
    }

    fn import(&self, list: &PathBuf, more: &[&str]) -> (i32, String, String) {
        let mut command = self.m.command(&["import", "TREE", "--key", "REL", "--list"]);
        let output = command.arg(list).args(more).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The same where it must work: what it says of downloads.
    fn imported(&self, list: &PathBuf, more: &[&str]) -> String {
        let (code, _, said) = self.import(list, more);
        assert_eq!(code, 0, "{said}");
        said.lines().last().unwrap().trim_start_matches("odi-sign: ").to_owned()
    }

    fn paths(&self) -> Vec<String> {
        let listed = self.m.json(&["ls", "TREE", "--recursive"]);
        let name = |entry: &serde_json::Value| entry["path"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(name).collect()
    }
}

fn sum(bytes: &[u8], name: &str) -> String {
    format!("{}  {name}", Sha256::of(bytes))
}

#[test]
fn a_releases_checksums_are_published_and_its_files_stay_where_they_are() {
    let r = Releases::new();
    let (app, small) = (vec![7; 600_000], b"small".to_vec());
    r.upload("v1/app.tar", &app);
    r.upload("v1/a b.sig", &small);
    let sums = r.list("SHA256SUMS", &[sum(&app, "app.tar"), sum(&small, "a b.sig")]);
    let base = format!("{}v1/", r.host);
    let said = r.imported(&sums, &["--base", &base, "--into", "v1", "--origin", &r.origin]);
    assert_eq!(said, "2 artifacts listed, 2 downloaded (600.0 kB)");
    let all = ["index.html", "odi-catalog.toml", "v1/a b.sig", "v1/app.tar"];
    assert_eq!(r.paths(), all);
    assert!(!r.m.tree().join("v1").exists());
    assert!(fs::read_dir(r.m.tree().join(".odi/blobs")).unwrap().count() <= 2);
    // Again: nothing is downloaded, nothing is signed, also when the cache is gone.
    assert_eq!(
        r.imported(&sums, &["--base", &base, "--into", "v1"]),
        "2 artifacts listed, 0 downloaded (0 bytes)"
    );
    fs::remove_dir_all(r.m.path().join("cache")).unwrap();
    assert_eq!(
        r.imported(&sums, &["--base", &base, "--into", "v1"]),
        "2 artifacts listed, 0 downloaded (0 bytes)"
    );
    assert_eq!(r.m.json(&["status", "TREE"])["seq"], 1);
    // An ordinary publish leaves it alone.
    r.m.write("index.html", "hello again");
    assert_eq!(r.m.json(&["publish", "TREE", "--key", "REL"])["changed"], 1);
    assert_eq!(r.paths(), all);
    assert_eq!(r.m.json(&["verify", "TREE"])["elsewhere"], 2);
    assert_eq!(r.m.json(&["verify", &r.origin])["checked"], 4);
}

#[test]
fn the_next_release_is_downloaded_alone_and_a_complete_list_removes_what_it_lacks() {
    let r = Releases::new();
    let files = [("v1/app", b"one"), ("v2/app", b"two"), ("v2/get", b"odd")];
    files.iter().for_each(|(name, bytes)| r.upload(name, *bytes));
    let first = r.list("one", &[sum(b"one", &format!("{}v1/app v1/app", r.host))]);
    r.imported(&first, &[]);
    // A path that is not the end of its URL, and one that is.
    let odd = sum(b"odd", &format!("{}v2/get tools/odd.zip", r.host));
    let second = r.list("two", &[sum(b"two", &format!("{}v2/app v2/app", r.host)), odd]);
    assert_eq!(r.imported(&second, &[]), "2 artifacts listed, 2 downloaded (6 bytes)");
    let all = ["index.html", "odi-catalog.toml", "tools/odd.zip", "v1/app", "v2/app"];
    assert_eq!(r.paths(), all);
    r.m.ok(&["verify", &r.origin]);
    assert_eq!(r.imported(&second, &["--complete"]), "2 artifacts listed, 0 downloaded (0 bytes)");
    assert_eq!(r.paths(), ["index.html", "odi-catalog.toml", "tools/odd.zip", "v2/app"]);
    // What comes into the tree is an ordinary file from then on.
    r.m.write("v2/app", "two");
    let (code, _, said) = r.import(&second, &[]);
    assert!(code == 3 && said.contains("v2/app: lies in the tree, and a list says"), "{code} {said}");
    assert_eq!(r.m.json(&["publish", "TREE", "--key", "REL"])["changed"], 1);
    fs::remove_file(r.m.tree().join("v2/app")).unwrap();
    assert_eq!(r.m.json(&["publish", "TREE", "--key", "REL"])["removed"], 1);
}

#[test]
fn bytes_that_are_not_those_of_the_list_are_an_error_and_what_came_before_is_not_lost() {
    let r = Releases::new();
    r.upload("a", b"a");
    r.upload("b", b"tampered with");
    let sums = r.list("SHA256SUMS", &[sum(b"a", "a"), sum(b"b", "b")]);
    let (code, _, said) = r.import(&sums, &["--base", &r.host]);
    let expected = format!(
        "odi-sign: {}b does not have the bytes of its list: expected SHA-256 {}, found {}",
        r.host,
        Sha256::of(b"b"),
        Sha256::of(b"tampered with")
    );
    assert!(code == 5 && said.contains(&expected), "{code} {said}");
    assert!(!r.m.tree().join(".odi/head").exists() && !r.m.tree().join("odi-catalog.toml").exists());
    r.upload("b", b"b");
    assert_eq!(r.imported(&sums, &["--base", &r.host]), "2 artifacts listed, 1 downloaded (1 byte)");
    let gone = r.list("gone", &[sum(b"c", &format!("{}c", r.host))]);
    let (code, _, said) = r.import(&gone, &[]);
    assert!(code == 8 && said.contains(&format!("{}c answered 404", r.host)), "{code} {said}");
    let bad = r.list("bad", &["# ours".to_owned(), "abc  x".to_owned()]);
    let (code, _, said) = r.import(&bad, &["--base", &r.host]);
    assert!(code == 3 && said.contains("bad, line 2\n  because `abc` is not a SHA-256"), "{code} {said}");
    // The same bytes at another URL are looked at there.
    r.upload("mirror/a", b"a");
    let moved = r.list("moved", &[sum(b"a", &format!("{}mirror/a", r.host))]);
    assert_eq!(r.imported(&moved, &[]), "1 artifact listed, 1 downloaded (1 byte)");
    assert_eq!(r.m.json(&["verify", &r.origin])["checked"], 4);
}
