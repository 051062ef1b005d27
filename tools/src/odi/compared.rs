//! What several directories say of the same catalogs, side by side: which is behind, and which shows another history.

use std::collections::BTreeMap;
use std::fmt;

use odi_manifest::CatalogId;
use odi_wire::message::{DirectoryStatus, HeadStatus};

/// Where directories do not agree about a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disagreement {
    /// One shows an older head than another.
    Behind { catalog: String, at: String, seq: u64, newest: u64, newest_at: String },
    /// Two show different heads of one number.
    Divided { catalog: String, at: String, other: String, seq: u64 },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { catalog, at, seq, newest, newest_at } => {
                write!(f, "catalog {catalog}: {at} is behind: it shows {seq}, and {newest_at} shows {newest}")
            }
            Self::Divided { catalog, at, other, seq } => {
                write!(
                    f,
                    "catalog {catalog}: TWO HISTORIES: {at} and {other} show different heads with number {seq}"
                )
            }
        }
    }
}

/// Compares the newest adopted heads; each directory by its URL.
pub(super) fn compare(directories: &[(String, &DirectoryStatus)]) -> Vec<Disagreement> {
    let mut heads: BTreeMap<CatalogId, Vec<(&str, &str, &HeadStatus)>> = BTreeMap::new();
    for (url, status) in directories {
        for catalog in &status.catalogs {
            let shown = catalog.adopted.as_ref().map(|head| (url.as_str(), catalog.name.as_str(), head));
            heads.entry(catalog.id).or_default().extend(shown);
        }
    }
    heads.values().flat_map(|shown| disagreements(shown)).collect()
}

fn disagreements(shown: &[(&str, &str, &HeadStatus)]) -> Vec<Disagreement> {
    let Some((newest_at, catalog, newest)) = shown.iter().max_by_key(|(_, _, head)| head.seq) else {
        return Vec::new();
    };
    let differs = |(at, _, head): &(&str, &str, &HeadStatus)| {
        let (catalog, at, seq) = ((*catalog).to_owned(), (*at).to_owned(), head.seq);
        if seq < newest.seq {
            let newest_at = (*newest_at).to_owned();
            return Some(Disagreement::Behind { catalog, at, seq, newest: newest.seq, newest_at });
        }
        let other = (*newest_at).to_owned();
        (head.head != newest.head).then_some(Disagreement::Divided { catalog, at, other, seq })
    };
    shown.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use odi_manifest::{HeadId, Pin, SigningKey};
    use serde_json::json;

    use super::*;

    fn showing(catalog: &str, seq: u64, head: &str) -> DirectoryStatus {
        let (key, head) = (SigningKey::from_seed(&[7; 32]).public_key(), HeadId::of(head.as_bytes()));
        let adopted = json!({
            "seq": seq, "head": head, "pin": Pin::of(seq, &head), "entries": 1, "bytes": 2, "expires": 9,
        });
        serde_json::from_value(json!({
            "v": 1, "kind": "directory", "id": key, "version": "0", "started": 1, "ready": true,
            "catalogs": [{ "name": catalog, "id": CatalogId::of(b"root"), "adopted": adopted, "stale": false, "relays": 0 }],
            "relays": { "unproven": 0, "probation": 0, "ready": 0, "quarantined": 0 },
            "carried_bytes": 0, "carry_budget": 9,
        }))
        .unwrap()
    }

    #[test]
    fn who_is_behind_and_who_shows_another_history_is_named() {
        let all = [showing("a", 7, "seven"), showing("b", 9, "nine"), showing("c", 9, "nine")];
        let directories: Vec<_> =
            ["http://a/", "http://b/", "http://c/"].map(str::to_owned).into_iter().zip(&all).collect();
        let said: Vec<String> = compare(&directories).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["catalog c: http://a/ is behind: it shows 7, and http://c/ shows 9"]);
        let two = [showing("a", 9, "nine"), showing("b", 9, "another")];
        let directories: Vec<_> =
            ["http://a/", "http://b/"].map(str::to_owned).into_iter().zip(&two).collect();
        let said: Vec<String> = compare(&directories).iter().map(ToString::to_string).collect();
        let words = "catalog b: TWO HISTORIES: http://a/ and http://b/ show different heads with number 9";
        assert_eq!(said, [words]);
        assert_eq!(compare(&directories[..1]), []);
    }
}
