//! Calls that may block, off the async workers: the store, the ledger, files, long hashing. The one way there for both
//! daemons, so that a panic on the other side is never taken for an answer.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{JoinHandle, spawn_blocking};

/// Calls that may block at once in a daemon; further ones wait. Each thread keeps memory of what it allocated, and hundreds that
/// come and go were most of what a busy relay took (docs/decisions/allocator.md).
const BLOCKING_THREADS: usize = 16;
/// They stay: what a thread that ends had kept is used again late or never.
const BLOCKING_THREADS_STAY: Duration = Duration::from_secs(24 * 3600);

/// The runtime of a daemon, not yet built.
#[must_use]
pub fn runtime() -> Builder {
    let mut runtime = Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(BLOCKING_THREADS).thread_keep_alive(BLOCKING_THREADS_STAY);
    runtime
}

/// Runs a call where it may block and returns what it returned; a panic goes on in the caller.
///
/// If the caller is dropped the call still runs to its end, as a blocking call cannot be stopped.
pub async fn off_worker<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    joined(spawn_blocking(call)).await
}

/// What a task returned; its panic goes on in the caller.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels a call; whoever awaits it is about to be dropped as well.
            Err(_) => std::future::pending().await,
        },
    }
}
