//! From a request and the facts about a file to the whole answer, except the bytes (PROTOCOL.md § Files).
//!
//! Pure: the same method, headers and facts always give the same [`Plan`]. A plan names byte ranges; whoever holds
//! the bytes fills them in and so cannot get a status, a length or a header wrong.

mod texts;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};
use odi_manifest::{BlobId, Sha256};
use texts::Texts;

use crate::conditional::{self, Validators, Verdict};
use crate::media_type::MediaType;
use crate::range::{self, Ranges};
use crate::serve::{Body, BodyError, Response};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// `Cache-Control` where the URL means the same bytes for ever; a test holds it to [`PINNED_CACHE_LIFETIME`].
const PINNED: &str = "public, max-age=900, immutable";

/// What is known of a file before any byte of it is read.
#[derive(Clone, Copy, Debug)]
pub struct FileMeta {
    /// Its size in bytes.
    pub size: u64,
    /// What names its content; the entity tag.
    pub blob: BlobId,
    /// Its SHA-256; absent only where no catalog entry said it.
    pub sha256: Option<Sha256>,
    /// When its catalog says it last changed, in seconds since 1970; absent where no entry said it.
    pub mtime: Option<u64>,
    /// What it is.
    pub media: MediaType,
    /// How long the URL will mean these bytes.
    pub caching: Caching,
}

/// How long a URL means the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// For ever, by a pin or a content hash; kept no longer than revocation allows.
    Pinned,
    /// Until the catalog's next head: ask again each time, which costs a 304.
    Unpinned,
}

impl Caching {
    /// As `Cache-Control` has it.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        match self {
            Self::Pinned => HeaderValue::from_static(PINNED),
            Self::Unpinned => HeaderValue::from_static("public, no-cache"),
        }
    }
}

/// A piece of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes: the frame around the parts of a multipart answer.
    Bytes(Bytes),
    /// This range of the file: not empty.
    File(Range<u64>),
}

/// An answer without its bytes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// 200, 206, 304, 412 or 416.
    pub status: StatusCode,
    /// Every header, with `Content-Length` where one belongs.
    pub headers: HeaderMap,
    /// The body in order; empty for HEAD, 304, 412 and 416.
    pub segments: Vec<Segment>,
}

/// Decides the answer to a GET or HEAD of a file.
#[must_use]
pub fn plan(method: &Method, request: &HeaderMap, file: &FileMeta) -> Plan {
    let texts = Texts::of(file);
    // A date that no request can name, where there is none.
    let have = Validators { tag: texts.tag(), modified: file.mtime.unwrap_or(u64::MAX) };
    let verdict = conditional::evaluate(method, request, have);
    let texts = texts.into_values();
    let mut headers = texts.validators(file.caching);
    let ranges = match verdict {
        Verdict::NotModified => return bodiless(StatusCode::NOT_MODIFIED, headers),
        Verdict::Failed => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return bodiless(StatusCode::PRECONDITION_FAILED, headers);
        }
        Verdict::Proceed { ranges: true } => range::parse(request, file.size),
        Verdict::Proceed { ranges: false } => Ranges::Whole,
    };
    safety(&mut headers, file.media);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media.as_str()));
    texts.put_digests(&mut headers);
    let (status, segments) = match ranges {
        Ranges::Unsatisfiable => {
            headers.insert(CONTENT_RANGE, ascii(format!("bytes */{}", file.size)));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return bodiless(StatusCode::RANGE_NOT_SATISFIABLE, headers);
        }
        Ranges::Whole => (StatusCode::OK, vec![Segment::File(0..file.size)]),
        Ranges::Parts(parts) => match <[Range<u64>; 1]>::try_from(parts) {
            Ok([part]) => {
                headers.insert(CONTENT_RANGE, ascii(content_range(&part, file.size)));
                (StatusCode::PARTIAL_CONTENT, vec![Segment::File(part)])
            }
            Err(parts) => (StatusCode::PARTIAL_CONTENT, multipart(&mut headers, &parts, file)),
        },
    };
    let length: u64 = segments.iter().map(Segment::len).sum();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let segments = if *method == Method::HEAD { Vec::new() } else { segments };
    Plan { status, headers, segments: segments.into_iter().filter(|segment| segment.len() > 0).collect() }
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(range) => range.end.saturating_sub(range.start),
        }
    }
}

impl Plan {
    /// How many bytes the body has.
    #[must_use]
    pub fn body_len(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    /// The range of the file that is the whole body, if one is.
    #[must_use]
    pub fn only_range(&self) -> Option<&Range<u64>> {
        match self.segments.as_slice() {
            [Segment::File(range)] => Some(range),
            _ => None,
        }
    }

    /// The response, with the bytes of its [`only_range`](Self::only_range).
    #[must_use]
    pub fn respond_with(self, bytes: Bytes) -> Response {
        debug_assert_eq!(self.body_len(), bytes.len() as u64, "exactly the bytes of the range");
        Response { status: self.status, headers: self.headers, body: Body::content(bytes) }
    }

    /// The response, with the file's bytes from memory.
    #[must_use]
    pub fn respond_from(self, file: &Bytes) -> Response {
        let file = file.clone();
        self.respond(move |range| {
            let slice = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let piece = slice
                .filter(|(start, end)| start <= end && *end <= file.len())
                .map(|(start, end)| file.slice(start..end))
                .ok_or_else(|| BodyError::source("the file is shorter than its entry says"));
            stream::once(async move { piece }).boxed()
        })
    }

    /// The response, with each range of the file from `open`, which must stream exactly that range.
    #[must_use]
    pub fn respond<F>(self, open: F) -> Response
    where
        F: Fn(Range<u64>) -> BoxStream<'static, Result<Bytes, BodyError>> + Send + Sync + 'static,
    {
        let len = self.body_len();
        let open = Arc::new(open);
        let body = if len == 0 {
            Body::Empty
        } else {
            Body::stream(
                len,
                stream::iter(self.segments).flat_map(move |segment| match segment {
                    Segment::Bytes(bytes) => stream::once(async move { Ok(bytes) }).boxed(),
                    Segment::File(range) => open(range),
                }),
            )
        };
        Response { status: self.status, headers: self.headers, body }
    }
}

/// A volunteer's host must not become the stage of somebody's page.
fn safety(headers: &mut HeaderMap, media: MediaType) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if media.is_active() {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
}

fn multipart(headers: &mut HeaderMap, parts: &[Range<u64>], file: &FileMeta) -> Vec<Segment> {
    // It depends on the content's own hash, so that no content can be made to hold it.
    let boundary: String = blake3::derive_key("ODI 2026-11 multipart boundary v1", file.blob.as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut segments = Vec::with_capacity(parts.len() * 2 + 1);
    for part in parts {
        let frame = format!(
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            file.media.as_str(),
            content_range(part, file.size)
        );
        segments.push(Segment::Bytes(frame.into()));
        segments.push(Segment::File(part.clone()));
    }
    segments.push(Segment::Bytes(format!("\r\n--{boundary}--\r\n").into()));
    headers.insert(CONTENT_TYPE, ascii(format!("multipart/byteranges; boundary={boundary}")));
    segments
}

fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

const fn bodiless(status: StatusCode, headers: HeaderMap) -> Plan {
    Plan { status, headers, segments: Vec::new() }
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("made of digits, dates, base64 and names of this file")
}

#[cfg(test)]
mod tests;
