//! Looking at mirrors: one look, and those that lists wish for and do not wait for.
//!
//! Invariants
//! - For one thing at one mirror one look is under way; whoever comes meanwhile waits for what it finds.
//! - At most [`WISHES_MAX`] looks wait, each once, and [`AT_ONCE`] are under way; what does not fit is wished for again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use odi_manifest::{Entry, HeadId};
use odi_wire::client::Guise;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Key, Mirrors};
use crate::catalog::Catalog;
use crate::directory::Directory;
use crate::probe::{Spot, Target, Verdict, probe};

/// How long a client waits for a proof of one mirror, whoever else looks there.
const PATIENCE: Duration = Duration::from_secs(4);
/// Mirrors lead on to https, or to another name of theirs.
const REDIRECTS_MAX: usize = 2;
/// From how many turns on those that are over are dropped.
const TURNS_SWEPT_AT: usize = 256;
/// How many looks wait.
const WISHES_MAX: usize = 64;
/// How many that nobody waits for are under way.
const AT_ONCE: usize = 8;

/// A look at one mirror for one artifact.
pub(super) struct Look {
    pub(super) catalog: Arc<Catalog>,
    /// Where the mirror's tree begins.
    pub(super) base: Url,
    pub(super) key: Key,
    pub(super) entry: Entry,
    /// The newest head, under which the answer counts.
    pub(super) newest: HeadId,
}

impl Look {
    /// Whether the mirror has the entry's bytes. What to compare a large file with comes from there too, if it copies the whole tree:
    /// the origin may be away.
    pub(super) async fn finds(&self, directory: &Directory) -> bool {
        let Self { catalog, base, entry, .. } = self;
        let Key { url, over, .. } = &self.key;
        let look = async {
            if let Some(family) = over
                && !directory.client.families(url).await.is_ok_and(|families| families.contains(family))
            {
                return Verdict::Failed(format!("it has no address that is reached over {family}"));
            }
            let list = match directory.chunk_list_at(base, entry).await {
                None => directory.chunk_list(catalog, entry).await,
                found => found,
            };
            let target = Target { url, redirects: REDIRECTS_MAX };
            let how = (&Spot::drawn(entry.size, directory.draw()), Guise::drawn(directory.draw()));
            let client = over.map_or(&directory.client, |family| directory.over(family));
            probe(client, &target, entry, list.as_deref(), how).await
        };
        let verdict = look.await;
        if verdict != Verdict::Matched {
            tracing::debug!(%url, ?verdict, "this mirror does not have what the catalog says");
        }
        verdict == Verdict::Matched
    }
}

/// How long somebody still waits: for a turn and for what is done in it together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    whole: Duration,
    end: Instant,
}

impl Patience {
    /// A client's.
    pub(super) fn of_a_client() -> Self {
        Self::of(PATIENCE)
    }

    fn of(whole: Duration) -> Self {
        Self { whole, end: Instant::now() + whole }
    }

    /// What comes of this if it comes in time.
    pub(super) async fn wait_for<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.end, what).await.ok()
    }

    /// Whether so little is left that who does not answer in it may just be slow.
    pub(super) fn is_short(&self) -> bool {
        self.end.saturating_duration_since(Instant::now()) < self.whole / 2
    }
}

/// Who looks at what now.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Weak<AsyncMutex<()>>>>);

impl Turns {
    /// What is held while one looks there for that.
    pub(super) fn of(&self, key: &Key) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= TURNS_SWEPT_AT {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(AsyncMutex::new(()));
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// Looks that nobody waits for.
#[derive(Default)]
pub(super) struct Wishes {
    queue: Mutex<Queue>,
    added: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Look>,
    /// What waits or is under way.
    known: HashSet<Key>,
}

impl Wishes {
    pub(super) fn add(&self, look: Look) {
        let mut queue = self.queue();
        if queue.waiting.len() >= WISHES_MAX || !queue.known.insert(look.key.clone()) {
            return;
        }
        queue.waiting.push_back(look);
        drop(queue);
        self.added.notify_one();
    }

    fn next(&self) -> Option<Look> {
        self.queue().waiting.pop_front()
    }

    fn done(&self, key: &Key) {
        self.queue().known.remove(key);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at what lists wish for, until `stop` is cancelled.
pub(crate) async fn look_for_lists(directory: Arc<Directory>, stop: CancellationToken) {
    let mut looks = JoinSet::new();
    loop {
        while looks.len() < AT_ONCE
            && let Some(look) = directory.mirrors.wishes.next()
        {
            looks.spawn(one(Arc::clone(&directory), look));
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = directory.mirrors.wishes.added.notified() => {}
            Some(joined) = looks.join_next(), if !looks.is_empty() => {
                if let Err(error) = joined {
                    tracing::error!(%error, "BUG: a look at a mirror panicked");
                }
            }
        }
    }
    looks.shutdown().await;
}

async fn one(directory: Arc<Directory>, look: Look) {
    let (mirrors, key) = (&directory.mirrors, look.key.clone());
    mirrors.looked(&directory, look, Mirrors::may_look_for_list).await;
    mirrors.wishes.done(&key);
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn one_patience_is_for_the_turn_and_the_look_together() {
        let patience = Patience::of(Duration::from_millis(50));
        assert!(!patience.is_short());
        let (free, taken) = (AsyncMutex::new(()), AsyncMutex::new(()));
        let _turn = patience.wait_for(free.lock()).await.expect("nobody has it");
        let _other = taken.lock().await;
        assert!(patience.wait_for(taken.lock()).await.is_none(), "somebody looks for ever");
        assert!(patience.is_short());
        let began = Instant::now();
        assert_eq!(patience.wait_for(pending::<bool>()).await, None);
        assert!(began.elapsed() < Duration::from_millis(50), "it began again");
    }
}
