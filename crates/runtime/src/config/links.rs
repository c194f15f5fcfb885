//! `[connections.links]`: where an issue's twin is found.

use std::collections::BTreeMap;

use tandem_core::{Side, Sides};

use super::connections::read_sides;
use super::document::{Table, Value};

const WORDS: [(&str, LinkSource); 3] = [
    ("table", LinkSource::Table),
    ("remote-link", LinkSource::RemoteLink),
    ("field", LinkSource::Field),
];
const TABLE_RIGHT: &str =
    "rows of two issues, A's and B's, as keys or ids, like table = [[\"SUP-1\", \"DEV-9\"]]";
const FROM_RIGHT: &str = "a list of: table | remote-link | field, like from = [\"table\", \"field\"]";

/// Where an issue's twin is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinksConfig {
    /// The places, in the order in which they are asked; never empty.
    pub from: Vec<LinkSource>,
    /// Pairs of issues, A's and B's, as keys or ids.
    pub table: Vec<(String, String)>,
    /// The custom field on each side that holds the twin's key or URL.
    pub field: Sides<Option<String>>,
}

impl Default for LinksConfig {
    fn default() -> Self {
        Self {
            from: WORDS.map(|(_, source)| source).into(),
            table: Vec::new(),
            field: Sides::default(),
        }
    }
}

/// A place where an issue's twin is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkSource {
    /// The pairs of issues in the configuration, and those added by hand.
    Table,
    /// Jira's own remote links.
    RemoteLink,
    /// A custom field.
    Field,
}

pub(super) fn read(connection: &Table<'_>) -> LinksConfig {
    let mut links = LinksConfig::default();
    let table = connection
        .get("links")
        .and_then(|v| v.table("write [connections.links], and the keys below it"));
    let Some(table) = table else { return links };
    table.only("[connections.links]", &["from", "table", "field"]);
    if let Some(value) = table.get("from") {
        links.from = read_from(value);
    }
    if let Some(value) = table.get("table") {
        links.table = read_table(value);
    }
    let field = table.get("field");
    if let Some(value) = field {
        links.field = read_sides(value, "field");
    }
    if let (Some(from), None, [LinkSource::Field]) = (table.get("from"), field, links.from.as_slice()) {
        from.wrong(
            "`from` names the custom field alone, and none is given, so that no issue would ever have a twin",
            "name it, like field = { a = \"customfield_10042\", b = \"customfield_10077\" }",
        );
    }
    links
}

fn read_from(value: Value<'_>) -> Vec<LinkSource> {
    let mut from = Vec::new();
    let Some(items) = value.list(FROM_RIGHT) else {
        return from;
    };
    for item in &items {
        let Some(source) = item.choice(&WORDS) else {
            continue;
        };
        if from.contains(&source) {
            item.wrong(
                "`from` names the same place twice",
                "name each place once, the first to be asked first",
            );
        }
        from.push(source);
    }
    if items.is_empty() {
        value.wrong(
            "`from` is empty, so that no issue would ever have a twin",
            FROM_RIGHT,
        );
    }
    from
}

fn read_table(value: Value<'_>) -> Vec<(String, String)> {
    let mut table = Vec::new();
    let mut seen: Sides<BTreeMap<String, (String, usize)>> = Sides::default();
    for row in value.list(TABLE_RIGHT).unwrap_or_default() {
        let Some((a, b)) = row.pair_of(TABLE_RIGHT, |item| item.issue(TABLE_RIGHT)) else {
            continue;
        };
        if let Some(wrong) = [&a, &b].into_iter().find(|text| !is_issue(text)) {
            row.wrong(
                format!("`{wrong}` is neither the key nor the id of an issue"),
                TABLE_RIGHT,
            );
            continue;
        }
        let line = row.problems().line_of(row);
        for (side, issue, twin) in [(Side::A, &a, &b), (Side::B, &b, &a)] {
            let Some((first, line)) = seen[side].insert(issue.to_ascii_uppercase(), (twin.clone(), line))
            else {
                continue;
            };
            row.wrong(
                format!("`{issue}` on side {side} has two twins: `{first}` (line {line}) and `{twin}`"),
                "in a connection an issue has at most one twin; keep one of the rows",
            );
            break;
        }
        table.push((a, b));
    }
    table
}

/// Returns whether a text can be an issue's key (`SUP-1`) or id (`10042`).
fn is_issue(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_project = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    is_number(text)
        || text
            .split_once('-')
            .is_some_and(|(project, number)| is_project(project) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_a_key_or_an_id() {
        for text in ["SUP-1", "S2_X-99", "10042", "sup-1"] {
            assert!(is_issue(text), "{text}");
        }
        for text in [
            "",
            "SUP",
            "SUP-",
            "-1",
            "1-1",
            "SUP-1-2",
            "https://acme.atlassian.net/browse/SUP-1",
            "SUP-x",
            "S P-1",
        ] {
            assert!(!is_issue(text), "{text}");
        }
    }
}
