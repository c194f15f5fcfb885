//! What a person decides about a waiting pair is done, once, and never over what nobody saw.
#![allow(missing_docs, clippy::unwrap_used)]

mod twins;

use tandem_core::decide::{choose, take};
use tandem_core::observed::{Observed, Settings};
use tandem_core::plan::{Action, Recorded, plan};
use tandem_core::rules::{ConflictPolicy, DeletePolicy, DeleteVsEdit};
use tandem_core::{Ignored, Intent, IntentKind, IssueId, Pair, Reason, Side, Sides, Wait, WorklogId};

use twins::{A, B, at, deleted_on, link, put, run, said, twins};

fn asks() -> Settings {
    let mut settings = Settings::default();
    settings.rules.policy.conflict = ConflictPolicy::Park;
    settings.rules.policy.delete_vs_edit = DeleteVsEdit::Park;
    settings
}

fn reason(world: &Observed) -> Option<Reason> {
    world.pairs[0].wait.as_ref().map(|wait| wait.reason)
}

fn texts(world: &Observed) -> Sides<Vec<(String, u64)>> {
    Sides::from_fn(|side| {
        let all = world.listings[side].values();
        all.map(|one| (one.content.description.clone(), one.content.time_spent_secs))
            .collect()
    })
}

/// Both sides changed the text; B changed the hours too.
fn conflict() -> (Observed, Settings) {
    let (mut world, settings) = (twins(), asks());
    put(&mut world, Side::A, A, said("from a", 3600), 100);
    let mut b = said("from b", 7200);
    b.billable_secs = Some(3600);
    put(&mut world, Side::B, B, b, 200);
    assert_eq!(run(&mut world, &settings), ["park"]);
    assert_eq!(reason(&world), Some(Reason::Conflict));
    (world, settings)
}

#[test]
fn the_taken_sides_value_goes_across_and_what_only_the_other_changed_comes_along() {
    for (side, text) in [(Side::A, "from a"), (Side::B, "from b")] {
        let (mut world, settings) = conflict();
        let decided = take(&world.pairs[0], side, &settings.rules).unwrap();
        assert_eq!(decided.lost.len(), 1);
        world.pairs[0] = decided.pair;
        run(&mut world, &settings);
        let expected = vec![(text.to_owned(), 7200)];
        assert_eq!(texts(&world), Sides::new(expected.clone(), expected));
        assert_eq!(reason(&world), None);
    }
}

#[test]
fn what_the_losing_side_says_after_it_was_looked_at_is_not_overwritten() {
    let (mut world, settings) = conflict();
    let decided = take(&world.pairs[0], Side::A, &settings.rules).unwrap();
    put(&mut world, Side::B, B, said("newer on b", 7200), 300);
    world.pairs[0] = decided.pair;
    assert_eq!(run(&mut world, &settings), ["park"]);
    assert_eq!(reason(&world), Some(Reason::Conflict));
    assert_eq!(texts(&world).b, [("newer on b".to_owned(), 7200)]);
}

#[test]
fn twins_that_never_agreed_are_decided_too() {
    for (side, text) in [(Side::A, "from a"), (Side::B, "from b")] {
        let (mut world, settings) = conflict();
        world.pairs[0].base = None;
        let decided = take(&world.pairs[0], side, &settings.rules).unwrap();
        world.pairs[0] = decided.pair;
        run(&mut world, &settings);
        let texts = texts(&world);
        assert_eq!(texts.a, texts.b);
        assert_eq!(texts.a[0].0, text);
    }
}

/// Deleted on A, edited on B; or deleted on A and the policy asks about every delete.
fn half_deleted(edited: bool) -> (Observed, Settings) {
    let (mut world, mut settings) = (twins(), asks());
    deleted_on(&mut world, Side::A, A);
    if edited {
        put(&mut world, Side::B, B, said("edited", 3600), 100);
    } else {
        settings.rules.policy.delete = DeletePolicy::Park;
    }
    assert_eq!(run(&mut world, &settings), ["park"]);
    (world, settings)
}

#[test]
fn of_a_delete_and_an_edit_either_may_be_taken() {
    for (edited, policy) in [
        (true, DeletePolicy::Mirror),
        (true, DeletePolicy::Keep),
        (false, DeletePolicy::Park),
    ] {
        let (mut world, mut settings) = half_deleted(edited);
        settings.rules.policy.delete = policy;
        let decided = take(&world.pairs[0], Side::A, &settings.rules).unwrap();
        let mut gone = world.clone();
        gone.pairs[0] = decided.pair;
        assert_eq!(run(&mut gone, &settings), ["delete b"]);

        let decided = take(&world.pairs[0], Side::B, &settings.rules).unwrap();
        world.pairs[0] = decided.pair;
        assert_eq!(run(&mut world, &settings), ["create a"]);
        assert_eq!(texts(&world).a, texts(&world).b);
    }
}

