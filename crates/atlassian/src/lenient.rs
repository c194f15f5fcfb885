//! Readers for JSON values that the vendors write in more than one way.
//!
//! Their errors never quote the value: it may be personal, and it ends up in an error message.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::instant;

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom("a negative number"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        // Exact up to 2^53; an id beyond that in this spelling would already be wrong.
        match value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value) {
            true => Ok(value as u64),
            false => Err(E::custom("not a whole number")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        value.trim().parse().map_err(|_| E::custom("not a whole number"))
    }
}

/// A number, or a string of digits.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(NumberVisitor)
}

/// A number, a string of digits, or null.
pub(crate) fn opt_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Number(#[serde(deserialize_with = "number")] u64);
    Ok(Option::<Number>::deserialize(from)?.map(|number| number.0))
}

/// An instant as text.
pub(crate) fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    instant::parse_instant(&text).ok_or_else(|| D::Error::custom("not an instant"))
}

/// An instant as text, or null. Text that is not an instant counts as none.
pub(crate) fn opt_instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| instant::parse_instant(&text)))
}

/// A calendar day.
pub(crate) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    instant::parse_date(&text).ok_or_else(|| D::Error::custom("not a date"))
}

/// A time of day, an empty text or null.
pub(crate) fn opt_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
    match Option::<String>::deserialize(from)? {
        Some(text) if !text.trim().is_empty() => instant::parse_time(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom("not a time of day")),
        _ => Ok(None),
    }
}

/// A value, or its default for null.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A boolean, also as the text `true`; anything else counts as false.
pub(crate) fn truthy<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::Bool(value) => value,
        serde_json::Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    })
}

/// The text of a string, number or boolean; `None` for anything else.
pub(crate) fn scalar_text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The number in a number or a string of digits.
pub(crate) fn scalar_number(value: &serde_json::Value) -> Option<u64> {
    match value {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}
