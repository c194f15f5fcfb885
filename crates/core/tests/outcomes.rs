//! What became of a write whose answer was lost, on sites that keep times, hours and words of their own.
#![allow(missing_docs, clippy::unwrap_used)]

mod twins;

use jiff::SignedDuration;
use tandem_core::observed::{Observed, Settings};
use tandem_core::plan::{Action, plan};
use tandem_core::rules::{ConflictPolicy, Person, UnknownAuthor};
use tandem_core::{Content, Intent, IntentKind, IssueId, Pair, Side, Sides, WorklogId};

use twins::{A, B, at, link, put, run, said, twins};

/// What a site makes of what it is sent, where it was `before`.
type Keeps = fn(before: &Content, sent: &mut Content);

#[test]
fn what_a_site_keeps_of_its_own_in_an_update_whose_answer_is_lost_takes_no_edits_place() {
    let settings = Settings::default();
    let keeps: [Keeps; 2] = [
        |before, sent| sent.start_time = before.start_time,
        |before, sent| sent.billable_secs = before.billable_secs,
    ];
    for keep in keeps {
        let mut world = twins();
        let mut shown = said("base", 3600);
        shown.start_time = Some("08:00:00".parse().unwrap());
        world.pairs[0].base.as_mut().unwrap().b = shown.clone();
        put(&mut world, Side::B, B, shown.clone(), 0);
        let mut edited = said("base", 7200);
        edited.start_time = Some("10:00:00".parse().unwrap());
        edited.billable_secs = Some(0);
        put(&mut world, Side::A, A, edited.clone(), 900);

        let step = plan(&world, &settings).steps.remove(0);
        let mut row = step.begun(&step.pair, at(1000), at(1040), &settings.rules);
        row.rev += 1;
        let mut made = row.intent.clone().unwrap().body;
        keep(&shown, &mut made);
        world.pairs[0] = row;
        put(&mut world, Side::B, B, made, 1001);
        world.now = at(1100);

        assert_eq!(run(&mut world, &settings), ["update b"]);
        assert_eq!(world.listings.a[&A].content, edited);
        assert_eq!(world.listings.b[&B].content, edited);
    }
}

/// Worklogs of one hour with these texts on A, the creates of whose twins were not answered, long ago.
fn interrupted(texts: [&str; 2]) -> Observed {
    let mut world = Observed::empty(link(), at(1000));
    for (number, text) in (1..).zip(texts) {
        let id = WorklogId(number);
        put(&mut world, Side::A, id, said(text, 3600), 0);
        let mut pair = Pair::half(format!("a{number}-10").as_str().into(), link(), Side::A, id);
        pair.seen.a = Some(at(0));
        pair.intent = Some(Intent {
            kind: IntentKind::Create,
            side: Side::B,
            issue: IssueId(20),
            worklog: None,
            source: Some(said(text, 3600)),
            before: None,
            body: said(text, 3600),
            then: None,
            entered: None,
            at: at(0),
            until: at(40),
            waited: None,
        });
        pair.rev = 1;
        world.pairs.push(pair);
    }
    world
}

/// The texts of B's worklogs, by those of A's that they are twins of.
fn paired(world: &Observed) -> Vec<(String, String)> {
    let text = |side: Side, pair: &Pair| {
        let worklog = pair.ids[side].and_then(|id| world.listings[side].get(&id));
        worklog.map_or_else(String::new, |worklog| worklog.content.description.clone())
    };
    let mut paired: Vec<_> = world
        .pairs
        .iter()
        .map(|pair| (text(Side::A, pair), text(Side::B, pair)))
        .collect();
    paired.sort();
    paired
}

#[test]
fn a_text_that_another_create_wrote_is_no_words_of_the_sites_own() {
    let settings = Settings::default();
    // The empty one's never arrived; both did; its worklog is the later one of the two, and the earlier.
    for (arrived, expected) in [
        (vec![(11, "x")], ""),
        (vec![(11, "Working on it"), (12, "x")], "Working on it"),
        (vec![(12, "Working on it"), (11, "x")], "Working on it"),
    ] {
        let mut world = interrupted(["", "x"]);
        for (id, text) in arrived {
            put(&mut world, Side::B, WorklogId(id), said(text, 3600), 0);
        }
        run(&mut world, &settings);
        let expected = [
            (String::new(), expected.to_owned()),
            ("x".to_owned(), "x".to_owned()),
        ];
        assert_eq!(paired(&world), expected);
        assert_eq!(world.listings.a.len(), 2);
        assert_eq!(world.listings.b.len(), 2);
    }
}

