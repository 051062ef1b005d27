//! Whether a URL has the bytes that an entry promises: what lets a directory send traffic there.
//!
//! It looks like an ordinary client: a GET in the words of a program that people use, of a whole file, or of a range which begins and ends
//! anywhere around one chunk. Nothing is read past what was asked for.

use std::ops::Range;

use odi_manifest::{BlobId, CHUNK_BYTES, ChunkList, Entry, chunk_count, chunk_range};
use odi_wire::chain;
use odi_wire::client::{Ask, Client, ClientError, Guise, Reply};
use odi_wire::http::header::CONTENT_RANGE;
use odi_wire::http::{HeaderMap, StatusCode};
use url::Url;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The right bytes.
    Matched,
    /// A well-formed answer with other bytes.
    WrongBytes(WrongBytes),
    /// No usable answer; why, in a line for the operator.
    Failed(String),
}

/// Bytes that are not those which were signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongBytes {
    /// From which byte of the file on.
    pub(crate) off: u64,
    /// How many.
    pub(crate) len: u64,
    /// Their BLAKE3.
    pub(crate) got: BlobId,
}

/// What is asked for around a chunk, at most, before it and after it.
const AROUND_BYTES_MAX: u32 = 32 << 10;

/// Where to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The artifact's URL.
    pub(crate) url: &'a Url,
    /// How many redirects are followed from there: none from a relay, for none may send clients on.
    pub(crate) redirects: usize,
}

/// Where in an artifact is looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The chunk that is compared.
    index: u32,
    chunk: Range<u64>,
    /// What is asked for.
    range: Range<u64>,
    whole: bool,
}

impl Spot {
    /// One chunk of a file and what lies around it, as a random number draws it; the whole of a file that has but one.
    pub(crate) fn drawn(size: u64, draw: u32) -> Self {
        let chunks = chunk_count(size);
        if chunks < 2 {
            return Self::all(size);
        }
        let index = draw % chunks;
        let chunk = chunk_range(size, index);
        let range = around(&chunk, size, draw);
        Self { index, chunk, range, whole: false }
    }

    /// The whole file.
    pub(crate) const fn all(size: u64) -> Self {
        Self { index: 0, chunk: 0..size, range: 0..size, whole: true }
    }

    /// The range to ask for, if it is not the whole.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        (!self.whole).then(|| self.range.clone())
    }

    /// How many bytes are asked for.
    pub(crate) const fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Judges the bytes that came. `list` is needed unless it is the whole.
    pub(crate) fn judge(&self, bytes: &[u8], entry: &Entry, list: Option<&ChunkList>) -> Verdict {
        if bytes.len() as u64 != self.len() {
            return Verdict::Failed(format!("sent {} bytes instead of {}", bytes.len(), self.len()));
        }
        let offset = |at: u64| usize::try_from(at.saturating_sub(self.range.start)).unwrap_or(usize::MAX);
        let middle = bytes.get(offset(self.chunk.start)..offset(self.chunk.end)).unwrap_or_default();
        let matches = match list {
            _ if self.whole => BlobId::of(bytes) == entry.blob,
            Some(list) => list.check(self.index, middle).is_ok(),
            None => return Verdict::Failed("no chunk list to compare with".to_owned()),
        };
        if matches { Verdict::Matched } else { Verdict::WrongBytes(self.wrong(BlobId::of(bytes))) }
    }

    const fn wrong(&self, got: BlobId) -> WrongBytes {
        WrongBytes { off: self.range.start, len: self.len(), got }
    }
}

/// Asks for what is at a spot of an artifact, and compares it. `list` is needed unless it is the whole.
pub(crate) async fn probe(
    client: &Client,
    target: &Target<'_>,
    entry: &Entry,
    list: Option<&ChunkList>,
    (spot, guise): (&Spot, Guise),
) -> Verdict {
    let mut ask =
        Ask::get(target.url).reply_bytes_max(spot.len()).following(target.redirects).disguised(guise);
    if let Some(range) = spot.range() {
        ask = ask.range(range);
    }
    let looked = async {
        let reply = answer(client, ask, spot, entry.size).await?;
        if spot.whole && entry.size > CHUNK_BYTES {
            return whole(reply, spot, entry).await;
        }
        let bytes = reply.body.collect().await.map_err(|error| told(&error))?;
        Ok(spot.judge(&bytes, entry, list))
    };
    looked.await.unwrap_or_else(Verdict::Failed)
}

