//! What the two worklogs of a pair rightly say differently stays so.
#![allow(missing_docs, clippy::unwrap_used)]

mod twins;

use std::collections::BTreeMap;

use tandem_core::merge::since;
use tandem_core::observed::{Observed, Settings};
use tandem_core::rules::{AttributeRule, DeleteVsEdit, Person, UnknownAuthor};
use tandem_core::{Content, Ignored, Reason, Side, Sides};

use twins::{A, B, at, deleted_on, put, run, said, twins};

/// Twins that agreed on saying different things.
fn agreed(a: &Content, b: &Content) -> Observed {
    let mut world = twins();
    put(&mut world, Side::A, A, a.clone(), 0);
    put(&mut world, Side::B, B, b.clone(), 0);
    world.pairs[0].base = Some(Sides::new(a.clone(), b.clone()));
    world
}

fn of(author: &str, text: &str) -> Content {
    Content {
        author: author.into(),
        ..said(text, 3600)
    }
}

fn with(content: Content, key: &str, value: &str) -> Content {
    let attributes = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Content {
        attributes,
        ..content
    }
}

/// Whom nobody knows is written as `robot`; eve and zoe of side A are not known on B.
fn robot(world: &mut Observed) -> Settings {
    for (account, name) in [("eve", "Eve"), ("zoe", "Zoe")] {
        let person = Person {
            other: None,
            display_name: Some(name.into()),
        };
        world.lookups.people.a.insert(account.into(), person);
    }
    let mut settings = Settings::default();
    settings.rules.unknown_author = UnknownAuthor::Account("robot".into());
    settings
}

/// What is written until nothing is left to do.
fn written(world: &mut Observed, settings: &Settings) -> Vec<String> {
    let mut done = run(world, settings);
    done.retain(|step| step.contains(' '));
    done
}

/// What stands on a side, if one worklog does.
fn only(world: &Observed, side: Side) -> Content {
    let mut all = world.listings[side].values();
    let (Some(worklog), None) = (all.next(), all.next()) else {
        panic!("not one on {side}: {:?}", world.listings[side]);
    };
    worklog.content.clone()
}

/// As another tool copies: at noon, billable, under an account of its own.
fn copied_by_a_tool() -> (Content, Content) {
    let mut original = of("eve", "work");
    original.billable_secs = Some(0);
    let mut copy = of("bot", "work");
    copy.start_time = Some("12:00:00".parse().unwrap());
    (original, copy)
}

#[test]
fn what_is_made_anew_says_what_it_said_before_and_not_what_its_twin_makes_of_it() {
    let (original, copy) = copied_by_a_tool();
    // Its copy moved to another linked issue, and the original was taken away from the old one.
    let mut world = agreed(&original, &copy);
    world.listings.a.clear();
    world.pairs[0].ids.a = None;
    assert_eq!(written(&mut world, &Settings::default()), ["create a"]);
    assert_eq!(only(&world, Side::A), original);

    // It was deleted, and its copy edited in one field.
    let mut world = agreed(&original, &copy);
    deleted_on(&mut world, Side::A, A);
    let mut edited = copy.clone();
    edited.time_spent_secs = 7200;
    put(&mut world, Side::B, B, edited, 100);
    assert_eq!(written(&mut world, &Settings::default()), ["create a"]);
    let expected = Content {
        time_spent_secs: 7200,
        ..original
    };
    assert_eq!(only(&world, Side::A), expected);
}

#[test]
fn a_person_without_an_account_there_is_no_robot_after_a_delete_that_lost_to_an_edit() {
    let mut world = agreed(&of("eve", "x"), &of("robot", "[Eve] x"));
    let mut settings = robot(&mut world);
    settings.rules.policy.delete_vs_edit = DeleteVsEdit::Edit;
    deleted_on(&mut world, Side::A, A);
    put(&mut world, Side::B, B, of("robot", "[Eve] y"), 100);
    assert_eq!(written(&mut world, &settings), ["create a"]);
    assert_eq!(only(&world, Side::A), of("eve", "y"));
}

