//! From the command line to the functions that do the work: the only place of `odi-sign` that looks at the
//! environment, the clock and the terminal.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use odi_manifest::{Clock, RoleName, SystemClock};
use odi_wire::chain;
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::check::{CheckOutcome, check_origin, check_tree};
use super::cli::{Cli, Command, Import, Keygen, Publish, Trust, Verify};
use super::failure::Failure;
use super::import::{self, Filled, Imported, Lists};
use super::init::init;
use super::inspect::{diff, log, ls, status};
use super::key_file::{self, KeyFileError};
use super::next_head::check_signers;
use super::odi_folder::OdiFolder;
use super::outcome::{HeadOutcome, HeadState, KeygenOutcome};
use super::passphrase::PassphraseSource;
use super::progress::Bar;
use super::publish::{PublishRequest, publish};
use super::published::Published;
use super::pull::pull;
use super::push::push;
use super::requests;
use super::revise::{self, Revision, Withdrawal};
use super::scan_cache::cache_file;
use super::sign_waiting::sign_waiting;
use super::signers::{self, BoxedSigner};
use super::tree_disk::RealTreeDisk;
use super::trust_change::{self, TrustOutcome};

/// Runs one command and says what came of it: results on standard output, the reason of a failure on standard error.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let json = cli.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = if json { json_failure(&failure) } else { failure_text(&failure) };
            // Nobody is left to tell if even this cannot be written.
            let _unheard = writeln!(io::stderr(), "{text}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let disk = RealTreeDisk;
    let now = SystemClock.now();
    let mut passphrases = PassphraseSource::new(cli.passphrase_fd);
    let show = Show { json: cli.json };
    match cli.command {
        Command::Keygen(args) => show.outcome(&keygen(&args, &mut passphrases)?),
        Command::Init(args) => {
            let signers = signers::open("--root-key", &args.root_key, &mut passphrases)?;
            let root_keys = signers.iter().map(|signer| signer.public_key()).collect();
            let key = requests::private_half(&args.release_key);
            let mut begun = init(&disk, &requests::init(args, root_keys)?, &signers, now)?;
            begun.key = key;
            show.outcome(&begun)
        }
        Command::Publish(args) => {
            let signers = signers::open("--key", &args.key, &mut passphrases)?;
            show.outcome(&publish_tree(&args, &signers, Source::Tree)?)
        }
        Command::Import(args) => {
            let signers = signers::open("--key", &args.publish.key, &mut passphrases)?;
            import_tree(&args, &signers, &show)
        }
        Command::Sign(args) => {
            let signers = signers::open("--key", &args.key, &mut passphrases)?;
            show.outcome(&sign_waiting(&disk, &args.tree, &signers)?)
        }
        Command::Pull(args) => show.outcome(&pull(&disk, &args.tree, &args.url, args.replace)?),
        Command::Verify(args) => show.outcome(&verify_target(&args)?.judge(now)?),
        Command::Label(args) => {
            let signers = signers::open("--key", &args.key, &mut passphrases)?;
            let others = requests::others(&args.others);
            let revision = Revision { disk: &disk, tree: &args.tree, signers: &signers, others, now };
            let label = (args.label.as_str(), requests::label_target(&args));
            show.outcome(&revise::label(revision, label, args.expires)?)
        }
        Command::Revoke(args) => {
            let signers = signers::open("--key", &args.key, &mut passphrases)?;
            let others = requests::others(&args.others);
            let revision = Revision { disk: &disk, tree: &args.tree, signers: &signers, others, now };
            let reason = requests::reason(args.reason);
            let withdrawal = Withdrawal { what: &args.what, paths: args.paths, reason };
            show.outcome(&revise::revoke(revision, &withdrawal)?)
        }
        Command::Trust(command) => show.outcome(&trust(command, &mut passphrases)?),
        Command::Push(args) => show.outcome(&push(&args.tree, &args.urls)?),
        Command::Status(args) => show.outcome(&status(&args.tree, now)?),
        Command::Log(args) => show.outcome(&log(&args.tree, args.count)?),
        Command::Ls(args) => show.outcome(&ls(&args.tree, &args.path, args.recursive)?),
        Command::Diff(args) => show.outcome(&diff(&args.tree, args.from, args.to)?),
    }
}

fn trust(command: Trust, passphrases: &mut PassphraseSource) -> Result<TrustOutcome, Failure> {
    match command {
        Trust::Show(args) => trust_change::show(&args.tree),
        Trust::Change(args) => {
            let change = requests::trust_change(&args)?;
            let signers = signers::open("--root-key", &args.root_key, passphrases)?;
            let others = requests::others(&args.others);
            trust_change::change(&RealTreeDisk, &args.tree, &change, &signers, others, SystemClock.now())
        }
        Trust::Countersign(args) => {
            let signers = signers::open("--root-key", &args.root_key, passphrases)?;
            trust_change::countersign(&RealTreeDisk, &args.tree, &signers)
        }
    }
}

