//! The command line of `odi-sign`: what can be said, and nothing about how it is done.
//!
//! Secrets never appear here: keys are files or agent keys, passphrases come from the terminal or a descriptor.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use url::Url;

/// Sign a tree of files so that anyone can mirror it and everyone can check it.
#[derive(Debug, Parser)]
#[command(name = "odi-sign", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print results as JSON on standard output, for scripts.
    #[arg(long, global = true)]
    pub json: bool,
    /// Read passphrases from this open file descriptor instead of the terminal.
    #[arg(long, global = true, value_name = "FD")]
    pub passphrase_fd: Option<u32>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do        5  a record or file was refused
  1  the disk or this program      6  the catalog moved on; nothing was overwritten
  2  the command line              7  another odi-sign, or a job, is at work on the tree
  3  files that cannot be signed   8  a server could not be asked
  4  a key cannot be used          9  everything is right but has expired";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key: KEY (private) and KEY.pub.
    Keygen(Keygen),
    /// Begin a catalog: write TREE/.odi/ with its first root of trust.
    Init(Init),
    /// Hash what changed, sign the next head and write it under TREE/.odi/.
    Publish(Publish),
    /// Publish what a job fills in, once it is done, or what lists of URLs and checksums name.
    Import(Box<Import>),
    /// Add a signature to a head that waits for its threshold.
    Sign(Sign),
    /// Hand the newest head to directories. The signature is the only credential.
    Push(Push),
    /// Take over a newer head from an origin or directory. Touches .odi/ only, never your files.
    Pull(Pull),
    /// Check a tree or an origin against what was signed.
    Verify(Verify),
    /// Say what the newest head is.
    Status(OneTree),
    /// List the heads, newest first.
    Log(Log),
    /// List a folder of the catalog.
    Ls(Ls),
    /// Say what differs between two heads.
    Diff(DiffHeads),
    /// Point a label, such as `stable`, at a head, or remove it.
    Label(Label),
    /// Withdraw a file's bytes, or a path, from every relay.
    Revoke(Revoke),
    /// Look at or change who may sign.
    #[command(subcommand)]
    Trust(Trust),
}

/// `odi-sign keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Where to write the private key; the public one gets `.pub` added.
    #[arg(long, value_name = "KEY")]
    pub out: PathBuf,
    /// Do not protect the key with a passphrase.
    #[arg(long)]
    pub no_passphrase: bool,
    /// A word about the key, kept in its public line.
    #[arg(long, default_value = "")]
    pub comment: String,
}

/// `odi-sign init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder to publish.
    pub tree: PathBuf,
    /// What the catalog is called.
    #[arg(long)]
    pub name: String,
    /// A root key: a private key file, or a .pub file whose key an ssh-agent holds. Keep it offline.
    #[arg(long, value_name = "KEY", required = true)]
    pub root_key: Vec<PathBuf>,
    /// How many root keys must sign a change of trust.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub root_threshold: u32,
    /// A public key that may sign heads: a .pub file or the line itself.
    #[arg(long, value_name = "PUB", required = true)]
    pub release_key: Vec<String>,
    /// How many release keys must sign a head.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub release_threshold: u32,
    /// A public key that may only revoke.
    #[arg(long, value_name = "PUB")]
    pub revoke_key: Vec<String>,
    /// A directory's key: its cosignature says that a head is fresh.
    #[arg(long, value_name = "PUB")]
    pub witness: Vec<String>,
    /// How many witnesses make a head fresh. Default for n witnesses: 0, 1, 1, then a majority.
    #[arg(long, value_name = "N")]
    pub witness_quorum: Option<u32>,
    /// How long the root of trust is good for.
    #[arg(long, value_name = "TIME", default_value = "400d", value_parser = some_lifetime)]
    pub expires: Duration,
    /// What the first head will say.
    #[command(flatten)]
    pub description: Description,
}

/// What a head says about its catalog. Given once, it holds until given anew.
#[derive(Debug, Default, Args)]
pub struct Description {
    /// Where the tree is served, such as https://ftp.example.org/debian/.
    #[arg(long, value_name = "URL")]
    pub origin: Vec<Url>,
    /// A tag by which relays choose, such as ecosystem:python.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// A title for people.
    #[arg(long)]
    pub title: Option<String>,
    /// A page for people.
    #[arg(long, value_name = "URL")]
    pub home: Option<Url>,
}

/// Before anything is signed, the catalog's origins are asked whether it moved on elsewhere.
#[derive(Debug, Default, Args)]
pub struct Others {
    /// Also ask this directory whether the catalog moved on.
    #[arg(long, value_name = "URL")]
    pub directory: Vec<Url>,
    /// Ask nobody whether the catalog moved on.
    #[arg(long)]
    pub offline: bool,
}

