//! What holds whatever lies on the disk, over damaged samples: the oracles of `fixtures/fuzz`, bounded, on every test run.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../manifest/tests/support/damage.rs"]
mod damage;
#[path = "../../fixtures/fuzz/src/store_oracles.rs"]
#[allow(unreachable_pub, reason = "public to the fuzz targets, which share it")]
mod store_oracles;

use damage::{Sample, check_accepted, check_damaged};
use proptest::prelude::*;
use store_oracles::{ledger_mark, pack_tail, sound_marks, sound_tail};

/// One tail is damaged as it lies there, one before its checksums are made.
fn tails() -> [Sample; 2] {
    [0, 1].map(|mode| Sample::new("pack_tail", pack_tail, sound_tail(mode)))
}

fn marks() -> [Sample; 2] {
    sound_marks().map(|mark| Sample::new("ledger_mark", ledger_mark, mark))
}

#[test]
fn samples_themselves_hold() {
    check_accepted(&tails());
    check_accepted(&marks());
}

#[test]
fn damaged_tails_hold() {
    check_damaged(&tails(), 48);
}

#[test]
fn damaged_marks_hold() {
    check_damaged(&marks(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_hold(bytes: Vec<u8>) {
        pack_tail(&bytes);
        ledger_mark(&bytes);
    }
}
