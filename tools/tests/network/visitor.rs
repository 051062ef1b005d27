//! An ordinary client: it follows redirects, and takes what comes for what it asked for.

use std::fmt;

use bytes::Bytes;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::http::StatusCode;
use url::Url;

const REDIRECTS_MAX: usize = 5;

/// Why nothing came.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Somebody said no; where.
    Refused(StatusCode, Url),
    /// Nobody is there, or it broke off; in words.
    Broken(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status, at) => write!(f, "{at} answered {status}"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// See the module.
pub(crate) struct Visitor(Client);

impl Visitor {
    pub(crate) fn new() -> Self {
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        Self(Client::new(policy).unwrap())
    }

    /// What a directory says of where it sends whoever asks for a URL.
    pub(crate) async fn explained(&self, url: &Url) -> String {
        let mut url = url.clone();
        url.set_query(Some("explain=json"));
        match self.fetch(&url).await {
            Ok((words, _)) => String::from_utf8_lossy(&words).into_owned(),
            Err(failed) => failed.to_string(),
        }
    }

    /// The bytes at a URL, and where they were at last.
    pub(crate) async fn fetch(&self, url: &Url) -> Result<(Bytes, Url), Failed> {
        let broken = |error: &dyn std::error::Error| Failed::Broken(odi_wire::chain::of(error));
        let ask = Ask::get(url).reply_bytes_max(u64::MAX).following(REDIRECTS_MAX);
        let reply = self.0.send(ask).await.map_err(|error| broken(&error))?;
        if reply.status != StatusCode::OK {
            return Err(Failed::Refused(reply.status, reply.url));
        }
        let at = reply.url.clone();
        let bytes = reply.body.collect().await.map_err(|error| broken(&error))?;
        Ok((bytes, at))
    }
}
