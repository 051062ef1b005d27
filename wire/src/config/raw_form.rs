//! A text in its daemon's raw form, and every key that is none: one typo must not hide the other faults of a file.
//!
//! Serde stops at the first unknown key. So each is noted and taken out of the parsed text, which keeps the places of all
//! others, and the rest is read again.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::{Fault, line_of};

/// The most unknown keys that are named.
const UNKNOWN_MAX: usize = 25;

/// The raw form, if anything can be made of the text, and what is wrong with it so far.
pub(super) fn read<Raw: DeserializeOwned>(text: &str) -> (Option<Raw>, Vec<Fault>) {
    let (mut faults, mut unknown): (Vec<Fault>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    loop {
        let parsed = DeTable::parse(text).and_then(|mut table: Spanned<DeTable<'_>>| {
            forget(table.get_mut(), &unknown);
            Raw::deserialize(Deserializer::from(table))
        });
        let error = match parsed {
            Ok(raw) => return (Some(raw), faults),
            Err(error) => error,
        };
        let line = error.span().map(|span| line_of(text, &span));
        faults.push(Fault { line, what: error.message().replace('\n', ", ") });
        let key = error.span().filter(|_| error.message().starts_with("unknown field"));
        match key.filter(|key| !unknown.contains(key) && unknown.len() < UNKNOWN_MAX) {
            Some(key) => unknown.push(key),
            None => return (None, faults),
        }
    }
}

/// Takes out the keys that stand at these places.
fn forget(table: &mut DeTable<'_>, places: &[Range<usize>]) {
    for (key, mut value) in std::mem::take(table) {
        if !places.contains(&key.span()) {
            forget_below(value.get_mut(), places);
            table.insert(key, value);
        }
    }
}

fn forget_below(value: &mut DeValue<'_>, places: &[Range<usize>]) {
    match value {
        DeValue::Table(table) => forget(table, places),
        DeValue::Array(array) => array.iter_mut().for_each(|item| forget_below(item.get_mut(), places)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        size: u32,
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        name: Spanned<String>,
    }

    #[test]
    fn every_unknown_key_is_named_with_its_line_and_the_rest_is_read() {
        let text = "size = 1\nsise = { a = 2 }\n\n[[inner]]\nname = \"a\"\nnmae = \"b\"\n\n[other]\nx = 1\n";
        let (raw, faults) = read::<Outer>(text);
        let raw = raw.unwrap();
        assert_eq!((raw.size, raw.inner[0].name.get_ref().as_str()), (1, "a"));
        assert_eq!(&text[raw.inner[0].name.span()], "\"a\"", "places stay what they were");
        let mut lines: Vec<_> = faults.iter().map(|fault| fault.line.unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 6, 8], "{faults:?}");
    }

    #[test]
    fn a_misspelt_key_is_named_beside_the_one_that_is_missing() {
        let (raw, faults) = read::<Outer>("sise = 1\ninner = []\n");
        assert!(raw.is_none());
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(words[0].contains("line 1: unknown field `sise`"), "{words:?}");
        assert!(words[1].contains("missing field `size`"), "{words:?}");
        let (raw, faults) = read::<Outer>("size = \n");
        assert!(raw.is_none() && faults.len() == 1);
    }
}
