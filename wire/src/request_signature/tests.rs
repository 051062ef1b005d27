//! The profile against the RFC's own vector, and against everything that is not quite the profile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000);
const BODY: &[u8] = b"a body";
const TARGET: &str = "/.well-known/odi/challenge?x=1";
const KEY_ID: KeyId = KeyId { directory: [7; 32], generation: 3 };

fn key() -> DerivedKey {
    DerivedKey::from_bytes([42; 32])
}

fn verifier() -> Verifier {
    let urls = ["https://other.example", "https://Relay.example:443/", "http://relay.example:8080"];
    Verifier::new(&urls.map(|url| Url::parse(url).unwrap()), Timestamp(NOW.0 - 1000))
}

fn signed_headers(now: Timestamp, nonce: Nonce) -> HeaderMap {
    let url = Url::parse("https://relay.example").unwrap().join(TARGET).unwrap();
    sign(Ask::post(&url, "application/cbor", BODY), &key(), KEY_ID, now, nonce).header_map().clone()
}

fn judge(verifier: &mut Verifier, headers: &HeaderMap, now: Timestamp) -> Result<KeyId, Refusal> {
    let request = Received { method: &Method::POST, target: TARGET, headers, body: BODY };
    verifier.verify(request, now, |id| (*id == KEY_ID).then(key))
}

