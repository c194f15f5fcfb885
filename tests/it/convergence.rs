//! Changes follow, in both directions, with and without webhooks.

use crate::world::{Setup, Webhooks, World, hour};

async fn every_kind_of_change_follows(webhooks: Webhooks, go: impl AsyncFn(&World)) {
    let world = Setup::two(2).webhooks(webhooks).build().await;
    let (acme, globex) = (world.acme(), world.globex());

    let from_a = acme
        .log_time("SUP-1", hour("ann", "from acme").billable(0))
        .unwrap();
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
    acme.edit(from_a, |worklog| worklog.time_spent_secs = 1800)
        .unwrap();
    globex
        .edit(from_b, |worklog| {
            worklog.description = Some("edited on globex".into())
        })
        .unwrap();
    go(&world).await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert!(world.said("globex", "DEV-1").iter().any(|said| said.3 == 1800));
    assert!(
        world
            .said("acme", "SUP-1")
            .iter()
            .any(|said| said.5 == "edited on globex")
    );

    acme.move_to_issue(from_a, "SUP-2").unwrap();
    go(&world).await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(world.said("acme", "SUP-2"), world.said("globex", "DEV-2"));
    assert_eq!(world.said("globex", "DEV-2").len(), 1);

    acme.delete(from_a).unwrap();
    globex.delete(from_b).unwrap();
    go(&world).await;
    for (site, issue) in [
        ("acme", "SUP-1"),
        ("acme", "SUP-2"),
        ("globex", "DEV-1"),
        ("globex", "DEV-2"),
    ] {
        assert_eq!(world.said(site, issue), [], "{site} {issue}");
    }
    world.assert_equal().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    assert_eq!(
        acme.tempo_rate().answered_429 + globex.tempo_rate().answered_429,
        0
    );
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
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 900)
        .unwrap();
    world
        .globex()
        .edit(twin, |worklog| worklog.description = Some("better text".into()))
        .unwrap();
    world.settle().await;
    for (site, issue) in [("acme", "SUP-1"), ("globex", "DEV-1")] {
        let said = world.said(site, issue);
        assert_eq!((said[0].3, said[0].5.as_str()), (900, "better text"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_in_jiras_own_screen_follows_once_tempo_shows_it() {
    let world = Setup::two(1).webhooks(Webhooks::JiraOnly).build().await;
    world
        .acme()
        .log_time("SUP-1", hour("ann", "made in tempo"))
        .unwrap();
    world.settle().await;
    world
        .acme()
        .set_jira_to_tempo_lag(std::time::Duration::from_secs(40));
    let shadow = world.acme().jira_worklogs()[0].id;
    world
        .acme()
        .jira_edit("ann", shadow, |worklog| worklog.time_spent_secs = 600)
        .unwrap();
    for _ in 0..4 {
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-1")[0].3, 600);
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
}

#[tokio::test(start_paused = true)]
async fn worklogs_begin_anew_when_their_issue_gets_another_twin() {
    use tandem_core::{ConnectionName, LinkKey};
    use tandem_engine::ports::site::IssueRef;
    use tandem_engine::ports::store::{DueKey, Lane, Store};

    let world = Setup::two(1).build().await;
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    let engine = &world.tandem.engine;
    let connection = engine.connection(&ConnectionName::new("acme-globex")).unwrap();
    let issue = async |site: &str, key: &str| {
        let client = &engine.sites[&site.into()].client;
        world.wait(1).await;
        client
            .issue(&IssueRef::Key(key.into()), &[])
            .await
            .unwrap()
            .unwrap()
    };
    let (a, b, other) = (
        issue("acme", "SUP-1").await,
        issue("globex", "DEV-1").await,
        issue("globex", "DEV-2").await,
    );
    let old = LinkKey {
        connection: connection.name.clone(),
        a: a.id,
        b: b.id,
    };
    assert!(world.store.drop_link(&old, &connection.sites).await.unwrap());
    // Nothing follows while they are not linked.
    let id = world.acme().worklogs()[0].id;
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    engine
        .link_issues(connection, &a, &other, "command")
        .await
        .unwrap();
    let new = LinkKey { b: other.id, ..old };
    engine
        .hint_all(vec![DueKey::Link(new)], Lane::Live, false)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-2"), world.said("acme", "SUP-1"));
    assert_eq!(
        world.said("globex", "DEV-1")[0].3,
        3600,
        "unlinking left the old twin alone"
    );
    world
        .globex()
        .delete(world.globex().worklogs_of("DEV-1")[0].id)
        .unwrap();
    world.settle().await;
    assert_eq!(world.acme().worklogs().len(), 1);
}

/// Takes an issue's twin away and gives it another one, as `link rm` and `link add` do.
async fn relink(world: &World, from: (&str, &str), to: (&str, &str)) {
    use tandem_core::{ConnectionName, LinkKey};
    use tandem_engine::ports::site::IssueRef;
    use tandem_engine::ports::store::{DueKey, Lane, Store};

    let engine = &world.tandem.engine;
    let connection = engine.connection(&ConnectionName::new("acme-globex")).unwrap();
    let issue = async |site: &str, key: &str| {
        let client = &engine.sites[&site.into()].client;
        world.wait(1).await;
        let asked = IssueRef::Key(key.into());
        client.issue(&asked, &[]).await.unwrap().unwrap()
    };
    let old = LinkKey {
        connection: connection.name.clone(),
        a: issue("acme", from.0).await.id,
        b: issue("globex", from.1).await.id,
    };
    assert!(world.store.drop_link(&old, &connection.sites).await.unwrap());
    let (a, b) = (issue("acme", to.0).await, issue("globex", to.1).await);
    engine.link_issues(connection, &a, &b, "command").await.unwrap();
    let new = LinkKey {
        a: a.id,
        b: b.id,
        ..old
    };
    engine
        .hint_all(vec![DueKey::Link(new)], Lane::Live, false)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_put_right_again_finds_the_twins_that_it_had() {
    // Begun on either side, and as they were or edited while the link was wrong.
    for (on_acme, edited) in [(true, false), (true, true), (false, false), (false, true)] {
        let case = format!("on acme: {on_acme}, edited: {edited}");
        let world = Setup::two(1).build().await;
        let (site, issue) = match on_acme {
            true => (world.acme(), "SUP-1"),
            false => (world.globex(), "DEV-1"),
        };
        site.log_time(issue, hour("ann", "work")).unwrap();
        world.settle().await;
        let ids = |world: &World| {
            (
                world.acme().worklogs_of("SUP-1"),
                world.globex().worklogs_of("DEV-1"),
            )
        };
        let before = ids(&world);
        relink(&world, ("SUP-1", "DEV-1"), ("SUP-1", "DEV-2")).await;
        world.settle().await;
        assert_eq!(
            world.said("globex", "DEV-2"),
            world.said("acme", "SUP-1"),
            "{case}"
        );
        if edited {
            world
                .acme()
                .edit(before.0[0].id, |content| content.time_spent_secs = 60)
                .unwrap();
            world.settle().await;
        }
        relink(&world, ("SUP-1", "DEV-2"), ("SUP-1", "DEV-1")).await;
        world.settle().await;
        world.sweep().await;
        world.audit().await;
        world.settle().await;
        let after = ids(&world);
        assert_eq!((after.0.len(), after.1.len()), (1, 1), "{case}");
        assert_eq!(
            (after.0[0].id, after.1[0].id),
            (before.0[0].id, before.1[0].id),
            "{case}"
        );
        assert_eq!(
            world.said("acme", "SUP-1"),
            world.said("globex", "DEV-1"),
            "{case}"
        );
        if edited {
            assert_eq!(world.said("globex", "DEV-1")[0].3, 60, "{case}");
        }
        world.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn issues_that_exchange_their_twins_double_nobodys_hours() {
    let world = Setup::two(2).build().await;
    world.acme().log_time("SUP-1", hour("ann", "one")).unwrap();
    world.globex().log_time("DEV-2", hour("bob", "two")).unwrap();
    world.settle().await;
    relink(&world, ("SUP-1", "DEV-1"), ("SUP-1", "DEV-3")).await;
    relink(&world, ("SUP-2", "DEV-2"), ("SUP-2", "DEV-1")).await;
    for _ in 0..3 {
        world.settle().await;
        world.wait(300).await;
        world.sweep().await;
        world.audit().await;
    }
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-3"));
    // What was copied from SUP-1 and was left on DEV-1 is no time of SUP-2's.
    assert_eq!(world.said("acme", "SUP-2").len(), 1);
    assert_eq!(world.said("globex", "DEV-1").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn twin_issues_are_found_by_remote_link_or_field_on_either_side() {
    for (from, on_acme) in [
        ("remote-link", true),
        ("remote-link", false),
        ("field", true),
        ("field", false),
    ] {
        let mut setup = Setup::two(0);
        setup.config = setup.config.replace(
            "table = []",
            &format!(
                "from = [\"{from}\"]\nfield = {{ a = \"customfield_10042\", b = \"customfield_10077\" }}"
            ),
        );
        let (site, url, value) = if on_acme {
            (0, "http://127.0.0.1:1/jira/globex/browse/DEV-1", "DEV-1")
        } else {
            (
                1,
                "http://127.0.0.1:1/jira/acme/browse/SUP-1",
                "http://127.0.0.1:1/jira/acme/browse/SUP-1",
            )
        };
        let issue = setup.sites[site].issues[0].clone();
        setup.sites[site].issues[0] = match from {
            "field" => issue.field(
                if on_acme {
                    "customfield_10042"
                } else {
                    "customfield_10077"
                },
                value,
            ),
            _ => issue.remote_link("twin", url, "the twin"),
        };
        let world = setup.build().await;
        world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world.settle().await;
        assert_eq!(
            world.said("globex", "DEV-1").len(),
            1,
            "{from}, on acme: {on_acme}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_may_be_asked_once_in_five_seconds_is_kept_the_same_too() {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    for site in ["acme", "globex"] {
        let named = format!("[sites.{site}]\n");
        setup.config = setup
            .config
            .replace(&named, &format!("{named}requests_per_second = 0.2\n"));
    }
    let world = setup.build().await;
    for text in ["one", "two", "three"] {
        world.acme().log_time("SUP-1", hour("ann", text)).unwrap();
    }
    world.sweep().await;
    world.wait(600).await;
    world
        .acme()
        .edit(world.acme().worklogs()[0].id, |one| one.time_spent_secs = 60)
        .unwrap();
    world.sweep().await;
    world.assert_equal().await;
}

/// Without webhooks, and so quick that a run ends within the second in which it began.
async fn a_quick_world() -> World {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    for site in &mut setup.sites {
        site.tempo_rate.per_second = 50;
    }
    for site in ["acme", "globex"] {
        let named = format!("[sites.{site}]\n");
        setup.config = setup
            .config
            .replace(&named, &format!("{named}requests_per_second = 40\n"));
    }
    setup.config = format!("engine.settle = \"1ms\"\n{}", setup.config);
    setup.build().await
}

#[tokio::test(start_paused = true)]
async fn an_edit_within_the_second_of_one_that_was_carried_over_is_found_by_the_sweep() {
    let world = a_quick_world().await;
    let acme = world.acme();
    let id = acme.log_time("SUP-1", hour("ann", "one")).unwrap();
    world.sweep().await;
    world.wait(600).await;
    let mut times = Vec::new();
    for secs in [60, 120] {
        acme.edit(id, |worklog| worklog.time_spent_secs = secs).unwrap();
        times.push(acme.worklogs_of("SUP-1")[0].updated_at.as_second());
        world.sweep().await;
        assert_eq!(world.said("globex", "DEV-1")[0].3, secs as u64);
    }
    assert_eq!(times[0], times[1]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_within_the_second_of_what_waits_is_found_by_the_sweep() {
    let world = a_quick_world().await;
    world.sweep().await;
    let id = world.acme().log_time("SUP-1", hour("eve-acme", "one")).unwrap();
    let logged = world.acme().worklogs_of("SUP-1")[0].updated_at;
    world.sweep().await;
    assert_eq!(world.reasons().await, ["author-unmapped"]);
    world
        .acme()
        .edit(id, |worklog| worklog.author = "ann".into())
        .unwrap();
    let edited = world.acme().worklogs_of("SUP-1")[0].updated_at;
    assert_eq!(edited.as_second(), logged.as_second());

    world.wait(600).await;
    world.sweep().await;
    world.assert_equal().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
}
