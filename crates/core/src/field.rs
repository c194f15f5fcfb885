//! The fields that are merged, each by itself.

use std::fmt;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, Side};
use crate::render::{self, Unrenderable};
use crate::rules::{Lookups, Rules};
use crate::worklog::{Content, hours, same_text, told_differently};

/// A field that is kept the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Whose time it is.
    Author,
    /// The day.
    StartDate,
    /// The time of day.
    StartTime,
    /// The time worked.
    TimeSpent,
    /// The time billed.
    Billable,
    /// The text.
    Description,
    /// The mapped attribute of this number in the rules.
    Attribute(usize),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Value {
    Author(AccountId),
    Date(Date),
    Time(Option<Time>),
    Secs(u64),
    OptSecs(Option<u64>),
    Text(String),
    Attribute(Option<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Author(account) => account.fmt(f),
            Value::Date(date) => date.fmt(f),
            Value::Time(time) => time.map_or(Ok(()), |time| time.fmt(f)),
            Value::Secs(secs) => f.write_str(&hours(*secs)),
            Value::OptSecs(secs) => secs.map_or(Ok(()), |secs| f.write_str(&hours(secs))),
            Value::Text(text) => text.fmt(f),
            Value::Attribute(value) => f.write_str(value.as_deref().unwrap_or("none")),
        }
    }
}

impl Value {
    /// Says whether a value of the same field that stands now differs from this one. What a side does not tell does not.
    pub(crate) fn differs(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Author(left), Value::Author(right)) => {
                left != right && right.as_str() != render::UNKNOWN_USER
            }
            (Value::Time(left), Value::Time(right)) => told_differently(left, right),
            (Value::OptSecs(left), Value::OptSecs(right)) => told_differently(left, right),
            (Value::Text(left), Value::Text(right)) => !same_text(left, right),
            (left, right) => left != right,
        }
    }

    /// Says whether the value is there at all.
    pub(crate) fn is_told(&self) -> bool {
        !matches!(
            self,
            Value::Time(None) | Value::OptSecs(None) | Value::Attribute(None)
        )
    }
}

impl Field {
    /// Returns the field's name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Field::Author => "author",
            Field::StartDate => "start date",
            Field::StartTime => "start time",
            Field::TimeSpent => "time spent",
            Field::Billable => "billable",
            Field::Description => "description",
            Field::Attribute(_) => "attribute",
        }
    }

    /// Returns the fields that a connection keeps the same.
    pub(crate) fn all(rules: &Rules) -> impl Iterator<Item = Field> + use<> {
        const FIXED: [Field; 6] = [
            Field::Author,
            Field::StartDate,
            Field::StartTime,
            Field::TimeSpent,
            Field::Billable,
            Field::Description,
        ];
        FIXED
            .into_iter()
            .chain((0..rules.attributes.len()).map(Field::Attribute))
    }

    /// Reads the field on one side.
    pub(crate) fn of(self, side: Side, content: &Content, rules: &Rules) -> Value {
        match self {
            Field::Author => Value::Author(content.author.clone()),
            Field::StartDate => Value::Date(content.start_date),
            Field::StartTime => Value::Time(content.start_time),
            Field::TimeSpent => Value::Secs(content.time_spent_secs),
            Field::Billable => Value::OptSecs(content.billable_secs),
            Field::Description => Value::Text(content.description.clone()),
            Field::Attribute(index) => Value::Attribute(
                content
                    .attributes
                    .get(&rules.attributes[index].keys[side])
                    .cloned(),
            ),
        }
    }

    /// Says the field of one side as the other side would.
    pub(crate) fn rendered(
        self,
        from: Side,
        content: &Content,
        rules: &Rules,
        lookups: &Lookups,
    ) -> Result<Value, Unrenderable> {
        Ok(match self {
            Field::Author => Value::Author(
                render::author(from, &content.author, rules, lookups)?
                    .account()
                    .clone(),
            ),
            Field::Description => Value::Text(render::description(from, content, rules, lookups)),
            Field::Attribute(index) => {
                Value::Attribute(render::attribute(from, content, index, rules, lookups)?)
            }
            _ => self.of(from, content, rules),
        })
    }

    /// Writes the field on one side. A value that is not told leaves what is there.
    pub(crate) fn set(self, side: Side, content: &mut Content, rules: &Rules, value: Value) {
        match value {
            Value::Author(account) => content.author = account,
            Value::Date(date) => content.start_date = date,
            Value::Time(time) => content.start_time = time.or(content.start_time),
            Value::Secs(secs) => content.time_spent_secs = secs,
            Value::OptSecs(secs) => content.billable_secs = secs.or(content.billable_secs),
            Value::Text(text) => content.description = text,
            Value::Attribute(value) => {
                if let Field::Attribute(index) = self {
                    let key = &rules.attributes[index].keys[side];
                    match value {
                        Some(value) => content.attributes.insert(key.clone(), value),
                        None => content.attributes.remove(key),
                    };
                }
            }
        }
    }

    /// Copies the field from one content of a side to another of the same side, told or not.
    pub(crate) fn copy(self, side: Side, from: &Content, to: &mut Content, rules: &Rules) {
        match self {
            // Who is not told any more is still who it was.
            Field::Author if from.author.as_str() == render::UNKNOWN_USER => {}
            Field::StartTime => to.start_time = from.start_time,
            Field::Billable => to.billable_secs = from.billable_secs,
            _ => self.set(side, to, rules, self.of(side, from, rules)),
        }
    }
}

/// Says whether any kept field of one side differs.
pub fn changed(side: Side, before: &Content, now: &Content, rules: &Rules) -> bool {
    Field::all(rules).any(|field| field.of(side, before, rules).differs(&field.of(side, now, rules)))
}
