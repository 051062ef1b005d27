//! `odi-relayd check`: what would fail, said beforehand and in words, changing nothing that matters.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odi_manifest::{Clock, PublicKey, Timestamp};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::header::DATE;
use odi_wire::{http_date, tls};

pub use odi_wire::finding::{Finding, Severity};

use crate::acquaintance::Acquaintance;
use crate::chain;
use crate::config::{Config, DirectoryConfig, PrivateAddresses, Size};
use crate::directory_api::DirectoryApi;

/// How long a directory may take to answer.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(10);
/// How far clocks may be apart.
const CLOCK_APART_MAX: Duration = Duration::from_secs(45);

/// Looks at everything that can be looked at from here.
pub async fn check(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = vec![data_dir(&config.data_dir), disk(config)];
    findings.extend(config.listen.iter().chain(&config.listen_plain).map(|address| match TcpListener::bind(
        address,
    ) {
        Ok(_) => Finding::new(Severity::Fine, format!("{address} can be listened on.")),
        Err(error) => Finding::new(Severity::Fatal, format!("{address} cannot be listened on: {error}.")),
    }));
    findings.extend(config.public_urls.iter().map(|url| {
        let words =
            format!("{url} must lead here from outside; the directory will try it when the relay registers.");
        Finding::new(if url.is_https() { Severity::Fine } else { Severity::Doubtful }, words)
    }));
    let urls: Vec<url::Url> = config.public_urls.iter().map(|url| url.to_url()).collect();
    findings.extend(tls::findings(config.tls.as_ref(), &urls, &config.data_dir, clock.now()));
    let policy = ClientPolicy {
        extra_roots: config.extra_roots.clone(),
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
        head_timeout: DIRECTORY_PATIENCE,
        ..ClientPolicy::default()
    };
    match Client::new(policy) {
        Ok(client) => {
            for asked in &config.directories {
                let remembered = Acquaintance::remembered_key(&config.data_dir, &asked.url);
                findings.extend(directory(&client, asked, remembered, clock.now()).await);
            }
        }
        Err(error) => {
            findings.push(Finding::new(
                Severity::Fatal,
                format!("no requests can be made: {}.", chain::of(&error)),
            ));
        }
    }
    findings
}

/// Whether a directory answers, is the one that is meant, keeps our time, and has what is wanted.
async fn directory(
    client: &Client,
    asked: &DirectoryConfig,
    remembered: Option<PublicKey>,
    now: Timestamp,
) -> Vec<Finding> {
    let url = &asked.url;
    let api = DirectoryApi { client, url };
    let key = match api.key().await {
        Ok(key) => key,
        Err(error) => {
            let words = format!("{url} does not answer as a directory: {}.", chain::of(&error));
            return vec![Finding::new(Severity::Fatal, words)];
        }
    };
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
    findings.extend(clock_against(client, asked, now).await);
    findings.push(match api.catalogs().await {
        Ok(offered) => {
            let wanted = offered.iter().filter(|catalog| {
                let tags: Vec<String> = catalog.tags.iter().cloned().collect();
                asked.wanted.wants(&catalog.name, &tags)
            });
            let (count, bytes) = wanted
                .fold((0, 0_u64), |(count, bytes), catalog| (count + 1, bytes.saturating_add(catalog.bytes)));
            let words = format!(
                "{url} offers {} catalogs; {count} are wanted, {} in all.",
                offered.len(),
                Size(bytes)
            );
            Finding::new(if count == 0 { Severity::Doubtful } else { Severity::Fine }, words)
        }
        Err(error) => {
            Finding::new(Severity::Fatal, format!("{url} does not list catalogs: {}.", chain::of(&error)))
        }
    });
    findings
}

/// Signed requests are believed for a minute each way, so the clock must be nearly right.
async fn clock_against(client: &Client, asked: &DirectoryConfig, now: Timestamp) -> Option<Finding> {
    let reply = client.send(Ask::head(&asked.url.to_url())).await.ok()?;
    let date = reply.headers.get(DATE)?.to_str().ok()?;
    let theirs = Timestamp(http_date::parse(date)?);
    let apart = now.since(theirs).max(theirs.since(now));
    (apart > CLOCK_APART_MAX).then(|| {
        let words = format!(
            "the clock here and that of {} differ by {} s; requests it signs will be refused.",
            asked.url,
            apart.as_secs()
        );
        Finding::new(Severity::Fatal, words)
    })
}

fn data_dir(path: &Path) -> Finding {
    let existing = nearest_existing(path);
    match tempfile_in(&existing) {
        Ok(()) => Finding::new(Severity::Fine, format!("{} can be written to.", existing.display())),
        Err(error) => {
            Finding::new(Severity::Fatal, format!("{} cannot be written to: {error}.", existing.display()))
        }
    }
}

/// The folder itself, or the nearest one above it that is there; it is made on the first start.
fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or_else(|| Path::new(".")).to_owned()
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".odi-relayd-check-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

/// Whether the promised disk exists: what is free, and what the store already takes.
fn disk(config: &Config) -> Finding {
    let folder = nearest_existing(&config.data_dir);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::new(Severity::Doubtful, format!("the free space cannot be told: {error}."));
        }
    };
    let available = free.saturating_add(folder_bytes(&config.data_dir));
    if available >= config.disk.0 {
        Finding::new(Severity::Fine, format!("{} of disk are there ({} free).", config.disk, Size(free)))
    } else {
        let words = format!(
            "disk = {} is more than there is: {} for this relay, {} free. It would stop filling when the disk is full.",
            config.disk,
            Size(available),
            Size(free)
        );
        Finding::new(Severity::Fatal, words)
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
