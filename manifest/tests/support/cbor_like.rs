//! Bytes that read as CBOR a good way, as bytes at random hardly ever do: a rule about spellings is only tried by what is read.

use proptest::collection::vec;
use proptest::prelude::*;

/// A header of any kind whose argument takes any of its widths, right or not; then nothing, a string, or noise.
fn item() -> impl Strategy<Value = Vec<u8>> {
    let header = (0..8u8, 0..32u8, vec(any::<u8>(), 0..9)).prop_map(|(kind, argument, more)| {
        let width = match argument {
            24..28 => 1_usize << (argument - 24),
            _ => 0,
        };
        let more = more.into_iter().chain([0; 8]).take(width);
        [kind << 5 | argument].into_iter().chain(more).collect()
    });
    let small = (0..8u8, 0..3u8).prop_map(|(kind, argument)| vec![kind << 5 | argument]);
    let bytes = vec(any::<u8>(), 0..24).prop_map(|bytes| string(2, &bytes));
    let text = "[a-z]{0,20}".prop_map(|text| string(3, text.as_bytes()));
    prop_oneof![3 => header, 4 => small, 2 => bytes, 2 => text]
}

fn string(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 24, "a header of one byte");
    [&[kind << 5 | length], bytes].concat()
}

/// Such items, a few; half the time just anything.
pub(crate) fn cbor_like() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), vec(item(), 1..8).prop_map(|items| items.concat())]
}
