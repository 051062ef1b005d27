//! What has changed between two looks at relays and catalogs, as far as an operator would want to be woken for it. Pure.

use std::collections::BTreeMap;

use odi_manifest::{CatalogId, PublicKey};
use odi_wire::message::Lifetime;
use serde::Serialize;

use crate::select::Why;

/// What one look shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// The proved relays.
    pub relays: BTreeMap<PublicKey, Relay>,
    /// The catalogs.
    pub catalogs: BTreeMap<CatalogId, Catalog>,
}

/// One relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Its first URL.
    pub url: Option<String>,
    /// Why nobody is sent there, if so.
    pub shut: Option<Why>,
    /// Why it is no further, in words.
    pub reason: Option<String>,
}

/// One catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// This directory's name for it.
    pub name: String,
    /// How much is left of what it stands on; nothing before its first head.
    pub lifetime: Option<Lifetime>,
    /// Why it cannot be followed, if so.
    pub fault: Option<String>,
    /// How many proofs there are that its keys signed two heads of one number.
    pub equivocations: usize,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A relay takes clients again, or for the first time.
    RelayBack,
    /// A relay has not been heard of for a minute.
    RelaySilent,
    /// A relay gave wrong bytes, and is shut out.
    RelayQuarantined,
    /// Nobody is sent to a relay for another reason.
    RelayOut,
    /// A relay was forgotten.
    RelayGone,
    /// A third of the life of a catalog's newest head or root is left.
    CatalogEnding,
    /// It has expired.
    CatalogEnded,
    /// Its maintainers have signed the next one.
    CatalogRenewed,
    /// A catalog cannot be followed at its origin.
    CatalogUnreachable,
    /// It can again.
    CatalogReachable,
    /// A catalog's keys signed two heads of one number.
    Equivocation,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// To which relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<PublicKey>,
    /// Its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// To which catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogId>,
    /// This directory's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    pub words: String,
}

/// Everything that has changed.
#[must_use]
pub fn changes(before: &Scene, after: &Scene) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, relay) in &after.relays {
        changes.extend(of_relay(*key, before.relays.get(key), relay));
    }
    for (key, relay) in before.relays.iter().filter(|(key, _)| !after.relays.contains_key(key)) {
        changes.push(about_relay(Kind::RelayGone, *key, relay, "it is forgotten".to_owned()));
    }
    for (id, catalog) in &after.catalogs {
        changes.extend(of_catalog(*id, before.catalogs.get(id), catalog));
    }
    changes
}

fn of_relay(key: PublicKey, before: Option<&Relay>, after: &Relay) -> Option<Change> {
    let former = before.map_or(Some(Why::Untested), |before| before.shut);
    if former == after.shut {
        return None;
    }
    let kind = match after.shut {
        None => Kind::RelayBack,
        Some(Why::Silent) => Kind::RelaySilent,
        Some(Why::Quarantined | Why::Barred) => Kind::RelayQuarantined,
        // From one reason to the next before it takes anybody is no news.
        Some(_) if former.is_some() => return None,
        Some(_) => Kind::RelayOut,
    };
    let words = after.shut.map_or("it takes clients", Why::words).to_owned();
    let words = after.reason.as_ref().map_or_else(|| words.clone(), |reason| format!("{words} ({reason})"));
    Some(about_relay(kind, key, after, words))
}

fn about_relay(kind: Kind, key: PublicKey, relay: &Relay, what: String) -> Change {
    let words = format!("relay {}: {what}", relay.url.as_deref().unwrap_or("without a URL"));
    Change { kind, relay: Some(key), url: relay.url.clone(), catalog: None, name: None, words }
}

