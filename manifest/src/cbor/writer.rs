//! A writer that can only write the profile's headers. What it cannot know, the count of an array's items and the
//! order of a map's keys, stays with the caller.

use super::reader::is_nfc;
use super::{CborError, CborReason};

/// Appends items to a growing byte string.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// An empty writer with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Forgets what was written, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// How many bytes are written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[expect(clippy::cast_possible_truncation, reason = "each arm's range fits its width")]
    fn header(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..24 => self.bytes.push(major | value as u8),
            24..=0xff => self.bytes.extend_from_slice(&[major | 24, value as u8]),
            0x100..=0xffff => {
                self.bytes.push(major | 25);
                self.bytes.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(major | 26);
                self.bytes.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.header(0, value);
        self
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.header(2, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Writes a text.
    ///
    /// # Errors
    /// The text is not in normalization form C.
    pub fn text(&mut self, text: &str) -> Result<&mut Self, CborError> {
        if !is_nfc(text) {
            return Err(CborError::new(CborReason::NotNfc, self.bytes.len()));
        }
        self.header(3, text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(self)
    }

    /// Begins an array; `count` items must follow.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.header(4, count as u64);
        self
    }

    /// Begins a map; `count` pairs must follow, their keys ascending by (length, bytes).
    pub fn map(&mut self, count: usize) -> &mut Self {
        self.header(5, count as u64);
        self
    }

    /// Writes a boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(0xf4 | u8::from(value));
        self
    }

    /// Writes an item that is encoded already.
    pub fn encoded(&mut self, item: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(item);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::cbor::{Reader, check_profile};

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            number: u64, bytes in vec(any::<u8>(), 0..300), text in "[a-z\u{e9}\u{4e2d}]{0,300}", yes: bool
        ) {
            let mut writer = Writer::new();
            writer.array(4).uint(number).bytes(&bytes).text(&text).unwrap().bool(yes);
            prop_assert!(check_profile(writer.as_bytes(), usize::MAX).is_ok());
            // Our reader would read back whatever mistake it shares with the writer, so somebody else reads it too.
            let read: ciborium::Value = ciborium::from_reader(writer.as_bytes()).unwrap();
            let expected = [number.into(), bytes.clone().into(), text.clone().into(), yes.into()];
            prop_assert_eq!(read, ciborium::Value::Array(expected.into()));
            let mut reader = Reader::new(writer.as_bytes());
            prop_assert_eq!(reader.array().unwrap(), 4);
            prop_assert_eq!(reader.uint().unwrap(), number);
            prop_assert_eq!(reader.bytes().unwrap(), bytes);
            prop_assert_eq!(reader.text().unwrap(), text);
            prop_assert_eq!(reader.bool().unwrap(), yes);
            prop_assert!(reader.end().is_ok());
        }
    }

    #[test]
    fn integers_take_the_shortest_form() {
        for (value, length) in [(23, 1), (24, 2), (255, 2), (256, 3), (65_535, 3), (65_536, 5), (1 << 32, 9)]
        {
            let mut writer = Writer::new();
            writer.uint(value);
            assert_eq!(writer.len(), length, "{value}");
        }
    }
}
