//! Pages for people, as both daemons send them: one frame, one stylesheet, one set of headers. Pure.
//!
//! Whatever a page shows may come from strangers. Markup escapes it, a link is made of it only where it is an ordinary
//! web address, and the headers forbid scripts, frames and everything from elsewhere.

mod quantities;
mod stylesheet;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use maud::{DOCTYPE, Markup, html};

pub use quantities::{count, date, part, percent, size};

use crate::serve::{Body, Response};
use stylesheet::STYLESHEET;

/// What a page may do: show itself, and let what it links to be saved. No script, no frame, nothing from elsewhere.
pub const PAGE_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                        form-action 'none'; frame-ancestors 'none'; sandbox allow-downloads";

/// A step on the way to a page: what it is called, and where it is.
pub type Step<'a> = (&'a str, &'a str);

/// A whole page. `trail` are the pages above it, from the top.
#[must_use]
pub fn page(title: &str, trail: &[Step<'_>], content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (STYLESHEET) }
            }
            body {
                @if !trail.is_empty() {
                    nav { @for (name, at) in trail { a href=(at) { (name) } " / " } }
                }
                main { (content) }
            }
        }
    }
    .into_string()
}

/// A URL as a link to itself.
#[must_use]
pub fn link(url: &str) -> Markup {
    link_to(url, url)
}

/// A link where the URL is an ordinary web address, else the text alone.
#[must_use]
pub fn link_to(url: &str, text: &str) -> Markup {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    html! { @if is_web { a rel="nofollow noreferrer" href=(url) { (text) } } @else { (text) } }
}

/// The form of an answer that has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Html,
    /// For programs.
    Json,
}

/// The form that a request for a page asks for: JSON if `wants_json` or if it accepts that sooner than HTML.
#[must_use]
pub fn form(request: &HeaderMap, wants_json: bool) -> Form {
    if wants_json || prefers_json(accepted(request)) { Form::Json } else { Form::Html }
}

/// What a request says that it accepts.
fn accepted(request: &HeaderMap) -> &str {
    request.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
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

/// Whether a request comes from somebody who looks at pages: it names HTML. Programs for the command line accept
/// anything.
#[must_use]
pub fn names_html(request: &HeaderMap) -> bool {
    accepted(request).contains("text/html")
}

/// The answer with a body in one of its forms.
#[must_use]
pub fn respond(form: Form, body: impl Into<Bytes>) -> Response {
    let content_type = match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Json => "application/json",
    };
    Response::ok(content_type, Body::content(body))
        .with_header(VARY, HeaderValue::from_static("accept"))
        .with_header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_SECURITY_POLICY))
        .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_only_for_those_who_ask() {
        assert!(prefers_json("application/json"));
        assert!(prefers_json("application/json, text/html;q=0.5"));
        assert!(!prefers_json("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!prefers_json("*/*") && !prefers_json(""));
        let asks = |accept| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(form(&asks("*/*"), false), Form::Html);
        assert_eq!(form(&asks("text/html"), true), Form::Json);
        assert!(names_html(&asks("text/html,*/*;q=0.8")) && !names_html(&asks("*/*")));
    }

    #[test]
    fn a_link_leads_to_the_web_or_nowhere() {
        assert_eq!(
            link("https://a.example/?a=1&b=\"2").into_string(),
            "<a rel=\"nofollow noreferrer\" href=\"https://a.example/?a=1&amp;b=&quot;2\">\
             https://a.example/?a=1&amp;b=&quot;2</a>"
        );
        for text in ["javascript:alert(1)", "data:text/html,x", "//evil.example", " https://x.example"] {
            assert_eq!(link(text).into_string(), text);
        }
    }

    #[test]
    fn a_page_is_its_own_and_the_stylesheet_asks_for_nothing() {
        let html = page("<b>", &[("top & more", "/")], &html! { p { "here" } });
        assert!(html.contains("<title>&lt;b&gt;</title>") && html.contains("top &amp; more"), "{html}");
        for fetched in ["url(", "@import", "@font-face", "<script", "http:", "https:"] {
            assert!(!html.contains(fetched), "{fetched}");
        }
        // The markup would escape these, and no browser reads escapes in a style.
        assert!(!STYLESHEET.contains(['<', '>', '&', '"']));
    }
}
