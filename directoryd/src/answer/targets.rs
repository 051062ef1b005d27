//! From the roster to the relays that a request may be sent to, as whole URLs: what redirects, lists and explanations share.

use odi_manifest::{Entry, HeadId, PublicKey};
use odi_wire::http::Method;
use odi_wire::message::PublicUrl;
use odi_wire::range;
use odi_wire::route::{CatalogRef, Query, location, named_path, pinned_path};
use odi_wire::serve::{Request, Scheme};

use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::catalog::view::{State, View};
use crate::directory::Directory;
use crate::network::Network;
use crate::roster::Member;
use crate::select::{Ask, Candidate, Choice, Field, Ranking, Wanted, Why, choose, rank};
use crate::statistics::{Download, How};

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

    /// Counts a download. Whoever only looks downloads nothing, nor does a request for a later piece of one that was counted.
    pub(super) fn count(
        &self,
        catalog: &Catalog,
        path: &str,
        entry: &Entry,
        how: How,
        relay: Option<PublicKey>,
    ) {
        if !self.goes() || !range::wants_first_byte(&self.request.headers, entry.size) {
            return;
        }
        let download = Download {
            caller: self.request.peer.ip(),
            // Nothing here knows where a network sits yet.
            country: None,
            catalog: catalog.id(),
            path,
            blob: entry.blob,
            size: entry.size,
            how,
            relay,
        };
        self.directory.statistics.counts().download(&download, self.directory.clock.now());
    }

    /// The relays for an artifact, so many at most. Pinned, they have to serve the very state that was found.
    pub(super) fn of_artifact(
        &self,
        catalog: &Catalog,
        path: &str,
        found: &Found,
        pinned: bool,
        most: usize,
    ) -> Vec<Target> {
        let own_pin = [found.state.id];
        let ask = self.ask_for(found, pinned, &own_pin);
        let choices = self.chosen(catalog, &ask, most);
        choices.iter().filter_map(|choice| at_pin(choice, &catalog.view(), path)).collect()
    }

    /// Every relay for an artifact, and the others with the reason.
    pub(super) fn judged(&self, catalog: &Catalog, path: &str, found: &Found, pinned: bool) -> Judged {
        let own_pin = [found.state.id];
        let ask = self.ask_for(found, pinned, &own_pin);
        let (directory, now) = (self.directory, self.directory.clock.now());
        let roster = directory.relays.roster();
        let candidate = |member| candidate(directory, member, catalog, roster.shut_out(member, now));
        let candidates: Vec<Candidate<'_>> = roster.members().map(candidate).collect();
        let field = Field::of(candidates.iter().filter_map(Candidate::entrant), &directory.seed);
        let Ranking { choices, passed_over } = rank(&ask, &directory.seed, &field, &candidates);
        let shut = |(candidate, why): (Candidate<'_>, Why)| Shut {
            relay: candidate.relay,
            base: candidate.urls.first().map(ToString::to_string),
            why,
        };
        let view = catalog.view();
        let targets = choices.iter().map(Chosen::from).filter_map(|choice| at_pin(&choice, &view, path));
        Judged { targets: targets.collect(), shut: passed_over.into_iter().map(shut).collect() }
    }

    /// The relays that hold everything, at a place of the catalog: in one state, or in whichever is their newest.
    pub(super) fn of_whole(
        &self,
        catalog: &Catalog,
        view: &View,
        place: &str,
        pinned: Option<&State>,
        most: usize,
    ) -> Vec<Target> {
        let (pins, path): (Vec<HeadId>, String) = match pinned {
            Some(state) => (vec![state.id], pinned_path(&state.pin, place)),
            // What a relay calls the catalog is not known here.
            None => (
                view.servable().map(|state| state.id).collect(),
                named_path(&CatalogRef::Id(catalog.id()), place),
            ),
        };
        let choices = self.chosen(catalog, &self.ask(Wanted::Whole, &pins), most);
        choices.iter().map(|choice| choice.target(location(&choice.url.to_url(), &path))).collect()
    }

    fn ask_for<'b>(&'b self, found: &'b Found, pinned: bool, own_pin: &'b [HeadId]) -> Ask<'b> {
        let wanted = Wanted::Blob { blob: found.entry.blob, named_at: &found.named_at };
        self.ask(wanted, if pinned { own_pin } else { &found.named_at })
    }

    fn ask<'b>(&'b self, wanted: Wanted<'b>, pins: &'b [HeadId]) -> Ask<'b> {
        Ask {
            client: self.network(),
            scheme: self.scheme(),
            wanted,
            pins,
            avoid: &self.query.avoid,
            only: self.query.relay.as_deref(),
        }
    }

    fn chosen(&self, catalog: &Catalog, ask: &Ask<'_>, most: usize) -> Vec<Chosen> {
        let (directory, now) = (self.directory, self.directory.clock.now());
        let roster = directory.relays.roster();
        let find = |relay: &PublicKey| {
            let member = roster.member(relay)?;
            Some(candidate(directory, member, catalog, roster.shut_out(member, now)))
        };
        let laid_out = directory.field(&catalog.id(), &roster);
        let mut choices = choose(ask, &directory.seed, &laid_out.field, most, find);
        if choices.is_empty() && laid_out.is_old {
            // Somebody may have come since who is the only one.
            let candidates = roster
                .members()
                .map(|member| candidate(directory, member, catalog, roster.shut_out(member, now)));
            let qualified = candidates.filter(|candidate| ask.is_met_by(candidate));
            let field = Field::of(qualified.filter_map(|candidate| candidate.entrant()), &directory.seed);
            choices = choose(ask, &directory.seed, &field, most, find);
        }
        choices.iter().map(Chosen::from).collect()
    }

    /// This directory's own URL for a path, of the caller's scheme, or better.
    pub(super) fn own_url(&self, path: &str) -> Option<String> {
        let urls = &self.directory.config.public_urls;
        let same = urls.iter().find(|url| (url.scheme() == "https") == (self.scheme() == Scheme::Https));
        let better = || urls.iter().find(|url| url.scheme() == "https");
        Some(location(same.or_else(better)?, path))
    }
}

/// A choice that has outlived the look into the roster.
struct Chosen {
    relay: PublicKey,
    url: PublicUrl,
    head: HeadId,
    weight: u64,
}

impl From<&Choice<'_>> for Chosen {
    fn from(choice: &Choice<'_>) -> Self {
        let Choice { relay, url, head, weight } = *choice;
        Self { relay, url: url.clone(), head, weight }
    }
}

impl Chosen {
    fn target(&self, location: String) -> Target {
        Target { relay: self.relay, base: self.url.to_string(), location, weight: self.weight }
    }
}

fn at_pin(choice: &Chosen, view: &View, path: &str) -> Option<Target> {
    let pin = view.servable().find(|state| state.id == choice.head)?.pin;
    Some(choice.target(location(&choice.url.to_url(), &pinned_path(&pin, path))))
}

fn candidate<'a>(
    directory: &Directory,
    member: &'a Member,
    catalog: &Catalog,
    shut: Option<Why>,
) -> Candidate<'a> {
    Candidate {
        relay: member.relay(),
        urls: member.registration().map_or(&[], |registration| &registration.urls),
        network: member.network(),
        shut,
        weight: directory.balance().weight(&member.relay(), member.weight().unwrap_or(0)),
        holding: member.holding(&catalog.id()),
    }
}
