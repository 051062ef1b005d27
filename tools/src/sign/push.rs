//! Handing the newest head to directories, with what they need to adopt it without asking the origin.
//!
//! A directory compares and swaps: it takes a head only on top of the one it has. One that is behind gets the heads
//! between, oldest first; one that is ahead, or elsewhere, is a conflict for a person to settle.

use std::fmt;

use odi_manifest::{
    ArtifactPath, CatalogId, DIFF_BYTES_MAX, DIFF_OPS_MAX, DiffHeader, Entry, Floor, Head, HeadId, Op,
    TrustRoot, Unverified, Verified, diff_fits, encode_diff,
};
use odi_wire::http::StatusCode;
use odi_wire::message::Push;
use serde::Serialize;
use std::path::Path;
use url::Url;

use super::failure::Failure;
use super::history::ancestor;
use super::next_manifest::NextManifest;
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
    // Whoever holds nothing can take no diff from a former head.
    let holds_nothing = remote.head(&place)?.is_none();
    let first = match holds_nothing {
        true => send(remote, &Parts::from_nothing(odi, published, newest)?, &push_url)?,
        false => send(remote, &Parts::on_top(odi, &published.trust, newest)?, &push_url)?,
    };
    match first {
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
                    send(remote, &Parts::on_top(odi, &published.trust, &between)?, &push_url)?;
                }
            }
        }
    }
    match send(remote, &Parts::on_top(odi, &published.trust, newest)?, &push_url)? {
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

/// What a push carries.
struct Parts(Push);

impl Parts {
    /// For a directory that holds the head before this one.
    fn on_top(odi: &OdiFolder, trust: &TrustRoot, head: &Verified<Head>) -> Result<Self, Failure> {
        let diff = match head.prev {
            Some(prev) => read_bounded(&odi.diff(prev, head.id()), PART_BYTES_MAX)?,
            None => None,
        };
        Self::with(odi, trust, head, diff)
    }

    /// For a directory that holds nothing: the whole manifest as a diff from the empty one, unless it is too large for a
    /// diff. Then the directory needs an origin.
    fn from_nothing(odi: &OdiFolder, published: &Published, head: &Verified<Head>) -> Result<Self, Failure> {
        let diff = if head.entries <= DIFF_OPS_MAX as u64 {
            let manifest = NextManifest::begin(odi, published)?;
            let put = |entry: Result<(ArtifactPath, Entry), Failure>| {
                entry.map(|(path, entry)| Op::Put(path, entry))
            };
            let ops = manifest.entries().map(put).collect::<Result<Vec<Op>, Failure>>()?;
            let header = DiffHeader {
                cat: published.catalog(),
                from: Floor::NO_HEAD,
                to: head.id(),
                n: ops.len() as u64,
            };
            let diff = diff_fits(&ops).then(|| encode_diff(&header, &ops));
            diff.filter(|diff| diff.len() <= DIFF_BYTES_MAX)
        } else {
            None
        };
        Self::with(odi, &published.trust, head, diff)
    }

    fn with(
        odi: &OdiFolder,
        trust: &TrustRoot,
        head: &Verified<Head>,
        diff: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let rev = match head.revocations {
            Some(id) => read_bounded(&odi.revocations(id), PART_BYTES_MAX)?,
            None => None,
        };
        let roots = trust.roots().iter().map(Verified::encode).collect();
        Ok(Self(Push { head: head.encode(), roots, rev, diff }))
    }
}

fn send(remote: &Remote, Parts(push): &Parts, url: &Url) -> Result<Answer, Failure> {
    let body = push.encode().expect("four short keys");
    let (status, answer) = remote.post(url, body)?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(Answer::Taken),
        StatusCode::CONFLICT => match Unverified::decode(&answer) {
            Ok(theirs) => Ok(Answer::Has(Box::new(theirs))),
            Err(_) => Err(status_error(url, status, &answer).into()),
        },
        StatusCode::NOT_FOUND => Err(not_listed(url)),
        _ => Err(status_error(url, status, &answer).into()),
    }
}

/// A directory that takes pushes at all answers so of a catalog that it does not have.
fn not_listed(push: &Url) -> Failure {
    let mut segments = push.path_segments().into_iter().flatten().rev().skip(1);
    let catalog = segments.next().unwrap_or_default().to_owned();
    let mut url = push.clone();
    url.set_path("/");
    Failure::NotListed { url: url.to_string(), catalog }
}
