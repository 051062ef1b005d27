//! By what a file is recognised as unchanged, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// How close to "now" a change time may lie and still be told apart from a later change, on a file system that
/// stamps with the kernel's tick.
const FINE_GRAIN_NS: i64 = 100_000_000;
/// The same on one that stamps whole seconds, or two as FAT does.
const COARSE_GRAIN_NS: i64 = 2_000_000_000;

/// Size, times and inode of a file at one moment.
///
/// The change time is the strong part: no program can set it, so bytes replaced under a kept modification time
/// (`cp -p`, `rsync -t`) still show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// The inode's number.
    pub inode: u64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    #[must_use]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Of an artifact that is no file here.
    #[must_use]
    pub(crate) fn made_up(size: u64, mtime: u64) -> Self {
        let mtime_ns = i64::try_from(mtime).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        Self { size, mtime_ns, ctime_ns: 0, inode: 0 }
    }

    /// The modification time in whole seconds, never before 1970.
    #[must_use]
    pub(crate) fn mtime_seconds(&self) -> u64 {
        u64::try_from(self.mtime_ns.div_euclid(1_000_000_000)).unwrap_or(0)
    }

    /// Whether any later change must show in the stamp, when `now_ns` is the file system's own time before the file
    /// was read. If not, a second write within the same tick could go unseen, so the stamp proves nothing and
    /// the file is read again next time (git's "racily clean" rule).
    #[must_use]
    pub(crate) fn settled(&self, now_ns: i64) -> bool {
        let coarse = self.ctime_ns % 1_000_000_000 == 0;
        let grain = if coarse { COARSE_GRAIN_NS } else { FINE_GRAIN_NS };
        self.ctime_ns.max(self.mtime_ns) < now_ns.saturating_sub(grain)
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_change_within_the_tick_is_not_settled() {
        let stamp = Stamp { size: 1, mtime_ns: 0, ctime_ns: 10 * SECOND + 1, inode: 1 };
        assert!(!stamp.settled(10 * SECOND + 50_000_000));
        assert!(stamp.settled(11 * SECOND));
    }

    #[test]
    fn whole_seconds_mean_a_coarse_file_system() {
        let stamp = Stamp { size: 1, mtime_ns: 0, ctime_ns: 10 * SECOND, inode: 1 };
        assert!(!stamp.settled(11 * SECOND));
        assert!(stamp.settled(13 * SECOND));
    }

    #[test]
    fn a_future_modification_time_never_settles() {
        let stamp = Stamp { size: 1, mtime_ns: 99 * SECOND, ctime_ns: 1, inode: 1 };
        assert!(!stamp.settled(50 * SECOND));
    }

    #[test]
    fn times_before_1970_are_zero() {
        let stamp = Stamp { size: 0, mtime_ns: -5, ctime_ns: 0, inode: 0 };
        assert_eq!(stamp.mtime_seconds(), 0);
    }
}
