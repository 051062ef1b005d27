//! `odi-directoryd admin ...`: the operator's side of `admin::operate`, and what it prints.
//!
//! Exit codes: 0 done, 67 no such relay, 69 no directory answers, 73 a file could not be put where it belongs, 78 no configuration to ask
//! with, or none with what is to be added, 1 anything else. 2 is a command line that does not read.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::Subcommand;
use odi_manifest::{Clock, SystemClock, Timestamp};
use odi_store::RealDisk;
use odi_wire::admin::operator_request;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::daemon::EXIT_CONFIG;
use odi_wire::http::StatusCode;
use odi_wire::message::from_json;
use odi_wire::off_worker::off_worker;
use url::Url;

use super::adding::{self, Added};
use super::operate::{AdminCatalog, AdminRelay, Decide};
use crate::backup;
use crate::config::{Config, PrivateAddresses};

/// No such relay, or several (EX_NOUSER of sysexits.h).
const EXIT_NO_RELAY: u8 = 67;
/// No directory answers (EX_UNAVAILABLE).
const EXIT_UNAVAILABLE: u8 = 69;
/// The largest list.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// List the relays that it knows, and what you have decided about them.
    Relays,
    /// List the catalogs.
    Catalogs,
    /// Let a relay take its whole share as soon as it has passed its self-test; ends a quarantine.
    Approve(Whom),
    /// Send nobody to a relay any more, and assign nothing to it.
    Quarantine(Whom),
    /// Take back what was decided about a relay, and end its quarantine.
    Release(Whom),
    /// Forget a relay, and let it not register again.
    Remove(Whom),
    /// Follow another catalog: puts a file into `catalogs.d/` beside the configuration and has the running directory take it up.
    Add(Added),
    /// Say what a client is answered for a URL, and why.
    Explain {
        /// The URL, or a path of this directory.
        url: String,
    },
}

/// Which relay, and why.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Whom {
    /// Its key, the first eight digits of that or more, or the host of its URL.
    relay: String,
    /// The reason, which its operator and everybody else can read.
    #[arg(long)]
    why: Option<String>,
}

