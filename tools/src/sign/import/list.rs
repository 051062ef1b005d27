//! Lists of artifacts that are published elsewhere: `SHA256  URL  [PATH]`, or what `sha256sum` prints.

use std::collections::HashMap;

use odi_manifest::{ArtifactPath, PathError, Sha256};
use odi_wire::fetch::Source;
use url::Url;

/// The longest list that is read.
pub(super) const LIST_BYTES_MAX: u64 = 16 << 20;

/// An artifact that somebody says is published at a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its path in the catalog.
    pub(super) path: ArtifactPath,
    /// Where it is.
    pub(super) url: Url,
    /// What it is.
    pub(super) sha256: Sha256,
}

/// How a list is understood.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    /// The URL below which names lie that are no URLs.
    pub(super) base: Option<&'a Url>,
    /// The folder of the catalog under which everything is put.
    pub(super) into: Option<&'a str>,
}

/// What is wrong with a line of a list.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    /// Not text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Too few words.
    #[error("is not `SHA256  URL  [PATH]`, and not a line of sha256sum")]
    Form,
    /// No checksum.
    #[error("`{0}` is not a SHA-256 of 64 hexadecimal digits")]
    Checksum(String),
    /// A name that says where nothing is.
    #[error("`{0}` is no URL; say with --base below which URL it lies")]
    NoBase(String),
    /// A URL that nothing is fetched from.
    #[error("`{0}` is not an http or https URL without user and fragment")]
    Url(String),
    /// A URL without a file name.
    #[error("`{0}` has no file name; say the path after it")]
    NoName(String),
    /// A path that no catalog has.
    #[error("the path `{path}` {}", source.reason)]
    Path {
        /// It.
        path: String,
        /// What rule it breaks.
        source: PathError,
    },
    /// A path that two lines mean differently.
    #[error("`{0}` is on an earlier line with another checksum or URL")]
    Twice(String),
}

/// Reads a list. A fault comes with the number of its line, from 1.
pub(super) fn read(text: &[u8], reading: &Reading<'_>) -> Result<Vec<Item>, (usize, ListFault)> {
    let mut items: Vec<Item> = Vec::new();
    let mut seen: HashMap<ArtifactPath, usize> = HashMap::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| (number, ListFault::NotUtf8))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let item = read_line(line, reading).map_err(|fault| (number, fault))?;
        match seen.get(&item.path).and_then(|index| items.get(*index)) {
            Some(former) if *former == item => {}
            Some(_) => return Err((number, ListFault::Twice(item.path.to_string()))),
            None => {
                seen.insert(item.path.clone(), items.len());
                items.push(item);
            }
        }
    }
    Ok(items)
}

fn read_line(line: &str, reading: &Reading<'_>) -> Result<Item, ListFault> {
    let (checksum, rest) = match bsd_form(line) {
        Some(found) => found,
        None => line.split_once(char::is_whitespace).ok_or(ListFault::Form)?,
    };
    let sha256: Sha256 =
        checksum.to_ascii_lowercase().parse().map_err(|_| ListFault::Checksum(checksum.to_owned()))?;
    let rest = rest.trim_start();
    if !rest.contains("://") {
        return named(rest.strip_prefix('*').unwrap_or(rest), sha256, reading);
    }
    let (url, path) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let parsed = Url::parse(url).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && plain
    });
    let parsed = parsed.ok_or_else(|| ListFault::Url(url.to_owned()))?;
    let path = match path.trim() {
        "" => file_name(&parsed).ok_or_else(|| ListFault::NoName(url.to_owned()))?,
        path => path.to_owned(),
    };
    Ok(Item { path: below(reading.into, &path)?, url: parsed, sha256 })
}

/// `SHA256 (NAME) = HEX`, as BSD's tools and `sha256sum --tag` print it.
fn bsd_form(line: &str) -> Option<(&str, &str)> {
    let (name, checksum) = line.strip_prefix("SHA256 (")?.rsplit_once(") = ")?;
    Some((checksum, name))
}

/// A name in a list of checksums: it lies below the base.
fn named(name: &str, sha256: Sha256, reading: &Reading<'_>) -> Result<Item, ListFault> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let base = reading.base.ok_or_else(|| ListFault::NoBase(name.to_owned()))?;
    let at = below(None, name)?;
    Ok(Item { url: Source::artifact(base, &at).url, path: below(reading.into, name)?, sha256 })
}

fn below(into: Option<&str>, name: &str) -> Result<ArtifactPath, ListFault> {
    let into = into.unwrap_or_default().trim_matches('/');
    let path = if into.is_empty() { name.to_owned() } else { format!("{into}/{name}") };
    ArtifactPath::parse(&path).map_err(|source| ListFault::Path { path, source })
}

/// The last segment of a URL's path, decoded.
fn file_name(url: &Url) -> Option<String> {
    let name = url.path_segments()?.next_back().filter(|name| !name.is_empty())?;
    odi_wire::route::decode(name).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
    const B: &str = "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f";

    fn list(text: &str, base: Option<&str>, into: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let base = base.map(|base| Url::parse(base).unwrap());
        let items = read(text.as_bytes(), &Reading { base: base.as_ref(), into });
        let items = items.map_err(|(line, fault)| format!("{line}: {fault}"))?;
        Ok(items.into_iter().map(|item| (item.path.to_string(), item.url.to_string())).collect())
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        let base = Some("https://h/releases/v1");
        let text = format!(
            "# ours\n\n{A}  https://x/get/a%20b.zip\n{B} https://x/get?id=7  tools/odd name.zip\r\n\
             {A}  ./app.tar.gz\n{} *sub/app\u{a0}2.tar.gz\nSHA256 (c) = {B}\n{A}  app.tar.gz\n",
            B.to_uppercase()
        );
        let pair = |path: &str, url: &str| (path.to_owned(), url.to_owned());
        assert_eq!(
            list(&text, base, Some("v1/")).unwrap(),
            [
                pair("v1/a b.zip", "https://x/get/a%20b.zip"),
                pair("v1/tools/odd name.zip", "https://x/get?id=7"),
                pair("v1/app.tar.gz", "https://h/releases/v1/app.tar.gz"),
                pair("v1/sub/app\u{a0}2.tar.gz", "https://h/releases/v1/sub/app%C2%A02.tar.gz"),
                pair("v1/c", "https://h/releases/v1/c"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let base = Some("https://h/");
        for (text, expected) in [
            ("abc", "1: is not `SHA256  URL  [PATH]`, and not a line of sha256sum".to_owned()),
            ("abc  x", "1: `abc` is not a SHA-256 of 64 hexadecimal digits".to_owned()),
            (
                &format!("\n{A}  https://u@h/x"),
                "2: `https://u@h/x` is not an http or https URL without user and fragment".to_owned(),
            ),
            (
                &format!("{A}  https://h/"),
                "1: `https://h/` has no file name; say the path after it".to_owned(),
            ),
            (&format!("{A}  ../x"), "1: the path `../x` has a `.` or `..` segment".to_owned()),
            (
                &format!("{A}  x\n{B}  x"),
                "2: `x` is on an earlier line with another checksum or URL".to_owned(),
            ),
        ] {
            assert_eq!(list(text, base, None).unwrap_err(), expected);
        }
        let unknown = list(&format!("{A}  x"), None, None).unwrap_err();
        assert_eq!(unknown, "1: `x` is no URL; say with --base below which URL it lies");
    }
}
