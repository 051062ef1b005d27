//! From the roster to the relays that a request may be sent to, as whole URLs: what redirects, lists and explanations share.

use odi_manifest::{HeadId, PublicKey};
use odi_wire::http::Method;
use odi_wire::route::{CatalogRef, Query, location, named_path, pinned_path};
use odi_wire::serve::{Request, Scheme};

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::catalog::view::{State, View};
use crate::directory::Directory;
use crate::network::Network;
use crate::roster::Member;
use crate::select::{Ask, Candidate, Choice, Ranking, Wanted, Why, rank};

/// A relay that may answer.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its key.
    pub(super) relay: PublicKey,
    /// Its base URL.
    pub(super) base: String,
    /// What was asked for, there.
    pub(super) location: String,
    /// Its share beside the others'.
    pub(super) weight: u64,
}

/// One that may not.
#[derive(Clone, Debug)]
pub(super) struct Shut {
    pub(super) relay: PublicKey,
    pub(super) base: Option<String>,
    pub(super) why: Why,
}

/// The relays, best first, and the others if the caller asks why.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) targets: Vec<Target>,
    pub(super) shut: Vec<Shut>,
}

/// Who asks, and how.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) directory: &'a Directory,
    pub(super) request: &'a Request,
    pub(super) query: &'a Query,
}

impl Caller<'_> {
    /// The scheme that URLs for this caller have.
    pub(super) fn scheme(&self) -> Scheme {
        if self.query.https { Scheme::Https } else { self.directory.scheme_of(self.request) }
    }

    pub(super) fn network(&self) -> Network {
        Network::of(self.request.peer.ip())
    }

    /// Whether the caller is about to follow the answer: whoever only looks moves and heats nothing.
    pub(super) fn goes(&self) -> bool {
        self.request.method == Method::GET && !self.query.explain
    }

    /// The relays for an artifact. Pinned, they have to serve the very state that was found.
    pub(super) fn of_artifact(&self, catalog: &Catalog, path: &str, found: &Found, pinned: bool) -> Judged {
        let own_pin = [found.state.id];
        let pins: &[HeadId] = if pinned { &own_pin } else { &found.named_at };
        let wanted = Wanted::Blob { blob: found.entry.blob, named_at: &found.named_at };
        let view = catalog.view();
        self.judge(catalog, wanted, pins, |choice| {
            let pin = view.servable().find(|state| state.id == choice.head)?.pin;
            Some(location(&choice.url.to_url(), &pinned_path(&pin, path)))
        })
    }

    /// The relays that hold everything, at a place of the catalog: in one state, or in whichever is their newest.
    pub(super) fn of_whole(
        &self,
        catalog: &Catalog,
        view: &View,
        place: &str,
        pinned: Option<&State>,
    ) -> Judged {
        let (pins, path): (Vec<HeadId>, String) = match pinned {
            Some(state) => (vec![state.id], pinned_path(&state.pin, place)),
            // What a relay calls the catalog is not known here.
            None => (
                view.servable().map(|state| state.id).collect(),
                named_path(&CatalogRef::Id(catalog.id()), place),
            ),
        };
        self.judge(catalog, Wanted::Whole, &pins, |choice| Some(location(&choice.url.to_url(), &path)))
    }

    fn judge(
        &self,
        catalog: &Catalog,
        wanted: Wanted<'_>,
        pins: &[HeadId],
        locate: impl Fn(&Choice<'_>) -> Option<String>,
    ) -> Judged {
        let (directory, now) = (self.directory, self.directory.clock.now());
        let ask = Ask {
            client: self.network(),
            scheme: self.scheme(),
            wanted,
            pins,
            avoid: &self.query.avoid,
            only: self.query.relay.as_deref(),
        };
        let roster = directory.relays.roster();
        let candidates =
            roster.members().map(|member| candidate(member, catalog, roster.shut_out(member, now)));
        let Ranking { choices, passed_over } = rank(&ask, &directory.seed, candidates);
        let target = |choice: Choice<'_>| {
            let (base, location) = (choice.url.to_string(), locate(&choice)?);
            Some(Target { relay: choice.relay, base, location, weight: choice.weight })
        };
        let shut = |(candidate, why): (Candidate<'_>, Why)| Shut {
            relay: candidate.relay,
            base: candidate.urls.first().map(ToString::to_string),
            why,
        };
        // Every redirect comes by here, and nobody else reads them.
        let passed_over = if self.query.explain { passed_over } else { Vec::new() };
        Judged {
            targets: choices.into_iter().filter_map(target).collect(),
            shut: passed_over.into_iter().map(shut).collect(),
        }
    }

    /// This directory's own URL for a path, of the caller's scheme, or better.
    pub(super) fn own_url(&self, path: &str) -> Option<String> {
        let urls = &self.directory.config.public_urls;
        let same = urls.iter().find(|url| (url.scheme() == "https") == (self.scheme() == Scheme::Https));
        let better = || urls.iter().find(|url| url.scheme() == "https");
        Some(location(same.or_else(better)?, path))
    }
}

fn candidate<'a>(member: &'a Member, catalog: &Catalog, shut: Option<Why>) -> Candidate<'a> {
    Candidate {
        relay: member.relay(),
        urls: member.registration().map_or(&[], |registration| &registration.urls),
        network: member.network(),
        shut,
        weight: member.weight().unwrap_or(0),
        holding: member.holding(&catalog.id()),
    }
}
