//! The way to the authority: the ACME library's requests through the vetted client.

use std::pin::Pin;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use url::Url;

use crate::client::{Ask, Client};

/// The longest answer of an authority: a chain, or a problem.
const REPLY_BYTES_MAX: u64 = 1 << 20;
/// What a signed ACME request is (RFC 8555, 6.2).
const JOSE: &str = "application/jose+json";

#[derive(Debug)]
pub(super) struct Transport(pub(super) Client);

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move { sent(&client, request).await })
    }
}

async fn sent(client: &Client, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
    let (head, body) = request.into_parts();
    let url = Url::parse(&head.uri.to_string()).map_err(|error| Error::Other(Box::new(error)))?;
    let ask = if head.method == Method::POST {
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ask::post(&url, JOSE, body)
    } else if head.method == Method::HEAD {
        Ask::head(&url)
    } else {
        Ask::get(&url)
    };
    let sending = client.send(ask.reply_bytes_max(REPLY_BYTES_MAX));
    let reply = sending.await.map_err(|error| Error::Other(Box::new(error)))?;
    let mut answer = http::Response::new(());
    *answer.status_mut() = reply.status;
    *answer.headers_mut() = reply.headers;
    let (parts, ()) = answer.into_parts();
    let body = reply.body.collect().await.map_err(|error| Error::Other(Box::new(error)))?;
    Ok(BytesResponse { parts, body: Box::new(body) })
}
