//! What a month costs: units of the table and calls of functions, counted here, times list prices. `docs/cost.md` shows
//! the result, and is held to it.

use std::time::Duration;

use tandem_functions_test::Units;

use crate::world::{World, hour};

/// What the arithmetic rests on; each figure is at least what is counted below.
mod assumed {
    /// Read and write units of the table for one change of each kind, its webhooks, echoes and the run included.
    pub const CHANGE: (f64, f64) = (40.0, 60.0);
    /// Calls of `webhook` for one change: Tempo's, Jira's, and Jira's of the issue that changed with it; and as many of its
    /// echo.
    pub const WEBHOOKS: f64 = 6.0;
    /// Calls of `worker` for one change. Each hint is a record, and a second one finds nothing left to do.
    pub const WORKERS: f64 = 5.0;
    /// Read and write units of a `due` pass that finds nothing, and of a sweep that finds nothing: it also looks at up to
    /// 200 lines of the history for what people are to be told, and twice at what waits.
    pub const DUE: (f64, f64) = (11.0, 2.0);
    pub const SWEEP: (f64, f64) = (60.0, 17.0);
    /// Read units of an audit, for a worklog.
    pub const AUDITED: f64 = 0.5;
    /// Bytes of log of one change, with its metrics.
    pub const LOG_BYTES: f64 = 8_000.0;
    /// What the function writes itself, times this: lines of Lambda's own and of the endpoint's access log come on top.
    pub const LOGGED_BESIDE: f64 = 2.0;
    /// How long a call of `webhook` and one of `worker` takes, in seconds; the second mostly waits for the sites.
    pub const WEBHOOK_SECS: f64 = 0.05;
    pub const WORKER_SECS: f64 = 3.0;
    /// How long a sandbox is there for each second in which it works.
    pub const SANDBOX_SECS: f64 = 2.0;
    /// Seconds between two readings of a site's secret in one sandbox, at least.
    pub const SECRET_KEPT_SECS: f64 = 30.0;
}

/// List prices of us-east-1 in US dollars, as AWS published them in 2025, without free allowances.
mod price {
    pub const HTTP_API: f64 = 1.00e-6;
    pub const CALL: f64 = 0.20e-6;
    /// arm64.
    pub const GIB_SECOND: f64 = 0.000_013_333_4;
    pub const READ_UNIT: f64 = 0.125e-6;
    pub const WRITE_UNIT: f64 = 0.625e-6;
    /// With point-in-time recovery.
    pub const STORED_GB: f64 = 0.25 + 0.20;
    pub const LOG_GB: f64 = 0.50;
    pub const METRIC: f64 = 0.30;
    pub const ALARM: f64 = 0.10;
    pub const DASHBOARD: f64 = 3.00;
    pub const SECRET: f64 = 0.40;
    pub const SECRET_READ: f64 = 0.05e-4;
}

/// What one person does in a month, and what a deployment has.
const CHANGES: f64 = 130.0;
const METRICS: f64 = 42.0;
const SITES: f64 = 2.0;
const MONTH_SECS: f64 = 30.0 * 86_400.0;

struct Month {
    people: f64,
    changes: f64,
    functions: f64,
    table: f64,
    logs: f64,
    watched: f64,
    secrets: f64,
}

