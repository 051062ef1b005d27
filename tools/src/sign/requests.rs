//! From arguments as they were typed to requests with keys, labels and numbers in them.

use odi_manifest::{KeyLine, PublicKey, Reason};

use super::cli::{self, Init, Label, TrustChange, WhyRevoked};
use super::description::Description;
use super::init::InitRequest;
use super::key_file::{self, KeyFileError};
use super::others::Others;
use super::revise::LabelTarget;
use super::trust_change::{self, RoleChange};

/// Public keys given as lines or files, with their comments.
fn lines(texts: &[String]) -> Result<Vec<KeyLine>, KeyFileError> {
    texts.iter().map(|text| key_file::read_public(text)).collect()
}

/// The same without comments.
fn keys(texts: &[String]) -> Result<Vec<PublicKey>, KeyFileError> {
    Ok(lines(texts)?.into_iter().map(|line| line.key).collect())
}

pub(crate) fn init(args: Init, root_keys: Vec<PublicKey>) -> Result<InitRequest, KeyFileError> {
    Ok(InitRequest {
        release_keys: keys(&args.release_key)?,
        revoke_keys: keys(&args.revoke_key)?,
        witnesses: lines(&args.witness)?,
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

pub(crate) fn trust_change(args: &TrustChange) -> Result<trust_change::TrustChange, KeyFileError> {
    let role = |add: &[String], remove: &[String], threshold| -> Result<RoleChange, KeyFileError> {
        Ok(RoleChange { add: keys(add)?, remove: keys(remove)?, threshold })
    };
    Ok(trust_change::TrustChange {
        root: role(&args.add_root, &args.remove_root, args.root_threshold)?,
        release: role(&args.add_release, &args.remove_release, args.release_threshold)?,
        revoke: role(&args.add_revoke, &args.remove_revoke, None)?,
        add_witnesses: lines(&args.add_witness)?,
        remove_witnesses: keys(&args.remove_witness)?,
        witness_quorum: args.witness_quorum,
        floor: args.floor,
        discard_waiting: args.discard_waiting,
        expires: args.expires,
    })
}