fn of_catalog(id: CatalogId, before: Option<&Catalog>, after: &Catalog) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut news = |kind, what: &str| {
        let (name, words) = (Some(after.name.clone()), format!("catalog {}: {what}", after.name));
        changes.push(Change { kind, relay: None, url: None, catalog: Some(id), name, words });
    };
    let good = Some(Lifetime::Good);
    let former = before.map_or(good, |before| before.lifetime.or(good));
    if let Some(lifetime) = after.lifetime.filter(|_| after.lifetime != former) {
        match lifetime {
            Lifetime::Good => news(Kind::CatalogRenewed, "its newest head and root are good for long again"),
            Lifetime::Ending => news(
                Kind::CatalogEnding,
                "its newest head or root of trust has a third of its life left; its maintainers should sign the next one",
            ),
            Lifetime::Ended => news(
                Kind::CatalogEnded,
                "its newest head or root of trust has expired; what is here is served on, marked stale",
            ),
        }
    }
    let was_faulty = before.is_some_and(|before| before.fault.is_some());
    match &after.fault {
        Some(fault) if !was_faulty => {
            news(Kind::CatalogUnreachable, &format!("it cannot be followed: {fault}"))
        }
        None if was_faulty => news(Kind::CatalogReachable, "it can be followed again"),
        _ => {}
    }
    if after.equivocations > before.map_or(0, |before| before.equivocations) {
        news(Kind::Equivocation, "its keys signed two heads of one number: somebody else may have them");
    }
    changes
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    fn scene(shut: Option<Why>, lifetime: Lifetime, fault: bool, equivocations: usize) -> Scene {
        let key = SigningKey::from_seed(&[1; 32]).public_key();
        let relay = Relay { url: Some("https://r1.example".to_owned()), shut, reason: None };
        let catalog = Catalog {
            name: "debian".to_owned(),
            lifetime: Some(lifetime),
            fault: fault.then(|| "no answer".to_owned()),
            equivocations,
        };
        Scene {
            relays: BTreeMap::from([(key, relay)]),
            catalogs: BTreeMap::from([(CatalogId::of(b"root"), catalog)]),
        }
    }

    fn kinds(before: &Scene, after: &Scene) -> Vec<Kind> {
        changes(before, after).into_iter().map(|change| change.kind).collect()
    }

    #[test]
    fn each_change_is_news_once() {
        let good = || scene(None, Lifetime::Good, false, 0);
        let first = Scene::default();
        for (before, after, expected) in [
            (good(), good(), vec![]),
            (first.clone(), good(), vec![Kind::RelayBack]),
            (
                first.clone(),
                scene(Some(Why::Unprobed), Lifetime::Ended, true, 1),
                vec![Kind::CatalogEnded, Kind::CatalogUnreachable, Kind::Equivocation],
            ),
            (good(), scene(Some(Why::Silent), Lifetime::Good, false, 0), vec![Kind::RelaySilent]),
            (scene(Some(Why::Silent), Lifetime::Good, false, 0), good(), vec![Kind::RelayBack]),
            (good(), scene(Some(Why::Quarantined), Lifetime::Good, false, 0), vec![Kind::RelayQuarantined]),
            (good(), scene(Some(Why::Spent), Lifetime::Good, false, 0), vec![Kind::RelayOut]),
            (
                scene(Some(Why::Silent), Lifetime::Good, false, 0),
                scene(Some(Why::Unprobed), Lifetime::Good, false, 0),
                vec![],
            ),
            (good(), scene(None, Lifetime::Ending, false, 0), vec![Kind::CatalogEnding]),
            (
                scene(None, Lifetime::Ended, true, 1),
                good(),
                vec![Kind::CatalogRenewed, Kind::CatalogReachable],
            ),
            (good(), scene(None, Lifetime::Good, false, 2), vec![Kind::Equivocation]),
            (good(), first, vec![Kind::RelayGone]),
        ] {
            assert_eq!(kinds(&before, &after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn words_and_document() {
        let silent = scene(Some(Why::Silent), Lifetime::Ending, false, 0);
        let changes = changes(&scene(None, Lifetime::Good, false, 0), &silent);
        insta::assert_snapshot!("changes", serde_json::to_string_pretty(&changes).unwrap());
    }
}
