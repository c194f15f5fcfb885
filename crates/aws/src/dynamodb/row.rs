//! A row as attributes.
//!
//! What the engine stores is kept as one JSON text in `body`; attributes of their own have only what a
//! condition, an index, the TTL or a partial update needs. So a row reads back exactly as it was written
//! (sets, empty texts, nulls and 64-bit numbers included), a new optional field needs no mapping, and its
//! size is known before it is sent. The exception is the due row, which many hands update in parts.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_engine::ports::StoreError;

use super::keys::{self, IndexKey, Key};
use super::schema::TABLE;

/// A row's attributes.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The largest row that DynamoDB keeps.
pub(super) const ROW_BYTES_MAX: usize = 400 * 1024;

/// The attribute of a row's JSON.
pub(super) const BODY: &str = "body";

/// Makes a text attribute.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// Makes a number attribute.
pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Makes a time attribute.
pub(super) fn time(at: Timestamp) -> AttributeValue {
    text(keys::time(at))
}

/// Makes a list of texts.
pub(super) fn texts(values: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::L(values.into_iter().map(AttributeValue::S).collect())
}

/// Begins a row with nothing but its key.
pub(super) fn bare(key: &Key) -> Item {
    HashMap::from([
        (TABLE.partition_key.to_owned(), text(&key.pk)),
        (TABLE.sort_key.to_owned(), text(&key.sk)),
    ])
}

/// Makes a row with a body.
pub(super) fn with_body<T: Serialize>(key: &Key, body: &T) -> Result<Item, StoreError> {
    let mut item = bare(key);
    item.insert(BODY.to_owned(), body_of(key, body)?);
    Ok(item)
}

/// What a row keeps of some content: conditions can ask for exactly that.
pub(super) fn body_of<T: Serialize>(key: &Key, body: &T) -> Result<AttributeValue, StoreError> {
    Ok(text(json(key, body)?))
}

/// Adds the attributes of the index.
pub(super) fn indexed(mut item: Item, index: IndexKey) -> Item {
    item.insert(TABLE.index_partition_key.to_owned(), text(index.gpk));
    item.insert(TABLE.index_sort_key.to_owned(), text(index.gsk));
    item
}

/// Adds the moment after which the row may go.
pub(super) fn expiring(mut item: Item, at: Timestamp) -> Item {
    item.insert(TABLE.ttl.to_owned(), number(at.as_second()));
    item
}

/// Writes a body as JSON.
pub(super) fn json<T: Serialize>(key: &Key, body: &T) -> Result<String, StoreError> {
    serde_json::to_string(body)
        .map_err(|error| StoreError::Corrupt(format!("{key} cannot be written: {error}")))
}

/// Refuses a row that DynamoDB would refuse, by its name.
pub(super) fn check_size(item: &Item) -> Result<(), StoreError> {
    let bytes = size(item);
    if bytes <= ROW_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::TooLarge(format!(
        "{} would be {} KB, and the table keeps at most {} KB",
        name(item),
        bytes.div_ceil(1024),
        ROW_BYTES_MAX / 1024
    )))
}

/// Counts a row's bytes as DynamoDB does, or a little more.
pub(super) fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Names a row for an error.
pub(super) fn name(item: &Item) -> String {
    let part = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_s().ok())
            .map_or("?", String::as_str)
    };
    format!(
        "{} / {}",
        keys::unsaid(part(TABLE.partition_key)),
        part(TABLE.sort_key)
    )
}

/// Reads a row's body.
pub(super) fn body<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    parsed(item, BODY)
}

/// Reads an attribute that holds JSON.
pub(super) fn parsed<T: DeserializeOwned>(item: &Item, attribute: &str) -> Result<T, StoreError> {
    let text = required(item, attribute)?;
    // serde's own message may quote the value; the place is enough, and shows no worklog text.
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        corrupt(
            item,
            attribute,
            &format!("is not what it should be at line {line}, column {column}"),
        )
    })
}

/// Reads a text attribute that must be there.
pub(super) fn required<'a>(item: &'a Item, attribute: &str) -> Result<&'a str, StoreError> {
    optional(item, attribute)?.ok_or_else(|| corrupt(item, attribute, "is missing"))
}

/// Reads a text attribute.
pub(super) fn optional<'a>(item: &'a Item, attribute: &str) -> Result<Option<&'a str>, StoreError> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(corrupt(item, attribute, "is not a text")),
    }
}

/// Reads a time attribute.
pub(super) fn optional_time(item: &Item, attribute: &str) -> Result<Option<Timestamp>, StoreError> {
    optional(item, attribute)?
        .map(|text| {
            text.parse()
                .map_err(|_| corrupt(item, attribute, "is not a time"))
        })
        .transpose()
}

/// Reads a time attribute that must be there.
pub(super) fn required_time(item: &Item, attribute: &str) -> Result<Timestamp, StoreError> {
    optional_time(item, attribute)?.ok_or_else(|| corrupt(item, attribute, "is missing"))
}

/// Reads a number attribute; `None` when there is none.
pub(super) fn optional_number<N: std::str::FromStr>(
    item: &Item,
    attribute: &str,
) -> Result<Option<N>, StoreError> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => digits
            .parse()
            .map(Some)
            .map_err(|_| corrupt(item, attribute, "is out of range")),
        Some(_) => Err(corrupt(item, attribute, "is not a number")),
    }
}

/// Reads a list of texts; empty when there is none.
pub(super) fn list<'a>(item: &'a Item, attribute: &str) -> Result<Vec<&'a str>, StoreError> {
    match item.get(attribute) {
        None => Ok(Vec::new()),
        Some(AttributeValue::L(values)) => values
            .iter()
            .map(|value| {
                value
                    .as_s()
                    .map(String::as_str)
                    .map_err(|_| corrupt(item, attribute, "holds no text"))
            })
            .collect(),
        Some(_) => Err(corrupt(item, attribute, "is not a list")),
    }
}

/// Says whether a row's time is over. DynamoDB may take two days to remove it.
pub(super) fn is_expired(item: &Item, now: Timestamp) -> bool {
    let expires = item
        .get(TABLE.ttl)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok());
    expires.is_some_and(|second: i64| second <= now.as_second())
}

/// Reads a row's key.
pub(super) fn key(item: &Item) -> Result<Key, StoreError> {
    Ok(Key {
        pk: required(item, TABLE.partition_key)?.to_owned(),
        sk: required(item, TABLE.sort_key)?.to_owned(),
    })
}

/// A row whose attribute is not what it should be.
pub(super) fn corrupt(item: &Item, attribute: &str, what: &str) -> StoreError {
    StoreError::Corrupt(format!("{}: `{attribute}` {what}", name(item)))
}
