//! What two issues' worklogs say, side by side.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use tandem_core::field::Field;
use tandem_core::rules::Lookups;
use tandem_core::worklog::same_text;
use tandem_core::{Content, LinkKey, Pair, PairState, Reason, Side, Sides, WorklogId, merge, render, twin};

use super::rows::{Listed, Unread};
use super::{Difference, Entry, Kind, Lead, Unreadable};
use crate::options::Connection;

/// Two issues, and what is known about whose worklogs they are.
pub(super) struct Place<'c> {
    pub(super) connection: &'c Connection,
    pub(super) lookups: &'c Lookups,
    pub(super) link: &'c LinkKey,
    /// The first day whose worklogs the connection begins by itself.
    pub(super) since: Date,
    /// The days that are compared.
    pub(super) days: (Date, Option<Date>),
}

impl Place<'_> {
    /// Counts pairs of these days that neither side shows: both were deleted, or neither service user sees them.
    pub(super) fn unshown(&self, sides: &Sides<Listed>, unread: &Sides<Unread>, pairs: &[Pair]) -> u64 {
        let (from, to) = self.days;
        let within =
            |content: &Content| content.start_date >= from && to.is_none_or(|to| content.start_date <= to);
        let is_unshown = |pair: &&Pair| {
            let hidden = |side: Side| {
                pair.ids[side]
                    .is_some_and(|id| !sides[side].contains_key(&id) && !unread[side].contains_key(&id))
            };
            let agreed = pair.base.as_ref();
            pair.state == PairState::Live
                && hidden(Side::A)
                && hidden(Side::B)
                && agreed.is_some_and(|base| within(&base.a) && within(&base.b))
        };
        pairs.iter().filter(is_unshown).count() as u64
    }

    /// Returns where the books of a link do not agree.
    pub(super) fn compare(
        &self,
        mut sides: Sides<Listed>,
        mut unread: Sides<Unread>,
        pairs: &[Pair],
    ) -> Vec<Difference> {
        let mut differences = Vec::new();
        let live: Vec<&Pair> = pairs
            .iter()
            .filter(|pair| pair.state == PairState::Live)
            .collect();
        let kept = left_alone(pairs);
        for pair in &live {
            let (Some(id_a), Some(id_b)) = (pair.ids.a, pair.ids.b) else {
                continue;
            };
            let a = sides.a.remove(&id_a).map(|content| (id_a, content));
            let b = sides.b.remove(&id_b).map(|content| (id_b, content));
            let reason = pair.wait.as_ref().map(|wait| wait.reason);
            let bad = [(Side::A, id_a), (Side::B, id_b)]
                .map(|(side, id)| unread[side].remove(&id).map(|text| (side, id, text)));
            let lead = self.lead_of_pair(pair, (id_a, a.as_ref()), (id_b, b.as_ref()));
            match bad.into_iter().flatten().collect::<Vec<_>>().as_slice() {
                [] => differences.extend(
                    self.judge(a, b, reason, lead)
                        .and_then(|found| self.without_agreed(found, pair)),
                ),
                // Whether the two mean the same, nobody can tell.
                bad => differences.extend(bad.iter().map(|bad| Difference {
                    a: self.entry(Side::A, a.clone()),
                    b: self.entry(Side::B, b.clone()),
                    reason,
                    lead: lead.clone(),
                    ..self.unreadable(bad.clone())
                })),
            }
        }
        // What no pair joins is joined by meaning: the books may agree without our ever having run.
        let waiting = |side: Side| -> BTreeMap<WorklogId, Reason> {
            let waits = live.iter().rev();
            let own = waits.filter_map(|pair| Some((pair.ids[side]?, pair.wait.as_ref()?.reason)));
            // Those of which one may be the twin of what waits wait with it.
            let rivals = live
                .iter()
                .filter(|pair| pair.ids[side].is_none())
                .flat_map(|pair| {
                    let reason = pair.wait.as_ref().map(|wait| wait.reason);
                    pair.rivals.iter().filter_map(move |id| Some((*id, reason?)))
                });
            rivals.chain(own).collect()
        };
        let waiting = Sides::from_fn(waiting);
        for side in Side::BOTH {
            let bad = std::mem::take(&mut unread[side]).into_iter();
            let bad = bad.filter(|(id, _)| !kept[side].contains(id));
            differences.extend(bad.map(|(id, text)| Difference {
                reason: waiting[side].get(&id).copied(),
                ..self.unreadable((side, id, text))
            }));
        }
        let mut free_b = Free::of(sides.b);
        for (id, a) in sides.a {
            let rendered = render::whole(Side::A, &a, &self.connection.settings.rules, self.lookups).ok();
            match rendered.and_then(|rendered| free_b.take(&rendered)) {
                Some(b) => {
                    differences.extend(self.judge(Some((id, a)), Some(b), None, Lead::Unjoined));
                }
                None if kept.a.contains(&id) => {}
                None => {
                    let (reason, lead) = (waiting.a.get(&id).copied(), self.lead_of_one(&a));
                    differences.extend(self.judge(Some((id, a)), None, reason, lead));
                }
            }
        }
        for (id, b) in free_b.rest().filter(|(id, _)| !kept.b.contains(id)) {
            let (reason, lead) = (waiting.b.get(&id).copied(), self.lead_of_one(&b));
            differences.extend(self.judge(None, Some((id, b)), reason, lead));
        }
        differences
    }

    /// Says whether twins, or what is there of them, are a difference.
    fn judge(
        &self,
        a: Option<(WorklogId, Content)>,
        b: Option<(WorklogId, Content)>,
        reason: Option<Reason>,
        lead: Lead,
    ) -> Option<Difference> {
        let (kind, fields) = match (&a, &b) {
            (Some((_, a)), Some((_, b))) => (Kind::Differs, self.differing(a, b)),
            (Some(_), None) => (Kind::OnlyInA, Vec::new()),
            (None, Some(_)) => (Kind::OnlyInB, Vec::new()),
            (None, None) => return None,
        };
        if kind == Kind::Differs && fields.is_empty() {
            return None;
        }
        Some(Difference {
            connection: self.connection.name.to_string(),
            kind,
            a: self.entry(Side::A, a),
            b: self.entry(Side::B, b),
            fields,
            reason,
            lead,
            unreadable: None,
        })
    }

    /// Leaves out what both sides agreed to say differently: words that a site puts where a worklog has none, and whose time it
    /// is and their name in front of the text where the fallback account stands for somebody.
    fn without_agreed(&self, mut found: Difference, pair: &Pair) -> Option<Difference> {
        let entries = Sides::new(found.a.as_ref(), found.b.as_ref());
        let stands = |base: &Sides<Content>, side: Side| {
            entries[side].is_some_and(|entry| {
                let (now, then) = (&entry.content, &base[side]);
                now.author == then.author && same_text(&now.description, &then.description)
            })
        };
        let agreed = pair.base.as_ref();
        if let Some(base) = agreed.filter(|base| Side::BOTH.into_iter().all(|side| stands(base, side))) {
            let is_blank = |side: Side| base[side].description.trim().is_empty();
            let fallback = self.connection.settings.rules.fallback();
            let is_stand_in = |side: Side| fallback == Some(&base[side].author);
            let stood_in = is_stand_in(Side::A) != is_stand_in(Side::B);
            let filled_in = is_blank(Side::A) != is_blank(Side::B);
            let left_out = |field: &str| {
                (filled_in || stood_in) && field == Field::Description.name()
                    || stood_in && field == Field::Author.name()
            };
            found.fields.retain(|field| !left_out(field));
        }
        (found.kind != Kind::Differs || !found.fields.is_empty()).then_some(found)
    }

    /// What a pair knows of its two worklogs, as far as they are listed.
    fn lead_of_pair(
        &self,
        pair: &Pair,
        (id_a, a): (WorklogId, Option<&(WorklogId, Content)>),
        (id_b, b): (WorklogId, Option<&(WorklogId, Content)>),
    ) -> Lead {
        let unlisted = |side, worklog| Lead::Unlisted { side, worklog };
        match (a, b, &pair.base) {
            (None, _, _) => unlisted(Side::A, id_a),
            (_, None, _) => unlisted(Side::B, id_b),
            (Some((_, a)), Some((_, b)), Some(base)) => {
                let now = Sides::new(a.clone(), b.clone());
                let rules = &self.connection.settings.rules;
                let changed = merge::changed(base, &now, rules, self.lookups);
                let differed = || !merge::differing(base, rules, self.lookups).is_empty();
                match changed.is_empty() && differed() {
                    true => Lead::Taken,
                    false => Lead::Changed(changed),
                }
            }
            (Some(_), Some(_), None) => Lead::Unjoined,
        }
    }

    /// What is known of a worklog that no pair joins with another.
    fn lead_of_one(&self, content: &Content) -> Lead {
        match content.start_date < self.since {
            true => Lead::Early,
            false => Lead::Unpaired,
        }
    }

    fn entry(&self, side: Side, one: Option<(WorklogId, Content)>) -> Option<Entry> {
        one.map(|(worklog, content)| Entry {
            issue: self.link.issue(side),
            worklog,
            content,
        })
    }

    fn unreadable(&self, (side, id, what): (Side, WorklogId, String)) -> Difference {
        Difference::unreadable(
            self.connection,
            Unreadable {
                side,
                issue: Some(self.link.issue(side)),
                worklog: Some(id),
                what,
            },
        )
    }

    /// The fields that do not mean the same.
    fn differing(&self, a: &Content, b: &Content) -> Vec<String> {
        let now = Sides::new(a.clone(), b.clone());
        merge::differing(&now, &self.connection.settings.rules, self.lookups)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}

