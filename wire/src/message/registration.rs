//! `RelayReg`: a relay asks a directory to take it into its roster.

use odi_manifest::{BrokenRule, PublicKey, Record, RecordKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::statement::Statement;
use super::{CatalogPattern, PreSharedKey, PublicUrl, RelayPlace};

/// How many public URLs a daemon may name.
pub const URLS_MAX: usize = 8;

/// How many catalog patterns, and how many tags, a registration may name.
pub const WISHES_MAX: usize = 64;

/// The longest tag in bytes.
pub const TAG_BYTES_MAX: usize = 64;

/// `RelayReg {v, ct, dir, gen, psk, disk, rate, tags, urls, nonce, place?, relay, catalogs}`, type `odi/relay-reg/1`, signed
/// by the relay. It carries a secret and travels over TLS only (loopback under the lab flag).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayReg {
    /// 1.
    pub v: u8,
    /// The relay's key, which signs this.
    pub relay: PublicKey,
    /// The directory it is meant for; another one refuses it.
    pub dir: PublicKey,
    /// The relay's public base URLs, best first.
    pub urls: Vec<PublicUrl>,
    /// The key that this directory, and no other, signs its requests to the relay with.
    pub psk: PreSharedKey,
    /// Strictly rises with every statement that this relay makes to this directory.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// When it was made.
    pub ct: Timestamp,
    /// 16 random bytes: two registrations never have the same bytes.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 16],
    /// Catalogs the relay wants, by the directory's names.
    pub catalogs: Vec<CatalogPattern>,
    /// Tags of catalogs the relay wants.
    pub tags: Vec<String>,
    /// Bytes of disk it offers.
    pub disk: u64,
    /// Bytes a second it offers; 0 if unlimited.
    pub rate: u64,
    /// Where it says that it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<RelayPlace>,
}

impl Record for RelayReg {
    const KIND: RecordKind = RecordKind::RelayReg;

    fn check(&self) -> Result<(), BrokenRule> {
        BrokenRule::unless(self.v == 1, "`v` is 1")?;
        BrokenRule::unless(!self.urls.is_empty(), "a relay names at least one URL")?;
        BrokenRule::unless(self.urls.len() <= URLS_MAX, "a daemon names at most 8 URLs")?;
        BrokenRule::unless(self.catalogs.len() <= WISHES_MAX, "a relay names at most 64 catalog patterns")?;
        BrokenRule::unless(self.tags.len() <= WISHES_MAX, "a relay names at most 64 tags")?;
        let short = self.tags.iter().all(|tag| tag.len() <= TAG_BYTES_MAX);
        BrokenRule::unless(short, "a tag has at most 64 bytes")?;
        self.place.as_ref().map_or(Ok(()), RelayPlace::check)
    }
}

impl Statement for RelayReg {
    fn author(&self) -> &PublicKey {
        &self.relay
    }
}
