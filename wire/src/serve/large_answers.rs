//! Answers that are large, in memory as a whole, and asked for by many: each is made once and shared.
//!
//! Invariants
//! - All of them together take no more than a fixed number of bytes, until the last byte of each has been sent: whoever
//!   reads slowly holds its answer, and nobody gets another one beyond that.
//! - One is made at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{LARGE_ANSWER_PATIENCE, LARGE_ANSWERS_KEPT};
use crate::refusal::Refusal;

/// Memory is counted in pieces of this size.
const UNIT_BYTES: u64 = 1024;

/// Large answers by what they answer.
#[derive(Debug)]
pub struct LargeAnswers<K> {
    units: Arc<Semaphore>,
    /// The newest last.
    kept: Mutex<VecDeque<(K, Bytes)>>,
    making: tokio::sync::Mutex<()>,
}

/// Bytes, and what they take of the budget until nobody has them any more.
struct Held {
    bytes: Vec<u8>,
    _units: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<K: PartialEq> LargeAnswers<K> {
    /// None yet; so many bytes for all of them.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            kept: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// The answer to `key`, of at most `bytes_max`: the one that is kept, or the one that `make` makes.
    ///
    /// # Errors
    /// Too many are on their way, or `make` refuses.
    pub async fn answer(
        &self,
        key: K,
        bytes_max: u64,
        make: impl AsyncFnOnce() -> Result<Vec<u8>, Refusal>,
    ) -> Result<Bytes, Refusal> {
        if let Some(kept) = self.kept(&key) {
            return Ok(kept);
        }
        let busy = || Refusal::unavailable("too many large answers are on their way", LARGE_ANSWER_PATIENCE);
        let patience = tokio::time::timeout(LARGE_ANSWER_PATIENCE, async {
            let alone = self.making.lock().await;
            if let Some(kept) = self.kept(&key) {
                return Some((alone, Err(kept)));
            }
            let units = self.reserve(bytes_max).await?;
            Some((alone, Ok(units)))
        });
        let (_alone, mut units) = match patience.await.ok().flatten().ok_or_else(busy)? {
            (alone, Ok(units)) => (alone, units),
            (_, Err(kept)) => return Ok(kept),
        };
        let bytes = make().await?;
        let spare = units.num_permits().saturating_sub(units_of(bytes.len() as u64) as usize);
        drop(units.split(spare));
        let answer = Bytes::from_owner(Held { bytes, _units: units });
        let mut kept = self.lock();
        if kept.len() >= LARGE_ANSWERS_KEPT {
            kept.pop_front();
        }
        kept.push_back((key, answer.clone()));
        Ok(answer)
    }

    /// Room for an answer; what is kept and nobody asks for makes way.
    async fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = units_of(bytes);
        while (self.units.available_permits() as u64) < u64::from(units) && self.lock().pop_front().is_some()
        {
        }
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }

    fn kept(&self, key: &K) -> Option<Bytes> {
        self.lock().iter().find(|(kept, _)| kept == key).map(|(_, answer)| answer.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, Bytes)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn units_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    async fn made(answers: &LargeAnswers<u8>, key: u8) -> Result<Bytes, Refusal> {
        answers.answer(key, MIB, async || Ok(vec![key; 1 << 20])).await
    }

    #[tokio::test]
    async fn what_many_ask_for_is_made_once() {
        let answers = LargeAnswers::new(4 * MIB);
        let first = made(&answers, 1).await.unwrap();
        let again = answers.answer(1, MIB, async || panic!("made twice")).await.unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert!(answers.answer(2, MIB, async || Err(Refusal::NotFound)).await.is_err());
        assert_eq!(made(&answers, 2).await.unwrap()[0], 2, "a refusal is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_have_so_much_and_no_more() {
        let answers = LargeAnswers::new(3 * MIB);
        let slow = [
            made(&answers, 1).await.unwrap(),
            made(&answers, 2).await.unwrap(),
            made(&answers, 3).await.unwrap(),
        ];
        let refused = made(&answers, 4).await.unwrap_err();
        assert!(matches!(refused, Refusal::Unavailable { .. }), "{refused}");
        drop(slow);
        assert!(made(&answers, 4).await.is_ok(), "what was sent is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_merely_kept_makes_way_and_small_answers_take_little() {
        let answers = LargeAnswers::new(2 * MIB);
        for key in 0..20 {
            assert!(made(&answers, key).await.is_ok());
        }
        let answers = LargeAnswers::new(2 * MIB);
        let mut small = Vec::new();
        for key in 0..100 {
            small.push(answers.answer(key, MIB, async || Ok(vec![key])).await.unwrap());
        }
        assert_eq!(small.len(), 100);
    }
}
