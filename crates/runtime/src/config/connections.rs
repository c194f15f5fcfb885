//! `[[connections]]`: two sites and what is agreed between them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use tandem_core::rules::Rules;
use tandem_core::{ConnectionName, Side, Sides, SiteName};

use super::document::{Table, Value};
use super::links::{self, LinksConfig};
use super::nearest::nearest;
use super::rules;
use super::sites::{NAME_RIGHT, is_name};

const KEYS: [&str; 9] = [
    "name",
    "a",
    "b",
    "since",
    "scope",
    "links",
    "authors",
    "attributes",
    "policy",
];
const EXAMPLE: &str =
    "write [[connections]] with name = \"acme-globex\", a = \"acme\" and b = \"globex\" below it";
pub(super) const SIDES_RIGHT: &str =
    "a text for each side, like { a = \"…\", b = \"…\" }; either may be left out";

/// Two sites and what is agreed between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Its name.
    pub name: ConnectionName,
    /// The two sites; never the same.
    pub sites: Sides<SiteName>,
    /// Worklogs dated earlier are left alone. `None`: the day that the connection first ran.
    pub since: Option<Date>,
    /// JQL that an issue has to match. `None`: every linked issue.
    pub scope: Sides<Option<String>>,
    /// Where an issue's twin is found.
    pub links: LinksConfig,
    /// People, attributes and conflicts.
    pub rules: Rules,
    /// The brake on mass deletes.
    pub mass_delete: MassDelete,
}

impl ConnectionConfig {
    /// Returns which side a site is on, if it is in this connection.
    pub fn side_of(&self, site: &SiteName) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.sites[*side] == *site)
    }
}

/// How many proven deletes within which time are too many to be carried out unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassDelete {
    /// The most that are carried out.
    pub max: usize,
    /// The time within which they are counted.
    pub within: Duration,
}

impl Default for MassDelete {
    fn default() -> Self {
        Self {
            max: 20,
            within: Duration::from_secs(60 * 60),
        }
    }
}

/// Reads all connections. `sites` are the names that exist.
pub(super) fn read(root: &Table<'_>, sites: &[&str]) -> Vec<ConnectionConfig> {
    let Some(value) = root.need("the file", "connections", EXAMPLE) else {
        return Vec::new();
    };
    let Some(items) = value.list(EXAMPLE) else {
        return Vec::new();
    };
    if items.is_empty() {
        value.wrong("there is no connection", EXAMPLE);
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut connections = Vec::new();
    for table in items.into_iter().filter_map(|item| item.table(EXAMPLE)) {
        table.only("[[connections]]", &KEYS);
        let name = table
            .need("a connection", "name", NAME_RIGHT)
            .and_then(|value| read_name(value, &mut names));
        let pair = read_sites(&table, sites);
        let since = table.get("since").and_then(Value::date);
        let scope = table
            .get("scope")
            .map(|value| read_sides(value, "scope"))
            .unwrap_or_default();
        let links = links::read(&table);
        let (rules, mass_delete) = rules::read(&table);
        if let (Some(name), Some(sites)) = (name, pair) {
            connections.push(ConnectionConfig {
                name,
                sites,
                since,
                scope,
                links,
                rules,
                mass_delete,
            });
        }
    }
    connections
}

/// Reads a text for each side; an empty one is none.
pub(super) fn read_sides(value: Value<'_>, title: &str) -> Sides<Option<String>> {
    let Some(table) = value.table(SIDES_RIGHT) else {
        return Sides::default();
    };
    table.only(&format!("`{title}`"), &["a", "b"]);
    Sides::from_fn(|side| {
        let text = table.get(side.as_str())?.text(SIDES_RIGHT)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    })
}

fn read_name<'t>(value: Value<'t>, names: &mut BTreeMap<&'t str, usize>) -> Option<ConnectionName> {
    let name = value.text(NAME_RIGHT)?;
    if !is_name(name) {
        value.wrong(format!("`{name}` cannot be the name of a connection"), NAME_RIGHT);
        return None;
    }
    if let Some(line) = names.get(name) {
        value.wrong(
            format!("two connections are called `{name}`, the first on line {line}"),
            "give each connection a name of its own",
        );
        return None;
    }
    names.insert(name, value.problems().line_of(value));
    Some(ConnectionName::new(name))
}

fn read_sites(table: &Table<'_>, sites: &[&str]) -> Option<Sides<SiteName>> {
    let right = match sites {
        [] => "write the name of a site, and the site itself under [sites.NAME]".to_owned(),
        sites => format!("the sites are: {}", sites.join(", ")),
    };
    let read = |side: Side| {
        let value = table.need("a connection", side.as_str(), &right)?;
        let name = value.text(&right)?;
        if !sites.contains(&name) {
            let near = nearest(name, sites)
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            value.wrong(format!("there is no site `{name}`"), near + &right);
            return None;
        }
        Some((value, name))
    };
    let (a, b) = (read(Side::A), read(Side::B));
    let ((_, a), (value, b)) = (a?, b?);
    if a == b {
        value.wrong(
            format!("`a` and `b` are both `{a}`"),
            format!("a connection has two different sites; {right}"),
        );
        return None;
    }
    Some(Sides::new(SiteName::new(a), SiteName::new(b)))
}
