//! Why settings are refused, for the maintainer who wrote them: where, which key, what.

use super::{
    CLIENT_NAME_BYTES_MAX, CLIENT_TEXT_BYTES_MAX, KEEP_HOURS_MAX, PULL_URL_BYTES_MAX, SETTINGS_BYTES_MAX,
};

/// What is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Larger than [`SETTINGS_BYTES_MAX`].
    #[error("the file has {0} bytes, and at most {SETTINGS_BYTES_MAX} are read")]
    TooLarge(u64),
    /// Not text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Where, from 1.
        line: usize,
    },
    /// Not TOML.
    #[error("line {line}: {what}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// A key that is unknown, missing, or has a value that makes no sense.
    #[error("line {line}, key `{key}`: {fault}")]
    Key {
        /// Where, from 1.
        line: usize,
        /// Which, with the tables it lies in: `media[1].type`.
        key: String,
        /// What is wrong.
        fault: SettingsFault,
    },
}

/// What can be wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// No such key.
    #[error("there is no such key")]
    Unknown,
    /// A key that must be there.
    #[error("is missing")]
    Missing,
    /// A value of another kind.
    #[error("must be {expected}")]
    Kind {
        /// What it must be.
        expected: &'static str,
    },
    /// A list that is too long.
    #[error("has {found} items, and at most {max} are read")]
    TooMany {
        /// How many.
        found: usize,
        /// How many may be.
        max: usize,
    },
    /// An index name that is no file name.
    #[error("`{0}` is not a file name that a catalog may hold")]
    IndexName(String),
    /// A pattern that is none.
    #[error("`{0}` is not a path, or a path with one `*` in it")]
    Pattern(String),
    /// A type outside the table.
    #[error("`{0}` is not in the list of media types that relays serve")]
    MediaType(String),
    /// A URL that nothing is fetched from.
    #[error(
        "`{0}` is not an http or https URL without user, query and fragment, of at most {PULL_URL_BYTES_MAX} bytes"
    )]
    Url(String),
    /// The same of one artifact.
    #[error(
        "`{0}` is not an http or https URL without user and fragment, of at most {PULL_URL_BYTES_MAX} bytes"
    )]
    OwnUrl(String),
    /// A path that no catalog has.
    #[error("`{0}` is not a path that a catalog may hold")]
    Path(String),
    /// A number of hours out of range.
    #[error("must be between 1 and {KEEP_HOURS_MAX} hours")]
    Hours,
    /// A client's name that is empty, too long or not printable.
    #[error("must be a line of 1 to {CLIENT_NAME_BYTES_MAX} bytes")]
    ClientName,
    /// A text that is empty, too long or has control characters other than line ends and tabs.
    #[error("must be text of 1 to {CLIENT_TEXT_BYTES_MAX} bytes")]
    ClientText,
}