impl Month {
    fn of(people: f64, alarms: f64) -> Self {
        use assumed::*;
        use price::*;
        let changes = people * CHANGES;
        // A year of worklogs is audited each night, and everything is kept.
        let worklogs = people * 105.0 * 12.0;
        let (dues, sweeps, audits) = (43_200.0, 8_640.0, 30.0);
        let calls = changes * (WEBHOOKS + WORKERS) + dues + sweeps + audits;
        // Of 256 MB for a webhook and of 512 MB for a run; 0.3 s for a pass.
        let (webhooks, workers) = (changes * WEBHOOKS * WEBHOOK_SECS, changes * WORKERS * WORKER_SECS);
        let gib_seconds = webhooks * 0.25 + workers * 0.5 + (dues + sweeps) * 0.3 * 0.5;
        // One sandbox of each of three functions is always there; more, when they work at once.
        let sandboxes = 3.0 * MONTH_SECS + (webhooks + workers) * SANDBOX_SECS;
        let secrets_read = SITES * sandboxes / SECRET_KEPT_SECS;
        let functions = calls * CALL + gib_seconds * GIB_SECOND + changes * WEBHOOKS * HTTP_API;
        let read = changes * CHANGE.0 + dues * DUE.0 + sweeps * SWEEP.0 + audits * worklogs * AUDITED;
        let write = changes * CHANGE.1 + dues * DUE.1 + sweeps * SWEEP.1;
        // A pair with its rows is 4 KB, a line of the history 2 KB.
        let stored = (worklogs * 4_000.0 + changes * 12.0 * 2_000.0) / 1e9;
        Self {
            people,
            changes,
            functions,
            table: read * READ_UNIT + write * WRITE_UNIT + stored * STORED_GB,
            logs: (changes * LOG_BYTES + (dues + sweeps) * 2_000.0) * LOGGED_BESIDE / 1e9 * LOG_GB,
            watched: METRICS * METRIC + alarms * ALARM + DASHBOARD,
            secrets: SITES * SECRET + secrets_read * SECRET_READ,
        }
    }

    fn row(&self) -> String {
        let total = self.functions + self.table + self.logs + self.watched + self.secrets;
        format!(
            "| {:.0} | {:.0} | ${:.2} | ${:.2} | ${:.2} | ${:.2} | ${:.2} | **${total:.2}** | ${:.4} |",
            self.people,
            self.changes,
            self.functions,
            self.table,
            self.logs,
            self.watched,
            self.secrets,
            total / self.people
        )
    }
}

#[test]
fn the_table_of_costs_is_what_the_arithmetic_says() {
    let template = include_str!("../../../../infra/observability.yaml");
    let alarms = template.matches("Type: AWS::CloudWatch::Alarm").count() as f64;
    let shown = [
        ("docs/cost.md", include_str!("../../../../docs/cost.md")),
        ("README.md", include_str!("../../../../README.md")),
    ];
    let rows = [10.0, 1_000.0, 100_000.0].map(|people| Month::of(people, alarms).row());
    for (file, text) in shown {
        assert!(
            rows.iter().all(|row| text.contains(row)),
            "{file} does not show\n{}",
            rows.join("\n")
        );
    }
}

#[tokio::test]
async fn no_change_and_no_pass_costs_more_than_is_assumed() {
    let world = World::new().await;
    world.pass("sweep").await;
    world.settle().await;
    let at_most = |what: &str, seen: Units, (read, write): (f64, f64)| {
        assert!(
            seen.read <= read && seen.write <= write,
            "{what}: {seen:?}, assumed {read}, {write}"
        );
        assert!(seen.read > 0.0, "{what}: nothing was counted");
    };
    let mut id = 0;
    for kind in ["create", "update", "delete"] {
        world.table.take_units();
        let before = log_bytes(&world);
        match kind {
            "create" => id = world.acme().log_time("SUP-1", hour("one")).unwrap(),
            "update" => world
                .acme()
                .edit(id, |worklog| worklog.time_spent_secs = 60)
                .unwrap(),
            _ => world.acme().delete(id).unwrap(),
        }
        let settled = world.settle().await;
        at_most(kind, world.table.take_units(), assumed::CHANGE);
        let logged = (log_bytes(&world) - before) as f64;
        assert!(logged <= assumed::LOG_BYTES, "{kind}: {logged} bytes of log");
        assert!(
            settled.woken as f64 <= assumed::WORKERS,
            "{kind}: {} records woke the worker",
            settled.woken
        );
        // Both sites' webhooks are all registered as `connect` registers them, so that neither more nor fewer come.
        assert_eq!(settled.told as f64, assumed::WEBHOOKS, "{kind}");
    }
    // What is still to be learned is done.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.pass("sweep").await;
    for (pass, units) in [("sweep", assumed::SWEEP), ("due", assumed::DUE)] {
        world.table.take_units();
        world.pass(pass).await;
        at_most(pass, world.table.take_units(), units);
    }
}

fn log_bytes(world: &World) -> usize {
    [&world.webhook, &world.worker, &world.reconcile]
        .map(|function| function.log().len())
        .iter()
        .sum()
}
