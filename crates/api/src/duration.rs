//! Durations as Gateway API writes them (GEP-2257): one to four parts of up to five digits and a unit, such as `1h30m` or `500ms`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration {text:?}: write one to four numbers of up to five digits, each with h, m, s or ms, such as 10s or 1m30s")]
pub struct DurationError {
    text: String,
}

/// Reads a duration. What it takes is exactly what the CRDs' pattern `^([0-9]{1,5}(h|m|s|ms)){1,4}$` takes.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parts(text).ok_or_else(|| DurationError { text: text.to_owned() })
}

fn parts(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for count in 1..=5 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if count > 4 || !(1..=5).contains(&digits) {
            return None;
        }
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        // At most 4 * 99,999 hours: no overflow.
        let (part, after) = if let Some(after) = after.strip_prefix("ms") {
            (Duration::from_millis(number), after)
        } else if let Some(after) = after.strip_prefix('s') {
            (Duration::from_secs(number), after)
        } else if let Some(after) = after.strip_prefix('m') {
            (Duration::from_secs(number * 60), after)
        } else {
            (Duration::from_secs(number * 3600), after.strip_prefix('h')?)
        };
        total += part;
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("10s", 10_000),
            ("0s", 0),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("1s1s", 2_000),
            ("1h2m3s4ms", 3_723_004),
            ("99999h", 359_996_400_000),
            ("5m5ms", 300_005),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0", "10", "s", "10mib", "1.5s", "-1s", "+1s", " 1s", "1s ", "100000s", "1us", "1d", "1h1h1h1h1h", "1m2", "١s"] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