#[test]
fn an_edit_after_the_delete_was_taken_is_not_deleted_unseen() {
    let (mut world, settings) = half_deleted(true);
    world.pairs[0] = take(&world.pairs[0], Side::A, &settings.rules).unwrap().pair;
    put(&mut world, Side::B, B, said("edited again", 3600), 300);
    assert_eq!(run(&mut world, &settings), ["park"]);
    assert_eq!(texts(&world).b.len(), 1);
    // Nor is a later delete let through for it once the edit has won.
    let mut edit_wins = settings.clone();
    edit_wins.rules.policy.delete_vs_edit = DeleteVsEdit::Edit;
    run(&mut world, &edit_wins);
    assert!(!world.pairs[0].released);
}

#[test]
fn a_missing_worklog_may_be_vouched_for_but_is_never_made_a_second_time() {
    let (mut world, settings) = (twins(), asks());
    world.listings.a.clear();
    assert_eq!(run(&mut world, &settings), ["park"]);
    let refused = take(&world.pairs[0], Side::B, &settings.rules).unwrap_err();
    assert!(refused.contains("may be there unseen"), "{refused}");
    let decided = take(&world.pairs[0], Side::A, &settings.rules).unwrap();
    assert_eq!(decided.gone, Some((Side::A, A)));
    deleted_on(&mut world, Side::A, A);
    assert_eq!(run(&mut world, &settings), ["delete b"]);
}

/// A create of ours was interrupted, and two worklogs might be what it made: both were edited since.
fn ambiguous() -> (Observed, Settings) {
    let (mut world, settings) = (Observed::empty(link(), at(1000)), asks());
    put(&mut world, Side::A, A, said("work", 3600), 0);
    let mut pair = Pair::half("a1-10".into(), link(), Side::A, A);
    pair.seen.a = Some(at(0));
    pair.intent = Some(Intent {
        kind: IntentKind::Create,
        side: Side::B,
        issue: IssueId(20),
        worklog: None,
        source: Some(said("work", 3600)),
        before: None,
        body: said("work", 3600),
        then: None,
        entered: None,
        at: at(0),
        until: at(40),
        waited: None,
    });
    pair.rev = 1;
    world.pairs.push(pair);
    for (id, text) in [(21, "one"), (22, "two")] {
        put(&mut world, Side::B, WorklogId(id), said(text, 3600), 50);
    }
    assert_eq!(run(&mut world, &settings), ["park"]);
    assert_eq!(reason(&world), Some(Reason::AmbiguousCreate));
    (world, settings)
}

#[test]
fn the_twin_that_a_person_names_is_taken_and_the_other_becomes_somebody_elses() {
    let (mut world, settings) = ambiguous();
    assert!(
        take(&world.pairs[0], Side::A, &settings.rules)
            .unwrap_err()
            .contains("--twin")
    );
    world.pairs[0] = choose(&world.pairs[0], WorklogId(22)).unwrap().pair;
    run(&mut world, &settings);
    assert_eq!(world.pairs[0].ids.b, Some(WorklogId(22)));
    assert_eq!(world.pairs[0].chosen, None);
    // What was edited on it since it was made is an edit.
    assert_eq!(world.listings.a[&A].content.description, "two");
    assert_eq!(world.listings.a.len(), world.listings.b.len());
}

#[test]
fn a_name_that_fits_nothing_changes_nothing() {
    let (mut world, settings) = ambiguous();
    for nobody in [99, 1] {
        world.pairs[0] = choose(&world.pairs[0], WorklogId(nobody)).unwrap().pair;
        run(&mut world, &settings);
        assert_eq!(reason(&world), Some(Reason::AmbiguousCreate));
        assert_eq!(world.pairs[0].ids.b, None);
    }
    // Nor is another pair's worklog anybody's to give away.
    let mut other = Pair::half("b22-20".into(), link(), Side::B, WorklogId(22));
    other.ids.a = Some(WorklogId(2));
    other.rev = 1;
    world.pairs.push(other);
    world.pairs[0].chosen = Some(WorklogId(22));
    plan(&world, &settings).steps.iter().for_each(|step| {
        let adopted = matches!(step.action, Action::Record(Recorded::Adopt));
        assert!(!(adopted && step.pair.ids.b == Some(WorklogId(22))), "{step:?}");
    });
}