/// RFC 9421 § B.2.5.
#[test]
fn the_mac_is_the_one_of_the_rfc() {
    let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let base = signature_base(
        &[
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
        ],
        r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    );
    let mac = hmac(&STANDARD.decode(secret).unwrap(), &base).finalize().into_bytes();
    assert_eq!(STANDARD.encode(mac), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

/// RFC 9530 § B.1.
#[test]
fn the_digest_is_the_one_of_the_rfc() {
    assert_eq!(
        profile::content_digest(b"{\"hello\": \"world\"}"),
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    );
}

/// Published in PROTOCOL.md § Signed requests, for other implementations.
#[test]
fn the_headers_of_a_signed_request() {
    let headers = signed_headers(NOW, [1; 16]);
    let shown = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(shown("content-digest"), "sha-256=:dxgk3kIodkL6D74LVouAzDKQ4pt9PNbvvHsbjrEDewQ=:");
    assert_eq!(
        shown("signature-input"),
        "odi=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\" \"content-type\");\
         created=1790000000;nonce=\"AQEBAQEBAQEBAQEBAQEBAQ\";\
         keyid=\"0707070707070707070707070707070707070707070707070707070707070707.3\";\
         alg=\"hmac-sha256\";tag=\"odi-dir-to-relay-1\""
    );
    assert_eq!(shown("signature"), "odi=:p1EyVAxIxH5aG41QO+SstdAv2W20HIpa7WlZpd71eS4=:");
}

#[test]
fn a_signed_request_is_taken_once() {
    let mut verifier = verifier();
    let headers = signed_headers(NOW, [1; 16]);
    assert_eq!(judge(&mut verifier, &headers, NOW), Ok(KEY_ID));
    assert_eq!(judge(&mut verifier, &headers, NOW), Err(Refusal::Unauthorized), "row 38: replayed");
    assert_eq!(judge(&mut verifier, &signed_headers(NOW, [2; 16]), NOW), Ok(KEY_ID));
}

#[test]
fn time_has_a_window_and_a_beginning() {
    for (created, ok) in [(0, true), (60, true), (61, false), (-60, true), (-61, false), (-2000, false)] {
        let created = Timestamp(NOW.0.checked_add_signed(created).unwrap());
        assert_eq!(judge(&mut verifier(), &signed_headers(created, [1; 16]), NOW).is_ok(), ok, "{created}");
    }
    // Row 38: after a restart the cache is empty, and what was signed before is refused by its time.
    let mut restarted = Verifier { started: Timestamp(NOW.0 + 1), ..verifier() };
    assert_eq!(
        judge(&mut restarted, &signed_headers(NOW, [1; 16]), Timestamp(NOW.0 + 1)),
        Err(Refusal::Unauthorized)
    );
}

/// Row 39.
#[test]
fn nothing_of_the_request_can_be_swapped() {
    let headers = signed_headers(NOW, [1; 16]);
    let good = Received { method: &Method::POST, target: TARGET, headers: &headers, body: BODY };
    let mut other_type = headers.clone();
    other_type.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let mut other_digest = headers.clone();
    other_digest.insert(CONTENT_DIGEST, profile::content_digest(b"another").parse().unwrap());
    let swapped = [
        Received { method: &Method::PUT, ..good },
        Received { target: "/.well-known/odi/challenge", ..good },
        Received { target: "/.well-known/odi/challenge?x=2", ..good },
        Received { target: "/odi/v1/notify?x=1", ..good },
        Received { body: b"another", ..good },
        Received { headers: &other_type, ..good },
        Received { headers: &other_digest, ..good },
        Received { headers: &other_digest, body: b"another", ..good },
    ];
    for request in swapped {
        let judged = verifier().verify(request, NOW, |_| Some(key()));
        assert_eq!(judged, Err(Refusal::Unauthorized), "{request:?}");
    }
    assert!(verifier().verify(good, NOW, |_| Some(key())).is_ok());
    let mut elsewhere = Verifier::new(&[Url::parse("https://mallory.example").unwrap()], Timestamp(0));
    assert_eq!(judge(&mut elsewhere, &headers, NOW), Err(Refusal::Unauthorized), "another authority");
}

/// Rows 40 and 41: each is validly signed for what it says, and says it differently.
#[test]
fn only_the_profile_is_taken() {
    let good = signed_headers(NOW, [1; 16]);
    let input = good["signature-input"].to_str().unwrap().to_owned();
    let rewrites: [(&str, &str); 12] = [
        ("(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\" \"content-type\")", "()"),
        (" \"content-digest\"", ""),
        ("\"@method\" \"@authority\"", "\"@authority\" \"@method\""),
        ("hmac-sha256", "ed25519"),
        (";alg=\"hmac-sha256\"", ""),
        ("odi-dir-to-relay-1", "other"),
        ("created=1790000000", "created=-1"),
        ("created=1790000000", "created=+1790000000"),
        ("created=1790000000", "created=01790000000"),
        ("created=1790000000", "created=1790000000;created=1790000000"),
        ("odi=", "sig1="),
        ("AQEBAQEBAQEBAQEBAQEBAQ", "AQEBAQEBAQEBAQEBAQEBAR"),
    ];
    for (from, to) in rewrites {
        let rewritten = input.replace(from, to);
        assert_ne!(rewritten, input, "{from}");
        let mut headers = good.clone();
        headers.insert(SIGNATURE_INPUT, rewritten.parse().unwrap());
        // The forger holds the key here: only the form is wrong.
        let base = signature_base(&[], rewritten.trim_start_matches("odi="));
        let mac = hmac(key().expose(), &base).finalize().into_bytes();
        headers.insert(SIGNATURE, profile::signature_field(&mac).parse().unwrap());
        assert_eq!(judge(&mut verifier(), &headers, NOW), Err(Refusal::Unauthorized), "{to}");
    }
    for name in [SIGNATURE, SIGNATURE_INPUT, CONTENT_DIGEST, CONTENT_TYPE] {
        let mut twice = good.clone();
        twice.append(&name, good[&name].clone());
        assert_eq!(judge(&mut verifier(), &twice, NOW), Err(Refusal::Unauthorized), "two of {name}");
        let mut joined = good.clone();
        let value = good[&name].to_str().unwrap();
        joined.insert(&name, format!("{value}, {value}").parse().unwrap());
        assert_eq!(judge(&mut verifier(), &joined, NOW), Err(Refusal::Unauthorized), "a list of {name}");
        let mut without = good.clone();
        without.remove(&name);
        assert_eq!(judge(&mut verifier(), &without, NOW), Err(Refusal::Unauthorized), "no {name}");
    }
}

#[test]
fn a_wrong_or_unknown_key_spends_no_nonce() {
    let mut verifier = verifier();
    let headers = signed_headers(NOW, [1; 16]);
    let request = Received { method: &Method::POST, target: TARGET, headers: &headers, body: BODY };
    let wrong = verifier.verify(request, NOW, |_| Some(DerivedKey::from_bytes([43; 32])));
    let unknown = verifier.verify(request, NOW, |_| None);
    assert_eq!((wrong, unknown), (Err(Refusal::Unauthorized), Err(Refusal::Unauthorized)));
    assert_eq!(judge(&mut verifier, &headers, NOW), Ok(KEY_ID));
}

#[test]
fn a_zero_key_is_no_way_in_for_unknown_directories() {
    let url = Url::parse("https://relay.example").unwrap().join(TARGET).unwrap();
    let zero = DerivedKey::from_bytes([0; 32]);
    let ask = sign(Ask::post(&url, "application/cbor", BODY), &zero, KEY_ID, NOW, [1; 16]);
    let request = Received { method: &Method::POST, target: TARGET, headers: ask.header_map(), body: BODY };
    assert_eq!(verifier().verify(request, NOW, |_| None), Err(Refusal::Unauthorized));
}

proptest! {
    #[test]
    fn any_header_is_survived(input in "(odi=\\(\"@method\")?[ -~]{0,200}", signature in "(odi=:)?[ -~]{0,80}") {
        let mut headers = signed_headers(NOW, [1; 16]);
        headers.insert(SIGNATURE_INPUT, input.parse().unwrap());
        headers.insert(SIGNATURE, signature.parse().unwrap());
        prop_assert_eq!(judge(&mut verifier(), &headers, NOW), Err(Refusal::Unauthorized));
    }
}
