//! What is kept of a person who is to be forgotten, row by row.
//!
//! The ledger stays: ids, days, hours, billable hours, what was done and when. Who it was and what they wrote goes: the
//! account, the text, the time of day, attributes (one of them may hold free text), and what a site said of them.
//!
//! A pair that is alive keeps all of it: without what both sides last agreed on, the next look could not tell whose edit
//! is whose. It follows the sites by itself, so their worklogs are to be anonymised or deleted first.

use tandem_core::{AccountId, Content, Intent, Pair, PairState, Unmet};

use crate::ports::Grounds;
use crate::ports::store::{Announced, Announcement, HistoryRow};

/// What stands in place of an account and of a text.
pub const FORGOTTEN: &str = "forgotten";

/// What a site's own words follow, in the sentences of the history and of the queue.
const SAID: [&str; 2] = ["refused: ", "answered: "];

/// Says whether a text names an account: by itself, not as a part of another id.
pub fn mentions(text: &str, account: &AccountId) -> bool {
    places(text, account).next().is_some()
}

/// Returns the text with something else in place of the account.
pub fn replaced(text: &str, account: &AccountId, with: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut from = 0;
    for place in places(text, account) {
        told.push_str(&text[from..place]);
        told.push_str(with);
        from = place + account.as_str().len();
    }
    told.push_str(&text[from..]);
    told
}

fn places<'t>(text: &'t str, account: &'t AccountId) -> impl Iterator<Item = usize> + 't {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let account = account.as_str();
    text.match_indices(account)
        .map(|(place, _)| place)
        .filter(move |place| {
            let before = text[..*place].chars().next_back();
            let after = text[place + account.len()..].chars().next();
            !account.is_empty() && !before.is_some_and(is_inside) && !after.is_some_and(is_inside)
        })
}

/// Says whether a content tells of nobody any more.
pub fn is_forgotten(content: &Content) -> bool {
    content.author.as_str() == FORGOTTEN
}

/// Says whether a line of the history tells of nobody any more.
pub fn is_line_forgotten(line: &HistoryRow) -> bool {
    line.contents().all(is_forgotten)
        && line.lost.iter().all(|lost| lost.ends_with(FORGOTTEN))
        && said(&line.cause) == line.cause
}

/// Takes the person out of a line of the history. All contents go: each is another's rendering.
pub fn line(line: &mut HistoryRow, account: &AccountId) {
    let kept = line.grounds.iter_mut().flat_map(Grounds::contents_mut);
    for content in line.before.iter_mut().chain(&mut line.after).chain(kept) {
        forget(content);
    }
    for lost in &mut line.lost {
        let what = lost.split(": ").next().unwrap_or_default();
        *lost = format!("{what}: {FORGOTTEN}");
    }
    line.cause = replaced(&said(&line.cause), account, FORGOTTEN);
}

/// Takes the person out of a pair that nothing is done about any more: one that is not alive, or whose link is gone.
pub fn pair(pair: &mut Pair) {
    pair.base = None;
    pair.wait = None;
    pair.abandoned.clear();
    pair.decided = Unmet::default();
    if pair.state == PairState::Live {
        // Should its issues be linked again, this one would be carried on with.
        pair.intent = None;
    }
    if let Some(intent) = &mut pair.intent {
        forget_intent(intent);
    }
}

/// Returns the announced changes without those of the person, and without those of which nobody said whose they are: such a
/// one may hold the person's text. What goes with it costs delay at most: that Tempo is looked at again until it shows it.
pub fn announced(announced: &[Announcement], account: &AccountId) -> Vec<Announcement> {
    let others = |one: &&Announcement| match &one.what {
        Announced::Jira { author, .. } => author.as_ref().is_some_and(|author| author != account),
        Announced::Tempo { .. } | Announced::TempoDeleted { .. } | Announced::JiraDeleted { .. } => true,
    };
    announced.iter().filter(others).cloned().collect()
}

/// Takes the person out of a sentence of the queue.
pub fn detail(text: &str, account: &AccountId) -> String {
    replaced(&said(text), account, FORGOTTEN)
}

fn forget(content: &mut Content) {
    content.author = AccountId::new(FORGOTTEN);
    content.start_time = None;
    content.attributes.clear();
    if !content.description.is_empty() {
        content.description = FORGOTTEN.to_owned();
    }
}

fn forget_intent(intent: &mut Intent) {
    forget(&mut intent.body);
    for content in intent.source.iter_mut().chain(&mut intent.before) {
        forget(content);
    }
    intent.then = None;
    intent.waited = None;
}

/// Cuts a site's own words off: they may name or quote anybody.
fn said(text: &str) -> String {
    let cut = SAID
        .iter()
        .filter_map(|word| Some(text.find(word)? + word.len()))
        .min();
    match cut {
        Some(cut) => format!("{}{FORGOTTEN}", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_itself_and_not_inside_another() {
        let ann = AccountId::new("557058:a-1");
        for text in [
            "557058:a-1",
            "map = [[\"557058:a-1\", \"x\"]]",
            "account:557058:a-1.",
            "äö557058:a-1äö",
        ] {
            assert!(mentions(text, &ann), "{text}");
        }
        for text in ["", "557058:a-12", "557058:a-1-2", "1557058:a-1", "557058:a"] {
            assert!(!mentions(text, &ann), "{text}");
        }
        assert_eq!(
            replaced("557058:a-1 and 557058:a-12, 557058:a-1", &ann, "x"),
            "x and 557058:a-12, x"
        );
        assert!(!mentions("anything", &AccountId::new("")));
    }

    #[test]
    fn what_a_site_said_is_not_kept() {
        let ann = AccountId::new("ann");
        assert_eq!(
            detail("side b answered: Ann Archer (ann) may not", &ann),
            "side b answered: forgotten"
        );
        assert_eq!(
            detail("no account is known for author ann of side a", &ann),
            "no account is known for author forgotten of side a"
        );
    }
}
