//! `paths/`: which texts are artifact paths.

use odi_manifest::ArtifactPath;

use super::settle_judged;

#[test]
fn paths() {
    let plain = |text: &str| text.as_bytes().to_vec();
    let deep = |segments: usize| vec!["d"; segments].join("/").into_bytes();
    let long = |bytes: usize| {
        let mut path = format!("{}/", "x".repeat(200)).repeat(bytes / 201).into_bytes();
        path.resize(bytes, b'y');
        path
    };
    let cases = [
        ("one letter", plain("a"), "ok"),
        ("a package", plain("pool/main/0/0ad/0ad_0.27.1-1_amd64.deb"), "ok"),
        ("a scope", plain("@types/node/-/node-22.0.0.tgz"), "ok"),
        ("punctuation", plain("a b/c+d~e:f!%2f'\"<>|*?#&;"), "ok"),
        ("a hidden file", plain(".well-known/x"), "ok"),
        ("three dots", plain(".../x"), "ok"),
        ("`.odi` below the top", plain("a/.odi/b"), "ok"),
        ("`.odix` at the top", plain(".odix/b"), "ok"),
        ("letters in normalization form C", plain("\u{e9}/\u{4e2d}\u{6587}.txt"), "ok"),
        ("a private use character", plain("\u{e000}"), "ok"),
        ("an emoji of one character", plain("\u{1f980}"), "ok"),
        ("1024 bytes", long(1024), "ok"),
        ("a segment of 255 bytes", vec![b'x'; 255], "ok"),
        ("32 segments", deep(32), "ok"),
        ("nothing", plain(""), "empty"),
        ("1025 bytes", long(1025), "too-long"),
        ("Latin-1", b"caf\xe9".to_vec(), "not-utf8"),
        ("a lone surrogate", b"\xed\xa0\x80".to_vec(), "not-utf8"),
        ("a NUL", plain("a\0b"), "control"),
        ("a line feed", plain("a\nb"), "control"),
        ("DEL", plain("a\u{7f}"), "control"),
        ("a C1 control", plain("a\u{85}b"), "control"),
        ("a line separator", plain("a\u{2028}b"), "control"),
        ("a paragraph separator", plain("a\u{2029}b"), "control"),
        ("a backslash", plain("a\\b"), "backslash"),
        ("a right-to-left override", plain("a\u{202e}b"), "bidi"),
        ("an isolate", plain("a\u{2066}b"), "bidi"),
        ("an Arabic letter mark", plain("a\u{61c}b"), "bidi"),
        ("a zero-width space", plain("a\u{200b}b"), "zero-width"),
        ("a zero-width joiner", plain("a\u{200d}b"), "zero-width"),
        ("a word joiner", plain("a\u{2060}b"), "zero-width"),
        ("a byte order mark", plain("\u{feff}a"), "zero-width"),
        ("a Mongolian vowel separator", plain("a\u{180e}b"), "zero-width"),
        ("a noncharacter", plain("a\u{ffff}"), "unassigned"),
        ("an unassigned code point", plain("a\u{378}"), "unassigned"),
        ("normalization form D", plain("e\u{301}"), "not-nfc"),
        ("a compatibility singleton", plain("\u{212b}"), "not-nfc"),
        ("a leading slash", plain("/a"), "empty-segment"),
        ("a trailing slash", plain("a/"), "empty-segment"),
        ("a doubled slash", plain("a//b"), "empty-segment"),
        ("a slash alone", plain("/"), "empty-segment"),
        ("a dot", plain("."), "dot-segment"),
        ("a dot inside", plain("a/./b"), "dot-segment"),
        ("two dots", plain("a/../b"), "dot-segment"),
        ("two dots at the end", plain("a/.."), "dot-segment"),
        ("a segment of 256 bytes", vec![b'x'; 256], "segment-too-long"),
        ("33 segments", deep(33), "too-deep"),
        ("`.odi` itself", plain(".odi"), "reserved"),
        ("below `.odi`", plain(".odi/head"), "reserved"),
    ];
    let about =
        "Artifact paths as bytes, in hexadecimal: `ok`, or the first reason to refuse. Unicode 18.0.0.";
    settle_judged("paths/paths.json", about, &cases, |bytes| {
        ArtifactPath::parse_bytes(bytes)
            .map_or_else(|error| error.reason.name().to_owned(), |_| "ok".to_owned())
    });
}
