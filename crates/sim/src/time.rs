//! How the vendors write moments and durations.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2023-05-09T10:44:38Z`
pub(crate) fn iso_secs(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2023-05-09T10:44:38.173Z`
pub(crate) fn iso_millis(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `2021-03-06T01:35:54.173+0300`
pub(crate) fn jira_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S.%3f%z")
        .to_string()
}

/// Reads `2021-01-17T12:34:00.000+0000`, and nothing that is written otherwise.
pub(crate) fn parse_jira_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00.000+0000";
    let fits = bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(b, s)| match s {
            b'0' => b.is_ascii_digit(),
            b'+' => matches!(b, b'+' | b'-'),
            other => b == other,
        });
    fits.then(|| {
        jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text)
            .ok()?
            .to_timestamp()
            .ok()
    })?
}

/// Jira's way to write a duration: `1w 2d 3h 20m`, with its default of five days of eight hours.
pub(crate) fn pretty(secs: i64) -> String {
    let mut left = secs.max(0) / 60;
    let mut parts = Vec::new();
    for (unit, minutes) in [("w", 5 * 8 * 60), ("d", 8 * 60), ("h", 60), ("m", 1)] {
        if left >= minutes {
            parts.push(format!("{}{unit}", left / minutes));
            left %= minutes;
        }
    }
    if parts.is_empty() {
        "0m".to_owned()
    } else {
        parts.join(" ")
    }
}

/// Reads Jira's durations, `3h 20m` and the like.
pub(crate) fn parse_pretty(text: &str) -> Option<i64> {
    text.split_whitespace()
        .map(|part| {
            let (number, unit) = part.split_at(part.len().checked_sub(1)?);
            let minutes = match unit {
                "w" => 5 * 8 * 60,
                "d" => 8 * 60,
                "h" => 60,
                "m" => 1,
                _ => return None,
            };
            Some((number.parse::<f64>().ok()? * f64::from(minutes) * 60.0) as i64)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_vendors_do() {
        let at: Timestamp = "2021-03-05T22:35:54.173Z".parse().expect("a moment");
        assert_eq!(iso_secs(at), "2021-03-05T22:35:54Z");
        assert_eq!(iso_millis(at), "2021-03-05T22:35:54.173Z");
        assert_eq!(
            jira_time(at, &TimeZone::get("Europe/Minsk").expect("a zone")),
            "2021-03-06T01:35:54.173+0300"
        );
        assert_eq!(parse_jira_time("2021-03-06T01:35:54.173+0300"), Some(at));
        assert_eq!(parse_jira_time("2021-03-06T01:35:54.173+03:00"), None);
        assert_eq!(parse_jira_time("2021-03-05T22:35:54Z"), None);
    }

    #[test]
    fn durations_are_written_as_jira_does() {
        assert_eq!(pretty(12_000), "3h 20m");
        assert_eq!(pretty(59), "0m");
        assert_eq!(pretty(9 * 3600), "1d 1h");
        assert_eq!(parse_pretty("1d 1h"), Some(9 * 3600));
        assert_eq!(parse_pretty("1x"), None);
    }
}
