//! How many requests things cost.

use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::world::{Setup, Webhooks, World, hour, site};

/// Requests to both sites, Jira-id look-ups aside: those are learned in batches of their own.
fn requests(world: &World) -> Vec<String> {
    world
        .sim
        .requests()
        .iter()
        .filter(|request| !request.path_template.ends_with("/tempo-to-jira"))
        .map(|request| {
            format!(
                "{} {} {} {}",
                request.site, request.method, request.path_template, request.status
            )
        })
        .collect()
}

async fn costs_at_most(world: &World, limit: usize, act: impl FnOnce()) {
    world.settle().await;
    world.sim.reset_requests();
    act();
    world.settle().await;
    let requests = requests(world);
    assert!(
        requests.len() <= limit,
        "{} requests, at most {limit}: {requests:#?}",
        requests.len()
    );
    world.assert_equal().await;
    assert_eq!(world.sim.violations().len(), 0, "{:?}", world.sim.violations());
}

async fn each_change_costs(webhooks: Webhooks, limit: usize) {
    let world = Setup::two(1).webhooks(webhooks).build().await;
    world
        .acme()
        .set_jira_to_tempo_lag(std::time::Duration::from_millis(200));
    let mut id = 0;
    costs_at_most(&world, limit, || {
        id = world.acme().log_time("SUP-1", hour("ann", "x")).unwrap()
    })
    .await;
    costs_at_most(&world, limit, || {
        world
            .acme()
            .edit(id, |worklog| worklog.time_spent_secs = 60)
            .unwrap()
    })
    .await;
    costs_at_most(&world, limit, || world.acme().delete(id).unwrap()).await;
    assert_eq!(world.globex().worklogs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_tempo_tells_of_costs_three_requests() {
    each_change_costs(Webhooks::TempoOnly, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_only_jira_tells_of_costs_four_requests() {
    each_change_costs(Webhooks::JiraOnly, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_both_tell_of_costs_three_requests_and_its_echoes_none() {
    each_change_costs(Webhooks::Both, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_only_jira_tells_of_costs_a_fifth_request_where_the_audit_trail_is_closed() {
    let world = Setup::two(1).webhooks(Webhooks::JiraOnly).build().await;
    for site in [world.acme(), world.globex()] {
        site.configure(|spec| spec.papertrail = false);
    }
    let first = world.acme().log_time("SUP-1", hour("ann", "goes first")).unwrap();
    let id = world.acme().log_time("SUP-1", hour("bob", "goes")).unwrap();
    world.acme().log_time("SUP-1", hour("bob", "stays")).unwrap();
    world.settle().await;
    world.sweep().await;
    world.wait(120).await;
    // With the very first one it is asked once who the service user is.
    costs_at_most(&world, 6, || world.acme().delete(first).unwrap()).await;
    world.wait(120).await;
    // That others' time is shown is looked at again after the answer that the worklog is not there: whoever lost their
    // permissions between the two would take one that moved for deleted.
    costs_at_most(&world, 5, || world.acme().delete(id).unwrap()).await;
    assert_eq!(world.globex().worklogs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_made_in_jiras_own_screen_costs_four_requests() {
    let world = Setup::two(1).webhooks(Webhooks::JiraOnly).build().await;
    world
        .acme()
        .set_jira_to_tempo_lag(std::time::Duration::from_millis(200));
    costs_at_most(&world, 4, || {
        world
            .acme()
            .jira_log_time(
                "SUP-1",
                "ann",
                "2026-03-02T13:30:00Z".parse().unwrap(),
                3600,
                "in jira",
            )
            .unwrap();
    })
    .await;
    assert_eq!(world.said("globex", "DEV-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_a_hundred_changes_on_one_link_is_one_run() {
    let world = Setup::two(1).build().await;
    costs_at_most(&world, 102, || {
        for n in 0..100 {
            world
                .acme()
                .log_time("SUP-1", hour("ann", &format!("entry {n}")))
                .unwrap();
        }
    })
    .await;
    assert_eq!(world.globex().worklogs().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_without_a_change_costs_three_requests_per_site() {
    let world = Setup::two(200).webhooks(Webhooks::None).build().await;
    for n in 1..=200 {
        for m in 0..50 {
            let day = format!("2026-02-{:02}", 1 + m % 28);
            let content =
                tandem_sim::Content::new("ann", &day, "09:00:00", 600 + 60 * m).text(format!("w{m}"));
            world
                .acme()
                .log_time(&format!("SUP-{n}"), content.clone())
                .unwrap();
            world.globex().log_time(&format!("DEV-{n}"), content).unwrap();
        }
    }
    world.sweep().await;
    world.wait(4 * 3600).await;
    world.sweep().await;
    for _ in 0..3 {
        world.wait(300).await;
        world.sim.reset_requests();
        world.sweep().await;
        let requests = requests(&world);
        assert!(requests.len() <= 6, "{requests:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_reads_each_side_once() {
    let world = Setup::two(20).webhooks(Webhooks::None).build().await;
    for n in 1..=20 {
        for m in 0..20 {
            world
                .acme()
                .log_time(&format!("SUP-{n}"), hour("ann", &format!("w{m}")))
                .unwrap();
            world
                .globex()
                .log_time(&format!("DEV-{n}"), hour("ann", &format!("w{m}")))
                .unwrap();
        }
    }
    world.sweep().await;
    world.wait(600).await;
    world.sim.reset_requests();
    world.audit().await;
    let requests = requests(&world);
    let listings = requests
        .iter()
        .filter(|request| request.contains("/4/worklogs/search"))
        .count();
    assert_eq!(listings, 2, "{requests:#?}");
    assert!(requests.len() <= 2 + 4, "{requests:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_costs_at_most_two_table_requests() {
    let world = Setup::two(1).webhooks(Webhooks::Both).build().await;
    world.acme().log_time("SUP-1", hour("ann", "x")).unwrap();
    world.settle().await;
    world.store.counts().reset();
    world.acme().log_time("SUP-1", hour("bob", "y")).unwrap();
    world.wait(1).await;
    // Tempo's and Jira's webhook.
    assert!(
        world.store.counts().total() <= 4,
        "{:?}",
        world.store.counts().by_operation()
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changes_over_a_hundred_links_go_at_the_allowed_rate_and_not_above() {
    let world = Setup::two(100).build().await;
    world.sim.reset_requests();
    for n in 1..=100 {
        for m in 0..10 {
            world
                .acme()
                .log_time(&format!("SUP-{n}"), hour("ann", &format!("entry {m}")))
                .unwrap();
        }
    }
    let start = world.now();
    world.wait(1).await;
    while world.globex().worklogs().len() < 1000 {
        world
            .tandem
            .engine
            .run_due(Some(world.now() + jiff::SignedDuration::from_secs(1)))
            .await
            .unwrap();
        world.wait(0).await;
    }
    let took = world.now().duration_since(start).as_secs_f64();
    let busiest = world.globex().tempo_rate();
    let floor = busiest.requests as f64 / 5.0;
    assert_eq!(world.acme().tempo_rate().answered_429 + busiest.answered_429, 0);
    assert!(
        took <= 1.1 * floor,
        "{took} s for {} requests: floor {floor} s",
        busiest.requests
    );
    assert!(busiest.requests <= 1000 + 100 + 30, "{busiest:?}");
    world.settle().await;
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_issue_with_twelve_thousand_worklogs_is_kept_the_same() {
    let world = Setup::two(1).webhooks(Webhooks::TempoOnly).build().await;
    world.lose_and_fill(12_000);
    world.sweep().await;
    world.settle().await;
    world.sim.reset_requests();
    let id = world.acme().log_time("SUP-1", hour("bob", "one more")).unwrap();
    world.settle().await;
    assert!(
        world
            .said("globex", "DEV-1")
            .iter()
            .any(|said| said.5 == "one more"),
        "{id}"
    );
    let requests = requests(&world);
    assert!(requests.len() <= 3 + 3 + 1, "{requests:#?}");
}

/// Two sites on which nine of ten issues with time are linked with none.
async fn mostly_unlinked(links: &str) -> World {
    let mut setup = Setup::two(3).webhooks(Webhooks::None);
    setup.config = setup.config.replace("[connections.links]\n", links);
    setup.sites = vec![site("acme", "SUP", 30), site("globex", "DEV", 30)];
    for (spec, of, key) in [
        (0, "customfield_10042", "DEV-29"),
        (1, "customfield_10077", "SUP-30"),
    ] {
        let issue = setup.sites[spec].issues[27].clone();
        setup.sites[spec].issues[27] = issue.field(of, key);
    }
    let world = setup.build().await;
    for number in 1..=30 {
        let (acme, globex) = (world.acme(), world.globex());
        acme.log_time(&format!("SUP-{number}"), hour("ann", "x")).unwrap();
        globex
            .log_time(&format!("DEV-{number}"), hour("ann", "x"))
            .unwrap();
    }
    world
}

#[tokio::test(start_paused = true)]
async fn the_books_cost_their_pages_however_many_issues_are_linked_with_none() {
    let world = mostly_unlinked("[connections.links]\n").await;
    world.tandem.engine.prepare().await.unwrap();
    world.sim.reset_requests();
    let verdict = world.verify().await;
    assert!(verdict.equal, "{:#?}", verdict.differences);
    assert_eq!((verdict.totals.a.worklogs, verdict.totals.b.worklogs), (3, 3));
    let unlinked = verdict.unlinked;
    assert_eq!(
        (unlinked.issues, unlinked.worklogs, unlinked.never_looked_for),
        (54, 54, 54)
    );
    assert_eq!(requests(&world).len(), 2, "{:#?}", requests(&world));

    // What was looked for in vain is told apart.
    world.audit().await;
    world.settle().await;
    let unlinked = world.verify().await.unlinked;
    assert_eq!((unlinked.issues, unlinked.never_looked_for), (54, 0));
}

const BY_FIELD: &str = "[connections.links]\nfrom = [\"table\", \"field\"]\nfield = { a = \"customfield_10042\", b = \"customfield_10077\" }\n";

#[tokio::test(start_paused = true)]
async fn looking_ahead_for_twins_costs_a_few_requests_however_many_issues_have_none() {
    let world = mostly_unlinked(BY_FIELD).await;
    let engine = &world.tandem.engine;
    engine.prepare().await.unwrap();
    world.sim.reset_requests();
    // One hiccup does not cost all that was found.
    let bulk = Matcher::jira("POST", "/rest/api/3/issue/bulkfetch");
    let down = Fault::LostBefore(FaultOutcome::Status(503));
    world.sim.fail_next("acme", bulk, down);
    let links = engine.links_ahead(&engine.connections[0]).await.unwrap();
    // By the table, and by a field on either side.
    assert_eq!(links.len(), 5, "{links:?}");
    let asked = requests(&world);
    // Two pages; a hundred issues at once, and what they name; a search for what points at them from either side, and what is
    // pointed at, which may be called otherwise by now.
    assert!(asked.len() <= 13, "{asked:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_estimate_counts_the_requests_that_look_for_twins() {
    let world = mostly_unlinked(BY_FIELD).await;
    let engine = &world.tandem.engine;
    engine.prepare().await.unwrap();
    world.sim.reset_requests();
    let order = tandem_engine::backfill::Order {
        since: "2026-01-01".parse().unwrap(),
        until: None,
        adopt: false,
        heal: false,
        accounts: Default::default(),
        apart: Vec::new(),
    };
    let connection = &engine.connections[0];
    let estimated = engine.estimate_backfill(connection, &order, None).await.unwrap();
    let looked: Vec<_> = requests(&world)
        .into_iter()
        .filter(|request| !request.contains("/4/worklogs"))
        .collect();
    let finding = estimated.finding;
    assert!((1..=10).contains(&looked.len()), "{looked:#?}");
    assert_eq!(finding.a + finding.b, looked.len(), "{looked:#?}");
    assert!(estimated.requests.a >= finding.a && estimated.requests.b >= finding.b);
    assert_eq!(
        (estimated.unlinked.a.issues, estimated.unlinked.b.worklogs),
        (25, 25)
    );
}
