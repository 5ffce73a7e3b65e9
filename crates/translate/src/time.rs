//! Times of creation.

/// Reads `2026-01-31T12:00:00Z`, which is how Kubernetes writes times, as seconds of Unix time; anything else counts as the epoch's start.
pub(crate) fn unix_seconds(text: Option<&str>) -> i64 {
    text.and_then(parse).unwrap_or_default()
}

fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.split('.').next()?.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    // Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::unix_seconds;

    #[test]
    fn kubernetes_times_are_read() {
        assert_eq!(unix_seconds(Some("1970-01-01T00:00:01Z")), 1);
        assert_eq!(unix_seconds(Some("2024-02-29T12:30:05Z")), 1_709_209_805);
        assert_eq!(unix_seconds(Some("2000-03-01T00:00:00.123456Z")), 951_868_800);
        assert_eq!(unix_seconds(Some("yesterday")), 0);
        assert_eq!(unix_seconds(None), 0);
    }
}