#[test]
fn an_author_whom_the_site_refuses_is_looked_for_anew() {
    let mut world = agreed(&of("eve", "x"), &of("eve", "x"));
    let settings = robot(&mut world);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    let step = tandem_core::plan::plan(&world, &settings).steps.remove(0);
    let why = "no such user".into();
    let pair = step.refused(
        &step.pair,
        Reason::AuthorUnmapped,
        why,
        at(100),
        at(200),
        &settings.rules,
    );
    world.pairs[0] = pair;
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), of("robot", "[Eve] x"));
}

#[test]
fn whoever_takes_over_a_worklog_stands_in_front_of_its_text_where_they_have_no_account() {
    for (before, after, copy, expected) in [
        ("bob", "eve", of("bob", "x"), of("robot", "[Eve] x")),
        ("eve", "bob", of("robot", "[Eve] x"), of("bob", "x")),
        ("eve", "zoe", of("robot", "[Eve] x"), of("robot", "[Zoe] x")),
        ("ann", "bob", of("ann", "[x] y"), of("bob", "[x] y")),
    ] {
        let text = if before == "ann" { "[x] y" } else { "x" };
        let mut world = agreed(&of(before, text), &copy);
        let settings = robot(&mut world);
        put(&mut world, Side::A, A, of(after, text), 100);
        assert_eq!(
            written(&mut world, &settings),
            ["update b"],
            "{before} to {after}"
        );
        assert_eq!(only(&world, Side::B), expected);
        assert_eq!(only(&world, Side::A), of(after, text));
    }
}

#[test]
fn a_text_that_was_edited_meanwhile_gets_the_new_name_too() {
    for (before, after, copy, edited, expected) in [
        ("eve", "bob", of("robot", "[Eve] x"), "[Eve] y", of("bob", "y")),
        (
            "eve",
            "zoe",
            of("robot", "[Eve] x"),
            "[Eve] y",
            of("robot", "[Zoe] y"),
        ),
        ("bob", "eve", of("bob", "x"), "y", of("robot", "[Eve] y")),
    ] {
        let mut world = agreed(&of(before, "x"), &copy);
        let settings = robot(&mut world);
        put(&mut world, Side::A, A, of(after, "x"), 100);
        let author = copy.author.as_str();
        put(&mut world, Side::B, B, of(author, edited), 200);
        let mut done = written(&mut world, &settings);
        done.sort();
        assert_eq!(done, ["update a", "update b"], "{before} to {after}");
        assert_eq!(only(&world, Side::A), of(after, "y"));
        assert_eq!(only(&world, Side::B), expected);
    }
}

#[test]
fn a_name_that_goes_with_its_author_is_no_edit_of_the_text() {
    let mut world = agreed(&of("robot", "[Eve] x"), &of("eve", "x"));
    let mut settings = Settings::default();
    settings.rules.unknown_author = UnknownAuthor::Account("robot".into());
    settings.rules.policy.conflict = tandem_core::rules::ConflictPolicy::Side(Side::A);
    let name = Person {
        other: None,
        display_name: Some("Eve".into()),
    };
    world.lookups.people.b.insert("eve".into(), name);
    put(&mut world, Side::A, A, of("bob", "x"), 100);
    put(&mut world, Side::B, B, of("eve", "y"), 200);
    written(&mut world, &settings);
    assert_eq!(only(&world, Side::A), of("bob", "y"));
    assert_eq!(only(&world, Side::B), of("bob", "y"));
}

#[test]
fn what_was_refused_of_a_new_name_is_not_forgotten() {
    for (after, expected) in [("zoe", of("robot", "[Zoe] x")), ("bob", of("bob", "x"))] {
        let mut world = agreed(&of("eve", "x"), &of("robot", "[Eve] x"));
        let settings = robot(&mut world);
        put(&mut world, Side::A, A, of(after, "x"), 100);
        let step = tandem_core::plan::plan(&world, &settings).steps.remove(0);
        let pair = step.refused(
            &step.pair,
            Reason::PeriodClosed,
            "closed".into(),
            at(100),
            at(200),
            &settings.rules,
        );
        world.pairs[0] = pair;
        assert_eq!(written(&mut world, &settings), ["update b"], "{after}");
        assert_eq!(only(&world, Side::B), expected);
    }
}

