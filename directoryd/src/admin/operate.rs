//! What the operator asks of a running directory, on its admin listener: lists, decisions, a copy of its state. docs/directory.md has the
//! commands; the routes below `/admin/` are theirs alone and may change with them.

use std::sync::Arc;

use odi_manifest::{CatalogId, PublicKey, Timestamp};
use odi_wire::admin::OPERATOR;
use odi_wire::chain;
use odi_wire::http::{HeaderValue, Method, StatusCode};
use odi_wire::message::{JSON, RelayState, to_json};
use odi_wire::off_worker::off_worker;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Request, Response};
use serde::{Deserialize, Serialize};

use crate::answer::{relay_state, status_document};
use crate::backup::{self, Backup, BackupError};
use crate::directory::Directory;
use crate::reports::{AuditReport, DirectoryReport};
use crate::roster::{Decision, Member, Stage, Verdict, WHY_BYTES_MAX};
use crate::select::Why;

/// The largest body of an operator's request.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How many digits of a key are enough.
const KEY_DIGITS_MIN: usize = 8;

/// One relay, for its directory's operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AdminRelay {
    /// Its key, in hexadecimal.
    pub(crate) key: String,
    /// Its URLs.
    pub(crate) urls: Vec<String>,
    /// Where it stands.
    pub(crate) state: RelayState,
    /// How far its trial has come.
    pub(crate) stage: Stage,
    /// Why nobody is sent there, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shut_out: Option<String>,
    /// Why it is no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What the operator has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<Decision>,
    /// Who saw it give wrong bytes, the last first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) audits: Vec<AuditReport>,
    /// What other directories hold against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reports: Vec<DirectoryReport>,
    /// Until when its lease runs; 0 if it has none.
    pub(crate) lease_until: Timestamp,
    /// Whether it is in the roster; what was removed is not.
    pub(crate) known: bool,
}

/// One catalog, for its directory's operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AdminCatalog {
    /// This directory's name for it.
    pub(crate) name: String,
    /// Its self-certifying name.
    pub(crate) id: CatalogId,
    /// Its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// The file of `catalogs.d/` that it is from, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// The served sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) served: Option<u64>,
    /// How many live relays announce it.
    pub(crate) relays: u32,
    /// Why it cannot be followed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
}

/// The body of a decision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decide {
    /// Which relay: its key, the beginning of that, or a URL's host.
    pub(crate) relay: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Answers one request.
pub(crate) async fn answer(directory: &Arc<Directory>, request: Request) -> Response {
    operate(directory, request).await.unwrap_or_else(Refusal::into_response)
}

async fn operate(directory: &Arc<Directory>, mut request: Request) -> Result<Response, Refusal> {
    let target = request.target().strip_prefix(OPERATOR).unwrap_or_default().to_owned();
    let is_read = request.method == Method::GET;
    match (target.as_str(), is_read) {
        ("relays", true) => Ok(json(&relays(directory))),
        ("catalogs", true) => Ok(json(&catalogs(directory))),
        ("backup", false) if request.method == Method::POST => {
            let laid_out = Arc::clone(directory);
            let backup = off_worker(move || lay_out(&laid_out)).await;
            Ok(json(&backup.map_err(|error| {
                tracing::error!(error = chain::of(&error), "no backup could be made");
                Refusal::Unprocessable(chain::of(&error).into())
            })?))
        }
        ("reload", false) if request.method == Method::POST => {
            directory.reload_due.notify_one();
            Ok(Response::new(StatusCode::ACCEPTED))
        }
        ("approve" | "quarantine" | "release" | "remove", false) if request.method == Method::POST => {
            let body = request.read_body(BODY_BYTES_MAX).await?;
            let said: Decide = parsed(&body)?;
            Ok(json(&decide(directory, &target, said).await?))
        }
        _ => Err(Refusal::NotFound),
    }
}

fn lay_out(directory: &Directory) -> Result<Backup, BackupError> {
    let now = directory.clock.now();
    let archive = directory.statistics.settled(now)?;
    backup::lay_out(&directory.config.data_dir, directory.id, archive, now)
}

fn parsed<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

async fn decide(directory: &Arc<Directory>, verb: &str, said: Decide) -> Result<AdminRelay, Refusal> {
    let why = said.why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty());
    if why.as_ref().is_some_and(|why| why.len() > WHY_BYTES_MAX || why.chars().any(char::is_control)) {
        let words = format!("a reason is one line of at most {WHY_BYTES_MAX} bytes");
        return Err(Refusal::Unprocessable(words.into()));
    }
    let relay = meant(directory, &said.relay)?;
    let now = directory.clock.now();
    let decision = |verdict| Some(Decision { verdict, why, at: now });
    let decision = match verb {
        "approve" => decision(Verdict::Approved),
        "quarantine" => decision(Verdict::Quarantined),
        "remove" => decision(Verdict::Removed),
        _ => None,
    };
    tracing::info!(%relay, verb, why = ?decision.as_ref().and_then(|decision| decision.why.as_ref()), "the operator decided");
    directory.relays.decide(relay, decision, now).await.map_err(|error| {
        tracing::error!(error = chain::of(&error), "a decision could not be written");
        Refusal::Internal
    })?;
    // Others are to hold what it held, or it may be tested now.
    directory.relays_due.notify_one();
    directory.news.notify_one();
    shown(directory, &relay).ok_or(Refusal::NotFound)
}

