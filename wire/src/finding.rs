//! What a daemon's `check` found, in words for its operator.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// The daemon runs, but not as its operator probably means.
    Doubtful,
    /// The daemon would not start, or nobody could use it.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub severity: Severity,
    /// What, in a sentence.
    pub words: String,
}

impl Finding {
    /// What was found.
    #[must_use]
    pub fn new(severity: Severity, words: impl Into<String>) -> Self {
        Self { severity, words: words.into() }
    }

    /// Whether this alone keeps the daemon from working.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Fine => "ok     ",
            Severity::Doubtful => "warning",
            Severity::Fatal => "FAILS  ",
        };
        write!(f, "{mark}  {}", self.words)
    }
}
