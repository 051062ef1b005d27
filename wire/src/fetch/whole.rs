//! A large blob without a chunk list: one body into a file without a name, kept only if it is the blob.

use std::io::{self, Seek};
use std::path::Path;
use std::sync::Arc;

use odi_store::IngestError;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::chunk_sink::SinkStop;
use super::incoming::{Incoming, content_length, open};
use super::job::blocking;
use super::{BlobFetch, Fetch, FetchError, FetchLimits, Source, SourceFault};

/// Takes the blob from one source. Nothing of it shows before all of it has verified.
pub(crate) async fn fetch_whole(
    network: &dyn Fetch,
    source: &Source,
    fetch: &Arc<BlobFetch>,
    limits: &FetchLimits,
) -> Result<(), SinkStop> {
    let (size, blob) = (fetch.wanted().size, fetch.wanted().blob);
    let answer = open(network, source, None, size, limits).await;
    let answer = answer.map_err(SinkStop::Source)?;
    if let Some(got) = content_length(&answer.headers).filter(|got| *got != size) {
        return Err(SinkStop::Source(SourceFault::Length { expected: size, got }));
    }
    let mut spool = nameless_file(fetch.store().folder()).await.map_err(spool_failed)?;
    feed(answer.body, &mut spool, size).await?;
    spool.flush().await.map_err(spool_failed)?;
    let mut spool = spool.into_std().await;
    let store = fetch.store().clone();
    let stored = blocking(move || {
        spool.rewind().map_err(FetchError::Spool)?;
        store.ingest_file(&mut spool, size, Some(&blob)).map_err(FetchError::Ingest)
    });
    match stored.await {
        Ok(_) => Ok(()),
        Err(FetchError::Ingest(IngestError::Content(_))) => Err(SinkStop::Source(SourceFault::WrongBlob)),
        Err(error) => Err(SinkStop::Ours(error)),
    }
}

/// A file that is gone as soon as it is closed, whatever ends this process.
async fn nameless_file(folder: &Path) -> io::Result<File> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
    let path = folder.join(format!("spool-{}", data_encoding::HEXLOWER.encode(&name)));
    let file = tokio::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).await?;
    tokio::fs::remove_file(&path).await?;
    Ok(file)
}

async fn feed(mut body: Incoming, spool: &mut File, size: u64) -> Result<(), SinkStop> {
    let mut left = size;
    while let Some(bytes) = body.next().await.map_err(SinkStop::Source)? {
        left = left.saturating_sub(bytes.len() as u64);
        spool.write_all(&bytes).await.map_err(spool_failed)?;
    }
    if left == 0 { Ok(()) } else { Err(SinkStop::Source(SourceFault::Truncated { missing: left })) }
}

const fn spool_failed(error: io::Error) -> SinkStop {
    SinkStop::Ours(FetchError::Spool(error))
}
