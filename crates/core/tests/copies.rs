//! Laws of adopting what another tool copied.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{date, time};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tandem_core::copies::{COPIED_START, Matching, Tolerance, heal, match_copies};
use tandem_core::decide::take as take_side;
use tandem_core::observed::{Backfill, Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, plan, take_over};
use tandem_core::rules::{AttributeRule, Lookups, Rules};
use tandem_core::{
    Content, IssueId, LinkKey, Pair, PairState, Reason, Side, Sides, Worklog, WorklogId, check,
};

fn rules() -> Rules {
    Rules {
        authors: vec![("ann".into(), "anna".into())],
        attributes: vec![AttributeRule {
            keys: Sides::new("_Account_".into(), "_Customer_".into()),
            // A tool that copies A1 unchanged leaves a value that means another one.
            values: vec![("A1".into(), "G1".into()), ("A9".into(), "A1".into())],
        }],
        ..Rules::default()
    }
}

/// A worklog out of few possible ones, so that many look like each other.
fn worklog(side: Side, id: u64, dice: u32) -> Worklog {
    let bit = |n: u32| dice >> n & 1 == 1;
    let author = match (side, bit(0), bit(1)) {
        (Side::A, true, _) => "ann",
        (Side::B, true, _) => "anna",
        (_, false, true) => "bob",
        _ => "tool",
    };
    let start = match dice >> 2 & 3 {
        0 | 1 => COPIED_START,
        2 => time(9, 0, 0, 0),
        _ => time(13, 30, 0, 0),
    };
    let mut attributes = BTreeMap::new();
    if bit(4) {
        let (key, value) = match side {
            Side::A => ("_Account_", "A1"),
            Side::B => ("_Customer_", if bit(5) { "G1" } else { "A1" }),
        };
        attributes.insert(key.to_string(), value.to_string());
    }
    let at = Timestamp::from_second(1_770_000_000 + i64::from(dice >> 9 & 3)).unwrap();
    Worklog {
        id: WorklogId(id),
        issue: IssueId(if side == Side::A { 1 } else { 2 }),
        content: Content {
            author: author.into(),
            start_date: date(2026, 1, 1 + i8::from(bit(6))),
            start_time: Some(start),
            time_spent_secs: 3600,
            billable_secs: Some(if bit(7) { 0 } else { 3600 }),
            description: if bit(8) { "text" } else { "" }.into(),
            attributes,
        },
        created_at: at,
        updated_at: at,
    }
}

fn side_of(side: Side) -> impl Strategy<Value = Vec<Worklog>> {
    let first = if side == Side::A { 1 } else { 101 };
    prop::collection::vec(0u32..2048, 0..8).prop_map(move |dice| {
        let numbered = dice.into_iter().zip(first..);
        numbered.map(|(dice, id)| worklog(side, id, dice)).collect()
    })
}

fn tolerance() -> Tolerance {
    Tolerance {
        accounts: Sides::new(None, Some("tool".into())),
        ..Tolerance::default()
    }
}

fn matched(sides: &Sides<Vec<Worklog>>, tolerance: &Tolerance, rules: &Rules) -> Matching {
    let listed = Sides::new(sides.a.iter().collect(), sides.b.iter().collect());
    match_copies(&listed, tolerance, rules, &Lookups::default())
}

fn swapped(matching: Matching) -> Matching {
    let mut matching = Matching {
        certain: matching.certain.into_iter().map(Sides::swap).collect(),
        likely: matching
            .likely
            .into_iter()
            .map(|mut likely| {
                likely.ids = likely.ids.swap();
                likely.copy = likely.copy.map(Side::other);
                likely
            })
            .collect(),
        ambiguous: matching.ambiguous.into_iter().map(Sides::swap).collect(),
    };
    matching.certain.sort_by_key(|ids| (ids.a, ids.b));
    matching.likely.sort_by_key(|likely| (likely.ids.a, likely.ids.b));
    matching.ambiguous.sort_by(|left, right| left.a.cmp(&right.a));
    matching
}

