//! What is measured, and the targets.

use std::fmt;

use odi_wire::serve::Scheme;

use super::bodies::{Bodies, SIZES, Size};

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
    pub(super) scheme: Scheme,
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
    /// Every row. What fits into the relay's memory several times over cannot be kept out of it: where the bodies of a size
    /// are fewer bytes than `outgrowing`, it is measured hot only.
    pub(super) fn all(outgrowing: u64, bodies: &Bodies) -> Vec<Self> {
        let of = |scheme, warmth| SIZES.map(|size| Self { scheme, warmth, size });
        let bytes = |size: Size| bodies.all(size).len() as u64 * size.bytes;
        [Scheme::Http, Scheme::Https]
            .into_iter()
            .flat_map(|scheme| [of(scheme, Warmth::Hot), of(scheme, Warmth::Verified)])
            .flatten()
            .filter(|row| row.warmth == Warmth::Hot || bytes(row.size) >= outgrowing)
            .collect()
    }

    pub(super) fn target(&self) -> Target {
        let kib = self.size.bytes >> 10;
        let cpu_max = match (self.scheme, self.warmth) {
            // What a request costs beside its bytes is most of it.
            _ if kib < 64 => None,
            (Scheme::Http, Warmth::Hot) => Some(0.7),
            (Scheme::Https, Warmth::Hot) => Some(0.5),
            (Scheme::Http, Warmth::Verified) if kib < 256 => Some(1.35),
            (Scheme::Http, Warmth::Verified) => Some(1.1),
            (Scheme::Https, Warmth::Verified) => Some(0.7),
        };
        let counts_requests = self.warmth == Warmth::Hot && kib <= 64;
        Target { cpu_max, requests_min: counts_requests.then_some(0.95) }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warmth = match self.warmth {
            Warmth::Hot => "hot",
            Warmth::Verified => "verified",
        };
        let scheme = match self.scheme {
            Scheme::Http => "plain",
            Scheme::Https => "TLS",
        };
        write!(f, "{scheme} {warmth} {}", self.size.name)
    }
}
