//! What both daemons' `check` looks at before anybody runs into it: the data folder and its disk, the listeners, the way to
//! them from the public URLs, certificates, clocks. Everything is said in words, and nothing that lasts is changed.
//!
//! A daemon that runs on the data folder already is no fault: what it holds is known to be its own.

mod clocks;
mod folder;
mod listening;
mod way_here;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odi_manifest::{PublicKey, Timestamp};
use url::Url;

pub use clocks::{CLOCK_APART_MAX, clock_against};

use crate::client::{Client, ClientPolicy};
use crate::config::{PrivateAddresses, Size, TlsConfig};
use crate::finding::{Finding, Severity};
use crate::identity_key;
use crate::message::DaemonKind;
use crate::off_worker::off_worker;
use crate::{chain, tls};

/// How long whoever is asked may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a configuration says of a disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskNeed {
    /// The key.
    pub key: &'static str,
    /// The amount.
    pub wanted: Size,
    /// How bad it is that there is less.
    pub short: Severity,
}

/// A daemon as its configuration describes it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'c> {
    /// Directory or relay.
    pub kind: DaemonKind,
    /// Where its state lives.
    pub data_dir: &'c Path,
    /// What its disk has to hold.
    pub disk: DiskNeed,
    /// The addresses of the public listener.
    pub listen: &'c [SocketAddr],
    /// Further ones without TLS.
    pub listen_plain: &'c [SocketAddr],
    /// The admin listener.
    pub admin: Option<SocketAddr>,
    /// Where its certificate comes from.
    pub tls: Option<&'c TlsConfig>,
    /// Where clients reach it.
    pub urls: &'c [Url],
    /// Certificate roots that its client believes beside the system's.
    pub extra_roots: &'c [PathBuf],
    /// Where its client may go.
    pub private_addresses: PrivateAddresses,
}

impl Site<'_> {
    const fn name(&self) -> &'static str {
        name_of(self.kind)
    }
}

const fn name_of(kind: DaemonKind) -> &'static str {
    match kind {
        DaemonKind::Directory => "directory",
        DaemonKind::Relay => "relay",
    }
}

/// Looks at all that a daemon needs of its own machine and of the way to it. The client is for what the daemon looks at
/// beside that; there is none, and nothing more to look at, where no requests can be made.
pub async fn site(site: &Site<'_>, now: Timestamp) -> (Vec<Finding>, Option<Client>) {
    let mut findings = Vec::new();
    let identity = identity(site.data_dir, &mut findings).await;
    let client = match client(site) {
        Ok(client) => client,
        Err(fault) => {
            findings.push(fault);
            return (findings, None);
        }
    };
    findings.extend(surroundings(site, &client, identity, now).await);
    (findings, Some(client))
}

/// The daemon's key, if it has one yet.
async fn identity(data_dir: &Path, findings: &mut Vec<Finding>) -> Option<PublicKey> {
    let folder = data_dir.to_owned();
    match off_worker(move || identity_key::kept(&folder)).await {
        Ok(kept) => kept.map(|key| key.public_key()),
        Err(error) => {
            findings.push(Finding::new(Severity::Fatal, format!("{}.", chain::of(&error))));
            None
        }
    }
}

fn client(site: &Site<'_>) -> Result<Client, Finding> {
    let policy = ClientPolicy {
        allow_private_addresses: site.private_addresses == PrivateAddresses::Allowed,
        extra_roots: site.extra_roots.to_owned(),
        head_timeout: PATIENCE,
        ..ClientPolicy::default()
    };
    Client::new(policy).map_err(|error| {
        Finding::new(Severity::Fatal, format!("no requests can be made: {}.", chain::of(&error)))
    })
}

async fn surroundings(
    site: &Site<'_>,
    client: &Client,
    identity: Option<PublicKey>,
    now: Timestamp,
) -> Vec<Finding> {
    let (data_dir, kind, need) = (site.data_dir.to_owned(), site.name(), site.disk);
    let (runs, mut findings) = off_worker(move || {
        let runs = folder::is_in_use(&data_dir);
        (runs, folder::findings(&data_dir, kind, runs, need))
    })
    .await;
    findings.extend(tls::findings(site.tls, site.urls, site.data_dir, now));
    let listening = listening::try_all(site, runs).await;
    findings.extend(listening.findings.iter().cloned());
    findings.extend(way_here::try_all(site, client, identity, runs, listening).await);
    findings
}
