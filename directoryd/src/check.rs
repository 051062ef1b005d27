//! `odi-directoryd check`: what would fail, said beforehand and in words, changing nothing that matters.
//!
//! What every daemon needs of its machine is looked at in [`odi_wire::check`]; here is what a directory needs beside it.

mod mirrors;
mod origins;
mod peers;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use odi_manifest::Clock;
use odi_wire::chain;
use odi_wire::check::{DiskNeed, Site, site};
use odi_wire::finding::{Finding, Severity};
use odi_wire::message::DaemonKind;

use crate::config::Config;
use crate::geography::Database;

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
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
        extra_roots: &config.extra_roots,
        private_addresses: config.private_addresses,
    };
    let (mut findings, client) = site(&here, clock.now()).await;
    let Some(client) = client else { return findings };
    for file in &config.geography {
        if let Err(error) = Database::read(file) {
            let words = format!("geography: {}; it would be done without.", chain::of(&error));
            findings.push(Finding::new(Severity::Doubtful, words));
        }
    }
    for name in config.denied.catalogs() {
        if !config.catalogs.iter().any(|catalog| catalog.name.as_str() == name) {
            let words = format!("denylist: it denies paths of `{name}`, and no [[catalog]] is called that.");
            findings.push(Finding::new(Severity::Doubtful, words));
        }
    }
    for peer in &config.peers {
        findings.push(peers::look_at(&client, peer).await);
    }
    for file in &config.faulty_files {
        for fault in &file.faults {
            let words = format!("{}: {fault}; nothing of this file is taken.", file.path.display());
            findings.push(Finding::new(Severity::Fatal, words));
        }
    }
    if let Some(program) = config.hook.as_ref().and_then(|hook| hook.command.first())
        && !is_program(Path::new(program))
    {
        let words = format!("[hook]: {program} cannot be run: no news would be told.");
        findings.push(Finding::new(Severity::Doubtful, words));
    }
    if config.catalogs.is_empty() {
        let words = "there is no [[catalog]]: the directory would know of its own self-test alone.";
        findings.push(Finding::new(Severity::Doubtful, words));
    }
    for catalog in &config.catalogs {
        findings.extend(origins::look_at(&client, catalog, clock).await);
        for mirror in &catalog.mirrors {
            findings.push(mirrors::look_at(&client, catalog, mirror).await);
        }
    }
    findings
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}
