//! Asking origins and directories, one request at a time: the same vetted client as everyone's, made synchronous.
//!
//! Private addresses are allowed: every URL here was given by the maintainer, on the command line or in a head that
//! a maintainer signed.

use odi_manifest::{BLOB_BYTES_MAX, BlobHasher, CatalogId, HashedBlob, Head, Unverified};
use odi_wire::client::{Ask, Client, ClientError, ClientPolicy};
use odi_wire::http::StatusCode;
use odi_wire::http::header::LAST_MODIFIED;
use odi_wire::http_date;
use odi_wire::layout::{LayoutPath, ORIGIN_FOLDER, api_base};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::history::HEAD_BYTES_MAX;

/// An origin may redirect to where it really lies.
const REDIRECTS_MAX: usize = 4;

/// Why a server was of no use.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No client, or no runtime to run it.
    #[error("start the HTTP client")]
    Start(#[source] std::io::Error),
    /// No answer; it names whose.
    #[error(transparent)]
    Client(Box<ClientError>),
    /// An answer that is neither the thing nor "not found".
    #[error("{url} answered {status}{}", said(text))]
    Status {
        /// Whom.
        url: Box<Url>,
        /// What it answered.
        status: StatusCode,
        /// What it said about that, cut.
        text: String,
    },
    /// An answer that is not what it should be.
    #[error("{url} is no {what}")]
    NotA {
        /// Whom.
        url: Box<Url>,
        /// What was expected.
        what: &'static str,
    },
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// What came of downloading a file.
pub(crate) enum Download {
    /// All of it, and its hashes.
    Whole(HashedBlob),
    /// It is not there.
    Missing,
    /// It has more bytes than it should.
    TooLong,
}

/// A client with a runtime of its own.
pub(crate) struct Remote {
    runtime: Runtime,
    client: Client,
}

impl Remote {
    /// A client that has not connected anywhere yet.
    pub(crate) fn new() -> Result<Self, RemoteError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RemoteError::Start)?;
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Client::new(policy).map_err(|error| RemoteError::Start(std::io::Error::other(error)))?;
        Ok(Self { runtime, client })
    }

    /// What lies at a URL; `None` if nothing does.
    pub(crate) fn get(&self, url: &Url, bytes_max: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let ask = Ask::get(url).reply_bytes_max(bytes_max).following(REDIRECTS_MAX);
        match self.send(ask)? {
            (StatusCode::OK, body) => Ok(Some(body)),
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => Ok(None),
            (status, body) => Err(status_error(url, status, &body)),
        }
    }

    /// Hands over a CBOR body and returns the answer, whatever it is.
    pub(crate) fn post(&self, url: &Url, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        self.send(Ask::post(url, "application/cbor", body).reply_bytes_max(HEAD_BYTES_MAX))
    }

    fn send(&self, ask: Ask) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        let failed = |error| RemoteError::Client(Box::new(error));
        self.runtime.block_on(async {
            let reply = self.client.send(ask).await.map_err(failed)?;
            let status = reply.status;
            let body = reply.body.collect().await.map_err(failed)?;
            Ok((status, body.to_vec()))
        })
    }

    /// Downloads a file that should have this size, and hashes it.
    pub(crate) fn hash(&self, url: &Url, size: u64) -> Result<Download, RemoteError> {
        let ask = Ask::get(url).reply_bytes_max(size).following(REDIRECTS_MAX);
        let downloaded = self.runtime.block_on(async {
            let mut reply = self.client.send(ask).await?;
            if reply.status != StatusCode::OK {
                return Ok(Err(reply.status));
            }
            let mut hasher = BlobHasher::new();
            while let Some(bytes) = reply.body.chunk().await? {
                hasher.update(&bytes);
            }
            Ok(Ok(hasher.finalize()))
        });
        match downloaded {
            Ok(Ok(hashed)) => Ok(Download::Whole(hashed)),
            Ok(Err(StatusCode::NOT_FOUND | StatusCode::GONE)) => Ok(Download::Missing),
            Ok(Err(status)) => Err(status_error(url, status, &[])),
            Err(ClientError::TooLarge { .. }) => Ok(Download::TooLong),
            Err(error) => Err(RemoteError::Client(Box::new(error))),
        }
    }

    /// Downloads an artifact of any size, and hashes it; also says when its server says that it was changed.
    pub(crate) fn download(&self, url: &Url) -> Result<(HashedBlob, Option<u64>), RemoteError> {
        let ask = Ask::get(url).reply_bytes_max(BLOB_BYTES_MAX).following(REDIRECTS_MAX);
        let downloaded = self.runtime.block_on(async {
            let mut reply = self.client.send(ask).await?;
            let modified =
                reply.headers.get(LAST_MODIFIED).and_then(|at| http_date::parse(at.to_str().ok()?));
            let status = reply.status;
            let mut hasher = BlobHasher::new();
            while let Some(bytes) = reply.body.chunk().await? {
                hasher.update(&bytes);
            }
            Ok((status, hasher.finalize(), modified))
        });
        let failed = |error: ClientError| RemoteError::Client(Box::new(error));
        match downloaded.map_err(failed)? {
            (StatusCode::OK, hashed, modified) => Ok((hashed, modified)),
            (status, ..) => Err(status_error(url, status, &[])),
        }
    }

    /// The newest head at a place; `None` if there is none.
    pub(crate) fn head(&self, place: &Place) -> Result<Option<Unverified<Head>>, RemoteError> {
        let url = place.item(LayoutPath::Head);
        let Some(bytes) = self.get(&url, HEAD_BYTES_MAX)? else { return Ok(None) };
        let not_a_head = |_| RemoteError::NotA { url: Box::new(url), what: "head" };
        Unverified::decode(&bytes).map(Some).map_err(not_a_head)
    }

    /// Whether a URL that a person typed is an origin or a directory that has this catalog.
    pub(crate) fn locate(&self, url: &Url, catalog: &CatalogId) -> Result<Place, RemoteError> {
        let origin = Place::origin(url);
        match self.get(&origin.item(LayoutPath::Head), HEAD_BYTES_MAX) {
            Ok(Some(_)) => Ok(origin),
            _ => {
                let directory = Place::directory(url, catalog);
                let head = self.get(&directory.item(LayoutPath::Head), HEAD_BYTES_MAX)?;
                let unknown =
                    || RemoteError::NotA { url: Box::new(url.clone()), what: "place of this catalog" };
                head.map(|_| directory).ok_or_else(unknown)
            }
        }
    }
}

