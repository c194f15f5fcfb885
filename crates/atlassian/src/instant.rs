//! Points in time, dates and times of day, as the vendors write them.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Parses an instant: `2017-02-06T16:41:41Z`, with or without a fraction, with an offset with or without
/// colon (`+0300`), or with none, which is taken as UTC.
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse::<Timestamp>().ok().or_else(|| {
        // Without an offset. A bare date is refused: it is not an instant.
        let civil = text
            .contains(['T', ' '])
            .then(|| text.parse::<DateTime>().ok())??;
        TimeZone::UTC.to_timestamp(civil).ok()
    })
}

/// Parses a calendar day; of an instant, takes the written date part.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    text.trim().get(..10)?.parse().ok()
}

/// Parses `HH:mm`, `HH:mm:ss` or `HH:mm:ss.SSS`. Seconds are kept, their fraction is not.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.trim().split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = match parts.next() {
        Some(text) => text.split('.').next()?.parse().ok()?,
        None => 0,
    };
    match parts.next() {
        Some(_) => None,
        None => Time::new(hour, minute, second, 0).ok(),
    }
}

/// Writes a time of day as Tempo takes it: always with seconds.
pub(crate) fn render_time(time: Time) -> String {
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// Writes an instant in UTC without a fraction, rounded down: a filter "from" must not skip anything.
pub(crate) fn render_instant(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(at);
    whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Milliseconds since 1970, rounded down.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000) as i64
}

/// The longest time to wait that is believed. Guards arithmetic against absurd headers.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Parses a `Retry-After`: seconds or an HTTP date, which is compared with `now`.
pub(crate) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(secs) = text.parse::<f64>() {
        return (secs.is_finite() && secs >= 0.0)
            .then(|| Duration::from_secs_f64(secs.min(RETRY_AFTER_MAX.as_secs_f64())));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(until(at, now))
}

/// Returns how long it is from `now` to `at`; zero when that is past.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> Duration {
    let wait = at.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(wait).unwrap_or_default().min(RETRY_AFTER_MAX)
}

/// Parses an HTTP date, such as the `Date` header's.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_in_several_spellings() {
        for text in [
            "2021-03-05T22:35:54Z",
            "2021-03-05T22:35:54.000Z",
            "2021-03-06T01:35:54.000+0300",
            "2021-03-06T01:35:54+03:00",
            "2021-03-05T22:35:54",
            "2021-03-05T22:35:54.000",
        ] {
            assert_eq!(
                parse_instant(text),
                Some("2021-03-05T22:35:54Z".parse().unwrap()),
                "{text}"
            );
        }
        for text in ["", "x", "2021-03-05", "22:35:54"] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_are_read_leniently_and_written_strictly() {
        assert_eq!(
            parse_date("2023-05-01T00:00:00.000Z"),
            Some(jiff::civil::date(2023, 5, 1))
        );
        assert_eq!(parse_date("2023-05-01"), Some(jiff::civil::date(2023, 5, 1)));
        assert_eq!(parse_date("2023-13-01"), None);
        for (text, expected) in [
            ("9:05", "09:05:00"),
            ("16:00:00", "16:00:00"),
            ("23:59:59.999", "23:59:59"),
        ] {
            assert_eq!(parse_time(text).map(render_time).as_deref(), Some(expected));
        }
        for text in ["", "57600", "24:00:00", "1:2:3:4", "12:60"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_rounded_down() {
        let at: Timestamp = "2026-01-02T03:04:05.999999Z".parse().unwrap();
        assert_eq!(render_instant(at), "2026-01-02T03:04:05Z");
        assert_eq!(millis(at) % 1000, 999);
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after("2", now), Some(Duration::from_secs(2)));
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("99999999999999999999", now), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("-1", now), None);
        assert_eq!(retry_after("soon", now), None);
    }
}
