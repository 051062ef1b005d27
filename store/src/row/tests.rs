//! The rules of rows, against a plain map from chunk to place.

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 40 * CHUNK_BYTES + 7;

fn row() -> BlobRow {
    BlobRow::new(Ordinal(7), SIZE, Hour(9))
}

fn at(offset: u64) -> Location {
    Location { pack: PackId(3), offset: u32::try_from(offset).unwrap() }
}

#[test]
fn chunks_in_order_make_one_extent() {
    let mut row = row();
    for chunk in 0..41 {
        assert_eq!(row.place(chunk, at(32 + u64::from(chunk) * STRIDE)), None);
    }
    assert_eq!(row.extents, [Extent { first: 0, count: 41, at: at(32) }]);
    assert!(!row.is_complete(), "the list is missing");
    row.list = Some(at(0));
    assert!(row.is_complete());
    assert_eq!(row.records().map(|(_, len)| len).sum::<u64>(), 42 * HEADER_BYTES + 41 * 32 + SIZE);
}

#[test]
fn forgetting_a_chunk_splits_its_extent() {
    let mut row = row();
    (0..41).for_each(|chunk| _ = row.place(chunk, at(32 + u64::from(chunk) * STRIDE)));
    assert_eq!(row.forget(5), Some(at(32 + 5 * STRIDE)));
    assert_eq!(row.missing().flatten().collect::<Vec<_>>(), [5]);
    assert_eq!(row.location(6), Some(at(32 + 6 * STRIDE)));
    assert_eq!(row.forget(5), None);
}

proptest! {
    #[test]
    fn a_row_is_a_map_from_chunk_to_place(steps in prop::collection::vec((0u32..41, 0u64..60, any::<bool>()), 0..120)) {
        let (mut row, mut model) = (row(), std::collections::BTreeMap::new());
        for (chunk, slot, keep) in steps {
            let at = at(32 + slot * STRIDE);
            if keep {
                prop_assert_eq!(row.place(chunk, at), model.insert(chunk, at));
            } else {
                prop_assert_eq!(row.forget(chunk), model.remove(&chunk));
            }
            for chunk in 0..41 {
                prop_assert_eq!(row.location(chunk), model.get(&chunk).copied());
            }
            let missing: Vec<u32> = row.missing().flatten().collect();
            prop_assert_eq!(missing, (0..41).filter(|chunk| !model.contains_key(chunk)).collect::<Vec<_>>());
            prop_assert_eq!(decode_row(&encode_row(&row)), Ok(row.clone()));
        }
    }

    #[test]
    fn no_bytes_make_decoding_fail_badly(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(row) = decode_row(&bytes) {
            prop_assert!(row.missing().count() <= 41 || row.size > 0);
        }
        let _ = (decode_node(&bytes), decode_pack(&bytes), decode_tombstone(&bytes));
    }
}
