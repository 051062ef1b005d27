//! Bytes at rest: packs, redb index, verified reads, reclaim, scrub.
