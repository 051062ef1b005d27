//! Numbers as people read them, with the exact value for whoever points at them.

use maud::{Markup, html};
use odi_manifest::Timestamp;

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// `1.2 MB`, and in the title how many bytes.
#[must_use]
pub fn size(bytes: u64) -> Markup {
    html! { data value=(bytes) title={ (grouped(bytes)) " bytes" } { (short_size(bytes)) } }
}

/// A number in groups of three digits.
#[must_use]
pub fn count(number: u64) -> Markup {
    html! { data value=(number) { (grouped(number)) } }
}

/// `2026-11-22 16:40 UTC`, and in the title to the second.
#[must_use]
pub fn date(at: Timestamp) -> Markup {
    let exact = at.rfc3339();
    html! { time datetime=(exact) title=(exact) { (at) } }
}

/// A part of a whole as percent, and as a bar.
#[must_use]
pub fn part(part: u64, whole: u64) -> Markup {
    html! {
        span.part title={ (grouped(part)) " of " (grouped(whole)) } {
            meter min="0" max="1000" value=(per_mille(part, whole)) {} " " (percent(part, whole))
        }
    }
}

/// A part of a whole as percent: below ten, to a tenth.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    let per_mille = per_mille(part, whole);
    match (per_mille / 10, per_mille % 10) {
        (percent @ 10.., _) | (percent, 0) => format!("{percent} %"),
        (percent, tenth) => format!("{percent}.{tenth} %"),
    }
}

fn per_mille(part: u64, whole: u64) -> u128 {
    u128::from(part) * 1000 / u128::from(whole.max(1))
}

/// Three digits at least below the next unit: 999 B, 1.0 kB, 12 kB, 999 kB, 1.0 MB. Cut off, not rounded up, so that a budget
/// that is not reached does not read as if it were.
fn short_size(bytes: u64) -> String {
    let mut unit = "B";
    let mut tenths = u128::from(bytes) * 10;
    for next in UNITS {
        if tenths < 10_000 {
            break;
        }
        (tenths, unit) = (tenths / 1000, next);
    }
    match (unit, tenths) {
        ("B", _) | (_, 100..) => format!("{} {unit}", tenths / 10),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_exact() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_999, "9.9 kB"),
            (10_000, "10 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.0 MB"),
            (20_971_520, "20 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(short_size(bytes), shown, "{bytes}");
        }
        assert_eq!(
            size(1_234_567).into_string(),
            "<data value=\"1234567\" title=\"1\u{202f}234\u{202f}567 bytes\">1.2 MB</data>"
        );
    }

    #[test]
    fn parts_say_how_much_of_what() {
        let shown = |of, whole| part(of, whole).into_string();
        assert!(shown(1, 3).ends_with(" 33 %</span>"), "{}", shown(1, 3));
        assert!(shown(1, 64).ends_with(" 1.5 %</span>"));
        assert!(shown(65_536, 65_536).ends_with(" 100 %</span>"));
        assert!(shown(0, 0).ends_with(" 0 %</span>"));
        assert!(shown(u64::MAX, 1).contains("meter"), "whatever a stranger claims");
    }

    #[test]
    fn dates_and_numbers() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_000_000), "1\u{202f}000\u{202f}000");
        let shown = date(Timestamp(1_795_365_600)).into_string();
        assert!(
            shown.contains("datetime=\"2026-11-22T16:40:00Z\"") && shown.contains(">2026-11-22 16:40 UTC<")
        );
    }
}
