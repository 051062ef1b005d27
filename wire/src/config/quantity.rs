//! Amounts as an operator writes them: `2 TB`, `400 Mbit/s`, `20 TB/month`, `1h30m`.
//!
//! Decimal and binary units are told apart (`TB` is 10^12, `TiB` is 2^40) and a fraction is exact: no floating point
//! decides how much of somebody's disk is used.

use std::fmt;
use std::time::Duration;

/// A text that is no amount of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct QuantityError {
    text: String,
    expected: &'static str,
}

const SIZE: &str = "a size such as \"2 TB\" or \"500 GiB\"";
const RATE: &str = "a rate such as \"400 Mbit/s\" or \"50 MB/s\"";
const TRANSFER: &str = "a monthly volume such as \"20 TB/month\"";
const SPAN: &str = "a duration such as \"30s\", \"5m\" or \"1h30m\"";

/// An amount of storage, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A transfer rate, in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

/// A volume per calendar month, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthlyTransfer(pub u64);

impl Size {
    /// Reads `2 TB`, `1.5 GiB`, `4096 B`.
    ///
    /// # Errors
    /// The text is no number with a unit of bytes, or the product does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        bytes(text).map(Self).ok_or_else(|| QuantityError { text: text.to_owned(), expected: SIZE })
    }
}

impl Rate {
    /// Reads `400 Mbit/s` or `50 MB/s`. Less than eight bits a second is no rate.
    ///
    /// # Errors
    /// The text is no such rate, or it does not fit 64 bits of bytes.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text.trim_end()
            .strip_suffix("/s")
            .and_then(|amount| {
                let per_second = match amount.trim_end().strip_suffix("bit") {
                    Some(bits) => scaled(&format!("{bits}B"))? / 8,
                    None => bytes(amount)?,
                };
                (per_second > 0).then_some(Self(per_second))
            })
            .ok_or_else(|| QuantityError { text: text.to_owned(), expected: RATE })
    }
}

impl MonthlyTransfer {
    /// Reads `20 TB/month`.
    ///
    /// # Errors
    /// The text is no such volume, or it does not fit 64 bits of bytes.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text.trim_end()
            .strip_suffix("/month")
            .and_then(bytes)
            .map(Self)
            .ok_or_else(|| QuantityError { text: text.to_owned(), expected: TRANSFER })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [
            (1_000_000_000_000_000, "PB"),
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit) {
            None => write!(f, "{} B", self.0),
            Some((unit, name)) => {
                let tenths = self.0 / (unit / 10);
                write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
}

/// Reads a duration of whole seconds: `90s`, `5m`, `2h`, `1d`, or several parts from the largest down, `1h30m`.
///
/// # Errors
/// The text is no such list, its units do not descend, or it is longer than 64 bits of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    seconds(text)
        .map(Duration::from_secs)
        .ok_or_else(|| QuantityError { text: text.to_owned(), expected: SPAN })
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0u64;
    let mut larger_than = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = after.chars().next()?;
        let unit_seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        if unit_seconds >= larger_than {
            return None;
        }
        larger_than = unit_seconds;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_seconds)?)?;
        rest = after.get(unit.len_utf8()..)?;
    }
    (larger_than != u64::MAX).then_some(total)
}

fn bytes(text: &str) -> Option<u64> {
    // "bit" is no unit of storage; only a rate may be written in bits.
    scaled(text).filter(|_| text.trim_end().ends_with('B'))
}

/// `number unit` in the unit's base, rounded down; `None` if either part is malformed or the product overflows.
fn scaled(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit_bytes(unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let fraction_of = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = fraction.parse().ok()?;
    let total = whole.checked_mul(unit)?.checked_add(fraction * unit / fraction_of)?;
    u64::try_from(total).ok()
}

fn unit_bytes(unit: &str) -> Option<u128> {
    const LADDER: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    let prefix = unit.strip_suffix('B')?;
    let (prefix, base): (&str, u128) = match prefix.strip_suffix('i') {
        Some(prefix) => (prefix, 1024),
        None => (prefix, 1000),
    };
    let prefix = if prefix == "K" { "k" } else { prefix };
    let power = LADDER.iter().position(|step| *step == prefix)?;
    (base == 1000 || power > 0).then(|| base.pow(u32::try_from(power).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in [
            ("2 TB", 2_000_000_000_000),
            ("2TB", 2_000_000_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("4096 B", 4096),
            ("64 KiB", 65_536),
            ("64 kB", 64_000),
            ("0.000000001 GB", 1),
            ("0 B", 0),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in
            ["", "2", "TB", "2 T", "-1 B", "2 XB", "1. TB", ".5 TB", "1.2.3 B", "99999999 PB", "2 Mbit"]
        {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_count_bits_or_bytes() {
        assert_eq!(Rate::parse("400 Mbit/s"), Ok(Rate(50_000_000)));
        assert_eq!(Rate::parse("1 Gbit/s"), Ok(Rate(125_000_000)));
        assert_eq!(Rate::parse("50 MB/s"), Ok(Rate(50_000_000)));
        for text in ["400 Mbit", "400 Mb/s", "7 bit/s", "0 B/s", "fast/s"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
        assert_eq!(MonthlyTransfer::parse("20 TB/month"), Ok(MonthlyTransfer(20_000_000_000_000)));
        assert!(MonthlyTransfer::parse("20 TB/year").is_err());
    }

    #[test]
    fn durations_read_as_written() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), (" 0s ", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "5", "m", "5 m", "30m1h", "1m1m", "1.5h", "-1s", "5min", "99999999999999999999s", "1é"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_print_with_one_decimal() {
        assert_eq!(Size(2_000_000_000_000).to_string(), "2.0 TB");
        assert_eq!(Size(1_550_000).to_string(), "1.5 MB");
        assert_eq!(Size(999).to_string(), "999 B");
    }
}
