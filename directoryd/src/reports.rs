//! What is held against relays: this directory's own list of those that were shut out and its audits, signed and kept in
//! `data_dir/denied.cbor` and `data_dir/audits.cbor`, and those of its peers.
//!
//! Invariants
//! - The own list is durable before anybody sees it, so that its generation rises over restarts too.
//! - A list of others decides nothing here (wire/PROTOCOL.md § Between directories).

pub(crate) mod heard;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use odi_manifest::{BlobId, PublicKey, SigningKey, Timestamp, cbor};
use odi_wire::message::{
    Audit, DENIED_RELAYS_MAX, DeniedRelay, Deny, encode_passed, open_from, split_passed, state,
};
use odi_wire::off_worker::off_worker;
use odi_wire::{chain, private_file};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::directory::Directory;
use crate::roster::{Decision, Verdict};
use heard::{Heard, Kept};

/// What is published: the answer to `GET relays/reports`, and its hash.
pub(crate) type Published = Arc<(BlobId, Bytes)>;

/// What another directory holds against a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryReport {
    /// Which directory.
    pub by: PublicKey,
    /// Since when.
    pub at: Timestamp,
    /// Whether the relay may not even register there.
    pub removed: bool,
    /// Why, in the words of its operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A directory saw a relay give wrong bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Which directory.
    pub by: PublicKey,
    /// When.
    pub at: Timestamp,
    /// Where.
    pub url: String,
    /// Whether it saw that itself.
    pub own: bool,
    /// The other relays that saw it.
    pub seen: Vec<PublicKey>,
}

/// Everything that is held against relays.
#[derive(Debug)]
pub(crate) struct Reports {
    id: PublicKey,
    file: PathBuf,
    audits_file: PathBuf,
    /// Held while the audits are written, so that none is lost.
    writing: tokio::sync::Mutex<()>,
    own: Mutex<Option<Own>>,
    heard: Mutex<Heard>,
    published: watch::Sender<Published>,
}

#[derive(Clone, Debug)]
struct Own {
    deny: Arc<Deny>,
    envelope: Bytes,
}

impl Reports {
    /// What was kept. Blocking.
    ///
    /// # Errors
    /// The operating system's. A file that is not this directory's own list is set aside with a warning.
    pub(crate) fn open(data_dir: &Path, id: &PublicKey) -> io::Result<Self> {
        let file = data_dir.join("denied.cbor");
        let kept = private_file::read(&file)?;
        let own = kept.and_then(|envelope| match open_from::<Deny>(&envelope, id) {
            Ok(deny) => Some(Own { deny: Arc::new((*deny).clone()), envelope: envelope.into() }),
            Err(error) => {
                tracing::warn!(path = %file.display(), error = chain::of(&error), "a list of denied relays does not read, and is made anew");
                None
            }
        });
        let audits_file = data_dir.join("audits.cbor");
        let mut heard = Heard::default();
        let kept = private_file::read(&audits_file)?.unwrap_or_default();
        for envelope in split_passed(&kept).unwrap_or_default() {
            match open_from::<Audit>(envelope, id) {
                Ok(audit) => _ = heard.take_audit(&audit, Bytes::copy_from_slice(envelope), audit.t),
                Err(error) => {
                    tracing::warn!(path = %audits_file.display(), error = chain::of(&error), "an audit does not read");
                }
            }
        }
        let (published, _) = watch::channel(Arc::new(answer_of(own.as_ref(), &heard, id)));
        Ok(Self {
            id: *id,
            file,
            audits_file,
            writing: tokio::sync::Mutex::default(),
            own: Mutex::new(own),
            heard: Mutex::new(heard),
            published,
        })
    }

