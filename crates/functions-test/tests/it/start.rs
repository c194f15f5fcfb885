//! The cold start.

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
