//! Clients as they come: some want all, some a range, some go in the middle, some read slowly. Whatever they get is compared byte by
//! byte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odi_wire::client::{Ask, Client, ClientError, Reply};
use odi_wire::http::StatusCode;
use odi_wire::route::encode_path;
use url::Url;

use super::body::{Expected, pinned_seq};
use super::content::{Published, State};
use super::draw::Draw;

const REDIRECTS_MAX: usize = 3;
/// Wrong answers that are told in words.
const WORDS_MAX: usize = 20;
/// Pins that clients come back to.
const PINS_MAX: usize = 16;
/// Between two requests of a client at most, in milliseconds.
const THINKS_MILLIS: u64 = 200;
/// A slow reader takes this much, and then waits.
const SLOW: (usize, Duration) = (64 << 10, Duration::from_millis(100));
/// So much of a body is read slowly; then the reader goes.
const SLOW_BYTES: u64 = 2 << 20;

/// What a client does with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Range,
    Leaves,
    Slow,
}

const MANNERS: [Manner; 8] = [
    Manner::Whole,
    Manner::Whole,
    Manner::Whole,
    Manner::Range,
    Manner::Range,
    Manner::Range,
    Manner::Leaves,
    Manner::Slow,
];

/// What came of all requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bodies, or ranges, that came in full and were right.
    pub(super) right: AtomicU64,
    /// Bytes that were right, of any body.
    pub(super) bytes: AtomicU64,
    /// Bodies that the client left or stopped reading, right as far as they went.
    pub(super) left: AtomicU64,
    /// Bodies that ended early, right as far as they went.
    pub(super) cut: AtomicU64,
    /// Requests without an answer.
    pub(super) unanswered: AtomicU64,
    /// Answers that are no success, by status.
    refused: Mutex<BTreeMap<u16, u64>>,
    wrong: Mutex<Vec<String>>,
    wrong_count: AtomicU64,
}

impl Tally {
    pub(super) fn refused(&self) -> BTreeMap<u16, u64> {
        lock(&self.refused).clone()
    }

    /// How many answers were wrong, and some of them in words.
    pub(super) fn wrong(&self) -> (u64, Vec<String>) {
        (self.wrong_count.load(Ordering::Relaxed), lock(&self.wrong).clone())
    }

    fn is_wrong(&self, words: String) {
        self.wrong_count.fetch_add(1, Ordering::Relaxed);
        let mut wrong = lock(&self.wrong);
        if wrong.len() < WORDS_MAX {
            wrong.push(words);
        }
    }
}

/// Where clients ask, and what they know.
pub(super) struct World {
    pub(super) directories: Vec<Url>,
    pub(super) relays: Vec<Url>,
    pub(super) name: String,
    pub(super) published: Arc<Published>,
    pub(super) tally: Arc<Tally>,
    pins: Mutex<VecDeque<(u64, String)>>,
}

impl World {
    pub(super) fn new(
        directories: Vec<Url>,
        relays: Vec<Url>,
        name: &str,
        published: Arc<Published>,
    ) -> Self {
        let (tally, pins) = (Arc::default(), Mutex::default());
        Self { directories, relays, name: name.to_owned(), published, tally, pins }
    }

    /// A URL for a path of a recent state: half of them at a directory, the others at a relay, under a pin that was seen before
    /// or without one.
    fn url(&self, draw: &mut Draw) -> Option<(Url, String)> {
        let newest = self.published.state(self.published.newest_seq())?;
        let pin = draw.one_of(lock(&self.pins).make_contiguous()).cloned();
        let (base, prefix, state) = match (draw.between(0, 4), pin) {
            (0, Some((seq, pin))) => (&self.relays, pin, self.published.state(seq)?),
            (0 | 1, _) => (&self.relays, self.name.clone(), newest),
            _ => (&self.directories, self.name.clone(), newest),
        };
        let path = path_of(&state, draw)?;
        let url = draw.one_of(base)?.join(&format!("{prefix}/{}", encode_path(&path))).ok()?;
        Some((url, path))
    }

