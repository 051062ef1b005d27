//! `signed/envelopes.json` and `signed/verify.json`: bytes that are signed, envelopes around them, and whose
//! signatures count.

use odi_manifest::cbor::Writer;
use odi_manifest::{
    Envelope, PublicKey, RecordKind, Role, RoleName, SelfRevocation, Unverified, Verified, VerifyError,
    signed_bytes, verify,
};
use serde_json::{Value, json};

use super::{bytes, hex, list, number, settle, text};
use crate::catalog::{Catalog, NOW, key, publics};

#[test]
fn signed_bytes_and_signatures_are_what_the_vectors_say() {
    let payload = b"\xa1\x61v\x01".to_vec();
    let cases = RecordKind::ALL.into_iter().map(|kind| {
        let mut envelope = Envelope::new(kind, payload.clone()).unwrap();
        envelope.sign(&key(7)).unwrap();
        json!({
            "type": kind.name(),
            "payload": hex(&payload),
            "seed": hex([7; 32]),
            "key": key(7).public_key().to_hex(),
            "signed": hex(envelope.signed_bytes()),
            "signature": hex(envelope.signatures()[0].1.as_bytes()),
            "envelope": hex(envelope.encode()),
        })
    });
    let about = "For a payload of each type: the bytes that a signature covers, the signature of the key of `seed`, \
                 and the envelope.";
    for case in settle("signed/signatures.json", about, cases.collect()) {
        let kind = RecordKind::parse(text(&case["type"])).unwrap();
        assert_eq!(hex(signed_bytes(kind, &bytes(&case["payload"]))), text(&case["signed"]));
        let envelope = Envelope::decode(&bytes(&case["envelope"])).unwrap();
        let signer = PublicKey::from_hex(text(&case["key"])).unwrap();
        let [(hint, signature)] = envelope.signatures() else { panic!("{case}") };
        assert_eq!(*hint, signer.hint());
        assert_eq!(hex(signature.as_bytes()), text(&case["signature"]));
        assert!(signer.accepts(&bytes(&case["signed"]), signature), "{case}");
    }
}

/// An envelope written by hand, to hold what the encoder never would.
fn raw(magic: &str, kind: &str, payload: &[u8], signatures: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(4).text(magic).unwrap().text(kind).unwrap().bytes(payload).array(signatures.len());
    for (hint, signature) in signatures {
        writer.array(2).bytes(hint).bytes(signature);
    }
    writer.into_bytes()
}

