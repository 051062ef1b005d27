//! Why a request to somebody else came to nothing, and whose doing it was.

use std::error::Error as _;
use std::time::Duration;

use super::resolver::ResolveError;
use super::vet::UrlRefusal;

/// A request that brought no usable reply. Each names the URL, cut to 300 characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Ours: no client could be made.
    #[error("set up the HTTP client")]
    Setup {
        /// What the library says.
        source: reqwest::Error,
    },
    /// Ours: a file of certificate roots that the operator named cannot be used.
    #[error("use the certificate roots in {}", path.display())]
    Root {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Ours, deliberately: the URL is not one we go to.
    #[error("refused to ask `{url}`")]
    Refused {
        /// The URL.
        url: Box<str>,
        /// Why.
        source: UrlRefusal,
    },
    /// Ours, deliberately: the name leads to an address we do not go to.
    #[error("refused to ask `{url}`")]
    RefusedAddress {
        /// The URL.
        url: Box<str>,
        /// Which address.
        source: ResolveError,
    },
    /// The peer's, or the network's: its name has no address that we go to.
    #[error("look up the name in `{url}`")]
    Unresolved {
        /// The URL.
        url: Box<str>,
        /// Why not.
        source: std::io::Error,
    },
    /// The peer's, or the network's: no connection.
    #[error("connect for `{url}`")]
    Connect {
        /// The URL.
        url: Box<str>,
        /// What the library says.
        source: reqwest::Error,
    },
    /// The peer's: connected, and no head of a reply in time.
    #[error("no answer from `{url}` within {} s", after.as_secs())]
    NoAnswer {
        /// The URL.
        url: Box<str>,
        /// How long we waited.
        after: Duration,
    },
    /// The peer's: broken HTTP, or a body that broke off.
    #[error("broken answer from `{url}`")]
    Transport {
        /// The URL.
        url: Box<str>,
        /// What the library says.
        source: reqwest::Error,
    },
    /// The peer's: it compressed though it was asked not to.
    #[error("`{url}` answered with Content-Encoding `{}`", encoding.escape_debug())]
    Encoded {
        /// The URL.
        url: Box<str>,
        /// The encoding, cut to 40 characters.
        encoding: String,
    },
    /// The peer's: more than it was asked for.
    #[error("`{url}` answered more than {max_bytes} bytes")]
    TooLarge {
        /// The URL.
        url: Box<str>,
        /// The most that was wanted.
        max_bytes: u64,
    },
    /// The peer's: the body stopped coming.
    #[error("`{url}` stalled")]
    Stalled {
        /// The URL.
        url: Box<str>,
    },
    /// The peer's: a redirect without a usable target, or from https to http.
    #[error("`{url}` redirects nowhere that we go")]
    BadRedirect {
        /// The URL that answered.
        url: Box<str>,
    },
    /// The peer's: redirects without end.
    #[error("`{url}` redirects once too often")]
    TooManyRedirects {
        /// The URL that answered.
        url: Box<str>,
    },
}

impl ClientError {
    /// Sorts a library error by whose doing it was.
    pub(super) fn from_transport(url: Box<str>, source: reqwest::Error) -> Self {
        if let Some(refused) = resolve_error(&source) {
            return Self::RefusedAddress { url, source: refused };
        }
        // The errors here name the URL themselves.
        let source = source.without_url();
        if source.is_connect() { Self::Connect { url, source } } else { Self::Transport { url, source } }
    }
}

/// A URL as errors carry it.
pub(super) fn named(url: &url::Url) -> Box<str> {
    url.as_str().chars().take(300).collect()
}

fn resolve_error(error: &reqwest::Error) -> Option<ResolveError> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let within = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let within = within.and_then(|inner| inner.downcast_ref::<ResolveError>());
        if let Some(refused) = within.or_else(|| inner.downcast_ref::<ResolveError>()) {
            return Some(refused.clone());
        }
        cause = inner.source();
    }
    None
}
