//! `odi status`: one daemon's own word about itself, for people.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use odi_manifest::{Clock, SystemClock, Timestamp};
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::message::{
    BudgetStatus, CatalogFreshness, DifferenceKind, DirectoryCatalog, DirectoryStatus, Lifetime,
    PeerDifference, RelayStatus,
};
use tokio::time::Instant;
use url::Url;

use super::cli::StatusArgs;
use super::compared::{Disagreement, compare};
use super::exit::Exit;

const STATUS_BYTES_MAX: u64 = 8 << 20;
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Prints the status of each daemon, waiting first if asked to, and says where directories do not agree.
pub(super) async fn run(args: &StatusArgs) -> Result<(), (anyhow::Error, Exit)> {
    // The operator names the daemon, usually their own on loopback: any address will do.
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let client = Client::new(policy).map_err(|error| (error.into(), Exit::Failed))?;
    let deadline = Instant::now() + args.timeout;
    let mut daemons = Vec::new();
    for url in &args.urls {
        let text = look(&client, url, args, deadline).await?;
        let daemon = Daemon::parse(&text);
        let shown = match (&daemon, args.json) {
            (Ok(daemon), false) => daemon.describe(SystemClock.now()),
            _ => text,
        };
        writeln!(std::io::stdout(), "{}", shown.trim_end()).map_err(|error| (error.into(), Exit::Failed))?;
        match daemon {
            Ok(daemon) => daemons.push((url.to_string(), daemon)),
            Err(_) if args.json => {}
            Err(error) => return Err((error, Exit::Failed)),
        }
    }
    judge(&daemons)
}

/// Whether there is something that a script should stop at.
fn judge(daemons: &[(String, Daemon)]) -> Result<(), (anyhow::Error, Exit)> {
    let directories = daemons.iter().filter_map(|(url, daemon)| match daemon {
        Daemon::Directory(status) => Some((url.clone(), status)),
        Daemon::Relay(_) => None,
    });
    let disagreements = compare(&directories.collect::<Vec<_>>());
    let is_divided = |found: &&Disagreement| matches!(found, Disagreement::Divided { .. });
    let worst = disagreements.iter().find(is_divided).or_else(|| disagreements.first());
    if let Some(found) = worst {
        disagreements.iter().filter(|other| *other != found).for_each(|other| eprintln!("odi: {other}"));
        let exit = if is_divided(&found) { Exit::Equivocation } else { Exit::Rollback };
        return Err((anyhow!("{found}"), exit));
    }
    match daemons.iter().find_map(|(_, daemon)| daemon.lacks_witnesses()) {
        Some(name) => Err((anyhow!("catalog {name} is stale: too few witnesses vouch for it"), Exit::Stale)),
        None => Ok(()),
    }
}

/// The status of one daemon, once it is ready if that is waited for.
async fn look(
    client: &Client,
    url: &Url,
    args: &StatusArgs,
    deadline: Instant,
) -> Result<String, (anyhow::Error, Exit)> {
    let url = url.join("/odi/v1/status").map_err(|error| (error.into(), Exit::Usage))?;
    loop {
        let found = fetch(client, &url).await;
        let ready =
            found.as_deref().is_ok_and(|text| Daemon::parse(text).is_ok_and(|daemon| daemon.is_ready()));
        if ready || args.wait.is_none() {
            return found.map_err(|error| (error, Exit::Unavailable));
        }
        if Instant::now() >= deadline {
            let error = found.err().unwrap_or_else(|| anyhow!("it is not ready"));
            return Err((
                error.context(format!("waited {} s in vain", args.timeout.as_secs())),
                Exit::Unavailable,
            ));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn fetch(client: &Client, url: &Url) -> anyhow::Result<String> {
    let reply = client.send(Ask::get(url).reply_bytes_max(STATUS_BYTES_MAX)).await?;
    if !reply.status.is_success() {
        return Err(anyhow!("{url} answers {}: is it an ODI daemon?", reply.status));
    }
    String::from_utf8(reply.body.collect().await?.to_vec()).with_context(|| format!("{url} answers no text"))
}

enum Daemon {
    Directory(DirectoryStatus),
    Relay(RelayStatus),
}

impl Daemon {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let document: serde_json::Value = serde_json::from_str(text).context("the status is not JSON")?;
        match document.get("kind").and_then(serde_json::Value::as_str) {
            Some("directory") => Ok(Self::Directory(serde_json::from_value(document)?)),
            Some("relay") => Ok(Self::Relay(serde_json::from_value(document)?)),
            _ => Err(anyhow!("the status says neither `directory` nor `relay`")),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Directory(status) => status.ready,
            Self::Relay(status) => status.ready,
        }
    }

    /// The first catalog that wants witnesses and has too few.
    fn lacks_witnesses(&self) -> Option<&str> {
        let Self::Directory(status) = self else { return None };
        let lacks = |catalog: &&DirectoryCatalog| {
            catalog.freshness.as_ref().is_some_and(|freshness| freshness.vouching < freshness.quorum)
        };
        status.catalogs.iter().find(lacks).map(|catalog| catalog.name.as_str())
    }

    fn describe(&self, now: Timestamp) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Directory(status) => directory(&mut text, status),
            Self::Relay(status) => relay(&mut text, status, now),
        };
        text
    }
}