/// Plans and takes every step as done, until there are none. Returns what would be created, per side.
fn carried_out(observed: &mut Observed, settings: &Settings, with_heal: bool) -> Sides<usize> {
    let mut created = Sides::default();
    for _ in 0..20 {
        if with_heal {
            let adopt = observed.backfill.as_ref().unwrap().tolerance.clone();
            heal(observed, &adopt, &settings.rules);
        }
        let Plan { steps, .. } = plan(observed, settings);
        let plan = Plan {
            steps,
            look_again: None,
        };
        check::check(&plan, observed, settings).unwrap();
        if plan.steps.is_empty() {
            return created;
        }
        for step in &plan.steps {
            let mut pair = step.pair.clone();
            let answer = match &step.action {
                Action::Record(_) => None,
                Action::Create { side, body, .. } => {
                    created[*side] += 1;
                    let id = 1000 + created.a + 1000 * created.b;
                    let mut made = worklog(*side, id as u64, 0);
                    made.content = body.clone();
                    Some((*side, made))
                }
                Action::Update {
                    side, worklog, body, ..
                } => {
                    let mut written = observed.listings[*side][worklog].clone();
                    written.content = body.clone();
                    Some((*side, written))
                }
                Action::Delete { .. } => panic!("nobody deleted anything"),
            };
            if let Some((side, answer)) = answer {
                let row = step.begun(&pair, observed.now, observed.now, &settings.rules);
                pair = step.done(&row, Some(&answer), observed.now, observed.now, &settings.rules);
                observed.listings[side].insert(answer.id, answer);
            }
            take(observed, pair);
        }
    }
    panic!("it does not come to an end");
}

/// Takes a pair as recorded, as the engine does.
fn take(observed: &mut Observed, mut pair: Pair) {
    pair.rev += 1;
    observed
        .pairs
        .retain(|row| row.id != pair.id && !pair.takes_in(row));
    observed.pairs.push(pair);
}

fn observed(sides: &Sides<Vec<Worklog>>) -> Observed {
    let link = LinkKey {
        connection: "a-b".into(),
        a: IssueId(1),
        b: IssueId(2),
    };
    let mut observed = Observed::empty(link, Timestamp::from_second(1_780_000_000).unwrap());
    for side in Side::BOTH {
        observed.listings[side] = sides[side].iter().map(|one| (one.id, one.clone())).collect();
    }
    observed.since = date(2026, 5, 1);
    observed.backfill = Some(backfill_of());
    observed
}

