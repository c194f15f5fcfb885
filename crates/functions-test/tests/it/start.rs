//! The cold start.

use std::time::Duration;

use tandem_functions_test::{Function, Table};

use crate::world::{binary, environment};

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