/// Worklogs that the policy keeps on one side alone.
fn left_alone(pairs: &[Pair]) -> Sides<BTreeSet<WorklogId>> {
    let kept = pairs.iter().filter(|pair| pair.state == PairState::Kept);
    let mut alone = Sides::<BTreeSet<WorklogId>>::default();
    for pair in kept {
        for side in Side::BOTH {
            alone[side].extend(pair.ids[side]);
        }
    }
    alone
}

/// Worklogs of one side that no pair joins, by what their twin has to have in common with them at least.
struct Free(BTreeMap<(Date, u64), Vec<(WorklogId, Content)>>);

impl Free {
    fn of(listed: Listed) -> Self {
        let mut free: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, content) in listed {
            free.entry((content.start_date, content.time_spent_secs))
                .or_default()
                .push((id, content));
        }
        Self(free)
    }

    /// Takes out the first one that tells of the same work.
    fn take(&mut self, rendered: &Content) -> Option<(WorklogId, Content)> {
        let group = self.0.get_mut(&(rendered.start_date, rendered.time_spent_secs))?;
        let position = group
            .iter()
            .position(|(_, content)| twin::same_work(rendered, content))?;
        Some(group.remove(position))
    }

    /// Returns what nobody took, in order of id.
    fn rest(self) -> impl Iterator<Item = (WorklogId, Content)> {
        self.0
            .into_values()
            .flatten()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
    }
}
