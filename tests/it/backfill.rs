//! First syncs of old worklogs.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use jiff::SignedDuration;
use tandem_core::{LinkKey, Side, Sides, WorklogId};
use tandem_engine::backfill::{Estimate, Order, Standing};
use tandem_engine::operator::{Decision, Resolved};
use tandem_sim::{Content, Fault, FaultOutcome, Matcher, SiteHandle, Vendor, Worklog};

use crate::world::{Setup, Webhooks, World, hour};

const BULK: &str = "/4/worklogs/issue/{issueId}/bulk";

fn order(since: &str) -> Order {
    Order {
        since: since.parse().unwrap(),
        until: None,
        adopt: false,
        heal: false,
        accounts: Sides::default(),
        apart: Vec::new(),
    }
}

/// Before the connection's own first day.
fn old(author: &str, day: usize, text: &str) -> Content {
    let day = format!("2025-{:02}-{:02}", 1 + day / 28 % 12, 1 + day % 28);
    Content::new(author, &day, "09:00:00", 3600).text(text)
}

fn fill(world: &World, issue: usize, count: usize) {
    for n in 0..count {
        // Of both, so that no request is of one author alone.
        let content = old(["ann", "bob"][n % 2], n, &format!("entry {n} of {issue}"));
        world.acme().log_time(&format!("SUP-{issue}"), content).unwrap();
    }
}

async fn estimate(world: &World, order: &Order) -> Estimate {
    let engine = &world.tandem.engine;
    engine
        .estimate_backfill(&engine.connections[0], order, None)
        .await
        .unwrap()
}

async fn ordered(world: &World, order: &Order) -> Vec<LinkKey> {
    let links = estimate(world, order).await.links;
    world.tandem.engine.order_backfill(&links, order).await.unwrap()
}

/// Estimates, orders and runs, as the command does.
async fn backfill(world: &World, order: &Order) -> Vec<Standing> {
    let links = ordered(world, order).await;
    let ran = world.tandem.engine.run_backfill(&links, |_| {}).await;
    ran.unwrap().standing
}

fn all_done(standing: &[Standing]) -> bool {
    standing.iter().all(|one| matches!(one, Standing::Done { .. }))
}

async fn assert_all_equal(world: &World) {
    let connections: Vec<_> = world.tandem.engine.connections.iter().collect();
    let from = Some("2024-01-01".parse().unwrap());
    let verdict = world
        .tandem
        .engine
        .verify(&connections, from, None)
        .await
        .unwrap();
    assert!(verdict.equal, "{:#?}", verdict.differences);
}

