//! What a source can do wrong, each with its own name, and what that says about the source or about the entry.

use std::ops::Range;
use std::time::Duration;

use http::StatusCode;

use super::NetworkError;

/// Why a source was given up for the request at hand.
#[derive(Debug, thiserror::Error)]
pub enum SourceFault {
    /// No connection, no TLS, no address that may be asked.
    #[error("the source cannot be reached")]
    Unreachable(#[source] NetworkError),
    /// No header of an answer in time.
    #[error("the source does not answer")]
    NoReply,
    /// 404, 410 or 451: it does not have this, or has it for nobody.
    #[error("the source does not have it ({0})")]
    Absent(StatusCode),
    /// 429 or 503: it has no room for us now.
    #[error("the source is busy")]
    Busy {
        /// When it wants to be asked again, if it said so in seconds.
        retry_after: Option<Duration>,
    },
    /// The bytes are on their way to it, and to be asked for again.
    #[error("the source does not have it yet")]
    Coming,
    /// Any other status that is no success.
    #[error("the source answers {0}")]
    Status(StatusCode),
    /// A redirect where none is followed, to a place that none may lead to, or one too many.
    #[error("the source redirects where it must not")]
    Redirect,
    /// The bytes are compressed, which nobody asked for.
    #[error("the source encodes the content ({0})")]
    Encoded(String),
    /// A partial answer for other bytes than were asked for.
    #[error("the source answers `{got}` to a request for bytes {asked:?}")]
    OtherRange {
        /// What was asked for, end excluded.
        asked: Range<u64>,
        /// Its `Content-Range`, or nothing.
        got: String,
    },
    /// The whole is larger or smaller than the catalog says.
    #[error("the source says that it has {got} bytes, not {expected}")]
    Length {
        /// What the catalog says.
        expected: u64,
        /// What the source says.
        got: u64,
    },
    /// More bytes than it announced or was asked for.
    #[error("the source sends more than it was asked for")]
    TooLong,
    /// An end before the last byte.
    #[error("the source ends {missing} bytes early")]
    Truncated {
        /// How many bytes did not come.
        missing: u64,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] NetworkError),
    /// Silence in the middle of the body.
    #[error("the source stalls")]
    Stalled,
    /// Bytes too slow to be of use.
    #[error("the source is too slow")]
    TooSlow,
    /// A chunk that is not the blob's.
    #[error("the source has another chunk {0}")]
    WrongChunk(u32),
    /// A whole blob that is another one.
    #[error("the source has another blob")]
    WrongBlob,
    /// A chunk list that does not merge to the blob's name, or has the wrong length.
    #[error("the source has another chunk list")]
    WrongList,
}

impl SourceFault {
    /// Whether the source has other content than the catalog says, rather than being slow, absent or broken.
    #[must_use]
    pub const fn disputes_content(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::WrongChunk(_) | Self::WrongBlob)
    }
}
