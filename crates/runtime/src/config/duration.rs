//! Lengths of time, as people write them.

use std::time::Duration;

/// What would be right.
pub(super) const RIGHT: &str = "a whole number and its unit, like 30s, 5m, 24h, 400d (also ms)";

/// Nothing here waits for longer; keeps sums of times within what a calendar can say.
const MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Reads a length of time such as `30s`, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is not a length of time")),
    };
    if number.is_empty() {
        return Err(format!("`{text}` is not a length of time"));
    }
    let too_long = || format!("`{text}` is more than a hundred years");
    let duration = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit_ms))
        .map(Duration::from_millis)
        .ok_or_else(too_long)?;
    if duration > MAX {
        return Err(too_long());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_understood() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("400d", 34_560_000_000),
            ("0s", 0),
            ("000d", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "+5m",
            "5M",
            "1.5h",
            "1h30m",
            "5min",
            "99999999999d",
            "99999999999999999999999s",
            "٣s",
            "5µs",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
