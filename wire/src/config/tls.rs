//! The `[tls]` section, which both daemons have.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::Judge;

/// `[tls]` as the operator writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    acme: Option<RawAcme>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "known keys, so that the refusal names ACME and not an unknown key")]
struct RawAcme {
    contact: String,
    directory: Option<String>,
}

impl RawTls {
    /// An empty `[tls]` is a daemon behind a proxy that ends TLS; anything in it cannot be honoured yet, and a daemon
    /// that silently served plain HTTP instead would be worse than one that does not start.
    pub fn judge(judge: &mut Judge<'_>, tls: Option<&Spanned<Self>>) {
        let Some(tls) = tls else { return };
        let Self { certificate, key, acme } = tls.get_ref();
        if certificate.is_some() || key.is_some() || acme.is_some() {
            judge.fault(
                tls,
                "tls: this version serves plain HTTP only; put a proxy that ends TLS in front, and empty [tls]",
            );
        }
    }
}
