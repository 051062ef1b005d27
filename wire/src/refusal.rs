//! The deliberate "no" to a caller: a closed list, one status and one public line each (PROTOCOL.md § Refusals).
//!
//! A refusal never carries the text of an internal error: what went wrong on our side is logged, and the caller
//! learns [`Refusal::Unavailable`] or [`Refusal::Internal`].

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::serve::{Body, Response};

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: the request is malformed; the reason names which part.
    #[error("bad request: {0}")]
    BadRequest(Cow<'static, str>),
    /// 401: a signature is missing or wrong. One text for every cause, so that it teaches a forger nothing.
    #[error("the request's signature is missing or wrong")]
    Unauthorized,
    /// 403: well understood, and not allowed here.
    #[error("forbidden: {0}")]
    Forbidden(Cow<'static, str>),
    /// 404: nothing by that name.
    #[error("not found")]
    NotFound,
    /// 405: the route exists, this method on it does not.
    #[error("method not allowed; use {allow}")]
    MethodNotAllowed {
        /// The methods that would do, as an `Allow` header spells them.
        allow: &'static str,
    },
    /// 409: it contradicts what is already known.
    #[error("conflict: {0}")]
    Conflict(Cow<'static, str>),
    /// 410: it was withdrawn by its publisher.
    #[error("gone: withdrawn by its publisher")]
    Gone,
    /// 411: a body must say its length; chunked bodies are not taken.
    #[error("a request body needs Content-Length")]
    LengthRequired,
    /// 413: the body is larger than anything that route takes.
    #[error("request body is over {max_bytes} bytes")]
    TooLarge {
        /// The most that would have been read.
        max_bytes: u64,
    },
    /// 414: the request target is longer than any that names something.
    #[error("request target is too long")]
    TargetTooLong,
    /// 431: more header fields than any request of ours needs.
    #[error("too many header fields")]
    TooManyFields,
    /// 422: well formed, and refused for what it says.
    #[error("refused: {0}")]
    Unprocessable(Cow<'static, str>),
    /// 429: this caller asks too often.
    #[error("too many requests; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// 451: the operator was told, or chose, not to serve it.
    #[error("unavailable for legal reasons")]
    LegallyRefused,
    /// 500: our mistake; the log has it.
    #[error("internal error")]
    Internal,
    /// 503: not now: nobody reachable holds it, or a budget is spent.
    #[error("unavailable now: {reason}; try again in {} s", retry_after.as_secs())]
    Unavailable {
        /// What is missing, for people.
        reason: Cow<'static, str>,
        /// When to come back.
        retry_after: Duration,
    },
}

impl Refusal {
    /// A 400 that says what is malformed.
    #[must_use]
    pub fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(reason.into())
    }

    /// A 503 that says why, and when to come back.
    #[must_use]
    pub fn unavailable(reason: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after }
    }

    /// The status that it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::LegallyRefused => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// `Retry-After` in whole seconds, at least 1, for the refusals that pass.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Busy { retry_after } | Self::Unavailable { retry_after, .. } => {
                Some(retry_after.as_secs().max(1))
            }
            _ => None,
        }
    }

    /// The whole answer: the line as text, never cached.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if let Some(secs) = self.retry_after_secs() {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if let Self::MethodNotAllowed { allow } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        Response { status: self.status(), headers, body: Body::from(self.public_line()) }
    }

    /// One line for the caller, whatever a reason held.
    fn public_line(&self) -> String {
        let mut line: String =
            self.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        line.push('\n');
        line
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        refusal.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_refusals_say_when_to_return_and_others_do_not() {
        let busy = Refusal::Busy { retry_after: Duration::from_millis(10) }.into_response();
        assert_eq!(busy.status, 429);
        assert_eq!(busy.headers[RETRY_AFTER], "1");
        let none = Refusal::unavailable("no relay holds it", Duration::from_secs(7)).into_response();
        assert_eq!((none.status.as_u16(), none.headers[RETRY_AFTER].to_str().unwrap()), (503, "7"));
        assert!(!Refusal::NotFound.into_response().headers.contains_key(RETRY_AFTER));
        assert_eq!(
            Refusal::MethodNotAllowed { allow: "GET, HEAD" }.into_response().headers[ALLOW],
            "GET, HEAD"
        );
    }

    #[test]
    fn the_public_text_is_one_bounded_line() {
        let hostile = Refusal::bad_request(format!("a\r\nSet-Cookie: x{}", "y".repeat(5000)));
        let line = hostile.public_line();
        assert_eq!(line.matches(['\n', '\r']).count(), 1);
        assert!(line.len() < 400);
    }
}
