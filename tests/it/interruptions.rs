//! Lost answers, crashes and lagging listings make no second worklog and lose none.

use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::world::{Setup, Webhooks, World, hour, is_write};

async fn world() -> World {
    Setup::two(1).build().await
}

async fn equal_without_a_second(world: &World, count: usize) {
    for _ in 0..4 {
        world.wait(60).await;
        world.settle().await;
    }
    world.sweep().await;
    assert_eq!(
        world.globex().worklogs().len(),
        count,
        "{:?}",
        world.said("globex", "DEV-1")
    );
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    world.assert_equal().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

fn creates() -> Matcher {
    Matcher::tempo("POST", "/4/worklogs")
}

#[tokio::test(start_paused = true)]
async fn a_create_that_took_effect_but_was_answered_500_makes_no_second() {
    let world = world().await;
    world
        .sim
        .fail_next("globex", creates(), Fault::LostAfter(FaultOutcome::Status(500)));
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_arrived_is_made_again_after_the_grace() {
    let world = world().await;
    world
        .sim
        .fail_next("globex", creates(), Fault::LostBefore(FaultOutcome::Status(502)));
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_hangs_makes_no_second() {
    let world = world().await;
    world
        .sim
        .fail_next("globex", creates(), Fault::LostAfter(FaultOutcome::Hang));
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_create_that_a_person_edits_meanwhile_is_still_ours() {
    let world = world().await;
    world
        .sim
        .fail_next("globex", creates(), Fault::LostAfter(FaultOutcome::Status(500)));
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    while world.globex().worklogs().is_empty() {
        world.wait(1).await;
        world.tandem.engine.run_due(Some(world.now())).await.unwrap();
        let now = world.now();
        world
            .tandem
            .engine
            .run_due(Some(now + jiff::SignedDuration::from_millis(500)))
            .await
            .unwrap();
    }
    world.wait(1).await;
    let twin = world.globex().worklogs()[0].id;
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 5400)
        .unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
    assert_eq!(world.said("acme", "SUP-1")[0].3, 5400);
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_answer_is_lost_is_not_taken_for_a_persons_change() {
    let world = world().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    let puts = Matcher::tempo("PUT", "/4/worklogs/{id}");
    world
        .sim
        .fail_next("globex", puts, Fault::LostAfter(FaultOutcome::Status(503)));
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some("second".into()))
        .unwrap();
    world.wait(3).await;
    world.tandem.engine.run_due(None).await.unwrap();
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some("third".into()))
        .unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
    assert_eq!(world.said("globex", "DEV-1")[0].5, "third");
}

/// What the history has of a kind, newest last.
async fn told(world: &World, op: &str) -> Vec<tandem_engine::ports::store::HistoryRow> {
    use tandem_engine::ports::store::Store;
    let names = ["acme-globex".into()];
    let mut lines = world.store.history(&names, None, 1_000).await.unwrap();
    lines.retain(|line| line.op == op);
    lines
}

#[tokio::test(start_paused = true)]
async fn the_history_tells_of_writes_whose_answers_were_lost_as_of_others() {
    let world = world().await;
    let lost = Fault::LostAfter(FaultOutcome::Status(502));
    world.sim.fail_next("globex", creates(), lost);
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
    let created = told(&world, "create").await;
    let twin = world.globex().worklogs()[0].id;
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!(created[0].worklog.map(|id| id.0), Some(twin));
    assert_eq!(created[0].after.as_ref().unwrap().description, "first");

    // Both are edited, and the value that loses stands nowhere else any more.
    let says =
        |text: &'static str| move |content: &mut tandem_sim::Content| content.description = Some(text.into());
    let puts = Matcher::tempo("PUT", "/4/worklogs/{id}");
    world.sim.fail_next("globex", puts, lost);
    world.globex().edit(twin, says("loses")).unwrap();
    world.wait(1).await;
    world.acme().edit(id, says("wins")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
    let updated = told(&world, "update").await;
    assert_eq!(updated.len(), 1, "{updated:?}");
    assert_eq!(updated[0].before.as_ref().unwrap().description, "loses");
    assert_eq!(updated[0].after.as_ref().unwrap().description, "wins");
    assert_eq!(updated[0].lost, ["description on b: loses"]);

    // And a delete can be undone.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}");
    world.sim.fail_next("globex", deletes, lost);
    world.acme().delete(id).unwrap();
    world.settle().await;
    for _ in 0..4 {
        world.wait(60).await;
        world.sweep().await;
        world.settle().await;
    }
    assert!(world.globex().worklogs().is_empty());
    let deleted = told(&world, "delete").await;
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert_eq!(deleted[0].before.as_ref().unwrap().description, "wins");
    world.tandem.engine.undelete(&deleted[0]).await.unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
    assert_eq!(world.said("acme", "SUP-1")[0].5, "wins");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_in_the_queue_until_it_is_known() {
    let world = world().await;
    let lost = Fault::LostBefore(FaultOutcome::Status(502));
    world.sim.fail_next("globex", creates(), lost);
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    for second in 0..25 {
        world.wait(1).await;
        world.tandem.engine.run_due(Some(world.now())).await.unwrap();
        let sent = world.sim.requests().iter().any(crate::world::is_write);
        let waits = !world.tandem.engine.queue().await.unwrap().is_empty();
        assert!(waits || !sent, "after {second} s nothing waits");
    }
    assert!(world.globex().worklogs().is_empty());
    equal_without_a_second(&world, 1).await;
    assert!(world.tandem.engine.queue().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_was_not_answered_is_left_alone_while_it_may_take_effect() {
    let world = world().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    let puts = Matcher::tempo("PUT", "/4/worklogs/{id}");
    world
        .sim
        .fail_next("globex", puts, Fault::LostBefore(FaultOutcome::Status(504)));
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some("second".into()))
        .unwrap();
    let sent = || {
        let requests = world.sim.requests();
        let of_puts = requests.iter().filter(|request| request.method == "PUT");
        of_puts.filter(|request| request.site == "globex").count()
    };
    let begun = world.now();
    while world.now() < begun + jiff::SignedDuration::from_secs(35) {
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
    }
    assert_eq!(sent(), 1);
    world.wait(10).await;
    world.settle().await;
    assert_eq!(sent(), 2);
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_at_any_moment_is_completed_by_the_next() {
    // A run is dropped after more and more steps, as a killed process would leave it.
    for millis in (0..2400).step_by(40) {
        let world = Setup::two(1).webhooks(Webhooks::None).build().await;
        // Slow answers spread the awaits of a run over time.
        world.sim.faults(|faults| {
            faults.tempo.slow = 1.0;
            faults.tempo.slow_by = std::time::Duration::from_millis(300);
        });
        let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world
            .globex()
            .log_time("DEV-1", hour("bob", "other work"))
            .unwrap();
        world.tandem.engine.sweep_pass().await.unwrap();
        let killed = tokio::time::timeout(
            std::time::Duration::from_millis(millis),
            world.tandem.engine.run_due(None),
        )
        .await;
        if killed.is_err() {
            world
                .acme()
                .edit(id, |worklog| worklog.time_spent_secs = 1234)
                .unwrap();
        }
        world.sim.calm();
        for _ in 0..6 {
            world.wait(100).await;
            world.sweep().await;
            world.settle().await;
        }
        assert_eq!(
            world.said("acme", "SUP-1"),
            world.said("globex", "DEV-1"),
            "killed after {millis} ms"
        );
        assert_eq!(world.said("acme", "SUP-1").len(), 2, "killed after {millis} ms");
        assert_eq!(
            world.reasons().await,
            Vec::<&str>::new(),
            "killed after {millis} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn listings_that_lag_behind_writes_change_nothing_in_the_end() {
    let world = world().await;
    world.sim.faults(|faults| {
        let lag = std::time::Duration::from_secs(12);
        faults.listing_lag = tandem_sim::ListingLag {
            create: lag,
            update: lag,
            delete: lag,
        };
    });
    let id = world.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    let other = world.globex().log_time("DEV-1", hour("bob", "two")).unwrap();
    world.settle().await;
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 600)
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(
        world
            .said("globex", "DEV-1")
            .iter()
            .filter(|said| said.3 == 600)
            .count(),
        1
    );
    world.globex().delete(other).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn half_the_requests_may_fail_and_both_sides_still_meet() {
    let world = world().await;
    world.sim.faults(|faults| {
        faults.tempo.lost_before = 0.2;
        faults.tempo.lost_after = 0.2;
        faults.tempo.half_body = 0.1;
    });
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(
            world
                .acme()
                .log_time("SUP-1", hour("ann", &format!("a{n}")))
                .unwrap(),
        );
        world
            .globex()
            .log_time("DEV-1", hour("bob", &format!("b{n}")))
            .unwrap();
        world.settle().await;
    }
    for id in &ids[..5] {
        world
            .acme()
            .edit(*id, |worklog| worklog.time_spent_secs = 60)
            .unwrap();
        world.settle().await;
    }
    world.sim.calm();
    world.wait(1000).await;
    world.settle().await;
    world.sweep().await;
    equal_without_a_second(&world, 20).await;
}

#[tokio::test(start_paused = true)]
async fn two_runners_on_one_link_make_one_twin() {
    let world = world().await;
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    world.wait(3).await;
    let engine = &world.tandem.engine;
    let (first, second, third) =
        tokio::join!(engine.run_due(None), engine.run_due(None), engine.run_due(None));
    first.and(second).and(third).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_move_of_a_twin_that_is_interrupted_half_way_is_completed() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    world.globex().log_time("DEV-1", hour("bob", "work")).unwrap();
    world.sweep().await;
    world.settle().await;
    let copy = world.acme().worklogs()[0].id;
    world.acme().move_to_issue(copy, "SUP-2").unwrap();
    // The old one is taken away, then the site fails before the new one is made.
    world
        .sim
        .fail_next("globex", creates(), Fault::LostBefore(FaultOutcome::Status(500)));
    for _ in 0..5 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-1"), []);
    assert_eq!(world.said("globex", "DEV-2"), world.said("acme", "SUP-2"));
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worklog_brought_back_by_an_edit_is_made_even_if_that_is_interrupted() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.sweep().await;
    world.settle().await;
    world.wait(120).await;
    let twin = world.globex().worklogs()[0].id;
    world.acme().delete(id).unwrap();
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world
        .sim
        .fail_next("acme", creates(), Fault::LostBefore(FaultOutcome::Status(500)));
    for _ in 0..5 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(world.said("acme", "SUP-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_while_its_twin_is_being_made_gets_one_twin() {
    for millis in (0..2000).step_by(100) {
        let world = Setup::two(2).build().await;
        world.sim.faults(|faults| {
            faults.tempo.slow = 1.0;
            faults.tempo.slow_by = std::time::Duration::from_millis(300);
        });
        let id = world
            .acme()
            .log_time("SUP-1", hour("ann", "on the move"))
            .unwrap();
        world.wait(3).await;
        let engine = &world.tandem.engine;
        let runs = async { engine.run_due(None).await.unwrap() };
        let moves = async {
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            world.acme().move_to_issue(id, "SUP-2").unwrap();
            world.wait(1).await;
            engine.run_due(None).await.unwrap()
        };
        tokio::join!(runs, moves);
        world.sim.calm();
        for _ in 0..6 {
            world.wait(100).await;
            world.sweep().await;
            world.settle().await;
        }
        assert_eq!(world.said("globex", "DEV-1"), [], "moved after {millis} ms");
        assert_eq!(world.said("globex", "DEV-2").len(), 1, "moved after {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn two_equal_worklogs_whose_creates_were_both_answered_500_are_told_apart_by_nobody() {
    let world = world().await;
    let lost = creates().times(2);
    world
        .sim
        .fail_next("globex", lost, Fault::LostAfter(FaultOutcome::Status(500)));
    world.acme().log_time("SUP-1", hour("ann", "standup")).unwrap();
    world.acme().log_time("SUP-1", hour("ann", "standup")).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_equal_to_an_interrupted_create_makes_it_ambiguous() {
    let world = world().await;
    world
        .sim
        .fail_next("globex", creates(), Fault::LostAfter(FaultOutcome::Status(500)));
    world.acme().log_time("SUP-1", hour("ann", "standup")).unwrap();
    while world.globex().worklogs().is_empty() {
        world.wait(1).await;
        let now = world.now();
        let soon = now + jiff::SignedDuration::from_millis(500);
        world.tandem.engine.run_due(Some(soon)).await.unwrap();
    }
    world.globex().log_time("DEV-1", hour("ann", "standup")).unwrap();
    world.settle().await;
    assert_eq!(world.reasons().await, ["ambiguous-create"]);
    assert_eq!(world.acme().worklogs().len(), 1);
    assert_eq!(world.globex().worklogs().len(), 2);
    // A person takes the one away that is too many.
    world.globex().delete(world.globex().worklogs()[1].id).unwrap();
    world.settle().await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_pass_waits_for_the_lease_of_a_dead_process_without_asking_all_the_time() {
    use tandem_core::{IssueId, LinkKey};
    use tandem_engine::ports::store::{DueKey, Lane, Store};

    let world = world().await;
    world.settle().await;
    let link = DueKey::Link(LinkKey {
        connection: "acme-globex".into(),
        a: IssueId(world.acme().issue_id("SUP-1")),
        b: IssueId(world.globex().issue_id("DEV-1")),
    });
    let engine = &world.tandem.engine;
    let hint = async || {
        engine
            .hint_all(vec![link.clone()], Lane::Live, false)
            .await
            .unwrap()
    };
    world.store.counts().reset();
    hint().await;
    assert_eq!(engine.run_due(None).await.unwrap().looked, 1);
    let alone = world.store.counts().total();

    hint().await;
    let lease = std::time::Duration::from_secs(8);
    let taken = world.store.take(&link, "the dead", world.now(), lease).await;
    assert!(taken.unwrap().is_some());
    let begun = world.now();
    world.store.counts().reset();
    assert_eq!(engine.run_due(None).await.unwrap().looked, 1);
    assert!(world.now() >= begun + jiff::SignedDuration::from_secs(8));
    // Asked what is ready and what comes next, and once more when the lease was over.
    let table = world.store.counts().total();
    assert!(table <= alone + 6, "{:?}", world.store.counts().by_operation());
}

#[tokio::test(start_paused = true)]
async fn of_two_links_that_see_a_moving_worklog_only_the_first_may_begin_its_pair() {
    use tandem_core::{IssueId, LinkKey, Pair, PairState, Side, WorklogId};
    use tandem_engine::ports::store::{Committed, Op, Store, Whereabouts};

    let world = world().await;
    let worklog = WorklogId(7);
    let begin = async |a: u64, b: u64| {
        let link = LinkKey {
            connection: "acme-globex".into(),
            a: IssueId(a),
            b: IssueId(b),
        };
        let id = Pair::id_for(Side::A, worklog, link.a);
        let mut pair = Pair::half(id.clone(), link.clone(), Side::A, worklog);
        pair.rev = 1;
        let place = Whereabouts {
            connection: link.connection.clone(),
            site: "acme".into(),
            worklog,
            link,
            pair: id,
            side: Side::A,
            state: PairState::Live,
            seen: None,
            said: None,
            parted: false,
            rival: false,
        };
        let ops = vec![Op::PutPair(Box::new(pair)), Op::PutWhere(place)];
        world.store.commit(ops).await.unwrap()
    };
    assert_eq!(begin(1, 2).await, Committed::Yes);
    assert_eq!(begin(3, 4).await, Committed::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_is_not_made_again_while_the_site_hides_it() {
    let world = world().await;
    world.acme().log_time("SUP-1", hour("ann", "once")).unwrap();
    let lost = Fault::LostAfter(FaultOutcome::Status(500));
    world.sim.fail_next("globex", creates(), lost);
    while world.globex().worklogs().is_empty() {
        world.wait(1).await;
        let soon = world.now() + jiff::SignedDuration::from_millis(500);
        world.tandem.engine.run_due(Some(soon)).await.unwrap();
    }
    // Tempo's own permission: none that Jira could be asked about. Its listings say nothing of what they leave out.
    world
        .globex()
        .set_permission(None, tandem_sim::Permission::ViewAll, false);
    for _ in 0..4 {
        world.wait(60).await;
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, ["permission-missing"]);
    world.globex().restore_permissions();
    world.wait(900).await;
    equal_without_a_second(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_does_not_rest_on_a_listing_from_before_the_last_one() {
    let world = world().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    let twin = world.globex().worklogs()[0].id;
    world.wait(60).await;
    // Each side has news for the other. Acme takes its part, globex refuses to answer for now.
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    let text = |worklog: &mut tandem_sim::Content| worklog.description = Some("second".into());
    world.globex().edit(twin, text).unwrap();
    let puts = Matcher::tempo("PUT", "/4/worklogs/{id}").times(1);
    let refused = Fault::LostBefore(FaultOutcome::Status(409));
    world.sim.fail_next("globex", puts, refused);
    world.wait(3).await;
    let soon = world.now() + jiff::SignedDuration::from_millis(900);
    world.tandem.engine.run_due(Some(soon)).await.unwrap();
    assert_eq!(world.said("acme", "SUP-1")[0].5, "second");
    assert_eq!(world.said("globex", "DEV-1")[0].3, 3600);
    // From now on the listing shows acme's worklog as it was before that write.
    world.acme().faults(|faults| {
        faults.listing_lag = tandem_sim::ListingLag::all(std::time::Duration::from_secs(20));
    });
    world.settle().await;
    world.sim.calm();
    equal_without_a_second(&world, 1).await;
    assert_eq!(world.said("globex", "DEV-1")[0].3, 60);
    assert_eq!(world.said("globex", "DEV-1")[0].5, "second");
}

#[tokio::test(start_paused = true)]
async fn what_a_site_itself_answers_with_an_error_is_done_again_after_the_first_backoff() {
    let world = world().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    let fail = |method, status| {
        let fault = Fault::LostBefore(FaultOutcome::Status(status));
        world
            .sim
            .fail_next("globex", Matcher::tempo(method, "/4/worklogs/{id}"), fault);
    };
    fail("PUT", 503);
    let text = |worklog: &mut tandem_sim::Content| worklog.description = Some("second".into());
    world.acme().edit(id, text).unwrap();
    let secs = until(&world, async || world.said("globex", "DEV-1")[0].5 == "second").await;
    assert!(secs <= 15, "the update crossed after {secs} s");
    fail("DELETE", 500);
    world.acme().delete(id).unwrap();
    let secs = until(&world, async || world.globex().worklogs().is_empty()).await;
    assert!(secs <= 15, "the delete crossed after {secs} s");
    equal_without_a_second(&world, 0).await;
}

/// Lets Tandem run until something is so, and returns how many seconds that took.
async fn until(world: &World, is_so: impl AsyncFn() -> bool) -> u64 {
    for secs in 0..120 {
        if is_so().await {
            return secs;
        }
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
    }
    panic!("two minutes were not enough");
}

#[tokio::test(start_paused = true)]
async fn an_edit_upon_an_update_that_was_not_heard_of_is_the_newer_one() {
    let world = world().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "first")).unwrap();
    world.settle().await;
    let twin = world.globex().worklogs()[0].id;
    let puts = Matcher::tempo("PUT", "/4/worklogs/{id}");
    let lost = Fault::LostAfter(FaultOutcome::Status(503));
    world.sim.fail_next("globex", puts, lost);
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    while world.said("globex", "DEV-1")[0].3 != 60 {
        world.wait(1).await;
        let soon = world.now() + jiff::SignedDuration::from_millis(500);
        world.tandem.engine.run_due(Some(soon)).await.unwrap();
    }
    // Somebody corrects there what has just come, and later the text is changed here.
    world.wait(2).await;
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 120)
        .unwrap();
    world.wait(2).await;
    let text = |worklog: &mut tandem_sim::Content| worklog.description = Some("second".into());
    world.acme().edit(id, text).unwrap();
    equal_without_a_second(&world, 1).await;
    let (acme, globex) = (world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!((acme[0].3, acme[0].5.as_str()), (120, "second"));
    assert_eq!(globex[0].3, 120);
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_answer_is_lost_is_remembered_while_the_worklog_is_hidden() {
    let world = Setup::two(1).build().await;
    let a = world.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    world.settle().await;
    let b = world.globex().worklogs_of("DEV-1")[0].id;
    let updates = Matcher::tempo("PUT", "/4/worklogs/{id}");
    let lost = Fault::LostAfter(FaultOutcome::Status(503));
    world.sim.fail_next("acme", updates, lost);
    let spend = |secs| {
        world
            .globex()
            .edit(b, |worklog| worklog.time_spent_secs = secs)
            .unwrap()
    };
    spend(1200);
    for _ in 0..20 {
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
        if world.said("acme", "SUP-1")[0].3 == 1200 {
            break;
        }
    }
    world.acme().lose_permissions();
    world.wait(60).await;
    world.audit().await;
    spend(3000);
    world.wait(1).await;
    // Somebody edits another field of what was written; that is newer than the other side's hours.
    world
        .acme()
        .edit(a, |worklog| worklog.description = Some("two".into()))
        .unwrap();
    world.settle().await;
    world.acme().restore_permissions();
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
        world.settle().await;
    }
    world.assert_equal().await;
    let said = &world.said("globex", "DEV-1")[0];
    assert_eq!((said.3, said.5.as_str()), (3000, "two"));
}

/// Two sites, of which globex does with start times and with worklogs without a text as it likes.
async fn with_ways_of_its_own(change: impl FnOnce(&mut tandem_sim::SiteSpec)) -> World {
    let mut setup = Setup::two(1);
    change(&mut setup.sites[1]);
    setup.build().await
}

fn at(time: &str, text: &str) -> tandem_sim::Content {
    tandem_sim::Content::new("ann", "2026-03-02", time, 3600).text(text)
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_site_without_start_times_makes_no_second() {
    let (after, before) = (
        Fault::LostAfter(FaultOutcome::Hang),
        Fault::LostBefore(FaultOutcome::Hang),
    );
    // How many worklogs that differ in their times alone, and what becomes of the creates.
    for (count, together, faults) in [
        (1, true, vec![after]),
        (2, true, vec![after]),
        (2, true, vec![before]),
        (2, false, vec![after, before]),
        (2, false, vec![before, after]),
    ] {
        let world = with_ways_of_its_own(|spec| spec.configuration.start_times_enabled = false).await;
        for fault in &faults {
            world.sim.fail_next("globex", creates(), *fault);
        }
        for time in &["13:30:00", "15:30:00"][..count] {
            world.acme().log_time("SUP-1", at(time, "")).unwrap();
            if !together {
                world.wait(3).await;
                world.tandem.engine.run_due(None).await.unwrap();
            }
        }
        for _ in 0..6 {
            world.settle().await;
            world.wait(60).await;
            world.sweep().await;
        }
        let lost = world
            .sim
            .requests()
            .iter()
            .filter(|one| is_write(one) && one.status >= 500)
            .count();
        assert_eq!(lost, faults.len(), "{faults:?}");
        assert_eq!(world.globex().worklogs().len(), count, "{faults:?}");
        let mut times: Vec<_> = world
            .acme()
            .worklogs()
            .iter()
            .map(|one| one.start_time.to_string())
            .collect();
        times.sort();
        assert_eq!(times, ["13:30:00", "15:30:00"][..count]);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
        world.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn words_that_a_site_puts_where_a_worklog_has_none_are_its_own_and_written_over_by_a_persons() {
    for lost in [false, true] {
        let world = with_ways_of_its_own(|spec| spec.default_text = Some("Working on it".into())).await;
        if lost {
            world
                .sim
                .fail_next("globex", creates(), Fault::LostAfter(FaultOutcome::Status(500)));
        }
        let id = world.acme().log_time("SUP-1", at("13:30:00", "")).unwrap();
        for _ in 0..3 {
            world.settle().await;
            world.wait(1000).await;
            world.sweep().await;
        }
        assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
        assert_eq!(world.globex().worklogs().len(), 1);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
        world.assert_equal().await;
        for text in ["a person's words", ""] {
            let words = |worklog: &mut tandem_sim::Content| worklog.description = Some(text.into());
            world.acme().edit(id, words).unwrap();
            world.settle().await;
            world.wait(1000).await;
            world.sweep().await;
            world.settle().await;
            let said = world.globex().worklogs()[0].description.clone();
            assert_eq!(
                said.as_deref(),
                Some(if text.is_empty() { "Working on it" } else { text })
            );
        }
        assert_eq!(world.writes().len(), 3, "{:?}", world.writes());
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}