#[test]
fn a_worklog_that_waits_with_a_row_of_its_own_is_taken_in_where_a_person_says_whose_twin_it_is() {
    let (mut world, settings) = ambiguous();
    let mut other = Pair::half("b22-20".into(), link(), Side::B, WorklogId(22));
    other.rev = 1;
    // It comes first, and would be copied.
    world.pairs.insert(0, other);
    world.pairs[1] = choose(&world.pairs[1], WorklogId(22)).unwrap().pair;
    run(&mut world, &settings);
    let whole = world
        .pairs
        .iter()
        .find(|pair| pair.id.as_str() == "a1-10")
        .unwrap();
    assert_eq!(whole.ids, Sides::new(Some(A), Some(WorklogId(22))));
    assert!(whole.wait.is_none());
    assert!(world.pairs.iter().all(|pair| pair.id.as_str() != "b22-20"));
}

#[test]
fn what_is_set_aside_is_left_alone_until_its_worklog_changes() {
    let (mut world, settings) = (twins(), asks());
    put(&mut world, Side::A, A, said("refused", 3600), 100);
    // The site refused the update, and it would be tried again by now.
    let step = plan(&world, &settings).steps.remove(0);
    let rules = &settings.rules;
    let mut pair = step.refused(&step.pair, Reason::Rejected, "no".into(), at(100), at(200), rules);
    pair.rev += 1;
    world.pairs[0] = pair;
    assert_eq!(plan(&world, &settings).steps.len(), 1);
    let pair = &mut world.pairs[0];
    pair.ignored = Some(Ignored {
        reason: Reason::Rejected,
        ids: pair.ids,
        seen: pair.seen,
        tried: pair.wait.as_ref().unwrap().tried.clone(),
    });
    world.force = true;
    let planned = plan(&world, &settings);
    assert!(planned.steps.is_empty() && planned.look_again > Some(world.now));
    // Within the second of the last one.
    put(&mut world, Side::A, A, said("another try", 3600), 100);
    assert_eq!(run(&mut world, &settings), ["update b"]);
}

#[test]
fn what_waits_for_a_person_to_say_which_value_counts_is_no_copy_to_delete() {
    // The same work was logged on both sides before anybody kept them the same, and said differently.
    let (mut world, mut settings) = (twins(), asks());
    settings.rules.policy.delete_vs_edit = DeleteVsEdit::Edit;
    world.pairs[0].base = None;
    put(&mut world, Side::B, B, said("on b", 7200), 0);
    assert_eq!(run(&mut world, &settings), ["park"]);
    deleted_on(&mut world, Side::A, A);
    assert_eq!(run(&mut world, &settings), ["create a"]);
    assert_eq!(texts(&world).a, texts(&world).b);
}

#[test]
fn what_was_never_agreed_on_goes_with_its_twin_unless_it_was_edited_since_it_waits() {
    for edited in [false, true] {
        let (mut world, settings) = (twins(), Settings::default());
        let (a, b) = (said("work", 3600), said("work", 3600));
        let pair = &mut world.pairs[0];
        pair.base = None;
        pair.wait = Some(Wait {
            reason: Reason::PeriodClosed,
            side: Side::B,
            detail: String::new(),
            since: at(0),
            attempts: 1,
            next_attempt: Some(at(2000)),
            tried: Sides::new(Some(a), Some(b.clone())),
            moved: false,
        });
        put(
            &mut world,
            Side::B,
            B,
            if edited { said("work", 7200) } else { b },
            0,
        );
        world.force = true;
        deleted_on(&mut world, Side::A, A);
        let expected = if edited { "create a" } else { "delete b" };
        assert_eq!(run(&mut world, &settings), [expected]);
    }
}

#[test]
fn whoever_sets_an_absence_aside_has_not_set_aside_the_next_one() {
    let (mut world, settings) = (twins(), Settings::default());
    let a = world.listings.a.remove(&A).unwrap();
    assert_eq!(run(&mut world, &settings), ["park"]);
    let pair = &mut world.pairs[0];
    let wait = pair.wait.clone().unwrap();
    pair.ignored = Some(Ignored {
        reason: wait.reason,
        ids: pair.ids,
        seen: pair.seen,
        tried: wait.tried,
    });
    assert!(pair.is_ignored());
    world.listings.a.insert(A, a);
    run(&mut world, &settings);
    world.listings.a.remove(&A);
    run(&mut world, &settings);
    assert_eq!(reason(&world), Some(Reason::Missing));
    assert!(!world.pairs[0].is_ignored());
}

