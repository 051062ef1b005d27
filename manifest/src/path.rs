//! Artifact paths: the only names that a manifest may hold. FORMAT.md § Paths.
//!
//! The rules make a path mean the same to every file system, browser, terminal and eye: normalized, without
//! characters that hide or reorder, and pinned to one Unicode version, so that no two verifiers ever disagree.

use std::borrow::Borrow;
use std::fmt;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::cbor::is_nfc;
use crate::{PATH_BYTES_MAX, PATH_SEGMENTS_MAX, SEGMENT_BYTES_MAX};

/// The Unicode version whose normalization and assigned characters the formats mean. A dependency update that
/// brings another one changes which manifests are valid, so a test compares.
pub const UNICODE_VERSION: (u8, u8, u8) = (18, 0, 0);

/// The folder of the protocol's own files, which no artifact may lie in.
const RESERVED: &str = ".odi";

/// A text that is not an artifact path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path `{}` {reason}", path.escape_debug())]
pub struct PathError {
    /// The text as given, cut to 120 characters.
    pub path: String,
    /// The first rule that it breaks.
    pub reason: PathReason,
}

/// Every way not to be a path, in the order of judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathReason {
    /// No path at all.
    #[error("is empty")]
    Empty,
    /// Over [`PATH_BYTES_MAX`].
    #[error("is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A control character, or a line or paragraph separator.
    #[error("has a control character")]
    Control,
    /// A backslash, which some systems take for a separator.
    #[error("has a backslash")]
    Backslash,
    /// A character that changes the order in which others are shown.
    #[error("has a bidirectional control")]
    Bidi,
    /// A character that takes no room, so that two paths look alike.
    #[error("has a zero-width character")]
    ZeroWidth,
    /// A code point that the pinned Unicode version does not assign.
    #[error("has an unassigned character")]
    Unassigned,
    /// Not in normalization form C.
    #[error("is not in normalization form C")]
    NotNfc,
    /// A leading, trailing or doubled slash.
    #[error("has an empty segment")]
    EmptySegment,
    /// `.` or `..` as a segment.
    #[error("has a `.` or `..` segment")]
    DotSegment,
    /// A segment over [`SEGMENT_BYTES_MAX`].
    #[error("has a segment longer than {SEGMENT_BYTES_MAX} bytes")]
    SegmentTooLong,
    /// More than [`PATH_SEGMENTS_MAX`] segments.
    #[error("is deeper than {PATH_SEGMENTS_MAX} segments")]
    TooDeep,
    /// `.odi` or something below it.
    #[error("lies under the reserved folder `.odi`")]
    Reserved,
}

impl PathReason {
    /// The reason's name in published vectors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::NotUtf8 => "not-utf8",
            Self::Control => "control",
            Self::Backslash => "backslash",
            Self::Bidi => "bidi",
            Self::ZeroWidth => "zero-width",
            Self::Unassigned => "unassigned",
            Self::NotNfc => "not-nfc",
            Self::EmptySegment => "empty-segment",
            Self::DotSegment => "dot-segment",
            Self::SegmentTooLong => "segment-too-long",
            Self::TooDeep => "too-deep",
            Self::Reserved => "reserved",
        }
    }
}

/// The path of an artifact in a catalog. Ordered by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(Box<str>);

impl ArtifactPath {
    /// Takes a text that keeps every rule.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// Takes bytes that are a text that keeps every rule.
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        check_bytes(bytes).map(|text| Self(text.into()))
    }

    /// Takes a path out of a decoded node, which has checked it.
    pub(crate) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The path as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between slashes: at least one, none of them empty.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folder that holds the artifact; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// The last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

impl Borrow<str> for ArtifactPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ArtifactPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactPath({:?})", self.0)
    }
}

impl std::str::FromStr for ArtifactPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// Checks bytes without copying them.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<&str, PathError> {
    let refuse =
        |reason| PathError { path: String::from_utf8_lossy(bytes).chars().take(120).collect(), reason };
    if bytes.len() > PATH_BYTES_MAX {
        return Err(refuse(PathReason::TooLong));
    }
    let text = str::from_utf8(bytes).map_err(|_| refuse(PathReason::NotUtf8))?;
    check(text)?;
    Ok(text)
}

fn check(text: &str) -> Result<(), PathError> {
    first_broken_rule(text)
        .map_or(Ok(()), |reason| Err(PathError { path: text.chars().take(120).collect(), reason }))
}

