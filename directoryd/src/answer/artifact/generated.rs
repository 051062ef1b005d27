//! What is said about artifacts and folders rather than in them: digests, metalinks, lists of mirrors, explanations.
//!
//! An entry of the catalog always wins over a name made here. Lists are one client's: nobody may keep them for another.

use std::sync::Arc;

use odi_manifest::ArtifactPath;
use odi_wire::http::header::{CACHE_CONTROL, LOCATION, VARY};
use odi_wire::http::{HeaderValue, StatusCode};
use odi_wire::message::to_json;
use odi_wire::page::{self, Form};
use odi_wire::refusal::Refusal;
use odi_wire::route::{ApiRoute, ListForm, Suffix, named_path, pinned_path};
use odi_wire::serve::Response;

use super::{Asked, Visit};
use crate::answer::targets::Target;
use crate::catalog::resolve::{Found, Resolved};
use crate::catalog::view::State;
use crate::documents::{
    Explained, ExplainedMirror, Explanation, Metalink, Mirror, PassedOver, Whose, digest_line, media_type,
    mirror_list, names_files,
};
use crate::state_rules::CARRIED_BYTES_MAX;

/// A list names so many relays at most: nobody tries more.
const MIRRORS_MAX: usize = 32;
/// A folder's own list, by a name that apt and dnf can be given where no query is possible.
const FOLDER_LIST: &str = ".mirrorlist";
/// What dnf asks a metalink for. It takes the rest of each URL as the base of all others, and keeps that for days.
const REPOMD: &str = "repodata/repomd.xml";

