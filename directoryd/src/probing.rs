//! What of a relay is looked at now and then: something that it says it holds, drawn at random, and sometimes something that
//! it must not give out any more. One look is one probe, over the public path, as any client asks.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{CHUNK_BYTES, Child, Entry, HeadId, PublicKey, Timestamp};
use odi_wire::client::Ask;
use odi_wire::http::StatusCode;
use odi_wire::message::{Inventory, PublicUrl};
use odi_wire::route::{location, pinned_path};
use url::Url;

use crate::blocking::blocking;
use crate::catalog::Catalog;
use crate::catalog::view::State;
use crate::directory::{Directory, Nodes};
use crate::probe::{Verdict, probe};
use crate::select;

/// Walks down a tree in search of something to probe, and the most steps of them all by the depth of a path.
const WALKS: u32 = 32;
const WALK_STEPS: u32 = 33;
/// Artifacts of which one is probed: the first that can be compared.
const TARGETS: usize = 8;
/// Children of a folder among which a walk chooses.
const WALK_CHOICES: usize = 512;
/// Probed artifacts are no larger, so that their chunk lists stay small.
const PROBED_BYTES_MAX: u64 = 4 << 30;
/// One look in so many is at something that was taken back, where there is any.
const WITHDRAWN_EVERY: u32 = 4;
/// So long after a directory has seen a revocation, nobody may give out what it takes back.
const WITHDRAWN_AFTER: Duration = Duration::from_secs(900);
/// How long one look may take; less than it takes to count as lost.
const PATIENCE: Duration = Duration::from_secs(50);

/// What a look at a relay found.
pub(crate) enum Finding {
    Matched,
    /// No usable answer, in words.
    Failed(String),
    /// Other bytes than were signed, or what was taken back; in words.
    Lied(String),
}

/// Looks at a relay once.
pub(crate) async fn look(directory: &Arc<Directory>, relay: &PublicKey) -> Finding {
    let looked = tokio::time::timeout(PATIENCE, look_patiently(directory, relay));
    let late = || Finding::Failed(format!("a probe took over {} s", PATIENCE.as_secs()));
    looked.await.unwrap_or_else(|_| late())
}

async fn look_patiently(directory: &Arc<Directory>, relay: &PublicKey) -> Finding {
    let claims = claims(directory, relay);
    if directory.draw().is_multiple_of(WITHDRAWN_EVERY)
        && let Some(path) = gives_out_withdrawn(directory, &claims).await
    {
        return Finding::Lied(format!("it gives out what was taken back, such as {path}"));
    }
    let mut finding = Finding::Failed("it announced nothing that this directory can probe".to_owned());
    for target in targets(directory, claims).await {
        let list = directory.chunk_list(&target.catalog, &target.entry).await;
        if list.is_none() && target.entry.size > CHUNK_BYTES {
            finding = Finding::Failed("no chunk list to compare with is to be had".to_owned());
            continue;
        }
        let probed = probe(&directory.client, &target.url, &target.entry, list.as_deref(), directory.draw());
        return match probed.await {
            Verdict::Matched => Finding::Matched,
            Verdict::Failed(why) => Finding::Failed(format!("a probe of {}: {why}", target.url)),
            Verdict::WrongBytes => Finding::Lied("it gave wrong bytes to a probe".to_owned()),
        };
    }
    finding
}

/// Something that a relay says it holds.
struct Target {
    catalog: Arc<Catalog>,
    url: Url,
    entry: Entry,
}

/// What a relay says of a catalog in a state that both know.
struct Claim {
    catalog: Arc<Catalog>,
    state: Arc<State>,
    inventory: Arc<Inventory>,
    url: PublicUrl,
}

fn claims(directory: &Directory, relay: &PublicKey) -> Vec<Claim> {
    let roster = directory.relays.roster();
    let Some(member) = roster.member(relay) else { return Vec::new() };
    let Some(said) = member.announced() else { return Vec::new() };
    // Another of its URLs each time.
    let urls = member.urls();
    let at = usize::try_from(directory.draw()).unwrap_or(0).checked_rem(urls.len()).unwrap_or(0);
    let Some(url) = urls.get(at) else { return Vec::new() };
    let claim = |catalog: &Arc<Catalog>| {
        let full: HeadId = said.inventory.catalog(&catalog.id())?.full?;
        let view = catalog.view();
        let state = view.known().find(|state| state.id == full)?;
        Some(Claim {
            catalog: Arc::clone(catalog),
            state: Arc::clone(state),
            inventory: Arc::clone(&said.inventory),
            url: url.clone(),
        })
    };
    directory.configured.values().filter_map(claim).collect()
}

