//! A connection between requests, with nothing of HTTP kept for it.
//!
//! hyper holds buffers of a connection from its first request to its end: with ten thousand silent callers that is more memory
//! than all else. So a connection that has been quiet for a moment gives them up, and gets new ones with its next byte.
//! Quiet means: every answer was sent, and nothing of a further request has come.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How often a connection is looked at; one that is quiet at two looks in a row, with no request between, is parked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is read at once of a parked connection; the rest comes through hyper.
const FIRST_BYTES_MAX: usize = 512;

/// What happens on a connection, told by its socket and its answers.
#[derive(Debug)]
pub(super) struct Line {
    /// Requests so far.
    asked: AtomicU64,
    /// Of these, how many have been answered to the last byte.
    answered: AtomicU64,
    /// Something came since the last request's head.
    unread: AtomicBool,
    /// Something waits to be sent.
    blocked: AtomicBool,
    quiet_since: Mutex<Instant>,
}

/// One answer under way; over when it is dropped.
#[derive(Debug)]
pub(super) struct Answering(Arc<Line>);

/// A socket that knows what it has read in vain, and tells its [`Line`].
#[derive(Debug)]
pub(super) struct Socket<T> {
    inner: T,
    unread: Bytes,
    line: Arc<Line>,
}

impl Line {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            quiet_since: Mutex::new(Instant::now()),
        })
    }

    /// A request's head was read.
    pub(super) fn ask(self: &Arc<Self>) -> Answering {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.asked()
            && !self.unread.load(Ordering::Relaxed)
            && !self.blocked.load(Ordering::Relaxed)
    }

    /// Whether the next head is awaited: every answer was given, and the peer took it.
    pub(super) fn awaits_head(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.asked() && !self.blocked.load(Ordering::Relaxed)
    }

    /// When the next head must be complete, for a connection that HTTP is spoken on since `began`.
    pub(super) fn head_due(&self, began: Instant, head_timeout: Duration) -> Instant {
        self.quiet_since().max(began) + head_timeout
    }

    /// When the last answer was over; at first, when the connection was made.
    pub(super) fn quiet_since(&self) -> Instant {
        *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *self.0.quiet_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl<T> Socket<T> {
    pub(super) const fn new(inner: T, line: Arc<Line>) -> Self {
        Self { inner, unread: Bytes::new(), line }
    }

    /// Puts back what was read of a request.
    pub(super) fn put_back(&mut self, unread: &[u8]) {
        // A copy: even an empty piece of hyper's buffer would keep all of it.
        self.unread = Bytes::copy_from_slice(unread);
    }
}

impl<T: AsyncRead + Unpin> Socket<T> {
    /// Waits for the first bytes of a request, without a buffer meanwhile; `false` if there will be none.
    pub(super) async fn first_bytes(&mut self) -> io::Result<bool> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        std::future::poll_fn(|cx| {
            let mut room = [0; FIRST_BYTES_MAX];
            let mut room = ReadBuf::new(&mut room);
            Pin::new(&mut self.inner).poll_read(cx, &mut room).map_ok(|()| {
                self.unread = Bytes::copy_from_slice(room.filled());
                !self.unread.is_empty()
            })
        })
        .await
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        if self.unread.is_empty() {
            std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        } else {
            let count = self.unread.len().min(into.remaining());
            into.put_slice(&self.unread.split_to(count));
        }
        if into.filled().len() > before {
            self.line.unread.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Unpin> Socket<T> {
    /// Notes whether the peer takes what it is sent.
    fn sent<R>(&self, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        self.line.blocked.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.sent(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.sent(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
