//! Metalink documents: one file, its size and SHA-256, and where it is.
//!
//! Version 4 (RFC 5854) is what aria2 and wget2 read. Version 3 is what dnf reads, in its own dialect: hash types without hyphens, and
//! in `mm0:alternates` what else the file may be while mirrors are at different states; without them a client that gets the former
//! `repomd.xml` from a mirror throws that mirror away.

use maud::{Markup, PreEscaped, html};
use odi_manifest::{Entry, Timestamp};
use odi_wire::http_date;

use super::digest_line::file_name;

/// All that a metalink says.
#[derive(Clone, Copy, Debug)]
pub struct Metalink<'a> {
    /// The artifact's path.
    pub path: &'a str,
    /// When the state was signed that it is read from.
    pub published: Timestamp,
    /// What the path names there.
    pub entry: &'a Entry,
    /// What it names in former states, newest first.
    pub formers: &'a [Entry],
    /// Where the document itself is asked for again.
    pub origin: &'a str,
    /// Where the file is, best first.
    pub urls: &'a [String],
}

const DECLARATION: PreEscaped<&str> = PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
const GENERATOR: &str = concat!("odi-directoryd/", env!("CARGO_PKG_VERSION"));
/// The greatest `preference` in version 3.
const PREFERENCE_MAX: usize = 100;

impl Metalink<'_> {
    /// Version 4.
    #[must_use]
    pub fn to_v4(&self) -> String {
        html! {
            (DECLARATION)
            metalink xmlns="urn:ietf:params:xml:ns:metalink" {
                generator { (GENERATOR) }
                origin dynamic="true" { (self.origin) }
                published { (self.published.rfc3339()) }
                file name=(file_name(self.path)) {
                    size { (self.entry.size) }
                    hash type="sha-256" { (self.entry.sha256) }
                    @for (priority, url) in (1..).zip(self.urls) {
                        url priority=(priority) { (url) }
                    }
                }
            }
        }
        .into_string()
    }

    /// Version 3.
    #[must_use]
    pub fn to_v3(&self) -> String {
        html! {
            (DECLARATION)
            metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic"
                pubdate=(http_date::format(self.published.0)) generator=(GENERATOR) origin=(self.origin)
                xmlns:mm0="http://fedorahosted.org/mirrormanager" {
                files {
                    file name=(file_name(self.path)) {
                        (described_v3(self.entry))
                        @if !self.formers.is_empty() {
                            mm0:alternates {
                                @for former in self.formers {
                                    mm0:alternate { (described_v3(former)) }
                                }
                            }
                        }
                        resources maxconnections="1" {
                            @for (worse, url) in self.urls.iter().enumerate() {
                                @let scheme = url.split(':').next().unwrap_or_default();
                                url protocol=(scheme) type=(scheme)
                                    preference=(PREFERENCE_MAX.saturating_sub(worse).max(1)) { (url) }
                            }
                        }
                    }
                }
            }
        }
        .into_string()
    }
}

fn described_v3(entry: &Entry) -> Markup {
    html! {
        mm0:timestamp { (entry.mtime) }
        size { (entry.size) }
        verification { hash type="sha256" { (entry.sha256) } }
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::{BlobId, Sha256};

    use super::*;

    fn entry(bytes: &[u8], mtime: u64) -> Entry {
        Entry {
            size: bytes.len() as u64,
            blob: BlobId::of(bytes),
            sha256: Sha256::of(bytes),
            mtime,
            ext: None,
        }
    }

    #[test]
    fn both_versions_with_alternates_and_everything_escaped() {
        let (now, former) = (entry(b"newer", 1_700_000_500), entry(b"new", 1_700_000_000));
        let urls = ["https://r1.example/@7-abc/a&b/\"x\".xml", "http://everest.example/fedora/x.xml"];
        let urls = urls.map(str::to_owned);
        let metalink = Metalink {
            path: "a&b/\"x\"<y>.xml",
            published: Timestamp(1_700_000_600),
            entry: &now,
            formers: std::slice::from_ref(&former),
            origin: "http://everest.example/fedora/x.xml.metalink?a=1&b=2",
            urls: &urls,
        };
        let lines = |text: String| text.replace("><", ">\n<");
        insta::assert_snapshot!("version_4", lines(metalink.to_v4()));
        insta::assert_snapshot!("version_3", lines(metalink.to_v3()));
    }
}
