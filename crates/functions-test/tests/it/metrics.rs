//! What the functions tell CloudWatch, held to `infra/metrics.md`, and one id from a webhook to the write.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tandem_engine::ports::Store;
use tandem_sim::{Fault, Matcher};

use crate::world::{World, hour};

/// Name, unit and further dimensions of each metric that the contract promises.
fn promised() -> BTreeSet<(String, String, Vec<String>)> {
    let text = include_str!("../../../../infra/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let word = |cell: &str| cell.split('`').nth(1).map(str::to_owned);
        // What follows a name and a colon are its values.
        let dimensions = cells[3].split(':').next().unwrap_or_default();
        let dimensions = dimensions.split(',').filter_map(word).collect();
        (word(cells[1]).unwrap(), cells[2].to_owned(), dimensions)
    })
    .collect()
}

/// The lines of a log that are in CloudWatch's embedded format.
pub fn embedded(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.contains("\"_aws\""));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Adds up what was written, by metric and the values of its further dimensions.
pub fn sums(lines: &[Value]) -> BTreeMap<(String, Option<String>), i64> {
    let mut sums = BTreeMap::new();
    for line in lines {
        for (name, _, dimensions) in defined(line) {
            let values: Vec<&str> = dimensions
                .iter()
                .map(|dimension| line[dimension].as_str().unwrap())
                .collect();
            let part = (!values.is_empty()).then(|| values.join(" "));
            *sums.entry((name.clone(), part)).or_default() += line[&name].as_i64().unwrap();
        }
    }
    sums
}

/// Name, unit and further dimensions of each metric of a line.
fn defined(line: &Value) -> Vec<(String, String, Vec<String>)> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    let mut defined = Vec::new();
    for directive in directives {
        assert_eq!(directive["Namespace"], "Tandem");
        assert_eq!(line["service"], tandem_functions_test::Table::NAME);
        let sets = directive["Dimensions"].as_array().unwrap();
        assert_eq!(sets[0], serde_json::json!(["service"]));
        let further: Vec<String> = sets.get(1).map_or_else(Vec::new, |set| {
            let names = set.as_array().unwrap();
            assert_eq!(names[0], "service");
            names[1..]
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        });
        for metric in directive["Metrics"].as_array().unwrap() {
            let text = |field: &str| metric[field].as_str().unwrap().to_owned();
            defined.push((text("Name"), text("Unit"), further.clone()));
        }
    }
    defined
}

#[tokio::test]
async fn each_metric_of_the_contract_is_written_and_no_other() {
    let world = World::with_expiry("2099-01-01T00:00:00Z", "2098-01-01T00:00:00Z").await;
    let log = |world: &World| {
        let logs = [&world.webhook, &world.worker, &world.reconcile].map(|function| function.log());
        embedded(&logs.concat())
    };
    // The first sweep also makes the link, and looks at the connection for the first time.
    world.pass("sweep").await;
    let id = world.acme().log_time("SUP-1", hour("one")).unwrap();
    world.settle().await;
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    let sent = sums(&log(&world));
    let value = |sums: &BTreeMap<_, _>, name: &str, part: Option<&str>| {
        let key = (name.to_owned(), part.map(str::to_owned));
        sums.get(&key).copied().unwrap_or_default()
    };
    assert_eq!(value(&sent, "Synced", Some("create")), 1);
    assert_eq!(value(&sent, "Synced", Some("update")), 1);
    // Tempo's and Jira's, of both writes.
    assert_eq!(value(&sent, "Echo", None), 4);
    assert_eq!(value(&sent, "DriftFound", None), 0);

    // The next look is to be the audit's alone.
    world.nothing_left().await;
    // Nobody hears of this one, and the sweep does not look.
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 120)
        .unwrap();
    world.deliveries().await;
    world.sim.drop_deliveries();
    world.pass("audit").await;
    world.pass("due").await;
    assert_eq!(world.said("globex", "DEV-1"), [(120, "one".into())]);
    let drifted = sums(&log(&world));
    assert_eq!(value(&drifted, "DriftFound", None), 1);
    assert_eq!(value(&drifted, "DriftRepaired", None), 1);

    world.acme().delete(id).unwrap();
    world.settle().await;
    world
        .globex()
        .close_period("2024-03-01".parse().unwrap(), "2024-03-31".parse().unwrap());
    world.acme().log_time("SUP-1", hour("two")).unwrap();
    let told = world.deliveries().await;
    let forged = {
        let mut forged = told[0].clone();
        forged.body.push(b' ');
        forged
    };
    assert_eq!(world.hand_over(&forged).await.status, Some(401));
    for delivery in &told {
        world.hand_over(delivery).await;
    }
    world.settle().await;
    // It waits for the same reason as before: that is no news.
    world.pass("audit").await;
    world.pass("due").await;
    world
        .sim
        .fail_next("acme", Matcher::any(), Fault::RateLimited(Some(1)));
    world.pass("sweep").await;

    let lines = log(&world);
    let written: BTreeSet<_> = lines.iter().flat_map(defined).collect();
    assert_eq!(written, promised());
    let all = sums(&lines);
    assert_eq!(value(&all, "Synced", Some("delete")), 1);
    assert_eq!(value(&all, "Parked", Some("period-closed")), 1);
    assert_eq!(value(&all, "RateLimited", Some("acme")), 1);
    assert_eq!(value(&all, "Rejected", None), 1);
    assert_eq!(value(&all, "DriftFound", None), 1, "what waits has not drifted");
    let (acme, globex) = (
        value(&all, "Requests", Some("acme")),
        value(&all, "Requests", Some("globex")),
    );
    let requests = world.sim.requests();
    let of = |site: &str| requests.iter().filter(|request| request.site == site).count() as i64;
    assert_eq!((acme, globex), (of("acme"), of("globex")));
    let days = |token: &str| value(&all, "TokenDaysLeft", Some(&format!("acme {token}")));
    assert!(days("tempo") > 20_000, "{}", days("tempo"));
    assert!((1..days("tempo")).contains(&days("jira")), "{}", days("jira"));
}

