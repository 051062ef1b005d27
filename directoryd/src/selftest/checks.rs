//! The self-test of a relay: what an ordinary client would see, at each of its URLs and over each address family that can
//! be reached from here.
//!
//! Every check is named in words, because its failure is read by the relay's operator. No redirect is followed, no body
//! is read past what it should have, and bytes are compared as they arrive. One run costs about 10 MiB of a relay's traffic
//! per URL and family, and the cheap checks come first.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{Pin, PublicKey};
use odi_wire::client::{Ask, Client};
use odi_wire::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use odi_wire::http::{HeaderMap, HeaderValue, StatusCode};
use odi_wire::http_date;
use odi_wire::message::PublicUrl;
use odi_wire::route::{location, pinned_path};
use tokio::time::Instant;
use url::Url;

use super::content::{Artifact, INDEX, LARGEST};
use super::multipart;
use crate::directory::Directory;
use crate::probe::told;

/// The largest artifact must come at this many bytes a second at least, to one client that asks for nothing else.
const RATE_MIN: u64 = 128 << 10;
/// How long the checks at one URL over one family may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The most that an answer without bytes of a file may have.
const WORDS_BYTES_MAX: u64 = 64 << 10;

/// Runs every check; the error names the first that failed, for the relay's operator.
pub(crate) async fn examine(directory: &Directory, relay: &PublicKey) -> Result<(), String> {
    let (urls, pin) =
        subject(directory, relay).ok_or("it holds no head of odi-selftest that is served here")?;
    for url in &urls {
        let base = url.to_url();
        let families = directory.client.families(&base).await.map_err(|error| told(&error))?;
        if families.is_empty() {
            return Err(format!("the self-test at {url}: no address of it can be reached from here"));
        }
        for family in families {
            let client = directory.over(family).clone();
            let subject = Subject { client, base: base.clone(), pin, directory };
            let checked = tokio::time::timeout(PATIENCE, subject.check());
            let checked =
                checked.await.unwrap_or_else(|_| Err(format!("took over {} s", PATIENCE.as_secs())));
            directory.relays.roster().reached(relay, url, family, checked.is_ok());
            checked.map_err(|why| format!("the self-test at {url} over {family}: {why}"))?;
        }
    }
    Ok(())
}

/// Where a relay is, and the pin under which it says that it holds the self-test catalog.
fn subject(directory: &Directory, relay: &PublicKey) -> Option<(Vec<PublicUrl>, Pin)> {
    let roster = directory.relays.roster();
    let member = roster.member(relay)?;
    let full = member.holding(&directory.selftest.catalog.id())?.full?;
    let view = directory.selftest.catalog.view();
    let pin = view.known().find(|state| state.id == full)?.pin;
    Some((member.registration()?.urls.clone(), pin))
}

/// One URL of a relay over one family.
struct Subject<'d> {
    client: Client,
    base: Url,
    pin: Pin,
    directory: &'d Directory,
}

/// What was answered, its body compared or read.
struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

