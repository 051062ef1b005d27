//! What both daemons' `check` looks at before anybody runs into it: the data folder and its disk, the listeners, the way to
//! them from the public URLs, certificates, clocks. Everything is said in words, and nothing that lasts is changed.
//!
//! A daemon that runs on the data folder already is no fault: what it holds is known to be its own.

mod clocks;
mod folder;
mod listening;
mod way_here;

use std::net::SocketAddr;
use std::path::Path;

use odi_manifest::{PublicKey, Timestamp};
use url::Url;

pub use clocks::{CLOCK_APART_MAX, clock_against};

use crate::client::Client;
use crate::config::{Size, TlsConfig};
use crate::finding::{Finding, Severity};
use crate::message::DaemonKind;
use crate::off_worker::off_worker;
use crate::tls;

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
    /// Its key, if it has one yet.
    pub identity: Option<PublicKey>,
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

/// Looks at all that a daemon needs of its own machine and of the way to it.
pub async fn site(site: &Site<'_>, client: &Client, now: Timestamp) -> Vec<Finding> {
    let (data_dir, kind, need) = (site.data_dir.to_owned(), site.name(), site.disk);
    let (runs, mut findings) = off_worker(move || {
        let runs = folder::is_in_use(&data_dir);
        (runs, folder::findings(&data_dir, kind, runs, need))
    })
    .await;
    findings.extend(tls::findings(site.tls, site.urls, site.data_dir, now));
    let listening = listening::try_all(site, runs).await;
    findings.extend(listening.findings.iter().cloned());
    findings.extend(way_here::try_all(site, client, runs, listening).await);
    findings
}
