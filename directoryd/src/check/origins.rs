//! Whether an origin answers, publishes the catalog that is meant, and keeps our time.
//!
//! An origin that is away now may be back when it is followed, so that keeps no directory from its work; another catalog than
//! the one that the configuration pins is never followed.

use odi_manifest::{CatalogId, Clock, Envelope};
use odi_wire::chain;
use odi_wire::check::clock_against;
use odi_wire::client::{Ask, Client, ClientError};
use odi_wire::finding::{Finding, Severity};
use odi_wire::http::{HeaderMap, StatusCode};
use odi_wire::layout::{LayoutPath, ORIGIN_FOLDER};
use url::Url;

use crate::config::CatalogConfig;

/// A little more than the largest root or head.
const RECORD_BYTES_MAX: u64 = 64 << 10;
/// An origin may sit behind a redirector of its own.
const REDIRECTS_MAX: usize = 3;

/// Looks at one.
pub(super) async fn look_at(client: &Client, catalog: &CatalogConfig, clock: &dyn Clock) -> Vec<Finding> {
    let name = &catalog.name;
    let finding = |severity, words: String| vec![Finding::new(severity, format!("catalog {name}: {words}"))];
    let Some(origin) = &catalog.origin else {
        return finding(Severity::Fine, "there is no origin, its heads only come by push.".to_owned());
    };
    let root = match read(client, origin, LayoutPath::Root(1)).await {
        Ok((_, Ok(root))) => root,
        Ok((_, Err(status))) => {
            let words = format!("{origin} answers {status} for its first root: has it been published?");
            return finding(Severity::Doubtful, words);
        }
        Err(error) => {
            return finding(
                Severity::Doubtful,
                format!("{origin} cannot be asked: {}.", chain::innermost(&error)),
            );
        }
    };
    match Envelope::decode(&root).map(|root| CatalogId::of(root.payload())) {
        Ok(id) if id == catalog.id => {}
        Ok(id) => {
            let words = format!("{origin} publishes {id}, and the configuration says {}.", catalog.id);
            return finding(Severity::Fatal, words);
        }
        Err(error) => {
            let words = format!("{origin} has no root that reads: {}.", chain::of(&error));
            return finding(Severity::Doubtful, words);
        }
    }
    match read(client, origin, LayoutPath::Head).await {
        Ok((headers, Ok(_))) => {
            let mut findings = finding(Severity::Fine, format!("{origin} publishes it."));
            let consequence = "heads may seem expired, and relays' statements are refused. Set the clock.";
            let who = origin.as_str();
            findings.extend(clock_against(&headers, who, clock.now(), Severity::Doubtful, consequence));
            findings
        }
        Ok((_, Err(status))) => {
            finding(Severity::Doubtful, format!("{origin} answers {status} for its head."))
        }
        Err(error) => {
            finding(Severity::Doubtful, format!("{origin} cannot be asked: {}.", chain::innermost(&error)))
        }
    }
}

/// One record of the layout, or the status that is there instead.
async fn read(
    client: &Client,
    origin: &Url,
    item: LayoutPath,
) -> Result<(HeaderMap, Result<Vec<u8>, StatusCode>), ClientError> {
    let mut url = origin.clone();
    let path = format!("{}{ORIGIN_FOLDER}{item}", url.path());
    url.set_path(&path);
    let ask = Ask::get(&url).following(REDIRECTS_MAX).reply_bytes_max(RECORD_BYTES_MAX);
    let reply = client.send(ask).await?;
    if !reply.status.is_success() {
        return Ok((reply.headers, Err(reply.status)));
    }
    Ok((reply.headers, Ok(reply.body.collect().await?.to_vec())))
}