/// A range with a chunk in it, such that nobody can tell from it that a chunk is what matters.
fn around(chunk: &Range<u64>, size: u64, draw: u32) -> Range<u64> {
    let before = u64::from(draw.rotate_left(11) % AROUND_BYTES_MAX);
    let after = u64::from(draw.rotate_left(23) % AROUND_BYTES_MAX);
    chunk.start.saturating_sub(before)..chunk.end.saturating_add(after).min(size)
}

async fn answer(client: &Client, ask: Ask, spot: &Spot, size: u64) -> Result<Reply, String> {
    let reply = client.send(ask).await.map_err(|error| told(&error))?;
    let expected = if spot.whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    if reply.status != expected {
        return Err(format!("answered {} instead of {expected}", reply.status));
    }
    if !spot.whole && !has_range(&reply.headers, &spot.range, size) {
        return Err("answered with another range than was asked for".to_owned());
    }
    Ok(reply)
}

/// Hashes a file as it comes, piece by piece.
async fn whole(mut reply: Reply, spot: &Spot, entry: &Entry) -> Result<Verdict, String> {
    let mut hasher = blake3::Hasher::new();
    while let Some(piece) = reply.body.chunk().await.map_err(|error| told(&error))? {
        hasher.update(&piece);
    }
    if hasher.count() != entry.size {
        return Err(format!("sent {} bytes instead of {}", hasher.count(), entry.size));
    }
    let got = BlobId::from_bytes(*hasher.finalize().as_bytes());
    Ok(if got == entry.blob { Verdict::Matched } else { Verdict::WrongBytes(spot.wrong(got)) })
}

fn has_range(headers: &HeaderMap, range: &Range<u64>, size: u64) -> bool {
    let expected = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    headers.get(CONTENT_RANGE).is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

/// An error of the client with its causes, for the operator of the other side.
pub(crate) fn told(error: &ClientError) -> String {
    chain::of(error).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use odi_manifest::{ChunkListBuilder, Sha256};
    use proptest::prelude::*;

    use super::*;

    fn entry(bytes: &[u8]) -> Entry {
        Entry {
            size: bytes.len() as u64,
            blob: BlobId::of(bytes),
            sha256: Sha256::of(bytes),
            mtime: 7,
            ext: None,
        }
    }

    #[test]
    fn one_wrong_byte_of_what_is_compared_is_seen_and_told() {
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let mut list = ChunkListBuilder::new();
        bytes.chunks(usize::try_from(CHUNK_BYTES).unwrap()).for_each(|chunk| list.push(chunk));
        let list = list.finish().unwrap();
        let entry = entry(&bytes);
        for draw in 0..9 {
            let spot = Spot::drawn(entry.size, draw * 7919);
            let at = |at: u64| usize::try_from(at).unwrap();
            let mut given = bytes[at(spot.range.start)..at(spot.range.end)].to_vec();
            assert_eq!(spot.judge(&given, &entry, Some(&list)), Verdict::Matched);
            given[at(spot.chunk.start - spot.range.start)] ^= 1;
            let wrong = WrongBytes { off: spot.range.start, len: spot.len(), got: BlobId::of(&given) };
            assert_eq!(spot.judge(&given, &entry, Some(&list)), Verdict::WrongBytes(wrong));
            given.pop();
            assert!(matches!(spot.judge(&given, &entry, Some(&list)), Verdict::Failed(_)));
        }
        assert_eq!(Spot::all(entry.size).judge(&bytes, &entry, None), Verdict::Matched);
    }

    proptest! {
        /// Every chunk is drawn, and what is asked for has it in it and fits a look through another relay.
        #[test]
        fn a_spot_lies_within_its_file(size in 0_u64..20_000_000, draw: u32) {
            let spot = Spot::drawn(size, draw);
            prop_assert!(spot.range.start <= spot.chunk.start && spot.chunk.end <= spot.range.end);
            prop_assert!(spot.range.end <= size);
            prop_assert!(spot.len() <= odi_wire::message::SEEN_BYTES_MAX);
            prop_assert_eq!(spot.range().is_none(), size <= CHUNK_BYTES);
        }
    }
}
