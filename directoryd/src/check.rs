//! `odi-directoryd check`: what would fail, said beforehand and in words, changing nothing that matters.
//!
//! What every daemon needs of its machine is looked at in [`odi_wire::check`]; here is what a directory needs beside it.

mod origins;

use std::time::Duration;

use odi_manifest::Clock;
use odi_wire::chain;
use odi_wire::check::{DiskNeed, Site, site};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::finding::{Finding, Severity};
use odi_wire::identity_key;
use odi_wire::message::DaemonKind;

use crate::config::{Config, PrivateAddresses};

/// How long an origin may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identity = identity_key::kept(&config.data_dir).unwrap_or_else(|error| {
        findings.push(Finding::new(Severity::Fatal, format!("{}.", chain::of(&error))));
        None
    });
    let policy = ClientPolicy {
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
        extra_roots: config.extra_roots.clone(),
        head_timeout: PATIENCE,
        ..ClientPolicy::default()
    };
    let client = match Client::new(policy) {
        Ok(client) => client,
        Err(error) => {
            let words = format!("no requests can be made: {}.", chain::of(&error));
            findings.push(Finding::new(Severity::Fatal, words));
            return findings;
        }
    };
    let here = Site {
        kind: DaemonKind::Directory,
        data_dir: &config.data_dir,
        // A bound and no promise: less is carried where there is less.
        disk: DiskNeed { key: "carry", wanted: config.carry, short: Severity::Doubtful },
        listen: &config.listen,
        listen_plain: &config.listen_plain,
        admin: config.admin,
        tls: config.tls.as_ref(),
        urls: &config.public_urls,
        identity: identity.map(|key| key.public_key()),
    };
    findings.extend(site(&here, &client, clock.now()).await);
    findings.extend(config.peers.iter().map(|peer| {
        let words = format!(
            "[[peer]] {} is read and does nothing yet: directories do not federate so far.",
            peer.url
        );
        Finding::new(Severity::Doubtful, words)
    }));
    if config.catalogs.is_empty() {
        let words = "there is no [[catalog]]: the directory would know of its own self-test alone.";
        findings.push(Finding::new(Severity::Doubtful, words));
    }
    for catalog in &config.catalogs {
        findings.extend(origins::look_at(&client, catalog, clock).await);
    }
    findings
}
