//! Who keeps us waiting without moving bytes is cut off; who is merely slow is not.
//!
//! Time counts only while *we* are blocked on the peer. A reply that is slow to produce, or a kept-alive connection
//! between requests, never adds up to a stall.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;

/// Bytes moved per blocked time, in windows of `interval` blocked time.
#[derive(Clone, Debug)]
pub(crate) struct StallMeter {
    interval: Duration,
    bytes_min: u64,
    blocked: Duration,
    moved: u64,
}

impl StallMeter {
    pub(crate) const fn new(interval: Duration, bytes_min: u64) -> Self {
        Self { interval, bytes_min, blocked: Duration::ZERO, moved: 0 }
    }

    pub(super) const fn of(limits: &Limits) -> Self {
        Self::new(limits.stall_interval, limits.stall_bytes)
    }

    /// Blocked time left until the window is judged.
    pub(crate) fn patience(&self) -> Duration {
        self.interval.saturating_sub(self.blocked)
    }

    /// The peer took or gave so many bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// We were blocked for so long. True when a window ended without enough bytes.
    pub(crate) fn blocked(&mut self, for_how_long: Duration) -> bool {
        self.blocked = self.blocked.saturating_add(for_how_long);
        if self.blocked < self.interval {
            return false;
        }
        let stalled = self.moved < self.bytes_min;
        self.blocked = Duration::ZERO;
        self.moved = 0;
        stalled
    }
}

/// A connection whose writes may not stall. Reads are guarded where a body is awaited, since a connection that
/// waits for its next request is idle, not stalled; the head timeout bounds that.
pub(super) struct WriteGuard<T> {
    inner: T,
    meter: StallMeter,
    /// Since when the peer's window is full.
    waiting: Option<Instant>,
    /// Ends our patience. It stays as it was set when the peer takes something, since that happens with every piece of a
    /// download; one that rings too early is set anew.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> WriteGuard<T> {
    pub(super) fn new(inner: T, limits: &Limits) -> Self {
        Self { inner, meter: StallMeter::of(limits), waiting: None, timer: None }
    }

    fn judge<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
        bytes: usize,
    ) -> Poll<io::Result<R>> {
        match polled {
            Poll::Ready(result) => {
                self.meter.moved(bytes);
                let stalled = self.waiting.take().is_some_and(|since| self.meter.blocked(since.elapsed()));
                Poll::Ready(if stalled { Err(stall_error()) } else { result })
            }
            Poll::Pending => loop {
                let patience = self.meter.patience();
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let due = since + patience;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                if timer.deadline() > due {
                    timer.as_mut().reset(due);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if Instant::now() < due {
                    timer.as_mut().reset(due);
                    continue;
                }
                let blocked = since.elapsed().max(patience);
                self.waiting = None;
                if self.meter.blocked(blocked) {
                    return Poll::Ready(Err(stall_error()));
                }
            },
        }
    }
}

fn stall_error() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteGuard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        let bytes = if let Poll::Ready(Ok(bytes)) = &polled { *bytes } else { 0 };
        self.judge(cx, polled, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        let bytes = if let Poll::Ready(Ok(bytes)) = &polled { *bytes } else { 0 };
        self.judge(cx, polled, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, polled, 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(cx, polled, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocked_time_without_progress_is_a_stall() {
        let mut meter = StallMeter::new(Duration::from_secs(10), 100);
        assert!(!meter.blocked(Duration::from_secs(9)));
        assert_eq!(meter.patience(), Duration::from_secs(1));
        meter.moved(100);
        assert!(!meter.blocked(Duration::from_secs(1)), "enough bytes in the window");
        assert_eq!(meter.patience(), Duration::from_secs(10), "a new window");
        meter.moved(99);
        assert!(meter.blocked(Duration::from_secs(10)));
    }
}
