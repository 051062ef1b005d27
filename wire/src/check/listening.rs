//! Whether every address of the configuration can be listened on, all of them at once, as the daemon will.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Site;
use crate::finding::{Finding, Severity};
use crate::limits::Limits;
use crate::off_worker::off_worker;
use crate::serve::{ServeError, Server};
use crate::tls::{self, Certificates};

/// What came of it, and the listeners that could be opened.
pub(super) struct Listening {
    pub(super) findings: Vec<Finding>,
    /// The public ones. They answer nobody yet.
    pub(super) public: Vec<Server>,
    /// The admin listener, held so that no other address of the file can be the same.
    _admin: Option<Server>,
    /// Whether a TLS listener has something to show.
    pub(super) has_certificate: bool,
}

/// Opens them all.
pub(super) async fn try_all(site: &Site<'_>, runs: bool) -> Listening {
    let (config, data_dir) = (site.tls.cloned(), site.data_dir.to_owned());
    let shown = off_worker(move || config.and_then(|config| tls::shown_now(&config, &data_dir))).await;
    let mut findings = Vec::new();
    let mut public = Vec::new();
    for addr in site.listen {
        public.extend(listen(*addr, shown.as_ref(), site.name(), runs, &mut findings).await);
    }
    for addr in site.listen_plain {
        public.extend(listen(*addr, None, site.name(), runs, &mut findings).await);
    }
    let admin = match site.admin {
        Some(addr) => {
            if !addr.ip().is_loopback() {
                let words = format!("admin = {addr} is open to others than this machine.");
                findings.push(Finding::new(Severity::Doubtful, words));
            }
            listen(addr, None, site.name(), runs, &mut findings).await
        }
        None => None,
    };
    Listening { findings, public, _admin: admin, has_certificate: shown.is_some() }
}

async fn listen(
    addr: SocketAddr,
    shown: Option<&Arc<Certificates>>,
    kind: &str,
    runs: bool,
    findings: &mut Vec<Finding>,
) -> Option<Server> {
    match Server::bind_public(&[addr], &[], shown.cloned(), Limits::default()).await {
        Ok(server) => {
            findings.push(Finding::new(Severity::Fine, format!("{addr} can be listened on.")));
            Some(server)
        }
        Err(error) => {
            findings.push(refused(addr, &error, kind, runs));
            None
        }
    }
}

fn refused(addr: SocketAddr, error: &ServeError, kind: &str, runs: bool) -> Finding {
    let ServeError::Bind { source, .. } = error else {
        return Finding::new(Severity::Fatal, format!("{addr} cannot be listened on: {error}."));
    };
    let why = match source.kind() {
        ErrorKind::AddrInUse if runs => {
            let words = format!("{addr} is taken, by the {kind} that runs.");
            return Finding::new(Severity::Fine, words);
        }
        ErrorKind::AddrInUse => "another program has it, or another line of this file".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        ErrorKind::PermissionDenied if addr.port() < 1024 => {
            "ports below 1024 take root or CAP_NET_BIND_SERVICE, which the systemd unit grants".to_owned()
        }
        _ => source.to_string(),
    };
    Finding::new(Severity::Fatal, format!("{addr} cannot be listened on: {why}."))
}
