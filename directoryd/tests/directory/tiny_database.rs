//! A geographic database in MaxMind's format, as small as can be: for each network a country and an autonomous system.
//!
//! <https://maxmind.github.io/MaxMind-DB/>

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Bits of an address; those of IPv4 are at the end of the first 96 zeros.
const BITS: u8 = 128;

/// What a record of the tree leads to.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The bytes of a database.
pub(crate) fn tiny_database(rows: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, country, asn) in rows {
        enter(&mut nodes, &network.parse().unwrap(), data.len());
        map(&mut data, 2);
        text(&mut data, "country");
        map(&mut data, 2);
        text(&mut data, "names");
        map(&mut data, 1);
        text(&mut data, "en");
        text(&mut data, "Somewhere");
        text(&mut data, "iso_code");
        text(&mut data, country);
        text(&mut data, "autonomous_system_number");
        number(&mut data, 6, &asn.to_be_bytes());
    }
    let mut bytes = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Nothing => nodes.len(),
            Record::Node(at) => *at,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        bytes.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut bytes, u32::try_from(nodes.len()).unwrap());
    bytes
}

fn enter(nodes: &mut Vec<[Record; 2]>, network: &IpNet, offset: usize) {
    let (address, bits) = match network.addr() {
        IpAddr::V4(v4) => (Ipv6Addr::from_bits(u128::from(v4.to_bits())), network.prefix_len() + 96),
        IpAddr::V6(v6) => (v6, network.prefix_len()),
    };
    let mut at = 0;
    for depth in 0..bits {
        let side = usize::from(address.to_bits() >> (BITS - 1 - depth) & 1 == 1);
        if depth + 1 == bits {
            nodes[at][side] = Record::Data(offset);
            return;
        }
        at = match nodes[at][side] {
            Record::Node(next) => next,
            Record::Nothing | Record::Data(_) => {
                nodes.push([Record::Nothing; 2]);
                nodes[at][side] = Record::Node(nodes.len() - 1);
                nodes.len() - 1
            }
        };
    }
}

fn metadata(bytes: &mut Vec<u8>, nodes: u32) {
    map(bytes, 9);
    for (key, kind, value) in [
        ("node_count", 6, &nodes.to_be_bytes()[..]),
        ("record_size", 5, &[32]),
        ("ip_version", 5, &[6]),
        ("binary_format_major_version", 5, &[2]),
        ("binary_format_minor_version", 5, &[0]),
    ] {
        text(bytes, key);
        number(bytes, kind, value);
    }
    text(bytes, "database_type");
    text(bytes, "Tiny");
    text(bytes, "build_epoch");
    // Types above 7 say so in a byte of their own: 9 is a number of 64 bits.
    bytes.extend_from_slice(&[1, 2, 7]);
    text(bytes, "languages");
    bytes.extend_from_slice(&[0, 4]);
    text(bytes, "description");
    map(bytes, 0);
}

fn map(bytes: &mut Vec<u8>, entries: u8) {
    bytes.push(7 << 5 | entries);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(2 << 5 | u8::try_from(text.len()).unwrap());
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind << 5 | u8::try_from(value.len()).unwrap());
    bytes.extend_from_slice(value);
}