#[test]
fn what_one_side_does_not_tell_is_taken_from_the_other_where_it_is_made_anew() {
    let (a, mut b) = (of("ann", "x"), of("ann", "x"));
    (b.start_time, b.billable_secs) = (None, None);
    let mut world = agreed(&a, &b);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    assert_eq!(written(&mut world, &Settings::default()), ["create b"]);
    assert_eq!(only(&world, Side::B), a);
}

#[test]
fn texts_that_are_the_same_mean_the_same_though_they_begin_as_with_a_name() {
    let mut world = twins();
    let settings = robot(&mut world);
    let both = Sides::new(of("robot", "[ABC-1] fix"), of("robot", "[ABC-1] fix"));
    let differing = tandem_core::merge::differing(&both, &settings.rules, &world.lookups);
    assert_eq!(differing, Vec::<&str>::new());
}

#[test]
fn an_original_that_is_told_again_does_not_take_its_copy_over() {
    let (original, copy) = copied_by_a_tool();
    let mut world = agreed(&original, &copy);
    let settings = Settings::default();
    let hidden = Content {
        author: "__tempo-io__unknown_user".into(),
        ..original.clone()
    };
    put(&mut world, Side::A, A, hidden, 50);
    assert_eq!(written(&mut world, &settings), Vec::<String>::new());
    put(&mut world, Side::A, A, original, 60);
    assert_eq!(written(&mut world, &settings), Vec::<String>::new());
    assert_eq!(only(&world, Side::B), copy);
}

#[test]
fn what_a_site_was_found_to_demand_is_filled_in_once_there_is_a_value_for_it() {
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    put(&mut world, Side::A, A, of("ann", "y"), 100);
    let refused = |world: &mut Observed, reason| {
        let settings = Settings::default();
        let step = tandem_core::plan::plan(world, &settings).steps.remove(0);
        let why = "it is required".into();
        world.pairs[0] = step.refused(&step.pair, reason, why, at(100), at(200), &settings.rules);
    };
    refused(&mut world, Reason::AttributeRequired);
    let settings = demands(&mut world);
    world.lookups.defined.b = None;
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), with(of("ann", "y"), "_Activity_", "9"));

    // And a value that was mapped wrongly, once it is mapped rightly.
    let (a, b) = (
        with(of("ann", "x"), "_Account_", "ACME1"),
        with(of("ann", "x"), "_Customer_", "GLX7"),
    );
    let mut world = agreed(&a, &b);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    refused(&mut world, Reason::Rejected);
    let mut settings = Settings::default();
    settings.rules.attributes.push(AttributeRule {
        keys: Sides::new("_Account_".into(), "_Customer_".into()),
        values: vec![("ACME1".into(), "GLX8".into())],
    });
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), with(of("ann", "x"), "_Customer_", "GLX8"));
}

#[test]
fn what_a_site_kept_of_its_own_is_not_taken_over_word_for_word() {
    // B kept its value, so that A goes on differing from what it says of it.
    let rule = AttributeRule {
        keys: Sides::new("_Account_".into(), "_Customer_".into()),
        values: vec![("ACME1".into(), "GLX1".into()), ("ACME0".into(), "GLX0".into())],
    };
    let (a, b) = (
        with(of("ann", "x"), "_Account_", "GLX0"),
        with(of("ann", "x"), "_Customer_", "GLX0"),
    );
    let mut world = agreed(&a, &b);
    let mut settings = Settings::default();
    settings.rules.attributes.push(rule);
    deleted_on(&mut world, Side::A, A);
    put(
        &mut world,
        Side::B,
        B,
        with(of("ann", "y"), "_Customer_", "GLX0"),
        100,
    );
    assert_eq!(written(&mut world, &settings), ["create a"]);
    assert_eq!(only(&world, Side::A), with(of("ann", "y"), "_Account_", "ACME0"));
}

#[test]
fn what_is_mapped_only_now_is_there_when_a_twin_is_made_anew() {
    let rule = AttributeRule {
        keys: Sides::new("_Account_".into(), "_Customer_".into()),
        values: vec![("ACME1".into(), "GLX1".into())],
    };
    let mut world = agreed(&with(of("ann", "x"), "_Account_", "ACME1"), &of("ann", "x"));
    let mut settings = Settings::default();
    settings.rules.attributes.push(rule);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), with(of("ann", "x"), "_Customer_", "GLX1"));
}

