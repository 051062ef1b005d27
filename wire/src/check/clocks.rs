//! Whether the clock here is nearly right, by what others date their answers with.

use std::time::Duration;

use http::HeaderMap;
use http::header::DATE;
use odi_manifest::Timestamp;

use crate::finding::{Finding, Severity};
use crate::http_date;

/// How far clocks may be apart. What is signed for one request is believed for a minute each way.
pub const CLOCK_APART_MAX: Duration = Duration::from_secs(45);

/// Compares the clock with the date of an answer; nothing to say if it has none. `consequence` is what comes of a wrong one.
#[must_use]
pub fn clock_against(
    answer: &HeaderMap,
    who: &str,
    now: Timestamp,
    severity: Severity,
    consequence: &str,
) -> Option<Finding> {
    let theirs = Timestamp(http_date::parse(answer.get(DATE)?.to_str().ok()?)?);
    let apart = now.since(theirs).max(theirs.since(now));
    if apart <= CLOCK_APART_MAX {
        let words = format!("the clock agrees with that of {who} to within {} s.", CLOCK_APART_MAX.as_secs());
        return Some(Finding::new(Severity::Fine, words));
    }
    let words =
        format!("the clock says {now}, that of {who} {theirs}, {} s apart: {consequence}", apart.as_secs());
    Some(Finding::new(severity, words))
}