#[test]
fn envelopes_are_decoded_or_refused_as_the_vectors_say() {
    let (a, b): (&[u8], &[u8]) = (&[1; 8], &[2; 8]);
    let sig: &[u8] = &[3; 64];
    let leave = |signatures: &[(&[u8], &[u8])]| raw("odi1", "odi/leave/1", b"\xa0", signatures);
    let many: Vec<[u8; 8]> = (0..33).map(|number| [number; 8]).collect();
    let many: Vec<(&[u8], &[u8])> = many.iter().map(|hint| (hint.as_slice(), sig)).collect();
    let sound = leave(&[(a, sig), (b, sig)]);
    let cases = [
        ("no signature", leave(&[])),
        ("two signatures", sound.clone()),
        ("thirty-two signatures", leave(&many[..32])),
        ("thirty-three signatures", leave(&many)),
        ("signatures out of order", leave(&[(b, sig), (a, sig)])),
        ("one signature twice", leave(&[(a, sig), (a, sig)])),
        ("a hint of 7 bytes", leave(&[(&[1; 7], sig)])),
        ("a signature of 63 bytes", leave(&[(a, &[3; 63])])),
        ("another magic", raw("odi2", "odi/leave/1", b"\xa0", &[])),
        ("an unknown type", raw("odi1", "odi/leave/2", b"\xa0", &[])),
        ("a payload at its limit", raw("odi1", "odi/leave/1", &[0; 512], &[])),
        ("a payload over its limit", raw("odi1", "odi/leave/1", &[0; 513], &[])),
        ("trailing bytes", [&sound[..], b"\0"].concat()),
        ("cut short", sound[..sound.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        ("a map", b"\xa0".to_vec()),
        ("an array of three", b"\x83\x64odi1\x6bodi/leave/1\x41\xa0".to_vec()),
        ("an indefinite array", b"\x9f\x64odi1\x6bodi/leave/1\x41\xa0\x80\xff".to_vec()),
        ("a long length", b"\x98\x04\x64odi1\x6bodi/leave/1\x41\xa0\x80".to_vec()),
        ("a tag", b"\xd9\xd9\xf7\x84\x64odi1\x6bodi/leave/1\x41\xa0\x80".to_vec()),
        ("a payload that is a text", b"\x84\x64odi1\x6bodi/leave/1\x61\x20\x80".to_vec()),
    ];
    let result = |encoded: &[u8]| Envelope::decode(encoded).map_or_else(|error| error.name(), |_| "ok");
    let cases = cases.map(
        |(name, encoded)| json!({ "name": name, "envelope": hex(&encoded), "result": result(&encoded) }),
    );
    let about =
        "Envelopes as bytes: `ok`, or why they are refused. Their payloads and signatures mean nothing here.";
    for case in settle("signed/envelopes.json", about, cases.into()) {
        let encoded = bytes(&case["envelope"]);
        assert_eq!(result(&encoded), case["result"], "{case}");
        if let Ok(envelope) = Envelope::decode(&encoded) {
            assert_eq!(envelope.encode(), encoded, "{case}");
        }
    }
}

fn statement() -> Unverified<SelfRevocation> {
    let catalog = *Catalog::begin().trust.catalog();
    Unverified::draft(SelfRevocation { t: NOW, v: 1, catalog, key: key(1).public_key() }).unwrap()
}

/// The statement with signatures of these keys.
fn signed(seeds: &[u8]) -> Vec<u8> {
    let mut statement = statement();
    seeds.iter().for_each(|seed| statement.sign(&key(*seed)).unwrap());
    statement.encode()
}

/// The statement with signatures that are somehow wrong: (whose hint, the signature).
fn with_signatures(mut signatures: Vec<([u8; 8], Vec<u8>)>) -> Vec<u8> {
    signatures.sort();
    let borrowed: Vec<(&[u8], &[u8])> =
        signatures.iter().map(|(hint, signature)| (hint.as_slice(), signature.as_slice())).collect();
    raw("odi1", RecordKind::SelfRevoke.name(), statement().payload(), &borrowed)
}

/// S + L: the same scalar for whoever does not check its range.
fn with_large_scalar(signature: &[u8; 64]) -> Vec<u8> {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = data_encoding::HEXLOWER.decode(order.as_bytes()).unwrap();
    let mut bent = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in bent[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    bent
}

fn verify_cases() -> Vec<(&'static str, usize, Vec<u8>, Vec<u8>)> {
    let sign = |seed: u8, message: &[u8]| key(seed).sign_now(message).as_bytes().to_vec();
    let hint = |seed: u8| key(seed).public_key().hint().0;
    let own = statement().envelope().signed_bytes();
    let as_head = signed_bytes(RecordKind::Head, statement().payload());
    let bent = with_large_scalar(key(1).sign_now(&own).as_bytes());
    let mut flipped = sign(1, &own);
    flipped[0] ^= 1;
    vec![
        ("one of one", 1, vec![1], signed(&[1])),
        ("none of one", 1, vec![1], signed(&[])),
        ("another key", 1, vec![1], signed(&[2])),
        ("two of three", 2, vec![1, 2, 3], signed(&[1, 3])),
        ("one of three where two are needed", 2, vec![1, 2, 3], signed(&[1])),
        ("a bad signature beside good ones", 2, vec![1, 2, 3], {
            with_signatures(vec![
                (hint(1), sign(1, &own)),
                (hint(2), flipped.clone()),
                (hint(3), sign(3, &own)),
            ])
        }),
        ("unknown keys beside good ones", 1, vec![1], signed(&[1, 8, 9])),
        ("one signature under two hints counts once", 2, vec![1, 2], {
            with_signatures(vec![(hint(1), sign(1, &own)), (hint(2), sign(1, &own))])
        }),
        ("a good signature under another key's hint is not looked for", 1, vec![1], {
            with_signatures(vec![(hint(9), sign(1, &own))])
        }),
        ("a good and a bad signature under one hint", 1, vec![1], {
            with_signatures(vec![(hint(1), sign(1, &own)), (hint(1), flipped)])
        }),
        ("a signature for another type", 1, vec![1], with_signatures(vec![(hint(1), sign(1, &as_head))])),
        ("a signature over the bare payload", 1, vec![1], {
            with_signatures(vec![(hint(1), sign(1, statement().payload()))])
        }),
        ("a scalar above the group's order", 1, vec![1], with_signatures(vec![(hint(1), bent)])),
    ]
}

fn verdict(verified: Result<Verified<SelfRevocation>, VerifyError>) -> &'static str {
    match verified {
        Ok(_) => "verified",
        Err(VerifyError::TooFew { .. }) => "too-few",
        Err(VerifyError::SignedTwice { .. }) => "signed-twice",
        Err(VerifyError::NotTheNamed { .. }) => "not-the-named",
    }
}

fn verify_case(case: &Value) -> (&'static str, usize) {
    let keys = list(&case["keys"]).iter().map(|key| PublicKey::from_hex(text(key)).unwrap()).collect();
    let threshold = number(&case["threshold"]);
    let role = Role::new(RoleName::Release, threshold, keys).unwrap();
    let record = Unverified::decode(&bytes(&case["envelope"])).unwrap();
    (verdict(verify(&record, &role)), role.signers(record.envelope()).unwrap().len())
}

#[test]
fn signatures_count_as_the_vectors_say() {
    let cases = verify_cases().into_iter().map(|(name, threshold, seeds, envelope)| {
        let keys: Vec<String> = publics(&seeds).iter().map(PublicKey::to_hex).collect();
        let mut case =
            json!({ "name": name, "threshold": threshold, "keys": keys, "envelope": hex(envelope) });
        let (result, valid) = verify_case(&case);
        case["valid"] = json!(valid);
        case["result"] = json!(result);
        case
    });
    let about =
        "Envelopes and roles: how many distinct keys of the role validly signed, and whether that suffices.";
    let cases = settle("signed/verify.json", about, cases.collect());
    for case in &cases {
        assert_eq!(verify_case(case), (text(&case["result"]), number(&case["valid"])), "{case}");
    }
    let verified = cases.iter().filter(|case| case["result"] == "verified").count();
    assert_eq!(verified, 5, "one of one, two of three, and good ones beside others");
}
