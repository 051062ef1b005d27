//! Whether the catalog moved on elsewhere: asked of its origins and directories before a new head or root is signed, so that
//! two maintainers with a tree each do not fork it, and a new epoch's numbers begin above every head that is out there.
//!
//! A server that cannot be asked is named and does not stop a publish: the lock guards one tree, compare-and-swap
//! guards a directory, and a catalog must be publishable while its own web server is down.

use std::collections::BTreeSet;

use odi_manifest::{Head, HeadRefusal, Unverified};
use odi_wire::chain;
use url::Url;

use super::failure::Failure;
use super::history::ancestor;
use super::odi_folder::OdiFolder;
use super::published::Published;
use super::remote::{Place, Remote};

/// Whom to ask, beside the origins of the newest head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others<'a> {
    /// These directories.
    pub(crate) directories: &'a [Url],
    /// Nobody at all, not even the origins.
    pub(crate) offline: bool,
}

/// Asks the origins of the newest head, new ones, and these directories. Returns what the maintainer should know.
pub(crate) fn ask(
    odi: &OdiFolder,
    published: &Published,
    new_origins: &[String],
    others: Others<'_>,
) -> Result<Vec<String>, Failure> {
    if others.offline {
        return Ok(Vec::new());
    }
    let known = published.former.iter().flat_map(|head| head.origins.clone());
    let origins: BTreeSet<String> = known.chain(new_origins.iter().cloned()).collect();
    let mut places: Vec<Place> =
        origins.iter().filter_map(|origin| Url::parse(origin).ok()).map(|url| Place::origin(&url)).collect();
    let catalog = published.catalog();
    places.extend(others.directories.iter().map(|url| Place::directory(url, &catalog)));
    let mut notes = Vec::new();
    if places.is_empty() {
        return Ok(notes);
    }
    let remote = Remote::new()?;
    for place in places {
        let url = place.server().to_string();
        match remote.head(&place) {
            Ok(None) => {}
            Ok(Some(theirs)) => notes.extend(judge(odi, published, &url, &theirs)?),
            Err(error) => {
                notes.push(format!("whether the catalog moved on could not be asked: {}", chain::of(&error)));
            }
        }
    }
    Ok(notes)
}

/// Compares a head that a server has with the one here.
pub(crate) fn judge(
    odi: &OdiFolder,
    published: &Published,
    url: &str,
    theirs: &Unverified<Head>,
) -> Result<Option<String>, Failure> {
    let claims = theirs.claims();
    let ours = published.former.as_ref();
    let moved_on = || Failure::MovedOn {
        url: url.to_owned(),
        theirs: claims.seq,
        ours: ours.map_or(0, |head| head.seq),
    };
    match published.trust.verify_head(theirs) {
        Ok(_) => {}
        Err(HeadRefusal::UnknownRoot { .. }) => return Err(moved_on()),
        // It has not heard of the new epoch yet.
        Err(HeadRefusal::FormerEpoch { .. }) => return Ok(None),
        Err(refusal) => return Ok(Some(format!("{url} has a head that does not count: {refusal}"))),
    }
    let Some(ours) = ours else { return Err(moved_on()) };
    if (claims.epoch, claims.seq) > (ours.epoch, ours.seq) {
        return Err(moved_on());
    }
    let here = ancestor(odi, &published.trust, ours, claims.seq).map(|head| head.id());
    match here {
        Ok(id) if id == theirs.id() => Ok(None),
        Ok(id) => {
            Err(Failure::Diverged { url: url.to_owned(), seq: claims.seq, theirs: theirs.id(), ours: id })
        }
        Err(_) => Ok(Some(format!("{url} has head {}, which is not in this tree's history", claims.seq))),
    }
}
