//! `cbor/`: what the profile accepts, and the first reason for which it refuses.

use odi_manifest::{Ext, cbor};

use super::settle_judged;

const ACCEPTED: &[(&str, &[u8])] = &[
    ("zero", b"\x00"),
    ("23 in one byte", b"\x17"),
    ("24 in two bytes", b"\x18\x18"),
    ("256 in three bytes", b"\x19\x01\x00"),
    ("65536 in five bytes", b"\x1a\x00\x01\x00\x00"),
    ("2^32 in nine bytes", b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00"),
    ("2^64 - 1", b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("minus one", b"\x20"),
    ("false", b"\xf4"),
    ("true", b"\xf5"),
    ("empty byte string", b"\x40"),
    ("empty text", b"\x60"),
    ("text in normalization form C", b"\x62\xc3\xa9"),
    ("empty array", b"\x80"),
    ("empty map", b"\xa0"),
    ("text keys by length, then bytes", b"\xa3\x61b\x01\x61c\x02\x62aa\x03"),
    ("integer keys ascending", b"\xa3\x01\x00\x17\x00\x18\x18\x00"),
    ("eight nested arrays", b"\x81\x81\x81\x81\x81\x81\x81\x80"),
];

const REFUSED: &[(&str, &[u8], &str)] = &[
    ("no item", b"", "truncated"),
    ("integer cut short", b"\x19\x01", "truncated"),
    ("byte string cut short", b"\x42\x00", "truncated"),
    ("array cut short", b"\x82\x00", "truncated"),
    ("map cut short", b"\xa1\x61a", "truncated"),
    ("array of 2^64 - 1 items", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "truncated"),
    ("map of 2^63 - 1 pairs", b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "truncated"),
    ("byte string of 2^63 bytes", b"\x5b\x80\x00\x00\x00\x00\x00\x00\x00", "truncated"),
    ("a second item", b"\x00\x00", "trailing-bytes"),
    ("a trailing break", b"\x00\xff", "trailing-bytes"),
    ("nine nested arrays", b"\x81\x81\x81\x81\x81\x81\x81\x81\x80", "too-deep"),
    ("nine nested maps", b"\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa0", "too-deep"),
    ("indefinite byte string", b"\x5f\x41\x00\xff", "indefinite"),
    ("indefinite text", b"\x7f\x61a\xff", "indefinite"),
    ("indefinite array", b"\x9f\x00\xff", "indefinite"),
    ("indefinite map", b"\xbf\x61a\x00\xff", "indefinite"),
    ("a break alone", b"\xff", "indefinite"),
    ("23 in two bytes", b"\x18\x17", "not-shortest"),
    ("255 in three bytes", b"\x19\x00\xff", "not-shortest"),
    ("65535 in five bytes", b"\x1a\x00\x00\xff\xff", "not-shortest"),
    ("2^32 - 1 in nine bytes", b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "not-shortest"),
    ("long length of a text", b"\x78\x01a", "not-shortest"),
    ("long count of an array", b"\x98\x01\x00", "not-shortest"),
    ("minus one in two bytes", b"\x38\x00", "not-shortest"),
    ("tag 0", b"\xc0\x60", "tag"),
    ("bignum", b"\xc2\x41\x01", "tag"),
    ("self-described CBOR", b"\xd9\xd9\xf7\x00", "tag"),
    ("half float", b"\xf9\x3c\x00", "float"),
    ("single float", b"\xfa\x3f\x80\x00\x00", "float"),
    ("double float", b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", "float"),
    ("null", b"\xf6", "null"),
    ("undefined", b"\xf7", "undefined"),
    ("simple value 0", b"\xe0", "simple"),
    ("simple value 32", b"\xf8\x20", "simple"),
    ("reserved additional information 28", b"\x1c", "reserved"),
    ("reserved additional information 30", b"\xfe", "reserved"),
    ("text with a lone surrogate", b"\x63\xed\xa0\x80", "not-utf8"),
    ("text in an overlong encoding", b"\x62\xc0\xaf", "not-utf8"),
    ("text in normalization form D", b"\x63e\xcc\x81", "not-nfc"),
    ("text with a singleton (angstrom sign)", b"\x63\xe2\x84\xab", "not-nfc"),
    ("negative key", b"\xa1\x20\x00", "key-type"),
    ("byte string key", b"\xa1\x41a\x00", "key-type"),
    ("array key", b"\xa1\x80\x00", "key-type"),
    ("text and integer keys", b"\xa2\x01\x00\x61a\x00", "key-type"),
    ("longer key first", b"\xa2\x62aa\x00\x61b\x00", "key-order"),
    ("greater key first", b"\xa2\x61b\x00\x61a\x00", "key-order"),
    ("greater integer key first", b"\xa2\x18\x18\x00\x01\x00", "key-order"),
    ("the same key twice", b"\xa2\x61a\x00\x61a\x01", "duplicate-key"),
    ("wrong order in a nested map", b"\x81\xa2\x61b\x00\x61a\x00", "key-order"),
];

#[test]
fn profile() {
    let accepted = ACCEPTED.iter().map(|(name, bytes)| (*name, bytes.to_vec(), "ok"));
    let refused = REFUSED.iter().map(|(name, bytes, reason)| (*name, bytes.to_vec(), *reason));
    let about = "One item of the CBOR profile, in hexadecimal: `ok`, or the first reason to refuse it.";
    settle_judged("cbor/profile.json", about, &accepted.chain(refused).collect::<Vec<_>>(), |bytes| {
        cbor::check_profile(bytes, 1 << 16)
            .map_or_else(|error| error.reason.name().to_owned(), |()| "ok".to_owned())
    });
}

#[test]
fn extension_maps() {
    let padded = |zeros: u8| [&[0xa1, 0x01, 0x58, zeros][..], &vec![0; zeros.into()]].concat();
    let cases = [
        ("one key", b"\xa1\x01\x61a".to_vec(), "ok"),
        ("two keys", b"\xa2\x01\x00\x18\x20\x41\x00".to_vec(), "ok"),
        ("64 bytes", padded(60), "ok"),
        ("65 bytes", padded(61), "too-large"),
        ("four arrays in the value", b"\xa1\x01\x81\x81\x81\x80".to_vec(), "ok"),
        ("five arrays in the value", b"\xa1\x01\x81\x81\x81\x81\x80".to_vec(), "too-deep"),
        ("no key", b"\xa0".to_vec(), "unexpected-type"),
        ("a text key", b"\xa1\x61a\x00".to_vec(), "unexpected-type"),
        ("an array", b"\x81\x01".to_vec(), "unexpected-type"),
        ("wrong order", b"\xa2\x02\x00\x01\x00".to_vec(), "key-order"),
        ("the same key twice", b"\xa2\x01\x00\x01\x00".to_vec(), "duplicate-key"),
        ("a null as value", b"\xa1\x01\xf6".to_vec(), "null"),
    ];
    let about = "The extension map of an entry, in hexadecimal: `ok`, or the first reason to refuse it.";
    settle_judged("cbor/extension-maps.json", about, &cases, |bytes| {
        Ext::from_encoded(bytes).map_or_else(|error| error.reason.name().to_owned(), |_| "ok".to_owned())
    });
}
