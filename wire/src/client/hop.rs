//! Where a redirect leads. Every hop is vetted anew before it is asked (`vet`): what is public may point into a private network.

use http::HeaderMap;
use http::header::LOCATION;
use url::Url;

/// The URL that a redirect from `from` names: `None` if it names none, or leads from https to anything else. What came under the
/// certificate of whom we asked must not go on in clear.
pub(crate) fn next(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let to = from.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    let allowed = to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http");
    allowed.then_some(to)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hop(from: &str, location: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_bytes(location).unwrap());
        next(&from.parse().unwrap(), &headers).map(|url| url.to_string())
    }

    #[test]
    fn no_hop_leads_from_https_to_anything_else() {
        let (clear, secure) = ("http://a.example/x/y", "https://a.example/x/y");
        for (from, location, to) in [
            (secure, "https://b.example/z", Some("https://b.example/z")),
            (clear, "http://b.example/z", Some("http://b.example/z")),
            (clear, "https://b.example/z", Some("https://b.example/z")),
            (secure, "/z", Some("https://a.example/z")),
            (clear, "z?q", Some("http://a.example/x/z?q")),
            (secure, "//b.example/z", Some("https://b.example/z")),
            (secure, "http://a.example/x/y", None),
            (secure, "HTTP://b.example/", None),
            (secure, "\thttp://b.example/", None),
            (clear, "file:///etc/passwd", None),
            (clear, "ftp://b.example/", None),
            (secure, "data:,x", None),
            (clear, "http://[::1", None),
        ] {
            assert_eq!(hop(from, location.as_bytes()).as_deref(), to, "{from} to {location}");
        }
        assert_eq!(hop(clear, b"http://b.example/\xff"), None, "no text");
        assert_eq!(next(&clear.parse().unwrap(), &HeaderMap::new()), None, "no Location");
    }
}
