//! An ordinary static web server over a folder: the demo's stand-in for the maintainers' nginx.
//!
//! It knows nothing of ODI; ranges are all that it adds to reading files. It serves only loopback, and only what lies
//! under its folder: a segment `..` is not found.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use odi_wire::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue};
use odi_wire::http::{Method, StatusCode};
use odi_wire::range::{self, Ranges};
use odi_wire::refusal::Refusal;
use odi_wire::route;
use odi_wire::serve::{Body, BodyError, Limits, Request, Response, Running, ServeError, Server, Service};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const READ_BYTES: usize = 256 * 1024;

/// A folder on loopback. Kept alive by whoever holds it.
#[derive(Debug)]
pub struct Origin {
    running: Running,
}

impl Origin {
    /// Serves `folder` at a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(folder: PathBuf) -> Result<Self, ServeError> {
        let server = Server::bind(&[([127, 0, 0, 1], 0).into()], Limits::default()).await?;
        Ok(Self { running: server.spawn(Arc::new(Folder(folder))) })
    }

    /// `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.running.local_addrs().first().map_or_else(String::new, |addr| format!("http://{addr}/"))
    }

    /// Stops serving.
    pub async fn stop(self) {
        self.running.drain(std::time::Duration::from_secs(1)).await;
    }
}

struct Folder(PathBuf);

impl Service for Folder {
    async fn call(&self, request: Request) -> Response {
        self.file(&request).await.unwrap_or_else(Refusal::into_response)
    }
}

impl Folder {
    async fn file(&self, request: &Request) -> Result<Response, Refusal> {
        let path = self.locate(request.uri.path()).ok_or(Refusal::NotFound)?;
        let mut file = File::open(path).await.map_err(|_| Refusal::NotFound)?;
        let metadata = file.metadata().await.map_err(|_| Refusal::NotFound)?;
        if !metadata.is_file() {
            return Err(Refusal::NotFound);
        }
        let size = metadata.len();
        let (status, wanted) = match range::parse(&request.headers, size) {
            Ranges::Parts(parts) if parts.len() == 1 => (StatusCode::PARTIAL_CONTENT, parts.first().cloned()),
            Ranges::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, None),
            Ranges::Whole | Ranges::Parts(_) => (StatusCode::OK, Some(0..size)),
        };
        let wanted = wanted.unwrap_or(0..0);
        let mut response =
            Response::new(status).with_header(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if status == StatusCode::PARTIAL_CONTENT {
            let text = format!("bytes {}-{}/{size}", wanted.start, wanted.end.saturating_sub(1));
            let value = HeaderValue::from_str(&text).map_err(|_| Refusal::Internal)?;
            response = response.with_header(CONTENT_RANGE, value);
        }
        let len = wanted.end.saturating_sub(wanted.start);
        if request.method == Method::HEAD {
            return Ok(response.with_header(CONTENT_LENGTH, HeaderValue::from(len)));
        }
        file.seek(std::io::SeekFrom::Start(wanted.start)).await.map_err(|_| Refusal::Internal)?;
        Ok(response.with_body(Body::stream(len, pieces(file, wanted))))
    }

    fn locate(&self, path: &str) -> Option<PathBuf> {
        let decoded = route::decode(path).ok()?;
        let mut found = self.0.clone();
        for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
            if segment == ".." || segment == "." {
                return None;
            }
            found.push(segment);
        }
        Some(found)
    }
}

fn pieces(
    file: File,
    wanted: Range<u64>,
) -> impl futures_util::Stream<Item = Result<Bytes, BodyError>> + Send {
    futures_util::stream::try_unfold((file, wanted), |(mut file, wanted)| async move {
        let left = wanted.end.saturating_sub(wanted.start);
        if left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES))];
        file.read_exact(&mut piece).await.map_err(BodyError::source)?;
        let next = wanted.start + piece.len() as u64..wanted.end;
        Ok(Some((Bytes::from(piece), (file, next))))
    })
}