#[test]
fn what_may_be_either_of_two_creates_is_made_a_third_time_by_neither() {
    let settings = Settings::default();
    let mut world = interrupted(["", "Working on it"]);
    for id in [11, 12] {
        put(&mut world, Side::B, WorklogId(id), said("Working on it", 3600), 0);
    }
    let steps = run(&mut world, &settings);
    assert!(!steps.contains(&"create b".to_owned()), "{steps:?}");
    assert_eq!((world.listings.a.len(), world.listings.b.len()), (2, 2));
}

#[test]
fn what_somebody_sets_back_upon_an_update_that_was_not_heard_of_stays_set_back() {
    let settings = Settings::default();
    let mut world = twins();
    put(&mut world, Side::A, A, said("new", 7200), 900);
    let step = plan(&world, &settings).steps.remove(0);
    let mut row = step.begun(&step.pair, at(1000), at(1040), &settings.rules);
    row.rev += 1;
    world.pairs[0] = row;
    // It took effect, and a person set its text back.
    put(&mut world, Side::B, B, said("base", 7200), 1020);
    world.now = at(1100);
    assert_eq!(run(&mut world, &settings), ["update a"]);
    assert_eq!(world.listings.a[&A].content, said("base", 7200));
}

#[test]
fn what_a_site_stamps_a_moment_after_it_was_made_is_nobodys_edit() {
    let settings = Settings::default();
    let mut world = interrupted(["first", "second"]);
    // Neither arrived, and somebody logged an hour by hand.
    put(&mut world, Side::B, WorklogId(11), said("by hand", 3600), 0);
    let by_hand = world.listings.b.get_mut(&WorklogId(11)).unwrap();
    by_hand.updated_at = by_hand.created_at + SignedDuration::from_millis(900);
    run(&mut world, &settings);
    let same = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(paired(&world), [same("by hand"), same("first"), same("second")]);
}

/// Does what is planned, each step upon what the one before it left, where one site puts words of its own on a worklog
/// without a text. Returns how many writes that took.
fn carried_out(world: &mut Observed, settings: &Settings, wordy: Side) -> usize {
    let mut writes = 0;
    for _ in 0..8 {
        let steps = plan(world, settings).steps;
        if steps.is_empty() {
            return writes;
        }
        for mut step in steps {
            let known = world.pairs.iter().position(|row| row.id == step.pair.id).unwrap();
            if world.pairs[known].rev > step.pair.rev {
                let other = step.side().unwrap().other();
                let twin = world.worklog(other, step.pair.ids[other].unwrap());
                step.upon(&twin.unwrap().content.clone());
            } else {
                world.pairs[known] = step.pair.clone();
            }
            let row = step.begun(&world.pairs[known], at(1000), at(1040), &settings.rules);
            let mut answer = None;
            if let Action::Update {
                side, worklog, body, ..
            } = &step.action
            {
                writes += 1;
                let mut body = body.clone();
                if *side == wordy && body.description.is_empty() {
                    body.description = "Working on it".into();
                }
                put(world, *side, *worklog, body, 1000);
                answer = world.listings[*side].get(worklog).cloned();
            }
            world.pairs[known] = match answer {
                Some(answer) => step.done(&row, Some(&answer), at(1000), at(1900), &settings.rules),
                None => row,
            };
            world.pairs[known].rev = step.pair.rev + 1;
        }
    }
    panic!("it does not come to rest: {world:?}");
}

