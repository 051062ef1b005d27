//! Whether another directory answers where the configuration says, and is the one that is meant.
//!
//! One that is away now may be back tomorrow, and nothing depends on any single one.

use odi_wire::client::Client;
use odi_wire::finding::{Finding, Severity};

use crate::config::PeerConfig;
use crate::peers::introduced;

/// Looks at one.
pub(super) async fn look_at(client: &Client, peer: &PeerConfig) -> Finding {
    match introduced(client, &peer.url, peer.key).await {
        Ok(said) => {
            let words =
                format!("[[peer]] {} is {}, with {} catalogs.", peer.url, said.id, said.catalogs.len());
            Finding::new(Severity::Fine, words)
        }
        Err(why) => Finding::new(Severity::Doubtful, format!("[[peer]] {}: {why}.", peer.url)),
    }
}
