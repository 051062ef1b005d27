//! Why an artifact was not got or not verified, each kind with its exit code.

use odi_manifest::{CatalogId, HeadRefusal, Pin, Reason, Staleness};
use odi_wire::client::ClientError;
use odi_wire::http::StatusCode;
use odi_wire::route::CatalogName;
use odi_wire::sync::SyncError;

use super::exit::Exit;

/// Why an artifact was not got or not verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The caller's: the URL names no artifact of a catalog.
    #[error("{url} is not an artifact's URL at a directory: it should be https://DIRECTORY/NAME/PATH")]
    NotAnArtifact {
        /// The URL.
        url: String,
    },
    /// The caller's: the URL is a relay's.
    #[error("{base} is a relay: give the artifact's URL at a directory, https://DIRECTORY/NAME/PATH")]
    Relay {
        /// The relay's base URL.
        base: String,
    },
    /// The caller's, or it has grown old: the URL names another state than the newest.
    #[error(
        "{url} names one state of the catalog, and the newest is {newest}: what is proven here is the newest, \
         https://DIRECTORY/NAME/{path}"
    )]
    OtherState {
        /// The URL.
        url: String,
        /// The newest state.
        newest: Pin,
        /// The artifact.
        path: String,
    },
    /// Nothing says of which catalog the pin is.
    #[error("{base} has no catalog whose newest state is {pin}: say which one it is with --catalog")]
    UnknownPin {
        /// The directory.
        base: String,
        /// The pin.
        pin: Pin,
    },
    /// The URL names another catalog than the caller's.
    #[error("{url} is of another catalog than {pinned}")]
    OtherCatalog {
        /// The URL.
        url: String,
        /// The caller's catalog.
        pinned: CatalogId,
    },
    /// The directory knows no catalog of that name.
    #[error("{base} has no catalog `{name}`; it has {}", list(has))]
    NoSuchName {
        /// The directory.
        base: String,
        /// The name.
        name: CatalogName,
        /// Those that it has.
        has: Vec<String>,
    },
    /// The directory has the catalog under another name.
    #[error(
        "{base} {} `{name}`; it serves this id as `{called}`",
        if *is_there { "has another catalog under the name" } else { "has no catalog" }
    )]
    OtherName {
        /// The directory.
        base: String,
        /// The name in the caller's URL.
        name: CatalogName,
        /// Whether the directory has a catalog of that name.
        is_there: bool,
        /// What it calls the caller's.
        called: String,
    },
    /// The directory has no catalog of that id.
    #[error("{base} does not carry catalog {id}; there {}", list(has))]
    NotCarried {
        /// The directory.
        base: String,
        /// The id that the caller pinned.
        id: CatalogId,
        /// What it has instead.
        has: Vec<String>,
    },
    /// Whoever answers is no ODI daemon.
    #[error("{url} answers {status}: is it an ODI directory?")]
    NoDaemon {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// A directory shows an older state than has been seen: it may be slow, or somebody keeps the news from us.
    #[error(
        "directory {base} is behind: its newest state is {has}, and you have seen {seen}; ask it again in some minutes, or \
         another one with --directory"
    )]
    Behind {
        /// The directory.
        base: String,
        /// The sequence number that it shows.
        has: u64,
        /// The newest that has been seen.
        seen: u64,
    },
    /// A directory does not lead to the catalog's newest state.
    #[error("directory {base} does not show the state of catalog {catalog}")]
    NoState {
        /// The directory.
        base: String,
        /// The catalog.
        catalog: CatalogId,
        /// What it did.
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
    #[error("the maintainers have revoked `{path}`: {}", in_words(*reason))]
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
        /// Whether any gave a wrong proof, rather than none.
        wrong: bool,
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

fn list(texts: &[String]) -> String {
    if texts.is_empty() { "nothing yet".to_owned() } else { texts.join(", ") }
}

fn in_words(reason: Reason) -> String {
    match reason {
        Reason::UNSPECIFIED => "they gave no reason".to_owned(),
        Reason::COMPROMISED => "its content is malicious or was tampered with".to_owned(),
        Reason::LEGAL => "the law demands it".to_owned(),
        Reason::WITHDRAWN => "it was published by mistake, or is withdrawn".to_owned(),
        Reason::PRIVATE => "it holds secrets or personal data".to_owned(),
        other => format!("for {other}"),
    }
}

impl Failure {
    /// What it means that a directory's heads could not be followed.
    pub(super) fn of_sync(base: String, catalog: CatalogId, error: SyncError) -> Self {
        if let SyncError::Head(refusal) = &error
            && let HeadRefusal::Rollback { held, found } = **refusal
        {
            return Self::Behind { base, has: found, seen: held };
        }
        Self::NoState { base, catalog, source: Box::new(error) }
    }

    /// The exit code that scripts see.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NotAnArtifact { .. }
            | Self::Relay { .. }
            | Self::OtherState { .. }
            | Self::OtherCatalog { .. }
            | Self::UnknownPin { .. } => Exit::Usage,
            Self::NoSuchName { .. } | Self::OtherName { .. } | Self::NotCarried { .. } => Exit::NotFound,
            Self::NoDaemon { .. } => Exit::Unavailable,
            Self::Behind { .. } => Exit::Rollback,
            Self::NoState { source, .. } => of_sync(source),
            Self::Stale { .. } => Exit::Stale,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Revoked { .. } => Exit::Revoked,
            Self::NoProof { wrong: true, .. } => Exit::Signature,
            Self::NoProof { wrong: false, .. } | Self::NoBytes { wrong: false, .. } | Self::Client(_) => {
                Exit::Unavailable
            }
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
