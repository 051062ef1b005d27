//! Which directories are asked, what each calls the catalog, and which of them are of no use.
//!
//! Their words are believed for one thing only: which id a name means, where the caller pinned none, and then the caller is told.
//! A directory that is silent, or that has another catalog under the name, stops nobody who named another one.

use odi_manifest::{ArtifactPath, CatalogId, Head, Pin};
use odi_wire::client::{Ask, Client};
use odi_wire::http::Method;
use odi_wire::layout::API_CATALOGS;
use odi_wire::message::{
    CatalogSummary, DOCUMENT_BYTES_MAX, DaemonKind, ServedCatalog, WellKnown, from_json,
};
use odi_wire::route::{self, CatalogName, CatalogRef, Place, Route, StateName};
use serde::de::DeserializeOwned;
use url::Url;

use super::failure::Failure;

/// What a URL of an artifact says.
#[derive(Debug)]
pub(super) struct Address {
    url: Url,
    base: Url,
    named: Named,
    /// The artifact.
    pub(super) path: ArtifactPath,
}

#[derive(Debug)]
enum Named {
    Newest(CatalogRef),
    State(CatalogRef, StateName),
    Pin(Pin),
}

/// A directory to ask.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Its base URL.
    pub(super) base: Url,
    /// What it calls the catalog, as far as it said.
    pub(super) name: Option<CatalogName>,
}

impl Address {
    /// Reads any URL that ODI gives out for an artifact.
    pub(super) fn parse(url: &Url) -> Result<Self, Failure> {
        let refuse = || Failure::NotAnArtifact { url: url.to_string() };
        let base = url.join("/").map_err(|_| refuse())?;
        let (named, place) = match route::parse(&Method::GET, url.path()) {
            Ok(Route::Artifact { name, place, .. }) => (Named::Newest(name), place),
            Ok(Route::State { name, state, place, .. }) => (Named::State(name, state), place),
            Ok(Route::Pinned { pin, place, .. }) => (Named::Pin(pin), place),
            _ => return Err(refuse()),
        };
        let Place::Artifact(path) = place else { return Err(refuse()) };
        Ok(Self { url: url.clone(), base, named, path })
    }

    /// A URL that names a state is good while that state is the newest: nothing older is proven here.
    pub(super) fn judge(&self, head: &Head, newest: Pin) -> Result<(), Failure> {
        let holds = match &self.named {
            Named::Newest(_) => true,
            Named::Pin(pin) => *pin == newest,
            Named::State(_, StateName::Seq(seq)) => *seq == head.seq,
            Named::State(_, StateName::Label(label)) => {
                head.labels.iter().any(|known| known.name == *label && known.seq == head.seq)
            }
        };
        let (url, path) = (self.url.to_string(), self.path.to_string());
        if holds { Ok(()) } else { Err(Failure::OtherState { url, newest, path }) }
    }

    fn name(&self) -> Option<&CatalogName> {
        match &self.named {
            Named::Newest(CatalogRef::Named(name)) | Named::State(CatalogRef::Named(name), _) => Some(name),
            Named::Newest(CatalogRef::Id(_)) | Named::State(CatalogRef::Id(_), _) | Named::Pin(_) => None,
        }
    }
}

/// Asks every directory who it is. Without a pinned id the first one's word is taken.
///
/// # Errors
/// None of them is of use; the first one's failure says most.
pub(super) async fn introduce(
    client: &Client,
    address: &Address,
    pinned: Option<CatalogId>,
    others: &[Url],
) -> Result<(CatalogId, Vec<Directory>), Failure> {
    let catalog = match (pinned, &address.named) {
        (Some(pinned), Named::Newest(CatalogRef::Id(id)) | Named::State(CatalogRef::Id(id), _))
            if pinned != *id =>
        {
            return Err(Failure::OtherCatalog { url: address.url.to_string(), pinned });
        }
        (Some(id), _) => id,
        (None, _) => id_by_word(client, address).await?,
    };
    let mut directories = Vec::new();
    let mut first_failure = None;
    for (position, base) in std::iter::once(&address.base).chain(others).enumerate() {
        let name = address.name().filter(|_| position == 0);
        match acquaint(client, base, &catalog, name).await {
            Ok(directory) => directories.push(directory),
            Err(failure) => {
                if !others.is_empty() {
                    eprintln!("odi: passed over: {failure}");
                }
                first_failure.get_or_insert(failure);
            }
        }
    }
    match first_failure {
        Some(failure) if directories.is_empty() => Err(failure),
        _ => Ok((catalog, directories)),
    }
}

