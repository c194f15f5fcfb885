//! `[connections.authors]`, `[connections.attributes]` and `[connections.policy]`.

use std::collections::BTreeMap;

use tandem_core::rules::{
    AttributeRule, ConflictPolicy, DeletePolicy, DeleteVsEdit, Policy, Rules, UnknownAuthor,
};
use tandem_core::{AccountId, Side, Sides};

use super::connections::MassDelete;
use super::document::{Table, Value};

/// The longest account id that Atlassian gives out.
const ACCOUNT_BYTES_MAX: usize = 128;
const AUTHORS_RIGHT: &str =
    "rows of two account ids, A's and B's, like map = [[\"5f0a-on-acme\", \"60c1-on-globex\"]]";
const UNKNOWN_RIGHT: &str = "park | account:<accountId of the target site>";
const ATTRIBUTE_RIGHT: &str = "entries like { a = \"_Account_\", b = \"_Customer_\", values = [[\"ACME1\", \"GLX7\"]] }; `values` may be left out";
const DEFAULT_RIGHT: &str =
    "a value for each attribute of a side, like default = { b = { \"_Activity_\" = \"Support\" } }";
const MASS_DELETE_RIGHT: &str = "a count and a time, like mass_delete = { max = 20, within = \"1h\" }";

/// Reads what a connection says about people, attributes and conflicts.
pub(super) fn read(connection: &Table<'_>) -> (Rules, MassDelete) {
    let mut rules = Rules::default();
    let mut mass_delete = MassDelete::default();
    if let Some(table) = part(connection, "authors", &["map", "unknown"]) {
        rules.authors = table.get("map").map(read_authors).unwrap_or_default();
        rules.unknown_author = table.get("unknown").and_then(read_unknown).unwrap_or_default();
    }
    if let Some(table) = part(connection, "attributes", &["map", "default"]) {
        rules.attributes = table.get("map").map(read_attributes).unwrap_or_default();
        rules.defaults = table.get("default").map(read_defaults).unwrap_or_default();
    }
    if let Some(table) = part(
        connection,
        "policy",
        &["conflict", "delete", "delete_vs_edit", "mass_delete"],
    ) {
        rules.policy = read_policy(&table);
        mass_delete = table.get("mass_delete").map(read_mass_delete).unwrap_or_default();
    }
    (rules, mass_delete)
}

fn part<'t>(connection: &Table<'t>, key: &'static str, known: &[&str]) -> Option<Table<'t>> {
    let table = connection
        .get(key)?
        .table(&format!("write [connections.{key}], and the keys below it"))?;
    table.only(&format!("[connections.{key}]"), known);
    Some(table)
}

fn read_authors(value: Value<'_>) -> Vec<(AccountId, AccountId)> {
    let mut authors = Vec::new();
    let mut seen: Sides<BTreeMap<&str, (&str, usize)>> = Sides::default();
    for row in value.list(AUTHORS_RIGHT).unwrap_or_default() {
        let Some((a, b)) = row.pair(AUTHORS_RIGHT) else {
            continue;
        };
        if let Some(wrong) = [a, b].into_iter().find(|text| !is_account(text)) {
            row.wrong(format!("`{wrong}` is not an account id"), AUTHORS_RIGHT);
            continue;
        }
        let line = row.problems().line_of(row);
        for (side, account, other) in [(Side::A, a, b), (Side::B, b, a)] {
            let Some((first, line)) = seen[side].insert(account, (other, line)) else {
                continue;
            };
            row.wrong(
                format!(
                    "`{account}` on side {side} is mapped twice: to `{first}` (line {line}) and to `{other}`"
                ),
                "a person has one account on each side; keep one of the rows",
            );
            break;
        }
        authors.push((AccountId::new(a), AccountId::new(b)));
    }
    authors
}

fn read_unknown(value: Value<'_>) -> Option<UnknownAuthor> {
    let text = value.text(UNKNOWN_RIGHT)?;
    match (text, text.strip_prefix("account:")) {
        ("park", _) => Some(UnknownAuthor::Park),
        (_, Some(account)) if is_account(account) => Some(UnknownAuthor::Account(AccountId::new(account))),
        (_, Some(_)) => {
            value.wrong("there is no account id after `account:`", UNKNOWN_RIGHT);
            None
        }
        _ => {
            value.wrong(
                format!("`{text}` is not a word that `unknown` knows"),
                UNKNOWN_RIGHT,
            );
            None
        }
    }
}

