//! One side's worklog as the other side would say it.
//!
//! Rendering is one named step: pure, with everything it rests on as an argument.

use std::collections::BTreeMap;

use crate::ids::{AccountId, Side};
use crate::reason::Reason;
use crate::rules::{Lookups, Rules, UnknownAuthor};
use crate::worklog::Content;

/// A value that cannot be said on the other side, with what a person has to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrenderable {
    /// The reason code.
    pub reason: Reason,
    /// What is missing.
    pub detail: String,
}

/// Tempo's stand-in for an author whose identity is not available.
pub const UNKNOWN_USER: &str = "__tempo-io__unknown_user";

/// How an author is said on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// As this account.
    Account(AccountId),
    /// As the fallback account, with this name in the text.
    Fallback(AccountId, String),
}

impl Author {
    /// Returns the account that the worklog gets.
    pub fn account(&self) -> &AccountId {
        match self {
            Author::Account(account) | Author::Fallback(account, _) => account,
        }
    }
}

/// Finds the account on the other side: explicit map, then what was looked up, then the same account.
///
/// An account id is the same person on every site, so using it unseen can fail but cannot be wrong; the lookup
/// is made once the site has refused it. Display names never decide.
pub fn author(
    from: Side,
    account: &AccountId,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Author, Unrenderable> {
    if let Some(mapped) = rules.mapped(from, account) {
        return Ok(Author::Account(mapped.clone()));
    }
    let person = lookups.people[from].get(account);
    let known_absent = person.is_some_and(|person| person.other.is_none());
    if let Some(other) = person.and_then(|person| person.other.as_ref()) {
        return Ok(Author::Account(other.clone()));
    }
    if !known_absent && account.as_str() != UNKNOWN_USER {
        return Ok(Author::Account(account.clone()));
    }
    match &rules.unknown_author {
        UnknownAuthor::Account(fallback) => {
            let name = person
                .and_then(|person| person.display_name.clone())
                .unwrap_or_else(|| account.to_string());
            Ok(Author::Fallback(fallback.clone(), name))
        }
        UnknownAuthor::Park => Err(Unrenderable {
            reason: Reason::AuthorUnmapped,
            detail: format!(
                "no account on side {} is known for author {account} of side {from}",
                from.other()
            ),
        }),
    }
}

/// Says the text on the other side: a fallback author's name is put in front, and taken away on the way back.
pub fn description(from: Side, content: &Content, rules: &Rules, lookups: &Lookups) -> String {
    signed(from, content, own_text(content, rules), rules, lookups)
}

/// A text of this worklog on the other side, where a fallback author's name stands in front.
pub(crate) fn signed(from: Side, content: &Content, text: &str, rules: &Rules, lookups: &Lookups) -> String {
    match author(from, &content.author, rules, lookups) {
        Ok(Author::Fallback(_, name)) => named(&name, text),
        _ => text.to_string(),
    }
}

fn named(name: &str, text: &str) -> String {
    // `]` would end the name too early on the way back.
    behind(&format!("[{}]", name.replace(['[', ']'], " ")), text)
}

/// Puts a name in its brackets in front of a text.
pub(crate) fn behind(name: &str, text: &str) -> String {
    if text.is_empty() {
        name.to_string()
    } else {
        format!("{name} {text}")
    }
}

/// The name, in its brackets, that a text begins with and is otherwise this one.
pub(crate) fn name_in_front<'t>(text: &'t str, otherwise: &str) -> Option<&'t str> {
    let front = text.trim().strip_suffix(otherwise.trim())?;
    let name = front.trim_end();
    (name.starts_with('[') && name.find(']') == Some(name.len() - 1)).then_some(name)
}

/// The text without what stands in brackets in front of it, which may be a name that was put there.
pub(crate) fn nameless(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((_, rest)) => rest.trim_start(),
        None => text,
    }
}

