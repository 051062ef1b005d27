//! The table in docs/clients/README.md: every row is what its scenario saw. A scenario fails where the page promises more;
//! `ODI_WRITE_DOCS=1` has it write the page instead. Whether a client notices a death depends on when it comes: one that gets away
//! with less than the page says breaks no promise.

use std::fs;
use std::sync::{Mutex, PoisonError};

use crate::page;

/// What became of a transaction whose relay died in the middle, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recovery {
    /// It ended well, and nobody noticed.
    ByItself,
    /// It failed; the same command again ended well.
    Again,
    /// It failed until what it had left behind was taken away.
    Mended,
}

impl Recovery {
    const ALL: [Self; 3] = [Self::ByItself, Self::Again, Self::Mended];

    const fn words(self) -> &'static str {
        match self {
            Self::ByItself => "goes on by itself",
            Self::Again => "fails, and succeeds when it is run again",
            Self::Mended => "fails until the broken file is removed",
        }
    }
}

/// The rows, in the page's order: ecosystem, its page, client, and what that client checks.
pub(crate) const ROWS: &[(&str, &str, &str, &str)] = &[
    ("Debian", "debian", "apt, http", "the archive's signature, and from it each index and package"),
    ("Debian", "debian", "apt, `mirror+http`", "the archive's signature, and from it each index and package"),
    ("Debian", "debian", "apt, https", "the archive's signature, and from it each index and package"),
    (
        "Debian",
        "debian",
        "apt, `mirror+https`",
        "the archive's signature, and from it each index and package",
    ),
    ("PyPI", "pypi", "pip, HTML index", "the hashes in the index"),
    ("PyPI", "pypi", "pip, JSON index, `--require-hashes`", "the hashes that the user has"),
    ("PyPI", "pypi", "uv", "the hashes that the user has, with `--require-hashes`"),
    ("npm", "npm", "npm", "`integrity`"),
    ("crates.io", "crates", "cargo, sparse index", "the index's check sum"),
    ("Maven", "maven", "mvn", "`.sha1` of every file, with `-C`"),
    ("RubyGems", "rubygems", "gem, http", "the check sums in the gem"),
    ("RubyGems", "rubygems", "gem, https", "the check sums in the gem"),
    ("Fedora", "rpm", "dnf, `baseurl`", "`repomd.xml`, and each package's signature"),
    ("Fedora", "rpm", "dnf, `mirrorlist`", "`repomd.xml`, and each package's signature"),
    ("Fedora", "rpm", "dnf, `metalink`", "the metalink's hash of `repomd.xml`, and each package's signature"),
    ("openSUSE", "rpm", "zypper", "`repomd.xml`, and each package's signature"),
    ("Releases", "releases", "curl", "SHA-256, and the maintainers' signature"),
    ("Releases", "releases", "wget", "SHA-256"),
    ("Releases", "releases", "wget2", "SHA-256"),
    ("Releases", "releases", "aria2, metalink", "SHA-256, by itself"),
    ("Releases", "releases", "a browser", "nothing by itself; SHA-256, and the maintainers' signature"),
    ("Jenkins", "jenkins", "curl", "the SHA-256 in `update-center.json`"),
    ("Images", "images", "`curl -C -`", "SHA-256"),
    ("Images", "images", "zsync", "SHA-1 by itself, and SHA-256"),
    ("Containers", "oci", "skopeo", "the manifest's digests"),
    ("OSTree", "ostree", "ostree", "the commit's signature, and each object's name"),
    (
        "Flatpak",
        "flatpak",
        "flatpak, http",
        "the signatures of the summary and the commit, and each object's name",
    ),
    ("Nix", "nix", "nix", "the narinfo's signature and hashes"),
];

const BEGIN: &str = "<!-- written by the scenarios: ODI_WRITE_DOCS=1 -->\n";
const END: &str = "<!-- end -->\n";
static PAGE: Mutex<()> = Mutex::new(());

/// Whether a client fared as well as its row says; also where the row is to be written.
pub(crate) fn is_kept(page: &str, client: &str, recovery: Recovery) -> bool {
    let text = fs::read_to_string(page::folder().join("README.md")).unwrap();
    std::env::var_os("ODI_WRITE_DOCS").is_some()
        || said(&text, page, client).is_some_and(|said| recovery <= said)
}

/// What the page says of a client.
fn said(text: &str, page: &str, client: &str) -> Option<Recovery> {
    Recovery::ALL.into_iter().find(|said| text.lines().any(|known| known == line(page, client, *said)))
}

/// The row of a client.
fn line(page: &str, client: &str, recovery: Recovery) -> String {
    let listed = |row: &&(&str, &str, &str, &str)| row.1 == page && row.2 == client;
    let (ecosystem, _, _, checks) = ROWS.iter().find(listed).expect("the row is listed");
    let key = key(ecosystem, page, client);
    format!("{key} {checks} | every run ends well | {} |", recovery.words())
}

/// Writes or compares the row of a client.
pub(crate) fn row(page: &str, client: &str, recovery: Recovery) {
    let line = line(page, client, recovery);
    // One failed row is no reason for the others to fail.
    let _one_at_a_time = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = page::folder().join("README.md");
    let text = fs::read_to_string(&file).unwrap();
    let said = said(&text, page, client);
    if std::env::var_os("ODI_WRITE_DOCS").is_none() {
        assert!(
            said.is_some_and(|said| recovery <= said),
            "docs/clients/README.md says {said:?}, the scenario saw:\n{line}\nODI_WRITE_DOCS=1 writes it"
        );
        return odi_fixtures::tell!("{client}: {recovery:?}, where the page says {said:?}");
    }
    let (before, rows) = text.split_once(BEGIN).expect("the page has its mark");
    let (rows, after) = rows.split_once(END).expect("the page has its end mark");
    let head = "| ecosystem | client | checks | while an update spreads | when its relay dies in the middle |\n|---|---|---|---|---|\n";
    let row_of = |(ecosystem, page, client, _): &(&str, &str, &str, &str)| {
        let own = key(ecosystem, page, client);
        if line.starts_with(&own) {
            Some(line.as_str())
        } else {
            rows.lines().find(|line| line.starts_with(&own))
        }
    };
    let rows: String = ROWS.iter().filter_map(row_of).flat_map(|line| [line, "\n"]).collect();
    fs::write(file, format!("{before}{BEGIN}{head}{rows}{END}{after}")).unwrap();
}

fn key(ecosystem: &str, page: &str, client: &str) -> String {
    format!("| [{ecosystem}]({page}.md) | {client} |")
}

/// A row whose scenario is gone would stay for ever.
#[test]
fn the_table_has_exactly_the_rows_of_the_scenarios() {
    if std::env::var_os("ODI_WRITE_DOCS").is_some() {
        return;
    }
    let text = fs::read_to_string(page::folder().join("README.md")).unwrap();
    let rows = text.split_once(BEGIN).and_then(|(_, rows)| rows.split_once(END)).expect("the marks").0;
    let shown: Vec<&str> = rows.lines().skip(2).collect();
    let keys: Vec<String> =
        ROWS.iter().map(|(ecosystem, page, client, _)| key(ecosystem, page, client)).collect();
    assert_eq!(shown.len(), keys.len(), "{rows}");
    assert!(shown.iter().zip(&keys).all(|(line, key)| line.starts_with(key)), "{rows}");
}
