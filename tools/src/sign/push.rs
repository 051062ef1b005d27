//! Handing the newest head to directories, with what they need to adopt it without asking the origin.
//!
//! A directory compares and swaps: it takes a head only on top of the one it has. One that is behind gets the heads
//! between, oldest first; one that is ahead, or elsewhere, is a conflict for a person to settle.

use std::fmt;

use odi_manifest::{CatalogId, Head, HeadId, TrustRoot, Unverified, Verified};
use odi_wire::http::StatusCode;
use odi_wire::message::Push;
use serde::Serialize;
use std::path::Path;
use url::Url;

use super::failure::Failure;
use super::history::ancestor;
use super::odi_folder::{OdiFolder, read_bounded};
use super::others;
use super::published::Published;
use super::remote::{Place, Remote, status_error};

/// A directory further behind than this is asked to follow the origin instead.
const HEADS_MAX: u64 = 64;
const PART_BYTES_MAX: u64 = 64 << 20;

/// Where the newest head went.
#[derive(Debug, Serialize)]
pub(crate) struct PushOutcome {
    id: CatalogId,
    seq: u64,
    head: HeadId,
    directories: Vec<Pushed>,
}

/// What one directory did.
#[derive(Debug, Serialize)]
struct Pushed {
    url: String,
    result: &'static str,
}

impl fmt::Display for PushOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pushed) in self.directories.iter().enumerate() {
            let line = if index > 0 { "\n" } else { "" };
            write!(f, "{line}{}: {} (head {})", pushed.url, pushed.result, self.seq)?;
        }
        Ok(())
    }
}

/// Pushes the newest head of a tree.
pub(crate) fn push(tree: &Path, urls: &[Url]) -> Result<PushOutcome, Failure> {
    let odi = OdiFolder::of(tree);
    let published = Published::load(&odi)?;
    let head = published.head(&odi)?;
    let remote = Remote::new()?;
    let mut directories = Vec::new();
    for url in urls {
        let result = push_to(&remote, &odi, &published, head, url)?;
        directories.push(Pushed { url: url.to_string(), result });
    }
    Ok(PushOutcome { id: published.catalog(), seq: head.seq, head: head.id(), directories })
}

fn push_to(
    remote: &Remote,
    odi: &OdiFolder,
    published: &Published,
    newest: &Verified<Head>,
    url: &Url,
) -> Result<&'static str, Failure> {
    let place = Place::directory(url, &published.catalog());
    let push_url = place.at("push");
    match send(remote, odi, &published.trust, newest, &push_url)? {
        Answer::Taken => return Ok("taken"),
        Answer::Has(theirs) if theirs.id() == newest.id() => return Ok("has it already"),
        Answer::Has(theirs) => {
            others::judge(odi, published, url.as_str(), &theirs)?;
            let behind = newest.seq.saturating_sub(theirs.claims().seq);
            if behind > HEADS_MAX {
                remote.post(&place.at("trigger"), Vec::new())?;
                return Ok("is far behind, and was asked to follow the origin");
            }
            for seq in theirs.claims().seq + 1..newest.seq {
                if published.trust.ancestor(seq) == seq {
                    let between = ancestor(odi, &published.trust, newest, seq)?;
                    send(remote, odi, &published.trust, &between, &push_url)?;
                }
            }
        }
    }
    match send(remote, odi, &published.trust, newest, &push_url)? {
        Answer::Taken => Ok("taken"),
        Answer::Has(theirs) if theirs.id() == newest.id() => Ok("has it already"),
        Answer::Has(theirs) => {
            let seq = theirs.claims().seq;
            Err(Failure::Behind { url: url.to_string(), seq })
        }
    }
}

enum Answer {
    Taken,
    Has(Box<Unverified<Head>>),
}

fn send(
    remote: &Remote,
    odi: &OdiFolder,
    trust: &TrustRoot,
    head: &Verified<Head>,
    url: &Url,
) -> Result<Answer, Failure> {
    let rev = match head.revocations {
        Some(id) => read_bounded(&odi.revocations(id), PART_BYTES_MAX)?,
        None => None,
    };
    let diff = match head.prev {
        Some(prev) => read_bounded(&odi.diff(prev, head.id()), PART_BYTES_MAX)?,
        None => None,
    };
    let roots = trust.roots().iter().map(Verified::encode).collect();
    let body = Push { head: head.encode(), roots, rev, diff }.encode().expect("four short keys");
    let (status, answer) = remote.post(url, body)?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(Answer::Taken),
        StatusCode::CONFLICT => match Unverified::decode(&answer) {
            Ok(theirs) => Ok(Answer::Has(Box::new(theirs))),
            Err(_) => Err(status_error(url, status, &answer).into()),
        },
        _ => Err(status_error(url, status, &answer).into()),
    }
}
