//! Response bodies of known length.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http_body::{Frame, SizeHint};

use super::parking::Answering;
use super::throttle::Flow;

/// What a response carries. Its length is always known beforehand, so that `Content-Length` is exact.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are in memory, and that the server says for itself: refusals, redirects, how it is.
    Full(Bytes),
    /// Bytes that are in memory, and that the caller came for: they keep within the server's budget, however few they are.
    Content(Bytes),
    /// Bytes that come while they are sent.
    Stream {
        /// Exactly how many bytes `stream` yields. Fewer, or an error, cut the connection; so do more.
        len: u64,
        /// The bytes. Empty items are passed over.
        stream: BoxStream<'static, Result<Bytes, BodyError>>,
    },
}

/// A body broke off after its head was sent; the connection closes and the caller sees a short body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Where the bytes came from failed.
    #[error("response body broke off")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The producer's mistake: it promised another length.
    #[error("response body has {got} bytes instead of {promised}")]
    Length {
        /// What `Content-Length` said.
        promised: u64,
        /// What came, or what had come when it went over.
        got: u64,
    },
}

impl BodyError {
    /// The failure of whatever the bytes came from.
    #[must_use]
    pub fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }
}

impl Body {
    /// A body that streams exactly `len` bytes.
    pub fn stream(len: u64, stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Self {
        Self::Stream { len, stream: stream.boxed() }
    }

    /// A body of content that is in memory.
    pub fn content(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Content(bytes) }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full(bytes) | Self::Content(bytes) => bytes.len() as u64,
            Self::Stream { len, .. } => *len,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in memory, for tests and small bodies; `max_bytes` bounds what is collected.
    ///
    /// # Errors
    /// The stream's own error, or a length other than promised or over `max_bytes`.
    pub async fn collect(self, max_bytes: u64) -> Result<Bytes, BodyError> {
        let promised = self.len();
        let mut sized = SizedBody::new(self, None);
        let mut all = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| sized.poll_data(cx)).await {
            let piece = piece?;
            all.extend_from_slice(&piece);
            if all.len() as u64 > max_bytes {
                return Err(BodyError::Length { promised: max_bytes.min(promised), got: all.len() as u64 });
            }
        }
        Ok(all.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

/// What a body gives before everybody else on the same worker has a turn: else one fast download after the other would
/// fill a socket's whole buffer, megabytes each, while small requests wait.
const TURN_BYTES: usize = 256 * 1024;

/// A [`Body`] that holds its producer to the promised length, and waits for its turn where the server is limited.
pub(super) struct SizedBody {
    body: Body,
    promised: u64,
    /// What it has given in this turn.
    turn: usize,
    /// What its producer has given.
    given: u64,
    /// What of it has not been sent.
    held: Bytes,
    flow: Option<Flow>,
    /// Tells its connection when it is over.
    _answering: Option<Answering>,
}

impl SizedBody {
    pub(super) fn new(body: Body, flow: Option<Flow>) -> Self {
        Self { promised: body.len(), body, turn: 0, given: 0, held: Bytes::new(), flow, _answering: None }
    }

    /// The same, for a connection that is to know when it is over.
    pub(super) fn answering(mut self, answering: Answering) -> Self {
        self._answering = Some(answering);
        self
    }

    /// The next piece, when the whole server's budget lets it go.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.held.is_empty() {
            match std::task::ready!(self.poll_given(cx)) {
                Some(Ok(bytes)) => self.held = bytes,
                other => return Poll::Ready(other),
            }
        }
        let Some(flow) = &mut self.flow else {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.held))));
        };
        let passed = std::task::ready!(flow.poll_pass(cx, self.held.len()));
        Poll::Ready(Some(match passed {
            Ok(piece) => Ok(self.held.split_to(piece.min(self.held.len()))),
            Err(spent) => Err(BodyError::source(spent)),
        }))
    }

    fn poll_given(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let piece = match &mut self.body {
            Body::Empty => None,
            Body::Full(bytes) | Body::Content(bytes) => {
                Some(Ok(std::mem::take(bytes))).filter(|_| self.given == 0)
            }
            Body::Stream { stream, .. } => loop {
                match std::task::ready!(stream.poll_next_unpin(cx)) {
                    Some(Ok(empty)) if empty.is_empty() => {}
                    other => break other,
                }
            },
        };
        Poll::Ready(match piece {
            Some(Ok(bytes)) => {
                self.given = self.given.saturating_add(bytes.len() as u64);
                let over = self.given > self.promised;
                Some(if over { Err(self.length_error()) } else { Ok(bytes) })
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.given < self.promised => Some(Err(self.length_error())),
            None => None,
        })
    }

    const fn length_error(&self) -> BodyError {
        BodyError::Length { promised: self.promised, got: self.given }
    }
}

impl http_body::Body for SizedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_data(cx).map(|piece| {
            piece.map(|piece| {
                piece
                    .inspect(|bytes| self.turn = self.turn.saturating_add(bytes.len()))
                    .inspect_err(|error| {
                        let cause = std::error::Error::source(error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "a response broke off");
                    })
                    .map(Frame::data)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.given >= self.promised && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let sent = self.given.saturating_sub(self.held.len() as u64);
        SizeHint::with_exact(self.promised.saturating_sub(sent))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Body as _;

    use super::*;

    async fn collected(len: u64, pieces: &[&'static str]) -> Result<Bytes, BodyError> {
        let pieces: Vec<Result<Bytes, BodyError>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::stream(len, stream::iter(pieces)).collect(100).await
    }

    #[test]
    fn others_have_a_turn_after_every_chunk() {
        let chunk = || Bytes::from(vec![0; TURN_BYTES]);
        let pieces = vec![Ok(chunk()), Ok(chunk()), Ok(Bytes::from_static(b"end"))];
        let len = 2 * TURN_BYTES as u64 + 3;
        let mut body = SizedBody::new(Body::stream(len, stream::iter(pieces)), None);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let turns: Vec<bool> = std::iter::from_fn(|| match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => Some(false),
            Poll::Ready(frame) => frame.map(|frame| frame.is_ok()),
        })
        .collect();
        assert_eq!(turns, [true, false, true, false, true]);
    }

    #[tokio::test]
    async fn a_producer_is_held_to_its_promise() {
        assert_eq!(collected(4, &["a", "", "bcd"]).await.unwrap(), "abcd");
        assert!(matches!(collected(5, &["abcd"]).await, Err(BodyError::Length { promised: 5, got: 4 })));
        assert!(matches!(collected(3, &["ab", "cd"]).await, Err(BodyError::Length { promised: 3, got: 4 })));
        assert_eq!(Body::from("text").collect(4).await.unwrap(), "text");
        assert!(Body::from("text").collect(3).await.is_err());
    }
}