fn directory(out: &mut String, status: &DirectoryStatus) -> std::fmt::Result {
    writeln!(out, "directory {} ({}), version {}", status.id, readiness(status.ready), status.version)?;
    writeln!(out, "carries   {} of {}", bytes(status.carried_bytes), bytes(status.carry_budget))?;
    let relays = &status.relays;
    writeln!(
        out,
        "relays    {} ready, {} on probation, {} unproven, {} quarantined",
        relays.ready, relays.probation, relays.unproven, relays.quarantined
    )?;
    for catalog in &status.catalogs {
        writeln!(out, "catalog   {} {}", catalog.name, catalog.id)?;
        if let Some(head) = &catalog.served {
            let size = bytes(head.bytes);
            writeln!(
                out,
                "          serves {}: {}, {size}, {}",
                head.pin,
                counted(head.entries, "artifact"),
                counted(u64::from(catalog.relays), "relay")
            )?;
        }
        if let Some(head) = catalog.adopted.as_ref().filter(|head| Some(*head) != catalog.served.as_ref()) {
            writeln!(out, "          has adopted {}, which relays are fetching", head.pin)?;
        }
        if let Some(freshness) = &catalog.freshness {
            vouched(out, freshness)?;
        }
        for two in &catalog.equivocations {
            writeln!(
                out,
                "          TWO HISTORIES: its release keys signed two heads with number {}",
                two.seq
            )?;
        }
        if catalog.lifetime == Some(Lifetime::Ending) {
            writeln!(out, "          ENDS SOON: {}", last_day(catalog))?;
        }
        fault(out, catalog.stale, catalog.fault.as_deref())?;
    }
    for peer in &status.peers {
        let state = match (&peer.fault, peer.heard) {
            (Some(fault), _) => fault,
            (None, Some(_)) => "followed",
            (None, None) => "not heard yet",
        };
        writeln!(out, "peer      {}: {state}", peer.url)?;
        for PeerDifference { catalog, kind, seq, here, since } in &peer.differs {
            match kind {
                DifferenceKind::Behind => {
                    writeln!(
                        out,
                        "          BEHIND in {catalog} since {since}: it shows {seq}, and {here} is known here"
                    )?;
                }
                DifferenceKind::Divided => {
                    writeln!(
                        out,
                        "          ANOTHER HISTORY of {catalog} since {since}: it shows another head {seq}"
                    )?;
                }
            }
        }
    }
    Ok(())
}

/// Who vouches that nothing newer is kept back.
fn vouched(out: &mut String, freshness: &CatalogFreshness) -> std::fmt::Result {
    let CatalogFreshness { quorum, vouching, witnesses, .. } = freshness;
    let all = witnesses.len();
    if *quorum == 0 {
        return writeln!(out, "          no freeze protection: it wants no witness");
    }
    if vouching < quorum {
        let since = freshness.since.map(|since| format!(" since {since}")).unwrap_or_default();
        return writeln!(
            out,
            "          STALE{since}: {vouching} of {all} witnesses vouch for it, and {quorum} must"
        );
    }
    let newest = freshness.newest.map(|newest| format!(", newest at {newest}")).unwrap_or_default();
    writeln!(out, "          fresh: {vouching} of {all} witnesses{newest}")
}

/// The date on which a catalog goes stale if its maintainers do nothing.
fn last_day(catalog: &DirectoryCatalog) -> String {
    let head = catalog.adopted.as_ref().map(|head| head.expires);
    match (head, catalog.root_expires) {
        (Some(head), Some(root)) if root < head => format!("its root of trust is good till {root}"),
        (Some(head), _) => format!("its newest head is good till {head}"),
        (None, Some(root)) => format!("its root of trust is good till {root}"),
        (None, None) => String::new(),
    }
}

/// What a relay may send, where it is limited.
fn limits(out: &mut String, budget: &BudgetStatus) -> std::fmt::Result {
    if budget.rate_bytes.is_some() || budget.rate_until.is_some() {
        let rate =
            budget.rate_bytes.map_or_else(|| "no limit".to_owned(), |rate| format!("{}/s", bytes(rate)));
        let until = budget.rate_until.map(|until| format!(" until {until}")).unwrap_or_default();
        writeln!(out, "bandwidth {rate}{until}")?;
    }
    if let Some(allowed) = budget.transfer_bytes {
        let renewed = budget.transfer_renewed.map(|at| format!(", renewed {at}")).unwrap_or_default();
        writeln!(out, "transfer  {} of {} this month{renewed}", bytes(budget.transfer_used), bytes(allowed))?;
    }
    match budget.capacity {
        Some(0) => writeln!(out, "          directories are asked for no new clients"),
        Some(capacity) => writeln!(out, "          directories may count on {}/s", bytes(capacity)),
        None => Ok(()),
    }
}

