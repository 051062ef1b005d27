//! `roots/records.json` and `heads/records.json`: single records, and the rule that each bad one breaks.

use odi_manifest::cbor::{Reader, Writer};
use odi_manifest::{Envelope, Record, RecordKind, Root, Unverified};
use serde_json::{Value, json};

use super::{bytes, hex, outcome, settle};
use crate::catalog::{Catalog, key, publics};

/// A map's pairs, each still encoded.
fn pairs(map: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader::new(map);
    let count = reader.map().unwrap();
    (0..count).map(|_| (reader.skip(0).unwrap().to_vec(), reader.skip(0).unwrap().to_vec())).collect()
}

fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(pairs.len());
    for (name, value) in pairs {
        writer.encoded(name).encoded(value);
    }
    writer.into_bytes()
}

fn name(text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.text(text).unwrap();
    writer.into_bytes()
}

/// The payload with one value replaced, added (in order) or, by an empty value, taken out.
fn with(payload: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let mut pairs = pairs(payload);
    pairs.retain(|(known, _)| *known != name(key));
    if !value.is_empty() {
        pairs.push((name(key), value.to_vec()));
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    map(&pairs)
}

fn text(value: &str) -> Vec<u8> {
    name(value)
}

fn uint(value: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.uint(value);
    writer.into_bytes()
}

fn texts(values: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(values.len());
    for value in values {
        writer.text(value).unwrap();
    }
    writer.into_bytes()
}

fn digests(values: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(values.len());
    for value in values {
        writer.bytes(&[*value; 32]);
    }
    writer.into_bytes()
}

fn digest(value: u8) -> Vec<u8> {
    digests(&[value])[1..].to_vec()
}

fn extension(names: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(names.len());
    for name in names {
        writer.text(name).unwrap().bytes(b"value");
    }
    writer.into_bytes()
}

/// What is wrong with any record of one shape: the profile, unknown keys, extensions, dates.
fn common(payload: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut swapped = pairs(payload);
    swapped.swap(0, 1);
    let mut doubled = pairs(payload);
    doubled.insert(0, doubled[0].clone());
    let many: Vec<String> = (0..17).map(|number| format!("name{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        ("sound", payload.to_vec()),
        ("an extension", with(payload, "x", &extension(&["b", "aa"]))),
        ("extensions out of order", with(payload, "x", &extension(&["aa", "b"]))),
        ("an empty extension map", with(payload, "x", &extension(&[]))),
        ("seventeen extensions", with(payload, "x", &extension(&many))),
        ("a long extension name", with(payload, "x", &extension(&["a234567890123456789012345678901234"]))),
        ("an unknown key", with(payload, "zz", &uint(1))),
        ("keys out of order", map(&swapped)),
        ("a key twice", map(&doubled)),
        ("a null", with(payload, "prev", b"\xf6")),
        ("record version 2", with(payload, "v", &uint(2))),
        ("a missing key", with(payload, "ct", b"")),
        ("a date in a long integer", with(payload, "ct", b"\x1b\x00\x00\x00\x00\x6b\x49\xd2\x00")),
        ("a date in a float", with(payload, "ct", b"\xfa\x00\x00\x00\x00")),
        ("a negative date", with(payload, "ct", b"\x20")),
        ("expires before it was made", with(payload, "exp", &uint(1))),
        ("trailing bytes", [payload, b"\x00"].concat()),
        ("cut short", payload[..payload.len() - 1].to_vec()),
        ("an array", b"\x80".to_vec()),
    ]
}

fn root_cases() -> Vec<(&'static str, Vec<u8>)> {
    let catalog = Catalog::begin();
    let first = catalog.trust.root().payload();
    let later = odi_manifest::RootBuilder::after(
        catalog.trust.root(),
        crate::catalog::NOW,
        catalog.trust.root().expires,
    )
    .build()
    .unwrap();
    let later = later.payload();
    let roles = |root: &[u8], release: &[u8]| [b"\xa2\x64root", root, b"\x67release", release].concat();
    let one = b"\x82\x01\x81\x00";
    let keys = |keys: &[(u8, u8)]| {
        let mut writer = Writer::new();
        writer.array(keys.len());
        for (algorithm, seed) in keys {
            writer.array(2).uint(u64::from(*algorithm)).bytes(publics(&[*seed])[0].as_bytes());
        }
        writer.into_bytes()
    };
    let weak = [&b"\x81\x82\x01\x58\x20"[..], &[0; 32]].concat();
    let floor = |seq: u64, head: u8, next: u64| {
        let mut writer = Writer::new();
        writer.array(3).uint(seq).bytes(&[head; 32]).uint(next);
        writer.into_bytes()
    };
    let mut cases = common(first);
    cases.extend([
        ("version 0", with(first, "ver", &uint(0))),
        ("version 2 without a forerunner", with(first, "ver", &uint(2))),
        ("version 1 with a forerunner", with(first, "prev", &digest(1))),
        ("version 2", later.to_vec()),
        ("version 2 with a floor", with(&with(later, "epoch", &uint(2)), "floor", &floor(3, 1, 4))),
        ("a floor with nothing good", with(&with(later, "epoch", &uint(2)), "floor", &floor(0, 0, 4))),
        ("a floor that does not go up", with(later, "floor", &floor(3, 1, 3))),
        ("a floor at 0 with a head", with(later, "floor", &floor(0, 1, 4))),
        ("a floor at 3 without a head", with(later, "floor", &floor(3, 0, 4))),
        ("a floor in version 1", with(first, "floor", &floor(3, 1, 4))),
        ("epoch 0", with(later, "epoch", &uint(0))),
        ("epoch 2 in version 1", with(first, "epoch", &uint(2))),
        ("moved in version 1", with(first, "moved", &digest(1))),
        ("a name with a capital", with(first, "name", &text("Debian"))),
        ("a reserved name", with(first, "name", &text("odi"))),
        ("a quorum of absent witnesses", with(first, "wq", &uint(1))),
        ("no keys", with(first, "keys", &keys(&[]))),
        ("keys out of order", with(first, "keys", &keys(&[(1, 1), (1, 2)]))),
        ("a key twice", with(first, "keys", &keys(&[(1, 1), (1, 1)]))),
        ("a key of another algorithm", with(first, "keys", &keys(&[(2, 1), (1, 2)]))),
        ("a weak key", with(first, "keys", &weak)),
        ("threshold 0", with(first, "roles", &roles(b"\x82\x00\x81\x00", one))),
        ("a threshold above the keys", with(first, "roles", &roles(one, b"\x82\x02\x81\x00"))),
        ("a role that lists a key twice", with(first, "roles", &roles(one, b"\x82\x02\x82\x00\x00"))),
        ("a role out of order", with(first, "roles", &roles(one, b"\x82\x01\x82\x01\x00"))),
        ("a role of an absent key", with(first, "roles", &roles(one, b"\x82\x01\x81\x02"))),
        ("a role without keys", with(first, "roles", &roles(one, b"\x82\x01\x80"))),
        ("no release role", with(first, "roles", b"\xa1\x64root\x82\x01\x81\x00")),
    ]);
    cases
}

fn head_cases() -> Vec<(&'static str, Vec<u8>)> {
    let mut catalog = Catalog::begin();
    let heads: Vec<_> = (0..6).map(|number| catalog.publish(&number.to_string())).collect();
    let [first, second, sixth] = [0, 1, 5].map(|index: usize| heads[index].payload());
    let meta = |tags: &[&str], title: Option<&str>| {
        let count = 1 + usize::from(title.is_some());
        let mut writer = Writer::new();
        writer.map(count).text("tags").unwrap().encoded(&texts(tags));
        if let Some(title) = title {
            writer.text("title").unwrap().text(title).unwrap();
        }
        writer.into_bytes()
    };
    let labels = |labels: &[(&str, u64)]| {
        let mut writer = Writer::new();
        writer.array(labels.len());
        for (label, seq) in labels {
            writer.array(2).text(label).unwrap().uint(*seq);
        }
        writer.into_bytes()
    };
    let url = format!("https://example.org/{}", "a".repeat(900));
    let mut cases = common(second);
    cases.extend([
        ("sequence number 1", first.to_vec()),
        ("sequence number 6", sixth.to_vec()),
        ("sequence number 0", with(first, "seq", &uint(0))),
        ("1 with a forerunner", with(first, "prev", &digest(1))),
        ("2 without a forerunner", with(second, "prev", b"")),
        ("6 without a skip", with(sixth, "skip", b"")),
        ("2 with a skip", with(second, "skip", &digest(1))),
        ("root version 0", with(first, "rver", &uint(0))),
        ("epoch 0", with(first, "epoch", &uint(0))),
        ("a list of revocations", with(second, "rev", &digest(7))),
        ("voided heads", with(second, "void", &digests(&[1, 2]))),
        ("voided heads out of order", with(second, "void", &digests(&[2, 1]))),
        ("a voided head twice", with(second, "void", &digests(&[1, 1]))),
        ("no voided heads, and the key", with(second, "void", &digests(&[]))),
        ("labels", with(second, "labels", &labels(&[("stable", 1), ("testing", 2)]))),
        ("a label ahead of its head", with(second, "labels", &labels(&[("stable", 3)]))),
        ("a label for 0", with(second, "labels", &labels(&[("stable", 0)]))),
        ("a label twice", with(second, "labels", &labels(&[("stable", 1), ("stable", 2)]))),
        ("a label that begins with a digit", with(second, "labels", &labels(&[("12", 1)]))),
        ("tags and a title", with(second, "meta", &meta(&["a", "ecosystem:python"], Some("D\u{e9}bian")))),
        ("tags out of order", with(second, "meta", &meta(&["b", "a"], None))),
        ("a title with a line break", with(second, "meta", &meta(&[], Some("a\nb")))),
        ("a title with a bidirectional control", with(second, "meta", &meta(&[], Some("a\u{202e}b")))),
        ("a title that is not NFC", with(second, "meta", b"\xa2\x64tags\x80\x65title\x63e\xcc\x81")),
        ("an origin", with(second, "org", &texts(&["https://ftp.example.org/debian/"]))),
        ("an origin of another scheme", with(second, "org", &texts(&["ftp://ftp.example.org/"]))),
        ("an origin with a space", with(second, "org", &texts(&["https://ftp.example.org/a b"]))),
        ("seventeen origins", with(second, "org", &texts(&["http://a/"; 17]))),
        ("over 4 KiB", with(second, "org", &texts(&[url.as_str(); 5]))),
    ]);
    cases
}

/// The envelope of a payload, whatever is in it; `None` if it is too large for one.
fn envelope(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    match Envelope::new(kind, payload.to_vec()) {
        Ok(mut envelope) => {
            envelope.sign(&key(2)).unwrap();
            envelope.encode()
        }
        Err(_) => {
            let mut writer = Writer::new();
            writer.array(4).text("odi1").unwrap().text(kind.name()).unwrap().bytes(payload).array(0);
            writer.into_bytes()
        }
    }
}

fn rule<T: Record>(encoded: &[u8]) -> Option<String> {
    let error = Unverified::<T>::decode(encoded).err()?;
    std::error::Error::source(&error).filter(|_| error.name() == "broken-rule").map(ToString::to_string)
}

fn run<T: Record>(file: &str, cases: Vec<(&'static str, Vec<u8>)>) {
    let cases = cases.into_iter().map(|(name, payload)| {
        let encoded = envelope(T::KIND, &payload);
        let mut case = json!({
            "name": name, "envelope": hex(&encoded), "result": outcome::<T>(&encoded),
        });
        if let Some(rule) = rule::<T>(&encoded) {
            case["rule"] = Value::String(rule);
        }
        case
    });
    let about = "Envelopes of single records, their signatures not looked at: `ok`, or why the record is refused; \
                 `rule` says which rule a well-formed one breaks.";
    for case in settle(file, about, cases.collect()) {
        let encoded = bytes(&case["envelope"]);
        assert_eq!(outcome::<T>(&encoded), case["result"], "{}", case["name"]);
        assert_eq!(
            rule::<T>(&encoded).as_deref(),
            case.get("rule").and_then(Value::as_str),
            "{}",
            case["name"]
        );
        if let Ok(record) = Unverified::<T>::decode(&encoded) {
            assert_eq!(Unverified::draft(record.claims().clone()).unwrap().payload(), record.payload());
        }
    }
}

#[test]
fn roots_are_decoded_or_refused_as_the_vectors_say() {
    run::<Root>("roots/records.json", root_cases());
}

#[test]
fn heads_are_decoded_or_refused_as_the_vectors_say() {
    run::<odi_manifest::Head>("heads/records.json", head_cases());
}