/// `odi-sign publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// The folder to publish.
    pub tree: PathBuf,
    /// A release key: a private key file, or a .pub file whose key an ssh-agent holds.
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<PathBuf>,
    /// How long the head is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = some_lifetime)]
    pub expires: Duration,
    /// Sign a new head even if nothing changed.
    #[arg(long)]
    pub renew: bool,
    /// Read every file again, whatever the scan cache says.
    #[arg(long)]
    pub rehash: bool,
    /// Drop a head that waits for signatures.
    #[arg(long)]
    pub discard_waiting: bool,
    /// Who is asked first whether the catalog moved on.
    #[command(flatten)]
    pub others: Others,
    /// How long the bytes that a file had before stay fetchable under .odi/blobs/.
    #[arg(long, value_name = "TIME", default_value = "2d", value_parser = lifetime)]
    pub keep_replaced: Duration,
    /// What the head says from now on.
    #[command(flatten)]
    pub description: Description,
}

/// `odi-sign import`.
#[derive(Debug, Args)]
pub struct Import {
    /// What is published, and how.
    #[command(flatten)]
    pub publish: Publish,
    /// Go on: publish whenever the tree has changed and is quiet, until SIGTERM.
    #[arg(long, conflicts_with = "list")]
    pub watch: bool,
    /// A tree counts as quiet when nothing in it has changed for this long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = lifetime)]
    pub settle: Duration,
    /// Publish only after this file was touched, which the job does last. Relative to the tree.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub marker: Option<PathBuf>,
    /// Publish what this list names and leave it where it is: lines `SHA256 URL [PATH]`, or those of sha256sum.
    #[arg(long, value_name = "FILE")]
    pub list: Vec<PathBuf>,
    /// The URL below which the names of lists lie that are no URLs.
    #[arg(long, value_name = "URL", requires = "list")]
    pub base: Option<Url>,
    /// Put what the lists name under this folder of the catalog.
    #[arg(long, value_name = "FOLDER", requires = "list")]
    pub into: Option<String>,
    /// These lists name everything: what earlier ones named and these do not is removed.
    #[arg(long, requires = "list")]
    pub complete: bool,
    /// Hand each new head to this directory.
    #[arg(long, value_name = "URL")]
    pub push: Vec<Url>,
}

/// `odi-sign sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The tree whose head waits.
    pub tree: PathBuf,
    /// A release key.
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<PathBuf>,
}

/// `odi-sign push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The tree.
    pub tree: PathBuf,
    /// Directories, such as https://everest.example.org.
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<Url>,
}

/// `odi-sign pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The tree.
    pub tree: PathBuf,
    /// An origin or a directory.
    pub url: Url,
    /// Give up a head of ours that the server does not have. The next publish voids it.
    #[arg(long)]
    pub replace: bool,
}

/// `odi-sign verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A tree, or an origin's URL.
    #[arg(value_name = "TREE|URL")]
    pub target: String,
    /// The catalog it must be.
    #[arg(long, value_name = "ID")]
    pub catalog: Option<odi_manifest::CatalogId>,
    /// Check the records only, not the files.
    #[arg(long)]
    pub records_only: bool,
}

/// A command about one tree.
#[derive(Debug, Args)]
pub struct OneTree {
    /// The tree.
    pub tree: PathBuf,
}

/// `odi-sign log`.
#[derive(Debug, Args)]
pub struct Log {
    /// The tree.
    pub tree: PathBuf,
    /// At most this many heads.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub count: usize,
}

/// `odi-sign ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// The tree.
    pub tree: PathBuf,
    /// A folder or file of the catalog.
    #[arg(default_value = "")]
    pub path: String,
    /// Everything below it, not only what lies directly in it.
    #[arg(long, short)]
    pub recursive: bool,
}

/// `odi-sign diff`.
#[derive(Debug, Args)]
pub struct DiffHeads {
    /// The tree.
    pub tree: PathBuf,
    /// The older head's sequence number. Default: the one before the newest.
    pub from: Option<u64>,
    /// The newer one's. Default: the newest.
    pub to: Option<u64>,
}

/// `odi-sign label`.
#[derive(Debug, Args)]
pub struct Label {
    /// The tree.
    pub tree: PathBuf,
    /// The label.
    pub label: String,
    /// The head's sequence number. Default: the newest.
    pub seq: Option<u64>,
    /// Remove the label instead.
    #[arg(long, conflicts_with = "seq")]
    pub remove: bool,
    /// A release key.
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<PathBuf>,
    /// How long the head is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = some_lifetime)]
    pub expires: Duration,
    /// Who is asked first whether the catalog moved on.
    #[command(flatten)]
    pub others: Others,
}

