//! The one client for URLs that others supply (PROTOCOL.md § Outbound requests).
//!
//! Invariants
//! - No connection to an address that [`vet`] refuses: literals are judged in the URL, names when they are resolved,
//!   and the connection goes to the very addresses that were judged. A policy may allow private addresses.
//! - No proxy from the environment, no automatic redirect, no decompression, no cookie.
//! - A reply is bounded in bytes and must keep moving; one with a Content-Encoding is refused.

mod address;
mod ask;
mod error;
mod family;
mod guise;
pub(crate) mod hop;
mod policy;
mod reply;
mod resolver;
mod vet;

use std::io;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

pub use address::is_public;
pub use ask::Ask;
pub use error::ClientError;
pub use family::Family;
pub use guise::Guise;
pub use policy::ClientPolicy;
pub use reply::{Reply, ReplyBody};
pub use resolver::ResolveError;
pub use vet::{UrlRefusal, vet};

use error::named;
use resolver::VettedResolver;

/// Sends requests under one [`ClientPolicy`]. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    policy: Arc<ClientPolicy>,
}

impl Client {
    /// A client under this policy. Reads the system's certificate roots; without any, https URLs fail and others work.
    /// Reads files.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when TLS cannot be set up at all, [`ClientError::Root`] names a file of roots.
    pub fn new(policy: ClientPolicy) -> Result<Self, ClientError> {
        let policy = Arc::new(policy);
        let extra = extra_roots(&policy)?;
        let inner = match builder(&policy).tls_certs_merge(extra.clone()).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "no certificate roots on this system: https will not work");
                let without_roots = builder(&policy).tls_certs_only(extra).build();
                without_roots.map_err(|source| ClientError::Setup { source })?
            }
        };
        Ok(Self { inner, policy })
    }

    /// The policy it keeps.
    #[must_use]
    pub fn policy(&self) -> &ClientPolicy {
        &self.policy
    }

    /// Sends a request and returns as soon as the head of the reply is there. A redirect is a reply like any other,
    /// unless [`Ask::following`] allows some.
    ///
    /// # Errors
    /// [`ClientError`] says whether we refused, could not reach the peer, or the peer misbehaved.
    pub async fn send(&self, ask: Ask) -> Result<Reply, ClientError> {
        let mut ask = ask;
        let mut hops = 0;
        loop {
            let reply = self.send_once(&ask).await?;
            let Some(next) = redirect_of(&ask, &reply)? else { return Ok(reply) };
            hops += 1;
            if hops > ask.redirects_max {
                return Err(ClientError::TooManyRedirects { url: named(&reply.url) });
            }
            ask.url = next;
        }
    }

    async fn send_once(&self, ask: &Ask) -> Result<Reply, ClientError> {
        let url = ask.url.clone();
        vet(&url, &self.policy).map_err(|source| ClientError::Refused { url: named(&url), source })?;
        let mut request = self.inner.request(ask.method.clone(), url.clone()).headers(head_of(ask));
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let sent = tokio::time::timeout(self.policy.head_timeout, request.send()).await;
        let response = match sent {
            Err(_) => {
                return Err(ClientError::NoAnswer { url: named(&url), after: self.policy.head_timeout });
            }
            Ok(Err(source)) => return Err(ClientError::from_transport(named(&url), source)),
            Ok(Ok(response)) => response,
        };
        let encoding = response.headers().get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity");
        if let Some(encoding) = encoding {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect();
            return Err(ClientError::Encoded { url: named(&url), encoding });
        }
        // The bound is for what was asked for: a refusal may well be longer, and its status says more than its length.
        let counts = ask.method != http::Method::HEAD && response.status().is_success();
        let declared = response.content_length().filter(|_| counts);
        if declared.is_some_and(|declared| declared > ask.reply_bytes_max) {
            return Err(ClientError::TooLarge { url: named(&url), max_bytes: ask.reply_bytes_max });
        }
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: ReplyBody::new(response, url.clone(), ask.reply_bytes_max, &self.policy),
            url,
        })
    }
}

fn extra_roots(policy: &ClientPolicy) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let mut roots = Vec::new();
    for path in &policy.extra_roots {
        let unreadable = |source| ClientError::Root { path: path.clone(), source };
        let text = std::fs::read(path).map_err(unreadable)?;
        let read = reqwest::Certificate::from_pem_bundle(&text)
            .map_err(|error| unreadable(io::Error::other(error)))?;
        if read.is_empty() {
            return Err(unreadable(io::Error::other("it holds no certificate in PEM form")));
        }
        roots.extend(read);
    }
    Ok(roots)
}

fn builder(policy: &ClientPolicy) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .http1_only()
        // As nearly every other program does, so that nobody tells us from those by it.
        .http1_title_case_headers()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .dns_resolver(VettedResolver::new(policy.allow_private_addresses, policy.family))
        .connect_timeout(policy.connect_timeout)
        .pool_idle_timeout(policy.idle_timeout)
        .pool_max_idle_per_host(policy.idle_per_host)
        .tcp_nodelay(true)
        .user_agent(policy.user_agent.clone())
}

fn head_of(ask: &Ask) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(ask.headers.len() + 4);
    // First of all, as by most others.
    headers.extend(host_of(&ask.url).map(|host| (HOST, host)));
    headers.extend(ask.headers.clone());
    if ask.names_encodings {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(range) = &ask.range {
        let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        headers.insert(RANGE, HeaderValue::from_str(&value).expect("digits and a dash"));
    }
    headers
}

fn host_of(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let named = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&named).ok()
}

/// Where a reply sends us, if the caller wants to be sent.
fn redirect_of(ask: &Ask, reply: &Reply) -> Result<Option<Url>, ClientError> {
    let redirects = matches!(
        reply.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !redirects || ask.redirects_max == 0 {
        return Ok(None);
    }
    let bad = || ClientError::BadRedirect { url: named(&reply.url) };
    hop::next(&reply.url, &reply.headers).map(Some).ok_or_else(bad)
}
