//! The push: a maintainer hands a directory what it would otherwise fetch from the origin.
//!
//! Nothing in it is believed for having been pushed. It goes through the same judgement as what was fetched, and the
//! signature on the head is the only credential.

use odi_manifest::cbor::{CborError, CborReason, Reader, Writer};

/// The largest push in bytes: one diff of the largest size, and the records around it.
pub const PUSH_BYTES_MAX: usize = (64 << 20) + (8 << 20);

/// How many roots one push may carry.
pub const PUSH_ROOTS_MAX: usize = 1024;

/// The body of `POST /odi/v1/catalogs/{id}/push`: CBOR `{rev?, diff?, head, roots}`, every value as the layout has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The envelope of the new head.
    pub head: Vec<u8>,
    /// Envelopes of roots that the directory may lack, by ascending version.
    pub roots: Vec<Vec<u8>>,
    /// The revocation list that the head names.
    pub rev: Option<Vec<u8>>,
    /// The diff from the manifest of `prev`.
    pub diff: Option<Vec<u8>>,
}

impl Push {
    /// Its one encoding.
    ///
    /// # Errors
    /// None: the keys are short ASCII texts.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        let mut writer = Writer::new();
        writer.map(2 + usize::from(self.rev.is_some()) + usize::from(self.diff.is_some()));
        if let Some(rev) = &self.rev {
            writer.text("rev")?.bytes(rev);
        }
        if let Some(diff) = &self.diff {
            writer.text("diff")?.bytes(diff);
        }
        writer.text("head")?.bytes(&self.head);
        writer.text("roots")?.array(self.roots.len());
        for root in &self.roots {
            writer.bytes(root);
        }
        Ok(writer.into_bytes())
    }

    /// Reads a push of at most [`PUSH_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// It is larger, or anything but the one encoding of a push.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        if bytes.len() > PUSH_BYTES_MAX {
            return Err(CborError { reason: CborReason::TooLarge, at: PUSH_BYTES_MAX });
        }
        let mut reader = Reader::new(bytes);
        let mut keys_left = reader.map()?;
        let mut key = next_key(&mut reader, &mut keys_left)?;
        let mut optional = |name: &str, reader: &mut Reader<'_>, key: &mut Option<String>| {
            if key.as_deref() != Some(name) {
                return Ok(None);
            }
            let value = reader.bytes()?.to_vec();
            *key = next_key(reader, &mut keys_left)?;
            Ok::<_, CborError>(Some(value))
        };
        let rev = optional("rev", &mut reader, &mut key)?;
        let diff = optional("diff", &mut reader, &mut key)?;
        let head =
            optional("head", &mut reader, &mut key)?.ok_or_else(|| reader.expected("the key `head`"))?;
        if key.as_deref() != Some("roots") || keys_left > 0 {
            return Err(reader.expected("the key `roots`, last"));
        }
        let count = reader.array()?;
        if count > PUSH_ROOTS_MAX {
            return Err(reader.expected("at most 1024 roots"));
        }
        let mut roots = Vec::new();
        for _ in 0..count {
            roots.push(reader.bytes()?.to_vec());
        }
        reader.end()?;
        Ok(Self { head, roots, rev, diff })
    }
}

fn next_key(reader: &mut Reader<'_>, keys_left: &mut usize) -> Result<Option<String>, CborError> {
    if *keys_left == 0 {
        return Ok(None);
    }
    *keys_left -= 1;
    Ok(Some(reader.text()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_push() -> impl Strategy<Value = Push> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let roots = prop::collection::vec(bytes(), 0..4);
        (bytes(), roots, prop::option::of(bytes()), prop::option::of(bytes()))
            .prop_map(|(head, roots, rev, diff)| Push { head, roots, rev, diff })
    }

    proptest! {
        #[test]
        fn a_push_reads_back(push in any_push()) {
            prop_assert_eq!(Push::decode(&push.encode().unwrap()), Ok(push));
        }

        #[test]
        fn what_reads_is_the_one_encoding(push in any_push(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut bytes = push.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Push::decode(&bytes) {
                prop_assert_eq!(other.encode().unwrap(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Push::decode(&bytes);
        }
    }
}
