//! The network in production: the vetted client, without its own redirects, under the bounds of this module.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};

use super::{Ask, Fetch, NetworkError, PULL, Reply};
use crate::client::{self, Client, ClientError};

impl Fetch for Client {
    fn get(&self, ask: Ask) -> BoxFuture<'_, Result<Reply, NetworkError>> {
        let mut request = client::Ask::get(&ask.url).reply_bytes_max(u64::MAX);
        if let Some(range) = ask.range {
            request = request.range(range);
        }
        if let Some(pull) = ask.pull {
            request = request.header(PULL, pull.header());
        }
        async move {
            let reply = self.send(request).await?;
            let body = reply.body.into_stream().map(|item| item.map_err(NetworkError::from));
            Ok(Reply { status: reply.status, headers: reply.headers, body: Box::pin(body) })
        }
        .boxed()
    }
}

impl From<ClientError> for NetworkError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Encoded { encoding, .. } => Self::Encoded(encoding),
            ClientError::NoAnswer { .. } | ClientError::Stalled { .. } => Self::Silent,
            ClientError::TooLarge { .. } => Self::TooLong,
            other => Self::Failed(Box::new(other)),
        }
    }
}