#[test]
fn the_name_before_a_copy_never_gets_into_its_original_whatever_was_decided_in_between() {
    let mut world = agreed(&of("eve", "x"), &of("robot", "[Eve] x"));
    let mut settings = robot(&mut world);
    settings.rules.policy.conflict = tandem_core::rules::ConflictPolicy::Park;
    put(&mut world, Side::A, A, of("eve", "a"), 100);
    put(&mut world, Side::B, B, of("robot", "[Eve] b"), 200);
    assert_eq!(run(&mut world, &settings), ["park"]);
    world.pairs[0] = tandem_core::decide::take(&world.pairs[0], Side::B, &settings.rules)
        .unwrap()
        .pair;
    assert_eq!(written(&mut world, &settings), ["update a"]);
    assert_eq!(only(&world, Side::A), of("eve", "b"));
    put(&mut world, Side::A, A, of("eve", "c"), 3000);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("robot", "[Eve] c"));
}

#[test]
fn who_takes_over_a_worklog_whose_author_is_hidden_takes_it_over_there_too() {
    let nobody = "__tempo-io__unknown_user";
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = robot(&mut world);
    put(&mut world, Side::B, B, of(nobody, "x"), 50);
    put(&mut world, Side::A, A, of("bob", "x"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("bob", "x"));

    let mut world = agreed(&of(nobody, "x"), &of("robot", "[somebody] x"));
    let settings = robot(&mut world);
    put(&mut world, Side::A, A, of("bob", "x"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("bob", "x"));
}

#[test]
fn a_twin_that_goes_to_the_robot_when_it_is_made_anew_has_its_authors_name() {
    let mut world = agreed(&of("eve", "x"), &of("eve", "x"));
    let settings = robot(&mut world);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), of("robot", "[Eve] x"));

    // But not where she is merely not told any more.
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = robot(&mut world);
    put(&mut world, Side::A, A, of("__tempo-io__unknown_user", "x"), 100);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), of("ann", "x"));
}

#[test]
fn brackets_that_both_sides_had_agreed_on_are_nobodys_name() {
    let text = "[ABC-1] fix";
    let mut world = agreed(&of("eve", text), &of("robot", text));
    let settings = robot(&mut world);
    put(&mut world, Side::B, B, of("robot", "[ABC-1] fix, again"), 100);
    assert_eq!(written(&mut world, &settings), ["update a"]);
    assert_eq!(only(&world, Side::A), of("eve", "[ABC-1] fix, again"));
}

#[test]
fn what_was_refused_once_goes_through_though_its_author_is_not_told_any_more() {
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = Settings::default();
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    let step = tandem_core::plan::plan(&world, &settings).steps.remove(0);
    let (why, rules) = ("too many hours".into(), &settings.rules);
    let pair = step.refused(&step.pair, Reason::Rejected, why, at(100), at(200), rules);
    world.pairs[0] = pair;
    put(&mut world, Side::A, A, of("__tempo-io__unknown_user", "x"), 300);
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), of("ann", "x"));
}

#[test]
fn a_name_that_was_just_put_in_front_is_not_carried_back() {
    // Both were edited, one side was written, and the other was deleted before it was.
    let mut world = agreed(&of("robot", "x"), &of("eve", "x"));
    let mut settings = Settings::default();
    settings.rules.unknown_author = UnknownAuthor::Account("robot".into());
    put(&mut world, Side::A, A, of("robot", "[Eve] y"), 100);
    deleted_on(&mut world, Side::B, B);
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), of("eve", "y"));
}

