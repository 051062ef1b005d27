//! `/odi/v1/...`: what daemons and tools ask each other.

use std::time::Duration;

use data_encoding::HEXLOWER;
use http::Method;
use odi_manifest::{ArtifactPath, BlobId, CatalogId, HeadId};

use super::percent::encode_query;
use super::query::parameters;
use crate::layout::LayoutPath;
use crate::refusal::Refusal;

/// Where the API begins.
pub const API_PREFIX: &str = "/odi/v1/";

/// The longest that a long poll waits, whatever its caller asks.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// One request of the API. A daemon answers 404 to what is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiRoute {
    /// `GET status`: how this daemon is.
    Status,
    /// `GET catalogs`: the catalogs that it knows.
    Catalogs,
    /// `GET catalogs/{id}/head?after=SEQ&wait=S`: the newest head; with `after`, once it is above that number or
    /// the time is up.
    Head {
        /// The catalog.
        catalog: CatalogId,
        /// The sequence number that the caller has.
        after: Option<u64>,
        /// How long the caller will wait for a higher one; at most a minute.
        wait: Duration,
    },
    /// `GET catalogs/{id}/testimony?unlike=HEX&wait=S`: the newest head and who vouches for it; with `unlike`, once the
    /// answer has another hash or the time is up.
    Testimony {
        /// The catalog.
        catalog: CatalogId,
        /// The BLAKE3 of the answer that the caller has.
        unlike: Option<BlobId>,
        /// How long the caller will wait for another one; at most a minute.
        wait: Duration,
    },
    /// `GET catalogs/{id}/...`: any other item of the layout.
    Layout {
        /// The catalog.
        catalog: CatalogId,
        /// The item.
        item: LayoutPath,
        /// `?after=PATH`: what the caller has of it already.
        after: Option<ArtifactPath>,
        /// `?size=N`: how large the blob is whose chunk list is wanted.
        size: Option<u64>,
    },
    /// `GET catalogs/{id}/proof?path=P&head=HEX`: proof that a head's manifest has, or lacks, an entry.
    Proof {
        /// The catalog.
        catalog: CatalogId,
        /// The entry's path.
        path: ArtifactPath,
        /// The head; the newest served one if absent.
        head: Option<HeadId>,
    },
    /// `GET catalogs/{id}/relays`: the newest inventories of the relays that live.
    Holders {
        /// The catalog.
        catalog: CatalogId,
    },
    /// `POST catalogs/{id}/push`: here is a newer head.
    Push {
        /// The catalog.
        catalog: CatalogId,
    },
    /// `POST catalogs/{id}/trigger`: look at the origin now.
    Trigger {
        /// The catalog.
        catalog: CatalogId,
    },
    /// `GET statistics/{of}?days=N&csv`: what was downloaded.
    Statistics {
        /// By what.
        of: StatisticsOf,
        /// Over how many days, today the last.
        days: u32,
        /// As CSV instead of JSON.
        csv: bool,
    },
    /// `GET relays`: the relays, for people.
    Relays,
    /// `POST relays`: register me.
    Register,
    /// `POST relays/inventory`: this is what I hold.
    Inventory,
    /// `POST relays/leave`: count on me no longer.
    Leave,
    /// `GET relays/{key}/assignment`: what should I hold?
    Assignment {
        /// The relay's Ed25519 public key; 64 hexadecimal digits in the path.
        relay: [u8; 32],
    },
    /// `POST relays/statements`: the newest inventories of these relays.
    Statements,
    /// `GET relays/reports?unlike=HEX&wait=S`: what is held against relays; with `unlike`, once the answer has another hash or
    /// the time is up.
    Reports {
        /// The BLAKE3 of the answer that the caller has.
        unlike: Option<BlobId>,
        /// How long the caller will wait for another one; at most a minute.
        wait: Duration,
    },
    /// `POST notify`: a directory tells a relay that there is news.
    Notify,
    /// `POST look`: a directory wants to know what another relay gives this one.
    Look,
}

/// By what downloads are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsOf {
    /// `total`: not at all.
    Total,
    /// `catalogs`.
    Catalogs,
    /// `relays`.
    Relays,
    /// `countries`, of callers of whom it is known.
    Countries,
    /// `artifacts`: by day, those with the most.
    Artifacts,
    /// `lately`: the artifacts with the most lately; a download counts half after a day.
    Lately,
}

/// Over how many days, if the caller does not say.
const STATISTICS_DAYS: u32 = 30;

