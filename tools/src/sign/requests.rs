//! From arguments as they were typed to requests with keys, labels and numbers in them.

use std::path::PathBuf;

use odi_manifest::{KeyLine, PublicKey, Reason};

use super::cli::{self, Init, Label, TrustChange, WhyRevoked};
use super::description::Description;
use super::failure::Failure;
use super::init::InitRequest;
use super::key_file;
use super::others::Others;
use super::revise::LabelTarget;
use super::trust_change::{self, RoleChange};

const PUBLIC_KEY: &str = "a public key: an ssh-ed25519 line, or the .pub file that holds one";

/// Public keys given as lines or files, with their comments.
fn lines(flag: &'static str, texts: &[String]) -> Result<Vec<KeyLine>, Failure> {
    let not_usable = |source| Failure::KeyArgument { flag, expected: PUBLIC_KEY, source };
    texts.iter().map(|text| key_file::read_public(text).map_err(not_usable)).collect()
}

/// The same without comments.
fn keys(flag: &'static str, texts: &[String]) -> Result<Vec<PublicKey>, Failure> {
    Ok(lines(flag, texts)?.into_iter().map(|line| line.key).collect())
}

pub(crate) fn init(args: Init, root_keys: Vec<PublicKey>) -> Result<InitRequest, Failure> {
    Ok(InitRequest {
        release_keys: keys("--release-key", &args.release_key)?,
        revoke_keys: keys("--revoke-key", &args.revoke_key)?,
        witnesses: lines("--witness", &args.witness)?,
        tree: args.tree,
        name: args.name,
        root_keys,
        root_threshold: args.root_threshold,
        release_threshold: args.release_threshold,
        witness_quorum: args.witness_quorum,
        expires: args.expires,
        description: description(&args.description),
    })
}

/// Where the private half of the first release key probably lies.
pub(crate) fn private_half(release_keys: &[String]) -> Option<PathBuf> {
    let private = PathBuf::from(release_keys.first()?.strip_suffix(".pub")?);
    private.is_file().then_some(private)
}

pub(crate) fn description(args: &cli::Description) -> Description {
    Description {
        origins: args.origin.iter().map(ToString::to_string).collect(),
        tags: args.tag.clone(),
        title: args.title.clone(),
        home: args.home.as_ref().map(ToString::to_string),
    }
}

pub(crate) fn others(args: &cli::Others) -> Others<'_> {
    Others { directories: &args.directory, offline: args.offline }
}

pub(crate) fn label_target(args: &Label) -> LabelTarget {
    match args.seq {
        _ if args.remove => LabelTarget::Nothing,
        Some(seq) => LabelTarget::Head(seq),
        None => LabelTarget::Newest,
    }
}

pub(crate) const fn reason(why: WhyRevoked) -> Reason {
    match why {
        WhyRevoked::Unspecified => Reason::UNSPECIFIED,
        WhyRevoked::Compromised => Reason::COMPROMISED,
        WhyRevoked::Legal => Reason::LEGAL,
        WhyRevoked::Withdrawn => Reason::WITHDRAWN,
        WhyRevoked::Private => Reason::PRIVATE,
    }
}

pub(crate) fn trust_change(args: &TrustChange) -> Result<trust_change::TrustChange, Failure> {
    Ok(trust_change::TrustChange {
        root: RoleChange {
            add: keys("--add-root", &args.add_root)?,
            remove: keys("--remove-root", &args.remove_root)?,
            threshold: args.root_threshold,
        },
        release: RoleChange {
            add: keys("--add-release", &args.add_release)?,
            remove: keys("--remove-release", &args.remove_release)?,
            threshold: args.release_threshold,
        },
        revoke: RoleChange {
            add: keys("--add-revoke", &args.add_revoke)?,
            remove: keys("--remove-revoke", &args.remove_revoke)?,
            threshold: None,
        },
        add_witnesses: lines("--add-witness", &args.add_witness)?,
        remove_witnesses: keys("--remove-witness", &args.remove_witness)?,
        witness_quorum: args.witness_quorum,
        floor: args.floor,
        discard_waiting: args.discard_waiting,
        expires: args.expires,
    })
}