    fn saw(&self, url: &Url) {
        let (Some(seq), Some(pin)) =
            (pinned_seq(url), url.path_segments().and_then(|mut segments| segments.next()))
        else {
            return;
        };
        let mut pins = lock(&self.pins);
        if !pins.iter().any(|(known, _)| *known == seq) {
            pins.push_back((seq, pin.to_owned()));
            if pins.len() > PINS_MAX {
                pins.pop_front();
            }
        }
    }
}

/// One client, for ever.
pub(super) async fn come(world: Arc<World>, client: Client, mut draw: Draw) {
    loop {
        visit(&world, &client, &mut draw).await;
        tokio::time::sleep(Duration::from_millis(draw.between(0, THINKS_MILLIS))).await;
    }
}

async fn visit(world: &World, client: &Client, draw: &mut Draw) {
    let manner = draw.one_of(&MANNERS).copied().unwrap_or(Manner::Whole);
    let Some((url, path)) = world.url(draw) else { return };
    let mut ask = Ask::get(&url).reply_bytes_max(u64::MAX).following(REDIRECTS_MAX);
    if manner == Manner::Range {
        let sizes: Vec<u64> = world.published.versions(&path).iter().map(|version| version.size).collect();
        let size = sizes.iter().copied().min().unwrap_or(0).max(1);
        let from = draw.between(0, size);
        ask = ask.range(from..from + draw.between(1, (1 << 20).min(size - from) + 1));
    }
    let tally = &world.tally;
    match client.send(ask).await {
        Err(
            error @ (ClientError::BadRedirect { .. }
            | ClientError::TooManyRedirects { .. }
            | ClientError::Encoded { .. }),
        ) => {
            tally.is_wrong(format!("{url}: {error}"));
        }
        Err(_) => _ = tally.unanswered.fetch_add(1, Ordering::Relaxed),
        Ok(reply) if !matches!(reply.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) => {
            let status = reply.status;
            *lock(&tally.refused).entry(status.as_u16()).or_default() += 1;
            // Who is behind does not know a new path, or a new pin.
            let behind = status == StatusCode::NOT_FOUND
                && (pinned_seq(&reply.url).is_some() || !world.published.always_had(&path));
            if status != StatusCode::SERVICE_UNAVAILABLE && !behind {
                tally.is_wrong(format!("{url} ({manner:?}): {status} for what had been published"));
            }
        }
        Ok(reply) => {
            world.saw(&reply.url);
            let url = reply.url.clone();
            if let Err(wrong) = read(world, &path, reply, manner, draw).await {
                tally.is_wrong(format!("{url} ({manner:?}): {wrong}"));
            }
        }
    }
}

/// Reads a body as the client's manner is.
async fn read(
    world: &World,
    path: &str,
    reply: Reply,
    manner: Manner,
    draw: &mut Draw,
) -> Result<(), super::body::Wrong> {
    let tally = &world.tally;
    let mut expected = Expected::of(&world.published, path, &reply)?;
    let length = expected.end() - expected.at();
    let until = match manner {
        Manner::Leaves => draw.between(0, length),
        Manner::Slow => length.min(SLOW_BYTES),
        Manner::Whole | Manner::Range => u64::MAX,
    };
    let (mut body, mut got, mut since_pause) = (reply.body, 0, 0);
    loop {
        let ended = match body.chunk().await {
            Ok(Some(piece)) => {
                expected.take(&piece)?;
                tally.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                got += piece.len() as u64;
                since_pause += piece.len();
                (got >= until && got < length).then_some(&tally.left)
            }
            Ok(None) => Some(if expected.at() == expected.end() { &tally.right } else { &tally.cut }),
            Err(_) => Some(&tally.cut),
        };
        if let Some(ended) = ended {
            ended.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if manner == Manner::Slow && since_pause >= SLOW.0 {
            since_pause = 0;
            tokio::time::sleep(SLOW.1).await;
        }
    }
}

fn path_of(state: &State, draw: &mut Draw) -> Option<String> {
    // Few paths are asked for often, most seldom.
    let count = state.len() as u64;
    let reach = if draw.between(0, 2) == 0 { count.div_ceil(10) } else { count };
    let number = usize::try_from(draw.between(0, reach)).ok()?;
    state.keys().nth(number).map(|path| path.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