#[tokio::test]
async fn what_waits_is_told_by_each_sweep_for_as_long_as_it_stands() {
    let world = World::unpublished().await;
    world
        .publish_with("\n[connections.policy]\nmass_delete = { max = 1, within = \"1h\" }\n")
        .await;
    let mut seen = 0;
    let mut sweep = async || {
        world.pass("sweep").await;
        let lines = embedded(&world.reconcile.log());
        let new = sums(&lines[seen..]);
        seen = lines.len();
        ["Waiting", "HeldDeletes", "PausedSites"].map(|name| new[&(name.to_owned(), None)])
    };
    assert_eq!(sweep().await, [0, 0, 0]);
    let april = ["2024-04-01", "2024-04-30"].map(|day| day.parse().unwrap());
    world.globex().close_period(april[0], april[1]);
    let mut content = hour("in a closed period");
    content.start_date = "2024-04-02".parse().unwrap();
    let id = world.acme().log_time("SUP-1", content).unwrap();
    world.settle().await;
    assert_eq!(sweep().await, [1, 0, 0]);
    // Nothing is set aside anew, and it waits all the same.
    assert_eq!(sweep().await, [1, 0, 0]);
    world.acme().delete(id).unwrap();
    world.settle().await;
    assert_eq!(sweep().await, [0, 0, 0]);
    // Two deletes at once are more than are let through.
    let ids = ["one", "two"].map(|text| world.acme().log_time("SUP-1", hour(text)).unwrap());
    world.settle().await;
    for id in ids {
        world.acme().delete(id).unwrap();
    }
    world.settle().await;
    assert_eq!(sweep().await, [2, 2, 0]);
    // The one sweep finds that the token is over, and the next one that it still is. The link waits for that too.
    world.globex().expire_tempo_tokens();
    assert_eq!(sweep().await, [3, 2, 1]);
    assert_eq!(sweep().await, [3, 2, 1]);
}

/// The alarm `drift` looks at the newest days of which there is something: were nothing written, a bad one would stay the
/// newest for days, and a second one could not be told from it.
#[tokio::test]
async fn a_night_without_differences_is_told_as_well() {
    let world = World::new().await;
    world.pass("sweep").await;
    let told = |world: &World| {
        let lines = embedded(&world.reconcile.log());
        let values = lines.iter().filter_map(|line| line["DriftFound"].as_i64());
        values.collect::<Vec<_>>()
    };
    assert_eq!(told(&world), [0; 0], "a sweep knows nothing of it");
    world.pass("audit").await;
    assert_eq!(told(&world), [0]);
}

#[tokio::test]
async fn one_id_leads_from_a_webhook_to_the_write_and_into_the_history() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.acme().log_time("SUP-1", hour("traced")).unwrap();
    world.settle().await;
    let of = |log: &str, words: &str| -> Vec<Value> {
        let lines = log.lines().filter(|line| line.contains(words));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let taken = of(&world.webhook.log(), "Took a webhook");
    let traces: BTreeSet<_> = taken.iter().map(|line| line["trace"].as_str().unwrap()).collect();
    assert!(!traces.is_empty());

    let wrote = of(&world.worker.log(), "Wrote ");
    assert_eq!(wrote.len(), 1);
    let spans = wrote[0]["spans"].as_array().unwrap();
    let carried = spans.iter().find_map(|span| span["trace"].as_str()).unwrap();
    assert!(traces.contains(carried.split(' ').next().unwrap()), "{carried}");

    let history = world
        .table
        .store()
        .history(&["acme-globex".into()], None, 10)
        .await
        .unwrap();
    let created = history.iter().find(|line| line.op == "create").unwrap();
    assert_eq!(created.trace.as_deref(), Some(carried));
}
