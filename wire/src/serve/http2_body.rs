//! An answer's body over HTTP/2: in pieces of a frame, so that it shows whether the peer takes them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::body::{BodyError, SizedBody};
use super::http2_activity::OpenRequest;

/// What a peer takes in one frame unless it asked for more. A piece is asked for when the one before found room in the
/// peer's window; a whole chunk at once would hide a slow peer's progress.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A body that tells its connection when it waits for the peer.
pub(super) struct WatchedBody {
    body: SizedBody,
    rest: Bytes,
    request: OpenRequest,
}

impl WatchedBody {
    pub(super) const fn new(body: SizedBody, request: OpenRequest) -> Self {
        Self { body, rest: Bytes::new(), request }
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.request.taken();
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(length);
        self.request.gave();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let unsent = self.body.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(unsent.saturating_add(self.rest.len() as u64))
    }
}
