//! Which URLs we go to, as far as the URL itself tells.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;
use super::policy::ClientPolicy;

/// Why we do not go to a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Neither http nor https.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// A user or password, which we would send to whoever is there.
    #[error("it holds a user or password")]
    Credentials,
    /// A fragment, which is never sent and so names nothing.
    #[error("it has a fragment")]
    Fragment,
    /// A port that belongs to another protocol.
    #[error("port {0} is neither 80, 443 nor above 1023")]
    Port(u16),
    /// A name that only means something here.
    #[error("its host is a local name, and only --allow-private-addresses permits that")]
    LocalName,
    /// An address that is not the public internet's.
    #[error("its address {0} is not public, and only --allow-private-addresses permits that")]
    NotPublic(IpAddr),
}

/// Judges a URL. Names are judged again when they are resolved, by the addresses that they have then.
///
/// The `url` crate has already turned every spelling of an IPv4 address (decimal, octal, hexadecimal, short) into
/// an address.
///
/// # Errors
/// The first reason not to go there.
pub fn vet(url: &Url, policy: &ClientPolicy) -> Result<(), UrlRefusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UrlRefusal::Fragment);
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if !matches!(port, 80 | 443 | 1024..) {
        return Err(UrlRefusal::Port(port));
    }
    let addr = match url.host() {
        _ if policy.allow_private_addresses => return Ok(()),
        None => return Err(UrlRefusal::LocalName),
        Some(Host::Domain(name)) if is_local_name(name) => return Err(UrlRefusal::LocalName),
        Some(Host::Domain(_)) => return Ok(()),
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
    };
    if is_public(addr) { Ok(()) } else { Err(UrlRefusal::NotPublic(addr)) }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    name.is_empty()
        || matches!(last, "localhost" | "local" | "internal" | "lan" | "home" | "localdomain" | "onion")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, allow_private_addresses: bool) -> Result<(), UrlRefusal> {
        vet(&Url::parse(text).unwrap(), &ClientPolicy { allow_private_addresses, ..ClientPolicy::default() })
    }

    #[test]
    fn every_spelling_of_a_private_address_is_refused() {
        for text in [
            "http://127.0.0.1:8080/",
            "http://2130706433:8080/",
            "http://0x7f.1:8080/",
            "http://0177.0.0.1:8080/",
            "http://127.1:8080/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::ffff:a00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
        ] {
            assert!(matches!(judged(text, false), Err(UrlRefusal::NotPublic(_))), "{text}");
            assert_eq!(judged(text, true), Ok(()), "{text}");
        }
    }

    #[test]
    fn table() {
        for (text, expected) in [
            ("https://ftp.example.org/debian/", Ok(())),
            ("http://ftp.example.org:8080/?x=1", Ok(())),
            ("http://1.1.1.1/", Ok(())),
            ("http://[2606:4700::1]:8443/", Ok(())),
            ("ftp://ftp.example.org/", Err(UrlRefusal::Scheme)),
            ("file:///etc/passwd", Err(UrlRefusal::Scheme)),
            ("gopher://example.org/", Err(UrlRefusal::Scheme)),
            ("http://user@example.org/", Err(UrlRefusal::Credentials)),
            ("http://:secret@example.org/", Err(UrlRefusal::Credentials)),
            ("http://example.org/#x", Err(UrlRefusal::Fragment)),
            ("http://example.org:25/", Err(UrlRefusal::Port(25))),
            ("http://example.org:0/", Err(UrlRefusal::Port(0))),
            ("http://localhost:8080/", Err(UrlRefusal::LocalName)),
            ("http://LOCALHOST./", Err(UrlRefusal::LocalName)),
            ("http://a.localhost/", Err(UrlRefusal::LocalName)),
            ("http://printer.local/", Err(UrlRefusal::LocalName)),
            ("http://metadata.google.internal/", Err(UrlRefusal::LocalName)),
        ] {
            assert_eq!(judged(text, false), expected, "{text}");
        }
        assert_eq!(judged("http://user@127.0.0.1/", true), Err(UrlRefusal::Credentials));
    }
}
