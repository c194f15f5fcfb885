//! Values on the command line that say what would be right where they are wrong.

use jiff::civil::Date;

use crate::output;

/// Reads a day, in the words of the configuration.
pub(crate) fn day(text: &str) -> Result<Date, String> {
    let day: Option<Date> = text.parse().ok();
    // A moment reads as its day as well, and was meant as something else.
    day.filter(|day| day.to_string() == text)
        .ok_or_else(|| "write a day that exists, as year-month-day, like 2026-01-31".to_owned())
}

/// Reads the id of a worklog.
pub(crate) fn worklog(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "write the number by which Tempo knows the worklog, like 500001".to_owned())
}

/// Reads something that may not be empty.
pub(crate) fn some(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        some => Ok(output::plain(some)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        assert_eq!(
            day("2026-02-28").map(|day| day.to_string()),
            Ok("2026-02-28".to_owned())
        );
        for wrong in ["", "2026-02-30", "01.02.2024", "yesterday", "2026-02-28T10:00:00"] {
            assert!(
                day(wrong).is_err_and(|told| told.contains("like 2026-01-31")),
                "{wrong}"
            );
        }
        assert_eq!(worklog("500001"), Ok(500_001));
        assert!(worklog("SUP-1").is_err());
        assert_eq!(some(" SUP-1 "), Ok("SUP-1".to_owned()));
        assert!(some(" ").is_err());
    }
}
