//! A folder of a catalog as a page for people or a document for programs. Pure: rows in, bytes out.
//!
//! Everything shown comes from a catalog and so from strangers: the page is escaped by construction, has no script, and
//! is served with headers that forbid any.

use http::header::{CACHE_CONTROL, HeaderMap};
use maud::{Markup, html};
use odi_manifest::{BlobId, Sha256, Timestamp};
use serde::Serialize;

use crate::file_response::Caching;
use crate::page::{self, Form, Step};
use crate::route::{CatalogName, PageRoute, encode_path_plainly, encode_query};
use crate::serve::Response;

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Row {
    /// A folder.
    Folder {
        /// Its last segment.
        name: String,
    },
    /// An artifact.
    Artifact {
        /// Its last segment.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// When it was modified, in seconds since 1970.
        mtime: u64,
        /// Its BLAKE3.
        blake3: BlobId,
        /// Its SHA-256.
        sha256: Sha256,
    },
}

/// One page of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The catalog's name here.
    pub catalog: String,
    /// The folder's path: empty for the top, else with a trailing slash.
    pub folder: String,
    /// The head it is read from, as a URL segment.
    pub pin: String,
    /// Its children in byte order of their names.
    pub children: Vec<Row>,
    /// What to pass as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether a directory shows it, which has a page for the catalog and an explanation for each artifact.
    #[serde(skip)]
    pub at_directory: bool,
}

impl Page {
    /// The answer to a request for this folder: JSON if the caller accepts it sooner than HTML or `wants_json`.
    #[must_use]
    pub fn respond(&self, request: &HeaderMap, wants_json: bool, caching: Caching) -> Response {
        let form = page::form(request, wants_json);
        let response = match form {
            Form::Json => page::respond(form, self.to_json()),
            Form::Html => page::respond(form, self.to_html()),
        };
        response.with_header(CACHE_CONTROL, caching.header())
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("rows are texts and integers")
    }

    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let folder = format!("{}/{}", self.catalog, self.folder);
        let content = html! {
            h1 { (folder) }
            p.soft { "State " code { (self.pin) } ", signed by the catalog's maintainers." }
            table.rows.listing {
                thead { tr { th { "Name" } th.n { "Size" } th { "Modified" } th { "SHA-256" } } }
                tbody {
                    @if !self.folder.is_empty() {
                        tr { td { a href="../" { "../" } } td {} td {} td {} }
                    }
                    @for row in &self.children { (self.row(row)) }
                }
            }
            @if let Some(next) = &self.next {
                p { a rel="next" href={ "?after=" (encode_query(next)) } { "more" } }
            }
        };
        let about = self.about();
        let trail: Vec<Step<'_>> =
            about.iter().flat_map(|at| [("directory", "/"), (self.catalog.as_str(), at.as_str())]).collect();
        page::page(&format!("Index of {folder}"), &trail, &content)
    }

    /// Where this daemon says what it knows of the catalog.
    fn about(&self) -> Option<String> {
        let name: CatalogName = self.catalog.parse().ok().filter(|_| self.at_directory)?;
        Some(PageRoute::Catalog { name: name.into() }.path())
    }

    fn row(&self, row: &Row) -> Markup {
        match row {
            Row::Folder { name } => html! {
                tr { td { a href={ "./" (encode_path_plainly(name)) "/" } { (name) "/" } } td {} td {} td {} }
            },
            Row::Artifact { name, size, mtime, sha256, .. } => html! {
                @let at = format!("./{}", encode_path_plainly(name));
                tr {
                    td {
                        a href=(at) { (name) }
                        @if self.at_directory { a.about href={ (at) "?explain" } { "about" } }
                    }
                    td.n data-l="Size" { (page::size(*size)) }
                    td data-l="Modified" { (page::date(Timestamp(*mtime))) }
                    td.hash { (sha256) }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderValue, VARY};

    use super::*;

    fn page(names: &[&str]) -> Page {
        let children = names
            .iter()
            .map(|name| Row::Artifact {
                name: (*name).to_owned(),
                size: 3,
                mtime: 1_790_000_000,
                blake3: BlobId::of(b"x"),
                sha256: Sha256::of(b"x"),
            })
            .chain([Row::Folder { name: "sub".to_owned() }])
            .collect();
        Page {
            catalog: "debian".to_owned(),
            folder: "pool/".to_owned(),
            pin: "@1-a".to_owned(),
            children,
            next: Some("z&z".to_owned()),
            at_directory: true,
        }
    }

    #[test]
    fn names_of_strangers_are_shown_and_never_run() {
        let html =
            page(&["<script>alert(1)</script>", "javascript:x", "\" onclick=\"x", "R&D's $(x)"]).to_html();
        assert!(!html.contains("<script>") && !html.contains("\" onclick"), "{html}");
        assert!(html.contains("&lt;script&gt;"));
        assert!(html.contains("href=\"./javascript:x\""), "a name is no scheme: {html}");
        assert!(html.contains("href=\"./R%26D%27s%20%24%28x%29\">R&amp;D's $(x)</a>"), "{html}");
        assert!(html.contains("href=\"?after=z%26z\""));
        assert!(html.contains("href=\"../\"") && html.contains("href=\"./sub/\""));
        assert!(html.contains("href=\"./javascript:x?explain\""), "{html}");
        assert!(html.contains("<a href=\"/odi/catalogs/debian\">debian</a>"), "{html}");
    }

    #[test]
    fn a_relay_links_to_no_page_that_only_directories_have() {
        let html = Page { at_directory: false, ..page(&["a"]) }.to_html();
        assert!(!html.contains("explain") && !html.contains("/odi/"), "{html}");
    }

    #[test]
    fn json_has_what_a_program_needs() {
        let json: serde_json::Value = serde_json::from_slice(&page(&["a"]).to_json()).unwrap();
        assert_eq!(json["children"][0]["type"], "artifact");
        assert_eq!(json["children"][0]["sha256"], Sha256::of(b"x").to_string());
        assert_eq!(json["children"][1]["name"], "sub");
    }

    #[test]
    fn the_form_follows_accept_and_the_headers_allow_no_script() {
        let answer = |accept: &'static str, wants_json| {
            let request = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            page(&["a"]).respond(&request, wants_json, Caching::Pinned).headers
        };
        assert_eq!(answer("text/html", false)["content-type"], "text/html; charset=utf-8");
        assert_eq!(answer("application/json", false)["content-type"], "application/json");
        assert_eq!(answer("text/html", true)["content-type"], "application/json");
        let headers = answer("*/*", false);
        assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
        assert_eq!(headers[VARY], "accept");
    }
}
