//! Everything that can end a command of `odi-sign`, and the exit code that scripts see.
//!
//! The codes are a promise (docs/maintainer.md): a script can tell "your tree has a problem" from "the catalog moved
//! on" from "the network is down" without reading words.

use std::path::PathBuf;

use odi_manifest::{
    ApplyError, CatalogId, DiffError, HeadId, HeadRefusal, NodesError, PublicKey, RecordError,
    RevocationError, RoleName, RootRefusal, Sha256, SignError, Timestamp, TreeError, VerifyError,
};

use super::import::ListFault;
use super::key_file::KeyFileError;
use super::lock::LockError;
use super::odi_folder::ReadError;
use super::remote::RemoteError;
use super::scan::Problems;
use super::signers::SignerError;
use super::tree_disk::DiskError;

/// Why a command ended without doing what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The disk did not write.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The disk did not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Standard output is closed or full.
    #[error("write the result")]
    Output(#[source] std::io::Error),

    /// Files that cannot be published.
    #[error(transparent)]
    Tree(#[from] Problems),

    /// A list that cannot be read.
    #[error("{}, line {line}", file.display())]
    List {
        /// The list.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong there.
        #[source]
        fault: ListFault,
    },
    /// A URL does not have what its list says.
    #[error("{url} does not have the bytes of its list: expected SHA-256 {expected}, found {found}")]
    NotAsListed {
        /// Where.
        url: Box<url::Url>,
        /// What the list says.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },

    /// A key that cannot sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A key file that cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A key on the command line that is not what belongs there.
    #[error("{flag} takes {expected}")]
    KeyArgument {
        /// Where it was given, which says what it would have to be.
        flag: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What is wrong with it.
        source: KeyFileError,
    },
    /// A signer that did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A key that may not do this.
    #[error("{key} is not a {role} key of this catalog")]
    NotInRole {
        /// The key.
        key: Box<PublicKey>,
        /// What it would have to be.
        role: RoleName,
    },

    /// A directory that is no witness.
    #[error("{key} is not a witness of this catalog")]
    NotAWitness {
        /// Its key.
        key: Box<PublicKey>,
    },

    /// No temporary folder.
    #[error("make a temporary folder")]
    Temporary(#[source] std::io::Error),
    /// Files are not what was signed.
    #[error("{count} {} not as signed\n  {shown}", if *count == 1 { "path is" } else { "paths are" })]
    Differs {
        /// How many.
        count: usize,
        /// The first of them, one per line.
        shown: String,
    },
    /// Another catalog than the one asked for.
    #[error("this is catalog {found}, not {expected}")]
    OtherCatalog {
        /// What was asked for.
        expected: Box<CatalogId>,
        /// What was found.
        found: Box<CatalogId>,
    },

    /// There is no catalog in this tree.
    #[error("{} has no .odi/ folder with a root of trust; begin a catalog with odi-sign init", tree.display())]
    NotACatalog {
        /// The tree.
        tree: PathBuf,
    },
    /// There is one already.
    #[error("{} is catalog {catalog} already", tree.display())]
    AlreadyACatalog {
        /// The tree.
        tree: PathBuf,
        /// Which.
        catalog: CatalogId,
    },
    /// A catalog without a head.
    #[error("{} has not been published yet; run odi-sign publish", tree.display())]
    NothingPublished {
        /// The tree.
        tree: PathBuf,
    },
    /// No head, or no root, waits for signatures.
    #[error("no {what} waits for signatures in {}", tree.display())]
    NothingWaits {
        /// "head" or "root".
        what: &'static str,
        /// The tree.
        tree: PathBuf,
    },
    /// A head waits for signatures, so no other may take its number.
    #[error(
        "head {seq} waits for signatures ({have} of {need}); add them with odi-sign sign, or drop it with --discard-waiting"
    )]
    Waiting {
        /// Its sequence number.
        seq: u64,
        /// How many signatures it has.
        have: usize,
        /// How many it needs.
        need: usize,
    },
    /// The catalog has no such artifact.
    #[error("`{text}` is neither a path of this catalog nor a BLAKE3 of 64 hexadecimal digits")]
    NoSuchArtifact {
        /// What was asked for.
        text: String,
    },
    /// The catalog has no such path.
    #[error("the catalog has no `{path}`")]
    NoSuchPath {
        /// What was asked for.
        path: String,
    },
    /// The tree is none.
    #[error("{} is not a folder", tree.display())]
    NoTree {
        /// What was given.
        tree: PathBuf,
    },
    /// A URL below which there is no catalog's layout.
    #[error(
        "{url} is no origin: there is no .odi/roots/1 below it; give the URL of the web server that serves the tree, not a \
         directory's"
    )]
    NotAnOrigin {
        /// What was given.
        url: String,
    },
    /// A directory that has no such catalog.
    #[error("{url} does not list catalog {catalog}: its operator has to add the id before it takes heads")]
    NotListed {
        /// The directory.
        url: String,
        /// The catalog.
        catalog: String,
    },
    /// The head is known, its manifest is not any more.
    #[error("the manifest of head {seq} is no longer kept; only those since the last two full files are")]
    NotKept {
        /// Its sequence number.
        seq: u64,
    },
    /// There is no head of that number.
    #[error("there is no head {seq}")]
    NoSuchHead {
        /// The number.
        seq: u64,
    },
    /// The draft that `init` left makes no sense.
    #[error("{} is malformed: {reason}", path.display())]
    Draft {
        /// The draft.
        path: PathBuf,
        /// What the TOML reader said.
        reason: String,
    },

    /// A record that is none.
    #[error("{} is damaged", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A diff that is none.
    #[error("{} is damaged", path.display())]
    Diff {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DiffError,
    },
    /// A diff that does not lead where it should.
    #[error("{} is damaged", path.display())]
    Apply {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ApplyError,
    },
    /// A revocation list that is none.
    #[error("{} is damaged", path.display())]
    Revocations {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RevocationError,
    },
    /// A file of nodes that does not hold what it should.
    #[error("{} is damaged", path.display())]
    Nodes {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NodesError,
    },
    /// The manifest cannot be had from what lies here.
    #[error("the manifest cannot be rebuilt: {} is missing or damaged; run odi-sign pull", path.display())]
    NodesMissing {
        /// The file.
        path: PathBuf,
    },
    /// The next manifest cannot be made.
    #[error("the manifest cannot be made")]
    Manifest(#[source] TreeError),
    /// A root that does not follow the one before it.
    #[error("{} is refused", path.display())]
    RootRefused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RootRefusal,
    },
    /// A head that the roots do not allow.
    #[error("{} is refused", path.display())]
    HeadRefused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeadRefusal,
    },
    /// A head that is not the one that should lie there.
    #[error("{} is refused", path.display())]
    NotTheNamed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifyError,
    },
    /// A record of ours would break a rule.
    #[error("this would make an invalid record")]
    Invalid(#[source] RecordError),

    /// Somebody else published.
    #[error(
        "{url} has head {theirs} of this catalog, newer than head {ours} here; bring your files up to date, run odi-sign pull, then this again"
    )]
    MovedOn {
        /// Who says so.
        url: String,
        /// The sequence number there.
        theirs: u64,
        /// The sequence number here, 0 for none.
        ours: u64,
    },
    /// Somebody else published under the same number.
    #[error(
        "{url} has another head {seq} ({theirs}) than this tree ({ours}); run odi-sign pull --replace, then this again"
    )]
    Diverged {
        /// Who says so.
        url: String,
        /// The sequence number.
        seq: u64,
        /// The head there.
        theirs: HeadId,
        /// The head here.
        ours: HeadId,
    },

    /// A directory did not take the heads that lead to the newest.
    #[error("{url} stays at head {seq}")]
    Behind {
        /// The directory.
        url: String,
        /// Its head's sequence number.
        seq: u64,
    },

    /// A server was of no use.
    #[error(transparent)]
    Remote(#[from] RemoteError),

    /// Another process is at work.
    #[error(transparent)]
    Lock(#[from] LockError),

    /// A job is at work on the tree.
    #[error("{} is being filled: {why}; run this again when it is done", tree.display())]
    BeingFilled {
        /// The tree.
        tree: PathBuf,
        /// By what that is seen.
        why: String,
    },
    /// A tree cannot be watched.
    #[error("watch the tree")]
    Watch(#[source] std::io::Error),

    /// No head counts under the root of trust any more.
    #[error(
        "the root of trust expired at {when}, so nobody would adopt this head; renew it with odi-sign trust change"
    )]
    RootExpired {
        /// When.
        when: Timestamp,
    },

    /// The head or root has expired.
    #[error("{what} expired at {when}; everything else is right")]
    Expired {
        /// What.
        what: String,
        /// When.
        when: Timestamp,
    },
}