/// A few artifacts that a relay says it holds, drawn at random.
async fn targets(directory: &Arc<Directory>, mut claims: Vec<Claim>) -> Vec<Target> {
    if claims.is_empty() {
        return Vec::new();
    }
    let at = usize::try_from(directory.draw()).unwrap_or(0) % claims.len();
    let claim = claims.swap_remove(at);
    let nodes = directory.nodes.clone();
    let draws: Vec<u32> = (0..WALKS * WALK_STEPS).map(|_| directory.draw()).collect();
    blocking(move || {
        let mut draws = draws.into_iter();
        (0..WALKS).filter_map(|_| claim.target(&nodes, &mut draws)).take(TARGETS).collect()
    })
    .await
}

impl Claim {
    fn target(&self, nodes: &Nodes, draws: &mut impl Iterator<Item = u32>) -> Option<Target> {
        let (path, entry) = walk(nodes, &self.state, draws)?;
        let holding = self.inventory.catalog(&self.catalog.id())?;
        let is_withdrawn = self.catalog.believed().revokes(&path, &entry, self.state.head.seq).is_some();
        let probed = entry.size <= PROBED_BYTES_MAX
            && !is_withdrawn
            && select::holds(holding, &entry.blob, &[self.state.id]);
        let url = self.at(&self.state, &path)?;
        probed.then(|| Target { catalog: Arc::clone(&self.catalog), url, entry })
    }

    fn at(&self, state: &State, path: &str) -> Option<Url> {
        Url::parse(&location(&self.url.to_url(), &pinned_path(&state.pin, path))).ok()
    }
}

/// A random way down from the top of a tree to an artifact.
fn walk(nodes: &Nodes, state: &State, draws: &mut impl Iterator<Item = u32>) -> Option<(String, Entry)> {
    let mut folder = String::new();
    loop {
        let mut children = state.tree.list(nodes, &folder, None, WALK_CHOICES).ok()?.children;
        let at = usize::try_from(draws.next()?).ok()?.checked_rem(children.len())?;
        let child = children.swap_remove(at);
        let path =
            if folder.is_empty() { child.name().to_owned() } else { format!("{folder}/{}", child.name()) };
        match child {
            Child::Artifact { entry, .. } => return Some((path, entry)),
            Child::Folder { .. } => folder = path,
        }
    }
}

/// Asks for the first byte of something that was taken back, at the pin of a state that the relay says it serves; its path
/// if that byte comes.
async fn gives_out_withdrawn(directory: &Arc<Directory>, claims: &[Claim]) -> Option<String> {
    let now = directory.clock.now();
    for claim in claims {
        if !is_old_enough(&claim.catalog, now) {
            continue;
        }
        let (catalog, nodes) = (Arc::clone(&claim.catalog), directory.nodes.clone());
        let samples = blocking(move || catalog.withdrawn_samples(&nodes)).await;
        let served = &claim.inventory.catalog(&claim.catalog.id())?.served;
        let view = claim.catalog.view();
        let mut known: Vec<(&Arc<State>, String)> = samples
            .iter()
            .filter(|sample| served.contains(&sample.head))
            .filter_map(|sample| {
                Some((view.known().find(|state| state.id == sample.head)?, sample.path.clone()))
            })
            .collect();
        let at = usize::try_from(directory.draw()).unwrap_or(0).checked_rem(known.len());
        let Some((state, path)) = at.map(|at| known.swap_remove(at)) else { continue };
        // Whoever ignores the range is cut off after the first piece.
        let ask = Ask::get(&claim.at(state, &path)?).range(0..1).reply_bytes_max(u64::MAX);
        let Ok(mut reply) = directory.client.send(ask).await else { continue };
        let given = matches!(reply.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if given && matches!(reply.body.chunk().await, Ok(Some(_))) {
            return Some(path);
        }
    }
    None
}

/// Whether the revocations in force were seen long enough ago: a state that has them was adopted by then.
fn is_old_enough(catalog: &Catalog, now: Timestamp) -> bool {
    let view = catalog.view();
    let list = view.adopted().and_then(|state| state.head.revocations);
    list.is_some()
        && view
            .known()
            .any(|state| state.head.revocations == list && now.since(state.adopted) >= WITHDRAWN_AFTER)
}
