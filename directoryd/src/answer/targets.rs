//! From the roster to the relays that a request may be sent to, as whole URLs: what redirects, lists and explanations share.

use std::sync::OnceLock;

use odi_manifest::{Entry, HeadId, PublicKey};
use odi_wire::client::Family;
use odi_wire::http::Method;
use odi_wire::message::PublicUrl;
use odi_wire::range;
use odi_wire::route::{CatalogRef, Query, location, named_path, pinned_path, pinned_url};
use odi_wire::serve::{Request, Scheme};

use crate::balance::Balance;
use crate::catalog::Catalog;
use crate::catalog::resolve::Found;
use crate::catalog::view::{State, View};
use crate::directory::Directory;
use crate::fields::share;
use crate::network::Network;
use crate::roster::Member;
use crate::select::{
    Ask, Candidate, Choice, Entrant, Field, Nearness, Ranking, Share, Wanted, Why, choose, rank,
};
use crate::statistics::{Download, How};
use crate::whereabouts::{Site, Whereabouts};

/// A relay that may answer.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its key.
    pub(super) relay: PublicKey,
    /// Its base URL.
    pub(super) base: PublicUrl,
    /// What was asked for, there: below the base URL.
    pub(super) location: String,
    /// Its share beside the others that are as near.
    pub(super) weight: u64,
    /// How near it is.
    pub(super) nearness: Nearness,
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
    /// How near the relays are from which the caller is sent on, because they are the nearest for more than they can take.
    pub(super) sent_on: Vec<Nearness>,
}

/// Who asks, and how.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) directory: &'a Directory,
    pub(super) request: &'a Request,
    pub(super) query: &'a Query,
    /// Where the network is, once that was looked up.
    pub(super) whereabouts: &'a OnceLock<Whereabouts>,
}

impl Caller<'_> {
    /// The scheme that URLs for this caller have.
    pub(super) fn scheme(&self) -> Scheme {
        if self.query.https { Scheme::Https } else { self.directory.scheme_of(self.request) }
    }

    pub(super) fn network(&self) -> Network {
        Network::of(self.request.peer.ip())
    }

    /// Where the caller's network is.
    pub(super) fn whereabouts(&self) -> Whereabouts {
        *self.whereabouts.get_or_init(|| self.directory.geography.of(self.network()))
    }

    /// Whether the caller is about to follow the answer: whoever only looks moves and heats nothing.
    pub(super) fn goes(&self) -> bool {
        self.request.method == Method::GET && !self.query.explain
    }

    /// How many of an artifact's bytes are asked for: eight connections for a piece each are one download together.
    pub(super) fn wants(&self, entry: &Entry) -> u64 {
        range::wanted_bytes(&self.request.headers, entry.size)
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
            country: self.whereabouts().country,
            catalog: catalog.id(),
            path,
            blob: entry.blob,
            size: entry.size,
            how,
            relay,
        };
        self.directory.statistics.counts().download(&download, self.directory.clock.now());
    }

    /// The relays for an artifact, so many at most. Pinned, they are those that serve the very state that was found; relays follow in
    /// leaps, and where none of them stopped at it, those that serve another one with the same bytes there.
    pub(super) fn of_artifact(
        &self,
        catalog: &Catalog,
        path: &str,
        found: &Found,
        pinned: bool,
        most: usize,
    ) -> Vec<Target> {
        let own_pin = [found.state.id];
        let bytes = self.wants(&found.entry);
        let mut choices = self.chosen(catalog, &self.ask_for(found, pinned, &own_pin), bytes, most);
        if choices.is_empty() && pinned {
            choices = self.chosen(catalog, &self.ask_for(found, false, &own_pin), bytes, most);
        }
        let view = catalog.view();
        choices.iter().filter_map(|choice| at_pin(choice, &view, path)).collect()
    }

    /// Every relay for an artifact, and the others with the reason.
    pub(super) fn judged(&self, catalog: &Catalog, path: &str, found: &Found, pinned: bool) -> Judged {
        let own_pin = [found.state.id];
        let ask = self.ask_for(found, pinned, &own_pin);
        let (directory, now) = (self.directory, self.directory.clock.now());
        let roster = directory.relays.roster();
        let balance = directory.balance().clone();
        let candidate = |member| {
            let late = balance.late(&Member::relay(member), self.wants(&found.entry));
            Candidate { late, ..candidate(member, catalog, roster.shut_out(member, now)) }
        };
        let candidates: Vec<Candidate<'_>> = roster.members().map(candidate).collect();
        let field = laid_out_now(directory, roster.selectable(now), catalog);
        let Ranking { choices, passed_over, sent_on } = rank(&ask, &directory.seed, &field, &candidates);
        let shut = |(candidate, why): (Candidate<'_>, Why)| Shut {
            relay: candidate.relay,
            base: candidate.urls.first().map(ToString::to_string),
            why,
        };
        let view = catalog.view();
        let targets = choices.iter().map(Chosen::from).filter_map(|choice| at_pin(&choice, &view, path));
        Judged { targets: targets.collect(), shut: passed_over.into_iter().map(shut).collect(), sent_on }
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
        let choices = self.chosen(catalog, &self.ask(Wanted::Whole, &pins), 0, most);
        choices.iter().map(|choice| choice.target(choice.url.at(&path))).collect()
    }

    /// The family that the caller asks for; over which it came, if it asks for none, or for both.
    fn family(&self) -> Family {
        match (self.query.ipv4, self.query.ipv6) {
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            _ => Family::of(self.request.peer.ip()),
        }
    }

    fn ask_for<'b>(&'b self, found: &'b Found, pinned: bool, own_pin: &'b [HeadId]) -> Ask<'b> {
        let wanted = Wanted::Blob { blob: found.entry.blob, named_at: &found.named_at };
        self.ask(wanted, if pinned { own_pin } else { &found.pins })
    }

    fn ask<'b>(&'b self, wanted: Wanted<'b>, pins: &'b [HeadId]) -> Ask<'b> {
        Ask {
            client: self.network(),
            whereabouts: self.whereabouts(),
            family: self.family(),
            only_family: self.query.ipv4 != self.query.ipv6,
            scheme: self.scheme(),
            wanted,
            pins,
            avoid: &self.query.avoid,
            only: self.query.relay.as_deref(),
        }
    }

    /// The relays for what is asked, which has so many bytes.
    fn chosen(&self, catalog: &Catalog, ask: &Ask<'_>, bytes: u64, most: usize) -> Vec<Chosen> {
        let (directory, now) = (self.directory, self.directory.clock.now());
        let roster = directory.relays.roster();
        let laid_out = directory.field(&catalog.id(), &roster);
        let find = |balance: &Balance, relay: &PublicKey| {
            let member = roster.member(relay)?;
            let late = balance.late(relay, bytes);
            Some(Candidate { late, ..candidate(member, catalog, roster.shut_out(member, now)) })
        };
        let find_among = |field: &Field| {
            let balance = directory.balance();
            choose(ask, &directory.seed, field, most, |relay| find(&balance, relay))
        };
        let mut choices = find_among(&laid_out.field);
        if choices.is_empty() && laid_out.is_old {
            // Somebody may have come since who is the only one.
            let qualified =
                roster.selectable(now).filter(|member| ask.is_met_by(&candidate(member, catalog, None)));
            let field = laid_out_now(directory, qualified, catalog);
            choices = find_among(&field);
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
    nearness: Nearness,
}

impl From<&Choice<'_>> for Chosen {
    fn from(choice: &Choice<'_>) -> Self {
        let Choice { relay, url, head, weight, nearness } = *choice;
        Self { relay, url: url.clone(), head, weight, nearness }
    }
}

