//! What a client sees of a file, for every kind of request.

use proptest::prelude::*;

use super::*;
use crate::limits::PINNED_CACHE_LIFETIME;

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn file(path: &str) -> FileMeta {
    FileMeta {
        size: CONTENT.len() as u64,
        blob: BlobId::of(CONTENT),
        sha256: Some(Sha256::of(CONTENT)),
        mtime: Some(784_111_777),
        media: MediaType::of_path(path),
        caching: Caching::Pinned,
    }
}

fn header<'a>(plan: &'a Plan, name: &str) -> &'a str {
    plan.headers[name].to_str().unwrap()
}

fn request(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

async fn body(plan: Plan) -> String {
    let response = plan.respond_from(&Bytes::from_static(CONTENT));
    String::from_utf8(response.body.collect(10_000).await.unwrap().to_vec()).unwrap()
}

#[test]
fn what_is_pinned_is_cached_as_long_as_the_protocol_says() {
    let pinned = format!("public, max-age={}, immutable", PINNED_CACHE_LIFETIME.as_secs());
    assert_eq!(Caching::Pinned.header(), pinned.as_str());
}

#[tokio::test]
async fn a_body_that_is_one_range_can_be_given_whole() {
    let part = plan(&Method::GET, &request(&[("range", "bytes=3-5")]), &file("a"));
    assert_eq!(part.only_range(), Some(&(3..6)));
    let response = part.respond_with(Bytes::from_static(b"345"));
    assert_eq!(response.status, 206);
    assert_eq!(response.body.collect(10).await.unwrap(), "345");
    let several = plan(&Method::GET, &request(&[("range", "bytes=0-0,9-9")]), &file("a"));
    assert_eq!(several.only_range(), None);
    assert_eq!(plan(&Method::HEAD, &request(&[]), &file("a")).only_range(), None);
}

#[tokio::test]
async fn the_whole_file_with_every_promised_header() {
    let plan = plan(&Method::GET, &HeaderMap::new(), &file("pool/a.deb"));
    let mut shown: Vec<String> =
        plan.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    shown.sort();
    let expected = format!(
        "accept-ranges: bytes
cache-control: public, max-age=900, immutable
content-length: 36
content-security-policy: sandbox; default-src 'none'; frame-ancestors 'none'
content-type: application/vnd.debian.binary-package
cross-origin-resource-policy: cross-origin
digest: SHA-256=dOflu50i1tsmv3aUbUD/8+qfA0a4hP0GlJIPzPrRXjM=
etag: \"{}\"
last-modified: Sun, 06 Nov 1994 08:49:37 GMT
referrer-policy: no-referrer
repr-digest: sha-256=:dOflu50i1tsmv3aUbUD/8+qfA0a4hP0GlJIPzPrRXjM=:
x-content-type-options: nosniff",
        BlobId::of(CONTENT)
    );
    assert_eq!(shown.join("\n"), expected);
    assert_eq!((plan.status, body(plan).await.as_bytes()), (StatusCode::OK, CONTENT));
}

#[tokio::test]
async fn parts_come_as_one_range_or_as_multipart() {
    let one = plan(&Method::GET, &request(&[("range", "bytes=10-12")]), &file("a"));
    assert_eq!((one.status, header(&one, "content-range")), (StatusCode::PARTIAL_CONTENT, "bytes 10-12/36"));
    assert_eq!(body(one).await, "abc");

    let two = plan(&Method::GET, &request(&[("range", "bytes=0-1, 34-")]), &file("a"));
    let content_type = two.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let length: u64 = two.headers[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    let text = body(two).await;
    assert_eq!(text.len() as u64, length);
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/36\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 34-35/36\r\n\r\nyz\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn ranges_beyond_the_end_are_416_with_the_size() {
    let plan = plan(&Method::GET, &request(&[("range", "bytes=36-")]), &file("a"));
    assert_eq!(plan.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!((header(&plan, "content-range"), header(&plan, "content-length")), ("bytes */36", "0"));
    assert!(plan.segments.is_empty());
}

#[test]
fn a_condition_on_the_content_decides_before_any_range() {
    let tag = format!("\"{}\"", BlobId::of(CONTENT));
    let status = |fields: &[(&'static str, &str)]| plan(&Method::GET, &request(fields), &file("a")).status;
    assert_eq!(status(&[("if-none-match", &tag), ("range", "bytes=0-1")]), 304);
    assert_eq!(status(&[("if-match", "\"other\""), ("range", "bytes=0-1")]), 412);
    assert_eq!(status(&[("if-range", &tag), ("range", "bytes=0-1")]), 206);
    assert_eq!(status(&[("if-range", "\"other\""), ("range", "bytes=0-1")]), 200);
    assert_eq!(status(&[("if-range", "Sun, 06 Nov 1994 08:49:37 GMT"), ("range", "bytes=0-1")]), 206);
}

#[test]
fn a_304_names_the_content_and_says_nothing_of_a_body() {
    let plan = plan(&Method::GET, &request(&[("if-none-match", "*")]), &file("a"));
    let mut names: Vec<&str> = plan.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "etag", "last-modified"]);
}

#[test]
fn head_is_get_without_the_body() {
    let get = plan(&Method::GET, &HeaderMap::new(), &file("a"));
    let head = plan(&Method::HEAD, &HeaderMap::new(), &file("a"));
    assert_eq!((get.headers, get.status), (head.headers, head.status));
    assert!(head.segments.is_empty());
}

#[test]
fn active_content_is_saved_and_never_shown() {
    for path in ["index.html", "a.svg", "repomd.xml", "x.js", "x.pdf"] {
        let plan = plan(&Method::GET, &HeaderMap::new(), &file(path));
        assert_eq!(plan.headers[CONTENT_DISPOSITION], "attachment", "{path}");
    }
    for path in ["a.deb", "README.txt", "a.png", "InRelease"] {
        let plan = plan(&Method::GET, &HeaderMap::new(), &file(path));
        assert!(!plan.headers.contains_key(CONTENT_DISPOSITION), "{path}");
    }
}

#[test]
fn without_a_date_no_date_matches() {
    let file = FileMeta { mtime: None, ..file("a") };
    let dated = request(&[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    assert_eq!(plan(&Method::GET, &dated, &file).status, StatusCode::OK);
    assert!(!plan(&Method::GET, &dated, &file).headers.contains_key(http::header::LAST_MODIFIED));
}

#[tokio::test]
async fn the_empty_file_has_an_empty_body() {
    let empty = FileMeta { size: 0, blob: BlobId::of(b""), ..file("a") };
    let plan = plan(&Method::GET, &request(&[("range", "bytes=-5")]), &empty);
    assert_eq!((plan.status, header(&plan, "content-length")), (StatusCode::OK, "0"));
    assert!(plan.respond_from(&Bytes::new()).body.is_empty());
}

proptest! {
    #[test]
    fn the_length_is_what_the_segments_come_to(range in "bytes=[-0-9,]{0,40}", size in 0_u64..1000) {
        let file = FileMeta { size, ..file("a") };
        let plan = plan(&Method::GET, &request(&[("range", &range)]), &file);
        prop_assert_eq!(plan.headers[CONTENT_LENGTH].to_str().unwrap(), plan.body_len().to_string());
    }
}
