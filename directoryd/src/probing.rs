//! What of a relay is looked at now and then: something that it says it holds, drawn at random, and sometimes something that
//! it must not give out any more. One look is one probe, over the public path, as any client asks; [`Plan`] has what is drawn.

use std::sync::Arc;
use std::time::Duration;

use odi_manifest::{ChunkList, Entry, HeadId, PublicKey, Timestamp, Tree};
use odi_wire::client::{Ask, Family, Guise};
use odi_wire::http::StatusCode;
use odi_wire::message::{Inventory, PublicUrl, RATE_UNNAMED};
use odi_wire::off_worker::off_worker;
use odi_wire::route::{location, pinned_path};
use url::Url;

use crate::audit::plan::{Plan, weighted};
use crate::catalog::Catalog;
use crate::catalog::view::State;
use crate::directory::{Directory, Nodes};
use crate::probe::{self, Spot, Verdict, WrongBytes, probe};
use crate::select;

/// Artifacts that are drawn in search of something to probe: enough for a relay that holds one in 256.
const DRAWS: usize = 1024;
/// Artifacts of which one is probed: the first that can be compared.
const TARGETS: usize = 8;
/// Probed artifacts are no larger, so that their chunk lists stay small.
const PROBED_BYTES_MAX: u64 = 4 << 30;
/// Whole files that are looked at are no larger, and take no longer than this at the rate that the relay names.
const WHOLE_BYTES_MAX: u64 = 16 << 20;
const WHOLE_SECONDS_MAX: u64 = 5;
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
    /// Other bytes than were signed, or what was taken back.
    Lied(Lie),
}

/// What a relay was caught at.
pub(crate) struct Lie {
    /// In words.
    pub(crate) words: String,
    /// Which bytes came, and where. What was taken back has none.
    pub(crate) evidence: Option<Box<(Place, WrongBytes)>>,
}

/// Looks at a relay once.
pub(crate) async fn look(directory: &Arc<Directory>, relay: &PublicKey, plan: Plan) -> Finding {
    let looked = tokio::time::timeout(PATIENCE, look_patiently(directory, relay, plan));
    let late = || Finding::Failed(format!("a probe took over {} s", PATIENCE.as_secs()));
    looked.await.unwrap_or_else(|_| late())
}

async fn look_patiently(directory: &Arc<Directory>, relay: &PublicKey, plan: Plan) -> Finding {
    let claims = claims(directory, relay);
    if directory.draw().is_multiple_of(WITHDRAWN_EVERY)
        && let Some(path) = gives_out_withdrawn(directory, &claims).await
    {
        let words = format!("it gives out what was taken back, such as {path}");
        return Finding::Lied(Lie { words, evidence: None });
    }
    let place = match drawn_of(directory, relay, claims, plan).await {
        Ok(place) => place,
        Err(why) => return Finding::Failed(why),
    };
    match place.look(directory, plan).await {
        Verdict::Matched => Finding::Matched,
        Verdict::Failed(why) => Finding::Failed(format!("a probe of {}: {why}", place.url)),
        Verdict::WrongBytes(wrong) => {
            let words = "it gave wrong bytes to a probe".to_owned();
            Finding::Lied(Lie { words, evidence: Some(Box::new((place, wrong))) })
        }
    }
}

/// Where at a relay is looked: something that it says it holds, and which bytes of it.
pub(crate) struct Place {
    relay: PublicKey,
    /// Which of its URLs.
    base: PublicUrl,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) head: HeadId,
    pub(crate) url: Url,
    pub(crate) entry: Entry,
    pub(crate) spot: Spot,
    /// What to compare a part with.
    pub(crate) list: Option<Arc<ChunkList>>,
}

