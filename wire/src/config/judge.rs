//! The judge of a configuration text: it knows the lines, collects faults, and reads what both daemons have.
//!
//! Every method notes what is wrong and goes on, so that one run of `check` shows all faults.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use url::{Host, Url};

use super::quantity::QuantityError;
use super::{ConfigError, Fault, PrivateAddresses, line_of};
use crate::message::PublicUrl;

/// Judges the values of one configuration text.
#[derive(Debug)]
pub struct Judge<'t> {
    text: &'t str,
    private_addresses: PrivateAddresses,
    faults: Vec<Fault>,
}

impl<'t> Judge<'t> {
    /// `faults` are those that reading the text has shown.
    pub(super) const fn new(text: &'t str, private_addresses: PrivateAddresses, faults: Vec<Fault>) -> Self {
        Self { text, private_addresses, faults }
    }

    pub(super) fn verdict<Judged>(mut self, judged: Option<Judged>) -> Result<Judged, ConfigError> {
        // Readers go down the file.
        self.faults.sort_by_key(|fault| fault.line);
        match judged {
            Some(judged) if self.faults.is_empty() => Ok(judged),
            _ => Err(ConfigError::Faulty(self.faults)),
        }
    }

    /// What the command line says about private addresses.
    #[must_use]
    pub const fn private_addresses(&self) -> PrivateAddresses {
        self.private_addresses
    }

    /// Notes a fault at a value.
    pub fn fault<T>(&mut self, at: &Spanned<T>, what: impl fmt::Display) {
        let line = Some(line_of(self.text, &at.span()));
        self.faults.push(Fault { line, what: what.to_string() });
    }

    /// Notes a fault that is at no single line.
    pub fn fault_overall(&mut self, what: impl fmt::Display) {
        self.faults.push(Fault { line: None, what: what.to_string() });
    }

    /// Takes a value, or notes why there is none.
    pub fn judged<T, Value>(
        &mut self,
        at: &Spanned<T>,
        value: Result<Value, impl fmt::Display>,
    ) -> Option<Value> {
        value.map_err(|error| self.fault(at, error)).ok()
    }

    /// Reads a value whose errors do not repeat the text.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, text: &Spanned<String>) -> Option<T> {
        let parsed = text.get_ref().trim().parse();
        self.judged(text, parsed.map_err(|error| format!("`{}`: {error}", text.get_ref())))
    }

    /// Reads an amount, such as [`Size::parse`](super::Size::parse) does.
    pub fn amount<T>(
        &mut self,
        text: &Spanned<String>,
        parse: fn(&str) -> Result<T, QuantityError>,
    ) -> Option<T> {
        self.judged(text, parse(text.get_ref()))
    }

    /// A URL that names a server and nothing on it.
    pub fn public_url(&mut self, text: &Spanned<String>) -> Option<PublicUrl> {
        let url = self.judged(text, PublicUrl::parse(text.get_ref()))?;
        if self.is_out_of_reach(&url.to_url()) {
            let why = "cannot be reached from the open network; only --allow-private-addresses permits that";
            self.fault(text, format!("`{url}` {why}"));
            return None;
        }
        Some(url)
    }

    /// A folder of a web server; the slash at its end may be left out.
    pub fn web_folder(&mut self, text: &Spanned<String>) -> Option<Url> {
        let fault = match Url::parse(text.get_ref()) {
            Err(error) => error.to_string(),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => "the scheme is http or https".to_owned(),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "there is no query or fragment in this".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "no user name or password belongs here".to_owned()
            }
            Ok(url) if self.is_out_of_reach(&url) => {
                "on the open network this has a name or a public address; only --allow-private-addresses permits \
                 another"
                    .to_owned()
            }
            Ok(mut url) => {
                if !url.path().ends_with('/') {
                    let path = format!("{}/", url.path());
                    url.set_path(&path);
                }
                return Some(url);
            }
        };
        self.fault(text, format!("`{}`: {fault}", text.get_ref()));
        None
    }

    /// Only what is certainly wrong; the full vetting of addresses is the client's, at connection time.
    fn is_out_of_reach(&self, url: &Url) -> bool {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => {
                address.is_loopback() || address.is_private() || address.is_unspecified()
            }
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => true,
        };
        local && self.private_addresses == PrivateAddresses::Refused
    }

    /// Files of certificate roots that outbound https believes beside the system's. Whoever holds such a root can pose
    /// as any server, so that only a laboratory has them.
    pub fn extra_roots(&mut self, files: &[Spanned<PathBuf>]) -> Vec<PathBuf> {
        if let Some(first) = files.first().filter(|_| self.private_addresses == PrivateAddresses::Refused) {
            self.fault(first, "extra_roots: only with --allow-private-addresses");
        }
        files.iter().map(|file| file.get_ref().clone()).collect()
    }

    /// Notes every text that stands twice; a slash at the end makes no difference.
    pub fn distinct<'a>(&mut self, texts: impl IntoIterator<Item = &'a Spanned<String>>) {
        let mut seen = BTreeSet::new();
        for text in texts {
            if !seen.insert(text.get_ref().trim_end_matches('/')) {
                self.fault(text, format!("`{}` is listed twice", text.get_ref()));
            }
        }
    }

    /// Notes an empty list.
    pub fn at_least_one(&mut self, key: &str, count: usize) {
        if count == 0 {
            self.fault_overall(format!("{key}: at least one is needed"));
        }
    }
}
