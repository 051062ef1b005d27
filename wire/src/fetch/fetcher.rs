//! Fetching from several sources, the next one on each failure, until the store has it all.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{CHUNK_BYTES, ChunkList, chunk_count, verify_small};
use url::Url;

use super::chunk_sink::SinkStop;
use super::incoming::{Incoming, Redirects, content_length, open};
use super::job::blocking;
use super::suspects::Suspects;
use super::whole::fetch_whole;
use super::window::{Served, fetch_window, next_window};
use super::{
    BlobFetch, Fetch, FetchError, FetchLimits, Fetched, Party, Place, Pull, Report, SourceFault, Wanted,
};

/// Where a blob, or its chunk list, can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The URL of exactly these bytes.
    pub url: Url,
    /// Whether redirects are followed there.
    pub redirects: Redirects,
    /// What the relay there may do for it, and so whether its answer may be a beginning of what was asked for.
    pub pull: Option<Pull>,
}

impl Source {
    /// A maintainers' web server, which may redirect.
    #[must_use]
    pub const fn origin(url: Url) -> Self {
        Self { url, redirects: Redirects::Follow, pull: None }
    }

    /// A relay or a directory, which must answer itself.
    #[must_use]
    pub const fn peer(url: Url) -> Self {
        Self { url, redirects: Redirects::Refuse, pull: None }
    }

    /// A relay that is filling too.
    #[must_use]
    pub const fn pull(url: Url, pull: Pull) -> Self {
        Self { url, redirects: Redirects::Refuse, pull: Some(pull) }
    }
}

/// Fetches verified content over one network under one set of limits. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    network: Arc<dyn Fetch>,
    limits: FetchLimits,
}

impl Fetcher {
    /// A fetcher over this network.
    #[must_use]
    pub fn new(network: Arc<dyn Fetch>, limits: FetchLimits) -> Self {
        Self { network, limits }
    }

    /// The same with this much more patience for the header of an answer, as a long poll needs.
    #[must_use]
    pub fn waiting(&self, longer: Duration) -> Self {
        let mut patient = self.clone();
        patient.limits.reply += longer;
        patient
    }

    /// The network, for requests of other kinds.
    #[must_use]
    pub fn network(&self) -> &dyn Fetch {
        &*self.network
    }

    /// Its limits.
    #[must_use]
    pub const fn limits(&self) -> &FetchLimits {
        &self.limits
    }

    /// A small thing of at most `bytes_max` bytes, unverified: the caller knows what it must be.
    ///
    /// # Errors
    /// What the source did wrong.
    pub async fn small(&self, source: &Source, bytes_max: u64) -> Result<Vec<u8>, SourceFault> {
        let mut whole = Vec::new();
        self.append(source, bytes_max, &mut whole).await.map(|()| whole)
    }

    /// The same behind what is there already. What came before a fault stays.
    pub(crate) async fn append(
        &self,
        source: &Source,
        bytes_max: u64,
        to: &mut Vec<u8>,
    ) -> Result<(), SourceFault> {
        let before = to.len() as u64;
        let answer = open(&*self.network, source, None, bytes_max, &self.limits).await?;
        let announced = content_length(&answer.headers);
        if announced.is_some_and(|length| length > bytes_max) {
            return Err(SourceFault::TooLong);
        }
        let mut body = answer.body;
        while let Some(bytes) = body.next().await? {
            to.extend_from_slice(&bytes);
        }
        match announced.map(|length| length.saturating_sub(to.len() as u64 - before)) {
            Some(missing) if missing > 0 => Err(SourceFault::Truncated { missing }),
            _ => Ok(()),
        }
    }

    /// A body of at most `bytes_max` bytes as it arrives, unverified, under every bound.
    pub(crate) async fn stream(&self, source: &Source, bytes_max: u64) -> Result<Incoming, SourceFault> {
        let answer = open(&*self.network, source, None, bytes_max, &self.limits).await?;
        Ok(answer.body)
    }

