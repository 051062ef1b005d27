//! Plain HTTP mirrors of a catalog, which the operator names: where no relay holds an artifact, clients go to one that a recent
//! probe saw to have exactly its bytes, and only then to the origin; metalinks and lists of single artifacts name such mirrors after the
//! relays. So a network of mirrors can move over one mirror at a time.
//!
//! Invariants
//! - Nobody is told of a file of which this directory has not compared a piece with the manifest within [`PROVEN_FOR`], nor for a path
//!   that maintainers replace in place, nor for what the newest head no longer names: mirrors follow at their own pace.
//! - Lists and explanations take half of the probes at most, so that whoever asks for those leaves redirects theirs.

mod looking;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use odi_manifest::{ArtifactPath, BlobId, HeadId, Timestamp};
use odi_wire::client::Family;
use odi_wire::fetch::Source;
use url::Url;

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::config::MirrorConfig;
use crate::directory::Directory;
use crate::proofs::{Known, Proofs};
use crate::select::mirrors::{Against, MirrorAsk, Seen, judge};
use crate::throttle::{Pace, TokenBucket};

pub(crate) use looking::look_for_lists;
use looking::{Look, Patience, Turns, Wishes};

/// How often mirrors are probed, all of them together.
const PACE: Pace = Pace { burst: 100, per_minute: 600 };
/// How many of those probes are for lists and explanations.
const LISTS_PACE: Pace = Pace { burst: 50, per_minute: 300 };
/// How long a proof lets clients be sent. A mirror that died meanwhile costs them that long.
const PROVEN_FOR: Duration = Duration::from_secs(60);
/// How long a mirror is not asked again for what it did not have: it may be syncing.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// The same of one that had little time to answer, because others had looked there until then.
const UNSURE_FOR: Duration = Duration::from_secs(5);
/// How many mirrors are asked for one client, and how many a list names.
const ASKED_MAX: usize = 3;

/// What a mirror was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    url: Url,
    blob: BlobId,
    /// The only address family that counted.
    over: Option<Family>,
}

/// When looks at a mirror ended how, whatever they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastLooks {
    /// When the right bytes came last.
    pub(crate) matched: Option<Timestamp>,
    /// When they did not.
    pub(crate) missed: Option<Timestamp>,
}

/// What is known of mirrors.
pub(crate) struct Mirrors {
    bucket: Mutex<TokenBucket>,
    lists_bucket: Mutex<TokenBucket>,
    /// Whether a mirror has it.
    proofs: Proofs<Key, bool>,
    /// Of each mirror that was looked at; the configuration bounds it.
    last: Mutex<HashMap<Url, LastLooks>>,
    turns: Turns,
    wishes: Wishes,
}

/// An artifact that a client wants, and how it came.
pub(crate) struct Wish<'a> {
    pub(crate) catalog: &'a Arc<Catalog>,
    pub(crate) path: &'a str,
    pub(crate) found: &'a Found,
    pub(crate) ask: MirrorAsk<'a>,
}

/// A mirror, and what speaks against it for one client and one artifact.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    base: Url,
    /// The artifact there.
    pub(crate) url: Url,
    pub(crate) against: Option<Against>,
}

