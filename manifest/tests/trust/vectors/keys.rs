//! `signed/keys.json`: which bytes and which lines are public keys.

use odi_manifest::{KeyError, KeyLine, PublicKey};
use serde_json::{Value, json};

use super::{bytes, hex, settle, text};
use crate::catalog::key;

const fn name(error: &KeyError) -> &'static str {
    match error {
        KeyError::Length(_) => "length",
        KeyError::NotAPoint => "not-a-point",
        KeyError::NotCanonical => "not-canonical",
        KeyError::Weak => "weak",
        KeyError::NotALine => "not-a-line",
        KeyError::OtherAlgorithm => "other-algorithm",
    }
}

/// Every encoding of a point of small order that decoders in the field accept, and other bytes that are no keys.
const BYTES: [(&str, &str, &str); 16] = [
    ("ok", "RFC 8032 test 1", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    ("ok", "RFC 8032 test 2", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
    ("weak", "order 1", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("weak", "order 1, sign bit set", "0100000000000000000000000000000000000000000000000000000000000080"),
    ("weak", "order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("weak", "order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("weak", "order 4, other sign", "0000000000000000000000000000000000000000000000000000000000000080"),
    ("weak", "order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ("weak", "order 8, other sign", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ("weak", "order 8, other y", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ("weak", "order 8, both others", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    (
        "not-canonical",
        "order 1 as y = p + 1",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    ("not-canonical", "order 4 as y = p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("not-canonical", "the largest y", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("not-a-point", "y = 2", "0200000000000000000000000000000000000000000000000000000000000000"),
    ("length", "31 bytes", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f70751"),
];

fn lines() -> Vec<(&'static str, String)> {
    let line = key(7).public_key().to_string();
    let weak = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    vec![
        ("ok", line.clone()),
        ("ok", format!("{line} alice@example")),
        ("ok", format!("  {line}\t two words \n")),
        ("weak", weak.to_owned()),
        ("not-a-line", String::new()),
        ("not-a-line", "ssh-ed25519".to_owned()),
        ("not-a-line", line.trim_end_matches('A').replace("AAAAC3", "AAAC3")),
        ("not-a-line", format!("{line}\n{line}")),
        ("not-a-line", format!("{line} \u{1b}[31m")),
        ("not-a-line", line.replace("ssh-ed25519 ", "SSH-ED25519 ")),
        ("other-algorithm", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ==".to_owned()),
        ("other-algorithm", "ecdsa-sha2-nistp256 AAAA".to_owned()),
    ]
}

#[test]
fn keys_are_what_the_vectors_say() {
    let raw = BYTES.map(|(result, name, hex)| json!({ "name": name, "bytes": hex, "result": result }));
    let text_cases = lines().into_iter().map(|(result, line)| match line.parse::<KeyLine>() {
        Ok(parsed) => {
            json!({ "line": line, "result": result, "key": parsed.key.to_hex(), "comment": parsed.comment })
        }
        Err(_) => json!({ "line": line, "result": result }),
    });
    let about = "Public keys as bytes (hexadecimal) and as OpenSSH lines: `ok`, or why not.";
    for case in settle("signed/keys.json", about, raw.into_iter().chain(text_cases).collect()) {
        check(&case);
    }
}

fn check(case: &Value) {
    let read = match case.get("line") {
        Some(line) => text(line).parse::<KeyLine>(),
        None => {
            PublicKey::from_slice(&bytes(&case["bytes"])).map(|key| KeyLine { key, comment: String::new() })
        }
    };
    assert_eq!(read.as_ref().map_or_else(name, |_| "ok"), case["result"], "{case}");
    if let (Ok(line), Some(expected)) = (&read, case.get("key")) {
        assert_eq!(hex(line.key.as_bytes()), text(expected));
        assert_eq!(line.comment, text(&case["comment"]));
    }
}
