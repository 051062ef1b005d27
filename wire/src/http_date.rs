//! HTTP dates (RFC 9110 § 5.6.7) as seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that four digits of year can say.
const LAST: u64 = 253_402_300_799;

/// The preferred form, for instance `Sun, 06 Nov 1994 08:49:37 GMT`. Later years than 9999 become its last second.
#[must_use]
pub fn format(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

/// Reads any of the three forms that the RFC demands; `None` for anything else and for times before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let time: SystemTime = httpdate::parse_http_date(text).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_all_three_forms() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("0"), None);
    }

    proptest! {
        #[test]
        fn every_second_reads_back(seconds: u64) {
            prop_assert_eq!(parse(&format(seconds)), Some(seconds.min(LAST)));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
