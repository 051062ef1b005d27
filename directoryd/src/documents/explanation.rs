//! `?explain`: what a request for an artifact is answered with now, and why.

use std::fmt;

use odi_manifest::{BlobId, Pin, PublicKey, Sha256};
use odi_wire::message::Country;
use serde::Serialize;

use crate::select::Nearness;
use crate::select::mirrors::Against;

/// The whole explanation. As text ([`fmt::Display`]) or a page for people, as JSON for programs (wire/PROTOCOL.md, Explanations).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// This directory's name for the catalog.
    pub catalog: String,
    /// The path.
    pub path: String,
    /// The state that answers.
    pub pin: Pin,
    /// The content that the path names there.
    pub blake3: BlobId,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// When it was modified, in seconds since 1970.
    pub mtime: u64,
    /// Where this directory proves that the state has it.
    pub proof: String,
    /// The network that the client counts as part of.
    pub client: String,
    /// Where that is, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// In which autonomous system, likewise.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Why there, in words.
    pub reason: String,
    /// How near the relays are from which the client is sent on, because they are the nearest for more than they can take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sent_on: Vec<Nearness>,
    /// The relays that qualify, in this client's order.
    pub relays: Vec<Explained>,
    /// All others, and what speaks against each.
    pub passed_over: Vec<PassedOver>,
    /// The catalog's plain mirrors, which come after the relays, in this client's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<ExplainedMirror>,
}

/// A relay that qualifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Its key.
    pub relay: PublicKey,
    /// The artifact's URL there.
    pub url: String,
    /// Its share beside the others that are as near.
    pub weight: u64,
    /// How near it is.
    pub near: Nearness,
}

/// One that does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Its key.
    pub relay: PublicKey,
    /// Its first base URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The reason, for programs.
    pub code: &'static str,
    /// The same in words.
    pub words: &'static str,
}

/// A plain mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedMirror {
    /// The artifact's URL there.
    pub url: String,
    /// Whether clients are told of it now.
    pub proved: bool,
    /// What speaks against it, or [`PROVED`](Self::PROVED), for programs.
    pub code: &'static str,
    /// The same in words.
    pub words: &'static str,
}

impl ExplainedMirror {
    /// The code of one against which nothing speaks.
    pub const PROVED: &'static str = "proved";

    /// What is to be said of one.
    #[must_use]
    pub fn of(url: String, against: Option<Against>) -> Self {
        let (code, words) = against
            .map_or((Self::PROVED, "a probe got this content there within the last minute"), |against| {
                (against.code(), against.words())
            });
        Self { url, proved: against.is_none(), code, words }
    }
}

