//! The command line of `odi`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use odi_manifest::CatalogId;
use url::Url;

use crate::{bench, simulate};

/// Runs an ODI network on one machine, and gets and verifies artifacts from anybody's.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 wrong signature, 4 behind what was seen before, 5 stale, 6 two histories, 7 no right bytes,
/// 8 unavailable, 9 no such artifact, 10 revoked.
#[derive(Debug, Parser)]
#[command(name = "odi", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a maintainer, an origin, two directories and three relays on this machine.
    Demo(DemoArgs),
    /// Gets an artifact and keeps it only if every byte is what the maintainers signed.
    Get(GetArgs),
    /// Checks that a file is what the maintainers signed.
    Verify(VerifyArgs),
    /// Measures the parts that must be fast, on this machine, beside their targets.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        what: Bench,
    },
    /// Looks after a daemon's store while the daemon is down.
    Store {
        /// What to do with it.
        #[command(subcommand)]
        what: Store,
    },
    /// Writes man pages and shell completions of all programs below a folder, such as /usr/local/share.
    Manuals {
        /// The folder.
        share: PathBuf,
    },
    /// Lets a day of a large network pass, with the code that directories place and choose relays by.
    Simulate(simulate::Args),
    /// Shows what a relay or a directory is doing.
    Status(StatusArgs),
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Reads everything back and says what is damaged.
    Check {
        /// The store's folder, `store` in a daemon's `data_dir`.
        dir: PathBuf,
        /// Makes the index anew from the packs first.
        #[arg(long)]
        rebuild: bool,
    },
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Building, changing, proving and looking up a manifest.
    Manifest(bench::manifest::Args),
    /// How fast trees are hashed and published.
    Publish(bench::publish::Args),
    /// What a directory's redirects cost beside nginx's.
    Redirect(bench::redirect::Args),
    /// What a relay's bytes and requests cost beside nginx's.
    Serve(bench::serve::Args),
    /// Mixed load for a while, with everything around going wrong: nothing wrong, nothing lost, no budget exceeded.
    Soak(bench::soak::Args),
    /// Taking in a tree beside other stores, small files, and reopening after `kill -9`.
    Store(bench::store::Args),
    /// Many relays that lack everything at once, over shaped links.
    Swarm(bench::swarm::Args),
}

/// Arguments of `odi demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Publishes this tree instead of a sample; nothing is written into it.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Downloads every artifact through each directory as an ordinary client would, checks it, and ends.
    #[arg(long)]
    pub once: bool,
}

/// Whom to believe, and whom to ask.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The catalog's id, from the maintainers. Without it the directory's word is taken, once.
    #[arg(long, value_name = "ID")]
    pub catalog: Option<CatalogId>,
    /// Another directory that follows the catalog; may be given again.
    #[arg(long = "directory", value_name = "URL")]
    pub directories: Vec<Url>,
    /// Takes a catalog that has expired or that too few witnesses have confirmed lately.
    #[arg(long)]
    pub allow_stale: bool,
    /// Where to remember the newest head seen; your state folder if not given.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Goes to private addresses too: for networks of your own.
    #[arg(long)]
    pub allow_private_addresses: bool,
}

/// Arguments of `odi get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The artifact's URL at a directory: https://DIRECTORY/NAME/PATH, or with NAME@SEQ or a pin in place of NAME.
    pub url: Url,
    /// Where to, `-` for standard output; the last part of the path if not given.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Whom to believe, and whom to ask.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Arguments of `odi verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The file.
    pub file: PathBuf,
    /// The artifact's URL at a directory: https://DIRECTORY/NAME/PATH, or with NAME@SEQ or a pin in place of NAME.
    pub url: Url,
    /// Whom to believe, and whom to ask.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Arguments of `odi status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The daemon's base URL. Of several directories it says who is behind.
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<Url>,
    /// Waits until the daemon is in this state.
    #[arg(long)]
    pub wait: Option<Wait>,
    /// Gives up waiting after this long.
    #[arg(long, default_value = "60s", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// Prints the daemon's JSON document as it is.
    #[arg(long)]
    pub json: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Wait {
    /// It serves what it should.
    Ready,
}

/// Reads `90`, `90s`, `5m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match text.strip_prefix(digits).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("`{text}` is no duration: say 90s, 5m or 2h")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no duration: say 90s, 5m or 2h"))?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("5mm").is_err() && duration("m").is_err() && duration("1d").is_err());
    }
}
