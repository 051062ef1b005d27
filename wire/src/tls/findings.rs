//! What `check` says about certificates before anybody runs into it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use odi_manifest::Timestamp;
use url::Url;

use super::acme;
use super::certificate::Certificate;
use super::certificates::Certificates;
use super::files::CertificateFiles;
use crate::chain;
use crate::config::{AcmeConfig, ChallengeKind, TlsConfig};
use crate::finding::{Finding, Severity};

/// Looks at what would be served under these public URLs, and changes nothing. Blocking.
#[must_use]
pub fn findings(config: Option<&TlsConfig>, urls: &[Url], data_dir: &Path, now: Timestamp) -> Vec<Finding> {
    let https: Vec<&Url> = urls.iter().filter(|url| url.scheme() == "https").collect();
    match config {
        None if https.is_empty() => Vec::new(),
        None => https.iter().map(|url| proxied(url)).collect(),
        Some(TlsConfig::Files(files)) => of_files(files, urls, now),
        Some(TlsConfig::Acme(config)) => of_orders(config, urls, data_dir, now),
    }
}

/// What a listener could show at once, if there is anything usable. Changes nothing. Blocking.
#[must_use]
pub fn shown_now(config: &TlsConfig, data_dir: &Path) -> Option<Arc<Certificates>> {
    let certificate = match config {
        TlsConfig::Files(files) => files.load().ok()?,
        TlsConfig::Acme(_) => acme::kept_in(&data_dir.join(acme::FOLDER))?,
    };
    let certificates = Certificates::default();
    certificates.replace(certificate);
    Some(Arc::new(certificates))
}

fn proxied(url: &Url) -> Finding {
    let words = format!("{url} is up to a proxy in front: [tls] names no certificate.");
    Finding::new(Severity::Fine, words)
}

fn of_files(files: &CertificateFiles, urls: &[Url], now: Timestamp) -> Vec<Finding> {
    let mut findings = match files.load() {
        Err(error) => return vec![Finding::new(Severity::Fatal, format!("{}.", chain::of(&error)))],
        Ok(certificate) => of_certificate(&certificate, urls, now, Severity::Fatal),
    };
    let mode = std::fs::metadata(&files.key).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o007 != 0) {
        let words = format!("everybody on this machine can read the key {}.", files.key.display());
        findings.push(Finding::new(Severity::Doubtful, words));
    }
    findings
}

fn of_orders(config: &AcmeConfig, urls: &[Url], data_dir: &Path, now: Timestamp) -> Vec<Finding> {
    let names = acme::names(urls);
    if names.is_empty() {
        let words = "certificates cannot be ordered: no public URL begins with https:// and a name.";
        return vec![Finding::new(Severity::Fatal, words)];
    }
    let port = match config.challenge {
        ChallengeKind::Http01 => 80,
        ChallengeKind::TlsAlpn01 => 443,
    };
    let words = format!(
        "certificates for {} come from {}, which must reach port {port} of them from outside.",
        names.join(", "),
        config.directory
    );
    let mut findings = vec![Finding::new(Severity::Fine, words)];
    match acme::kept_in(&data_dir.join(acme::FOLDER)) {
        // The first start orders one, and the next renewal another.
        None => findings.push(Finding::new(Severity::Fine, "there is no certificate yet.")),
        Some(certificate) => findings.extend(of_certificate(&certificate, urls, now, Severity::Doubtful)),
    }
    findings
}

/// `bad` is how bad it is that clients would refuse it.
fn of_certificate(certificate: &Certificate, urls: &[Url], now: Timestamp, bad: Severity) -> Vec<Finding> {
    let concerns = certificate.concerns(urls, now);
    if concerns.is_empty() {
        let days = certificate.not_after().since(now).as_secs() / 86_400;
        let words = format!("the certificate covers the public URLs for another {days} days.");
        return vec![Finding::new(Severity::Fine, words)];
    }
    let severity = |fatal| if fatal { bad } else { Severity::Doubtful };
    concerns.iter().map(|concern| Finding::new(severity(concern.is_fatal()), format!("{concern}."))).collect()
}
