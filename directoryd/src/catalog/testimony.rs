//! What this directory shows of a catalog to whoever compares: the newest head, who vouches for which, and proofs that its
//! keys contradict themselves (wire/PROTOCOL.md § Testimony).

use std::sync::Arc;

use odi_manifest::{Cosignature, Equivocation, PublicKey, Timestamp};
use odi_store::CatalogTrust;
use odi_wire::message::{CatalogFreshness, EquivocationStatus, OwnWord, Testimony};
use tokio::sync::watch;

use super::{Catalog, lock};
use crate::witness;

impl Catalog {
    /// What the ledger has of it by now, with the words that surround the line of heads; nothing before the first root.
    pub(crate) fn recorded(&self) -> Option<Arc<CatalogTrust>> {
        self.followed().ledger().load(&self.id())
    }

    /// Wakes whoever waits for another testimony.
    pub(crate) fn told_more(&self) {
        self.words.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes when cosignatures or proofs have come.
    pub(crate) fn watch_words(&self) -> watch::Receiver<u64> {
        self.words.subscribe()
    }

    /// Who vouches for the newest head; nothing before the first.
    pub(crate) fn freshness(&self, now: Timestamp) -> Option<CatalogFreshness> {
        let adopted = self.view().adopted()?.adopted;
        witness::judged(&*self.recorded()?, adopted, *lock(&self.own_word), now)
    }

    /// Notes what this directory does as a witness, and tells the operator once of what should not be.
    pub(crate) fn speaks(&self, word: OwnWord) {
        let before = lock(&self.own_word).replace(word);
        let (is_news, catalog) = (before != Some(word), self.name());
        match word {
            OwnWord::Behind if is_news => {
                tracing::warn!(%catalog, "a newer head was seen than is held: this directory vouches for nothing");
            }
            OwnWord::Divided if is_news => {
                tracing::error!(%catalog, "this directory vouched for another head of the same number, and for none now");
            }
            _ => {}
        }
    }

    /// Raises the alarm, once for each, over heads that contradict each other, and wakes whoever waits to hear of them.
    pub(crate) fn look_for_proofs(&self) {
        let Some(recorded) = self.recorded() else { return };
        let known = std::mem::replace(&mut *lock(&self.told_of_proofs), recorded.equivocations.len());
        let catalog = self.name();
        for proof in recorded.equivocations.iter().skip(known) {
            let ([first, second], seq) = (proof.head_ids(), proof.heads()[0].claims().seq);
            tracing::error!(
                %catalog, seq, %first, %second,
                "EQUIVOCATION: the release keys signed two heads of one number; the one that is held is served on"
            );
        }
        if recorded.equivocations.len() > known {
            self.told_more();
        }
    }

    /// The proofs that its release keys contradict themselves, for people and tools.
    pub(crate) fn equivocations(&self) -> Vec<EquivocationStatus> {
        let Some(recorded) = self.recorded() else { return Vec::new() };
        let shown = |proof: &Equivocation| {
            let [head, _] = proof.heads();
            EquivocationStatus { epoch: head.claims().epoch, seq: head.claims().seq, heads: proof.head_ids() }
        };
        recorded.equivocations.iter().map(shown).collect()
    }

    /// The testimony of now; `own` is this directory's key.
    pub(crate) fn testimony(&self, own: &PublicKey) -> Testimony {
        let head = self.view().adopted().map(|state| state.head.encode());
        let Some(recorded) = self.recorded() else { return Testimony { head, ..Testimony::default() } };
        let listed = |word: &&Cosignature| {
            let witnesses = &recorded.trust.root().witnesses;
            witnesses.iter().any(|witness| witness.key == *word.witness())
        };
        let mut words: Vec<&Cosignature> = recorded.cosignatures.iter().filter(listed).collect();
        // One order, so that the same words are the same answer.
        words.sort_by_key(|word| (word.witness() != own, *word.witness()));
        let proofs = recorded.equivocations.iter();
        Testimony {
            head,
            rver: recorded.trust.root().version,
            cosigs: words.iter().map(|word| word.cosig().encode()).collect(),
            proofs: proofs.map(|proof| proof.head_ids()).collect(),
        }
    }
}
