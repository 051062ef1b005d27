//! What the page of a catalog says.

use std::sync::Arc;

use odi_wire::message::{CatalogInventory, DOCUMENT_VERSION};

use super::census::{Census, Seen};
use super::traffic;
use crate::answer::status::{clients, head_status, url_of};
use crate::catalog::Catalog;
use crate::catalog::lifetime::Terms;
use crate::catalog::view::{State, View};
use crate::config::MirrorConfig;
use crate::directory::Directory;
use crate::mirrors::LastLooks;
use crate::pages::{CatalogPage, HeadLine, HeadState, HolderLine, LINES_MAX, MirrorLine, Spread};
use crate::statistics::Subject;

pub(super) fn gather(directory: &Directory, catalog: &Catalog) -> CatalogPage {
    let now = directory.clock.now();
    let (view, standing) = (catalog.view(), catalog.standing());
    let census = Census::take(directory, now);
    let id = catalog.id();
    let followers = || census.followers(&id);
    let known = view.known().map(|state| (state.id, state.head.seq));
    let spread = Spread::over(known, followers().map(|(_, holding)| holding));
    let (adopted, terms) = (view.adopted(), Terms::of(&catalog.believed(), now));
    let url = url_of(directory, catalog);
    CatalogPage {
        v: DOCUMENT_VERSION,
        name: catalog.name().to_string(),
        id,
        title: adopted.and_then(|state| state.head.meta.title.clone()),
        home: adopted.and_then(|state| state.head.meta.home.clone()),
        origin: catalog.origin().map(String::from),
        tags: adopted.map(|state| state.head.meta.tags.clone()).unwrap_or_default(),
        labels: labels(&view),
        lifetime: terms.nearest(),
        expires: terms.head.map(|head| head.expires),
        root_expires: terms.root.map(|root| root.expires),
        freshness: catalog.freshness(now),
        equivocations: catalog.equivocations(),
        polled: standing.polled,
        fault: standing.fault,
        settings_fault: catalog.settings.fault(),
        heads: heads(&view, &spread),
        followers: u32::try_from(followers().count()).unwrap_or(u32::MAX),
        holders: followers().take(LINES_MAX).map(|(seen, holding)| holder(seen, holding, &spread)).collect(),
        mirrors: mirrors(directory, catalog),
        traffic: traffic::of(directory, Subject::Catalog(id)),
        lately: traffic::lately(directory, catalog, now),
        clients: clients(catalog, &url),
        url,
    }
}

fn labels(view: &View) -> Vec<(String, u64)> {
    let labels = view.newest().map(|state| state.head.labels.as_slice()).unwrap_or_default();
    labels.iter().map(|label| (label.name.clone(), label.seq)).collect()
}

fn heads(view: &View, spread: &Spread) -> Vec<HeadLine> {
    let line = |state: &Arc<State>, is, served, superseded| HeadLine {
        head: head_status(state),
        state: is,
        created: state.head.created,
        adopted: state.adopted,
        served,
        superseded,
        reach: spread.of(&state.id),
    };
    let waiting = view.pending().map(|state| line(state, HeadState::Waiting, None, None));
    let served = view.kept().iter().enumerate().map(|(age, kept)| {
        let is = if age == 0 { HeadState::Served } else { HeadState::Former };
        line(&kept.state, is, kept.since, kept.superseded)
    });
    waiting.chain(served).take(LINES_MAX).collect()
}

fn mirrors(directory: &Directory, catalog: &Catalog) -> Vec<MirrorLine> {
    let line = |mirror: &MirrorConfig| {
        let LastLooks { matched, missed } = directory.mirrors.last_looks(&mirror.url);
        MirrorLine { url: mirror.url.to_string(), redirect: mirror.redirect, matched, missed }
    };
    catalog.config().mirrors.iter().take(LINES_MAX).map(line).collect()
}

fn holder(seen: &Seen, holding: &CatalogInventory, spread: &Spread) -> HolderLine {
    HolderLine {
        relay: seen.relay,
        url: seen.urls.first().cloned(),
        state: seen.state,
        shut_out: seen.shut,
        seq: holding.served.iter().find_map(|head| spread.seq(head)),
        full: holding.full.and_then(|head| spread.seq(&head)),
        share: holding.ranges.share(),
        lacks: holding.minus.len(),
    }
}