#[test]
fn words_that_a_site_puts_where_there_is_no_text_cross_to_nobody_when_both_sides_were_edited() {
    let settings = Settings::default();
    for wordy in Side::BOTH {
        // Neither had a text, or whoever edited on that site has cleared it.
        for agreed in ["", "base"] {
            let mut world = twins();
            let ids = Sides::new(A, B);
            world.pairs[0].base = Some(Sides::new(said(agreed, 3600), said(agreed, 3600)));
            let mut here = said("", 3600);
            here.time_spent_secs = 7200;
            put(&mut world, wordy, ids[wordy], here, 900);
            let mut there = said(agreed, 3600);
            there.billable_secs = Some(0);
            put(&mut world, wordy.other(), ids[wordy.other()], there, 900);

            assert_eq!(
                carried_out(&mut world, &settings, wordy),
                2,
                "{wordy}, {agreed:?}"
            );
            let mut both = said("", 7200);
            both.billable_secs = Some(0);
            let other = wordy.other();
            assert_eq!(world.listings[other][&ids[other]].content, both);
            both.description = "Working on it".into();
            assert_eq!(world.listings[wordy][&ids[wordy]].content, both);
        }
    }
}

#[test]
fn a_text_that_the_stand_in_clears_while_another_takes_the_time_over_leaves_their_name_alone() {
    for wordy in Side::BOTH {
        for cleared in ["", "[Eve]"] {
            let mut world = twins();
            let (ids, other) = (Sides::new(A, B), wordy.other());
            for (account, name) in [("eve", "Eve"), ("zoe", "Zoe")] {
                let person = Person {
                    other: None,
                    display_name: Some(name.into()),
                };
                world.lookups.people[wordy].insert(account.into(), person);
            }
            let mut settings = Settings::default();
            settings.rules.unknown_author = UnknownAuthor::Account("robot".into());
            let of = |author: &str, text: &str| Content {
                author: author.into(),
                ..said(text, 3600)
            };
            let mut base = Sides::new(of("eve", "words"), of("eve", "words"));
            base[other] = of("robot", "[Eve] words");
            world.pairs[0].base = Some(base);
            put(&mut world, wordy, ids[wordy], of("zoe", "words"), 900);
            put(&mut world, other, ids[other], of("robot", cleared), 950);

            let writes = carried_out(&mut world, &settings, wordy);
            let both = [wordy, other].map(|side| world.listings[side][&ids[side]].content.clone());
            let expected = [of("zoe", "Working on it"), of("robot", "[Zoe]")];
            assert_eq!(both, expected, "{wordy}, {cleared:?}");
            assert_eq!(writes, 2);
        }
    }
}

#[test]
fn words_that_a_site_put_upon_a_write_of_which_nobody_heard_are_not_asked_away_for_ever() {
    for wordy in Side::BOTH {
        let other = wordy.other();
        let ids = Sides::new(A, B);
        let mut settings = Settings::default();
        settings.rules.policy.conflict = ConflictPolicy::Side(other);
        let mut world = twins();
        put(&mut world, other, ids[other], said("", 3600), 900);
        let step = plan(&world, &settings).steps.remove(0);
        let mut row = step.begun(&step.pair, at(1000), at(1040), &settings.rules);
        row.rev += 1;
        world.pairs[0] = row;
        put(&mut world, wordy, ids[wordy], said("Working on it", 3600), 1020);
        world.now = at(1100);
        assert_eq!(carried_out(&mut world, &settings, wordy), 1, "{wordy}");
        assert_eq!(world.pairs[0].wait, None);
        assert_eq!(world.listings[other][&ids[other]].content, said("", 3600));
        // Whoever writes a text there still has it on the other side.
        put(&mut world, wordy, ids[wordy], said("words", 3600), 2000);
        assert_eq!(carried_out(&mut world, &settings, wordy), 1, "{wordy}");
        assert_eq!(world.listings[other][&ids[other]].content, said("words", 3600));
    }
}

#[test]
fn what_an_answer_leaves_out_is_as_it_was_sent_for_whatever_rests_on_it() {
    let mut world = twins();
    put(&mut world, Side::A, A, said("new", 7200), 900);
    put(&mut world, Side::B, B, said("base", 3600), 900);
    let step = plan(&world, &Settings::default()).steps.remove(0);
    let mut answer = world.listings.b[&B].clone();
    answer.content = said("new", 7200);
    (answer.content.start_time, answer.content.billable_secs) = (None, None);
    let told = step.answered(answer).content;
    let mut sent = said("new", 7200);
    sent.billable_secs = told.billable_secs;
    assert_eq!(told, sent);
    assert!(told.billable_secs.is_some());
}
