//! Recognising what another tool already copied from one side to the other.
//!
//! Such a tool kept no book that could be asked, so worklogs are put together by what they say. Some tools lose
//! things on the way: Exalate's copies begin at 12:00:00, become billable, and have no attributes of the other
//! site. What differs in nothing else is *likely* a copy; what differs in nothing is *certainly* one; where more
//! than one worklog could be it, nobody but a person can tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};

use crate::field::{Field, Value};
use crate::ids::{AccountId, Side, Sides, WorklogId};
use crate::merge::mean_the_same;
use crate::observed::Observed;
use crate::pair::{Pair, PairState};
use crate::render;
use crate::rules::{Lookups, Rules};
use crate::worklog::{Content, Worklog, same_text};

/// The time of day at which copies begin whose tool lost it.
pub const COPIED_START: Time = Time::constant(12, 0, 0, 0);

/// What is taken for a copy, beyond what is equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// The account under which the other tool logs where it does not know the author, per side.
    pub accounts: Sides<Option<AccountId>>,
    /// Worklogs, A's and B's, of which a person said that they are not twins.
    pub apart: BTreeSet<(WorklogId, WorklogId)>,
}

/// Two worklogs that are likely twins: one is a copy that lost something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likely {
    /// The worklogs.
    pub ids: Sides<WorklogId>,
    /// What the copy lost.
    pub lost: Vec<Field>,
    /// The side of the copy; `None` where nothing tells which of the two came first.
    pub copy: Option<Side>,
}

/// How two sides' worklogs go together. A worklog is in one of the groups at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// Twins that say the same.
    pub certain: Vec<Sides<WorklogId>>,
    /// Twins of which one lost something.
    pub likely: Vec<Likely>,
    /// Worklogs that have a twin among those on the other side, but nobody can tell which.
    pub ambiguous: Vec<Sides<Vec<WorklogId>>>,
}

/// How two worklogs are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Likely { lost: Vec<Field>, copy: Option<Side> },
}

/// Puts the worklogs of two issues together. The result does not depend on their order.
pub fn match_copies(
    listed: &Sides<Vec<&Worklog>>,
    tolerance: &Tolerance,
    rules: &Rules,
    lookups: &Lookups,
) -> Matching {
    let mut groups: BTreeMap<(Date, u64), Sides<Vec<&Worklog>>> = BTreeMap::new();
    for side in Side::BOTH {
        for worklog in &listed[side] {
            let content = &worklog.content;
            groups
                .entry((content.start_date, content.time_spent_secs))
                .or_default()[side]
                .push(worklog);
        }
    }
    let mut matching = Matching::default();
    let mut doubtful = Vec::new();
    for mut group in groups.into_values() {
        if group.a.is_empty() || group.b.is_empty() {
            continue;
        }
        for side in Side::BOTH {
            group[side].sort_by_key(|worklog| worklog.id);
            group[side].dedup_by_key(|worklog| worklog.id);
        }
        let mut edges = BTreeMap::new();
        for a in &group.a {
            for b in &group.b {
                if tolerance.apart.contains(&(a.id, b.id)) {
                    continue;
                }
                match relation(&Sides::new(a, b), tolerance, rules, lookups) {
                    Some(relation) => drop(edges.insert((a.id, b.id), relation)),
                    None if may_be_copied(&Sides::new(a, b), tolerance, rules, lookups) => {
                        doubtful.push((a.id, b.id));
                    }
                    None => {}
                }
            }
        }
        settle(edges, &mut matching);
    }
    // Only what has no other twin: two people may well have done the same for as long on one day.
    let matched: Sides<BTreeSet<WorklogId>> = Sides::from_fn(|side| matching.of(side).collect());
    doubtful.retain(|(a, b)| !matched.a.contains(a) && !matched.b.contains(b));
    matching.ambiguous.extend(
        islands(doubtful.into_iter())
            .into_iter()
            .map(|island| island.map(|_, ids| ids.into_iter().collect::<Vec<_>>())),
    );
    matching.certain.sort_by_key(|ids| (ids.a, ids.b));
    matching.likely.sort_by_key(|likely| (likely.ids.a, likely.ids.b));
    matching.ambiguous.sort_by(|left, right| left.a.cmp(&right.a));
    matching
}

