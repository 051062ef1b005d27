//! Why an artifact was not got or not verified, each kind with its exit code.

use odi_manifest::{CatalogId, HeadRefusal, Reason, Staleness};
use odi_wire::client::ClientError;
use odi_wire::sync::SyncError;
use url::Url;

use super::exit::Exit;

/// Why an artifact was not got or not verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The caller's: the URL names no artifact of a catalog.
    #[error("{url} is not an artifact's URL at a directory: it should be https://DIRECTORY/NAME/PATH")]
    NotAnArtifact {
        /// The URL.
        url: Url,
    },
    /// Every directory failed; the first one's failure says most.
    #[error("no directory shows the state of catalog {catalog}")]
    NoState {
        /// The catalog.
        catalog: CatalogId,
        /// What the first directory did.
        source: Box<SyncError>,
    },
    /// The catalog is past its date, or too few witnesses have confirmed it lately.
    #[error("catalog {catalog} is stale: {}; --allow-stale takes it all the same", why(.staleness))]
    Stale {
        /// The catalog.
        catalog: CatalogId,
        /// In what way.
        staleness: Staleness,
    },
    /// The head's manifest proves that it has no such path.
    #[error("the catalog has no artifact `{path}` at sequence {seq}")]
    NotFound {
        /// The path.
        path: String,
        /// The head's sequence number.
        seq: u64,
    },
    /// The maintainers took it back.
    #[error("the maintainers have revoked `{path}` ({reason:?})")]
    Revoked {
        /// The path.
        path: String,
        /// Their reason.
        reason: Reason,
    },
    /// No directory gave a proof that verifies.
    #[error("no directory proves what the catalog says of `{path}`: {}", faults.join("; "))]
    NoProof {
        /// The path.
        path: String,
        /// What each did.
        faults: Vec<String>,
    },
    /// Nobody gave the bytes that the maintainers signed.
    #[error("nobody has the right bytes of `{path}`: {}", faults.join("; "))]
    NoBytes {
        /// The path.
        path: String,
        /// What each source did.
        faults: Vec<String>,
        /// Whether any source gave wrong bytes, rather than none.
        wrong: bool,
    },
    /// A local file is not what the maintainers signed.
    #[error("{file} is not `{path}`: {what}")]
    OtherFile {
        /// The file.
        file: String,
        /// The artifact.
        path: String,
        /// How they differ.
        what: String,
    },
    /// A directory did not answer.
    #[error("the directory does not answer")]
    Client(#[from] ClientError),
    /// This machine: a full disk, no permission.
    #[error(transparent)]
    Local(#[from] anyhow::Error),
}

fn why(staleness: &Staleness) -> String {
    match staleness {
        Staleness::HeadExpired => "its newest head has expired".to_owned(),
        Staleness::RootExpired => "its root of trust has expired".to_owned(),
        Staleness::TooFewWitnesses { needed, have } => {
            format!("{have} of its witnesses have confirmed it lately, and {needed} must")
        }
    }
}

impl Failure {
    /// The exit code that scripts see.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NotAnArtifact { .. } => Exit::Usage,
            Self::NoState { source, .. } => of_sync(source),
            Self::Stale { .. } => Exit::Stale,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Revoked { .. } => Exit::Revoked,
            Self::NoProof { .. } => Exit::Signature,
            Self::NoBytes { wrong: false, .. } | Self::Client(_) => Exit::Unavailable,
            Self::NoBytes { wrong: true, .. } | Self::OtherFile { .. } => Exit::Content,
            Self::Local(_) => Exit::Failed,
        }
    }
}

fn of_sync(error: &SyncError) -> Exit {
    match error {
        SyncError::Source { .. } | SyncError::Lacking { .. } => Exit::Unavailable,
        SyncError::Equivocation { .. } => Exit::Equivocation,
        SyncError::Head(refusal) => match **refusal {
            HeadRefusal::Rollback { .. } => Exit::Rollback,
            HeadRefusal::Divergent { .. } => Exit::Equivocation,
            HeadRefusal::Expired { .. } | HeadRefusal::RootExpired { .. } => Exit::Stale,
            _ => Exit::Signature,
        },
        SyncError::Ledger { .. } | SyncError::Store(_) | SyncError::Nodes(_) => Exit::Failed,
        _ => Exit::Signature,
    }
}
