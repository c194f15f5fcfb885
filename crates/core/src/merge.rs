//! The three-way merge of one pair of twins.
//!
//! The base holds both sides' renderings, so "changed on A" is a comparison of A with A. What crosses over is
//! rendered for the other side; what did not change is not touched, mapped or not.

use jiff::Timestamp;

use crate::field::{Field, Value};
use crate::ids::{AccountId, Side, Sides};
use crate::pair::Intent;
use crate::reason::Reason;
use crate::render::{self, Author, Unrenderable};
use crate::rules::{ConflictPolicy, Lookups, Rules};
use crate::worklog::{Content, same_text};

/// What a merge comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What each side should say.
    pub contents: Sides<Content>,
    /// Fields that cross, by the side that they come from.
    pub crossing: Sides<Vec<Field>>,
    /// Fields that both sides changed to what means the same.
    pub agreed: Vec<Field>,
    /// Values that lost a conflict.
    pub lost: Vec<Lost>,
}

/// A value that lost a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The field.
    pub field: Field,
    /// The side that it stood on.
    pub side: Side,
    /// What it was, for the history.
    pub value: String,
}

impl Merged {
    /// Says whether one side has to be written.
    pub fn writes(&self, side: Side) -> bool {
        !self.crossing[side.other()].is_empty()
    }

    /// Says whether nothing has to be written.
    pub fn is_quiet(&self) -> bool {
        Side::BOTH.iter().all(|side| !self.writes(*side))
    }
}