/// Sorts what goes together into the three groups.
fn settle(mut edges: BTreeMap<(WorklogId, WorklogId), Relation>, matching: &mut Matching) {
    // As many that say the same on one side as on the other: it does not matter which is whose.
    for island in islands(
        edges
            .iter()
            .filter(|(_, is)| **is == Relation::Equal)
            .map(|(ids, _)| *ids),
    ) {
        let all = |a: &WorklogId| {
            island
                .b
                .iter()
                .all(|b| edges.get(&(*a, *b)) == Some(&Relation::Equal))
        };
        if island.a.len() == island.b.len() && island.a.iter().all(all) {
            let pairs = island.a.iter().zip(&island.b);
            matching.certain.extend(pairs.map(|(a, b)| Sides::new(*a, *b)));
            edges.retain(|(a, b), _| !island.a.contains(a) && !island.b.contains(b));
        }
    }
    for island in islands(edges.keys().copied()) {
        let (ids_a, ids_b): (Vec<_>, Vec<_>) = (
            island.a.iter().copied().collect(),
            island.b.iter().copied().collect(),
        );
        let alone = match (ids_a.as_slice(), ids_b.as_slice()) {
            ([a], [b]) => edges
                .remove(&(*a, *b))
                .map(|relation| (Sides::new(*a, *b), relation)),
            _ => None,
        };
        match alone {
            Some((ids, Relation::Likely { lost, copy })) => matching.likely.push(Likely { ids, lost, copy }),
            Some((ids, Relation::Equal)) => matching.certain.push(ids),
            None => matching.ambiguous.push(Sides::new(ids_a, ids_b)),
        }
    }
}

/// Returns the worklogs that hang together, in order of A's lowest.
fn islands(edges: impl Iterator<Item = (WorklogId, WorklogId)>) -> Vec<Sides<BTreeSet<WorklogId>>> {
    let mut twins: Sides<BTreeMap<WorklogId, Vec<WorklogId>>> = Sides::default();
    for (a, b) in edges {
        twins.a.entry(a).or_default().push(b);
        twins.b.entry(b).or_default().push(a);
    }
    let mut islands = Vec::new();
    while let Some((first, of_first)) = twins.a.pop_first() {
        let mut island = Sides::new(BTreeSet::from([first]), BTreeSet::new());
        let mut reached: Vec<(Side, WorklogId)> = of_first.into_iter().map(|b| (Side::B, b)).collect();
        while let Some((side, id)) = reached.pop() {
            if island[side].insert(id) {
                let others = twins[side].remove(&id).unwrap_or_default();
                reached.extend(others.into_iter().map(|other| (side.other(), other)));
            }
        }
        islands.push(island);
    }
    islands
}

impl Matching {
    /// The worklogs of a side that are in one of the groups.
    pub fn of(&self, side: Side) -> impl Iterator<Item = WorklogId> {
        let certain = self.certain.iter().map(move |ids| ids[side]);
        let likely = self.likely.iter().map(move |likely| likely.ids[side]);
        let ambiguous = self.ambiguous.iter().flat_map(move |group| &group[side]);
        certain.chain(likely).chain(ambiguous.copied())
    }
}

/// Says whether one of two worklogs of the same day and duration may be the other's copy under the account of a tool that
/// nobody has named: it begins when such copies do, and says the same. Only a person can tell.
fn may_be_copied(found: &Sides<&Worklog>, tolerance: &Tolerance, rules: &Rules, lookups: &Lookups) -> bool {
    let now = Sides::new(found.a.content.clone(), found.b.content.clone());
    let noon = Side::BOTH.map(|side| now[side].start_time == Some(COPIED_START));
    let unnamed = Side::BOTH
        .into_iter()
        .all(|side| tolerance.accounts[side].as_ref() != Some(&now[side].author));
    // An original may begin then, too.
    (noon[0] || noon[1])
        && unnamed
        && !now.a.description.trim().is_empty()
        && !mean_the_same(Field::Author, &now, rules, lookups)
        && same_text_on_both(&now, rules, lookups)
}

/// Says how two worklogs of the same day and duration are to each other.
fn relation(
    found: &Sides<&Worklog>,
    tolerance: &Tolerance,
    rules: &Rules,
    lookups: &Lookups,
) -> Option<Relation> {
    let now = Sides::new(found.a.content.clone(), found.b.content.clone());
    let lost: Vec<Field> = Field::all(rules)
        .filter(|field| !mean_the_same(*field, &now, rules, lookups))
        .filter(|field| *field != Field::Description || !same_text_on_both(&now, rules, lookups))
        .collect();
    if lost.is_empty() {
        return Some(Relation::Equal);
    }
    // The sides that what is lost speaks for, as that of the copy.
    let mut spoken_for: BTreeSet<Side> = BTreeSet::new();
    for field in &lost {
        match field {
            Field::StartTime => {
                let noon = |side: &Side| now[*side].start_time == Some(COPIED_START);
                spoken_for.insert(Side::BOTH.into_iter().find(noon)?);
            }
            Field::Author => {
                let is_tool = |side: &Side| tolerance.accounts[*side].as_ref() == Some(&now[*side].author);
                spoken_for.insert(Side::BOTH.into_iter().find(is_tool)?);
            }
            Field::Billable | Field::Attribute(_) => {}
            Field::StartDate | Field::TimeSpent | Field::Description => return None,
        }
    }
    let copy = match (spoken_for.len(), spoken_for.first(), later(found)) {
        (0, _, later) => later,
        // Older than its original: one of the sites was imported, perhaps. They are twins, but what is put right now
        // would look like the original when it is looked at again.
        (1, Some(side), Some(later)) if *side != later => None,
        (1, side, _) => side.copied(),
        // A copy cannot be on both sides.
        _ => return None,
    };
    Some(Relation::Likely { lost, copy })
}