fn first_broken_rule(text: &str) -> Option<PathReason> {
    if text.is_empty() {
        return Some(PathReason::Empty);
    }
    if text.len() > PATH_BYTES_MAX {
        return Some(PathReason::TooLong);
    }
    if text.is_ascii() {
        if let Some(reason) = text.bytes().find_map(refused_ascii) {
            return Some(reason);
        }
    } else if let Some(reason) = text.chars().find_map(refused_char) {
        return Some(reason);
    } else if !is_nfc(text) {
        return Some(PathReason::NotNfc);
    }
    broken_segment_rule(text)
}

fn broken_segment_rule(text: &str) -> Option<PathReason> {
    let mut count = 0;
    for segment in text.split('/') {
        count += 1;
        match segment {
            "" => return Some(PathReason::EmptySegment),
            "." | ".." => return Some(PathReason::DotSegment),
            RESERVED if count == 1 => return Some(PathReason::Reserved),
            _ if segment.len() > SEGMENT_BYTES_MAX => return Some(PathReason::SegmentTooLong),
            _ if count > PATH_SEGMENTS_MAX => return Some(PathReason::TooDeep),
            _ => {}
        }
    }
    None
}

const fn refused_ascii(byte: u8) -> Option<PathReason> {
    match byte {
        0..0x20 | 0x7f => Some(PathReason::Control),
        b'\\' => Some(PathReason::Backslash),
        _ => None,
    }
}

fn refused_char(char: char) -> Option<PathReason> {
    match char {
        '\\' => Some(PathReason::Backslash),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(PathReason::Bidi)
        }
        '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
            Some(PathReason::ZeroWidth)
        }
        _ => match char.general_category() {
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => Some(PathReason::Control),
            GeneralCategory::Unassigned => Some(PathReason::Unassigned),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn the_tables_are_of_the_pinned_unicode_version() {
        let (major, minor, patch) = UNICODE_VERSION;
        assert_eq!(unicode_normalization::UNICODE_VERSION, UNICODE_VERSION);
        assert_eq!(unicode_properties::UNICODE_VERSION, (major.into(), minor.into(), patch.into()));
    }

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "a",
            "pool/main/0/0ad/0ad_1.deb",
            "@types/node",
            "dists/sid/.hidden",
            "a b/c+d~e:f",
            "é/中.txt",
            "x/.odi",
        ] {
            let parsed = ArtifactPath::parse(path).unwrap();
            assert_eq!(parsed.as_str(), path);
            assert_eq!(parsed.segments().next_back(), Some(parsed.file_name()));
        }
        assert_eq!(ArtifactPath::parse("a/b/c").unwrap().parent(), Some("a/b"));
        assert_eq!(ArtifactPath::parse("c").unwrap().parent(), None);
    }

    #[test]
    fn messages_name_the_path_and_the_rule() {
        let error = ArtifactPath::parse("a/../\u{202e}b").unwrap_err();
        assert_eq!(error.to_string(), "path `a/../\\u{202e}b` has a bidirectional control");
    }

    /// Segments that break a rule, beside some that do not: at random none would ever come up.
    fn segment() -> impl Strategy<Value = String> {
        const RISKY: &[&str] = &[
            "",
            ".",
            "..",
            ".odi",
            "a\\b",
            "a\0b",
            "\u{200b}",
            "x\u{202e}y",
            "e\u{301}",
            "\u{85}",
            "\u{378}",
        ];
        prop_oneof![3 => "[a-z.]{1,8}", 1 => "\\PC{1,8}", 1 => select(RISKY).prop_map(str::to_owned)]
    }

    proptest! {
        #[test]
        fn nothing_that_passes_breaks_a_rule(segments in vec(segment(), 1..5)) {
            let text = segments.join("/");
            let hidden = text.contains(['\\', '\0', '\u{200b}', '\u{202e}', '\u{85}', '\u{378}']);
            let empty = segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | ".."));
            let breaks = hidden || empty || !is_nfc(&text) || segments[0] == RESERVED;
            prop_assert!(!(breaks && ArtifactPath::parse(&text).is_ok()), "`{}` passed", text.escape_unicode());
        }

        #[test]
        fn any_bytes_are_judged_without_panic(bytes: Vec<u8>) {
            let text = str::from_utf8(&bytes);
            prop_assert_eq!(
                ArtifactPath::parse_bytes(&bytes).is_ok(),
                text.is_ok_and(|text| ArtifactPath::parse(text).is_ok())
            );
        }
    }
}
