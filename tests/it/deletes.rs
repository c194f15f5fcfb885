//! Only a proven delete deletes.

use tandem_core::WorklogId;
use tandem_engine::operator::{Decision, Resolved};
use tandem_engine::ports::store::{Evidence, EvidenceId, Op, Store as _};
use tandem_sim::{Fault, FaultOutcome, IssueSpec, Matcher, Permission, ProjectSpec};

use crate::world::{Setup, Webhooks, World, hour};

async fn synced(webhooks: Webhooks) -> (World, u64) {
    let world = Setup::two(2).webhooks(webhooks).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    if webhooks == Webhooks::None {
        world.sweep().await;
    }
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    world.wait(120).await;
    (world, id)
}

#[tokio::test(start_paused = true)]
async fn a_delete_follows_although_its_webhooks_are_lost() {
    let (mut world, id) = synced(Webhooks::Both).await;
    world.lose_webhooks();
    world.acme().delete(id).unwrap();
    world.sim.drop_deliveries();
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_audit_trail_is_closed_jiras_feed_proves_the_delete() {
    let (world, id) = synced(Webhooks::None).await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail = false);
    }
    world.sweep().await;
    world.acme().delete(id).unwrap();
    world.sweep().await;
    world.wait(300).await;
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn jira_is_asked_where_a_worklog_stands_only_where_nobody_elses_time_is_shown() {
    for others in [true, false] {
        let (world, id) = synced(Webhooks::None).await;
        if others {
            world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
            world.sweep().await;
            world.settle().await;
        }
        for site in [world.acme(), world.globex()] {
            site.configure(|spec| spec.papertrail = false);
        }
        world.wait(120).await;
        world.sweep().await;
        world.acme().delete(id).unwrap();
        world.sweep().await;
        world.wait(300).await;
        world.sim.reset_requests();
        world.sweep().await;
        assert_eq!(world.globex().worklogs().len(), usize::from(others));
        let requests = world.sim.requests();
        let asked = requests
            .iter()
            .any(|request| request.path_template == "/rest/api/3/worklog/updated");
        assert_eq!(asked, !others);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_shows_nothing_deletes_nothing() {
    let (world, _) = synced(Webhooks::Both).await;
    world.acme().lose_permissions();
    world.wait(300).await;
    world.audit().await;
    world.wait(300).await;
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert!(!world.reasons().await.is_empty() || has_due_reason(&world).await);
    world.acme().restore_permissions();
    world.wait(300).await;
    world.sweep().await;
    world.audit().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    world.assert_equal().await;
}

async fn has_due_reason(world: &World) -> bool {
    world.due().await.iter().any(|row| row.reason.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_site_that_answers_500_deletes_nothing() {
    let (world, _) = synced(Webhooks::Both).await;
    let broken = Matcher::any().times(12);
    world
        .sim
        .fail_next("acme", broken, Fault::LostBefore(FaultOutcome::Status(500)));
    world.audit().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    for _ in 0..4 {
        world.wait(1000).await;
        world.sweep().await;
        world.audit().await;
    }
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_wins_over_a_delete_of_its_twin() {
    let (mut world, id) = synced(Webhooks::Both).await;
    let twin = world.globex().worklogs()[0].id;
    world.lose_webhooks();
    world.acme().delete(id).unwrap();
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 7200)
        .unwrap();
    world.sim.drop_deliveries();
    world.wait(10).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(world.said("acme", "SUP-1")[0].3, 7200);
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_many_worklogs_is_stopped_by_the_brake_until_a_person_lets_it_through() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    for n in 0..60 {
        world
            .acme()
            .log_time("SUP-1", hour("ann", &format!("entry {n}")))
            .unwrap();
    }
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 60);
    world.wait(300).await;
    let before: jiff::civil::Date = "2026-12-31".parse().unwrap();
    world.acme().retention_purge(before);
    assert_eq!(world.acme().worklogs().len(), 0);
    for _ in 0..3 {
        world.wait(3000).await;
        world.sweep().await;
    }
    assert_eq!(
        world.globex().worklogs().len(),
        60,
        "the purge went through the brake"
    );
    assert_eq!(
        world
            .reasons()
            .await
            .iter()
            .filter(|reason| **reason == "mass-delete")
            .count(),
        60
    );
}

#[tokio::test(start_paused = true)]
async fn a_worklog_moved_to_an_issue_without_a_twin_takes_its_twin_away() {
    let (world, id) = synced(Webhooks::Both).await;
    world.acme().move_to_issue(id, "SUP-3").unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    world.settle().await;
    world.wait(300).await;
    world.sweep().await;
    // Back on a linked issue it is kept the same again.
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
}

#[tokio::test(start_paused = true)]
async fn an_edit_on_the_twin_survives_the_move_of_its_worklog() {
    let (mut world, id) = synced(Webhooks::Both).await;
    let twin = world.globex().worklogs()[0].id;
    world.lose_webhooks();
    world
        .globex()
        .edit(twin, |worklog| worklog.description = Some("edited there".into()))
        .unwrap();
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.sim.drop_deliveries();
    world.wait(10).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.said("acme", "SUP-2"), world.said("globex", "DEV-2"));
    assert_eq!(world.said("acme", "SUP-2")[0].5, "edited there");
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_is_gone_takes_nothing_with_it() {
    let (world, _) = synced(Webhooks::None).await;
    world.acme().delete_issue("ann", "SUP-1").unwrap();
    world.wait(300).await;
    world.audit().await;
    world.sweep().await;
    assert_eq!(
        world.globex().worklogs().len(),
        1,
        "the twin was deleted with the issue"
    );
    assert!(has_due_reason(&world).await);
}

#[tokio::test(start_paused = true)]
async fn a_twin_out_of_sight_is_not_called_deleted_and_goes_once_it_is_seen() {
    let (world, id) = synced(Webhooks::TempoOnly).await;
    world.globex().lose_permissions();
    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(
        world.reasons().await.len(),
        1,
        "nothing waits, and the twin is still there"
    );
    world.globex().restore_permissions();
    world.wait(1000).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_an_edit_brought_back_costs_later_sweeps_nothing() {
    let (mut world, id) = synced(Webhooks::Both).await;
    let twin = world.globex().worklogs()[0].id;
    world.lose_webhooks();
    world.acme().delete(id).unwrap();
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 7200)
        .unwrap();
    world.wait(10).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 1);
    for _ in 0..3 {
        world.wait(300).await;
        world.sim.reset_requests();
        world.sweep().await;
        assert!(world.sim.requests().len() <= 6, "{:#?}", world.sim.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_cannot_be_seen_when_it_is_deleted_is_deleted_once_it_can() {
    let (world, id) = synced(Webhooks::Both).await;
    world.acme().delete(id).unwrap();
    world.wait(3).await;
    // Between looking and deleting, globex stops showing other people's time: it answers 404 then.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}");
    let hidden = Fault::LostBefore(FaultOutcome::Status(404));
    world.sim.fail_next("globex", deletes, hidden);
    world.tandem.engine.run_due(None).await.unwrap();
    assert_eq!(world.globex().worklogs().len(), 1);
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
    }
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn the_shadow_that_a_move_left_behind_says_nothing_of_the_worklog_that_moved() {
    let (world, id) = synced(Webhooks::JiraOnly).await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.settle().await;
    world.sweep().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    world
        .acme()
        .set_permission(None, tandem_sim::Permission::ViewAll, false);
    let hint = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 60;
    world.acme().edit(id, hint).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    world.acme().restore_permissions();
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
    }
    world.audit().await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.said("globex", "DEV-2")[0].3, 60);
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_while_its_site_stops_showing_it_is_not_deleted() {
    let (world, id) = synced(Webhooks::Both).await;
    world.sweep().await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world
        .acme()
        .set_permission(None, tandem_sim::Permission::ViewAll, false);
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.acme().restore_permissions();
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
    }
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_edited_copy_comes_back_where_only_jira_told_that_its_original_was_deleted() {
    let world = Setup::two(2).webhooks(Webhooks::JiraOnly).build().await;
    let original = world.globex().log_time("DEV-1", hour("ann", "work")).unwrap();
    world.settle().await;
    world.sweep().await;
    world.wait(120).await;
    let copy = world.acme().worklogs()[0].id;
    world
        .acme()
        .edit(copy, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.globex().delete(original).unwrap();
    // Its proof is taken, but what it leads to cannot be written for a while.
    world.globex().set_bulk_busy("DEV-1", true);
    world.settle().await;
    world.globex().set_bulk_busy("DEV-1", false);
    for _ in 0..3 {
        world.wait(300).await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(world.said("globex", "DEV-1")[0].3, 60);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_twin_left_behind_by_a_move_that_a_person_takes_to_an_unlinked_issue_is_left_there() {
    let world = Setup::two(2).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.settle().await;
    let twin = world.globex().worklogs_of("DEV-1")[0].id;
    // The old twin is to be taken away, and that fails for a while.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}").times(3);
    let lost = Fault::LostBefore(FaultOutcome::Status(504));
    world.sim.fail_next("globex", deletes, lost);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs_of("DEV-1").len(), 1);
    world.globex().move_to_issue(twin, "DEV-3").unwrap();
    for _ in 0..4 {
        world.settle().await;
        world.wait(600).await;
        world.sweep().await;
    }
    assert_eq!(world.globex().worklogs_of("DEV-3").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_moved_worklogs_old_shadow_deletes_nothing_where_permissions_were_just_lost() {
    let (world, id) = synced(Webhooks::JiraOnly).await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    // Tempo shows nothing of it any more, and no sweep has noticed yet.
    world.acme().lose_permissions();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    world.acme().restore_permissions();
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs_of("DEV-2").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_twin_left_behind_by_a_move_is_not_made_anew_while_it_cannot_be_seen() {
    let world = Setup::two(2).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.settle().await;
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}");
    let lost = Fault::LostBefore(FaultOutcome::Status(500));
    world.sim.fail_next("globex", deletes, lost);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    for _ in 0..40 {
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
        if world
            .sim
            .requests()
            .iter()
            .any(|request| request.method == "DELETE")
        {
            break;
        }
    }
    // The delete had no effect, its answer was lost, and now nothing can be seen.
    world.globex().lose_permissions();
    for _ in 0..10 {
        world.settle().await;
    }
    world.globex().restore_permissions();
    assert_eq!(world.globex().worklogs().len(), 1);
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs_of("DEV-2").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_comes_back_from_an_unlinked_issue_is_not_deleted_for_its_twins_sake() {
    let world = Setup::two(1)
        .extra("[connections.policy]\ndelete_vs_edit = \"delete\"\n")
        .build()
        .await;
    let id = world.acme().log_time("SUP-1", hour("ann", "to and fro")).unwrap();
    world.settle().await;
    // Its twin is taken away, and nobody hears of it.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}");
    let lost = Fault::LostAfter(FaultOutcome::Status(504));
    world.sim.fail_next("globex", deletes, lost);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    for _ in 0..60 {
        world.wait(1).await;
        world.tandem.engine.run_due(None).await.unwrap();
        if world.globex().worklogs().is_empty() {
            break;
        }
    }
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    for _ in 0..3 {
        world.settle().await;
        world.wait(600).await;
        world.sweep().await;
    }
    assert_eq!(world.acme().worklogs_of("SUP-1").len(), 1);
    assert_eq!(world.globex().worklogs_of("DEV-1").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_nobody_could_act_on_for_hours_is_held_all_the_same() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    for n in 0..60 {
        let content = hour("ann", &format!("entry {n}"));
        world
            .acme()
            .log_time(&format!("SUP-{}", 1 + n % 2), content)
            .unwrap();
    }
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 60);
    let tokens = world.globex().tempo_tokens();
    world.globex().expire_tempo_tokens();
    world.wait(300).await;
    world.sweep().await;
    world.acme().retention_purge("2026-12-31".parse().unwrap());
    world.wait(300).await;
    world.sweep().await;
    world.wait(3 * 3600).await;
    world.globex().replace_tempo_token(&tokens[0]);
    for _ in 0..3 {
        world.wait(1000).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 60, "the purge went through");
    assert_eq!(world.reasons().await, ["mass-delete"; 60]);

    // A person lets them through, and no others are held after that.
    let connection = &world.tandem.engine.connections[0];
    world.tandem.engine.release_mass_delete(connection).await.unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    let id = world.acme().log_time("SUP-1", hour("ann", "later")).unwrap();
    world.sweep().await;
    world.settle().await;
    world.acme().delete(id).unwrap();
    world.wait(300).await;
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_on_an_issue_that_was_unlinked_does_not_stop_other_deletes() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    for n in 0..30 {
        world
            .acme()
            .log_time("SUP-2", hour("ann", &format!("entry {n}")))
            .unwrap();
    }
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.sweep().await;
    world.settle().await;
    let engine = &world.tandem.engine;
    let connection = &engine.connections[0];
    let (links, _) = engine.store.links(&connection.name, None).await.unwrap();
    let link = links
        .iter()
        .find(|link| link.a_key.as_deref() == Some("SUP-2"))
        .unwrap();
    assert!(
        engine
            .store
            .drop_link(&link.key, &connection.sites)
            .await
            .unwrap()
    );
    for twin in world.globex().worklogs_of("DEV-2") {
        world.globex().delete(twin.id).unwrap();
    }
    world.wait(300).await;
    world.sweep().await;
    world.acme().delete(id).unwrap();
    world.wait(300).await;
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.acme().worklogs().len(), 30, "unlinking leaves them");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_in_jiras_own_screen_follows_though_no_audit_trail_tells_of_it() {
    for noticed in [true, false] {
        let (world, id) = synced(Webhooks::None).await;
        for site in [world.acme(), world.globex()] {
            site.configure(|spec| spec.papertrail_tells_of_jira_deletes = false);
        }
        world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
        world.sweep().await;
        world.settle().await;
        world.wait(120).await;
        world.sweep().await;
        let jira = world.acme().worklog(id).unwrap().jira_id.unwrap();
        world.acme().jira_delete(jira).unwrap();
        world.wait(120).await;
        if noticed {
            // Somebody else's change has the issue looked at.
            world.acme().log_time("SUP-1", hour("bob", "more")).unwrap();
        }
        let sweeps = if noticed { 2 } else { 13 };
        for _ in 0..sweeps {
            world.wait(300).await;
            world.sweep().await;
        }
        assert_eq!(world.said("globex", "DEV-1").len(), 1 + usize::from(noticed));
        world.assert_equal().await;
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn where_only_jira_tells_of_the_delete_of_an_issues_only_worklog_it_takes_two_minutes() {
    let (world, id) = synced(Webhooks::JiraOnly).await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail = false);
    }
    world.sweep().await;
    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(world.reasons().await, ["missing"]);
    for _ in 0..3 {
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn worklogs_that_stay_missing_do_not_hide_that_another_one_moved() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    let ids: Vec<u64> = (0..26)
        .map(|n| {
            let content = hour("ann", &format!("entry {n}"));
            world.acme().log_time("SUP-1", content).unwrap()
        })
        .collect();
    world.sweep().await;
    world.settle().await;
    // Nothing tells of the deletes.
    world.acme().configure(|spec| spec.papertrail = false);
    let feed = Matcher::jira("GET", "/rest/api/3/worklog/deleted").times(100);
    let broken = Fault::LostBefore(FaultOutcome::Status(403));
    world.sim.fail_next("acme", feed, broken);
    for id in &ids[..25] {
        world.acme().delete(*id).unwrap();
    }
    world.audit().await;
    world.settle().await;
    assert_eq!(world.reasons().await, ["missing"; 25]);
    world.acme().move_to_issue(ids[25], "SUP-2").unwrap();
    world.audit().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 25);
    assert_eq!(world.reasons().await, ["missing"; 25]);
}

#[tokio::test(start_paused = true)]
async fn what_the_brake_holds_or_a_person_ignored_holds_no_delete_of_hours_later() {
    for ignored in [true, false] {
        let world = Setup::two(2).webhooks(Webhooks::None).build().await;
        for n in 0..30 {
            let content = hour("ann", &format!("entry {n}"));
            world.acme().log_time("SUP-1", content).unwrap();
        }
        world.sweep().await;
        world.settle().await;
        world.acme().retention_purge("2026-12-31".parse().unwrap());
        world.wait(300).await;
        world.sweep().await;
        assert_eq!(world.reasons().await, ["mass-delete"; 30]);
        let engine = &world.tandem.engine;
        if ignored {
            for pair in world.waiting().await {
                let decided = engine.decide(&pair.link, &pair.id, Decision::Ignore, "pat", None);
                assert!(matches!(decided.await.unwrap(), Resolved::Done(_)));
            }
        }
        world.wait(2 * 3600).await;
        for issue in ["SUP-1", "SUP-2"] {
            let id = world.acme().log_time(issue, hour("ann", "later")).unwrap();
            world.sweep().await;
            world.settle().await;
            assert_eq!(world.globex().worklogs().len(), 31);
            world.acme().delete(id).unwrap();
            world.wait(300).await;
            world.tandem.engine.sweep_pass().await.unwrap();
            let tandem = world.only_reading();
            let (links, _) = tandem
                .engine
                .store
                .links(&tandem.engine.connections[0].name, None)
                .await
                .unwrap();
            let links = links.into_iter().map(|link| link.key).collect();
            let mut planned = 0;
            for link in &links {
                let connection = &tandem.engine.connections[0];
                let steps = tandem.engine.proposals(connection, link, &links).await.unwrap();
                planned += steps.iter().filter(|step| step.worklog.is_some()).count();
            }
            assert_eq!(planned, 1, "{issue}");
            tandem.engine.rest().await.unwrap();
            world.settle().await;
            assert_eq!(world.globex().worklogs().len(), 30, "{issue}, ignored: {ignored}");
        }
    }
}

/// Sixty worklogs on one issue that are gone, of which Jira's feed alone can tell.
async fn sixty_gone(feed_is_open: bool) -> World {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    for n in 0..60 {
        let content = hour("ann", &format!("entry {n}"));
        world.acme().log_time("SUP-1", content).unwrap();
    }
    world.sweep().await;
    world.settle().await;
    world.wait(120).await;
    world.sweep().await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail = false);
    }
    if !feed_is_open {
        let feed = Matcher::jira("GET", "/rest/api/3/worklog/deleted").times(4);
        let broken = Fault::LostBefore(FaultOutcome::Status(503));
        world.sim.fail_next("acme", feed, broken);
    }
    world.acme().retention_purge("2026-12-31".parse().unwrap());
    world.audit().await;
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn deletes_that_jira_alone_tells_of_are_all_found_however_many_there_are() {
    let world = sixty_gone(true).await;
    for _ in 0..4 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.reasons().await, ["mass-delete"; 60]);
    assert_eq!(world.globex().worklogs().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn that_somebody_ignored_missing_worklogs_lets_no_purge_through_the_brake() {
    let world = sixty_gone(false).await;
    assert_eq!(world.reasons().await, ["missing"; 60]);
    for pair in world.waiting().await {
        let engine = &world.tandem.engine;
        let decided = engine.decide(&pair.link, &pair.id, Decision::Ignore, "pat", None);
        assert!(matches!(decided.await.unwrap(), Resolved::Done(_)));
    }
    for _ in 0..6 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.reasons().await, ["mass-delete"; 60]);
    assert_eq!(world.globex().worklogs().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_create_made_is_not_made_again_where_sight_is_lost_in_mid_look() {
    let world = Setup::two(1).webhooks(Webhooks::JiraOnly).build().await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail = false);
    }
    let id = world.acme().log_time("SUP-1", hour("ann", "goes")).unwrap();
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.settle().await;
    world.sweep().await;
    world.wait(120).await;
    // A create takes effect, nothing is heard of it, and nobody looks for as long as it may take to show.
    let created = Matcher::tempo("POST", "/4/worklogs");
    let lost = Fault::LostAfter(FaultOutcome::Status(504));
    world.sim.fail_next("acme", created, lost);
    world.globex().log_time("DEV-1", hour("ann", "new")).unwrap();
    world.wait(3).await;
    world.tandem.engine.run_due(None).await.unwrap();
    assert_eq!(world.said("acme", "SUP-1").len(), 3);
    world.wait(100).await;
    // Between the listing and the answer that something is gone, other people's time is hidden.
    world.acme().delete(id).unwrap();
    let slow = Fault::Slow(std::time::Duration::from_secs(10));
    world
        .sim
        .fail_next("acme", Matcher::tempo("GET", "/4/worklogs/{id}"), slow);
    world.wait(3).await;
    let hidden = async {
        world.wait(5).await;
        let permission = tandem_sim::Permission::ViewAll;
        world.acme().set_permission(None, permission, false);
    };
    let (ran, ()) = futures::join!(world.tandem.engine.run_due(None), hidden);
    ran.unwrap();
    world.acme().restore_permissions();
    for _ in 0..4 {
        world.settle().await;
        world.wait(300).await;
        world.sweep().await;
    }
    assert_eq!(world.said("acme", "SUP-1").len(), 2);
    world.assert_equal().await;
}

/// A move whose twin the site will not let go, because the service user may not delete there.
async fn moved_and_refused() -> (World, u64, u64) {
    let (world, id) = synced(Webhooks::Both).await;
    let twin = world.globex().worklogs()[0].id;
    let globex = world.globex();
    globex.set_permission(None, Permission::DeleteAll, false);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    (world, id, twin)
}

#[tokio::test(start_paused = true)]
async fn a_person_may_delete_the_old_twin_that_tandem_was_not_let_take_away() {
    let (world, _, twin) = moved_and_refused().await;
    world.globex().restore_permissions();
    world.globex().delete(twin).unwrap();
    world.wait(1000).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 0);
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_back_before_its_twin_was_taken_away_can_be_deleted_there() {
    let (world, id, twin) = moved_and_refused().await;
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    world.settle().await;
    world.globex().restore_permissions();
    world.wait(1000).await;
    world.sweep().await;
    world.settle().await;
    world.globex().delete(twin).unwrap();
    world.wait(1000).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_edit_survives_the_move_of_its_twin_to_an_issue_without_one() {
    for (policy, stays) in [("edit", true), ("park", true), ("delete", false)] {
        let policy = format!("[connections.policy]\ndelete_vs_edit = \"{policy}\"\n");
        let mut world = Setup::two(2).extra(&policy).build().await;
        let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world.settle().await;
        world.wait(120).await;
        let twin = world.globex().worklogs()[0].id;
        world.lose_webhooks();
        let three_hours = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 10800;
        world.globex().edit(twin, three_hours).unwrap();
        world.acme().move_to_issue(id, "SUP-3").unwrap();
        world.sim.drop_deliveries();
        world.wait(10).await;
        world.sweep().await;
        world.settle().await;
        assert_eq!(world.acme().worklogs().len(), 1);
        let there = world.said("globex", "DEV-1");
        if !stays {
            assert!(there.is_empty(), "{policy}");
            continue;
        }
        assert_eq!(there[0].3, 10800, "{policy}");
        assert_eq!(world.reasons().await, ["conflict"]);
        // Whoever moves it back finds the edit there.
        world.acme().move_to_issue(id, "SUP-1").unwrap();
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
        assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
        assert_eq!(world.said("acme", "SUP-1")[0].3, 10800);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn whose_twin_moved_out_of_reach_may_stay_and_is_not_made_a_second_time() {
    for (original, twin) in [("acme", "globex"), ("globex", "acme")] {
        let policy = "[connections.policy]\ndelete = \"park\"\n";
        let world = Setup::two(2).extra(policy).build().await;
        let issue = |site: &str, number: u8| match site {
            "acme" => format!("SUP-{number}"),
            _ => format!("DEV-{number}"),
        };
        let began = world.sim.site(original);
        began.log_time(&issue(original, 1), hour("ann", "work")).unwrap();
        world.settle().await;
        // The one on acme moves, whether it is the original or the copy.
        let id = world.acme().worklogs()[0].id;
        world.acme().move_to_issue(id, "SUP-3").unwrap();
        world.settle().await;
        assert_eq!(world.reasons().await, ["conflict"], "{original} to {twin}");
        let pair = world.waiting().await.remove(0);
        let take = Decision::Take(tandem_core::Side::B);
        let decided = world
            .tandem
            .engine
            .decide(&pair.link, &pair.id, take, "pat", None);
        assert!(matches!(decided.await.unwrap(), Resolved::Done(_)));
        for _ in 0..3 {
            world.wait(1000).await;
            world.sweep().await;
            world.settle().await;
        }
        world.audit().await;
        world.settle().await;
        assert_eq!(world.acme().worklogs().len(), 1);
        assert_eq!(world.globex().worklogs().len(), 1);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_let_through_is_what_the_queue_shows_and_not_what_waited_on_issues_unlinked_since() {
    let policy = "[connections.policy]\nmass_delete = { max = 2, within = \"1h\" }\n";
    let world = Setup::two(2).extra(policy).webhooks(Webhooks::None).build().await;
    for issue in ["SUP-1", "SUP-2"] {
        for n in 0..5 {
            world
                .acme()
                .log_time(issue, hour("ann", &format!("{issue} {n}")))
                .unwrap();
        }
    }
    world.sweep().await;
    world.settle().await;
    world.wait(120).await;
    for worklog in world.acme().worklogs() {
        world.acme().delete(worklog.id).unwrap();
    }
    world.wait(300).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.reasons().await.len(), 10);
    let engine = &world.tandem.engine;
    let connection = &engine.connections[0];
    let (links, _) = engine.store.links(&connection.name, None).await.unwrap();
    let link = links
        .iter()
        .find(|link| link.a_key.as_deref() == Some("SUP-2"))
        .unwrap();
    let sites = &connection.sites;
    assert!(engine.store.drop_link(&link.key, sites).await.unwrap());
    assert_eq!(engine.release_mass_delete(connection).await.unwrap(), 5);
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 0);
    assert_eq!(world.said("globex", "DEV-2").len(), 5);
    engine.store.put_link(link, sites).await.unwrap();
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 5);
    assert_eq!(world.reasons().await, ["mass-delete"; 5]);
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_kept_is_not_doubled_by_whoever_logs_it_again() {
    let policy = "[connections.policy]\ndelete = \"keep\"\n";
    let world = Setup::two(1).extra(policy).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    let again = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    // They are twins again.
    let two_hours = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 7200;
    world.acme().edit(again, two_hours).unwrap();
    world.settle().await;
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_what_was_deleted_last_and_not_what_had_been_agreed_on() {
    let policy = "[connections.policy]\ndelete_vs_edit = \"delete\"\n";
    let mut world = Setup::two(1).extra(policy).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    world.wait(120).await;
    let twin = world.globex().worklogs()[0].id;
    world.lose_webhooks();
    let three_hours = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 10800;
    world.globex().edit(twin, three_hours).unwrap();
    world.acme().delete(id).unwrap();
    world.sim.drop_deliveries();
    world.wait(10).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    let engine = &world.tandem.engine;
    let name = engine.connections[0].name.clone();
    let lines = engine.store.history(&[name], None, 100).await.unwrap();
    let line = lines.iter().find(|line| line.op == "delete").unwrap();
    engine.undelete(line).await.unwrap();
    world.settle().await;
    world.sweep().await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.said("acme", "SUP-1")[0].3, 10800);
}

#[tokio::test(start_paused = true)]
async fn of_dozens_that_moved_and_wait_for_a_person_none_is_written_down_again_by_a_look() {
    let policy = "[connections.policy]\ndelete = \"park\"\n";
    let world = Setup::two(1).extra(policy).webhooks(Webhooks::None).build().await;
    for n in 0..60 {
        world
            .acme()
            .log_time("SUP-1", hour("ann", &format!("work {n}")))
            .unwrap();
    }
    world.sweep().await;
    world.settle().await;
    for worklog in world.acme().worklogs() {
        world.acme().move_to_issue(worklog.id, "SUP-2").unwrap();
    }
    for _ in 0..12 {
        world.wait(1000).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.reasons().await, ["conflict"; 60]);
    let before = world.waiting().await;
    for _ in 0..5 {
        world.wait(1000).await;
        world.sweep().await;
        world.settle().await;
    }
    world.audit().await;
    world.settle().await;
    assert_eq!(world.waiting().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_webhooks_tell_of_on_many_issues_is_held_as_a_whole() {
    let world = Setup::two(30).build().await;
    for n in 1..=30 {
        let issue = format!("SUP-{n}");
        world.acme().log_time(&issue, hour("ann", "work")).unwrap();
    }
    for _ in 0..3 {
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 30);
    world.wait(120).await;
    for worklog in world.acme().worklogs() {
        world.acme().delete(worklog.id).unwrap();
    }
    for _ in 0..3 {
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 30);
    assert_eq!(world.reasons().await, ["mass-delete"; 30]);
}

#[tokio::test(start_paused = true)]
async fn while_the_audit_trail_does_not_answer_jiras_feed_tells_what_was_deleted() {
    let (mut world, id) = synced(Webhooks::Both).await;
    world.wait(300).await;
    world.sweep().await;
    world.lose_webhooks();
    let trail = Matcher::tempo("POST", "/4/papertrail/search").times(100);
    world
        .sim
        .fail_next("acme", trail, Fault::LostBefore(FaultOutcome::Status(500)));
    world.acme().delete(id).unwrap();
    world.sim.drop_deliveries();
    world.wait(300).await;
    let _ = world.tandem.engine.sweep_pass().await;
    world.settle().await;
    assert!(world.globex().worklogs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_logged_after_an_undelete_that_failed_is_not_taken_for_what_it_brought_back() {
    let (world, id) = synced(Webhooks::Both).await;
    world
        .acme()
        .edit(id, |worklog| worklog.description = None)
        .unwrap();
    world.settle().await;
    world.acme().delete(id).unwrap();
    world.settle().await;
    let engine = &world.tandem.engine;
    let name = engine.connections[0].name.clone();
    let lines = engine.store.history(&[name], None, 100).await.unwrap();
    let line = lines.iter().find(|line| line.op == "delete").unwrap();
    let creates = Matcher::tempo("POST", "/4/worklogs");
    world
        .sim
        .fail_next("acme", creates, Fault::LostBefore(FaultOutcome::Status(504)));
    let _ = engine.undelete(line).await;
    world.wait(600).await;
    world
        .acme()
        .log_time("SUP-1", hour("ann", "something else"))
        .unwrap();
    world.settle().await;
    engine.undelete(line).await.unwrap();
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.acme().worklogs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn deletes_on_an_issue_whose_link_waits_as_a_whole_hold_up_no_other_delete() {
    let world = Setup::two(2).build().await;
    for n in 0..25 {
        world
            .acme()
            .log_time("SUP-2", hour("ann", &format!("entry {n}")))
            .unwrap();
    }
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    for _ in 0..3 {
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 26);
    world.wait(120).await;
    world.globex().delete_issue("bob", "DEV-2").unwrap();
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 26, "nothing follows an issue");
    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 0);
    assert!(!world.reasons().await.contains(&"mass-delete"));
}

/// One worklog on `SUP-1` and one on `HID-1`, whose project the service user sees no more; the audit trail is closed.
async fn hidden() -> (World, u64) {
    let mut setup = Setup::two(2).webhooks(Webhooks::None);
    let project = ProjectSpec::new("HID");
    setup.sites[0] = setup.sites[0]
        .clone()
        .project(project)
        .issue(IssueSpec::new("HID-1"));
    setup.config = setup.config.replace("\"SUP-2\"", "\"HID-1\"");
    let world = setup.build().await;
    world.acme().configure(|spec| spec.papertrail = false);
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.sweep().await;
    world.wait(120).await;
    world.sweep().await;
    world
        .acme()
        .set_permission(Some("HID"), Permission::Browse, false);
    (world, id)
}

#[tokio::test(start_paused = true)]
async fn what_jira_called_deleted_and_is_seen_again_where_it_stands_has_its_twin_again() {
    let (world, id) = hidden().await;
    world.acme().move_to_issue(id, "HID-1").unwrap();
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
    }
    // Jira's word is all that there is, and the twin went with it.
    assert!(
        !world
            .globex()
            .worklogs()
            .iter()
            .any(|one| one.content.description.as_deref() == Some("moves"))
    );
    world.acme().restore_permissions();
    world.wait(600).await;
    world.sweep().await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    // It is not taken for deleted again as soon as it is out of sight.
    world.acme().set_permission(None, Permission::ViewAll, false);
    for _ in 0..3 {
        world.wait(600).await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    world.acme().restore_permissions();
    world.wait(600).await;
    world.audit().await;
    world.settle().await;
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn the_service_users_own_time_does_not_show_that_it_sees_that_of_others() {
    let (world, id) = synced(Webhooks::None).await;
    world.acme().configure(|spec| spec.papertrail = false);
    world
        .acme()
        .log_time("SUP-1", hour("712020:service-acme", "its own"))
        .unwrap();
    world.sweep().await;
    world.wait(120).await;
    world.sweep().await;
    world.acme().set_permission(None, Permission::ViewAll, false);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.wait(120).await;
    world.sweep().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.acme().restore_permissions();
    for _ in 0..2 {
        world.wait(600).await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_moved_away_is_not_brought_back_beside_itself() {
    let (world, id) = synced(Webhooks::Both).await;
    world.acme().add_issue(IssueSpec::new("SUP-9"));
    world.wait(60).await;
    world.acme().move_to_issue(id, "SUP-9").unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    let engine = &world.tandem.engine;
    let lines = world
        .store
        .history(&["acme-globex".into()], None, 20)
        .await
        .unwrap();
    let line = lines.iter().find(|line| line.op == "delete").unwrap();
    let told = format!("{:?}", engine.undelete(line).await.unwrap());
    assert!(told.contains("it stands on issue"), "{told}");
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn that_a_worklog_stands_again_takes_nothing_back_that_tempo_itself_tells_of_it_meanwhile() {
    let (world, id) = synced(Webhooks::None).await;
    world.acme().add_issue(IssueSpec::new("SUP-9"));
    world.wait(60).await;
    world.acme().move_to_issue(id, "SUP-9").unwrap();
    world.sweep().await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    // It goes right after the look, and the webhook comes before what the look found is recorded.
    let told = Evidence {
        site: "acme".into(),
        id: EvidenceId::Tempo(WorklogId(id)),
        source: "tempo-webhook".into(),
        at: "2026-03-02T08:00:00Z".parse().unwrap(),
        moved_to: None,
    };
    world
        .store
        .commit(vec![Op::PutEvidence(told.clone())])
        .await
        .unwrap();
    world.wait(60).await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(
        world
            .store
            .evidence(&"acme".into(), std::slice::from_ref(&told.id))
            .await
            .unwrap(),
        [told]
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_the_past_brings_nothing_back() {
    let (world, id) = synced(Webhooks::None).await;
    world.acme().add_issue(IssueSpec::new("SUP-9"));
    world.wait(60).await;
    world.acme().move_to_issue(id, "SUP-9").unwrap();
    world.sweep().await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    let hour_ago = std::time::Duration::from_secs(3600);
    world.acme().faults(|faults| faults.listing_lag.update = hour_ago);
    world.audit().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_jira_called_deleted_and_is_seen_again_before_its_twin_went_is_not_deleted_later_for_that() {
    let (world, id) = hidden().await;
    world.acme().move_to_issue(id, "HID-1").unwrap();
    // Its proof is taken, but what it leads to cannot be written.
    let march = ["2026-03-01", "2026-03-31"].map(|day| day.parse().unwrap());
    world.globex().close_period(march[0], march[1]);
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 2);
    world.acme().restore_permissions();
    world.wait(600).await;
    world.audit().await;
    world.globex().open_periods();
    world.wait(600).await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
    world.acme().set_permission(None, Permission::ViewAll, false);
    for _ in 0..3 {
        world.wait(600).await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
}