/// Merges what both sides say now with what they last agreed on.
///
/// Without a base (two worklogs that were found to be twins), a value that only one side has crosses over, and
/// different values are a conflict.
///
/// `edited` tells when a person last changed each side; `decided` are updates that were to settle this and had no effect.
///
/// # Errors
/// A value that has to cross but cannot be said on the other side, or a conflict that the policy parks.
pub fn merge(
    base: Option<&Sides<Content>>,
    now: &Sides<Content>,
    edited: &Sides<Timestamp>,
    decided: &[&Intent],
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Merged, Unrenderable> {
    // Another policy asks neither who was first nor what was decided before.
    let decided = |field| match rules.policy.conflict {
        ConflictPolicy::Newest => decided.iter().find(|decided| decided.is_about(field, rules)),
        ConflictPolicy::Side(_) | ConflictPolicy::Park => None,
    };
    let mut merged = Merged {
        contents: now.clone(),
        crossing: Sides::default(),
        agreed: Vec::new(),
        lost: Vec::new(),
    };
    for field in Field::all(rules) {
        let values = Sides::from_fn(|side| field.of(side, &now[side], rules));
        let changed = Sides::from_fn(|side| match base {
            Some(base) if field == Field::Description && is_unsigned(side, base, now, rules) => false,
            Some(base) => field.of(side, &base[side], rules).differs(&values[side]),
            None => values[side].is_told(),
        });
        // Either value counts then, also one that was set back to what both sides had agreed on.
        let decided = decided(field);
        let from = match (changed.a, changed.b) {
            _ if decided.is_some() => None,
            (false, false) => continue,
            (true, false) => Some(Side::A),
            (false, true) => Some(Side::B),
            (true, true) => None,
        };
        let from = match from {
            Some(side) => side,
            None if mean_the_same(field, now, rules, lookups) => {
                merged.agreed.push(field);
                continue;
            }
            None if base.is_none() && field == Field::Author && one_stands_for_the_other(now, rules) => {
                merged.agreed.push(field);
                continue;
            }
            None => {
                let winner = match decided.and_then(|one| one.winner(field, &values, edited, rules)) {
                    Some(side) => side,
                    None => settle(field, &values, edited, rules)?,
                };
                let loser = winner.other();
                if changed[loser] {
                    merged.lost.push(Lost {
                        field,
                        side: loser,
                        value: values[loser].to_string(),
                    });
                }
                winner
            }
        };
        let to = from.other();
        if let (Field::Attribute(index), false) = (field, values[from].is_told()) {
            still_defined(from, &rules.attributes[index].keys[from], lookups)?;
        }
        let value = match field {
            Field::Description => {
                let author = &merged.contents[to].author;
                Value::Text(text(from, base, now, author, rules, lookups))
            }
            field => field.rendered(from, &now[from], rules, lookups)?,
        };
        // Where somebody is not told any more, it is still who it was.
        let hidden = matches!(&values[to], Value::Author(author) if author.as_str() == render::UNKNOWN_USER);
        let present = match base.filter(|_| hidden) {
            Some(base) => &field.of(to, &base[to], rules),
            None => &values[to],
        };
        if value.differs(present) {
            merged.crossing[from].push(field);
            field.set(to, &mut merged.contents[to], rules, value);
        } else {
            // Also how a crash between writing and remembering heals.
            merged.agreed.push(field);
        }
    }
    if let Some(base) = base {
        sign_anew(base, now, &mut merged, rules, lookups);
    }
    Ok(merged)
}

/// Returns what a side's worklog is to say that is made anew: what it said when both last agreed, with what the other side
/// changed since. Saying all of the other side's anew would lose what the two may rightly say differently.
///
/// # Errors
/// As [`merge`].
pub(crate) fn again(
    side: Side,
    base: &Sides<Content>,
    source: &Content,
    rules: &Rules,
    lookups: &Lookups,
) -> Result<Content, Unrenderable> {
    let mut now = base.clone();
    now[side.other()] = source.clone();
    let nobody = Sides::new(Timestamp::MIN, Timestamp::MIN);
    let mut content = merge(Some(base), &now, &nobody, &[], rules, lookups)?.contents[side].clone();
    let from = side.other();
    // Whoever it was for both, and is to be another there by now, may be so with their name in front.
    if base.a.author == base.b.author
        && source.author.as_str() != render::UNKNOWN_USER
        && let Ok(author) = render::author(from, &source.author, rules, lookups)
        && *author.account() != content.author
    {
        content.author = author.account().clone();
        content.description = described(from, base, source, rules, lookups);
    }
    let others = |field: &Field| !matches!(field, Field::Author | Field::Description);
    for field in Field::all(rules).filter(others) {
        let said = Sides::from_fn(|side| field.of(side, &base[side], rules));
        let lacks = match field {
            Field::Attribute(index) => {
                // What was only filled in on the other side, nobody entered.
                let key = &rules.attributes[index].keys[from];
                let filled = render::default(from, key, rules, lookups);
                let is_filled = filled.is_some()
                    && filled.as_ref() == source.attributes.get(key)
                    && filled.as_ref() == base[from].attributes.get(key);
                !field.of(side, &content, rules).is_told() && !is_filled
            }
            _ => false,
        };
        // Word for word what the other side says is what a site had kept of its own, see `created`. And what was not
        // mapped when both agreed may be by now.
        if (said.a == said.b || lacks)
            && let Ok(value) = field.rendered(from, source, rules, lookups)
        {
            field.set(side, &mut content, rules, value);
        }
    }
    content.start_time = content.start_time.or(source.start_time);
    content.billable_secs = content.billable_secs.or(source.billable_secs);
    render::fill(side, &mut content, rules, lookups);
    Ok(content)
}

/// Says the text of a side's worklog on the other side, where it is to be another author's there.
pub(crate) fn described(
    from: Side,
    base: &Sides<Content>,
    source: &Content,
    rules: &Rules,
    lookups: &Lookups,
) -> String {
    match stands_for_none(from, base, source, rules) {
        true => render::signed(from, source, "", rules, lookups),
        false => render::description(from, source, rules, lookups),
    }
}

/// Says whether a side's text is what its site puts where there is none: both agreed on it, and the other side has none.
fn stands_for_none(from: Side, base: &Sides<Content>, now: &Content, rules: &Rules) -> bool {
    let has_none = |content: &Content| render::own_text(content, rules).trim().is_empty();
    has_none(&base[from.other()])
        && !has_none(&base[from])
        && same_text(&base[from].description, &now.description)
}

/// Returns what a side's worklog said when both last agreed, with what the other side changed since: of its own hours, days,
/// texts. Authors and attributes, which have to be looked up to be said on another side, stay as they were agreed on.
pub fn since(side: Side, base: &Sides<Content>, last: &Content, rules: &Rules) -> Content {
    let from = side.other();
    let mut content = base[side].clone();
    let plain = |field: &Field| !matches!(field, Field::Author | Field::Attribute(_));
    for field in Field::all(rules).filter(plain) {
        let changed = field
            .of(from, last, rules)
            .differs(&field.of(from, &base[from], rules));
        if changed && let Ok(value) = field.rendered(from, last, rules, &Lookups::default()) {
            field.set(side, &mut content, rules, value);
        }
    }
    content
}

/// Says one side's text as the other would, which has it of `author`: with the name in front where that is a fallback
/// account, and without one that was put in front of it before.
fn text(
    from: Side,
    base: Option<&Sides<Content>>,
    now: &Sides<Content>,
    author: &AccountId,
    rules: &Rules,
    lookups: &Lookups,
) -> String {
    if let Some(text) = base.and_then(|base| with_its_name(from, base, now, rules)) {
        return text;
    }
    let own = match base {
        Some(base) if name(from, base, rules).is_none() => unsigned(from, base, now, rules, lookups),
        _ => render::own_text(&now[from], rules),
    };
    match rules.fallback() {
        Some(fallback) if fallback == author => render::signed(from, &now[from], own, rules, lookups),
        _ => own.to_string(),
    }
}

/// A side's text, of which the base does not show that a name was put in front: it may have been, where one of the two
/// texts was decided on since. Texts of an account that is a person's, too, may begin with brackets of their own.
fn unsigned<'n>(
    side: Side,
    base: &Sides<Content>,
    now: &'n Sides<Content>,
    rules: &Rules,
    lookups: &Lookups,
) -> &'n str {
    let (other, text) = (side.other(), now[side].description.as_str());
    let author = render::author(other, &base[other].author, rules, lookups);
    let is_its_own = matches!(author, Ok(Author::Account(account)) if account == base[side].author);
    let own = render::own_text(&now[side], rules);
    let bracket = text.strip_suffix(own).unwrap_or_default().trim_end();
    match is_its_own || base[other].description.starts_with(bracket) {
        true => text,
        false => own,
    }
}