fn is_account(text: &str) -> bool {
    (1..=ACCOUNT_BYTES_MAX).contains(&text.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn read_attributes(value: Value<'_>) -> Vec<AttributeRule> {
    let mut rules = Vec::new();
    let mut seen: Sides<BTreeMap<&str, usize>> = Sides::default();
    for item in value.list(ATTRIBUTE_RIGHT).unwrap_or_default() {
        let Some(table) = item.table(ATTRIBUTE_RIGHT) else {
            continue;
        };
        table.only("an entry of `map`", &["a", "b", "values"]);
        let mut key = |side: Side| {
            let value = table.need("an entry of `map`", side.as_str(), ATTRIBUTE_RIGHT)?;
            let key = value.words(ATTRIBUTE_RIGHT)?;
            if let Some(line) = seen[side].insert(key, value.problems().line_of(value)) {
                value.wrong(
                    format!(
                        "the attribute `{key}` of side {side} is mapped twice, the first time on line {line}"
                    ),
                    "map each attribute of a side once; several values go into one entry's `values`",
                );
            }
            Some(key.to_owned())
        };
        let (a, b) = (key(Side::A), key(Side::B));
        let rows = table
            .get("values")
            .and_then(|value| value.list(ATTRIBUTE_RIGHT))
            .unwrap_or_default();
        let values = rows
            .into_iter()
            .filter_map(|row| row.pair(ATTRIBUTE_RIGHT))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        if let (Some(a), Some(b)) = (a, b) {
            rules.push(AttributeRule {
                keys: Sides::new(a, b),
                values,
            });
        }
    }
    rules
}

fn read_defaults(value: Value<'_>) -> Sides<BTreeMap<String, String>> {
    let Some(table) = value.table(DEFAULT_RIGHT) else {
        return Sides::default();
    };
    table.only("`default`", &["a", "b"]);
    Sides::from_fn(|side| {
        let values = table
            .get(side.as_str())
            .and_then(|value| value.table(DEFAULT_RIGHT));
        values
            .iter()
            .flat_map(Table::entries)
            .filter_map(|(key, _, value)| Some((key.to_owned(), value.words(DEFAULT_RIGHT)?.to_owned())))
            .collect()
    })
}

fn read_policy(table: &Table<'_>) -> Policy {
    let defaults = Policy::default();
    let conflict = table.get("conflict").and_then(|value| {
        value.choice(&[
            ("newest", ConflictPolicy::Newest),
            ("a", ConflictPolicy::Side(Side::A)),
            ("b", ConflictPolicy::Side(Side::B)),
            ("park", ConflictPolicy::Park),
        ])
    });
    let delete = table.get("delete").and_then(|value| {
        value.choice(&[
            ("mirror", DeletePolicy::Mirror),
            ("keep", DeletePolicy::Keep),
            ("park", DeletePolicy::Park),
        ])
    });
    let delete_vs_edit = table.get("delete_vs_edit").and_then(|value| {
        value.choice(&[
            ("edit", DeleteVsEdit::Edit),
            ("delete", DeleteVsEdit::Delete),
            ("park", DeleteVsEdit::Park),
        ])
    });
    Policy {
        conflict: conflict.unwrap_or(defaults.conflict),
        delete: delete.unwrap_or(defaults.delete),
        delete_vs_edit: delete_vs_edit.unwrap_or(defaults.delete_vs_edit),
    }
}

fn read_mass_delete(value: Value<'_>) -> MassDelete {
    let defaults = MassDelete::default();
    let Some(table) = value.table(MASS_DELETE_RIGHT) else {
        return defaults;
    };
    table.only("`mass_delete`", &["max", "within"]);
    MassDelete {
        max: table
            .get("max")
            .and_then(|value| value.count(MASS_DELETE_RIGHT))
            .unwrap_or(defaults.max),
        within: table
            .get("within")
            .and_then(Value::duration)
            .unwrap_or(defaults.within),
    }
}