#[test]
fn an_author_who_is_not_told_any_more_is_who_it_was() {
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = robot(&mut world);
    let nobody = "__tempo-io__unknown_user";
    put(&mut world, Side::A, A, of(nobody, "y"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("ann", "y"));
    put(&mut world, Side::B, B, of("ann", "z"), 3000);
    assert_eq!(written(&mut world, &settings), ["update a"]);
    assert_eq!(only(&world, Side::A), of(nobody, "z"));
    // Nor is it news once it is told again, or a reason to bring a deleted worklog back.
    put(&mut world, Side::A, A, of("ann", "z"), 3000);
    assert_eq!(written(&mut world, &settings), Vec::<String>::new());
    put(&mut world, Side::B, B, of(nobody, "z"), 3000);
    deleted_on(&mut world, Side::A, A);
    assert_eq!(written(&mut world, &settings), ["delete b"]);
}

#[test]
fn a_name_stands_in_front_only_where_the_worklog_is_the_robots() {
    // She was taken over while she had an account.
    let mut world = agreed(&of("eve", "x"), &of("eve", "x"));
    let settings = robot(&mut world);
    put(&mut world, Side::A, A, of("eve", "y"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("eve", "y"));
}

#[test]
fn the_brackets_of_the_robots_own_texts_are_its_own() {
    let text = "[ABC-1] fix";
    let mut world = agreed(&of("robot", text), &of("robot", text));
    let settings = robot(&mut world);
    put(&mut world, Side::B, B, of("robot", "[ABC-1] fix, again"), 100);
    assert_eq!(written(&mut world, &settings), ["update a"]);
    assert_eq!(only(&world, Side::A), of("robot", "[ABC-1] fix, again"));

    // And of one that it logs anew.
    let mut world = twins();
    world.pairs.clear();
    world.listings.a.clear();
    let settings = robot(&mut world);
    put(&mut world, Side::B, B, of("robot", text), 0);
    assert_eq!(written(&mut world, &settings), ["create a"]);
    assert_eq!(only(&world, Side::A), of("robot", text));
}

/// On B `_Activity_` has to be there, and stores a name of its own for `Support`.
fn demands(world: &mut Observed) -> Settings {
    let names = BTreeMap::from([("9".to_owned(), "Support".to_owned())]);
    world.lookups.names.b.insert("_Activity_".into(), names);
    world.lookups.defined.b = Some(BTreeMap::from([("_Activity_".into(), true)]));
    let mut settings = Settings::default();
    let default = ("_Activity_".to_owned(), "Support".to_owned());
    settings.rules.defaults.b.extend([default]);
    settings
}

#[test]
fn what_a_site_demands_is_filled_in_as_it_stores_it() {
    let full = with(of("ann", "x"), "_Activity_", "9");
    for mapped in [false, true] {
        let mut world = twins();
        world.pairs.clear();
        world.listings.b.clear();
        put(&mut world, Side::A, A, of("ann", "x"), 0);
        let mut settings = demands(&mut world);
        if mapped {
            settings.rules.attributes.push(AttributeRule {
                keys: Sides::new("_Kind_".into(), "_Activity_".into()),
                values: vec![],
            });
        }
        assert_eq!(written(&mut world, &settings), ["create b"]);
        assert_eq!(only(&world, Side::B), full);
    }
}

#[test]
fn what_a_site_demands_is_filled_in_where_an_older_worklog_lacks_it() {
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = demands(&mut world);
    put(&mut world, Side::A, A, of("ann", "y"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), with(of("ann", "y"), "_Activity_", "9"));

    // What a person chose there stays, and so does what is not demanded.
    let own = with(of("ann", "x"), "_Activity_", "5");
    let mut world = agreed(&of("ann", "x"), &own);
    let settings = demands(&mut world);
    put(&mut world, Side::A, A, of("ann", "y"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), with(of("ann", "y"), "_Activity_", "5"));
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let settings = demands(&mut world);
    world.lookups.defined.b = Some(BTreeMap::from([("_Activity_".into(), false)]));
    put(&mut world, Side::A, A, of("ann", "y"), 100);
    assert_eq!(written(&mut world, &settings), ["update b"]);
    assert_eq!(only(&world, Side::B), of("ann", "y"));
}

#[test]
fn what_came_to_be_demanded_and_mapped_is_filled_in_where_older_worklogs_lack_it() {
    let rule = AttributeRule {
        keys: Sides::new("_Kind_".into(), "_Activity_".into()),
        values: vec![],
    };
    // What the other side says, and where it says nothing, the default.
    for (kind, activity) in [(Some("5"), "5"), (None, "9")] {
        let kind = |content: Content| match kind {
            Some(kind) => with(content, "_Kind_", kind),
            None => content,
        };
        let mut world = agreed(&kind(of("ann", "x")), &of("ann", "x"));
        let mut settings = demands(&mut world);
        settings.rules.attributes.push(rule.clone());
        put(&mut world, Side::A, A, kind(of("ann", "y")), 100);
        assert_eq!(written(&mut world, &settings), ["update b"]);
        assert_eq!(
            only(&world, Side::B),
            with(of("ann", "y"), "_Activity_", activity)
        );
        assert_eq!(only(&world, Side::A), kind(of("ann", "y")));
    }
}

#[test]
fn a_twin_that_was_found_under_the_stand_in_makes_nobody_another() {
    for (a, b) in [("eve", "robot"), ("robot", "kim")] {
        let mut world = agreed(&of(a, "x"), &of(b, "x"));
        world.pairs[0].base = None;
        let mut settings = Settings::default();
        settings.rules.unknown_author = UnknownAuthor::Account("robot".into());
        put(&mut world, Side::B, B, of(b, "x"), 100);
        assert_eq!(written(&mut world, &settings), Vec::<String>::new());
        assert_eq!(only(&world, Side::A).author.as_str(), a);
        assert_eq!(only(&world, Side::B).author.as_str(), b);
    }
}

#[test]
fn what_both_sites_demand_is_filled_in_on_each_with_its_own_default() {
    let mut world = agreed(&of("ann", "x"), &of("ann", "x"));
    let mut settings = demands(&mut world);
    let keys = Sides::new("_Kind_".to_owned(), "_Activity_".to_owned());
    settings.rules.defaults.a.insert(keys.a.clone(), "1".into());
    settings
        .rules
        .attributes
        .push(AttributeRule { keys, values: vec![] });
    world.lookups.defined.a = Some(BTreeMap::from([("_Kind_".into(), true)]));
    put(&mut world, Side::A, A, of("ann", "y"), 100);
    assert_eq!(written(&mut world, &settings)[0], "update b");
    assert_eq!(only(&world, Side::B).attributes["_Activity_"], "9");
}

#[test]
fn what_was_only_filled_in_on_one_side_is_entered_on_the_other_by_nobody() {
    let filled = with(of("ann", "x"), "_Activity_", "9");
    let mut world = agreed(&of("ann", "x"), &filled);
    let mut settings = demands(&mut world);
    settings.rules.attributes.push(AttributeRule {
        keys: Sides::new("_Kind_".into(), "_Activity_".into()),
        values: vec![],
    });
    // Its twin moved, and what had been left behind was taken away.
    world.listings.a.clear();
    world.pairs[0].ids.a = None;
    assert_eq!(written(&mut world, &settings), ["create a"]);
    assert_eq!(only(&world, Side::A), of("ann", "x"));
    // Chosen by somebody, it is told.
    let mut world = agreed(&of("ann", "x"), &filled);
    world.listings.a.clear();
    world.pairs[0].ids.a = None;
    put(
        &mut world,
        Side::B,
        B,
        with(of("ann", "x"), "_Activity_", "5"),
        100,
    );
    demands(&mut world);
    assert_eq!(written(&mut world, &settings), ["create a"]);
    assert_eq!(only(&world, Side::A), with(of("ann", "x"), "_Kind_", "5"));
}

#[test]
fn an_attribute_that_a_person_chose_outlasts_a_move_though_there_is_a_default_for_it() {
    let own = with(of("ann", "x"), "_Activity_", "5");
    let mut world = agreed(&of("ann", "x"), &own);
    let settings = demands(&mut world);
    world.listings.b.clear();
    world.pairs[0].ids.b = None;
    assert_eq!(written(&mut world, &settings), ["create b"]);
    assert_eq!(only(&world, Side::B), own);
}

#[test]
fn that_somebody_ignored_a_missing_worklog_keeps_no_proven_delete_back() {
    let mut world = twins();
    let settings = Settings::default();
    world.listings.a.clear();
    assert_eq!(run(&mut world, &settings), ["park"]);
    let pair = &mut world.pairs[0];
    let wait = pair.wait.clone().unwrap();
    assert_eq!(wait.reason, Reason::Missing);
    pair.ignored = Some(Ignored {
        reason: wait.reason,
        tried: wait.tried,
        ids: pair.ids,
        seen: pair.seen,
    });
    deleted_on(&mut world, Side::A, A);
    assert_eq!(written(&mut world, &settings), ["delete b"]);
}

#[test]
fn what_is_brought_back_has_the_last_hours_and_no_attribute_of_the_other_sides_list() {
    let base = Sides::new(of("ann", "x"), with(of("bot", "x"), "_Activity_", "7"));
    let mut settings = Settings::default();
    settings
        .rules
        .defaults
        .a
        .insert("_Kind_".into(), "Support".into());
    settings.rules.attributes.push(AttributeRule {
        keys: Sides::new("_Kind_".into(), "_Activity_".into()),
        values: vec![],
    });
    let mut last = with(of("bot", "edited"), "_Activity_", "8");
    last.time_spent_secs = 10800;
    last.billable_secs = Some(0);
    let back = since(Side::A, &base, &last, &settings.rules);
    let mut expected = of("ann", "edited");
    expected.time_spent_secs = 10800;
    expected.billable_secs = Some(0);
    assert_eq!(back, expected);
}

#[test]
fn a_name_that_has_to_go_from_the_front_of_a_text_takes_no_older_words_along() {
    for twice in [false, true] {
        let mut world = agreed(&of("robot", "[Eve] words"), &of("eve", "words"));
        let settings = robot(&mut world);
        world.lookups.people.b = std::mem::take(&mut world.lookups.people.a);
        let refuse = |world: &mut Observed| {
            let step = tandem_core::plan::plan(world, &settings).steps.remove(0);
            let (now, rules) = (world.now, &settings.rules);
            let begun = step.begun(&step.pair, now, now, rules);
            let mut row = step.refused(&begun, Reason::Rejected, "no".into(), now, now, rules);
            row.rev += 1;
            world.pairs[0] = row;
            world.force = true;
        };
        // The stand-in's text was edited, which is on its way, and the time becomes somebody's who is known on both sides.
        put(&mut world, Side::A, A, of("robot", "[Eve] newer"), 100);
        if twice {
            refuse(&mut world);
        }
        put(&mut world, Side::B, B, of("ann", "words"), 200);
        refuse(&mut world);
        run(&mut world, &settings);
        for side in Side::BOTH {
            assert_eq!(only(&world, side), of("ann", "newer"), "{side}");
        }
    }
}

#[test]
fn words_that_a_site_puts_where_there_is_no_text_follow_no_name() {
    for is_deleted in [false, true] {
        let mut world = agreed(&of("ann", "Working on it"), &of("ann", ""));
        let settings = robot(&mut world);
        put(&mut world, Side::A, A, of("eve", "Working on it"), 100);
        if is_deleted {
            deleted_on(&mut world, Side::B, B);
        }
        assert_eq!(written(&mut world, &settings).len(), 1);
        assert_eq!(only(&world, Side::B), of("robot", "[Eve]"));
        // A person's words do.
        put(&mut world, Side::A, A, of("eve", "words"), 3000);
        run(&mut world, &settings);
        assert_eq!(only(&world, Side::B), of("robot", "[Eve] words"));
    }
}

#[test]
fn a_name_before_no_text_is_one_also_beside_words_that_a_site_puts_there() {
    let edits = [
        // Whoever edits in A's text has the name in front on B still, as they have in front of any other.
        (Side::A, "words", "words", "[Eve] words"),
        (Side::B, "[Eve] words", "words", "[Eve] words"),
        // The name alone was taken away, or a text put in its place.
        (Side::B, "", "Working on it", ""),
        (Side::B, "words", "words", "words"),
    ];
    for (side, text, on_a, on_b) in edits {
        for is_known in [false, true] {
            let mut world = agreed(&of("eve", "Working on it"), &of("robot", "[Eve]"));
            let settings = robot(&mut world);
            if is_known {
                let eve = world.lookups.people.a.get_mut(&"eve".into()).unwrap();
                eve.other = Some("eve-b".into());
            }
            let (id, author) = if side == Side::A { (A, "eve") } else { (B, "robot") };
            put(&mut world, side, id, of(author, text), 100);
            run(&mut world, &settings);
            let both = Sides::from_fn(|side| only(&world, side));
            assert_eq!(
                both,
                Sides::new(of("eve", on_a), of("robot", on_b)),
                "{text:?} on {side}, known: {is_known}"
            );
        }
    }
}