impl Place {
    /// Looks there, over one of the address families of its URL, and notes whether it answered over that.
    pub(crate) async fn look(&self, directory: &Directory, plan: Plan) -> Verdict {
        let asked = probe::Target { url: &self.url, redirects: 0 };
        let family = a_family(directory, &self.url).await;
        let client = family.map_or(&directory.client, |family| directory.over(family));
        let how = (&self.spot, plan.guise);
        let verdict = probe(client, &asked, &self.entry, self.list.as_deref(), how).await;
        if let Some(family) = family {
            let answered = verdict == Verdict::Matched;
            directory.relays.roster().reached(&self.relay, &self.base, family, answered);
        }
        verdict
    }
}

/// Draws a place at a relay.
pub(crate) async fn place(
    directory: &Arc<Directory>,
    relay: &PublicKey,
    plan: Plan,
) -> Result<Place, String> {
    drawn_of(directory, relay, claims(directory, relay), plan).await
}

async fn drawn_of(
    directory: &Arc<Directory>,
    relay: &PublicKey,
    claims: Vec<Claim>,
    plan: Plan,
) -> Result<Place, String> {
    let mut why = "it announced nothing that this directory can probe";
    for Target { catalog, head, base, url, entry, rate } in targets(directory, claims, plan).await {
        let whole_max = WHOLE_BYTES_MAX.min(rate.saturating_mul(WHOLE_SECONDS_MAX));
        let (spot, list) = if plan.whole && entry.size <= whole_max {
            (Spot::all(entry.size), None)
        } else {
            (Spot::drawn(entry.size, directory.draw()), directory.chunk_list(&catalog, &entry).await)
        };
        if spot.range().is_some() && list.is_none() {
            why = "no chunk list to compare with is to be had";
            continue;
        }
        return Ok(Place { relay: *relay, catalog, head, base, url, entry, spot, list });
    }
    Err(why.to_owned())
}

/// One of the address families of a URL, another each time.
async fn a_family(directory: &Directory, url: &Url) -> Option<Family> {
    let families = directory.client.families(url).await.ok()?;
    let at = usize::try_from(directory.draw()).unwrap_or(0).checked_rem(families.len())?;
    families.get(at).copied()
}

/// Something that a relay says it holds.
struct Target {
    catalog: Arc<Catalog>,
    head: HeadId,
    base: PublicUrl,
    url: Url,
    entry: Entry,
    /// What the relay gives, in bytes a second, as it says.
    rate: u64,
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
    directory.configured.now().values().filter_map(claim).collect()
}

/// A few artifacts that a relay says it holds, drawn at random.
async fn targets(directory: &Arc<Directory>, mut claims: Vec<Claim>, plan: Plan) -> Vec<Target> {
    if claims.is_empty() {
        return Vec::new();
    }
    let at = usize::try_from(directory.draw()).unwrap_or(0) % claims.len();
    let claim = claims.swap_remove(at);
    let nodes = directory.nodes.clone();
    let seed = directory.random();
    let popular = if plan.popular { popular(directory, &claim.catalog) } else { Vec::new() };
    off_worker(move || {
        let wanted =
            draws(&seed).take(TARGETS).filter_map(|draw| claim.at_path(&nodes, weighted(&popular, draw)?));
        let any = draws(&seed).take(DRAWS).filter_map(|draw| claim.target(&nodes, draw));
        wanted.chain(any).take(TARGETS).collect()
    })
    .await
}

/// What was downloaded of a catalog lately, and how much.
fn popular(directory: &Directory, catalog: &Catalog) -> Vec<(Arc<str>, f64)> {
    let counts = directory.statistics.counts();
    let lately =
        counts.lately(&catalog.id()).into_iter().flat_map(|lately| lately.heaviest(directory.clock.now()));
    lately.map(|heavy| (Arc::clone(&heavy.path), heavy.count)).collect()
}

impl Claim {
    fn target(&self, nodes: &Nodes, draw: u64) -> Option<Target> {
        let (path, entry) = drawn(nodes, &self.state.tree, draw)?;
        self.of(&path, entry)
    }