impl Chosen {
    fn target(&self, location: String) -> Target {
        let Self { relay, ref url, weight, nearness, .. } = *self;
        Target { relay, base: url.clone(), location, weight, nearness }
    }
}

fn at_pin(choice: &Chosen, view: &View, path: &str) -> Option<Target> {
    let pin = view.servable().find(|state| state.id == choice.head)?.pin;
    Some(choice.target(pinned_url(&choice.url, &pin, path)))
}

/// A field of some relays as they are at this moment.
fn laid_out_now<'a>(
    directory: &Directory,
    members: impl Iterator<Item = &'a Member>,
    catalog: &Catalog,
) -> Field {
    let balance = directory.balance();
    let sited = members.filter_map(|member| {
        let place = member.registration()?.place.as_ref();
        Some((member, Site::of(place, directory.geography.of(member.network()))))
    });
    let sited: Vec<(&Member, Site)> = sited.collect();
    let entrant = |(member, site)| entrant(member, site, share(member, &balance)?, catalog);
    Field::of(sited.iter().map(|(member, site)| (*member, site)).filter_map(entrant), &directory.seed)
}

fn entrant<'a>(member: &'a Member, site: &'a Site, share: Share, catalog: &Catalog) -> Option<Entrant<'a>> {
    let holding = member.holding(&catalog.id())?;
    Some(Entrant {
        relay: member.relay(),
        network: member.network(),
        site,
        ways: member.ways(),
        share,
        holding,
    })
}

fn candidate<'a>(member: &'a Member, catalog: &Catalog, shut: Option<Why>) -> Candidate<'a> {
    Candidate {
        relay: member.relay(),
        urls: member.registration().map_or(&[], |registration| &registration.urls),
        reach: member.reach(),
        shut,
        holding: member.holding(&catalog.id()),
        late: 0,
    }
}
