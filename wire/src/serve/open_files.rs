//! Room for as many sockets as the limits promise.
//!
//! Most systems start a process with 1024 open files, which a few hundred idle callers use up: then nobody can be
//! accepted any more. The hard limit is usually far higher and ours to use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside the connections to callers: the store, logs, and about one outbound connection for each.
const OTHER_FILES: u64 = 512;

/// Raises the limit of open files to what so many connections need, as far as the system allows, and says so where it
/// does not reach.
pub(super) fn make_room_for(connections: usize) {
    let wanted = (connections as u64).saturating_mul(2).saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    // `None` is no limit.
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return };
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(reachable), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) if reachable == wanted => {}
        Ok(()) => {
            tracing::warn!(reachable, wanted, "too few open files for every connection that is allowed")
        }
        Err(error) => tracing::warn!(%error, current, wanted, "the limit of open files could not be raised"),
    }
}
