//! The layout of a catalog as relays and other directories follow it (PROTOCOL.md § Layout), and how news comes in.
//!
//! The newest *adopted* head is what is followed here: relays fill before a state is served to clients.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{
    ArtifactPath, BlobId, CatalogId, DIFF_BYTES_MAX, DIFF_OPS_MAX, DiffHeader, HeadId, NodesError, Op, Tree,
    diff_fits, encode_diff, end_of_operation,
};
use odi_wire::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::layout::{HEADS_PER_PACK, LayoutPath};
use odi_wire::message::{CBOR, PUSH_BYTES_MAX, Push};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Body, Request, Response};

use super::{artifact, full, internal, testimony};
use crate::catalog::Catalog;
use crate::catalog::follow::{self, PushRefusal};
use crate::catalog::view::{State, View};
use crate::directory::{Directory, Large};
use crate::network::Network;

/// The largest blob whose chunk list is fetched for others: a list of 1 MiB.
const LISTED_BYTES_MAX: u64 = 8 << 30;

/// The newest adopted head; with `after`, once it is above that or the time is up (204).
pub(super) async fn head(
    directory: &Arc<Directory>,
    catalog: &CatalogId,
    after: Option<u64>,
    wait: Duration,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    let mut views = catalog.watch();
    let is_news = |view: &Arc<View>| {
        view.adopted().is_some_and(|state| after.is_none_or(|after| state.head.seq > after))
    };
    let waited = tokio::time::timeout(wait, views.wait_for(is_news)).await;
    let news = matches!(waited, Ok(Ok(_)));
    drop(waited);
    let view = catalog.view();
    match view.adopted() {
        None => Err(Refusal::NotFound),
        Some(_) if after.is_some() && !news => Ok(Response::new(StatusCode::NO_CONTENT)),
        Some(state) => Ok(records(state.head.encode())),
    }
}

/// Any other item.
pub(super) async fn layout(
    directory: &Arc<Directory>,
    request: &Request,
    catalog: &CatalogId,
    item: LayoutPath,
    after: Option<ArtifactPath>,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    match item {
        LayoutPath::Head => head(directory, &catalog.id(), None, Duration::ZERO).await,
        LayoutPath::Root(version) => root(directory, &catalog, version),
        LayoutPath::HeadAt(seq) => head_at(directory, &catalog, seq).await,
        LayoutPath::HeadPack(number) => {
            directory.pace(Network::of(request.peer.ip()))?;
            head_pack(directory, &catalog, number).await
        }
        LayoutPath::Revocations(id) => {
            let (directory, catalog) = (Arc::clone(directory), catalog.id());
            let list = off_worker(move || directory.ledger.list(&catalog, &id)).await;
            list.map_err(|error| internal(&error))?.map(records).ok_or(Refusal::NotFound)
        }
        LayoutPath::Diff { from, to } => {
            directory.pace(Network::of(request.peer.ip()))?;
            diff(directory, &catalog, (from, to), after).await
        }
        LayoutPath::Full(head) => {
            directory.pace(Network::of(request.peer.ip()))?;
            full(directory, &catalog, head, after).await
        }
        LayoutPath::Node(id) => {
            let store = directory.store.clone();
            let node = off_worker(move || store.node(&id)).await;
            node.map_err(|error| internal(&error))?.map(records).ok_or(Refusal::NotFound)
        }
        LayoutPath::Blob(blob) => artifact::blob(directory, request, blob).await,
        LayoutPath::Chunks(blob) => chunks(directory, request, &catalog.id(), &blob, None).await,
        LayoutPath::Testimony => testimony::testimony(directory, &catalog.id(), None, Duration::ZERO).await,
        LayoutPath::Equivocation { first, second } => testimony::equivocation(&catalog, first, second),
    }
}

