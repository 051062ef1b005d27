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
    let bytes = vec(any::<u8>(), 0..24).prop_map(|bytes| string(2, &bytes, 0));
    let text = "[a-z]{0,20}".prop_map(|text| string(3, text.as_bytes(), 0));
    prop_oneof![3 => header, 4 => small, 2 => bytes, 2 => text]
}

/// The header of an item, in a form so many steps longer than the shortest, as far as there are longer ones.
fn header(kind: u8, value: u64, longer: u8) -> Vec<u8> {
    let shortest = match value {
        0..24 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 3,
        _ => 4,
    };
    match (shortest + longer).min(4) {
        0 => vec![kind << 5 | u8::try_from(value).unwrap()],
        form => {
            let width = 1_usize << (form - 1);
            [&[kind << 5 | (23 + form)][..], &value.to_be_bytes()[8 - width..]].concat()
        }
    }
}

fn string(kind: u8, bytes: &[u8], longer: u8) -> Vec<u8> {
    [header(kind, bytes.len() as u64, longer), bytes.to_vec()].concat()
}

/// Mostly the shortest form; now and then a longer one, of which nothing may come.
fn longer() -> impl Strategy<Value = u8> {
    prop_oneof![15 => Just(0), 1 => 1..=4u8]
}

/// One whole value, right in everything but perhaps the form of a header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let number = (0..2u8, any::<u64>(), 0..64u32, longer())
        .prop_map(|(kind, number, shift, longer)| header(kind, number >> shift, longer));
    let bytes = (vec(any::<u8>(), 0..40), longer()).prop_map(|(bytes, longer)| string(2, &bytes, longer));
    let text = ("[a-z]{0,40}", longer()).prop_map(|(text, longer)| string(3, text.as_bytes(), longer));
    let bool = (0..2u8).prop_map(|value| vec![7 << 5 | (20 + value)]);
    prop_oneof![2 => number, 1 => bytes, 1 => text, 1 => bool].prop_recursive(3, 24, 6, |inner| {
        let array = (vec(inner.clone(), 0..6), longer())
            .prop_map(|(items, longer)| [header(4, items.len() as u64, longer), items.concat()].concat());
        let map = (vec(inner, 0..6), longer()).prop_map(|(items, longer)| {
            let pairs = (0_u64..).zip(&items).map(|(key, item)| [header(0, key, 0), item.clone()].concat());
            [header(5, items.len() as u64, longer), pairs.collect::<Vec<_>>().concat()].concat()
        });
        prop_oneof![array, map]
    })
}

/// Just anything, a few items in a row, or one whole value.
pub(crate) fn cbor_like() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), vec(item(), 1..8).prop_map(|items| items.concat()), value()]
}
