//! An error with its causes on one line, for status documents, reports and logs.

use std::error::Error;

/// `what: why: because`, each level once.
#[must_use]
pub fn of(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
