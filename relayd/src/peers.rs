//! Which other relays hold what, by their own signed inventories as directories pass them on.
//!
//! An inventory is a relay's word, not a directory's: its signature was checked when it was read. A lie costs one request
//! that fails its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use odi_manifest::{BlobId, CatalogId, HeadId, PublicKey, Timestamp};
use odi_wire::fetch::Party;
use odi_wire::message::{CatalogInventory, Inventory, PublicUrl, RATE_UNNAMED};

/// The most relays that are remembered per catalog.
pub const PEERS_MAX: usize = 1024;

/// Another relay, as far as one catalog goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub key: PublicKey,
    /// Where it is.
    pub url: PublicUrl,
    /// And where else.
    pub other_urls: Vec<PublicUrl>,
    /// From when on its word is void.
    pub expires: Timestamp,
    /// What it says that it gives now, in bytes per second.
    pub rate: u64,
    /// Whether it says that it has banned the reader.
    pub bans_me: bool,
    /// What it says that it holds.
    pub inventory: CatalogInventory,
}

impl Peer {
    /// Whether it fills itself with a blob, and so can be a home for it.
    #[must_use]
    pub fn fills(&self, blob: &BlobId) -> bool {
        self.inventory.fills.contains(blob)
    }

    /// Who it is as a source.
    #[must_use]
    pub fn party(&self) -> Party {
        Party::of(&self.url.to_url())
    }

    /// Whether it says that it holds a blob that the manifest of `head` names.
    #[must_use]
    pub fn holds(&self, blob: &BlobId, head: &HeadId) -> bool {
        self.inventory.holds(blob, self.inventory.full.as_ref() == Some(head))
    }
}

/// All peers, by catalog. Lists are replaced whole; who is as before is shared with the former list, for an inventory may
/// name thousands of blobs and every stripe that is fetched keeps a list of its own.
#[derive(Debug, Default)]
pub struct Peers(RwLock<HashMap<CatalogId, Arc<Vec<Arc<Peer>>>>>);

impl Peers {
    /// The relays that serve a catalog, without this one.
    #[must_use]
    pub fn of(&self, catalog: &CatalogId) -> Arc<Vec<Arc<Peer>>> {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(catalog).cloned().unwrap_or_default()
    }

    /// Takes the inventories that a directory passed on for a catalog. Of one relay's several the newest counts, and a
    /// relay that another directory told of stays until its word expires.
    pub fn learn(&self, catalog: CatalogId, inventories: &[Inventory], me: &PublicKey, now: Timestamp) {
        let mut known: BTreeMap<PublicKey, Arc<Peer>> =
            self.of(&catalog).iter().map(|peer| (peer.key, Arc::clone(peer))).collect();
        for inventory in inventories.iter().filter(|inventory| inventory.relay != *me) {
            let Some(of_catalog) = inventory.catalog(&catalog) else { continue };
            let Some(url) = inventory.urls.first() else { continue };
            let newer = known.get(&inventory.relay).is_none_or(|peer| peer.expires <= inventory.exp);
            if newer {
                let peer = Peer {
                    key: inventory.relay,
                    url: url.clone(),
                    other_urls: inventory.urls.iter().skip(1).cloned().collect(),
                    expires: inventory.exp,
                    rate: inventory.rate().unwrap_or(RATE_UNNAMED),
                    bans_me: inventory.bans.contains(me),
                    inventory: of_catalog.clone(),
                };
                known.insert(peer.key, Arc::new(peer));
            }
        }
        let live = known.into_values().filter(|peer| peer.expires > now).take(PEERS_MAX).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(catalog, Arc::new(live));
    }

    /// Whether some relay, of whatever catalog, says that it is reached there.
    #[must_use]
    pub fn reach(&self, party: &Party) -> bool {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_there = |peer: &Peer| {
            peer.party() == *party || peer.other_urls.iter().any(|url| Party::of(&url.to_url()) == *party)
        };
        peers.values().flat_map(|peers| peers.iter()).any(|peer| is_there(peer))
    }

    /// The relays, of whatever catalog, that this says something of by how they are called as sources; ascending.
    #[must_use]
    pub fn by_party(&self, is_meant: impl Fn(&Party) -> bool) -> Vec<PublicKey> {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let meant = peers.values().flat_map(|peers| peers.iter()).filter(|peer| is_meant(&peer.party()));
        meant.map(|peer| peer.key).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Forgets a catalog that is no longer followed.
    pub fn forget(&self, catalog: &CatalogId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(catalog);
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;
    use odi_wire::message::IdRanges;

    use super::*;

    const CATALOG: CatalogId = CatalogId::from_bytes([9; 32]);

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public_key()
    }

    fn inventory(seed: u8, expires: u64) -> Inventory {
        let of_catalog = CatalogInventory {
            cat: CATALOG,
            served: Vec::new(),
            full: None,
            fills: IdRanges::all(),
            ranges: IdRanges::none(),
            plus: Vec::new(),
            minus: Vec::new(),
            sent: None,
        };
        Inventory {
            v: 1,
            relay: key(seed),
            generation: 1,
            t: Timestamp(0),
            exp: Timestamp(expires),
            bans: Vec::new(),
            urls: vec![PublicUrl::parse("http://127.0.0.1:8500").unwrap()],
            caps: Vec::new(),
            catalogs: vec![of_catalog],
        }
    }

    #[test]
    fn who_is_as_before_is_shared_and_who_is_over_goes() {
        let (peers, me) = (Peers::default(), key(1));
        peers.learn(CATALOG, &[inventory(1, 50), inventory(2, 50), inventory(3, 20)], &me, Timestamp(10));
        let before = peers.of(&CATALOG);
        assert_eq!(before.len(), 2, "not this relay itself");
        peers.learn(CATALOG, &[inventory(4, 60)], &me, Timestamp(30));
        let after = peers.of(&CATALOG);
        let find = |peers: &[Arc<Peer>], seed| peers.iter().find(|peer| peer.key == key(seed)).cloned();
        assert!(Arc::ptr_eq(&find(&before, 2).unwrap(), &find(&after, 2).unwrap()));
        assert!(find(&after, 3).is_none() && find(&after, 4).is_some());
    }
}