/// The one relay that a word names: a whole key also if it is not here.
fn meant(directory: &Directory, word: &str) -> Result<PublicKey, Refusal> {
    if let Some(key) = PublicKey::from_hex(word).ok().or_else(|| word.parse().ok()) {
        return Ok(key);
    }
    let roster = directory.relays.roster();
    let is_digits = word.len() >= KEY_DIGITS_MIN && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_called = |member: &&Member| {
        let by_url = |url: &odi_wire::message::PublicUrl| {
            let whole = url.to_url();
            url.as_str() == word || whole.authority() == word || whole.host_str() == Some(word)
        };
        is_digits && member.relay().to_hex().starts_with(word) || member.urls().iter().any(by_url)
    };
    let mut keys: Vec<PublicKey> = roster.members().filter(is_called).map(Member::relay).collect();
    keys.extend(
        roster
            .decisions()
            .keys()
            .filter(|key| is_digits && key.to_hex().starts_with(word) && !keys.contains(key))
            .copied()
            .collect::<Vec<_>>(),
    );
    match keys.as_slice() {
        [relay] => Ok(*relay),
        [] => Err(Refusal::NotFound),
        several => {
            Err(Refusal::Conflict(format!("{} relays are called that; say the key", several.len()).into()))
        }
    }
}

fn relays(directory: &Directory) -> Vec<AdminRelay> {
    let now = directory.clock.now();
    let roster = directory.relays.roster();
    let mut relays: Vec<AdminRelay> = roster
        .members()
        .map(|member| of_member(directory, member, roster.shut_out(member, now), now))
        .collect();
    let absent = roster.decisions().iter().filter(|(relay, _)| roster.member(relay).is_none());
    relays.extend(absent.map(|(relay, decision)| of_absent(relay, Some(decision.clone()))));
    relays
}

fn shown(directory: &Directory, relay: &PublicKey) -> Option<AdminRelay> {
    let now = directory.clock.now();
    let roster = directory.relays.roster();
    let member =
        roster.member(relay).map(|member| of_member(directory, member, roster.shut_out(member, now), now));
    member.or_else(|| Some(of_absent(relay, roster.decisions().get(relay).cloned())))
}

fn of_member(directory: &Directory, member: &Member, shut: Option<Why>, now: Timestamp) -> AdminRelay {
    AdminRelay {
        key: member.relay().to_hex(),
        urls: member.urls().iter().map(ToString::to_string).collect(),
        state: relay_state(member.standing(now)),
        stage: member.trial().stage(),
        shut_out: shut.map(|why| why.words().to_owned()),
        reason: member.reason().map(str::to_owned),
        decision: member.decision().cloned(),
        audits: directory.reports.audits_of(&member.relay()),
        reports: directory.reports.of(&member.relay()),
        lease_until: member.lease_until(),
        known: true,
    }
}

fn of_absent(relay: &PublicKey, decision: Option<Decision>) -> AdminRelay {
    AdminRelay {
        key: relay.to_hex(),
        urls: Vec::new(),
        state: RelayState::Unknown,
        stage: Stage::Untested,
        shut_out: None,
        reason: decision.as_ref().and_then(Decision::words),
        decision,
        audits: Vec::new(),
        reports: Vec::new(),
        lease_until: Timestamp(0),
        known: false,
    }
}

fn catalogs(directory: &Directory) -> Vec<AdminCatalog> {
    let status = status_document(directory);
    let catalog = |catalog: odi_wire::message::DirectoryCatalog| {
        let config = directory.catalog(&catalog.id).map(|known| known.config());
        AdminCatalog {
            origin: config.as_ref().and_then(|config| Some(config.origin.as_ref()?.to_string())),
            file: config.as_ref().and_then(|config| Some(config.file.as_ref()?.display().to_string())),
            served: catalog.served.map(|head| head.seq),
            name: catalog.name,
            id: catalog.id,
            relays: catalog.relays,
            fault: catalog.fault,
        }
    };
    status.catalogs.into_iter().map(catalog).collect()
}

fn json<T: Serialize>(document: &T) -> Response {
    Response::ok(JSON, to_json(document)).with_header("cache-control", HeaderValue::from_static("no-store"))
}