/// One directory and its name for the catalog; `name` is what the caller's URL says.
async fn acquaint(
    client: &Client,
    base: &Url,
    catalog: &CatalogId,
    name: Option<&CatalogName>,
) -> Result<Directory, Failure> {
    let Ok(document) = who_is(client, base).await else {
        // It may still have the heads; if not, that failure says why.
        return Ok(Directory { base: base.clone(), name: name.cloned() });
    };
    if document.kind == DaemonKind::Relay {
        return Err(Failure::Relay { base: base.to_string() });
    }
    let called = document.catalogs.iter().find(|served| served.id == *catalog);
    let same_name =
        document.catalogs.iter().find(|served| name.is_some_and(|name| name.as_str() == served.name));
    match (called, name) {
        (Some(called), Some(name)) if called.name != name.as_str() => Err(Failure::OtherName {
            base: base.to_string(),
            name: name.clone(),
            is_there: same_name.is_some(),
            called: called.name.clone(),
        }),
        (Some(called), _) => Ok(Directory { base: base.clone(), name: called.name.parse().ok() }),
        (None, _) => Err(Failure::NotCarried {
            base: base.to_string(),
            id: *catalog,
            has: same_name
                .map_or(document.catalogs.as_slice(), std::slice::from_ref)
                .iter()
                .map(told)
                .collect(),
        }),
    }
}

fn told(served: &ServedCatalog) -> String {
    format!("`{}` is {}", served.name, served.id)
}

/// The id that a directory gives a name: believed only because the caller pinned none, and is told.
async fn id_by_word(client: &Client, address: &Address) -> Result<CatalogId, Failure> {
    let base = &address.base;
    let id = match &address.named {
        // Nobody's word: the id certifies itself.
        Named::Newest(CatalogRef::Id(id)) | Named::State(CatalogRef::Id(id), _) => return Ok(*id),
        Named::Newest(CatalogRef::Named(name)) | Named::State(CatalogRef::Named(name), _) => {
            let document = who_is(client, base).await?;
            if document.kind == DaemonKind::Relay {
                return Err(Failure::Relay { base: base.to_string() });
            }
            let named = document.catalogs.iter().find(|served| served.name == name.as_str());
            let has = || document.catalogs.iter().map(|served| format!("`{}`", served.name)).collect();
            named
                .ok_or_else(|| Failure::NoSuchName {
                    base: base.to_string(),
                    name: name.clone(),
                    has: has(),
                })?
                .id
        }
        Named::Pin(pin) => {
            let summaries: Vec<CatalogSummary> =
                document(client, base, API_CATALOGS.trim_end_matches('/'), "a list of catalogs").await?;
            let pinned = summaries.into_iter().find(|summary| summary.pin == *pin);
            pinned.ok_or_else(|| Failure::UnknownPin { base: base.to_string(), pin: *pin })?.id
        }
    };
    eprintln!("odi: trusting {base} for the catalog's id: {id}; pin it with --catalog");
    Ok(id)
}

async fn who_is(client: &Client, base: &Url) -> Result<WellKnown, Failure> {
    document(client, base, route::WELL_KNOWN, "what an ODI daemon says of itself").await
}

async fn document<T: DeserializeOwned>(
    client: &Client,
    base: &Url,
    target: &str,
    expected: &'static str,
) -> Result<T, Failure> {
    let url = base.join(target).map_err(anyhow::Error::new)?;
    let reply = client.send(Ask::get(&url).reply_bytes_max(DOCUMENT_BYTES_MAX as u64)).await?;
    if !reply.status.is_success() {
        return Err(Failure::NoDaemon { url: url.to_string(), status: reply.status });
    }
    Ok(from_json(&reply.body.collect().await?, expected).map_err(anyhow::Error::new)?)
}