/// The text without the name that a fallback author's text begins with. Not every bracket is one: that account may be a
/// person's, with texts of their own.
pub(crate) fn own_text<'c>(content: &'c Content, rules: &Rules) -> &'c str {
    let text = content.description.as_str();
    if rules.fallback() != Some(&content.author) || !text.starts_with('[') {
        return text;
    }
    match text.split_once(']') {
        Some((_, rest)) => rest.strip_prefix(' ').unwrap_or(rest),
        None => text,
    }
}

/// Says the value of the mapped attribute number `rule` on the other side; `None` when it has none there.
pub fn attribute(
    from: Side,
    content: &Content,
    rule: usize,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Option<String>, Unrenderable> {
    let to = from.other();
    let rule = &rules.attributes[rule];
    let Some(value) = content.attributes.get(&rule.keys[from]) else {
        return Ok(default(to, &rule.keys[to], rules, lookups));
    };
    let shown = |side: Side, value: &str| -> Option<String> {
        lookups.names[side]
            .get(&rule.keys[side])
            .and_then(|names| names.get(value))
            .cloned()
    };
    let stored = |side: Side, name: &str| stored(side, &rule.keys[side], name, lookups);
    let name = shown(from, value);
    // The map may be written with stored values or with the names that people see.
    for (a, b) in &rule.values {
        let (ours, theirs) = if from == Side::A { (a, b) } else { (b, a) };
        if ours == value || name.as_ref() == Some(ours) {
            return Ok(Some(stored(to, theirs).unwrap_or_else(|| theirs.clone())));
        }
    }
    if let Some(name) = &name
        && !lookups.names[to]
            .get(&rule.keys[to])
            .is_none_or(|names| names.is_empty())
    {
        // Static lists store an id of their own on each site: only the name can be the same.
        return stored(to, name)
            .map(Some)
            .ok_or_else(|| unmapped(from, &rule.keys[from]));
    }
    if rule.values.is_empty() {
        Ok(Some(value.clone()))
    } else {
        Err(unmapped(from, &rule.keys[from]))
    }
}

/// The value that a side stores for one that is written as it is stored, or as people see it.
fn stored(side: Side, key: &str, name: &str, lookups: &Lookups) -> Option<String> {
    let names = lookups.names[side].get(key)?;
    if names.contains_key(name) {
        return Some(name.to_string());
    }
    let mut names = names.iter();
    names
        .find(|(_, shown)| *shown == name)
        .map(|(value, _)| value.clone())
}

pub(crate) fn default(to: Side, key: &str, rules: &Rules, lookups: &Lookups) -> Option<String> {
    let value = rules.defaults[to].get(key)?;
    Some(stored(to, key, value, lookups).unwrap_or_else(|| value.clone()))
}

/// Gives a worklog of a side the configured values of attributes that it lacks.
pub(crate) fn fill(side: Side, content: &mut Content, rules: &Rules, lookups: &Lookups) {
    for key in rules.defaults[side].keys() {
        if let (false, Some(value)) = (
            content.attributes.contains_key(key),
            default(side, key, rules, lookups),
        ) {
            content.attributes.insert(key.clone(), value);
        }
    }
}

fn unmapped(from: Side, key: &str) -> Unrenderable {
    Unrenderable {
        reason: Reason::AttributeUnmapped,
        detail: format!(
            "the value of attribute {key} on side {from} has no counterpart on side {} in [connections.attributes]",
            from.other()
        ),
    }
}

/// Says a whole worklog on the other side, as a new one there.
pub fn whole(
    from: Side,
    content: &Content,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Content, Unrenderable> {
    let to = from.other();
    let mut attributes = BTreeMap::new();
    for (index, rule) in rules.attributes.iter().enumerate() {
        if let Some(value) = attribute(from, content, index, rules, lookups)? {
            attributes.insert(rule.keys[to].clone(), value);
        }
    }
    let mut whole = Content {
        author: author(from, &content.author, rules, lookups)?.account().clone(),
        start_date: content.start_date,
        start_time: content.start_time,
        time_spent_secs: content.time_spent_secs,
        billable_secs: content.billable_secs,
        description: signed(from, content, &content.description, rules, lookups),
        attributes,
    };
    fill(to, &mut whole, rules, lookups);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{AttributeRule, Person};
    use crate::testing::content;

    #[test]
    fn an_author_is_mapped_then_looked_up_then_taken_as_the_same_account() {
        let rules = Rules {
            authors: vec![("ann-a".into(), "ann-b".into())],
            ..Rules::default()
        };
        let mut lookups = Lookups::default();
        lookups.people.a.insert(
            "bob-a".into(),
            Person {
                other: Some("bob-b".into()),
                display_name: None,
            },
        );
        let say = |from, who: &str| {
            author(from, &who.into(), &rules, &lookups)
                .unwrap()
                .account()
                .to_string()
        };
        assert_eq!(say(Side::A, "ann-a"), "ann-b");
        assert_eq!(say(Side::B, "ann-b"), "ann-a");
        assert_eq!(say(Side::A, "bob-a"), "bob-b");
        assert_eq!(say(Side::A, "eve"), "eve");
    }

    #[test]
    fn an_author_without_an_account_waits_or_goes_to_the_fallback_with_the_name_in_the_text() {
        let mut rules = Rules::default();
        let mut lookups = Lookups::default();
        lookups.people.a.insert(
            "eve".into(),
            Person {
                other: None,
                display_name: Some("Eve [x] Moor".into()),
            },
        );
        let worklog = content("eve", "debugging");
        assert_eq!(
            whole(Side::A, &worklog, &rules, &lookups).unwrap_err().reason,
            Reason::AuthorUnmapped
        );

        rules.unknown_author = UnknownAuthor::Account("robot".into());
        let there = whole(Side::A, &worklog, &rules, &lookups).unwrap();
        assert_eq!(
            (there.author.as_str(), there.description.as_str()),
            ("robot", "[Eve  x  Moor] debugging")
        );
        assert_eq!(description(Side::B, &there, &rules, &lookups), "debugging");
    }

    #[test]
    fn an_unknown_value_of_a_mapped_attribute_is_never_guessed() {
        let rules = Rules {
            attributes: vec![AttributeRule {
                keys: crate::Sides::new("_Account_".into(), "_Customer_".into()),
                values: vec![("ACME1".into(), "GLX7".into())],
            }],
            ..Rules::default()
        };
        let mut worklog = content("ann", "");
        worklog.attributes.insert("_Account_".into(), "ACME1".into());
        let say = |worklog: &Content| attribute(Side::A, worklog, 0, &rules, &Lookups::default());
        assert_eq!(say(&worklog).unwrap().as_deref(), Some("GLX7"));
        worklog.attributes.insert("_Account_".into(), "ACME2".into());
        assert_eq!(say(&worklog).unwrap_err().reason, Reason::AttributeUnmapped);
    }

    #[test]
    fn static_list_values_cross_by_the_name_that_people_see() {
        let rules = Rules {
            attributes: vec![AttributeRule {
                keys: crate::Sides::new("_Kind_".into(), "_Kind_".into()),
                values: vec![],
            }],
            ..Rules::default()
        };
        let mut lookups = Lookups::default();
        lookups.names.a.insert(
            "_Kind_".into(),
            [("uuid-1".to_string(), "Travel".to_string())].into(),
        );
        lookups.names.b.insert(
            "_Kind_".into(),
            [("uuid-9".to_string(), "Travel".to_string())].into(),
        );
        let mut worklog = content("ann", "");
        worklog.attributes.insert("_Kind_".into(), "uuid-1".into());
        assert_eq!(
            attribute(Side::A, &worklog, 0, &rules, &lookups)
                .unwrap()
                .as_deref(),
            Some("uuid-9")
        );
    }
}
