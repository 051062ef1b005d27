//! The operator's decisions on disk: `data_dir/decisions.json`, replaced whole, before any of them counts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use odi_manifest::PublicKey;
use odi_wire::private_file;

use crate::roster::Decision;

/// How many relays may be decided about.
pub(crate) const DECISIONS_MAX: usize = 10_000;

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct DecisionFile(PathBuf);

impl DecisionFile {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("decisions.json"))
    }

    /// What was decided.
    ///
    /// # Errors
    /// The file is there and does not read: nobody shuts a relay out that the operator has let in, or the other way round, by accident.
    pub(crate) fn load(&self) -> io::Result<BTreeMap<PublicKey, Decision>> {
        let Some(text) = private_file::read(&self.0)? else { return Ok(BTreeMap::new()) };
        let malformed = |what: String| {
            let path = self.0.display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {what}; repair or remove it"))
        };
        let kept: BTreeMap<String, Decision> =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        let decision = |(relay, decision): (String, Decision)| match PublicKey::from_hex(&relay) {
            Ok(relay) => Ok((relay, decision)),
            Err(error) => Err(malformed(error.to_string())),
        };
        kept.into_iter().map(decision).collect()
    }

    /// Writes all of them; durable once this returns.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn save(&self, decisions: &BTreeMap<PublicKey, Decision>) -> io::Result<()> {
        let kept: BTreeMap<String, &Decision> =
            decisions.iter().map(|(relay, decision)| (relay.to_hex(), decision)).collect();
        private_file::replace(&self.0, &serde_json::to_vec_pretty(&kept).map_err(io::Error::other)?)
    }
}
