//! The only reader of request paths (PROTOCOL.md § Routes): from method and target to a closed [`Route`].
//!
//! Percent-escapes are decoded once, over the whole path, `%2F` too; what comes out is looked up exactly as it is,
//! with no normalization. So a path means one thing, and one that no catalog could hold is refused here.

mod api;
mod name;
mod page;
mod percent;
mod query;
mod suffix;

use std::borrow::Cow;
use std::fmt::{self, Write};

use http::Method;
use odi_manifest::{ArtifactPath, BlobId, Pin};

pub use api::{API_PREFIX, ApiRoute, StatisticsOf};
pub use name::{CatalogName, CatalogRef, NameError, StateName};
pub use page::PageRoute;
pub use percent::{PercentError, decode, encode_path, encode_path_plainly, encode_query};
pub use query::{ListForm, Query};
pub use suffix::Suffix;

use crate::limits::TARGET_BYTES_MAX;
use crate::message::PublicUrl;
use crate::refusal::Refusal;

/// Where a daemon says who it is.
pub const WELL_KNOWN: &str = "/.well-known/odi";

/// Where a directory makes a relay prove that it owns its URL.
pub const CHALLENGE: &str = "/.well-known/odi/challenge";

const READ: &str = "GET, HEAD";

/// About what a pin takes in a URL, with its slashes.
const PIN_BYTES: usize = 50;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`, `/odi/catalogs/{name}`, `/odi/relays/{key}`: about this daemon and what it knows.
    Page {
        /// Which page.
        page: PageRoute,
        /// How the caller wants it.
        query: Query,
    },
    /// `/{name}/{path}`: the newest served state of a catalog.
    Artifact {
        /// The catalog.
        name: CatalogRef,
        /// What of it.
        place: Place,
        /// How the caller wants it.
        query: Query,
    },
    /// `/{name}@{seq or label}/{path}`: a state to look up, then a redirect to its pin.
    State {
        /// The catalog.
        name: CatalogRef,
        /// Which state of it.
        state: StateName,
        /// What of it.
        place: Place,
        /// How the caller wants it.
        query: Query,
    },
    /// `/{pin}/{path}`: one state of one catalog, for ever.
    Pinned {
        /// The head.
        pin: Pin,
        /// What of it.
        place: Place,
        /// How the caller wants it.
        query: Query,
    },
    /// `/blake3/{hex}`: a blob by its content.
    Blob {
        /// Its name.
        blob: BlobId,
    },
    /// `/.well-known/odi`: who answers here.
    WellKnown,
    /// `/.well-known/odi/challenge`, POST: prove that this URL is yours.
    Challenge,
    /// `/odi/v1/...`: for people's tools and for other daemons.
    Api(ApiRoute),
}

/// What of a catalog a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/{name}` alone. Relative links on a listing would go astray there: redirect to the same with a slash.
    Slashless,
    /// A path that ends in a slash, or is empty: the folder, `None` for the top.
    Folder(Option<ArtifactPath>),
    /// Any other path: an artifact, or a folder whose slash the caller left out.
    Artifact(ArtifactPath),
}

impl Place {
    /// The path as a catalog knows it: without a slash at either end, empty for the top.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Slashless | Self::Folder(None) => "",
            Self::Folder(Some(path)) | Self::Artifact(path) => path.as_str(),
        }
    }
}

/// Reads a request's method and target.
///
/// # Errors
/// 400 for escapes that are none or bytes that are no text, 404 for what names nothing, 405 for the wrong method,
/// 414 for a target over [`TARGET_BYTES_MAX`].
pub fn parse(method: &Method, target: &str) -> Result<Route, Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded: Cow<'_, str> = decode(path).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let path =
        decoded.strip_prefix('/').ok_or_else(|| Refusal::bad_request("the path does not begin with /"))?;
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    match (first, rest) {
        ("", None) => reads(method, Route::Page { page: PageRoute::Front, query: Query::parse(query) }),
        (".well-known", Some("odi")) => reads(method, Route::WellKnown),
        (".well-known", Some("odi/challenge")) => match *method {
            Method::POST => Ok(Route::Challenge),
            _ => Err(Refusal::MethodNotAllowed { allow: "POST" }),
        },
        ("odi", Some(rest)) => match PageRoute::parse(rest) {
            Some(page) => reads(method, Route::Page { page, query: Query::parse(query) }),
            None => api::parse(method, rest, query).map(Route::Api),
        },
        ("blake3", Some(hex)) => {
            let blob = hex.parse().map_err(|_| Refusal::NotFound)?;
            reads(method, Route::Blob { blob })
        }
        _ => reads(method, content(first, rest, query)?),
    }
}

/// The routes that name a catalog.
fn content(first: &str, rest: Option<&str>, query: &str) -> Result<Route, Refusal> {
    let place = match rest {
        None => Place::Slashless,
        Some("") => Place::Folder(None),
        Some(path) => {
            let (path, is_folder) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
            let path = ArtifactPath::parse(path).map_err(|_| Refusal::NotFound)?;
            if is_folder { Place::Folder(Some(path)) } else { Place::Artifact(path) }
        }
    };
    let query = Query::parse(query);
    let nothing = |_| Refusal::NotFound;
    if first.starts_with('@') {
        let pin = first.parse().map_err(|_| Refusal::NotFound)?;
        return Ok(Route::Pinned { pin, place, query });
    }
    match first.split_once('@') {
        None => Ok(Route::Artifact { name: first.parse().map_err(nothing)?, place, query }),
        Some((name, state)) => Ok(Route::State {
            name: name.parse().map_err(nothing)?,
            state: state.parse().map_err(nothing)?,
            place,
            query,
        }),
    }
}

fn reads(method: &Method, route: Route) -> Result<Route, Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(route),
        _ => Err(Refusal::MethodNotAllowed { allow: READ }),
    }
}

/// The path of a place under a pin, escaped. `place` is a catalog's path, with a slash at its end for a folder.
#[must_use]
pub fn pinned_path(pin: &Pin, place: &str) -> String {
    format!("/{pin}/{}", encode_path(place))
}

/// The URL of [`pinned_path`] below a base URL that has no path.
#[must_use]
pub fn pinned_url(base: &PublicUrl, pin: &Pin, place: &str) -> String {
    let mut url = String::with_capacity(base.as_str().len() + PIN_BYTES + place.len());
    write!(url, "{base}/{pin}/").expect("a String takes any text");
    percent::push_encoded(&mut url, place);
    url
}

/// The path of a place in a catalog's newest state, escaped. `place` as in [`pinned_path`].
#[must_use]
pub fn named_path(name: &impl fmt::Display, place: &str) -> String {
    format!("/{name}/{}", encode_path(place))
}

/// The path of a blob by its content.
#[must_use]
pub fn blob_path(blob: &BlobId) -> String {
    format!("/blake3/{blob}")
}

/// The URL of a path below a daemon's public URL, for `Location`. `path` is escaped and begins with a slash; query
/// and fragment of `base` do not belong to it.
#[must_use]
pub fn location(base: &url::Url, path: &str) -> String {
    let base = base.as_str().split(['?', '#']).next().unwrap_or_default();
    format!("{}{path}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests;
