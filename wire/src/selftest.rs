//! What both daemons agree on about the self-test catalog (PROTOCOL.md § Self-test): its name, and how small it is.
//!
//! Every directory publishes one of its own, and a relay takes it without being told to. The bounds are what a directory
//! can make a relay hold that way.

/// What every directory calls its self-test catalog. No other catalog may have the name.
pub const SELFTEST_NAME: &str = "odi-selftest";

/// The most bytes of artifacts that a relay takes as a self-test.
pub const SELFTEST_BYTES_MAX: u64 = 16 << 20;

/// The most artifacts likewise.
pub const SELFTEST_ENTRIES_MAX: u64 = 64;