/// A chunk list, which nobody could verify without the blob's size. Who says it, as signed entries do, is given what
/// origin or relays have, once it merges to the blob's name. Nothing of it is kept.
pub(super) async fn chunks(
    directory: &Arc<Directory>,
    request: &Request,
    catalog: &CatalogId,
    blob: &BlobId,
    size: Option<u64>,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    if let Some(own) = directory.selftest.artifact(blob).and_then(|own| own.chunks.as_ref()) {
        return Ok(records(own.to_bytes()));
    }
    let size = size.filter(|size| *size <= LISTED_BYTES_MAX).ok_or(Refusal::NotFound)?;
    directory.pace(Network::of(request.peer.ip()))?;
    // It costs the origin a request, and us what it sends.
    directory
        .origins
        .admit(directory.clock.now())
        .map_err(|wait| Refusal::unavailable("too many chunk lists are asked for", wait))?;
    let list = directory.chunk_list_of(&catalog, blob, size).await;
    list.map(|list| records(list.to_bytes())).ok_or(Refusal::NotFound)
}

fn root(directory: &Directory, catalog: &Catalog, version: u64) -> Result<Response, Refusal> {
    let trust = directory.ledger.load(&catalog.id()).ok_or(Refusal::NotFound)?;
    let root = trust.trust.roots().iter().find(|root| root.version == version);
    root.map(|root| records(root.encode())).ok_or(Refusal::NotFound)
}

async fn head_at(directory: &Arc<Directory>, catalog: &Catalog, seq: u64) -> Result<Response, Refusal> {
    let (directory, catalog) = (Arc::clone(directory), catalog.id());
    let head = off_worker(move || directory.ledger.head(&catalog, seq)).await;
    head.map_err(|error| internal(&error))?.map(records).ok_or(Refusal::NotFound)
}