impl Mirrors {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            bucket: Mutex::new(TokenBucket::new(PACE, now)),
            lists_bucket: Mutex::new(TokenBucket::new(LISTS_PACE, now)),
            proofs: Proofs::default(),
            last: Mutex::default(),
            turns: Turns::default(),
            wishes: Wishes::default(),
        }
    }

    /// A URL at a mirror that was seen to have the artifact lately, or is now: of the client's first few, one after the other.
    pub(crate) async fn proven_url(&self, directory: &Directory, wish: &Wish<'_>) -> Option<String> {
        let (judged, newest) = self.judged_at(directory, wish)?;
        for mirror in worth_a_look(judged).take(ASKED_MAX) {
            let look = || wish.look_at(&mirror, newest);
            if mirror.against.is_none() || self.looked(directory, look(), Self::may_look).await {
                return Some(mirror.url.into());
            }
        }
        None
    }

    /// The URLs that are proved now; whoever asks a moment later is told of those that were not looked at.
    pub(crate) fn known_urls(&self, directory: &Directory, wish: &Wish<'_>) -> Vec<String> {
        let Some((judged, newest)) = self.judged_at(directory, wish) else { return Vec::new() };
        let few: Vec<Judged> = worth_a_look(judged).take(ASKED_MAX).collect();
        for mirror in few.iter().filter(|mirror| mirror.against.is_some()) {
            self.wishes.add(wish.look_at(mirror, newest));
        }
        few.into_iter().filter(|mirror| mirror.against.is_none()).map(|mirror| mirror.url.into()).collect()
    }

    /// The URLs that are proved once the client's first few have been looked at.
    pub(crate) async fn proven_urls(&self, directory: &Directory, wish: &Wish<'_>) -> Vec<String> {
        let Some((judged, newest)) = self.judged_at(directory, wish) else { return Vec::new() };
        let looks = worth_a_look(judged).take(ASKED_MAX).map(async |mirror| {
            let look = || wish.look_at(&mirror, newest);
            let has_it =
                mirror.against.is_none() || self.looked(directory, look(), Self::may_look_for_list).await;
            has_it.then(|| String::from(mirror.url))
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// Every mirror of the catalog, in the client's order; the first few that were not looked at are, soon.
    pub(crate) fn judged(&self, directory: &Directory, wish: &Wish<'_>) -> Vec<Judged> {
        let Some((judged, newest)) = self.judged_at(directory, wish) else { return Vec::new() };
        for mirror in worth_a_look(judged.clone()).take(ASKED_MAX) {
            if mirror.against.is_some() {
                self.wishes.add(wish.look_at(&mirror, newest));
            }
        }
        judged
    }

    /// How looks at a mirror ended last.
    pub(crate) fn last_looks(&self, mirror: &Url) -> LastLooks {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(mirror).copied().unwrap_or_default()
    }

    /// What is known of each mirror, and under which newest head. `None` if there are none.
    fn judged_at(&self, directory: &Directory, wish: &Wish<'_>) -> Option<(Vec<Judged>, HeadId)> {
        let config = wish.catalog.config();
        if config.mirrors.is_empty() {
            return None;
        }
        let view = wish.catalog.view();
        let newest = view.adopted()?.id;
        let path = ArtifactPath::parse(wish.path).ok()?;
        let entry = &wish.found.entry;
        let artifact = if entry.is_elsewhere() {
            Some(Against::Elsewhere)
        } else if view.mutable().contains(wish.path) {
            Some(Against::Replaced)
        } else if !wish.found.named_at.contains(&newest) {
            Some(Against::NotNewest)
        } else {
            None
        };
        let ask = MirrorAsk { artifact, ..wish.ask };
        let now = directory.clock.now();
        let at = |base: &Url| Source::artifact(base, &path).url;
        let judged = judge(&ask, &config.mirrors, |mirror| {
            let key = Key { url: at(&mirror.url), blob: entry.blob, over: ask.only_family };
            seen(self.proofs.of(&key, now, Some(newest)))
        });
        let owned = |(mirror, against): (&MirrorConfig, Option<Against>)| Judged {
            base: mirror.url.clone(),
            url: at(&mirror.url),
            against,
        };
        Some((judged.into_iter().map(owned).collect(), newest))
    }

    fn may_look(&self, directory: &Directory) -> bool {
        let now = directory.clock.now();
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now).is_ok()
    }

    fn may_look_for_list(&self, directory: &Directory) -> bool {
        let now = directory.clock.now();
        let has_part = self.lists_bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now).is_ok();
        has_part && self.may_look(directory)
    }

    /// Whether a mirror has it: as somebody saw who looked meanwhile, else after a look, if one is left.
    async fn looked(
        &self,
        directory: &Directory,
        look: Look,
        may: impl Fn(&Self, &Directory) -> bool,
    ) -> bool {
        let patience = Patience::of_a_client();
        let turn = self.turns.of(&look.key);
        let Some(_turn) = patience.wait_for(turn.lock()).await else { return false };
        if let Some(has_it) = self.proofs.known(&look.key, directory.clock.now(), Some(look.newest)) {
            return has_it;
        }
        if !may(self, directory) {
            return false;
        }
        // Who came late and is cut short has not learned much.
        let is_short = patience.is_short();
        let ended = patience.wait_for(look.finds(directory)).await;
        let (now, has_it) = (directory.clock.now(), ended == Some(true));
        if ended.is_none() {
            tracing::debug!(url = %look.key.url, "this mirror did not answer in time");
        }
        if ended.is_some() || !is_short {
            self.note_end(look.base, has_it, now);
        }
        let how_long = match ended {
            Some(true) => PROVEN_FOR,
            None if is_short => UNSURE_FOR,
            _ => ABSENT_FOR,
        };
        self.proofs.note(look.key, has_it, now, now.plus(how_long), Some(look.newest));
        has_it
    }

    fn note_end(&self, mirror: Url, has_it: bool, now: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(mirror).or_default();
        let end = if has_it { &mut last.matched } else { &mut last.missed };
        *end = Some(now);
    }
}

impl Wish<'_> {
    fn look_at(&self, mirror: &Judged, newest: HeadId) -> Look {
        let entry = self.found.entry.clone();
        let key = Key { url: mirror.url.clone(), blob: entry.blob, over: self.ask.only_family };
        Look { catalog: Arc::clone(self.catalog), base: mirror.base.clone(), key, entry, newest }
    }
}

/// The mirrors that have it, or may.
fn worth_a_look(judged: Vec<Judged>) -> impl Iterator<Item = Judged> {
    judged.into_iter().filter(|mirror| mirror.against.is_none_or(Against::is_open))
}

const fn seen(known: Known<bool>) -> Seen {
    match known {
        Known::Now(true) => Seen::Has,
        Known::Now(false) => Seen::Lacks,
        Known::Before(true) => Seen::Before,
        Known::Before(false) | Known::Never => Seen::Never,
    }
}