impl Explanation {
    /// Whether this directory does not give it, because its operator denies it.
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        self.status == 451
    }

    /// Leaves out where it is, if this directory points nobody there.
    #[must_use]
    pub fn without_places_if_denied(mut self) -> Self {
        if self.is_denied() {
            (self.sent_on, self.relays) = (Vec::new(), Vec::new());
            (self.passed_over, self.mirrors) = (Vec::new(), Vec::new());
        }
        self
    }

    /// The client's network, and where that is.
    #[must_use]
    pub fn came_from(&self) -> String {
        let mut whence = self.client.clone();
        if let Some(country) = self.country {
            whence.push_str(&format!(" in {country}"));
        }
        if let Some(asn) = self.asn {
            whence.push_str(&format!(", AS {asn},"));
        }
        whence
    }

    /// The weights of all relays that are as near as one of them.
    #[must_use]
    pub fn shares_as_near(&self, relay: &Explained) -> u64 {
        let as_near = self.relays.iter().filter(|other| other.near == relay.near);
        as_near.map(|other| other.weight).fold(0, u64::saturating_add)
    }

    /// Why the nearest are not the first, if so.
    #[must_use]
    pub fn why_further(&self) -> Option<String> {
        let nearest = self.sent_on.first()?;
        Some(format!(
            "Relays {nearest} are the nearest for more than they can take, so that you are sent further."
        ))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  state {}, {} bytes", self.pin, self.size)?;
        writeln!(f, "  blake3 {}", self.blake3)?;
        writeln!(f, "  sha256 {}", self.sha256)?;
        writeln!(f, "You come from {} over {}.", self.came_from(), self.scheme)?;
        match &self.location {
            Some(to) => writeln!(f, "The answer is {} to {to}: {}.", self.status, self.reason)?,
            None => writeln!(f, "The answer is {}: {}.", self.status, self.reason)?,
        }
        if self.is_denied() {
            writeln!(
                f,
                "It is not given here, and nobody is sent elsewhere for it: this directory's operator denies it."
            )?;
        }
        if let Some(why) = self.why_further() {
            writeln!(f, "{why}")?;
        }
        if !self.relays.is_empty() {
            writeln!(f, "Relays that have it, in the order for your network:")?;
        }
        for relay in &self.relays {
            let percent = u128::from(relay.weight) * 100 / u128::from(self.shares_as_near(relay).max(1));
            match relay.near {
                Nearness::Anywhere => writeln!(f, "  {}  (is first for {percent} % of networks)", relay.url)?,
                near => writeln!(f, "  {}  ({near}: is first for {percent} % of networks there)", relay.url)?,
            }
        }
        if !self.passed_over.is_empty() {
            writeln!(f, "Passed over:")?;
        }
        for relay in &self.passed_over {
            match &relay.url {
                Some(url) => writeln!(f, "  {url}: {}", relay.words)?,
                None => writeln!(f, "  {}: {}", relay.relay, relay.words)?,
            }
        }
        if !self.mirrors.is_empty() {
            writeln!(f, "Mirrors, which come after the relays:")?;
        }
        for mirror in &self.mirrors {
            writeln!(f, "  {}: {}", mirror.url, mirror.words)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::{HeadId, SigningKey};

    use super::*;
    use crate::select::Why;

    fn sample() -> Explanation {
        let relay = |n| SigningKey::from_seed(&[n; 32]).public_key();
        let passed_over = |n, url: Option<&str>, why: Why| PassedOver {
            relay: relay(n),
            url: url.map(str::to_owned),
            code: why.code(),
            words: why.words(),
        };
        let explained =
            |n, url: &str, weight, near| Explained { relay: relay(n), url: url.to_owned(), weight, near };
        Explanation {
            catalog: "debian".to_owned(),
            path: "pool/h/hello.deb".to_owned(),
            pin: Pin::of(17, &HeadId::of(b"head")),
            blake3: BlobId::of(b"hello"),
            sha256: Sha256::of(b"hello"),
            size: 5,
            mtime: 1_700_000_000,
            proof: "/odi/v1/catalogs/odi1abc/proof?path=pool%2Fh%2Fhello.deb&head=af13".to_owned(),
            client: "192.0.2.0/24".to_owned(),
            country: "NO".parse().ok(),
            asn: Some(224),
            scheme: "http",
            status: 302,
            location: Some("http://r1.example/@17-abc/pool/h/hello.deb".to_owned()),
            reason: "held by this relay".to_owned(),
            sent_on: vec![Nearness::System],
            relays: vec![
                explained(5, "http://r5.example/@17-abc/pool/h/hello.deb", 500, Nearness::Country),
                explained(1, "http://r1.example/@17-abc/pool/h/hello.deb", 300, Nearness::Anywhere),
                explained(2, "http://r2.example/@17-abc/pool/h/hello.deb", 100, Nearness::Anywhere),
            ],
            passed_over: vec![
                passed_over(3, Some("https://r3.example"), Why::OtherScheme),
                passed_over(4, None, Why::Unproven),
            ],
            mirrors: vec![
                ExplainedMirror::of("http://ftp.example/debian/pool/h/hello.deb".to_owned(), None),
                ExplainedMirror::of(
                    "http://mirror.example/debian/pool/h/hello.deb".to_owned(),
                    Some(Against::Expired),
                ),
            ],
        }
    }

    #[test]
    fn it_reads_like_a_story() {
        let explanation = sample();
        insta::assert_snapshot!("words", explanation.to_string());
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&explanation).unwrap());
    }
}
