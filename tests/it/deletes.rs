//! Only a proven delete deletes.

use tandem_sim::{Fault, FaultOutcome, Matcher, Permission};

use crate::world::{Setup, Webhooks, World, hour, synced};

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
async fn a_site_that_does_not_say_who_the_service_user_is_stops_no_link() {
    let (world, id) = synced(Webhooks::None).await;
    world.acme().configure(|spec| spec.papertrail = false);
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.sweep().await;
    world.wait(120).await;
    world.sweep().await;
    let who = Matcher::jira("GET", "/rest/api/3/myself").times(1000);
    world
        .sim
        .fail_next("acme", who, Fault::LostBefore(FaultOutcome::Status(403)));
    // One author alone is shown, who may be the service user.
    world.acme().delete(id).unwrap();
    world.acme().log_time("SUP-1", hour("bob", "new")).unwrap();
    world.wait(120).await;
    world.sweep().await;
    let said: Vec<_> = world.said("globex", "DEV-1");
    assert!(said.iter().any(|one| one.5 == "new"), "{said:?}");
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
    }
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_something_in_between_answers_is_not_taken_for_done() {
    let (world, id) = synced(Webhooks::Both).await;
    let delete = Matcher::tempo("DELETE", "/4/worklogs/{id}");
    let by_another = Fault::LostBefore(FaultOutcome::Status(200));
    world.sim.fail_next("globex", delete, by_another);
    world.acme().delete(id).unwrap();
    world.settle().await;
    for _ in 0..2 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn the_books_tell_of_pairs_that_neither_side_shows_and_of_sites_that_show_not_all() {
    let (world, id) = synced(Webhooks::None).await;
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.sweep().await;
    world.settle().await;
    let copies = world.globex().worklogs();
    let copy = copies.iter().find(|one| one.author == "ann").unwrap();
    world.acme().delete(id).unwrap();
    world.globex().delete(copy.id).unwrap();
    let books = world.verify().await;
    assert_eq!(
        (books.equal, books.unshown, books.blind.as_slice()),
        (true, 1, [].as_slice())
    );
    world.wait(300).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.verify().await.unshown, 0);
    world.acme().lose_permissions();
    world.sweep().await;
    assert_eq!(world.verify().await.blind, ["acme".into()]);
}
