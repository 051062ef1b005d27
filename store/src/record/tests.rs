//! The rules of headers, on headers of every kind and on any bytes.

use proptest::prelude::*;

use super::*;

const SALT: u64 = 0x0123_4567_89ab_cdef;

fn bodies() -> impl Strategy<Value = Body> {
    let blob = any::<[u8; 32]>().prop_map(BlobId::from_bytes);
    let data = (blob.clone(), 1..=BLOB_BYTES_MAX, any::<u32>()).prop_map(|(blob, size, chunk)| Body::Data {
        blob,
        size,
        chunk: chunk % chunk_count(size),
    });
    let list =
        (blob.clone(), CHUNK_BYTES + 1..100 * CHUNK_BYTES).prop_map(|(blob, size)| Body::List { blob, size });
    let node = (any::<[u8; 32]>(), 0u32..=131_072)
        .prop_map(|(node, length)| Body::Node { node: NodeId::from_bytes(node), length });
    let tombstone = (blob, any::<u64>(), any::<bool>())
        .prop_map(|(blob, generation, lifted)| Body::Tombstone { blob, generation, lifted });
    prop_oneof![data, list, node, tombstone, (0u32..1000).prop_map(|length| Body::Recipe { length })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn headers_round_trip_and_vouch_for_their_payload(body in bodies(), moved in any::<bool>(), flip in any::<(u16, u8)>()) {
        let header = Header { body, moved };
        let payload: Vec<u8> = (0..body.payload_len()).map(|index| (index % 251) as u8).collect();
        let raw = header.encode(SALT, &payload);
        prop_assert_eq!(Header::decode(SALT, &raw), Ok(header));
        prop_assert!(payload_checks(&raw, &payload));
        prop_assert!(Header::decode(SALT ^ 1, &raw).is_err(), "another store's record");
        let mut bytes = [raw.as_slice(), &payload].concat();
        let at = usize::from(flip.0) % bytes.len();
        bytes[at] ^= 1 << (flip.1 % 8);
        let (damaged, payload) = bytes.split_first_chunk().unwrap();
        prop_assert!(!payload_checks(damaged, payload), "a flipped bit at {at} goes unseen");
    }

    #[test]
    fn no_bytes_make_a_header_that_lies_about_itself(mut raw in prop::array::uniform32(any::<u8>()), kind in 0u8..8, length in any::<u32>()) {
        let mut bytes: RawHeader = [0; 72];
        bytes[..8].copy_from_slice(&SALT.to_le_bytes());
        bytes[8] = kind;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        raw[3..8].fill(0);
        bytes[24..56].copy_from_slice(&raw);
        if let Ok(header) = Header::decode(SALT, &bytes) {
            prop_assert_eq!(header.body.payload_len(), u64::from(length));
            prop_assert!(header.body.payload_len() <= PAYLOAD_BYTES_MAX);
        }
    }
}