impl Subject<'_> {
    async fn check(&self) -> Result<(), String> {
        let named = |what: &'static str| move |why: String| format!("{what}: {why}");
        self.head().await.map_err(named("HEAD"))?;
        for artifact in &self.directory.selftest.artifacts {
            if artifact.path.as_str() != LARGEST {
                let what = format!("GET of {} bytes", artifact.entry.size);
                self.whole(artifact).await.map_err(|why| format!("{what}: {why}"))?;
            }
        }
        self.one_range().await.map_err(named("a single range"))?;
        self.several_ranges().await.map_err(named("several ranges"))?;
        self.if_range().await.map_err(named("If-Range"))?;
        self.not_modified().await.map_err(named("304"))?;
        self.unsatisfiable().await.map_err(named("416"))?;
        self.folder().await.map_err(named("a folder"))?;
        self.page().await.map_err(named("a page of somebody else's"))?;
        self.rate().await.map_err(named("the rate"))
    }

    fn artifact(&self, path: &str) -> Result<&Artifact, String> {
        self.directory.selftest.at(path).ok_or_else(|| format!("there is no {path}"))
    }

    fn url(&self, path: &str) -> Result<Url, String> {
        location(&self.base, &pinned_path(&self.pin, path))
            .parse()
            .map_err(|_| "the URL makes no sense".to_owned())
    }

    async fn ask(&self, ask: Ask, expected: StatusCode) -> Result<Answer, String> {
        let reply = self.client.send(ask).await.map_err(|error| told(&error))?;
        if reply.status.is_redirection() && reply.status != StatusCode::NOT_MODIFIED {
            return Err(format!("answered {}, and a relay never sends anybody elsewhere", reply.status));
        }
        if reply.status != expected {
            return Err(format!("answered {} instead of {expected}", reply.status));
        }
        let headers = reply.headers;
        Ok(Answer { headers, body: reply.body.collect().await.map_err(|error| told(&error))? })
    }

    /// Asks for a part of an artifact and compares it while it comes.
    async fn part(
        &self,
        ask: Ask,
        artifact: &Artifact,
        part: Range<u64>,
        expected: StatusCode,
    ) -> Result<HeaderMap, String> {
        let length = part.end - part.start;
        // Whoever ignores the range is told so, and read no further.
        let most = artifact.entry.size.max(WORDS_BYTES_MAX);
        let reply = self.client.send(ask.reply_bytes_max(most)).await.map_err(|error| told(&error))?;
        if reply.status != expected {
            return Err(format!("answered {} instead of {expected}", reply.status));
        }
        expect(&reply.headers, &CONTENT_LENGTH, &length.to_string())?;
        let (mut body, mut at) = (reply.body, part.start);
        while let Some(bytes) = body.chunk().await.map_err(|error| told(&error))? {
            let end = at + bytes.len() as u64;
            if end > part.end {
                return Err(format!("sent more than {length} bytes"));
            }
            if artifact.bytes(at..end) != bytes {
                return Err(format!("sent other bytes than were signed, somewhere in {at} to {end}"));
            }
            at = end;
        }
        if at == part.end {
            Ok(reply.headers)
        } else {
            Err(format!("broke off {} bytes early", part.end - at))
        }
    }

    async fn head(&self) -> Result<(), String> {
        let artifact = self.artifact(LARGEST)?;
        let ask = Ask::head(&self.url(LARGEST)?);
        let answer = self.ask(ask, StatusCode::OK).await?;
        described(&answer.headers, artifact)?;
        expect(&answer.headers, &CONTENT_LENGTH, &artifact.entry.size.to_string())?;
        expect(&answer.headers, &ACCEPT_RANGES, "bytes")?;
        let caching = text(&answer.headers, &CACHE_CONTROL);
        if caching.contains("immutable") {
            Ok(())
        } else {
            Err(said(&CACHE_CONTROL, caching, "... immutable"))
        }
    }

    async fn whole(&self, artifact: &Artifact) -> Result<(), String> {
        let ask = Ask::get(&self.url(artifact.path.as_str())?);
        let headers = self.part(ask, artifact, 0..artifact.entry.size, StatusCode::OK).await?;
        described(&headers, artifact)
    }

    /// Across two chunks, and the last byte.
    async fn one_range(&self) -> Result<(), String> {
        let artifact = self.artifact(LARGEST)?;
        let size = artifact.entry.size;
        for (spelling, range) in [
            ("bytes=262100-262200", 262_100..262_201),
            ("bytes=-1", size - 1..size),
            ("bytes=8388600-", 8_388_600..size),
        ] {
            let ask = Ask::get(&self.url(LARGEST)?).header(RANGE, HeaderValue::from_static(spelling));
            let headers = self.part(ask, artifact, range.clone(), StatusCode::PARTIAL_CONTENT).await?;
            let expected = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            expect(&headers, &CONTENT_RANGE, &expected)?;
        }
        Ok(())
    }

    async fn several_ranges(&self) -> Result<(), String> {
        let artifact = self.artifact(LARGEST)?;
        let ranges = HeaderValue::from_static("bytes=0-1,262143-262144,8388608-8388608");
        let ask = Ask::get(&self.url(LARGEST)?).header(RANGE, ranges).reply_bytes_max(WORDS_BYTES_MAX);
        let answer = self.ask(ask, StatusCode::PARTIAL_CONTENT).await?;
        let kind = text(&answer.headers, &CONTENT_TYPE);
        let parts = multipart::parts(kind, &answer.body, artifact.entry.size)
            .ok_or("the answer is no multipart/byteranges of the file")?;
        let asked = [0..2, 262_143..262_145, 8_388_608..8_388_609];
        let right = parts.len() == asked.len()
            && parts
                .iter()
                .zip(asked)
                .all(|((said, bytes), asked)| *said == asked && artifact.bytes(asked) == *bytes);
        if right { Ok(()) } else { Err("the parts are not those that were asked for".to_owned()) }
    }

    async fn if_range(&self) -> Result<(), String> {
        let artifact = self.artifact("sizes/262144")?;
        let url = self.url("sizes/262144")?;
        let (range, first) = (HeaderValue::from_static("bytes=0-9"), 0..10);
        let same = Ask::get(&url).header(RANGE, range.clone()).header(IF_RANGE, value(&tag(artifact))?);
        self.part(same, artifact, first, StatusCode::PARTIAL_CONTENT).await?;
        let other =
            Ask::get(&url).header(RANGE, range).header(IF_RANGE, HeaderValue::from_static("\"other\""));
        self.part(other, artifact, 0..artifact.entry.size, StatusCode::OK).await.map(drop)
    }

    async fn not_modified(&self) -> Result<(), String> {
        let artifact = self.artifact("sizes/1")?;
        let url = self.url("sizes/1")?;
        let date = http_date::format(artifact.entry.mtime);
        for (name, same) in [(IF_NONE_MATCH, tag(artifact)), (IF_MODIFIED_SINCE, date)] {
            let answer = self
                .ask(Ask::get(&url).header(name.clone(), value(&same)?), StatusCode::NOT_MODIFIED)
                .await
                .map_err(|why| format!("{name}: {why}"))?;
            expect(&answer.headers, &ETAG, &tag(artifact))?;
        }
        let other = Ask::get(&url).header(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        self.part(other, artifact, 0..1, StatusCode::OK).await.map(drop)
    }

    async fn unsatisfiable(&self) -> Result<(), String> {
        let past = HeaderValue::from_static("bytes=1-");
        let ask = Ask::get(&self.url("sizes/1")?).header(RANGE, past).reply_bytes_max(WORDS_BYTES_MAX);
        let answer = self.ask(ask, StatusCode::RANGE_NOT_SATISFIABLE).await?;
        expect(&answer.headers, &CONTENT_RANGE, "bytes */1")
    }

    async fn folder(&self) -> Result<(), String> {
        for folder in ["sizes/", "page/"] {
            let ask = Ask::get(&self.url(folder)?).reply_bytes_max(1 << 20);
            self.ask(ask, StatusCode::OK).await?;
        }
        Ok(())
    }

    /// A browser must neither run what strangers publish nor guess what it is.
    async fn page(&self) -> Result<(), String> {
        let answer = self.ask(Ask::head(&self.url(INDEX)?), StatusCode::OK).await?;
        expect(&answer.headers, &X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        expect(&answer.headers, &CONTENT_DISPOSITION, "attachment")?;
        let policy = text(&answer.headers, &CONTENT_SECURITY_POLICY);
        if policy.contains("sandbox") {
            Ok(())
        } else {
            Err(said(&CONTENT_SECURITY_POLICY, policy, "sandbox; ..."))
        }
    }

    async fn rate(&self) -> Result<(), String> {
        let artifact = self.artifact(LARGEST)?;
        let began = Instant::now();
        self.whole(artifact).await?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = artifact.entry.size.saturating_mul(1000) / millis;
        if rate >= RATE_MIN { Ok(()) } else { Err(format!("{rate} bytes/s, {RATE_MIN} are needed")) }
    }
}

/// What identifies and proves a file, in every answer with its bytes.
fn described(headers: &HeaderMap, artifact: &Artifact) -> Result<(), String> {
    let sha256 = data_encoding::BASE64.encode(artifact.entry.sha256.as_bytes());
    expect(headers, &ETAG, &tag(artifact))?;
    expect(headers, &LAST_MODIFIED, &http_date::format(artifact.entry.mtime))?;
    expect(headers, &HeaderName::from_static("repr-digest"), &format!("sha-256=:{sha256}:"))?;
    expect(headers, &HeaderName::from_static("digest"), &format!("SHA-256={sha256}"))
}

fn tag(artifact: &Artifact) -> String {
    format!("\"{}\"", artifact.entry.blob)
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a header that cannot be sent".to_owned())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn expect(headers: &HeaderMap, name: &HeaderName, expected: &str) -> Result<(), String> {
    let found = text(headers, name);
    if found == expected { Ok(()) } else { Err(said(name, found, expected)) }
}

fn said(name: &HeaderName, found: &str, expected: &str) -> String {
    let found: String = found.chars().take(80).collect();
    let found = if found.is_empty() { "is absent".to_owned() } else { format!("is `{found}`") };
    format!("{name} {found}, it should be `{expected}`")
}