    /// Signs, keeps and publishes what was seen at a relay.
    pub(crate) async fn add(&self, directory: &Directory, audit: Audit) {
        let now = audit.t;
        let signed = state(audit, &directory.identity).map_err(|error| chain::of(&error));
        let opened = signed.and_then(|envelope| {
            let audit = open_from::<Audit>(&envelope, &self.id).map_err(|error| chain::of(&error))?;
            Ok((audit, envelope))
        });
        match opened {
            Ok((audit, envelope)) => _ = self.heard().take_audit(&audit, envelope.into(), now),
            Err(error) => return tracing::error!(error, "BUG: what was seen at a relay cannot be signed"),
        }
        self.write_audits().await;
        self.publish();
    }

    /// Forgets what was seen too long ago.
    pub(crate) async fn forget(&self, now: Timestamp) {
        let whose = self.heard().forget(now);
        if whose.contains(&self.id) {
            self.write_audits().await;
        }
        if !whose.is_empty() {
            self.publish();
        }
    }

    async fn write_audits(&self) {
        let _alone = self.writing.lock().await;
        let all = encode_passed(self.heard().audits(&self.id).map(|kept| kept.envelope.as_ref()));
        let file = self.audits_file.clone();
        if let Err(error) = off_worker(move || private_file::replace(&file, &all)).await {
            tracing::error!(%error, "what was seen at relays cannot be kept");
        }
    }

    /// Who saw a relay give wrong bytes, the last first.
    pub(crate) fn audits_of(&self, relay: &PublicKey) -> Vec<AuditReport> {
        let heard = self.heard();
        let report = |kept: &Kept| AuditReport {
            by: kept.audit.by,
            at: kept.audit.t,
            url: kept.audit.url.clone(),
            own: kept.audit.own,
            seen: kept.audit.seen.clone(),
        };
        let mut reports: Vec<AuditReport> = heard.audits_of(relay).map(report).collect();
        reports.sort_by_key(|report| std::cmp::Reverse(report.at));
        reports
    }

    /// The answer of now, and when it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// What other directories say.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What other directories hold against a relay.
    pub(crate) fn of(&self, relay: &PublicKey) -> Vec<DirectoryReport> {
        let heard = self.heard();
        let report = |(by, denied): (PublicKey, &DeniedRelay)| DirectoryReport {
            by,
            at: denied.at,
            removed: denied.removed,
            why: denied.why.clone(),
        };
        heard.of(relay).map(report).collect()
    }

    /// How many relays each directory speaks against; this one first.
    pub(crate) fn counts(&self, id: PublicKey) -> Vec<(PublicKey, usize)> {
        let own = self.own().as_ref().map_or(0, |own| own.deny.relays.len());
        std::iter::once((id, own)).chain(self.heard().counts()).collect()
    }

    /// Publishes what has changed.
    pub(crate) fn publish(&self) {
        let answer = answer_of(self.own().as_ref(), &self.heard(), &self.id);
        self.published.send_if_modified(|published| {
            let changes = published.0 != answer.0;
            if changes {
                *published = Arc::new(answer);
            }
            changes
        });
    }

