//! Walks the parsed document, noting each mistake with its place.
//!
//! A reader that meets a mistake notes it in [`Problems`] and returns `None`, and its caller goes on, so that
//! one attempt finds them all.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{ConfigError, Draft, line_of};
use super::nearest::nearest;

/// How many mistakes are listed; more help nobody.
const PROBLEMS_MAX: usize = 20;

/// What a line that may hold a secret tends to contain.
const SECRET_WORDS: [&str; 4] = ["secret", "token", "password", "@"];

/// The mistakes found so far, and what must not be shown of the text.
pub(super) struct Problems<'t> {
    text: &'t str,
    drafts: RefCell<Vec<Draft>>,
    hidden: RefCell<Vec<Range<usize>>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            drafts: RefCell::default(),
            hidden: RefCell::default(),
        }
    }

    /// Notes a mistake.
    pub(super) fn note(&self, span: Range<usize>, message: impl Into<String>, right: impl Into<String>) {
        self.note_at(None, span, message, right);
    }

    /// Notes a mistake at one of our own keys.
    fn note_at(
        &self,
        key: Option<&'static str>,
        span: Range<usize>,
        message: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.drafts.borrow_mut().push(Draft {
            span,
            key,
            message: message.into(),
            right: right.into(),
        });
    }

    /// Keeps a value from being shown, with all that is in it: of dotted keys, the value has the key's place.
    fn hide(&self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(map) => map.values().for_each(|value| self.hide(value)),
            DeValue::Array(items) => items.iter().for_each(|value| self.hide(value)),
            _ => self.hidden.borrow_mut().push(value.span()),
        }
    }

    /// Notes that the text is not TOML. There is no tree then that tells where secrets are, so the values of
    /// lines that look like holding one are hidden.
    pub(super) fn syntax(&self, error: &toml::de::Error) {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if sounds_secret(line) {
                let value = line.find('=').map_or(0, |at| at + 1);
                self.hidden
                    .borrow_mut()
                    .push(start + value..start + line.trim_end().len().max(value));
            }
            start += line.len();
        }
        let right = match error.message() {
            "duplicate key" => "write each key, and each [table], once",
            _ => {
                "the file is TOML: key = \"text in quotes\", key = 5, [table], [[list of tables]]; see https://toml.io"
            }
        };
        self.note(error.span().unwrap_or(0..0), error.message(), right);
    }

    /// Returns whether there are mistakes.
    pub(super) fn any(&self) -> bool {
        !self.drafts.borrow().is_empty()
    }

    /// Returns the number of the line that a value is on.
    pub(super) fn line_of(&self, value: Value<'_>) -> usize {
        line_of(self.text, value.span().start)
    }

    /// Lists the mistakes in the file's order.
    pub(super) fn into_error(self, file: &str) -> ConfigError {
        let mut drafts = self.drafts.into_inner();
        drafts.sort_by_key(|draft| draft.span.start);
        let more = drafts.len().saturating_sub(PROBLEMS_MAX);
        drafts.truncate(PROBLEMS_MAX);
        let hidden = self.hidden.into_inner();
        let problems = drafts
            .into_iter()
            .map(|draft| draft.locate(file, self.text, &hidden))
            .collect();
        ConfigError::Invalid { problems, more }
    }
}

/// A value in the document, with the key that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Value<'t> {
    key: &'t str,
    /// The key, where it is one of our own: whoever wrote the text may have made others of people's names.
    own: Option<&'static str>,
    value: &'t Spanned<DeValue<'t>>,
    problems: &'t Problems<'t>,
}

impl<'t> Value<'t> {
    /// Returns where it is.
    pub(super) fn span(self) -> Range<usize> {
        self.value.span()
    }

    /// Returns where mistakes are noted.
    pub(super) fn problems(self) -> &'t Problems<'t> {
        self.problems
    }

    /// Notes that this value is wrong.
    pub(super) fn wrong(self, message: impl Into<String>, right: impl Into<String>) {
        self.problems.note_at(self.own, self.span(), message, right);
    }

