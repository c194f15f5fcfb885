//! Changes follow, in both directions, with and without webhooks.

use crate::world::{Setup, Webhooks, World, hour};

async fn every_kind_of_change_follows(webhooks: Webhooks, go: impl AsyncFn(&World)) {
    let world = Setup::two(2).webhooks(webhooks).build().await;
    let (acme, globex) = (world.acme(), world.globex());

    let from_a = acme.log_time("SUP-1", hour("ann", "from acme").billable(0)).unwrap();
    let from_b = globex.log_time("DEV-1", hour("bob", "from globex")).unwrap();
    go(&world).await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(world.said("globex", "DEV-1").len(), 2);
    assert!(world.said("globex", "DEV-1").contains(&(
        "ann".into(),
        "2026-03-02".into(),
        "13:30:00".into(),
        3600,
        0,
        "from acme".into()
    )));

    world.wait(5).await;
    acme.edit(from_a, |worklog| worklog.time_spent_secs = 1800).unwrap();
    globex.edit(from_b, |worklog| worklog.description = Some("edited on globex".into())).unwrap();
    go(&world).await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert!(world.said("globex", "DEV-1").iter().any(|said| said.3 == 1800));
    assert!(world.said("acme", "SUP-1").iter().any(|said| said.5 == "edited on globex"));

    acme.move_to_issue(from_a, "SUP-2").unwrap();
    go(&world).await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(world.said("acme", "SUP-2"), world.said("globex", "DEV-2"));
    assert_eq!(world.said("globex", "DEV-2").len(), 1);

    acme.delete(from_a).unwrap();
    globex.delete(from_b).unwrap();
    go(&world).await;
    for (site, issue) in [("acme", "SUP-1"), ("acme", "SUP-2"), ("globex", "DEV-1"), ("globex", "DEV-2")] {
        assert_eq!(world.said(site, issue), [], "{site} {issue}");
    }
    world.assert_equal().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    assert_eq!(acme.tempo_rate().answered_429 + globex.tempo_rate().answered_429, 0);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_change_follows_when_tempo_and_jira_tell() {
    every_kind_of_change_follows(Webhooks::Both, async |world: &World| world.settle().await).await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_change_follows_when_only_tempo_tells() {
    every_kind_of_change_follows(Webhooks::TempoOnly, async |world: &World| world.settle().await).await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_change_follows_when_only_jira_tells() {
    every_kind_of_change_follows(Webhooks::JiraOnly, async |world: &World| world.settle().await).await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_change_follows_when_nobody_tells() {
    every_kind_of_change_follows(Webhooks::None, async |world: &World| {
        world.wait(300).await;
        world.sweep().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_work_logged_on_both_sides_becomes_one_pair() {
    let world = Setup::two(1).build().await;
    world.acme().log_time("SUP-1", hour("ann", "workshop")).unwrap();
    world.globex().log_time("DEV-1", hour("ann", "workshop")).unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1").len(), 1);
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_worklog_on_an_issue_without_a_twin_stays_where_it_is() {
    let world = Setup::two(1).build().await;
    world.acme().log_time("SUP-2", hour("ann", "ours alone")).unwrap();
    world.settle().await;
    world.wait(2000).await;
    world.sweep().await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn edits_of_different_fields_on_both_sides_are_both_kept() {
    let world = Setup::two(1).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "text")).unwrap();
    world.settle().await;
    let twin = world.globex().worklogs()[0].id;
    world.acme().edit(id, |worklog| worklog.time_spent_secs = 900).unwrap();
    world.globex().edit(twin, |worklog| worklog.description = Some("better text".into())).unwrap();
    world.settle().await;
    for (site, issue) in [("acme", "SUP-1"), ("globex", "DEV-1")] {
        let said = world.said(site, issue);
        assert_eq!((said[0].3, said[0].5.as_str()), (900, "better text"));
    }
}
