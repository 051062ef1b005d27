//! `.sha256` and `.b3`: the line that `sha256sum` and `b3sum` print, and check with `-c`.

use std::fmt;

/// The line of the artifact at a path, for whoever saved it under the last segment of that. A backslash, which would need escaping,
/// is in no path.
#[must_use]
pub fn digest_line(digest: &impl fmt::Display, path: &str) -> String {
    format!("{digest}  {}\n", file_name(path))
}

/// The last segment of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
