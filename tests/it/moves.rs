//! What becomes of a worklog that moves to another issue, linked or not, and of its twin.

use tandem_core::{JiraWorklogId, WorklogId};
use tandem_engine::operator::{Decision, Resolved};
use tandem_engine::ports::store::{Evidence, EvidenceId, Op, Store as _};
use tandem_sim::{Fault, FaultOutcome, IssueSpec, Matcher, Permission, ProjectSpec};

use crate::world::{Setup, Webhooks, World, hour, synced};

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

#[tokio::test(start_paused = true)]
async fn what_jira_called_deleted_and_has_come_back_meanwhile_is_not_deleted_later_for_that() {
    for looks in [[300, 300, 300].as_slice(), &[70]] {
        let (world, id) = hidden().await;
        world.acme().move_to_issue(id, "HID-1").unwrap();
        let march = ["2026-03-01", "2026-03-31"].map(|day| day.parse().unwrap());
        world.globex().close_period(march[0], march[1]);
        for pause in looks {
            world.wait(*pause).await;
            world.sweep().await;
        }
        assert_eq!(world.said("globex", "DEV-1").len(), 2);
        assert_eq!(world.reasons().await, ["period-closed"], "{looks:?}");
        // It comes back to the very issue that it had left.
        world.acme().move_to_issue(id, "SUP-1").unwrap();
        world.globex().open_periods();
        world.wait(600).await;
        world.audit().await;
        world.settle().await;
        world.assert_equal().await;
        world.acme().set_permission(None, Permission::ViewAll, false);
        for _ in 0..3 {
            world.wait(600).await;
            world.audit().await;
            world.settle().await;
        }
        assert_eq!(world.said("globex", "DEV-1").len(), 2, "{looks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_come_back_since_jira_called_it_deleted_and_is_deleted_then_goes() {
    let (world, id) = hidden().await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail_tells_of_jira_deletes = false);
    }
    world.acme().move_to_issue(id, "HID-1").unwrap();
    let march = ["2026-03-01", "2026-03-31"].map(|day| day.parse().unwrap());
    world.globex().close_period(march[0], march[1]);
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
    }
    assert_eq!(world.reasons().await, ["period-closed"]);
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    world.globex().open_periods();
    world.wait(600).await;
    world.audit().await;
    world.settle().await;
    world.assert_equal().await;
    // This time it is one.
    let jira = world.acme().worklog(id).unwrap().jira_id.unwrap();
    // Its shadow in Jira is another than before, and known.
    let learned = Op::PutJiraId {
        site: "acme".into(),
        jira: JiraWorklogId(jira),
        worklog: WorklogId(id),
    };
    world.store.commit(vec![learned]).await.unwrap();
    world.acme().jira_delete(jira).unwrap();
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
    }
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_jira_tells_was_deleted_while_the_worklog_moved_takes_it_along() {
    let mut setup = Setup::two(2).webhooks(Webhooks::None);
    for site in &mut setup.sites {
        site.papertrail = false;
    }
    let world = setup.build().await;
    for issue in ["SUP-1", "SUP-2"] {
        world.acme().log_time(issue, hour("bob", "stays")).unwrap();
    }
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    for _ in 0..3 {
        world.sweep().await;
        world.settle().await;
        world.wait(120).await;
    }
    let copies = world.globex().worklogs();
    let copy = copies.iter().find(|one| one.author == "ann").unwrap().id;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    world.globex().delete(copy).unwrap();
    for _ in 0..4 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    world.assert_equal().await;
    assert_eq!(world.acme().worklogs().len(), world.globex().worklogs().len());
}
