//! A folder of a catalog as a page for people or a document for programs. Pure: rows in, bytes out.
//!
//! Everything shown comes from a catalog and so from strangers: the page is escaped by construction, has no script, and
//! is served with headers that forbid any.

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use maud::{DOCTYPE, Markup, html};
use odi_manifest::{BlobId, Sha256, Timestamp};
use serde::Serialize;

use crate::file_response::Caching;
use crate::route::{encode_path, encode_path_plainly};
use crate::serve::{Body, Response};

/// What a folder's page may do: show itself. No script, no frame, nothing from elsewhere.
pub const LISTING_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                           form-action 'none'; frame-ancestors 'none'; sandbox";

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
}

impl Page {
    /// The answer to a request for this folder: JSON if the caller accepts it sooner than HTML or `wants_json`.
    #[must_use]
    pub fn respond(&self, request: &HeaderMap, wants_json: bool, caching: Caching) -> Response {
        let accept = request.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let response = if wants_json || prefers_json(accept) {
            Response::ok("application/json", Body::content(self.to_json()))
        } else {
            Response::ok("text/html; charset=utf-8", Body::content(self.to_html()))
        };
        response
            .with_header(VARY, HeaderValue::from_static("accept"))
            .with_header(CACHE_CONTROL, caching.header())
            .with_header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(LISTING_SECURITY_POLICY))
            .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("rows are texts and integers")
    }

    /// For people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("{}/{}", self.catalog, self.folder);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "Index of " (title) }
                    style { (STYLE) }
                }
                body {
                    h1 { "Index of " (title) }
                    table {
                        thead { tr { th { "Name" } th { "Size" } th { "Modified" } th { "SHA-256" } } }
                        tbody {
                            @if !self.folder.is_empty() {
                                tr { td { a href="../" { "../" } } td {} td {} td {} }
                            }
                            @for row in &self.children { (html_row(row)) }
                        }
                    }
                    @if let Some(next) = &self.next {
                        p { a rel="next" href={ "?after=" (encode_query(next)) } { "more" } }
                    }
                    p { "State " code { (self.pin) } ", signed by the catalog's maintainers." }
                }
            }
        }
        .into_string()
    }
}

const STYLE: &str = "body{font:16px/1.4 system-ui,sans-serif;margin:1rem}table{border-collapse:collapse}\
    th{text-align:left}td,th{padding:.1rem .8rem .1rem 0;vertical-align:top}\
    td:nth-child(2){text-align:right;white-space:nowrap}td:nth-child(3){white-space:nowrap}\
    td:nth-child(4){font-family:monospace;font-size:.75rem;word-break:break-all}";

fn html_row(row: &Row) -> Markup {
    match row {
        Row::Folder { name } => html! {
            tr { td { a href={ "./" (encode_path_plainly(name)) "/" } { (name) "/" } } td {} td {} td {} }
        },
        Row::Artifact { name, size, mtime, sha256, .. } => html! {
            tr {
                td { a href={ "./" (encode_path_plainly(name)) } { (name) } }
                td { (size) }
                td { (Timestamp(*mtime)) }
                td { (sha256) }
            }
        },
    }
}

/// As [`encode_path`], and with what separates parameters.
fn encode_query(text: &str) -> String {
    encode_path(text).replace('&', "%26").replace('+', "%2B").replace('=', "%3D").replace(';', "%3B")
}

/// Whether an `Accept` header prefers JSON to HTML: it names JSON, and HTML not at all or later.
#[must_use]
pub fn prefers_json(accept: &str) -> bool {
    let at = |word: &str| accept.find(word);
    match (at("application/json"), at("text/html")) {
        (Some(json), Some(html)) => json < html,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn json_only_for_those_who_ask() {
        assert!(prefers_json("application/json"));
        assert!(prefers_json("application/json, text/html;q=0.5"));
        assert!(!prefers_json("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!prefers_json("*/*") && !prefers_json(""));
    }
}
