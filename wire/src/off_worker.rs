//! Calls that may block, off the async workers: the store, the ledger, files, long hashing. The one way there for both
//! daemons, so that a panic on the other side is never taken for an answer.

use tokio::task::{JoinHandle, spawn_blocking};

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
