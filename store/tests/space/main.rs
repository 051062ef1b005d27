//! Purge, reclaim, eviction, compaction, budget, scrub and rebuild: space comes back, what is needed stays, what is
//! dead stays dead.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

mod budget;
mod purging;
mod reclaiming;
mod rig;
mod rot;
