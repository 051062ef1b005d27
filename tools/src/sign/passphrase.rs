//! Where a passphrase comes from: a file descriptor the caller opened, or the terminal. Never the command line and
//! never the environment, which other processes can read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// A passphrase longer than this is a mistake, such as a whole file on the descriptor.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Where to ask.
#[derive(Debug)]
pub(super) enum PassphraseSource {
    /// On the terminal, without echo.
    Terminal,
    /// The first line of this open file descriptor; the same for every key of the run.
    Descriptor {
        /// Its number.
        number: u32,
        /// What it said, once read.
        line: Option<Zeroizing<String>>,
    },
}

impl PassphraseSource {
    /// The terminal, or the descriptor that `--passphrase-fd` names.
    #[must_use]
    pub(super) fn new(descriptor: Option<u32>) -> Self {
        descriptor.map_or(Self::Terminal, |number| Self::Descriptor { number, line: None })
    }

    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// No terminal, or the descriptor cannot be read.
    pub(super) fn existing(&mut self, key: &Path) -> io::Result<Zeroizing<String>> {
        match self {
            Self::Terminal => ask(&format!("Passphrase for {}: ", key.display()), "say --passphrase-fd FD"),
            Self::Descriptor { number, line } => read_once(*number, line),
        }
    }

    /// A passphrase for a new key; on a terminal it is asked for twice.
    ///
    /// # Errors
    /// No terminal, an empty passphrase, or two that differ.
    pub(super) fn chosen(&mut self, key: &Path) -> io::Result<Zeroizing<String>> {
        let chosen = match self {
            Self::Terminal => {
                let otherwise = "say --passphrase-fd FD, or --no-passphrase";
                let first = ask(&format!("Passphrase for the new key {}: ", key.display()), otherwise)?;
                let second = ask("The same again: ", otherwise)?;
                if *first != *second {
                    return Err(io::Error::other("the two passphrases differ"));
                }
                first
            }
            Self::Descriptor { number, line } => read_once(*number, line)?,
        };
        if chosen.is_empty() {
            return Err(io::Error::other(
                "an empty passphrase protects nothing; say --no-passphrase if you mean it",
            ));
        }
        Ok(chosen)
    }
}

/// Asks on the terminal; `otherwise` says what to do where there is none.
fn ask(prompt: &str, otherwise: &str) -> io::Result<Zeroizing<String>> {
    let told = |error| io::Error::other(format!("there is no terminal to ask on ({error}); {otherwise}"));
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(told)
}

fn read_once(number: u32, line: &mut Option<Zeroizing<String>>) -> io::Result<Zeroizing<String>> {
    if line.is_none() {
        let mut text = Zeroizing::new(String::new());
        File::open(format!("/dev/fd/{number}"))?.take(PASSPHRASE_BYTES_MAX).read_to_string(&mut text)?;
        let first = text.lines().next().unwrap_or_default();
        *line = Some(Zeroizing::new(first.to_owned()));
    }
    Ok(line.clone().unwrap_or_default())
}