/// A merged file exists once every head that falls into it does. Numbers that an epoch left out have none.
async fn head_pack(directory: &Arc<Directory>, catalog: &Catalog, number: u64) -> Result<Response, Refusal> {
    let first = number.checked_mul(HEADS_PER_PACK).ok_or(Refusal::NotFound)?;
    let last = first.checked_add(HEADS_PER_PACK - 1).ok_or(Refusal::NotFound)?;
    let believed = catalog.believed();
    let (directory, catalog) = (Arc::clone(directory), catalog.id());
    let is_left_out = move |seq| believed.trust().is_some_and(|trust| trust.ancestor(seq) != seq);
    let pack = off_worker(move || {
        let mut pack = Vec::new();
        for seq in first.max(1)..=last {
            match directory.ledger.head(&catalog, seq) {
                Ok(Some(head)) => pack.extend_from_slice(&head),
                Ok(None) if is_left_out(seq) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(pack))
    })
    .await;
    pack.map_err(|error| internal(&error))?.map(records).ok_or(Refusal::NotFound)
}

/// The operations between two states, as far as receivers take them; beyond that a follower takes nodes.
async fn diff(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    (from, to): (HeadId, HeadId),
    after: Option<ArtifactPath>,
) -> Result<Response, Refusal> {
    let (from, to) = (known(catalog, &from)?, known(catalog, &to)?);
    let (nodes, id) = (directory.nodes.clone(), catalog.id());
    let key = Large::Diff(id, from.id, to.id);
    let encoded = directory.large.answer(key, DIFF_BYTES_MAX as u64, async || {
        let encoded = off_worker(move || encoded_diff(&nodes, id, &from, &to)).await;
        encoded.map_err(|error| internal(&error))?.ok_or(Refusal::NotFound)
    });
    let encoded = encoded.await?;
    let Some(after) = after else { return Ok(records(encoded)) };
    let rest = off_worker(move || {
        let end = end_of_operation(&encoded, &after).ok().flatten()?;
        (end <= encoded.len()).then(|| encoded.slice(end..))
    });
    // A path that the diff does not name means that the asker has another diff.
    rest.await.map(records).ok_or(Refusal::NotFound)
}

/// `None` if it is more than receivers take.
fn encoded_diff(
    nodes: &crate::directory::Nodes,
    cat: CatalogId,
    from: &State,
    to: &State,
) -> Result<Option<Vec<u8>>, NodesError> {
    let changes = Tree::diff(nodes, &from.tree, &to.tree).take(DIFF_OPS_MAX + 1);
    let ops = changes.collect::<Result<Vec<Op>, NodesError>>()?;
    let header = DiffHeader { cat, from: from.id, to: to.id, n: ops.len() as u64 };
    let encoded = diff_fits(&ops).then(|| encode_diff(&header, &ops));
    Ok(encoded.filter(|encoded| encoded.len() <= DIFF_BYTES_MAX))
}

fn known(catalog: &Catalog, head: &HeadId) -> Result<Arc<State>, Refusal> {
    catalog.view().known().find(|state| state.id == *head).cloned().ok_or(Refusal::NotFound)
}

/// A whole manifest, or what of it comes behind the leaf of a path.
async fn full(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    head: HeadId,
    after: Option<ArtifactPath>,
) -> Result<Response, Refusal> {
    let tree = known(catalog, &head)?.tree;
    let length = directory.lengths.of(&directory.nodes, &tree, after.as_ref()).await?;
    let length = length.map_err(|error| internal(&error))?;
    let body = full::body(directory.nodes.clone(), full::frames(&tree, after.as_ref()), length);
    Ok(Response::ok(CBOR, body))
}

/// Proof that a head's manifest has, or lacks, an entry.
pub(super) async fn proof(
    directory: &Arc<Directory>,
    request: &Request,
    catalog: &CatalogId,
    path: ArtifactPath,
    head: Option<HeadId>,
) -> Result<Response, Refusal> {
    directory.pace(Network::of(request.peer.ip()))?;
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    let state = match head {
        Some(head) => known(&catalog, &head)?,
        None => catalog.view().newest().cloned().ok_or(Refusal::NotFound)?,
    };
    let nodes = directory.nodes.clone();
    let proof = off_worker(move || state.tree.prove(&nodes, path.as_str())).await;
    Ok(records(proof.map_err(|error| internal(&error))?.encode()))
}

/// Here is a newer head: compare-and-swap on its `prev`.
pub(super) async fn push(
    directory: &Arc<Directory>,
    mut request: Request,
    catalog: &CatalogId,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    directory.pace(Network::of(request.peer.ip()))?;
    let body = request.read_body(PUSH_BYTES_MAX).await?;
    let push = Push::decode(&body)
        .map_err(|error| Refusal::bad_request(format!("the push is malformed: {error}")))?;
    match follow::push(directory, &catalog, &push).await {
        Ok(()) => {
            let view = catalog.view();
            let adopted = view.adopted().ok_or(Refusal::Internal)?;
            Ok(records(adopted.head.encode()))
        }
        Err(PushRefusal::Superseded(current)) => {
            Ok(Response { status: StatusCode::CONFLICT, ..records(current) })
        }
        Err(PushRefusal::Refused(reason)) => Err(Refusal::Unprocessable(reason.into())),
    }
}

/// Look at the origin now.
pub(super) fn trigger(
    directory: &Directory,
    request: &Request,
    catalog: &CatalogId,
) -> Result<Response, Refusal> {
    let catalog = directory.catalog(catalog).ok_or(Refusal::NotFound)?;
    directory.pace(Network::of(request.peer.ip()))?;
    if catalog.config().origin.is_none() {
        return Err(Refusal::Unprocessable(
            "this catalog comes by push; there is no origin to look at".into(),
        ));
    }
    catalog.wake.notify_one();
    Ok(Response::new(StatusCode::ACCEPTED).with_body("the origin is asked\n"))
}

pub(super) fn records(bytes: impl Into<Bytes>) -> Response {
    Response::new(StatusCode::OK)
        .with_header(CONTENT_TYPE, HeaderValue::from_static(CBOR))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_body(Body::from(bytes.into()))
}
