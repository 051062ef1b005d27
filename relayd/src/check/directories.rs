//! Whether a directory answers, is the one that is meant, keeps our time, and has what is wanted.

use std::path::Path;

use odi_manifest::Clock;
use odi_wire::check::clock_against;
use odi_wire::client::{Ask, Client};
use odi_wire::message::CatalogSummary;

use super::{Finding, Severity};
use crate::acquaintance::Acquaintance;
use crate::chain;
use crate::config::{DirectoryConfig, Size};
use crate::directory_api::DirectoryApi;

/// Looks at one.
pub(super) async fn look_at(
    client: &Client,
    asked: &DirectoryConfig,
    data_dir: &Path,
    clock: &dyn Clock,
) -> Vec<Finding> {
    let url = &asked.url;
    let api = DirectoryApi { client, url };
    let key = match api.key().await {
        Ok(key) => key,
        Err(error) => {
            let words = format!("{url} does not answer as a directory: {}.", chain::innermost(&error));
            return vec![Finding::new(Severity::Fatal, words)];
        }
    };
    let remembered = Acquaintance::remembered_key(data_dir, url);
    let mut findings = vec![match asked.key {
        Some(pinned) if pinned != key => Finding::new(
            Severity::Fatal,
            format!("{url} has the key {key}, and the configuration says {pinned}."),
        ),
        // What the configuration pins overrules what is remembered.
        None if let Some(known) = remembered.filter(|known| *known != key) => Finding::new(
            Severity::Fatal,
            format!(
                "{url} has the key {key}, it used to have {known}: ask its operator, then pin the new one with `key`."
            ),
        ),
        _ => Finding::new(Severity::Fine, format!("{url} answers; its key is {key}.")),
    }];
    findings.extend(clock_of(client, asked, clock).await);
    match api.catalogs().await {
        Ok(offered) => findings.extend(catalogs(asked, &offered)),
        Err(error) => {
            let words = format!("{url} does not list catalogs: {}.", chain::of(&error));
            findings.push(Finding::new(Severity::Fatal, words));
        }
    }
    findings
}

/// Whether the relay would be forgotten with its only directory, though that has others beside it, or joins those by itself. One
/// that does not say whom it follows has been complained of already, or is too old to.
pub(super) async fn alone(client: &Client, named: &[DirectoryConfig], federation: bool) -> Option<Finding> {
    let [only] = named else { return None };
    let status = DirectoryApi { client, url: &only.url }.status().await.ok()?;
    let peers: Vec<String> = status.peers.into_iter().map(|peer| peer.url).collect();
    lonely(only.url.as_str(), &peers, federation)
}

fn lonely(only: &str, peers: &[String], federation: bool) -> Option<Finding> {
    let others: Vec<&str> = peers.iter().map(|peer| peer.trim_end_matches('/')).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        if federation {
            let words = format!(
                "{only} works together with {others}: this relay joins them too, for what {only} has of their catalogs."
            );
            return Finding::new(Severity::Fine, words);
        }
        let words = format!(
            "{only} is the only directory here: while it is away nobody sends clients to this relay. It works together with {others}; name one of these in a further [[directory]], or leave out `federation = false`."
        );
        Finding::new(Severity::Doubtful, words)
    })
}

/// Signed requests are believed for a minute each way, so the clock must be nearly right.
async fn clock_of(client: &Client, asked: &DirectoryConfig, clock: &dyn Clock) -> Option<Finding> {
    let reply = client.send(Ask::head(&asked.url.to_url())).await.ok()?;
    let consequence = "what it signs will be refused. Set the clock.";
    clock_against(&reply.headers, asked.url.as_str(), clock.now(), Severity::Fatal, consequence)
}

/// What of the offer is wanted, and what is wanted in vain.
fn catalogs(asked: &DirectoryConfig, offered: &[CatalogSummary]) -> Vec<Finding> {
    let (url, wanted) = (&asked.url, &asked.wanted);
    let taken = offered.iter().filter(|catalog| {
        let tags: Vec<String> = catalog.tags.iter().cloned().collect();
        wanted.wants(&catalog.name, &tags)
    });
    let (count, bytes) =
        taken.fold((0, 0_u64), |(count, bytes), catalog| (count + 1, bytes.saturating_add(catalog.bytes)));
    let words = format!("{url}: {count} of {} catalogs are wanted, {} in all.", offered.len(), Size(bytes));
    let severity = if count == 0 { Severity::Doubtful } else { Severity::Fine };
    let mut findings = vec![Finding::new(severity, words)];
    let unmatched =
        wanted.names.iter().filter(|pattern| !offered.iter().any(|catalog| pattern.matches(&catalog.name)));
    findings.extend(unmatched.map(|pattern| {
        let words = format!("{url} has no catalog that `{}` names.", pattern.as_str());
        Finding::new(Severity::Doubtful, words)
    }));
    let untagged =
        wanted.tags.iter().filter(|tag| !offered.iter().any(|catalog| catalog.tags.contains(*tag)));
    findings.extend(
        untagged.map(|tag| {
            Finding::new(Severity::Doubtful, format!("{url} has no catalog with the tag `{tag}`."))
        }),
    );
    let others = offered.iter().filter_map(|catalog| {
        let pinned = asked.ids.get(&catalog.name).filter(|pinned| **pinned != catalog.id)?;
        let (name, id) = (&catalog.name, catalog.id);
        let words =
            format!("{url} calls {id} `{name}`, and the configuration says {pinned}: it is left out.");
        Some(Finding::new(Severity::Fatal, words))
    });
    findings.extend(others);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_with_one_directory_of_several_is_told_of_the_others() {
        assert!(lonely("https://a.example", &[], false).is_none(), "there is nobody else");
        let peers = ["https://b.example/".to_owned(), "https://c.example".to_owned()];
        let told = lonely("https://a.example", &peers, false).unwrap();
        assert_eq!(told.severity, Severity::Doubtful);
        assert!(told.words.contains("https://b.example, https://c.example;"), "{}", told.words);
        let told = lonely("https://a.example", &peers, true).unwrap();
        assert_eq!(told.severity, Severity::Fine);
        assert!(told.words.contains("https://b.example, https://c.example:"), "{}", told.words);
    }
}