/// Where the author has changed, who stands in front of the text of a fallback account is another one now, or nobody.
fn sign_anew(
    base: &Sides<Content>,
    now: &Sides<Content>,
    merged: &mut Merged,
    rules: &Rules,
    lookups: &Lookups,
) {
    if rules.fallback().is_none() {
        return;
    }
    let crosses = |from: Side| merged.crossing[from].contains(&Field::Author);
    let is_another = |side: Side| !stays(side, base, now);
    let from = match (crosses(Side::A), crosses(Side::B)) {
        (true, _) => Side::A,
        (_, true) => Side::B,
        _ => match (is_another(Side::A), is_another(Side::B)) {
            (true, false) => Side::A,
            (false, true) => Side::B,
            _ => return,
        },
    };
    let to = from.other();
    // The text as it is to be there, whichever side it comes from.
    let mut said = now.clone();
    said[from] = merged.contents[from].clone();
    if stands_for_none(from, base, &said[from], rules) {
        said[from].description.clear();
    }
    let new = text(
        from,
        Some(base),
        &said,
        &merged.contents[to].author,
        rules,
        lookups,
    );
    let is_signed =
        name(to, base, rules).is_some() || render::name_in_front(&new, &said[from].description).is_some();
    if !is_signed || same_text(&new, &merged.contents[to].description) {
        return;
    }
    // Where the text itself goes the other way, each of the two writes settles what it carries: this one, who it is.
    let field = match merged.crossing[to].contains(&Field::Description) {
        true => Field::Author,
        false => Field::Description,
    };
    merged.agreed.retain(|agreed| *agreed != field);
    let crossing = &mut merged.crossing[from];
    if !crossing.contains(&field) {
        crossing.push(field);
    }
    merged.contents[to].description = new;
}

/// Says whether somebody took the name away that was put in front of a side's text, and changed nothing else in it.
fn is_unsigned(side: Side, base: &Sides<Content>, now: &Sides<Content>, rules: &Rules) -> bool {
    let own = name(side, base, rules).and_then(|name| base[side].description.strip_prefix(name));
    own.is_some_and(|own| same_text(own, &now[side].description))
}

fn stays(side: Side, base: &Sides<Content>, now: &Sides<Content>) -> bool {
    let author = |content: &Content| Value::Author(content.author.clone());
    !author(&base[side]).differs(&author(&now[side]))
}

