//! `odi-relayd check`: what would fail, said beforehand and in words, changing nothing that matters.
//!
//! What every daemon needs of its machine is looked at in [`odi_wire::check`]; here is what a relay needs beside it.

mod directories;

use odi_manifest::Clock;
use odi_wire::check::{DiskNeed, Site, site};
use odi_wire::message::DaemonKind;

pub use odi_wire::finding::{Finding, Severity};

use crate::config::Config;

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
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
        extra_roots: &config.extra_roots,
        private_addresses: config.private_addresses,
    };
    let (mut findings, client) = site(&here, clock.now()).await;
    let Some(client) = client else { return findings };
    for asked in &config.directories {
        findings.extend(directories::look_at(&client, asked, &config.data_dir, clock).await);
    }
    findings.extend(directories::alone(&client, &config.directories, config.terms.federation).await);
    findings
}
