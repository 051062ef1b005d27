//! The header values that differ from file to file. They are cut from one piece of memory: they are made for every request.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, ETAG, HeaderName, HeaderValue, LAST_MODIFIED};

use super::{Caching, FileMeta};
use crate::http_date;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const DIGEST: HeaderName = HeaderName::from_static("digest");

/// Room for all of them.
const BYTES: usize = 256;

/// The values one after the other.
pub(super) struct Texts {
    all: String,
    tag: Range<usize>,
    modified: Range<usize>,
    repr_digest: Range<usize>,
    digest: Range<usize>,
}

/// The same, ready to be sent. What is not known is empty.
pub(super) struct Values {
    tag: HeaderValue,
    modified: HeaderValue,
    repr_digest: HeaderValue,
    digest: HeaderValue,
}

impl Texts {
    pub(super) fn of(file: &FileMeta) -> Self {
        let mut all = String::with_capacity(BYTES);
        let mut part = |write: &dyn Fn(&mut String)| {
            let begins = all.len();
            write(&mut all);
            begins..all.len()
        };
        let tag = part(&|all| {
            all.push('"');
            all.push_str(&file.blob.to_string());
            all.push('"');
        });
        let modified = part(&|all| {
            if let Some(mtime) = file.mtime {
                all.push_str(&http_date::format(mtime));
            }
        });
        // RFC 9530, and the `Digest` of RFC 3230 before it, which is what aria2 reads. Both are of the whole file,
        // whatever part is sent.
        let digest_in = |all: &mut String, before: &str, after: &str| {
            if let Some(sha256) = &file.sha256 {
                all.push_str(before);
                STANDARD.encode_string(sha256.as_bytes(), all);
                all.push_str(after);
            }
        };
        let repr_digest = part(&|all| digest_in(all, "sha-256=:", ":"));
        let digest = part(&|all| digest_in(all, "SHA-256=", ""));
        Self { all, tag, modified, repr_digest, digest }
    }

    /// The entity tag, without its quotes.
    pub(super) fn tag(&self) -> &str {
        self.all.get(self.tag.clone()).unwrap_or_default().trim_matches('"')
    }

    pub(super) fn into_values(self) -> Values {
        let all = Bytes::from(self.all);
        let cut = |part: Range<usize>| {
            HeaderValue::from_maybe_shared(all.slice(part)).expect("hex, a date and base64 are visible ASCII")
        };
        Values {
            tag: cut(self.tag),
            modified: cut(self.modified),
            repr_digest: cut(self.repr_digest),
            digest: cut(self.digest),
        }
    }
}

impl Values {
    /// What identifies the representation, which a 304 carries too.
    pub(super) fn validators(&self, caching: Caching) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(ETAG, self.tag.clone());
        put(&mut headers, LAST_MODIFIED, &self.modified);
        headers.insert(CACHE_CONTROL, caching.header());
        headers
    }

    pub(super) fn put_digests(&self, headers: &mut HeaderMap) {
        put(headers, REPR_DIGEST, &self.repr_digest);
        put(headers, DIGEST, &self.digest);
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !value.is_empty() {
        headers.insert(name, value.clone());
    }
}