/// The name that was put in front of a side's text, as both sides last agreed. Words that the other site puts where there
/// is no text are not among it.
fn name<'b>(side: Side, base: &'b Sides<Content>, rules: &Rules) -> Option<&'b str> {
    let other = side.other();
    let text = match stands_for_none(other, base, &base[other], rules) {
        true => "",
        false => &base[other].description,
    };
    render::name_in_front(&base[side].description, text)
}

/// Says one side's text as the other would, where one of the two stands under a fallback account with its author's name in
/// front: as long as that author stays, so does the name, whoever is known by now. `None` where there is no such name.
fn with_its_name(from: Side, base: &Sides<Content>, now: &Sides<Content>, rules: &Rules) -> Option<String> {
    let all_stay = Side::BOTH.into_iter().all(|side| stays(side, base, now));
    if base.a.author == base.b.author || !all_stay {
        return None;
    }
    let text = now[from].description.as_str();
    if let Some(name) = name(from.other(), base, rules) {
        return Some(render::behind(name, text));
    }
    let rest = text.strip_prefix(name(from, base, rules)?)?;
    Some(rest.strip_prefix(' ').unwrap_or(rest).to_string())
}

/// Refuses to take a value for cleared when the site has no such attribute any more: whoever removed a definition meant the
/// site's own worklogs, and not what the other site says.
fn still_defined(side: Side, key: &str, lookups: &Lookups) -> Result<(), Unrenderable> {
    if lookups.defined[side]
        .as_ref()
        .is_none_or(|defined| defined.contains_key(key))
    {
        return Ok(());
    }
    Err(Unrenderable {
        reason: Reason::AttributeUnmapped,
        detail: format!(
            "side {side} has no attribute {key} any more, so its value is not cleared on side {}; take it out of [connections.attributes], or bring it back",
            side.other()
        ),
    })
}

/// Says whether one of two twins that were just found is under the fallback account: another connection wrote it for
/// somebody, who is nobody else for it.
fn one_stands_for_the_other(now: &Sides<Content>, rules: &Rules) -> bool {
    let fallback = rules.fallback();
    (fallback == Some(&now.a.author)) != (fallback == Some(&now.b.author))
}

/// Says whether a field means the same on both sides. Mappings may lose something, so either direction counts.
pub(crate) fn mean_the_same(field: Field, now: &Sides<Content>, rules: &Rules, lookups: &Lookups) -> bool {
    if field == Field::Description && same_text(&now.a.description, &now.b.description) {
        return true;
    }
    Side::BOTH.into_iter().any(|from| {
        let theirs = field.of(from.other(), &now[from.other()], rules);
        field
            .rendered(from, &now[from], rules, lookups)
            .is_ok_and(|value| !value.differs(&theirs))
    })
}

/// Returns the names of the fields that do not mean the same on both sides.
pub fn differing(now: &Sides<Content>, rules: &Rules, lookups: &Lookups) -> Vec<&'static str> {
    Field::all(rules)
        .filter(|field| !mean_the_same(*field, now, rules, lookups))
        .map(Field::name)
        .collect()
}

/// Returns the sides that no longer say what both had agreed on, in fields that do not mean the same on both.
pub fn changed(base: &Sides<Content>, now: &Sides<Content>, rules: &Rules, lookups: &Lookups) -> Vec<Side> {
    let apart: Vec<Field> = Field::all(rules)
        .filter(|field| !mean_the_same(*field, now, rules, lookups))
        .collect();
    let has_changed = |side: &Side| {
        let said = |contents: &Sides<Content>, field: &Field| field.of(*side, &contents[*side], rules);
        apart
            .iter()
            .any(|field| said(base, field).differs(&said(now, field)))
    };
    Side::BOTH.into_iter().filter(has_changed).collect()
}