    /// Keeps this value from being shown.
    pub(super) fn hide(self) {
        self.problems.hide(self.value);
    }

    /// Reads a text.
    pub(super) fn text(self, right: &str) -> Option<&'t str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type("text in quotes", right),
        }
    }

    /// Reads a text that says something: not empty, and without blanks around it.
    pub(super) fn words(self, right: &str) -> Option<&'t str> {
        let text = self.text(right)?;
        if text.is_empty() || text.trim() != text {
            let what = if text.trim().is_empty() {
                "is empty"
            } else {
                "has blanks around it"
            };
            self.wrong(format!("`{}` {what}", self.key), right);
            return None;
        }
        Some(text)
    }

    /// Reads one of the words of a choice.
    pub(super) fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let right = format!("one of: {}", words.join(" | "));
        let text = self.text(&right)?;
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*chosen);
        }
        self.wrong(
            format!("`{text}` is not a word that `{}` knows", self.key),
            suggest(text, &words, &right),
        );
        None
    }

    /// Reads a length of time that is one.
    pub(super) fn duration(self) -> Option<std::time::Duration> {
        self.duration_since_none(super::duration::RIGHT)
    }

    /// Reads a length of time that is one; `since_none` says what comes of none at all.
    pub(super) fn duration_since_none(self, since_none: &str) -> Option<std::time::Duration> {
        let duration = self.duration_or_none()?;
        if duration.is_zero() {
            self.wrong(format!("`{}` is no time at all", self.key), since_none);
            return None;
        }
        Some(duration)
    }

    /// Reads a length of time, which may be none at all.
    pub(super) fn duration_or_none(self) -> Option<std::time::Duration> {
        let text = self.text(super::duration::RIGHT)?;
        match super::duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.wrong(message, super::duration::RIGHT);
                None
            }
        }
    }

    /// Reads a number, whole or not.
    pub(super) fn number(self, right: &str) -> Option<f64> {
        let number = match self.value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => return self.wrong_type("a number", right),
        };
        if number.is_none() {
            self.wrong(format!("`{}` is not a number that can be used", self.key), right);
        }
        number
    }

    /// Reads a count: a whole number that is not negative.
    pub(super) fn count(self, right: &str) -> Option<usize> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.wrong_type("a whole number", right);
        };
        let count = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        if count.is_none() {
            self.wrong(format!("`{}` is not a count", self.key), right);
        }
        count
    }

    /// Reads a day, in quotes or as TOML's own date.
    pub(super) fn date(self) -> Option<jiff::civil::Date> {
        const RIGHT: &str = "a day that exists, as year-month-day, like \"2026-01-01\"";
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            _ => return self.wrong_type("a day", RIGHT),
        };
        // The parser also takes other spellings and drops a time of day, so the text has to come back.
        let date = text
            .parse::<jiff::civil::Date>()
            .ok()
            .filter(|date| date.to_string() == text);
        if date.is_none() {
            self.wrong(format!("`{text}` is not a day"), RIGHT);
        }
        date
    }

    /// Reads a list.
    pub(super) fn list(self, right: &str) -> Option<Vec<Value<'t>>> {
        match self.value.get_ref() {
            DeValue::Array(items) => Some(
                items
                    .iter()
                    .map(|value| Value {
                        value,
                        key: self.key,
                        own: self.own,
                        problems: self.problems,
                    })
                    .collect(),
            ),
            _ => self.wrong_type("a list", right),
        }
    }

    /// Reads an issue's key or id; an id may be a number as well. Whether it can be one is not looked at.
    pub(super) fn issue(self, right: &str) -> Option<String> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.words(right).map(str::to_owned);
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(id) => Some(id.to_string()),
            Err(_) => {
                self.wrong(format!("`{integer}` is not the id of an issue"), right);
                None
            }
        }
    }

    /// Reads a list of two texts that say something.
    pub(super) fn pair(self, right: &str) -> Option<(&'t str, &'t str)> {
        self.pair_of(right, |item| item.words(right))
    }

    /// Reads a list of two things.
    pub(super) fn pair_of<T>(self, right: &str, read: impl Fn(Self) -> Option<T>) -> Option<(T, T)> {
        let items = match self.value.get_ref() {
            DeValue::Array(_) => self.list(right)?,
            _ => {
                self.wrong(
                    format!(
                        "a row of `{}` is {}, where a pair is needed",
                        self.key,
                        self.kind()
                    ),
                    right,
                );
                return None;
            }
        };
        let [a, b] = items[..] else {
            self.wrong(
                format!(
                    "a row of `{}` is a list of {}, where a pair is needed",
                    self.key,
                    items.len()
                ),
                right,
            );
            return None;
        };
        let (a, b) = (read(a), read(b));
        Some((a?, b?))
    }

    /// Reads a table.
    pub(super) fn table(self, right: &str) -> Option<Table<'t>> {
        match self.value.get_ref() {
            DeValue::Table(map) => Some(Table {
                map,
                span: self.span(),
                problems: self.problems,
            }),
            _ => self.wrong_type("a table", right),
        }
    }

    fn wrong_type<T>(self, expected: &str, right: &str) -> Option<T> {
        self.wrong(
            format!("`{}` is {}, where {expected} is needed", self.key, self.kind()),
            right,
        );
        None
    }

    fn kind(self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

/// A table in the document.
#[derive(Clone)]
pub(super) struct Table<'t> {
    map: &'t DeTable<'t>,
    span: Range<usize>,
    problems: &'t Problems<'t>,
}

