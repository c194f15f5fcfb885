//! The cold start.

use std::time::Duration;

use tandem_functions_test::{Function, Table};

use crate::world::{World, binary, environment};

#[tokio::test]
async fn a_missing_variable_stops_every_function_by_name() {
    let table = Table::serve().await;
    for name in ["webhook", "worker", "reconcile", "rotate"] {
        for missing in [
            "TANDEM_TABLE",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            let mut environment = environment(name, &table);
            environment.remove(missing);
            let environment: Vec<_> = environment.into_iter().collect();
            let function = Function::start(name, &binary(name), &environment).await;
            assert!(!function.ended().await.success(), "{name} without {missing}");
            let log = function.log();
            assert!(
                log.contains(&format!("{missing} is not set")),
                "{name} without {missing}:\n{log}"
            );
        }
    }
}

/// A start has a whole processor, and nobody waits for it; an event has what its memory comes to, and somebody does.
#[tokio::test]
async fn the_sites_secrets_are_read_before_the_first_event_by_those_who_need_them() {
    let world = World::new().await;
    let started = async |function: &Function| {
        while function.asked_at().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Those of the world itself are to be through with theirs.
    for function in [&*world.webhook, &world.worker, &world.reconcile] {
        started(function).await;
    }
    for (name, reads) in [
        ("webhook", true),
        ("worker", true),
        ("reconcile", true),
        ("rotate", false),
    ] {
        let before = world.table.secrets_read();
        let environment: Vec<_> = environment(name, &world.table).into_iter().collect();
        let function = Function::start(name, &binary(name), &environment).await;
        started(&function).await;
        let read = world.table.secrets_read() - before;
        assert_eq!(read, if reads { 2 } else { 0 }, "{name}: {}", function.log());
    }
}

#[tokio::test]
async fn the_sites_secrets_are_read_while_the_table_is_still_to_say_where_they_are() {
    let table = Table::serve().await;
    for site in ["acme", "globex"] {
        table.put_secret(&format!("tandem/{site}"), "{}".to_owned());
    }
    table.set_hanging(true);
    for (name, reads) in [("webhook", 2), ("rotate", 0)] {
        let before = table.secrets_read();
        let environment: Vec<_> = environment(name, &table).into_iter().collect();
        let function = Function::start(name, &binary(name), &environment).await;
        while function.asked_at().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(table.secrets_read() - before, reads, "{name}: {}", function.log());
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_holds_up_no_start() {
    let table = Table::serve().await;
    table.set_hanging(true);
    let environment: Vec<_> = environment("webhook", &table).into_iter().collect();
    let function = Function::start("webhook", &binary("webhook"), &environment).await;
    let asks = async {
        while function.asked_at().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // What Lambda gives to a start.
    let asked = tokio::time::timeout(Duration::from_secs(10), asks).await;
    let log = function.log();
    assert!(asked.is_ok(), "{log}");
    assert!(log.contains("Started without a configuration"), "{log}");
}
