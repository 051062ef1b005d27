//! Whether the public URLs lead here: while nothing else listens, `check` answers in the daemon's place and asks itself.
//!
//! What is seen from here is not what others see, so little of it is certain: a router may not turn around what comes from
//! inside. A directory tries from outside when a relay registers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use odi_manifest::{PublicKey, SigningKey};
use url::{Host, Url};

use super::listening::Listening;
use super::{Site, name_of};
use crate::chain;
use crate::client::{Ask, Client};
use crate::finding::{Finding, Severity};
use crate::message::{DOCUMENT_BYTES_MAX, DOCUMENT_VERSION, JSON, WellKnown, from_json, to_json};
use crate::refusal::Refusal;
use crate::serve::{Request, Response, Service};

/// Where a daemon says who it is.
const INTRODUCTION: &str = "/.well-known/odi";

/// Answers in the daemon's place.
struct Stand {
    introduction: Bytes,
}

impl Service for Stand {
    async fn call(&self, request: Request) -> Response {
        if request.target() == INTRODUCTION {
            Response::ok(JSON, self.introduction.clone())
        } else {
            Refusal::NotFound.into_response()
        }
    }
}

/// Tries every public URL.
pub(super) async fn try_all(
    site: &Site<'_>,
    client: &Client,
    identity: Option<PublicKey>,
    runs: bool,
    listening: Listening,
) -> Vec<Finding> {
    let certain = site.urls.iter().filter(|url| url.scheme() != "https").map(|url| {
        let words =
            format!("{} is plain HTTP: who asks a directory by https is never sent there.", shown(url));
        Finding::new(Severity::Doubtful, words)
    });
    let mut findings: Vec<Finding> = certain.collect();
    let expected = match (runs, identity) {
        (true, Some(identity)) => identity,
        (true, None) => return findings,
        (false, _) if listening.public.is_empty() => return findings,
        // Known to nobody but this process.
        (false, _) => match random_key() {
            Some(key) => key,
            None => return findings,
        },
    };
    let document = WellKnown {
        v: DOCUMENT_VERSION,
        kind: site.kind,
        id: expected,
        urls: site.urls.iter().map(ToString::to_string).collect(),
        catalogs: Vec::new(),
    };
    let stand = Arc::new(Stand { introduction: Bytes::from(to_json(&document)) });
    let has_certificate = listening.has_certificate;
    let answering: Vec<_> =
        listening.public.into_iter().map(|server| server.spawn(Arc::clone(&stand))).collect();
    // Without a certificate here, only a proxy in front could answer https.
    let (waiting, tried): (Vec<&Url>, Vec<&Url>) = site
        .urls
        .iter()
        .partition(|url| !runs && url.scheme() == "https" && site.tls.is_some() && !has_certificate);
    findings.extend(waiting.into_iter().map(|url| {
        let words = format!("{} is not tried: there is no certificate to answer with.", shown(url));
        Finding::new(Severity::Doubtful, words)
    }));
    findings.extend(join_all(tried.into_iter().map(|url| way(site, client, url, expected))).await);
    drop(answering);
    findings
}

fn random_key() -> Option<PublicKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).ok()?;
    Some(SigningKey::from_seed(&seed).public_key())
}

async fn way(site: &Site<'_>, client: &Client, url: &Url, expected: PublicKey) -> Finding {
    let shown = shown(url);
    if let Some(Host::Domain(name)) = url.host()
        && !has_address(name).await
    {
        return Finding::new(Severity::Fatal, format!("{shown}: no address is known for {name}."));
    }
    let elsewhere = |what: String| {
        let words = format!("{shown} does not lead here but to {what}: look where its name and its port go.");
        Finding::new(Severity::Doubtful, words)
    };
    let mut asked = url.clone();
    asked.set_path(INTRODUCTION);
    let reply = match client.send(Ask::get(&asked).reply_bytes_max(DOCUMENT_BYTES_MAX as u64)).await {
        Ok(reply) => reply,
        Err(error) => {
            let words = format!(
                "{shown} cannot be reached from here: {}. Whether others can, somebody outside must try.",
                chain::innermost(&error)
            );
            return Finding::new(Severity::Doubtful, words);
        }
    };
    let status = reply.status;
    let body = reply.body.collect().await.unwrap_or_default();
    match from_json::<WellKnown>(&body, "a daemon's introduction") {
        Ok(found) if found.id == expected && found.kind == site.kind => {
            Finding::new(Severity::Fine, format!("{shown} leads here, as seen from this machine."))
        }
        Ok(found) => elsewhere(format!("the {} {}", name_of(found.kind), found.id)),
        Err(_) => elsewhere(format!("something that answers {status}")),
    }
}

async fn has_address(name: &str) -> bool {
    tokio::net::lookup_host((name, 0)).await.is_ok_and(|mut found| found.next().is_some())
}

fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