impl<'t> Table<'t> {
    /// Begins at the top of the document.
    pub(super) fn root(map: &'t DeTable<'t>, problems: &'t Problems<'t>) -> Self {
        Self {
            map,
            span: 0..0,
            problems,
        }
    }

    /// Returns where it is: its header or its braces.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns where mistakes are noted.
    pub(super) fn problems(&self) -> &'t Problems<'t> {
        self.problems
    }

    /// Notes each key that is not known here. `title` is how the table is called.
    pub(super) fn only(&self, title: &str, known: &[&str]) {
        self.strangers(title, known, false);
    }

    /// As [`Table::only`], and hides the values of unknown keys: a token may have been written there.
    pub(super) fn only_hiding(&self, title: &str, known: &[&str]) {
        self.strangers(title, known, true);
    }

    fn strangers(&self, title: &str, known: &[&str], hide: bool) {
        for (key, value) in self
            .map
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
        {
            let word = key.get_ref();
            let all = format!("the keys of {title} are: {}", known.join(", "));
            self.problems.note(
                key.span(),
                format!("unknown key `{word}` in {title}"),
                suggest(word, known, &all),
            );
            if hide || sounds_secret(word) {
                self.problems.hide(value);
            }
        }
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, own: &'static str) -> Option<Value<'t>> {
        let (key, value) = self.map.get_key_value(own)?;
        Some(Value {
            key: key.get_ref(),
            own: Some(own),
            value,
            problems: self.problems,
        })
    }

    /// Returns the value of a key that has to be there.
    pub(super) fn need(&self, title: &str, key: &'static str, right: &str) -> Option<Value<'t>> {
        let value = self.get(key);
        if value.is_none() {
            self.problems
                .note_at(Some(key), self.span(), format!("{title} has no `{key}`"), right);
        }
        value
    }

    /// Returns all keys, each with where it is, and their values.
    pub(super) fn entries(&self) -> Vec<(&'t str, Range<usize>, Value<'t>)> {
        let problems = self.problems;
        self.map
            .iter()
            .map(|(key, value)| {
                (
                    key.get_ref().as_ref(),
                    key.span(),
                    Value {
                        key: key.get_ref(),
                        own: None,
                        value,
                        problems,
                    },
                )
            })
            .collect()
    }
}

fn sounds_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

fn suggest(word: &str, known: &[&str], otherwise: &str) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`? {otherwise}"),
        None => otherwise.to_owned(),
    }
}
