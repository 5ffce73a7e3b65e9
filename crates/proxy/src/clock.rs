//! Times as texts, without a time zone library on the request path.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A worker's clock: monotonic time from one call, wall time derived from it, and the texts of the current second kept.
pub(crate) struct Clock {
    started: Instant,
    /// A wall clock reading and the instant it was taken at; renewed with every tick, so that a clock that is set is followed.
    anchor: Cell<(Instant, Duration)>,
    second: Cell<u64>,
    text: RefCell<[u8; 19]>,
}

/// How long a tick of the coarse timers is.
pub(crate) const TICK: Duration = Duration::from_millis(100);

impl Clock {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let clock = Self { started: now, anchor: Cell::new((now, wall())), second: Cell::new(u64::MAX), text: RefCell::new([b'0'; 19]) };
        clock.renew();
        clock
    }

    /// Reads the wall clock again.
    pub(crate) fn renew(&self) {
        self.anchor.set((Instant::now(), wall()));
    }

    /// Which tick `now` is in, counted from the worker's start.
    pub(crate) fn tick(&self, now: Instant) -> u32 {
        let ticks = now.saturating_duration_since(self.started).as_millis() / TICK.as_millis();
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Appends `2006-01-02T15:04:05.000Z`.
    pub(crate) fn timestamp(&self, now: Instant, out: &mut Vec<u8>) {
        let (at, wall) = self.anchor.get();
        let time = wall + now.saturating_duration_since(at);
        if self.second.replace(time.as_secs()) != time.as_secs() {
            *self.text.borrow_mut() = seconds_text(time.as_secs());
        }
        out.extend_from_slice(&*self.text.borrow());
        let millis = time.subsec_millis();
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10 % 10), digit(millis % 10), b'Z']);
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Appends the wall time of this moment, for threads without a [`Clock`].
pub(crate) fn timestamp(out: &mut Vec<u8>) {
    let time = wall();
    out.extend_from_slice(&seconds_text(time.as_secs()));
    let millis = time.subsec_millis();
    out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10 % 10), digit(millis % 10), b'Z']);
}

/// Appends an HTTP date (RFC 9110, section 5.6.7).
pub(crate) fn http_date(out: &mut Vec<u8>) {
    const DAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let seconds = wall().as_secs();
    let days = seconds / 86400;
    let (year, month, day) = civil(days);
    let name = |names: &[&'static [u8]], at: u64| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default();
    out.extend_from_slice(name(&DAYS, days % 7));
    out.extend_from_slice(&[b',', b' ', digit(day / 10), digit(day % 10), b' ']);
    out.extend_from_slice(name(&MONTHS, u64::from(month) - 1));
    out.push(b' ');
    let text = seconds_text(seconds);
    out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    out.push(b' ');
    out.extend_from_slice(text.get(11..).unwrap_or_default());
    out.extend_from_slice(b" GMT");
}

fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

/// `2006-01-02T15:04:05`
fn seconds_text(seconds: u64) -> [u8; 19] {
    let (year, month, day) = civil(seconds / 86400);
    let rest = (seconds % 86400) as u32;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let two = |value: u32| [digit(value / 10), digit(value)];
    let ([y1, y2], [y3, y4], [mo1, mo2], [d1, d2]) = (two(year / 100), two(year), two(month), two(day));
    let ([h1, h2], [mi1, mi2], [s1, s2]) = (two(hour), two(minute), two(second));
    [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2]
}

/// Year, month and day of the day that many days after 1970-01-01, by the usual arithmetic on 400-year eras that begin in March.
fn civil(days: u64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in
            [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (19_723, (2024, 1, 1)), (20_781, (2026, 11, 24))]
        {
            assert_eq!(civil(days), date);
        }
        assert_eq!(&seconds_text(1_795_500_000), b"2026-11-24T06:00:00");
    }

    #[test]
    fn dates_have_the_form_that_http_wants() {
        let mut out = Vec::new();
        http_date(&mut out);
        assert_eq!(out.len(), "Sun, 06 Nov 1994 08:49:37 GMT".len(), "{}", String::from_utf8_lossy(&out));
    }
}