async fn a_first_sync(issues: usize, worklogs: usize) {
    let world = Setup::two(issues).webhooks(Webhooks::None).build().await;
    world.sweep().await;
    let mut left = worklogs;
    let mut expected = 0;
    for issue in 1..=issues {
        let even = left.div_ceil(issues - issue + 1);
        // Of very different sizes, but all of them together as many as asked for.
        let size = if issue == issues {
            left
        } else {
            (even * (1 + issue % 3) / 2).min(left)
        };
        fill(&world, issue, size);
        expected += size.div_ceil(50);
        left -= size;
    }
    let order = order("2025-01-01");
    let estimated = estimate(&world, &order).await;
    assert_eq!(estimated.writes, Sides::new(0, expected));
    let created: usize = estimated.links.iter().map(|link| link.creates.b).sum();
    assert_eq!(created, worklogs);
    let engine = &world.tandem.engine;
    let links = engine.order_backfill(&estimated.links, &order).await.unwrap();
    world.sim.reset_requests();
    let standing = engine.run_backfill(&links, |_| {}).await.unwrap().standing;
    assert!(all_done(&standing), "{standing:?}");
    let written = world.writes();
    assert_eq!(written.len(), expected, "{written:?}");

    // Nothing but ids is asked for once the last worklog is written.
    let of_globex: Vec<_> = world
        .sim
        .requests()
        .into_iter()
        .filter(|request| request.site == "globex" && request.vendor == Vendor::Tempo)
        .collect();
    let is_create =
        |method: &str, template: &str| method == "POST" && (template == BULK || template == "/4/worklogs");
    let last = of_globex
        .iter()
        .rposition(|request| is_create(&request.method, &request.path_template))
        .unwrap();
    let took = of_globex[last].at.duration_since(of_globex[0].at).as_secs_f64();
    let rate = last as f64 / took;
    let allowed = world.tandem.engine.sites[&"globex".into()].requests_per_second;
    let told = format!(
        "{worklogs} worklogs on {issues} issues: {expected} writes, {last} requests in {took:.0} s, {rate:.3} a second of {allowed} allowed; estimated {:.0} s\n",
        estimated.secs
    );
    std::io::stdout().write_all(told.as_bytes()).unwrap();
    assert!(rate >= 0.95 * allowed, "{rate} requests a second");
    assert_eq!(world.globex().tempo_rate().answered_429, 0);
    assert_eq!(world.acme().tempo_rate().answered_429, 0);
    assert_eq!(world.sim.violations(), []);
    assert_eq!(world.globex().worklogs().len(), worklogs);
    assert_all_equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_takes_as_many_writes_as_fifty_at_once_need_at_nearly_the_allowed_rate() {
    a_first_sync(40, 2000).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "a minute in release: cargo test --release -p tandem-it --test it backfill -- --ignored --nocapture"]
async fn twenty_thousand_worklogs_on_four_hundred_issues_are_synced_at_the_allowed_rate() {
    a_first_sync(400, 20_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_killed_again_and_again_makes_each_worklog_once() {
    let mut world = Setup::two(5).webhooks(Webhooks::None).build().await;
    for issue in 1..=5 {
        fill(&world, issue, 60);
    }
    let order = order("2025-01-01");
    let mut kills = 0;
    loop {
        let links = ordered(&world, &order).await;
        // From nothing at all to a few writes, and never the same.
        let time = Duration::from_millis(90 + 137 * kills % 1900);
        let engine = world.tandem.engine.run_backfill(&links, |_| {});
        if let Ok(standing) = tokio::time::timeout(time, engine).await {
            assert!(all_done(&standing.unwrap().standing));
            break;
        }
        kills += 1;
        assert!(kills < 200);
        world.restart(str::to_owned);
        if kills > 20 {
            // What a kill left without an answer is looked for until it would have shown.
            world.wait(40).await;
        }
    }
    assert!(kills > 5, "{kills} kills");
    assert_eq!(world.globex().worklogs().len(), 300);
    assert_all_equal(&world).await;
    // Nothing is left to do, and a second command says so.
    assert_eq!(ordered(&world, &order).await, []);
    assert_eq!(estimate(&world, &order).await.open, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_bulk_request_made_whose_answer_was_lost_is_found() {
    for fault in [
        Fault::LostAfter(FaultOutcome::Status(500)),
        Fault::LostAfter(FaultOutcome::Hang),
        Fault::LostBefore(FaultOutcome::Status(503)),
        Fault::HalfBody,
    ] {
        let world = Setup::two(1).webhooks(Webhooks::None).build().await;
        fill(&world, 1, 70);
        world.sim.fail_next("globex", Matcher::tempo("POST", BULK), fault);
        let standing = backfill(&world, &order("2025-01-01")).await;
        assert!(all_done(&standing), "{fault:?}: {standing:?}");
        assert_eq!(world.globex().worklogs().len(), 70, "{fault:?}");
        assert_all_equal(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_worklog_of_a_bulk_request_waits_alone() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 40);
    // Nobody knows her on the other site.
    world
        .acme()
        .log_time("SUP-1", old("eve-acme", 3, "by Eve"))
        .unwrap();
    fill(&world, 1, 9);
    let standing = backfill(&world, &order("2025-01-01")).await;
    assert!(all_done(&standing), "{standing:?}");
    assert_eq!(world.globex().worklogs().len(), 49);
    assert_eq!(world.reasons().await, ["author-unmapped"]);
}

#[tokio::test(start_paused = true)]
async fn authors_that_the_other_site_does_not_know_cost_one_refused_request_and_not_one_each() {
    let world = Setup::two(3).webhooks(Webhooks::None).build().await;
    world.sim.reset_requests();
    for issue in 1..=3 {
        fill(&world, issue, 48);
        let key = format!("SUP-{issue}");
        // Nobody there is called that, neither by account nor by e-mail.
        world.acme().log_time(&key, old("eve-acme", 3, "by Eve")).unwrap();
        world.acme().log_time(&key, old("ann", 60, "the last")).unwrap();
    }
    let standing = backfill(&world, &order("2025-01-01")).await;
    assert!(all_done(&standing), "{standing:?}");
    assert_eq!(world.globex().worklogs().len(), 3 * 49);
    assert_eq!(world.reasons().await, ["author-unmapped"; 3]);
    let written = world.writes();
    let refused = written.iter().filter(|write| !write.ends_with(" 200")).count();
    // Links are looked at side by side, and each may ask before the answer to another is known.
    assert!(refused <= 3, "{written:?}");
    assert_eq!(written.len(), 3 + refused, "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn one_worklog_that_is_refused_does_not_make_fifty_requests_of_one() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 49);
    let closed = "2025-09-01".parse().unwrap();
    world.globex().close_period(closed, closed);
    let late = Content::new("ann", "2025-09-01", "09:00:00", 3600);
    world.acme().log_time("SUP-1", late.text("too late")).unwrap();
    world.sim.reset_requests();
    let standing = backfill(&world, &order("2025-01-01")).await;
    assert!(all_done(&standing), "{standing:?}");
    assert_eq!(world.globex().worklogs().len(), 49);
    assert_eq!(world.reasons().await, ["period-closed"]);
    let written = world.writes();
    assert!(written.len() <= 17, "{}: {written:?}", written.len());
}

#[tokio::test(start_paused = true)]
async fn where_a_site_refuses_all_there_are_few_more_requests_than_one_each() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 50);
    let (from, to) = ("2025-01-01".parse().unwrap(), "2025-12-31".parse().unwrap());
    world.globex().close_period(from, to);
    world.sim.reset_requests();
    let standing = backfill(&world, &order("2025-01-01")).await;
    assert!(all_done(&standing), "{standing:?}");
    assert_eq!(world.reasons().await, ["period-closed"; 50]);
    // Fifty at once, in sevens, and each alone.
    let written = world.writes();
    assert!(written.len() <= 59, "{}: {written:?}", written.len());
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_bulk_action_is_waited_for() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 30);
    world.globex().set_bulk_busy("DEV-1", true);
    let links = ordered(&world, &order("2025-01-01")).await;
    let free = async {
        world.wait(12).await;
        world.globex().set_bulk_busy("DEV-1", false);
    };
    let (standing, ()) = futures::join!(world.tandem.engine.run_backfill(&links, |_| {}), free);
    assert!(all_done(&standing.unwrap().standing));
    assert_eq!(world.globex().worklogs().len(), 30);
    assert_all_equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_persons_change_goes_before_a_backfill() {
    let world = Setup::two(31).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    for issue in 1..=30 {
        fill(&world, issue, 100);
    }
    world.sim.drop_deliveries();
    let links = ordered(&world, &order("2025-01-01")).await;
    let person = async {
        let mut longest = 0_f64;
        for n in 0..3 {
            world.wait(5).await;
            let text = format!("now {n}");
            let begun = world.now();
            world.acme().log_time("SUP-31", hour("bob", &text)).unwrap();
            while !world.said("globex", "DEV-31").iter().any(|said| said.5 == text) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            longest = longest.max(world.now().duration_since(begun).as_secs_f64());
        }
        longest
    };
    let (standing, longest) = futures::join!(world.tandem.engine.run_backfill(&links, |_| {}), person);
    assert!(all_done(&standing.unwrap().standing));
    // Settling, a place among the runs, and three requests with their slots.
    assert!(longest <= 10.0, "{longest} s");
    assert_eq!(world.globex().tempo_rate().answered_429, 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_in_between_does_not_make_a_backfill_forgotten() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 5);
    let links = ordered(&world, &order("2025-01-01")).await;
    // A hint of somebody's change makes the look more urgent, and the old worklogs go along.
    world.acme().log_time("SUP-1", hour("ann", "new")).unwrap();
    let key = tandem_engine::ports::store::DueKey::Link(links[0].clone());
    let live = tandem_engine::ports::store::Lane::Live;
    world
        .tandem
        .engine
        .hint_all(vec![key], live, false)
        .await
        .unwrap();
    world.tandem.engine.run_due(None).await.unwrap();
    assert_eq!(world.said("globex", "DEV-1").len(), 6);
    let ran = world.tandem.engine.run_backfill(&links, |_| {}).await.unwrap();
    assert!(all_done(&ran.standing));
    assert_eq!(world.said("globex", "DEV-1").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn old_worklogs_are_kept_the_same_after_a_backfill_and_others_left_alone() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    world.sweep().await;
    let edited = world.acme().log_time("SUP-1", old("ann", 1, "to edit")).unwrap();
    let deleted = world
        .acme()
        .log_time("SUP-1", old("ann", 2, "to delete"))
        .unwrap();
    world
        .acme()
        .log_time("SUP-2", old("bob", 100, "of April"))
        .unwrap();
    world.sweep().await;
    assert_eq!(world.globex().worklogs(), []);
    let january = Order {
        until: Some("2025-01-31".parse().unwrap()),
        ..order("2025-01-01")
    };
    assert!(all_done(&backfill(&world, &january).await));
    assert_eq!(world.said("globex", "DEV-1").len(), 2);
    assert_eq!(world.said("globex", "DEV-2").len(), 0);

    world.wait(300).await;
    let change = |content: &mut Content| content.description = Some("edited".into());
    world.acme().edit(edited, change).unwrap();
    world.acme().delete(deleted).unwrap();
    // Logged afterwards, for a day before the connection began: nobody asked for it.
    world.acme().log_time("SUP-1", old("bob", 5, "late")).unwrap();
    world.wait(120).await;
    world.sweep().await;
    let said = world.said("globex", "DEV-1");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].5, "edited");
}

// --- what another tool copied ---

/// What another tool makes of a worklog: it begins at noon and is billable.
fn copied(content: &Content) -> Content {
    let mut copy = content.clone();
    copy.start_time = "12:00:00".parse().unwrap();
    copy.billable_secs = copy.time_spent_secs;
    copy
}

fn adopting(heal: bool) -> Order {
    Order {
        adopt: true,
        heal,
        ..order("2025-01-01")
    }
}

/// Ten worklogs, of which another tool copied eight: two so that nobody can tell whose they are.
async fn with_copies() -> World {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    for n in 0..6 {
        let mut content = old("ann", n, &format!("entry {n}"));
        content.billable_secs = if n == 2 { 0 } else { content.billable_secs };
        world.acme().log_time("SUP-1", content.clone()).unwrap();
        world.wait(60).await;
        let copy = if n == 5 { content } else { copied(&content) };
        world.globex().log_time("DEV-1", copy).unwrap();
    }
    for time in ["09:00:00", "16:00:00"] {
        let mut content = old("bob", 20, "twice a day");
        content.start_time = time.parse().unwrap();
        world.acme().log_time("SUP-1", content.clone()).unwrap();
        world.globex().log_time("DEV-1", copied(&content)).unwrap();
    }
    world
        .acme()
        .log_time("SUP-1", old("bob", 30, "not copied"))
        .unwrap();
    world
        .globex()
        .log_time("DEV-1", old("bob", 31, "logged on the other side"))
        .unwrap();
    world
}

// Any run of a link begins what is dated from `since` on, so a backfill's does too, whatever its dates.
#[tokio::test(start_paused = true)]
async fn a_copy_outside_the_dates_asked_for_is_seen_as_well_and_never_copied_again() {
    for (from, until) in [("2025-01-01", Some("2025-12-31")), ("2026-04-01", None)] {
        let world = Setup::two(1).webhooks(Webhooks::None).build().await;
        let range = Order {
            until: until.map(|day| day.parse().unwrap()),
            ..order(from)
        };
        let inside = if until.is_some() {
            "2025-06-01"
        } else {
            "2026-04-10"
        };
        for (day, text) in [(inside, "inside"), ("2026-03-02", "outside")] {
            let mut content = Content::new("ann", day, "09:15:00", 3600).text(text);
            content.billable_secs = 0;
            world.acme().log_time("SUP-1", content.clone()).unwrap();
            world.wait(60).await;
            world.globex().log_time("DEV-1", copied(&content)).unwrap();
        }
        let estimated = estimate(&world, &range).await;
        assert_eq!(estimated.links[0].likely.len(), 2, "{from}");
        assert_eq!(estimated.beyond, Sides::new(1, 1), "{from}");

        let heal = Order {
            adopt: true,
            heal: true,
            ..range.clone()
        };
        let estimated = estimate(&world, &heal).await;
        assert_eq!(estimated.writes, Sides::new(0, 1), "{from}");
        assert!(all_done(&backfill(&world, &heal).await));
        world.sweep().await;
        assert_eq!(world.said("acme", "SUP-1").len(), 2);
        // What was asked for is put right; the other one is a twin from now on, and as the other tool had left it.
        let globex = world.globex().worklogs_of("DEV-1");
        let told: BTreeSet<_> = globex
            .iter()
            .map(|one| {
                let text = one.description.clone().unwrap_or_default();
                (text, one.start_time.to_string(), one.billable_secs)
            })
            .collect();
        let expected = [("inside", "09:15:00", 0), ("outside", "12:00:00", 3600)];
        let expected = expected.map(|(text, time, billable)| (text.to_owned(), time.to_owned(), billable));
        assert_eq!(told, BTreeSet::from(expected), "{from}");
        assert_eq!(world.writes().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_tool_copied_is_taken_over_and_never_copied_again() {
    let world = with_copies().await;
    let estimated = estimate(&world, &adopting(false)).await;
    let [link] = estimated.links.as_slice() else {
        panic!()
    };
    assert_eq!((link.certain, link.likely.len()), (1, 5));
    assert_eq!(link.creates, Sides::new(1, 1));
    assert_eq!(link.ambiguous.len(), 1);
    assert_eq!(link.ambiguous[0].a.len() + link.ambiguous[0].b.len(), 4);
    assert!(link.likely.iter().all(|twins| twins.copy == Some(Side::B)));

    assert!(all_done(&backfill(&world, &adopting(false)).await));
    assert_eq!(world.said("acme", "SUP-1").len(), 10);
    assert_eq!(world.said("globex", "DEV-1").len(), 10);
    assert_eq!(world.reasons().await, ["ambiguous-create", "ambiguous-create"]);
    // What differs was so before, and stays so.
    assert_eq!(world.writes().len(), 2);
    let before = (world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    world.tandem.engine.retry(&[]).await.unwrap();
    world.audit().await;
    world.wait(3600).await;
    world.sweep().await;
    assert_eq!(
        before,
        (world.said("acme", "SUP-1"), world.said("globex", "DEV-1"))
    );
    let waiting = world.waiting().await;
    assert_eq!(waiting.len(), 2);

    // A person cannot name what another pair has.
    let adopted = world.globex().worklogs_of("DEV-1")[0].id;
    let twin = Decision::Twin(WorklogId(adopted));
    let decide = world
        .tandem
        .engine
        .decide(&waiting[0].link, &waiting[0].id, twin, "Ann", None);
    let resolved = decide.await.unwrap();
    assert!(
        matches!(&resolved, Resolved::Not(why) if why.contains("already")),
        "{resolved:?}"
    );

    // From now on they are twins: an edit crosses, and touches nothing else.
    let id = world.acme().worklogs_of("SUP-1")[0].id;
    world
        .acme()
        .edit(id, |content| content.time_spent_secs = 7200)
        .unwrap();
    world.wait(60).await;
    world.sweep().await;
    let said = world.said("globex", "DEV-1");
    assert!(
        said.iter().any(|said| said.3 == 7200 && said.2 == "12:00:00"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_copies_lost_is_put_right_at_once_or_later() {
    for later in [false, true] {
        let world = with_copies().await;
        if later {
            assert!(all_done(&backfill(&world, &adopting(false)).await));
            world.wait(600).await;
            let heal = Order {
                heal: true,
                ..order("2025-01-01")
            };
            assert_eq!(estimate(&world, &heal).await.links[0].updates, Sides::new(0, 5));
            assert!(all_done(&backfill(&world, &heal).await));
        } else {
            assert!(all_done(&backfill(&world, &adopting(true)).await));
        }
        let ann = |site: &str, issue: &str| {
            let said = world.said(site, issue).into_iter();
            said.filter(|said| said.0 == "ann").collect::<Vec<_>>()
        };
        assert_eq!(ann("acme", "SUP-1"), ann("globex", "DEV-1"), "later: {later}");
        assert!(
            ann("globex", "DEV-1")
                .iter()
                .any(|said| said.4 == 0 && said.2 == "09:00:00")
        );
        let puts = world
            .writes()
            .iter()
            .filter(|write| write.starts_with("PUT"))
            .count();
        assert_eq!(puts, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_tell_is_settled_once_a_person_has_made_it_clear() {
    let world = with_copies().await;
    assert!(all_done(&backfill(&world, &adopting(true)).await));
    // Somebody says in Tempo which is which, on one of them.
    let copies: Vec<u64> = world
        .globex()
        .worklogs_of("DEV-1")
        .iter()
        .filter(|worklog| worklog.description.as_deref() == Some("twice a day"))
        .map(|worklog| worklog.id)
        .collect();
    let nine = |content: &mut Content| content.start_time = "09:00:00".parse().unwrap();
    world.globex().edit(copies[0], nine).unwrap();
    assert!(all_done(&backfill(&world, &adopting(true)).await));
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    assert_eq!(world.said("globex", "DEV-1").len(), 10);
    assert_all_equal(&world).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_a_copy_before_its_link_has_its_turn_changes_a_twin() {
    let longer = |content: &mut Content| content.time_spent_secs = 5400;
    let otherwise = |content: &mut Content| content.description = Some("said otherwise".into());
    let ids = |worklogs: Vec<Worklog>| worklogs.iter().map(|one| one.id).collect::<Vec<_>>();
    // Between what a person was told and a yes, or between that and the link's turn.
    for is_begun in [false, true] {
        let world = with_copies().await;
        let engine = &world.tandem.engine;
        let order = adopting(true);
        // So that the issues to which some move are part of it.
        world
            .acme()
            .log_time("SUP-2", old("bob", 40, "elsewhere"))
            .unwrap();
        let told = estimate(&world, &order).await.links;
        let mut links = Vec::new();
        if is_begun {
            links = engine.order_backfill(&told, &order).await.unwrap();
        }
        world.wait(60).await;
        let (acme, globex) = (world.acme(), world.globex());
        let (a, b) = (ids(acme.worklogs_of("SUP-1")), ids(globex.worklogs_of("DEV-1")));
        acme.edit(a[0], longer).unwrap();
        globex.edit(b[1], otherwise).unwrap();
        acme.edit(a[2], longer).unwrap();
        globex.edit(b[2], otherwise).unwrap();
        acme.delete(a[3]).unwrap();
        // What the copy had lost, somebody entered.
        globex.edit(b[4], |content| content.billable_secs = 1200).unwrap();
        acme.move_to_issue(a[5], "SUP-2").unwrap();
        // Of the two that nobody can tell apart.
        globex.edit(b[6], longer).unwrap();
        globex.move_to_issue(b[7], "DEV-2").unwrap();
        if !is_begun {
            links = engine.order_backfill(&told, &order).await.unwrap();
        }
        let ran = engine.run_backfill(&links, |_| {}).await.unwrap();
        assert!(all_done(&ran.standing));
        world.wait(120).await;
        world.sweep().await;
        world.audit().await;

        // Each stands once, and what changed is the same on both sides; the two that had no copy have one now.
        let said = |site: &SiteHandle, id| site.worklog(id).unwrap().content;
        assert_eq!(
            (acme.worklogs().len(), globex.worklogs().len()),
            (10, 10),
            "{is_begun}"
        );
        assert_eq!(said(&globex, b[0]).time_spent_secs, 5400);
        assert_eq!(said(&acme, a[1]).description.as_deref(), Some("said otherwise"));
        for said in [said(&acme, a[2]), said(&globex, b[2])] {
            let both = (said.time_spent_secs, said.description.as_deref());
            assert_eq!(both, (5400, Some("said otherwise")));
        }
        assert!(globex.worklog(b[3]).is_none());
        for said in [said(&acme, a[4]), said(&globex, b[4])] {
            let both = (said.billable_secs, said.start_time.to_string());
            assert_eq!(both, (1200, "09:00:00".to_owned()));
        }
        let moved = world.said("globex", "DEV-2");
        assert_eq!(moved.len(), 3, "{moved:?}");
        assert!(moved.iter().any(|said| said.5 == "entry 5"), "{moved:?}");
        assert_eq!(world.said("acme", "SUP-2").len(), 2);
        assert_eq!(world.reasons().await, ["ambiguous-create"; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_order_took_over_is_twins_also_where_it_was_not_carried_out() {
    let world = with_copies().await;
    let longer = |content: &mut Content| content.time_spent_secs = 5400;
    ordered(&world, &adopting(false)).await;
    world.wait(60).await;
    let first = world.acme().worklogs_of("SUP-1")[0].id;
    world.acme().edit(first, longer).unwrap();
    // Also for whoever does not ask for copies to be taken over now.
    for order in [order("2025-01-01"), adopting(false)] {
        let links = estimate(&world, &order).await.links;
        assert_eq!(links[0].creates, Sides::new(1, 1), "{order:?}");
        assert_eq!(links[0].updates, Sides::new(0, 1), "{order:?}");
    }
    assert!(all_done(&backfill(&world, &order("2025-01-01")).await));
    let copy = world.globex().worklogs_of("DEV-1")[0].id;
    assert_eq!(world.globex().worklog(copy).unwrap().time_spent_secs, 5400);
    let both = (world.acme().worklogs().len(), world.globex().worklogs().len());
    assert_eq!(both, (10, 10));
    assert_eq!(world.reasons().await, ["ambiguous-create"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_dies_while_it_takes_copies_over_has_none_made_twice() {
    for millis in 0..200 {
        let world = with_copies().await;
        let order = adopting(false);
        let links = estimate(&world, &order).await.links;
        let slow = world.slow();
        let command = slow.engine.order_backfill(&links, &order);
        let ended = tokio::time::timeout(Duration::from_millis(millis), command).await;
        // What is recorded by then is twins.
        let pairs = world.tandem.engine.store.pairs(&links[0].link).await.unwrap();
        let whole = pairs.iter().filter(|pair| pair.ids.b.is_some());
        let recorded: Vec<u64> = whole.filter_map(|pair| Some(pair.ids.a?.0)).collect();
        world.wait(60).await;
        for id in &recorded {
            world
                .acme()
                .edit(*id, |content| content.time_spent_secs = 5400)
                .unwrap();
        }
        world.sweep().await;
        assert!(all_done(&backfill(&world, &order).await), "{millis}");
        let globex = world.globex().worklogs();
        let longer = globex.iter().filter(|one| one.time_spent_secs == 5400);
        assert_eq!(longer.count(), recorded.len(), "{millis}");
        let both = (world.acme().worklogs().len(), world.globex().worklogs().len());
        assert_eq!(both, (10, 10), "{millis}");
        assert_eq!(world.reasons().await, ["ambiguous-create"; 2], "{millis}");
        if ended.is_ok() {
            assert!(millis > 10, "it died nowhere");
            assert_eq!(recorded.len(), 6);
            return;
        }
    }
    panic!("it does not come to an end");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_somebody_works_at_is_waited_for_before_its_copies_are_taken_over() {
    let world = with_copies().await;
    let order = adopting(false);
    let told = estimate(&world, &order).await.links;
    let engine = &world.tandem.engine;
    let due = tandem_engine::ports::store::DueKey::Link(told[0].link.clone());
    let live = tandem_engine::ports::store::Lane::Live;
    engine.hint_all(vec![due.clone()], live, false).await.unwrap();
    // Somebody who died with it in hand.
    let lease = Duration::from_secs(60);
    let taken = engine
        .store
        .take(&due, "another", world.now(), lease)
        .await
        .unwrap();
    assert!(taken.is_some());
    let begun = world.now();
    let links = engine.order_backfill(&told, &order).await.unwrap();
    let waited = world.now().duration_since(begun).as_secs_f64();
    assert!((59.0..63.0).contains(&waited), "{waited}");
    assert!(all_done(
        &engine.run_backfill(&links, |_| {}).await.unwrap().standing
    ));
    assert_eq!(world.globex().worklogs().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_kill_in_the_middle_of_adopting_makes_no_second_copy() {
    let mut world = with_copies().await;
    let order = adopting(true);
    let mut times: BTreeSet<u64> = BTreeSet::new();
    for n in 0..60_u64 {
        let time = 40 + 53 * n;
        times.insert(time);
        let links = ordered(&world, &order).await;
        let run = world.tandem.engine.run_backfill(&links, |_| {});
        if let Ok(standing) = tokio::time::timeout(Duration::from_millis(time), run).await {
            assert!(all_done(&standing.unwrap().standing));
            break;
        }
        world.restart(str::to_owned);
        world.wait(if n > 15 { 61 } else { 0 }).await;
    }
    assert!(times.len() > 3);
    assert_eq!(world.said("acme", "SUP-1").len(), 10);
    assert_eq!(world.said("globex", "DEV-1").len(), 10);
    let deadline = world.now() + SignedDuration::from_secs(60);
    world.tandem.engine.run_due(Some(deadline)).await.unwrap();
    assert_eq!(world.reasons().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_links_changes_go_across_beside_a_first_sync_and_only_beside_one() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    world.sweep().await;
    fill(&world, 2, 3);
    world.acme().log_time("SUP-1", hour("ann", "new")).unwrap();
    let engine = &world.tandem.engine;
    let (links, _) = engine
        .store
        .links(&engine.connections[0].name, None)
        .await
        .unwrap();
    let first = links.iter().find(|link| link.a_key.as_deref() == Some("SUP-1"));
    let due = tandem_engine::ports::store::DueKey::Link(first.unwrap().key.clone());
    let live = tandem_engine::ports::store::Lane::Live;
    engine.hint_all(vec![due], live, false).await.unwrap();
    world.wait(5).await;
    // Where there is nothing to bring over, nothing is written.
    let ran = engine.run_backfill(&[], |_| {}).await.unwrap();
    assert_eq!((ran.written, world.globex().worklogs().len()), (0, 0));
    let order = order("2025-01-01");
    let mut estimated = estimate(&world, &order).await.links;
    estimated.retain(|one| one.link != first.unwrap().key);
    let asked = engine.order_backfill(&estimated, &order).await.unwrap();
    let ran = engine.run_backfill(&asked, |_| {}).await.unwrap();
    assert_eq!(ran.standing, [Standing::Done { written: 3 }]);
    assert_eq!((ran.written, world.globex().worklogs().len()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn what_a_site_refuses_of_several_at_once_waits_since_the_first_time() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    fill(&world, 1, 3);
    let year = ["2025-01-01", "2025-12-31"].map(|day| day.parse().unwrap());
    world.globex().close_period(year[0], year[1]);
    backfill(&world, &order("2025-01-01")).await;
    let engine = &world.tandem.engine;
    let told = async || {
        let queue = engine.queue().await.unwrap();
        let told: Vec<_> = queue.iter().map(|item| (item.since, item.attempts)).collect();
        told
    };
    let first = told().await;
    assert_eq!(first.len(), 3);
    for _ in 0..2 {
        world.wait(1000).await;
        backfill(&world, &order("2025-01-01")).await;
    }
    let requests = world.sim.requests();
    assert!(requests.iter().any(|one| one.path_template == BULK));
    let again = told().await;
    let since = |rows: &[(_, u32)]| rows.iter().map(|(since, _)| *since).collect::<Vec<_>>();
    assert_eq!(since(&again), since(&first));
    assert!(again.iter().all(|(_, attempts)| *attempts >= 3), "{again:?}");
}

/// One worklog, of which another tool made two copies: a person says which is which, and the other waits.
async fn with_one_left() -> (World, u64) {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    let content = old("ann", 3, "copied twice");
    world.acme().log_time("SUP-1", content.clone()).unwrap();
    // So that the issues to which it moves are part of it.
    world
        .acme()
        .log_time("SUP-2", old("bob", 40, "elsewhere"))
        .unwrap();
    let copies = [1, 2].map(|_| world.globex().log_time("DEV-1", copied(&content)).unwrap());
    assert!(all_done(&backfill(&world, &adopting(false)).await));
    let waiting = world.waiting().await;
    assert_eq!(waiting.len(), 1);
    let engine = &world.tandem.engine;
    let twin = Decision::Twin(WorklogId(copies[0]));
    let decided = engine.decide(&waiting[0].link, &waiting[0].id, twin, "Ann", None);
    assert!(matches!(decided.await.unwrap(), Resolved::Done(_)));
    world.wait(5).await;
    engine.run_due(None).await.unwrap();
    (world, copies[1])
}

#[tokio::test(start_paused = true)]
async fn the_other_copy_waits_wherever_it_moves_and_holds_up_nobody_there() {
    let (world, left) = with_one_left().await;
    assert_eq!(world.reasons().await, ["ambiguous-create"]);
    world.globex().move_to_issue(left, "DEV-2").unwrap();
    world.acme().log_time("SUP-2", hour("ann", "new")).unwrap();
    for _ in 0..3 {
        world.wait(120).await;
        world.sweep().await;
        world.audit().await;
    }
    assert_eq!(world.reasons().await, ["ambiguous-create"]);
    assert_eq!(world.acme().worklogs().len(), 3);
    assert_eq!(world.said("globex", "DEV-2").len(), 3);
    // It is somebody's own, a person says, and is copied where it is.
    let waiting = world.waiting().await;
    let decided = world.tandem.engine.decide(
        &waiting[0].link,
        &waiting[0].id,
        Decision::Take(Side::B),
        "Ann",
        None,
    );
    assert!(matches!(decided.await.unwrap(), Resolved::Done(_)));
    world.wait(5).await;
    world.tandem.engine.run_due(None).await.unwrap();
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    assert_eq!(world.said("acme", "SUP-2").len(), 3);
    assert_eq!(world.said("acme", "SUP-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn twins_that_wait_each_with_a_row_of_its_own_are_paired() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    // Nobody knows her on the other site, and nobody knows the tool's account there.
    let mut content = hour("eve-acme", "by a tool");
    world.acme().log_time("SUP-1", content.clone()).unwrap();
    world.wait(60).await;
    content.author = "eve-globex".into();
    let copy = world.globex().log_time("DEV-1", copied(&content)).unwrap();
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.reasons().await, ["author-unmapped"; 2]);
    let order = Order {
        since: "2026-01-01".parse().unwrap(),
        accounts: Sides::new(None, Some("eve-globex".into())),
        ..adopting(false)
    };
    assert!(all_done(&backfill(&world, &order).await));
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    let id = world.acme().worklogs()[0].id;
    let longer = |content: &mut Content| content.time_spent_secs = 5400;
    world.acme().edit(id, longer).unwrap();
    world.wait(60).await;
    world.sweep().await;
    assert_eq!(world.globex().worklog(copy).unwrap().time_spent_secs, 5400);
    let both = (world.acme().worklogs().len(), world.globex().worklogs().len());
    assert_eq!(both, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_a_copy_of_what_is_no_more_waits_wherever_it_or_that_has_gone() {
    let copies_of = |originals: usize, copies: usize| async move {
        let world = Setup::two(3).webhooks(Webhooks::None).build().await;
        let content = hour("ann", "twice");
        let times = ["09:00:00", "16:00:00"];
        let mut made = (Vec::new(), Vec::new());
        for time in &times[..originals] {
            let mut content = content.clone();
            content.start_time = time.parse().unwrap();
            made.0.push(world.acme().log_time("SUP-1", content).unwrap());
        }
        for _ in 0..copies {
            made.1
                .push(world.globex().log_time("DEV-1", copied(&content)).unwrap());
        }
        let order = Order {
            since: "2026-01-01".parse().unwrap(),
            ..adopting(false)
        };
        assert!(all_done(&backfill(&world, &order).await));
        assert_eq!(world.reasons().await, vec!["ambiguous-create"; originals]);
        (world, made)
    };
    let looks = async |world: &World| {
        for _ in 0..3 {
            world.wait(120).await;
            world.sweep().await;
            world.audit().await;
        }
    };
    // The original moves, and is deleted there.
    let (world, (a, _)) = copies_of(1, 2).await;
    world.acme().move_to_issue(a[0], "SUP-2").unwrap();
    looks(&world).await;
    world.acme().delete(a[0]).unwrap();
    looks(&world).await;
    assert_eq!(world.acme().worklogs(), []);
    assert_eq!(world.globex().worklogs().len(), 2);
    assert_eq!(world.reasons().await, ["ambiguous-create"; 2]);

    // The copy moves, and the originals are deleted.
    let (world, (a, b)) = copies_of(2, 1).await;
    world.globex().move_to_issue(b[0], "DEV-2").unwrap();
    looks(&world).await;
    for id in a {
        world.acme().delete(id).unwrap();
    }
    looks(&world).await;
    assert_eq!(world.acme().worklogs(), []);
    assert_eq!(world.reasons().await, ["ambiguous-create"]);

    // One of two originals moves and is deleted, then the copy moves as well.
    let (world, (a, b)) = copies_of(2, 1).await;
    world.acme().move_to_issue(a[0], "SUP-2").unwrap();
    looks(&world).await;
    world.acme().delete(a[0]).unwrap();
    looks(&world).await;
    world.globex().move_to_issue(b[0], "DEV-3").unwrap();
    looks(&world).await;
    assert_eq!(world.acme().worklogs().len(), 1);
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, ["ambiguous-create"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_died_while_it_took_copies_over_left_no_link_due_for_something_else() {
    for millis in (0..120).step_by(3) {
        let world = Setup::two(2).webhooks(Webhooks::None).build().await;
        // The links are known, and nothing is due.
        world.sweep().await;
        world.settle().await;
        for n in 1..=2 {
            let content = hour("ann", "copied");
            world
                .acme()
                .log_time(&format!("SUP-{n}"), content.clone())
                .unwrap();
            world
                .globex()
                .log_time(&format!("DEV-{n}"), copied(&content))
                .unwrap();
        }
        let order = Order {
            since: "2026-01-01".parse().unwrap(),
            ..adopting(false)
        };
        let links = estimate(&world, &order).await.links;
        let slow = world.slow();
        let command = slow.engine.order_backfill(&links, &order);
        let ended = tokio::time::timeout(Duration::from_millis(millis), command).await;
        world.wait(130).await;
        world.tandem.engine.run_due(None).await.unwrap();
        let both = (world.acme().worklogs().len(), world.globex().worklogs().len());
        assert_eq!(both, (2, 2), "{millis}");
        if ended.is_ok() {
            assert!(millis > 10, "it died nowhere");
            return;
        }
    }
    panic!("it does not come to an end");
}
