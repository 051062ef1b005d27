//! How a directory's call proves itself to a relay: one fixed profile of RFC 9421, HMAC-SHA256 over the method, the
//! relay's own authority, path, query, content digest (RFC 9530) and media type (PROTOCOL.md § Signed requests).
//!
//! Invariants
//! - Nothing about *how* to verify is taken from the message: labels, components, parameters and their order are
//!   compared with the one text they may have.
//! - A nonce is spent only by a valid signature, so that a forger can neither block nor fill the cache.
//! - Every failure is the same [`Refusal::Unauthorized`]: no oracle for keys, clocks or digests.
//!
//! An HMAC convinces only who holds the key. What may be disputed later is an Ed25519 statement inside the body.

mod nonce_cache;
mod profile;

use hmac::{Hmac, KeyInit, Mac};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use odi_manifest::{PublicKey, Timestamp};
use subtle::ConstantTimeEq;
use url::{Position, Url};

pub use nonce_cache::NonceCache;
pub use profile::{KeyId, Nonce};

use crate::client::Ask;
use crate::limits::SIGNATURE_WINDOW;
use crate::message::DerivedKey;
use crate::refusal::Refusal;
use profile::Parameters;

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// What a signature covers besides the body.
#[derive(Clone, Copy, Debug)]
struct Covered<'a> {
    method: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
    content_digest: &'a str,
    content_type: &'a str,
}

impl Covered<'_> {
    fn base(&self, parameters: &Parameters) -> String {
        let query = format!("?{}", self.query);
        signature_base(
            &[
                ("@method", self.method),
                ("@authority", self.authority),
                ("@path", self.path),
                ("@query", &query),
                ("content-digest", self.content_digest),
                ("content-type", self.content_type),
            ],
            &parameters.to_string(),
        )
    }
}

/// RFC 9421 § 2.5.
fn signature_base(components: &[(&str, &str)], parameters: &str) -> String {
    let mut base: String = components.iter().map(|(name, value)| format!("\"{name}\": {value}\n")).collect();
    base.push_str("\"@signature-params\": ");
    base.push_str(parameters);
    base
}

fn hmac(key: &[u8], base: &str) -> Hmac<sha2::Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(base.as_bytes());
    mac
}

/// Signs a request that is ready to send but for its signature.
#[must_use]
pub fn sign(ask: Ask, key: &DerivedKey, key_id: KeyId, now: Timestamp, nonce: Nonce) -> Ask {
    let digest = profile::content_digest(ask.body());
    let content_type = ask.header_value(&CONTENT_TYPE).unwrap_or_default().to_owned();
    let parameters = Parameters { created: now, nonce, key_id };
    let url = ask.url().clone();
    let covered = Covered {
        method: ask.method().as_str(),
        authority: &authority(&url),
        path: url.path(),
        query: url.query().unwrap_or_default(),
        content_digest: &digest,
        content_type: &content_type,
    };
    let mac = hmac(key.expose(), &covered.base(&parameters)).finalize().into_bytes();
    let value = |text: String| HeaderValue::from_str(&text).expect("made of ASCII tokens, digits and base64");
    let signature = value(profile::signature_field(&mac));
    let input = value(format!("{}{parameters}", profile::LABEL));
    ask.header(CONTENT_DIGEST, value(digest)).header(SIGNATURE_INPUT, input).header(SIGNATURE, signature)
}

/// The authority of a daemon's public URL, as signatures cover it: lowercase host, and the port unless the scheme
/// implies it.
#[must_use]
pub fn authority(url: &Url) -> String {
    url[Position::BeforeHost..Position::AfterPort].to_owned()
}

/// A request as its receiver has it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path and query, as sent.
    pub target: &'a str,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Its whole body.
    pub body: &'a [u8],
}

/// What a relay needs to judge signed requests, besides its clock.
#[derive(Debug)]
pub struct Verifier {
    /// The authorities of its configured public URLs, never what a `Host` header claims.
    authorities: Vec<String>,
    /// When this process began: what was signed before may have been seen before.
    started: Timestamp,
    nonces: NonceCache,
}

impl Verifier {
    /// A verifier for the daemon at these public URLs.
    #[must_use]
    pub fn new(public_urls: &[Url], started: Timestamp) -> Self {
        Self {
            authorities: public_urls.iter().map(authority).collect(),
            started,
            nonces: NonceCache::default(),
        }
    }

    /// Judges a request; `key_of` finds the key that a directory and generation stand for. On success says which.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], whatever is wrong; [`Refusal::Busy`] when more valid requests came than the nonce
    /// cache holds.
    pub fn verify(
        &mut self,
        request: Received<'_>,
        now: Timestamp,
        key_of: impl FnOnce(&KeyId) -> Option<DerivedKey>,
    ) -> Result<KeyId, Refusal> {
        let parameters = self.check(request, now, key_of).ok_or(Refusal::Unauthorized)?;
        self.nonces.spend(parameters.key_id, parameters.nonce, now)?;
        Ok(parameters.key_id)
    }

    fn check(
        &self,
        request: Received<'_>,
        now: Timestamp,
        key_of: impl FnOnce(&KeyId) -> Option<DerivedKey>,
    ) -> Option<Parameters> {
        let input = only(request.headers, &SIGNATURE_INPUT)?;
        let parameters: Parameters = profile::parse_input(input)?;
        let claimed = profile::parse_signature(only(request.headers, &SIGNATURE)?)?;
        let content_digest = only(request.headers, &CONTENT_DIGEST)?;
        let content_type = only(request.headers, &CONTENT_TYPE)?;
        let created = parameters.created;
        let drift = now.since(created).max(created.since(now));
        if drift > SIGNATURE_WINDOW || created < self.started {
            return None;
        }
        let expected_digest = profile::content_digest(request.body);
        let body_is_meant: bool = expected_digest.as_bytes().ct_eq(content_digest.as_bytes()).into();
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        // An unknown key costs what a known one does.
        let key = key_of(&parameters.key_id);
        let (known, key) = (key.is_some(), key.unwrap_or_else(|| DerivedKey::from_bytes([0; 32])));
        let mut valid = false;
        for authority in &self.authorities {
            let method = request.method.as_str();
            let covered = Covered { method, authority, path, query, content_digest, content_type };
            valid |= hmac(key.expose(), &covered.base(&parameters)).verify_slice(&claimed).is_ok();
        }
        (valid && known && body_is_meant).then_some(parameters)
    }
}

/// The only value of a header field; `None` when there are more, or it is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

/// Names the directory and the generation of its key.
#[must_use]
pub fn key_id(directory: &PublicKey, generation: u64) -> KeyId {
    KeyId { directory: *directory.as_bytes(), generation }
}

#[cfg(test)]
mod tests;
