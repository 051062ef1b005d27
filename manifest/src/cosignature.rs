//! Cosignatures: a directory's signed word that a head is the largest it has seen, and what a quorum of them is worth.
//!
//! A quorum never decides whether a head is followed, only whether it counts as fresh: a frozen view lacks recent
//! cosignatures, and no maintainer key has to be online to make them (FORMAT.md § Freshness).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adoption::Mark;
use crate::clock::Timestamp;
use crate::envelope::RecordKind;
use crate::head::Head;
use crate::ids::{CatalogId, HeadId};
use crate::key::PublicKey;
use crate::record::{BrokenRule, Record, Unverified};
use crate::trust::TrustRoot;
use crate::verify::{Role, Verified, VerifyError, verify};

/// How long a cosignature counts.
pub const COSIGNATURE_LIFE: Duration = Duration::from_secs(48 * 3600);

/// How far ahead of the own clock a cosignature's time may be.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// "As of time `t`, this is the largest head that I have seen of this catalog."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosig {
    /// When it was said.
    pub t: Timestamp,
    /// The record's version, 1.
    pub v: u8,
    /// The catalog.
    #[serde(rename = "cat")]
    pub catalog: CatalogId,
    /// The head's sequence number.
    pub seq: u64,
    /// The head.
    pub head: HeadId,
    /// The epoch in which the head stands ([`Mark`]).
    pub epoch: u64,
}

impl Record for Cosig {
    const KIND: RecordKind = RecordKind::Cosig;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "a cosignature's record version is not 1")?;
        BrokenRule::unless(self.seq >= 1 && self.epoch >= 1, "a cosignature's place is 0")
    }
}

impl Cosig {
    /// What a witness says when this is the largest head it has seen, **and has stored so**: a witness that answers
    /// before its mark is durable equivocates when it crashes.
    #[must_use]
    pub const fn of(catalog: CatalogId, mark: &Mark, now: Timestamp) -> Self {
        Self { t: now, v: 1, catalog, seq: mark.seq, head: mark.head, epoch: mark.epoch }
    }
}

/// A cosignature and the listed witness that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    witness: PublicKey,
    cosig: Verified<Cosig>,
}

impl Cosignature {
    /// Who says it.
    #[must_use]
    pub const fn witness(&self) -> &PublicKey {
        &self.witness
    }

    /// What it says.
    #[must_use]
    pub const fn cosig(&self) -> &Verified<Cosig> {
        &self.cosig
    }
}

impl TrustRoot {
    /// Verifies a cosignature against the newest root's witnesses.
    ///
    /// # Errors
    /// None of them made it, or it speaks of another catalog.
    pub fn verify_cosig(&self, cosig: &Unverified<Cosig>) -> Result<Cosignature, CosigRefusal> {
        if cosig.claims().catalog != *self.catalog() {
            return Err(CosigRefusal::WrongCatalog);
        }
        let listed = self.root().witnesses.iter().map(|witness| Role::witness(witness.key));
        let mut refusal = CosigRefusal::NoWitness;
        for role in listed {
            match verify(cosig, &role) {
                Ok(cosig) => {
                    let witness = role.keys().first().copied().expect("a witness role has one key");
                    return Ok(Cosignature { witness, cosig });
                }
                Err(error @ VerifyError::SignedTwice { .. }) => refusal = CosigRefusal::Signature(error),
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

/// A cosignature that counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CosigRefusal {
    /// It speaks of another catalog.
    #[error("the cosignature belongs to another catalog")]
    WrongCatalog,
    /// None of the root's witnesses made it.
    #[error("the cosignature is by none of the witnesses that the catalog's root names")]
    NoWitness,
    /// A witness made it, improperly.
    #[error("the cosignature is improperly signed")]
    Signature(#[source] VerifyError),
}

/// Whether a head may be taken for the newest there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A quorum of witnesses saw it recently.
    Fresh {
        /// How many distinct witnesses vouch for it.
        witnesses: usize,
        /// Until when, if no further cosignature comes.
        until: Timestamp,
    },
    /// It may have been withheld from us that there is a newer one.
    Stale(Staleness),
    /// The root asks for no witnesses: unexpired, with no freeze protection.
    Unprotected {
        /// When the head or the root expires.
        until: Timestamp,
    },
}

/// Why a head is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The head expired.
    HeadExpired,
    /// The root expired.
    RootExpired,
    /// Fewer witnesses than the quorum vouch for it.
    TooFewWitnesses {
        /// The quorum.
        needed: usize,
        /// How many do.
        have: usize,
    },
}

/// Judges how fresh a held head is, given the cosignatures that are known.
#[must_use]
pub fn freshness(
    trust: &TrustRoot,
    held: &Verified<Head>,
    cosignatures: &[Cosignature],
    now: Timestamp,
) -> Freshness {
    let now = trusted_now(cosignatures, now);
    if trust.is_expired(now) {
        return Freshness::Stale(Staleness::RootExpired);
    }
    if held.expires <= now {
        return Freshness::Stale(Staleness::HeadExpired);
    }
    let expires = held.expires.min(trust.root().expires);
    let needed = usize::try_from(trust.root().witness_quorum).unwrap_or(usize::MAX);
    if needed == 0 {
        return Freshness::Unprotected { until: expires };
    }
    let mut times: Vec<Timestamp> = newest_per_witness(trust, &held.id(), cosignatures, now).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    match times.get(needed - 1) {
        Some(oldest) => {
            Freshness::Fresh { witnesses: times.len(), until: oldest.plus(COSIGNATURE_LIFE).min(expires) }
        }
        None => Freshness::Stale(Staleness::TooFewWitnesses { needed, have: times.len() }),
    }
}

/// The own clock, or the newest believable cosignature's time if that is ahead: a clock that was set back must not
/// make an old head fresh.
#[must_use]
pub fn trusted_now(cosignatures: &[Cosignature], now: Timestamp) -> Timestamp {
    let latest = now.plus(CLOCK_SKEW_MAX);
    cosignatures
        .iter()
        .map(|cosignature| cosignature.cosig.t)
        .filter(|t| *t <= latest)
        .fold(now, Timestamp::max)
}

/// When each witness last vouched for this head, within the time that counts.
fn newest_per_witness(
    trust: &TrustRoot,
    head: &HeadId,
    cosignatures: &[Cosignature],
    now: Timestamp,
) -> impl Iterator<Item = Timestamp> {
    let mut newest: BTreeMap<PublicKey, Timestamp> = BTreeMap::new();
    for Cosignature { witness, cosig } in cosignatures {
        let listed = trust.root().witnesses.iter().any(|known| known.key == *witness);
        let timely = cosig.t <= now.plus(CLOCK_SKEW_MAX) && now.since(cosig.t) <= COSIGNATURE_LIFE;
        if listed && timely && cosig.head == *head && cosig.catalog == *trust.catalog() {
            let time = newest.entry(*witness).or_insert(cosig.t);
            *time = (*time).max(cosig.t);
        }
    }
    newest.into_values()
}