    /// Signs, keeps and publishes the operator's decisions, if they are others than are published.
    pub(crate) async fn keep(&self, directory: &Directory, now: Timestamp) {
        let relays = denied(directory.relays.roster().decisions());
        let former = self.own().clone();
        let is_new = former.as_ref().map_or(!relays.is_empty(), |former| former.deny.relays != relays);
        if !is_new {
            return;
        }
        let generation = former.map_or(0, |former| former.deny.generation);
        let made = made(relays, generation, &directory.identity, now);
        let file = self.file.clone();
        let written = match made {
            Ok(own) => {
                let envelope = own.envelope.clone();
                let written = off_worker(move || private_file::replace(&file, &envelope)).await;
                written.map(|()| own)
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(own) => *self.own() = Some(own),
            Err(error) => {
                tracing::error!(%error, "the list of denied relays cannot be written, and stays as it was");
                return;
            }
        }
        self.publish();
    }

    fn own(&self) -> MutexGuard<'_, Option<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer_of(own: Option<&Own>, heard: &Heard, id: &PublicKey) -> (BlobId, Bytes) {
    let lists = own.map(|own| own.envelope.as_ref()).into_iter().chain(heard.envelopes());
    let audits = heard.audits(id).chain(heard.audits_of_others(id)).map(|kept| kept.envelope.as_ref());
    let answer = encode_passed(lists.chain(audits));
    (BlobId::of(&answer), answer.into())
}

/// The relays that an operator shut out, ascending; of too many those decided last.
fn denied(decisions: &BTreeMap<PublicKey, Decision>) -> Vec<DeniedRelay> {
    let denied = |(relay, decision): (&PublicKey, &Decision)| {
        let removed = match decision.verdict {
            Verdict::Approved => return None,
            Verdict::Quarantined => false,
            Verdict::Removed => true,
        };
        // A statement's texts are normalized, and an operator's may be anything.
        let why = decision.why.clone().filter(|why| cbor::to_vec(why).is_ok());
        Some(DeniedRelay { relay: *relay, at: decision.at, removed, why })
    };
    let mut denied: Vec<DeniedRelay> = decisions.iter().filter_map(denied).collect();
    if denied.len() > DENIED_RELAYS_MAX {
        denied.sort_by_key(|denied| std::cmp::Reverse(denied.at));
        denied.truncate(DENIED_RELAYS_MAX);
        denied.sort_by_key(|denied| denied.relay);
    }
    denied
}

/// The list after one of that generation. It follows the clock where it can, so that one restored from a backup soon overtakes what
/// others remember.
fn made(relays: Vec<DeniedRelay>, former: u64, identity: &SigningKey, now: Timestamp) -> io::Result<Own> {
    let generation = former.saturating_add(1).max(now.0);
    let deny = Deny { v: 1, dir: identity.public_key(), generation, t: now, relays };
    let envelope = state(deny.clone(), identity).map_err(io::Error::other)?;
    Ok(Own { deny: Arc::new(deny), envelope: envelope.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> PublicKey {
        SigningKey::from_seed(blake3::hash(&n.to_le_bytes()).as_bytes()).public_key()
    }

    fn decided(verdict: Verdict, why: Option<&str>, at: u64) -> Decision {
        Decision { verdict, why: why.map(str::to_owned), at: Timestamp(at) }
    }

    #[test]
    fn who_is_let_in_is_not_in_the_list_and_what_cannot_be_written_is_left_out() {
        let decisions = BTreeMap::from([
            (key(1), decided(Verdict::Approved, Some("ours"), 1)),
            (key(2), decided(Verdict::Quarantined, Some("e\u{301}"), 2)),
            (key(3), decided(Verdict::Removed, Some("gone"), 3)),
        ]);
        let relays = denied(&decisions);
        let of = |n| relays.iter().find(|denied| denied.relay == key(n));
        assert!(of(1).is_none());
        assert_eq!(of(2).map(|denied| (denied.removed, denied.why.clone())), Some((false, None)));
        assert_eq!(of(3).map(|denied| (denied.removed, denied.why.as_deref())), Some((true, Some("gone"))));
        let identity = SigningKey::from_seed(&[1; 32]);
        let own = made(relays, 7, &identity, Timestamp(5)).unwrap();
        assert_eq!(own.deny.generation, 8, "a clock that was set back");
        assert!(open_from::<Deny>(&own.envelope, &identity.public_key()).is_ok());
    }

    #[test]
    fn of_too_many_the_last_are_named_and_they_fit() {
        let why = "x".repeat(500);
        let decide = |n: usize| (key(n), decided(Verdict::Quarantined, Some(&why), n as u64));
        let relays = denied(&(0..1500).map(decide).collect());
        assert_eq!(relays.len(), DENIED_RELAYS_MAX);
        assert!(relays.iter().all(|denied| denied.at.0 >= 500));
        assert!(made(relays, 0, &SigningKey::from_seed(&[1; 32]), Timestamp(5)).is_ok());
    }
}