impl Visit<'_> {
    /// A document by a name of ours, for the artifact or the folder that it is made from.
    pub(super) async fn generated(
        &self,
        path: &ArtifactPath,
        state: Option<Arc<State>>,
    ) -> Result<Response, Refusal> {
        if let Some(folder) = folder_of_list(path.as_str()) {
            return match self.resolve(folder.to_owned(), state).await? {
                Resolved::Folder(state) => {
                    self.unless_folder_denied(folder)?;
                    Ok(self.mirrors_of_folder(folder, &state, self.query.mirrorlist.unwrap_or_default()))
                }
                _ => Err(Refusal::NotFound),
            };
        }
        let (artifact, suffix) = Suffix::split(path).ok_or(Refusal::NotFound)?;
        let path = artifact.as_str();
        let found = match self.resolve(path.to_owned(), state).await? {
            Resolved::Artifact(found) => found,
            Resolved::Withdrawn => return Err(Refusal::Gone),
            Resolved::Folder(_) | Resolved::Absent => return Err(Refusal::NotFound),
        };
        self.unless_denied(path, &found)?;
        let text = match suffix {
            Suffix::Sha256 => digest_line(&found.entry.sha256, path),
            Suffix::B3 => digest_line(&found.entry.blob, path),
            Suffix::Mirrorlist => {
                let form = self.query.mirrorlist.unwrap_or_default();
                return Ok(self.mirrors_of_artifact(path, &found, form).await);
            }
            Suffix::Meta4 => self.metalink(path, suffix, &found, |metalink| metalink.to_v4()).await,
            Suffix::Metalink => self.metalink(path, suffix, &found, |metalink| metalink.to_v3()).await,
        };
        Ok(fresh(Response::ok(suffix.media_type(), text)))
    }

    async fn metalink(
        &self,
        path: &str,
        suffix: Suffix,
        found: &Found,
        written: impl Fn(&Metalink<'_>) -> String,
    ) -> String {
        let own = self.own_path(path, &found.state);
        let places = if is_repomd(path) {
            self.places(self.whole_at(path, &found.state), Vec::new(), &own)
        } else {
            let targets = self.targets(path, found);
            let mirrors = self.proved_mirrors(path, found, &targets).await;
            self.places(targets, mirrors, &own)
        };
        let urls: Vec<String> = places.into_iter().map(|place| place.url).collect();
        let own = format!("{own}{}", suffix.as_str());
        let metalink = Metalink {
            path,
            published: found.state.head.created,
            entry: &found.entry,
            formers: &found.others,
            origin: &self.caller().own_url(&own).unwrap_or_default(),
            urls: &urls,
        };
        written(&metalink)
    }

    pub(super) async fn mirrors_of_artifact(&self, path: &str, found: &Found, form: ListForm) -> Response {
        let targets = self.targets(path, found);
        let mirrors =
            if names_files(form) { self.proved_mirrors(path, found, &targets).await } else { Vec::new() };
        list(&self.places(targets, mirrors, &self.own_path(path, &found.state)), form)
    }

    /// The folder's URL at every relay that answers for all of it: lasting ones, unless the request pins a state.
    pub(super) fn mirrors_of_folder(&self, folder: &str, state: &State, form: ListForm) -> Response {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let own = self.own_path(&folder, state);
        list(&self.places(self.whole_at(&folder, state), Vec::new(), &own), form)
    }

    /// An artifact at the relays that hold it.
    fn targets(&self, path: &str, found: &Found) -> Vec<Target> {
        self.caller().of_artifact(&self.catalog, path, found, self.asked == Asked::Pinned, MIRRORS_MAX)
    }

    /// An artifact at the mirrors that were just seen to have it. Where relays do, nobody waits for another look; where none does, the
    /// next thing the client is told of is this directory, which would look before it sent it anywhere.
    async fn proved_mirrors(&self, path: &str, found: &Found, relays: &[Target]) -> Vec<String> {
        let caller = self.caller();
        let wish = caller.of_mirrors(&self.catalog, path, found);
        let mirrors = &self.directory.mirrors;
        if relays.is_empty() {
            mirrors.proven_urls(self.directory, &wish).await
        } else {
            mirrors.known_urls(self.directory, &wish)
        }
    }

    /// A place at the relays that hold everything.
    fn whole_at(&self, place: &str, state: &State) -> Vec<Target> {
        let pinned = (self.asked == Asked::Pinned).then_some(state);
        self.caller().of_whole(&self.catalog, &self.view, place, pinned, MIRRORS_MAX)
    }

    /// A place at this directory, as the request has it: pinned, or by the catalog's name.
    fn own_path(&self, place: &str, state: &State) -> String {
        match self.asked {
            Asked::Pinned => pinned_path(&state.pin, place),
            Asked::Newest => named_path(self.catalog.name(), place),
        }
    }

    /// The relays, then the mirrors, and last this directory, which knows others when all of them are gone.
    fn places(&self, relays: Vec<Target>, mirrors: Vec<String>, own_path: &str) -> Vec<Mirror> {
        let at_relay =
            |Target { relay, location, .. }| Mirror { url: location, whose: Whose::Relay { relay } };
        let at_mirror = |url| Mirror { url, whose: Whose::Mirror { mirror: true } };
        let own = self.caller().own_url(own_path).map(|url| Mirror { url, whose: Whose::Own {} });
        relays.into_iter().map(at_relay).chain(mirrors.into_iter().map(at_mirror)).chain(own).collect()
    }

    /// Why the answer to this request is what it is.
    pub(super) async fn explanation(&self, path: &str, found: Found) -> Result<Response, Refusal> {
        let judged = self.caller().judged(&self.catalog, path, &found, self.asked == Asked::Pinned);
        let (state, entry, settled) = (Arc::clone(&found.state), found.entry.clone(), found.settled);
        // Not described but done: what is explained is what happens.
        let (status, location, reason) = match self.artifact(path, found.clone()).await {
            Ok(response) => {
                let said = |name: &str| response.headers.get(name)?.to_str().ok().map(str::to_owned);
                let reason = said("x-odi-reason").unwrap_or_else(|| {
                    let why = if settled {
                        "this directory carries"
                    } else {
                        "states differ here, and this directory carries"
                    };
                    format!("{why} files of at most {CARRIED_BYTES_MAX} bytes")
                });
                (response.status, said(LOCATION.as_str()), reason)
            }
            Err(refusal) => (refusal.status(), None, refusal.to_string()),
        };
        // After that, which may have looked at some. For what is denied nobody is asked.
        let mirrors = if status == StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS {
            Vec::new()
        } else {
            let caller = self.caller();
            let wish = caller.of_mirrors(&self.catalog, path, &found);
            self.directory.mirrors.judged(self.directory, &wish)
        };
        let whereabouts = self.caller().whereabouts();
        let proof = ApiRoute::proof_path(&self.catalog.id(), path, &state.id);
        let explanation = Explanation {
            catalog: self.catalog.name().to_string(),
            path: path.to_owned(),
            pin: state.pin,
            blake3: entry.blob,
            sha256: entry.sha256,
            size: entry.size,
            mtime: entry.mtime,
            proof,
            client: self.caller().network().to_string(),
            country: whereabouts.country,
            asn: whereabouts.asn,
            scheme: self.caller().scheme().as_str(),
            status: status.as_u16(),
            location,
            reason,
            sent_on: judged.sent_on,
            relays: judged
                .targets
                .into_iter()
                .map(|target| {
                    let Target { relay, location, weight, nearness, .. } = target;
                    Explained { relay, url: location, weight, near: nearness }
                })
                .collect(),
            passed_over: judged
                .shut
                .into_iter()
                .map(|shut| PassedOver {
                    relay: shut.relay,
                    url: shut.base,
                    code: shut.why.code(),
                    words: shut.why.words(),
                })
                .collect(),
            mirrors: mirrors
                .into_iter()
                .map(|mirror| ExplainedMirror::of(mirror.url.into(), mirror.against))
                .collect(),
        };
        let headers = &self.request.headers;
        let explanation = explanation.without_places_if_denied();
        let response = match page::form(headers, self.query.json) {
            Form::Json => page::respond(Form::Json, to_json(&explanation)),
            Form::Html if page::names_html(headers) => page::respond(Form::Html, explanation.to_html()),
            Form::Html => Response::ok("text/plain; charset=utf-8", explanation.to_string())
                .with_header(VARY, HeaderValue::from_static("accept")),
        };
        Ok(fresh(response))
    }
}

fn list(places: &[Mirror], form: ListForm) -> Response {
    fresh(Response::ok(media_type(form), mirror_list(places, form)))
}

/// Made for one client, now.
fn fresh(response: Response) -> Response {
    response.with_header(CACHE_CONTROL, HeaderValue::from_static("private, no-store"))
}

/// The folder that a path would be the list of.
fn folder_of_list(path: &str) -> Option<&str> {
    let folder = path.strip_suffix(FOLDER_LIST)?;
    if folder.is_empty() { Some(folder) } else { folder.strip_suffix('/') }
}

fn is_repomd(path: &str) -> bool {
    path.strip_suffix(REPOMD).is_some_and(|base| base.is_empty() || base.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_a_list_or_dnf() {
        for (path, folder) in [
            (".mirrorlist", Some("")),
            ("a/b/.mirrorlist", Some("a/b")),
            ("a/b.mirrorlist", None),
            ("x", None),
        ] {
            assert_eq!(folder_of_list(path), folder, "{path}");
        }
        for (path, is) in [
            ("repodata/repomd.xml", true),
            ("9/os/repodata/repomd.xml", true),
            ("9/myrepodata/repomd.xml", false),
            ("repodata/primary.xml", false),
        ] {
            assert_eq!(is_repomd(path), is, "{path}");
        }
    }
}