/// A copy comes after what it is a copy of.
fn later(found: &Sides<&Worklog>) -> Option<Side> {
    match found.a.created_at.cmp(&found.b.created_at) {
        std::cmp::Ordering::Less => Some(Side::B),
        std::cmp::Ordering::Greater => Some(Side::A),
        std::cmp::Ordering::Equal => None,
    }
}

/// Says whether two texts are the same but for blanks around them.
fn same_text_on_both(now: &Sides<Content>, rules: &Rules, lookups: &Lookups) -> bool {
    same_text(&now.a.description, &now.b.description)
        || Side::BOTH.into_iter().any(|from| {
            same_text(
                &render::description(from, &now[from], rules, lookups),
                &now[from.other()].description,
            )
        })
}

/// In a backfill that heals, has the values that copies lost cross to them. See [`heal`].
pub fn heal_in_backfill(observed: &mut Observed, rules: &Rules) -> usize {
    let wanted = observed.backfill.as_ref().filter(|backfill| backfill.heal);
    match wanted.map(|backfill| backfill.tolerance.clone()) {
        Some(tolerance) => heal(observed, &tolerance, rules),
        None => 0,
    }
}

/// Has the values that a copy lost cross to it: takes them for changed on the side that they came from.
///
/// Meant for pairs that were adopted as they are. A pair that waits, that changed since, or of which nothing tells
/// which is the copy is left alone. Returns how many there are to put right.
pub fn heal(observed: &mut Observed, tolerance: &Tolerance, rules: &Rules) -> usize {
    let mut healed = 0;
    let mut pairs = std::mem::take(&mut observed.pairs);
    for pair in &mut pairs {
        if let Some(base) = healing_base(pair, observed, tolerance, rules) {
            pair.base = Some(base);
            healed += 1;
        }
    }
    observed.pairs = pairs;
    healed
}