pub(crate) fn status_error(url: &Url, status: StatusCode, body: &[u8]) -> RemoteError {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    let text = line.chars().filter(|letter| !letter.is_control()).take(200).collect();
    RemoteError::Status { url: Box::new(url.clone()), status, text }
}

/// Where a server keeps a catalog's layout.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    server: Url,
    base: Url,
}

impl Place {
    /// A web server that serves the tree at this URL.
    pub(crate) fn origin(tree: &Url) -> Self {
        Self::below(tree, ORIGIN_FOLDER)
    }

    /// A directory at this URL.
    pub(crate) fn directory(server: &Url, catalog: &CatalogId) -> Self {
        Self::below(server, &api_base(catalog))
    }

    fn below(server: &Url, folder: &str) -> Self {
        let mut base = server.clone();
        base.set_query(None);
        base.set_fragment(None);
        base.set_path(&format!("{}/{}", server.path().trim_end_matches('/'), folder.trim_start_matches('/')));
        Self { server: server.clone(), base }
    }

    /// The URL that a person would recognise.
    pub(crate) const fn server(&self) -> &Url {
        &self.server
    }

    /// The URL of an item of the layout.
    pub(crate) fn item(&self, item: LayoutPath) -> Url {
        self.at(&item.to_string())
    }

    /// The URL of something else below the same folder.
    pub(crate) fn at(&self, relative: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{relative}", self.base.path()));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_lie_below_whatever_path_a_server_has() {
        let catalog = CatalogId::of(b"x");
        for text in ["http://h/debian", "http://h/debian/", "http://h/debian/?q#f"] {
            let url = Url::parse(text).unwrap();
            let head = Place::origin(&url).item(LayoutPath::Head);
            assert_eq!(head.as_str(), "http://h/debian/.odi/head");
            let push = Place::directory(&url, &catalog).at("push");
            assert_eq!(push.path(), format!("/debian/odi/v1/catalogs/{catalog}/push"));
        }
    }
}