fn backfill_of() -> Backfill {
    Backfill {
        from: date(2025, 1, 1),
        until: None,
        adopt: true,
        heal: false,
        tolerance: tolerance(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_not_matter_which_side_is_a(a in side_of(Side::A), b in side_of(Side::B)) {
        let sides = Sides::new(a, b);
        let there = matched(&sides, &tolerance(), &rules());
        let back = Tolerance { accounts: tolerance().accounts.swap(), ..tolerance() };
        prop_assert_eq!(there, swapped(matched(&sides.swap(), &back, &rules().swap())));
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(a in side_of(Side::A), b in side_of(Side::B)) {
        let sides = Sides::new(a, b);
        let mut turned = sides.clone();
        turned.a.reverse();
        turned.b.reverse();
        prop_assert_eq!(
            matched(&sides, &tolerance(), &rules()),
            matched(&turned, &tolerance(), &rules())
        );
    }

    #[test]
    fn no_worklog_is_in_two_groups_or_twice_in_one(a in side_of(Side::A), b in side_of(Side::B)) {
        let sides = Sides::new(a, b);
        let found = matched(&sides, &tolerance(), &rules());
        let mut seen = Sides::<BTreeSet<WorklogId>>::default();
        let pairs = found.certain.iter().chain(found.likely.iter().map(|likely| &likely.ids));
        for ids in pairs {
            prop_assert!(seen.a.insert(ids.a) && seen.b.insert(ids.b), "{:?}", found);
        }
        for group in &found.ambiguous {
            prop_assert!(!group.a.is_empty() && !group.b.is_empty());
            // One of each side alone is in doubt only for its author.
            let author = |side: Side| {
                let found = sides[side].iter().find(|worklog| group[side].contains(&worklog.id));
                found.map(|worklog| worklog.content.author.clone())
            };
            prop_assert!(group.a.len() + group.b.len() > 2 || author(Side::A) != author(Side::B));
            for side in Side::BOTH {
                for id in &group[side] {
                    prop_assert!(seen[side].insert(*id), "{:?}", found);
                }
            }
        }
    }

    #[test]
    fn what_waits_with_a_row_of_its_own_is_not_copied_either(
        a in side_of(Side::A),
        b in side_of(Side::B),
        rows in any::<[bool; 16]>(),
    ) {
        let sides = Sides::new(a, b);
        let found = matched(&sides, &tolerance(), &rules());
        let mut observed = observed(&sides);
        let link = observed.link.clone();
        for (side, skip) in [(Side::A, 0), (Side::B, 8)] {
            for (one, has_row) in sides[side].iter().zip(&rows[skip..]) {
                if *has_row {
                    let id = Pair::id_for(side, one.id, link.issue(side));
                    observed.pairs.push(Pair::half(id, link.clone(), side, one.id));
                }
            }
        }
        let settings = Settings { rules: rules(), ..Settings::default() };
        let created = carried_out(&mut observed, &settings, false);
        let matched = |side: Side| {
            let ambiguous: usize = found.ambiguous.iter().map(|group| group[side].len()).sum();
            found.certain.len() + found.likely.len() + ambiguous
        };
        prop_assert_eq!(created.b, sides.a.len() - matched(Side::A));
        prop_assert_eq!(created.a, sides.b.len() - matched(Side::B));
        for ids in found.certain.iter().chain(found.likely.iter().map(|likely| &likely.ids)) {
            let whole = ids.map(|_, id| Some(id));
            let of_these = observed.pairs.iter().filter(|pair| {
                Side::BOTH.into_iter().any(|side| pair.ids[side] == whole[side])
            });
            prop_assert!(of_these.clone().all(|pair| pair.ids == whole && pair.wait.is_none()));
            prop_assert_eq!(of_these.count(), 1);
        }
        // An ordinary run later leaves them alone too.
        observed.backfill = None;
        observed.since = date(2025, 1, 1);
        prop_assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
    }

    #[test]
    fn what_is_ambiguous_waits_and_nothing_is_copied_that_has_a_copy(
        a in side_of(Side::A),
        b in side_of(Side::B),
        with_heal: bool,
    ) {
        let sides = Sides::new(a, b);
        let found = matched(&sides, &tolerance(), &rules());
        let mut observed = observed(&sides);
        let settings = Settings { rules: rules(), ..Settings::default() };
        let created = carried_out(&mut observed, &settings, with_heal);
        let adopted = found.certain.len() + found.likely.len();
        let ambiguous = Sides::from_fn(|side| {
            found.ambiguous.iter().map(|group| group[side].len()).sum::<usize>()
        });
        // Those without any counterpart, and they alone, are copied.
        prop_assert_eq!(created.b, sides.a.len() - adopted - ambiguous.a);
        prop_assert_eq!(created.a, sides.b.len() - adopted - ambiguous.b);
        let held = observed.pairs.iter().filter(|pair| {
            pair.wait.as_ref().is_some_and(|wait| wait.reason == Reason::AmbiguousCreate)
        });
        prop_assert_eq!(held.count(), ambiguous.a);
        // An ordinary run later, on new days too, leaves them alone.
        observed.backfill = None;
        observed.since = date(2025, 1, 1);
        prop_assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        // What was healed says the same on both sides.
        if with_heal {
            for likely in found.likely.iter().filter(|likely| likely.copy.is_some()) {
                let now = Sides::new(
                    observed.listings.a[&likely.ids.a].content.clone(),
                    observed.listings.b[&likely.ids.b].content.clone(),
                );
                let copy = likely.copy.unwrap();
                let mut fields = tandem_core::merge::differing(&now, &rules(), &Lookups::default());
                // What only the copy has was not lost; somebody may have given it.
                if now[copy.other()].attributes.is_empty() {
                    fields.retain(|field| *field != "attribute");
                }
                prop_assert_eq!(fields, Vec::<&str>::new());
                let original = observed.listings[copy.other()][&likely.ids[copy.other()]].clone();
                let was = sides[copy.other()].iter().find(|one| one.id == original.id).unwrap();
                prop_assert_eq!(&was.content, &original.content);
            }
        }
    }
}

fn of(sides: &Sides<Vec<Worklog>>, side: Side, id: WorklogId) -> &Worklog {
    sides[side].iter().find(|one| one.id == id).unwrap()
}

/// Tells a person of what is listed, who says yes. Returns what is known of it then.
fn told(sides: &Sides<Vec<Worklog>>, settings: &Settings) -> Observed {
    let mut observed = observed(sides);
    tell(&mut observed, settings);
    observed
}

fn tell(observed: &mut Observed, settings: &Settings) {
    for _ in 0..3 {
        let plan = take_over(observed, settings);
        check::check(&plan, observed, settings).unwrap();
        if plan.steps.is_empty() {
            return;
        }
        for step in plan.steps {
            assert!(matches!(step.action, Action::Record(_)));
            take(observed, step.pair);
        }
    }
    panic!("it does not come to an end");
}

/// Has others listed than before.
fn now_listed(observed: &mut Observed, sides: &Sides<Vec<Worklog>>) {
    for side in Side::BOTH {
        observed.listings[side] = sides[side].iter().map(|one| (one.id, one.clone())).collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whoever_changes_a_copy_before_its_turn_has_no_second_one_made_of_it(
        a in side_of(Side::A),
        b in side_of(Side::B),
        dice in prop::collection::vec(0u32..2048, 4),
        whom in prop::collection::vec((any::<bool>(), 0usize..8), 4),
        kind in 0..3,
    ) {
        let before = Sides::new(a, b);
        let settings = Settings { rules: rules(), ..Settings::default() };
        let mut observed = told(&before, &settings);
        let found = matched(&before, &tolerance(), &rules());
        let twins: Vec<Sides<WorklogId>> =
            found.certain.iter().copied().chain(found.likely.iter().map(|likely| likely.ids)).collect();
        let mut sides = before.clone();
        let mut changed = Sides::<BTreeSet<WorklogId>>::default();
        for (dice, (is_a, which)) in dice.into_iter().zip(whom) {
            let side = if is_a { Side::A } else { Side::B };
            let Some(one) = sides[side].get_mut(which) else { continue };
            let mut new = worklog(side, one.id.0, dice).content;
            match kind {
                0 => new.author.clone_from(&one.content.author),
                1 => {
                    // What no tool loses, and nothing else.
                    let (text, day) = (format!("changed {dice}"), new.start_date);
                    new = one.content.clone();
                    new.description = text;
                    new.start_date = day;
                }
                _ => {}
            }
            changed[side].insert(one.id);
            one.content = new;
            one.updated_at = Timestamp::from_second(1_779_000_000).unwrap();
        }
        now_listed(&mut observed, &sides);
        let created = carried_out(&mut observed, &settings, false);
        // At most those are copied that had no counterpart when it was told.
        let in_groups = |side: Side| found.ambiguous.iter().map(|group| group[side].len()).sum::<usize>();
        let alone = |side: Side| sides[side].len() - twins.len() - in_groups(side);
        prop_assert!(created.b <= alone(Side::A), "{created:?}");
        prop_assert!(created.a <= alone(Side::B), "{created:?}");
        for ids in &twins {
            let now = Sides::new(
                observed.listings.a[&ids.a].content.clone(),
                observed.listings.b[&ids.b].content.clone(),
            );
            let is_paired = observed.pairs.iter().any(|pair| pair.ids == ids.map(|_, id| Some(id)));
            prop_assert!(is_paired, "{ids:?}");
            let waits = observed.pairs.iter().any(|pair| {
                pair.wait.is_some() && Side::BOTH.into_iter().any(|side| pair.ids[side] == Some(ids[side]))
            });
            // A change on one side is on the other too, but for what was lost before.
            let by_one = changed.a.contains(&ids.a) != changed.b.contains(&ids.b);
            if by_one && !waits {
                let side = if changed.a.contains(&ids.a) { Side::A } else { Side::B };
                let was = sides[side].iter().find(|one| one.id == ids[side]).unwrap();
                prop_assert_eq!(&was.content, &now[side]);
                let then = &of(&before, side, ids[side]).content;
                let both = Sides::from_fn(|side| of(&before, side, ids[side]).content.clone());
                let lost = tandem_core::merge::differing(&both, &rules(), &Lookups::default());
                let stays = |name: &str| {
                    lost.contains(&name)
                        && match name {
                            "start time" => then.start_time == now[side].start_time,
                            "billable" => then.billable_secs == now[side].billable_secs,
                            "attribute" => then.attributes == now[side].attributes,
                            name => name == "author",
                        }
                };
                let apart = tandem_core::merge::differing(&now, &rules(), &Lookups::default());
                prop_assert!(apart.iter().all(|name| stays(name)), "{apart:?} {lost:?}");
            }
        }
        // An ordinary run later makes no copies either.
        observed.backfill = None;
        observed.since = date(2025, 1, 1);
        prop_assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
    }
}

#[test]
fn what_nobody_could_tell_is_not_copied_since_all_of_one_side_went() {
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    for gone in Side::BOTH {
        let mut sides = Sides::new(
            vec![alike(Side::A, 1), alike(Side::A, 2), alike(Side::A, 3)],
            vec![alike(Side::B, 501), alike(Side::B, 502)],
        );
        let settings = Settings {
            rules: rules(),
            ..Settings::default()
        };
        let mut observed = told(&sides, &settings);
        let left = sides[gone.other()].len();
        for one in sides[gone].drain(..) {
            let proof = Proof {
                source: "tempo-webhook".into(),
                at: observed.now,
                moved_to: None,
            };
            observed.proofs[gone].insert(one.id, proof);
        }
        now_listed(&mut observed, &sides);
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        observed.pairs.retain(|pair| pair.state == PairState::Live);
        let reason = |pair: &Pair| pair.wait.as_ref().map(|wait| wait.reason);
        assert_eq!(observed.pairs.len(), left);
        assert!(
            observed
                .pairs
                .iter()
                .all(|pair| reason(pair) == Some(Reason::AmbiguousCreate))
        );
        // Nor in an ordinary run later, on another issue that it moved to.
        observed.backfill = None;
        observed.since = date(2025, 1, 1);
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        let elsewhere = LinkKey {
            connection: "a-b".into(),
            a: IssueId(11),
            b: IssueId(12),
        };
        let issue = elsewhere.issue(gone.other());
        observed.link = elsewhere;
        for worklog in observed.listings[gone.other()].values_mut() {
            worklog.issue = issue;
        }
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        assert_eq!(observed.pairs.len(), left);
        assert!(
            observed
                .pairs
                .iter()
                .all(|pair| reason(pair) == Some(Reason::AmbiguousCreate))
        );
        assert!(observed.pairs.iter().all(|pair| pair.link == observed.link));
    }
}

#[test]
fn a_worklog_of_which_a_person_says_whose_twin_it_is_is_taken_at_its_word_while_a_backfill_is_under_way() {
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    let sides = Sides::new(
        vec![alike(Side::A, 1), alike(Side::A, 2)],
        vec![alike(Side::B, 501)],
    );
    let settings = Settings {
        rules: rules(),
        ..Settings::default()
    };
    let mut observed = told(&sides, &settings);
    assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
    let named = observed
        .pairs
        .iter_mut()
        .find(|pair| pair.ids.a == Some(WorklogId(2)));
    named.unwrap().chosen = Some(WorklogId(501));
    let created = carried_out(&mut observed, &settings, false);
    let pair = observed
        .pairs
        .iter()
        .find(|pair| pair.ids.a == Some(WorklogId(2)));
    assert_eq!(pair.unwrap().ids.b, Some(WorklogId(501)));
    // The other waits on: whether it has another copy, this order does not tell.
    assert_eq!(created, Sides::default());
}

#[test]
fn what_is_left_when_a_person_has_said_which_one_is_the_twin_waits_too() {
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    let sides = Sides::new(
        vec![alike(Side::A, 1)],
        vec![alike(Side::B, 501), alike(Side::B, 502)],
    );
    let settings = Settings {
        rules: rules(),
        ..Settings::default()
    };
    let mut observed = told(&sides, &settings);
    let [row] = observed.pairs.as_mut_slice() else {
        panic!("{:?}", observed.pairs)
    };
    row.chosen = Some(WorklogId(502));
    // In a backfill and after it.
    for backfill in [observed.backfill.clone(), None] {
        let mut observed = observed.clone();
        observed.backfill = backfill;
        observed.since = date(2025, 1, 1);
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        let other = observed
            .pairs
            .iter()
            .find(|pair| pair.ids.b == Some(WorklogId(501)));
        let other = other.unwrap();
        assert_eq!((other.ids.a, &other.rivals), (None, &vec![WorklogId(1)]));
        assert!(other.wait.is_some());
        // Nor is it copied by whoever gives the command again, such as to heal the other one.
        observed.backfill = Some(backfill_of());
        tell(&mut observed, &settings);
        assert_eq!(carried_out(&mut observed, &settings, true), Sides::default());
        // A person says that it has no twin.
        let other = observed
            .pairs
            .iter_mut()
            .find(|pair| pair.ids.b == Some(WorklogId(501)));
        let other = other.unwrap();
        assert!(take_side(other, Side::A, &settings.rules).is_err());
        *other = take_side(other, Side::B, &settings.rules).unwrap().pair;
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::new(1, 0));
    }
}

#[test]
fn a_name_that_a_person_gave_and_that_fits_nothing_any_more_has_nothing_copied() {
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    let settings = Settings {
        rules: rules(),
        ..Settings::default()
    };
    let reason = |pair: &Pair| pair.wait.as_ref().map(|wait| wait.reason);
    // The one that was named goes before anybody looks; and one is named for two.
    for (copies, gone, whom) in [
        (vec![501, 502], true, vec![1]),
        (vec![501, 502, 503], false, vec![1, 2]),
    ] {
        let mut sides = Sides::new(
            whom.iter().map(|id| alike(Side::A, *id)).collect(),
            copies.iter().map(|id| alike(Side::B, *id)).collect(),
        );
        let mut observed = told(&sides, &settings);
        assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
        for pair in &mut observed.pairs {
            pair.chosen = Some(WorklogId(501));
        }
        if gone {
            sides.b.remove(0);
            observed.listings.b.remove(&WorklogId(501));
        }
        // The same command again, which sees what is there now.
        tell(&mut observed, &settings);
        assert_eq!(
            carried_out(&mut observed, &settings, false),
            Sides::default(),
            "gone: {gone}"
        );
        let paired = observed
            .pairs
            .iter()
            .filter(|pair| pair.ids.a.is_some() && pair.ids.b.is_some());
        assert_eq!(paired.count(), 1);
        let waiting = observed
            .pairs
            .iter()
            .filter(|pair| reason(pair).is_some())
            .count();
        // Of those that are left nobody can tell.
        assert_eq!(waiting, usize::from(!gone));
    }
}

#[test]
fn what_nobody_could_tell_is_not_copied_since_somebody_changed_it() {
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    for copies in [vec![501], vec![501, 502, 503]] {
        let mut sides = Sides::new(
            vec![alike(Side::A, 1), alike(Side::A, 2)],
            copies.iter().map(|id| alike(Side::B, *id)).collect(),
        );
        let settings = Settings {
            rules: rules(),
            ..Settings::default()
        };
        let mut observed = told(&sides, &settings);
        sides.b[0].content.description = "somebody changed it".into();
        now_listed(&mut observed, &sides);
        if copies.len() == 3 {
            // Of two that are left it is clear, and the one that was changed may be the copy of the one that went.
            observed.listings.b.remove(&WorklogId(503));
            observed.listings.a.remove(&WorklogId(2));
        }
        let settings = Settings {
            rules: rules(),
            ..Settings::default()
        };
        let created = carried_out(&mut observed, &settings, false);
        let waits = |pair: &&Pair| {
            pair.wait
                .as_ref()
                .is_some_and(|wait| wait.reason == Reason::AmbiguousCreate)
        };
        let waiting = observed.pairs.iter().filter(waits).count();
        let expected = match copies.len() {
            // Nobody can tell of either which of the two it was.
            1 => (Sides::default(), 2),
            _ => (Sides::default(), 1),
        };
        assert_eq!((created, waiting), expected);
    }
}

#[test]
fn what_waits_for_a_person_waits_beside_a_create_of_unknown_outcome_too() {
    use tandem_core::{Intent, IntentKind, Pair};
    let alike = |side, id| worklog(side, id, 0b1_0000_0001);
    let sides = Sides::new(
        vec![alike(Side::A, 1), alike(Side::A, 2)],
        vec![alike(Side::B, 501)],
    );
    let mut observed = observed(&sides);
    let settings = Settings {
        rules: rules(),
        ..Settings::default()
    };
    assert_eq!(carried_out(&mut observed, &settings, false), Sides::default());
    let waits = |pair: &Pair| pair.wait.is_some();
    assert_eq!(observed.pairs.iter().filter(|pair| waits(pair)).count(), 2);

    // Somebody else's create in the same run is not answered.
    let mut begun = alike(Side::A, 3);
    begun.content.description = "another".into();
    let mut pair = Pair::half(
        Pair::id_for(Side::A, begun.id, begun.issue),
        observed.link.clone(),
        Side::A,
        begun.id,
    );
    pair.rev = 1;
    pair.intent = Some(Intent {
        kind: IntentKind::Create,
        side: Side::B,
        issue: IssueId(2),
        worklog: None,
        source: Some(begun.content.clone()),
        before: None,
        body: begun.content.clone(),
        then: None,
        entered: None,
        at: observed.now,
        until: observed.now,
        waited: None,
    });
    observed.listings.a.insert(begun.id, begun);
    observed.pairs.push(pair);
    assert_eq!(plan(&observed, &settings).steps, []);
}
