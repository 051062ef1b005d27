//! Comparing a body, as it arrives, with every version that it may be.

use odi_wire::client::Reply;
use odi_wire::http::StatusCode;
use odi_wire::http::header::CONTENT_RANGE;
use url::Url;

use super::content::{Published, Version, fill};

/// What an answer claims to be part of.
#[derive(Debug)]
pub(super) struct Expected {
    path: String,
    /// Those that it may still be.
    versions: Vec<Version>,
    /// Where in the file the next byte belongs.
    at: u64,
    /// Where the answer ends.
    end: u64,
}

/// What is wrong with an answer that claims success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("a head that was never published")]
    Head,
    #[error("a path that this head does not have")]
    Path,
    #[error("status {0} without the lengths that go with it")]
    Lengths(StatusCode),
    #[error("status {status}, bytes {from} to {end} of {size}, which no version is")]
    Size { status: StatusCode, from: u64, end: u64, size: u64 },
    #[error("bytes near {0} that no version has")]
    Bytes(u64),
}

impl Expected {
    /// Reads the head of a reply to a request for `path`, perhaps from a byte on. The URL says of which head it is; without a pin in
    /// it, it may be any.
    pub(super) fn of(published: &Published, path: &str, reply: &Reply) -> Result<Self, Wrong> {
        let versions = match pinned_seq(&reply.url) {
            Some(seq) => {
                let state = published.state(seq).ok_or(Wrong::Head)?;
                vec![*state.get(path).ok_or(Wrong::Path)?]
            }
            None => published.versions(path),
        };
        let status = reply.status;
        let (from, end, size) = extent(reply).ok_or(Wrong::Lengths(status))?;
        let fits = |version: &Version| {
            version.size == size && (status == StatusCode::PARTIAL_CONTENT || from == 0 && end == size)
        };
        let versions: Vec<Version> = versions.into_iter().filter(fits).collect();
        if versions.is_empty() || from > end || end > size {
            return Err(Wrong::Size { status, from, end, size });
        }
        Ok(Self { path: path.to_owned(), versions, at: from, end })
    }

    /// Where the answer begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Where it is to end.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let wrong = Wrong::Bytes(self.at);
        let next = self.at + bytes.len() as u64;
        let mut right = vec![0; bytes.len()];
        let (path, at) = (&self.path, self.at);
        self.versions.retain(|version| {
            fill(path, version.number, at, &mut right);
            right == bytes
        });
        if self.versions.is_empty() || next > self.end {
            return Err(wrong);
        }
        self.at = next;
        Ok(())
    }
}

/// The sequence number in the pin with which a relay's paths begin.
pub(super) fn pinned_seq(url: &Url) -> Option<u64> {
    let pin = url.path_segments()?.next()?.strip_prefix('@')?;
    pin.split_once('-')?.0.parse().ok()
}

/// From, to, and of how much.
fn extent(reply: &Reply) -> Option<(u64, u64, u64)> {
    if reply.status == StatusCode::PARTIAL_CONTENT {
        let range = reply.headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
        let (range, size) = range.split_once('/')?;
        let (from, last) = range.split_once('-')?;
        return Some((from.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?, size.parse().ok()?));
    }
    let size = reply.body.declared_len()?;
    Some((0, size, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(versions: &[u32]) -> Expected {
        let versions = versions.iter().map(|number| Version { number: *number, size: 5000 }).collect();
        Expected { path: "a".to_owned(), versions, at: 1000, end: 3000 }
    }

    #[test]
    fn a_body_may_be_any_version_but_not_two() {
        let (mut first, mut second) = (vec![0; 2000], vec![0; 2000]);
        fill("a", 1, 1000, &mut first);
        fill("a", 2, 1000, &mut second);
        let mut taken = expected(&[1, 2]);
        for piece in second.chunks(300) {
            taken.take(piece).unwrap();
        }
        assert_eq!(taken.at(), taken.end());
        let mut mixed = expected(&[1, 2]);
        mixed.take(first.get(..300).unwrap()).unwrap();
        assert_eq!(mixed.take(second.get(300..600).unwrap()), Err(Wrong::Bytes(1300)));
        let mut flipped = first.clone();
        flipped.iter_mut().skip(1500).take(1).for_each(|byte| *byte ^= 1);
        assert!(expected(&[1, 2]).take(&flipped).is_err());
    }

    #[test]
    fn more_than_was_said_is_wrong() {
        let mut bytes = vec![0; 2001];
        fill("a", 1, 1000, &mut bytes);
        assert!(expected(&[1]).take(&bytes).is_err());
    }

    #[test]
    fn a_pin_names_its_head() {
        let seq = |url: &str| pinned_seq(&url.parse().unwrap());
        assert_eq!(seq("http://a/@17-abcdefgh/packages/x"), Some(17));
        assert_eq!(seq("http://a/soak/packages/x"), None);
        assert_eq!(seq("http://a/@x/packages/x"), None);
    }
}
