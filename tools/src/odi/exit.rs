//! The exit codes of `odi`, one per kind of failure, and the one place where a failure is printed.

use std::process::ExitCode;

/// How a command ends that did not do what it should. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Anything without a number of its own: a full disk, a bug.
    Failed = 1,
    /// The command line; clap uses the same number.
    Usage = 2,
    /// A signature, a key or a proof is wrong.
    Signature = 3,
    /// The newest head on offer is older than one seen before: the directory is behind, or somebody keeps it back.
    Rollback = 4,
    /// The catalog has expired, or too few witnesses have confirmed it lately.
    Stale = 5,
    /// The catalog's keys signed two histories.
    Equivocation = 6,
    /// Nobody has the right bytes.
    Content = 7,
    /// Nobody could be reached, or not in time.
    Unavailable = 8,
    /// The catalog has no such artifact.
    NotFound = 9,
    /// The maintainers have revoked it.
    Revoked = 10,
}

/// Says what went wrong, cause after cause, and gives the code.
pub(super) fn report(error: &anyhow::Error, exit: Exit) -> ExitCode {
    eprintln!("odi: {error:#}");
    ExitCode::from(exit as u8)
}