    /// A blob of at most one chunk, verified, in memory.
    pub async fn small_blob(&self, wanted: &Wanted, sources: &[Source]) -> Fetched<Bytes> {
        let mut report = Report::new(sources.len());
        let mut suspects = Suspects::default();
        for (position, source) in sources.iter().enumerate() {
            let party = Party::of(&source.url);
            let mut received = 0;
            let fetched = self.whole_small(wanted, source, &mut received).await;
            report.received(position, received);
            let bytes = match fetched {
                Ok(bytes) => bytes,
                Err(fault) => {
                    if fault.disputes_content() {
                        suspects.accuse(Place::Whole, &party);
                    }
                    report.faults.push((position, fault));
                    continue;
                }
            };
            report.credit(position, bytes.len() as u64);
            report.guilty = suspects.satisfied(Place::Whole, &party);
            let got = odi_manifest::Sha256::of(&bytes);
            let result = match wanted.sha256 {
                Some(expected) if expected != got => {
                    Err(FetchError::OtherSha256 { blob: wanted.blob, expected, got })
                }
                _ => Ok(Bytes::from(bytes)),
            };
            return Fetched { result, report };
        }
        let result = Err(exhausted(wanted, &suspects, sources.len()));
        Fetched { result, report }
    }

    async fn whole_small(
        &self,
        wanted: &Wanted,
        source: &Source,
        received: &mut u64,
    ) -> Result<Vec<u8>, SourceFault> {
        let expected = wanted.size.min(CHUNK_BYTES);
        let answer = open(&*self.network, source, None, expected, &self.limits).await?;
        match content_length(&answer.headers) {
            Some(got) if got != wanted.size => {
                return Err(SourceFault::Length { expected: wanted.size, got });
            }
            _ => {}
        }
        let mut body = answer.body;
        let whole = body.collect().await;
        *received = body.total();
        let whole = whole?;
        let missing = expected.saturating_sub(whole.len() as u64);
        if missing > 0 {
            return Err(SourceFault::Truncated { missing });
        }
        verify_small(&wanted.blob, &whole).map_err(|_| SourceFault::WrongBlob)?;
        Ok(whole)
    }

    /// The chunk list of a blob over one chunk, from the first place that has the right one. Lists are proved by the
    /// blob's name alone, so it does not matter who gives one.
    ///
    /// # Errors
    /// [`FetchError::NoSource`].
    pub async fn chunk_list(&self, wanted: &Wanted, places: &[Source]) -> Fetched<ChunkList> {
        let mut report = Report::new(places.len());
        let length = u64::from(chunk_count(wanted.size)) * 32;
        for (position, place) in places.iter().enumerate() {
            let list = self.small(place, length).await.and_then(|bytes| {
                ChunkList::verify(&bytes, &wanted.blob, wanted.size).map_err(|_| SourceFault::WrongList)
            });
            match list {
                Ok(list) => {
                    report.credit(position, length);
                    return Fetched { result: Ok(list), report };
                }
                Err(fault) => report.faults.push((position, fault)),
            }
        }
        let result = Err(no_source(wanted, places.len()));
        Fetched { result, report }
    }

    /// Some chunks of a blob whose list the store has (or that needs none), in order, from these sources in order.
    /// Chunks that the store has already are not asked for again.
    ///
    /// A wrong chunk stops nothing but its source: against a verified list it proves no more than that this source
    /// does not have it, and whoever calls may know of others. So this never ends in [`FetchError::BadEntry`].
    pub async fn chunks(
        &self,
        fetch: &Arc<BlobFetch>,
        chunks: Range<u32>,
        sources: &[Source],
    ) -> Fetched<()> {
        let mut report = Report::new(sources.len());
        for (position, source) in in_order_of_trust(fetch, sources) {
            match self.drain(fetch, &chunks, position, source, &mut report).await {
                Ok(true) => return Fetched { result: Ok(()), report },
                Ok(false) => {}
                Err(error) => return Fetched { result: Err(error), report },
            }
        }
        let missing = missing_in(fetch, &chunks);
        let result = if missing { Err(no_source(fetch.wanted(), sources.len())) } else { Ok(()) };
        Fetched { result, report }
    }

    /// Takes what one source has. True if nothing is missing then.
    async fn drain(
        &self,
        fetch: &Arc<BlobFetch>,
        chunks: &Range<u32>,
        position: usize,
        source: &Source,
        report: &mut Report,
    ) -> Result<bool, FetchError> {
        loop {
            let Some(window) = next_window(&fetch.partial().missing(), chunks, self.limits.window_bytes)
            else {
                return Ok(true);
            };
            let (taken, end) = fetch_window(&*self.network, source, fetch, window, &self.limits).await;
            report.credit(position, taken.bytes);
            report.received(position, taken.received);
            report.guilty.extend(taken.guilty);
            match end {
                Ok(Served::Window) => {}
                // The whole has passed by; whatever is missing now, this source will not have it.
                Ok(Served::Whole) => return Ok(!missing_in(fetch, chunks)),
                Err(SinkStop::Ours(error)) => return Err(error),
                Err(SinkStop::Source(fault)) => {
                    accuse(fetch, source, &fault);
                    report.faults.push((position, fault));
                    return Ok(false);
                }
            }
        }
    }

