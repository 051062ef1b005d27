//! The calls that a relay makes to a directory. Everything that comes back is bounded, and believed only as far as it is signed.

use odi_manifest::{CatalogId, PublicKey, Verified};
use odi_wire::client::{Ask, Client, ClientError};
use odi_wire::http::StatusCode;
use odi_wire::layout::api_base;
use odi_wire::message::{
    Assign, CBOR, CatalogSummary, DOCUMENT_BYTES_MAX, DaemonKind, DirectoryStatus, DocumentError,
    HOLDERS_BYTES_MAX, Inventory, LeaseReply, PublicUrl, RegistrationReply, StatementError, WellKnown,
    decode_holders, from_json, open_from,
};

/// The largest assignment, envelope included.
const ASSIGNMENT_BYTES_MAX: usize = 2 << 20;
/// The most of an error's text that is kept.
const WORDS_MAX: usize = 300;

/// Why a call to a directory brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be asked.
    #[error("the directory cannot be reached")]
    Unreachable(#[from] ClientError),
    /// It answered with another status than the call has.
    #[error("the directory answers {status}: {words}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says, cut.
        words: String,
    },
    /// The answer is not the document that the call has.
    #[error("the directory's answer does not read")]
    Document(#[from] DocumentError),
    /// The answer is not the signed statement that the call has.
    #[error("the directory's statement is not believed")]
    Statement(#[from] StatementError),
    /// The list of relays is malformed.
    #[error("the directory's list of relays does not read")]
    Holders(#[source] odi_manifest::cbor::CborError),
    /// Something else than a directory answers there.
    #[error("what answers there is no directory")]
    NoDirectory,
}

/// One directory, to be called.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryApi<'d> {
    /// How.
    pub client: &'d Client,
    /// Where.
    pub url: &'d PublicUrl,
}

impl DirectoryApi<'_> {
    /// `GET /.well-known/odi`: the directory's key.
    pub async fn key(&self) -> Result<PublicKey, CallError> {
        let bytes = self.get("/.well-known/odi", DOCUMENT_BYTES_MAX).await?;
        let document: WellKnown = from_json(&bytes, "a daemon's introduction")?;
        if document.kind == DaemonKind::Directory { Ok(document.id) } else { Err(CallError::NoDirectory) }
    }

    /// `GET /odi/v1/catalogs`: what it offers.
    pub async fn catalogs(&self) -> Result<Vec<CatalogSummary>, CallError> {
        let bytes = self.get("/odi/v1/catalogs", DOCUMENT_BYTES_MAX).await?;
        Ok(from_json(&bytes, "a list of catalogs")?)
    }

    /// `GET /odi/v1/status`: who it is, and the directories that it follows.
    pub async fn status(&self) -> Result<DirectoryStatus, CallError> {
        let bytes = self.get("/odi/v1/status", DOCUMENT_BYTES_MAX).await?;
        let status: DirectoryStatus = from_json(&bytes, "a directory's status")?;
        if status.kind == DaemonKind::Directory { Ok(status) } else { Err(CallError::NoDirectory) }
    }

    /// `GET /odi/v1/catalogs/{id}/relays`: what other relays say that they hold.
    pub async fn holders(&self, catalog: &CatalogId) -> Result<Vec<Verified<Inventory>>, CallError> {
        let bytes = self.get(&format!("{}relays", api_base(catalog)), HOLDERS_BYTES_MAX).await?;
        decode_holders(&bytes).map_err(CallError::Holders)
    }

    /// `GET /odi/v1/relays/{relay}/assignment`: what it asks this relay to hold.
    pub async fn assignment(&self, directory: &PublicKey, relay: &PublicKey) -> Result<Assign, CallError> {
        let path = format!("/odi/v1/relays/{}/assignment", relay.to_hex());
        let bytes = self.get(&path, ASSIGNMENT_BYTES_MAX).await?;
        Ok(open_from::<Assign>(&bytes, directory)?.value().clone())
    }

    /// `POST /odi/v1/relays`: a registration, signed.
    pub async fn register(&self, statement: Vec<u8>) -> Result<RegistrationReply, CallError> {
        let bytes = self.post("/odi/v1/relays", statement).await?;
        Ok(from_json(&bytes, "a registration's answer")?)
    }

    /// `POST /odi/v1/relays/inventory`: an inventory, signed.
    pub async fn announce(&self, statement: Vec<u8>) -> Result<LeaseReply, CallError> {
        let bytes = self.post("/odi/v1/relays/inventory", statement).await?;
        Ok(from_json(&bytes, "a lease")?)
    }

    /// `POST /odi/v1/relays/leave`: a leave, signed.
    pub async fn leave(&self, statement: Vec<u8>) -> Result<(), CallError> {
        self.post("/odi/v1/relays/leave", statement).await.map(drop)
    }

    async fn get(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, CallError> {
        let url = self.at(path);
        self.send(Ask::get(&url).reply_bytes_max(bytes_max as u64)).await
    }

    async fn post(&self, path: &str, statement: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let url = self.at(path);
        self.send(Ask::post(&url, CBOR, statement).reply_bytes_max(DOCUMENT_BYTES_MAX as u64)).await
    }

    async fn send(&self, ask: Ask) -> Result<Vec<u8>, CallError> {
        let reply = self.client.send(ask).await?;
        let status = reply.status;
        let body = reply.body.collect().await?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        let words = String::from_utf8_lossy(&body);
        let words = words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
        Err(CallError::Refused { status, words })
    }

    fn at(&self, path: &str) -> url::Url {
        let mut url = self.url.to_url();
        url.set_path(path);
        url
    }
}
