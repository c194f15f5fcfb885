//! What a line of the history rests on: what both sides said, what they last agreed on, and the policy that decided.
//!
//! Mostly that is what stands in the line anyway, as `before` or `after`. So it is kept as a word that says so, and a
//! line grows by little more than what is new in it.

use serde::{Deserialize, Serialize};
use tandem_core::{Content, Side, Sides};

use super::store::HistoryRow;

/// Characters of a text that are kept here. The whole text stands in `before` or `after`, or in the pair.
const TEXT_CHARS_MAX: usize = 2_000;

/// What a decision rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grounds {
    /// What each side said when it was decided; `None` where nothing was seen.
    #[serde(default)]
    seen: Sides<Option<Told>>,
    /// What they had last agreed on; `None` when they never had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Sides<Told>>,
    /// The policy that decided, where one did, as it is written in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A content, or where it stands in the same line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    /// It is the line's `before`.
    Before,
    /// It is the line's `after`.
    After,
    /// It is what was seen on the same side.
    Seen,
    /// It is this.
    Says(Box<Content>),
}

impl Grounds {
    /// Notes what a decision rests on, for a line with this `before` and `after`.
    pub fn of(
        (before, after): (Option<&Content>, Option<&Content>),
        seen: Sides<Option<&Content>>,
        base: Option<&Sides<Content>>,
        policy: Option<String>,
    ) -> Self {
        let told = |content: &Content, seen: Option<&Content>| match Some(content) {
            same if same == before => Told::Before,
            same if same == after => Told::After,
            same if same == seen => Told::Seen,
            _ => Told::Says(Box::new(cut(content))),
        };
        Self {
            seen: seen.map(|_, content| content.map(|content| told(content, None))),
            base: base.map(|base| Sides::from_fn(|side| told(&base[side], seen[side]))),
            policy,
        }
    }

    /// The contents that are kept here and nowhere else in the line.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        let all = Side::BOTH.into_iter().flat_map(|side| {
            let base = self.base.as_ref().map(|base| &base[side]);
            self.seen[side].iter().chain(base)
        });
        all.filter_map(|told| match told {
            Told::Says(content) => Some(&**content),
            Told::Before | Told::After | Told::Seen => None,
        })
    }

    /// The same, to be changed.
    pub(crate) fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        let Self { seen, base, .. } = self;
        let seen = seen.a.iter_mut().chain(seen.b.iter_mut());
        let base = base.iter_mut().flat_map(|base| [&mut base.a, &mut base.b]);
        seen.chain(base).filter_map(|told| match told {
            Told::Says(content) => Some(&mut **content),
            Told::Before | Told::After | Told::Seen => None,
        })
    }
}

impl HistoryRow {
    /// What a side said when it was decided; `None` where nothing was seen, and on lines of earlier versions.
    pub fn seen(&self, side: Side) -> Option<&Content> {
        self.content_of(self.grounds.as_ref()?.seen[side].as_ref()?, side)
    }

    /// What a side said when both last agreed; `None` when they never had, and on lines of earlier versions.
    pub fn agreed(&self, side: Side) -> Option<&Content> {
        self.content_of(&self.grounds.as_ref()?.base.as_ref()?[side], side)
    }

    /// The policy that decided, where one did.
    pub fn policy(&self) -> Option<&str> {
        self.grounds.as_ref()?.policy.as_deref()
    }

    /// All that the line says of a worklog or its twin.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        let kept = self.grounds.iter().flat_map(Grounds::contents);
        self.before.iter().chain(&self.after).chain(kept)
    }

    fn content_of<'r>(&'r self, told: &'r Told, side: Side) -> Option<&'r Content> {
        match told {
            Told::Before => self.before.as_ref(),
            Told::After => self.after.as_ref(),
            Told::Says(content) => Some(content),
            Told::Seen => self.seen(side),
        }
    }
}

fn cut(content: &Content) -> Content {
    let mut content = content.clone();
    if let Some((end, _)) = content.description.char_indices().nth(TEXT_CHARS_MAX) {
        content.description.truncate(end);
        content.description.push('…');
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Content {
        Content {
            author: "ann".into(),
            start_date: jiff::civil::date(2026, 3, 2),
            start_time: None,
            time_spent_secs: 3600,
            billable_secs: None,
            description: text.to_owned(),
            attributes: Default::default(),
        }
    }

    fn line(grounds: Option<Grounds>, before: Option<Content>, after: Option<Content>) -> HistoryRow {
        let link = tandem_core::LinkKey {
            connection: "c".into(),
            a: tandem_core::IssueId(1),
            b: tandem_core::IssueId(2),
        };
        HistoryRow {
            id: "1".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
            connection: link.connection.clone(),
            issue: Some(link.b),
            link: Some(link),
            op: "update".into(),
            side: Side::B,
            worklog: None,
            pair: tandem_core::PairId::new("a1-1"),
            cause: String::new(),
            before,
            after,
            lost: Vec::new(),
            trace: None,
            grounds,
            expires: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_a_line_says_already_is_not_said_again() {
        let (old, new) = (said("old"), said("new"));
        let base = Sides::new(old.clone(), old.clone());
        let grounds = Grounds::of(
            (Some(&old), Some(&new)),
            Sides::new(Some(&new), Some(&old)),
            Some(&base),
            Some("conflict = a".to_owned()),
        );
        assert_eq!(grounds.contents().count(), 0, "{grounds:?}");
        let line = line(Some(grounds), Some(old.clone()), Some(new.clone()));
        let text = serde_json::to_string(&line).unwrap();
        let read: HistoryRow = serde_json::from_str(&text).unwrap();
        assert_eq!(read, line);
        assert_eq!((read.seen(Side::A), read.seen(Side::B)), (Some(&new), Some(&old)));
        assert_eq!(
            (read.agreed(Side::A), read.agreed(Side::B)),
            (Some(&old), Some(&old))
        );
        assert_eq!(read.policy(), Some("conflict = a"));
    }

    #[test]
    fn a_line_of_an_earlier_version_reads_with_nothing_seen() {
        let mut text = serde_json::to_value(line(None, Some(said("old")), None)).unwrap();
        assert!(text.as_object_mut().unwrap().remove("grounds").is_none());
        let read: HistoryRow = serde_json::from_value(text).unwrap();
        assert_eq!(
            (read.seen(Side::A), read.agreed(Side::A), read.policy()),
            (None, None, None)
        );
        assert_eq!(read.contents().count(), 1);
    }

    #[test]
    fn a_line_with_the_longest_texts_is_far_from_the_largest_row() {
        let long = |text: &str| said(&format!("{text}{}", "ü".repeat(32_000)));
        let seen = Sides::new(long("1"), long("2"));
        let base = Sides::new(long("3"), long("4"));
        let (before, after) = (long("5"), long("6"));
        let grounds = Grounds::of(
            (Some(&before), Some(&after)),
            seen.as_ref().map(|_, content| Some(content)),
            Some(&base),
            None,
        );
        let own: usize = grounds.contents().map(|content| content.description.len()).sum();
        assert!(own < 20 * 1024, "{own}");
        let line = line(Some(grounds), Some(before), Some(after));
        assert!(serde_json::to_string(&line).unwrap().len() < 200 * 1024);
    }
}
