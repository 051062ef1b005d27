//! `odi-relayd check`: what would fail, said beforehand and in words, changing nothing that matters.
//!
//! What every daemon needs of its machine is looked at in [`odi_wire::check`]; here is what a relay needs beside it.

mod directories;

use std::time::Duration;

use odi_manifest::Clock;
use odi_wire::check::{DiskNeed, Site, site};
use odi_wire::client::{Client, ClientPolicy};
use odi_wire::message::DaemonKind;

pub use odi_wire::finding::{Finding, Severity};

use crate::chain;
use crate::config::{Config, PrivateAddresses};
use crate::identity::Identity;

/// How long a directory may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identity = Identity::kept(&config.data_dir).unwrap_or_else(|error| {
        findings.push(Finding::new(Severity::Fatal, format!("{}.", chain::of(&error))));
        None
    });
    let policy = ClientPolicy {
        extra_roots: config.extra_roots.clone(),
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
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
    let urls: Vec<url::Url> = config.public_urls.iter().map(|url| url.to_url()).collect();
    let here = Site {
        kind: DaemonKind::Relay,
        data_dir: &config.data_dir,
        disk: DiskNeed { key: "disk", wanted: config.disk, short: Severity::Fatal },
        listen: &config.listen,
        listen_plain: &config.listen_plain,
        admin: config.admin,
        tls: config.tls.as_ref(),
        urls: &urls,
        identity,
    };
    findings.extend(site(&here, &client, clock.now()).await);
    for asked in &config.directories {
        findings.extend(directories::look_at(&client, asked, &config.data_dir, clock).await);
    }
    findings
}
