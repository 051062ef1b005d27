//! `tree/nodes.json`: nodes by themselves, valid and not.

use odi_manifest::cbor::Writer;
use odi_manifest::{BLOB_BYTES_MAX, MTIME_MAX, Node};

use super::settle_judged;

/// `[version, level, [rows]]`.
fn node(version: u64, level: u64, rows: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(3).uint(version).uint(level).array(rows.len());
    for row in rows {
        writer.encoded(row);
    }
    writer.into_bytes()
}

fn leaf_row(shared: u64, suffix: &[u8], size: u64, mtime: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(6).uint(shared).bytes(suffix).uint(size).bytes(&[1; 32]).bytes(&[2; 32]).uint(mtime);
    writer.into_bytes()
}

fn row(shared: u64, suffix: &[u8]) -> Vec<u8> {
    leaf_row(shared, suffix, 1, 2)
}

fn inner_row(path: &[u8], entries: u64, bytes: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(4).bytes(path).bytes(&[3; 32]).uint(entries).uint(bytes);
    writer.into_bytes()
}

#[test]
fn nodes() {
    let leaf = |rows: &[Vec<u8>]| node(1, 0, rows);
    let short_hash = {
        let mut writer = Writer::new();
        writer.array(6).uint(0).bytes(b"a").uint(1).bytes(&[1; 31]).bytes(&[2; 32]).uint(2);
        writer.into_bytes()
    };
    let three_fields = {
        let mut writer = Writer::new();
        writer.array(3).bytes(b"a").bytes(&[3; 32]).uint(1);
        writer.into_bytes()
    };
    let cases = [
        ("the empty manifest", leaf(&[]), "ok"),
        ("a leaf", leaf(&[row(0, b"a"), row(1, b"b"), row(0, b"b")]), "ok"),
        ("largest size and time", leaf(&[leaf_row(0, b"a", BLOB_BYTES_MAX, MTIME_MAX)]), "ok"),
        (
            "a prefix that ends inside a character",
            leaf(&[row(0, "\u{e9}".as_bytes()), row(1, b"\xaa")]),
            "ok",
        ),
        ("an inner node", node(1, 1, &[inner_row(b"a", 1, 0), inner_row(b"ab", 2, 5)]), "ok"),
        ("an inner node of the highest level", node(1, 7, &[inner_row(b"a", 1, 0)]), "ok"),
        ("version 2", node(2, 0, &[]), "version"),
        ("level 8", node(1, 8, &[inner_row(b"a", 1, 0)]), "level"),
        ("an empty inner node", node(1, 1, &[]), "empty"),
        ("a child without artifacts", node(1, 1, &[inner_row(b"a", 0, 0)]), "empty"),
        (
            "sums that overflow",
            node(1, 1, &[inner_row(b"a", 1, u64::MAX), inner_row(b"b", 1, 1)]),
            "overflow",
        ),
        ("paths not ascending", leaf(&[row(0, b"b"), row(0, b"a")]), "order"),
        ("the same path twice", leaf(&[row(0, b"a"), row(1, b"")]), "order"),
        ("children not ascending", node(1, 1, &[inner_row(b"b", 1, 0), inner_row(b"b", 1, 0)]), "order"),
        ("a shared prefix that could be longer", leaf(&[row(0, b"ab"), row(0, b"ac")]), "shared-prefix"),
        ("a shared prefix longer than the path", leaf(&[row(0, b"a"), row(2, b"b")]), "shared-prefix"),
        ("a shared prefix of the first path", leaf(&[row(1, b"a")]), "shared-prefix"),
        ("a size over 64 GiB", leaf(&[leaf_row(0, b"a", BLOB_BYTES_MAX + 1, 0)]), "size"),
        ("a time past the year 9999", leaf(&[leaf_row(0, b"a", 0, MTIME_MAX + 1)]), "mtime"),
        ("a path with two dots", leaf(&[row(0, b"a/../b")]), "dot-segment"),
        ("a path below `.odi`", leaf(&[row(0, b".odi/head")]), "reserved"),
        ("a path that is no text", leaf(&[row(0, b"\xff")]), "not-utf8"),
        ("a hash of 31 bytes", leaf(&[short_hash]), "unexpected-type"),
        ("a child of three fields", node(1, 1, &[three_fields]), "unexpected-type"),
        ("a leaf with a child", leaf(&[inner_row(b"a", 1, 0)]), "unexpected-type"),
        ("trailing bytes", [leaf(&[]), vec![0]].concat(), "trailing-bytes"),
        ("more rows than bytes", b"\x83\x01\x00\x9a\x00\x01\x00\x00".to_vec(), "truncated"),
        ("a map", b"\xa0".to_vec(), "unexpected-type"),
    ];
    let about = "Encoded nodes by themselves, in hexadecimal: `ok`, or the first reason to refuse.";
    settle_judged("tree/nodes.json", about, &cases, |bytes| match Node::decode(bytes) {
        Ok(node) => {
            assert_eq!(node.encode(), bytes);
            "ok".to_owned()
        }
        Err(error) => error.name().to_owned(),
    });
}
