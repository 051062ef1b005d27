//! A pin: the URL segment that names one head, hence one state of one catalog.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::ids::{HeadId, ParseIdError};

/// How many base32 characters of the head's id a pin has: 130 bits, far more than anyone can collide.
const PREFIX_CHARACTERS: usize = 26;

/// A head by sequence number and leading bits of its id; its text is `@{seq}-{26 lowercase base32 characters}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin {
    seq: u64,
    prefix: [u8; PREFIX_CHARACTERS],
}

impl Pin {
    /// The pin of a head.
    #[must_use]
    pub fn of(seq: u64, head: &HeadId) -> Self {
        let text = BASE32_NOPAD.encode(head.as_bytes()).to_ascii_lowercase();
        let prefix = text.as_bytes().first_chunk().expect("32 bytes make 52 characters");
        Self { seq, prefix: *prefix }
    }

    /// The head's sequence number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether this is a pin of that head. The caller compares [`seq`](Self::seq).
    #[must_use]
    pub fn matches(&self, head: &HeadId) -> bool {
        Self::of(self.seq, head) == *self
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = str::from_utf8(&self.prefix).expect("a pin's prefix is ASCII");
        write!(f, "@{}-{prefix}", self.seq)
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl FromStr for Pin {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse(text).ok_or_else(|| {
            ParseIdError::new(text, "pin (`@`, a sequence number, `-` and 26 base32 characters)")
        })
    }
}

fn parse(text: &str) -> Option<Pin> {
    let (seq, prefix) = text.strip_prefix('@')?.split_once('-')?;
    let digits = !seq.starts_with('0') && seq.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: [u8; PREFIX_CHARACTERS] = prefix.as_bytes().try_into().ok()?;
    let base32 = prefix.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    if digits && base32 { Some(Pin { seq: seq.parse().ok()?, prefix }) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_names_one_head_in_one_spelling() {
        let head = HeadId::of(b"head");
        let pin = Pin::of(17, &head);
        assert_eq!(pin.to_string().len(), "@17-".len() + 26);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert!(pin.matches(&head));
        assert!(!pin.matches(&HeadId::of(b"other")));
        let text = pin.to_string();
        let others = [
            text.replace("@17", "@017"),
            text.replace("@17", "@+17"),
            text.replace("@17", "@"),
            text.replace("@17", "@99999999999999999999"),
            text.replace('@', ""),
            text.to_uppercase(),
            format!("{text}a"),
            text[..text.len() - 1].to_owned(),
        ];
        for other in others {
            assert!(other.parse::<Pin>().is_err(), "{other}");
        }
    }
}
