//! The public base URL of a daemon, as statements carry it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The longest public URL, in bytes.
pub const PUBLIC_URL_BYTES_MAX: usize = 256;

/// `scheme://host[:port]`, nothing else, in the one spelling that the URL standard gives it: lowercase, no default
/// port, no path, no trailing slash, no user, no zone. Ports below 1024 other than 80 and 443 belong to other
/// protocols and are refused, so that no relay is made to talk to a mail server.
///
/// That the text has this form says nothing about where the host leads: the vetted client judges that at each
/// connection.
///
/// Clones share the text: one is made for every answer that names the URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(Arc<str>);

/// Why a text is no public URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no public base URL: {reason}")]
pub struct PublicUrlError {
    /// The text, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl PublicUrl {
    /// Reads a base URL. A single trailing slash is allowed here, since people write it, and dropped.
    ///
    /// # Errors
    /// [`PublicUrlError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let bare = text.strip_suffix('/').unwrap_or(text);
        check(bare)
            .map(|()| Self(bare.into()))
            .map_err(|reason| PublicUrlError { text: text.chars().take(80).collect(), reason })
    }

    /// The text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of a path there, which is escaped and begins with a slash: for `Location`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        // Nothing of it comes behind the authority.
        [self.as_str(), path].concat()
    }

    /// Whether it begins with `https:`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The same as a parsed URL, whose path is `/`.
    ///
    /// # Panics
    /// Never: the text was a URL when this value was made.
    #[must_use]
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("checked when it was parsed")
    }
}

fn check(bare: &str) -> Result<(), &'static str> {
    if bare.len() > PUBLIC_URL_BYTES_MAX {
        return Err("it is too long");
    }
    let url = Url::parse(bare).map_err(|_| "it is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it carries a user or a password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("it has a path, a query or a fragment");
    }
    if url.port().is_some_and(|port| port < 1024 && !matches!(port, 80 | 443)) {
        return Err("its port belongs to another protocol");
    }
    match url.host() {
        Some(Host::Domain(name)) if name.ends_with('.') => return Err("its host ends with a dot"),
        Some(_) => {}
        None => return Err("it has no host"),
    }
    if url.as_str().strip_suffix('/') != Some(bare) {
        return Err("it is not in its normal spelling");
    }
    Ok(())
}

impl TryFrom<String> for PublicUrl {
    type Error = PublicUrlError;

    /// The exact form only: records have one spelling.
    fn try_from(text: String) -> Result<Self, PublicUrlError> {
        match check(&text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(PublicUrlError { text: text.chars().take(80).collect(), reason }),
        }
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.as_str().to_owned()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::location;

    #[test]
    fn ordinary_urls_are_kept_as_they_are() {
        for text in ["https://relay.example.net", "http://127.0.0.1:8401", "https://[2001:db8::1]:8443"] {
            assert_eq!(PublicUrl::parse(text).unwrap().as_str(), text);
            let url = PublicUrl::parse(&format!("{text}/")).unwrap();
            assert_eq!(url.as_str(), text);
            assert_eq!(url.at("/a%20b/c"), location(&url.to_url(), "/a%20b/c"));
        }
    }

    #[test]
    fn odd_urls_are_refused() {
        for text in [
            "",
            "relay.example.net",
            "ftp://relay.example.net",
            "file:///etc/passwd",
            "https://user:pass@relay.example.net",
            "https://user@relay.example.net",
            "https://relay.example.net:25",
            "https://relay.example.net:443",
            "https://RELAY.example.net",
            "https://relay.example.net.",
            "https://relay.example.net/files",
            "https://relay.example.net//",
            "https://relay.example.net/?q",
            "https://relay.example.net#f",
            "https://r\u{435}lay.example.net",
            "http://2130706433",
            "http://0x7f.1",
            "http://[fe80::1%25eth0]",
            "https:relay.example.net",
            "https:\\\\relay.example.net",
            " https://relay.example.net",
            &format!("https://{}.net", "a".repeat(300)),
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
        assert!(PublicUrl::try_from("https://relay.example.net/".to_owned()).is_err());
    }
}
