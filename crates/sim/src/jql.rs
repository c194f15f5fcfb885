//! The little JQL that the simulated Jira understands.
//!
//! `project`, `key`, `id` and `labels` with `=`, `!=`, `in` and `not in`; `cf[N]` or `customfield_N` with `~`, `=`,
//! `is EMPTY` and `is not EMPTY`; AND, OR, NOT and parentheses. Everything else is an error, as a misspelt field
//! is in Jira.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::site::{Issue, Project};

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Jql {
    And(Box<Jql>, Box<Jql>),
    Or(Box<Jql>, Box<Jql>),
    Not(Box<Jql>),
    OneOf(Field, Vec<String>),
    Contains(Field, String),
    Empty(Field),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Project,
    Key,
    Label,
    Custom(String),
}

impl Jql {
    /// Reads a query; the error is what Jira would say.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        // The order makes no difference to what matches; results come by id anyway.
        let end = lower.find("order by").unwrap_or(text.len());
        let mut parser = Parser {
            tokens: tokens(&text[..end])?,
            at: 0,
        };
        let query = parser.or()?;
        match parser.peek() {
            None => Ok(query),
            Some(token) => Err(format!(
                "Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{token}'."
            )),
        }
    }

    /// Says whether an issue matches.
    pub(crate) fn matches(&self, issue: &Issue, projects: &BTreeMap<u64, Project>) -> bool {
        match self {
            Self::And(a, b) => a.matches(issue, projects) && b.matches(issue, projects),
            Self::Or(a, b) => a.matches(issue, projects) || b.matches(issue, projects),
            Self::Not(inner) => !inner.matches(issue, projects),
            Self::OneOf(field, wanted) => {
                let values = field.values(issue, projects);
                wanted
                    .iter()
                    .any(|w| values.iter().any(|v| v.eq_ignore_ascii_case(w)))
            }
            Self::Contains(field, text) => {
                let text = text.to_lowercase();
                field
                    .values(issue, projects)
                    .iter()
                    .any(|value| value.to_lowercase().contains(&text))
            }
            Self::Empty(field) => field.values(issue, projects).iter().all(String::is_empty),
        }
    }

    /// Returns the projects the query names, so that an unknown one can be refused.
    pub(crate) fn projects(&self) -> Vec<&str> {
        match self {
            Self::And(a, b) | Self::Or(a, b) => [a.projects(), b.projects()].concat(),
            Self::Not(inner) => inner.projects(),
            Self::OneOf(Field::Project, wanted) => wanted.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl Field {
    fn values(&self, issue: &Issue, projects: &BTreeMap<u64, Project>) -> Vec<String> {
        match self {
            Self::Project => {
                let key = projects.get(&issue.project).map(|project| project.key.clone());
                vec![issue.project.to_string(), key.unwrap_or_default()]
            }
            Self::Key => vec![issue.id.to_string(), issue.key.clone()],
            Self::Label => issue.labels.clone(),
            Self::Custom(id) => match issue.fields.get(id) {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::String(text)) => vec![text.clone()],
                Some(other) => vec![other.to_string()],
            },
        }
    }
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| "Error in the JQL Query: The query ended unexpectedly.".to_owned())
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.eq_ignore_ascii_case(word));
        if found {
            self.at += 1;
        }
        found
    }

    fn or(&mut self) -> Result<Jql, String> {
        let mut left = self.and()?;
        while self.accept("or") {
            left = Jql::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Jql, String> {
        let mut left = self.clause()?;
        while self.accept("and") {
            left = Jql::And(Box::new(left), Box::new(self.clause()?));
        }
        Ok(left)
    }

    fn clause(&mut self) -> Result<Jql, String> {
        if self.accept("not") {
            return Ok(Jql::Not(Box::new(self.clause()?)));
        }
        if self.accept("(") {
            let inner = self.or()?;
            return if self.accept(")") {
                Ok(inner)
            } else {
                Err("Error in the JQL Query: Expecting ')'.".into())
            };
        }
        let name = self.next()?;
        let field = field(&name).ok_or_else(|| {
            format!("Field '{name}' does not exist or you do not have permission to view it.")
        })?;
        let operator = self.next()?.to_lowercase();
        match operator.as_str() {
            "=" => Ok(Jql::OneOf(field, vec![self.value()?])),
            "!=" => Ok(Jql::Not(Box::new(Jql::OneOf(field, vec![self.value()?])))),
            "~" => Ok(Jql::Contains(field, self.value()?)),
            "in" => Ok(Jql::OneOf(field, self.list()?)),
            "not" if self.accept("in") => Ok(Jql::Not(Box::new(Jql::OneOf(field, self.list()?)))),
            "is" => {
                let negated = self.accept("not");
                if !(self.accept("empty") || self.accept("null")) {
                    return Err("Error in the JQL Query: Expecting 'EMPTY' after 'is'.".into());
                }
                let empty = Jql::Empty(field);
                Ok(if negated { Jql::Not(Box::new(empty)) } else { empty })
            }
            other => Err(format!(
                "Error in the JQL Query: The operator '{other}' is not supported here."
            )),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let token = self.next()?;
        Ok(token.trim_matches(['"', '\'']).to_owned())
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.accept("(") {
            return Err("Error in the JQL Query: Expecting '(' after 'in'.".into());
        }
        let mut values = vec![self.value()?];
        while self.accept(",") {
            values.push(self.value()?);
        }
        if self.accept(")") {
            Ok(values)
        } else {
            Err("Error in the JQL Query: Expecting ')'.".into())
        }
    }
}

fn field(name: &str) -> Option<Field> {
    let name = name.trim_matches('"').to_lowercase();
    if let Some(number) = name.strip_prefix("cf[").and_then(|rest| rest.strip_suffix(']')) {
        return Some(Field::Custom(format!("customfield_{number}")));
    }
    match name.as_str() {
        "project" => Some(Field::Project),
        "key" | "issuekey" | "issue" | "id" => Some(Field::Key),
        "labels" => Some(Field::Label),
        custom if custom.starts_with("customfield_") => Some(Field::Custom(custom.to_owned())),
        _ => None,
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let end = rest[1..].find(first).ok_or_else(|| {
                    "Error in the JQL Query: The quoted string has not been completed.".to_owned()
                })?;
                end + 2
            }
            '(' | ')' | ',' | '=' | '~' => 1,
            '!' if rest.starts_with("!=") => 2,
            _ => rest
                .find(|c: char| c.is_whitespace() || "(),=~!\"'".contains(c))
                .unwrap_or(rest.len())
                .max(1),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::Jql;

    #[test]
    fn what_is_not_understood_is_an_error() {
        for good in [
            "project = SUP",
            "project in (SUP, \"DEV\") AND cf[10042] is not EMPTY ORDER BY key",
            "key in (SUP-1, SUP-2) or id = 10001",
            "cf[10042] ~ \"DEV-9\"",
            "not (labels = x)",
        ] {
            assert!(Jql::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "projekt = SUP",
            "project = SUP and",
            "project SUP",
            "key in SUP-1",
            "key = \"SUP",
            "a b c",
        ] {
            assert!(Jql::parse(bad).is_err(), "{bad}");
        }
    }
}
