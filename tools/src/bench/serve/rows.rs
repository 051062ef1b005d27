//! What is measured, and the targets.

use std::fmt;

use super::bodies::{SIZES, Size};

/// Where the relay has the bytes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warmth {
    /// From its memory, verified before.
    Hot,
    /// From the page cache, and hashes them.
    Verified,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) warmth: Warmth,
    pub(super) size: Size,
}

/// What is hoped for, as ratios to nginx.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    /// At most this CPU time for the same bytes.
    pub(super) cpu_max: Option<f64>,
    /// At least this many requests in the same time.
    pub(super) requests_min: Option<f64>,
}

impl Row {
    /// Every row. What is smaller than a few hundred megabytes in all cannot be kept out of the relay's memory, so the
    /// smallest size is measured hot only.
    pub(super) fn all() -> Vec<Self> {
        let hot = SIZES.iter().map(|size| Self { warmth: Warmth::Hot, size: *size });
        let verified = SIZES.iter().skip(1).map(|size| Self { warmth: Warmth::Verified, size: *size });
        hot.chain(verified).collect()
    }

    pub(super) fn target(&self) -> Target {
        let kib = self.size.bytes >> 10;
        match self.warmth {
            Warmth::Hot => {
                Target { cpu_max: (kib >= 64).then_some(0.7), requests_min: (kib <= 64).then_some(0.95) }
            }
            Warmth::Verified if kib < 256 => Target { cpu_max: Some(1.35), requests_min: None },
            Warmth::Verified => Target { cpu_max: Some(1.1), requests_min: None },
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warmth = match self.warmth {
            Warmth::Hot => "hot",
            Warmth::Verified => "verified",
        };
        write!(f, "plain {warmth} {}", self.size.name)
    }
}
