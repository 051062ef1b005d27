//! One request to somebody else.

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, IntoHeaderName};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use super::Guise;

/// The most that a reply to an ordinary request may have; blobs say their own size.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What to send, and how much to take.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) range: Option<Range<u64>>,
    pub(super) reply_bytes_max: u64,
    pub(super) redirects_max: usize,
    pub(super) names_encodings: bool,
}

impl Ask {
    fn new(method: Method, url: &Url) -> Self {
        Self {
            method,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: None,
            range: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            redirects_max: 0,
            names_encodings: true,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(url: &Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A HEAD.
    #[must_use]
    pub fn head(url: &Url) -> Self {
        Self::new(Method::HEAD, url)
    }

    /// A POST of a body of this media type.
    #[must_use]
    pub fn post(url: &Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let ask = Self::new(Method::POST, url).header(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { body: Some(body.into()), ..ask }
    }

    /// Only these bytes, end excluded. Whether the peer honours it is for the caller to see; an empty range asks
    /// for everything.
    #[must_use]
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range).filter(|range| !range.is_empty());
        self
    }

    /// With a header field, in place of any of that name.
    #[must_use]
    pub fn header(mut self, name: impl IntoHeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// In the words of a program that people use, and not in this one's.
    #[must_use]
    pub fn disguised(mut self, guise: Guise) -> Self {
        for (name, value) in guise.fields() {
            self.headers.insert(name, value);
        }
        self.names_encodings = guise.names_encodings();
        self
    }

    /// Takes at most so many bytes of reply body; 64 MiB if not said.
    #[must_use]
    pub const fn reply_bytes_max(mut self, bytes: u64) -> Self {
        self.reply_bytes_max = bytes;
        self
    }

    /// Follows up to so many redirects, each vetted like the first URL and none from https to http. Only a GET or
    /// HEAD is ever sent on. For origins, which may sit behind a redirector of their own.
    #[must_use]
    pub fn following(mut self, redirects_max: usize) -> Self {
        let only_reads = matches!(self.method, Method::GET | Method::HEAD);
        self.redirects_max = if only_reads { redirects_max } else { 0 };
        self
    }

    /// The method, for signing.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The URL, for signing.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The header fields so far. `User-Agent`, `Range` and `Accept-Encoding` join them when it is sent.
    #[must_use]
    pub const fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header field as text.
    #[must_use]
    pub fn header_value(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, for signing.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }
}