    fn at_path(&self, nodes: &Nodes, path: &str) -> Option<Target> {
        let entry = self.state.tree.get(nodes, path).ok()??;
        self.of(path, entry)
    }

    fn of(&self, path: &str, entry: Entry) -> Option<Target> {
        let holding = self.inventory.catalog(&self.catalog.id())?;
        let is_withdrawn = self.catalog.believed().revokes(path, &entry, self.state.head.seq).is_some();
        let probed = entry.size <= PROBED_BYTES_MAX
            && !is_withdrawn
            && select::holds(holding, &entry.blob, &[self.state.id]);
        let url = self.at(&self.state, path)?;
        let (catalog, base) = (Arc::clone(&self.catalog), self.url.clone());
        let rate = self.inventory.rate().unwrap_or(RATE_UNNAMED);
        probed.then(|| Target { catalog, head: self.state.id, base, url, entry, rate })
    }

    fn at(&self, state: &State, path: &str) -> Option<Url> {
        Url::parse(&location(&self.url.to_url(), &pinned_path(&state.pin, path))).ok()
    }
}

/// Random numbers without end from a random seed.
fn draws(seed: &[u8; 32]) -> impl Iterator<Item = u64> {
    let mut noise = blake3::Hasher::new_keyed(seed).finalize_xof();
    std::iter::repeat_with(move || {
        let mut draw = [0; 8];
        noise.fill(&mut draw);
        u64::from_le_bytes(draw)
    })
}

/// The artifact that a random number draws: each of a tree as likely as any other.
fn drawn(nodes: &dyn odi_manifest::Nodes, tree: &Tree, draw: u64) -> Option<(String, Entry)> {
    let at = (u128::from(draw) * u128::from(tree.entries)) >> 64;
    let (path, entry) = tree.nth(nodes, u64::try_from(at).ok()?).ok()??;
    Some((path.as_str().to_owned(), entry))
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
        let samples = off_worker(move || catalog.withdrawn_samples(&nodes)).await;
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
        let ask = Ask::get(&claim.at(state, &path)?)
            .range(0..1)
            .reply_bytes_max(u64::MAX)
            .disguised(Guise::drawn(directory.draw()));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use odi_manifest::{ArtifactPath, BlobId, MemoryNodes, Sha256};

    use super::*;

    #[test]
    fn every_artifact_of_a_flat_folder_can_be_drawn() {
        let entry = Entry { size: 1, blob: BlobId::of(b"a"), sha256: Sha256::of(b"a"), mtime: 7, ext: None };
        let path = |n: u32| ArtifactPath::parse(&format!("pool/{n:05}")).unwrap();
        let mut nodes = MemoryNodes::new();
        let tree = Tree::build((0..2000).map(|n| (path(n), entry.clone())), &mut nodes).unwrap();
        let drawn: BTreeSet<String> =
            draws(&[7; 32]).take(40_000).filter_map(|draw| Some(drawn(&nodes, &tree, draw)?.0)).collect();
        assert_eq!(drawn.len(), 2000);
    }

    #[test]
    fn nothing_is_drawn_of_an_empty_tree_and_the_ends_are_in_reach() {
        let nodes = MemoryNodes::new();
        assert_eq!(drawn(&nodes, &Tree::empty(), u64::MAX), None);
        let entry = Entry { size: 1, blob: BlobId::of(b"a"), sha256: Sha256::of(b"a"), mtime: 7, ext: None };
        let mut nodes = MemoryNodes::new();
        let paths = ["a", "b", "c"].map(|path| (ArtifactPath::parse(path).unwrap(), entry.clone()));
        let tree = Tree::build(paths, &mut nodes).unwrap();
        let at = |draw| drawn(&nodes, &tree, draw).unwrap().0;
        assert_eq!((at(0), at(u64::MAX / 2), at(u64::MAX)), ("a".into(), "b".into(), "c".into()));
    }
}
