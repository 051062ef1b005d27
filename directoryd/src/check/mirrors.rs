//! Whether a mirror answers. What it has is compared file by file when clients want it, so a mirror that is away stops nothing.

use odi_wire::chain;
use odi_wire::client::{Ask, Client};
use odi_wire::finding::{Finding, Severity};

use crate::config::{CatalogConfig, MirrorConfig};

/// Mirrors lead on to https, or to another name of theirs.
const REDIRECTS_MAX: usize = 2;

/// Looks at one.
pub(super) async fn look_at(client: &Client, catalog: &CatalogConfig, mirror: &MirrorConfig) -> Finding {
    let (name, url) = (&catalog.name, &mirror.url);
    let finding = |severity, words: String| {
        Finding::new(severity, format!("[[mirror]] {url} of catalog {name}: {words}"))
    };
    match client.send(Ask::head(url).following(REDIRECTS_MAX)).await {
        Err(error) => finding(Severity::Doubtful, format!("{}.", chain::innermost(&error))),
        Ok(reply) if reply.status.is_server_error() => {
            finding(Severity::Doubtful, format!("it answers {}.", reply.status))
        }
        Ok(_) if mirror.redirect && url.scheme() == "http" => {
            finding(Severity::Doubtful, "it is plain HTTP: who asks by https is never sent there.".to_owned())
        }
        Ok(_) => finding(Severity::Fine, "it answers.".to_owned()),
    }
}