fn healing_base(
    pair: &Pair,
    observed: &Observed,
    tolerance: &Tolerance,
    rules: &Rules,
) -> Option<Sides<Content>> {
    let settled = pair.state == PairState::Live
        && pair.link == observed.link
        && pair.intent.is_none()
        && pair.wait.is_none()
        && pair.strays == Sides::default();
    let (Some(a), Some(b), Some(base), true) = (pair.ids.a, pair.ids.b, &pair.base, settled) else {
        return None;
    };
    let found = Sides::new(
        observed
            .listings
            .a
            .get(&a)
            // What it was asked for, and no more.
            .filter(|worklog| observed.is_in_backfill(worklog.content.start_date))?,
        observed.listings.b.get(&b)?,
    );
    if Side::BOTH
        .into_iter()
        .any(|side| crate::field::changed(side, &base[side], &found[side].content, rules))
    {
        return None;
    }
    let Some(Relation::Likely {
        lost,
        copy: Some(copy),
    }) = relation(&found, tolerance, rules, &observed.lookups)
    else {
        return None;
    };
    let original = copy.other();
    let mut base = Sides::new(found.a.content.clone(), found.b.content.clone());
    for field in lost {
        let value = match field {
            // A tool that copies a value unchanged leaves one of the other site: it is none of this one's.
            Field::Attribute(_) => Value::Attribute(None),
            field => field.of(copy, &found[copy].content, rules),
        };
        field.set(original, &mut base[original], rules, value);
    }
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IssueId;
    use crate::testing;
    use jiff::Timestamp;
    use jiff::civil::time;

    fn worklog(id: u64, created: i64, change: impl FnOnce(&mut Content)) -> Worklog {
        let mut content = testing::content("ann", "standup");
        change(&mut content);
        let at = Timestamp::from_second(1_770_000_000 + created).unwrap();
        Worklog {
            id: WorklogId(id),
            issue: IssueId(if id < 100 { 1 } else { 2 }),
            content,
            created_at: at,
            updated_at: at,
        }
    }

    fn noon(content: &mut Content) {
        content.start_time = Some(COPIED_START);
    }

    fn matched(a: &[Worklog], b: &[Worklog], tolerance: &Tolerance) -> Matching {
        let listed = Sides::new(a.iter().collect(), b.iter().collect());
        match_copies(&listed, tolerance, &Rules::default(), &Lookups::default())
    }

    fn ids(a: u64, b: u64) -> Sides<WorklogId> {
        Sides::new(WorklogId(a), WorklogId(b))
    }

    #[test]
    fn equal_ones_are_certain_and_a_copy_at_noon_is_likely() {
        let a = [
            worklog(1, 0, |_| {}),
            worklog(2, 0, |c| {
                c.description = "review".into();
                c.billable_secs = Some(0);
            }),
        ];
        let b = [
            worklog(101, 9, |_| {}),
            worklog(102, 9, |c| {
                c.description = "review".into();
                noon(c);
            }),
        ];
        let found = matched(&a, &b, &Tolerance::default());
        assert_eq!(found.certain, [ids(1, 101)]);
        let [likely] = found.likely.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(likely.ids, ids(2, 102));
        assert_eq!(likely.lost, [Field::StartTime, Field::Billable]);
        assert_eq!(likely.copy, Some(Side::B));
        assert!(found.ambiguous.is_empty());
    }

    #[test]
    fn two_originals_and_two_copies_at_noon_are_a_question_for_a_person() {
        let a = [
            worklog(1, 0, |_| {}),
            worklog(2, 0, |c| c.start_time = Some(time(16, 0, 0, 0))),
        ];
        let b = [worklog(101, 9, noon), worklog(102, 9, noon)];
        let found = matched(&a, &b, &Tolerance::default());
        assert!(found.certain.is_empty() && found.likely.is_empty());
        let both = |a: [u64; 2]| a.map(WorklogId).to_vec();
        assert_eq!(found.ambiguous, [Sides::new(both([1, 2]), both([101, 102]))]);
        // One of the four possibilities less, and it is clear.
        let tolerance = Tolerance {
            apart: [(1, 102), (2, 101)]
                .map(|(a, b)| (WorklogId(a), WorklogId(b)))
                .into(),
            ..Tolerance::default()
        };
        assert_eq!(matched(&a, &b, &tolerance).likely.len(), 2);
    }

    #[test]
    fn as_many_equal_ones_on_both_sides_are_interchangeable() {
        let a = [worklog(1, 0, |_| {}), worklog(2, 0, |_| {})];
        let b = [worklog(101, 9, |_| {}), worklog(102, 9, |_| {})];
        assert_eq!(
            matched(&a, &b, &Tolerance::default()).certain,
            [ids(1, 101), ids(2, 102)]
        );
        let fewer = matched(&a, &b[..1], &Tolerance::default());
        assert_eq!(fewer.ambiguous.len(), 1);
    }

    #[test]
    fn another_time_than_noon_another_text_or_another_person_is_no_copy() {
        let a = [worklog(1, 0, |_| {})];
        for change in [
            (|c: &mut Content| c.start_time = Some(time(12, 30, 0, 0))) as fn(&mut Content),
            |c| c.description = "something else".into(),
            |c| c.author = "bob".into(),
        ] {
            let found = matched(&a, &[worklog(101, 9, change)], &Tolerance::default());
            assert_eq!(found, Matching::default());
        }
        let of_tool = worklog(101, 9, |c| c.author = "tool".into());
        let tolerance = Tolerance {
            accounts: Sides::new(None, Some("tool".into())),
            ..Tolerance::default()
        };
        let found = matched(&a, std::slice::from_ref(&of_tool), &tolerance);
        assert_eq!(found.likely[0].lost, [Field::Author]);
        assert_eq!(found.likely[0].copy, Some(Side::B));
    }

    #[test]
    fn a_copy_under_an_account_that_nobody_named_is_for_a_person_to_tell() {
        let a = [worklog(1, 0, |_| {}), worklog(2, 0, |c| c.author = "bob".into())];
        let of_tool = worklog(101, 9, |c| {
            c.author = "tool".into();
            noon(c);
        });
        let found = matched(&a[..1], std::slice::from_ref(&of_tool), &Tolerance::default());
        assert_eq!(
            found.ambiguous,
            [Sides::new(vec![WorklogId(1)], vec![WorklogId(101)])]
        );
        // Not where it has another twin, and the one that is left over another person's.
        let of_ann = worklog(102, 9, noon);
        let found = matched(&a[..1], &[of_tool, of_ann], &Tolerance::default());
        assert_eq!(found.likely.len(), 1);
        assert!(found.ambiguous.is_empty(), "{found:?}");
    }

    #[test]
    fn what_speaks_for_a_copy_on_either_side_is_no_copy() {
        let a = [worklog(1, 0, noon)];
        let b = [worklog(101, 9, |c| c.author = "tool".into())];
        let tolerance = Tolerance {
            accounts: Sides::new(None, Some("tool".into())),
            ..Tolerance::default()
        };
        assert_eq!(matched(&a, &b, &tolerance), Matching::default());
    }
}