    async fn without_list(&self, fetch: &Arc<BlobFetch>, sources: &[Source]) -> Fetched<()> {
        let wanted = fetch.wanted();
        let mut report = Report::new(sources.len());
        if wanted.size > self.limits.spool_bytes {
            fetch.fail();
            let error = FetchError::NoList { blob: wanted.blob, size: wanted.size };
            return Fetched { result: Err(error), report };
        }
        for (position, source) in in_order_of_trust(fetch, sources) {
            let end = fetch_whole(&*self.network, source, fetch, &self.limits).await;
            match end {
                Ok(()) => {
                    report.credit(position, wanted.size);
                    report.guilty = fetch.suspects().satisfied(Place::Whole, &Party::of(&source.url));
                    return Fetched { result: fetch.complete().await, report };
                }
                Err(SinkStop::Source(fault)) => {
                    accuse(fetch, source, &fault);
                    report.faults.push((position, fault));
                }
                Err(SinkStop::Ours(error)) => {
                    fetch.fail();
                    return Fetched { result: Err(error), report };
                }
            }
        }
        fetch.fail();
        let result = Err(exhausted(wanted, &fetch.suspects(), sources.len()));
        Fetched { result, report }
    }

    /// A whole blob: its list from `lists` unless the store has it, then every missing chunk, then its SHA-256.
    ///
    /// Without a list the blob is taken whole from the first source that has all of it, and nobody who waits sees a
    /// chunk before the last one has verified.
    pub async fn blob(&self, fetch: &Arc<BlobFetch>, sources: &[Source], lists: &[Source]) -> Fetched<()> {
        let wanted = fetch.wanted();
        if wanted.size > CHUNK_BYTES && fetch.partial().list().is_none() {
            let list = self.chunk_list(wanted, lists).await;
            let Ok(list) = list.result else {
                return self.without_list(fetch, sources).await;
            };
            let setting = Arc::clone(fetch);
            if let Err(error) = blocking(move || setting.partial().set_list(list)).await {
                fetch.fail();
                return Fetched { result: Err(error), report: Report::new(sources.len()) };
            }
        }
        let mut fetched = self.chunks(fetch, 0..chunk_count(wanted.size), sources).await;
        fetched.result = match fetched.result {
            Ok(()) => return Fetched { result: fetch.complete().await, ..fetched },
            Err(FetchError::NoSource { asked, .. }) => Err(exhausted(wanted, &fetch.suspects(), asked)),
            Err(error) => Err(error),
        };
        fetch.fail();
        fetched
    }
}

/// Sources that had a wrong chunk of this blob are asked last.
fn in_order_of_trust<'a>(
    fetch: &BlobFetch,
    sources: &'a [Source],
) -> impl Iterator<Item = (usize, &'a Source)> + use<'a> {
    let suspects = fetch.suspects();
    let mut order: Vec<_> = sources.iter().enumerate().collect();
    if !suspects.is_empty() {
        order.sort_by_key(|(_, source)| suspects.suspects(&Party::of(&source.url)));
    }
    order.into_iter()
}

fn accuse(fetch: &BlobFetch, source: &Source, fault: &SourceFault) {
    let place = match fault {
        SourceFault::WrongChunk(index) => Place::Chunk(*index),
        _ if fault.disputes_content() => Place::Whole,
        _ => return,
    };
    fetch.suspects().accuse(place, &Party::of(&source.url));
}

/// No source is left to ask: is that for want of sources, or is the entry to blame?
fn exhausted(wanted: &Wanted, suspects: &Suspects, asked: usize) -> FetchError {
    if suspects.condemn_entry() {
        FetchError::BadEntry { blob: wanted.blob }
    } else {
        no_source(wanted, asked)
    }
}

const fn no_source(wanted: &Wanted, asked: usize) -> FetchError {
    FetchError::NoSource { blob: wanted.blob, asked }
}

fn missing_in(fetch: &BlobFetch, chunks: &Range<u32>) -> bool {
    next_window(&fetch.partial().missing(), chunks, u64::MAX).is_some()
}
