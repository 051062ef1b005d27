//! Proof that a catalog's release keys signed two heads of one number: it verifies offline, from the catalog's id alone.
//!
//! Equivocation is evidence, not a latch: holders keep following the head they hold, and anyone can show both. The
//! proof carries the roots, because they are what makes its signatures mean something.

use crate::cbor::{CborError, Reader, Writer};
use crate::head::Head;
use crate::ids::{CatalogId, HeadId};
use crate::record::{RecordError, Unverified};
use crate::root::Root;
use crate::trust::{ROOTS_MAX, RootRefusal, TrustRoot};
use crate::verify::{RoleName, Verified, verify};

/// The largest encoded proof, in bytes.
pub const EQUIVOCATION_BYTES_MAX: usize = 1024 * 1024;

/// Two heads of one catalog, epoch and sequence number, and the roots under which both are signed.
/// `["odi-equivocation-1", [root envelope, ...], head envelope, head envelope]`, the head with the smaller id first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    roots: Vec<Unverified<Root>>,
    heads: [Unverified<Head>; 2],
}

const MAGIC: &str = "odi-equivocation-1";

/// Bytes that prove no equivocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// Not a proof's encoding.
    #[error("the proof is malformed")]
    Cbor(#[from] CborError),
    /// One of its records is not well-formed.
    #[error("a record of the proof is no good")]
    Record(#[from] RecordError),
    /// Its roots do not lead from the catalog's id.
    #[error("the proof's roots do not belong to the catalog")]
    Roots(#[from] RootRefusal),
    /// It has no roots.
    #[error("the proof has no roots")]
    NoRoots,
    /// Its heads are one, or differ in catalog, epoch or number, or stand in the wrong order.
    #[error("the proof's heads do not contradict each other")]
    NoContradiction,
    /// A head without the release keys' signatures under any root of its epoch.
    #[error("a head of the proof is not signed by the catalog's release keys")]
    Unsigned,
}

impl Equivocation {
    /// The proof that two verified heads contradict each other; `None` if they do not, if one of them is believed for
    /// another reason than release signatures, or if the roots would not fit into a proof.
    #[must_use]
    pub fn between(trust: &TrustRoot, a: &Verified<Head>, b: &Verified<Head>) -> Option<Self> {
        let mut heads = [a, b];
        heads.sort_by_key(|head| head.id());
        let heads = heads.map(Verified::unverified);
        let roots = trust.roots().iter().map(Verified::unverified).collect();
        let proof = Self { roots, heads };
        let proves = proof.check_heads(trust).is_ok() && proof.encode().len() <= EQUIVOCATION_BYTES_MAX;
        proves.then_some(proof)
    }

    /// Checks the whole proof against nothing but a catalog's id, and says which number the keys used twice.
    ///
    /// # Errors
    /// It proves nothing.
    pub fn verify(&self, catalog: CatalogId) -> Result<u64, EquivocationError> {
        let (first, later) = self.roots.split_first().ok_or(EquivocationError::NoRoots)?;
        let mut trust = TrustRoot::begin(catalog, first)?;
        later.iter().try_for_each(|root| trust.rotate(root))?;
        self.check_heads(&trust)
    }

    fn check_heads(&self, trust: &TrustRoot) -> Result<u64, EquivocationError> {
        let [a, b] = self.heads.each_ref().map(Unverified::claims);
        let place = |head: &Head| (head.catalog, head.epoch, head.seq);
        let ordered = self.heads[0].id() < self.heads[1].id();
        if a.catalog != *trust.catalog() || place(a) != place(b) || !ordered {
            return Err(EquivocationError::NoContradiction);
        }
        let signed = self.heads.iter().all(|head| was_signed(trust, head));
        if signed { Ok(a.seq) } else { Err(EquivocationError::Unsigned) }
    }

    /// The two heads, the one with the smaller id first.
    #[must_use]
    pub const fn heads(&self) -> &[Unverified<Head>; 2] {
        &self.heads
    }

    /// Their ids, in the same order.
    #[must_use]
    pub fn head_ids(&self) -> [HeadId; 2] {
        self.heads.each_ref().map(|head| head.id())
    }

    /// The proof's one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(4).text(MAGIC).expect("ASCII is NFC").array(self.roots.len());
        for root in &self.roots {
            writer.bytes(&root.encode());
        }
        for head in &self.heads {
            writer.bytes(&head.encode());
        }
        writer.into_bytes()
    }

    /// Reads a proof. It proves nothing before [`verify`](Self::verify).
    ///
    /// # Errors
    /// The bytes are not one proof of at most [`EQUIVOCATION_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EquivocationError> {
        let mut reader = Reader::new(bytes.get(..EQUIVOCATION_BYTES_MAX.min(bytes.len())).unwrap_or(bytes));
        reader.array_of(4, "a proof of 4 elements")?;
        if reader.text()? != MAGIC {
            return Err(EquivocationError::Cbor(reader.expected("the name of this proof")));
        }
        let count = reader.array()?;
        if count > ROOTS_MAX {
            return Err(EquivocationError::Roots(RootRefusal::TooMany));
        }
        let mut roots = Vec::new();
        for _ in 0..count {
            roots.push(Unverified::decode(reader.bytes()?)?);
        }
        let heads = [Unverified::decode(reader.bytes()?)?, Unverified::decode(reader.bytes()?)?];
        reader.end()?;
        Ok(Self { roots, heads })
    }
}

/// Whether release keys of some root of the head's epoch signed it. (Within an epoch they only gain members, so that
/// a head signed under an earlier root of the epoch may still be one that followers adopted.)
fn was_signed(trust: &TrustRoot, head: &Unverified<Head>) -> bool {
    let of_epoch = trust.roots().iter().filter(|root| root.epoch == head.claims().epoch);
    of_epoch.filter_map(|root| root.role(RoleName::Release)).any(|release| verify(head, &release).is_ok())
}
