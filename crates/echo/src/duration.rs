//! Durations as Go writes them: `1.5s`, `1h2m`, `100ms`.

use std::time::Duration;

/// Why a text is not a duration, in Go's words: they are part of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadDuration {
    #[error("time: invalid duration \"{0}\"")]
    Invalid(String),
    #[error("time: missing unit in duration \"{0}\"")]
    MissingUnit(String),
    #[error("time: unknown unit \"{unit}\" in duration \"{text}\"")]
    UnknownUnit { unit: String, text: String },
}

/// Nanoseconds of each unit.
const UNITS: [(&str, f64); 8] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Go's durations end here: 2⁶³ nanoseconds, some 292 years.
const MAX_NANOSECONDS: f64 = 9.223_372_036_854_775e18;

/// Reads a duration; a negative one is none at all.
pub(crate) fn parse(text: &str) -> Result<Duration, BadDuration> {
    let invalid = || BadDuration::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
        let (number, after) = rest.split_at(rest.find(|letter| !is_number(letter)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(BadDuration::MissingUnit(text.to_owned()));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) = known.ok_or_else(|| BadDuration::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        nanoseconds += number * scale;
        rest = after;
    }
    if nanoseconds > MAX_NANOSECONDS {
        return Err(invalid());
    }
    Ok(if negative { Duration::ZERO } else { Duration::from_secs_f64(nanoseconds / 1e9) })
}

/// Writes a short duration as Go does, to a tenth of its unit.
pub(crate) fn show(duration: Duration) -> String {
    let nanoseconds = duration.as_secs_f64() * 1e9;
    let (unit, scale) = [("s", 1e9), ("ms", 1e6), ("µs", 1e3)].into_iter().find(|(_, scale)| nanoseconds >= *scale).unwrap_or(("ns", 1.0));
    format!("{}{unit}", (nanoseconds / scale * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in
            [("3s", 3000.0), ("1.5h", 5_400_000.0), ("100ms", 100.0), ("1h2m3s", 3_723_000.0), (".5s", 500.0), ("2µs", 0.002), ("0", 0.0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(milliseconds / 1000.0)), "{text}");
        }
        assert_eq!(parse("-3s"), Ok(Duration::ZERO));
        for (text, message) in [
            ("abc", "time: invalid duration \"abc\""),
            ("-", "time: invalid duration \"-\""),
            (".s", "time: invalid duration \".s\""),
            ("3", "time: missing unit in duration \"3\""),
            ("3d", "time: unknown unit \"d\" in duration \"3d\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
        ] {
            assert_eq!(parse(text).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn short_durations_are_written() {
        for (nanoseconds, text) in [(12, "12ns"), (1_234, "1.2µs"), (45_600_000, "45.6ms"), (3_000_000_000, "3s")] {
            assert_eq!(show(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