fn settle(
    field: Field,
    values: &Sides<Value>,
    edited: &Sides<Timestamp>,
    rules: &Rules,
) -> Result<Side, Unrenderable> {
    match rules.policy.conflict {
        ConflictPolicy::Side(side) => Ok(side),
        // Tempo's times have whole seconds at worst. On a tie the greater value wins: it does not matter which
        // side it stands on, so that both directions, and every site of a ring, come to the same answer.
        ConflictPolicy::Newest => {
            let key = |side: Side| (edited[side].as_second(), &values[side]);
            Ok(if key(Side::A) >= key(Side::B) {
                Side::A
            } else {
                Side::B
            })
        }
        ConflictPolicy::Park => Err(Unrenderable {
            reason: Reason::Conflict,
            detail: format!("both sides changed the {field}, and the policy is to ask a person"),
        }),
    }
}

/// Returns the base after some fields were agreed on.
///
/// `now` is what each side says (for a side just written: what the site answered). Fields not named keep their
/// old base, so that a change still to be carried over is seen again. Where there was no base, there is none
/// until all fields are agreed on.
pub fn agree(
    base: Option<&Sides<Content>>,
    now: &Sides<Content>,
    fields: impl Fn(Field) -> bool,
    rules: &Rules,
) -> Option<Sides<Content>> {
    let Some(base) = base else {
        return Field::all(rules).all(fields).then(|| now.clone());
    };
    let mut next = base.clone();
    for side in Side::BOTH {
        // What is not kept the same is remembered as it stands.
        next[side].attributes.clone_from(&now[side].attributes);
    }
    for field in Field::all(rules) {
        let agreed = if fields(field) { now } else { base };
        for side in Side::BOTH {
            field.copy(side, &agreed[side], &mut next[side], rules);
        }
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::content;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn merged(base: &Content, a: &Content, b: &Content, rules: &Rules) -> Result<Merged, Unrenderable> {
        merge(
            Some(&Sides::new(base.clone(), base.clone())),
            &Sides::new(a.clone(), b.clone()),
            &Sides::new(at(10), at(20)),
            &[],
            rules,
            &Lookups::default(),
        )
    }

    #[test]
    fn edits_of_different_fields_on_both_sides_are_both_kept() {
        let base = content("ann", "standup");
        let (mut a, mut b) = (base.clone(), base.clone());
        a.time_spent_secs = 900;
        b.description = "standup, late".into();
        let merged = merged(&base, &a, &b, &Rules::default()).unwrap();
        for side in Side::BOTH {
            assert_eq!(merged.contents[side].time_spent_secs, 900);
            assert_eq!(merged.contents[side].description, "standup, late");
        }
        assert!(merged.lost.is_empty());
    }

    #[test]
    fn non_billable_is_a_value_that_crosses() {
        let base = content("ann", "");
        let mut a = base.clone();
        a.billable_secs = Some(0);
        let merged = merged(&base, &a, &base, &Rules::default()).unwrap();
        assert_eq!(merged.contents.b.billable_secs, Some(0));
    }

    #[test]
    fn the_same_field_edited_on_both_sides_goes_to_the_newest_and_the_loser_is_kept() {
        let base = content("ann", "");
        let (mut a, mut b) = (base.clone(), base.clone());
        a.time_spent_secs = 60;
        b.time_spent_secs = 120;
        let merged = merged(&base, &a, &b, &Rules::default()).unwrap();
        assert_eq!(merged.contents.a.time_spent_secs, 120);
        assert_eq!(
            merged.lost,
            [Lost {
                field: Field::TimeSpent,
                side: Side::A,
                value: "1m".into()
            }]
        );
    }

    #[test]
    fn the_same_change_on_both_sides_needs_no_write_and_no_policy() {
        let base = content("ann", "");
        let mut a = base.clone();
        a.description = "x".into();
        let mut rules = Rules::default();
        rules.policy.conflict = ConflictPolicy::Park;
        let merged = merged(&base, &a, &a, &rules).unwrap();
        assert!(merged.is_quiet());
        assert_eq!(merged.agreed, [Field::Description]);
    }

    #[test]
    fn attributes_that_are_not_mapped_stay_on_their_side() {
        let base = content("ann", "");
        let (mut a, mut b) = (base.clone(), base.clone());
        a.attributes.insert("_Local_".into(), "1".into());
        a.time_spent_secs = 60;
        b.attributes.insert("_Other_".into(), "2".into());
        let merged = merged(&base, &a, &b, &Rules::default()).unwrap();
        assert_eq!(merged.contents.b.attributes, b.attributes);
    }
}