/// How results are shown.
struct Show {
    json: bool,
}

impl Show {
    fn outcome(&self, outcome: &(impl Serialize + std::fmt::Display)) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = if self.json {
            let text = serde_json::to_string(outcome).expect("outcomes are plain data");
            writeln!(out, "{text}")
        } else {
            writeln!(out, "{outcome}")
        };
        match written {
            // `odi-sign log | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::Output),
        }
    }
}

/// A failure and its causes, one per line.
fn failure_text(failure: &Failure) -> String {
    let mut text = format!("odi-sign: {failure}");
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text.push_str(&format!("\n  because {error}"));
        cause = error.source();
    }
    text
}

fn json_failure(failure: &Failure) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    serde_json::json!({"error": failure.to_string(), "causes": causes, "code": failure.exit_code()})
        .to_string()
}

fn keygen(args: &Keygen, passphrases: &mut PassphraseSource) -> Result<KeygenOutcome, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    let failed = |source: io::Error| KeyFileError::Io { verb: "make", path: args.out.clone(), source };
    getrandom::fill(seed.as_mut_slice()).map_err(|error| failed(io::Error::other(error)))?;
    let passphrase = if args.no_passphrase {
        None
    } else {
        let no_passphrase = |source| KeyFileError::NoPassphrase { path: args.out.clone(), source };
        Some(passphrases.chosen(&args.out).map_err(no_passphrase)?)
    };
    let public =
        key_file::create(&args.out, &seed, passphrase.as_ref().map(|text| text.as_str()), &args.comment)?;
    Ok(KeygenOutcome { key: args.out.clone(), public })
}

/// Publishes what somebody else puts into a tree.
fn import_tree(args: &Import, signers: &[BoxedSigner], show: &Show) -> Result<(), Failure> {
    let tree = args.publish.tree.as_path();
    // What will never work is said before anything is waited for.
    check_signers(&Published::load(&OdiFolder::of(tree))?, &[RoleName::Release], signers)?;
    let imported = listed(args)?;
    let filled = Filled { tree, settle: args.settle, marker: args.marker.as_deref(), workers: workers() };
    let publish = || {
        let mut outcome = publish_tree(&args.publish, signers, Source::Import(imported.as_ref()))?;
        for url in args.push.iter().filter(|_| outcome.state == HeadState::Published) {
            match push(tree, std::slice::from_ref(url)) {
                Ok(pushed) => outcome.done.push(pushed.to_string()),
                // It looks at the origin by itself, only later.
                Err(failure) => outcome.notes.push(format!("not handed over: {}", chain::of(&failure))),
            }
        }
        Ok(outcome)
    };
    if imported.is_some() {
        return show.outcome(&publish()?);
    }
    if args.watch {
        return import::watch(&filled, &publish, &|outcome| show.outcome(outcome));
    }
    show.outcome(&import::once(&filled, &publish)?)
}

/// Downloads what is new on lists, if there are any.
fn listed(args: &Import) -> Result<Option<Imported>, Failure> {
    if args.list.is_empty() {
        return Ok(None);
    }
    let tree = args.publish.tree.as_path();
    import::prepare(&Lists {
        tree,
        files: &args.list,
        base: args.base.as_ref(),
        into: args.into.as_deref(),
        complete: args.complete,
        known: cache_folder().and_then(|folder| cache_file(&folder, "import", tree).ok()),
        now: SystemClock.now(),
    })
    .map(Some)
}

/// Who put there what is published.
enum Source<'a> {
    /// Its maintainer, who is done.
    Tree,
    /// Others, and what lists say lies elsewhere.
    Import(Option<&'a Imported>),
}

fn publish_tree(args: &Publish, signers: &[BoxedSigner], source: Source<'_>) -> Result<HeadOutcome, Failure> {
    let cache = cache_folder();
    let request = PublishRequest {
        tree: &args.tree,
        signers,
        now: SystemClock.now(),
        expires: args.expires,
        renew: args.renew,
        rehash: args.rehash,
        discard_waiting: args.discard_waiting,
        directories: &args.others.directory,
        offline: args.others.offline,
        keep_replaced: args.keep_replaced,
        description: &requests::description(&args.description),
        cache: cache.as_deref(),
        steady: matches!(source, Source::Import(_)),
        imported: match source {
            Source::Tree => None,
            Source::Import(imported) => imported,
        },
        workers: workers(),
        progress: &Bar::default(),
    };
    publish(&RealTreeDisk, &request)
}

fn verify_target(args: &Verify) -> Result<CheckOutcome, Failure> {
    let with_files = !args.records_only;
    match Url::parse(&args.target) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => check_origin(&url, args.catalog, with_files),
        _ => check_tree(Path::new(&args.target), args.catalog, with_files, workers(), &Bar::default()),
    }
}

/// The user's cache folder for ODI, as the XDG base directory specification has it.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("odi"))
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