/// Reads what follows `/odi/`.
pub(super) fn parse(method: &Method, rest: &str, query: &str) -> Result<ApiRoute, Refusal> {
    let path = rest.strip_prefix("v1/").ok_or(Refusal::NotFound)?;
    let route = match path.split_once('/') {
        None => match (path, method) {
            ("relays", &Method::POST) => ApiRoute::Register,
            ("relays", _) => ApiRoute::Relays,
            ("status", _) => ApiRoute::Status,
            ("catalogs", _) => ApiRoute::Catalogs,
            ("notify", _) => ApiRoute::Notify,
            ("look", _) => ApiRoute::Look,
            _ => return Err(Refusal::NotFound),
        },
        Some(("relays", "inventory")) => ApiRoute::Inventory,
        Some(("relays", "leave")) => ApiRoute::Leave,
        Some(("relays", "statements")) => ApiRoute::Statements,
        Some(("relays", "reports")) => reports(query)?,
        Some(("statistics", of)) => statistics(of, query)?,
        Some(("relays", rest)) => {
            let key = rest.strip_suffix("/assignment").and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
            let relay = key.and_then(|key| key.try_into().ok()).ok_or(Refusal::NotFound)?;
            ApiRoute::Assignment { relay }
        }
        Some(("catalogs", rest)) => {
            let (id, item) = rest.split_once('/').ok_or(Refusal::NotFound)?;
            of_catalog(id.parse().map_err(|_| Refusal::NotFound)?, item, query)?
        }
        Some(_) => return Err(Refusal::NotFound),
    };
    let allow = route.methods();
    if allow.split(", ").any(|allowed| allowed == method.as_str()) {
        Ok(route)
    } else {
        Err(Refusal::MethodNotAllowed { allow })
    }
}

fn statistics(of: &str, query: &str) -> Result<ApiRoute, Refusal> {
    let of = match of {
        "total" => StatisticsOf::Total,
        "catalogs" => StatisticsOf::Catalogs,
        "relays" => StatisticsOf::Relays,
        "countries" => StatisticsOf::Countries,
        "artifacts" => StatisticsOf::Artifacts,
        "lately" => StatisticsOf::Lately,
        _ => return Err(Refusal::NotFound),
    };
    let value = |wanted: &str| parameters(query).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let days = parsed(value("days"), "days")?.unwrap_or(STATISTICS_DAYS);
    Ok(ApiRoute::Statistics { of, days, csv: value("csv").is_some() })
}

fn reports(query: &str) -> Result<ApiRoute, Refusal> {
    let value = |wanted: &str| parameters(query).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let wait = Duration::from_secs(parsed(value("wait"), "wait")?.unwrap_or(0)).min(WAIT_MAX);
    Ok(ApiRoute::Reports { unlike: parsed(value("unlike"), "unlike")?, wait })
}

fn of_catalog(catalog: CatalogId, item: &str, query: &str) -> Result<ApiRoute, Refusal> {
    let value = |wanted: &str| parameters(query).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    Ok(match item {
        "relays" => ApiRoute::Holders { catalog },
        "push" => ApiRoute::Push { catalog },
        "trigger" => ApiRoute::Trigger { catalog },
        "proof" => {
            let path = value("path").ok_or_else(|| Refusal::bad_request("proof needs ?path="))?;
            let path = ArtifactPath::parse(&path).map_err(|error| Refusal::bad_request(error.to_string()))?;
            ApiRoute::Proof { catalog, path, head: parsed(value("head"), "head")? }
        }
        "head" | "testimony" => {
            let wait = Duration::from_secs(parsed(value("wait"), "wait")?.unwrap_or(0)).min(WAIT_MAX);
            match item {
                "head" => ApiRoute::Head { catalog, after: parsed(value("after"), "after")?, wait },
                _ => ApiRoute::Testimony { catalog, unlike: parsed(value("unlike"), "unlike")?, wait },
            }
        }
        item => {
            let item = item.parse().map_err(|_| Refusal::NotFound)?;
            let (after, size) = (parsed(value("after"), "after")?, parsed(value("size"), "size")?);
            ApiRoute::Layout { catalog, item, after, size }
        }
    })
}

fn parsed<T: std::str::FromStr>(value: Option<String>, name: &str) -> Result<Option<T>, Refusal> {
    value
        .map(|value| value.parse().map_err(|_| Refusal::bad_request(format!("?{name}= is malformed"))))
        .transpose()
}

impl ApiRoute {
    /// Where a directory proves what a head's manifest has at a path.
    #[must_use]
    pub fn proof_path(catalog: &CatalogId, path: &str, head: &HeadId) -> String {
        format!("{API_PREFIX}catalogs/{catalog}/proof?path={}&head={head}", encode_query(path))
    }

    /// The methods it takes, as `Allow` spells them.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Push { .. }
            | Self::Trigger { .. }
            | Self::Inventory
            | Self::Leave
            | Self::Statements
            | Self::Look
            | Self::Notify => "POST",
            Self::Relays | Self::Register => "GET, HEAD, POST",
            _ => "GET, HEAD",
        }
    }
}