/// `odi-sign revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The tree.
    pub tree: PathBuf,
    /// A path of the catalog whose present bytes are withdrawn, or a BLAKE3 as 64 hexadecimal digits.
    #[arg(value_name = "PATH|BLAKE3", required = true)]
    pub what: Vec<String>,
    /// Withdraw the paths themselves and all that lies below them, whatever they hold.
    #[arg(long)]
    pub paths: bool,
    /// A release or revoke key.
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<PathBuf>,
    /// Why.
    #[arg(long, value_enum, default_value_t)]
    pub reason: WhyRevoked,
    /// Who is asked first whether the catalog moved on.
    #[command(flatten)]
    pub others: Others,
}

/// Why something is withdrawn.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum WhyRevoked {
    /// No reason given.
    #[default]
    Unspecified,
    /// Malicious or tampered with.
    Compromised,
    /// The law demands it.
    Legal,
    /// Published by mistake, or withdrawn by its authors.
    Withdrawn,
    /// It holds secrets or personal data.
    Private,
}

/// `odi-sign trust ...`.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Say who may sign.
    Show(OneTree),
    /// Change who may sign: writes the next root of trust, or leaves it waiting for more root keys.
    Change(Box<TrustChange>),
    /// Add a root key's signature to a root of trust that waits for more.
    Countersign(Countersign),
}

/// `odi-sign trust change`.
#[derive(Debug, Args)]
pub struct TrustChange {
    /// The tree.
    pub tree: PathBuf,
    /// A present or new root key that signs the change.
    #[arg(long, value_name = "KEY", required = true)]
    pub root_key: Vec<PathBuf>,
    /// Let this key sign heads.
    #[arg(long, value_name = "PUB")]
    pub add_release: Vec<String>,
    /// Let this key sign heads no more. Begins a new epoch.
    #[arg(long, value_name = "PUB")]
    pub remove_release: Vec<String>,
    /// How many release keys must sign a head. Raising it begins a new epoch.
    #[arg(long, value_name = "N")]
    pub release_threshold: Option<u32>,
    /// Make this a root key.
    #[arg(long, value_name = "PUB")]
    pub add_root: Vec<String>,
    /// Make this a root key no more.
    #[arg(long, value_name = "PUB")]
    pub remove_root: Vec<String>,
    /// How many root keys must sign a change of trust.
    #[arg(long, value_name = "N")]
    pub root_threshold: Option<u32>,
    /// Let this key revoke, and do nothing else.
    #[arg(long, value_name = "PUB")]
    pub add_revoke: Vec<String>,
    /// Let this key revoke no more.
    #[arg(long, value_name = "PUB")]
    pub remove_revoke: Vec<String>,
    /// Add a directory's key as a witness.
    #[arg(long, value_name = "PUB")]
    pub add_witness: Vec<String>,
    /// Remove a witness.
    #[arg(long, value_name = "PUB")]
    pub remove_witness: Vec<String>,
    /// How many witnesses make a head fresh.
    #[arg(long, value_name = "N")]
    pub witness_quorum: Option<u32>,
    /// Begin a new epoch after this head: everything signed after it falls away. After a stolen key, the last
    /// head you know to be good.
    #[arg(long, value_name = "SEQ")]
    pub floor: Option<u64>,
    /// Drop a head that waits for signatures.
    #[arg(long)]
    pub discard_waiting: bool,
    /// How long the root of trust is good for.
    #[arg(long, value_name = "TIME", default_value = "400d", value_parser = some_lifetime)]
    pub expires: Duration,
    /// Who is asked first whether the catalog moved on.
    #[command(flatten)]
    pub others: Others,
}

/// `odi-sign trust countersign`.
#[derive(Debug, Args)]
pub struct Countersign {
    /// The tree.
    pub tree: PathBuf,
    /// A root key.
    #[arg(long, value_name = "KEY", required = true)]
    pub root_key: Vec<PathBuf>,
}

/// Reads a span of time such as `90d`, `36h`, `10m` or `45s`.
fn lifetime(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(unit_at);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("a number and one of s, m, h, d, w, such as 90d".to_owned()),
    };
    let count: u64 = count.parse().map_err(|_| "no number before the unit".to_owned())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "too long".to_owned())
}

/// The same where none at all makes no sense.
fn some_lifetime(text: &str) -> Result<Duration, String> {
    let span = lifetime(text)?;
    if span.is_zero() { Err("nothing is good for no time at all".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_of_time_are_read() {
        assert_eq!(lifetime("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(lifetime("45s"), Ok(Duration::from_secs(45)));
        for wrong in ["", "d", "90", "90y", "-1d", "99999999999999999999d", "9999999999999999w"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
        assert!(lifetime("0s").is_ok() && some_lifetime("0s").is_err());
    }
}