impl Failure {
    /// The exit code of the process, 1 to 9; 2 is also what the reader of the command line ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Disk(_)
            | Self::Read(_)
            | Self::Output(_)
            | Self::Temporary(_)
            | Self::Watch(_)
            | Self::Lock(LockError::Io { .. }) => 1,
            // What another command line, or the same after another command, would do.
            Self::NotACatalog { .. }
            | Self::NoTree { .. }
            | Self::AlreadyACatalog { .. }
            | Self::NothingPublished { .. }
            | Self::NothingWaits { .. }
            | Self::Waiting { .. }
            | Self::NoSuchArtifact { .. }
            | Self::NoSuchPath { .. }
            | Self::NotKept { .. }
            | Self::NotAnOrigin { .. }
            | Self::NotListed { .. }
            | Self::Invalid(_) => 2,
            Self::Tree(_) | Self::List { .. } => 3,
            Self::Signer(_)
            | Self::KeyFile(_)
            | Self::KeyArgument { .. }
            | Self::Sign(_)
            | Self::NotInRole { .. }
            | Self::NotAWitness { .. }
            | Self::RootExpired { .. } => 4,
            Self::Differs { .. }
            | Self::NotAsListed { .. }
            | Self::OtherCatalog { .. }
            | Self::NoSuchHead { .. }
            | Self::Revocations { .. }
            | Self::Draft { .. }
            | Self::Record { .. }
            | Self::Diff { .. }
            | Self::Apply { .. }
            | Self::Nodes { .. }
            | Self::NodesMissing { .. }
            | Self::Manifest(_)
            | Self::RootRefused { .. }
            | Self::HeadRefused { .. }
            | Self::NotTheNamed { .. } => 5,
            Self::MovedOn { .. } | Self::Diverged { .. } | Self::Behind { .. } => 6,
            Self::Lock(LockError::Busy { .. }) | Self::BeingFilled { .. } => 7,
            Self::Remote(_) => 8,
            Self::Expired { .. } => 9,
        }
    }
}