/// Does it, and prints what came of it.
pub(crate) async fn run(
    config: &Config,
    file: &Path,
    command: &AdminCommand,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (target, said) = match command {
        AdminCommand::Relays => ("relays", None),
        AdminCommand::Catalogs => ("catalogs", None),
        AdminCommand::Approve(whom) => ("approve", Some(whom)),
        AdminCommand::Quarantine(whom) => ("quarantine", Some(whom)),
        AdminCommand::Release(whom) => ("release", Some(whom)),
        AdminCommand::Remove(whom) => ("remove", Some(whom)),
        AdminCommand::Add(added) => return adding::add(config, file, added).await,
        AdminCommand::Explain { url } => return explain(config, url, json).await,
    };
    let Some(admin) = config.admin else {
        tracing::error!("the configuration has no `admin` listener to ask on");
        return Ok(ExitCode::from(EXIT_CONFIG));
    };
    let admin: Url = format!("http://{admin}/").parse().context("the admin listener has no URL")?;
    let client = Client::new(policy())?;
    let body = said.map(|whom| Decide { relay: whom.relay.clone(), why: whom.why.clone() });
    let body = body.map(|body| serde_json::to_vec(&body)).transpose()?.map(Bytes::from);
    let answer = match asked(&client, operator_request(&admin, target, body)).await? {
        Outcome::Answered(answer) => answer,
        Outcome::Ended(code) => return Ok(code),
    };
    if json {
        print(&String::from_utf8_lossy(&answer));
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        AdminCommand::Relays => {
            let relays: Vec<AdminRelay> = from_json(&answer, "the list of relays")?;
            relays.iter().for_each(|relay| print(&in_words(relay)));
        }
        AdminCommand::Catalogs => {
            let catalogs: Vec<AdminCatalog> = from_json(&answer, "the list of catalogs")?;
            catalogs.iter().for_each(|catalog| print(&catalog_in_words(catalog)));
        }
        _ => print(&in_words(&from_json(&answer, "a relay")?)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies a directory's state to a folder, whether it runs or not.
pub(crate) async fn back_up(config: &Config, to: &Path) -> anyhow::Result<ExitCode> {
    let data_dir = config.data_dir.clone();
    let to = std::path::absolute(to)?;
    let runs = odi_store::is_in_use(&RealDisk, &data_dir.join("store"))?;
    if runs {
        let Some(admin) = config.admin else {
            tracing::error!("the directory runs, and the configuration has no `admin` listener to ask on");
            return Ok(ExitCode::from(EXIT_CONFIG));
        };
        let admin: Url = format!("http://{admin}/").parse().context("the admin listener has no URL")?;
        let client = Client::new(policy())?;
        if let Outcome::Ended(code) =
            asked(&client, operator_request(&admin, "backup", Some(Bytes::new()))).await?
        {
            return Ok(code);
        }
    }
    let folder = to.clone();
    let backup = off_worker(move || {
        if runs {
            backup::collect(&data_dir, &folder)
        } else {
            backup::back_up_stopped(&data_dir, &folder, SystemClock.now())
        }
    });
    let backup = backup.await?;
    print(&format!("{} files of directory {} are in {}", backup.files(), backup.directory, to.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes a data folder of a copy.
pub(crate) async fn restore(config: &Config, from: &Path) -> anyhow::Result<ExitCode> {
    let (from, data_dir) = (from.to_owned(), config.data_dir.clone());
    let backup = off_worker(move || {
        odi_wire::private_file::create_folder(&data_dir)?;
        anyhow::Ok(backup::restore(&from, &data_dir)?)
    });
    let backup = backup.await?;
    print(&format!("directory {} is as it was at {}", backup.directory, backup.at));
    print("it shows nothing after its start before it has heard its origins and peers, for a minute at most");
    Ok(ExitCode::SUCCESS)
}

/// How the admin listener is asked: it is on this machine.
pub(super) fn policy() -> ClientPolicy {
    ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() }
}

/// What came of a question.
pub(super) enum Outcome {
    /// The body of a 200.
    Answered(Vec<u8>),
    /// It has been said why there is none.
    Ended(ExitCode),
}

/// Asks.
pub(super) async fn asked(client: &Client, ask: Ask) -> anyhow::Result<Outcome> {
    let reply = match client.send(ask.reply_bytes_max(LIST_BYTES_MAX)).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(
                error = odi_wire::chain::of(&error),
                "no directory answers on the admin listener"
            );
            return Ok(Outcome::Ended(ExitCode::from(EXIT_UNAVAILABLE)));
        }
    };
    let status = reply.status;
    let body = reply.body.collect().await?.to_vec();
    let words = String::from_utf8_lossy(&body);
    match status {
        status if status.is_success() => Ok(Outcome::Answered(body)),
        StatusCode::NOT_FOUND => {
            tracing::error!("no relay is called that");
            Ok(Outcome::Ended(ExitCode::from(EXIT_NO_RELAY)))
        }
        StatusCode::CONFLICT => {
            tracing::error!("{}", words.trim());
            Ok(Outcome::Ended(ExitCode::from(EXIT_NO_RELAY)))
        }
        _ => anyhow::bail!("the directory answers {status}: {}", words.trim()),
    }
}

async fn explain(config: &Config, url: &str, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(ClientPolicy {
        allow_private_addresses: config.private_addresses == PrivateAddresses::Allowed,
        extra_roots: config.extra_roots.clone(),
        ..ClientPolicy::default()
    })?;
    let base = config.public_urls.first().context("the configuration has no public URL")?;
    let mut url = base.join(url).with_context(|| format!("`{url}` is no URL"))?;
    url.query_pairs_mut().append_pair("explain", "1");
    if json {
        url.query_pairs_mut().append_pair("json", "1");
    }
    match asked(&client, Ask::get(&url)).await? {
        Outcome::Answered(answer) => {
            print(String::from_utf8_lossy(&answer).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Ended(code) => Ok(code),
    }
}

fn in_words(relay: &AdminRelay) -> String {
    let key = relay.key.get(..16).unwrap_or(&relay.key);
    let url = relay.urls.first().map_or("(no URL)", String::as_str);
    let state = if relay.known { format!("{:?}", relay.state).to_lowercase() } else { "not here".to_owned() };
    let lease = if relay.lease_until == Timestamp(0) {
        "no lease".to_owned()
    } else {
        format!("lease until {}", relay.lease_until)
    };
    let decision = relay.decision.as_ref().map(|decision| {
        let why = decision.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("; {} by you {}{why}", format!("{:?}", decision.verdict).to_lowercase(), decision.at)
    });
    let reports = match relay.reports.len() {
        0 => String::new(),
        1 => "; another directory shut it out".to_owned(),
        several => format!("; {several} other directories shut it out"),
    };
    let audits = relay.audits.first().map(|audit| {
        let by = audit.by.to_hex();
        let others = if audit.seen.is_empty() { "" } else { " and other relays" };
        format!("; directory {}{others} saw it give wrong bytes {}", by.get(..16).unwrap_or(&by), audit.at)
    });
    let why = relay.shut_out.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    format!(
        "{key}  {url}  {state}, {lease}{why}{}{}{reports}",
        decision.unwrap_or_default(),
        audits.unwrap_or_default()
    )
}

fn catalog_in_words(catalog: &AdminCatalog) -> String {
    let seq = catalog.served.map_or_else(|| "nothing served yet".to_owned(), |seq| format!("serves {seq}"));
    let fault = catalog.fault.as_ref().map(|fault| format!("; {fault}")).unwrap_or_default();
    let file = catalog.file.as_ref().map(|file| format!("; of {file}")).unwrap_or_default();
    format!("{}  {}  {seq}, {} relays{file}{fault}", catalog.name, catalog.id, catalog.relays)
}

#[expect(clippy::print_stdout, reason = "what was asked for is what the command is for")]
pub(super) fn print(text: &str) {
    println!("{text}");
}
