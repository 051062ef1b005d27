//! Samples that an oracle of `fixtures/fuzz` accepts, and what must hold however they are damaged.
//!
//! A sample that is refused would prove nothing, so that is a failure. `ODI_WRITE_SEEDS=FOLDER` writes every sample to
//! `FOLDER/{target}/`, where the fuzzer of that target begins.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// Bytes that the oracle of a fuzz target accepts.
pub(crate) struct Sample {
    target: &'static str,
    oracle: fn(&[u8]) -> bool,
    bytes: Vec<u8>,
}

impl Sample {
    pub(crate) fn new(target: &'static str, oracle: fn(&[u8]) -> bool, bytes: impl Into<Vec<u8>>) -> Self {
        Self { target, oracle, bytes: bytes.into() }
    }
}

/// A way to damage bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(Index, u8),
    Insert(Index, u8),
    Cut(Index),
    Drop(Index, Index),
    Repeat(Index, Index),
    /// Writes the CBOR header that may be here in a longer form.
    Lengthen(Index),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Drop(a, b)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Repeat(a, b)),
        2 => any::<Index>().prop_map(Damage::Lengthen),
    ]
}

pub(crate) fn damaged(sample: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for damage in damages {
        let place = |index: &Index| index.index(bytes.len() + 1);
        match damage {
            Damage::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Insert(at, byte) => bytes.insert(place(at), *byte),
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Drop(a, b) => {
                let (a, b) = (place(a), place(b));
                bytes.drain(a.min(b)..a.max(b));
            }
            Damage::Repeat(a, b) => {
                let (a, b) = (place(a), place(b));
                bytes.extend_from_within(a.min(b)..a.max(b));
            }
            Damage::Lengthen(at) if !bytes.is_empty() => lengthen(&mut bytes, at),
            Damage::Lengthen(..) => {}
        }
    }
    bytes
}

/// The next wider form of a header has as many zeros more as the present one has bytes behind the first.
fn lengthen(bytes: &mut Vec<u8>, at: &Index) {
    let at = at.index(bytes.len());
    let (kind, argument) = (bytes[at] & 0xe0, bytes[at] & 0x1f);
    match argument {
        0..24 => drop(bytes.splice(at..=at, [kind | 24, argument])),
        24..27 => {
            let zeros = vec![0; 1 << (argument - 24)];
            bytes[at] += 1;
            drop(bytes.splice(at + 1..at + 1, zeros));
        }
        _ => {}
    }
}

/// Every sample is accepted as it is.
pub(crate) fn check_accepted(samples: &[Sample]) {
    let seeds = std::env::var_os("ODI_WRITE_SEEDS").map(PathBuf::from);
    for (at, Sample { target, oracle, bytes }) in samples.iter().enumerate() {
        assert!(
            oracle(bytes),
            "sample {at}, of `{target}`, is refused, so what is damaged from it proves nothing"
        );
        if let Some(seeds) = &seeds {
            let folder = seeds.join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("sample-{at}")), bytes).unwrap();
        }
    }
}

/// What the oracles say holds for every sample after so many ways to damage it.
pub(crate) fn check_damaged(samples: &[Sample], cases: u32) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    for sample in samples {
        runner
            .run(&prop::collection::vec(damage(), 1..4), |damages| {
                (sample.oracle)(&damaged(&sample.bytes, &damages));
                Ok(())
            })
            .unwrap();
    }
}
