//! Where calls that wait for a disk run: beside the workers that serve sockets.

/// Runs a call that may block. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
