//! A purge stops until a person lets it through, and holds up nothing else.

use tandem_engine::operator::{Decision, Resolved};
use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::world::{Setup, Webhooks, World, hour};

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
