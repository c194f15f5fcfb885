//! Which issues are linked, by which of the ways that the configuration names, and which the scope leaves out.

use tandem_core::{IssueId, LinkKey};
use tandem_engine::ports::Store;
use tandem_engine::ports::store::{DueKey, LinkRow, Linked};
use tandem_sim::{Fault, FaultOutcome, IssueSpec, Matcher, Permission, ProjectSpec};

use crate::world::{Setup, Webhooks, World, hour};

/// Two linked pairs of issues, of which the scope has the first one.
async fn scoped() -> World {
    let mut setup = Setup::two(2);
    setup.config = setup.config.replace(
        "since = \"2026-01-01\"",
        "since = \"2026-01-01\"\nscope = { a = \"key = SUP-1\", b = \"\" }",
    );
    setup.build().await
}

async fn both_log(world: &World, text: &str) {
    world.acme().log_time("SUP-1", hour("ann", text)).unwrap();
    world.acme().log_time("SUP-2", hour("ann", text)).unwrap();
    world.globex().log_time("DEV-2", hour("bob", text)).unwrap();
    world.settle().await;
}

/// What waits, by its reason.
async fn waits(world: &World) -> Vec<String> {
    let due = world.due().await;
    let links = due.iter().filter(|row| matches!(row.key, DueKey::Link(_)));
    links
        .filter(|row| row.reason.is_some())
        .filter_map(|row| row.detail.clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn time_on_an_issue_outside_the_scope_stays_on_its_site_though_the_table_links_it() {
    let mut world = scoped().await;
    both_log(&world, "one").await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(world.said("globex", "DEV-2").len(), 1, "globex's own");
    assert_eq!(world.said("acme", "SUP-2").len(), 1, "acme's own");
    assert_eq!(
        waits(&world).await,
        ["SUP-2 on acme is outside the scope of acme-globex"]
    );
    world.assert_equal().await;

    // Nothing was lost: once the scope has the issue, all of it follows.
    world.restart(|config| config.replace("key = SUP-1", "key in (SUP-1, SUP-2)"));
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-2").len(), 2);
    assert_eq!(world.said("acme", "SUP-2"), world.said("globex", "DEV-2"));
    assert_eq!(waits(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_leaves_the_scope_is_left_alone_from_the_next_audit_on() {
    let mut setup = Setup::two(1);
    setup.config = setup.config.replace(
        "since = \"2026-01-01\"",
        "since = \"2026-01-01\"\nscope = { a = \"project = SUP\", b = \"\" }",
    );
    let project = tandem_sim::ProjectSpec::new("OPS");
    setup.sites[0] = setup.sites[0].clone().project(project);
    let world = setup.build().await;
    world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);

    let key = world.acme().jira_move_issue("ann", "SUP-1", "OPS").unwrap();
    world.audit().await;
    world.settle().await;
    let id = world.acme().log_time(&key, hour("ann", "after")).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(waits(&world).await.len(), 1);

    world.acme().jira_move_issue("ann", &key, "SUP").unwrap();
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 2);
    assert!(world.acme().worklogs().iter().any(|worklog| worklog.id == id));
    assert_eq!(waits(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_table_may_name_an_issue_by_a_key_that_it_had_once() {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    setup.sites[0] = setup.sites[0]
        .clone()
        .project(tandem_sim::ProjectSpec::new("OPS"));
    let table = std::mem::replace(&mut setup.config, crate::world::config("", &[]));
    let mut world = setup.build().await;
    let key = world.acme().jira_move_issue("ann", "SUP-1", "OPS").unwrap();
    world.acme().log_time(&key, hour("ann", "moved")).unwrap();
    world.restart(|_| table.clone());
    world.tandem.engine.prepare().await.unwrap();
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_remote_link_comes_before_the_table_where_the_configuration_says_so() {
    let mut setup = Setup::two(2);
    setup.config = setup.config.replace(
        "[connections.links]\n",
        "[connections.links]\nfrom = [\"remote-link\", \"table\"]\n",
    );
    setup.config = setup
        .config
        .replace("[\"SUP-2\", \"DEV-2\"]", "[\"SUP-2\", \"DEV-3\"]");
    let url = "http://127.0.0.1:1/jira/globex/browse/DEV-2";
    let issue = setup.sites[0].issues[1].clone();
    setup.sites[0].issues[1] = issue.remote_link("twin", url, "the twin");
    let world = setup.build().await;
    for issue in ["SUP-1", "SUP-2"] {
        world.acme().log_time(issue, hour("ann", issue)).unwrap();
    }
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1, "by the table");
    assert_eq!(world.said("globex", "DEV-2").len(), 1, "by its remote link");
    assert_eq!(world.said("globex", "DEV-3").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_made_right_before_a_death_is_brought_together_by_the_next_audit() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    world.acme().log_time("SUP-2", hour("ann", "x")).unwrap();
    world.sweep().await;
    world.settle().await;
    assert!(world.said("globex", "DEV-2").is_empty());
    let connection = &world.tandem.engine.connections[0];
    // As `link import` leaves it when it dies before it has hinted at what it made.
    let row = LinkRow {
        key: LinkKey {
            connection: connection.name.clone(),
            a: IssueId(world.acme().issue_id("SUP-2")),
            b: IssueId(world.globex().issue_id("DEV-2")),
        },
        a_key: Some("SUP-2".into()),
        b_key: Some("DEV-2".into()),
        found_by: "command".into(),
        since: world.now(),
        outside: None,
    };
    let linked = world.store.put_link(&row, &connection.sites).await.unwrap();
    assert_eq!(linked, Linked::New);
    world.wait(3600).await;
    world.audit().await;
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-2"), world.said("globex", "DEV-2"));
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_out_of_the_scope_takes_its_twin_away_and_brings_it_back() {
    let world = scoped().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    for _ in 0..3 {
        world.settle().await;
        world.wait(400).await;
        world.sweep().await;
    }
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    world.settle().await;
    world.wait(400).await;
    world.sweep().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_a_site_refuses_remote_links_the_twin_is_found_in_the_field() {
    for on_acme in [true, false] {
        let mut setup = Setup::two(0);
        setup.config = setup.config.replace(
            "table = []",
            "from = [\"remote-link\", \"field\"]\nfield = { a = \"customfield_10042\", b = \"customfield_10077\" }",
        );
        let (site, field, key) = match on_acme {
            true => (0, "customfield_10042", "DEV-1"),
            false => (1, "customfield_10077", "SUP-1"),
        };
        let issue = setup.sites[site].issues[0].clone();
        setup.sites[site].issues[0] = issue.field(field, key);
        let world = setup.build().await;
        for site in ["acme", "globex"] {
            let links = Matcher::jira("GET", "/rest/api/3/issue/{issueIdOrKey}/remotelink").times(100);
            world
                .sim
                .fail_next(site, links, Fault::LostBefore(FaultOutcome::Status(403)));
        }
        world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world.settle().await;
        assert_eq!(world.said("globex", "DEV-1").len(), 1, "on acme: {on_acme}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_site_cannot_be_asked_for_the_field_the_issues_that_were_changed_last_tell() {
    let mut setup = Setup::two(0);
    setup.config = setup.config.replace(
        "table = []",
        "from = [\"field\"]\nfield = { a = \"customfield_10042\", b = \"customfield_10077\" }",
    );
    let issue = setup.sites[1].issues[0].clone();
    setup.sites[1].issues[0] = issue.field("customfield_10077", "SUP-1");
    let world = setup.build().await;
    let search = Matcher::jira("POST", "/rest/api/3/search/jql").times(1);
    world
        .sim
        .fail_next("globex", search, Fault::LostBefore(FaultOutcome::Status(400)));
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_to_an_issue_whose_twin_is_out_of_sight_loses_its_copy_to_nobody() {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    setup.config = setup.config.replace(
        "[connections.links]\n",
        "[connections.links]\nfield = { a = \"customfield_10042\", b = \"customfield_10077\" }\n",
    );
    let pointing = IssueSpec::new("SUP-9").field("customfield_10042", "HID-1");
    setup.sites[0] = setup.sites[0].clone().issue(pointing);
    setup.sites[1] = setup.sites[1]
        .clone()
        .project(ProjectSpec::new("HID"))
        .issue(IssueSpec::new("HID-1"));
    let world = setup.build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.sweep().await;
    world.settle().await;
    world
        .globex()
        .set_permission(Some("HID"), Permission::Browse, false);
    world.acme().move_to_issue(id, "SUP-9").unwrap();
    for _ in 0..3 {
        world.wait(600).await;
        world.sweep().await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    assert_eq!(world.reasons().await, ["missing"]);
    world.globex().restore_permissions();
    for _ in 0..2 {
        world.wait(3600).await;
        world.audit().await;
        world.settle().await;
    }
    assert_eq!(world.said("globex", "DEV-1").len(), 0);
    assert_eq!(world.said("globex", "HID-1").len(), 1);
}

/// Two sites whose issues name their twins in a field or by remote links, and a worklog on both.
async fn naming(by: &str, changed: impl FnOnce(&mut Setup)) -> (World, u64) {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    setup.config = setup.config.replace(
        "[connections.links]\n",
        &format!(
            "[connections.links]\nfrom = [\"{by}\", \"table\"]\nfield = {{ a = \"customfield_10042\", b = \"customfield_10077\" }}\n"
        ),
    );
    changed(&mut setup);
    let world = setup.build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
    (world, id)
}

fn refuse_links(world: &World, status: u16) {
    for site in ["acme", "globex"] {
        let links = Matcher::jira("GET", "/rest/api/3/issue/{issueIdOrKey}/remotelink").times(1000);
        world
            .sim
            .fail_next(site, links, Fault::LostBefore(FaultOutcome::Status(status)));
    }
}

async fn some_looks(world: &World) {
    for _ in 0..3 {
        world.wait(1000).await;
        world.sweep().await;
        world.audit().await;
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worklog_that_moves_while_a_site_refuses_to_tell_of_twins_loses_its_copy_to_nobody() {
    // As where a permission went, or as where something says that it knows no such issue.
    for status in [403, 404] {
        let (world, id) = naming("remote-link", |setup| {
            let issue = setup.sites[0].issues[1].clone();
            let url = "http://127.0.0.1:1/jira/globex/browse/DEV-2";
            setup.sites[0].issues[1] = issue.remote_link("twin", url, "the twin");
        })
        .await;
        let copy = world.globex().worklogs()[0].id;
        refuse_links(&world, status);
        world.acme().move_to_issue(id, "SUP-2").unwrap();
        some_looks(&world).await;
        assert_eq!(world.reasons().await, ["missing"]);
        assert!(world.globex().worklog(copy).is_some());
        world.acme().forget_faults();
        world.globex().forget_faults();
        some_looks(&world).await;
        assert_eq!(world.reasons().await, Vec::<&str>::new());
        assert_eq!(world.said("globex", "DEV-1").len(), 0);
        assert_eq!(world.said("globex", "DEV-2").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_linking_is_off_a_worklog_that_moves_to_an_issue_without_a_twin_takes_its_copy_along() {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    setup.config = setup.config.replace(
        "[connections.links]\n",
        "[connections.links]\nfrom = [\"remote-link\", \"table\"]\n",
    );
    let world = setup.build().await;
    refuse_links(&world, 403);
    let id = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    some_looks(&world).await;
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_names_an_issue_by_a_key_that_it_had_once_is_found() {
    for by in ["field", "remote-link"] {
        let (world, id) = naming(by, |setup| {
            setup.sites[0] = setup.sites[0].clone().project(ProjectSpec::new("OPS"));
            let issue = setup.sites[1].issues[1].clone();
            setup.sites[1].issues[1] = match by {
                "field" => issue.field("customfield_10077", "SUP-2"),
                _ => issue.remote_link("twin", "http://127.0.0.1:1/jira/acme/browse/SUP-2", "the twin"),
            };
        })
        .await;
        let key = world.acme().jira_move_issue("ann", "SUP-2", "OPS").unwrap();
        world.acme().move_to_issue(id, &key).unwrap();
        some_looks(&world).await;
        assert_eq!(world.reasons().await, Vec::<&str>::new(), "{by}");
        assert_eq!(world.said("globex", "DEV-1").len(), 0, "{by}");
        assert_eq!(world.said("globex", "DEV-2").len(), 1, "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_has_the_field_of_what_it_was_made_of_takes_nobodys_place() {
    let (world, id) = naming("field", |setup| {
        for issue in &mut setup.sites[1].issues {
            *issue = issue.clone().field("customfield_10077", "SUP-2");
        }
        // By the table alone.
        setup.config = setup
            .config
            .replace("from = [\"field\", \"table\"]", "from = [\"table\", \"field\"]");
    })
    .await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    some_looks(&world).await;
    assert_eq!(world.said("globex", "DEV-1").len(), 0);
    assert_eq!(world.said("globex", "DEV-2").len(), 1);
}