#[test]
fn whoever_sets_an_absence_aside_has_not_set_aside_the_edit_that_waited_before_it() {
    let (mut world, settings) = (twins(), Settings::default());
    put(&mut world, Side::B, B, said("edited", 7200), 100);
    let step = plan(&world, &settings).steps.remove(0);
    let rules = &settings.rules;
    let mut pair = step.refused(&step.pair, Reason::Rejected, "no".into(), at(100), at(200), rules);
    pair.rev += 1;
    world.pairs[0] = pair;
    let a = world.listings.a.remove(&A).unwrap();
    assert_eq!(run(&mut world, &settings), ["park"]);
    let pair = &mut world.pairs[0];
    let wait = pair.wait.clone().unwrap();
    pair.ignored = Some(Ignored {
        reason: wait.reason,
        ids: pair.ids,
        seen: pair.seen,
        tried: wait.tried,
    });
    assert!(plan(&world, &settings).steps.is_empty());
    world.listings.a.insert(A, a);
    assert_eq!(run(&mut world, &settings), ["update a"]);
}

#[test]
fn what_an_edit_brings_back_for_a_twin_that_a_move_left_behind_is_not_taken_away_for_that_move() {
    let (mut world, settings) = (twins(), Settings::default());
    world.pairs[0].strays.b = Some(IssueId(77));
    deleted_on(&mut world, Side::B, B);
    put(&mut world, Side::A, A, said("edited", 7200), 100);
    let step = plan(&world, &settings).steps.remove(0);
    assert!(matches!(step.action, Action::Create { .. }), "{step:?}");
    assert_eq!(step.pair.strays, Sides::default());
}

#[test]
fn what_a_policy_asks_about_a_delete_is_no_edit() {
    // Nothing was agreed on yet, since what was to be written was refused.
    let (mut world, mut settings) = (twins(), Settings::default());
    settings.rules.policy.delete = DeletePolicy::Park;
    world.pairs[0].base = None;
    world.force = true;
    deleted_on(&mut world, Side::A, A);
    assert_eq!(run(&mut world, &settings), ["park"]);
    assert_eq!(reason(&world), Some(Reason::Conflict));
    assert_eq!(texts(&world).a.len(), 0);
    world.pairs[0] = take(&world.pairs[0], Side::A, &settings.rules).unwrap().pair;
    assert_eq!(run(&mut world, &settings), ["delete b"]);
}

#[test]
fn of_rows_that_an_earlier_version_parked_it_is_noted_that_the_worklog_moved() {
    let (mut world, mut settings) = (twins(), Settings::default());
    settings.rules.policy.delete = DeletePolicy::Park;
    deleted_on(&mut world, Side::A, A);
    if let Some(proof) = world.proofs.a.get_mut(&A) {
        proof.moved_to = Some(IssueId(99));
    }
    assert_eq!(run(&mut world, &settings), ["park"]);
    world.pairs[0].wait.as_mut().unwrap().moved = false;
    assert_eq!(run(&mut world, &settings), ["park"]);
    let decided = take(&world.pairs[0], Side::B, &settings.rules).unwrap();
    assert_eq!(
        decided.pair.ids, world.pairs[0].ids,
        "it is made a second time by nobody"
    );
}

#[test]
fn times_and_words_of_a_sites_own_cross_to_nobody_however_late_its_worklog_shows_itself() {
    let settings = Settings::default();
    for edited in [false, true] {
        let mut world = Observed::empty(link(), at(1000));
        world.timeless.b = true;
        put(&mut world, Side::A, A, said("", 3600), 0);
        let mut pair = Pair::half("a1-10".into(), link(), Side::A, A);
        pair.seen.a = Some(at(0));
        pair.abandoned.push(Intent {
            kind: IntentKind::Create,
            side: Side::B,
            issue: IssueId(20),
            worklog: None,
            source: Some(said("", 3600)),
            before: None,
            body: said("", 3600),
            then: None,
            entered: None,
            at: at(0),
            until: at(40),
            waited: None,
        });
        pair.rev = 1;
        world.pairs.push(pair);
        let mut found = said("Working on it", 3600);
        found.start_time = Some("08:00:00".parse().unwrap());
        if edited {
            (found.description, found.billable_secs) = (String::new(), Some(0));
        }
        put(&mut world, Side::B, B, found, if edited { 100 } else { 0 });
        let mut steps = run(&mut world, &settings);
        steps.retain(|step| step != "agree");
        let mut expected = said("", 3600);
        if edited {
            assert_eq!(steps, ["adopt", "update a"]);
            expected.billable_secs = Some(0);
        } else {
            assert_eq!(steps, ["adopt"]);
        }
        assert_eq!(world.listings.a[&A].content, expected);
    }
}
