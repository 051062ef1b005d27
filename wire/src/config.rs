//! Reading a daemon's configuration: a TOML file becomes what the daemon takes, or a list of all its faults.
//!
//! Two stages. A daemon's raw struct is the file's shape, where an unknown key is an error that names the key and the
//! line; its judge turns every value into its judged form and notes what is wrong with a [`Judge`], which knows the
//! lines. All faults of a file are reported together.

mod judge;
mod quantity;
mod raw_form;
mod tls;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use judge::Judge;
pub use quantity::{MonthlyTransfer, QuantityError, Rate, Size, parse_duration};
pub use tls::{AcmeConfig, ChallengeKind, RawTls, TlsConfig};

/// A configuration longer than this was not written by a person.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Whether outbound requests may go to loopback and private networks (`--allow-private-addresses`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// The rule on the open network.
    Refused,
    /// For tests and demonstrations; also permits plain HTTP between daemons.
    Allowed,
}

/// One thing wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from 1; `None` if it is about no single line.
    pub line: Option<usize>,
    /// What, in words for the operator.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A configuration that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text was read and refused; every fault that was found.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Faulty(Vec<Fault>),
}

/// Reads the text of a configuration file, or a little more of it than [`judge`] takes.
///
/// # Errors
/// The file cannot be read, or is no text.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// Judges a configuration text: `judge` gets its raw form, and what it makes of it counts only if it noted no fault.
///
/// # Errors
/// Something in the text cannot be run; all faults are named.
pub fn judge<Raw: DeserializeOwned, Judged>(
    text: &str,
    private_addresses: PrivateAddresses,
    judge: impl FnOnce(&mut Judge<'_>, Raw) -> Option<Judged>,
) -> Result<Judged, ConfigError> {
    if text.len() > FILE_BYTES_MAX {
        let what = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(ConfigError::Faulty(vec![Fault { line: None, what }]));
    }
    let (raw, faults) = raw_form::read(text);
    let Some(raw) = raw else { return Err(ConfigError::Faulty(faults)) };
    let mut bench = Judge::new(text, private_addresses, faults);
    let judged = judge(&mut bench, raw);
    bench.verdict(judged)
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}