fn relay(out: &mut String, status: &RelayStatus, now: Timestamp) -> std::fmt::Result {
    writeln!(out, "relay     {} ({}), version {}", status.id, readiness(status.ready), status.version)?;
    let (used, allowed) = (bytes(status.budget.disk_used), bytes(status.budget.disk_bytes));
    writeln!(out, "disk      {used} of {allowed} used")?;
    limits(out, &status.budget)?;
    for link in &status.directories {
        let role = if link.assigner { ", assigns" } else { "" };
        let named = if link.introduced { ", introduced by another" } else { "" };
        writeln!(out, "directory {} ({:?}{role}{named})", link.url, link.state)?;
        if let Some(reason) = &link.reason {
            writeln!(out, "          it says: {reason}")?;
        }
        fault(out, false, link.fault.as_deref())?;
        if let Some(next) = link.next_try {
            writeln!(out, "          tries again in {} s", next.since(now).as_secs())?;
        }
    }
    for catalog in &status.catalogs {
        writeln!(out, "catalog   {} {}", catalog.name, catalog.id)?;
        if let Some(head) = &catalog.served {
            let (all, size) = (counted(head.entries, "artifact"), bytes(head.bytes));
            let part = match (catalog.assigned, catalog.missing_blobs) {
                (false, _) => format!("no assignment of {}: holds 0 of {all}, {size}", head.pin),
                (_, 0) => format!("serves {}: {all}, {size}", head.pin),
                (_, missing) => {
                    let left = bytes(catalog.missing_bytes);
                    format!(
                        "knows {}: {all}, {size}; {} of {left} to fetch",
                        head.pin,
                        counted(missing, "blob")
                    )
                }
            };
            writeln!(out, "          {part}")?;
        }
        fault(out, catalog.stale, catalog.fault.as_deref())?;
    }
    for source in &status.sources {
        let (given, failed, wrong) = (bytes(source.bytes), source.failures, source.wrong_chunks);
        writeln!(out, "source    {}: {given}, {failed} failures, {wrong} wrong chunks", source.url)?;
    }
    Ok(())
}

fn fault(out: &mut String, stale: bool, fault: Option<&str>) -> std::fmt::Result {
    if stale {
        writeln!(out, "          STALE: its newest head or its root of trust has expired")?;
    }
    fault.map_or(Ok(()), |fault| writeln!(out, "          last fault: {fault}"))
}

const fn readiness(ready: bool) -> &'static str {
    if ready { "ready" } else { "not ready" }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes for people: three digits and a decimal unit.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut unit = "B";
    let (mut whole, mut tenths) = (count, 0);
    for larger in UNITS {
        if whole < 1000 {
            break;
        }
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, larger);
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn a_directory_that_fails_is_said_to_be_tried_again() {
        let key = SigningKey::from_seed(&[7; 32]).public_key();
        let status = serde_json::json!({
            "v": 1, "kind": "relay", "id": key, "version": "0", "started": 1, "ready": false, "catalogs": [],
            "stored_bytes": 0, "budget": { "disk_bytes": 1000, "disk_used": 0, "transfer_used": 0 }, "sources": [],
            "directories": [{
                "url": "https://everest.example.org", "state": "unknown", "assigner": false,
                "fault": "the directory cannot be reached", "next_try": 1032,
            }],
        });
        let shown = Daemon::parse(&status.to_string()).unwrap().describe(Timestamp(1000));
        let words = "          last fault: the directory cannot be reached\n          tries again in 32 s\n";
        assert!(shown.contains(words), "{shown}");
    }

    #[test]
    fn what_a_relay_may_send_is_said() {
        let shown = |budget: BudgetStatus| {
            let mut out = String::new();
            limits(&mut out, &budget).unwrap();
            out
        };
        assert_eq!(shown(BudgetStatus::default()), "");
        let budget = BudgetStatus {
            rate_bytes: Some(12_500_000),
            rate_until: Some(Timestamp(1_800_000_000)),
            transfer_bytes: Some(20_000_000_000_000),
            transfer_used: 19_990_000_000_000,
            transfer_renewed: Some(Timestamp(1_800_600_000)),
            capacity: Some(0),
            ..BudgetStatus::default()
        };
        let (limited, sent) = (
            "bandwidth 12.5 MB/s until 2027-01-15 08:00 UTC\n",
            "transfer  19.9 TB of 20.0 TB this month, renewed 2027-01-22 06:40 UTC\n",
        );
        assert_eq!(
            shown(budget),
            format!("{limited}{sent}          directories are asked for no new clients\n")
        );
        let window = BudgetStatus { rate_until: Some(Timestamp(1_800_000_000)), ..BudgetStatus::default() };
        assert_eq!(shown(window), "bandwidth no limit until 2027-01-15 08:00 UTC\n");
    }

    #[test]
    fn byte_counts_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(1_999_999), "1.9 MB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
    }
}
